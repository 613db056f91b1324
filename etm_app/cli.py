"""The command line: LightningCLI with the application's defaults, its callbacks and its guards."""

import logging
import re
import sys
import warnings
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

import rich
import torch
import yaml
from jsonargparse import Namespace
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning import LightningDataModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_info
from pytorch_lightning.utilities.model_helpers import is_overridden

from etm_app import __version__
from etm_app.callbacks.agreement import LabelAgreement
from etm_app.callbacks.checkpoint import BestCheckpoint
from etm_app.callbacks.collapse import CollapseMonitor
from etm_app.callbacks.prediction import ThetaWriter
from etm_app.callbacks.reference import ReferenceCoherence
from etm_app.callbacks.report import Report
from etm_app.callbacks.tensorboard import TensorBoardTopics
from etm_app.callbacks.terminal import make_console
from etm_app.callbacks.topics import TopicTables
from etm_app.check import CheckingTrainer

# Imported so that their short names work as well: --data NewsgroupsDataModule.
from etm_app.data.counts import CountsDataModule
from etm_app.data.datamodule import BowDataModule
from etm_app.data.docstrings import DocstringsDataModule
from etm_app.data.newsgroups import NewsgroupsDataModule
from etm_app.data.synthetic import SyntheticDataModule
from etm_app.data.text import TextDataModule
from etm_app.errors import UserError
from etm_app.model import ETM

__all__ = ["ETMCLI", "check_checkpoint", "main", "vocab_size_of"]

SUBCOMMANDS = ("fit", "validate", "test", "predict", "check")
DATA_MODULES = (
    CountsDataModule,
    DocstringsDataModule,
    NewsgroupsDataModule,
    SyntheticDataModule,
    TextDataModule,
)
DESCRIPTION = "Embedded Topic Models: topics and words as points of one space, learned from your texts."


class Parser(LightningArgumentParser):
    """LightningCLI's parser, with mistakes reported in two lines instead of a page."""

    def get_defaults(self, *args: Any, **kwargs: Any) -> Namespace:
        """The defaults, of the data module only its class: its arguments must not pass to another class."""
        defaults: Namespace = super().get_defaults(*args, **kwargs)
        if isinstance(data := defaults.get("data"), Namespace):
            data.pop("init_args", None)
        return defaults

    def parse_path(self, path: Any, *args: Any, **kwargs: Any) -> Namespace:
        """Parse a config file, named where it is no YAML."""
        try:
            yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            self.error(f"config: {path} is no YAML ({' '.join(str(error).split())})")
        config: Namespace = super().parse_path(path, *args, **kwargs)
        return config

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Say what is wrong and where to look, and exit with code 2."""
        if not self.exit_on_error:  # a parser within a parser: the outermost one reports
            super().error(message, ex)
        parser = getattr(ex, "subcommand_parser", None) or self
        near = [
            match
            for word in re.findall(r"--[\w.]+|(?<=option ')[\w.]+", message)
            for match in get_close_matches("--" + word.lstrip("-"), list(parser._option_string_actions), n=1)
        ]
        hint = f"Did you mean {' and '.join(near)}? " if near else ""
        program = parser.prog.replace(" [options]", "")
        sys.stderr.write(f"error: {condense(message)}\n{hint}All arguments: {program} --help\n")
        sys.exit(2)


def condense(message: str) -> str:
    """One line of what jsonargparse says about a value in many: the key, what was expected and what was given."""
    keys: list[str] = []
    details: list[str] = []
    given = ""
    for line in message.splitlines():
        line = line.strip(" -\t")
        if found := re.match(r'Parser key "([^"]+)":\s*(.*)', line):
            keys.append(found[1])
            line = found[2]
        if found := re.match(r"Given value: (?!NestedArg)(.*)", line):
            given = given or f"given: {found[1]}"
        elif not line or re.match(
            r"Does not validate|Subtypes:|Errors:|Given value|Expected a <class 'NoneType'>"
            r"|Expected a path but|Problem with",
            line,
        ):
            continue
        else:
            details.append(re.sub(r"<class '([^']+)'>|typing\.(Literal\[)", r"\1\2", line))
    prefix = [".".join(keys)] if keys else []
    return ": ".join([*prefix, "; ".join([*dict.fromkeys(details), *([given] if given else [])])])


class ETMCLI(LightningCLI):
    """check, fit, validate, test and predict for an ETM over any bag-of-words data module."""

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Lightning's, and `check`: methods of the trainer with the arguments that the command line fills in."""
        return {"check": {"model", "datamodule"}, **LightningCLI.subcommands()}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the callbacks' arguments, the link of vocabulary sizes and the defaults."""
        parser.add_lightning_class_args(BestCheckpoint, "checkpoint")
        parser.add_lightning_class_args(TopicTables, "topics")
        parser.add_lightning_class_args(ReferenceCoherence, "coherence")
        parser.add_lightning_class_args(TensorBoardTopics, "tensorboard")
        parser.add_lightning_class_args(Report, "report")
        parser.add_lightning_class_args(ThetaWriter, "prediction")
        parser.link_arguments("data", "model.vocab_size", compute_fn=self._vocab_size, apply_on="instantiate")
        parser.set_defaults(
            {
                "data": {"class_path": _class_path(DocstringsDataModule)},
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
        """Parse, and check the checkpoint before anything is made from it."""
        super().parse_arguments(parser, args)
        subcommand = self.config.subcommand
        # The data modules' own bars are drawn before there is a trainer to ask.
        rich.get_console().quiet = self.config[subcommand].trainer.enable_progress_bar is False
        self._checkpoint = check_checkpoint(subcommand, self.config[subcommand].get("ckpt_path"))

    def _vocab_size(self, data: LightningDataModule) -> int:
        """The size of the data's vocabulary: of the checkpoint's where there is one and the data counts texts."""
        if self._checkpoint is not None and self._checkpoint["vocab"] is not None and isinstance(data, BowDataModule):
            data.use(self._checkpoint["vocab"], self._checkpoint.get("analyzer"))
        return vocab_size_of(data)

    def before_instantiate_classes(self) -> None:
        """Give `check` a model without weights."""
        if self.subcommand == "check":
            self.parser.add_instantiator(_on_meta, ETM, prepend=True)

    def before_fit(self) -> None:
        """Without validation documents there is no best model: keep the last, and train to the end."""
        if not _has_documents(self.datamodule, "val_dataloader"):
            rank_zero_info("No validation documents: best.ckpt will be the model of the last epoch.")
            self._get(self.config_init, "checkpoint").monitor = None
            callbacks = self.trainer.callbacks  # type: ignore[attr-defined]  # set by a connector
            callbacks[:] = [callback for callback in callbacks if not isinstance(callback, EarlyStopping)]

    def after_fit(self) -> None:
        """Evaluate the best checkpoint, and show its topics."""
        best = self._get(self.config_init, "checkpoint").best_model_path or None
        evaluations = {"val": self.trainer.validate, "test": self.trainer.test}
        splits = [split for split in evaluations if _has_documents(self.datamodule, f"{split}_dataloader")]
        for split in splits:
            evaluations[split](self.model, datamodule=self.datamodule, ckpt_path=best, verbose=False)
        if not splits:
            for writer in ("topics", "report"):
                self._get(self.config_init, writer).write(self.trainer, self.model)
            self._get(self.config_init, "tensorboard").show(self.trainer, self.model)
        self._show(best)

    def validate(self, **kwargs: Any) -> None:
        """Lightning's validate without its table of numbers, which the one with definitions replaces."""
        self._require("val")
        self.trainer.validate(**{**kwargs, "verbose": False})
        self._show()

    def test(self, **kwargs: Any) -> None:
        """Lightning's test without its table of numbers, which the one with definitions replaces."""
        self._require("test")
        self.trainer.test(**{**kwargs, "verbose": False})
        self._show()

    def predict(self, **kwargs: Any) -> None:
        """Lightning's predict with rows written as they come, none kept in memory."""
        self.trainer.predict(**{**kwargs, "return_predictions": False})
        writer = self._get(self.config_init, "prediction")
        if self.trainer.is_global_zero:
            print(
                f"theta of {writer.num_documents:,} documents ({writer.num_empty:,} of them empty: no word in the "
                f"vocabulary, theta of the prior) written to {writer.written}"
            )

    def _require(self, split: str) -> None:
        if not _has_documents(self.datamodule, f"{split}_dataloader"):
            raise UserError(
                f"data: {type(self.datamodule).__name__} has no {split} documents; expected some: "
                f"give it a {split} split or a {split}_dataloader."
            )

    def _show(self, checkpoint: str | None = None) -> None:
        tables = self._get(self.config_init, "topics")
        if not self.trainer.is_global_zero or tables.folder is None:
            return
        console = make_console()
        tables.show(console)
        lines = {f"Written to {tables.folder}": ", ".join(tables.written())}
        if (report := self._get(self.config_init, "report").written) is not None:
            lines["To look at the topics"] = report
        if checkpoint:
            lines["Best checkpoint"] = checkpoint
        for logger in self.trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                lines["To look closer"] = f"tensorboard --logdir {logger.root_dir}"
        for name, value in lines.items():
            console.print(f"{name}: {value}", soft_wrap=True, markup=False)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Lightning's, with progress bars only where there is a terminal to draw them on."""
        wanted = self._get(self.config_init, "trainer")["enable_progress_bar"]
        if wanted is None:
            kwargs["enable_progress_bar"] = rich.get_console().is_terminal
        return super().instantiate_trainer(**kwargs)


def vocab_size_of(data: LightningDataModule) -> int:
    """The size of a data module's vocabulary, which the model's is linked to.

    Raises:
        UserError: It has none, or no whole number from 1.
    """
    size = getattr(data, "vocab_size", None)
    if not isinstance(size, int) or size < 1:
        raise UserError(
            f"data: the vocab_size of {type(data).__name__} is {size!r}; expected the number of words, an int from 1."
        )
    return size


def check_checkpoint(subcommand: str, path: str | Path | None) -> dict[str, Any] | None:
    """Refuse what would evaluate random weights or end in a traceback.

    Returns:
        The checkpoint without the values of its tensors; None where none is needed and none is named.

    Raises:
        UserError: No checkpoint where one is needed, a keyword for one, a missing file or one of another kind.
    """
    expected = (
        "expected the path of a checkpoint that fit wrote: "
        "--ckpt_path lightning_logs/version_0/checkpoints/best.ckpt, say."
    )
    if path is None:
        if subcommand not in ("fit", "check"):
            raise UserError(f"ckpt_path: {subcommand} without a checkpoint would use random weights; {expected}")
        return None
    if str(path) in ("best", "last", "hpc", "registry") or str(path).startswith("registry:"):
        raise UserError(f"ckpt_path: {path!r} names no file, and a fresh process knows no earlier run; {expected}")
    if not Path(path).is_file():
        raise UserError(f"ckpt_path: there is no file {path}; {expected}")
    try:
        checkpoint = torch.load(path, weights_only=True, map_location="meta", mmap=True)
        is_ours = isinstance(checkpoint, dict) and "vocab" in checkpoint and "state_dict" in checkpoint
    except Exception as error:  # a file of any other kind raises anything
        raise UserError(f"ckpt_path: {path} is no checkpoint ({type(error).__name__}); {expected}") from error
    if not is_ours:
        raise UserError(f"ckpt_path: {path} is a checkpoint, but not of an ETM; {expected}")
    return checkpoint  # type: ignore[no-any-return]


def _has_documents(datamodule: LightningDataModule, loader: str) -> bool:
    if not is_overridden(loader, datamodule, LightningDataModule):
        return False
    if isinstance(datamodule, BowDataModule):
        return len(datamodule.corpus.rows(loader.removesuffix("_dataloader"))) > 0
    return True


def _on_meta(class_type: type[ETM], *args: Any, **kwargs: Any) -> ETM:
    with torch.device("meta"):
        return class_type(*args, **kwargs)


def _class_path(of: type) -> str:
    return f"{of.__module__}.{of.__qualname__}"


def _silence_the_expected() -> None:
    """Keep the terminal for what a user can act on."""
    for message in (
        ".*does not have many workers",  # slicing a batch takes a millisecond, a worker costs more than it saves
        "Couldn't infer the batch indices",  # the batches that we make say which documents they have
        "The dirpath has changed from",  # evaluating a checkpoint of another run is what checkpoints are for
        ".*You have overridden `on_before_batch_transfer`",  # the model takes any data module's batches, by design
        r".*isinstance\(treespec, LeafSpec\)",  # between Lightning and torch
    ):
        warnings.filterwarnings("ignore", message=message)
    advertisement = "litlogger"
    logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(
        lambda record: advertisement not in record.getMessage()
    )


def main(args: list[str] | dict[str, Any] | Namespace | None = None) -> ETMCLI:
    """Run the command line; a user's mistake ends the process with one or two lines and exit code 2.

    Args:
        args: Arguments instead of those of the process, as LightningCLI takes them.

    Returns:
        The finished run, with trainer, model and datamodule.
    """
    _silence_the_expected()
    try:
        return ETMCLI(
            ETM,
            LightningDataModule,
            trainer_class=CheckingTrainer,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            seed_everything_default=1,
            save_config_kwargs={"overwrite": True},
            trainer_defaults={
                "max_epochs": 6,
                "log_every_n_steps": 1,
                "num_sanity_val_steps": 0,
                "enable_model_summary": False,
                "callbacks": [
                    CollapseMonitor(),
                    LabelAgreement(),
                    ModelCheckpoint(filename="last", enable_version_counter=False),
                ],
            },
            parser_class=Parser,
            parser_kwargs={
                "prog": "python -m etm_app",
                "description": DESCRIPTION,
                "version": __version__,
                "allow_abbrev": False,
                # Or --model.num_topic would set num_topics without a word.
                **{subcommand: {"allow_abbrev": False} for subcommand in SUBCOMMANDS},
            },
            args=args,
        )
    except Exception as error:
        mistake = error.__cause__ if isinstance(error.__cause__, UserError) else error  # jsonargparse wraps some
        if not isinstance(mistake, UserError | MisconfigurationException | OSError):
            raise
        sys.stderr.write(f"error: {' '.join(str(mistake).split())}\n")
        sys.exit(2)
