"""Files as bytes, lines and UTF-8: compressed, within archives, in any encoding, or from the standard input."""

import codecs
import os
import shutil
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import BinaryIO, NamedTuple, cast

import polars as pl

from etm_app.data.expansion import (
    ALWAYS_EXPANDED,
    COMPRESSED,
    LONGEST_LINE,
    PIECE,
    as_os_error,
    check_expansion,
    check_lines,
    is_compressed,
    opened,
)
from etm_app.errors import UserError

__all__ = [
    "STDIN", "UNREADABLE", "Lines", "Member", "Source", "decoded", "ending", "first_lines", "in_utf8", "is_packed",
    "lines_of", "members", "not_decoded", "readable_here", "repacked", "size_of", "streamed", "text_files",
]  # fmt: skip

HEAD = 1 << 16  # of them for the first lines
STDIN = "-"
UNREADABLE = "\N{REPLACEMENT CHARACTER}"
MARKS = {  # the longer ones first
    codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32", codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16",
}  # fmt: skip


class Member(NamedTuple):
    """A file in a .zip."""

    archive: Path
    name: str

    def __str__(self) -> str:
        return f"{self.archive}/{self.name}"


Source = Path | str | Member  # a string is an address in the cloud, or the standard input


class Lines(NamedTuple):
    """Some lines of a file."""

    lines: pl.Series
    first: int  # its number, from 1
    lossy: bool  # whether what is no text in the encoding was replaced


def ending(source: Source) -> str:
    """The ending that tells the format, in lower case: that before .gz and the like."""
    name = str(source).lower().partition("?")[0] if "://" in str(source) else str(source).lower()
    for compressed in COMPRESSED:
        name = name.removesuffix(compressed)
    return PurePosixPath(name).suffix


def text_files(folder: Path) -> tuple[list[Path], list[str]]:
    """All files of a folder and those in it, in order but for hidden ones; and the folders that cannot be read."""
    unreadable: list[str] = []
    paths: list[Path] = []
    for root, folders, names in os.walk(folder, onerror=lambda error: unreadable.append(str(error.filename))):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths += [Path(root) / name for name in names if not name.startswith(".")]
    return sorted(path for path in paths if path.is_file()), sorted(unreadable)


def members(archive: Path) -> list[Member]:
    """The files in a .zip, by name, but for hidden ones and what macOS leaves beside them.

    Raises:
        UserError: It is none, has a password, or holds more than it can honestly hold.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            infos = opened.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise UserError(f"data.files: {archive} cannot be read as zip ({error}); expected it whole.") from error
    if any(info.flag_bits & 1 for info in infos):
        raise UserError(f"data.files: {archive} has a password; expected none: unpack it, and name what is in it.")
    check_expansion(f"data.files: {archive}", sum(info.file_size for info in infos), archive.stat().st_size)
    names = sorted(info.filename for info in infos if not info.is_dir())
    return [
        Member(archive, name)
        for name in names
        if not any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)
    ]


def is_packed(source: Source) -> bool:
    """Whether a file that Python reads expands."""
    return isinstance(source, Member) or (isinstance(source, Path) and is_compressed(source))


def size_of(source: Source) -> int | None:
    """Bytes of a file, or of the archive that it is in; None where there is none here."""
    path = source.archive if isinstance(source, Member) else source
    return path.stat().st_size if isinstance(path, Path) else None


@contextmanager
def _opened(source: Source) -> Iterator[BinaryIO]:
    """The bytes of a file, decompressed; what is wrong with them is an OSError or EOFError."""
    if isinstance(source, Member):
        with as_os_error(), zipfile.ZipFile(source.archive) as archive, archive.open(source.name) as file:
            yield cast(BinaryIO, file)
    elif source == STDIN:
        yield _stdin()
    else:
        assert isinstance(source, Path)
        with opened(source, f"data.files: {source}") as of_path:
            yield of_path


def _stdin() -> BufferedReader:
    return cast(BufferedReader, sys.stdin.buffer)


def _pieces(source: Source) -> Iterator[bytes]:
    """The bytes of a file, piece by piece, as far as it does not expand absurdly."""
    with _opened(source) as file:
        read = _stdin().read1 if source == STDIN else file.read  # what is there, without waiting for more
        while piece := read(PIECE):
            yield piece


def _encoding(source: Source, encoding: str) -> str:
    """The encoding that a file's first bytes tell, else the one that is given.

    Raises:
        UserError: Nobody knows the given one.
    """
    try:
        codecs.lookup(encoding)
    except LookupError as error:
        raise UserError(
            f"data.encoding: {encoding} is none; expected utf-8, latin-1, cp1252, utf-16 or another."
        ) from error
    if source == STDIN:
        start = _stdin().peek(4)
    elif readable_here(source):
        with _opened(source) as file:
            start = file.read(4)
    else:
        return encoding
    return next((marked for mark, marked in MARKS.items() if start.startswith(mark)), encoding)


def readable_here(source: Source) -> bool:
    """Whether Python reads it, not Polars alone."""
    return isinstance(source, Member | Path)


def _is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")


@contextmanager
def in_utf8(source: Source, encoding: str | None) -> Iterator[Path | str]:
    """A file that Polars can read: the file itself, or a copy of it, decompressed and in UTF-8.

    Args:
        source: The file.
        encoding: Of its text; None where it holds no text but bytes.

    Raises:
        UserError: It is not in this encoding, or cannot be converted.
    """
    known = None if encoding is None else _encoding(source, encoding)
    as_it_is = known is None or _is_utf8(known)
    if as_it_is and isinstance(source, Path | str) and source != STDIN:
        if not isinstance(source, Path) or source.suffix.lower() not in (".bz2", ".xz"):
            yield source
            return
    elif not as_it_is and source != STDIN and not readable_here(source):
        raise UserError(
            f"data.encoding: {source} cannot be read as {encoding}; expected UTF-8 there: other encodings are for "
            "files here."
        )
    with TemporaryDirectory() as folder:
        copy = Path(folder) / f"text{ending(source)}"
        with copy.open("wb") as file:
            if as_it_is:
                file.writelines(_pieces(source))
            else:
                file.writelines(text.encode() for text in decoded(source, known or ""))
        yield copy


def decoded(source: Source, encoding: str) -> Iterator[str]:
    """The text of a file, in pieces.

    Raises:
        UserError: It is not in this encoding, nor in the one that its first bytes tell.
    """
    encoding = _encoding(source, encoding)
    decoder = codecs.getincrementaldecoder(encoding)()
    line = 1
    for piece in _with_end(_pieces(source)):
        try:
            text = decoder.decode(piece, final=not piece)
        except UnicodeError as error:  # of UTF-16 without the mark that it starts with, no UnicodeDecodeError
            if isinstance(error, UnicodeDecodeError):
                line += error.object[: error.start].count(b"\n")
            raise UserError(f"data.files: {source}, line {line}: {not_decoded(encoding)}.") from error
        line += text.count("\n")
        yield text


def not_decoded(encoding: str) -> str:
    """What is said of text in another encoding."""
    return f"no {encoding}; expected text in it, or set --data.encoding (latin-1, cp1252, utf-16 …)"


def _with_end(pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield from pieces
    yield b""


def lines_of(source: Path | str, encoding: str = "utf-8") -> Iterator[Lines]:
    """All lines of a file in UTF-8 as far as they are, without the mark that some editors start it with.

    Args:
        source: A file in UTF-8 that Polars can read; or the standard input, whose lines come as they are there.
        encoding: Of the standard input.

    Raises:
        UserError: A compressed file expands absurdly, or a line of it does.
    """
    if source == STDIN:
        yield from _lines_of_stdin(encoding)
        return
    if isinstance(source, Path):
        check_lines(source, f"data.files: {source}")
    read = 0
    lossy = False
    scan = pl.scan_lines(source, name="line", glob="://" in str(source))
    while True:
        try:
            for frame in streamed(scan.slice(read)):
                lines = frame["line"]
                if not read and len(lines):
                    lines = lines.head(1).str.strip_prefix("\ufeff").append(lines.slice(1))
                yield Lines(lines, read + 1, lossy)
                read += len(lines)
            return
        except pl.exceptions.ComputeError as error:
            if lossy or "utf8" not in str(error):
                raise
        lossy = True
        # As a table of one column that no separator and no quote can break.
        scan = pl.scan_csv(
            source,
            has_header=False,
            new_columns=["line"],
            separator="\x01",
            quote_char=None,
            infer_schema=False,
            encoding="utf8-lossy",
            empty_string_is_null=False,
            truncate_ragged_lines=True,
        )


def first_lines(source: Path | str) -> list[str]:
    """Some lines at the start of a file in UTF-8 as far as they are; all of it is not read for them."""
    if isinstance(source, Path) and readable_here(source):
        with _opened(source) as file:
            return file.read(HEAD).decode(errors="replace").removeprefix("\ufeff").split("\n")
    lines = next(lines_of(source), None)
    return [] if lines is None else lines.lines.head(100).to_list()


def _lines_of_stdin(encoding: str) -> Iterator[Lines]:
    encoding = _encoding(STDIN, encoding)
    pieces = _pieces(STDIN) if _is_utf8(encoding) else (text.encode() for text in decoded(STDIN, encoding))
    first, rest = 1, b""
    for piece in _with_end(pieces):
        whole, newline, rest = (rest + piece).rpartition(b"\n") if piece else (rest, rest, b"")
        if len(rest) > LONGEST_LINE:
            raise UserError(f"data.files: {STDIN}, line {first}: more than {LONGEST_LINE:,} bytes; expected lines.")
        if not newline:
            continue
        try:
            text, lossy = whole.decode(), False
        except UnicodeDecodeError:
            text, lossy = whole.decode(errors="replace"), True
        lines = pl.Series("line", text.removeprefix("\ufeff").split("\n"), dtype=pl.String).str.strip_suffix("\r")
        yield Lines(lines, first, lossy)
        first += len(lines)


def streamed(scan: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """The rows of a table as they come."""
    yield from scan.collect_batches(engine="streaming")


@contextmanager
def repacked(workbook: Path) -> Iterator[Path]:
    """A copy of a file in Excel's zipped format that holds no more than it says; of another file, the file itself.

    What reads workbooks trusts the sizes in them, and has all of a sheet in memory.

    Raises:
        UserError: It expands to more than a sheet can hold.
    """
    if not zipfile.is_zipfile(workbook):
        yield workbook
        return
    with TemporaryDirectory() as folder, zipfile.ZipFile(workbook) as given:
        infos = given.infolist()
        if (expanded := sum(info.file_size for info in infos)) > ALWAYS_EXPANDED:
            raise UserError(
                f"data.files: {workbook} expands to {expanded:,} bytes; expected at most {ALWAYS_EXPANDED:,}: save "
                "large tables as CSV."
            )
        copy = Path(folder) / f"workbook{workbook.suffix}"
        with zipfile.ZipFile(copy, "w") as safe:
            for info in infos:
                with given.open(info) as source, safe.open(info.filename, "w") as target:
                    shutil.copyfileobj(source, target)
        yield copy
