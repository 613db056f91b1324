"""The documents of all files together, told by their numbers, names and splits."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import polars as pl
from pytorch_lightning.utilities import rank_zero_info

from etm_app.data.corpus import SPLITS
from etm_app.data.text.reader import TextReader
from etm_app.data.times import as_times, expected_form
from etm_app.errors import UserError

__all__ = ["documents_of", "num_records", "training_texts"]

SPLIT_NAMES = {**dict(zip(SPLITS, SPLITS, strict=True)), "validation": "val", "valid": "val", "dev": "val"}


def documents_of(readers: Mapping[str, TextReader]) -> Iterator[pl.DataFrame]:
    """All documents, batch by batch: ``row``, ``text``, ``id``, ``label``, ``split`` and ``time`` where these are told.

    Args:
        readers: Of the files of each split; of all files, where a column or a draw tells the split.

    Raises:
        UserError: As `TextReader.batches`; or a split has another name, or a time is none.
    """
    num_rows = num_documents = num_null = num_short = 0
    skipped: list[str] = []
    for split, reader in readers.items():
        for batch in reader.batches():
            batch = batch.with_columns(pl.col("row") + num_rows)
            if "id" not in batch.columns:
                batch = batch.with_columns(pl.col("row").cast(pl.String).alias("id"))
            if len(readers) > 1:
                batch = batch.with_columns(split=pl.lit(split))
            if (column := reader.columns.get("split")) is not None:
                batch = batch.with_columns(_splits(batch["split"], column))
            if "time" in reader.columns:
                batch = _with_times(batch, reader)
            columns = [name for name in ("row", "text", "id", "split", "label", "time") if name in batch.columns]
            num_documents += len(batch)
            yield batch.select(columns)
        num_rows += reader.num_rows
        num_null += reader.num_null
        num_short += reader.num_short
        skipped += reader.skipped
    if num_null:
        rank_zero_info(
            f"Text: {num_null:,} of {num_documents:,} documents have no text (null); they are kept as empty ones."
        )
    if num_short:
        rank_zero_info(
            f"Text: {num_short:,} rows have fewer fields than the first line has columns; what they lack is empty."
        )
    if skipped:
        more = f" and {len(skipped) - 3:,} more" if len(skipped) > 3 else ""
        rank_zero_info(
            f"Text: skipped {len(skipped):,} rows that cannot be read, beside {num_documents:,} documents: "
            f"{'; '.join(skipped[:3])}{more}"
        )


def _with_times(batch: pl.DataFrame, reader: TextReader) -> pl.DataFrame:
    """With the times read; a row whose time cannot be is a bad one."""
    column = reader.columns["time"]
    times, unreadable = as_times(batch["time"], reader.time_format)
    for row, given in batch.filter(unreadable).select("row", "time").iter_rows():
        what = f"{given!r} in {column} (data.time_column) is no time; {expected_form(reader.time_format)}"
        reader.bad(f"row {row} (from 0)", what)
    return batch.with_columns(times).filter(~unreadable)


def training_texts(documents: Iterable[pl.DataFrame], splits: Sequence[str] | pl.Series) -> Iterator[pl.Series]:
    """The texts of the documents that train, batch by batch.

    Args:
        documents: Batches with ``text``, of D documents in all.
        splits: train, val or test of each, [D].
    """
    is_train = pl.Series(splits, dtype=pl.String) == "train"
    start = 0
    for batch in documents:
        yield batch["text"].filter(is_train.slice(start, len(batch)))
        start += len(batch)


def num_records(readers: Mapping[str, TextReader]) -> int:
    """Records that were read so far, those with it that were left out."""
    return sum(reader.num_rows for reader in readers.values())


def _splits(given: pl.Series, column: str) -> pl.Series:
    splits = given.str.to_lowercase().replace_strict(SPLIT_NAMES, default=None, return_dtype=pl.String)
    if splits.null_count():
        raise UserError(
            f"data.split_column: {column} holds {given.filter(splits.is_null())[0]!r}; expected train, val or test."
        )
    return splits
