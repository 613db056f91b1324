"""Topic proportions of documents as a table."""

import re
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import BasePredictionWriter
from torch import Tensor

from etm_app.callbacks.run_folder import run_folder
from etm_app.data.batch import BowBatch
from etm_app.errors import UserError
from etm_app.files import check_target, replacing, writing
from etm_app.report.spreadsheet import safe_cells
from etm_app.topic_model import TopicModel

__all__ = ["ThetaWriter", "is_theta_table"]

WRITERS: dict[str, Callable[[pl.LazyFrame, Path], pl.LazyFrame]] = {
    ".parquet": lambda rows, path: rows.sink_parquet(path, lazy=True),
    ".csv": lambda rows, path: safe_cells(rows).sink_csv(path, lazy=True),
    ".jsonl": lambda rows, path: rows.sink_ndjson(path, lazy=True),
}
READERS: dict[str, Callable[[Path], pl.LazyFrame]] = {
    ".parquet": pl.scan_parquet,
    ".csv": lambda path: pl.scan_csv(path, infer_schema=False),
    ".jsonl": lambda path: pl.scan_ndjson(path, infer_schema_length=1),
}
COLUMNS = re.compile(r"row id (split )?(label )?(oov_rate )?status topic( topic_name)?( theta_\d+)+")
POLL = 0.01  # seconds


def is_theta_table(path: Path) -> bool:
    """Whether a file is a table of a ThetaWriter, by its columns."""
    try:
        return COLUMNS.fullmatch(" ".join(READERS[path.suffix](path).collect_schema())) is not None
    except (KeyError, OSError, pl.exceptions.PolarsError):  # of another ending, not there, of another content
        return False


class ThetaWriter(BasePredictionWriter):
    """Writes what `predict` finds as a table: one row a document, in the order of the input.

    Columns: ``row`` (the number of the record in the input, from 0 and over all files in order, those that were
    skipped with it), ``id``, ``split`` and ``label`` where the documents have them, ``oov_rate`` (share of
    a text's words that are not in the vocabulary; null where it has no words) where texts were counted, ``status``
    (``ok``, or ``empty``: no word of it is in the vocabulary, and theta is that of the prior), ``topic`` (the largest),
    ``topic_name`` where a user has named topics, and ``theta_0`` … ``theta_{K-1}``. In CSV, text that would
    not be read as text gets a ' before it.

    Args:
        path: The file, .parquet, .csv or .jsonl; by default theta.parquet in a new run folder.
        overwrite: Whether path is replaced even if it is no such table.
    """

    def __init__(self, path: Path | None = None, overwrite: bool = False) -> None:
        super().__init__(write_interval="batch")
        self.path = path
        self.overwrite = overwrite
        self.written: Path | None = None
        self.num_documents = 0
        self.num_empty = 0
        self._num_written = 0
        self._is_numbered = False
        self._names: list[str] = []
        self._parts: Path | None = None
        self._made: list[Path] = []  # folders, the innermost first

    def target(self, trainer: Trainer) -> Path:
        """The file that is written, by default in the run folder."""
        return (self.path or run_folder(trainer) / "theta.parquet").expanduser()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Make the folder before anything is computed."""
        if stage != "predict":
            return
        path = self.target(trainer)
        if path.suffix not in WRITERS:
            raise UserError(
                f"prediction.path: {path} ends in {path.suffix or 'nothing'}; expected a name in {', '.join(WRITERS)}."
            )
        self.written = Path(trainer.strategy.broadcast(str(path)))  # processes may not agree on the next run folder
        self._num_written = 0
        self._parts = self.written.with_name(f".{self.written.name}.parts")
        if trainer.is_global_zero:
            with writing(self.written, "prediction.path"):
                check_target(self.written, "prediction.path", is_theta_table, self.overwrite)
                self._made = [folder for folder in self.written.parents if not folder.exists()]
                shutil.rmtree(self._parts, ignore_errors=True)
                self._parts.mkdir(parents=True)
        trainer.strategy.barrier()
        if not self._parts.is_dir():
            raise UserError(
                f"prediction.path: {self.written} is in a folder that process {trainer.global_rank} does not see; "
                "expected one that all machines share."
            )

    def on_predict_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Know what the topics are called, where a user has named some."""
        assert isinstance(pl_module, TopicModel)
        self._names = pl_module.topic_names if pl_module.given_names else []

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: tuple[Tensor, Tensor],
        batch_indices: Sequence[int] | None,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """Write the rows of a batch to a file of their own, named by process and batch."""
        assert self._parts is not None
        theta, known = (tensor.float().cpu().numpy() for tensor in prediction)
        documents = batch.documents if isinstance(batch, BowBatch) else None
        if documents is None:
            documents = self._numbered(trainer, batch_indices, len(theta))
        self._num_written += len(theta)
        largest = theta.argmax(axis=1)
        names = [pl.Series("topic_name", self._names).gather(largest)] if self._names else []
        table = documents.hstack([
            pl.Series("status", known).replace_strict({1.0: "ok", 0.0: "empty"}, return_dtype=pl.String),
            pl.Series("topic", largest, dtype=pl.Int32),
            *names,
            *pl.DataFrame(theta, schema=[f"theta_{topic}" for topic in range(theta.shape[1])]),
        ])  # fmt: skip
        with writing(self._parts, "prediction.path"):
            table.write_parquet(self._parts / f"{batch_idx:09d}-{trainer.global_rank:05d}.parquet")

    def _numbered(self, trainer: Trainer, batch_indices: Sequence[int] | None, size: int) -> pl.DataFrame:
        """Documents of a data module that does not say who they are."""
        self._is_numbered = True
        if not batch_indices:  # Lightning knows none where the user's loader makes whole batches itself
            if trainer.world_size > 1:
                raise UserError(
                    "data: this predict_dataloader makes its batches itself, so their documents cannot be told apart "
                    "over several processes; predict with --trainer.devices 1."
                )
            batch_indices = range(self._num_written, self._num_written + size)
        rows = pl.Series("row", batch_indices, dtype=pl.Int64)
        return pl.DataFrame([rows, rows.cast(pl.String).alias("id")])

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Join the parts of all processes, in order."""
        trainer.strategy.barrier()
        if not trainer.is_global_zero or self._parts is None or self.written is None:
            return
        rows = pl.scan_parquet(self._parts / "*.parquet")  # by name, which is the order of our own data modules
        if self._is_numbered and trainer.world_size > 1:  # Lightning deals documents out in turns
            rows = rows.unique("row").sort("row")
        with replacing(self.written, "prediction.path") as unfinished:
            # In the background, because a signal has to wait for a query that this thread runs itself.
            query = WRITERS[self.written.suffix](rows, unfinished).collect(background=True)
            try:
                while query.fetch() is None:
                    time.sleep(POLL)
            except BaseException:
                query.cancel()
                raise
        counts = rows.select(pl.len(), (pl.col("status") == "empty").sum()).collect(engine="streaming").row(0)
        self.num_documents, self.num_empty = counts
        shutil.rmtree(self._parts)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave nothing of a table that is not finished, and no folder that was made for it."""
        if self._parts is None or not trainer.is_global_zero:
            return
        shutil.rmtree(self._parts, ignore_errors=True)
        with suppress(OSError):  # there is something in it
            for folder in self._made:
                folder.rmdir()
