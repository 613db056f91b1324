"""The model as an estimator of scikit-learn's."""

from collections.abc import Sequence
from dataclasses import replace
from math import log
from numbers import Integral, Real
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import numpy as np
import polars as pl
import scipy.sparse as sp
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from etm_app.data.corpus import BowCorpus, BowDataset
from etm_app.data.document_vectors import DocumentVectors, as_vectors
from etm_app.data.splits import random_splits
from etm_app.data.text.analyzer import Analyzer, read_stop_words
from etm_app.data.text.vectorizer import Vectorizer
from etm_app.errors import UserError
from etm_app.model import ETM
from etm_app.topic_model import Inference
from etm_app.training import Training

__all__ = ["ETMTopics"]

# Of texts, from how many on: in how many of them a word is at least, and at most. Of many it is as on the command line.
DF: tuple[tuple[int, int, float], ...] = ((1000, 5, 0.5), (10, 2, 0.5), (0, 1, 1.0))


class ETMTopics(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]  # untyped
    """Embedded Topic Model with the interface of `sklearn.decomposition.LatentDirichletAllocation`.

    Documents X are counts [D, V], dense or sparse, as `CountVectorizer` makes them, or texts: a list, or a Series of
    Pandas or Polars, cut into words as `TextDataModule` does. Of texts, a word
    is what is in two documents or more, of a thousand in five or more, and in no more than half of them; fewer than ten
    texts are taken as they are.

    Args:
        n_components: K, the number of topics.
        inference: How a document's topics are found: ``mixture``, ``mixed_membership``, ``encoder`` or ``auto``, which
            chooses one of the first two by completing documents of X; see `ETM`.
        anchor: Of the embeddings to where they start: more for coherent and different topics, less for a lower
            perplexity.
        relevance: How `top_words` are ranked: 1 by probability, less for words that are frequent in a topic alone.
        rho_size: L, the dimensions of the embeddings.
        stop_words: Words of texts to drop: ``english``, the two letters of a language, ``none``, or a file with words.
        max_steps: Steps of `fit` at most: batches, not passes over X.
        batch_size: Documents a step; None for 1,000 in `fit`, and 100 in `partial_fit`, which has few steps otherwise.
        validation_fraction: Share of the documents of `fit` that do not train: they choose the inference, and end
            the training where it makes them no more probable; 0 to train on all, for max_steps.
        accelerator: Lightning's: ``auto`` takes a GPU where there is one; ``cpu``, ``gpu`` …
        random_state: Seed, or generator that one is drawn from; NumPy's and PyTorch's own are left as they are.
        verbose: Whether messages and a progress bar are shown.

    Attributes:
        model_: The `ETM`: embeddings, nearest words, and all else that it tells.
        n_features_in_: V, where X was counts.
        feature_names_in_: Names of the columns, where X had such; they are the words then.
    """

    model_: ETM
    _training: Training | None

    def __init__(
        self,
        n_components: int = 50,
        *,
        inference: Inference = "auto",
        anchor: float = 0.12,
        relevance: float = 0.6,
        rho_size: int = 300,
        stop_words: str = "english",
        max_steps: int = 600,
        batch_size: int | None = None,
        validation_fraction: float = 0.1,
        accelerator: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        self.n_components = n_components
        self.inference = inference
        self.anchor = anchor
        self.relevance = relevance
        self.rho_size = rho_size
        self.stop_words = stop_words
        self.max_steps = max_steps
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.accelerator = accelerator
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None, embeddings: ArrayLike | None = None) -> "ETMTopics":
        """Train a new model.

        Args:
            X: Documents: counts [D, V] or D texts.
            y: Ignored.
            embeddings: A vector for each document [D, E], of any sentence encoder; whatever takes documents wants such
                then.

        Raises:
            UserError: An argument has a value that it cannot have; or X is no counts and no texts, or has no words.
        """
        self._check_parameters()
        training = Training(int(check_random_state(self.random_state).randint(2**31)))
        given = self._documents(X, reset=True)
        splits = random_splits(_num(given), float(self.validation_fraction), 0.0, training.seed)
        corpus = self._corpus(given, embeddings, splits, reset=True)
        model = self._new(corpus)
        training.fit(model, corpus, int(self.batch_size or 1000), int(self.max_steps), **self._trainer)
        self.model_, self._training = model, training
        return self

    def partial_fit(self, X: Any, y: Any = None, embeddings: ArrayLike | None = None) -> "ETMTopics":
        """Go on with one pass over more documents, in the memory that these take; topics keep their numbers.

        The first call, unless `fit` came before, tells what the words are, where the topics start and, with inference
        ``auto``, how many topics a document has. Give it a thousand documents or more: ten do not tell. A pass has
        D / batch_size steps and good topics take hundreds, so lower batch_size where the parts are small.

        Args:
            X: The next documents, counts [D, V] or D texts, of which words that the first ones had not are left out.
            y: Ignored.
            embeddings: As in `fit`.

        Raises:
            UserError: As `fit`; or the model comes from a checkpoint, which does not have what goes on.
        """
        self._check_parameters()
        is_first = not hasattr(self, "model_")
        corpus = self._corpus(self._documents(X, reset=is_first), embeddings, reset=is_first)
        if is_first:
            model, training = self._new(corpus), Training(int(check_random_state(self.random_state).randint(2**31)))
        elif self._training is not None:
            model, training = self.model_, self._training
        else:
            raise UserError(
                "partial_fit: this model was loaded from a checkpoint, which does not have what training goes on with; "
                "expected one that was pickled: joblib.dump(estimator, path)."
            )
        training.go_on(model, corpus, int(self.batch_size or 100), **self._trainer)
        self.model_, self._training = model, training
        return self

    def transform(self, X: Any, embeddings: ArrayLike | None = None) -> NDArray[np.float32]:
        """Topic proportions of documents.

        Args:
            X: Counts [D, V], or D texts if the model was fitted on texts.
            embeddings: Their vectors [D, E], if the model was fitted with such.

        Returns:
            [D, K], rows on the simplex; for a document without a known word those of the prior.

        Raises:
            UserError: X or the embeddings are not as they were in `fit`.
        """
        check_is_fitted(self)
        given = self._documents(X)
        if isinstance(given, pl.Series):
            return self.model_.transform(given, embeddings=embeddings)
        theta: NDArray[np.float32] = self.model_.theta(given, embeddings).numpy()
        return theta

    def fit_transform(self, X: Any, y: Any = None, embeddings: ArrayLike | None = None) -> NDArray[np.float32]:
        """`fit`, and the topic proportions of the same documents, [D, K]."""
        return self.fit(X, y, embeddings).transform(X, embeddings)

    def perplexity(self, X: Any, y: Any = None, embeddings: ArrayLike | None = None) -> float:
        """Perplexity by document completion, of any documents: half of the words of each are told by the other half.

        Args:
            X: Counts [D, V], or texts.
            y: Ignored.
            embeddings: As in `transform`.

        Returns:
            Less is better; NaN where no document has two words.
        """
        check_is_fitted(self)
        corpus = self._corpus(self._documents(X), embeddings)
        return self.model_.completion_perplexity(BowDataset(corpus, corpus.rows("train"), with_halves=True))

    def score(self, X: Any, y: Any = None, embeddings: ArrayLike | None = None) -> float:
        """Mean log-probability of a word in `perplexity`, nats: more is better, whatever the number of documents."""
        return -log(self.perplexity(X, y, embeddings))

    @property
    def components_(self) -> NDArray[np.float32]:
        """Words of the topics, [K, V]: probabilities, each row on the simplex; no pseudo-counts."""
        check_is_fitted(self)
        beta: NDArray[np.float32] = self.model_.beta.numpy()
        return beta

    def top_words(self, n: int = 10, feature_names: Sequence[str] | None = None) -> list[list[str]]:
        """The n words that tell most of every topic, by `relevance`.

        Args:
            n: How many.
            feature_names: Names of the columns of X, ``vectorizer.get_feature_names_out()`` say. By default the words
                of the texts, the names of the columns where they had such, or else their numbers.
        """
        check_is_fitted(self)
        words = self._words(feature_names)
        return [[words[word] for word in row] for row in self.model_.top_word_indices(n, self.relevance).tolist()]

    def save(self, path: str | Path, feature_names: Sequence[str] | None = None) -> None:
        """Write a checkpoint, which the command line takes as well; it holds no code, as a pickle does.

        Args:
            path: The file, ``topics.ckpt`` say.
            feature_names: As in `top_words`.
        """
        check_is_fitted(self)
        self.model_.vocab = self._words(feature_names)
        self.model_.save(path)

    @classmethod
    def load(cls, path: str | Path) -> "ETMTopics":
        """The estimator of a checkpoint, of `save` or of the command line; it may be a stranger's.

        Raises:
            UserError: There is no such file, or it holds anything else.
        """
        model = ETM.load_from_checkpoint(path)
        names = ("inference", "anchor", "relevance", "rho_size")
        estimator = cls(model.hparams["num_topics"], **{name: model.hparams[name] for name in names})
        estimator.model_, estimator._training = model.eval(), None
        if model.analyzer is None:
            estimator.n_features_in_ = model.vocab_size
        return estimator

    @property
    def _trainer(self) -> dict[str, Any]:
        return {"accelerator": self.accelerator, "verbose": bool(self.verbose)}

    def _new(self, corpus: BowCorpus) -> ETM:
        """A model with weights that nobody sees: it starts where the corpus puts it."""
        with torch.random.fork_rng([]):
            return ETM(
                corpus.vocab_size,
                int(self.n_components),
                rho_size=int(self.rho_size),
                anchor=float(self.anchor),
                inference=self.inference,
                relevance=float(self.relevance),
                document_embeddings_size=0 if corpus.vectors is None else corpus.vectors.size,
            )

    def _documents(self, X: Any, reset: bool = False) -> pl.Series | sp.csr_array:
        """Texts or counts, whichever X is, checked as far as scikit-learn does."""
        texts = _texts(X)
        if texts is None:
            return sp.csr_array(validate_data(self, X, accept_sparse="csr", ensure_non_negative=True, reset=reset))
        if reset:
            for name in {"n_features_in_", "feature_names_in_"} & vars(self).keys():
                delattr(self, name)
        elif self.model_.analyzer is None:
            raise UserError(
                f"X: texts, but the model was fitted on counts; expected counts [documents, {self.model_.vocab_size}]."
            )
        return texts

    def _corpus(
        self,
        given: pl.Series | sp.csr_array,
        embeddings: ArrayLike | None,
        splits: list[str] | None = None,
        reset: bool = False,
    ) -> BowCorpus:
        splits = ["train"] * _num(given) if splits is None else splits
        meta: dict[str, Any] = {}
        if isinstance(given, pl.Series):
            vectorizer = self._vectorizer(len(given)) if reset else _vectorizer_of(self.model_)
            counts, vocab, meta = vectorizer(given, splits)
        elif reset:
            numbers = range(given.shape[1])
            counts, vocab = given, [str(name) for name in getattr(self, "feature_names_in_", numbers)]
        else:
            counts, vocab = given, self.model_.known_vocab
        corpus = BowCorpus.from_matrix(counts, vocab, splits, meta=meta)
        if not len(corpus.with_words(corpus.rows("train"))):
            raise UserError(f"X: no words in {len(corpus):,} documents; expected one of those that count at least.")
        size = 0 if embeddings is None else np.atleast_2d(embeddings).shape[1]
        vectors = as_vectors(embeddings, len(corpus), size if reset else self.model_.document_embeddings_size)
        return corpus if vectors is None else replace(corpus, vectors=DocumentVectors(vectors))

    def _vectorizer(self, num_documents: int) -> Vectorizer:
        analyzer = Analyzer(stop_words=read_stop_words(self.stop_words))
        min_df, max_df = next((low, high) for least, low, high in DF if num_documents >= least)
        return Vectorizer(analyzer, min_df, max_df)

    def _words(self, feature_names: Sequence[str] | None) -> list[str]:
        if feature_names is None:
            return self.model_.known_vocab
        if len(names := list(map(str, feature_names))) != self.model_.vocab_size:
            raise UserError(
                f"feature_names: {len(names)} for {self.model_.vocab_size} columns of X; expected one for each."
            )
        return names

    def _check_parameters(self) -> None:
        inferences = get_args(Inference)
        batch_size = 1 if self.batch_size is None else self.batch_size
        checks = {
            "n_components": (_is_whole(self.n_components), "a whole number from 1"),
            "inference": (self.inference in inferences, f"one of {', '.join(inferences)}"),
            "anchor": (isinstance(self.anchor, Real) and self.anchor >= 0, "a number from 0"),
            "relevance": (isinstance(self.relevance, Real) and 0 <= self.relevance <= 1, "a number from 0 to 1"),
            "rho_size": (_is_whole(self.rho_size), "a whole number from 1"),
            "max_steps": (_is_whole(self.max_steps), "a whole number from 1"),
            "batch_size": (_is_whole(batch_size), "a whole number from 1, or None"),
            "validation_fraction": (
                isinstance(self.validation_fraction, Real) and 0 <= self.validation_fraction < 1,
                "a share of the documents, from 0 to less than 1",
            ),
        }
        for name, (fine, expected) in checks.items():
            if not fine:
                raise UserError(f"{name}: {getattr(self, name)!r}; expected {expected}.")

    @property
    def _n_features_out(self) -> int:
        return len(self.model_.alpha)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = tags.input_tags.positive_only = True
        tags.transformer_tags.preserves_dtype = []  # theta is float32
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """With a checkpoint in place of the model, whose optimizer is a function without a name."""
        state: dict[str, Any] = dict(super().__getstate__())
        if (model := state.pop("model_", None)) is not None:
            with TemporaryDirectory() as folder:
                model.save(Path(folder) / "model.ckpt")
                state["_checkpoint"] = (Path(folder) / "model.ckpt").read_bytes()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make the model of it again."""
        if (checkpoint := state.pop("_checkpoint", None)) is not None:
            with TemporaryDirectory() as folder:
                (Path(folder) / "model.ckpt").write_bytes(checkpoint)
                state = {**state, "model_": ETM.load_from_checkpoint(Path(folder) / "model.ckpt").eval()}
        super().__setstate__(state)


def _is_whole(number: Any) -> bool:
    return isinstance(number, Integral) and int(number) >= 1


def _num(documents: pl.Series | sp.csr_array) -> int:
    return len(documents) if isinstance(documents, pl.Series) else int(documents.shape[0])


def _vectorizer_of(model: ETM) -> Vectorizer:
    assert model.analyzer is not None
    return Vectorizer(Analyzer.from_settings(model.analyzer), vocab=model.known_vocab)


def _texts(X: Any) -> pl.Series | None:
    """X as strings without nulls, if it is texts: a sequence with one of them at least."""
    if isinstance(X, str):
        raise UserError("X: one text; expected several, or a list of one: [text].")
    if len(getattr(X, "shape", (0, 0))) != 1 and not isinstance(X, list | tuple):
        return None
    if hasattr(X, "notna"):  # Pandas says in several ways that there is none
        X = X.astype(object).where(X.notna(), None)
    given = list(X)
    if not any(isinstance(text, str) for text in given):
        return None
    for place, text in enumerate(given):
        if not isinstance(text, str | None):
            raise UserError(f"X: text {place} is a {type(text).__name__}; expected str, or None for no text.")
    return pl.Series(given, dtype=pl.String).fill_null("")
