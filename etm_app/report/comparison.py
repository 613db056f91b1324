"""Two models side by side: which topics are the same, and what has changed in them and in the measures."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from numpy.typing import NDArray

from etm_app.errors import UserError, reading
from etm_app.files import replacing
from etm_app.metrics.definitions import DEFINITIONS
from etm_app.metrics.matching import match_topics, on_common_words
from etm_app.model import ETM
from etm_app.report.spreadsheet import safe_cells

__all__ = [
    "Recorded",
    "check_comparable",
    "compare",
    "comparison_table",
    "is_comparison",
    "read_recorded",
    "write_comparison",
]

TOP_WORDS = 10
SCHEMA = {
    "topic": pl.Int64,
    "other": pl.Int64,
    "cosine": pl.Float64,
    "share": pl.Float64,
    "other_share": pl.Float64,
    "name": pl.String,
    "other_name": pl.String,
    "gained": pl.String,
    "lost": pl.String,
}
MAX_FILE = 2**24  # bytes of a run's tables that are read


@dataclass(frozen=True)
class Recorded:
    """A model, and what its run has written beside it.

    Attributes:
        model: The model.
        name: What it is called.
        metrics: Values by logged name; none where they are not known.
        shares: Of the topics, [K]; None where they are not known.
    """

    model: ETM
    name: str = "the other model"
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    shares: list[float | None] | None = None


def read_recorded(path: Path | str, argument: str = "report.compare") -> Recorded:
    """The model of a run folder or a checkpoint, with the measures of its run where they are those of the checkpoint.

    Args:
        path: The folder of a run, of which best.ckpt is taken, or a checkpoint, which may be a stranger's.
        argument: What names it, for the message.

    Raises:
        UserError: There is no such file, or none that fit wrote.
    """
    path = Path(path).expanduser()
    checkpoint = path / "checkpoints" / "best.ckpt" if path.is_dir() else path
    try:
        model = ETM.load_from_checkpoint(checkpoint)
    except UserError as error:
        raise UserError(str(error).replace("ckpt_path", argument)) from None  # the command shows a cause in its place
    folder = checkpoint.resolve().parents[1]
    if checkpoint.name != "best.ckpt" or not (folder / "metrics.json").is_file():
        return Recorded(model, checkpoint.name)
    topics = _read(folder / "topics.json", argument) if (folder / "topics.json").is_file() else []
    shares = [topic.get("share") for topic in topics if isinstance(topic, dict)]
    metrics = _read(folder / "metrics.json", argument)
    values = {name: of.get("value") for name, of in metrics.items() if isinstance(of, dict)}
    if not all(isinstance(value, int | float | None) for value in [*shares, *values.values()]):
        raise UserError(f"{argument}: metrics.json or topics.json in {folder} are none that fit wrote.")
    return Recorded(model, folder.name, values, shares if len(shares) == len(model.alpha) else None)


def _read(path: Path, argument: str) -> Any:
    """A table of a run, in the form that it has there: a list of topics, a dict of metrics."""

    def refuse(wrong: str) -> UserError:
        return UserError(f"{argument}: {path} {wrong}; expected the file as fit wrote it, or none.")

    with reading((OSError, ValueError, RecursionError), refuse):
        if path.stat().st_size > MAX_FILE:
            raise refuse(f"has more than {MAX_FILE:,} bytes")
        content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, list if path.name == "topics.json" else dict):
        raise refuse("is of another form")
    return content


def check_comparable(recorded: Recorded, argument: str) -> None:
    """Refuse a model whose topics cannot be matched with another's.

    Raises:
        UserError: It has no vocabulary.
    """
    if recorded.model.vocab is None:
        raise UserError(f"{argument}: {recorded.name} has no vocabulary, by which topics are matched; expected one.")


def compare(
    model: ETM,
    other: Recorded | ETM | Path | str,
    shares: NDArray[Any] | Sequence[float | None] | None = None,
    metrics: Mapping[str, float | None] | None = None,
) -> dict[str, Any]:
    """What is the same in two models, and what is not.

    Topics are matched one to one by the cosine of their probabilities of the words that both models know; the words of
    a topic are the first by relevance, in both by that of the first model.

    Args:
        model: The model.
        other: The one to compare with, or its run folder or checkpoint.
        shares: Of the model's topics, [K].
        metrics: Of the model, by logged name.

    Returns:
        ``other`` (its name), ``common_words`` (how many both know), ``topics`` (for each pair ``topic``, ``other``,
        ``cosine``, ``share``, ``other_share``, ``name``, ``other_name``, the words ``gained`` here and those ``lost``),
        ``unmatched`` (topics ``here`` and ``there`` without a partner: ``topic``, ``name``, ``share``), ``metrics``
        (``name``, ``here``, ``there``) and ``without_metrics`` (whether the other's are not known); None for what is
        not known.

    Raises:
        UserError: The other is no model, or knows none of the model's words; or there are words of one alone.
    """
    if isinstance(other, ETM):
        other = Recorded(other)
    elif not isinstance(other, Recorded):
        other = read_recorded(other, "other")
    check_comparable(other, "other")
    here, there = (of.beta.double().cpu().numpy() for of in (model, other.model))
    here, there, common = on_common_words(here, model.known_vocab, there, other.model.known_vocab)
    if not common:
        raise UserError(
            f"report.compare: {other.name} knows none of the {model.vocab_size:,} words of this model; "
            "expected a model of the same language, its words made in the same way."
        )
    matching = match_topics(here, there)
    names, other_names = model.topic_names, other.model.topic_names
    words, other_words = (of.top_words(TOP_WORDS, model.relevance) for of in (model, other.model))
    own_shares = (
        [None] * len(names) if shares is None else [share if share is None else float(share) for share in shares]
    )
    other_shares = other.shares or [None] * len(other_names)
    topics = [
        {
            "topic": first,
            "other": second,
            "cosine": round(cosine, 4),
            "share": own_shares[first],
            "other_share": other_shares[second],
            "name": names[first],
            "other_name": other_names[second],
            "gained": [word for word in words[first] if word not in other_words[second]],
            "lost": [word for word in other_words[second] if word not in words[first]],
        }
        for first, second, cosine in zip(*(of.tolist() for of in matching), strict=True)
    ]
    in_order = [f"{split}_{metric}" for metric in DEFINITIONS for split in ("train", "val", "test")]
    known = {name: metrics[name] for name in in_order if metrics and name in metrics and name in other.metrics}
    return {
        "other": other.name,
        "common_words": len(common),
        "topics": topics,
        "unmatched": {
            "here": _unmatched(names, own_shares, {topic["topic"] for topic in topics}),
            "there": _unmatched(other_names, other_shares, {topic["other"] for topic in topics}),
        },
        "metrics": [
            {"name": name, "here": _finite(value), "there": _finite(other.metrics[name])}
            for name, value in known.items()
        ],
        "without_metrics": not other.metrics,
    }


def _unmatched(names: list[str], shares: list[Any], matched: set[Any]) -> list[dict[str, Any]]:
    return [
        {"topic": topic, "name": name, "share": shares[topic]}
        for topic, name in enumerate(names)
        if topic not in matched
    ]


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def comparison_table(comparison: dict[str, Any]) -> pl.DataFrame:
    """A table of `compare`'s topics, a row for each pair and for each topic without a partner."""
    rows = [
        {**topic, **{change: " ".join(topic[change]) or None for change in ("gained", "lost")}}
        for topic in comparison["topics"]
    ]
    rows += [{name: topic[name] for name in ("topic", "share", "name")} for topic in comparison["unmatched"]["here"]]
    rows += [
        {"other": topic["topic"], "other_share": topic["share"], "other_name": topic["name"]}
        for topic in comparison["unmatched"]["there"]
    ]
    return pl.DataFrame(rows, SCHEMA)


def write_comparison(comparison: dict[str, Any], path: Path) -> None:
    """Write the table.

    Raises:
        UserError: It cannot be written.
    """
    with replacing(path, "report.path") as unfinished:
        safe_cells(comparison_table(comparison)).write_csv(unfinished)


def is_comparison(path: Path) -> bool:
    """Whether a file is a table of `write_comparison`, by its first line."""
    with path.open("rb") as file:
        return file.readline(1_000).rstrip() == ",".join(SCHEMA).encode()
