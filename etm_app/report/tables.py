"""What is known of the topics, as files that other tools read."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from etm_app.files import replacing
from etm_app.model import ETM
from etm_app.report.drift import Drift
from etm_app.report.over_time import Groups, OverTime
from etm_app.report.spreadsheet import safe_cells
from etm_app.report.survey import Survey

__all__ = [
    "Topic",
    "show_metric",
    "write_drift",
    "write_embeddings",
    "write_groups",
    "write_metrics",
    "write_topics",
]

OF_A_WORD = {"words": "word", "probabilities": "probability", "relevances": "relevance"}  # lists of a topic


@dataclass(frozen=True)
class Topic:
    """A topic in the tables.

    Attributes:
        topic: Its number.
        name: What it is called.
        share: Its share of the training documents' tokens, or None where these are not known.
        coherence: NPMI coherence of its most probable words in the training documents, or None.
        words: Its top words, the most relevant first.
        probabilities: Theirs.
        relevances: Theirs, nats, see `TopicModel.word_relevance`.
    """

    topic: int
    name: str
    share: float | None
    coherence: float | None
    words: list[str]
    probabilities: list[float]
    relevances: list[float]


def write_topics(topics: Sequence[Topic], folder: Path) -> None:
    """Write topics.json, topics_wide.csv with a row for each topic, topics.csv and topics.parquet with one a word.

    In Parquet words are as they are; in CSV some have a mark before them, see `safe_cells`.
    """
    text = json.dumps([asdict(topic) for topic in topics], indent=1, ensure_ascii=False)
    with replacing(folder / "topics.json") as path:
        path.write_text(text, encoding="utf-8")
    schema = {"topic": pl.Int64, "name": pl.String, "share": pl.Float64, "coherence": pl.Float64}
    wide = pl.DataFrame(
        [asdict(topic) for topic in topics],
        schema={
            **schema,
            "words": pl.List(pl.String),
            "probabilities": pl.List(pl.Float64),
            "relevances": pl.List(pl.Float64),
        },
    )
    ranked = wide.with_columns(rank=pl.int_ranges(1, pl.col("words").list.len() + 1))
    long = ranked.explode("rank", *OF_A_WORD).rename(OF_A_WORD)
    long = long.select(*schema, "rank", *OF_A_WORD.values())
    with replacing(folder / "topics.parquet") as path:
        long.write_parquet(path)
    with replacing(folder / "topics.csv") as path:
        safe_cells(long).write_csv(path)
    columns = [pl.col("words").list.get(rank).alias(f"word_{rank + 1}") for rank in range(len(topics[0].words))]
    with replacing(folder / "topics_wide.csv") as path:
        safe_cells(wide.select(*schema, *columns)).write_csv(path)


def write_groups(survey: Survey, model: ETM, folder: Path) -> list[str]:
    """Write the topics by label and by period, with a row for each and each topic, where the documents have such.

    Args:
        survey: What was found.
        model: Whose topics they are.
        folder: Where topics_by_label.csv, topics_by_period.csv and topic_words_by_period.csv are written.

    Returns:
        The names of those that are.
    """
    tables: dict[str, pl.DataFrame] = {}
    topics = pl.DataFrame({"topic": range(len(model.alpha)), "name": model.topic_names})
    if survey.by_label is not None:
        tables["topics_by_label.csv"] = _by_group(survey.by_label, topics, "label")
    if (by_period := survey.by_period) is not None:
        tables["topics_by_period.csv"] = _by_group(by_period, topics, "period", start=by_period.starts)
        tables["topic_words_by_period.csv"] = _words_by_period(by_period, topics, model.known_vocab)
    for name, table in tables.items():
        with replacing(folder / name) as path:
            safe_cells(table).write_csv(path)
    return list(tables)


def _by_group(found: Groups, topics: pl.DataFrame, kind: str, **more: Sequence[str]) -> pl.DataFrame:
    groups = pl.DataFrame({kind: found.names, **more, "documents": found.documents})
    return groups.join(topics, how="cross").with_columns(share=found.shares.T.ravel())


def _words_by_period(found: OverTime, topics: pl.DataFrame, vocab: Sequence[str]) -> pl.DataFrame:
    words = found.words.join(topics, on="topic", how="left", maintain_order="left")
    return words.select(
        "topic",
        "name",
        period=pl.Series([found.names[period] for period in words["period"]], dtype=pl.String),
        change=pl.when(pl.col("score") > 0).then(pl.lit("gained")).otherwise(pl.lit("lost")),
        word=pl.Series([vocab[word] for word in words["word"]], dtype=pl.String),
        score="score",
        share="share",
        elsewhere="elsewhere",
    )


def write_drift(drifts: Sequence[Drift], folder: Path) -> None:
    """Write topic_drift.csv with a row for each topic, the largest drift first; several words in a cell, by spaces."""
    table = pl.DataFrame(
        [{**asdict(drift), "gained": " ".join(drift.gained), "lost": " ".join(drift.lost)} for drift in drifts]
    )
    with replacing(folder / "topic_drift.csv") as path:
        safe_cells(table).write_csv(path)


def write_metrics(metrics: Mapping[str, float], definitions: Mapping[str, str], folder: Path) -> None:
    """Write the value of every metric, null where it is not finite, with its definition.

    metrics.json by logged name, ``val_perplexity``; metrics_table.csv with a row for each metric and split
    (metrics.csv is the file of Lightning's CSVLogger).
    """
    table = {
        name: {"value": value if math.isfinite(value) else None, "definition": definitions[name]}
        for name, value in sorted(metrics.items())
    }
    with replacing(folder / "metrics.json") as path:
        path.write_text(json.dumps(table, indent=1), encoding="utf-8")
    rows = [(metric, split, *table[name].values()) for name in table for split, _, metric in [name.partition("_")]]
    schema = {"metric": pl.String, "split": pl.String, "value": pl.Float64, "definition": pl.String}
    with replacing(folder / "metrics_table.csv") as path:
        safe_cells(pl.DataFrame(rows, schema, orient="row")).write_csv(path)


def write_embeddings(model: ETM, folder: Path) -> None:
    """Write rho.parquet and alpha.parquet, ``word`` or ``topic`` and ``dim_0`` …, and both as embeddings.txt.

    embeddings.txt is word2vec's text format. It parts its columns by spaces, so a white space in a word becomes ``_``;
    the topics come after the words as ``<topic_0>`` ….
    """
    dims = [f"dim_{dim}" for dim in range(model.rho.shape[1])]
    rho, alpha = (
        pl.DataFrame(embeddings.float().cpu().numpy(), schema=dict.fromkeys(dims, pl.Float32))
        for embeddings in (model.rho, model.alpha)
    )
    words = rho.insert_column(0, pl.Series("word", model.vocab, dtype=pl.String))
    topics = alpha.insert_column(0, pl.int_range(len(alpha), eager=True).alias("topic"))
    for table, name in ((words, "rho.parquet"), (topics, "alpha.parquet")):
        with replacing(folder / name) as path:
            table.write_parquet(path)
    with replacing(folder / "embeddings.txt") as path, path.open("wb") as file:
        file.write(f"{len(words) + len(topics)} {len(dims)}\n".encode())
        for table in (
            words.with_columns(pl.col("word").str.replace_all(r"\s", "_")),
            topics.with_columns(pl.format("<topic_{}>", "topic").alias("topic")),
        ):
            table.write_csv(file, include_header=False, separator=" ", quote_style="never")


def show_metric(value: float | None) -> str:
    """A number with as many digits as mean something, as the terminal and the page show it."""
    if value is None or not math.isfinite(value):
        return "–"
    if float(value).is_integer() and abs(value) < 1e6:
        return f"{value:,.0f}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"
