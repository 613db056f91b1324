"""The topics as tables: in the run folder and on the terminal."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jsonargparse.typing import PositiveInt
from numpy.typing import NDArray
from pytorch_lightning import Callback, LightningModule, Trainer
from rich.console import Console

from etm_app.callbacks.evaluation import OnEvaluations
from etm_app.callbacks.provenance import write_run
from etm_app.callbacks.run_folder import run_folder
from etm_app.metrics.coherence import npmi_coherence, topic_diversity
from etm_app.metrics.definitions import DEFINITIONS, definition_of
from etm_app.model import ETM
from etm_app.report.drift import Drift, drift_of
from etm_app.report.names import read_names
from etm_app.report.survey import Survey, fingerprint, survey_of
from etm_app.report.tables import Topic, write_drift, write_embeddings, write_groups, write_metrics, write_topics
from etm_app.report.terminal import show_changes, show_drift, show_metrics, show_neighbors, show_topics

__all__ = ["TopicTables"]

METRIC_WORDS = 25


class TopicTables(OnEvaluations, Callback):
    """Measures the topics at every validation and test, and writes them as tables.

    In the run folder, after every `validate` and `test` (`fit` ends with both, of its best checkpoint):
    ``topics.csv``, ``topics.parquet``, ``topics_wide.csv`` and ``topics.json`` with the most relevant words of each
    topic, their probabilities and relevance, its share and coherence; ``metrics_table.csv`` and ``metrics.json`` with
    the value and the definition of every metric; ``run.json`` with what made them, from versions to the
    command; where the documents have labels or times, ``topics_by_label.csv``, ``topics_by_period.csv`` and
    ``topic_words_by_period.csv``; where training went on with other documents, ``topic_drift.csv``.

    Args:
        num_words: Words shown of each topic.
        num_neighbors: Nearest words shown of each of the model's queries.
        names: File with names of topics, in place of those that the model has: a CSV with columns ``topic`` and
            ``name``, or YAML of lines ``3: space``. Everything shows them, and checkpoints that are saved keep them.
        export_embeddings: Whether to write the embeddings of words and topics too: rho.parquet, alpha.parquet, and both
            in word2vec's text format as embeddings.txt. They take about ten bytes a number.

    Attributes:
        command: What was typed, for run.json.
    """

    def __init__(
        self,
        num_words: PositiveInt = 10,
        num_neighbors: PositiveInt = 8,
        names: Path | None = None,
        export_embeddings: bool = False,
    ) -> None:
        self.num_words = num_words
        self.names = names
        self.num_neighbors = num_neighbors
        self.export_embeddings = export_embeddings
        self.command: Sequence[str] | None = None
        self.seed: int | None = None
        self.metrics: dict[str, float] = {}
        self.topics: list[Topic] = []
        self.named = False
        self.drifts: list[Drift] = []
        self.neighbors: dict[str, list[tuple[str, float]]] = {}
        self.unknown_queries: list[str] = []
        self.coherence: NDArray[np.float64] | None = None
        self.survey: Survey | None = None
        self.folder: Path | None = None
        self._names: dict[int, str] = {}
        self._of_groups: list[str] = []  # tables
        self._recorded: Path | None = None
        self._exported: tuple[Path, tuple[float, ...]] | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Note the seed, before the model seeds each epoch, and read the names before anything is computed.

        Raises:
            UserError: They cannot be read, or are refused.
        """
        if self.seed is None:
            self.seed = torch.initial_seed()
        if self.names is not None and isinstance(pl_module, ETM):
            self._names = read_names(self.names.expanduser(), len(pl_module.alpha), "topics.names")

    def _name(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Where the model has what a checkpoint has, which may be other names.
        if self.names is not None and isinstance(pl_module, ETM):
            pl_module.given_names = self._names

    on_fit_start = on_validation_start = on_test_start = on_predict_start = _name

    def on_evaluated(self, trainer: Trainer, model: ETM, split: str) -> None:
        """Log coherence, diversity and quality."""
        values = self._quality(model)
        model.log_dict({f"{split}_{name}": value for name, value in values.items()}, sync_dist=True)

    def _quality(self, model: ETM) -> dict[str, float]:
        top_words = {  # by probability, and by relevance
            "topic": model.top_word_indices(METRIC_WORDS).cpu().numpy(),
            "relevance": model.top_word_indices(METRIC_WORDS, model.relevance).cpu().numpy(),
        }
        values = {f"{kind}_diversity": topic_diversity(words) for kind, words in top_words.items()}
        if model.training_set is not None:
            both = np.concatenate(list(top_words.values()))  # one pass over the documents
            coherence = npmi_coherence(both, model.training_set.chunks(), model.vocab_size)
            for kind, own in zip(top_words, np.split(coherence, len(top_words)), strict=True):
                values[f"{kind}_coherence"] = float(own.mean())
                values[f"{kind}_quality"] = values[f"{kind}_coherence"] * values[f"{kind}_diversity"]
            self.coherence = coherence[: len(model.alpha)]
        return values

    def on_measured(self, trainer: Trainer, model: ETM) -> None:
        """Write the tables."""
        self.write(trainer, model)

    def write(self, trainer: Trainer, model: ETM) -> None:
        """Write the tables of the model as it is, with the metrics that the trainer has just logged."""
        logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.metrics |= {name: value for name, value in logged.items() if name.startswith(("val_", "test_"))}
        if not self.metrics:  # nothing to evaluate on
            self.metrics = {f"train_{name}": value for name, value in self._quality(model).items()}
        folder = run_folder(trainer)
        if not trainer.is_global_zero:
            return
        self.folder = folder
        self.survey = survey_of(model)
        self.topics, self.named = self._describe(model), bool(model.given_names)
        self.drifts = drift_of(model, self.num_words)
        known = set(model.vocab or ())
        self.unknown_queries = [query for query in model.queries if query not in known]
        self.neighbors = {
            query: model.nearest_words(query, self.num_neighbors) for query in model.queries if query in known
        }
        folder.mkdir(parents=True, exist_ok=True)
        write_topics(self.topics, folder)
        if self.drifts:
            write_drift(self.drifts, folder)
        write_metrics(self.metrics, {name: definition_of(name) for name in self.metrics}, folder)
        if self._recorded != folder:  # once where validate and test follow each other
            write_run(folder, trainer, model, torch.initial_seed() if self.seed is None else self.seed, self.command)
            self._recorded = folder
        self._of_groups = [] if self.survey is None else write_groups(self.survey, model, folder)
        state = (folder, fingerprint(model))
        if self.export_embeddings and self._exported != state:  # once where validate and test follow each other
            write_embeddings(model, folder)
            self._exported = state

    def _describe(self, model: ETM) -> list[Topic]:
        ranked = model.top_word_indices(self.num_words, model.relevance)
        probabilities = model.beta.gather(1, ranked).tolist()
        relevances = model.word_relevance().gather(1, ranked).tolist()
        coherence, vocab, names = self.coherence, model.known_vocab, model.topic_names
        return [
            Topic(
                topic=topic,
                name=names[topic],
                share=None if self.survey is None else float(self.survey.shares[topic]),
                coherence=None if coherence is None or np.isnan(coherence[topic]) else float(coherence[topic]),
                words=[vocab[word] for word in words],
                probabilities=probabilities[topic],
                relevances=relevances[topic],
            )
            for topic, words in enumerate(ranked.tolist())
        ]

    def written(self) -> list[str]:
        """Names of the files in ``folder``."""
        topics = ["topics.csv", "topics.parquet", "topics_wide.csv", "topics.json"]
        drift = ["topic_drift.csv"] * bool(self.drifts)
        names = [*topics, *self._of_groups, *drift, "metrics_table.csv", "metrics.json"]
        return [*names, "embeddings.txt", "rho.parquet", "alpha.parquet"] if self.export_embeddings else names

    def show(self, console: Console) -> None:
        """Print metrics, neighbours of the queries, how topics change and drift, and last the topics."""
        show_metrics(console, self.metrics, DEFINITIONS)
        show_neighbors(console, self.neighbors, self.unknown_queries)
        if self.survey is not None and self.survey.by_period is not None:
            show_changes(console, self.survey.by_period, [topic.name for topic in self.topics])
        show_drift(console, self.drifts)
        show_topics(console, self.topics, self.named)
