"""Embeddings from the corpus, before the first step.

From a random start all topics first fall onto the corpus' mean and part slowly, if ever. Placed among the words that
go together, they start apart; the anchor (`nn.anchor`) keeps them from falling together later.
"""

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

__all__ = ["MAX_DOCUMENTS", "log_tf_idf", "unit", "warm_start"]

MAX_DOCUMENTS = 20_000  # that are decomposed; more change the directions little and the time much
CLUSTERINGS = 4  # of documents, of which the best is taken
CLUSTERED_DIMENSIONS = 100  # that documents are clustered in; those beyond are of few of them


def warm_start(
    counts: sp.csr_array,
    num_topics: int,
    rho_size: int,
    scale: float,
    seed: int,
    rho: NDArray[np.float32] | None = None,
    vectors: NDArray[np.float32] | None = None,
    seeds: Sequence[Sequence[int]] = (),
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Word embeddings by latent semantic analysis, topic embeddings from clusters of documents.

    rho: right singular vectors of the log-tf-idf document-word matrix times the singular values, normalized to length
    ``scale``. alpha: means of the documents' directions among these, by k-means of their directions in the first
    `CLUSTERED_DIMENSIONS`, less the mean of all documents, whose words are no topic's; normalized likewise.

    Args:
        counts: Training documents, at most `MAX_DOCUMENTS` of them, [D, V].
        num_topics: K.
        rho_size: L; dimensions beyond the rank of the counts get small noise.
        scale: Length of the embeddings.
        seed: Of the randomized decomposition and the clustering.
        rho: Word embeddings from elsewhere to place the topics among [V, L], of length 1 or less; they are scaled only.
        vectors: Embeddings of the documents [D, E], whose directions, less their mean, are clustered beside those by
            the words.
        seeds: Words, by their numbers, that the first topics are to be about (`_with_seeds`).

    Returns:
        rho [V, L] and alpha [K, L].
    """
    from sklearn.cluster import KMeans

    generator = np.random.default_rng(seed)
    known = np.diff(counts.indptr) > 0
    weights, values, of_words = _semantic_analysis(counts[known], rho_size, seed)
    num_documents, vocab_size = weights.shape
    words = generator.normal(0, 1e-3, (vocab_size, rho_size)).astype(np.float32)
    words[:, : len(values)] += of_words.T * values
    rho = unit(words) if rho is None else rho

    # More topics than documents, or than different ones: the rest start anywhere.
    alpha = generator.normal(0, 1, (num_topics, rho_size)).astype(np.float32)
    num_centres = min(num_topics, num_documents)
    if num_centres:
        clusters = KMeans(num_centres, n_init=CLUSTERINGS, max_iter=100, random_state=seed)
        directions = unit(weights @ unit(words[:, :CLUSTERED_DIMENSIONS]))
        if vectors is not None:
            directions = np.hstack((directions, unit(vectors[known] - vectors[known].mean(axis=0))))
        labels = clusters.fit_predict(directions)
        shape = (num_topics, num_documents)
        members = sp.csr_array((np.ones(num_documents, np.float32), (labels, np.arange(num_documents))), shape)
        places = unit(weights @ rho)
        sizes = members.sum(axis=1)
        means = (members @ places) / np.maximum(sizes, 1)[:, None]
        if num_centres > 1:
            means -= places.mean(axis=0)
        found = (sizes > 0) & (np.linalg.norm(means, axis=1) > 0)
        alpha[found] = means[found]
        if seeds:
            alpha = _with_seeds(unit(alpha), members, weights, rho, seeds)
    return scale * rho, scale * unit(alpha)


def _with_seeds(
    alpha: NDArray[np.float32],
    members: sp.csr_array,
    weights: sp.csr_array,
    rho: NDArray[np.float32],
    seeds: Sequence[Sequence[int]],
) -> NDArray[np.float32]:
    """Topics with those of the seeds first, each in place of the cluster that has most of its words.

    A seed is where its words are, and as much where that cluster is as this has of them.

    Args:
        alpha: Of the clusters, of length 1, [K, L].
        members: Which documents are theirs, [K, D].
        weights: Of the words in the documents, [D, V].
        rho: Of the words, [V, L].
        seeds: S of them.
    """
    from scipy.optimize import linear_sum_assignment

    of_words = (members @ weights).tocsc()
    places = np.zeros((len(seeds), rho.shape[1]), np.float32)
    shares = np.zeros((len(seeds), len(alpha)), np.float32)
    for number, words in enumerate(seeds):
        own = of_words[:, list(words)].toarray()
        shares[number] = (own / np.maximum(own.sum(axis=0), 1e-12)).mean(axis=1)  # each word counts the same
        places[number] = unit(rho[list(words)]).sum(axis=0)
    _, taken = linear_sum_assignment(shares, maximize=True)
    seeded = unit(places) + shares[np.arange(len(seeds)), taken][:, None] * alpha[taken]
    return np.concatenate((seeded, np.delete(alpha, taken, axis=0)))


def _semantic_analysis(
    counts: sp.csr_array, rank: int, seed: int
) -> tuple[sp.csr_array, NDArray[np.float32], NDArray[np.float32]]:
    """Log-tf-idf of documents [D, V], each of length 1; its largest singular values [R] and their right vectors [R, V].

    R is the rank asked for, or less where the counts have less.
    """
    from sklearn.utils.extmath import randomized_svd

    num_documents, vocab_size = counts.shape
    weights = log_tf_idf(counts)
    lengths = np.sqrt(weights.power(2).sum(axis=1))
    weights = sp.csr_array(sp.diags_array((1 / np.maximum(lengths, 1e-12)).astype(np.float32)) @ weights)
    rank = min(rank, num_documents - 1, vocab_size - 1)
    if rank <= 0:
        return weights, np.zeros(0, np.float32), np.zeros((0, vocab_size), np.float32)
    _, values, vectors = randomized_svd(weights, rank, n_iter=2, random_state=seed)
    return weights, values, vectors


def log_tf_idf(counts: sp.csr_array) -> sp.csr_array:
    """Counts weighed for a comparison of documents or words: log(1 + count) times how few documents have the word.

    Args:
        counts: [D, V].
    """
    num_documents, num_words = counts.shape
    idf = np.log((1 + num_documents) / (1 + np.bincount(counts.indices, minlength=num_words))) + 1
    weights = (np.log1p(counts.data) * idf[counts.indices]).astype(np.float32)
    return sp.csr_array((weights, counts.indices, counts.indptr), counts.shape)


def unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows at length 1, but for those that are 0."""
    directions: NDArray[np.float32] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return directions
