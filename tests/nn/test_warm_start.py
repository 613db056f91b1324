import numpy as np
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
