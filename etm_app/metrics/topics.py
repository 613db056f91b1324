"""How good topics are, from their top words: coherence, diversity and quality."""

from collections.abc import Iterable

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

__all__ = ["TOPIC_DEFINITIONS", "document_cooccurrence", "npmi_coherence", "topic_diversity"]

COHERENCE_WORDS = 10
DIVERSITY_WORDS = 25

TOPIC_DEFINITIONS = {
    "topic_coherence": f"mean over topics of the mean NPMI of all pairs of the {COHERENCE_WORDS} top words, by "
    "co-occurrence in the training documents; -1 never together, 0 by chance, 1 always together",
    "topic_diversity": f"share of unique words among the {DIVERSITY_WORDS} top words of all topics",
    "topic_quality": "topic_coherence x topic_diversity",
}


def document_cooccurrence(
    documents: Iterable[tuple[NDArray[np.int64], NDArray[np.int32]]], words: NDArray[np.int64], vocab_size: int
) -> tuple[NDArray[np.int64], int]:
    """In how many documents words occur together.

    Args:
        documents: Chunks of a corpus as (indptr, indices) of its CSR counts; each word at most once a document.
        words: The words asked for, each once, [U].
        vocab_size: V.

    Returns:
        Number of documents with both words, [U, U] (document frequencies on the diagonal), and number of
        documents that are not empty.
    """
    place = np.full(vocab_size, -1, dtype=np.int32)
    place[words] = np.arange(len(words), dtype=np.int32)
    together = np.zeros((len(words), len(words)), dtype=np.int64)
    num_documents = 0
    for indptr, indices in documents:
        num_documents += int(np.count_nonzero(np.diff(indptr)))
        columns = place[indices]
        asked = columns >= 0
        bounds = np.concatenate((np.zeros(1, np.int64), np.cumsum(asked)))[indptr]
        columns = columns[asked]
        present = sp.csr_array(
            (np.ones(len(columns), np.int32), columns, bounds.astype(np.int32)), shape=(len(indptr) - 1, len(words))
        )
        together += (present.T @ present).toarray()
    return together, num_documents


def npmi_coherence(
    top_words: NDArray[np.int64],
    documents: Iterable[tuple[NDArray[np.int64], NDArray[np.int32]]],
    vocab_size: int,
) -> NDArray[np.float64]:
    """NPMI coherence of each topic (Bouma 2009; Lau, Newman, Baldwin 2014), see `TOPIC_DEFINITIONS`.

    NPMI(i, j) = log(p_ij / (p_i p_j)) / -log p_ij; -1 where the words never occur together, 1 where p_ij = 1.

    Args:
        top_words: The topics' words, most probable first, [K, n ≥ 2]; the first 10 are taken.
        documents: Chunks of the reference corpus as (indptr, indices) of its CSR counts.
        vocab_size: V.

    Returns:
        [K]; NaN where there are fewer than two words or no document.
    """
    top_words = top_words[:, :COHERENCE_WORDS]
    words, column = np.unique(top_words, return_inverse=True)
    column = column.reshape(top_words.shape)
    together, num_documents = document_cooccurrence(documents, words, vocab_size)
    first, second = np.triu_indices(top_words.shape[1], k=1)
    if not num_documents or not len(first):
        return np.full(len(top_words), np.nan)
    frequency = together.diagonal() / num_documents
    joint = together[column[:, first], column[:, second]] / num_documents  # [K, pairs]
    independent = frequency[column[:, first]] * frequency[column[:, second]]
    with np.errstate(divide="ignore", invalid="ignore"):  # the cases that `where` replaces
        npmi = np.log(joint / independent) / -np.log(joint)
    npmi = np.where(joint == 0, -1.0, np.where(joint == 1, 1.0, npmi))
    return npmi.mean(axis=1)  # type: ignore[no-any-return]


def topic_diversity(top_words: NDArray[np.int64]) -> float:
    """Share of unique words among the first 25 words of all topics (Dieng, Ruiz, Blei, section 6).

    Args:
        top_words: The topics' words, most probable first, [K, n]; the first 25 are taken.

    Returns:
        From 1/K, all topics alike, to 1, no word twice.
    """
    top_words = top_words[:, :DIVERSITY_WORDS]
    return len(np.unique(top_words)) / top_words.size
