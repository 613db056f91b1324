"""Prepared corpora on disk: made once, by one process at a time, and whole or not at all."""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from pytorch_lightning.utilities import rank_zero_info

from etm_app.data.corpus import BowCorpus
from etm_app.errors import UserError
from etm_app.files import writing

__all__ = ["prepared"]

UNFINISHED = re.compile(r"\.(?P<name>\w+-[0-9a-f]{16})\.[0-9a-f]{32}")  # what CorpusWriter writes to


def prepared(folder: Path, write: Callable[[Path], None]) -> BowCorpus:
    """The corpus of a folder, as it is, or made anew where it is not there or is damaged.

    Args:
        folder: In the cache; its name tells everything that the corpus depends on.
        write: Makes the corpus in a folder.

    Raises:
        UserError: There is no room in the cache, or no permission.
    """
    with writing(folder.parent, "data.cache_dir"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_unfinished(folder.parent)
        with _alone(folder):
            for unfinished in folder.parent.glob(f".{folder.name}.*"):  # of one that was killed meanwhile
                shutil.rmtree(unfinished, ignore_errors=True)
            if folder.exists():
                try:
                    corpus = BowCorpus.load(folder)
                    rank_zero_info(f"Corpus: {_size(corpus)}, prepared before, reused from {folder}")
                    return corpus
                except UserError as error:
                    rank_zero_info(f"Corpus: {error} Making it again.")
            write(folder)
            corpus = BowCorpus.load(folder)
            rank_zero_info(f"Corpus: {_size(corpus)}, prepared and kept in {folder}")
            return corpus


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Only one process at a time makes a corpus; another waits, and then finds it."""
    lock = FileLock(_lock_of(folder))
    try:
        lock.acquire(timeout=0.5)
    except Timeout:
        rank_zero_info(f"Corpus: waiting for another process, which prepares {folder}")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")  # it stays: removed, it could be locked by two at once


def _remove_unfinished(cache: Path) -> None:
    """Remove what processes that were killed had written: corpora without a name yet, whose lock nobody holds."""
    for path in cache.iterdir():
        if found := UNFINISHED.fullmatch(path.name):
            try:
                with FileLock(_lock_of(cache / found["name"]), timeout=0):
                    shutil.rmtree(path, ignore_errors=True)
            except Timeout:  # it is being written
                continue


def _size(corpus: BowCorpus) -> str:
    return f"{len(corpus):,} documents, {corpus.vocab_size:,} words"
