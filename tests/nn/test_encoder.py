from typing import get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from etm_app.model import ETM
from etm_app.nn.encoder import FEWEST, Activation, Encoder, evidence
from tests.planted import VOCAB, planted_counts
from tests.reference import batch_of
from tests.strategies import EDGE_CASES

X = planted_counts(20)
NUM_TOPICS = 3


def encoder(activation: str = "relu", dropout: float = 0.0, normalize: bool = True, e_step: bool = True) -> Encoder:
    torch.manual_seed(0)
    sizes = {"num_topics": NUM_TOPICS, "t_hidden_size": 6, "rho_size": 2}
    more = {"normalize_posterior": normalize, "e_step": e_step, **sizes}
    return ETM(len(VOCAB), theta_act=activation, enc_drop=dropout, **more).encoder


def beta_of(module: Encoder) -> torch.Tensor:
    """Some topics, [V, K]."""
    shape = len(module.weight), module.posterior.out_features // 2
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)).softmax(0)


def encode(module: Encoder, x: NDArray[np.int64]) -> torch.Tensor:
    """Mean and log-variance side by side, [B, 2 K]."""
    batch = batch_of(x)
    return torch.cat(module(batch, batch.counts, beta_of(module)), dim=1)


@pytest.mark.parametrize("activation", get_args(Activation))
def test_every_activation_learns_from_every_layer(activation: str) -> None:
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


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("train", [True, False])
def test_empty_documents_get_the_prior(train: bool, normalize: bool) -> None:
    out, empty = encode(encoder(normalize=normalize).train(train), X), X.sum(axis=1) == 0
    assert empty.any()
    assert (out[empty] == 0).all()
    assert (out[~empty] != 0).all()


@pytest.mark.parametrize("rows", [[0], [4], [0, 4]], ids=["one document", "one empty", "one and an empty"])
def test_small_batches_are_normalized_without_harm(rows: list[int]) -> None:
    out = encode(encoder().train(), X[rows])
    assert out.isfinite().all()
    out.square().sum().backward()


def test_normalized_means_have_no_mean_and_unit_variance_in_training() -> None:
    known = torch.tensor(X.sum(axis=1) > 0)
    normalized, plain = (encode(encoder(normalize=normalize), X)[known, :NUM_TOPICS] for normalize in (True, False))
    torch.testing.assert_close(normalized.mean(dim=0), torch.zeros(NUM_TOPICS), atol=1e-5, rtol=0)
    expected = (plain - plain.mean(dim=0)) / (plain.var(dim=0, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(normalized, expected, atol=1e-4, rtol=1e-3)


def test_only_proportions_matter() -> None:
    module = encoder(e_step=False).eval()
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
    beta = beta_of(module)
    halves, documents = module(batch, half, beta), module(as_documents, as_documents.counts, beta)
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


def normalized_encoder() -> Encoder:
    torch.manual_seed(0)
    encoder = Encoder(20, 3, 16, "tanh", 0.0, normalize=True, e_step=True)
    with torch.no_grad():
        encoder.weight.mul_(50)  # far from the small variance of the start, where the normalization is cut off
    return encoder


def many_documents() -> NDArray[np.int64]:
    x = np.random.default_rng(0).poisson(0.3, size=(50, 20))
    x[::7] = 0
    return x


@pytest.mark.parametrize("size", [1, 7, 50])
def test_normalized_topics_have_mean_0_and_variance_1_over_the_documents_however_batched(size: int) -> None:
    encoder, x = normalized_encoder().eval(), many_documents()
    encoder.measure((batch_of(x[start : start + size]) for start in range(0, len(x), size)), beta_of(encoder))
    batch = batch_of(x)
    mu, _ = encoder(batch, batch.counts, beta_of(encoder))
    there = torch.from_numpy(x.any(axis=1))
    torch.testing.assert_close(mu[there].mean(0), torch.zeros(3), rtol=0, atol=1e-4)
    torch.testing.assert_close(mu[there].var(0, correction=0), torch.ones(3), rtol=1e-2, atol=0)
    assert (mu[~there] == 0).all()


def test_training_normalizes_by_the_batch_and_ignores_its_empty_documents() -> None:
    encoder, x = normalized_encoder().train(), many_documents()
    batch, without = batch_of(x), batch_of(x[x.any(axis=1)])
    mu, _ = encoder(batch, batch.counts, beta_of(encoder))
    expected, _ = encoder(without, without.counts, beta_of(encoder))
    torch.testing.assert_close(mu[torch.from_numpy(x.any(axis=1))], expected)
    torch.testing.assert_close(expected.mean(0), torch.zeros(3), rtol=0, atol=1e-5)


def test_evaluation_is_the_same_in_any_batch() -> None:
    encoder, x = normalized_encoder(), many_documents()
    encoder.measure([batch_of(x)], beta_of(encoder))
    encoder.eval()
    batch, alone = batch_of(x), batch_of(x[3:4])
    beta = beta_of(encoder)
    torch.testing.assert_close(encoder(batch, batch.counts, beta)[0][3:4], encoder(alone, alone.counts, beta)[0])


@pytest.mark.parametrize("x", [*EDGE_CASES.values(), X], ids=[*EDGE_CASES, "planted"])
def test_evidence_is_the_expected_number_of_words_of_each_topic(x: NDArray[np.int64]) -> None:
    beta = torch.rand(x.shape[1], NUM_TOPICS, dtype=torch.float64) + 1e-3
    batch = batch_of(x)
    found = evidence(batch, batch.counts, beta)
    for row, document in enumerate(x):
        expected = torch.zeros(NUM_TOPICS, dtype=torch.float64)
        for word in np.flatnonzero(document):
            expected += document[word] * beta[word] / beta[word].sum()
        torch.testing.assert_close(found[row], (FEWEST + expected).log(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        (found.exp() - FEWEST).sum(1), torch.from_numpy(x.sum(axis=1)).double(), rtol=1e-5, atol=1e-5
    )


def test_before_the_first_step_the_encoder_follows_the_evidence() -> None:
    """Documents of one topic's words alone have their largest mean there."""
    torch.manual_seed(0)
    module = Encoder(30, 3, 16, "relu", 0.0, normalize=True, e_step=True)
    topics = np.kron(np.eye(3, dtype=np.int64), np.ones((1, 10), np.int64))
    x = np.random.default_rng(0).poisson(2.0, (60, 30)) * topics[np.arange(60) % 3]
    batch = batch_of(x)
    mu, _ = module(batch, batch.counts, torch.from_numpy(topics.T / 10 + 1e-4).float())
    assert (mu.argmax(1).numpy() == np.arange(60) % 3).all()
