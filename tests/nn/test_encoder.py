from typing import get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from etm_app.nn.encoder import Activation, Encoder
from tests.planted import planted_counts
from tests.reference import assert_close, batch_of, dense

X = planted_counts(20)
NUM_TOPICS = 3


def encoder(activation: Activation = "relu", dropout: float = 0.0, vector_size: int = 0) -> Encoder:
    torch.manual_seed(0)
    return Encoder(X.shape[1], NUM_TOPICS, 6, activation, dropout, vector_size)


def encode(module: Encoder, x: NDArray[np.int64]) -> torch.Tensor:
    """Mean and log-variance side by side, [B, 2 K]."""
    batch = batch_of(x)
    return torch.cat(module(batch, batch.counts), dim=1)


@pytest.mark.parametrize("activation", get_args(Activation))
def test_every_activation_learns_from_every_layer(activation: Activation) -> None:
    module = encoder(activation)
    out = encode(module, X)
    assert out.shape == (len(X), 2 * NUM_TOPICS)
    assert out.isfinite().all()
    (out * torch.randn_like(out)).sum().backward()
    gradients = {name: parameter.grad for name, parameter in module.named_parameters() if parameter.requires_grad}
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients.values())
    assert all(gradient.abs().sum() > 0 for gradient in gradients.values() if gradient.ndim == 2)


def test_activations_differ() -> None:
    outputs = [encode(encoder(activation).eval(), X) for activation in get_args(Activation)]
    assert len({tuple(output.flatten().tolist()) for output in outputs}) == len(outputs)


@pytest.mark.parametrize("train", [True, False])
def test_empty_documents_get_the_prior(train: bool) -> None:
    out, empty = encode(encoder().train(train), X), X.sum(axis=1) == 0
    assert empty.any()
    assert (out[empty] == 0).all()
    assert (out[~empty] != 0).all()


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
    halves, documents = module(batch, half), module(as_documents, as_documents.counts)
    for actual, expected in zip(halves, documents, strict=True):
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
    """Written out in float64, of all words and of a half of them."""
    torch.manual_seed(0)
    module = Encoder(X.shape[1], NUM_TOPICS, 5, activation, 0.5, vector_size).to(dtype).eval()
    batch, act = batch_of(X), ACTIVATIONS[activation]
    if vector_size:
        batch.vectors = torch.randn(len(X), vector_size)
    weights = {name: value.double() for name, value in module.state_dict().items()}
    for counts in (batch.counts, (batch.counts / 2).floor()):
        x = dense(batch, counts)
        tokens = x.sum(1, keepdim=True)
        hidden = x / tokens.clamp(min=1) @ weights["weight"] + weights["bias"]
        if batch.vectors is not None:
            directions = batch.vectors.double() / batch.vectors.double().norm(dim=1, keepdim=True)
            hidden = hidden + directions @ weights["from_vectors.weight"].t()
        hidden = act(hidden)
        hidden = act(hidden @ weights["hidden.weight"].t() + weights["hidden.bias"])
        expected = hidden @ weights["posterior.weight"].t() + weights["posterior.bias"]
        actual = module(batch, counts)
        assert len(actual) == 2
        assert {part.dtype for part in actual} == {dtype}
        assert_close(torch.cat(actual, 1), expected * (tokens > 0), relative)


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


def test_weights_in_bfloat16_give_a_posterior_in_float32() -> None:
    module, batch = encoder().eval(), batch_of(X)
    expected = encode(module, X)
    found = module.bfloat16()(batch, batch.counts)
    assert {part.dtype for part in found} == {torch.float32}
    torch.testing.assert_close(torch.cat(found, 1), expected, rtol=0.02, atol=0.02)
