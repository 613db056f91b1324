"""The corpora of the benchmarks."""

from pathlib import Path
from typing import Any

import scipy.sparse as sp

from etm_app import BowCorpus, BowDataModule, DocstringsDataModule, SyntheticDataModule
from etm_app.data.paper_files import PaperFiles, read_paper_files

__all__ = ["SavedCorpus", "docstrings", "newsgroups", "synthetic", "training_counts"]


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


def synthetic(vocab_size: int, num_documents: int = 3000) -> BowCorpus:
    """Training documents whose words follow Zipf's law, each of about 78 different ones."""
    return SyntheticDataModule(num_documents, vocab_size, val_fraction=0.0, test_fraction=0.0).build()


def training_counts(corpus: BowCorpus) -> sp.csr_array:
    """The training documents that are not empty, [D, V]."""
    rows = corpus.rows("train")
    indptr, indices, counts, _ = corpus.select(rows[corpus.indptr[rows + 1] > corpus.indptr[rows]])
    return sp.csr_array((counts, indices, indptr), shape=(len(indptr) - 1, corpus.vocab_size))
