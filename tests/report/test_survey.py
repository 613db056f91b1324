from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from etm_app.data.corpus import BowCorpus, BowDataset
from etm_app.model import ETM
from etm_app.report import survey as module
from etm_app.report.survey import Survey, survey, survey_of
from tests.planted import SPLITS, VOCAB, planted_counts

LABELS = [None if row % 7 == 0 else "abca"[row % 4] for row in range(len(SPLITS))]


def etm(num_topics: int = 4) -> ETM:
    torch.manual_seed(0)
    model = ETM(len(VOCAB), num_topics, t_hidden_size=8, rho_size=6)
    with torch.no_grad():  # so that documents differ
        model.topics.alpha.mul_(8)
        model.topics.rho.mul_(8)
    return model


def corpus(labels: list[Any] | None = None, x: Any = None) -> BowCorpus:
    x = planted_counts() if x is None else x
    return BowCorpus.from_matrix(x, VOCAB, SPLITS[: len(x)], labels=labels)


def training_set(of: BowCorpus) -> BowDataset:
    return BowDataset(of, of.rows("train"))


def surveyed(model: ETM, of: BowCorpus) -> Survey:
    found = survey(model, training_set(of))
    assert found is not None
    return found


@given(st.integers(1, 70), st.integers(1, 6), st.booleans())
@settings(max_examples=25)
def test_it_is_what_theta_of_all_documents_says(chunk: int, num_topics: int, with_labels: bool) -> None:
    """In whatever pieces the documents are read, against theta of all of them at once."""
    model, x = etm(num_topics), planted_counts()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("etm_app.data.corpus.DOCUMENTS_AT_ONCE", chunk)
        found = surveyed(model, corpus(LABELS if with_labels else None))
    (rows,) = np.nonzero((x.sum(1) > 0) & (np.array(SPLITS) == "train"))
    theta = model.theta(x).numpy()
    assert found.num_documents == len(rows) < SPLITS.count("train")
    np.testing.assert_allclose(found.shares, x[rows].sum(1) @ theta[rows] / x[rows].sum(), rtol=1e-5)
    for topic, documents in enumerate(found.representative):
        np.testing.assert_allclose([value for _, value in documents], np.sort(theta[rows, topic])[::-1][:10], rtol=1e-5)
        np.testing.assert_allclose([value for _, value in documents], [theta[row, topic] for row, _ in documents], 1e-5)
        assert len({row for row, _ in documents}) == 10
        assert {row for row, _ in documents} <= set(rows.tolist())
    np.testing.assert_array_equal(found.word_counts, x[rows].sum(0))
    assert (found.histogram.sum(axis=1) == len(rows)).all()
    assert found.largest_histogram.sum() == len(rows)
    np.testing.assert_array_equal(
        found.largest_histogram, np.histogram(theta[rows].max(1), module.HISTOGRAM_BINS, (0, 1))[0]
    )
    largest, second = theta.argmax(1), np.sort(theta, 1)[:, -2] if num_topics > 1 else theta[:, 0]
    for topic, documents in enumerate(found.mixed):
        own = [row for row in rows if largest[row] == topic] if num_topics > 1 else []
        np.testing.assert_allclose([value for _, value in documents], np.sort(second[own])[::-1][:4], rtol=1e-5)
        assert {row for row, _ in documents} <= set(own)
    assert len(found.example_rows) == min(100, len(rows))
    assert (np.diff(found.example_rows) > 0).all()
    assert set(found.example_rows.tolist()) <= set(rows.tolist())
    if not with_labels:
        assert found.label_names is found.label_shares is None
        return
    assert found.label_names == ["a", "b", "c"] or found.label_names == ["a", "c", "b"]
    assert found.label_shares is not None
    np.testing.assert_allclose(found.label_shares.sum(axis=1), 1)
    for column, name in enumerate(found.label_names):
        of_label = [row for row in rows if LABELS[row] == name]
        known = [row for row in rows if LABELS[row] is not None]
        np.testing.assert_allclose(found.label_shares[:, column], theta[of_label].sum(0) / theta[known].sum(0), 1e-5)


def test_labels_beyond_the_most_frequent_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_LABELS", 2)
    all_of_them = [f"l{min(row // 2, 9)}" if row % 9 else None for row in range(len(SPLITS))]
    found = surveyed(etm(), corpus(all_of_them))
    assert found.label_names is not None
    assert found.label_names[0] == "l9"
    assert found.label_names[2] == "(8 other labels)"
    assert found.label_shares is not None
    assert found.label_shares.shape == (4, 3)
    np.testing.assert_allclose(found.label_shares.sum(axis=1), 1)


def test_labels_that_no_training_document_has_are_none() -> None:
    labels = ["a" if split == "test" else None for split in SPLITS]
    assert surveyed(etm(), corpus(labels)).label_names is None


def test_few_documents() -> None:
    found = surveyed(etm(), corpus(x=planted_counts()[:3]))
    assert [len(documents) for documents in found.representative] == [3] * 4
    assert found.example_rows.tolist() == [0, 1, 2]
    assert survey(etm(), training_set(corpus(x=np.zeros((3, len(VOCAB)), int)))) is None


def test_it_is_made_once_for_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(module, "survey", lambda *args: made.append(survey(*args)) or made[-1])
    model, of = etm(), corpus()
    assert survey_of(model) is None
    model.training_set = training_set(of)
    first = survey_of(model)
    model.load_state_dict({name: tensor.clone() for name, tensor in model.state_dict().items()})
    model.training_set = training_set(of)
    assert survey_of(model) is first
    assert len(made) == 1
    with torch.no_grad():
        model.e_step.size[0] += 1
    changed = survey_of(model)
    assert changed is not None
    assert first is not None
    assert changed.shares[0] > first.shares[0]
    model.training_set = training_set(corpus())  # other documents
    survey_of(model)
    assert len(made) == 3
