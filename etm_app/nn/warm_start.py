"""Embeddings from the corpus, before the first step.

From a random start all topics first fall onto the corpus' mean and part slowly, if ever. Placed among the words that
go together, they start apart; the anchor (`nn.anchor`) keeps them from falling together later.
"""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

__all__ = ["MAX_DOCUMENTS", "warm_start"]

MAX_DOCUMENTS = 20_000  # that are decomposed; more change the directions little and the time much
MAX_CLUSTERED_WORDS = 20_000  # that topics are placed among; rarer ones are in no topic's top words, and take time


def warm_start(
    counts: sp.csr_array,
    num_topics: int,
    rho_size: int,
    scale: float,
    seed: int,
    rho: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Word embeddings by latent semantic analysis, topic embeddings as the centres of their clusters.

    rho: right singular vectors of the log-tf-idf document-word matrix times the roots of the singular values,
    normalized to length ``scale``. alpha: k-means centres of the directions of the most frequent words, each weighing
    the root of its document frequency, normalized likewise.

    Args:
        counts: Training documents, at most `MAX_DOCUMENTS` of them, [D, V].
        num_topics: K.
        rho_size: L; dimensions beyond the rank of the counts get small noise.
        scale: Length of the embeddings.
        seed: Of the randomized decomposition and the clustering.
        rho: Word embeddings from elsewhere to place the topics among [V, L], of length 1 or less; they are scaled only.

    Returns:
        rho [V, L] and alpha [K, L].
    """
    from sklearn.cluster import KMeans  # a second to import, and only a fit without checkpoint needs it

    vocab_size = counts.shape[1]
    generator = np.random.default_rng(seed)
    frequency = np.bincount(counts.indices, minlength=vocab_size)
    if rho is None:
        rho = _semantic_analysis(counts, frequency, rho_size, generator, seed)
        rho /= np.maximum(np.linalg.norm(rho, axis=1, keepdims=True), 1e-12)

    frequent = np.argsort(-frequency, kind="stable")[:MAX_CLUSTERED_WORDS]
    num_centres = min(num_topics, len(frequent))
    clusters = KMeans(num_centres, n_init=1, max_iter=100, random_state=seed)
    clusters.fit(rho[frequent], sample_weight=np.sqrt(np.maximum(frequency[frequent], 1)))
    # More topics than words: the rest start anywhere.
    alpha = generator.normal(0, 1, (num_topics, rho_size)).astype(np.float32)
    alpha[:num_centres] = clusters.cluster_centers_
    alpha /= np.maximum(np.linalg.norm(alpha, axis=1, keepdims=True), 1e-12)
    return scale * rho, scale * alpha


def _semantic_analysis(
    counts: sp.csr_array, frequency: NDArray[np.int64], rho_size: int, generator: np.random.Generator, seed: int
) -> NDArray[np.float32]:
    from sklearn.utils.extmath import randomized_svd

    num_documents, vocab_size = counts.shape
    idf = np.log((1 + num_documents) / (1 + frequency)) + 1
    weights = sp.csr_array(
        ((np.log1p(counts.data) * idf[counts.indices]).astype(np.float32), counts.indices, counts.indptr), counts.shape
    )
    lengths = np.sqrt(weights.power(2).sum(axis=1))
    weights = sp.csr_array(sp.diags_array((1 / np.maximum(lengths, 1e-12)).astype(np.float32)) @ weights)

    rho = generator.normal(0, 0.01, (vocab_size, rho_size)).astype(np.float32)
    rank = min(rho_size, num_documents - 1, vocab_size - 1)
    if rank > 0:
        _, values, vectors = randomized_svd(weights, rank, n_iter=2, random_state=seed)
        rho[:, :rank] += vectors.T * np.sqrt(values)
    return rho
