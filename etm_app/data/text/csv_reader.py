"""Texts in CSV: in Polars' fast reading, and in Python's, which knows its lines and what is wrong with one."""

import csv
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import polars as pl

from etm_app.data.expansion import PIECE, check_lines, opened
from etm_app.data.text.reading import MAX_ROWS, Reading, Row
from etm_app.data.text.sources import STDIN, UNREADABLE, Lines, Source, first_lines, lines_of, not_decoded, streamed
from etm_app.errors import UserError

__all__ = ["check_separator", "read_csv", "read_csv_by_row", "separator_of"]

SEPARATORS = {"csv": ",", "tsv": "\t"}
FOUND_SEPARATORS = (",", ";", "\t", "|")
NAMED_SEPARATORS = {"\\t": "\t", "tab": "\t"}  # as a shell hands them on
# Where a quote opens and none closes it: what is taken for one row, and what is read twice in a file; in characters.
MAX_ROW, MAX_REREAD = 64 << 20, 1 << 28
FIELD, MOST_AT_ONCE = 16, 1 << 31  # bytes of a field in memory, and of all that are there at once


def separator_of(reading: Reading, readable: Path | str, kind: str) -> str:
    """The one that was given; else that under which the first line has the columns, or the most columns."""
    if reading.separator is not None or readable == STDIN:
        return reading.separator or SEPARATORS[kind]
    own = SEPARATORS[kind]
    candidates = (own, *(other for other in FOUND_SEPARATORS if other != own))
    start = [f"{line}\n" for line in first_lines(readable)]
    headers = {separator: _header(start, separator) for separator in candidates}
    having = [separator for separator in candidates if {*reading.columns.values()} <= {*headers[separator]}]
    if having:
        return having[0] if having[0] == own or len(having) == 1 else own
    return max(candidates, key=lambda separator: len(headers[separator]))


def _header(lines: list[str], separator: str) -> list[str]:
    """The columns that the first line names; none where Python takes it for no line of CSV."""
    try:
        return next(csv.reader(lines, delimiter=separator), [])
    except csv.Error:
        return []


def read_csv(reading: Reading, readable: Path | str, source: Source, separator: str) -> Iterator[pl.DataFrame]:
    """The documents of a file, whose rows are all to be good ones.

    Args:
        reading: What is wanted, and what was read before.
        readable: The file as it can be read.
        source: The file as it was named.
        separator: Between its columns.

    Raises:
        UserError: A column is missing, or a row is a bad one.
    """
    before = reading.num_rows
    if isinstance(readable, Path):
        check_lines(readable, f"data.files: {source}", quoted=True)
    try:
        scan = pl.scan_csv(readable, separator=separator, infer_schema=False, glob="://" in str(readable))
        names = scan.collect_schema().names()
        reading.check_columns(names, source, separator)
        if isinstance(readable, Path) and _lacks_fields(readable, len(names)):
            yield from read_csv_by_row(reading, readable, source, separator)
            return
        # All columns are looked at, even those that nobody asked for: a row with too many fields shows only then.
        blank = pl.all_horizontal(pl.all().is_null()).alias("blank")
        ends: _LineEnds | None = None
        num_cut = 0  # rows without a last field, empty lines aside
        for frame in streamed(scan.select(*reading.wanted(), blank, pl.nth(-1).is_null().alias("cut"))):
            if frame["cut"].any() and len(names) > 1:
                ends = ends or _line_ends(readable, separator, len(names))
                # Polars reads an empty line and one of separators alike; where both are, Python tells them apart.
                if ends.blank and ends.separators and frame["blank"].any():
                    yield from read_csv_by_row(reading, readable, source, separator, reading.num_rows - before)
                    return
                num_cut += int((frame["cut"] & ~frame["blank"]).sum())
            if (len(names) == 1 or (ends is not None and not ends.separators)) and frame["blank"].any():
                frame = frame.filter(~pl.col("blank"))
            yield reading.numbered(frame.drop("blank", "cut"))
        if ends is not None:
            reading.num_short += max(num_cut - ends.empty, 0)
    except pl.exceptions.NoDataError:
        return
    except pl.exceptions.PolarsError:
        # Slower, but it knows its lines, and some quotes that Polars does not.
        yield from read_csv_by_row(reading, readable, source, separator, reading.num_rows - before)


def read_csv_by_row(
    reading: Reading, readable: Path | str, source: Source, separator: str, known: int = 0
) -> Iterator[pl.DataFrame]:
    """The documents, read by Python; the first of them that are ``known`` already are passed over."""
    csv.field_size_limit(2**31 - 1)
    records = _Records(lines_of(readable, reading.encoding), separator)
    try:
        header = records.header()
    except csv.Error as error:
        raise UserError(f"data.files: {source}, line 1: {error}; expected the names of the columns.") from error
    if header is None:
        return
    reading.check_columns(header, source, separator)
    rows: list[Row] = []
    places = [header.index(column) for column in reading.columns.values()]
    reading.num_rows -= known
    for line, fields, reread in records:
        number = reading.num_rows
        reading.num_rows += 1
        if known:
            known -= 1
            continue
        if isinstance(fields, str):
            quotes = "expected quotes around a field, and those in it doubled"
            reading.bad_row(source, line, f"{fields}; {quotes}")
        elif len(fields) > len(header):
            reading.bad_row(
                source,
                line,
                f"{len(fields)} fields where the first line names {len(header)} columns; expected as many: "
                "quotes around a text that has the separator in it",
            )
        elif reread and len(fields) < len(header):  # it may as well be a part of the row before
            reading.bad_row(source, line, f"{len(fields)} fields after a row with broken quotes")
        elif records.lossy and any(UNREADABLE in text for text in fields):
            reading.bad_row(source, line, not_decoded(reading.encoding))
        else:
            reading.num_short += len(fields) < len(header)
            rows.append((number, *(fields[place] or None if place < len(fields) else None for place in places)))
        if len(rows) == MAX_ROWS:
            yield reading.table(rows)
            rows = []
    if rows:
        yield reading.table(rows)


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


def _lacks_fields(readable: Path, width: int) -> bool:
    """Whether rows have so few of their fields that Polars, which reads some megabytes at once, takes gigabytes."""
    most = MOST_AT_ONCE // (FIELD * width)  # lines of a piece
    if most > PIECE // 2:
        return False
    with opened(readable, f"data.files: {readable}") as file:
        return any(piece.count(b"\n") > most for piece in iter(lambda: file.read(PIECE), b""))


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
