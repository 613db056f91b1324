"""What is printed at the end of a run."""

import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from etm_app.report.tables import Topic, show_metric

__all__ = ["make_console", "show_comparison", "show_metrics", "show_neighbors", "show_path", "show_topics"]

COMPARED = ("perplexity", "topic_coherence", "topic_diversity", "relevance_coherence", "nmi", "accuracy")
PIPE_WIDTH = 1_000  # characters: in a file no line is wrapped


def make_console() -> Console:
    """The terminal, or for a pipe or a file plain lines that are as long as they need to be."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a word that the encoding lacks must not end the run
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PIPE_WIDTH)


def show_path(path: Path | str) -> str:
    """A path as one would type it here: below the working folder without that."""
    path = Path(path)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def show_topics(console: Console, topics: Sequence[Topic]) -> None:
    """Print the topics, the largest first."""
    table = _table(console, "Topics, largest first")
    for column in ("topic", "share", "coherence"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("words", overflow="fold")
    for topic in sorted(topics, key=lambda topic: -(topic.share or 0)):
        share = "" if topic.share is None else f"{topic.share:.1%}"
        coherence = "" if topic.coherence is None else f"{topic.coherence:.2f}"
        table.add_row(str(topic.topic), share, coherence, Text(" ".join(topic.words)))
    _print(console, table)


def show_neighbors(
    console: Console, neighbors: Mapping[str, Sequence[tuple[str, float]]], unknown: Sequence[str]
) -> None:
    """Print the nearest words of each query, and the queries that are no words of the vocabulary."""
    if neighbors:
        table = _table(console, "Nearest words")
        table.add_column("query")
        table.add_column("words (cosine)", overflow="fold")
        for query, words in neighbors.items():
            table.add_row(Text(query), Text(" ".join(f"{word} ({cosine:.2f})" for word, cosine in words)))
        _print(console, table)
    if unknown:
        console.print(Text(f"Queries not in the vocabulary, skipped: {', '.join(unknown)}\n"), soft_wrap=True)


def show_metrics(console: Console, metrics: Mapping[str, float], definitions: Mapping[str, str]) -> None:
    """Print the metrics, a line for each, with a column for each split, and as much of their definitions as fits.

    Args:
        console: Where to.
        metrics: Values by split and name, ``val_perplexity``.
        definitions: By name, ``perplexity``, in the order to print.
    """
    table = _table(console, "Metrics")
    table.expand = console.is_terminal  # so that the definitions, not the values, give way
    table.add_column("metric", no_wrap=True)
    splits = [split for split in ("train", "val", "test") if any(name.startswith(f"{split}_") for name in metrics)]
    for split in splits:
        table.add_column(split, justify="right", no_wrap=True)
    table.add_column("definition", style="dim", ratio=1, no_wrap=True, overflow="ellipsis")
    for name, definition in definitions.items():
        values = [metrics.get(f"{split}_{name}") for split in splits]
        if any(value is not None for value in values):
            table.add_row(name, *("" if value is None else show_metric(value) for value in values), definition)
    _print(console, table)


def show_comparison(console: Console, comparison: Mapping[str, Any]) -> None:
    """Print what `compare` found: the topics that have changed most first, and the main measures side by side."""
    other = comparison["other"]
    table = _table(console, f"Topics here and in {other}, most changed first")
    for column in ("topic", "there", "cosine", "share", "there"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("name, words gained and lost", overflow="fold")
    for topic in sorted(comparison["topics"], key=lambda topic: topic["cosine"]):
        shares = ("" if topic[share] is None else f"{topic[share]:.1%}" for share in ("share", "other_share"))
        words = Text(
            topic["name"] if topic["name"] == topic["other_name"] else f"{topic['name']} ({topic['other_name']})"
        )
        words.append("".join(f" +{word}" for word in topic["gained"]), "green")
        words.append("".join(f" -{word}" for word in topic["lost"]), "red")
        table.add_row(str(topic["topic"]), str(topic["other"]), f"{topic['cosine']:.2f}", *shares, words)
    _print(console, table)
    for where, place in (("here", "here"), ("there", f"in {other}")):
        if alone := comparison["unmatched"][where]:
            named = "; ".join(f"{topic['topic']} {topic['name']}" for topic in alone)
            console.print(Text(f"Only {place}, {len(alone)} topics: {named}\n"), soft_wrap=True)
    if comparison["without_metrics"]:
        console.print(
            Text(f"The measures of {other} are not known: a run has those of its best.ckpt beside it.\n"),
            soft_wrap=True,
        )
    shown = [metric for metric in comparison["metrics"] if metric["name"].partition("_")[2] in COMPARED]
    if shown:
        table = _table(console, f"Measures here and in {other}")
        for column in ("metric", "here", "there"):
            table.add_column(column, justify="left" if column == "metric" else "right")
        for metric in shown:
            table.add_row(metric["name"], show_metric(metric["here"]), show_metric(metric["there"]))
        _print(console, table)


def _table(console: Console, title: str) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD if console.is_terminal else None,
        pad_edge=False,
    )


def _print(console: Console, table: Table) -> None:
    if console.is_terminal:
        console.print(table)
        return
    with console.capture() as capture:
        console.print(table)
    console.file.write("".join(f"{line.rstrip()}\n" for line in capture.get().splitlines()) + "\n")
