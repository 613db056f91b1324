"""How good topics are, from their top words: coherence, diversity and quality."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "REFERENCE_DEFINITIONS",
    "TOPIC_DEFINITIONS",
    "document_frequency",
    "npmi_coherence",
    "reference_coherence",
    "topic_diversity",
]

COHERENCE_WORDS = 10
DIVERSITY_WORDS = 25

TOPIC_DEFINITIONS = {
    "topic_coherence": f"mean over topics of the mean NPMI of all pairs of the {COHERENCE_WORDS} top words, by "
    "co-occurrence in the training documents; -1 never together, 0 by chance, 1 always together",
    "topic_diversity": f"share of unique words among the {DIVERSITY_WORDS} top words of all topics",
    "topic_quality": "topic_coherence x topic_diversity",
    "relevance_coherence": "topic_coherence with the words ranked by relevance, L log p + (1 - L) log(p / f), where p "
    "is a word's probability in the topic, f its share of the training tokens, L model.relevance",
    "relevance_diversity": "topic_diversity with the words ranked by relevance",
    "relevance_quality": "relevance_coherence x relevance_diversity",
}

EPSILON = 1e-12  # what stands for p = 0 in C_V and U_Mass, as in Röder, Both, Hinneburg 2015 and in gensim

REFERENCE_DEFINITIONS = {
    "reference_npmi": "topic_coherence with co-occurrence in the documents of the reference corpus instead",
    "reference_cv": f"C_V of the {COHERENCE_WORDS} top words in the reference corpus: cosine of a word's NPMI with "
    "each of them and the sum of these vectors, mean over words, then topics; a document is one window, in place of "
    f"110 words, as bags have no order; {EPSILON} is added to the probability of a pair",
    "reference_umass": f"U_Mass of the {COHERENCE_WORDS} top words in the reference corpus: mean over pairs, then "
    f"topics, of log((p(i, j) + {EPSILON}) / p(j)), j the more probable word in the topic; 0 at best",
    "reference_coverage": "share of the topics' different top words that are in a document of the reference corpus; "
    "the others, and topics with fewer than two words there, are left out of its coherences",
}


def document_frequency(
    documents: Iterable[tuple[NDArray[np.int64], NDArray[np.int32]]],
    words: NDArray[np.int64],
    pairs: NDArray[np.int64],
    vocab_size: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """In how many documents words occur, and pairs of them occur together.

    Args:
        documents: Chunks of a corpus as (indptr, indices) of its CSR counts; each word at most once a document.
        words: The words asked for, each once, [U].
        pairs: The pairs asked for, by their places in ``words``, [..., 2].
        vocab_size: V.

    Returns:
        Number of documents with each word, [U], and with both words of each pair, [...], and number of documents that
        are not empty.
    """
    place = np.full(vocab_size, -1, dtype=np.int32)
    place[words] = np.arange(len(words), dtype=np.int32)
    first, second = pairs[..., 0].ravel(), pairs[..., 1].ravel()
    frequency, together = np.zeros(len(words), np.int64), np.zeros(len(first), np.int64)
    num_documents = 0
    for indptr, indices in documents:
        num_documents += int(np.count_nonzero(np.diff(indptr)))
        columns = place[indices]
        asked = columns >= 0
        rows = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))[asked]
        # A bit for each document, 64 of them a number: a pair is counted at eight bytes for 64 documents.
        present = np.zeros((len(words), -(-(len(indptr) - 1) // 64) * 64), bool)
        present[columns[asked], rows] = True
        bits = np.packbits(present, axis=1).view(np.uint64)
        frequency += np.bitwise_count(bits).sum(axis=1, dtype=np.int64)
        together += np.bitwise_count(bits[first] & bits[second]).sum(axis=1, dtype=np.int64)
    return frequency, together.reshape(pairs.shape[:-1]), num_documents


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
    pairs = column[:, np.stack(np.triu_indices(top_words.shape[1], k=1), axis=1)]
    frequency, together, num_documents = document_frequency(documents, words, pairs, vocab_size)
    if not num_documents or not together.size:
        return np.full(len(top_words), np.nan)
    independent = (frequency / num_documents)[pairs].prod(axis=-1)
    return _npmi(together / num_documents, independent).mean(axis=1)  # type: ignore[no-any-return]


def _npmi(joint: NDArray[np.float64], independent: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):  # the cases that `where` replaces
        npmi = np.log(joint / independent) / -np.log(joint)
    return np.where(joint == 0, -1.0, np.where(joint == 1, 1.0, npmi))


def reference_coherence(
    top_words: NDArray[np.int64],
    documents: Iterable[tuple[NDArray[np.int64], NDArray[np.int32]]],
    vocab_size: int,
) -> dict[str, NDArray[Any]]:
    """NPMI, C_V (Röder, Both, Hinneburg 2015) and U_Mass (Mimno and others 2011) of each topic in another corpus.

    Args:
        top_words: The topics' words by their numbers in that corpus, -1 for one that its vocabulary lacks, most
            probable first, [K, n]; the first 10 are taken. Words that no document has count as lacking.
        documents: Chunks of that corpus as (indptr, indices) of its CSR counts.
        vocab_size: V of that corpus.

    Returns:
        ``npmi``, ``cv`` and ``umass`` of each topic by `REFERENCE_DEFINITIONS`, [K], NaN where fewer than two of its
        words are known; and ``known``, which of the words are, bool [K, min(n, 10)].
    """
    top_words = top_words[:, :COHERENCE_WORDS]
    words = np.unique(top_words[top_words >= 0])
    values: dict[str, NDArray[Any]] = {name: np.full(len(top_words), np.nan) for name in ("npmi", "cv", "umass")}
    if not len(words):
        return {**values, "known": np.zeros(top_words.shape, bool)}
    size = top_words.shape[1]
    column = np.searchsorted(words, np.where(top_words >= 0, top_words, words[0]))
    later, earlier = np.tril_indices(size, k=-1)
    pairs = np.stack((column[:, later], column[:, earlier]), axis=-1)
    frequency, together, num_documents = document_frequency(documents, words, pairs, vocab_size)
    joint = np.zeros((len(top_words), size, size))
    joint[:, later, earlier] = joint[:, earlier, later] = together / max(num_documents, 1)
    joint[:, range(size), range(size)] = frequency[column] / max(num_documents, 1)
    known = (top_words >= 0) & (frequency[column] > 0)
    for topic in np.flatnonzero(known.sum(axis=1) >= 2):
        there = np.flatnonzero(known[topic])
        p = joint[topic][np.ix_(there, there)]
        independent = np.outer(p.diagonal(), p.diagonal())
        below = np.tril_indices(len(there), k=-1)
        values["npmi"][topic] = _npmi(p[below], independent[below]).mean()
        values["umass"][topic] = np.log((p[below] + EPSILON) / p.diagonal()[below[1]]).mean()
        context = np.log((p + EPSILON) / independent) / -np.log(p + EPSILON)
        total = context.sum(axis=0)
        cosine = context @ total / (np.linalg.norm(context, axis=1) * np.linalg.norm(total))
        values["cv"][topic] = cosine.mean()
    return {**values, "known": known}


def topic_diversity(top_words: NDArray[np.int64]) -> float:
    """Share of unique words among the first 25 words of all topics (Dieng, Ruiz, Blei, section 6).

    Args:
        top_words: The topics' words, most probable first, [K, n]; the first 25 are taken.

    Returns:
        From 1/K, all topics alike, to 1, no word twice.
    """
    top_words = top_words[:, :DIVERSITY_WORDS]
    return len(np.unique(top_words)) / top_words.size
