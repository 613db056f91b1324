"""Texts from files of any size, in batches: lines, whole files, or a column of a table."""

import codecs
import csv
import gzip
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, NamedTuple, get_args

import polars as pl

from etm_app.errors import UserError

__all__ = ["Format", "OnBadRows", "TextReader"]

Format = Literal["txt", "csv", "tsv", "jsonl", "parquet"]
OnBadRows = Literal["error", "skip"]

FORMATS: dict[str, Format] = {
    ".txt": "txt", ".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet",
}  # fmt: skip
SEPARATORS = {"csv": ",", "tsv": "\t"}
COMPRESSED = (".gz", ".zst")
BATCH_BYTES = 8 << 20
MAX_ROWS = 20_000  # of a batch; also how many are read at once where Python reads
UNREADABLE = "\N{REPLACEMENT CHARACTER}"
SEEN_ROWS = 100  # JSON objects whose keys are taken for the columns that there are


@dataclass
class TextReader:
    """Reads documents in the order of the files and of the rows in them.

    Attributes:
        files: Paths, globs, folders of text files, or addresses in the cloud as Polars takes them.
        columns: Columns of a table to read, by what they are: ``text``, and where they are wanted ``id``, ``label`` and
            ``split``. Files of text have no columns.
        format: What the files are; null tells it from their ending.
        encoding: Of the text in files that are no Parquet.
        on_bad_rows: Whether a row that cannot be read is an error, or is left out and counted.
        num_null: Texts that were null, or missing, so far; they are read as empty ones.
        skipped: Rows that were left out so far, as file and line.
    """

    files: Sequence[str]
    columns: dict[str, str]
    format: Format | None = None
    encoding: str = "utf-8"
    on_bad_rows: OnBadRows = "error"
    num_null: int = 0
    skipped: list[str] = field(default_factory=list)

    def sources(self) -> list[tuple[Path | str, str | None]]:
        """The files in order, each with the id of its document where a file is one.

        Raises:
            UserError: There is no such file, or a folder holds none, or tables.
        """
        found: list[tuple[Path | str, str | None]] = []
        for name in self.files:
            if "://" in name:
                found.append((name, None))
                continue
            path = Path(name).expanduser()
            if path.is_dir():
                found += self._documents(path)
            elif path.exists():
                found.append((path, None))
            elif matches := sorted(glob(str(path), recursive=True)):  # noqa: PTH207 - Path.glob takes no absolute ones
                found += [(Path(match), None) for match in matches if Path(match).is_file()]
            else:
                raise UserError(
                    f"data.files: there is no file {name}; expected files, a glob, or a folder of text files."
                )
        if not found:
            raise UserError(f"data.files: {', '.join(self.files) or 'none'}; expected files with texts.")
        return found

    def _documents(self, folder: Path) -> list[tuple[Path | str, str | None]]:
        paths = sorted(
            path
            for path in folder.rglob("*")
            if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        )
        if tables := [path for path in paths if FORMATS.get(_suffix(path), "txt") != "txt"]:
            raise UserError(
                f"data.files: the folder {folder} holds tables, {tables[0].name} for one; a folder is read as one "
                f"document a file: name tables by a glob, {folder / '*'}{_suffix(tables[0])}."
            )
        if not paths:
            raise UserError(f"data.files: the folder {folder} is empty; expected text files.")
        return [(path, path.relative_to(folder).as_posix()) for path in paths]

    def batches(self) -> Iterator[pl.DataFrame]:
        """All documents: columns ``text`` (no nulls), and ``id``, ``label`` and ``split`` where there are such.

        Raises:
            UserError: A file, a column or a row cannot be read, or there is no document at all.
        """
        pending: list[pl.DataFrame] = []
        total = size = rows = 0
        for frame in self._frames():
            self.num_null += frame["text"].null_count()
            for piece in _cut(frame.with_columns(pl.col("text").fill_null(""))):
                pending.append(piece)
                size += int(piece["text"].str.len_bytes().sum())
                rows += len(piece)
                if size >= BATCH_BYTES or rows >= MAX_ROWS:
                    yield pl.concat(pending, how="diagonal")
                    total += rows
                    pending, size, rows = [], 0, 0
        if pending:
            yield pl.concat(pending, how="diagonal")
        if not total + rows:
            raise UserError(f"data.files: {', '.join(self.files)[:200]}: empty, no document in it; expected texts.")

    def _frames(self) -> Iterator[pl.DataFrame]:
        documents: list[tuple[str, str]] = []
        size = 0
        for source, name in self.sources():
            if name is None:
                yield from self._read(source)
                continue
            assert isinstance(source, Path)
            text = self._whole(source)
            if text is not None:
                documents.append((name, text))
                size += len(text)
            if size >= BATCH_BYTES or len(documents) >= MAX_ROWS:
                yield pl.DataFrame(documents, schema=["id", "text"], orient="row")
                documents, size = [], 0
        if documents:
            yield pl.DataFrame(documents, schema=["id", "text"], orient="row")

    def _whole(self, path: Path) -> str | None:
        """The text of a file that is one document; None where it is left out."""
        try:
            if path.suffix == ".zst":
                return "\n".join(line for batch in _lines(path) for line in self._decodable(batch, path))
            return "".join(self._decoded_pieces(path)).removeprefix("\ufeff")
        except (pl.exceptions.PolarsError, OSError, EOFError) as error:
            raise UserError(f"data.files: {path} cannot be read ({error}).") from error
        except UserError:
            if self.on_bad_rows == "error":
                raise
            self.skipped.append(str(path))
            return None

    def _read(self, source: Path | str) -> Iterator[pl.DataFrame]:
        """The documents of one file."""
        kind = self.format or FORMATS.get(_suffix(source))
        if kind is None:
            raise UserError(
                f"data.files: the ending of {source} tells no format; expected {', '.join(FORMATS)}, or set "
                f"--data.format {{{','.join(get_args(Format))}}}."
            )
        try:
            if kind == "parquet":
                yield from self._read_parquet(source)
                return
            with self._in_utf8(source) as readable:
                if kind == "txt":
                    yield from self._read_lines(readable, source)
                elif kind == "jsonl":
                    yield from self._read_json(readable, source)
                elif self.on_bad_rows == "skip":
                    yield from self._read_csv_by_row(readable, source, SEPARATORS[kind])
                else:
                    yield from self._read_csv(readable, source, SEPARATORS[kind])
        except (pl.exceptions.PolarsError, OSError, EOFError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"data.files: {source} cannot be read as {kind} ({reason}); expected it whole.") from error

    def _read_parquet(self, source: Path | str) -> Iterator[pl.DataFrame]:
        scan = pl.scan_parquet(source, glob="://" in str(source))
        schema = scan.collect_schema()
        self._check_columns(schema.names(), source)
        text = self.columns["text"]
        if not isinstance(schema[text], pl.String | pl.Categorical | pl.Enum):
            raise UserError(f"data.text_column: {text} of {source} holds {schema[text]}; expected strings.")
        yield from _streamed(scan.select(self._wanted()))

    def _read_csv(self, readable: Path | str, source: Path | str, separator: str) -> Iterator[pl.DataFrame]:
        try:
            scan = pl.scan_csv(readable, separator=separator, infer_schema=False, glob="://" in str(source))
            names = scan.collect_schema().names()
            self._check_columns(names, source)
            # All columns are looked at, even those that nobody asked for: a row with too many fields shows only then.
            blank = pl.all_horizontal(pl.all().is_null()) if len(names) > 1 else pl.lit(False)
            yield from _streamed(scan.filter(~blank).select(self._wanted()))
        except pl.exceptions.NoDataError:
            return
        except pl.exceptions.PolarsError:
            for _ in self._read_csv_by_row(readable, source, separator):  # slower, but knows its lines
                pass
            raise

    def _read_csv_by_row(self, readable: Path | str, source: Path | str, separator: str) -> Iterator[pl.DataFrame]:
        csv.field_size_limit(2**31 - 1)
        lossy = False

        def lines() -> Iterator[str]:
            nonlocal lossy
            for batch in _lines(readable):
                lossy = batch.lossy
                yield from (f"{line}\n" for line in batch.lines)

        reader = csv.reader(lines(), delimiter=separator, strict=True)
        header = next(reader, None)
        if header is None:
            return
        self._check_columns(header, source)
        rows: list[list[str | None]] = []
        places = [header.index(column) for column in self.columns.values()]
        while True:
            line = reader.line_num + 1
            try:
                fields = next(reader, None)
            except csv.Error as error:
                self._bad_row(source, line, f"{error}; expected quotes around a field, and those in it doubled")
                continue
            if fields is not None:
                if len(fields) > len(header):
                    self._bad_row(
                        source,
                        line,
                        f"{len(fields)} fields where the first line names {len(header)} columns; expected as many: "
                        "quotes around a text that has the separator in it",
                    )
                elif lossy and any(UNREADABLE in text for text in fields):
                    self._bad_row(source, line, self._not_decoded)
                elif any(fields) or len(header) == 1:
                    fields += [""] * (len(header) - len(fields))
                    rows.append([fields[place] or None for place in places])
            if rows and (fields is None or len(rows) == MAX_ROWS):
                yield self._table(rows)
                rows = []
            if fields is None:
                return

    def _read_lines(self, readable: Path | str, source: Path | str) -> Iterator[pl.DataFrame]:
        for batch in _lines(readable):
            yield self._decodable(batch, source).to_frame("text")

    def _read_json(self, readable: Path | str, source: Path | str) -> Iterator[pl.DataFrame]:
        row = pl.Struct(dict.fromkeys(self.columns.values(), pl.String))
        known = False
        for batch in _lines(readable):
            lines = self._decodable(batch, source)
            lines = lines.filter(lines.str.contains(r"\S"))
            if not known and len(lines):
                self._check_columns(_keys(lines.head(SEEN_ROWS)), source)
                known = True
            try:
                decoded = lines.str.json_decode(row)
                if decoded.null_count():
                    raise pl.exceptions.ComputeError("null is no object")
                yield decoded.struct.unnest().select(self._wanted())
            except pl.exceptions.PolarsError:
                yield self._table(list(self._json_rows(batch, source)))

    def _json_rows(self, batch: "_Lines", source: Path | str) -> Iterator[list[str | None]]:
        for number, line in enumerate(batch.lines, start=batch.first):
            if not line.strip() or (batch.lossy and UNREADABLE in line):
                continue
            try:
                values = json.loads(line)
                if not isinstance(values, dict):
                    raise ValueError(f"it holds a {type(values).__name__}")
                yield [_as_text(values.get(column)) for column in self.columns.values()]
            except (ValueError, RecursionError) as error:
                self._bad_row(source, number, f"no JSON object with strings ({error}); expected one a line")

    # Parts of these

    @property
    def _not_decoded(self) -> str:
        return f"no {self.encoding}; expected text in it, or set --data.encoding (latin-1, cp1252, utf-16 …)"

    def _wanted(self) -> list[pl.Expr]:
        return [pl.col(column).cast(pl.String).alias(what) for what, column in self.columns.items()]

    def _table(self, rows: list[list[str | None]]) -> pl.DataFrame:
        return pl.DataFrame(rows, schema=dict.fromkeys(self.columns, pl.String), orient="row")

    def _check_columns(self, names: Sequence[str], source: Path | str) -> None:
        for what, column in self.columns.items():
            if column not in names:
                raise UserError(
                    f"data.{what}_column: {source} has no column {column!r}; expected one of {', '.join(names)[:300]}."
                )

    def _bad_row(self, source: Path | str, line: int, what: str) -> None:
        if self.on_bad_rows == "error":
            raise UserError(
                f"data.files: {source}, line {line}: {what}. To leave such rows out: --data.on_bad_rows skip."
            )
        self.skipped.append(f"{source}, line {line}")

    def _decodable(self, batch: "_Lines", source: Path | str) -> pl.Series:
        if not batch.lossy:
            return batch.lines
        broken = batch.lines.str.contains(UNREADABLE, literal=True)
        for place in broken.arg_true():
            self._bad_row(source, batch.first + place, self._not_decoded)
        return batch.lines.filter(~broken)

    @contextmanager
    def _in_utf8(self, source: Path | str) -> Iterator[Path | str]:
        """The file, or a copy in UTF-8 of one in another encoding."""
        if self.is_utf8():
            yield source
            return
        if not isinstance(source, Path) or source.suffix == ".zst":
            raise UserError(
                f"data.encoding: {source} cannot be read as {self.encoding}; expected UTF-8 there: other encodings are "
                "for files here that are plain or in .gz."
            )
        with TemporaryDirectory() as folder:
            copy = Path(folder) / "text"
            with copy.open("w", encoding="utf-8", newline="") as file:
                file.writelines(self._decoded_pieces(source))
            yield copy

    def is_utf8(self) -> bool:
        """Whether the files are in UTF-8, which is read directly.

        Raises:
            UserError: Nobody knows this encoding.
        """
        try:
            return codecs.lookup(self.encoding).name == "utf-8"
        except LookupError as error:
            raise UserError(
                f"data.encoding: {self.encoding} is none; expected utf-8, latin-1, cp1252, utf-16 or another."
            ) from error

    def _decoded_pieces(self, path: Path) -> Iterator[str]:
        """The text of a file, in pieces."""
        self.is_utf8()
        decoder = codecs.getincrementaldecoder(self.encoding)()
        line = 1
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            while True:
                piece = file.read(BATCH_BYTES)
                try:
                    text = decoder.decode(piece, final=not piece)
                except UnicodeDecodeError as error:
                    line += error.object[: error.start].count(b"\n")
                    raise UserError(f"data.files: {path}, line {line}: {self._not_decoded}.") from error
                line += text.count("\n")
                yield text
                if not piece:
                    return


class _Lines(NamedTuple):
    """Some lines of a file."""

    lines: pl.Series
    first: int  # its number, from 1
    lossy: bool  # whether what is no UTF-8 was replaced


def _lines(path: Path | str) -> Iterator[_Lines]:
    """All lines of a file, as UTF-8 as far as they are, without the mark that some editors start it with."""
    read = 0
    lossy = False
    scan = pl.scan_lines(path, name="line", glob="://" in str(path))
    while True:
        try:
            for frame in _streamed(scan.slice(read)):
                lines = frame["line"]
                if not read and len(lines):
                    lines = lines.head(1).str.strip_prefix("\ufeff").append(lines.slice(1))
                yield _Lines(lines, read + 1, lossy)
                read += len(lines)
            return
        except pl.exceptions.ComputeError as error:
            if lossy or "utf8" not in str(error):
                raise
        lossy = True
        # As a table of one column that no separator and no quote can break.
        scan = pl.scan_csv(
            path,
            has_header=False,
            new_columns=["line"],
            separator="\x01",
            quote_char=None,
            infer_schema=False,
            encoding="utf8-lossy",
            empty_string_is_null=False,
            truncate_ragged_lines=True,
        )


def _streamed(scan: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    yield from scan.collect_batches(engine="streaming")


def _cut(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """A table in pieces that are small enough to be cut into words at once, or of one row."""
    ends = frame["text"].str.len_bytes().cum_sum().to_numpy()
    start = 0
    while start < len(frame):
        reached = ends[start - 1] if start else 0
        stop = max(int(ends.searchsorted(reached + BATCH_BYTES, side="right")), start + 1)
        stop = min(stop, start + MAX_ROWS)
        yield frame.slice(start, stop - start)
        start = stop


def _suffix(path: Path | str) -> str:
    name = str(path).lower().partition("?")[0]
    for ending in COMPRESSED:
        name = name.removesuffix(ending)
    return Path(name).suffix


def _keys(lines: pl.Series) -> list[str]:
    """Keys of JSON objects, as far as they are some."""
    keys: dict[str, None] = {}
    for line in lines:
        try:
            values = json.loads(line)
        except ValueError:
            continue
        if isinstance(values, dict):
            keys |= dict.fromkeys(values)
    return list(keys)


def _as_text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value and value.encode("utf-8", "replace").decode("utf-8")  # JSON may escape half a character
    if isinstance(value, list | dict):
        raise ValueError(f"a value is a {type(value).__name__}")
    return json.dumps(value)
