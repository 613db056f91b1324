"""The parts of the evidence lower bound, of each document: E_q[log p(document | theta, beta)] − KL(q(z) ‖ p(z))."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from etm_app.data.batch import BowBatch
from etm_app.nn.sparse import dots, num_tokens, sum_documents, sum_words

__all__ = ["MIN_PROBABILITY", "Evidence", "kl_between_dirichlets", "kl_to_standard_normal", "log_likelihood"]

# A word that no topic of a document gives more than this counts as having it. Far below any probability that
# matters, and far enough above float32's smallest number that counts / p stays finite in the gradient.
MIN_PROBABILITY = 1e-20


class Evidence(NamedTuple):
    """What is inferred of a batch, and the two parts of its evidence lower bound: log_likelihood − kl.sum().

    Attributes:
        theta: Topic proportions, [B, K].
        log_likelihood: E_q[log p(document | theta, beta)] of all documents together, nats, a scalar.
        kl: Divergence of the posterior from the prior, nats, [B, K]: their sum over topics is that of a document.
    """

    theta: Tensor
    log_likelihood: Tensor
    kl: Tensor


def log_likelihood(batch: BowBatch, counts: Tensor, theta: Tensor, beta_by_word: Tensor) -> Tensor:
    """Log-likelihood log p(document | theta, beta) = Σ_v counts_dv log Σ_k theta_dk beta_vk, for each document.

    The multinomial coefficient, a constant, is left out as in the paper (section 5).

    Args:
        batch: Where the non-zeros are.
        counts: Their values, [N]; no gradient flows into them.
        theta: Topic proportions, [B, K].
        beta_by_word: Probabilities of the words, a word a row as the sums here want it, [V, K].

    Returns:
        Nats, [B]; 0 for an empty document.
    """
    if theta.dtype != torch.float64:
        theta, beta_by_word = theta.float(), beta_by_word.float()
    return _LogLikelihood.apply(theta, beta_by_word, counts, batch)  # type: ignore[no-any-return, no-untyped-call]


def kl_to_standard_normal(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, exp(logvar)) ‖ N(0, 1)) = ½ (exp(logvar) + mu² − 1 − logvar) of each topic; Kingma and Welling 2014, B.

    Args:
        mu: [B, K].
        logvar: [B, K].

    Returns:
        Nats, [B, K]; their sum over topics is the divergence of the document's posterior.
    """
    return 0.5 * (logvar.exp() + mu.square() - 1 - logvar)


def kl_between_dirichlets(posterior: Tensor, prior: Tensor) -> Tensor:
    """KL(Dirichlet(posterior) ‖ Dirichlet(prior)) in shares of the topics, of which none is negative.

    It is Σ_k d(a_k, γ_k) − d(Σ a, Σ γ), d(a, γ) = log Γ(a) − log Γ(γ) − ψ(γ) (a − γ) ≥ 0 as log Γ is convex; what is
    subtracted is shared in proportion.

    Args:
        posterior: γ, [B, K].
        prior: a, [K] or [B, K].

    Returns:
        Nats, [B, K]; their sum over topics is the divergence.
    """

    def distance(a: Tensor, gamma: Tensor) -> Tensor:
        return (a.lgamma() - gamma.lgamma() - gamma.digamma() * (a - gamma)).clamp(min=0)

    each, total = distance(prior, posterior), distance(prior.sum(-1, keepdim=True), posterior.sum(-1, keepdim=True))
    sums = each.sum(-1, keepdim=True)
    return each * (1 - total / sums.clamp(min=torch.finfo(sums.dtype).tiny)).clamp(min=0)


class _LogLikelihood(torch.autograd.Function):
    @staticmethod
    def forward(ctx, theta: Tensor, beta_by_word: Tensor, counts: Tensor, batch: BowBatch) -> Tensor:  # type: ignore[no-untyped-def]
        probability = dots(batch, theta, beta_by_word).clamp(min=MIN_PROBABILITY)
        ctx.save_for_backward(theta, beta_by_word, counts / probability)
        ctx.batch = batch
        return num_tokens(batch, counts * probability.log())

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:  # type: ignore[no-untyped-def]
        # With r = counts / p: d/dtheta_d = Σ_v r_dv beta_v and d/dbeta_v = Σ_d r_dv theta_d, each scaled by grad_d.
        theta, beta_by_word, ratio = ctx.saved_tensors
        of_theta = sum_words(ctx.batch, ratio, beta_by_word.contiguous()) * grad[:, None]
        return of_theta, sum_documents(ctx.batch, ratio, theta * grad[:, None]), None, None
