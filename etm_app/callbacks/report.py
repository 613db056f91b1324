"""The report: a page with the topics of a run."""

import inspect
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningDataModule, LightningModule, Trainer

from etm_app.callbacks.collapse import CollapseMonitor
from etm_app.callbacks.evaluation import OnEvaluations
from etm_app.callbacks.provenance import circumstances, software
from etm_app.callbacks.run_folder import run_folder
from etm_app.callbacks.topic_tables import TopicTables
from etm_app.checkpoint.content import fits, hyperparameters
from etm_app.errors import UserError
from etm_app.files import check_target, writing
from etm_app.model import ETM
from etm_app.report.comparison import (
    Recorded,
    check_comparable,
    compare,
    is_comparison,
    read_recorded,
    write_comparison,
)
from etm_app.report.content import describe
from etm_app.report.page import is_report, render, write_page
from etm_app.report.run import Run, Value, plain
from etm_app.report.survey import Survey, survey_of

__all__ = ["Report"]

COMPARISON = "compare.csv"  # beside the page
MISSING = object()
STATE = {"history": dict[str, list[tuple[float, float]]], "training": dict[str, Value]}


class Report(OnEvaluations, Callback):
    """Writes a page on which to look at the topics, after every `validate` and `test` (`fit` ends with both).

    One HTML file that needs no network: the topics as a list and on a map, each topic's words and documents, nearest
    words, and how the run went. Written as a whole or not at all.

    Args:
        enabled: Whether to write it.
        path: The file; by default report.html in the run folder.
        overwrite: Whether path is replaced even if it is no report.
        compare: Another model to compare with: the folder of its run, or its checkpoint. The page, the terminal and
            compare.csv beside the page say which topics are the same, and what has changed.
    """

    def __init__(
        self, enabled: bool = True, path: Path | None = None, overwrite: bool = False, compare: Path | None = None
    ) -> None:
        self.enabled = enabled
        self.overwrite = overwrite
        self.path = None if path is None else path.expanduser()
        self.compare = compare
        self.comparison: dict[str, Any] | None = None
        self.table: Path | None = None  # of the comparison
        self.written: Path | None = None
        self._other: Recorded | None = None
        self.history: dict[str, list[tuple[float, float]]] = {}
        self.training: dict[str, Value] = {}
        self.metrics: dict[str, float] = {}
        self._described: tuple[Survey, dict[str, Any]] | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Read the other model, and make the folder that was named, before anything is computed.

        Raises:
            UserError: It is none; the folder cannot be made, or what is written is there and no report.
        """
        if not self.enabled or stage == "predict" or not trainer.is_global_zero:
            return
        self.read_other()
        if self.path is not None:
            if self.written is None:
                self.check(self.path)
            with writing(self.path, "report.path"):
                self.path.parent.mkdir(parents=True, exist_ok=True)

    def read_other(self) -> None:
        """Read the model to compare with, once.

        Raises:
            UserError: It is none.
        """
        if self.compare is not None and self._other is None:
            self._other = read_recorded(self.compare)
            check_comparable(self._other, "report.compare")

    def check(self, path: Path) -> None:
        """Refuse to write over what is no report, and no comparison beside it.

        Raises:
            UserError: It is there.
        """
        with writing(path, "report.path"):
            check_target(path, "report.path", is_report, self.overwrite)
            if self.compare is not None:
                check_target(path.with_name(COMPARISON), "report.path", is_comparison, self.overwrite)

    # What happens in a fit is kept in its checkpoints, so that it can be told from one.

    def state_dict(self) -> dict[str, Any]:
        """The history and the settings of the training."""
        return {"history": self.history, "training": self.training}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take them over, unless more is known: `fit` ends with an evaluation of its best, earlier checkpoint.

        Raises:
            UserError: They are none.
        """
        if not all(fits(state_dict.get(name), form) for name, form in STATE.items()):
            raise UserError("ckpt_path: callbacks.Report of the checkpoint is no history; expected what fit wrote.")
        kept = {name: [(epoch, value) for epoch, value in values] for name, values in state_dict["history"].items()}
        if _last_epoch(kept) > _last_epoch(self.history):
            self.history, self.training = kept, {**state_dict["training"], **self.training}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note how the model is trained and by what, which it does not know itself."""
        assert isinstance(pl_module, ETM)
        (optimizer, *_) = trainer.optimizers
        self.training = {
            "optimizer": type(optimizer).__name__,
            **{name: optimizer.defaults[name] for name in ("lr", "weight_decay") if name in optimizer.defaults},
            "max_epochs": trainer.max_epochs,
            "seed": torch.initial_seed(),
            **circumstances(trainer, pl_module),
            **software(),
        }

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the training metrics of the epoch before: the model logs them when callbacks have had its end."""
        self._keep(trainer, "train_", trainer.current_epoch)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep those of the last epoch."""
        self._keep(trainer, "train_", trainer.current_epoch)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the metrics of a validation within a fit."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._keep(trainer, "val_", trainer.current_epoch + 1)
        super().on_validation_end(trainer, pl_module)

    def on_measured(self, trainer: Trainer, model: ETM) -> None:
        """Write."""
        self.write(trainer, model)

    def _keep(self, trainer: Trainer, prefix: str, epoch: int) -> None:
        for name, value in trainer.callback_metrics.items():
            if name.startswith(prefix):
                before = [
                    entry for entry in self.history.get(name, []) if entry[0] < epoch
                ]  # a validation each half epoch
                self.history[name] = [*before, (epoch, float(value))]

    def write(self, trainer: Trainer, model: ETM) -> None:
        """Write the page of the model as it is, with the metrics that the trainer has just logged.

        Raises:
            UserError: The file cannot be written.
        """
        self.metrics |= {
            name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith(("val_", "test_"))
        }
        if not self.enabled:
            return
        folder = run_folder(trainer)
        if not trainer.is_global_zero:
            return
        topics = [callback for callback in trainer.callbacks if isinstance(callback, TopicTables)]  # type: ignore[attr-defined]
        warnings = [
            callback.warning
            for callback in trainer.callbacks  # type: ignore[attr-defined]
            if isinstance(callback, CollapseMonitor) and callback.warning
        ]
        run = self._run_of(model, getattr(trainer, "datamodule", None))
        if topics:
            run = replace(run, metrics=run.metrics | topics[0].metrics, coherence=topics[0].coherence)
        self._write(model, replace(run, warnings=warnings), self.path or folder / "report.html")

    def write_alone(self, recorded: Recorded, datamodule: LightningDataModule | None, states: Any, path: Path) -> None:
        """Write the page of a model without a run.

        Args:
            recorded: The model; its training set are the documents that are shown.
            datamodule: Where they come from, if there are some.
            states: Of the callbacks that trained it, as its checkpoint has them.
            path: The file.

        Raises:
            UserError: The checkpoint's history is none, or the file cannot be written.
        """
        state = states.get(self.state_key) if isinstance(states, dict) else None
        if isinstance(state, dict):
            self.load_state_dict(state)
        model = recorded.model
        self.metrics = {name: value for name, value in recorded.metrics.items() if value is not None}
        run = self._run_of(model, None if model.training_set is None else datamodule)
        self._write(model, run, path, recorded.shares)

    def _run_of(self, model: ETM, datamodule: LightningDataModule | None) -> Run:
        own = hyperparameters({"hyper_parameters": model.hparams})
        settings = {"Model": plain(own), "Data": _settings_of(datamodule), "Training": self.training}
        return Run(metrics=self.metrics, history=self.history, settings=settings)

    def _write(self, model: ETM, run: Run, path: Path, shares: list[float | None] | None = None) -> None:
        found = survey_of(model)
        # fit evaluates the same checkpoint twice, and then its topics are described once
        if self._described is None or found is None or self._described[0] is not found:
            content = describe(model, model.training_set, found, run.coherence)
            self._described = None if found is None else (found, content)
        else:
            content = self._described[1]
        if self._other is not None:
            self.comparison = compare(model, self._other, shares if found is None else found.shares, run.metrics)
            run = replace(run, comparison=self.comparison)
        self.written = write_page(render(content, model.training_set, run), path)
        if self.comparison is not None:
            self.table = path.with_name(COMPARISON)
            write_comparison(self.comparison, self.table)


def _last_epoch(history: dict[str, list[tuple[float, float]]]) -> float:
    return max((values[-1][0] for values in history.values() if values), default=0)


def _given(datamodule: LightningDataModule, name: str) -> Any:
    """An argument as it was given: where its name is that of something that is found out, ``name_path`` has it."""
    if isinstance(getattr(type(datamodule), name, None), property | cached_property):
        name = f"{name}_path"
    return getattr(datamodule, name, MISSING)


def _settings_of(datamodule: LightningDataModule | None) -> dict[str, Value]:
    """The arguments of a data module, where it keeps them by their names."""
    if datamodule is None:
        return {}
    names: dict[str, None] = {}
    for base in type(datamodule).__mro__:
        if base is LightningDataModule:
            break
        if "__init__" in vars(base):
            names |= dict.fromkeys(inspect.signature(vars(base)["__init__"]).parameters)
    # Where the corpus is kept and how it is read does not change a number.
    settings = {
        name: given
        for name in names
        if name not in ("cache_dir", "num_workers") and (given := _given(datamodule, name)) is not MISSING
    }
    return {"class": type(datamodule).__name__, **plain(settings)}
