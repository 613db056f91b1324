import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from etm_app.nn.topics import Topics
from etm_app.nn.warm_start import warm_start
from tests.reference import batch_of


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


def test_drift_is_nothing_at_the_start_and_grows_with_the_distance() -> None:
    topics = Topics(6, 3, 4, train_embeddings=True)
    assert topics.drift().item() == 0  # not placed
    topics.place(torch.randn(6, 4), torch.randn(3, 4), torch.full((6,), 0.5), torch.full((6,), 1 / 6))
    assert topics.drift().item() == 0
    with torch.no_grad():
        topics.rho += 1.0
        topics.alpha[0] += 3.0
    assert topics.drift().item() == pytest.approx(6 * 0.5 * (4 * 1.0 + 4 * 9.0 / 3))


def test_drift_weighs_words_by_their_frequency() -> None:
    """Value and gradient against autograd's, in float64."""
    topics = Topics(5, 3, 4, train_embeddings=True).double()
    frequency = torch.tensor([0.0, 0.01, 0.02, 0.3, 1.0])
    topics.place(torch.randn(5, 4), torch.randn(3, 4), frequency, torch.full((5,), 1 / 5))
    moved = torch.randn(5, 4, dtype=torch.float64)
    rho = (topics.rho.detach() + moved).requires_grad_()
    with torch.no_grad():
        topics.rho += moved
    expected = (frequency * (rho - topics.rho_anchor).square().sum(1)).sum()
    (gradient,) = torch.autograd.grad(expected, rho)
    actual = topics.drift()
    actual.backward()
    torch.testing.assert_close(actual, expected.detach())
    torch.testing.assert_close(topics.rho.grad, gradient)
    assert topics.alpha.grad is not None
    assert not topics.alpha.grad.any()


def test_what_topics_leave_unexplained_is_perplexity_over_that_of_the_frequencies() -> None:
    x = np.array([[3, 1, 0], [0, 2, 2], [0, 0, 0]])
    batch, frequency = batch_of(x), torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    topics = Topics(3, 2, 4, train_embeddings=True).double()
    topics.place(torch.zeros(3, 4), torch.zeros(2, 4), torch.ones(3), frequency)
    by_frequency = (torch.from_numpy(x) * frequency.log()).sum()
    assert topics.unexplained(batch, by_frequency).item() == pytest.approx(1)
    assert topics.unexplained(batch, torch.zeros(())).item() == pytest.approx((by_frequency / 8).exp().item())
    nothing = batch_of(np.zeros((2, 3), np.int64))
    assert topics.unexplained(nothing, torch.zeros(())).item() == 1
