"""Documents in the memory of a device: batches are cut there, and a step moves nothing across the bus."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from etm_app.data.batch import BowBatch, ByWord
from etm_app.data.corpus import BowDataset

__all__ = ["ResidentDataset"]

BYTES_PER_COUNT = 8  # word and count
BYTES_PER_DIMENSION = 4


class ResidentDataset(Dataset[BowBatch]):
    """The same batches as `BowDataset` makes for training, made by a device from its own copy of the counts.

    Args:
        dataset: The documents.
        device: Where they are kept.
    """

    def __init__(self, dataset: BowDataset, device: torch.device) -> None:
        indptr, indices, counts, _ = dataset.corpus.select(dataset.rows)
        # Boundaries stay with the host: sizes must be known there, or every batch would wait for the device.
        self.indptr = indptr
        self.indices = torch.from_numpy(indices).to(device)
        self.counts = torch.from_numpy(counts).to(device)
        self.vocab_size = dataset.corpus.vocab_size
        self.vectors: torch.Tensor | None = None
        if (vectors := dataset.corpus.vectors) is not None:
            self.vectors = torch.empty((len(dataset), vectors.size), device=device)
            start = 0
            for part in dataset.parts():  # all of them are never in the memory of the host
                self.vectors[start : start + len(part)] = torch.from_numpy(vectors.take(part.rows))
                start += len(part)

    @staticmethod
    def fits(dataset: BowDataset, device: torch.device) -> bool:
        """Whether the device is a CUDA device of which the documents take at most a quarter of what is free."""
        if device.type != "cuda":
            return False
        lengths = dataset.corpus.indptr[dataset.rows + 1] - dataset.corpus.indptr[dataset.rows]
        size = 0 if dataset.corpus.vectors is None else dataset.corpus.vectors.size
        free, _ = torch.cuda.mem_get_info(device)
        return bool(BYTES_PER_COUNT * lengths.sum() + BYTES_PER_DIMENSION * size * len(dataset) <= free / 4)

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def __getitem__(self, positions: Sequence[int]) -> BowBatch:
        """The documents at these positions as one batch on the device; DataLoader calls this."""
        rows = np.asarray(positions, np.int64)
        lengths = self.indptr[rows + 1] - self.indptr[rows]
        bounds = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
        size, device = int(bounds[-1]), self.indices.device
        # One small transfer: where the documents start in the corpus and in the batch, and their numbers.
        numbers = np.stack((np.append(self.indptr[rows], 0), bounds, np.append(rows, 0)))
        starts, indptr, at = torch.from_numpy(numbers).to(device)
        spans = indptr.diff()
        shift = torch.repeat_interleave((starts - indptr)[:-1], spans, output_size=size)
        where = torch.arange(size, device=device) + shift
        indices, counts = self.indices[where], self.counts[where].float()
        words, order = torch.sort(indices, stable=True)
        documents = torch.repeat_interleave(torch.arange(len(rows), device=device), spans, output_size=size)
        by_word = ByWord(
            torch.searchsorted(words, torch.arange(self.vocab_size + 1, dtype=words.dtype, device=device)).int(),
            documents[order].int(),
            order,
        )
        return BowBatch(
            indptr.int(),
            indices,
            counts,
            self.vocab_size,
            int(np.count_nonzero(lengths)),
            by_word=by_word,
            vectors=None if self.vectors is None else self.vectors[at[:-1]],
        )
