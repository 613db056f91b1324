"""What is read of files of texts, and what has been so far."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from etm_app.data.text.sources import UNREADABLE, Lines, Source, not_decoded
from etm_app.errors import UserError

__all__ = ["MAX_ROWS", "Format", "OnBadRows", "Reading", "Row"]

Format = Literal["txt", "csv", "tsv", "jsonl", "json", "parquet", "excel"]
OnBadRows = Literal["error", "skip"]

MAX_ROWS = 20_000  # of a batch; also how many are read at once where Python reads
MAX_SKIPPED = 5_000_000  # of which each is remembered

Row = tuple[int | str | None, ...]  # its number, and the fields that are wanted


@dataclass
class Reading:
    """What is wanted of the files, and what those who read them have met.

    Attributes:
        files: Paths, globs, folders of text files, addresses in the cloud as Polars takes them, or - for the standard
            input.
        columns: Columns of a table to read, by what they are: ``text``, and where they are wanted ``id``, ``label``,
            ``split`` and ``time``. Files of text have no columns.
        format: What the files are; null tells it from their ending.
        encoding: Of the text in files that are no Parquet.
        on_bad_rows: Whether a row that cannot be read is an error, or is left out and counted.
        separator: Between the columns of CSV and TSV; null: that of the format, or another under which the first line
            has the columns.
        time_format: Of the times, as of Python's strptime; null: those that are known without.
        num_rows: Rows so far, those that were left out as well; see `TextReader.batches`.
        num_null: Texts that were null, or missing, so far; they are read as empty ones.
        num_short: Rows of CSV with fewer fields than columns so far; what they lack is null.
        skipped: What was left out so far, as file and line.
    """

    files: Sequence[str]
    columns: dict[str, str]
    format: Format | None = None
    encoding: str = "utf-8"
    on_bad_rows: OnBadRows = "error"
    separator: str | None = None
    time_format: str | None = None
    num_rows: int = 0
    num_null: int = 0
    num_short: int = 0
    skipped: list[str] = field(default_factory=list)

    def wanted(self) -> list[pl.Expr]:
        """The wanted columns as strings, under the names of what they are."""
        return [pl.col(column).cast(pl.String).alias(what) for what, column in self.columns.items()]

    def numbered(self, frame: pl.DataFrame) -> pl.DataFrame:
        """With the next rows' numbers."""
        rows = pl.int_range(self.num_rows, self.num_rows + len(frame), eager=True).alias("row")
        self.num_rows += len(frame)
        return frame.insert_column(0, rows)

    def table(self, rows: Sequence[Row]) -> pl.DataFrame:
        """Rows that Python has read."""
        return pl.DataFrame(rows, schema={"row": pl.Int64, **dict.fromkeys(self.columns, pl.String)}, orient="row")

    def check_columns(self, names: Sequence[str], source: Source, separator: str = ",") -> None:
        """Hold the columns that are wanted against those that there are.

        Raises:
            UserError: One is not there.
        """
        for what, column in self.columns.items():
            if column not in names:
                between = "" if separator == "," else f" (between {separator!r}, data.separator)"
                raise UserError(
                    f"data.{what}_column: {source} has no column {column!r}; expected one of "
                    f"{' '.join(', '.join(names).split())[:300]}{between}."
                )

    def check_no_columns(self, source: Source) -> None:
        """Hold the columns that are wanted against a file that has none.

        Raises:
            UserError: One is wanted, but for the texts' own, which is always called something.
        """
        for what, column in self.columns.items():
            if (what, column) != ("text", "text"):
                instead = "name files of the splits, --data.val_files" if what == "split" else "leave it out"
                raise UserError(
                    f"data.{what}_column: {column}, but {source} is read as text, which has no columns; expected a "
                    f"table (--data.format, where the ending does not tell), or {instead}."
                )

    def bad_row(self, source: Source, line: int, what: str) -> None:
        """As `bad`, for a row by its line."""
        self.bad(f"{source}, line {line}", what)

    def bad(self, place: str, what: str) -> None:
        """Leave something out, and note it.

        Raises:
            UserError: It is to be an error.
        """
        if self.on_bad_rows == "error":
            raise UserError(f"data.files: {place}: {what}. To leave such rows out: --data.on_bad_rows skip.")
        if len(self.skipped) == MAX_SKIPPED:
            raise UserError(
                f"data.on_bad_rows: skip, but {MAX_SKIPPED:,} rows were left out before {place}; expected fewer: is "
                "it of another format?"
            )
        self.skipped.append(place)

    def decodable(self, batch: Lines, source: Source) -> tuple[pl.Series, pl.Series]:
        """Places in the batch, and lines there, of those that are text."""
        places = pl.int_range(len(batch.lines), eager=True)
        if not batch.lossy:
            return places, batch.lines
        broken = batch.lines.str.contains(UNREADABLE, literal=True)
        for place in broken.arg_true():
            self.bad_row(source, batch.first + place, not_decoded(self.encoding))
        return places.filter(~broken), batch.lines.filter(~broken)
