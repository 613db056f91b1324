import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from etm_app.nn import sparse
from tests import reference
from tests.reference import assert_close, batch_of
from tests.strategies import EDGE_CASES, over_corpora

H = K = 3


def random(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()


def theta_and_beta(x: NDArray[np.int64], dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    theta = random(len(x), K, dtype=dtype).softmax(-1)
    beta = random(x.shape[1] + 1, K, dtype=dtype).softmax(0)[1:]  # a word more: log 1 would be all rounding error
    return theta.detach().requires_grad_(), beta.detach().requires_grad_()


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
def test_log_likelihood_is_the_dense_sum(x: NDArray[np.int64]) -> None:
    batch, inputs = batch_of(x), theta_and_beta(x, torch.float32)
    theta, beta = (tensor.detach().double().requires_grad_() for tensor in inputs)
    actual = sparse.log_likelihood(batch, batch.counts, *inputs)
    expected = (torch.tensor(x).double() * (theta @ beta.t()).log()).sum(dim=1)
    assert_close(actual, expected)
    upstream = random(len(x)).detach()
    gradients = torch.autograd.grad(actual, inputs, upstream)
    for gradient, reference_gradient in zip(
        gradients, torch.autograd.grad(expected, (theta, beta), upstream.double()), strict=True
    ):
        assert_close(gradient, reference_gradient)


@over_corpora
def test_the_reference_agrees_with_plain_matrices(x: NDArray[np.int64]) -> None:
    batch = batch_of(x)
    assert torch.equal(reference.dense(batch, batch.counts), torch.tensor(x).double())


@pytest.mark.parametrize("x", EDGE_CASES.values(), ids=EDGE_CASES)
def test_gradients_are_the_numerical_ones(x: NDArray[np.int64]) -> None:
    batch = batch_of(np.minimum(x, 9))
    theta, beta = theta_and_beta(x, torch.float64)
    weight = random(x.shape[1], H, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda w: sparse.matmul(batch, batch.counts, w), weight)
    assert torch.autograd.gradcheck(lambda t, b: sparse.log_likelihood(batch, batch.counts, t, b), (theta, beta))


@pytest.mark.parametrize("x", EDGE_CASES.values(), ids=EDGE_CASES)
def test_words_without_probability_cost_much_but_not_infinitely_much(x: NDArray[np.int64]) -> None:
    batch = batch_of(x)
    theta = torch.full((len(x), K), 1 / K, requires_grad=True)
    beta = torch.zeros(x.shape[1], K, requires_grad=True)
    value = sparse.log_likelihood(batch, batch.counts, theta, beta)
    assert value.isfinite().all()
    assert (value <= -20 * torch.tensor(x).sum(dim=1)).all()
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(value.sum(), (theta, beta)))


def test_inputs_that_autocast_lowered_are_summed_in_float32() -> None:
    batch, (theta, beta) = batch_of(np.full((2, 5), 3)), theta_and_beta(np.ones((2, 5), np.int64), torch.bfloat16)
    assert sparse.log_likelihood(batch, batch.counts, theta, beta).dtype == torch.float32
    assert sparse.matmul(batch, batch.counts, beta).dtype == torch.float32


def test_a_batch_for_evaluation_has_no_gradients() -> None:
    batch, weight = batch_of(np.eye(2, dtype=np.int64), with_gradients=False), random(2, H)
    with pytest.raises(RuntimeError, match="made for evaluation"):
        sparse.matmul(batch, batch.counts, weight).sum().backward()
