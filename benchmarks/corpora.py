"""The corpora of the benchmarks."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray

from etm_app import BowCorpus, BowDataModule, DocstringsDataModule, SyntheticDataModule, TextDataModule
from etm_app.data.counts.paper_files import PaperFiles, read_paper_files
from etm_app.data.text.docstring_parser import package_root, parse, source_files

__all__ = [
    "SavedCorpus", "docstrings", "long_docstrings", "newsgroups", "short_docstrings", "short_texts", "summary_lines",
    "synthetic", "training_counts",
]  # fmt: skip


class SavedCorpus(BowDataModule):
    """A corpus that `BowCorpus.save` wrote, as data module for the command line.

    Args:
        folder: Where it is.
        kwargs: Those of BowDataModule.
    """

    def __init__(self, folder: Path, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.folder = folder

    def build(self) -> BowCorpus:
        """Open it."""
        return BowCorpus.load(self.folder)


def newsgroups(data_dir: Path) -> BowCorpus:
    """20 Newsgroups from the paper's files."""
    return read_paper_files(PaperFiles(data_dir, "data_dir"))


def docstrings() -> BowCorpus:
    """The docstrings of the installed libraries."""
    return DocstringsDataModule().corpus


def short_docstrings() -> BowCorpus:
    """2,000 of the docstrings, over the 3,000 words that are in most of them."""
    corpus = DocstringsDataModule(min_df=2).corpus
    return part(corpus, np.random.default_rng(7).permutation(len(corpus))[:2000], 3000)


def long_docstrings() -> BowCorpus:
    """The 8,000 longest docstrings, over the 10,000 words that are in most of them."""
    corpus = DocstringsDataModule(min_df=2).corpus
    return part(corpus, np.argsort(-np.diff(corpus.indptr), kind="stable")[:8000], 10_000)


def summary_lines() -> BowCorpus:
    """The first line of each docstring of 20 words or more, each once."""
    labels: dict[str, str] = {}
    for package in DocstringsDataModule().packages:
        for source in source_files(package, package_root(package) or Path()):
            for docstring in parse(source):
                if len(docstring.text.split()) >= 20:
                    labels.setdefault(docstring.text.split("\n")[0], docstring.label)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "summary_lines.csv"
        pl.DataFrame({"text": labels.keys(), "label": labels.values()}).write_csv(file)
        return TextDataModule(str(file), label_column="label", min_df=2).build()


def short_texts(file: Path) -> BowCorpus:
    """Short texts that their makers have cleaned, with labels: a CSV file with the columns text and label."""
    return TextDataModule(
        str(file), label_column="label", test_fraction=0.2, stop_words="none", min_df=2, max_df=1.0
    ).build()


def part(corpus: BowCorpus, rows: NDArray[np.int64], max_words: int) -> BowCorpus:
    """Some of the documents over the words that are in most of them."""
    rows = np.sort(rows)
    indptr, indices, counts, _ = corpus.select(rows)
    matrix = sp.csc_array(sp.csr_array((counts, indices, indptr), (len(rows), corpus.vocab_size)))
    words = np.sort(np.argsort(-np.diff(matrix.indptr), kind="stable")[:max_words])
    documents = corpus.documents[rows]
    return BowCorpus.from_matrix(
        matrix[:, words],
        [corpus.vocab[word] for word in words],
        documents["split"].to_list(),
        ids=documents["id"].to_list(),
        labels=documents["label"].to_list(),
    )


def synthetic(vocab_size: int, num_documents: int = 3000) -> BowCorpus:
    """Training documents whose words follow Zipf's law, each of about 78 different ones."""
    return SyntheticDataModule(num_documents, vocab_size, val_fraction=0.0, test_fraction=0.0).build()


def training_counts(corpus: BowCorpus) -> sp.csr_array:
    """The training documents that are not empty, [D, V]."""
    rows = corpus.rows("train")
    indptr, indices, counts, _ = corpus.select(corpus.with_words(rows))
    return sp.csr_array((counts, indices, indptr), shape=(len(indptr) - 1, corpus.vocab_size))
