"""Where a run writes what has no place of its own."""

from pathlib import Path

from pytorch_lightning import Trainer

__all__ = ["RUN_FILES", "run_folder"]

# What fit, validate and test may write there, checkpoints and what TensorBoard shows aside; config.yaml comes first.
RUN_FILES = (
    "config.yaml",
    "topics.csv",
    "topics.parquet",
    "topics_wide.csv",
    "topics.json",
    "topics_by_label.csv",
    "topics_by_period.csv",
    "topic_words_by_period.csv",
    "topic_drift.csv",
    "metrics_table.csv",
    "metrics.json",
    "run.json",
    "embeddings.txt",
    "rho.parquet",
    "alpha.parquet",
    "report.html",
    "compare.csv",
)


def run_folder(trainer: Trainer) -> Path:
    """The logger's folder of this run, or that of all runs; asked in all processes, as Lightning broadcasts it."""
    return Path(trainer.log_dir or trainer.default_root_dir)
