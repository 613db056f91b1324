"""Documents drawn from an ETM whose topics are known."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pytorch_lightning.utilities import rank_zero_info
from rich.progress import track
from scipy.special import softmax

from etm_app.data.corpus import CorpusWriter
from etm_app.data.datamodule import WrittenDataModule
from etm_app.data.splits import check_fractions, random_splits
from etm_app.errors import UserError

__all__ = ["SyntheticDataModule", "draw_counts"]

# Tokens or proportions drawn at once, whichever are more. Another number draws other documents.
CHUNK = 1_000_000
RHO_SIZE = 50  # dimensions of the planted embeddings
SIZES = ("num_documents", "num_words", "planted_topics", "document_length")
SCALES = ("theta_scale", "beta_scale", "zipf_exponent")


class SyntheticDataModule(WrittenDataModule):
    """Documents of any number drawn from an ETM with known topics over words whose frequencies follow Zipf's law.

    ``planted_beta`` has the topics, to compare with those that a model finds. The documents are written as they are
    drawn: memory does not grow with the counts.

    Args:
        num_documents: Documents to draw, of all splits together.
        num_words: Words in the vocabulary, from frequent to rare.
        planted_topics: Topics that the documents are drawn from.
        document_length: Mean number of tokens of a document; the numbers follow a Poisson distribution.
        theta_scale: Standard deviation of delta, where a document's theta = softmax(delta); from 0, all topics alike in
            all documents, to one topic a document.
        beta_scale: Standard deviation of log(beta) around the words' frequencies; from 0, all topics the same, to
            topics that share no words.
        zipf_exponent: The v-th word is as frequent as v^-zipf_exponent, but for the topics; 0 makes all alike.
        val_fraction: Share of the documents for validation.
        test_fraction: Share of the documents for testing.
        kwargs: Those of BowDataModule.
    """

    FORMAT = 1

    def __init__(
        self,
        num_documents: int = 10_000,
        num_words: int = 5_000,
        planted_topics: int = 50,
        document_length: int = 100,
        theta_scale: float = 3.0,
        beta_scale: float = 2.0,
        zipf_exponent: float = 1.0,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_fractions(val_fraction, test_fraction)
        self.num_documents = num_documents
        self.num_words = num_words
        self.planted_topics = planted_topics
        self.document_length = document_length
        self.theta_scale = theta_scale
        self.beta_scale = beta_scale
        self.zipf_exponent = zipf_exponent
        self.val_fraction = val_fraction
        self.test_fraction = test_fraction
        for name in SIZES:
            if getattr(self, name) < 1:
                raise UserError(f"data.{name}: {getattr(self, name)}; expected a whole number from 1.")
        for name in SCALES:
            if not 0 <= getattr(self, name) <= 100:
                raise UserError(f"data.{name}: {getattr(self, name)}; expected a number from 0 to 100.")

    def cache_key(self) -> dict[str, Any]:
        """The arguments."""
        return {**self._settings(), "splits": [self.val_fraction, self.test_fraction, self.seed]}

    @property
    def planted_beta(self) -> NDArray[np.float32]:
        """The topics that the documents are drawn from, float32 [K, V]: drawn from the seed, stored nowhere.

        beta_k = softmax_v(rho alpha_k - zipf_exponent log v) for Gaussian rho and alpha_k.
        """
        rng = np.random.default_rng(self._seeds()[0])
        alpha = rng.normal(size=(self.planted_topics, RHO_SIZE))
        alpha *= self.beta_scale / np.linalg.norm(alpha, axis=1, keepdims=True)
        rho = rng.normal(size=(self.num_words, RHO_SIZE))
        log_frequency = -self.zipf_exponent * np.log(np.arange(1, self.num_words + 1))
        beta = np.empty((self.planted_topics, self.num_words), np.float32)
        for topic in range(self.planted_topics):
            beta[topic] = softmax(rho @ alpha[topic] + log_frequency)
        return beta

    def write(self, folder: Path) -> None:
        """Draw the documents and write them chunk by chunk."""
        rank_zero_info(f"Corpus: drawing {self.num_documents:,} documents; once, they are kept.")
        documents = pl.select(
            id=pl.int_range(self.num_documents).cast(pl.String), split=pl.Series(self._splits(), dtype=pl.String)
        )
        with CorpusWriter(folder) as writer:
            for chunk in self._chunks():
                writer.append(*chunk)
            writer.finish(self._vocab(), documents, self._meta())

    def _chunks(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]]:
        cumulative = self.planted_beta.cumsum(axis=1, dtype=np.float64)
        cumulative /= cumulative[:, -1:]
        size = max(CHUNK // max(self.document_length, self.planted_topics), 1)
        starts = range(0, self.num_documents, size)
        seeds = self._seeds()[1].spawn(len(starts))
        few = len(starts) < 10
        for start, seed in zip(track(starts, "Drawing documents", transient=True, disable=few), seeds, strict=True):
            size = min(size, self.num_documents - start)
            rng = np.random.default_rng(seed)
            theta = softmax(self.theta_scale * rng.normal(size=(size, self.planted_topics)), axis=1)
            yield draw_counts(theta, cumulative, rng.poisson(self.document_length, size), rng)

    def _seeds(self) -> list[np.random.SeedSequence]:
        """Of the topics and of the documents; children, for they share no numbers with what the seed itself draws."""
        return np.random.SeedSequence(self.seed).spawn(2)

    def _splits(self) -> list[str]:
        return random_splits(self.num_documents, self.val_fraction, self.test_fraction, self.seed)

    def _vocab(self) -> list[str]:
        width = len(str(self.num_words - 1))
        return [f"w{word:0{width}}" for word in range(self.num_words)]

    def _meta(self) -> dict[str, Any]:
        return {"source": "drawn from an ETM", **self._settings(), "seed": self.seed}

    def _settings(self) -> dict[str, float]:
        return {name: getattr(self, name) for name in SIZES + SCALES}


def draw_counts(
    theta: NDArray[np.float64], cumulative: NDArray[np.float64], lengths: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
    """Draw documents from their topic proportions.

    Args:
        theta: Proportions, [D, K].
        cumulative: Cumulative sums of the topics along the words, [K, V], the last 1.
        lengths: Tokens of each document, [D].
        rng: Draws.

    Returns:
        indptr, indices and counts, as in `BowCorpus`.
    """
    num_topics, num_words = cumulative.shape
    # All tokens of a topic at once: no document costs O(V).
    of_topics = rng.multinomial(lengths, theta)
    documents = np.arange(len(lengths))
    tokens = np.concatenate([
        np.repeat(documents * num_words, of_topics[:, topic])
        + cumulative[topic].searchsorted(rng.random(of_topics[:, topic].sum()), side="right")
        for topic in range(num_topics)
    ])  # fmt: skip
    keys, counts = np.unique(tokens, return_counts=True)
    document, word = np.divmod(keys, num_words)
    indptr = document.searchsorted(np.arange(len(lengths) + 1))
    return indptr, word.astype(np.int32), counts.astype(np.int32)
