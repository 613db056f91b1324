"""Where a run writes what has no place of its own."""

from pathlib import Path

from pytorch_lightning import Trainer

__all__ = ["run_folder"]


def run_folder(trainer: Trainer) -> Path:
    """The logger's folder of this run, or that of all runs; asked in all processes, as Lightning broadcasts it."""
    return Path(trainer.log_dir or trainer.default_root_dir)
