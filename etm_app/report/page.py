"""The page itself: content, style and script in one HTML file."""

import json
from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime, timezone
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from etm_app import __version__
from etm_app.data.corpus import BowDataset
from etm_app.errors import UserError
from etm_app.files import replacing
from etm_app.metrics.definitions import DEFINITIONS
from etm_app.model import ETM
from etm_app.report.comparison import comparison_table
from etm_app.report.content import LAMBDA_STEPS, NEAREST_WORDS, NEIGHBORS, describe, describe_corpus
from etm_app.report.documents import LEAST_SHARE
from etm_app.report.run import Run, Value
from etm_app.report.spreadsheet import MARKED
from etm_app.report.survey import survey, survey_of
from etm_app.report.tables import show_metric

__all__ = ["fill", "is_report", "render", "show_value", "write_page", "write_report"]

STAGES = ("train", "val", "test")
MAX_EPOCHS = 200  # in the curves and their table
GENERATOR = "etm_app"  # as the page names it, within its first 1,000 bytes
HEADLINE = ("perplexity", "topic_coherence", "topic_diversity")
SCRIPTS = ("page", "panel", "list", "map", "pictures", "time", "documents", "save", "start")  # in this order
MAX_CELLS = 6_000  # of the table over time; the CSV has all
LEAST_LABEL = 0.1  # share of a label in a topic that is named in the list
PRINTED = 40  # documents, as report.css has it
SHORT = 20  # words of a document, below which few pairs of words ever meet


def write_report(model: ETM, dataset: BowDataset | None, path: Path | str, run: Run | None = None) -> Path:
    """Write a page with the topics of a model, to be opened in any browser, now and without a network.

    Args:
        model: A trained model.
        dataset: Documents with its vocabulary, most often those it was trained on (``model.training_set``,
            ``datamodule.training_set()``); without them there is nothing about shares, coherence and documents.
        path: The file; replaced if it is there, and never left half written.
        run: What is known of the training.

    Returns:
        The path.

    Raises:
        UserError: The file cannot be written, or the documents have another vocabulary.
    """
    if dataset is not None and dataset.corpus.vocab_size != model.vocab_size:
        raise UserError(
            f"dataset: its vocabulary has {dataset.corpus.vocab_size} words, the model's {model.vocab_size}; "
            "expected documents with the vocabulary that the model was trained on."
        )
    run = run or Run()
    found = None
    if dataset is not None:
        found = survey_of(model) if dataset is model.training_set else survey(model, dataset)
    return write_page(render(describe(model, dataset, found, run.coherence), dataset, run), Path(path))


def write_page(page: str, path: Path, argument: str = "report.path") -> Path:
    """Write a file that is there as a whole or not at all.

    Args:
        page: Its content.
        path: The file.
        argument: What says where it is, for the message.

    Raises:
        UserError: It cannot be written.
    """
    with replacing(path, argument) as unfinished:
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(page.encode("utf-8", "replace"))  # a word may be half of a surrogate pair
    return path


def is_report(path: Path) -> bool:
    """Whether a file is a page that this package wrote."""
    with path.open("rb") as file:
        return f'name="generator" content="{GENERATOR}"'.encode() in file.read(1_000)


def render(content: dict[str, Any], dataset: BowDataset | None, run: Run) -> str:
    """The page as HTML.

    Args:
        content: What `describe` found.
        dataset: The documents it was found in.
        run: What is known of the training.
    """
    content = {**content, "compare": run.comparison}
    folder = files(__package__)
    script = "".join((folder / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS)
    topics, metrics, history = content["topics"], _metrics_by_name(run.metrics), _thinned(run.history)
    corpus = None if dataset is None else describe_corpus(dataset.corpus)
    known_shares = topics[0]["share"] is not None
    known_coherence = any(topic["coherence"] is not None for topic in topics)
    mean_length = corpus["splits"][0]["mean_length"] if corpus else 0
    # The texts stand in the markup; the script needs the topics alone.
    documents = [document["topics"] for document in content["documents"]]
    compared = None if run.comparison is None else comparison_table(run.comparison)
    return fill(
        (folder / "template.html").read_text(encoding="utf-8"),
        script,
        {
            **content,
            "documents": documents,
            "history": history,
            "compare_table": compared is not None and {"columns": compared.columns, "rows": compared.rows()},
            "marked": MARKED,
            "least_label": LEAST_LABEL,
        },
        topics=topics,
        known_shares=known_shares,
        largest_share=max((topic["share"] or 0 for topic in topics), default=0) or 1,
        known_coherence=known_coherence,
        largest_in_time=max((max(row) for row in (content["periods"] or {}).get("shares", [])), default=0) or 1,
        num_columns=2 + known_shares + known_coherence + bool(content["labels"]),
        mean_length=mean_length,
        short_documents=0 < mean_length < SHORT,
        content=content,
        limits={
            "epochs": MAX_EPOCHS,
            "nearest": NEAREST_WORDS,
            "neighbors": NEIGHBORS,
            "least_share": LEAST_SHARE,
            "printed": PRINTED,
            "cells": MAX_CELLS,
            "label": LEAST_LABEL,
        },
        lambda_steps=LAMBDA_STEPS,
        corpus=corpus,
        run=run,
        history_rows=_history_rows(history),
        metrics=metrics,
        stages=[stage for stage in STAGES if any(stage in values for _, values, _ in metrics)],
        headline=[
            (name.removeprefix("topic_"), name, next(reversed(values.values())))
            for name, values, _ in metrics
            if name in HEADLINE
        ],
    )


def fill(template: str, script: str, data: Any, libraries: Mapping[str, str] | None = None, **values: Any) -> str:
    """A page that needs nothing else, from a template with its scripts and our style.

    Words, names and texts come from strangers. Jinja escapes what stands in the markup, `as_data` what a script reads,
    scripts set text and never markup, and the policy in the head lets no others run and nothing be loaded.

    Args:
        template: The markup, for Jinja.
        script: Its own, which has what is common to our pages before it.
        data: What that reads, what JSON can say.
        libraries: Scripts of others, by their names in the template.
        values: For the template.
    """
    # Here, as only the end of a run needs them.
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    folder = files(__package__)
    common = (folder / "common.js").read_text(encoding="utf-8")
    scripts = {"script": f'"use strict";\n{{\n{common}{script}}}\n', **(libraries or {})}
    inline = {name: _inline(text) for name, text in scripts.items()}
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "value": show_value,
        "share": "{:.1%}".format,
        "percent": "{:.0%}".format,
        "signed": lambda value: f"{value:.2f}".replace("-", "−"),
        "metric": show_metric,
    }
    return environment.from_string(template).render(
        data=Markup(as_data(data)),
        style=Markup((folder / "report.css").read_text(encoding="utf-8")),
        policy="; ".join(
            [
                "default-src 'none'",
                "script-src " + " ".join(_digest(script) for script in inline.values()),
                "style-src 'unsafe-inline'",  # widths of bars
                "img-src data: blob:",  # a heat map, and pictures to save
                "base-uri 'none'",
                "form-action 'none'",
            ]
        ),
        version=__version__,
        generator=GENERATOR,
        date=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        **{name: Markup(script) for name, script in inline.items()},
        **values,
    )


def as_data(content: Any) -> str:
    """JSON that can stand in a script element whatever its strings are."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.translate({ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"})


def _inline(script: str) -> str:
    """A script as a browser reads it within a page: it unifies line ends, and so must what is hashed."""
    return script.replace("\r\n", "\n").replace("\r", "\n").replace("</script", "<\\/script")


def _digest(script: str) -> str:
    return f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'"


def _metrics_by_name(metrics: dict[str, float]) -> list[tuple[str, dict[str, float], str]]:
    """Name, value by split, and definition, in the order of the definitions."""
    rows = []
    for name, definition in DEFINITIONS.items():
        values = {stage: metrics[f"{stage}_{name}"] for stage in STAGES if f"{stage}_{name}" in metrics}
        if values:
            rows.append((name, values, definition))
    return rows


def _thinned(history: dict[str, list[tuple[float, float]]]) -> dict[str, list[tuple[float, float | None]]]:
    """The history at no more than `MAX_EPOCHS` epochs, the last among them; a value that is no number is a gap."""
    epochs = sorted({epoch for values in history.values() for epoch, _ in values})
    places = np.linspace(0, len(epochs) - 1, min(MAX_EPOCHS, len(epochs))).round().astype(int)
    kept = {epochs[place] for place in places}
    return {
        name: [
            (epoch, float(f"{value:.6g}") if np.isfinite(value) else None) for epoch, value in values if epoch in kept
        ]
        for name, values in history.items()
    }


def _history_rows(
    history: dict[str, list[tuple[float, float | None]]],
) -> list[tuple[float, list[float | None]]]:
    """The history as a table: epochs, and for each the values of all metrics."""
    by_epoch = {name: dict(values) for name, values in history.items()}
    epochs = sorted({epoch for values in by_epoch.values() for epoch in values})
    return [(epoch, [values.get(epoch) for values in by_epoch.values()]) for epoch in epochs]


def show_value(value: Value) -> str:
    """A setting as it is written in a config."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "null" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
