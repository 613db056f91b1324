"""Text to counts: TextDataModule, from file to corpus on disk, against scikit-learn's CountVectorizer in memory."""

import csv
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import Any, NamedTuple

from etm_app.data.text.docstring_parser import package_root, parse, source_files

PACKAGES = ("stdlib", "numpy", "scipy", "sympy", "networkx", "torch")
PATTERN = r"[a-z]{2,}"  # \w is not the same to Rust and to Python: x², and letters with marks of their own
BOUNDS: dict[str, Any] = {"min_df": 5, "max_df": 0.5}


class Measured(NamedTuple):
    """Seconds, seconds of all cores together, peak memory in GB, and what was counted: words, entries, tokens."""

    wall: float
    cpu: float
    peak: float
    counted: tuple[int, int, int]


def main(megabytes: int = 1000) -> None:
    """Time both on the same CSV file, each in a process of its own, and check that they count the same.

    Args:
        megabytes: Size of the text; scikit-learn's side takes about seven times as much memory.
    """
    from tables import show

    with TemporaryDirectory() as name:
        file = Path(name) / "texts.csv"
        documents = write_texts(file, megabytes * 1_000_000)
        sides = {"CountVectorizer": count_vectorizer, "TextDataModule": text_data_module}
        measured = {name: _alone(side, file) for name, side in sides.items()}
    theirs, ours = measured.values()
    if ours.counted != theirs.counted:
        raise RuntimeError(f"the counts differ (words, entries, tokens): {ours.counted} and {theirs.counted}")
    words, entries, _ = ours.counted
    header = ["", "seconds", "seconds of all cores", "peak memory, GB"]
    rows = [
        *([name, f"{side.wall:.1f}", f"{side.cpu:.1f}", f"{side.peak:.2f}"] for name, side in measured.items()),
        ["ratio", *(f"{theirs[place] / ours[place]:.1f}" for place in range(3))],
    ]
    show(f"{megabytes:,} MB, {documents:,} documents, {words:,} words kept, {entries:,} counts", header, rows)


def write_texts(file: Path, size: int) -> int:
    """Docstrings of installed packages again and again, never twice the same; returns how many."""
    roots = {package: package_root(package) for package in PACKAGES}
    sources = [source for package, root in roots.items() if root for source in source_files(package, root)]
    texts = [docstring.text for source in sources for docstring in parse(source) if len(docstring.text) > 100]
    written = documents = 0
    with file.open("w", encoding="utf-8", newline="") as opened:
        rows = csv.writer(opened)
        rows.writerow(["text"])
        for text in _perturbed(texts, Random(0)):
            rows.writerow([text])
            written += len(text)
            documents += 1
            if written >= size:
                return documents
    raise AssertionError("there is no end of texts")


def _perturbed(texts: list[str], random: Random) -> Iterator[str]:
    """Every text with a tenth of its words from others, and a new word now and then, as real text has them."""
    while True:
        words, others = random.choice(texts).split(" "), random.choice(texts).split(" ")
        for _ in range(len(words) // 10 + 1):
            words[random.randrange(len(words))] = random.choice(others)
        if random.random() < 0.3:
            words[random.randrange(len(words))] = "".join(random.choices("abcdefghijklmnopqrstuvwxyz", k=7))
        yield " ".join(words)


def text_data_module(file: Path) -> tuple[int, int, int]:
    """Ours."""
    from etm_app import BowCorpus, TextDataModule

    data = TextDataModule(str(file), val_fraction=0.0, test_fraction=0.0, token_pattern=PATTERN, **BOUNDS)
    data.write(file.with_name("corpus"))
    corpus = BowCorpus.load(file.with_name("corpus"))
    return corpus.vocab_size, len(corpus.counts), int(corpus.counts.sum())


def count_vectorizer(file: Path) -> tuple[int, int, int]:
    """The peer's."""
    import polars as pl
    from sklearn.feature_extraction.text import CountVectorizer

    from etm_app.data.text.analyzer import read_stop_words

    texts = pl.read_csv(file)["text"].to_list()
    vectorizer = CountVectorizer(token_pattern=PATTERN, stop_words=read_stop_words("english"), **BOUNDS)
    counts = vectorizer.fit_transform(texts)
    return counts.shape[1], counts.nnz, int(counts.sum())


def _alone(side: Callable[[Path], tuple[int, int, int]], file: Path) -> Measured:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measured, side, file).result()


def _measured(side: Callable[[Path], tuple[int, int, int]], file: Path) -> Measured:
    """Without the imports, which a run of `fit` does anyway, but for the memory that they take."""
    import sklearn.feature_extraction.text  # noqa: F401
    from machine import memory

    import etm_app.data.text.texts  # noqa: F401

    start, cpu = perf_counter(), process_time()
    counted = side(file)
    return Measured(perf_counter() - start, process_time() - cpu, memory()["peak"], counted)


if __name__ == "__main__":
    from jsonargparse import auto_cli

    auto_cli(main, as_positional=False)
