"""The page of a sweep: measures against the number of topics, and the topics with how stable they are."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from etm_app.data.corpus import BowCorpus
from etm_app.metrics.definitions import definition_of
from etm_app.report.page import fill, write_page
from etm_app.report.run import Value
from etm_app.sweep.results import SECONDS, STABILITY, Summary
from etm_app.sweep.tables import NOT_MEASURED, OWN_DEFINITIONS, SPLITS, show_spread

__all__ = ["write_sweep_page"]

# Charts with the metrics in them; of those of the topics alone all splits have the same values.
OF_TOPICS = {
    "Coherence": {"topic_coherence": "by probability", "relevance_coherence": "by relevance"},
    "Diversity": {"topic_diversity": "by probability", "relevance_diversity": "by relevance"},
    "Quality": {"topic_quality": "by probability", "relevance_quality": "by relevance"},
}
OF_DOCUMENTS = {
    "perplexity": "Perplexity",
    "nmi": "NMI with the labels",
    "purity": "Purity of the labels",
    "ari": "ARI with the labels",
    "accuracy": "Accuracy of labels from theta",
}
OF_SPLIT = {"val": "validation", "test": "test"}
LOGARITHMIC = 8  # the largest number of topics over the smallest


def write_sweep_page(
    summary: Summary, path: Path, corpus: BowCorpus, settings: Mapping[str, Mapping[str, Value]]
) -> Path:
    """Write it, as a whole or not at all.

    Args:
        summary: Of the sweep.
        path: The file.
        corpus: The documents.
        settings: Of all trials, by title and name.

    Raises:
        UserError: It cannot be written.
    """
    from plotly.offline import get_plotlyjs  # here, as only the end of a sweep needs it

    folder = files(__package__)
    there = {name: None for spreads in summary.measures.values() for name in spreads}
    num_topics = [*summary.measures]
    logarithmic = max(num_topics) >= LOGARITHMIC * min(num_topics)
    first = next(split for split in SPLITS if f"{split}_perplexity" in there)
    of_topics = {f"{first}_{name}": name for names in OF_TOPICS.values() for name in names}
    of_documents = {f"{split}_{name}": f"{split} {name}" for name in OF_DOCUMENTS for split in SPLITS}
    measures = {**of_documents, **of_topics, STABILITY: STABILITY, SECONDS: SECONDS}
    seeds = dict.fromkeys(seed for own in summary.seeds.values() for seed in own)
    page = fill(
        (folder / "template.html").read_text(encoding="utf-8"),
        (folder / "sweep.js").read_text(encoding="utf-8"),
        {"num_topics": num_topics, "logarithmic": logarithmic, "charts": _charts(summary)},
        {"plotly": get_plotlyjs()},
        summary=summary,
        seeds=[*seeds],
        num_documents=len(corpus),
        num_words=corpus.vocab_size,
        stability=STABILITY in there,
        not_measured=NOT_MEASURED,
        logarithmic=logarithmic,
        measures=[
            (name, shown.replace("_", " "), OWN_DEFINITIONS.get(name) or definition_of(name))
            for name, shown in measures.items()
            if name in there
        ],
        show_spread=show_spread,
        settings=settings,
    )
    return write_page(page, path, "sweep.folder")


def _charts(summary: Summary) -> list[dict[str, Any]]:
    charts = {
        OF_DOCUMENTS["perplexity"]: _by_split("perplexity"),
        **{
            title: {f"{split}_{name}": shown for name, shown in names.items() for split in SPLITS}
            for title, names in OF_TOPICS.items()
        },
        "Stability over seeds": {STABILITY: ""},
        **{title: _by_split(name) for name, title in OF_DOCUMENTS.items() if name != "perplexity"},
        "Seconds of a fit": {SECONDS: ""},
    }
    made = []
    for title, names in charts.items():
        series = {shown: one for name, shown in reversed(names.items()) if (one := _series(summary, name, shown))}
        if series:
            made.append({"title": title, "series": [*reversed(series.values())]})
    return made


def _by_split(name: str) -> dict[str, str]:
    return {f"{split}_{name}": shown for split, shown in OF_SPLIT.items()}


def _series(summary: Summary, name: str, shown: str) -> dict[str, Any] | None:
    spreads = [own.get(name) for own in summary.measures.values()]
    if not any(spreads):
        return None
    series: dict[str, Any] = {
        "name": shown,
        "mean": [spread and spread.mean for spread in spreads],
        "sd": [spread and spread.sd for spread in spreads],
        "values": [spread.values if spread else [] for spread in spreads],
    }
    if name == STABILITY:
        series["dots"] = [
            [
                (topic.stability, " ".join(topic.words[:5]))
                for topic in summary.topics
                if topic.num_topics == number and topic.stability is not None
            ]
            for number in summary.measures
        ]
    return series
