"""A batch of documents as sparse tensors: what every step of the model gets."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from etm_app.data.completion import first_half
from etm_app.errors import UserError

__all__ = ["LARGEST_COUNT", "BowBatch", "ByWord", "are_counts", "as_batch", "sparse_batches"]

LARGEST_COUNT = np.iinfo(np.int32).max  # as they are kept


def are_counts(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which numbers are counts: whole ones from 0 to `LARGEST_COUNT`."""
    counts: NDArray[np.bool_] = (values >= 0) & (values <= LARGEST_COUNT) & (values == np.round(values))
    return counts


class ByWord(NamedTuple):
    """The non-zeros of a batch sorted by word; the backward passes sum over it in a fixed order.

    Attributes:
        indptr: Word boundaries, int32 [V + 1].
        documents: Document of each non-zero, int32 [N].
        order: Where each non-zero stands in the batch, int64 [N].
    """

    indptr: Tensor
    documents: Tensor
    order: Tensor


class BowBatch:
    """Counts of B documents over V words in compressed sparse row form.

    No dataclass and no tuple: Lightning would look inside and lower the counts to the precision of the weights.

    Attributes:
        indptr: Document boundaries, int32 [B + 1].
        indices: Words of the non-zeros, int32 [N].
        counts: Their counts, float32 [N].
        vocab_size: V.
        num_nonempty: Documents with at least one word, a plain int so that no step waits for a device.
        first_half: Tokens of each count in the first half for document completion, float32 [N], or None in training.
        by_word: The same non-zeros sorted by word, where gradients are wanted; else None.
        documents: Who they are, for predictions: ``row`` (number in the input), ``id`` and, where they are known,
            ``split``, ``label`` and ``oov_rate`` (share of a document's words that are not in the vocabulary).
        vectors: Their embeddings, float32 [B, E], where the data have such; else None.
    """

    def __init__(
        self,
        indptr: Tensor,
        indices: Tensor,
        counts: Tensor,
        vocab_size: int,
        num_nonempty: int,
        first_half: Tensor | None = None,
        by_word: ByWord | None = None,
        documents: pl.DataFrame | None = None,
        vectors: Tensor | None = None,
    ) -> None:
        self.indptr = indptr
        self.indices = indices
        self.counts = counts
        self.vocab_size = vocab_size
        self.num_nonempty = num_nonempty
        self.first_half = first_half
        self.by_word = by_word
        self.documents = documents
        self.vectors = vectors

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @classmethod
    def from_csr(
        cls,
        indptr: NDArray[np.int64],
        indices: NDArray[np.int32],
        counts: NDArray[np.int32 | np.float64],
        vocab_size: int,
        *,
        half: NDArray[np.int32] | None = None,
        with_gradients: bool = False,
    ) -> "BowBatch":
        """Wrap CSR arrays.

        Args:
            indptr: Document boundaries, [B + 1].
            indices: Words, [N].
            counts: Counts, [N].
            vocab_size: V.
            half: Tokens of each count in the first half, [N].
            with_gradients: Sort the non-zeros by word as well.
        """
        by_word = None
        if with_gradients:
            order = np.arange(len(indices), dtype=np.int64)
            shape = (len(indptr) - 1, vocab_size)
            columns = sp.csr_array((order, indices, indptr.astype(np.int32)), shape=shape).tocsc()
            by_word = ByWord(
                torch.from_numpy(columns.indptr.astype(np.int32, copy=False)),
                torch.from_numpy(columns.indices.astype(np.int32, copy=False)),
                torch.from_numpy(columns.data),
            )
        return cls(
            torch.from_numpy(indptr.astype(np.int32)),
            torch.from_numpy(indices.astype(np.int32, copy=False)),
            torch.from_numpy(counts.astype(np.float32)),
            vocab_size,
            int(np.count_nonzero(np.diff(indptr))),
            None if half is None else torch.from_numpy(half.astype(np.float32)),
            by_word,
        )

    @classmethod
    def from_dense(cls, counts: Tensor, vocab_size: int, *, training: bool) -> "BowBatch":
        """Take the non-zeros of dense counts [B, V], as a LightningDataModule of a user's own may yield them.

        Args:
            counts: Whole, non-negative numbers of any dtype.
            vocab_size: V, to check the shape against.
            training: Sort by word for the gradients; otherwise draw the halves for document completion.

        Raises:
            UserError: The tensor is not [B, V], or a count is negative, fractional, not finite or above 2^31 - 1.
        """
        if counts.ndim != 2 or counts.shape[1] != vocab_size:
            raise UserError(
                f"a batch of shape {list(counts.shape)} came from the data module; expected [documents, "
                f"vocab_size = {vocab_size}] counts: yield one row a document, one column a word."
            )
        counts = counts.detach().cpu()
        document, word = (index.numpy() for index in counts.nonzero(as_tuple=True))
        values = counts[document, word].double().numpy()  # NumPy has no bfloat16
        if not are_counts(values).all():
            raise UserError(
                "a batch of the data module has counts that are negative, fractional, not finite or above "
                f"{LARGEST_COUNT}; bag-of-words counts are whole numbers from 0: give raw counts, not tf-idf or "
                "normalized ones."
            )
        indptr = np.searchsorted(document, np.arange(len(counts) + 1))
        indices, whole = word.astype(np.int32), values.astype(np.int32)
        half = None if training else first_half(indptr, indices, whole)
        return cls.from_csr(indptr, indices, whole, vocab_size, half=half, with_gradients=training)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "BowBatch":
        """Copy the tensors to a device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "BowBatch":
        """Copy the tensors to page-locked memory, from which a GPU fetches them while computing."""
        return self._map(Tensor.pin_memory)

    def _map(self, function: Callable[[Tensor], Tensor]) -> "BowBatch":
        return BowBatch(
            function(self.indptr),
            function(self.indices),
            function(self.counts),
            self.vocab_size,
            self.num_nonempty,
            None if self.first_half is None else function(self.first_half),
            None if self.by_word is None else ByWord(*map(function, self.by_word)),
            self.documents,
            None if self.vectors is None else function(self.vectors),
        )


def sparse_batches(counts: sp.sparray | sp.spmatrix, vocab_size: int, size: int) -> Iterator[BowBatch]:
    """Sparse counts [D, V] of SciPy's, in any of its formats and number types, so many documents at a time.

    Args:
        counts: Whole, non-negative numbers; entries of one document and word add up.
        vocab_size: V, to check the shape against.
        size: Documents in a batch.

    Raises:
        UserError: The matrix is not [D, V], or a count is negative, fractional, not finite or above 2^31 - 1.
    """
    if counts.ndim != 2 or counts.shape[1] != vocab_size:
        raise UserError(
            f"counts: a sparse matrix of shape {list(counts.shape)}; expected [documents, {vocab_size}]: one row a "
            "document, one column for each word of the vocabulary."
        )
    if counts.dtype.kind not in "biuf":
        raise UserError(f"counts: a sparse matrix of {counts.dtype}; expected counts: whole numbers from 0.")
    matrix = sp.csr_array(counts)
    for start in range(0, max(matrix.shape[0], 1), size):
        rows = matrix[start : start + size].astype(np.float64)  # exact to 2^53, and a copy
        rows.sum_duplicates()
        rows.eliminate_zeros()
        if not are_counts(rows.data).all():
            raise UserError(
                f"counts: a sparse matrix with numbers that are negative, fractional, not finite or above "
                f"{LARGEST_COUNT}; expected whole numbers from 0: give raw counts, not tf-idf or normalized ones."
            )
        yield BowBatch.from_csr(rows.indptr, rows.indices, rows.data, vocab_size)


def as_batch(batch: object, vocab_size: int, *, training: bool) -> BowBatch:
    """What a loader yields as a BowBatch: one already, dense counts [B, V], or a tuple that starts with them.

    Raises:
        UserError: It is something else.
    """
    if isinstance(batch, BowBatch):
        return batch
    counts = batch[0] if isinstance(batch, list | tuple) and batch else batch
    if not isinstance(counts, Tensor):
        raise UserError(
            f"data: the loader yields {type(batch).__name__}; expected counts [documents, vocab_size] as a tensor, "
            "a tuple that starts with them, or a BowBatch."
        )
    return BowBatch.from_dense(counts, vocab_size, training=training)
