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


def test_the_first_topics_are_of_the_words_that_were_given() -> None:
    rho, alpha = warm_start(block_counts(5, 8, 400), 5, 10, 4.0, 1, seeds=[[17, 20], [4]])
    block_of_topic = (alpha @ rho.T).argsort(axis=1)[:, -8:] // 8
    assert (block_of_topic == block_of_topic[:, :1]).all()
    assert block_of_topic[:2, 0].tolist() == [2, 0]
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


def weights_of(x: np.ndarray) -> np.ndarray:
    """Log-tf-idf of the documents that have words, each of length 1."""
    present = x[x.any(axis=1)]
    idf = np.log((1 + len(present)) / (1 + (present > 0).sum(axis=0))) + 1
    return unit(np.log(1 + present) * idf)


def unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)


def directions(x: np.ndarray, rho_size: int, seed: int) -> np.ndarray:
    """The definition, dense and in float64: right singular vectors times the values, and small noise."""
    weights = weights_of(x)
    left, values, right = np.linalg.svd(weights)
    rank = min(rho_size, len(weights) - 1, x.shape[1] - 1)
    signs = np.sign(left[np.abs(left).argmax(axis=0), range(len(left))])  # a vector's sign is free, but noise has one
    rho = np.random.default_rng(seed).normal(0, 1e-3, (x.shape[1], rho_size))
    rho[:, :rank] += (signs[:rank] * right[:rank].T) * values[:rank]
    return unit(rho)


@pytest.mark.parametrize("rho_size", [1, 2, 4, 7])
@pytest.mark.parametrize("x", [X, X[:3], np.delete(X, 4, axis=1)], ids=["more documents", "more words", "an odd word"])
def test_words_are_placed_by_latent_semantic_analysis(x: np.ndarray, rho_size: int) -> None:
    rho, alpha = warm_start(sp.csr_array(x.astype(np.int32)), 2, rho_size, 3.0, 5)
    np.testing.assert_allclose(rho, 3 * directions(x, rho_size, 5), rtol=1e-4, atol=1e-4)
    assert rho.dtype == alpha.dtype == np.float32


AXES = np.array([[1, 0, 0], [0.96, 0.28, 0], [0.96, -0.28, 0], [0, 0, 1], [0, 0.6, 0.8], [-1, 0, 0]], np.float32)
# Four documents of two kinds, and one of no word.
KINDS = np.array([[1, 1, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 0], [0, 0, 0, 0, 5, 0], [0, 0, 0, 0, 0, 0]])


def by_first(alpha: np.ndarray) -> np.ndarray:
    return alpha[np.argsort(-alpha[:, 0])]


def start(x: np.ndarray, num_topics: int, **kwargs: np.ndarray) -> np.ndarray:
    """Topics among words whose places are given."""
    rho, alpha = warm_start(sp.csr_array(x.astype(np.int32)), num_topics, 3, 2.0, 0, rho=AXES, **kwargs)
    np.testing.assert_array_equal(rho, 2 * AXES)
    return alpha


def test_topics_are_the_means_of_clusters_of_documents_less_the_mean_of_all() -> None:
    documents = unit(weights_of(KINDS) @ AXES)
    expected = np.array([documents[:2].mean(axis=0), documents[2:].mean(axis=0)]) - documents.mean(axis=0)
    np.testing.assert_allclose(by_first(start(KINDS, 2)), 2 * unit(expected), atol=1e-6)


def test_one_topic_is_the_mean_itself() -> None:
    mean = unit(weights_of(KINDS) @ AXES).mean(axis=0, keepdims=True)
    np.testing.assert_allclose(start(KINDS, 1), 2 * unit(mean), atol=1e-6)


def test_more_topics_than_different_documents_start_anywhere() -> None:
    with pytest.warns(match="distinct clusters"):
        alpha = start(np.tile(KINDS[[0, 2]], (200, 1)), 300)
    np.testing.assert_allclose(np.linalg.norm(alpha, axis=1), 2, rtol=1e-6)
    assert np.linalg.norm(alpha.mean(axis=0)) < 0.4
    assert len(np.unique(alpha, axis=0)) == 300


def test_more_topics_than_documents_start_anywhere() -> None:
    alpha = start(KINDS, 2_000)
    documents = unit(weights_of(KINDS) @ AXES)
    np.testing.assert_allclose(
        np.sort(alpha[:4], axis=0), np.sort(2 * unit(documents - documents.mean(axis=0)), axis=0), atol=1e-5
    )
    assert np.linalg.norm(alpha[4:].mean(axis=0)) < 0.1
    np.testing.assert_allclose(alpha[4:].T @ alpha[4:] / len(alpha), np.eye(3) * 4 / 3, atol=0.15)


def test_embeddings_of_documents_are_clustered_beside_their_words() -> None:
    """Where the words tell one pair of kinds and the embeddings another, more clearly, topics are of the latter."""
    of_words, of_vectors = np.arange(100) % 2, np.arange(100) // 2 % 2
    x = np.zeros((100, 4), np.int32)
    x[range(100), of_words] = 5
    x[range(100), 2 + of_vectors] = 1
    rho = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0]], np.float32)
    vectors = np.array([[5.0, 1], [5.0, -1]], np.float32)[of_vectors]
    x[:4] = 0  # and their embeddings are left out with them
    vectors[:4] = 1e6
    axes = {}
    for beside in (None, vectors):
        _, alpha = warm_start(sp.csr_array(x), 2, 3, 2.0, 0, rho=rho, vectors=beside)
        axes[beside is not None] = alpha[np.argsort(alpha.sum(axis=1))]
    np.testing.assert_allclose(axes[False], [[-2, 0, 0], [2, 0, 0]], atol=1e-5)
    np.testing.assert_allclose(axes[True], [[0, -2, 0], [0, 2, 0]], atol=1e-5)


def test_what_has_no_answer_is_decided_by_the_seed_alone() -> None:
    """Words in no order at all, and more topics than documents, whatever state NumPy's own generator is in."""
    counts = sp.csr_array(np.random.default_rng(0).poisson(0.3, (40, 60)).astype(np.int32))
    found = []
    for state in (1, 2):
        np.random.seed(state)
        found.append([*warm_start(counts, 15, 4, 1.0, 3), *warm_start(counts, 50, 4, 1.0, 3)])
    assert all(np.array_equal(*pair) for pair in zip(*found, strict=True))
