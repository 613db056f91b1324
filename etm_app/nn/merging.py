"""Which topics are alike, and the one topic that is nearest to several."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["directions", "nearest_topic", "topic_tree"]

ITERATIONS = 200  # of L-BFGS, which needs some tens


def directions(embeddings: NDArray[np.float32], mean: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit vectors that point from the mean [L] to the embeddings [n, L]."""
    centered = embeddings - mean
    centered /= np.maximum(np.linalg.norm(centered, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return centered


def topic_tree(alpha: NDArray[np.float32]) -> NDArray[np.float64]:
    """Ward's tree over the directions of topic embeddings, as SciPy's `linkage` gives it, neighbours alike.

    Args:
        alpha: Of two topics or more, [K, L].
    """
    from scipy.cluster.hierarchy import linkage  # here, as importing it takes a while

    points = directions(alpha, alpha.mean(axis=0)).astype(np.float64)
    tree: NDArray[np.float64] = linkage(points, method="ward", optimal_ordering=True)
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
