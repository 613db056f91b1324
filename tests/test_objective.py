"""What a training step minimizes, and its gradients, against the same mathematics dense and in float64."""

from typing import Any, get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from etm_app.model import ETM
from etm_app.nn.encoder import Activation
from tests import reference
from tests.planted import planted_counts
from tests.reference import Objective, assert_close, batch_of
from tests.strategies import EDGE_CASES

PAPER: dict[str, Any] = {
    "warm_start": False,
    "anchor": 0.0,
    "enc_drop": 0.0,
}
SWITCHES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "the paper's": PAPER,
    **{f"without {name}": {name: off} for name, off in PAPER.items()},
    **{f"the paper's with {name}": {k: v for k, v in PAPER.items() if k != name} for name in PAPER},
    "frozen embeddings": {"train_embeddings": False},
}
SEED = 7


def etm(vocab_size: int, **switches: Any) -> ETM:
    """A model in the middle of training: away from the prior, and from where its embeddings were placed."""
    torch.manual_seed(0)
    model = ETM(
        vocab_size,
        **{
            "num_topics": 4,
            "t_hidden_size": 8,
            "rho_size": 6,
            "enc_drop": 0.3,
            "anchor": 0.4,
            "inference": "encoder",
            **switches,
        },
    )
    if model.warm_start:
        # Frequencies so small that the topics explain more than half, where the anchor gives way.
        model.anchor.place(model.rho, model.alpha, torch.rand(vocab_size), torch.rand(vocab_size) / 80)
    model.anchor.num_documents = 2_500
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return model.train()


def step(model: ETM, x: NDArray[np.int64]) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of the product's training step, and its gradients."""
    torch.manual_seed(SEED)
    loss = model.training_step(batch_of(x), 0)
    loss.backward()
    return loss.detach(), {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def expected_step(model: ETM, x: NDArray[np.int64]) -> tuple[Objective, dict[str, Tensor]]:
    state = {name: tensor.detach().double() for name, tensor in model.state_dict().items()}
    learned = {name: state[name].requires_grad_() for name, p in model.named_parameters() if p.requires_grad}
    if model.e_step is None:
        found = reference.objective(state, model.hparams, x, model.anchor.num_documents, SEED, model.rho.dtype)
    elif model.e_step.several:
        found = reference.membership_objective(state, model.hparams, x, model.anchor.num_documents)
    else:
        found = reference.mixture_objective(state, model.hparams, x, model.anchor.num_documents)
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


@pytest.mark.parametrize("switches", SWITCHES.values(), ids=SWITCHES)
def test_a_step_is_that_of_the_reference(switches: dict[str, Any]) -> None:
    x = planted_counts(12)
    model = etm(x.shape[1], **switches).double()
    expected = assert_is_the_reference(model, x, 1e-9)
    # No part is so small that nobody would see it change.
    assert expected.kl > 0.1
    without = reference.objective(
        {name: tensor.double() for name, tensor in model.state_dict().items()},
        {**model.hparams, "anchor": 0.0}, x, 2_500, SEED,
    )  # fmt: skip
    assert (expected.loss - without.loss > 0.1).item() == (model.anchor.placed and model.anchor.weight > 0)


@pytest.mark.parametrize("num_documents", [1, 20_000, 100_000])
def test_the_anchor_is_that_of_the_reference_for_any_number_of_documents(num_documents: int) -> None:
    x = planted_counts(12)
    model = etm(x.shape[1]).double()
    model.anchor.num_documents = num_documents
    assert_is_the_reference(model, x, 1e-9)


@pytest.mark.parametrize("activation", get_args(Activation))
def test_every_activation_is_that_of_the_reference(activation: Activation) -> None:
    x = planted_counts(12)
    assert_is_the_reference(etm(x.shape[1], theta_act=activation).double(), x, 1e-9)


@pytest.mark.parametrize("switches", [{}, PAPER], ids=["defaults", "the paper's"])
@pytest.mark.parametrize("x", [*EDGE_CASES.values(), planted_counts(12)], ids=[*EDGE_CASES, "planted"])
def test_odd_documents_in_the_precision_of_training(x: NDArray[np.int64], switches: dict[str, Any]) -> None:
    assert_is_the_reference(etm(x.shape[1], **switches), x, 1e-4)


E_STEPS = ("mixture", "mixed_membership")


@pytest.mark.parametrize("inference", E_STEPS)
@pytest.mark.parametrize("switches", [{}, {"anchor": 0.0}, {"train_embeddings": False}], ids=str)
def test_a_step_without_encoder_is_that_of_the_reference(switches: dict[str, Any], inference: str) -> None:
    x = planted_counts(12)
    model = etm(x.shape[1], inference=inference, **switches).double()
    learned = {"e_step.size", "topics.alpha"} | ({"topics.rho"} if switches.get("train_embeddings", True) else set())
    assert {name for name, p in model.named_parameters() if p.requires_grad} == learned
    assert assert_is_the_reference(model, x, 1e-9).kl > 0.1


@pytest.mark.parametrize("inference", E_STEPS)
@pytest.mark.parametrize("x", [of for of in EDGE_CASES.values() if of.sum() < 1_000] + [planted_counts(12)], ids=len)
def test_odd_documents_without_encoder_in_the_precision_of_training(x: NDArray[np.int64], inference: str) -> None:
    """But for one so long that the product of its words' probabilities is 0 in float64."""
    assert_is_the_reference(etm(x.shape[1], inference=inference), x, 1e-4)
