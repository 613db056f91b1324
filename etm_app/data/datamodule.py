"""Corpora as LightningDataModules."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
import polars as pl
import scipy.sparse as sp
import torch
from pytorch_lightning import LightningDataModule
from pytorch_lightning.utilities import rank_zero_info
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch.utils.data import DataLoader

from etm_app.data.batch import BowBatch, as_batch
from etm_app.data.cache import prepared
from etm_app.data.corpus import SPLITS, BowCorpus, BowDataset
from etm_app.data.document_vectors import VectorFile
from etm_app.data.resident import ResidentDataset
from etm_app.data.shuffle import EpochShuffle
from etm_app.data.steps import Steps
from etm_app.data.times import Period, check_time_format
from etm_app.errors import UserError

__all__ = [
    "BowDataModule", "TimedDataModule", "WrittenDataModule", "corpus_of", "held_out_set", "training_set",
    "vector_size_of",
]  # fmt: skip


class BowDataModule(LightningDataModule, ABC):
    """A corpus of bags of words and its loaders. To bring your own counts, subclass it and write `build`.

    The corpus is built once, the first time that anything asks for it, and kept on disk where `cache_key`
    names its settings.

    Args:
        batch_size: Documents a step, of all processes together, so that a run means the same on any number of them;
            all of them where there are fewer.
        steps_per_epoch: Steps an epoch, so that runs on small and large corpora are alike, each of all processes
            together; null: as many as one pass over the training documents takes.
        num_workers: Processes that slice batches; 0 does it in the main process, which is fastest
            unless the corpus is read from a slow disk. A GPU with room for the corpus slices them itself.
        cache_dir: Folder for prepared corpora and downloads.
        seed: Of the order of the training documents and of random splits.
        document_embeddings: File with a vector for each document, which any encoder has made of its text: ``.npy`` with
            a matrix [documents, dimensions], or ``.parquet`` with a column ``embedding`` or ``dim_0`` to the last. In
            Parquet a column ``id``, or one called as that of the documents' names, says whose a vector is. Without it,
            and in .npy, each row is the record of the input with its number, as in the table that predict writes: over
            all files in order, those for validation and then those for testing last; records that are left out have
            rows too.
        grow_vocab: Whether a model that goes on training learns the words of the training documents that it does not
            know; of texts and docstrings those within the bounds of min_df, max_df and max_vocab.
    """

    # Of the prepared corpora. Raise it where the code makes other counts, words or documents of the same sources and
    # arguments: what was kept before is then made again. tests/data/test_formats.py reminds of it.
    FORMAT: ClassVar[int] = 1

    id_columns: Sequence[str] = ("id",)  # how a table may call the names of the documents
    period: Period | None = None  # see `BowCorpus`

    def __init__(
        self,
        batch_size: int = 1000,
        steps_per_epoch: int | None = 100,
        num_workers: int = 0,
        cache_dir: str | Path = Path("~/.cache/etm_app"),
        seed: int = 0,
        document_embeddings: str | Path | None = None,
        grow_vocab: bool = False,
    ) -> None:
        super().__init__()
        # Plain ints, checked here: jsonargparse cannot hand its PositiveInt on to a user's class with an int argument.
        at_least = {"batch_size": (batch_size, 1), "num_workers": (num_workers, 0), "seed": (seed, 0)}
        if steps_per_epoch is not None:
            at_least["steps_per_epoch"] = (steps_per_epoch, 1)
        for name, (value, least) in at_least.items():
            if value < least:
                raise UserError(f"data.{name}: {value}; expected a whole number from {least}.")
        self.batch_size = batch_size
        self.steps_per_epoch = steps_per_epoch
        self.num_workers = num_workers
        self.cache_dir = Path(cache_dir)
        self.seed = seed
        self.document_embeddings = None if document_embeddings is None else Path(document_embeddings)
        self.grow_vocab = grow_vocab

    @abstractmethod
    def build(self) -> BowCorpus:
        """Make the corpus with all its splits, in memory.

        Raises:
            UserError: The source is missing or unusable.
        """

    def write(self, folder: Path) -> None:
        """Put the corpus into a folder; for one larger than memory, subclass `WrittenDataModule` and write this."""
        self.build().save(folder)

    def cache_key(self) -> dict[str, Any] | None:
        """Everything that the counts depend on, as simple values; None keeps the corpus in memory only."""
        return None

    def training_texts(self) -> Iterator[pl.Series]:
        """The texts of the training documents in order, batch by batch, for what needs the order of words.

        Raises:
            UserError: There are none: counts came.
        """
        raise UserError(
            f"data: {type(self).__name__} has counts, which no longer tell what words stand beside each other; "
            "expected texts: name them by --data.files, or take vectors that exist already, --model.embeddings."
        )

    def reads(self, path: Path) -> bool:
        """Whether this file belongs to the data, or would if it were there; nothing is written to such a one."""
        return False

    @cached_property
    def corpus(self) -> BowCorpus:
        """The corpus: built, or opened where it was built before.

        Raises:
            UserError: It has no training document with a word in the vocabulary; or its vectors are not those of its
                documents.
        """
        vectors = self.vector_file  # first, as it is opened at once
        key = self.cache_key()
        corpus = self.build() if key is None else self._cached(key)
        if not len(corpus.with_words(corpus.rows("train"))):
            raise UserError(
                f"data: {type(self).__name__} has no training document left ({len(corpus)} documents, "
                f"{corpus.vocab_size} words in the vocabulary); expected at least one with a word in the vocabulary."
            )
        if vectors is not None:
            num_records = corpus.meta.get("num_records", len(corpus))
            corpus = replace(corpus, vectors=vectors.of(corpus.documents, num_records))
        return corpus if self.period is None else replace(corpus, period=self.period)

    @cached_property
    def vector_file(self) -> VectorFile | None:
        """The file with the documents' vectors, opened; None where there is none.

        Raises:
            UserError: It is not there, damaged, or holds something else.
        """
        if self.document_embeddings is None:
            return None
        file = VectorFile(self.document_embeddings, self.id_columns)
        rank_zero_info(f"Document embeddings: {file}")
        return file

    @property
    def document_embeddings_size(self) -> int:
        """E, dimensions of the documents' vectors, 0 without; the model's size is linked to it."""
        return 0 if self.vector_file is None else self.vector_file.size

    def _cached(self, key: dict[str, Any]) -> BowCorpus:
        # Another class of this name may count otherwise.
        origin = [f"{type(self).__module__}.{type(self).__qualname__}", self.FORMAT]
        digest = sha256(json.dumps([*origin, key], sort_keys=True).encode()).hexdigest()[:16]
        return prepared(self.cache_dir.expanduser() / "corpora" / f"{type(self).__name__}-{digest}", self.write)

    def use(self, vocab: list[str], analyzer: dict[str, Any] | None) -> None:
        """Take over the words of a checkpoint before anything is counted, and add others where they may grow.

        Here it does nothing: a corpus has its own vocabulary, which the model compares with the checkpoint's.

        Args:
            vocab: The V words.
            analyzer: How texts were cut into them, as in `analyzer_settings`; None where the checkpoint does not say.
        """

    @property
    def analyzer_settings(self) -> dict[str, Any] | None:
        """How texts were cut into words, as simple values that travel in the checkpoint; None where counts came."""
        return self.corpus.meta.get("analyzer")

    @property
    def vocab(self) -> list[str]:
        """The V words, in the order of the counts' columns."""
        return self.corpus.vocab

    @property
    def vocab_size(self) -> int:
        """V; the model's size is linked to it."""
        return self.corpus.vocab_size

    def __str__(self) -> str:
        """The class alone: Lightning's own text opens every loader, and so would build the corpus for it."""
        return f"{type(self).__name__}()"

    def training_set(self) -> BowDataset:
        """The training documents in the order of the input, for metrics that count over them."""
        return BowDataset(self.corpus, self.corpus.rows("train"))

    def train_dataloader(self) -> DataLoader[BowBatch]:
        """Shuffled training documents."""
        dataset = BowDataset(self.corpus, self.corpus.rows("train"), with_gradients=True)
        length = len(dataset)
        if self.steps_per_epoch is not None:
            length = self.steps_per_epoch * min(self.batch_size, length)
        order: EpochShuffle | range = EpochShuffle(len(dataset), length, self.seed)
        if self.trainer is not None and self.trainer.overfit_batches:  # type: ignore[attr-defined]
            order = range(len(dataset))  # the same ones in every epoch
        device = self.trainer.strategy.root_device if self.trainer is not None else torch.device("cpu")
        if ResidentDataset.fits(dataset, device):
            return self._loader(ResidentDataset(dataset, device), order)
        return self._loader(dataset, order)

    def val_dataloader(self) -> DataLoader[BowBatch]:
        """Validation documents in order, with halves for document completion."""
        return self._evaluation_loader("val")

    def test_dataloader(self) -> DataLoader[BowBatch]:
        """Test documents in order, with halves for document completion."""
        return self._evaluation_loader("test")

    def predict_dataloader(self) -> DataLoader[BowBatch]:
        """All documents of all splits in the order of the input."""
        return self._loader(BowDataset(self.corpus, np.arange(len(self.corpus)), with_documents=True))

    def _evaluation_loader(self, split: str) -> DataLoader[BowBatch]:
        return self._loader(BowDataset(self.corpus, self.corpus.rows(split), with_halves=True))

    def _loader(
        self, dataset: BowDataset | ResidentDataset, order: EpochShuffle | range | None = None
    ) -> DataLoader[BowBatch]:
        """Steps of all processes together, of which this one gets its share."""
        on_host = isinstance(dataset, BowDataset)
        size = max(min(self.batch_size, len(dataset)), 1)
        share = (1, 0) if self.trainer is None else (self.trainer.world_size, self.trainer.global_rank)
        return DataLoader(
            dataset,
            batch_size=None,  # the sampler says what is in a batch
            sampler=Steps(range(len(dataset)) if order is None else order, size, *share),
            num_workers=self.num_workers if on_host else 0,
            persistent_workers=on_host and self.num_workers > 0,
            pin_memory=on_host and torch.cuda.is_available(),
            # An own generator: making an iterator must not draw from the global one, or a resumed run would differ.
            generator=torch.Generator().manual_seed(self.seed),
        )


class WrittenDataModule(BowDataModule):
    """A corpus that may be larger than memory: `write` puts it on disk piece by piece, with a `CorpusWriter`."""

    @abstractmethod
    def write(self, folder: Path) -> None:
        """Put the corpus into a folder.

        Raises:
            UserError: The source is missing or unusable.
        """

    def build(self) -> BowCorpus:
        """The same corpus in memory."""
        with TemporaryDirectory() as folder:
            self.write(Path(folder) / "corpus")
            return BowCorpus.load(Path(folder) / "corpus").in_memory()


class TimedDataModule(WrittenDataModule):
    """A corpus of documents that may come with the time that they are from.

    Args:
        time_column: Column of a table that says when a document is from, to look at the topics over time: ISO 8601
            (2024-03-01, 2024-03-01T12:30:00+01:00), 2024-03, a year, or seconds since 1970; dates of Parquet and Excel.
            Without a zone it is taken for UTC. It may be empty.
        time_format: Another form of these, in the codes of Python's strptime: %d.%m.%Y for 01.03.2024.
        period: How long the periods are over which topics are looked at, in UTC; null chooses by the number of
            documents.
        kwargs: Those of BowDataModule.
    """

    def __init__(
        self,
        time_column: str | None = None,
        time_format: str | None = None,
        period: Period | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, value in (("time_format", time_format), ("period", period)):
            if value is not None and time_column is None:
                raise UserError(f"data.{name}: {value}, but no column with times; expected one: --data.time_column.")
        if time_format is not None:
            check_time_format(time_format)
        self.time_column = time_column
        self.time_format = time_format
        self.period = period

    def time_key(self) -> dict[str, Any]:
        """The part of `cache_key` for the times: nothing where there are none, as in versions before."""
        return {} if self.time_column is None else {"time": [self.time_column, self.time_format]}


def training_set(datamodule: LightningDataModule | None, vocab_size: int) -> BowDataset | None:
    """The training documents of any data module in order, or None where there are none.

    Args:
        datamodule: A BowDataModule, or one whose train loader yields dense counts [B, V]; that loader is run through
            once and the counts are kept, sparse.
        vocab_size: V.
    """
    if datamodule is None:
        return None
    if isinstance(datamodule, BowDataModule):
        return datamodule.training_set()
    if not is_overridden("train_dataloader", datamodule, LightningDataModule):
        return None
    corpus = corpus_of(datamodule, vocab_size, ("train",))
    return BowDataset(corpus, corpus.rows("train"))


def held_out_set(datamodule: LightningDataModule | None, vocab_size: int) -> BowDataset | None:
    """The validation documents of any data module, in order, or None where none have words.

    Args:
        datamodule: As in `training_set`.
        vocab_size: V.
    """
    if datamodule is None or not is_overridden("val_dataloader", datamodule, LightningDataModule):
        return None
    corpus = corpus_of(datamodule, vocab_size, ("val",))
    rows = corpus.rows("val")
    return BowDataset(corpus, rows) if len(corpus.with_words(rows)) else None


def vector_size_of(datamodule: LightningDataModule) -> int:
    """The dimensions of the embeddings that the documents of any data module have; 0 where they have none."""
    return datamodule.document_embeddings_size if isinstance(datamodule, BowDataModule) else 0


def corpus_of(datamodule: LightningDataModule, vocab_size: int, splits: Sequence[str] = SPLITS) -> BowCorpus:
    """The corpus of any data module.

    Args:
        datamodule: A BowDataModule, or one whose loaders yield dense counts [B, V]; these are run through once and
            the counts are kept, sparse.
        vocab_size: V.
        splits: Whose loaders to run through, where the data module has them.
    """
    if isinstance(datamodule, BowDataModule):
        return datamodule.corpus
    counts = [sp.csr_array((0, vocab_size), dtype=np.float32)]
    split_of: list[str] = []
    for split in splits:
        if not is_overridden(f"{split}_dataloader", datamodule, LightningDataModule):
            continue
        datamodule.setup("test" if split == "test" else "fit")
        for item in getattr(datamodule, f"{split}_dataloader")():
            batch = as_batch(item, vocab_size, training=False)
            counts.append(sp.csr_array((batch.counts, batch.indices, batch.indptr), shape=(len(batch), vocab_size)))
            split_of += [split] * len(batch)
    vocab = getattr(datamodule, "vocab", None) or [str(word) for word in range(vocab_size)]
    return BowCorpus.from_matrix(sp.vstack(counts), vocab, split_of)
