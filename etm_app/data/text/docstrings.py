"""The embedded default corpus: the docstrings of the installed Python libraries."""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from multiprocessing import get_context
from pathlib import Path
from platform import python_version
from typing import Any

import polars as pl
from pytorch_lightning.utilities import rank_zero_info
from rich.progress import track

from etm_app.data.corpus import BowCorpus
from etm_app.data.datamodule import BowDataModule
from etm_app.data.splits import check_fractions, random_splits
from etm_app.data.text.analyzer import Analyzer, read_stop_words
from etm_app.data.text.docstring_parser import STDLIB, Docstring, package_root, parse, source_files
from etm_app.data.text.documents import training_texts
from etm_app.data.text.vectorizer import Vectorizer
from etm_app.errors import UserError

__all__ = ["DocstringsDataModule"]

MIN_LENGTH = 3  # characters of a word: in code, those of two are names of variables


class DocstringsDataModule(BowDataModule):
    """Docstrings of installed Python packages, labelled library.subpackage; needs no download.

    With a checkpoint that was trained on docstrings with the same stop words, of any packages, the words are those of
    the checkpoint.

    Args:
        packages: Packages to read; ``stdlib`` is Python's own library.
        min_words: Shorter docstrings are left out.
        stop_words: Words to drop: ``english`` for the package's list, ``none``, or a file with words.
        min_df: Words in fewer training documents are dropped; a number, or a share if a float.
        max_df: Words in more training documents are dropped; likewise.
        val_fraction: Share of the documents for validation.
        test_fraction: Share of the documents for testing.
        kwargs: Those of BowDataModule.
    """

    FORMAT = 1

    def __init__(
        self,
        packages: list[str] = ["stdlib", "numpy", "scipy", "sympy", "networkx", "torch"],  # noqa: B006 - shown by --help
        min_words: int = 20,
        stop_words: str = "english",
        min_df: int | float = 10,
        max_df: int | float = 0.2,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_fractions(val_fraction, test_fraction)
        self.packages = packages
        self.min_words = min_words
        analyzer = Analyzer(min_length=MIN_LENGTH, stop_words=read_stop_words(stop_words))
        self.vectorizer = Vectorizer(analyzer, min_df, max_df)
        self.val_fraction = val_fraction
        self.test_fraction = test_fraction

    def use(self, vocab: list[str], analyzer: dict[str, Any] | None) -> None:
        """Count these words, where docstrings are cut as the analyser with these settings does."""
        if analyzer == self.vectorizer.analyzer.settings():
            self.vectorizer = replace(self.vectorizer, vocab=vocab, grow=self.grow_vocab)

    def cache_key(self) -> dict[str, Any]:
        """The arguments and the versions of the packages."""
        return {
            "packages": [[package, _version(package)] for package in self.packages],  # in order, as the documents are
            "min_words": self.min_words,
            **self.vectorizer.cache_key(),
            "splits": [self.val_fraction, self.test_fraction, self.seed],
        }

    def build(self) -> BowCorpus:
        """Parse the packages' sources, in parallel, and vectorize their docstrings."""
        documents, splits = self._documents()
        matrix, vocab, report = self.vectorizer(documents["text"], splits)
        return BowCorpus.from_matrix(
            matrix,
            vocab,
            splits,
            ids=documents["id"].to_list(),
            labels=documents["label"].to_list(),
            meta={"source": f"docstrings of {', '.join(self.packages)}", **report},
            texts=documents["text"],
        )

    def training_texts(self) -> Iterator[pl.Series]:
        """The training docstrings; parsed anew."""
        documents, splits = self._documents()
        return training_texts(documents.iter_slices(), splits)

    def _documents(self) -> tuple[pl.DataFrame, list[str]]:
        """The docstrings with ``id``, ``label`` and ``text``, and the split of each."""
        roots = {package: package_root(package) for package in self.packages}
        if missing := [package for package, root in roots.items() if root is None]:
            raise UserError(
                f"data.packages: {', '.join(missing)} is not installed here, or has no sources; "
                "expected names of installed packages, or stdlib."
            )
        rank_zero_info(f"Corpus: parsing the docstrings of {', '.join(self.packages)}; once, they are kept.")
        sources = [source for package, root in roots.items() if root for source in source_files(package, root)]
        unique: dict[str, Docstring] = {}
        for docstring in _parse_all(sources):
            if len(docstring.text.split()) >= self.min_words:
                unique.setdefault(docstring.text, docstring)  # methods copied by hand repeat their text
        documents = pl.DataFrame(list(unique.values()), schema=["id", "label", "text"], orient="row")
        if not len(documents):
            raise UserError(
                f"data.min_words: no docstring of {', '.join(self.packages)} has {self.min_words} words or more; "
                "expected some: lower it or name more packages."
            )
        repeated = pl.int_range(pl.len()).over("id")  # the branches of an `if` may define an object twice
        documents = documents.with_columns(
            pl.when(repeated > 0).then(pl.format("{}#{}", "id", repeated + 1)).otherwise("id").alias("id")
        )
        return documents, random_splits(len(documents), self.val_fraction, self.test_fraction, self.seed)


def _parse_all(sources: list[tuple[str, str, Path]]) -> Iterator[Docstring]:
    # Spawned, not forked: torch and Polars keep threads, whose locks a fork would copy.
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        parsed = pool.map(parse, sources, chunksize=32)
        for docstrings in track(parsed, "Parsing docstrings", total=len(sources), transient=True):
            yield from docstrings


def _version(package: str) -> str:
    if package == STDLIB:
        return python_version()
    try:
        return version(package)
    except PackageNotFoundError:  # installed under another name than it is imported by
        return ", ".join(f"{name} {version(name)}" for name in packages_distributions().get(package, ()))
