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

__all__ = ["by_word", "dots", "matmul", "num_tokens", "sum_documents", "sum_rows", "sum_words"]

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


def sum_rows(matrix: Tensor, rows: Tensor, indptr: Tensor, values: Tensor) -> Tensor:
    """Σ values_i · matrix[rows_i] over each segment of indptr."""
    return F.embedding_bag(
        rows, matrix, indptr, mode="sum", per_sample_weights=values.to(matrix.dtype), include_last_offset=True
    )


def by_word(batch: BowBatch) -> ByWord:
    """The order of the non-zeros that gradients need."""
    if batch.by_word is None:
        raise RuntimeError("this batch was made for evaluation, without the order by word that gradients need")
    return batch.by_word


def sum_words(batch: BowBatch, values: Tensor, matrix: Tensor) -> Tensor:
    """Σ_v values_dv · matrix_v for each document, [B, H], of values at the non-zeros [N] and a matrix [V, H]."""
    return sum_rows(matrix, batch.indices, batch.indptr, values)


def sum_documents(batch: BowBatch, values: Tensor, matrix: Tensor) -> Tensor:
    """Σ_d values_dv · matrix_d for each word, [V, H], of values at the non-zeros [N] and a matrix [B, H]."""
    words = by_word(batch)
    return sum_rows(matrix.contiguous(), words.documents, words.indptr, values.index_select(0, words.order))


def dots(batch: BowBatch, left: Tensor, right: Tensor) -> Tensor:
    """left_d · right_v at the non-zeros, [N], of matrices [B, H] and [V, H]."""
    pattern = torch.sparse_csr_tensor(
        batch.indptr,
        batch.indices,
        left.new_zeros(len(batch.indices)),
        size=(len(batch), batch.vocab_size),
        check_invariants=False,
    )
    found: Tensor = torch.sparse.sampled_addmm(pattern, left.contiguous(), right.t(), beta=0.0).values()
    return found


class _Matmul(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, weight: Tensor, counts: Tensor, batch: BowBatch) -> Tensor:
        ctx.batch, ctx.counts = batch, counts  # type: ignore[attr-defined]
        return sum_words(batch, counts, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[no-untyped-def]
        return sum_documents(ctx.batch, ctx.counts, grad), None, None
