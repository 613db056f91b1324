"""Which topics are alike, and the one topic that is nearest to several."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["nearest_topic", "topic_similarity", "topic_tree"]

ITERATIONS = 200  # of L-BFGS, which needs some tens


def topic_similarity(beta: NDArray[np.float32], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """How alike topics are: whether they make the same words more, and less, probable than topics do on average.

    The correlation of log beta_kv - mean over topics of log beta_v over the tokens of the corpus. For an embedded topic
    model it is also the cosine of the centred topic embeddings, in the metric that the word embeddings give.

    Args:
        beta: Words of the topics, [K, V], rows on the simplex.
        weight: Share of the tokens that are each word, [V].

    Returns:
        [K, K], symmetric, from -1 for opposites over 0 for topics without relation to 1 for the same.
    """
    effect = np.log(np.maximum(beta, np.finfo(np.float32).tiny))
    effect -= effect.mean(axis=0)
    root = np.sqrt(weight / weight.sum()).astype(np.float32)
    effect -= (effect @ root**2)[:, None]
    effect *= root
    effect /= np.maximum(np.linalg.norm(effect, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    similarity = np.clip((effect @ effect.T).astype(np.float64), -1, 1)
    np.fill_diagonal(similarity, 1)
    return (similarity + similarity.T) / 2


def topic_tree(similarity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ward's tree of topics by `topic_similarity`, as SciPy's `linkage` gives it, neighbours alike.

    Args:
        similarity: Of two topics or more, [K, K].
    """
    from scipy.cluster.hierarchy import linkage  # here, as importing it takes a while

    distance = np.sqrt(np.maximum(2 - 2 * similarity, 0))  # between unit vectors, as Ward's method has it
    pairs = distance[np.triu_indices(len(distance), k=1)]
    tree: NDArray[np.float64] = linkage(pairs, method="ward", optimal_ordering=True)
    return tree


def nearest_topic(
    mixture: NDArray[np.float64], rho: NDArray[np.float64], start: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The topic embedding alpha whose softmax(rho alpha) is nearest to a distribution p: least KL(p ‖ softmax).

    That is log Σ_v exp(rho_v · alpha) − Σ_v p_v rho_v · alpha but for a constant, which is convex in alpha.

    Args:
        mixture: p, of the words, [V].
        rho: Word embeddings, [V, L].
        start: Where to begin, [L].

    Returns:
        [L].
    """
    from scipy.optimize import minimize
    from scipy.special import logsumexp

    wanted = mixture @ rho

    def divergence(alpha: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits = rho @ alpha
        normalizer = logsumexp(logits)
        return float(normalizer - wanted @ alpha), np.exp(logits - normalizer) @ rho - wanted

    found: NDArray[np.float64] = minimize(
        divergence, start, jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS, "ftol": 1e-12, "gtol": 1e-7}
    ).x
    return found
