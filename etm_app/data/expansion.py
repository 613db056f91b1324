"""What a file may expand to, as strangers make them: one rule for compressed texts, archives, tables and arrays."""

import bz2
import gzip
import lzma
import re
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import IO, Any, cast

import polars as pl
from polars import selectors as cs

from etm_app.errors import UserError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = [
    "ALWAYS_EXPANDED",
    "COMPRESSED",
    "DECOMPRESSED_BY_POLARS",
    "LONGEST_LINE",
    "MAX_EXPANSION",
    "PIECE",
    "ROW",
    "as_os_error",
    "bytes_of_strings",
    "check_archive",
    "check_expansion",
    "check_lines",
    "is_absurd",
    "is_compressed",
    "opened",
]

# So many bytes in any case, and beyond them only so many times those that it comes from.
ALWAYS_EXPANDED, MAX_EXPANSION = 1 << 30, 200
LONGEST_LINE = 1 << 28  # bytes of what is in memory at once: a line, a row of CSV, a text that is compressed
ROW = 64  # bytes that a document takes in memory at least, whatever it holds
PIECE = 8 << 20  # bytes read at once
OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open, ".zst": zstd.open}
COMPRESSED = (*OPENERS,)
# How those start that Polars decompresses whatever they are called. No text does.
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
ZLIB = (b"x\x01", b"x\x9c", b"x\xda")
DECOMPRESSED_BY_POLARS = (GZIP, ZSTD, *ZLIB)
OPENING = re.compile(rb'[\n\r,;|\t]"')  # a quoted field of CSV
DAMAGES = (zipfile.BadZipFile, lzma.LZMAError, zlib.error, zstd.ZstdError, RuntimeError, NotImplementedError)


def is_absurd(expanded: int, compressed: int) -> bool:
    """Whether so many bytes are more than an honest file expands to that has so many."""
    return expanded > max(ALWAYS_EXPANDED, MAX_EXPANSION * compressed)


def check_expansion(what: str, expanded: int, compressed: int) -> None:
    """Hold what a file expands to against what it is, as far as either is known.

    Args:
        what: The file, after the argument that names it.
        expanded: Bytes.
        compressed: Bytes.

    Raises:
        UserError: It expands absurdly.
    """
    if is_absurd(expanded, compressed):
        raise UserError(
            f"{what} has {compressed:,} bytes and expands to {expanded:,} or more; expected at most {MAX_EXPANSION} "
            "times as many, as of honest ones: if it is meant so, write it anew with less compression."
        )


def bytes_of_strings(table: pl.DataFrame) -> pl.Series:
    """Bytes of all strings in each row, [n]; in the table itself rows may share them."""
    whole = pl.Int64  # their own type wraps at four gigabytes
    lengths = (cs.string().str.len_bytes().cast(whole), (cs.categorical() | cs.enum()).cat.len_bytes().cast(whole))
    return table.select(pl.sum_horizontal(pl.lit(0, whole), *lengths).alias("bytes"))["bytes"]


def check_archive(path: Path, what: str) -> None:
    """Hold what an archive, as .npz is one, expands to against what it is; no reader takes more of it than it states.

    Raises:
        zipfile.BadZipFile: It is none.
        UserError: It expands absurdly.
    """
    with zipfile.ZipFile(path) as archive:
        check_expansion(what, sum(info.file_size for info in archive.infolist()), path.stat().st_size)


class _Expanding(RawIOBase):
    """What a compressed file expands to, counted while it is read."""

    def __init__(self, file: IO[bytes], what: str, compressed: int) -> None:
        self._file = file
        self._what = what
        self._compressed = compressed
        self._expanded = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = cast(int, self._file.readinto(buffer))  # type: ignore[attr-defined]
        self._expanded += size
        check_expansion(self._what, self._expanded, self._compressed)
        return size


def _opener(path: Path) -> Callable[..., Any] | None:
    if (opener := OPENERS.get(path.suffix.lower())) is not None:
        return opener
    with path.open("rb") as file:
        start = file.read(4)
    return gzip.open if start.startswith(GZIP) else zstd.open if start == ZSTD else None


def is_compressed(path: Path) -> bool:
    """Whether `opened` gives others than the bytes of a file."""
    return _opener(path) is not None


@contextmanager
def as_os_error() -> Iterator[None]:
    """What reading damaged compressed bytes raises becomes an OSError, but for the EOFError of cut ones."""
    try:
        yield
    except DAMAGES as error:
        raise OSError(str(error)) from error


@contextmanager
def opened(path: Path, what: str) -> Iterator[BufferedReader]:
    """The bytes of a file: of one that is compressed what it expands to, as far as that is not absurd.

    Memory does not grow with what is read, so that only its time and what is made of it need this bound.

    Args:
        path: Compressed where its ending or its first bytes tell so.
        what: The file for messages, after the argument that names it.

    Raises:
        OSError: It is damaged, or cannot be read.
        EOFError: It is cut.
        UserError: It expands absurdly, which shows in the reading.
    """
    with as_os_error():
        if (opener := _opener(path)) is None:
            with path.open("rb") as file:
                yield file
            return
        with opener(path) as file:
            yield BufferedReader(_Expanding(file, what, path.stat().st_size), PIECE)


def check_lines(path: Path, what: str, quoted: bool = False) -> None:
    """Look through a compressed file that Polars is to read, which takes memory for the longest of its lines.

    Args:
        path: Nothing is looked at if it is not compressed.
        what: The file for messages, after the argument that names it.
        quoted: Whether a line goes on where quotes are open, as in CSV.

    Raises:
        OSError: It is damaged, or cannot be read.
        EOFError: It is cut.
        UserError: It expands absurdly, or has too long a line.
    """
    if not is_compressed(path):
        with path.open("rb") as file:
            if file.read(2) in ZLIB:
                raise OSError("it is compressed by zlib: gzip it")
        return
    size, inside = 0, False  # of the line that is open, and whether quotes are
    with opened(path, what) as file:
        while piece := file.read(PIECE):
            if quoted:
                size = len(piece) if _ends_row(piece, inside) else size + len(piece)
                inside ^= bool(piece.count(b'"') & 1)
            else:
                size = len(piece) - 1 - end if (end := piece.rfind(b"\n")) >= 0 else size + len(piece)
            if size > LONGEST_LINE:
                if quoted and not _has_long_row(path, what):
                    return  # which has looked through all of it
                row = "row of CSV, maybe with quotes that nothing closes" if quoted else "line"
                raise UserError(f"{what} has a {row}, of more than {LONGEST_LINE:,} bytes; expected shorter ones.")


def _ends_row(piece: bytes, inside: bool) -> bool:
    """Whether a line ends outside of quotes."""
    at = 0
    while True:
        quote = piece.find(b'"', at)
        if not inside and piece.find(b"\n", at, quote if quote >= 0 else len(piece)) >= 0:
            return True
        if quote < 0:
            return False
        at, inside = quote + 1, not inside


def _has_long_row(path: Path, what: str) -> bool:
    """Whether a row of CSV is too long, where a quote opens a field only as its first byte: 5" in it is text."""
    size, inside, before = 0, False, b"\n"
    with opened(path, what) as file:
        while piece := file.read(PIECE):
            data = before + piece
            start, at = 1 - size, 1  # of the row, which may have begun in a piece before, and of what is to be seen
            while at < len(data):
                if inside:
                    quote = data.find(b'"', at)
                    at = quote + 1 if quote >= 0 else len(data)
                    if data[at : at + 1] == b'"':  # two of them are one that belongs to the field
                        at += 1
                    elif quote >= 0:
                        inside = False
                    continue
                opening = OPENING.search(data, at - 1)
                end = opening.end() if opening else len(data)
                if (newline := data.rfind(b"\n", at, end)) >= 0:
                    start = newline + 1
                inside, at = opening is not None, end
            size, before = len(data) - start, data[-1:]
            if size > LONGEST_LINE:
                return True
    return False
