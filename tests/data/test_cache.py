"""Prepared corpora on disk, with processes that come at once, are killed, or find no room."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etm_app.data.corpus import BowCorpus
from etm_app.data.counts.counts import CountsDataModule
from etm_app.data.text.texts import TextDataModule
from etm_app.data.text.vectorizer import WordCounts
from tests.data.cache_race import digest, race, unfinished, write_sources
from tests.data.counts.test_counts import VOCAB, X, module, write_npz, write_parquet
from tests.data.test_corpus import assert_equal
from tests.paper_files import write_part

WAITING = """
import sys
from pathlib import Path

from etm_app.data.corpus import CorpusWriter
from etm_app.data.counts.counts import CountsDataModule

finish = CorpusWriter.finish


def when_told(self, *args):
    print("written", flush=True)
    sys.stdin.readline()
    finish(self, *args)


CorpusWriter.finish = when_told
corpus = CountsDataModule(Path(sys.argv[1]), cache_dir=Path(sys.argv[2])).corpus
print(len(corpus), corpus.counts.sum(), flush=True)
"""


def start(path: Path, cache: Path) -> subprocess.Popen[str]:
    """A process that prepares a corpus, and finishes it when it is told."""
    command, pipe = [sys.executable, "-c", WAITING, str(path), str(cache)], subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def names(cache: Path) -> list[str]:
    """What is in the cache but locks."""
    return sorted(path.name for path in (cache / "corpora").iterdir() if path.suffix != ".lock")


def test_of_two_processes_at_once_one_prepares_and_one_waits(tmp_path: Path) -> None:
    path, cache = write_npz(tmp_path, X, VOCAB), tmp_path / "cache"
    first = start(path, cache)
    assert first.stdout is not None
    assert first.stdout.readline() == "written\n"
    second = start(path, cache)
    assert second.stderr is not None
    waiting = next((line for line in second.stderr if "waiting for another process" in line), None)
    said = [process.communicate("\n", timeout=60) for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], said
    assert waiting is not None
    assert [out for out, _ in said] == [f"90 {X.sum()}\n"] * 2
    assert "prepared and kept in" in said[0][1]
    assert "reused from" in said[1][1]
    assert len(names(cache)) == 1


def test_what_a_killed_process_left_is_removed_and_what_another_writes_is_not(tmp_path: Path) -> None:
    path, cache = write_npz(tmp_path, X, VOCAB), tmp_path / "cache"
    (tmp_path / "other").mkdir()
    other = write_npz(tmp_path / "other", X[::-1], VOCAB)
    killed, writing = start(path, cache), start(other, cache)
    try:
        for process in (killed, writing):
            assert process.stdout is not None
            assert process.stdout.readline() == "written\n"
        assert len(names(cache)) == 2
        assert all(name.startswith(".") for name in names(cache))
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        (tmp_path / "third").mkdir()
        assert len(module(tmp_path, write_npz(tmp_path / "third", 2 * X, VOCAB)).corpus)  # another corpus sweeps, too
        unfinished = [name for name in names(cache) if name.startswith(".")]
        assert len(unfinished) == 1
        assert len(module(tmp_path, path).corpus) == 90
    finally:
        for process in (killed, writing):
            process.kill()
            process.communicate()
    assert len(module(tmp_path, other).corpus) == 90
    assert not [name for name in names(cache) if name.startswith(".")]
    assert len(names(cache)) == 3


def write_texts(folder: Path, name: str) -> Path:
    (folder / name).write_text("text\n" + f"{name[0] * 3} cats dogs\n" * 30)
    return folder / name


def texts_module(path: Path) -> TextDataModule:
    return TextDataModule(str(path), max_df=1.0, cache_dir=path.parent / "cache")


def test_texts_that_are_being_counted_are_nobody_elses_to_remove(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose, others = WordCounts.choose, [write_texts(tmp_path, "b.csv")]

    def meanwhile(self: WordCounts, splits: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
        while others:
            assert len(texts_module(others.pop()).corpus) == 30
        return choose(self, splits)

    monkeypatch.setattr(WordCounts, "choose", meanwhile)
    corpus = texts_module(write_texts(tmp_path, "a.csv")).corpus
    assert corpus.vocab == ["aaa", "cats", "dogs"]
    assert not others
    assert len(names(tmp_path / "cache")) == 2


def test_of_processes_that_share_a_cache_none_is_harmed_by_the_killed(tmp_path: Path) -> None:
    modules = write_sources(tmp_path, 1_000)
    expected = [digest(module.build()) for module in modules]
    race(modules, expected, 5, 2, 0)  # fifty rounds of ten: python -m tests.data.cache_race
    for data, its in zip(modules, expected, strict=True):
        assert digest(data.corpus) == its
    assert not unfinished(tmp_path / "cache")


def test_classes_of_one_name_do_not_share_a_corpus(tmp_path: Path) -> None:
    class Other(TextDataModule):
        def write(self, folder: Path) -> None:
            self.build_matrix().save(folder)

        def build_matrix(self) -> BowCorpus:
            return BowCorpus.from_matrix(np.eye(3), ["x", "y", "z"], ["train"] * 3)

    Other.__name__ = "TextDataModule"
    path = write_texts(tmp_path, "a.csv")
    assert len(texts_module(path).corpus) == 30
    assert len(Other(str(path), max_df=1.0, cache_dir=tmp_path / "cache").corpus) == 3


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "a byte"])
@pytest.mark.parametrize(
    "name", ["indptr.npy", "indices.npy", "counts.npy", "halves.npy", "vocab.txt", "documents.arrow", "meta.json"]
)
def test_a_broken_cache_is_made_again(
    tmp_path: Path, paper_dir: Path, name: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = paper_dir
    if name == "halves.npy":
        path = tmp_path / "with_halves"
        path.mkdir()
        for file in paper_dir.iterdir():
            (path / file.name).write_bytes(file.read_bytes())
        for half in ("ts_h1", "ts_h2"):  # all tokens are in the first half, none in the second
            write_part(path, half, X[75:] * (half == "ts_h1"))
    expected = CountsDataModule(path).build()
    assert (expected.halves is not None) == (name == "halves.npy")
    assert_equal(module(tmp_path, path).corpus, expected)
    (damaged,) = (tmp_path / "cache").rglob(name)
    if damage == "missing":
        damaged.unlink()
    elif damage == "a byte":
        content = bytearray(damaged.read_bytes())
        content[-8] ^= 1  # in an array a number, which is a number still
        damaged.write_bytes(content)
    else:
        damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2] if damage == "cut" else b"")
    caplog.clear()
    assert_equal(module(tmp_path, path).corpus, expected)
    assert "Making it again" in caplog.text
    assert_equal(module(tmp_path, path).corpus, expected)


NO_ROOM = """
import resource, sys
from etm_app.cli.main import main

resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
main(["check", "--data=CountsDataModule", f"--data.path={sys.argv[1]}", f"--data.cache_dir={sys.argv[2]}"])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no resource limits")
def test_without_room_one_line_says_so_and_nothing_stays(tmp_path: Path) -> None:
    x = np.tile(X, (20, 1))
    (tmp_path / "counts").mkdir()
    path, cache = write_parquet(tmp_path / "counts", x, VOCAB), tmp_path / "cache"
    command = [sys.executable, "-c", NO_ROOM, str(path), str(cache)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert len(said) == 1
    assert "data.cache_dir" in said[0]
    assert "too large" in said[0]
    assert names(cache) == []


def test_another_format_prepares_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_npz(tmp_path, X, VOCAB)
    assert len(module(tmp_path, path).corpus) == 90
    monkeypatch.setattr(CountsDataModule, "FORMAT", 99)
    assert len(module(tmp_path, path).corpus) == 90
    assert len(names(tmp_path / "cache")) == 2
