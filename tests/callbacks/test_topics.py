import csv
import json
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from etm_app.callbacks.topics import TopicTables
from etm_app.metrics.topics import npmi_coherence, topic_diversity
from etm_app.model import ETM
from tests.planted import SPLITS, VOCAB, PlantedDataModule


def validated(folder: Path, model: ETM, datamodule: PlantedDataModule, **kwargs: Any) -> TopicTables:
    """The callback after it looked at a model."""
    tables = TopicTables(**kwargs)
    logger = TensorBoardLogger(folder)
    trainer = Trainer(
        accelerator="cpu", logger=logger, callbacks=[tables], enable_progress_bar=False, default_root_dir=folder
    )
    trainer.validate(model, datamodule, verbose=False)
    return tables


def etm(vocab_size: int = len(VOCAB), **kwargs: Any) -> ETM:
    torch.manual_seed(0)
    return ETM(vocab_size, **{"num_topics": 4, "t_hidden_size": 8, "rho_size": 6, **kwargs})


@pytest.fixture
def model() -> ETM:
    return etm(queries=["a00", "no such word", "b03"])


@pytest.fixture
def tables(tmp_path: Path, model: ETM) -> TopicTables:
    return validated(tmp_path, model, PlantedDataModule(), num_neighbors=3)


def read_json(tables: TopicTables, name: str) -> Any:
    assert tables.folder is not None
    return json.loads((tables.folder / name).read_text(encoding="utf-8"))


def show(tables: TopicTables) -> str:
    console = Console(width=200, file=StringIO())
    tables.show(console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_every_topic_is_described(tables: TopicTables, model: ETM) -> None:
    datamodule = PlantedDataModule()
    topics = read_json(tables, "topics.json")
    assert [topic["topic"] for topic in topics] == [0, 1, 2, 3]
    assert [topic["words"] for topic in topics] == model.top_words(10)
    for topic, beta in zip(topics, model.beta, strict=True):
        assert topic["probabilities"] == pytest.approx(beta.sort(descending=True).values[:10].tolist())
    top_words = model.top_word_indices(10).numpy()
    expected = npmi_coherence(top_words, datamodule.training_set().chunks(7), len(VOCAB))
    assert [topic["coherence"] for topic in topics] == pytest.approx(expected.tolist())


def test_shares_are_those_of_the_tokens(tables: TopicTables, model: ETM) -> None:
    x = PlantedDataModule().x[[split == "train" for split in SPLITS]]
    expected = (x.sum(axis=1) @ model.theta(x).double().numpy()) / x.sum()
    shares = [topic["share"] for topic in read_json(tables, "topics.json")]
    assert shares == pytest.approx(expected.tolist(), rel=1e-5)
    assert sum(shares) == pytest.approx(1)


def test_csv_and_json_say_the_same(tables: TopicTables) -> None:
    assert tables.folder is not None
    with (tables.folder / "topics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(int(row["topic"]), int(row["rank"]), row["word"], float(row["probability"])) for row in rows] == [
        (topic["topic"], rank, word, probability)
        for topic in read_json(tables, "topics.json")
        for rank, (word, probability) in enumerate(zip(topic["words"], topic["probabilities"], strict=True), start=1)
    ]


def test_metrics_come_with_their_definitions(tables: TopicTables, model: ETM) -> None:
    metrics = read_json(tables, "metrics.json")
    assert {f"val_{name}" for name in ("elbo", "perplexity", "topic_coherence", "topic_diversity")} <= set(metrics)
    assert all(metric["definition"] and np.isfinite(metric["value"]) for metric in metrics.values())
    value = {name.removeprefix("val_"): metric["value"] for name, metric in metrics.items()}
    assert value["topic_diversity"] == pytest.approx(topic_diversity(model.top_word_indices(25).numpy()))
    coherence = [topic["coherence"] for topic in read_json(tables, "topics.json")]
    assert value["topic_coherence"] == pytest.approx(np.mean(coherence))
    assert value["topic_quality"] == pytest.approx(value["topic_coherence"] * value["topic_diversity"])


def test_neighbours_of_known_queries_are_found_and_unknown_ones_reported(tables: TopicTables, model: ETM) -> None:
    assert tables.neighbors == {query: model.nearest_words(query, 3) for query in ("a00", "b03")}
    assert tables.unknown_queries == ["no such word"]


def test_everything_is_shown(tables: TopicTables, model: ETM) -> None:
    shown = show(tables)
    assert all(" ".join(row) in shown for row in model.top_words(10))
    assert "no such word" in shown
    assert "perplexity" in shown


def test_tensorboard_has_topics_and_metrics(tables: TopicTables, model: ETM, tmp_path: Path) -> None:
    (events,) = tmp_path.rglob("events.out.tfevents.*")
    accumulator = EventAccumulator(str(events)).Reload()
    assert {"val_perplexity", "val_topic_coherence"} <= set(accumulator.Tags()["scalars"])
    (text,) = accumulator.Tensors("val_topics/text_summary")
    assert all(" ".join(row).encode() in text.tensor_proto.string_val[0] for row in model.top_words(10))


@pytest.mark.parametrize("vocab_size", [1, 2, 6])
def test_vocabularies_smaller_than_a_topic_list(tmp_path: Path, vocab_size: int) -> None:
    x = np.random.default_rng(0).integers(1, 4, size=(9, vocab_size))
    tables = validated(tmp_path, etm(vocab_size), PlantedDataModule(x, ["train", "val", "test"] * 3))
    assert all(len(topic["words"]) == vocab_size for topic in read_json(tables, "topics.json"))
    diversity = read_json(tables, "metrics.json")["val_topic_diversity"]["value"]
    assert diversity == pytest.approx(1 / 4)
    coherence = read_json(tables, "metrics.json")["val_topic_coherence"]["value"]
    assert (coherence is None) if vocab_size == 1 else (coherence == pytest.approx(1))  # always together
    assert str(vocab_size - 1) in show(tables)
