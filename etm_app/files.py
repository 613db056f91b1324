"""Files that are there as a whole or not at all, and never in place of what somebody else wrote."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from glob import glob, has_magic
from hashlib import sha256
from pathlib import Path
from uuid import uuid4

import polars as pl

from etm_app.errors import UserError

__all__ = ["RUN_FOLDER", "check_target", "content_digest", "is_among", "is_same", "replacing", "writing"]

RUN_FOLDER = "trainer.default_root_dir"  # the argument that says where what has no argument of its own is written


@contextmanager
def replacing(path: Path, argument: str = RUN_FOLDER) -> Iterator[Path]:
    """A file to write, which takes the place of ``path`` at the end of the block; if that fails nothing has changed.

    Args:
        path: The file; what a link points to is replaced, not the link.
        argument: What says where it is, for the message.

    Raises:
        UserError: It cannot be written.
    """
    path = path.resolve()
    unfinished = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
    try:
        with writing(path, argument):
            yield unfinished
            unfinished.replace(path)
    finally:
        with suppress(OSError):
            unfinished.unlink()


@contextmanager
def writing(path: Path, argument: str = RUN_FOLDER) -> Iterator[None]:
    """Says which file cannot be written, and what to do, where the block finds no room or no permission.

    Raises:
        UserError: The block raises what a file system or Polars does.
    """
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise UserError(
            f"{argument}: cannot write to {path} ({reason}); expected a folder to write to, with room for it."
        ) from error


def check_target(path: Path, argument: str, is_ours: Callable[[Path], bool], overwrite: bool) -> None:
    """Refuse to write over what somebody else wrote.

    Args:
        path: The file that is to be written.
        argument: What names it, ``prediction.path`` say, beside ``prediction.overwrite``.
        is_ours: Whether an earlier run wrote a file.
        overwrite: Whether any file may be replaced.

    Raises:
        UserError: It is there, holds something, and is not ours; or it is no file.
    """
    if not path.exists():
        return
    if not path.is_file():
        raise UserError(f"{argument}: {path} is there and no file; expected the name of a file.")
    if not overwrite and path.stat().st_size and not is_ours(path):
        section = argument.rpartition(".")[0]
        raise UserError(
            f"{argument}: {path} is there, and not one that etm_app wrote; it is kept. Expected another name, or "
            f"--{section}.overwrite true to replace it."
        )


def is_same(path: Path, other: Path) -> bool:
    """Whether two names are one file, by links as well; a file that is not there is only itself."""
    try:
        return path.samefile(other)
    except OSError:
        return path.resolve() == other.resolve()


def is_among(path: Path, sources: Iterable[str | Path]) -> bool:
    """Whether a file is one of these, in one of these folders, or matches one of these patterns; it need not be there.

    Args:
        path: The file.
        sources: Files, folders with all that is in them, and patterns as `glob` takes them.
    """
    return any(_is_in(path, Path(source).expanduser()) for source in sources)


def _is_in(path: Path, source: Path) -> bool:
    if source.is_dir():
        return path.resolve().is_relative_to(source.resolve())
    if source.exists() or not has_magic(str(source)):
        return is_same(path, source)
    if any(is_same(path, Path(match)) for match in glob(str(source), recursive=True)):  # noqa: PTH207 - as TextReader
        return True
    # A name that the pattern will match once it is there.
    folders = glob(str(source.parent), recursive=True)  # noqa: PTH207
    return fnmatchcase(path.name, source.name) and any(is_same(path.parent, Path(folder)) for folder in folders)


def content_digest(path: Path) -> str:
    """Digest of what is in a file: touched or copied it is the same one, edited it is not.

    Raises:
        UserError: It cannot be read.
    """
    digest = sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise UserError(f"data: {path} cannot be read ({error.strerror}); expected a file to read.") from error
    return digest.hexdigest()
