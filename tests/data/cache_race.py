"""Many processes on one cache, some of them killed: ``python -m tests.data.cache_race --rounds 50``."""

import argparse
import multiprocessing
import os
import random
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path

import numpy as np
import polars as pl

from etm_app.data.corpus import BowCorpus, CorpusWriter
from etm_app.data.counts.counts import CountsDataModule
from etm_app.data.datamodule import BowDataModule
from etm_app.data.text.texts import TextDataModule

# Forked from a process that has imported what is needed and done nothing else: ten start in a tenth of a second.
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.data.cache_race"])  # not __name__, which may be __main__

LETTERS = str.maketrans("0123456789", "abcdefghij")  # a number is no word


def write_sources(folder: Path, num_documents: int) -> list[BowDataModule]:
    """Texts as a table and as a folder, and counts; to be prepared into ``cache`` beside them."""
    rng = np.random.default_rng(0)
    words = [f"w{word}".translate(LETTERS) for word in range(3_000)]
    texts = [" ".join(words[word] for word in row) for row in rng.zipf(1.3, (num_documents, 40)) % len(words)]
    pl.DataFrame({"text": texts}).write_csv(folder / "a.csv")
    (folder / "docs").mkdir()
    for row, text in enumerate(texts[: num_documents // 4]):
        (folder / "docs" / f"{row}.txt").write_text(text)
    documents, terms = rng.integers(num_documents, size=20_000), rng.integers(500, size=20_000)
    counts = pl.DataFrame({"document": documents, "term": terms, "count": 1})
    counts.with_columns(pl.format("w{}", "term").alias("term")).write_parquet(folder / "counts.parquet")
    cache = folder / "cache"
    return [
        TextDataModule(str(folder / "a.csv"), min_df=2, max_df=1.0, cache_dir=cache),
        TextDataModule(str(folder / "docs"), min_df=2, max_df=1.0, cache_dir=cache),
        CountsDataModule(folder / "counts.parquet", cache_dir=cache),
    ]


def digest(corpus: BowCorpus) -> tuple[int, ...]:
    """What tells two corpora apart."""
    words = np.asarray(corpus.indices, np.int64) + 1
    return (len(corpus), corpus.vocab_size, int(corpus.counts.sum()), int((words * corpus.counts).sum()))


def prepare(module: BowDataModule, connection: Connection) -> None:
    """What each of the processes does, once all are there; it tells when it begins to write."""
    enter = CorpusWriter.__enter__

    def announce(writer: CorpusWriter) -> CorpusWriter:
        entered = enter(writer)
        connection.send("writing")
        return entered

    CorpusWriter.__enter__ = announce  # type: ignore[method-assign]
    connection.send("ready")
    connection.recv()
    connection.send(digest(module.corpus))


def race(
    modules: Sequence[BowDataModule],
    expected: Sequence[tuple[int, ...]],
    num_processes: int,
    num_killed: int,
    seed: int,
) -> int:
    """Let processes prepare corpora at once, and kill some with SIGKILL; no other may fail or find another corpus.

    Returns:
        How many of the killed ones were writing.
    """
    rng = random.Random(seed)
    running = []
    for number in range(num_processes):
        ours, theirs = CONTEXT.Pipe()
        process = CONTEXT.Process(target=prepare, args=(modules[number % len(modules)], theirs))
        process.start()
        theirs.close()
        running.append((process, ours, expected[number % len(modules)]))
    connections = {connection: process for process, connection, _ in running}
    for connection in connections:
        assert connection.recv() == "ready"
    for connection in connections:
        connection.send("go")
    for _ in range(num_killed):
        writing = wait(connections, timeout=1) if rng.random() < 0.7 else []
        time.sleep(rng.uniform(0.0, 0.1))
        connections[rng.choice(writing or list(connections))].kill()  # type: ignore[index]
    killed_writing = 0
    for process, connection, its in running:
        process.join()
        killed = process.exitcode == -signal.SIGKILL
        assert killed or process.exitcode == 0, f"a process ended with {process.exitcode}"
        messages = []
        with suppress(EOFError, ConnectionResetError):
            while True:
                messages.append(connection.recv())
        if messages and isinstance(messages[-1], tuple):
            assert messages[-1] == its, "another corpus"
        else:
            assert killed
            killed_writing += "writing" in messages
    return killed_writing


def unfinished(cache: Path) -> list[str]:
    """What is in a cache beside corpora and their locks."""
    return [path.name for path in (cache / "corpora").iterdir() if path.name.startswith(".")]


def main() -> None:
    """Fifty rounds of ten processes, three of them killed, on new and on old caches by turns."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--processes", type=int, default=10)
    parser.add_argument("--killed", type=int, default=3)
    parser.add_argument("--documents", type=int, default=4_000)
    args = parser.parse_args()
    os.environ.setdefault("POLARS_MAX_THREADS", "2")
    with tempfile.TemporaryDirectory() as folder:
        modules = write_sources(Path(folder), args.documents)
        expected = [digest(module.build()) for module in modules]
        cache = modules[0].cache_dir
        killed = 0
        for number in range(args.rounds):
            if number % 2 == 0:
                shutil.rmtree(cache, ignore_errors=True)
            else:  # one of three is to be made again, what killed ones have left is still there
                made = [path for path in sorted((cache / "corpora").iterdir()) if path.is_dir()]
                shutil.rmtree(made[number % len(made)])
            killed += race(modules, expected, args.processes, args.killed, number)
        left = unfinished(cache)
        print(
            f"{args.rounds} rounds of {args.processes} processes, {args.killed} of them killed, {killed} in the middle "
            f"of writing: no error, equal corpora; left in the end: {left or 'nothing'}"
        )


if __name__ == "__main__":
    main()
