"""Counts that come entry by entry, in any order, sorted into documents on disk."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from etm_app.data.batch import LARGEST_COUNT
from etm_app.errors import UserError

__all__ = ["EntrySorter"]

CHUNK = 2_000_000  # entries sorted at once; memory is some fifty bytes for each
MAX_FILES = 256  # open at once
COLUMNS = 3  # document, word, count


class EntrySorter:
    """Takes (document, word, count) in any order and gives documents in order, with bounded memory.

    The entries are written down as they come. If their documents ascend, as in most files, they are read back as they
    are; else they are first dealt to one file a range of documents.

    Args:
        folder: An empty folder for the files; the caller removes it.
        vocab_size: V.
    """

    def __init__(self, folder: Path, vocab_size: int) -> None:
        self.vocab_size = vocab_size
        self.num_zeros = 0  # entries that count nothing
        self.num_repeated = 0  # entries added to another of the same document and word
        self._folder = folder
        self._path = folder / "entries"
        self._file = self._path.open("wb")
        self._per_document = np.zeros(0, np.int64)
        self._last = 0
        self._ascending = True

    def append(self, documents: NDArray[np.int64], words: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
        """Add entries: numbers of documents from 0, of words in 0 … V - 1, and counts from 0; all [N]."""
        positive = counts > 0
        if not positive.all():
            self.num_zeros += int((~positive).sum())
            documents, words, counts = documents[positive], words[positive], counts[positive]
        if not len(documents):
            return
        self._ascending = self._ascending and documents[0] >= self._last and bool((np.diff(documents) >= 0).all())
        self._last = documents[-1]
        low, high = int(documents.min()), int(documents.max()) + 1
        if high > len(self._per_document):
            # Twice as long each time, or growing would take longer than counting.
            grown = np.zeros(max(high, 2 * len(self._per_document)), np.int64)
            grown[: len(self._per_document)] = self._per_document
            self._per_document = grown
        self._per_document[low:high] += np.bincount(documents - low, minlength=high - low)
        self._file.write(np.stack([documents, words, counts], axis=1).astype(np.int32).data)

    def documents(self, num_documents: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]]:
        """All documents in order, some at a time, as (indptr, indices, counts) in the form of `BowCorpus`.

        Raises:
            UserError: The counts of a word in a document add up to more than fits.
        """
        self._file.close()
        per_document = np.zeros(num_documents, np.int64)
        per_document[: len(self._per_document)] = self._per_document[:num_documents]
        starts = np.concatenate(([0], np.cumsum(per_document)))
        # Ranges of documents with a chunk of entries each; a longer document is a range of its own.
        step = max(CHUNK, -(-int(starts[-1]) // MAX_FILES))
        cuts = np.searchsorted(starts, np.arange(step, starts[-1], step), "left")
        bounds = np.unique(np.concatenate(([0], cuts, [num_documents])))
        pieces = self._in_order(np.diff(starts[bounds])) if self._ascending else self._dealt(bounds)
        for low, high, piece in zip(bounds[:-1].tolist(), bounds[1:].tolist(), pieces, strict=True):
            yield self._sorted(piece, low, high)
        self._path.unlink()

    def _in_order(self, sizes: NDArray[np.int64]) -> Iterator[NDArray[np.int32]]:
        with self._path.open("rb") as file:
            for size in sizes.tolist():
                yield np.fromfile(file, np.int32, COLUMNS * size).reshape(-1, COLUMNS)

    def _dealt(self, bounds: NDArray[np.int64]) -> Iterator[NDArray[np.int32]]:
        paths = [self._folder / f"range-{number}" for number in range(len(bounds) - 1)]
        with ExitStack() as stack, self._path.open("rb") as file:
            files = [stack.enter_context(path.open("wb")) for path in paths]
            while len(piece := np.fromfile(file, np.int32, COLUMNS * CHUNK).reshape(-1, COLUMNS)):
                number = (np.searchsorted(bounds, piece[:, 0], "right") - 1).astype(np.int16)
                order = np.argsort(number, kind="stable")
                ends = np.cumsum(np.bincount(number, minlength=len(files)))
                for file_of_range, own in zip(files, np.split(piece[order], ends[:-1]), strict=True):
                    file_of_range.write(own.data)
        for path in paths:
            yield np.fromfile(path, np.int32).reshape(-1, COLUMNS)
            path.unlink()

    def _sorted(
        self, piece: NDArray[np.int32], low: int, high: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
        """Entries of the documents from ``low`` to ``high``, in CSR with words in order and repetitions summed."""
        where = (piece[:, 0] - np.int32(low), piece[:, 1])
        rows = sp.coo_array((piece[:, 2].astype(np.int64), where), (high - low, self.vocab_size)).tocsr()
        rows.sum_duplicates()
        self.num_repeated += len(piece) - rows.nnz
        if (largest := rows.data.max(initial=0)) > LARGEST_COUNT:
            raise UserError(f"counts of a word in a document add up to {largest}; expected at most {LARGEST_COUNT}.")
        return rows.indptr.astype(np.int64), rows.indices.astype(np.int32), rows.data.astype(np.int32)
