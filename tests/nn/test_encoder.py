from typing import get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from etm_app.model import ETM
from etm_app.nn.encoder import FEWEST, Activation, DocumentNorm, Encoder, evidence
from tests.planted import VOCAB, planted_counts
from tests.reference import assert_close, batch_of, dense
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
@pytest.mark.parametrize("e_step", [True, False])
@pytest.mark.parametrize("activation", get_args(Activation))
def test_the_posterior_is_that_of_two_dense_layers_and_the_evidence(
    activation: str, e_step: bool, dtype: torch.dtype, relative: float
) -> None:
    """Written out in float64, of all words and of a half of them."""
    torch.manual_seed(0)
    module = Encoder(X.shape[1], NUM_TOPICS, 5, activation, 0.5, e_step=e_step).to(dtype).eval()  # type: ignore[arg-type]
    assert module.norm is None
    if e_step:
        torch.nn.init.normal_(module.from_evidence.weight)
    batch, beta, act = batch_of(X), beta_of(module).to(dtype), ACTIVATIONS[activation]
    weights = {name: value.double() for name, value in module.state_dict().items()}
    for counts in (batch.counts, (batch.counts / 2).floor()):
        x = dense(batch, counts)
        tokens = x.sum(1, keepdim=True)
        hidden = act(x / tokens.clamp(min=1) @ weights["weight"] + weights["bias"])
        hidden = act(hidden @ weights["hidden.weight"].t() + weights["hidden.bias"])
        expected = hidden @ weights["posterior.weight"].t() + weights["posterior.bias"]
        if e_step:
            seen = (FEWEST + x @ (beta.double() / beta.double().sum(1, keepdim=True))).log()
            expected = expected + seen @ weights["from_evidence.weight"].t()
        actual = module(batch, counts, beta)
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
    assert module.from_evidence is None
    assert module.norm is None
    for parameter in (module.weight, module.bias):
        assert parameter.abs().max() <= 0.02
        assert (parameter > 0).any()
        assert (parameter < 0).any()
    assert module.weight.max() > 0.019
    assert module.weight.min() < -0.019
    assert max(Encoder(4, 3, 500, "relu", 0.0).bias.abs()) > 0.45


def test_evidence_gets_no_gradient() -> None:
    module, batch = encoder(), batch_of(X)
    beta = beta_of(module).requires_grad_()
    assert not evidence(batch, batch.counts, beta).requires_grad
    mu, logvar = module(batch, batch.counts, beta)
    (mu.sum() + logvar.sum()).backward()
    assert beta.grad is None


def test_a_word_of_no_topic_is_no_evidence() -> None:
    batch = batch_of(np.array([[3, 2]]))
    beta = torch.tensor([[0.0, 0.0], [0.1, 0.3]])
    expected = torch.tensor([[FEWEST + 2 / 4, FEWEST + 6 / 4]]).log()
    torch.testing.assert_close(evidence(batch, batch.counts, beta), expected)


def test_evidence_is_not_lowered_by_autocast() -> None:
    module = encoder(normalize=False).eval()
    batch, beta = batch_of(X), beta_of(module)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name != "from_evidence.weight":
                parameter.zero_()  # nothing is left but the evidence
    expected = module(batch, batch.counts, beta)[0]
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(module(batch, batch.counts, beta)[0], expected)


def test_weights_in_bfloat16_give_a_posterior_in_float32() -> None:
    module, batch = encoder(normalize=False).eval(), batch_of(X)
    expected = encode(module, X)
    found = module.bfloat16()(batch, batch.counts, beta_of(module))
    assert {part.dtype for part in found} == {torch.float32}
    torch.testing.assert_close(torch.cat(found, 1), expected, rtol=0.02, atol=0.02)


def test_weights_in_bfloat16_do_not_round_the_evidence_to_their_bias() -> None:
    module, batch = encoder(normalize=False).bfloat16().eval(), batch_of(X)
    torch.nn.init.zeros_(module.posterior.weight)
    torch.nn.init.constant_(module.posterior.bias, 256.0)  # bfloat16 goes in steps of 2 from there
    mu, _ = module(batch, batch.counts, beta_of(module))
    known = mu != 0
    expected = 256 + evidence(batch, batch.counts, beta_of(module))
    torch.testing.assert_close(mu[known], expected[known], rtol=0, atol=0.02)


def test_means_far_from_0_are_measured_without_cancellation() -> None:
    module, x = normalized_encoder(), many_documents()
    with torch.no_grad():
        module.posterior.bias.add_(2000)
    module.measure([batch_of(x)], beta_of(module))
    plain = Encoder(20, 3, 16, "tanh", 0.0, e_step=True)
    plain.load_state_dict(module.state_dict(), strict=False)
    batch = batch_of(x[x.any(axis=1)])
    mu = plain.eval()(batch, batch.counts, beta_of(module))[0].double()
    assert_close(module.norm.mean, mu.mean(0), relative=1e-6)
    assert_close(module.norm.variance, mu.var(0, correction=0), relative=1e-3)


@pytest.mark.parametrize("train", [True, False])
def test_measuring_leaves_the_mode_and_drops_no_unit(train: bool) -> None:
    module = Encoder(20, 3, 16, "tanh", 0.5, normalize=True).train(train)
    found = []
    for _ in range(2):
        module.measure([batch_of(many_documents())], beta_of(module))
        assert module.training == train
        found.append((module.norm.mean.clone(), module.norm.variance.clone()))
        assert not any(statistic.requires_grad for statistic in found[-1])
    assert all(torch.equal(*pair) for pair in zip(*found, strict=True))


def test_nothing_is_measured_without_normalization_and_of_no_documents() -> None:
    plain = encoder(normalize=False)
    plain.measure([batch_of(X)], beta_of(plain))
    assert plain.training
    module = encoder()
    module.measure([], beta_of(module))
    assert module.norm.mean.tolist() == [0.0] * NUM_TOPICS
    assert module.norm.variance.tolist() == [0.0] * NUM_TOPICS


def test_one_document_is_measured_as_it_is() -> None:
    module = normalized_encoder()
    batch = batch_of(many_documents()[1:2])
    module.measure([batch], beta_of(module))
    assert module.norm.variance.tolist() == pytest.approx([0.0] * NUM_TOPICS, abs=1e-12)
    assert module.eval()(batch, batch.counts, beta_of(module))[0].abs().max() < 1e-3  # its own mean is taken off


def test_everything_is_made_where_the_module_is() -> None:
    """On whatever device: here another one is the default, on which nothing can be mixed with tensors of the CPU."""
    module, batch = normalized_encoder(), batch_of(many_documents())
    beta = beta_of(module)
    with torch.device("meta"):
        module.train()(batch, batch.counts, beta)[0].sum().backward()
        module.measure([batch], beta)


def test_a_running_average_stands_in_until_the_statistics_are_measured() -> None:
    """A tenth of the way to each batch's, from mean 0 and variance 1; documents without words do not count."""
    norm = DocumentNorm(2).train()
    known = torch.tensor([[1.0], [0.0], [1.0]])
    out = norm(torch.tensor([[1.0, 5.0], [9.0, 9.0], [3.0, 5.0]], requires_grad=True), known)
    torch.testing.assert_close(out[[0, 2]], torch.tensor([[-1.0, 0.0], [1.0, 0.0]]) / (1 + 1e-5) ** 0.5)
    torch.testing.assert_close(norm.mean, torch.tensor([0.2, 0.5]))
    torch.testing.assert_close(norm.variance, torch.tensor([1.0, 0.9]))
    norm(torch.tensor([[1.0, 5.0], [3.0, 7.0]]), torch.ones(2, 1))
    torch.testing.assert_close(norm.mean, torch.tensor([0.9 * 0.2 + 0.1 * 2, 0.9 * 0.5 + 0.1 * 6]))
    torch.testing.assert_close(norm.variance, torch.tensor([1.0, 0.9 * 0.9 + 0.1]))
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    assert set(before) == {"mean", "variance"}
    out = norm.eval()(torch.tensor([[1.0, 2.0]]), torch.ones(1, 1))
    expected = (torch.tensor([[1.0, 2.0]]) - before["mean"]) / (before["variance"] + 1e-5).sqrt()
    torch.testing.assert_close(out, expected)
    assert all(torch.equal(norm.state_dict()[name], value) for name, value in before.items())


def test_a_document_alone_is_its_own_mean() -> None:
    norm = DocumentNorm(2).train()
    assert norm(torch.tensor([[3.0, -4.0]]), torch.ones(1, 1)).tolist() == [[0, 0]]
    torch.testing.assert_close(norm.mean, torch.tensor([0.3, -0.4]))
    torch.testing.assert_close(norm.variance, torch.tensor([0.9, 0.9]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_statistics_keep_the_type_of_the_module(dtype: torch.dtype) -> None:
    norm, mu = DocumentNorm(2).to(dtype).train(), torch.tensor([[1.0, 2.0], [3.0, 2.0]])
    torch.testing.assert_close(norm(mu, torch.ones(2, 1)), torch.tensor([[-1.0, 0.0], [1.0, 0.0]]), rtol=1e-4, atol=0)
    torch.testing.assert_close(norm.mean, torch.tensor([0.2, 0.2], dtype=dtype))
    assert norm.variance.dtype == dtype
