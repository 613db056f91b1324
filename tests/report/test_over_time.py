import csv
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from etm_app.callbacks.tensorboard import TensorBoardTopics, groups_image
from etm_app.callbacks.topic_tables import TopicTables
from etm_app.data.corpus import BowCorpus, BowDataset
from etm_app.model import ETM
from etm_app.report import over_time as module
from etm_app.report.content import describe
from etm_app.report.over_time import Groups, OverTime, WordsOverTime, moves
from etm_app.report.survey import Survey, survey
from etm_app.report.tables import write_groups
from etm_app.report.terminal import show_changes
from tests.planted import SPLITS, VOCAB, PlantedDataModule, planted_counts

YEARS = [None if row % 11 == 0 else 2000 + row % 3 for row in range(len(SPLITS))]
LABELS = [None if row % 7 == 0 else "abc"[row % 3] for row in range(len(SPLITS))]
INFERENCES: Any = st.sampled_from(["mixture", "mixed_membership", "encoder"])


def etm(inference: Any = "mixture", vocab: list[str] = VOCAB, num_topics: int = 4) -> ETM:
    torch.manual_seed(0)
    model = ETM(len(vocab), num_topics, t_hidden_size=8, rho_size=6, inference=inference)
    with torch.no_grad():  # so that documents differ
        model.topics.alpha.mul_(8)
        model.topics.rho.mul_(8)
    model.vocab = vocab
    return model.eval()


def corpus(**columns: Any) -> BowCorpus:
    return BowCorpus.from_matrix(planted_counts(), VOCAB, SPLITS, **columns)


def surveyed(model: ETM, of: BowCorpus) -> Survey:
    found = survey(model, BowDataset(of, of.rows("train")))
    assert found is not None
    return found


def in_pieces(chunk: int, model: ETM, of: BowCorpus) -> Survey:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("etm_app.data.corpus.DOCUMENTS_AT_ONCE", chunk)
        patch.setattr(module, "AT_ONCE", chunk)
        patch.setattr(module, "FALSE_DISCOVERIES", 1.0)
        patch.setattr(module, "MAX_CHANGES", 1_000)
        return surveyed(model, of)


def expected_words(model: ETM, x: NDArray[Any]) -> NDArray[np.float64]:
    """n_dv q_dvk, [D, V, K]."""
    theta, beta = model.theta(x).double().numpy(), model.beta.double().numpy()
    if model.inference == "mixture":
        return x[:, :, None] * theta[:, None, :]
    q = theta[:, None, :] * beta.T
    return x[:, :, None] * q / q.sum(axis=2, keepdims=True)


@given(st.integers(1, 70), INFERENCES)
@settings(max_examples=6, deadline=None)
def test_it_is_what_theta_of_all_documents_says(chunk: int, inference: str) -> None:
    """Shares, and the score of every word, against all documents at once and the formula as it is written."""
    model, x = etm(inference), planted_counts()
    found = in_pieces(chunk, model, corpus(labels=LABELS, times=YEARS))
    used = (x.sum(1) > 0) & (np.array(SPLITS) == "train")
    theta = model.theta(x).double().numpy()
    for groups, names, of in ((found.by_label, "abc", LABELS), (found.by_period, [2000, 2001, 2002], YEARS)):
        assert groups is not None
        for group, name in enumerate(groups.names):
            own = used & [str(value) == name for value in of]
            assert groups.documents[group] == own.sum()
            expected = x[own].sum(1) @ theta[own] / x[own].sum()
            np.testing.assert_allclose(groups.shares[:, group], expected, rtol=1e-4)
        assert sorted(groups.names) == [str(name) for name in names]
    assert found.by_period is not None
    counts = expected_words(model, x)
    changes = found.by_period.words
    assert len(changes) > 3 * 4 * 30
    for topic, period, word, score, share, elsewhere in changes.iter_rows():
        own, others = (used & [year is not None and (year == 2000 + period) == is_own for year in YEARS]
                       for is_own in (True, False))  # fmt: skip
        y, n = zip(*((counts[of, word, topic].sum(), counts[of, :, topic].sum()) for of in (own, others)), strict=True)
        a = max(100 * sum(y) / sum(n), 1e-9)
        odds = [np.log((y[i] + a) / (n[i] + 100 - y[i] - a)) for i in range(2)]
        variances = [
            (max(y[i], (counts[of, word, topic] ** 2).sum()) + a) / (y[i] + a) ** 2
            for i, of in enumerate((own, others))
        ]
        assert score == pytest.approx((odds[0] - odds[1]) / np.sqrt(sum(variances)), rel=1e-3, abs=1e-3)
        assert (share, elsewhere) == pytest.approx((y[0] / n[0], y[1] / n[1]), rel=1e-3, abs=1e-6)


def test_without_labels_and_times_there_are_no_groups() -> None:
    found = surveyed(etm(), corpus())
    assert found.by_label is found.by_period is None
    assert surveyed(etm(), corpus(times=[2001] * len(SPLITS))).by_period is None
    only_test = [None if split == "train" else 2000 + row for row, split in enumerate(SPLITS)]
    assert surveyed(etm(), corpus(times=only_test)).by_period is None


# A topic that grows, and one of its words that takes the place of another

GROWTH = np.linspace(0.05, 0.45, 8)
OLD, NEW = 0, 60


def planted(seed: int) -> tuple[ETM, BowCorpus, NDArray[np.float64]]:
    """The model that documents were drawn from, they, and the topics' shares in what was drawn, [K, P]."""
    rng = np.random.default_rng(seed)
    beta = np.repeat(np.eye(4), 15, axis=1) * rng.dirichlet(np.full(15, 3.0), size=4).ravel()
    beta = np.concatenate((beta, np.zeros((4, 1))), axis=1)
    beta[0, OLD] = 0.15
    x, years, drawn = np.zeros((1_600, 61), int), [], np.zeros((4, len(GROWTH)))
    for row in range(len(x)):
        period = row % len(GROWTH)
        mean = np.array([GROWTH[period], *[(1 - GROWTH[period]) / 3] * 3])
        topics = rng.multinomial(rng.poisson(30) + 1, rng.dirichlet(3 * mean))
        drawn[:, period] += topics
        for topic, number in enumerate(topics):
            x[row] += rng.multinomial(number, beta[topic] / beta[topic].sum())
        if period >= 4:
            x[row, NEW], x[row, OLD] = x[row, OLD], 0
        years.append(2000 + period)
    beta[0, NEW] = beta[0, OLD]
    vocab = [f"w{word:02}" for word in range(61)]
    model = ETM(61, 4, rho_size=4, inference="mixed_membership", warm_start=False)
    with torch.no_grad():  # softmax(rho alpha) = beta
        model.topics.rho.copy_(torch.from_numpy(np.log(beta + 1e-6)).T)
        model.topics.alpha.copy_(torch.eye(4))
    model.vocab = vocab
    corpus = BowCorpus.from_matrix(x, vocab, ["train"] * len(x), times=years)
    return model.eval(), corpus, drawn / drawn.sum(axis=0)


@pytest.mark.parametrize("seed", range(2))
def test_what_was_planted_is_found(seed: int) -> None:
    model, of, drawn = planted(seed)
    found = surveyed(model, of).by_period
    assert found is not None
    assert (found.unit, found.names) == ("year", [str(2000 + period) for period in range(8)])
    assert found.documents.tolist() == [200] * 8
    np.testing.assert_allclose(found.shares, drawn, atol=0.02)
    words = {(period, word): score for topic, period, word, score, _, _ in found.words.iter_rows() if topic == 0}
    assert all(words[period, OLD] > 0 for period in range(2, 4))
    assert all(words[period, NEW] < 0 for period in range(2, 4))
    assert all(words[period, OLD] < 0 for period in range(4, 8))
    assert all(words.get((period, NEW), 1) > 0 for period in range(4, 8))
    chance = [score for (_, word), score in words.items() if word not in (OLD, NEW)]
    assert len(chance) <= 1
    assert len(found.words.filter(pl.col("topic") != 0)) <= 1
    ((rising, early, late), *falling) = moves(found)
    assert rising == 0
    assert early < 0.2 < 0.33 < late
    assert all(after < before for _, before, after in falling)


def test_chance_moves_no_topic() -> None:
    rng = np.random.default_rng(0)
    shares = rng.multinomial(300, [0.1, 0.2, 0.3, 0.4], size=12).T / 300
    assert moves(Groups([str(of) for of in range(12)], np.full(12, 300), shares)) == []
    two = Groups(["a", "b"], np.array([900, 100]), np.array([[0.1, 0.5], [0.9, 0.5]]))
    assert moves(two) == [(0, 0.1, 0.5), (1, 0.9, 0.5)]


def test_few_words_are_followed_where_topics_and_periods_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(WordsOverTime(etm(), 3).words) == 4 * len(VOCAB)
    monkeypatch.setattr(module, "MAX_FOLLOWED", 4 * 3 * 10)
    assert WordsOverTime(etm(), 3).counts.size <= 120


@pytest.mark.parametrize(("repeated_in", "is_news"), [(1, False), (30, True)])
def test_a_word_that_one_document_repeats_is_no_news(repeated_in: int, is_news: bool) -> None:
    x = np.ones((400, 3), int)
    x[:repeated_in, 2] += 60 // repeated_in  # as many of it in the first year, either way
    of = BowCorpus.from_matrix(x, ["a", "b", "c"], ["train"] * 400, times=[2000 + row // 40 for row in range(400)])
    found = surveyed(etm(vocab=["a", "b", "c"], num_topics=1), of).by_period
    assert found is not None
    gained = {(period, word) for _, period, word, score, _, _ in found.words.iter_rows() if score > 0}
    assert gained == ({(0, 2)} if is_news else set())


# What is shown


@pytest.fixture
def shown() -> tuple[ETM, BowCorpus, Survey]:
    model, of, _ = planted(0)
    model.vocab = ["=new" if word == NEW else name for word, name in enumerate(of.vocab)]
    return model, of, surveyed(model, of)


def test_tables(tmp_path: Path, shown: tuple[ETM, BowCorpus, Survey]) -> None:
    model, _, found = shown
    by_period = found.by_period
    assert by_period is not None
    names = write_groups(found, model, tmp_path)
    assert names == ["topics_by_period.csv", "topic_words_by_period.csv"]
    table = pl.read_csv(tmp_path / names[0])
    assert table.columns == ["period", "start", "documents", "topic", "name", "share"]
    assert table["start"].to_list()[::4] == [f"{year}-01-01" for year in range(2000, 2008)]
    np.testing.assert_allclose(table["share"].to_numpy().reshape(8, 4), by_period.shares.T)
    with (tmp_path / names[1]).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [*rows[0]] == ["topic", "name", "period", "change", "word", "score", "share", "elsewhere"]
    assert {row["word"] for row in rows} == {"w00", "'=new"}  # no formula for a spreadsheet
    assert all((float(row["score"]) > 0) == (row["change"] == "gained") for row in rows)


class Timed(PlantedDataModule):
    """The planted corpus with labels and times."""

    def build(self) -> BowCorpus:
        return corpus(labels=LABELS, times=YEARS)


def test_what_a_run_leaves(tmp_path: Path) -> None:
    tables = TopicTables()
    trainer = Trainer(
        accelerator="cpu", logger=TensorBoardLogger(tmp_path), callbacks=[tables, TensorBoardTopics()],
        enable_progress_bar=False,
    )  # fmt: skip
    trainer.validate(etm(), Timed(), verbose=False)
    assert tables.folder is not None
    assert tables.written()[4:-2] == ["topics_by_label.csv", "topics_by_period.csv", "topic_words_by_period.csv"]
    assert all((tables.folder / name).is_file() for name in tables.written())
    (events,) = tmp_path.rglob("events.out.tfevents.*")
    images = EventAccumulator(str(events)).Reload().Tags()["images"]
    assert set(images) == {"topics/similarity", "topics/by_period", "topics/by_label"}
    console = Console(width=200, file=StringIO())
    tables.show(console)
    assert "(2000 to 2002)" in console.file.getvalue()  # type: ignore[attr-defined]


def test_a_table_by_label(tmp_path: Path) -> None:
    model = etm()
    model.name_topics({2: "=2"})
    found = surveyed(model, corpus(labels=[f"={label}" if label else None for label in LABELS]))
    assert write_groups(found, model, tmp_path) == ["topics_by_label.csv"]
    table = pl.read_csv(tmp_path / "topics_by_label.csv")
    assert table.columns == ["label", "documents", "topic", "name", "share"]
    assert table["name"].to_list()[:4] == [*model.topic_names[:2], "'=2", model.topic_names[3]]
    assert set(table["label"]) == {"'=a", "'=b", "'=c"}
    assert table.group_by("label").agg(pl.col("share").sum())["share"].to_list() == pytest.approx([1, 1, 1])


def test_the_page_has_them(shown: tuple[ETM, BowCorpus, Survey]) -> None:
    model, of, found = shown
    by_period = found.by_period
    assert by_period is not None
    content = describe(model, BowDataset(of, of.rows("train")), found)
    periods = content["periods"]
    assert periods["names"] == by_period.names
    assert periods["starts"][1] == "2001-01-01"
    assert (periods["unit"], periods["documents"]) == ("year", [200] * 8)
    np.testing.assert_allclose(periods["shares"], by_period.shares, atol=1e-4)
    seen = {
        (topic, period, model.known_vocab.index(content["words"][word]), gained)
        for topic, own in enumerate(periods["words"])
        for period, *both in own
        for gained, words in zip((True, False), both, strict=True)
        for word in words
    }
    assert seen == {
        (topic, period, word, score > 0) for topic, period, word, score, _, _ in by_period.words.iter_rows()
    }
    assert describe(model, None, None)["periods"] is None


def test_terminal(shown: tuple[ETM, BowCorpus, Survey], capsys: pytest.CaptureFixture[str]) -> None:
    by_period = shown[2].by_period
    assert by_period is not None
    names = [f"word{topic}" for topic in range(4)]
    console = Console(width=300)
    show_changes(console, by_period, names)
    rising, falling, *_ = capsys.readouterr().out.splitlines()
    assert rising.startswith("Rising from the first to the last third of the documents (2000 to 2007): 0 word0 (")
    assert all(f"{topic} word{topic} (" in falling for topic in (1, 2, 3))
    same = OverTime(["a", "b"], np.array([50, 50]), np.full((4, 2), 0.25), "year", [], pl.DataFrame())
    show_changes(console, same, names)
    assert capsys.readouterr().out.startswith("No topic rises or falls by more than chance from the first")


@pytest.mark.parametrize("columns", [2, 8, 120])
def test_the_heat_map_has_a_row_for_a_topic_and_a_column_for_a_group(columns: int) -> None:
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(4), size=columns).T
    shares[:, 0] = [0, 0, 0, 1]
    model = etm()
    image = np.asarray(groups_image(model, Groups(["group"] * columns, np.ones(columns, int), shares))).astype(int)
    cell = min(1000 // max(4, columns), 40)
    heat = image[: 4 * cell, image.shape[1] - columns * cell :][cell // 2 :: cell, cell // 2 :: cell].sum(axis=2)
    assert heat.shape == (4, columns)
    assert sorted(heat[:, 0]) == [heat.min(), *[heat.max()] * 3]
    assert (heat.min(axis=1) == heat.min()).all()  # each has its largest share somewhere
    labelled = cell >= 10
    assert (image.shape[1] > columns * cell, image.shape[0] > 4 * cell) == (labelled, labelled)
