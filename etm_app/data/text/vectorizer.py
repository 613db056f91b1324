"""Texts to counts, of any number of documents: words are numbered as they come, and what is rare is dropped then."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray

from etm_app.data.corpus import DOCUMENTS_AT_ONCE, GrowingArray
from etm_app.data.text.analyzer import Analyzer, BatchCounts
from etm_app.data.vocabulary import check_vocab
from etm_app.errors import UserError

__all__ = ["Vectorizer", "WordCounts", "in_parallel"]

CHUNK = 1 << 22  # entries that are looked at at once after counting
MAX_WORKERS = 16  # each has a batch of texts in memory, cut into words

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Vectorizer:
    """Counts over the vocabulary of the training documents, or over one that is given.

    Attributes:
        analyzer: How a text becomes words.
        min_df: Words in fewer training documents are dropped; a number of documents, or a share if a float.
        max_df: Words in more training documents are dropped; likewise.
        max_vocab: Of what is left, so many words are kept: those in most training documents, the first in
            alphabetical order among equals.
        vocab: The vocabulary, where it is known: then the bounds do not matter.
        grow: Whether it may grow: by the words of the training documents that it lacks, within the bounds; they come
            after its own.
    """

    analyzer: Analyzer
    min_df: int | float = 1
    max_df: int | float = 1.0
    max_vocab: int | None = None
    vocab: list[str] | None = None
    grow: bool = False

    def __post_init__(self) -> None:
        for name, bound in (("min_df", self.min_df), ("max_df", self.max_df)):
            if bound < 0 or (isinstance(bound, float) and bound > 1):
                raise UserError(
                    f"data.{name}: {bound}; expected a number of documents (2, say) or a share of them (0.2, say)."
                )
        if type(self.min_df) is type(self.max_df) and self.min_df > self.max_df:
            raise UserError(
                f"data.min_df {self.min_df} is more than data.max_df {self.max_df}; expected less, or no word is left."
            )
        if self.max_vocab is not None and self.max_vocab < 1:
            raise UserError(f"data.max_vocab: {self.max_vocab}; expected a number of words from 1, or null for all.")

    def cache_key(self) -> dict[str, Any]:
        """Everything that the counts of a text depend on, as simple values."""
        return {
            "analyzer": self.analyzer.settings(),
            "tokenizer": self.analyzer.tokenizer_file(),
            "df": [repr(self.min_df), repr(self.max_df), self.max_vocab],
            "vocab": None if self.vocab is None else sha256("\n".join(self.vocab).encode()).hexdigest(),
            **({"grow": True} if self.grow else {}),
        }

    @property
    def fixed_vocab(self) -> list[str] | None:
        """The vocabulary, where no document can change it."""
        return None if self.grow else self.vocab

    def __call__(self, texts: pl.Series, splits: Sequence[str]) -> tuple[sp.csr_array, list[str], dict[str, Any]]:
        """Vectorize texts that are in memory.

        Args:
            texts: Strings, [D].
            splits: train, val or test of each, [D]; document frequencies are counted over train alone.

        Returns:
            Counts [D, V], the vocabulary in sorted order, and settings and what was dropped as simple values.

        Raises:
            UserError: No word is left, or min_df is more than max_df.
        """
        with TemporaryDirectory() as folder:
            documents = texts.to_frame("text").with_row_index("row")
            counted = self.count(documents.iter_slices(DOCUMENTS_AT_ONCE), Path(folder))
            vocab, report = counted.choose(splits)
            chunks = list(counted.chunks())
        matrix = sp.vstack([
            sp.csr_array((counts, indices, indptr), shape=(len(indptr) - 1, len(vocab)))
            for indptr, indices, counts in chunks
        ])  # fmt: skip
        return sp.csr_array(matrix), vocab, report

    def count(self, documents: Iterable[pl.DataFrame], folder: Path) -> "WordCounts":
        """Count the words of texts that come in batches, on all cores.

        Args:
            documents: Any number of batches with the columns ``text``, without nulls, and ``row``, what a message
                calls them.
            folder: Where the counts are kept until the vocabulary is chosen.
        """
        # Categories give words their numbers; an Enum's are those of the vocabulary, and it knows no others.
        categories = pl.Categories.random()
        numbers = pl.Categorical(categories) if self.fixed_vocab is None else pl.Enum(self.fixed_vocab)
        counted = WordCounts(self, folder, categories)
        for batch in in_parallel(lambda of: self.analyzer.count(of["text"], numbers, of["row"]), documents):
            counted.append(batch)
        counted.close()
        return counted


class WordCounts:
    """Counts of all words of all documents, on disk, from which `choose` then takes those of the vocabulary.

    Args:
        vectorizer: Its bounds.
        folder: Where the files are.
        categories: The words by number.
    """

    def __init__(self, vectorizer: Vectorizer, folder: Path, categories: pl.Categories) -> None:
        self.vectorizer = vectorizer
        self._categories = categories
        self._hold = pl.Series([], dtype=pl.Categorical(categories))  # they are forgotten with their last series
        self._files = {name: GrowingArray(folder / f"{name}.npy", np.int32) for name in ("indices", "counts")}
        self._lengths: list[NDArray[np.int32]] = []
        self._num_cut = 0
        self._num_tokens = self._num_known = 0  # words of all documents that were not dropped, n-grams aside
        self._new_number: NDArray[np.int32] | None = None

    def append(self, batch: BatchCounts) -> None:
        """Add the counts of the next documents."""
        self._lengths.append(np.diff(batch.indptr).astype(np.int32))
        self._num_cut += batch.num_cut
        self._num_tokens += int(batch.num_words.sum())
        self._num_known += int(batch.num_known.sum())
        self._files["indices"].append(batch.indices)
        self._files["counts"].append(batch.counts)

    def close(self) -> None:
        """No more documents come."""
        for file in self._files.values():
            file.close()
        lengths = np.concatenate([np.zeros(0, np.int64), *self._lengths])
        self._indptr = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))

    def __len__(self) -> int:
        return len(self._indptr) - 1

    def choose(self, splits: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
        """Choose the vocabulary by the document frequencies over the training documents.

        Args:
            splits: train, val or test of each document.

        Returns:
            The vocabulary in sorted order, and settings and what was dropped as simple values.

        Raises:
            UserError: No word is left, or min_df is more than max_df.
        """
        settings = self.vectorizer
        report: dict[str, Any] = {"analyzer": settings.analyzer.settings()}
        if settings.fixed_vocab is not None:
            self._new_number = None
            report |= {"tokens": self._num_tokens, "unknown_tokens": self._num_tokens - self._num_known}
            return settings.fixed_vocab, report | self._empty(np.ones(len(settings.fixed_vocab), bool))
        known = settings.vocab or []
        words = self._categories.to_series()
        is_train = (pl.Series(splits, dtype=pl.String) == "train").to_numpy()
        frequency = np.zeros(len(words), np.int64)
        for start, stop, indices, _ in self._pieces():
            of_train = np.repeat(is_train[start:stop], np.diff(self._indptr[start : stop + 1]))
            frequency += np.bincount(indices[of_train], minlength=len(words))
        num_train = int(is_train.sum())
        low, high = (
            bound if isinstance(bound, int) else bound * num_train for bound in (settings.min_df, settings.max_df)
        )
        if low > high:
            raise UserError(
                f"data.min_df {settings.min_df} and data.max_df {settings.max_df} are at least {low:g} and at most "
                f"{high:g} of {num_train} training documents, which leaves no word; expected min_df below max_df."
            )
        table = pl.DataFrame({"word": words, "number": np.arange(len(words)), "df": frequency})
        table = table.with_columns(pl.col("word").cast(pl.String))
        seen = table.filter((pl.col("df") > 0) & ~pl.col("word").is_in(known))
        kept = seen.filter(pl.col("df").is_between(low, high)).sort("word")
        if not len(seen) and not known:
            raise UserError(self._without_words(num_train))
        if not len(kept) and not known:
            raise UserError(
                f"data.min_df {settings.min_df} and data.max_df {settings.max_df} leave none of the {len(seen)} words "
                f"of the {num_train} training documents; expected some: lower min_df or raise max_df."
            )
        report |= {
            "min_df": settings.min_df,
            "max_df": settings.max_df,
            "words_below_min_df": int((seen["df"] < low).sum()),
            "words_above_max_df": int((seen["df"] > high).sum()),
        }
        room = None if settings.max_vocab is None else max(settings.max_vocab - len(known), 0)
        if room is not None and room < len(kept):
            report |= {"max_vocab": settings.max_vocab, "words_beyond_max_vocab": len(kept) - room}
            kept = kept.sort("df", "word", descending=[True, False]).head(room).sort("word")
        vocab = [*known, *kept["word"]]
        check_vocab(vocab, "the vocabulary that data.token_pattern or data.tokenizer cuts")
        self._new_number = np.full(len(words), -1, np.int32)
        placed = table.join(pl.DataFrame({"word": vocab, "place": np.arange(len(vocab))}), "word")
        self._new_number[placed["number"].to_numpy()] = placed["place"].to_numpy()
        return vocab, report | self._empty(self._new_number >= 0)

    def _without_words(self, num_train: int) -> str:
        analyzer = self.vectorizer.analyzer
        if not self._num_cut:
            how = f"data.tokenizer {analyzer.tokenizer}" if analyzer.tokenizer else "data.token_pattern"
            return (
                f"data: the texts of all {num_train} training documents are empty, or {how} finds no word in them; "
                "expected texts with words: are they in the column that is named (data.text_column)?"
            )
        return (
            f"data.stop_words, data.min_length: no word is left of the {num_train} training documents: all are stop "
            f"words or shorter than {analyzer.min_length} characters; expected others: set --data.stop_words none, or "
            "lower --data.min_length."
        )

    def _empty(self, is_known: NDArray[np.bool_]) -> dict[str, int]:
        """Number of documents without a word of the vocabulary."""
        empty = 0
        for start, stop, indices, _ in self._pieces():
            known = _cumulative(is_known[indices])[self._indptr[start : stop + 1] - self._indptr[start]]
            empty += int((np.diff(known) == 0).sum())
        return {"empty_documents": empty}

    def chunks(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]]:
        """The counts over the chosen vocabulary, as indptr, indices and counts of some documents at a time."""
        for start, stop, indices, counts in self._pieces():
            indptr = self._indptr[start : stop + 1] - self._indptr[start]
            if self._new_number is not None:
                indices = self._new_number[indices]
                known = indices >= 0
                indptr = _cumulative(known)[indptr]
                shape = (len(indptr) - 1, indices.max(initial=0) + 1)
                rows = sp.csr_array((counts[known], indices[known], indptr), shape=shape)
                rows.sort_indices()
                indices, counts = rows.indices, rows.data
            yield indptr, indices.astype(np.int32, copy=False), counts.astype(np.int32, copy=False)

    def _pieces(self) -> Iterator[tuple[int, int, NDArray[np.int32], NDArray[np.int32]]]:
        """First and last document, words and counts of some documents at a time."""
        words, counts = (self._files[name].open() for name in ("indices", "counts"))
        start = 0
        while start < len(self):
            stop = int(self._indptr.searchsorted(self._indptr[start] + CHUNK, side="right")) - 1
            stop = min(max(stop, start + 1), start + CHUNK, len(self))
            entries = slice(self._indptr[start], self._indptr[stop])
            yield start, stop, np.asarray(words[entries]), np.asarray(counts[entries])
            start = stop


def _cumulative(flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    return np.concatenate((np.zeros(1, np.int64), np.cumsum(flags, dtype=np.int64)))


def in_parallel(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Results in the order of the items, computed by threads; a few items are taken ahead, no more."""
    workers = min(pl.thread_pool_size(), MAX_WORKERS)
    pool = ThreadPoolExecutor(workers)
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > workers + 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # who stops in the middle does not wait for what nobody wants
