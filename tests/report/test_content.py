import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from etm_app.data.corpus import EXCERPT_LENGTH, SPLITS, BowDataset
from etm_app.report.content import BARS, LAMBDA_STEPS, describe, describe_corpus
from etm_app.report.run import plain
from etm_app.report.survey import survey
from tests.planted import VOCAB, PlantedDataModule, planted_counts
from tests.report.models import corpus_of, hostile, random_model


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    model, dataset = hostile()
    return describe(model, dataset, survey(model, dataset))


def test_the_slider_has_the_best_words_at_each_of_its_positions() -> None:
    vocab = [f"w{number}" for number in range(700)]
    model = random_model(vocab, num_topics=5)
    content = describe(model, None, None)
    beta = model.beta.double().numpy()
    marginal, frequency = beta.mean(axis=0), model.log_frequency.double().exp().numpy()
    for step in range(LAMBDA_STEPS + 1):
        weight = step / LAMBDA_STEPS
        relevance = weight * np.log(beta) + (1 - weight) * np.log(beta / frequency)
        for topic, shown in zip(range(5), content["topics"], strict=True):
            best = {vocab[word] for word in np.argsort(-relevance[topic])[:BARS]}
            assert best <= {content["words"][word] for word in shown["words"]}
    for topic, shown in enumerate(content["topics"]):
        assert len(shown["words"]) < 300
        own = [vocab.index(content["words"][word]) for word in shown["words"]]
        assert shown["probability"] == pytest.approx(beta[topic, own].tolist(), rel=1e-3)
        assert [content["probability"][word] for word in shown["words"]] == pytest.approx(marginal[own], rel=1e-3)
        assert [content["frequency"][word] for word in shown["words"]] == pytest.approx(frequency[own], rel=1e-3)


def test_the_slider_starts_where_the_model_ranks_the_words() -> None:
    vocab = [f"w{number}" for number in range(700)]
    model = random_model(vocab, num_topics=5)
    model.relevance = 0.37  # between two positions
    for _ in range(2):
        content = describe(model, None, None)
        for shown, words in zip(content["topics"], model.top_words(BARS), strict=True):
            assert shown["name"] == " ".join(words[:3])
            assert shown["top"] == words
            assert [content["words"][word] for word in shown["words"]][:BARS] == words
            assert all(content["words"].index(word) < content["num_looked_up"] for word in shown["top"][:10])
        assert content["relevance"] == (0.37 if model.log_frequency.any() else 1)
        model.log_frequency.zero_()  # unknown: by probability, and the slider goes by the topics' own
    assert content["frequency"] == content["probability"]


def test_words_have_their_neighbours_and_topics(described: dict[str, Any]) -> None:
    model, dataset = hostile()
    found = survey(model, dataset)
    assert found is not None
    words = described["words"]
    assert sorted(words) == sorted(model.vocab or [])
    assert described["num_looked_up"] == len(words)
    joint = found.shares[:, None] * model.beta.numpy()
    for number in (0, 7, 40):
        neighbors = [words[neighbor] for neighbor in described["neighbors"][number]]
        expected = model.nearest_words(words[number], 10)
        assert neighbors == [word for word, _ in expected]
        assert described["cosines"][number] == pytest.approx([cosine for _, cosine in expected], abs=0.006)
        own = joint[:, (model.vocab or []).index(words[number])]
        topics, percents = zip(*described["topics_of"][number], strict=True)
        assert topics[0] == own.argmax()
        assert percents == pytest.approx(100 * own[list(topics)] / own.sum(), abs=0.51)


def test_topics_are_those_of_the_model_and_the_survey(described: dict[str, Any]) -> None:
    model, dataset = hostile()
    found = survey(model, dataset)
    assert found is not None
    assert [topic["share"] for topic in described["topics"]] == pytest.approx(found.shares.tolist(), rel=1e-3)
    cosine = torch.nn.functional.normalize(model.rho, dim=-1) @ torch.nn.functional.normalize(model.alpha, dim=-1).t()
    for topic, shown in enumerate(described["topics"]):
        assert [described["words"][word] for word in shown["nearest"][:3]] == [
            (model.vocab or [])[word] for word in cosine[:, topic].topk(3).indices.tolist()
        ]
        for kind, documents, most in (("typical", found.representative, 8), ("mixed", found.mixed, 3)):
            ids = dataset.corpus.documents["id"][[row for row, _ in documents[topic][:most]]].to_list()
            places = shown[kind] if kind == "mixed" else [place for place, _ in shown[kind]]
            assert [described["documents"][place]["id"] for place in places] == ids
        theta = [share for _, share in found.representative[topic][:8]]
        assert [share for _, share in shown["typical"]] == pytest.approx(theta, rel=1e-3)
        shares = dict(shown["labels"])
        assert sum(shares.values()) == pytest.approx(1, abs=0.01)


def test_documents_are_described_with_their_topics(described: dict[str, Any]) -> None:
    model, dataset = hostile()
    rows = {name: row for row, name in enumerate(dataset.corpus.documents["id"].to_list())}
    theta = model.theta(BowDataset(dataset.corpus, np.arange(len(rows))).counts()).numpy()
    for document in described["documents"]:
        own = theta[rows[document["id"]]]
        assert document["topics"] == [
            [topic, pytest.approx(own[topic], abs=1e-3)] for topic in np.argsort(-own) if own[topic] >= 0.05
        ]
    places = [rows[document["id"]] for document in described["documents"]]
    assert places == sorted(set(places))  # in the order of the corpus, each once
    for topic in described["topics"]:
        for place in topic["mixed"]:
            assert described["documents"][place]["topics"][0][0] == described["topics"].index(topic)


def test_similar_topics_are_those_of_one_similarity(described: dict[str, Any]) -> None:
    model, _ = hostile()
    similarity = model.topic_similarity
    order, hundredths = described["similarity"].values()
    assert sorted(order) == list(range(6))
    families = [part["topics"] for family in described["families"] for part in family["parts"]]
    assert [topic for family in families for topic in family] == order
    for place, topic in enumerate(order):
        assert hundredths[place] == pytest.approx(100 * similarity[topic, order[:place]], abs=0.51)
        values = dict(described["topics"][topic]["similar"])
        assert values == {other: pytest.approx(similarity[topic, other], abs=0.006) for other in values}
        assert list(values.values()) == sorted(values.values(), reverse=True)
    assert sum(family["share"] for family in described["families"]) == pytest.approx(1)


def test_labels_stand_as_in_the_survey(described: dict[str, Any]) -> None:
    model, dataset = hostile()
    found = survey(model, dataset)
    assert found is not None
    assert found.label_shares is not None
    table = described["label_table"]
    expected = found.label_shares[np.ix_(table["topics"], table["labels"])]
    np.testing.assert_allclose(table["shares"], expected, atol=6e-4)


def test_documents_show_their_text_or_their_words() -> None:
    model, dataset = hostile()
    content = describe(model, dataset, survey(model, dataset))
    assert all(document["words"] and "text" not in document for document in content["documents"])
    for whole, shown in (
        ("a text\nof lines", "a text of lines"),
        ("word " * (EXCERPT_LENGTH // 5 - 1) + "aword", "word " * (EXCERPT_LENGTH // 5 - 1) + "…"),
        ("x" * EXCERPT_LENGTH, "x" * EXCERPT_LENGTH + " …"),
    ):
        object.__setattr__(dataset.corpus, "excerpts", lambda rows, text=whole: [text for _ in rows])
        content = describe(model, dataset, survey(model, dataset))
        assert {document["text"] for document in content["documents"]} == {shown}
    assert all("words" not in document for document in content["documents"])


def test_the_same_model_gives_the_same_page(described: dict[str, Any]) -> None:
    model, dataset = hostile()
    assert describe(model, dataset, survey(model, dataset)) == described


@pytest.mark.parametrize("vocab_size", [1, 2, 30])
@pytest.mark.parametrize("num_topics", [1, 2, 5])
def test_small_models(vocab_size: int, num_topics: int) -> None:
    model = random_model([f"w{number}" for number in range(vocab_size)], num_topics, rho_size=2)
    corpus = corpus_of(np.ones((12, vocab_size), int), model.vocab or [])
    dataset = BowDataset(corpus, corpus.rows("train"))
    for given_dataset, found in ((None, None), (dataset, survey(model, dataset))):
        content = describe(model, given_dataset, found)
        json.dumps(content, allow_nan=False)
        assert len(content["topics"]) == num_topics
        assert set(content["words"]) == set(model.vocab or [])


def test_what_is_no_number_is_none() -> None:
    model, dataset = hostile()
    coherence = np.array([math.nan, 0.5, 0.1, 0.2, 0.3, 0.4])
    content = describe(model, dataset, survey(model, dataset), coherence)
    assert [topic["coherence"] for topic in content["topics"]] == [None, 0.5, 0.1, 0.2, 0.3, 0.4]


def test_corpus_figures() -> None:
    corpus = PlantedDataModule().corpus
    counts = planted_counts()
    figures = describe_corpus(corpus)
    assert [split["split"] for split in figures["splits"]] == list(SPLITS)
    for split in figures["splits"]:
        own = counts[corpus.rows(split["split"])].sum(axis=1)
        assert split["documents"] == len(own)
        assert split["empty"] == (own == 0).sum() > 0
        assert split["tokens"] == own.sum()
        assert split["mean_length"] == pytest.approx(own.mean())
    assert figures["num_words"] == len(VOCAB)


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 100))
def test_tokens_are_counted_over_any_chunks(num_documents: int, chunk: int, seed: int) -> None:
    counts = np.random.default_rng(seed).poisson(0.4, size=(num_documents, 5))
    corpus = corpus_of(counts, list("abcde"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("etm_app.data.corpus.DOCUMENTS_AT_ONCE", chunk)
        figures = describe_corpus(corpus)
    assert sum(split["tokens"] for split in figures["splits"]) == counts.sum()
    assert sum(split["empty"] for split in figures["splits"]) == (counts.sum(axis=1) == 0).sum()


def test_settings_are_shown_as_they_are_given() -> None:
    optimizer = {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.1, "fused": None}}
    given = {
        "relevance": 0.6,
        "optimizer": optimizer,
        "none": None,
        "of": {"a": 1, "b": ["x", "y"]},
        "many": [*range(99)],
    }
    assert plain(given) == {
        "relevance": 0.6, "optimizer": "Adam(lr=0.1)", "none": None, "of.a": 1, "of.b": "x, y", "many": "99 of them",
    }  # fmt: skip
