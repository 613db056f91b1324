"""The mathematics of the package once more, dense and in float64, the way the paper writes it."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from scipy import special
from torch import Tensor
from torch.distributions import Categorical, Normal, kl_divergence
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
    seen = x_.clone()
    if share := switches["word_dropout"]:  # what is seen stands for what is hidden
        seen[x_ > 0] *= F.dropout(torch.ones(int((x_ > 0).sum())), share) > 0
        seen /= 1 - share if share < 1 else 1
    tokens = seen.sum(1, keepdim=True)
    known = tokens[:, 0] > 0

    activation = switches["theta_act"]
    act = ACTIVATIONS.get(activation) or getattr(torch, activation, None) or getattr(F, activation)
    hidden = act(seen / tokens.clamp(min=1) @ state["encoder.weight"] + state["encoder.bias"])
    hidden = act(hidden @ state["encoder.hidden.weight"].t() + state["encoder.hidden.bias"])
    if switches["enc_drop"]:
        hidden = hidden * F.dropout(torch.ones(hidden.shape, dtype=drawn_as), switches["enc_drop"]).double()
    posterior = hidden @ state["encoder.posterior.weight"].t() + state["encoder.posterior.bias"]
    if switches["e_step"]:
        expected = seen @ (beta / beta.sum(0)).t().detach()
        posterior = posterior + (expected + 0.05).log() @ state["encoder.from_evidence.weight"].t()
    mu, logvar = posterior.chunk(2, 1)
    if switches["normalize_posterior"] and known.any():
        mu = (mu - mu[known].mean(0)) / (mu[known].var(0, correction=0) + 1e-5).sqrt()
    mu, logvar = (torch.where(known[:, None], of, 0.0) for of in (mu, logvar))

    q = Normal(mu, (logvar / 2).exp())
    z = mu + q.scale * torch.randn(mu.shape, dtype=drawn_as).double()
    g = (torch.special.erfc(-z / 2**0.5) / 2).log() if switches["prior"] == "dirichlet" else z
    theta = (state["prior.mean"] + state["prior.log_scale"].exp() * g).softmax(1)
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
    prior = state["mixture.size"].softmax(0)
    joint = prior * torch.stack([(of**x_).prod(1) for of in beta], 1)  # [B, K]
    evidence = joint.sum(1)
    posterior = (joint / evidence[:, None]).detach()
    kl = kl_divergence(Categorical(posterior), Categorical(prior.detach())).sum()
    loss = -evidence.log().sum() / max(int((x_.sum(1) > 0).sum()), 1)
    loss = loss + anchor(state, switches["anchor"] / 4, x_, num_documents, None)
    return Objective(loss, evidence.log().sum() + kl, kl)


def anchor(
    state: Mapping[str, Tensor], weight: float, x: Tensor, num_documents: int, log_likelihood: Tensor | None
) -> Tensor:
    """The anchor's part of a loss, of a batch x [B, V]; without log_likelihood it does not give way."""
    f = state["anchor.document_frequency"]
    if not weight or not len(f):
        return torch.zeros(())
    unexplained = 1.0
    if log_likelihood is not None:
        by_frequency = (x * state["anchor.log_frequency"]).sum()
        unexplained = ((by_frequency - log_likelihood.detach()) / max(x.sum().item(), 1)).exp().item()
    words = (state["topics.rho"] - state["anchor.rho"]).square().sum(1)
    topics = (state["topics.alpha"] - state["anchor.alpha"]).square().sum(1)
    gives_way = min(1.0, unexplained / 0.5) ** (6 * min(1.0, num_documents / 5_000))
    share = min(1.0, 20_000 / num_documents)
    return weight * share * gives_way * (f * (words + topics.mean())).sum()


def mean_theta(
    mu: NDArray[np.float64], logvar: NDArray[np.float64], mean: NDArray[np.float64], scale: float, prior: str
) -> NDArray[np.float64]:
    """E[softmax(mean + scale g(z))], z ~ N(mu, exp(logvar)), to ten digits, for one document, [K].

    With a = exp(delta) and 1 / Σ a = ∫ exp(−t Σ a) dt, E[theta_k] = ∫ E[a_k exp(−t a_k)] Π_{j≠k} E[exp(−t a_j)] dt:
    sums over grids of z and of log t.
    """
    z, step = np.linspace(-9, 9, 401), 0.2
    weights = np.exp(-(z**2) / 2) / np.exp(-(z**2) / 2).sum()
    points = mu[:, None] + np.exp(logvar / 2)[:, None] * z
    delta = mean[:, None] + scale * (special.log_ndtr(points) if prior == "dirichlet" else points)
    log_t = np.arange(-60, 60, step)[:, None, None] - delta.mean()
    ta = np.exp(np.clip(log_t + delta, -700, 700))
    alone, weighted = np.exp(-ta) @ weights, (ta * np.exp(-ta)) @ weights
    others = np.log(np.maximum(alone, 1e-300))
    found: NDArray[np.float64] = (weighted * np.exp(others.sum(1, keepdims=True) - others)).sum(0) * step
    return found
