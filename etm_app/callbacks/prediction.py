"""Topic proportions of documents as a table."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import BasePredictionWriter
from torch import Tensor

from etm_app.callbacks.spreadsheet import safe_cells
from etm_app.data.batch import BowBatch
from etm_app.errors import UserError

__all__ = ["ThetaWriter"]

WRITERS: dict[str, Callable[[pl.LazyFrame, Path], object]] = {
    ".parquet": lambda rows, path: rows.sink_parquet(path),
    ".csv": lambda rows, path: safe_cells(rows).sink_csv(path),
    ".jsonl": lambda rows, path: rows.sink_ndjson(path),
}


class ThetaWriter(BasePredictionWriter):
    """Writes what `predict` finds as a table: one row a document, in the order of the input.

    Columns: ``row`` (from 0), ``id``, ``split`` and ``label`` where the documents have them, ``oov_rate`` (share of
    a text's words that are not in the vocabulary; null where it has no words) where texts were counted, ``status``
    (``ok``, or ``empty``: no word of it is in the vocabulary, and theta is that of the prior), ``topic`` (the largest)
    and ``theta_0`` … ``theta_{K-1}``. In CSV, text that a spreadsheet would run as a formula gets a ' before it.

    Args:
        path: The file, .parquet, .csv or .jsonl; by default theta.parquet in the run folder.
    """

    def __init__(self, path: Path | None = None) -> None:
        super().__init__(write_interval="batch")
        self.path = path
        self.written: Path | None = None
        self.num_documents = 0
        self.num_empty = 0
        self._num_written = 0
        self._parts: Path | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Make the folder before anything is computed."""
        if stage != "predict":
            return
        path = self.path or Path(trainer.log_dir or trainer.default_root_dir) / "theta.parquet"
        if path.suffix not in WRITERS:
            raise UserError(
                f"prediction.path: {path} ends in {path.suffix or 'nothing'}; expected a name in {', '.join(WRITERS)}."
            )
        self._num_written = 0
        self.written = path.expanduser()
        self._parts = self.written.with_name(f".{self.written.name}.parts")
        try:
            if trainer.is_global_zero:
                shutil.rmtree(self._parts, ignore_errors=True)
                self._parts.mkdir(parents=True)
        except OSError as error:
            raise UserError(
                f"prediction.path: cannot write to {self.written.parent} ({error.strerror}); "
                "expected a folder to write to."
            ) from error
        trainer.strategy.barrier()

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
        table = documents.hstack([
            pl.Series("status", known).replace_strict({1.0: "ok", 0.0: "empty"}, return_dtype=pl.String),
            pl.Series("topic", theta.argmax(axis=1), dtype=pl.Int32),
            *pl.DataFrame(theta, schema=[f"theta_{topic}" for topic in range(theta.shape[1])]),
        ])  # fmt: skip
        table.write_parquet(self._parts / f"{batch_idx:09d}-{trainer.global_rank:05d}.parquet")

    def _numbered(self, trainer: Trainer, batch_indices: Sequence[int] | None, size: int) -> pl.DataFrame:
        """Documents of a data module that does not say who they are."""
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
        rows = pl.scan_parquet(self._parts / "*.parquet")
        if trainer.world_size > 1:  # a sampler over processes repeats documents to make their shares equal
            rows = rows.unique("row").sort("row")
        unfinished = self.written.with_name(f".{self.written.name}.unfinished")
        WRITERS[self.written.suffix](rows, unfinished)
        counts = rows.select(pl.len(), (pl.col("status") == "empty").sum()).collect(engine="streaming").row(0)
        self.num_documents, self.num_empty = counts
        unfinished.replace(self.written)
        shutil.rmtree(self._parts)
