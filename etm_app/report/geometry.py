"""What follows from how alike topics are: their families, their map, and how far that map can be trusted."""

import numpy as np
from numpy.typing import NDArray

from etm_app.nn.merging import topic_tree

__all__ = ["arrange", "faithfulness", "project", "word_places"]

PERPLEXITY = 12  # of t-SNE: how many neighbours a topic minds
ITERATIONS = 1_000
MOST_SIMILAR = 5  # of a topic, which are looked for …
ON_MAP = 10  # … among the nearest to it on the map


def arrange(similarity: NDArray[np.float64], *num_groups: int) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Order and group topics by Ward's tree of their similarity.

    Args:
        similarity: [K, K].
        num_groups: The most groups there may be, at each level from the coarsest.

    Returns:
        The topics in an order in which neighbours are alike, [K], and for each level the group of each topic, [K];
        groups are numbered from 0 in that order, and those of one level are parts of those of the level before.
    """
    num_topics = len(similarity)
    if num_topics < 2:
        return np.arange(num_topics), [np.zeros(num_topics, np.int64) for _ in num_groups]
    from scipy.cluster.hierarchy import fcluster, leaves_list  # here, as importing it takes a while

    tree = topic_tree(similarity)
    order = leaves_list(tree).astype(np.int64)
    levels = []
    for most in num_groups:
        clusters = fcluster(tree, most, criterion="maxclust")
        numbers = {cluster: number for number, cluster in enumerate(dict.fromkeys(clusters[order].tolist()))}
        levels.append(np.array([numbers[cluster] for cluster in clusters.tolist()], np.int64))
    return order, levels


def project(similarity: NDArray[np.float64]) -> NDArray[np.float64]:
    """Topics as points of a plane, each near to those that are most similar to it.

    t-SNE (van der Maaten, Hinton 2008) of 1 - similarity, which starts from classical scaling: always the same plane
    for the same topics.

    Args:
        similarity: [K, K].

    Returns:
        [K, 2], the first coordinate from 0 to 1, the second from 0 in the same unit and not beyond 1.
    """
    num_topics = len(similarity)
    centered = similarity - similarity.mean(axis=0)
    centered -= centered.mean(axis=1, keepdims=True)
    values, vectors = np.linalg.eigh((centered + centered.T) / 2)
    plane = vectors[:, ::-1][:, :2] * np.sqrt(np.maximum(values[::-1][:2], 0))
    plane = np.pad(plane, ((0, 0), (0, 2 - plane.shape[1])))
    if num_topics > 4 and plane[:, 0].std() > 1e-6:  # else too few, or too much alike
        from sklearn.manifold import TSNE  # here, as importing it takes a second

        distance = np.maximum(1 - similarity, 0)
        plane = (
            TSNE(
                perplexity=min(PERPLEXITY, (num_topics - 1) / 3),
                metric="precomputed",
                init=1e-4 * plane / plane[:, 0].std(),
                max_iter=ITERATIONS,
                random_state=0,
            )
            .fit_transform(distance)
            .astype(np.float64)
        )
    plane = plane - plane.mean(axis=0)
    plane = plane @ np.linalg.eigh(plane.T @ plane)[1][:, ::-1]  # the long side lies
    plane -= plane.min(axis=0)
    points: NDArray[np.float64] = plane / max(plane.max(), 1e-12)
    return points


def faithfulness(similarity: NDArray[np.float64], points: NDArray[np.float64]) -> float | None:
    """What a map is worth: the share of topics' five most similar ones that are among the ten nearest to them on it.

    Args:
        similarity: [K, K].
        points: Places of the topics on the map, [K, 2].

    Returns:
        From 0 to 1, by chance 10 / (K - 1); None where there are so few topics that it says nothing.
    """
    num_topics = len(points)
    if num_topics <= ON_MAP + 1:
        return None
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    near = np.zeros(distance.shape, bool)
    np.put_along_axis(near, np.argsort(distance, axis=1, kind="stable")[:, :ON_MAP], True, axis=1)
    others = np.where(np.eye(num_topics, dtype=bool), -np.inf, similarity)
    most_similar = np.argsort(-others, axis=1, kind="stable")[:, :MOST_SIMILAR]
    return float(np.take_along_axis(near, most_similar, axis=1).mean())


def word_places(joint: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where words stand among the topics: in the middle of those that they are of, each as heavy as p(topic | word).

    Args:
        joint: Share of the tokens that are each word and of each topic, [K, n].
        points: Places of the topics, [K, 2].

    Returns:
        [n, 2].
    """
    total = np.maximum(joint.sum(axis=0), np.finfo(np.float64).tiny)
    places: NDArray[np.float64] = (joint / total).T @ points
    return places
