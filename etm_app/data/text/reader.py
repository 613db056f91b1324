"""Texts from files of any size, in batches: lines, whole files, or a column of a table."""

import csv
import json
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import polars as pl
from pytorch_lightning.utilities import rank_zero_info

from etm_app.data.text.sources import (
    PIECE,
    STDIN,
    UNREADABLE,
    Lines,
    Member,
    Source,
    decoded,
    ending,
    first_lines,
    in_utf8,
    lines_of,
    members,
    not_decoded,
    readable_here,
    repacked,
    streamed,
    text_files,
)
from etm_app.errors import UserError

__all__ = ["Format", "OnBadRows", "TextReader", "check_separator"]

Format = Literal["txt", "csv", "tsv", "jsonl", "json", "parquet", "excel"]
OnBadRows = Literal["error", "skip"]

FORMATS: dict[str, Format] = {
    ".txt": "txt", ".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json",
    ".parquet": "parquet", ".xlsx": "excel", ".xls": "excel", ".ods": "excel",
}  # fmt: skip
PAGES = (".html", ".htm", ".xhtml")  # one document each, as in a folder
SEPARATORS = {"csv": ",", "tsv": "\t"}
FOUND_SEPARATORS = (",", ";", "\t", "|")
NAMED_SEPARATORS = {"\\t": "\t", "tab": "\t"}  # as a shell hands them on
INSTEAD = {
    (".tar", ".rar", ".7z", ".tgz"): "unpack it, and name what is in it",
    (".pdf", ".doc", ".docx", ".odt", ".rtf", ".epub"): "save it as text first, and name the .txt or their folder",
    (".xml", ".sql", ".db", ".sqlite"): "save the texts as CSV, JSONL or Parquet first",
}
MAX_ROWS = 20_000  # of a batch; also how many are read at once where Python reads
SEEN_ROWS = 100  # JSON objects whose keys are taken for the columns that there are
# Where a quote opens and none closes it: what is taken for one row, and what is read twice in a file; in characters.
MAX_ROW, MAX_REREAD = 64 << 20, 1 << 28
MAX_VALUE = 1 << 28  # characters of an object in a JSON array


Row = tuple[int | str | None, ...]  # its number, and the fields that are wanted


@dataclass
class TextReader:
    """Reads documents in the order of the files and of the rows in them.

    Attributes:
        files: Paths, globs, folders of text files, addresses in the cloud as Polars takes them, or - for the standard
            input.
        columns: Columns of a table to read, by what they are: ``text``, and where they are wanted ``id``, ``label`` and
            ``split``. Files of text have no columns.
        format: What the files are; null tells it from their ending.
        encoding: Of the text in files that are no Parquet.
        on_bad_rows: Whether a row that cannot be read is an error, or is left out and counted.
        separator: Between the columns of CSV and TSV; null: that of the format, or another under which the first line
            has the columns.
        num_rows: Rows so far, those that were left out as well; see `batches`.
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
    num_rows: int = 0
    num_null: int = 0
    num_short: int = 0
    skipped: list[str] = field(default_factory=list)

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
            self._bad(place, "cannot be read; expected a folder that you may read")
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
            for piece in _cut(frame.with_columns(pl.col("text").fill_null(""))):
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
            yield from self._read(source)
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
                return "\n".join(line for batch in lines_of(source) for line in self._decodable(batch, source)[1])
            return "".join(decoded(source, self.encoding)).removeprefix("\ufeff")
        except (pl.exceptions.PolarsError, OSError, EOFError) as error:
            self._bad(str(source), f"cannot be read ({error}); expected text")
        except UserError:
            if self.on_bad_rows == "error":
                raise
            self.skipped.append(str(source))
        return None

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
                    yield from self._read_json(readable, source)
                elif kind == "json":
                    yield from self._read_json_array(readable, source)
                elif self.on_bad_rows == "skip" or as_it_comes:
                    yield from self._read_csv_by_row(readable, source, self._separator(readable, kind))
                else:
                    yield from self._read_csv(readable, source, self._separator(readable, kind))
        except (pl.exceptions.PolarsError, OSError, EOFError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"data.files: {source} cannot be read as {kind} ({reason}); expected it whole.") from error

    def _read_parquet(self, readable: Path | str, source: Source) -> Iterator[pl.DataFrame]:
        scan = pl.scan_parquet(readable, glob="://" in str(readable))
        schema = scan.collect_schema()
        self._check_columns(schema.names(), source)
        text = self.columns["text"]
        if not isinstance(schema[text], pl.String | pl.Categorical | pl.Enum):
            raise UserError(f"data.text_column: {text} of {source} holds {schema[text]}; expected strings.")
        for frame in streamed(scan.select(self._wanted())):
            yield self._numbered(frame)

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
        self._check_columns(table.columns, source)
        yield self._numbered(table.select(self._wanted()))

    def _read_csv(self, readable: Path | str, source: Source, separator: str) -> Iterator[pl.DataFrame]:
        before = self.num_rows
        try:
            scan = pl.scan_csv(readable, separator=separator, infer_schema=False, glob="://" in str(readable))
            names = scan.collect_schema().names()
            self._check_columns(names, source, separator)
            # All columns are looked at, even those that nobody asked for: a row with too many fields shows only then.
            blank = pl.all_horizontal(pl.all().is_null()).alias("blank")
            ends: _LineEnds | None = None
            num_cut = 0  # rows without a last field, empty lines aside
            for frame in streamed(scan.select(*self._wanted(), blank, pl.nth(-1).is_null().alias("cut"))):
                if frame["cut"].any() and len(names) > 1:
                    ends = ends or _line_ends(readable, separator, len(names))
                    # Polars reads an empty line and one of separators alike; where both are, Python tells them apart.
                    if ends.blank and ends.separators and frame["blank"].any():
                        yield from self._read_csv_by_row(readable, source, separator, self.num_rows - before)
                        return
                    num_cut += int((frame["cut"] & ~frame["blank"]).sum())
                if (len(names) == 1 or (ends is not None and not ends.separators)) and frame["blank"].any():
                    frame = frame.filter(~pl.col("blank"))
                yield self._numbered(frame.drop("blank", "cut"))
            if ends is not None:
                self.num_short += max(num_cut - ends.empty, 0)
        except pl.exceptions.NoDataError:
            return
        except pl.exceptions.PolarsError:
            # Slower, but it knows its lines, and some quotes that Polars does not.
            yield from self._read_csv_by_row(readable, source, separator, self.num_rows - before)

    def _read_csv_by_row(
        self, readable: Path | str, source: Source, separator: str, known: int = 0
    ) -> Iterator[pl.DataFrame]:
        """The documents, read by Python; the first of them that are ``known`` already are passed over."""
        csv.field_size_limit(2**31 - 1)
        records = _Records(lines_of(readable, self.encoding), separator)
        header = records.header()
        if header is None:
            return
        self._check_columns(header, source, separator)
        rows: list[Row] = []
        places = [header.index(column) for column in self.columns.values()]
        self.num_rows -= known
        for line, fields, reread in records:
            number = self.num_rows
            self.num_rows += 1
            if known:
                known -= 1
                continue
            if isinstance(fields, str):
                quotes = "expected quotes around a field, and those in it doubled"
                self._bad_row(source, line, f"{fields}; {quotes}")
            elif len(fields) > len(header):
                self._bad_row(
                    source,
                    line,
                    f"{len(fields)} fields where the first line names {len(header)} columns; expected as many: "
                    "quotes around a text that has the separator in it",
                )
            elif reread and len(fields) < len(header):  # it may as well be a part of the row before
                self._bad_row(source, line, f"{len(fields)} fields after a row with broken quotes")
            elif records.lossy and any(UNREADABLE in text for text in fields):
                self._bad_row(source, line, not_decoded(self.encoding))
            else:
                if len(fields) < len(header):
                    self.num_short += 1
                    fields += [""] * (len(header) - len(fields))
                rows.append((number, *(fields[place] or None for place in places)))
            if len(rows) == MAX_ROWS:
                yield self._table(rows)
                rows = []
        if rows:
            yield self._table(rows)

    def _separator(self, readable: Path | str, kind: str) -> str:
        """The one that was given; else that under which the first line has the columns, or the most columns."""
        if self.separator is not None or readable == STDIN:
            return self.separator or SEPARATORS[kind]
        own = SEPARATORS[kind]
        candidates = (own, *(other for other in FOUND_SEPARATORS if other != own))
        start = [f"{line}\n" for line in first_lines(readable)]
        headers = {separator: next(csv.reader(start, delimiter=separator), []) for separator in candidates}
        having = [separator for separator in candidates if {*self.columns.values()} <= {*headers[separator]}]
        if having:
            return having[0] if having[0] == own or len(having) == 1 else own
        return max(candidates, key=lambda separator: len(headers[separator]))

    def _read_lines(self, readable: Path | str, source: Source) -> Iterator[pl.DataFrame]:
        for batch in lines_of(readable, self.encoding):
            places, lines = self._decodable(batch, source)
            yield pl.DataFrame({"row": self.num_rows + places, "text": lines})
            self.num_rows += len(batch.lines)

    def _read_json(self, readable: Path | str, source: Source) -> Iterator[pl.DataFrame]:
        row = pl.Struct(dict.fromkeys(self.columns.values(), pl.String))
        known = False
        for batch in lines_of(readable, self.encoding):
            lines = batch.lines.filter(batch.lines.str.contains(r"\S"))
            if not known and len(lines):
                self._check_columns(_keys(lines.head(SEEN_ROWS)), source)
                known = True
            try:
                if batch.lossy:
                    raise pl.exceptions.ComputeError("some may not be text")
                decoded_rows = lines.str.json_decode(row)
                if decoded_rows.null_count():
                    raise pl.exceptions.ComputeError("null is no object")
                yield self._numbered(decoded_rows.struct.unnest().select(self._wanted()))
            except pl.exceptions.PolarsError:
                yield self._table(list(self._json_rows(batch, source)))

    def _json_rows(self, batch: Lines, source: Source) -> Iterator[Row]:
        for number, line in enumerate(batch.lines, start=batch.first):
            if not line.strip():
                continue
            self.num_rows += 1
            if batch.lossy and UNREADABLE in line:
                self._bad_row(source, number, not_decoded(self.encoding))
                continue
            try:
                yield (self.num_rows - 1, *self._fields(json.loads(line)))
            except (ValueError, RecursionError) as error:
                self._bad_row(source, number, f"no JSON object with strings ({error}); expected one a line")

    def _fields(self, values: object) -> list[str | None]:
        if not isinstance(values, dict):
            raise ValueError(f"it holds a {type(values).__name__}")
        return [_as_text(values.get(column)) for column in self.columns.values()]

    def _read_json_array(self, readable: Path | str, source: Source) -> Iterator[pl.DataFrame]:
        """The objects of an array; what has none is read as one object a line."""
        if isinstance(readable, Path) and readable_here(readable):
            pieces = decoded(readable, "utf-8")
        else:
            pieces = ("\n".join([*batch.lines, ""]) for batch in lines_of(readable))
        start = ""
        while not start.strip("\ufeff \t\r\n") and (piece := next(pieces, None)) is not None:
            start = piece
        if not start.lstrip("\ufeff \t\r\n").startswith("["):
            yield from self._read_json(readable, source)
            return
        rows: list[Row] = []
        seen: dict[str, None] = {}
        for place, values in enumerate(_array(start, pieces, source)):
            if place < SEEN_ROWS and isinstance(values, dict):
                seen |= dict.fromkeys(values)
            self.num_rows += 1
            try:
                rows.append((self.num_rows - 1, *self._fields(values)))
            except (ValueError, RecursionError) as error:
                self._bad(f"{source}, record {place} (from 0)", f"no JSON object with strings ({error}); expected such")
            if len(rows) == MAX_ROWS:
                self._check_columns(list(seen), source)
                yield self._table(rows)
                rows = []
        if rows:
            self._check_columns(list(seen), source)
            yield self._table(rows)

    # Parts of these

    def _wanted(self) -> list[pl.Expr]:
        return [pl.col(column).cast(pl.String).alias(what) for what, column in self.columns.items()]

    def _numbered(self, frame: pl.DataFrame) -> pl.DataFrame:
        """With the next rows' numbers."""
        rows = pl.int_range(self.num_rows, self.num_rows + len(frame), eager=True).alias("row")
        self.num_rows += len(frame)
        return frame.insert_column(0, rows)

    def _table(self, rows: Sequence[Row]) -> pl.DataFrame:
        return pl.DataFrame(rows, schema={"row": pl.Int64, **dict.fromkeys(self.columns, pl.String)}, orient="row")

    def _check_columns(self, names: Sequence[str], source: Source, separator: str = ",") -> None:
        for what, column in self.columns.items():
            if column not in names:
                between = "" if separator == "," else f" (between {separator!r}, data.separator)"
                raise UserError(
                    f"data.{what}_column: {source} has no column {column!r}; expected one of "
                    f"{', '.join(names)[:300]}{between}."
                )

    def _bad_row(self, source: Source, line: int, what: str) -> None:
        self._bad(f"{source}, line {line}", what)

    def _bad(self, place: str, what: str) -> None:
        if self.on_bad_rows == "error":
            raise UserError(f"data.files: {place}: {what}. To leave such rows out: --data.on_bad_rows skip.")
        self.skipped.append(place)

    def _decodable(self, batch: Lines, source: Source) -> tuple[pl.Series, pl.Series]:
        """Places in the batch, and lines there, of those that are text."""
        places = pl.int_range(len(batch.lines), eager=True)
        if not batch.lossy:
            return places, batch.lines
        broken = batch.lines.str.contains(UNREADABLE, literal=True)
        for place in broken.arg_true():
            self._bad_row(source, batch.first + place, not_decoded(self.encoding))
        return places.filter(~broken), batch.lines.filter(~broken)


def check_separator(separator: str | None) -> str | None:
    """A separator as it was given, or what a name of it means.

    Raises:
        UserError: It is no single character that can be one.
    """
    if separator is None:
        return None
    meant = NAMED_SEPARATORS.get(separator, separator)
    if len(meant) != 1 or not meant.isascii() or meant in '"\r\n':
        raise UserError(f"data.separator: {separator!r}; expected one character, as , ; | or tab.")
    return meant


class _Records:
    """The rows of CSV after the header, in Python's strict reading; after a broken one it goes on at the next line.

    Iterated over, gives the line that a row starts at, its fields, or what is wrong with it, and whether its lines may
    be those of a broken row before. Empty lines are no rows.
    """

    def __init__(self, batches: Iterable[Lines], separator: str) -> None:
        self.lossy = False
        self._batches = batches
        self._separator = separator
        self._lines = self._read()
        self._again: deque[str] = deque()  # lines after one that is broken
        self._record: list[str] = []  # lines of the row that is read
        self._line = 1  # where it starts
        self._reread = 0
        self._rows = self._reader()

    def _read(self) -> Iterator[str]:
        for batch in self._batches:
            self.lossy = batch.lossy
            yield from (f"{line}\n" for line in batch.lines)

    def _reader(self) -> Iterator[list[str]]:
        return csv.reader(self._next_lines(), delimiter=self._separator, strict=True)

    def _next_lines(self) -> Iterator[str]:
        size = 0
        while (line := self._again.popleft() if self._again else next(self._lines, None)) is not None:
            size = len(line) + (size if self._record else 0)
            self._record.append(line)
            yield line
            if size > MAX_ROW and len(self._record) > 1:
                raise csv.Error(f"no end of the quotes in {MAX_ROW:,} characters")

    def header(self) -> list[str] | None:
        header = next(self._rows, None)
        self._done()
        return header

    def _done(self) -> None:
        self._line += len(self._record)
        self._record.clear()

    def __iter__(self) -> Iterator[tuple[int, list[str] | str, bool]]:
        while True:
            reread = bool(self._again)
            try:
                fields = next(self._rows, None)
            except csv.Error as error:
                yield self._line, str(error), reread
                self._go_on()
                continue
            if fields is None:
                return
            line = self._line
            self._done()
            if fields:
                yield line, fields, reread

    def _go_on(self) -> None:
        after = self._record[1:]
        self._reread += sum(map(len, after))
        if self._reread > MAX_REREAD:
            raise UserError(
                f"data.files: the row from line {self._line}, like many before, has quotes that nothing closes; "
                "expected quotes around a field, and those in it doubled: mend the file."
            )
        self._again.extendleft(reversed(after))
        self._line += 1
        self._record.clear()
        self._rows = self._reader()


class _LineEnds(NamedTuple):
    """How many lines of a file are empty, have separators alone, and end in one."""

    blank: int
    separators: int
    empty: int


def _line_ends(readable: Path | str, separator: str, width: int) -> _LineEnds:
    line, length = pl.col("line"), pl.col("line").str.len_bytes()
    of_separators = line.filter((length > 0) & (length < width)).str.strip_chars(separator) == ""
    counted = pl.scan_lines(readable, name="line", glob="://" in str(readable)).select(
        (length == 0).sum().alias("blank"),
        of_separators.sum().alias("separators"),
        line.str.ends_with(separator).sum().alias("empty"),
    )
    return _LineEnds(*counted.collect(engine="streaming").row(0))


def _array(start: str, pieces: Iterator[str], source: Source) -> Iterator[object]:
    """The values of a JSON array, one after the other."""
    decoder = json.JSONDecoder()
    text, at, number = start, start.index("[") + 1, 0
    between = re.compile(r"[\s,]*")
    while True:
        at = between.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing as well
        if text.startswith("]", at):
            return
        try:
            value, end = decoder.raw_decode(text, at)
            if end == len(text):
                raise ValueError("it may go on")  # a number
            yield value
            at, number = end, number + 1
        except (ValueError, RecursionError) as error:
            more: list[str] = []
            size = wanted = len(text) - at
            while size <= 2 * wanted and (piece := next(pieces, None)) is not None:
                more.append(piece)
                size += len(piece)
            if not any(more) or wanted > MAX_VALUE:
                raise UserError(
                    f"data.files: {source}, record {number} (from 0): no JSON ({error}); expected an array of objects, "
                    "or one object a line (.jsonl)."
                ) from error
            text, at = text[at:] + "".join(more), 0


def _cut(frame: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """A table in pieces that are small enough to be cut into words at once, or of one row."""
    ends = frame["text"].str.len_bytes().cum_sum().to_numpy()
    start = 0
    while start < len(frame):
        reached = ends[start - 1] if start else 0
        stop = max(int(ends.searchsorted(reached + PIECE, side="right")), start + 1)
        stop = min(stop, start + MAX_ROWS)
        yield frame.slice(start, stop - start)
        start = stop


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
