"""The mathematics of the package once more, dense and in float64, the way the paper writes it."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Categorical, Dirichlet, Normal, kl_divergence
from torch.nn import functional as F

from etm_app.data.batch import BowBatch


def batch_of(x: NDArray[np.int64], *, with_gradients: bool = True, half: NDArray[np.int64] | None = None) -> BowBatch:
    """Dense counts [B, V] as a batch."""
    rows = sp.csr_array(x)
    at = None if half is None else half[x > 0].astype(np.int32)
    return BowBatch.from_csr(
        rows.indptr.astype(np.int64),
        rows.indices.astype(np.int32),
        rows.data.astype(np.int32),
        x.shape[1],
        half=at,
        with_gradients=with_gradients,
    )


def dense(batch: BowBatch, counts: Tensor) -> Tensor:
    """Values at a batch's non-zeros, [N], as a matrix [B, V]."""
    x = torch.zeros(len(batch), batch.vocab_size, dtype=torch.float64)
    documents = torch.arange(len(batch)).repeat_interleave(batch.indptr.diff())
    return x.index_put((documents, batch.indices.long()), counts.double(), accumulate=True)


def matmul(batch: BowBatch, counts: Tensor, weight: Tensor) -> Tensor:
    """Counts times a matrix [V, H]."""
    return dense(batch, counts) @ weight.double()


def log_likelihood(batch: BowBatch, counts: Tensor, theta: Tensor, beta: Tensor) -> Tensor:
    """Σ_v counts_dv log (theta beta)_dv for theta [B, K] and beta [V, K]."""
    return (dense(batch, counts) * (theta.double() @ beta.double().t()).log()).sum(dim=1)


def assert_close(actual: Tensor, expected: Tensor, relative: float = 1e-5, at_least: float = 1e-12) -> None:
    """No element is further off than the largest one, or ``at_least``, times ``relative``."""
    assert actual.shape == expected.shape
    assert actual.isfinite().all()
    scale = max(expected.abs().max().item() if expected.numel() else 0.0, at_least)
    torch.testing.assert_close(actual.double(), expected.double(), rtol=0, atol=relative * scale)


class Objective(NamedTuple):
    """What a training step computes: nats a document, but for the parts, which are sums over documents."""

    loss: Tensor
    log_likelihood: Tensor
    kl: Tensor


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "leakyrelu": F.leaky_relu,
    "rrelu": partial(F.rrelu, training=True),
}


def objective(
    state: Mapping[str, Tensor],
    switches: Mapping[str, Any],
    x: NDArray[np.int64],
    num_documents: int,
    seed: int,
    drawn_as: torch.dtype = torch.float64,
) -> Objective:
    """The loss of a training step, from the parameters and the arguments of an ETM alone.

    Args:
        state: Its state_dict, float64.
        switches: Its arguments.
        x: Counts, [B, V].
        num_documents: In training.
        seed: Of torch, before the step.
        drawn_as: Type that the step draws its random numbers in; counts are float32.
    """
    x_ = torch.tensor(x).double()
    there = x_.sum(1) > 0
    num_nonempty = max(int(there.sum()), 1)
    beta = (state["topics.alpha"] @ state["topics.rho"].t()).softmax(-1)  # [K, V]

    torch.manual_seed(seed)
    tokens = x_.sum(1, keepdim=True)
    activation = switches["theta_act"]
    act = ACTIVATIONS.get(activation) or getattr(torch, activation, None) or getattr(F, activation)
    hidden = act(x_ / tokens.clamp(min=1) @ state["encoder.weight"] + state["encoder.bias"])
    hidden = act(hidden @ state["encoder.hidden.weight"].t() + state["encoder.hidden.bias"])
    if switches["enc_drop"]:
        hidden = hidden * F.dropout(torch.ones(hidden.shape, dtype=drawn_as), switches["enc_drop"]).double()
    posterior = hidden @ state["encoder.posterior.weight"].t() + state["encoder.posterior.bias"]
    mu, logvar = (torch.where(there[:, None], of, 0.0) for of in posterior.chunk(2, 1))

    q = Normal(mu, (logvar / 2).exp())
    theta = (mu + q.scale * torch.randn(mu.shape, dtype=drawn_as).double()).softmax(1)
    log_likelihood = (x_ * (theta @ beta).log()).sum()
    kl = kl_divergence(q, Normal(torch.zeros_like(mu), 1.0)).sum()
    loss = (kl - log_likelihood) / num_nonempty

    loss = loss + anchor(state, switches["anchor"], x_, num_documents, log_likelihood)
    return Objective(loss, log_likelihood, kl)


def mixture_objective(
    state: Mapping[str, Tensor], switches: Mapping[str, Any], x: NDArray[np.int64], num_documents: int
) -> Objective:
    """The same of an ETM with one topic a document."""
    x_ = torch.tensor(x).double()
    beta = (state["topics.alpha"] @ state["topics.rho"].t()).softmax(-1)
    prior = state["e_step.size"].softmax(0)
    joint = prior * torch.stack([(of**x_).prod(1) for of in beta], 1)  # [B, K]
    evidence = joint.sum(1)
    posterior = (joint / evidence[:, None]).detach()
    kl = kl_divergence(Categorical(posterior), Categorical(prior.detach())).sum()
    loss = -evidence.log().sum() / max(int((x_.sum(1) > 0).sum()), 1)
    loss = loss + anchor(state, switches["anchor"], x_, num_documents, None)
    return Objective(loss, evidence.log().sum() + kl, kl)


def several_topics(counts: Tensor, beta: Tensor, prior: Tensor) -> tuple[Tensor, Tensor]:
    """Expectation steps of one document, token by token.

    Args:
        counts: Whole numbers, [V].
        beta: [K, V].
        prior: π, [K].

    Returns:
        theta [K], and the expected tokens of each topic and word, [K, V].
    """
    words = torch.arange(len(counts)).repeat_interleave(counts.long())  # one a token
    if not len(words):
        return prior, torch.zeros_like(beta)
    of_tokens = beta[:, words]  # [K, n]
    theta = (prior.log() + min(1.0, 20 / len(words)) * of_tokens.log().sum(1)).softmax(0)
    for _ in range(6):
        responsibility = theta[:, None] * of_tokens
        responsibility = responsibility / responsibility.sum(0)
        theta = (responsibility.sum(1) + prior) / (len(words) + 1)
    responsibility = theta[:, None] * of_tokens
    responsibility = responsibility / responsibility.sum(0)
    others = responsibility.sum(1, keepdim=True) + prior[:, None] - responsibility  # all tokens but this one
    responsibility = others * of_tokens
    responsibility = responsibility / responsibility.sum(0)
    expected = torch.zeros_like(beta).index_add(1, words, responsibility)
    return (responsibility.sum(1) + prior) / (len(words) + 1), expected


def membership_objective(
    state: Mapping[str, Tensor], switches: Mapping[str, Any], x: NDArray[np.int64], num_documents: int
) -> Objective:
    """The same of an ETM with several topics a document; the loss has the maximization step's gradient."""
    x_ = torch.tensor(x).double()
    beta = (state["topics.alpha"] @ state["topics.rho"].t()).softmax(-1)
    prior = state["e_step.size"].softmax(0)
    theta, expected = x_.new_zeros(len(x_), len(prior)), torch.zeros_like(beta)
    for row, counts in enumerate(x_):
        theta[row], of_row = several_topics(counts, beta.detach(), prior.detach())
        expected = expected + of_row
    posterior = theta * (x_.sum(1, keepdim=True) + 1)
    strength = (posterior.digamma() - posterior.sum(1, keepdim=True).digamma()).exp()
    log_likelihood = torch.special.xlogy(x_, strength @ beta.detach()).sum()
    kl = kl_divergence(Dirichlet(posterior, False), Dirichlet(prior.detach().expand_as(posterior), False)).sum()
    surrogate = (expected * beta.log()).sum() + (theta * prior.log()).sum()
    bound = log_likelihood - kl
    loss = -(bound + surrogate - surrogate.detach()) / max(int((x_.sum(1) > 0).sum()), 1)
    loss = loss + anchor(state, switches["anchor"], x_, num_documents, log_likelihood)
    return Objective(loss, log_likelihood, kl)


def anchor(
    state: Mapping[str, Tensor], weight: float, x: Tensor, num_documents: int, log_likelihood: Tensor | None
) -> Tensor:
    """The anchor's part of a loss, of a batch x [B, V]; without log_likelihood documents have one topic each."""
    f = state["anchor.document_frequency"]
    if not weight or not len(f):
        return torch.zeros(())
    gives_way = 0.4
    if log_likelihood is not None:
        by_frequency = (x * state["anchor.log_frequency"]).sum()
        unexplained = ((by_frequency - log_likelihood.detach()) / max(x.sum().item(), 1)).exp().item()
        gives_way = min(1.0, unexplained / 0.5) ** 3
    words = (state["topics.rho"] - state["anchor.rho"]).square().sum(1)
    topics = (state["topics.alpha"] - state["anchor.alpha"]).square().sum(1)
    share = min(1.0, 20_000 / num_documents)
    return weight * share * gives_way * (f * (words + topics.mean())).sum()
