import csv
import json
import shutil
import subprocess
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from rich.console import Console

from etm_app.callbacks.topic_tables import TopicTables
from etm_app.data.corpus import BowCorpus
from etm_app.metrics.coherence import npmi_coherence, topic_diversity
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
    assert [*rows[0]] == ["topic", "name", "share", "coherence", "rank", "word", "probability", "relevance"]
    assert [
        (row["word"], *(float(row[name]) for name in ("topic", "rank", "probability", "relevance"))) for row in rows
    ] == [
        (word, topic["topic"], rank, probability, relevance)
        for topic in read_json(tables, "topics.json")
        for rank, (word, probability, relevance) in enumerate(
            zip(topic["words"], topic["probabilities"], topic["relevances"], strict=True), start=1
        )
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


def test_words_by_relevance_have_their_own_measures(tmp_path: Path) -> None:
    model = etm(relevance=0.4, rho_size=20)
    datamodule = PlantedDataModule()
    model.take_frequencies(datamodule.training_set().token_counts())
    tables = validated(tmp_path, model, datamodule)
    found = {name.removeprefix("val_"): metric["value"] for name, metric in read_json(tables, "metrics.json").items()}
    for by, weight in (("topic", 1.0), ("relevance", 0.4)):
        top_words = model.top_word_indices(25, weight).numpy()
        coherence = npmi_coherence(top_words, datamodule.training_set().chunks(), len(VOCAB)).mean()
        assert found[f"{by}_coherence"] == pytest.approx(coherence)
        assert found[f"{by}_diversity"] == pytest.approx(topic_diversity(top_words))
        assert found[f"{by}_quality"] == pytest.approx(found[f"{by}_coherence"] * found[f"{by}_diversity"])
    assert found["relevance_coherence"] != pytest.approx(found["topic_coherence"])
    for topic, beta in zip(read_json(tables, "topics.json"), model.beta, strict=True):
        places = [VOCAB.index(word) for word in topic["words"]]
        assert topic["probabilities"] == pytest.approx(beta[places].tolist())
        lift = np.log(topic["probabilities"]) - model.log_frequency[places].numpy()
        assert topic["relevances"] == pytest.approx(0.4 * np.log(topic["probabilities"]) + 0.6 * lift, abs=1e-5)
        assert topic["relevances"] == sorted(topic["relevances"], reverse=True)


def test_neighbours_of_known_queries_are_found_and_unknown_ones_reported(tables: TopicTables, model: ETM) -> None:
    assert tables.neighbors == {query: model.nearest_words(query, 3) for query in ("a00", "b03")}
    assert tables.unknown_queries == ["no such word"]


def test_everything_is_shown(tables: TopicTables, model: ETM) -> None:
    shown = show(tables)
    assert all(" ".join(row) in shown for row in model.top_words(10))
    assert "no such word" in shown
    assert "perplexity" in shown


def test_the_wide_table_has_a_row_for_each_topic(tables: TopicTables) -> None:
    assert tables.folder is not None
    wide = pl.read_csv(tables.folder / "topics_wide.csv")
    assert wide.columns == ["topic", "name", "share", "coherence", *(f"word_{rank}" for rank in range(1, 11))]
    topics = read_json(tables, "topics.json")
    assert wide.select("^word_.*$").rows() == [tuple(topic["words"]) for topic in topics]
    assert wide["share"].to_list() == pytest.approx([topic["share"] for topic in topics])
    long = pl.read_csv(tables.folder / "topics.csv")
    assert long.schema["topic"] == long.schema["rank"] == pl.Int64
    assert long.schema["share"] == long.schema["coherence"] == long.schema["probability"] == pl.Float64
    pivoted = long.pivot("rank", index="topic", values="word")
    assert pivoted.drop("topic").rows() == wide.select("^word_.*$").rows()


WILD = ["=1+1", "-cmd", "@x", "+y", "a,b", 'say "hi"', "ä ö", "naïve", "漢字", "'quoted", "new york", "tab\tbed"]


def test_words_are_text_in_a_spreadsheet(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(1, 4, size=(9, len(WILD)))
    tables = validated(tmp_path, etm(len(WILD)), Named(x, WILD), num_words=len(WILD), export_embeddings=True)
    assert tables.folder is not None
    risky = {word for word in WILD if word[0] in "=-@+"}
    for name in ("topics.csv", "topics_wide.csv"):
        with (tables.folder / name).open(encoding="utf-8", newline="") as file:
            cells = {cell for row in csv.reader(file) for cell in row}
        assert not risky & cells
        assert {"'" + word for word in risky} | (set(WILD) - risky) <= cells
    assert {word for topic in read_json(tables, "topics.json") for word in topic["words"]} == set(WILD)
    rho = pl.read_parquet(tables.folder / "rho.parquet")
    assert rho["word"].to_list() == WILD
    words, vectors = read_word2vec(tables.folder / "embeddings.txt")
    assert words == [word.replace(" ", "_").replace("\t", "_") for word in WILD] + [f"<topic_{k}>" for k in range(4)]
    np.testing.assert_array_equal(vectors[: len(WILD)], rho.drop("word").to_numpy())


class Named(PlantedDataModule):
    """Counts over words of any kind."""

    def __init__(self, x: Any, words: list[str]) -> None:
        super().__init__(x, ["train", "val", "test"] * (len(x) // 3))
        self.words = words

    def build(self) -> BowCorpus:
        return BowCorpus.from_matrix(self.x, self.words, self.splits)


def read_word2vec(path: Path) -> tuple[list[str], NDArray[np.float32]]:
    """As gensim reads it: lines of bytes, parted at single spaces."""
    head, *lines = path.read_bytes().split(b"\n")[:-1]
    rows = [line.decode().split(" ") for line in lines]
    size, dims = map(int, head.split())
    assert len(rows) == size
    assert all(len(row) == dims + 1 for row in rows)
    return [row[0] for row in rows], np.array([row[1:] for row in rows], dtype=np.float32)


def test_embeddings_are_written_where_they_are_asked_for(tmp_path: Path, model: ETM) -> None:
    tables = validated(tmp_path, model, PlantedDataModule(), export_embeddings=True)
    assert tables.folder is not None
    rho, alpha = (pl.read_parquet(tables.folder / f"{name}.parquet") for name in ("rho", "alpha"))
    assert (rho["word"].to_list(), alpha["topic"].to_list()) == (VOCAB, [0, 1, 2, 3])
    np.testing.assert_array_equal(rho.drop("word").to_numpy(), model.rho.numpy())
    np.testing.assert_array_equal(alpha.drop("topic").to_numpy(), model.alpha.numpy())
    assert rho.columns == ["word", *(f"dim_{dim}" for dim in range(6))]
    _, vectors = read_word2vec(tables.folder / "embeddings.txt")
    np.testing.assert_array_equal(vectors, torch.cat((model.rho, model.alpha)).numpy())
    assert all((tables.folder / name).is_file() for name in tables.written())


def test_gensim_reads_the_embeddings(tmp_path: Path, model: ETM) -> None:
    models = pytest.importorskip("gensim.models", reason="gensim is of the extra bench")
    tables = validated(tmp_path, model, PlantedDataModule(), export_embeddings=True)
    assert tables.folder is not None
    vectors = models.KeyedVectors.load_word2vec_format(tables.folder / "embeddings.txt")
    assert vectors.index_to_key == [*VOCAB, *(f"<topic_{topic}>" for topic in range(4))]
    np.testing.assert_array_equal(vectors.vectors, torch.cat((model.rho, model.alpha)).numpy())
    assert vectors.most_similar("a00", topn=1)[0][0] in vectors.index_to_key


ODD = ["nan", "null", "NA", "None", "n/a", "NaN", "NULL", "N/A", "<NA>", "#N/A", "true", "-nan"]
CSV = ("topics.csv", "topics_wide.csv", "metrics_table.csv")


def odd_tables(folder: Path) -> tuple[Path, list[str]]:
    """Tables whose words look like missing values, and those words in the order of topics.csv."""
    x = np.random.default_rng(0).integers(1, 4, size=(9, len(ODD)))
    tables = validated(folder, etm(len(ODD)), Named(x, ODD), num_words=len(ODD))
    assert tables.folder is not None
    return tables.folder, [word for topic in read_json(tables, "topics.json") for word in topic["words"]]


def test_pandas_and_polars_lose_no_word_by_their_defaults(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas comes with the extra bench")
    folder, words = odd_tables(tmp_path)
    for name in CSV:
        read = pandas.read_csv(folder / name)
        assert not read.isna().any(axis=None)
        assert pl.read_csv(folder / name).null_count().sum_horizontal().item() == 0
        assert {str(kind) for kind in read.dtypes} <= {"int64", "float64", "str", "object"}
    assert [word.removeprefix("'") for word in pandas.read_csv(folder / "topics.csv")["word"]] == words
    wide = pandas.read_csv(folder / "topics_wide.csv").iloc[:, 4:].to_numpy().ravel()
    assert [str(word).removeprefix("'") for word in wide] == words


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed")
def test_r_loses_no_word_by_its_defaults(tmp_path: Path) -> None:
    folder, words = odd_tables(tmp_path)
    code = "; ".join(f'stopifnot(!anyNA(read.csv("{name}")))' for name in CSV)
    done = subprocess.run(
        ["Rscript", "-e", code + '; writeLines(read.csv("topics.csv")$word)'],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert [word.removeprefix("'") for word in done.stdout.splitlines()] == words


def test_parquet_has_the_rows_of_the_csv_and_the_words_as_they_are(tmp_path: Path) -> None:
    folder, words = odd_tables(tmp_path)
    table, csv_table = pl.read_parquet(folder / "topics.parquet"), pl.read_csv(folder / "topics.csv")
    assert table["word"].to_list() == words
    assert table.schema == csv_table.schema
    marked = ("name", "word")
    assert table.drop(marked).equals(csv_table.drop(marked))
    assert table["name"].equals(csv_table["name"].str.strip_prefix("'"))


def test_the_table_of_metrics_says_what_the_json_says(tables: TopicTables) -> None:
    assert tables.folder is not None
    table = pl.read_csv(tables.folder / "metrics_table.csv")
    assert table.columns == ["metric", "split", "value", "definition"]
    metrics = read_json(tables, "metrics.json")
    assert {f"{split}_{metric}": value for metric, split, value, _ in table.rows()} == {
        name: metric["value"] for name, metric in metrics.items()
    }
    assert [definition.removeprefix("'") for definition in table["definition"]] == [
        metric["definition"] for metric in metrics.values()
    ]


def test_embeddings_are_not_written_otherwise(tables: TopicTables) -> None:
    assert tables.folder is not None
    assert {path.name for path in tables.folder.iterdir() if path.suffix in (".csv", ".json", ".parquet", ".txt")} == {
        *tables.written(),
        "run.json",
    }


@pytest.mark.parametrize("vocab_size", [1, 2, 6])
def test_vocabularies_smaller_than_a_topic_list(tmp_path: Path, vocab_size: int) -> None:
    x = np.random.default_rng(0).integers(1, 4, size=(9, vocab_size))
    tables = validated(tmp_path, etm(vocab_size), PlantedDataModule(x, ["train", "val", "test"] * 3))
    assert all(len(topic["words"]) == vocab_size for topic in read_json(tables, "topics.json"))
    diversity = read_json(tables, "metrics.json")["val_topic_diversity"]["value"]
    assert diversity == pytest.approx(1 / 4)
    assert len(pl.read_csv(tables.folder / "topics_wide.csv").columns) == 4 + vocab_size  # type: ignore[operator]
    coherence = read_json(tables, "metrics.json")["val_topic_coherence"]["value"]
    assert (coherence is None) if vocab_size == 1 else (coherence == pytest.approx(1))  # always together
    assert str(vocab_size - 1) in show(tables)
