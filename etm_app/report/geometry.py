"""Where topics and words are drawn, which topics belong together, and how much they have in common."""

import numpy as np
from numpy.typing import NDArray

from etm_app.nn.merging import directions, topic_tree

__all__ = ["arrange", "project", "topic_overlap"]

PERPLEXITY = 20  # of t-SNE: how many neighbours a point minds
ITERATIONS = 500


def project(
    alpha: NDArray[np.float32], rho: NDArray[np.float32], mean_rho: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Topics and words as points of one plane, near to each other where their embeddings point the same way.

    t-SNE (van der Maaten, Hinton 2008) of cosine distances. Both kinds are centred first: the mean of rho takes no
    part in the softmax that makes a topic, and what all topics have in common does not tell them apart. Always the
    same plane for the same embeddings.

    Args:
        alpha: Topic embeddings, [K, L].
        rho: Embeddings of the words to be drawn, [n, L].
        mean_rho: Mean of the embeddings of all words, [L].

    Returns:
        Topics [K, 2] and words [n, 2], each coordinate from 0 to 1.
    """
    points = np.concatenate((directions(alpha, alpha.mean(axis=0)), directions(rho, mean_rho)))
    if len(points) < 4:  # too few for t-SNE
        plane = np.column_stack((np.arange(len(points)), np.zeros(len(points))))
    else:
        from sklearn.manifold import TSNE  # here, as importing it takes a second

        plane = TSNE(
            perplexity=min(PERPLEXITY, (len(points) - 1) / 3),
            init="pca" if points.shape[1] > 1 else "random",
            metric="cosine",
            max_iter=ITERATIONS,
            random_state=0,
        ).fit_transform(points)
    low, high = plane.min(axis=0), plane.max(axis=0)
    plane = (plane - low) / np.where(high > low, high - low, 1)
    return plane[: len(alpha)], plane[len(alpha) :]


def topic_overlap(beta: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much topics have in common: the Bhattacharyya coefficient, sum over words of sqrt(beta_iv beta_jv).

    1 for topics that are the same, 0 for topics without a common word. Unlike the Jensen-Shannon divergence it is one
    product of matrices, so quick for any number of topics.

    Args:
        beta: Words of the topics, [K, V], rows on the simplex.

    Returns:
        [K, K], symmetric.
    """
    root = np.sqrt(beta)
    overlap: NDArray[np.float32] = np.clip(root @ root.T, 0, 1)
    return overlap


def arrange(alpha: NDArray[np.float32], num_groups: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Order and group topics by Ward's tree over the directions of their embeddings.

    Args:
        alpha: Topic embeddings, [K, L].
        num_groups: The most groups there may be.

    Returns:
        The topics in an order in which neighbours are alike, [K], and the group of each topic, [K]; groups are numbered
        from 0 in that order.
    """
    if len(alpha) < 2:
        return np.arange(len(alpha)), np.zeros(len(alpha), np.int64)
    from scipy.cluster.hierarchy import fcluster, leaves_list  # here, as importing it takes a while

    tree = topic_tree(alpha)
    order = leaves_list(tree).astype(np.int64)
    clusters = fcluster(tree, num_groups, criterion="maxclust")
    numbers = {cluster: number for number, cluster in enumerate(dict.fromkeys(clusters[order].tolist()))}
    return order, np.array([numbers[cluster] for cluster in clusters.tolist()], np.int64)
