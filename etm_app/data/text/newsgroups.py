"""20 Newsgroups: the paper's files where they are, else downloaded and prepared."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
from pytorch_lightning.utilities import rank_zero_info

from etm_app.data.corpus import BowCorpus
from etm_app.data.counts.paper_files import PaperFiles, read_paper_files
from etm_app.data.datamodule import BowDataModule
from etm_app.data.splits import check_fractions, random_splits
from etm_app.data.text.analyzer import Analyzer, read_stop_words
from etm_app.data.text.documents import training_texts
from etm_app.data.text.vectorizer import Vectorizer
from etm_app.errors import UserError

__all__ = ["NewsgroupsDataModule"]


class NewsgroupsDataModule(BowDataModule):
    """20 Newsgroups, or any corpus in the layout of the paper's code.

    Where ``data_dir`` has ``vocab.pkl`` and ``bow_{tr,va,ts}_{tokens,counts}.mat`` (with or without the
    ending; ``bow_{ts_h1,ts_h2}_…`` hold the halves for document completion), these are read. Where it has
    none of them, the texts are downloaded through scikit-learn and prepared; the other arguments are for that.

    Args:
        data_dir: Folder with the paper's files.
        stop_words: Words to drop: ``english`` for the package's list, ``none``, or a file with words.
        min_df: Words in fewer training documents are dropped; a number, or a share if a float.
        max_df: Words in more training documents are dropped; likewise.
        val_fraction: Share of the training documents that validates instead.
        kwargs: Those of BowDataModule.
    """

    FORMAT = 1

    def __init__(
        self,
        data_dir: str | Path = Path("data/20ng"),
        stop_words: str = "english",
        min_df: int | float = 100,
        max_df: int | float = 0.7,
        val_fraction: float = 0.05,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_fractions(val_fraction, 0.0)
        self.data_dir = Path(data_dir)
        self.vectorizer = Vectorizer(Analyzer(stop_words=read_stop_words(stop_words)), min_df, max_df)
        self.val_fraction = val_fraction

    def _paper_files(self) -> PaperFiles:
        return PaperFiles(self.data_dir.expanduser(), "data.data_dir")

    def cache_key(self) -> dict[str, Any] | None:
        """The arguments of the download; the paper's files are read each time, which takes a fraction of a second."""
        if self._paper_files().paths():
            return None
        return {
            **self.vectorizer.cache_key(),
            "splits": [self.val_fraction, self.seed],
        }

    def build(self) -> BowCorpus:
        """Read the paper's files, or download and prepare 20 Newsgroups."""
        files = self._paper_files()
        if files.paths():
            return read_paper_files(files)
        return self._download()

    def training_texts(self) -> Iterator[pl.Series]:
        """The texts of the training documents, where they were downloaded; the paper's files have counts alone."""
        if self._paper_files().paths():
            return super().training_texts()
        texts, splits, _ = self._texts()
        return training_texts(texts.to_frame("text").iter_slices(), splits)

    def _download(self) -> BowCorpus:
        texts, splits, parts = self._texts()
        matrix, vocab, report = self.vectorizer(texts, splits)
        return BowCorpus.from_matrix(
            matrix,
            vocab,
            splits,
            ids=["/".join(Path(name).parts[-2:]) for part in parts for name in part.filenames],
            labels=[part.target_names[target] for part in parts for target in part.target],
            meta={"source": "20 Newsgroups through scikit-learn", **report},
            texts=texts,
        )

    def _texts(self) -> tuple[pl.Series, list[str], list[Any]]:
        """The downloaded texts, the split of each, and scikit-learn's training and test part."""
        from sklearn.datasets import fetch_20newsgroups  # half a second to import, and seldom needed

        rank_zero_info(f"Corpus: none of the paper's files in {self.data_dir}; downloading 20 Newsgroups (14 MB).")
        try:
            parts = [
                fetch_20newsgroups(data_home=str(self.cache_dir.expanduser()), subset=subset)
                for subset in ("train", "test")
            ]
        except OSError as error:
            raise UserError(
                f"data.data_dir: {self.data_dir} has none of vocab.pkl, bow_{{tr,va,ts}}_{{tokens,counts}}.mat, and "
                f"20 Newsgroups could not be downloaded ({error}); give a folder with these files, or connect."
            ) from error
        splits = random_splits(len(parts[0].data), self.val_fraction, 0.0, self.seed) + ["test"] * len(parts[1].data)
        return pl.Series([text for part in parts for text in part.data]), splits, parts
