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

from etm_app.report.drift import Drift
from etm_app.report.over_time import OverTime, moves
from etm_app.report.tables import Topic, show_metric

__all__ = [
    "make_console", "make_table", "show_changes", "show_comparison", "show_drift", "show_metrics", "show_neighbors",
    "show_path", "show_topics",
]  # fmt: skip

NUM_CHANGES = 3  # topics that rise, and that fall
MOST_DRIFTS = 10  # topics whose drift is shown
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


def show_topics(console: Console, topics: Sequence[Topic], named: bool = False) -> None:
    """Print the topics, the largest first.

    Args:
        console: Where to.
        topics: The topics.
        named: Whether with their names: those that nobody gave say no more than the words.
    """
    table = make_table(console, "Topics, largest first")
    for column in ("topic", "share", "coherence"):
        table.add_column(column, justify="right", no_wrap=True)
    if named:
        table.add_column("name", overflow="fold")
    table.add_column("words", overflow="fold")
    for topic in sorted(topics, key=lambda topic: -(topic.share or 0)):
        share = "" if topic.share is None else f"{topic.share:.1%}"
        coherence = "" if topic.coherence is None else f"{topic.coherence:.2f}"
        texts = [topic.name] * named + [" ".join(topic.words)]
        table.add_row(str(topic.topic), share, coherence, *map(Text, texts))
    _print(console, table)


def show_changes(console: Console, found: OverTime, names: Sequence[str]) -> None:
    """Print the topics that gain and lose most over time, in a line each, where they do by more than chance."""
    over = f"from the first to the last third of the documents ({found.names[0]} to {found.names[-1]})"
    changes = moves(found)
    ways = {
        "Rising": [of for of in changes if of[2] > of[1]],
        "Falling": [of for of in reversed(changes) if of[2] < of[1]],
    }
    if not changes:
        console.print(Text(f"No topic rises or falls by more than chance {over}.\n"), soft_wrap=True)
        return
    for way, own in ways.items():
        shown = [f"{topic} {names[topic]} ({early:.1%} to {late:.1%})" for topic, early, late in own[:NUM_CHANGES]]
        if shown:
            console.print(Text(f"{way} {over}: {'; '.join(shown)}"), soft_wrap=True)
    console.print()


def show_drift(console: Console, drifts: Sequence[Drift]) -> None:
    """Print the largest drifts of topics, and of how many nothing is said."""
    if not drifts:
        return
    table = make_table(console, "Drift of the topics since before these documents, largest first")
    for column in ("topic", "cosine"):
        table.add_column(column, justify="right", no_wrap=True)
    for column in ("words gained", "words lost", "nearest to what was"):
        table.add_column(column, overflow="fold")
    shown = drifts[:MOST_DRIFTS]
    for drift in shown:
        other = "" if drift.nearest == drift.topic else f"topic {drift.nearest} ({drift.nearest_cosine:.2f})"
        words = (Text(" ".join(words)) for words in (drift.gained, drift.lost))
        table.add_row(str(drift.topic), f"{drift.cosine:.2f}", *words, other)
    _print(console, table)
    if rest := drifts[MOST_DRIFTS:]:
        console.print(f"The other {len(rest)} topics: cosine {rest[0].cosine:.2f} and more.\n", soft_wrap=True)


def show_neighbors(
    console: Console, neighbors: Mapping[str, Sequence[tuple[str, float]]], unknown: Sequence[str]
) -> None:
    """Print the nearest words of each query, and the queries that are no words of the vocabulary."""
    if neighbors:
        table = make_table(console, "Nearest words")
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
    table = make_table(console, "Metrics")
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
    table = make_table(console, f"Topics here and in {other}, most changed first")
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
        table = make_table(console, f"Measures here and in {other}")
        for column in ("metric", "here", "there"):
            table.add_column(column, justify="left" if column == "metric" else "right")
        for metric in shown:
            table.add_row(metric["name"], show_metric(metric["here"]), show_metric(metric["there"]))
        _print(console, table)


def make_table(console: Console, title: str) -> Table:
    """An empty table as all of ours look: with rules where there is a terminal to draw them on."""
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
