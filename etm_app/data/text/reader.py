"""Texts from files of any size, in batches: lines, whole files, or a column of a table."""

import zlib
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from glob import glob
from pathlib import Path
from typing import get_args
from zipfile import BadZipFile

import polars as pl
from pytorch_lightning.utilities import rank_zero_info

from etm_app.data.expansion import LONGEST_LINE, PIECE, ROW, bytes_of_strings, check_expansion
from etm_app.data.parquet import check_parquet
from etm_app.data.text.csv_reader import read_csv, read_csv_by_row, separator_of
from etm_app.data.text.json_reader import read_json, read_json_array
from etm_app.data.text.reading import MAX_ROWS, Format, Reading
from etm_app.data.text.sources import (
    STDIN,
    Member,
    Source,
    decoded,
    ending,
    in_utf8,
    is_packed,
    lines_of,
    members,
    readable_here,
    repacked,
    size_of,
    streamed,
    text_files,
)
from etm_app.data.times import check_time_type
from etm_app.errors import UserError

__all__ = ["FORMATS", "TextReader"]

FORMATS: dict[str, Format] = {
    ".txt": "txt", ".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json",
    ".parquet": "parquet", ".xlsx": "excel", ".xls": "excel", ".ods": "excel",
}  # fmt: skip
# The last three of a workbook, which is an archive: RuntimeError where it says that it is encrypted.
DAMAGES = (pl.exceptions.PolarsError, OSError, EOFError, BadZipFile, zlib.error, RuntimeError)
PAGES = (".html", ".htm", ".xhtml")  # one document each, as in a folder
INSTEAD = {
    (".tar", ".rar", ".7z", ".tgz"): "unpack it, and name what is in it",
    (".pdf", ".doc", ".docx", ".odt", ".rtf", ".epub"): "save it as text first, and name the .txt or their folder",
    (".xml", ".sql", ".db", ".sqlite"): "save the texts as CSV, JSONL or Parquet first",
}


class TextReader(Reading):
    """Reads documents in the order of the files and of the rows in them."""

    def sources(self) -> list[tuple[Path | str, str | None]]:
        """The files in order, each with the id of its document where a file is one.

        Raises:
            UserError: There is no such file, or a folder holds none, or tables.
        """
        found: list[tuple[Path | str, str | None]] = []
        for name in self.files:
            if "://" in name or name == STDIN:
                found.append((name, None))
                continue
            path = Path(name).expanduser()
            if path.is_dir():
                found += self._documents(path)
            elif path.exists():
                found.append((path, self._page(path)))
            elif matches := sorted(glob(str(path), recursive=True)):  # noqa: PTH207 - Path.glob takes no absolute ones
                found += [(Path(match), self._page(Path(match))) for match in matches if Path(match).is_file()]
            else:
                raise UserError(
                    f"data.files: there is no file {name}; expected files, a glob, or a folder of text files."
                )
        if not found:
            raise UserError(f"data.files: {', '.join(self.files) or 'none'}; expected files with texts.")
        return found

    def _page(self, path: Path) -> str | None:
        return path.as_posix() if self.format is None and ending(path) in PAGES else None

    def _documents(self, folder: Path) -> list[tuple[Path | str, str | None]]:
        paths, unreadable = text_files(folder)
        for place in unreadable:
            self.bad(place, "cannot be read; expected a folder that you may read")
        if tables := [path for path in paths if FORMATS.get(ending(path), "txt") != "txt"]:
            raise UserError(
                f"data.files: the folder {folder} holds tables, {tables[0].name} for one; a folder is read as one "
                f"document a file: name tables by a glob, {folder / '*'}{ending(tables[0])}."
            )
        if not paths:
            raise UserError(f"data.files: the folder {folder} is empty; expected text files.")
        return [(path, path.relative_to(folder).as_posix()) for path in paths]

    def batches(self) -> Iterator[pl.DataFrame]:
        """All documents: ``row``, ``text`` (no nulls), and ``id``, ``label`` and ``split`` where there are such.

        The row is the number of the record, from 0, over all files: one that is left out has its number too. An empty
        line is no record, but for files of lines.

        Raises:
            UserError: A file, a column or a row cannot be read, or there is no document at all.
        """
        pending: list[pl.DataFrame] = []
        total = size = rows = 0
        for frame in self._frames():
            self.num_null += frame["text"].null_count()
            for cut in _cut(frame):
                piece = cut.with_columns(pl.col("text").fill_null(""))  # now, as it copies texts that share memory
                pending.append(piece)
                size += int(piece["text"].str.len_bytes().sum())
                rows += len(piece)
                if size >= PIECE or rows >= MAX_ROWS:
                    yield pl.concat(pending, how="diagonal")
                    total += rows
                    pending, size, rows = [], 0, 0
        if pending:
            yield pl.concat(pending, how="diagonal")
        if not total + rows:
            but = f": all {len(self.skipped):,} rows were left out" if self.skipped else ": empty, no document in it"
            raise UserError(f"data.files: {', '.join(self.files)[:200]}{but}; expected texts.")

    def _frames(self) -> Iterator[pl.DataFrame]:
        alone: list[tuple[Source, str]] = []  # each one document
        for source, name in self._unpacked():
            if name is not None:
                alone.append((source, name))
                continue
            yield from self._whole_files(alone)
            alone = []
            yield from self._bounded(source)
        yield from self._whole_files(alone)

    def _unpacked(self) -> Iterator[tuple[Source, str | None]]:
        """The sources, with the files of a .zip in its place: several texts without a table are a document each."""
        for source, name in self.sources():
            if not isinstance(source, Path) or name is not None or ending(source) != ".zip":
                yield source, name
                continue
            packed = members(source)
            if not packed:
                raise UserError(f"data.files: {source} has no files in it; expected texts.")
            tables = [member for member in packed if FORMATS.get(ending(member), "txt") != "txt"]
            if self.format is None and not tables and (len(packed) > 1 or ending(packed[0]) in PAGES):
                yield from ((member, member.name) for member in packed)
            elif self.format is None and tables and len(tables) < len(packed):
                other = next(member for member in packed if member not in tables)
                raise UserError(
                    f"data.files: {source} holds tables, {tables[0].name} for one, and others, {other.name} for one; "
                    "expected one kind: unpack it, and name the files by a glob."
                )
            else:
                yield from ((member, None) for member in packed)

    def _whole_files(self, sources: Sequence[tuple[Source, str]]) -> Iterator[pl.DataFrame]:
        documents: list[tuple[int, str, str]] = []
        schema = {"row": pl.Int64, "id": pl.String, "text": pl.String}
        size = 0
        for source, name in sources:
            self.check_no_columns(source)
            text = self._whole(source)
            if text is not None:
                documents.append((self.num_rows, name, text))
                size += len(text)
            self.num_rows += 1
            if size >= PIECE or len(documents) >= MAX_ROWS:
                yield pl.DataFrame(documents, schema=schema, orient="row")
                documents, size = [], 0
        if documents:
            yield pl.DataFrame(documents, schema=schema, orient="row")

    def _whole(self, source: Source) -> str | None:
        """The text of a file that is one document; None where it is left out."""
        try:
            if not readable_here(source):
                assert not isinstance(source, Member)
                return "\n".join(line for batch in lines_of(source) for line in self.decodable(batch, source)[1])
            pieces, size = list[str](), 0
            for piece in decoded(source, self.encoding):
                pieces.append(piece)
                size += len(piece)
                if size > LONGEST_LINE and is_packed(source):
                    raise UserError(f"data.files: {source} has more than {LONGEST_LINE:,} characters; expected a text.")
            return "".join(pieces).removeprefix("\ufeff")
        except (pl.exceptions.PolarsError, OSError, EOFError) as error:
            self.bad(str(source), f"cannot be read ({error}); expected text")
        except UserError:
            if self.on_bad_rows == "error":
                raise
            self.skipped.append(str(source))
        return None

    def _bounded(self, source: Source) -> Iterator[pl.DataFrame]:
        """The documents of one file, unless they are absurdly many or long for its size, whatever its format."""
        size, expanded = size_of(source), 0
        for frame in self._read(source):
            if size is not None:
                lengths = bytes_of_strings(frame)
                expanded += len(frame) * ROW + int(lengths.sum())
                check_expansion(f"data.files: {source}", expanded, size)
                if (longest := int(lengths.to_numpy().max(initial=0))) > max(LONGEST_LINE, size):
                    raise UserError(f"data.files: {source} has a text of {longest:,} bytes; expected shorter ones.")
            yield frame

    def _read(self, source: Source) -> Iterator[pl.DataFrame]:
        """The documents of one file."""
        kind = self.format or FORMATS.get(ending(source)) or ("txt" if source == STDIN else None)
        if kind is None:
            instead = next((what for endings, what in INSTEAD.items() if ending(source) in endings), None)
            raise UserError(
                f"data.files: the ending of {source} tells no format; expected {', '.join(FORMATS)} or .zip"
                + (f": {instead}." if instead else f", or set --data.format {{{','.join(get_args(Format))}}}.")
            )
        try:
            binary = kind in ("parquet", "excel")
            as_it_comes = source == STDIN and kind in ("txt", "csv", "tsv", "jsonl")
            with nullcontext(STDIN) if as_it_comes else in_utf8(source, None if binary else self.encoding) as readable:
                if kind == "parquet":
                    yield from self._read_parquet(readable, source)
                elif kind == "excel":
                    yield from self._read_excel(readable, source)
                elif kind == "txt":
                    yield from self._read_lines(readable, source)
                elif kind == "jsonl":
                    yield from read_json(self, readable, source)
                elif kind == "json":
                    yield from read_json_array(self, readable, source)
                elif self.on_bad_rows == "skip" or as_it_comes:
                    yield from read_csv_by_row(self, readable, source, separator_of(self, readable, kind))
                else:
                    yield from read_csv(self, readable, source, separator_of(self, readable, kind))
        except DAMAGES as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"data.files: {source} cannot be read as {kind} ({reason}); expected it whole.") from error

    def _read_parquet(self, readable: Path | str, source: Source) -> Iterator[pl.DataFrame]:
        scan = pl.scan_parquet(readable, glob="://" in str(readable))
        schema = scan.collect_schema()
        self.check_columns(schema.names(), source)
        if isinstance(readable, Path):
            check_parquet(readable, f"data.files: {source}", {*self.columns.values()})
        text = self.columns["text"]
        if not isinstance(schema[text], pl.String | pl.Categorical | pl.Enum):
            raise UserError(f"data.text_column: {text} of {source} holds {schema[text]}; expected strings.")
        if (time := self.columns.get("time")) is not None:
            check_time_type(schema[time], time, source)
        for frame in streamed(scan.select({*self.columns.values()})):
            for piece in _cut(frame):  # before it is cast, as that copies categories, which rows share
                yield self.numbered(piece.select(self.wanted()))

    def _read_excel(self, readable: Path | str, source: Source) -> Iterator[pl.DataFrame]:
        try:
            import fastexcel
        except ImportError as error:
            raise UserError(
                f'data.files: {source} needs fastexcel; expected it: pip install "etm_app[excel]", or save it as CSV.'
            ) from error
        if not isinstance(readable, Path):
            raise UserError(f"data.files: {source} is not here; expected workbooks here: download it first.")
        with repacked(readable) as safe:
            try:
                sheets = fastexcel.read_excel(safe).sheet_names
                table = pl.read_excel(
                    safe, sheet_name=sheets[0], infer_schema_length=0, drop_empty_rows=False, raise_if_empty=False
                )
            except fastexcel.FastExcelError as error:
                raise OSError(str(error).splitlines()[0]) from error
        if len(sheets) > 1:
            rank_zero_info(f"Text: {source}: the first of {len(sheets)} sheets is read, {sheets[0]}.")
        if not table.width:
            return
        self.check_columns(table.columns, source)
        yield self.numbered(table.select(self.wanted()))

    def _read_lines(self, readable: Path | str, source: Source) -> Iterator[pl.DataFrame]:
        self.check_no_columns(source)
        for batch in lines_of(readable, self.encoding):
            places, lines = self.decodable(batch, source)
            yield pl.DataFrame({"row": self.num_rows + places, "text": lines})
            self.num_rows += len(batch.lines)


def _cut(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """A table in pieces that are small enough to be cut into words at once, or of one row."""
    ends = bytes_of_strings(frame).cum_sum().to_numpy()
    start = 0
    while start < len(frame):
        reached = ends[start - 1] if start else 0
        stop = max(int(ends.searchsorted(reached + PIECE, side="right")), start + 1)
        stop = min(stop, start + MAX_ROWS)
        yield frame.slice(start, stop - start)
        start = stop
