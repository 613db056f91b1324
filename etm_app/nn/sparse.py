"""Products with the counts of a batch; nothing here, forward or backward, has the size batch × vocabulary.

Sums over the non-zeros run as `embedding_bag` forward passes, over documents in the forward pass and over the
batch sorted by word in the backward pass. That is the fastest form on CPU, and on CUDA it adds in a fixed order,
where autograd's own backward would use atomics, so results are deterministic on both. Inputs that autocast
lowered are brought back to float32: these sums are not the place to save bits.
"""

import warnings

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.nn import functional as F

from etm_app.data.batch import BowBatch, ByWord

__all__ = ["MIN_PROBABILITY", "log_likelihood", "matmul", "num_tokens"]

# A word that no topic of a document gives more than this counts as having it. Far below any probability that
# matters, and far enough above float32's smallest number that counts / p stays finite in the gradient.
MIN_PROBABILITY = 1e-20

warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")  # of its own accord, each run


def num_tokens(batch: BowBatch, counts: Tensor) -> Tensor:
    """Sum of ``counts`` [N] in each document, [B]."""
    return torch.segment_reduce(counts, "sum", offsets=batch.indptr.long(), initial=0.0)


def matmul(batch: BowBatch, counts: Tensor, weight: Tensor) -> Tensor:
    """Counts [B, V] times a matrix.

    Args:
        batch: Where the non-zeros are.
        counts: Their values, [N]; no gradient flows into them.
        weight: [V, H].

    Returns:
        [B, H], in float32 or the weight's own wider type.
    """
    return _Matmul.apply(weight if weight.dtype == torch.float64 else weight.float(), counts, batch)  # type: ignore[no-any-return, no-untyped-call]


def log_likelihood(batch: BowBatch, counts: Tensor, theta: Tensor, beta: Tensor) -> Tensor:
    """Log-likelihood log p(document | theta, beta) = Σ_v counts_dv log Σ_k theta_dk beta_vk, for each document.

    The multinomial coefficient, a constant, is left out as in the paper (section 5).

    Args:
        batch: Where the non-zeros are.
        counts: Their values, [N]; no gradient flows into them.
        theta: Topic proportions, [B, K].
        beta: Words of the topics, a word a row, [V, K].

    Returns:
        Nats, [B]; 0 for an empty document.
    """
    if theta.dtype != torch.float64:
        theta, beta = theta.float(), beta.float()
    return _LogLikelihood.apply(theta, beta, counts, batch)  # type: ignore[no-any-return, no-untyped-call]


def _sum_rows(matrix: Tensor, rows: Tensor, indptr: Tensor, values: Tensor) -> Tensor:
    """Σ values_i · matrix[rows_i] over each segment of indptr."""
    return F.embedding_bag(
        rows, matrix, indptr, mode="sum", per_sample_weights=values.to(matrix.dtype), include_last_offset=True
    )


def _by_word(batch: BowBatch) -> ByWord:
    if batch.by_word is None:
        raise RuntimeError("this batch was made for evaluation, without the order by word that gradients need")
    return batch.by_word


def _matmul_gradient(batch: BowBatch, counts: Tensor, grad: Tensor) -> Tensor:
    """Counts, transposed, times the gradient [B, H]; [V, H]."""
    words = _by_word(batch)
    return _sum_rows(grad.contiguous(), words.documents, words.indptr, counts.index_select(0, words.order))


def _likelihood_gradients(
    batch: BowBatch, ratio: Tensor, theta: Tensor, beta: Tensor, grad: Tensor
) -> tuple[Tensor, Tensor]:
    """With r = counts / p: d/dtheta_d = Σ_v r_dv beta_v and d/dbeta_v = Σ_d r_dv theta_d, each scaled by grad_d [B]."""
    words = _by_word(batch)
    of_theta = _sum_rows(beta.contiguous(), batch.indices, batch.indptr, ratio) * grad[:, None]
    of_beta = _sum_rows(theta * grad[:, None], words.documents, words.indptr, ratio.index_select(0, words.order))
    return of_theta, of_beta


class _Matmul(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, weight: Tensor, counts: Tensor, batch: BowBatch) -> Tensor:
        ctx.batch, ctx.counts = batch, counts  # type: ignore[attr-defined]
        return _sum_rows(weight, batch.indices, batch.indptr, counts)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[no-untyped-def]
        return _matmul_gradient(ctx.batch, ctx.counts, grad), None, None


class _LogLikelihood(torch.autograd.Function):
    @staticmethod
    def forward(ctx, theta: Tensor, beta: Tensor, counts: Tensor, batch: BowBatch) -> Tensor:  # type: ignore[no-untyped-def]
        theta = theta.contiguous()
        pattern = torch.sparse_csr_tensor(
            batch.indptr,
            batch.indices,
            theta.new_zeros(len(counts)),
            size=(len(batch), batch.vocab_size),
            check_invariants=False,
        )
        probability = torch.sparse.sampled_addmm(pattern, theta, beta.t(), beta=0.0).values()
        probability = probability.clamp(min=MIN_PROBABILITY)
        counts = counts.to(theta.dtype)
        ctx.save_for_backward(theta, beta, counts / probability)
        ctx.batch = batch
        return num_tokens(batch, counts * probability.log())

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:  # type: ignore[no-untyped-def]
        theta, beta, ratio = ctx.saved_tensors
        return *_likelihood_gradients(ctx.batch, ratio, theta, beta, grad), None, None
