"""What a sweep has come to, as tables: for other tools, and on the terminal."""

from pathlib import Path

import polars as pl
from rich.console import Console

from etm_app.files import replacing
from etm_app.metrics.definitions import DEFINITIONS
from etm_app.report.spreadsheet import safe_cells
from etm_app.report.tables import show_metric
from etm_app.report.terminal import make_table
from etm_app.sweep.results import SECONDS, STABILITY, Spread, Summary

__all__ = ["NOT_MEASURED", "OWN_DEFINITIONS", "SPLITS", "show_spread", "show_sweep", "write_tables"]

ON_TERMINAL = {
    "perplexity": "perplexity",
    "topic_coherence": "coherence",
    "topic_diversity": "diversity",
    "topic_quality": "quality",
    "relevance_quality": "quality by relevance",
    "nmi": "nmi",
    "accuracy": "accuracy",
}
OWN_DEFINITIONS = {
    STABILITY: "topics of two seeds matched one to one by the cosine of their word probabilities (Hungarian method); "
    "mean cosine over topics and pairs of seeds, 1 where all seeds give the same topics",
    SECONDS: "of the whole fit, its evaluation included",
}
NOT_MEASURED = "Stability is not measured, as it takes two seeds."
SPLITS = ("val", "test")
MEASURES = [*(f"{split}_{name}" for split in SPLITS for name in DEFINITIONS), STABILITY, SECONDS]


def write_tables(summary: Summary, folder: Path) -> list[str]:
    """Write sweep.csv, a row for each number of topics, and sweep_topics.csv, a row for each topic of the first seed.

    Returns:
        Their names.
    """
    there = [name for name in MEASURES if any(name in spreads for spreads in summary.measures.values())]
    rows = []
    for num_topics, spreads in summary.measures.items():
        row: dict[str, float | int | None] = {"num_topics": num_topics, "runs": len(summary.seeds[num_topics])}
        for name in there:
            if spread := spreads.get(name):
                row |= {f"{name}_mean": spread.mean, f"{name}_sd": spread.sd}
        rows.append(row)
    floats = {f"{name}_{of}": pl.Float64 for name in there for of in ("mean", "sd")}
    table = pl.DataFrame(rows, schema={"num_topics": pl.Int64, "runs": pl.Int64, **floats})
    words = range(max(len(topic.words) for topic in summary.topics))
    topics = pl.DataFrame(
        [
            {
                **{name: value for name, value in vars(topic).items() if name != "words"},
                **{f"word_{rank + 1}": word for rank, word in enumerate(topic.words)},
            }
            for topic in summary.topics
        ],
        schema={
            **dict.fromkeys(("num_topics", "seed", "topic"), pl.Int64),
            **dict.fromkeys((STABILITY, "share", "coherence"), pl.Float64),
            **{f"word_{rank + 1}": pl.String for rank in words},
        },
    )
    written = {"sweep.csv": table, "sweep_topics.csv": safe_cells(topics)}
    for name, content in written.items():
        with replacing(folder / name, "sweep.folder") as path:
            content.write_csv(path)
    return [*written]


def show_sweep(console: Console, summary: Summary) -> None:
    """Print a row for each number of topics: mean ± standard deviation over seeds."""
    there = {name for spreads in summary.measures.values() for name in spreads}
    split = next(split for split in SPLITS if f"{split}_perplexity" in there)
    columns = {f"{split}_{name}": shown for name, shown in ON_TERMINAL.items() if f"{split}_{name}" in there}
    columns |= {name: name for name in (STABILITY, SECONDS) if name in there}
    title = f"By number of topics: mean ± standard deviation over seeds, {split} documents"
    table = make_table(console, title)
    for shown in ("topics", "runs", *columns.values()):
        table.add_column(shown, justify="right")
    for num_topics, spreads in summary.measures.items():
        shown_values = [show_spread(spreads.get(name)) for name in columns]
        table.add_row(str(num_topics), str(len(summary.seeds[num_topics])), *shown_values)
    console.print(table)
    console.print(f"{STABILITY}: {OWN_DEFINITIONS[STABILITY]}." if STABILITY in there else NOT_MEASURED, soft_wrap=True)


def show_spread(spread: Spread | None) -> str:
    """Mean ± standard deviation, where there are several values."""
    if spread is None:
        return ""
    mean = show_metric(spread.mean)
    return mean if spread.sd is None else f"{mean} ± {spread.sd:.{len(mean.partition('.')[2])}f}"
