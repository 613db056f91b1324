import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from etm_app.nn import sparse
from tests import reference
from tests.reference import assert_close, batch_of
from tests.strategies import EDGE_CASES, over_corpora

H = 3


def random(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()


@over_corpora
def test_num_tokens_are_the_row_sums(x: NDArray[np.int64]) -> None:
    batch = batch_of(x)
    assert sparse.num_tokens(batch, batch.counts).tolist() == x.sum(axis=1).tolist()


@over_corpora
def test_matmul_is_the_dense_product(x: NDArray[np.int64]) -> None:
    batch, weight = batch_of(x), random(x.shape[1], H)
    expected_weight = weight.detach().double().requires_grad_()
    actual, expected = sparse.matmul(batch, batch.counts, weight), torch.tensor(x).double() @ expected_weight
    assert_close(actual, expected)
    upstream = random(len(x), H).detach()
    assert_close(
        *torch.autograd.grad(actual, weight, upstream),
        *torch.autograd.grad(expected, expected_weight, upstream.double()),
    )


@over_corpora
def test_the_reference_agrees_with_plain_matrices(x: NDArray[np.int64]) -> None:
    batch = batch_of(x)
    assert torch.equal(reference.dense(batch, batch.counts), torch.tensor(x).double())


@pytest.mark.parametrize("x", EDGE_CASES.values(), ids=EDGE_CASES)
def test_gradients_are_the_numerical_ones(x: NDArray[np.int64]) -> None:
    batch = batch_of(np.minimum(x, 9))
    weight = random(x.shape[1], H, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda w: sparse.matmul(batch, batch.counts, w), weight)


def test_inputs_that_autocast_lowered_are_summed_in_float32() -> None:
    batch, weight = batch_of(np.full((2, 5), 3)), random(5, H, dtype=torch.bfloat16)
    assert sparse.matmul(batch, batch.counts, weight).dtype == torch.float32


def test_a_batch_for_evaluation_has_no_gradients() -> None:
    batch, weight = batch_of(np.eye(2, dtype=np.int64), with_gradients=False), random(2, H)
    with pytest.raises(RuntimeError, match="made for evaluation"):
        sparse.matmul(batch, batch.counts, weight).sum().backward()


def test_second_derivatives_are_refused_and_not_wrong() -> None:
    batch, weight = batch_of(np.eye(2, dtype=np.int64)), random(2, H)
    (gradient,) = torch.autograd.grad(
        sparse.matmul(batch, batch.counts, weight).square().sum(), weight, create_graph=True
    )
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
