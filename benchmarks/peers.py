"""Our model and its peers behind one interface."""

import io
import logging
import tempfile
import time
import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np
import scipy.sparse as sp
from corpora import SavedCorpus, training_counts
from numpy.typing import NDArray
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from scipy.special import gammaln

from etm_app import BowBatch, BowCorpus
from etm_app.cli.main import ETMCLI, main

__all__ = [
    "NMF", "PAPER", "BitermTopicModel", "DirichletMixture", "EmbeddedTopicModel", "Etm", "GensimLda", "SklearnLda",
    "TomotopyLda", "TopicModel", "as_lists", "epochs", "saved", "train",
]  # fmt: skip

PAPER = f"--config={Path(__file__).parents[1] / 'configs' / 'paper.yaml'}"

for name in ("pytorch_lightning", "lightning_fabric"):
    logging.getLogger(name).setLevel(logging.WARNING)
warnings.filterwarnings("ignore", message="LightningCLI's args parameter")
warnings.filterwarnings("ignore", message="The training result may differ")  # tomotopy: of its threads; the time counts
warnings.filterwarnings("ignore", message=r"\s+Unable to serialize instance")


class TopicModel(Protocol):
    """What quality.py asks of a model."""

    def fit(self, corpus: BowCorpus, num_topics: int, seed: int) -> NDArray[np.float64]:
        """Learn from the training documents: beta [K, V]."""

    def theta(self, counts: sp.csr_array) -> NDArray[np.float64]:
        """Proportions of new documents, none of them empty, [D, K]."""


class Stopwatch(Callback):
    """Seconds of every epoch without its validation and its checkpoints."""

    def __init__(self) -> None:
        self.epochs: list[float] = []
        self._start = self._pause = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start."""
        self._start = time.perf_counter()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Pause."""
        self._pause = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Go on."""
        self._start += time.perf_counter() - self._pause

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop."""
        self.epochs.append(time.perf_counter() - self._start)


class TrainOnly(Callback):
    """Leaves out what writes gigabytes between the epochs that are timed."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Take the checkpoints away."""
        trainer.callbacks = [callback for callback in trainer.callbacks if not isinstance(callback, ModelCheckpoint)]


def train(*arguments: str) -> ETMCLI:
    """``python -m etm_app fit`` in this process, with what it prints held back unless it fails."""
    printed = io.StringIO()
    with tempfile.TemporaryDirectory() as folder:
        try:
            with redirect_stdout(printed), redirect_stderr(printed):
                return main(["fit", f"--trainer.default_root_dir={folder}", *arguments])
        except BaseException:
            print(printed.getvalue())
            raise


def saved(corpus: BowCorpus, folder: Path) -> tuple[str, str]:
    """Save a corpus, and the arguments that train on it."""
    corpus.save(folder / "corpus")
    return f"--data={SavedCorpus.__module__}.{SavedCorpus.__name__}", f"--data.folder={folder / 'corpus'}"


def epochs(*arguments: str, train_only: bool = True) -> tuple[ETMCLI, list[float]]:
    """A fit with these arguments, without evaluation and checkpoints if so wished, and the seconds of its epochs."""
    chosen = [f"--trainer.callbacks={Stopwatch.__module__}.{Stopwatch.__name__}"]
    if train_only:
        chosen.append(f"--trainer.callbacks+={TrainOnly.__module__}.{TrainOnly.__name__}")
        chosen += ["--trainer.limit_val_batches=0", "--trainer.limit_test_batches=0"]
    cli = train(*arguments, *chosen)
    return cli, next(callback.epochs for callback in cli.trainer.callbacks if isinstance(callback, Stopwatch))


@dataclass
class Etm:
    """etm_app from its command line; the defaults, and other arguments where they are given."""

    arguments: Sequence[str] = ()

    def fit(self, corpus: BowCorpus, num_topics: int, seed: int) -> NDArray[np.float64]:
        """See `TopicModel`."""
        with tempfile.TemporaryDirectory() as folder:
            self.model = train(
                *self.arguments,
                *saved(corpus, Path(folder)),
                f"--model.num_topics={num_topics}",
                f"--seed_everything={seed}",
            ).model
        return self.model.beta.double().numpy()

    def theta(self, counts: sp.csr_array) -> NDArray[np.float64]:
        """See `TopicModel`."""
        batch = BowBatch.from_csr(counts.indptr, counts.indices, counts.data, counts.shape[1])
        return self.model.theta(batch).double().numpy()


@dataclass
class EmbeddedTopicModel:
    """The package embedded-topic-model: the original's algorithm, dense batches, its settings."""

    epochs: int = 150
    hidden_size: int = 800
    seconds: list[float] = field(default_factory=list)  # of every epoch

    def fit(self, corpus: BowCorpus, num_topics: int, seed: int) -> NDArray[np.float64]:
        """See `TopicModel`."""
        from embedded_topic_model.models.etm import ETM

        watch = self.seconds

        class Timed(ETM):
            def _train(self, epoch: int) -> None:
                start = time.perf_counter()
                super()._train(epoch)
                watch.append(time.perf_counter() - start)

        self.model = Timed(
            corpus.vocab, num_topics=num_topics, t_hidden_size=self.hidden_size, rho_size=300, batch_size=1000,
            lr=0.005, train_embeddings=True, epochs=self.epochs + 1, seed=seed,  # it trains one epoch less
        )  # fmt: skip
        self.model.fit(as_lists(training_counts(corpus)))
        return self.model.get_topic_word_dist().double().numpy()

    def theta(self, counts: sp.csr_array) -> NDArray[np.float64]:
        """See `TopicModel`."""
        return self.model.transform(as_lists(counts)).double().numpy()


def as_lists(counts: sp.csr_array) -> dict[str, NDArray[np.object_]]:
    """Documents as embedded-topic-model's own preprocessing makes them: an array of words and one of counts each."""
    lists = {}
    for name, values in (("tokens", counts.indices), ("counts", counts.data)):
        lists[name] = np.empty(counts.shape[0], dtype=object)
        lists[name][:] = np.split(values, counts.indptr[1:-1])
    return lists


def tokens(counts: sp.csr_array) -> list[NDArray[np.int32]]:
    """The word of every token of documents, none of them empty, a word's tokens side by side."""
    tokens_before = np.concatenate(([0], np.cumsum(counts.data)))
    return np.split(np.repeat(counts.indices, counts.data), tokens_before[counts.indptr[1:-1]])


@dataclass
class TomotopyLda:
    """LDA by Gibbs sampling in C++, its priors learned, as is tomotopy's default."""

    iterations: int = 1000

    def fit(self, corpus: BowCorpus, num_topics: int, seed: int) -> NDArray[np.float64]:
        """See `TopicModel`."""
        import tomotopy

        self.model = tomotopy.LDAModel(k=num_topics, seed=seed)
        counts = training_counts(corpus)
        for words in self._words(counts):
            self.model.add_doc(words)
        self.model.train(self.iterations)
        beta = np.full((num_topics, corpus.vocab_size), np.nan)
        known = [int(word) for word in self.model.used_vocabs]  # in tomotopy's own order
        beta[:, known] = [self.model.get_topic_word_dist(topic) for topic in range(num_topics)]
        # Words of held-out documents alone are as likely as the least likely known one.
        beta = np.where(np.isnan(beta), np.nanmin(beta, axis=1, keepdims=True), beta)
        return beta / beta.sum(axis=1, keepdims=True)

    def theta(self, counts: sp.csr_array) -> NDArray[np.float64]:
        """See `TopicModel`."""
        documents = [self.model.make_doc(words) for words in self._words(counts)]
        return np.array(self.model.infer(documents)[0])

    @staticmethod
    def _words(counts: sp.csr_array) -> list[list[str]]:
        return [words.astype(str).tolist() for words in tokens(counts)]


@dataclass
class GensimLda:
    """LDA by online variational Bayes with learned priors, gensim."""

    passes: int = 20

    def fit(self, corpus: BowCorpus, num_topics: int, seed: int) -> NDArray[np.float64]:
        """See `TopicModel`."""
        from gensim.models import LdaModel

        self.model = LdaModel(
            self._rows(training_counts(corpus)), num_topics, id2word=dict(enumerate(corpus.vocab)),
            passes=self.passes, alpha="auto", eta="auto", random_state=seed,
        )  # fmt: skip
        return self.model.get_topics().astype(np.float64)

    def theta(self, counts: sp.csr_array) -> NDArray[np.float64]:
        """See `TopicModel`."""
        gamma = self.model.inference(self._rows(counts))[0]
        return gamma / gamma.sum(axis=1, keepdims=True)

    @staticmethod
    def _rows(counts: sp.csr_array) -> list[list[tuple[int, int]]]:
        words, values, bounds = counts.indices.tolist(), counts.data.tolist(), counts.indptr.tolist()
        return [list(zip(words[start:stop], values[start:stop], strict=True)) for start, stop in pairwise(bounds)]


@dataclass
class SklearnLda:
    """LDA by online variational Bayes, scikit-learn."""

    passes: int = 20

    def fit(self, corpus: BowCorpus, num_topics: int, seed: int) -> NDArray[np.float64]:
        """See `TopicModel`."""
        from sklearn.decomposition import LatentDirichletAllocation

        self.model = LatentDirichletAllocation(
            num_topics, learning_method="online", max_iter=self.passes, random_state=seed
        )
        self.model.fit(training_counts(corpus))
        return self.model.components_ / self.model.components_.sum(axis=1, keepdims=True)

    def theta(self, counts: sp.csr_array) -> NDArray[np.float64]:
        """See `TopicModel`."""
        return self.model.transform(counts)


@dataclass
class NMF:
    """Non-negative factors of tf-idf, scikit-learn.

    No model of counts: for a perplexity its factors are scaled to sum to one, and the topics mixed with the words'
    frequencies, or the many zeros would be infinitely surprised.
    """

    smoothing: float = 0.05

    def fit(self, corpus: BowCorpus, num_topics: int, seed: int) -> NDArray[np.float64]:
        """See `TopicModel`."""
        from sklearn.decomposition import NMF as Factors
        from sklearn.feature_extraction.text import TfidfTransformer

        counts = training_counts(corpus)
        self.tfidf = TfidfTransformer(sublinear_tf=True).fit(counts)
        self.model = Factors(num_topics, random_state=seed).fit(self.tfidf.transform(counts))
        self.scale = self.model.components_.sum(axis=1)
        frequency = (counts.sum(axis=0) + 1) / (counts.sum() + corpus.vocab_size)
        beta = self.model.components_ / np.maximum(self.scale, 1e-12)[:, None]
        return (1 - self.smoothing) * beta + self.smoothing * frequency

    def theta(self, counts: sp.csr_array) -> NDArray[np.float64]:
        """See `TopicModel`."""
        weights = self.model.transform(self.tfidf.transform(counts)) * self.scale + 1e-6
        return weights / weights.sum(axis=1, keepdims=True)


@dataclass
class DirichletMixture:
    """One topic a document, by collapsed Gibbs sampling (GSDMM; Yin and Wang 2014), with their priors and sweeps."""

    sweeps: int = 30
    alpha: float = 0.1
    eta: float = 0.1

    def fit(self, corpus: BowCorpus, num_topics: int, seed: int) -> NDArray[np.float64]:
        """See `TopicModel`."""
        generator = np.random.default_rng(seed)
        documents = tokens(training_counts(corpus))
        topics = generator.integers(num_topics, size=len(documents))
        self.members, self.tokens = np.zeros(num_topics), np.zeros(num_topics)
        self.words = np.zeros((corpus.vocab_size, num_topics))
        for words, topic in zip(documents, topics, strict=True):
            self._count(words, topic, 1)
        for _ in range(self.sweeps):
            for row, words in enumerate(documents):
                self._count(words, topics[row], -1)
                topics[row] = generator.choice(num_topics, p=self._posterior(words))
                self._count(words, topics[row], 1)
        beta = self.words.T + self.eta
        return beta / beta.sum(axis=1, keepdims=True)

    def theta(self, counts: sp.csr_array) -> NDArray[np.float64]:
        """See `TopicModel`."""
        return np.array([self._posterior(words) for words in tokens(counts)])

    def _count(self, words: NDArray[np.int32], topic: int, sign: int) -> None:
        """Put a document into a topic, or take it out."""
        np.add.at(self.words[:, topic], words, sign)
        self.tokens[topic] += sign * len(words)
        self.members[topic] += sign

    def _posterior(self, words: NDArray[np.int32]) -> NDArray[np.float64]:
        """The topic of a document, given all that are counted, [K]."""
        before = np.arange(len(words)) - np.searchsorted(words, words)  # tokens before each that are of the same word
        total = self.tokens + len(self.words) * self.eta
        log = np.log(self.members + self.alpha) + gammaln(total) - gammaln(total + len(words))
        log += np.log(self.words[words] + (before + self.eta)[:, None]).sum(axis=0)
        posterior = np.exp(log - log.max())
        return posterior / posterior.sum()


@dataclass
class BitermTopicModel:
    """The package bitermplus: topics of pairs of words; a bag of up to 15 words has all of them."""

    iterations: int = 600

    def fit(self, corpus: BowCorpus, num_topics: int, seed: int) -> NDArray[np.float64]:
        """See `TopicModel`."""
        import bitermplus

        counts = training_counts(corpus)
        # The priors of the original: 50 / K and .01.
        self.model = bitermplus.BTM(
            sp.csr_matrix(counts), np.array(corpus.vocab), T=num_topics, alpha=50 / num_topics, beta=0.01, seed=seed
        )
        pairs = bitermplus.get_biterms(tokens(counts), as_array=True)
        self.model.fit(pairs, iterations=self.iterations, verbose=False)
        return np.asarray(self.model.matrix_topics_words_)

    def theta(self, counts: sp.csr_array) -> NDArray[np.float64]:
        """See `TopicModel`."""
        return np.asarray(self.model.transform(tokens(counts), verbose=False))
