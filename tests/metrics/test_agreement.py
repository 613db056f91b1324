import math
import warnings
from typing import Any

import numpy as np
import pytest
import sklearn.linear_model
from hypothesis import given
from hypothesis import strategies as st

from etm_app.metrics import agreement
from etm_app.metrics.agreement import LinearClassifier, topic_agreement


def measured(topics: list[int], labels: list[int]) -> dict[str, float]:
    return topic_agreement(np.array(topics), np.array(labels))


@pytest.mark.parametrize(
    ("topics", "labels", "expected"),
    [
        ([0, 0, 1, 1], [7, 7, 3, 3], {"nmi": 1, "purity": 1, "ari": 1}),
        ([0, 1, 0, 1], [0, 0, 1, 1], {"nmi": 0, "purity": 1 / 2, "ari": -1 / 2}),
        ([5, 5, 5, 5], [0, 0, 0, 1], {"nmi": 0, "purity": 3 / 4, "ari": 0}),
        ([0, 1, 2, 3], [0, 0, 1, 1], {"nmi": 2 / 3, "purity": 1, "ari": 0}),  # I = ln 2, H = ln 4 and ln 2
        ([2], [9], {"nmi": 1, "purity": 1, "ari": 1}),
    ],
)
def test_by_hand(topics: list[int], labels: list[int], expected: dict[str, float]) -> None:
    assert measured(topics, labels) == pytest.approx(expected)


def entropy(p: list[float]) -> float:
    return -sum(x * math.log(x) for x in p if x)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_they_are_their_definitions(documents: list[tuple[int, int]]) -> None:
    topics, labels = map(list, zip(*documents, strict=True))
    values = measured(topics, labels)
    n = len(documents)
    of_topic = {topic: [label for t, label in documents if t == topic] for topic in topics}
    assert values["purity"] == pytest.approx(sum(max(map(group.count, group)) for group in of_topic.values()) / n)
    h = [entropy([column.count(x) / n for x in set(column)]) for column in (topics, labels)]
    information = sum(h) - entropy([documents.count(pair) / n for pair in set(documents)])
    assert values["nmi"] == pytest.approx(1.0 if sum(h) == 0 else information / (sum(h) / 2), abs=1e-9)
    assert values == pytest.approx(measured([4 - topic for topic in topics], [10 * label for label in labels]))
    assert -1 <= values["ari"] <= 1


def test_a_label_that_is_linear_in_theta_is_found() -> None:
    theta = np.random.default_rng(0).dirichlet(np.full(5, 0.3), size=600).astype(np.float32)
    labels = 10 * (theta[:, 0] > 0.2) + (theta[:, 1] > 0.2)
    right = LinearClassifier(theta[:400], labels[:400]).predict(theta[400:]) == labels[400:]
    assert right.mean() > 0.9
    mixed = np.random.default_rng(1).permutation(labels)
    wrong = LinearClassifier(theta[:400], mixed[:400]).predict(theta[400:]) == mixed[400:]
    assert wrong.mean() < 0.6


def test_one_label_is_always_the_answer() -> None:
    assert LinearClassifier(np.ones((3, 2), np.float32), np.full(3, 8)).predict(
        np.ones((2, 2), np.float32)
    ).tolist() == [8, 8]


def test_rare_labels_beyond_the_most_are_not_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "MAX_CLASSES", 2)
    theta = np.eye(4, dtype=np.float32)[[0, 0, 1, 1, 2, 2, 3]]
    labels = np.array([5, 5, 6, 6, 6, 6, 7])
    assert set(LinearClassifier(theta, labels).predict(theta).tolist()) == {5, 6}


def test_of_labels_alike_in_number_the_smallest_are_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even ones are there twice, odd ones once."""
    labels = np.random.default_rng(0).permutation(np.r_[np.arange(200), np.arange(0, 200, 2)])
    theta = np.random.default_rng(1).random((300, 2), dtype=np.float32)
    monkeypatch.setattr(agreement, "MAX_CLASSES", 3)
    assert LinearClassifier(theta, labels).pipeline.classes_.tolist() == [0, 2, 4]
    monkeypatch.setattr(agreement, "MAX_CLASSES", 1)
    assert set(LinearClassifier(theta, labels).predict(theta).tolist()) == {0}


def test_topics_of_any_size_tell_the_same() -> None:
    theta = np.random.default_rng(0).dirichlet(np.full(5, 0.3), size=300).astype(np.float32)
    labels = (theta[:, 3] > 0.2).astype(np.int64)
    scale = np.array([1, 10, 100, 1e-4, 1], np.float32)
    found = [LinearClassifier(x, labels).predict(x) for x in (theta, theta * scale)]
    assert found[0].tolist() == found[1].tolist()
    assert (found[0] == labels).mean() > 0.95


def test_the_warning_of_too_few_steps_alone_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hasty(sklearn.linear_model.LogisticRegression):
        def __init__(self, tol: float) -> None:
            super().__init__(tol=tol, max_iter=1)

        def fit(self, *args: Any, **kwargs: Any) -> "Hasty":
            if says:
                warnings.warn("something else", UserWarning, stacklevel=1)
            return super().fit(*args, **kwargs)  # type: ignore[no-any-return]

    monkeypatch.setattr(sklearn.linear_model, "LogisticRegression", Hasty)
    theta = np.random.default_rng(0).random((40, 3), dtype=np.float32)
    labels = (theta[:, 0] > 0.5).astype(np.int64)
    says = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert LinearClassifier(theta, labels).pipeline[-1].n_iter_.tolist() == [1]
    says = True
    with pytest.warns(UserWarning, match="something else"):
        LinearClassifier(theta, labels)
