import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from torch.distributions import Dirichlet, Normal, kl_divergence

from etm_app.nn.elbo import kl_between_dirichlets, kl_to_standard_normal, log_likelihood
from tests.nn.test_sparse import random
from tests.reference import assert_close, batch_of
from tests.strategies import EDGE_CASES, over_corpora

K = 3


def theta_and_beta(x: NDArray[np.int64], dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    theta = random(len(x), K, dtype=dtype).softmax(-1)
    beta = random(x.shape[1] + 1, K, dtype=dtype).softmax(0)[1:]  # a word more: log 1 would be all rounding error
    return theta.detach().requires_grad_(), beta.detach().requires_grad_()


@over_corpora
def test_log_likelihood_is_the_dense_sum(x: NDArray[np.int64]) -> None:
    batch, inputs = batch_of(x), theta_and_beta(x, torch.float32)
    theta, beta = (tensor.detach().double().requires_grad_() for tensor in inputs)
    actual = log_likelihood(batch, batch.counts, *inputs)
    expected = (torch.tensor(x).double() * (theta @ beta.t()).log()).sum(dim=1)
    assert_close(actual, expected)
    upstream = random(len(x)).detach()
    gradients = torch.autograd.grad(actual, inputs, upstream)
    for gradient, reference_gradient in zip(
        gradients, torch.autograd.grad(expected, (theta, beta), upstream.double()), strict=True
    ):
        assert_close(gradient, reference_gradient)


@pytest.mark.parametrize("x", EDGE_CASES.values(), ids=EDGE_CASES)
def test_gradients_are_the_numerical_ones(x: NDArray[np.int64]) -> None:
    batch, inputs = batch_of(np.minimum(x, 9)), theta_and_beta(x, torch.float64)
    assert torch.autograd.gradcheck(lambda theta, beta: log_likelihood(batch, batch.counts, theta, beta), inputs)


@pytest.mark.parametrize("x", EDGE_CASES.values(), ids=EDGE_CASES)
def test_words_without_probability_cost_much_but_not_infinitely_much(x: NDArray[np.int64]) -> None:
    batch = batch_of(x)
    theta = torch.full((len(x), K), 1 / K, requires_grad=True)
    beta = torch.zeros(x.shape[1], K, requires_grad=True)
    value = log_likelihood(batch, batch.counts, theta, beta)
    assert value.isfinite().all()
    assert (value <= -20 * torch.tensor(x).sum(dim=1)).all()
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(value.sum(), (theta, beta)))


def test_inputs_that_autocast_lowered_are_summed_in_float32() -> None:
    batch, (theta, beta) = batch_of(np.full((2, 5), 3)), theta_and_beta(np.ones((2, 5), np.int64), torch.bfloat16)
    assert log_likelihood(batch, batch.counts, theta, beta).dtype == torch.float32


parameters = hnp.arrays(np.float64, (4, 3), elements=st.floats(-5, 5))


@given(parameters, parameters)
def test_kl_is_that_of_torch(mu: NDArray[np.float64], logvar: NDArray[np.float64]) -> None:
    posterior = Normal(torch.tensor(mu), (0.5 * torch.tensor(logvar)).exp())
    expected = kl_divergence(posterior, Normal(torch.zeros(1).double(), 1.0))
    actual = kl_to_standard_normal(torch.tensor(mu), torch.tensor(logvar))
    torch.testing.assert_close(actual, expected)
    assert (actual >= -1e-12).all()


def test_second_derivatives_are_refused_and_not_wrong() -> None:
    batch, (theta, beta) = batch_of(np.eye(2, dtype=np.int64)), theta_and_beta(np.eye(2, dtype=np.int64), torch.float64)
    value = log_likelihood(batch, batch.counts, theta, beta).square().sum()
    (gradient,) = torch.autograd.grad(value, theta, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


concentrations = hnp.arrays(np.float64, (2, 5), elements=st.floats(1e-6, 1e6))


@given(concentrations)
def test_kl_between_dirichlets_is_that_of_torch_in_shares_of_which_none_is_negative(x: NDArray[np.float64]) -> None:
    posterior, prior = torch.tensor(x)
    expected = kl_divergence(Dirichlet(posterior), Dirichlet(prior))
    for priors in (prior, prior[None]):
        actual = kl_between_dirichlets(posterior[None], priors)
        assert actual.shape == (1, 5)
        assert (actual >= 0).all()
        # Digits are lost where large numbers are subtracted: log Γ of a million is 1e7, of a millionth's ψ 1e6.
        ours, theirs = (torch.cat([each, each.sum()[None]]) for each in (posterior, prior))
        scale = (ours.lgamma().abs() + (ours.digamma() * (theirs - ours)).abs()).sum().item()
        torch.testing.assert_close(actual.sum(1), expected[None], rtol=1e-9, atol=1e-13 * scale)


def test_kl_between_the_same_dirichlets_and_of_one_topic_is_none() -> None:
    same = torch.tensor([[0.2, 3.0, 70.0], [1e-20, 0.5, 0.5]])
    torch.testing.assert_close(kl_between_dirichlets(same, same), torch.zeros(2, 3), rtol=0, atol=1e-5)
    one = kl_between_dirichlets(torch.tensor([[9.0], [1.0]]), torch.ones(1))
    torch.testing.assert_close(one, torch.zeros(2, 1), rtol=0, atol=1e-5)


def test_kl_of_long_documents_in_float32() -> None:
    posterior, prior = torch.tensor([[3e4, 7e4, 0.02], [1e-3, 2.5, 40.0]]), torch.tensor([0.3, 0.69, 0.01])
    actual, expected = (kl_between_dirichlets(posterior.to(of), prior.to(of)) for of in (torch.float32, torch.float64))
    assert (actual >= 0).all()
    torch.testing.assert_close(actual.double(), expected, rtol=1e-2, atol=1e-3)
