"""The topics as tables: on the terminal, in the run folder and in TensorBoard."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from jsonargparse.typing import PositiveInt
from numpy.typing import NDArray
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from rich.console import Console
from rich.table import Table
from rich.text import Text

from etm_app.callbacks.survey import Survey, survey_of
from etm_app.metrics.agreement import AGREEMENT_DEFINITIONS
from etm_app.metrics.elbo import ELBO_DEFINITIONS
from etm_app.metrics.perplexity import PERPLEXITY_DEFINITIONS
from etm_app.metrics.topics import TOPIC_DEFINITIONS, npmi_coherence, topic_diversity
from etm_app.metrics.usage import USAGE_DEFINITIONS
from etm_app.model import ETM

__all__ = ["TopicTables"]

DEFINITIONS = {
    **ELBO_DEFINITIONS,
    **PERPLEXITY_DEFINITIONS,
    **TOPIC_DEFINITIONS,
    **USAGE_DEFINITIONS,
    **AGREEMENT_DEFINITIONS,
}
METRIC_WORDS = 25
CHUNK = 10_000  # documents looked at at once when counting over the training corpus


class TopicTables(Callback):
    """Measures the topics at every validation and test, and writes them as tables.

    In the run folder, after every `validate` and `test` (`fit` ends with both, of its best checkpoint):
    ``topics.csv`` and ``topics.json`` with top words, their probabilities, share and coherence of each topic;
    ``metrics.json`` with the value and the definition of every metric.

    Args:
        num_words: Words shown of each topic.
        num_neighbors: Nearest words shown of each of the model's queries.
    """

    def __init__(self, num_words: PositiveInt = 10, num_neighbors: PositiveInt = 8) -> None:
        self.num_words = num_words
        self.num_neighbors = num_neighbors
        self.metrics: dict[str, float] = {}
        self.topics: list[dict[str, Any]] = []
        self.neighbors: dict[str, list[tuple[str, float]]] = {}
        self.unknown_queries: list[str] = []
        self.coherence: NDArray[np.float64] | None = None
        self.survey: Survey | None = None
        self.folder: Path | None = None

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log coherence, diversity and quality; show the topics in TensorBoard."""
        if not trainer.sanity_checking:
            self._measure(trainer, pl_module, "val")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log coherence, diversity and quality; show the topics in TensorBoard."""
        self._measure(trainer, pl_module, "test")

    def _measure(self, trainer: Trainer, model: LightningModule, stage: str) -> None:
        assert isinstance(model, ETM)
        values = self._quality(model)
        model.log_dict({f"{stage}_{name}": value for name, value in values.items()}, sync_dist=True)
        words = model.top_words(self.num_words)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
                rows = [f"| {topic} | {' '.join(row)} |" for topic, row in enumerate(words)]
                text = "\n".join(["| topic | words |", "|---|---|", *rows])
                logger.experiment.add_text(f"{stage}_topics", text, trainer.global_step)

    def _quality(self, model: ETM) -> dict[str, float]:
        top_words = model.top_word_indices(METRIC_WORDS).cpu().numpy()
        values = {"topic_diversity": topic_diversity(top_words)}
        if model.training_set is not None:
            self.coherence = npmi_coherence(top_words, model.training_set.chunks(CHUNK), model.vocab_size)
            values["topic_coherence"] = float(self.coherence.mean())
            values["topic_quality"] = values["topic_coherence"] * values["topic_diversity"]
        return values

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the tables after `validate`; in the middle of a fit there is nothing final to write."""
        if trainer.state.fn == "validate":
            self.write(trainer, pl_module)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the tables."""
        self.write(trainer, pl_module)

    def write(self, trainer: Trainer, model: LightningModule) -> None:
        """Write the tables of the model as it is, with the metrics that the trainer has just logged."""
        assert isinstance(model, ETM)
        logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.metrics |= {name: value for name, value in logged.items() if name.startswith(("val_", "test_"))}
        if not self.metrics:  # nothing to evaluate on
            self.metrics = {f"train_{name}": value for name, value in self._quality(model).items()}
        self.survey = survey_of(model) if trainer.is_global_zero else None
        probabilities = model.beta.topk(min(self.num_words, model.vocab_size)).values.tolist()
        self.topics = [
            {
                "topic": topic,
                "share": None if self.survey is None else float(self.survey.shares[topic]),
                "coherence": None if self.coherence is None else float(self.coherence[topic]),
                "words": words,
                "probabilities": probabilities[topic],
            }
            for topic, words in enumerate(model.top_words(self.num_words))
        ]
        known = set(model.vocab or ())
        self.unknown_queries = [query for query in model.queries if query not in known]
        self.neighbors = {
            query: model.nearest_words(query, self.num_neighbors) for query in model.queries if query in known
        }
        folder = Path(trainer.log_dir or trainer.default_root_dir)  # in all processes: Lightning broadcasts it
        if trainer.is_global_zero:
            self.folder = folder
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write_files(self.folder)

    def _write_files(self, folder: Path) -> None:
        (folder / "topics.json").write_text(json.dumps(self.topics, indent=1, ensure_ascii=False), encoding="utf-8")
        with (folder / "topics.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["topic", "share", "coherence", "rank", "word", "probability"])
            for topic in self.topics:
                for rank, (word, probability) in enumerate(
                    zip(topic["words"], topic["probabilities"], strict=True), start=1
                ):
                    writer.writerow([topic["topic"], topic["share"], topic["coherence"], rank, word, probability])
        metrics = {
            name: {"value": value if np.isfinite(value) else None, "definition": definition_of(name)}
            for name, value in sorted(self.metrics.items())
        }
        (folder / "metrics.json").write_text(json.dumps(metrics, indent=1), encoding="utf-8")

    def show(self, console: Console) -> None:
        """Print topics, metrics with definitions, and neighbours of the queries."""
        table = Table(title="Topics, largest first", title_justify="left")
        for column in ("topic", "share", "coherence"):
            table.add_column(column, justify="right")
        table.add_column("words", overflow="fold")
        for topic in sorted(self.topics, key=lambda topic: -(topic["share"] or 0)):
            share = "" if topic["share"] is None else f"{topic['share']:.1%}"
            coherence = "" if topic["coherence"] is None else f"{topic['coherence']:.2f}"
            table.add_row(str(topic["topic"]), share, coherence, Text(" ".join(topic["words"])))
        console.print(table)
        if self.neighbors:
            nearest = Table(title="Nearest words", title_justify="left")
            nearest.add_column("query")
            nearest.add_column("words (cosine)", overflow="fold")
            for query, words in self.neighbors.items():
                nearest.add_row(Text(query), Text(" ".join(f"{word} ({cosine:.2f})" for word, cosine in words)))
            console.print(nearest)
        if self.unknown_queries:
            console.print(Text(f"Queries not in the vocabulary, skipped: {', '.join(self.unknown_queries)}"))
        metrics = Table(title="Metrics", title_justify="left")
        metrics.add_column("metric")
        stages = [stage for stage in ("train", "val", "test") if any(name.startswith(stage) for name in self.metrics)]
        for stage in stages:
            metrics.add_column(stage, justify="right")
        metrics.add_column("definition", overflow="fold", style="dim")
        for name, definition in DEFINITIONS.items():
            values = [self.metrics.get(f"{stage}_{name}") for stage in stages]
            if any(value is not None for value in values):
                metrics.add_row(name, *("" if value is None else _readable(value) for value in values), definition)
        console.print(metrics)


def _readable(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"


def definition_of(metric: str) -> str:
    """The definition of a metric by its logged name, with the split's name before it."""
    return DEFINITIONS.get(metric.split("_", 1)[1], "")
