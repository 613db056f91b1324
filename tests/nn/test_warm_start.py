from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from etm_app.nn import warm_start as module
from etm_app.nn.warm_start import mixture_start, warm_start

Start = Callable[..., tuple[np.ndarray, np.ndarray]]


def block_counts(blocks: int, words: int, documents: int) -> sp.csr_array:
    """Each document speaks of one block of words only."""
    generator = np.random.default_rng(0)
    own = generator.integers(blocks, size=documents)
    rates = 0.02 + 2.0 * (np.arange(blocks * words) // words == own[:, None])
    return sp.csr_array(generator.poisson(rates).astype(np.int32))


@pytest.mark.parametrize("start", [warm_start, mixture_start])
def test_one_topic_a_block_of_words(start: Start) -> None:
    rho, alpha = start(block_counts(5, 8, 400), 5, 10, 4.0, 1)
    block_of_topic = (alpha @ rho.T).argsort(axis=1)[:, -8:] // 8
    assert (block_of_topic == block_of_topic[:, :1]).all()
    assert sorted(block_of_topic[:, 0]) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("start", [warm_start, mixture_start])
def test_the_seed_decides(start: Start) -> None:
    counts = block_counts(3, 6, 100)
    first, again, other = (start(counts, 4, 7, 2.0, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[1], other[1])


@pytest.mark.parametrize("start", [warm_start, mixture_start])
@settings(max_examples=30)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 15), st.integers(1, 15), st.floats(0.5, 8), st.data())
def test_any_shape_gives_embeddings_of_the_length_asked_for(
    start: Start, documents: int, words: int, topics: int, size: int, scale: float, data: st.DataObject
) -> None:
    dense = data.draw(st.lists(st.integers(0, 3), min_size=documents * words, max_size=documents * words))
    counts = sp.csr_array(np.array(dense, np.int32).reshape(documents, words))
    rho, alpha = start(counts, topics, size, scale, 0)
    assert rho.shape == (words, size)
    assert alpha.shape == (topics, size)
    for embedding in (rho, alpha):
        assert np.isfinite(embedding).all()
        np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), scale, rtol=1e-4)


# Six documents, one of them empty and one of a single word that is everywhere else, over five words.
X = np.array([[3, 1, 0, 0, 1], [2, 2, 0, 0, 1], [0, 0, 4, 1, 1], [0, 1, 1, 9, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]])


def directions(x: np.ndarray, rho_size: int, seed: int) -> np.ndarray:
    """The definition, dense and in float64: right singular vectors times the roots of the values, and small noise."""
    idf = np.log((1 + len(x)) / (1 + (x > 0).sum(axis=0))) + 1
    weights = np.log(1 + x) * idf
    lengths = np.linalg.norm(weights, axis=1, keepdims=True)
    left, values, right = np.linalg.svd(np.divide(weights, lengths, out=np.zeros_like(weights), where=lengths > 0))
    rank = min(rho_size, len(x) - 1, x.shape[1] - 1)
    signs = np.sign(left[np.abs(left).argmax(axis=0), range(len(left))])  # a vector's sign is free, but noise has one
    rho = np.random.default_rng(seed).normal(0, 0.01, (x.shape[1], rho_size))
    rho[:, :rank] += (signs[:rank] * right[:rank].T) * np.sqrt(values[:rank])
    return rho / np.linalg.norm(rho, axis=1, keepdims=True)


@pytest.mark.parametrize("rho_size", [1, 2, 4, 7])
@pytest.mark.parametrize("x", [X, X[:3], np.delete(X, 4, axis=1)], ids=["more documents", "more words", "an odd word"])
def test_words_are_placed_by_latent_semantic_analysis(x: np.ndarray, rho_size: int) -> None:
    rho, alpha = warm_start(sp.csr_array(x.astype(np.int32)), 2, rho_size, 3.0, 5)
    np.testing.assert_allclose(rho, 3 * directions(x, rho_size, 5), rtol=1e-4, atol=1e-4)
    assert rho.dtype == alpha.dtype == np.float32


AXES = np.array([[1, 0, 0], [0.96, 0.28, 0], [0.96, -0.28, 0], [0, 0, 1], [0, 0.6, 0.8], [-1, 0, 0]], np.float32)


def frequencies(*of: int) -> sp.csr_array:
    """Documents in which the words are so often, several times each."""
    return sp.csr_array((3 * (np.arange(max(of))[:, None] < np.array(of))).astype(np.int32))


def test_topics_are_the_centres_of_clusters_of_words_that_weigh_the_root_of_their_frequency() -> None:
    rho, alpha = warm_start(frequencies(9, 4, 0, 1, 16, 1), 3, 3, 2.0, 0, rho=AXES)
    np.testing.assert_array_equal(rho, 2 * AXES)  # words from elsewhere are left where they are
    expected = np.array([3 * AXES[0] + 2 * AXES[1] + 1 * AXES[2], 1 * AXES[3] + 4 * AXES[4], AXES[5]])
    expected *= 2 / np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(alpha[np.argsort(-alpha[:, 0])], expected, atol=1e-6)


def test_only_the_most_frequent_words_are_clustered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CLUSTERED_WORDS", 2)
    _, alpha = warm_start(frequencies(2, 5, 2, 9, 1, 2), 2, 3, 1.0, 0, rho=AXES)
    np.testing.assert_allclose(alpha[np.argsort(-alpha[:, 0])], AXES[[1, 3]], atol=1e-6)
    _, alpha = warm_start(frequencies(2, 2, 2, 9, 2, 2), 2, 3, 1.0, 0, rho=AXES)  # the first of those alike
    np.testing.assert_allclose(alpha[np.argsort(-alpha[:, 0])], AXES[[0, 3]], atol=1e-6)


def test_of_words_alike_in_frequency_the_first_are_clustered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a hundred words every other one is in two documents, the rest in one."""
    monkeypatch.setattr(module, "MAX_CLUSTERED_WORDS", 3)
    angles = np.linspace(0, np.pi, 100)
    rho = np.stack((np.cos(angles), np.sin(angles)), axis=1).astype(np.float32)
    _, alpha = warm_start(frequencies(*[2, 1] * 50), 3, 2, 1.0, 0, rho=rho)
    np.testing.assert_allclose(alpha[np.argsort(-alpha[:, 0])], rho[[0, 2, 4]], atol=1e-6)


def test_more_topics_than_words_start_anywhere() -> None:
    _, alpha = warm_start(frequencies(2, 1), 2000, 3, 1.0, 0, rho=AXES[:2])
    np.testing.assert_allclose(sorted(alpha[:2, 0]), sorted(AXES[:2, 0]), atol=1e-6)
    assert np.linalg.norm(alpha[2:].mean(axis=0)) < 0.05
    np.testing.assert_allclose(alpha[2:].T @ alpha[2:] / len(alpha), np.eye(3) / 3, atol=0.03)


def test_what_has_no_answer_is_decided_by_the_seed_alone() -> None:
    """Words in no order at all, and more topics than words, whatever state NumPy's own generator is in."""
    counts = sp.csr_array(np.random.default_rng(0).poisson(0.3, (60, 40)).astype(np.int32))
    found = []
    for state in (1, 2):
        np.random.seed(state)
        found.append([*warm_start(counts, 15, 4, 1.0, 3), *warm_start(counts, 50, 4, 1.0, 3)])
    assert all(np.array_equal(*pair) for pair in zip(*found, strict=True))


def test_topics_of_a_mixture_are_the_means_of_clusters_of_documents() -> None:
    """Four documents of two kinds, and one of no word, over words whose places are given."""
    x = np.array([[1, 1, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 0], [0, 0, 0, 0, 5, 0], [0, 0, 0, 0, 0, 0]])
    rho, alpha = mixture_start(sp.csr_array(x.astype(np.int32)), 2, 3, 2.0, 0, rho=AXES)
    np.testing.assert_array_equal(rho, 2 * AXES)
    present = x[:4]
    weights = np.log(1 + present) * (np.log(5 / (1 + (present > 0).sum(axis=0))) + 1)
    documents = weights @ AXES
    documents /= np.linalg.norm(documents, axis=1, keepdims=True)
    expected = np.array([documents[:2].mean(axis=0), documents[2:].mean(axis=0)])
    expected *= 2 / np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(alpha[np.argsort(-alpha[:, 0])], expected, atol=1e-6)
