import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from etm_app.nn.warm_start import warm_start


def block_counts(blocks: int, words: int, documents: int) -> sp.csr_array:
    """Each document speaks of one block of words only."""
    generator = np.random.default_rng(0)
    own = generator.integers(blocks, size=documents)
    rates = 0.02 + 2.0 * (np.arange(blocks * words) // words == own[:, None])
    return sp.csr_array(generator.poisson(rates).astype(np.int32))


def test_one_topic_a_block_of_words() -> None:
    rho, alpha = warm_start(block_counts(5, 8, 400), 5, 10, 4.0, 1)
    block_of_topic = (alpha @ rho.T).argsort(axis=1)[:, -8:] // 8
    assert (block_of_topic == block_of_topic[:, :1]).all()
    assert sorted(block_of_topic[:, 0]) == [0, 1, 2, 3, 4]


def test_the_seed_decides() -> None:
    counts = block_counts(3, 6, 100)
    first, again, other = (warm_start(counts, 4, 7, 2.0, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[1], other[1])


@settings(max_examples=30)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 15), st.integers(1, 15), st.floats(0.5, 8), st.data())
def test_any_shape_gives_embeddings_of_the_length_asked_for(
    documents: int, words: int, topics: int, size: int, scale: float, data: st.DataObject
) -> None:
    dense = data.draw(st.lists(st.integers(0, 3), min_size=documents * words, max_size=documents * words))
    counts = sp.csr_array(np.array(dense, np.int32).reshape(documents, words))
    rho, alpha = warm_start(counts, topics, size, scale, 0)
    assert rho.shape == (words, size)
    assert alpha.shape == (topics, size)
    for embedding in (rho, alpha):
        assert np.isfinite(embedding).all()
        np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), scale, rtol=1e-4)


# Six documents, one of them empty and one of a single word that is everywhere else, over five words.
X = np.array([[3, 1, 0, 0, 1], [2, 2, 0, 0, 1], [0, 0, 4, 1, 1], [0, 1, 1, 9, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]])


def directions(x: np.ndarray, rho_size: int, seed: int) -> np.ndarray:
    """The definition, dense and in float64, of documents with words: right singular vectors times values, and noise."""
    x = x[x.any(axis=1)]
    idf = np.log((1 + len(x)) / (1 + (x > 0).sum(axis=0))) + 1
    weights = np.log(1 + x) * idf
    lengths = np.linalg.norm(weights, axis=1, keepdims=True)
    left, values, right = np.linalg.svd(np.divide(weights, lengths, out=np.zeros_like(weights), where=lengths > 0))
    rank = min(rho_size, len(x) - 1, x.shape[1] - 1)
    signs = np.sign(left[np.abs(left).argmax(axis=0), range(len(left))])  # a vector's sign is free, but noise has one
    rho = np.random.default_rng(seed).normal(0, 1e-3, (x.shape[1], rho_size))
    rho[:, :rank] += (signs[:rank] * right[:rank].T) * values[:rank]
    return rho / np.linalg.norm(rho, axis=1, keepdims=True)


@pytest.mark.parametrize("rho_size", [1, 2, 4, 7])
@pytest.mark.parametrize("x", [X, X[:3], np.delete(X, 4, axis=1)], ids=["more documents", "more words", "an odd word"])
def test_words_are_placed_by_latent_semantic_analysis(x: np.ndarray, rho_size: int) -> None:
    rho, alpha = warm_start(sp.csr_array(x.astype(np.int32)), 2, rho_size, 3.0, 5)
    np.testing.assert_allclose(rho, 3 * directions(x, rho_size, 5), rtol=1e-4, atol=1e-4)
    assert rho.dtype == alpha.dtype == np.float32


AXES = np.array([[1, 0, 0], [0.96, 0.28, 0], [0.96, -0.28, 0], [0, 0, 1], [0, 0.6, 0.8], [-1, 0, 0]], np.float32)


def counts_of(x: np.ndarray) -> sp.csr_array:
    return sp.csr_array(x.astype(np.int32))


def test_more_topics_than_documents_start_anywhere() -> None:
    counts = counts_of(np.array([[2, 0, 0, 0, 0, 0], [0, 0, 0, 3, 0, 0], [0, 0, 0, 0, 0, 0]]))
    _, alpha = warm_start(counts, 2000, 3, 1.0, 0, rho=AXES)
    np.testing.assert_allclose(np.sort(alpha[:2, 0]), [-(0.5**0.5), 0.5**0.5], atol=1e-6)  # less their mean
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


# Four documents of two kinds, and one of no word, over words whose places are given.
KINDS = np.array([[1, 1, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 0], [0, 0, 0, 0, 5, 0], [0, 0, 0, 0, 0, 0]])


def places_of(x: np.ndarray) -> np.ndarray:
    """Directions of documents with words among `AXES`."""
    present = x[x.any(axis=1)]
    weights = np.log(1 + present) * (np.log((1 + len(present)) / (1 + (present > 0).sum(axis=0))) + 1)
    places: np.ndarray = weights @ AXES
    return places / np.linalg.norm(places, axis=1, keepdims=True)


def test_topics_are_the_means_of_clusters_of_documents_less_that_of_all() -> None:
    rho, alpha = warm_start(counts_of(KINDS), 2, 3, 2.0, 0, rho=AXES)
    np.testing.assert_array_equal(rho, 2 * AXES)  # words from elsewhere are left where they are
    places = places_of(KINDS)
    expected = np.array([places[:2].mean(axis=0), places[2:].mean(axis=0)]) - places.mean(axis=0)
    expected *= 2 / np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(alpha[np.argsort(-alpha[:, 0])], expected, atol=1e-6)


def test_a_single_topic_is_the_mean_of_all_documents() -> None:
    _, alpha = warm_start(counts_of(KINDS), 1, 3, 2.0, 0, rho=AXES)
    mean = places_of(KINDS).mean(axis=0)
    np.testing.assert_allclose(alpha[0], 2 * mean / np.linalg.norm(mean), atol=1e-6)


def test_embeddings_of_documents_are_clustered_beside_their_words() -> None:
    """Words say nothing, the embeddings tell two kinds apart; what all have in common does not count."""
    rng = np.random.default_rng(0)
    kind = np.arange(60) % 2
    counts = counts_of(rng.poisson(1.0, (60, 12)))
    vectors = 100 + np.where(kind[:, None] == 0, 1.0, -1.0) * np.ones(4) + rng.normal(0, 0.1, (60, 4))
    rho = rng.normal(size=(12, 3)).astype(np.float32)
    _, alpha = warm_start(counts, 2, 3, 1.0, 0, rho=rho, vectors=vectors.astype(np.float32))
    known = np.diff(counts.indptr) > 0
    x = counts.toarray()[known]
    weights = np.log(1 + x) * (np.log((1 + len(x)) / (1 + (x > 0).sum(axis=0))) + 1)
    places = weights @ rho
    places /= np.linalg.norm(places, axis=1, keepdims=True)
    expected = np.array([places[kind[known] == of].mean(axis=0) for of in (0, 1)]) - places.mean(axis=0)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.abs(alpha @ expected.T).max(axis=0) == pytest.approx([1, 1], abs=1e-5)
