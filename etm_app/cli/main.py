"""LightningCLI with the application's defaults and callbacks."""

import errno
import logging
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import rich
import torch
import yaml
from jsonargparse import Namespace
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.io import TorchCheckpointIO
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import LightningDataModule, LightningModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint, ProgressBar
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_info

from etm_app.callbacks.agreement import LabelAgreement
from etm_app.callbacks.best_checkpoint import BestCheckpoint
from etm_app.callbacks.collapse import CollapseMonitor
from etm_app.callbacks.divergence import DivergenceStop
from etm_app.callbacks.logger import RunLogger
from etm_app.callbacks.prediction import ThetaWriter
from etm_app.callbacks.progress import Progress
from etm_app.callbacks.reference import ReferenceCoherence
from etm_app.callbacks.report import Report
from etm_app.callbacks.run_folder import run_folder
from etm_app.callbacks.tensorboard import TensorBoardTopics
from etm_app.callbacks.topic_tables import TopicTables
from etm_app.checkpoint.content import hyperparameters
from etm_app.checkpoint.files import CheckpointFiles
from etm_app.cli.check import show_warnings
from etm_app.cli.chosen_data import DATA_MODULES, choose_data
from etm_app.cli.commands import SUBCOMMANDS, answer, main_parser_arguments, program
from etm_app.cli.embed import EmbeddingTrainer
from etm_app.cli.guards import (
    check_accelerator,
    check_checkpoint,
    check_growth,
    check_has_documents,
    check_reads_no_target,
    check_targets,
    has_documents,
    trained_arguments,
    unknown_words,
    vocab_size_of,
)
from etm_app.cli.help import HelpFormatter, show_data_module
from etm_app.cli.inside import leave_hpc_checkpoints, let_sigterm_end_the_run
from etm_app.cli.interrupts import Interrupted
from etm_app.cli.memory import out_of_memory
from etm_app.cli.parser import Parser
from etm_app.cli.report import ReportingTrainer
from etm_app.cli.slurm import go_on_in_job
from etm_app.cli.sweep import SweepingTrainer, sweep_of
from etm_app.data.datamodule import BowDataModule, vector_size_of
from etm_app.data.document_vectors import check_vector_size
from etm_app.data.text.advice import advice
from etm_app.data.text.texts import TextDataModule
from etm_app.errors import UserError
from etm_app.files import RUN_FOLDER, replacing
from etm_app.model import ETM
from etm_app.report.terminal import make_console, show_comparison, show_path
from etm_app.seeds import find_words
from etm_app.sweep.plan import Sweep

__all__ = ["ETMCLI", "main"]

EXPECTED_WARNINGS = (  # of Lightning, about what is meant here
    ".*does not have many workers",  # slicing a batch takes a millisecond, a worker costs more than it saves
    "Couldn't infer the batch indices",  # the batches that we make say which documents they have
    "The dirpath has changed from",  # evaluating a checkpoint of another run is what checkpoints are for
    ".*You have overridden `on_before_batch_transfer`",  # the model takes any data module's batches, by design
    r".*isinstance\(treespec, LeafSpec\)",  # between Lightning and torch
    "The ``compute`` method of metric Elbo",  # a run that goes on has measured nothing yet, and shows nothing
)
SPARED = (  # of what Lightning says
    "litlogger",  # an advertisement, at each start
    "TPU available",
    "`Trainer.fit` stopped: `max_epochs",  # the bar has just shown it
    "Restoring states from the checkpoint",  # said by the next line again, and both for each evaluation
    "Loaded model weights",
)


class ETMCLI(LightningCLI):
    """LightningCLI's subcommands and our own (`commands`) for an ETM over any bag-of-words data module."""

    parser: Parser

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Lightning's and our own: methods of the trainer with the arguments that the command line fills in."""
        given = {"model", "datamodule"}
        filled_in = {"sweep": {*given, "sweep", "config"}, **LightningCLI.subcommands()}
        return {name: filled_in.get(name, given) for name in SUBCOMMANDS}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the callbacks' arguments, the link of vocabulary sizes and the defaults."""
        parser.add_lightning_class_args(BestCheckpoint, "checkpoint")
        parser.add_lightning_class_args(TopicTables, "topics")
        parser.add_lightning_class_args(ReferenceCoherence, "coherence")
        parser.add_lightning_class_args(TensorBoardTopics, "tensorboard")
        parser.add_lightning_class_args(Report, "report")
        parser.add_lightning_class_args(ThetaWriter, "prediction")
        parser.add_class_arguments(Sweep, "sweep")
        parser.link_arguments("data", "model.vocab_size", compute_fn=self._vocab_size, apply_on="instantiate")
        parser.link_arguments(
            "data", "model.document_embeddings_size", compute_fn=vector_size_of, apply_on="instantiate"
        )
        parser.set_defaults(
            {
                # In the trainer's own list, so that a config can leave it out: `callbacks: null`.
                "trainer.callbacks": [
                    {
                        "class_path": _class_path(EarlyStopping),
                        "init_args": {"monitor": "val_perplexity", "patience": 3, "strict": False},
                    }
                ],
                "checkpoint.filename": "best",
                "checkpoint.monitor": "val_perplexity",
                "checkpoint.enable_version_counter": False,
            }
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, and check devices and checkpoint before anything is made from them."""
        words = sys.argv[1:] if args is None else args if isinstance(args, list) else []
        self._command = None if isinstance(args, dict | Namespace) else [*program().split(), *words]
        chosen = choose_data(words)
        data_module = chosen.default if chosen.name is None else _data_module(chosen.name)
        for name, subparser in self.parser.subcommands.items():
            is_meant = chosen.is_given or name != "report"
            subparser.set_defaults({"data": {"class_path": _class_path(chosen.default)} if is_meant else None})
            if is_meant and data_module is not None and {"-h", "--help"} & {*words}:
                show_data_module(subparser, data_module)
            if name == "sweep":  # of many trials each writes a page and a log only where that is asked for
                subparser.set_defaults({"report.enabled": False, "trainer.logger": False})
        super().parse_arguments(parser, args)
        subcommand = self.config.subcommand
        if chosen.arguments:
            arguments = ", ".join(f"--data.{name}" for name in chosen.arguments)
            rank_zero_info(f"Data: {chosen.default.__name__}, for {arguments}; --data names another class.")
        check_accelerator(self.config[subcommand].trainer.accelerator)
        # The data modules' own bars are drawn before there is a trainer to ask.
        rich.get_console().quiet = self.config[subcommand].trainer.enable_progress_bar is False
        if subcommand == "sweep":
            self._sweep = sweep_of(self.config.sweep)
        go_on_in_job(subcommand, self.config[subcommand])
        self._checkpoint = check_checkpoint(subcommand, self.config[subcommand].get("ckpt_path"))
        self._targets = check_targets(subcommand, self.config)
        if self._checkpoint is not None:
            parse = parser.parse_object if isinstance(args, dict | Namespace) else parser.parse_args
            given = parse(args, defaults=False).get(f"{subcommand}.model") or {}
            self._trained = trained_arguments(self._checkpoint, given)

    def _parse_ckpt_path(self) -> None:
        """Take the model's arguments from the checkpoint that was checked; Lightning would read the file again."""
        if self._checkpoint is not None:
            self.config = self.parser.parse_object({self.config.subcommand: {"model": self._trained}}, self.config)

    def _vocab_size(self, data: LightningDataModule | None) -> int:
        """The size of the data's vocabulary: of the checkpoint's where there is one and the data counts texts."""
        if data is None:
            assert self._checkpoint is not None
            size: int = hyperparameters(self._checkpoint)["vocab_size"]
            return size
        if isinstance(data, BowDataModule):
            check_reads_no_target(data, self._targets)  # here, as the vocabulary is the first that is computed
            check_growth(self.config.subcommand, data, self._checkpoint)
            if self._checkpoint is not None and self._checkpoint["vocab"] is not None:
                data.use(self._checkpoint["vocab"], self._checkpoint.get("analyzer"))
        if self._checkpoint is not None:  # before any text is counted
            trained = hyperparameters(self._checkpoint).get("document_embeddings_size", 0)
            check_vector_size(trained, vector_size_of(data))
        return vocab_size_of(data)

    def before_instantiate_classes(self) -> None:
        """Give those that train no model one without weights."""
        if self.subcommand in ("check", "embed", "report", "sweep"):
            self.parser.add_instantiator(_on_meta, ETM, prepend=True)

    def before_fit(self) -> None:
        """Without validation documents there is no best model: keep the last, and train to the end."""
        self._warn()
        if not has_documents(self.datamodule, "val_dataloader"):
            rank_zero_info("No validation documents: best.ckpt will be the model of the last epoch.")
            self._made("checkpoint").monitor = None
            others = [of for of in self.trainer.callbacks if not isinstance(of, EarlyStopping)]  # type: ignore[attr-defined]
            self.trainer.callbacks = others  # type: ignore[attr-defined]  # set by a connector

    def fit(self, **kwargs: Any) -> None:
        """Lightning's fit; interrupted, it says how to go on."""
        with self._interruptible(self._how_to_go_on):
            self.trainer.fit(**kwargs)

    @contextmanager
    def _interruptible(self, how_to_go_on: Callable[[], str]) -> Iterator[None]:
        try:
            yield
        except Interrupted as interrupted:
            if self.trainer.strategy.launcher is not None:
                self.trainer.strategy.launcher.kill(signal.SIGKILL)  # the others wait for this process, deaf to less
            interrupted.remedy = how_to_go_on()
            raise

    def _how_to_go_on(self) -> str:
        # What a signal would save in the middle of an epoch could not be resumed exactly; the end of the last one can.
        folders = (Path(callback.dirpath) for callback in self.trainer.checkpoint_callbacks if callback.dirpath)  # type: ignore[attr-defined]
        epochs = {folder / "last.ckpt": self._checkpoint_files.epochs.get(folder / "last.ckpt") for folder in folders}
        for path, epoch in epochs.items():
            if epoch:
                return f" after {epoch} epoch{'s' * (epoch > 1)}; go on with the same arguments and --ckpt_path {path}"
        before = self.config[self.subcommand].get("ckpt_path")
        return " before an epoch was over, so nothing new is saved" + (f"; go on from {before}" if before else "")

    def _warn(self) -> None:
        """Say what will mislead the topics before they are trained."""
        if (vocab := getattr(self.datamodule, "vocab", None)) is not None:
            find_words(self.model.seed_topics, vocab)
        if vocab_size_of(self.datamodule) == 1:
            raise UserError(
                "data: one word in the vocabulary: all topics would be that word; expected more of them: lower "
                "--data.min_df, raise --data.max_df, or take more documents."
            )
        if self._checkpoint is not None and (unknown := unknown_words(self.datamodule)):
            rank_zero_info(unknown)
        if isinstance(self.datamodule, BowDataModule) and self.trainer.is_global_zero:
            own_texts = isinstance(self.datamodule, TextDataModule)
            show_warnings(make_console(), advice(self.datamodule.corpus, len(self.model.topics.alpha), own_texts))

    def after_fit(self) -> None:
        """Evaluate the best checkpoint, and show its topics."""
        had = 0 if self._checkpoint is None or self.model.has_other_documents else self._checkpoint["global_step"]
        if had and self.trainer.global_step == had:
            rank_zero_info(
                f"Nothing was trained: the checkpoint has had {self.trainer.current_epoch} epochs, and "
                f"trainer.max_epochs is {self.trainer.max_epochs}; to go on, give more (--trainer.max_epochs "
                f"{self.trainer.current_epoch + 1}, say)."
            )
        best = self._made("checkpoint").best_model_path or None
        go_on = f"; go on with test --ckpt_path {best}" if best else ""
        with self._interruptible(lambda: f" when training was over{go_on}"):
            self._evaluate(best)

    def _evaluate(self, best: str | None) -> None:
        evaluations = {"val": self.trainer.validate, "test": self.trainer.test}
        splits = [split for split in evaluations if has_documents(self.datamodule, f"{split}_dataloader")]
        for split in splits:
            evaluations[split](self.model, datamodule=self.datamodule, ckpt_path=best, verbose=False)
        if not splits:
            for writer in ("topics", "report"):
                self._made(writer).write(self.trainer, self.model)
            self._made("tensorboard").show(self.trainer, self.model)
        self._show(best)

    def validate(self, **kwargs: Any) -> None:
        """Lightning's validate without its table of numbers, which the one with definitions replaces."""
        check_has_documents(self.datamodule, "val")
        self.trainer.validate(**{**kwargs, "verbose": False})
        self._show()

    def test(self, **kwargs: Any) -> None:
        """Lightning's test without its table of numbers, which the one with definitions replaces."""
        check_has_documents(self.datamodule, "test")
        self.trainer.test(**{**kwargs, "verbose": False})
        self._show()

    def predict(self, **kwargs: Any) -> None:
        """Lightning's predict with rows written as they come, none kept in memory, and nothing written but these."""
        writer = self._made("prediction")
        writer.path = writer.target(self.trainer)  # now, as the logger knows the run folder
        loggers, self.trainer.loggers = self.trainer.loggers, []
        with self._interruptible(lambda: ""):
            self.trainer.predict(**{**kwargs, "return_predictions": False})
        self.trainer.loggers = loggers
        if self.trainer.is_global_zero:
            print(
                f"theta of {writer.num_documents:,} documents ({writer.num_empty:,} of them empty: no word in the "
                f"vocabulary, theta of the prior) written to {writer.written}"
            )

    def sweep(self, **kwargs: Any) -> None:
        """A fit for each number of topics and seed, with the arguments of this command."""
        config = yaml.safe_load(self.parser.subcommands["sweep"].dump(self.config.sweep, skip_none=False))
        with self._interruptible(lambda: f"; the same command goes on with what {self._sweep.folder} holds"):
            self.trainer.sweep(**kwargs, sweep=self._sweep, config=config)  # type: ignore[attr-defined]

    def _show(self, checkpoint: str | None = None) -> None:
        tables = self._made("topics")
        if not self.trainer.is_global_zero or tables.folder is None:
            return
        console = make_console()
        tables.show(console)
        if (comparison := self._made("report").comparison) is not None:
            show_comparison(console, comparison)
        end = "\n" if console.is_terminal else " "
        console.print(f"Written to {show_path(tables.folder)}:", soft_wrap=True, markup=False, end=end)
        console.print(", ".join(tables.written()), markup=False)
        lines = {}
        if (report := self._made("report").written) is not None:
            lines["To look at the topics"] = show_path(report)
        if (table := self._made("report").table) is not None:
            lines["The comparison"] = show_path(table)
        if checkpoint:
            lines["Best checkpoint"] = show_path(checkpoint)
        for logger in self.trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                lines["To look closer"] = f"tensorboard --logdir {show_path(logger.root_dir)}"
        for name, value in lines.items():
            console.print(f"{name}: {value}", soft_wrap=True, markup=False)

    def _made(self, section: str) -> Any:
        """What was made from the arguments of a section."""
        return self.config_init[self.subcommand][section]

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Lightning's with our log, and with our progress bar where there is a terminal to draw it on."""
        given = self._made("trainer")
        wanted, own = given["enable_progress_bar"], given["callbacks"] or []
        if wanted is None:
            wanted = kwargs["enable_progress_bar"] = rich.get_console().is_terminal
        if wanted and isinstance(own, list) and not any(isinstance(of, ProgressBar) for of in own):
            kwargs["callbacks"] = [*own, Progress()]
        if given["logger"] in (None, True):
            kwargs["logger"] = RunLogger(str(given["default_root_dir"] or Path.cwd()), SLURMEnvironment.job_id())
        self._made("topics").command = self._command
        trainer = super().instantiate_trainer(**kwargs)
        self._checkpoint_files = CheckpointFiles()
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:  # or the user has a plugin, or a strategy its own
            trainer.strategy.checkpoint_io = self._checkpoint_files
        if callable(signal.getsignal(signal.SIGTERM)):
            let_sigterm_end_the_run(trainer)
        leave_hpc_checkpoints(trainer)
        return trainer


def _offering(subcommand: str) -> type[ETMCLI]:
    """The command line of one subcommand: making the parsers of all the others takes five times as long as its own."""

    class Offering(ETMCLI):
        @staticmethod
        def subcommands() -> dict[str, set[str]]:
            return {subcommand: ETMCLI.subcommands()[subcommand]}

    return Offering


class CommandTrainer(SweepingTrainer, EmbeddingTrainer, ReportingTrainer):
    """Lightning's Trainer with what all subcommands do."""


class RunConfig(SaveConfigCallback):
    """Lightning's config.yaml in the run folder, as a whole or not at all; `predict` has no run folder."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write it once, where something else will be written as well."""
        if stage == "predict" or self.already_saved:
            return
        folder = run_folder(trainer)
        if trainer.is_global_zero:
            with replacing(folder / self.config_filename) as path:
                folder.mkdir(parents=True, exist_ok=True)
                path.write_text(self.parser.dump(self.config, skip_none=False), encoding="utf-8")
        self.already_saved = True


def _on_meta(class_type: type[ETM], *args: Any, **kwargs: Any) -> ETM:
    with torch.device("meta"):
        return class_type(*args, **kwargs)


def _data_module(name: str) -> type[LightningDataModule] | None:
    """The class of this name or import path, if it can be had; what is wrong with it is the parser's to say."""
    shipped = {cls.__name__: cls for cls in DATA_MODULES}
    module, _, attribute = name.rpartition(".")
    try:
        found = shipped[name] if name in shipped else getattr(import_module(module), attribute)
    except Exception:  # an import runs anything
        return None
    return found if isinstance(found, type) and issubclass(found, LightningDataModule) else None


def _class_path(of: type) -> str:
    return f"{of.__module__}.{of.__qualname__}"


def _is_news(record: logging.LogRecord) -> bool:
    return not any(said in record.getMessage() for said in SPARED)


def _silence_the_expected() -> None:
    """Keep the terminal for what a user can act on."""
    for message in EXPECTED_WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(_is_news)  # the same one, so once a process
    for handler in logging.getLogger("pytorch_lightning").handlers:
        if type(handler) is logging.StreamHandler:  # Lightning's own
            handler.setStream(StandardError())


class StandardError:
    """What is standard error when something is written: above a progress bar, not into it, while there is one."""

    def write(self, text: str) -> int:
        """Write."""
        return sys.stderr.write(text)

    def flush(self) -> None:
        """Flush."""
        sys.stderr.flush()


def _in_one_line(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """A warning for a user, to whom the line of code that gives it says nothing."""
    return f"warning: {' '.join(str(message).split())}\n"


def _not_twice(args: threading.ExceptHookArgs) -> None:
    """A thread that could not write, TensorBoard's say, has the one that asked it to say so."""
    if not isinstance(args.exc_value, OSError):
        threading.__excepthook__(args)


def main(args: list[str] | dict[str, Any] | Namespace | None = None) -> ETMCLI:
    """Run the command line; a user's mistake ends the process with one or two lines and exit code 2.

    Args:
        args: Arguments instead of those of the process, as LightningCLI takes them.

    Returns:
        The finished run, with trainer, model and datamodule.
    """
    _silence_the_expected()
    words = sys.argv[1:] if args is None else args if isinstance(args, list) else None
    if words is not None:
        answer(words)
    cli = _offering(words[0]) if words and words[0] in SUBCOMMANDS else ETMCLI
    main_parser = main_parser_arguments()
    before = warnings.formatwarning, threading.excepthook
    warnings.formatwarning, threading.excepthook = _in_one_line, _not_twice
    try:
        return cli(
            ETM,
            LightningDataModule,
            trainer_class=CommandTrainer,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            seed_everything_default=1,
            save_config_callback=RunConfig,
            trainer_defaults={
                "max_epochs": 6,
                "log_every_n_steps": 1,
                "num_sanity_val_steps": 0,
                "enable_model_summary": False,
                "callbacks": [
                    DivergenceStop(),  # before those that would show what is not finite
                    CollapseMonitor(),
                    LabelAgreement(),
                    ModelCheckpoint(filename="last", enable_version_counter=False),
                ],
            },
            parser_class=Parser,
            parser_kwargs={
                **main_parser,
                "formatter_class": HelpFormatter,
                **{
                    subcommand: {
                        "description": SUBCOMMANDS[subcommand],
                        "usage": f"{main_parser['prog']} {subcommand} [--config FILE] [--ARGUMENT VALUE ...]",
                        "allow_abbrev": False,  # or --model.num_topic would set num_topics without a word
                    }
                    for subcommand in cli.subcommands()
                },
            },
            args=args,
        )
    except Exception as error:
        mistake = error.__cause__ if isinstance(error.__cause__, UserError) else error  # jsonargparse wraps some
        mistake = out_of_memory(error) or mistake
        if not isinstance(mistake, UserError | MisconfigurationException | OSError):
            raise
        if isinstance(mistake, OSError) and mistake.errno == errno.ENOSPC:  # all but TensorBoard's says where
            said = f"cannot write TensorBoard's log ({mistake.strerror}); expected a folder with room for it"
            mistake = UserError(f"{RUN_FOLDER}: {said}.")
        sys.stderr.write(f"error: {' '.join(str(mistake).split())}\n")
        sys.exit(2)
    finally:
        warnings.formatwarning, threading.excepthook = before
