"""The paper's inference network, against two dense layers in float64."""

from typing import get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from etm_app.nn.encoder import EVALUATED_SAMPLES, Activation, Encoder
from tests import reference
from tests.planted import VOCAB, planted_counts
from tests.reference import assert_close, batch_of, dense

X = planted_counts(20)
EMPTY = torch.tensor(X.sum(axis=1) == 0)
NUM_TOPICS = 3


def encoder(activation: Activation = "relu", dropout: float = 0.0, vector_size: int = 0) -> Encoder:
    torch.manual_seed(0)
    return Encoder(len(VOCAB), NUM_TOPICS, 6, activation, dropout, vector_size)


def encode(module: Encoder, x: NDArray[np.int64]) -> Tensor:
    """Mean and log-variance side by side, [B, 2 K]."""
    batch = batch_of(x)
    return torch.cat(module(batch, batch.counts), dim=1)


def topics() -> Tensor:
    return torch.rand(len(VOCAB), NUM_TOPICS, generator=torch.Generator().manual_seed(1)).softmax(0)


@pytest.mark.parametrize("activation", get_args(Activation))
def test_every_activation_learns_from_every_layer(activation: Activation) -> None:
    module = encoder(activation)
    out = encode(module, X)
    assert out.shape == (len(X), 2 * NUM_TOPICS)
    assert out.isfinite().all()
    (out * torch.randn_like(out)).sum().backward()
    gradients = [parameter.grad for parameter in module.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() and gradient.any() for gradient in gradients)


def test_activations_differ() -> None:
    outputs = [encode(encoder(activation).eval(), X) for activation in get_args(Activation)]
    assert len({tuple(output.flatten().tolist()) for output in outputs}) == len(outputs)


@pytest.mark.parametrize("train", [True, False])
def test_empty_documents_get_the_prior(train: bool) -> None:
    module = encoder().train(train)
    out = encode(module, X)
    assert 0 < EMPTY.sum() < len(X)
    assert (out[EMPTY] == 0).all()
    assert (out[~EMPTY] != 0).all()
    batch = batch_of(X)
    theta = module.theta(batch, batch.counts, topics())
    torch.testing.assert_close(theta[EMPTY], torch.full((int(EMPTY.sum()), NUM_TOPICS), 1 / NUM_TOPICS))


def test_only_proportions_matter() -> None:
    module = encoder().eval()
    torch.testing.assert_close(encode(module, X), encode(module, 7 * X))


def test_a_document_is_encoded_alike_in_any_company() -> None:
    module, order = encoder().eval(), np.random.default_rng(0).permutation(len(X))
    together = encode(module, X)
    torch.testing.assert_close(encode(module, X[order]), together[torch.tensor(order)])
    torch.testing.assert_close(torch.cat([encode(module, X[row : row + 1]) for row in range(len(X))]), together)


def test_half_of_a_document_is_encoded_as_a_document_of_its_own() -> None:
    module, batch = encoder().eval(), batch_of(X)
    half = torch.div(batch.counts, 2, rounding_mode="floor")
    as_documents = batch_of(X // 2)
    for actual, expected in zip(module(batch, half), module(as_documents, as_documents.counts), strict=True):
        torch.testing.assert_close(actual, expected)


def test_dropout_acts_in_training_only() -> None:
    module = encoder(dropout=0.5)
    assert not torch.equal(encode(module, X), encode(module, X))
    module.eval()
    assert torch.equal(encode(module, X), encode(module, X))


def test_the_posterior_leaves_autocast_in_float32() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        out = encode(encoder(), X)
    assert out.dtype == torch.float32
    assert out.isfinite().all()


def test_weights_in_bfloat16_give_a_posterior_in_float32() -> None:
    module, batch = encoder().eval(), batch_of(X)
    expected = encode(module, X)
    found = module.bfloat16()(batch, batch.counts)
    assert {part.dtype for part in found} == {torch.float32}
    torch.testing.assert_close(torch.cat(found, 1), expected, rtol=0.02, atol=0.02)


ACTIVATIONS = {
    "tanh": torch.tanh,
    "softplus": lambda x: (1 + x.exp()).log(),
    "relu": lambda x: x.clamp(min=0),
    "rrelu": lambda x: torch.where(x >= 0, x, x * (1 / 8 + 1 / 3) / 2),  # at evaluation, the mean of its slopes
    "leakyrelu": lambda x: torch.where(x >= 0, x, 0.01 * x),
    "elu": lambda x: torch.where(x >= 0, x, x.exp() - 1),
    "selu": lambda x: 1.0507009873554805 * torch.where(x >= 0, x, 1.6732632423543772 * (x.exp() - 1)),
    "glu": lambda x: x[:, : x.shape[1] // 2] / (1 + (-x[:, x.shape[1] // 2 :]).exp()),
}


@pytest.mark.parametrize(("dtype", "relative"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("vector_size", [0, 5])
@pytest.mark.parametrize("activation", get_args(Activation))
def test_the_posterior_is_that_of_two_dense_layers(
    activation: Activation, vector_size: int, dtype: torch.dtype, relative: float
) -> None:
    """Written out in float64, of all words and of a half of them, with embeddings of the documents and without."""
    module = encoder(activation, dropout=0.5, vector_size=vector_size).to(dtype).eval()
    batch, act = batch_of(X), ACTIVATIONS[activation]
    vectors = np.random.default_rng(0).integers(-9, 9, (len(X), vector_size)).astype(float)
    vectors[2:3] = 0
    batch.vectors = torch.tensor(vectors).float() if vector_size else None
    weights = {name: value.double() for name, value in module.state_dict().items()}
    for counts in (batch.counts, (batch.counts / 2).floor()):
        x = dense(batch, counts)
        tokens = x.sum(1, keepdim=True)
        hidden = x / tokens.clamp(min=1) @ weights["weight"] + weights["bias"]
        if vector_size:
            hidden = hidden + torch.tensor(reference.unit(vectors)) @ weights["from_vectors.weight"].t()
        hidden = act(act(hidden) @ weights["hidden.weight"].t() + weights["hidden.bias"])
        expected = hidden @ weights["posterior.weight"].t() + weights["posterior.bias"]
        actual = module(batch, counts)
        assert len(actual) == 2
        assert {part.dtype for part in actual} == {dtype}
        assert_close(torch.cat(actual, 1), expected * (tokens > 0), relative)
        theta = module.theta(batch, counts, topics())
        assert_close(theta, (expected * (tokens > 0))[:, :NUM_TOPICS].softmax(1), relative)


def test_embeddings_of_documents_count_by_their_direction() -> None:
    module, batch = encoder(vector_size=4).eval(), batch_of(X)
    batch.vectors = torch.randn(len(X), 4)
    first = torch.cat(module(batch, batch.counts), 1)
    batch.vectors = 3 * batch.vectors
    torch.testing.assert_close(torch.cat(module(batch, batch.counts), 1), first)
    batch.vectors = -batch.vectors
    assert not torch.allclose(torch.cat(module(batch, batch.counts), 1)[~EMPTY], first[~EMPTY])


@pytest.mark.parametrize(("activation", "width"), [("relu", 4), ("glu", 8)])
def test_the_first_layer_starts_as_that_of_torch(activation: Activation, width: int) -> None:
    """Uniform within the root of the number of its inputs, on both sides."""
    torch.manual_seed(0)
    module = Encoder(2500, 3, 4, activation, 0.0)
    assert module.weight.shape == (2500, width)
    assert module.bias.shape == (width,)
    assert module.from_vectors is None
    for parameter in (module.weight, module.bias):
        assert parameter.abs().max() <= 0.02
        assert (parameter > 0).any()
        assert (parameter < 0).any()
    assert module.weight.max() > 0.019
    assert module.weight.min() < -0.019
    assert max(Encoder(4, 3, 500, "relu", 0.0).bias.abs()) > 0.45


def spread_out() -> Encoder:
    """One whose posteriors are far from the prior, and differ."""
    module = encoder().double().eval()
    with torch.no_grad():
        module.weight.mul_(30)
        module.posterior.weight.mul_(3)
        module.posterior.bias[NUM_TOPICS:] += 0.5
    return module


def test_evidence_is_that_of_one_sample_each() -> None:
    module, batch, beta = spread_out(), batch_of(X), topics().double()
    mu, logvar = (of.detach() for of in module(batch, batch.counts))
    torch.manual_seed(3)
    theta, likelihood, kl = module.evidence(batch, beta)
    torch.manual_seed(3)
    expected = (mu + (logvar / 2).exp() * torch.randn_like(mu)).softmax(1)
    assert_close(theta, expected, 1e-12)
    assert_close(likelihood, reference.log_likelihood(batch, batch.counts, expected, beta).sum(), 1e-9)
    assert_close(kl, kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(0.0, 1.0)), 1e-12)
    assert kl[~EMPTY].sum(1).mean() > 1
    assert not kl[EMPTY].any()


def test_it_is_evaluated_by_the_expectation_over_the_posterior_and_not_at_its_mean() -> None:
    """Which is less than the likelihood of the mean theta, and a bound."""
    x = planted_counts(600)
    module, batch, beta = spread_out(), batch_of(x), topics().double()
    with torch.no_grad():
        mu, logvar = module(batch, batch.counts)
        z = mu + (logvar / 2).exp() * torch.randn(1_000, *mu.shape, generator=torch.Generator().manual_seed(1)).double()
        each = torch.stack([reference.log_likelihood(batch, batch.counts, of.softmax(1), beta) for of in z])
        at_the_mean = reference.log_likelihood(batch, batch.counts, z.softmax(2).mean(0), beta).sum().item()
        theta, found, kl = module.evaluate(batch, beta)
    expected, error = each.mean(0).sum().item(), (each.var(0) / EVALUATED_SAMPLES).sum().sqrt().item()
    assert at_the_mean - expected > 5 * error
    assert abs(found.item() - expected) < 2 * error
    assert_close(theta, mu.softmax(1), 1e-12)
    assert_close(kl, kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(0.0, 1.0)), 1e-12)


def test_what_a_document_is_evaluated_with_is_the_same_in_any_batch() -> None:
    module, beta = spread_out(), topics().double()
    together = module.evaluate(batch_of(X), beta).log_likelihood
    alone = sum(module.evaluate(batch_of(X[row : row + 1]), beta).log_likelihood for row in range(len(X)))
    torch.testing.assert_close(alone, together)
