"""Word vectors from texts of one's own, by skip-gram with negative sampling."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any

import numpy as np
import polars as pl
from jsonargparse.typing import NonNegativeInt, PositiveInt
from numpy.typing import NDArray
from rich import get_console
from rich.progress import Progress

from etm_app.data.corpus import GrowingArray
from etm_app.data.datamodule import BowDataModule
from etm_app.data.text.analyzer import Analyzer
from etm_app.data.text.vectorizer import in_parallel
from etm_app.data.word_vectors.word2vec import write_word2vec
from etm_app.errors import UserError
from etm_app.files import writing

__all__ = ["SkipGram", "TrainedVectors", "train_skip_gram"]

LONGEST = 10_000  # words that gensim takes at once; it leaves out what a document has beyond


@dataclass(frozen=True)
class SkipGram:
    """Word vectors from the training documents by skip-gram with negative sampling, as in the paper's Labelled ETM.

    Each word predicts the words around it (Mikolov et al. 2013). The documents are cut into words as for the topics, in
    the order of the text; those of validation and test are not looked at. The same seed gives the same vectors.

    Args:
        path: File to write, in word2vec's format: text as ``.txt`` or ``.vec``, binary as ``.bin``.
        vector_size: L, their dimensions; those of the topic model, rho_size.
        window: Words before and after a word that it is to predict, at most.
        min_count: How often a word is in the training documents to get a vector and to be one of those around others;
            null: the words of the vocabulary, and no others.
        epochs: Passes over the documents.
        negative: Words drawn at random for each that is predicted, to tell it from.
        seed: Of all random numbers.
        overwrite: Whether to replace a file at ``path`` that this command has not written.
    """

    path: Path = Path("vectors.txt")
    vector_size: PositiveInt = 300
    window: PositiveInt = 4
    min_count: PositiveInt | None = None
    epochs: PositiveInt = 20
    negative: PositiveInt = 10
    seed: NonNegativeInt = 1
    overwrite: bool = False


@dataclass(frozen=True)
class TrainedVectors:
    """What was trained and written.

    Attributes:
        num_words: Words with a vector.
        num_tokens: How often they are in the documents.
        num_documents: Training documents.
        unwritten: Words that the format cannot hold, as they have white space in them.
    """

    num_words: int
    num_tokens: int
    num_documents: int
    unwritten: list[str]


def train_skip_gram(settings: SkipGram, data: BowDataModule) -> TrainedVectors:
    """Train the vectors and write them.

    Memory holds the different words and their vectors; the documents are cut once, and kept on disk while it trains.

    Args:
        settings: What to train, and where to write it.
        data: Whose training documents.

    Raises:
        UserError: gensim is not installed, the data have no texts but counts, or there is nothing to learn from.
    """
    try:
        from gensim.models import Word2Vec  # half a second to import, and seldom needed
    except ImportError as error:
        raise UserError(
            'embed needs gensim, which trains the vectors; expected it: pip install "etm_app[skipgram]".'
        ) from error
    path = settings.path.expanduser()
    with writing(path, "embeddings.path"):  # found out now, not after minutes of training
        TemporaryFile(dir=next(folder for folder in path.resolve().parents if folder.exists())).close()
    texts = data.training_texts()
    analyzer = Analyzer.from_settings(data.analyzer_settings or {})
    if analyzer.ngrams > 1:
        raise UserError(
            f"data.ngrams: {analyzer.ngrams}, but sequences of words have no place of their own among the words; "
            "expected single ones: --data.ngrams 1. A model with sequences takes the vectors too."
        )
    with TemporaryDirectory(prefix="etm_app-") as folder:
        streams = _Streams.of(texts, analyzer, Path(folder))
        words = streams.frequencies
        words = words.filter(
            pl.col("word").is_in(data.vocab) if settings.min_count is None else pl.col("count") >= settings.min_count
        )
        if len(words) < 2:
            raise UserError(
                f"embeddings.min_count: {settings.min_count or 'null'} leaves {len(words)} of "
                f"{len(streams.frequencies):,} words; expected two at least: lower it."
            )
        model = Word2Vec(
            vector_size=settings.vector_size,
            window=settings.window,
            min_count=1,  # the words are chosen
            sg=1,
            negative=settings.negative,
            seed=settings.seed,
            workers=1,  # with more the result is never the same
        )
        model.build_vocab_from_freq(dict(words.iter_rows()))
        with Progress(transient=True, disable=not get_console().is_terminal) as progress:
            streams.show_in(progress, settings.epochs)
            model.train(
                streams, total_examples=streams.num_sentences, total_words=streams.num_words, epochs=settings.epochs
            )
    unwritten = write_word2vec(path, model.wv.index_to_key, model.wv.vectors, "embeddings.path")
    return TrainedVectors(len(words) - len(unwritten), int(words["count"].sum()), streams.num_documents, unwritten)


class _Streams:
    """The words of documents in their order, on disk; each iteration gives all of them, as gensim wants them.

    Args:
        words: By number.
        numbers: Of all documents, one after another, [N].
        lengths: Of the documents, [D].
    """

    def __init__(self, words: pl.Series, numbers: NDArray[np.int32], lengths: NDArray[np.int64]) -> None:
        self._words = np.array(words.to_list(), dtype=object)
        self._numbers = numbers
        self._bounds = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
        counts = np.zeros(len(words), np.int64)
        for start in range(0, len(numbers), 1 << 22):
            counts += np.bincount(numbers[start : start + (1 << 22)], minlength=len(words))
        # Numbers are those of threads, and not the same in another run.
        self.frequencies = pl.DataFrame({"word": words.cast(pl.String), "count": counts}).sort("word")
        self.num_documents = len(lengths)
        self.num_words = len(numbers)
        self.num_sentences = int((-(-lengths // LONGEST)).sum())
        self._advance: Callable[[], None] = lambda: None

    @classmethod
    def of(cls, texts: Iterable[pl.Series], analyzer: Analyzer, folder: Path) -> "_Streams":
        """Cut texts into words, on all cores."""
        categories = pl.Categories.random()
        hold = pl.Series([], dtype=pl.Categorical(categories))  # they are forgotten with their last series
        file = GrowingArray(folder / "words.npy", np.int32)
        lengths = [np.zeros(0, np.int64)]

        def cut(batch: pl.Series) -> tuple[NDArray[Any], NDArray[np.int64]]:
            words = analyzer.words(batch)
            numbers = words["word"].cast(hold.dtype).to_physical().to_numpy()
            return numbers, np.bincount(words["document"].to_numpy(), minlength=len(batch))

        for numbers, length in in_parallel(cut, texts):
            file.append(numbers)
            lengths.append(length)
        file.close()
        return cls(categories.to_series(), file.open(), np.concatenate(lengths))

    def show_in(self, progress: Progress, epochs: int) -> None:
        """Let the iterations show how far they are."""
        task = progress.add_task("Training word vectors", total=epochs * self.num_sentences)
        self._advance = lambda: progress.advance(task)

    def __iter__(self) -> Iterator[list[str]]:
        for start, stop in zip(self._bounds[:-1].tolist(), self._bounds[1:].tolist(), strict=True):
            for first in range(start, stop, LONGEST):
                yield self._words[self._numbers[first : min(first + LONGEST, stop)]].tolist()
                self._advance()
