"""The halves of a document that document completion needs."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["first_half", "mix64"]


def first_half(
    indptr: NDArray[np.int64], indices: NDArray[np.int32], counts: NDArray[np.int32], seed: int = 0
) -> NDArray[np.int32]:
    """Draw half of the tokens of every document, without replacement.

    The draw of a document depends on its own words and the seed alone, so it is the same in any batch,
    order, split or process. Of n tokens the first half gets ⌊n/2⌋.

    Args:
        indptr: Document boundaries, [D + 1].
        indices: Words of the non-zero counts, [N].
        counts: Their counts, [N].
        seed: Another seed draws other halves.

    Returns:
        How many tokens of each count are in the first half, [N]; the second half is ``counts`` less these.
    """
    entry = np.repeat(np.arange(len(counts)), counts)
    entry_start = np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))
    occurrence = np.arange(len(entry)) - entry_start[entry]
    word_hash = mix64(indices.astype(np.uint64) + np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64))
    # Wrapping sums: a difference of cumulative sums is the sum of a document modulo 2^64, empty documents included.
    summed = np.concatenate((np.zeros(1, np.uint64), np.cumsum(word_hash * counts.astype(np.uint64))))
    document_hash = summed[indptr[1:]] - summed[indptr[:-1]]
    document = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))[entry]
    key = mix64(word_hash[entry] + mix64(occurrence.astype(np.uint64)) + document_hash[document])
    order = np.lexsort((key, document))
    document_start = entry_start[indptr]  # in tokens
    rank = np.arange(len(entry)) - document_start[document]  # `document` ascends, so sorting leaves it in place
    chosen = order[rank < (np.diff(document_start) // 2)[document]]
    return np.bincount(entry[chosen], minlength=len(counts)).astype(np.int32)


def mix64(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Finalizer of SplitMix64 (Steele, Lea, Flood 2014): every input bit changes every output bit."""
    x = x + np.uint64(0x9E3779B97F4A7C15)  # 0 would stay 0
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
