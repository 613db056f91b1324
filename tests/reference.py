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
from torch.distributions import Dirichlet, Normal, kl_divergence
from torch.nn import functional as F

from etm_app.data.batch import BowBatch
from tests.planted import VOCAB


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


def sum_documents(batch: BowBatch, values: Tensor, matrix: Tensor) -> Tensor:
    """Values at the non-zeros, [N], transposed, times a matrix [B, H]."""
    return dense(batch, values).t() @ matrix.double()


def dots(batch: BowBatch, left: Tensor, right: Tensor) -> Tensor:
    """Of left [B, H] times right [V, H] transposed what is at the non-zeros, [N]."""
    documents = torch.arange(len(batch)).repeat_interleave(batch.indptr.diff())
    return (left.double() @ right.double().t())[documents, batch.indices.long()]


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
    vectors: NDArray[np.float64] | None = None,
) -> Objective:
    """The loss of a training step, from the parameters and the arguments of an ETM alone.

    Args:
        state: Its state_dict, float64.
        switches: Its arguments.
        x: Counts, [B, V].
        num_documents: In training.
        seed: Of torch, before the step.
        drawn_as: Type that the step draws its random numbers in.
        vectors: Embeddings of the documents, [B, E].
    """
    x_ = torch.tensor(x).double()
    beta = (state["topics.alpha"] @ state["topics.rho"].t()).softmax(-1)  # [K, V]
    one_topic = switches["inference"] in ("mixture", "auto")
    if switches["inference"] == "encoder":
        torch.manual_seed(seed)
        mu, logvar = encode(state, switches, x_, drawn_as, vectors)
        q = Normal(mu, (logvar / 2).exp())
        theta = (mu + q.scale * torch.randn(mu.shape, dtype=drawn_as).double()).softmax(1)
        log_likelihood = (x_ * (theta @ beta).log()).sum()
        kl = kl_divergence(q, Normal(torch.zeros_like(mu), 1.0)).sum()
        maximized = log_likelihood - kl
    else:
        log_prior = log_prior_of(state, vectors, len(x))
        found = infer(x, beta.detach().numpy(), log_prior.detach().exp().numpy(), several=not one_topic)
        log_likelihood, kl = torch.tensor([found.log_likelihood, found.kl.sum()], dtype=torch.float64)
        maximized = (torch.tensor(found.expected) * beta.log()).sum() + (torch.tensor(found.theta) * log_prior).sum()
        maximized = maximized - maximized.detach() + log_likelihood - kl
    explained = None if one_topic else log_likelihood
    loss = -maximized / max(int((x_.sum(1) > 0).sum()), 1)
    loss = loss + anchor(state, switches["anchor"], x_, num_documents, explained)
    for topic, words in enumerate((switches.get("seed_topics") or {}).values()):
        relevance = beta[topic].log() - (1 - switches["relevance"]) * state["log_frequency"]
        loss = loss + 0.1 * shortfall(relevance, [VOCAB.index(word) for word in words]).sum()
    return Objective(loss, log_likelihood, kl)


def shortfall(relevance: Tensor, words: list[int]) -> Tensor:
    """What each of some words lacks to lie 0.2 nats above the word that must not come before them, of [V]."""
    others = [word for word in range(len(relevance)) if word not in words]
    ranked = relevance[others].sort(descending=True).values
    return (ranked[max(10 - len(words), 0)] + 0.2 - relevance[words]).clamp(min=0)


def encode(
    state: Mapping[str, Tensor],
    switches: Mapping[str, Any],
    x: Tensor,
    drawn_as: torch.dtype,
    vectors: NDArray[np.float64] | None,
) -> tuple[Tensor, Tensor]:
    """Mean and logarithm of the variance of delta by the network, in training, of counts [B, V]: [B, K] each."""
    tokens = x.sum(1, keepdim=True)
    activation = switches["theta_act"]
    act = ACTIVATIONS.get(activation) or getattr(torch, activation, None) or getattr(F, activation)
    hidden = x / tokens.clamp(min=1) @ state["encoder.weight"] + state["encoder.bias"]
    if vectors is not None:
        hidden = hidden + torch.tensor(unit(vectors)) @ state["encoder.from_vectors.weight"].t()
    hidden = act(act(hidden) @ state["encoder.hidden.weight"].t() + state["encoder.hidden.bias"])
    if switches["enc_drop"]:
        hidden = hidden * F.dropout(torch.ones(hidden.shape, dtype=drawn_as), switches["enc_drop"]).double()
    posterior = hidden @ state["encoder.posterior.weight"].t() + state["encoder.posterior.bias"]
    mu, logvar = torch.where(tokens > 0, posterior, 0.0).chunk(2, 1)
    return mu, logvar


def log_prior_of(state: Mapping[str, Tensor], vectors: NDArray[np.float64] | None, num_documents: int) -> Tensor:
    """log pi of each document, [B, K]."""
    size = state["e_step.size"].expand(num_documents, -1)
    if vectors is not None:
        size = size + torch.tensor(unit(vectors)) @ state["e_step.from_vectors"].t()
    return size - size.exp().sum(1, keepdim=True).log()


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of length 1; of zeros stay so."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    found: NDArray[np.float64] = vectors / np.where(lengths > 0, lengths, 1)
    return found


class Inferred(NamedTuple):
    """By expectation steps: theta [B, K], expected tokens of words from topics [K, V], both parts of the bound."""

    theta: NDArray[np.float64]
    expected: NDArray[np.float64]
    log_likelihood: float
    kl: NDArray[np.float64]


def infer(x: NDArray[np.int64], beta: NDArray[np.float64], prior: NDArray[np.float64], several: bool) -> Inferred:
    """Topics of documents without a network, a document after the other, in arrays of its words [K, n].

    Args:
        x: Counts, [B, V].
        beta: [K, V].
        prior: pi, [K] or [B, K].
        several: Whether a document has several topics, or one.
    """
    thetas, expected, likelihood, kls = np.zeros((len(x), len(beta))), np.zeros(beta.shape), 0.0, np.zeros(len(x))
    for row, (document, pi) in enumerate(zip(x, np.broadcast_to(prior, thetas.shape), strict=True)):
        (words,) = document.nonzero()
        n, b = document[words], np.maximum(beta[:, words], 1e-20)
        by_words = (n * np.log(b)).sum(1)
        if several:
            theta = special.softmax(np.log(pi) + by_words * min(1, 20 / max(n.sum(), 1)))
            for _ in range(6):
                q = theta[:, None] * b / (theta @ b)
                theta = (q @ n + pi) / (n.sum() + 1)
            q = theta[:, None] * b / (theta @ b)
            without_own = (q @ n + pi)[:, None] - q
            q = without_own * b / (without_own * b).sum(0)
            gamma = q @ n + pi
            theta = gamma / (n.sum() + 1)
            # E[log p(words, z | theta, beta)] + H[z] with the best z, of which q is none after the last step.
            strength = np.exp(special.digamma(gamma) - special.digamma(gamma.sum()))
            likelihood += n @ np.log(strength @ b)
            kls[row] = kl_divergence(Dirichlet(torch.tensor(gamma)), Dirichlet(torch.tensor(pi))) if len(pi) > 1 else 0
        else:
            theta = special.softmax(np.log(pi) + by_words)
            q = np.tile(theta[:, None], len(n))
            kls[row] = special.rel_entr(theta, pi).sum()
            likelihood += special.logsumexp(np.log(pi) + by_words) + kls[row]
        thetas[row] = theta
        expected[:, words] += n * q
    return Inferred(thetas, expected, float(likelihood), kls)


def anchor(
    state: Mapping[str, Tensor], weight: float, x: Tensor, num_documents: int, log_likelihood: Tensor | None
) -> Tensor:
    """The anchor's part of a loss, of a batch x [B, V]; without log_likelihood its documents have one topic each."""
    f = state["anchor.document_frequency"]
    if not weight or not len(f):
        return torch.zeros(())
    gives_way = 0.4
    if log_likelihood is not None:
        by_frequency = (x * state["anchor.log_frequency"]).sum()
        unexplained = ((by_frequency - log_likelihood.detach()) / max(x.sum().item(), 1)).exp().item()
        gives_way = min(1.0, unexplained / 0.5) ** 3
    words = (state["topics.rho"] - state["anchor.rho"]).square().sum(1)
    moved = state["topics.alpha"] - state["anchor.alpha"]
    shared, frequency = moved.mean(0), state["anchor.log_frequency"].exp()
    evenness = (-(frequency * frequency.log()).sum()).exp().item() / len(frequency)
    topics = (moved - shared).square().sum(1) + min(1.0, evenness / 0.5) ** 3 * shared.square().sum()
    share = min(1.0, 20_000 / num_documents)
    return weight * share * gives_way * (f * (words + topics.mean())).sum()
