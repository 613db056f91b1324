"""The parts of the evidence lower bound, of each document: E_q[log p(document | theta, beta)] − KL(q(z) ‖ p(z))."""

import warnings

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from etm_app.data.batch import BowBatch
from etm_app.nn.sparse import by_word, num_tokens, sum_rows

__all__ = ["MIN_PROBABILITY", "kl_to_standard_normal", "log_likelihood"]

# A word that no topic of a document gives more than this counts as having it. Far below any probability that
# matters, and far enough above float32's smallest number that counts / p stays finite in the gradient.
MIN_PROBABILITY = 1e-20

warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")  # of its own accord, each run


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


def _likelihood_gradients(
    batch: BowBatch, ratio: Tensor, theta: Tensor, beta_by_word: Tensor, grad: Tensor
) -> tuple[Tensor, Tensor]:
    """With r = counts / p: d/dtheta_d = Σ_v r_dv beta_v and d/dbeta_v = Σ_d r_dv theta_d, each scaled by grad_d [B]."""
    words = by_word(batch)
    of_theta = sum_rows(beta_by_word.contiguous(), batch.indices, batch.indptr, ratio) * grad[:, None]
    of_beta = sum_rows(theta * grad[:, None], words.documents, words.indptr, ratio.index_select(0, words.order))
    return of_theta, of_beta


class _LogLikelihood(torch.autograd.Function):
    @staticmethod
    def forward(ctx, theta: Tensor, beta_by_word: Tensor, counts: Tensor, batch: BowBatch) -> Tensor:  # type: ignore[no-untyped-def]
        theta = theta.contiguous()
        pattern = torch.sparse_csr_tensor(
            batch.indptr,
            batch.indices,
            theta.new_zeros(len(counts)),
            size=(len(batch), batch.vocab_size),
            check_invariants=False,
        )
        probability = torch.sparse.sampled_addmm(pattern, theta, beta_by_word.t(), beta=0.0).values()
        probability = probability.clamp(min=MIN_PROBABILITY)
        ctx.save_for_backward(theta, beta_by_word, counts / probability)
        ctx.batch = batch
        return num_tokens(batch, counts * probability.log())

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:  # type: ignore[no-untyped-def]
        theta, beta_by_word, ratio = ctx.saved_tensors
        return *_likelihood_gradients(ctx.batch, ratio, theta, beta_by_word, grad), None, None
