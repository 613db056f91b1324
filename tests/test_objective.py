"""What a training step minimizes, and its gradients, against the same mathematics dense and in float64."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from threading import Barrier, get_ident
from typing import Any, get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from etm_app.model import ETM
from etm_app.nn.encoder import Activation
from etm_app.topic_model import Inference
from tests import reference
from tests.planted import VOCAB, planted_counts
from tests.reference import Objective, assert_close, batch_of
from tests.strategies import EDGE_CASES

PAPER = {"inference": "encoder", "warm_start": False, "anchor": 0.0}
SEEDS = {"a word": ["b03"], "many": [f"{topic}{word:02}" for topic in "ac" for word in range(6)], "three": VOCAB[::20]}
SWITCHES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "without an anchor": {"anchor": 0.0},
    "cold": {"warm_start": False},
    "frozen embeddings": {"train_embeddings": False},
    "embeddings of documents": {"document_embeddings_size": 5},
    "seeds": {"seed_topics": SEEDS},
}
SEED = 7
NUM_DOCUMENTS = 2_500

inferences = pytest.mark.parametrize("inference", get_args(Inference))


def etm(vocab_size: int, **switches: Any) -> ETM:
    """A model in the middle of training: away from the prior, and from where its embeddings were placed."""
    torch.manual_seed(0)
    sizes = {"num_topics": 4, "t_hidden_size": 8, "rho_size": 6}
    model = ETM(vocab_size, **{**sizes, "enc_drop": 0.3, "anchor": 0.4, **switches})  # an anchor that one would miss
    if model.warm_start:
        # Frequencies so small that the topics explain much, where the anchor gives way.
        model.anchor.place(model.rho, model.alpha, torch.rand(vocab_size), torch.rand(vocab_size) / 80)
    model.anchor.num_documents = NUM_DOCUMENTS
    model.seed_words.hold([[VOCAB.index(word) for word in words] for words in model.seed_topics.values()])
    model.log_frequency.copy_(-3 * torch.rand(vocab_size))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return model.train()


def vectors_of(model: ETM, x: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """Embeddings of the documents that are float32 numbers, where the model takes such."""
    size = model.document_embeddings_size
    return np.random.default_rng(1).integers(-9, 9, (len(x), size)).astype(float) if size else None


def step(model: ETM, x: NDArray[np.int64]) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of the product's training step, and its gradients."""
    batch, vectors = batch_of(x), vectors_of(model, x)
    batch.vectors = None if vectors is None else torch.tensor(vectors).float()
    torch.manual_seed(SEED)
    loss = model.training_step(batch, 0)
    loss.backward()
    model.on_after_backward()
    return loss.detach(), {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def expected_step(model: ETM, x: NDArray[np.int64], **switches: Any) -> tuple[Objective, dict[str, Tensor]]:
    state = {name: tensor.detach().double() for name, tensor in model.state_dict().items()}
    learned = {name: state[name].requires_grad_() for name, p in model.named_parameters() if p.requires_grad}
    switches = {**model.hparams, **switches}
    documents = (x, model.anchor.num_documents)
    found = reference.objective(state, switches, *documents, SEED, model.rho.dtype, vectors_of(model, x))
    gradients = torch.autograd.grad(found.loss, list(learned.values()), allow_unused=True, materialize_grads=True)
    return found, dict(zip(learned, gradients, strict=True))


def assert_is_the_reference(model: ETM, x: NDArray[np.int64], relative: float) -> Objective:
    expected, expected_gradients = expected_step(model, x)
    loss, gradients = step(model, x)
    # Relative to the number of tokens: a document of one sure word has a log-likelihood of rounding errors.
    tokens = max(x.sum() / max(x.any(axis=1).sum(), 1), 1e-12)
    assert_close(loss, expected.loss.detach(), relative, tokens)
    # A small gradient is a difference of large ones; of one sure word all are rounding errors.
    share, floor = (1e-3, 1e-12) if model.rho.dtype == torch.float64 else (0.1, 0.01)
    at_least = floor + share * max(gradient.abs().max().item() for gradient in expected_gradients.values())
    assert gradients.keys() <= expected_gradients.keys()
    for name, gradient in expected_gradients.items():
        actual = gradients.get(name, torch.zeros_like(gradient))
        assert_close(actual, gradient, relative, at_least)
    metrics = model.train_elbo.compute()
    num_nonempty = x.any(axis=1).sum()
    assert bool(metrics) == bool(num_nonempty)
    for name, part in (("reconstruction_loss", -expected.log_likelihood), ("kl", expected.kl)) if metrics else ():
        assert_close(metrics[name], part.detach() / num_nonempty, relative, tokens)
    return expected


@inferences
@pytest.mark.parametrize("switches", SWITCHES.values(), ids=SWITCHES)
def test_a_step_is_that_of_the_reference(switches: dict[str, Any], inference: Inference) -> None:
    x = planted_counts(12)
    model = etm(x.shape[1], inference=inference, **switches).double()
    expected = assert_is_the_reference(model, x, 1e-9)
    # No part is so small that nobody would see it change.
    assert expected.kl > 0.1
    if model.seed_topics:
        assert expected.loss - expected_step(model, x, seed_topics=None)[0].loss > 0.1
    without, _ = expected_step(model, x, anchor=0.0)
    assert (expected.loss - without.loss > 0.1).item() == (model.anchor.placed and model.anchor.weight > 0)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_step_of_the_papers_model_is_that_of_the_reference(dropout: float) -> None:
    x = planted_counts(12)
    model = etm(x.shape[1], enc_drop=dropout, **PAPER).double()
    assert_is_the_reference(model, x, 1e-9)
    assert {name.split(".")[0] for name, p in model.named_parameters()} == {"topics", "encoder"}


@inferences
@pytest.mark.parametrize("train_embeddings", [True, False])
def test_all_that_is_learned_learns_in_every_step(inference: Inference, train_embeddings: bool) -> None:
    x = planted_counts(12)
    model = etm(x.shape[1], inference=inference, train_embeddings=train_embeddings, document_embeddings_size=5)
    _, gradients = step(model, x)
    assert gradients.keys() == {name for name, p in model.named_parameters() if p.requires_grad}
    assert all(gradient.any() for gradient in gradients.values())
    assert ("topics.rho" in gradients) == train_embeddings


@inferences
@pytest.mark.parametrize("num_documents", [1, 20_000, 100_000])
def test_the_anchor_is_that_of_the_reference_for_any_number_of_documents(
    num_documents: int, inference: Inference
) -> None:
    x = planted_counts(12)
    model = etm(x.shape[1], inference=inference).double()
    model.anchor.num_documents = num_documents
    assert_is_the_reference(model, x, 1e-9)


@pytest.mark.parametrize("activation", get_args(Activation))
def test_every_activation_is_that_of_the_reference(activation: Activation) -> None:
    x = planted_counts(12)
    assert_is_the_reference(etm(x.shape[1], inference="encoder", theta_act=activation).double(), x, 1e-9)


@pytest.mark.parametrize("switches", [{"inference": of} for of in get_args(Inference)] + [PAPER], ids=str)
@pytest.mark.parametrize("x", [*EDGE_CASES.values(), planted_counts(12)], ids=[*EDGE_CASES, "planted"])
def test_odd_documents_in_the_precision_of_training(x: NDArray[np.int64], switches: dict[str, Any]) -> None:
    assert_is_the_reference(etm(x.shape[1], **switches), x, 1e-4)


@inferences
def test_what_a_batch_expects_of_words_and_topics_is_counted(inference: Inference) -> None:
    x = planted_counts(12)
    x = x[x.any(axis=1)]
    model = etm(x.shape[1], inference=inference, enc_drop=0.0, document_embeddings_size=5).double()
    model.training_set = range(len(x))  # type: ignore[assignment]  # asked for its length
    state = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    beta = model.beta.detach()
    if inference == "encoder":
        counts = torch.tensor(x).double()
        mu, logvar = reference.encode(state, model.hparams, counts, model.rho.dtype, vectors_of(model, x))
        torch.manual_seed(SEED)
        theta = (mu + (logvar / 2).exp() * torch.randn_like(mu)).softmax(1)
        expected = beta * (theta.t() @ (counts / (theta @ beta)))
    else:
        pi = reference.log_prior_of(state, vectors_of(model, x), len(x)).exp().numpy()
        found = reference.infer(x, beta.numpy(), pi, several=inference == "mixed_membership")
        expected = torch.tensor(found.expected)
    step(model, x)
    assert_close(model.memory.counts.t(), expected / len(x), 1e-9)
    # Beside documents before, and words that these did not have: they count as they are expected to be there.
    shares = torch.rand(x.shape[1] - 5, 4).double()
    model.memory.words, model.memory.sizes = shares / shares.sum(), torch.full((4,), 0.25).double()
    model.memory.num_documents, model.memory.num_tokens = 50, 900
    step(model, x)
    new, known = beta[:, -5:], beta[:, :-5].sum(1, keepdim=True)
    before = 900 * torch.cat((model.memory.words, (model.memory.words.sum(0)[:, None] / known * new).t()))
    assert_close(model.memory.counts.t(), (expected + before.t()) / (len(x) + 50), 1e-9)


def test_batches_of_long_ago_are_forgotten() -> None:
    x = planted_counts(12)
    model, halves = etm(x.shape[1]).double(), []
    model.training_set = range(12)  # type: ignore[assignment]  # asked for its length
    for half in np.split(x, 2):
        alone = deepcopy(model)
        alone.training_set = range(6)  # type: ignore[assignment]
        step(alone, half)
        halves.append(alone.memory.counts)
    for half in np.split(x, 2):
        step(model, half)
    assert_close(model.memory.counts, halves[0] / 4 + halves[1] / 2, 1e-9)


def step_of_processes(
    model: ETM, shares: Sequence[NDArray[np.int64]], monkeypatch: pytest.MonkeyPatch
) -> list[tuple[Tensor, dict[str, Tensor], Tensor]]:
    """What a step is in each of several processes; threads are in their place, whose numbers are summed for real."""
    together, values_of = Barrier(len(shares), timeout=30), dict[int, Tensor]()

    def all_reduce(values: Tensor) -> None:
        values_of[get_ident()] = values.clone()
        together.wait()
        total = torch.stack([*values_of.values()]).sum(0)
        together.wait()
        values.copy_(total)

    monkeypatch.setattr(torch.distributed, "all_reduce", all_reduce)
    monkeypatch.setattr(ETM, "num_processes", len(shares))
    with ThreadPoolExecutor(len(shares)) as threads:
        copies = [deepcopy(model) for _ in shares]
        found = [*threads.map(step, copies, shares)]
    return [(*of, copy.memory.counts) for copy, of in zip(copies, found, strict=True)]


@inferences
@pytest.mark.parametrize("ends", [[5], [4, 8], [0, 12], [0, 5, 5, 6, 6]], ids=str)
def test_processes_together_take_the_step_of_one(
    ends: list[int], inference: Inference, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = planted_counts(12)
    model = etm(x.shape[1], inference=inference, seed_topics=SEEDS, enc_drop=0.0).double()
    model.memory.place(model.topics().flip(1), torch.full((4,), 0.25).double())
    model.memory.num_documents, model.memory.num_tokens = 50, 900
    model.training_set = range(60)  # type: ignore[assignment]  # asked for its length
    monkeypatch.setattr(torch, "randn_like", torch.zeros_like)  # an encoder's noise is that of a process
    alone = deepcopy(model)
    loss, gradients = step(alone, x)
    found = step_of_processes(model, np.split(x, ends), monkeypatch)
    for own_loss, own_gradients, counts in found:
        assert_close(own_loss, loss, 1e-9)
        assert_close(counts / counts.sum(), alone.memory.counts / alone.memory.counts.sum(), 1e-9)
        assert own_gradients.keys() == gradients.keys()  # or the others would wait for one
    for name, gradient in gradients.items():
        mean = torch.stack([own_gradients[name] for _, own_gradients, _ in found]).mean(0)
        assert_close(mean, gradient, 1e-9, 1e-3 * gradient.abs().max().item())
