"""What a corpus is like: documents, lengths, repetitions and word frequencies, counted in pieces."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from etm_app.data.completion import mix64
from etm_app.data.corpus import SPLITS, BowCorpus, BowDataset

__all__ = ["CorpusStatistics", "SplitStatistics", "corpus_statistics"]


@dataclass(frozen=True)
class SplitStatistics:
    """Documents of a split.

    Attributes:
        lengths: Tokens of each document, [n].
        num_repeated: Documents, not empty, with the very counts of an earlier one of the split.
        num_in_train: Documents, not empty, with the very counts of a training document; 0 for train itself.
    """

    lengths: NDArray[np.int64]
    num_repeated: int
    num_in_train: int

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def num_empty(self) -> int:
        """Documents without a word in the vocabulary."""
        return int((self.lengths == 0).sum())

    @property
    def num_tokens(self) -> int:
        """Tokens of all documents together."""
        return int(self.lengths.sum())


@dataclass(frozen=True)
class CorpusStatistics:
    """A corpus in numbers.

    Attributes:
        splits: Of train, val and test.
        document_frequency: Training documents with each word, [V].
        token_counts: Tokens of each word in the training documents, [V].
    """

    splits: dict[str, SplitStatistics]
    document_frequency: NDArray[np.int64]
    token_counts: NDArray[np.int64]


def corpus_statistics(corpus: BowCorpus) -> CorpusStatistics:
    """Count over a corpus; memory is some numbers a document and a word."""
    frequency, tokens = (np.zeros(corpus.vocab_size, np.int64) for _ in range(2))
    splits: dict[str, SplitStatistics] = {}
    known = np.zeros(0, np.uint64)
    all_lengths = corpus.lengths()
    for split in SPLITS:
        rows = corpus.rows(split)
        lengths = all_lengths[rows]
        fingerprints = [np.zeros(0, np.uint64)]
        for part in BowDataset(corpus, rows).parts():
            indptr, indices, counts, _ = corpus.select(part.rows)
            entries = mix64(mix64(indices.astype(np.uint64)) + counts.astype(np.uint64))
            fingerprints.append(_wrapping_sums(entries, indptr))
            if split == "train":
                frequency += np.bincount(indices, minlength=corpus.vocab_size)
                tokens += np.bincount(indices, counts, corpus.vocab_size).astype(np.int64)
        bags = np.concatenate(fingerprints)[lengths > 0]
        unique = np.unique(bags)
        if split == "train":
            known = unique
        in_train = 0 if split == "train" else int(np.isin(bags, known).sum())
        splits[split] = SplitStatistics(lengths, len(bags) - len(unique), in_train)
    return CorpusStatistics(splits, frequency, tokens)


def _wrapping_sums(values: NDArray[np.uint64], indptr: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Sums over the entries of each document, modulo 2^64."""
    cumulative = np.concatenate((np.zeros(1, np.uint64), np.cumsum(values, dtype=np.uint64)))
    return cumulative[indptr[1:]] - cumulative[indptr[:-1]]
