"""Texts in JSON: an object a line, or an array of objects."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from etm_app.data.text.reading import MAX_ROWS, Reading, Row
from etm_app.data.text.sources import UNREADABLE, Lines, Source, decoded, lines_of, not_decoded, readable_here
from etm_app.errors import UserError

__all__ = ["read_json", "read_json_array"]

SEEN_ROWS = 100  # JSON objects whose keys are taken for the columns that there are
MAX_VALUE = 1 << 26  # characters of an object, which takes some twenty times as many bytes


def read_json(reading: Reading, readable: Path | str, source: Source) -> Iterator[pl.DataFrame]:
    """One object a line.

    Args:
        reading: What is wanted, and what was read before.
        readable: The file as it can be read.
        source: The file as it was named.

    Raises:
        UserError: A key is missing, or a line is a bad one and none may be.
    """
    row = pl.Struct(dict.fromkeys(reading.columns.values(), pl.String))
    known = False
    for batch in lines_of(readable, reading.encoding):
        lines = batch.lines.filter(batch.lines.str.contains(r"\S"))
        if not known and len(lines):
            reading.check_columns(_keys(lines.head(SEEN_ROWS)), source)
            known = True
        try:
            if batch.lossy:
                raise pl.exceptions.ComputeError("some may not be text")
            decoded_rows = lines.str.json_decode(row)
            if decoded_rows.null_count():
                raise pl.exceptions.ComputeError("null is no object")
            yield reading.numbered(decoded_rows.struct.unnest().select(reading.wanted()))
        except pl.exceptions.PolarsError:
            yield reading.table(list(_json_rows(reading, batch, source)))


def _json_rows(reading: Reading, batch: Lines, source: Source) -> Iterator[Row]:
    for number, line in enumerate(batch.lines, start=batch.first):
        if not line.strip():
            continue
        reading.num_rows += 1
        if batch.lossy and UNREADABLE in line:
            reading.bad_row(source, number, not_decoded(reading.encoding))
            continue
        try:
            if len(line) > MAX_VALUE:
                raise ValueError(f"it has more than {MAX_VALUE:,} characters")
            yield (reading.num_rows - 1, *_fields(reading, json.loads(line)))
        except (ValueError, RecursionError) as error:
            reading.bad_row(source, number, f"no JSON object with strings ({error}); expected one a line")


def _fields(reading: Reading, values: object) -> list[str | None]:
    if not isinstance(values, dict):
        raise ValueError(f"it holds a {type(values).__name__}")
    return [_as_text(values.get(column)) for column in reading.columns.values()]


def read_json_array(reading: Reading, readable: Path | str, source: Source) -> Iterator[pl.DataFrame]:
    """The objects of an array; what has none is read as one object a line."""
    if isinstance(readable, Path) and readable_here(readable):
        pieces = decoded(readable, "utf-8")
    else:
        pieces = ("\n".join([*batch.lines, ""]) for batch in lines_of(readable))
    start = ""
    while not start.strip("\ufeff \t\r\n") and (piece := next(pieces, None)) is not None:
        start = piece
    if not start.lstrip("\ufeff \t\r\n").startswith("["):
        yield from read_json(reading, readable, source)
        return
    rows: list[Row] = []
    seen: dict[str, None] = {}
    for place, values in enumerate(_array(start, pieces, source)):
        if place < SEEN_ROWS and isinstance(values, dict):
            seen |= dict.fromkeys(values)
        reading.num_rows += 1
        try:
            rows.append((reading.num_rows - 1, *_fields(reading, values)))
        except (ValueError, RecursionError) as error:
            reading.bad(f"{source}, record {place} (from 0)", f"no JSON object with strings ({error}); expected such")
        if len(rows) == MAX_ROWS:
            reading.check_columns(list(seen), source)
            yield reading.table(rows)
            rows = []
    if rows:
        reading.check_columns(list(seen), source)
        yield reading.table(rows)


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


def _keys(lines: pl.Series) -> list[str]:
    """Keys of JSON objects, as far as they are some."""
    keys: dict[str, None] = {}
    for line in lines:
        try:
            values = json.loads(line) if len(line) <= MAX_VALUE else None
        except (ValueError, RecursionError):
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
