import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from etm_app.data.completion import first_half
from tests.reference import batch_of
from tests.strategies import counts, over_corpora


def halves(x: NDArray[np.int64], seed: int = 0) -> NDArray[np.int64]:
    """The first halves of dense counts, dense."""
    batch = batch_of(x)
    drawn = np.zeros_like(x)
    drawn[x > 0] = first_half(
        batch.indptr.long().numpy(), batch.indices.numpy(), batch.counts.numpy().astype(np.int32), seed
    )
    return drawn


@over_corpora
def test_half_of_the_tokens_of_each_document_are_drawn(x: NDArray[np.int64]) -> None:
    first = halves(x)
    assert (first >= 0).all()
    assert (first <= x).all()
    assert first.sum(axis=1).tolist() == (x.sum(axis=1) // 2).tolist()


@given(counts(), st.randoms(use_true_random=False))
def test_a_document_is_halved_alike_in_any_company(x, random) -> None:  # type: ignore[no-untyped-def]
    first = halves(x)
    order = random.sample(range(len(x)), len(x))
    assert (halves(x[order]) == first[order]).all()
    assert all((halves(x[row : row + 1]) == first[row]).all() for row in range(len(x)))


def test_the_draw_is_fair() -> None:
    x = np.random.default_rng(0).poisson(1.5, size=(2000, 40))
    total = x.sum(axis=1, keepdims=True)
    share = (total // 2) / total
    # Tokens drawn without replacement are hypergeometric; summed over documents, their deviations are normal.
    variance = x * share * (1 - share) * (total - x) / (total - 1)
    z = (halves(x) - x * share).sum(axis=0) / np.sqrt(variance.sum(axis=0))
    assert abs(z).max() < 4
    assert 0.7 < z.std() < 1.3


def test_repeated_tokens_are_split_about_evenly() -> None:
    first = halves(np.full((1, 2000), 6))
    assert first.mean() == 3
    assert abs(first.std() - 1.5**0.5) < 0.06  # of six tokens, each is drawn with probability 1/2


def test_seeds_draw_other_halves() -> None:
    x = np.random.default_rng(0).poisson(2.0, size=(50, 20))
    drawn = [halves(x, seed) for seed in range(3)]
    assert (halves(x, 1) == drawn[1]).all()
    assert all((drawn[a] != drawn[b]).any(axis=1).mean() > 0.9 for a, b in ((0, 1), (0, 2), (1, 2)))
