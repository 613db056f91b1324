"""How well topics agree with labels that the model has never seen."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["AGREEMENT_DEFINITIONS", "MAX_TRAINED", "LinearClassifier", "topic_agreement"]

MAX_TRAINED = 5_000  # documents the classifier is trained on: it takes half a second then
MAX_CLASSES = 1_000

AGREEMENT_DEFINITIONS = {
    "nmi": "normalized mutual information of a document's largest topic and its label, over the mean of both "
    "entropies; 0 unrelated, 1 the same partition",
    "purity": "share of documents whose label is the commonest one of their largest topic",
    "ari": "adjusted Rand index of largest topics and labels; 0 by chance, 1 the same partition",
    "accuracy": "share of documents whose label a logistic regression finds from theta, trained on theta of up to "
    f"{MAX_TRAINED:,} training documents (their {MAX_CLASSES:,} commonest labels)",
}


def topic_agreement(topics: NDArray[np.int64], labels: NDArray[np.int64]) -> dict[str, float]:
    """NMI, purity and ARI of two partitions of documents: `AGREEMENT_DEFINITIONS`.

    Args:
        topics: The largest topic of each document, [D ≥ 1].
        labels: Its label, a number, [D].
    """
    # Imported here: it takes a second, which `--help` need not wait for.
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
    from sklearn.metrics.cluster import contingency_matrix

    together = contingency_matrix(labels, topics, sparse=True)
    return {
        "nmi": float(normalized_mutual_info_score(labels, topics)),
        "purity": float(together.max(axis=0).sum() / len(labels)),
        "ari": float(adjusted_rand_score(labels, topics)),
    }


class LinearClassifier:
    """A logistic regression from theta to labels; of one label, the answer is always that one.

    Args:
        theta: Training documents, [D ≥ 1, K]; at most `MAX_TRAINED` are wise.
        labels: Their labels, numbers, [D]; only documents with the 1,000 commonest take part.
    """

    def __init__(self, theta: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        names, frequency = np.unique(labels, return_counts=True)
        names = names[np.argsort(-frequency, kind="stable")[:MAX_CLASSES]]
        self.only = int(names[0])
        self.pipeline: Any = None
        if len(names) > 1:
            trained = np.isin(labels, names)
            # A tenfold finer tolerance takes ten times as long and finds one label in a hundred more.
            self.pipeline = make_pipeline(StandardScaler(), LogisticRegression(tol=1e-2))
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "lbfgs failed to converge")  # good enough after 100 steps
                self.pipeline.fit(theta[trained], labels[trained])

    def predict(self, theta: NDArray[np.float32]) -> NDArray[np.int64]:
        """The label of each document [D, K], [D]."""
        if self.pipeline is None:
            return np.full(len(theta), self.only)
        labels: NDArray[np.int64] = self.pipeline.predict(theta)
        return labels
