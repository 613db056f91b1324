"""The command line: LightningCLI with the application's defaults, its callbacks and its guards."""

import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from pytorch_lightning import LightningDataModule
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.utilities import rank_zero_info
from pytorch_lightning.utilities.model_helpers import is_overridden
from rich.console import Console

from etm_app import __version__
from etm_app.callbacks.prediction import ThetaWriter
from etm_app.callbacks.topics import TopicTables

# Imported so that their short names work as well: --data NewsgroupsDataModule.
from etm_app.data.datamodule import BowDataModule
from etm_app.data.docstrings import DocstringsDataModule
from etm_app.data.newsgroups import NewsgroupsDataModule
from etm_app.errors import UserError
from etm_app.model import ETM

__all__ = ["ETMCLI", "main"]

SUBCOMMANDS = ("fit", "validate", "test", "predict")
DATA_MODULES = (DocstringsDataModule, NewsgroupsDataModule)
DESCRIPTION = "Embedded Topic Models: topics and words as points of one space, learned from your texts."


class ETMCLI(LightningCLI):
    """fit, validate, test and predict for an ETM over any bag-of-words data module."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the callbacks' arguments, the link of vocabulary sizes and the defaults."""
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.add_lightning_class_args(TopicTables, "topics")
        parser.add_lightning_class_args(ThetaWriter, "prediction")
        parser.link_arguments("data.vocab_size", "model.vocab_size", apply_on="instantiate")
        parser.set_defaults(
            {
                "data": {"class_path": _class_path(DocstringsDataModule)},
                "checkpoint.filename": "best",
                "checkpoint.monitor": "val_perplexity",
                "checkpoint.save_last": True,
                "checkpoint.enable_version_counter": False,
            }
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse, and check the checkpoint before anything is made from it."""
        super().parse_arguments(parser, args)
        subcommand = self.config.subcommand
        check_checkpoint(subcommand, self.config[subcommand].get("ckpt_path"))

    def before_fit(self) -> None:
        """Without validation documents there is no best model: keep the last."""
        if not _has_documents(self.datamodule, "val_dataloader"):
            rank_zero_info("No validation documents: best.ckpt will be the model of the last epoch.")
            checkpoint = self.trainer.checkpoint_callback
            if isinstance(checkpoint, ModelCheckpoint):
                checkpoint.monitor = None

    def after_fit(self) -> None:
        """Evaluate the best checkpoint, and show its topics."""
        checkpoint = self.trainer.checkpoint_callback
        best = getattr(checkpoint, "best_model_path", "") or None
        for split, evaluate in (("val", self.trainer.validate), ("test", self.trainer.test)):
            if _has_documents(self.datamodule, f"{split}_dataloader"):
                evaluate(self.model, datamodule=self.datamodule, ckpt_path=best, verbose=False)
        self._show(best)

    def validate(self, **kwargs: Any) -> None:
        """Lightning's validate without its table of numbers, which the one with definitions replaces."""
        self.trainer.validate(**{**kwargs, "verbose": False})
        self._show()

    def test(self, **kwargs: Any) -> None:
        """Lightning's test without its table of numbers, which the one with definitions replaces."""
        self.trainer.test(**{**kwargs, "verbose": False})
        self._show()

    def predict(self, **kwargs: Any) -> None:
        """Lightning's predict with rows written as they come, none kept in memory."""
        self.trainer.predict(**{**kwargs, "return_predictions": False})
        writer = next(callback for callback in self.trainer.callbacks if isinstance(callback, ThetaWriter))
        if self.trainer.is_global_zero:
            print(
                f"theta of {writer.num_documents:,} documents ({writer.num_empty:,} of them empty: no word in the "
                f"vocabulary, prior's mean) written to {writer.written}"
            )

    def _show(self, checkpoint: str | None = None) -> None:
        tables = next(callback for callback in self.trainer.callbacks if isinstance(callback, TopicTables))
        if not self.trainer.is_global_zero or tables.folder is None:
            return
        console = Console()
        tables.show(console)
        written = ", ".join(name for name in ("topics.csv", "topics.json", "metrics.json"))
        console.print(f"Written to {tables.folder}: {written}", soft_wrap=True, highlight=False)
        if checkpoint:
            console.print(f"Best checkpoint: {checkpoint}", soft_wrap=True, highlight=False)


def check_checkpoint(subcommand: str, path: str | Path | None) -> None:
    """Refuse what would evaluate random weights or end in a traceback.

    Raises:
        UserError: No checkpoint where one is needed, a keyword for one, a missing file or one of another kind.
    """
    expected = "expected the path of a checkpoint that fit wrote: --ckpt_path lightning_logs/version_0/checkpoints/best.ckpt, say."
    if path is None:
        if subcommand != "fit":
            raise UserError(f"ckpt_path: {subcommand} without a checkpoint would use random weights; {expected}")
        return
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


def _has_documents(datamodule: LightningDataModule, loader: str) -> bool:
    if not is_overridden(loader, datamodule, LightningDataModule):
        return False
    if isinstance(datamodule, BowDataModule):
        return len(datamodule.corpus.rows(loader.removesuffix("_dataloader"))) > 0
    return True


def _class_path(of: type) -> str:
    return f"{of.__module__}.{of.__qualname__}"


def main(args: list[str] | dict[str, Any] | Namespace | None = None) -> ETMCLI:
    """Run the command line; a user's mistake ends the process with one or two lines and exit code 2.

    Args:
        args: Arguments instead of those of the process, as LightningCLI takes them.

    Returns:
        The finished run, with trainer, model and datamodule.
    """
    # Slicing a batch takes a millisecond; workers would cost more than they save.
    warnings.filterwarnings("ignore", message=".*does not have many workers")
    subparser = {"allow_abbrev": False}  # or --model.num_topic would set num_topics without a word
    try:
        return ETMCLI(
            ETM,
            LightningDataModule,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            seed_everything_default=1,
            save_config_kwargs={"overwrite": True},
            trainer_defaults={"max_epochs": 100, "log_every_n_steps": 1, "num_sanity_val_steps": 0},
            parser_kwargs={
                "description": DESCRIPTION,
                "version": f"etm_app {__version__}",
                "allow_abbrev": False,
                **{subcommand: dict(subparser) for subcommand in SUBCOMMANDS},
            },
            args=args,
        )
    except UserError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
