"""The model as an estimator of scikit-learn's."""

from collections.abc import Sequence
from math import log
from numbers import Integral, Real
from typing import Any, get_args

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from etm_app.data.corpus import BowCorpus, BowDataset
from etm_app.data.splits import random_splits
from etm_app.errors import UserError
from etm_app.estimator.documents import as_texts, first_corpus, known_corpus, num_documents
from etm_app.estimator.saving import SavedTopics
from etm_app.estimator.training import Training, apart
from etm_app.model import ETM
from etm_app.topic_model import Inference

__all__ = ["ETMTopics"]

FIT_BATCH, STREAM_BATCH = 1_000, 100  # documents a step: one pass has few steps otherwise


class ETMTopics(ClassNamePrefixFeaturesOutMixin, TransformerMixin, SavedTopics):  # type: ignore[misc]  # untyped
    """Embedded Topic Model with the interface of `sklearn.decomposition.LatentDirichletAllocation`.

    Documents X are counts [D, V], dense or sparse, as `CountVectorizer` makes them, or texts: a list, or a Series of
    Pandas or Polars, cut into words as `TextDataModule` does. A word is what is in two of the texts or more, of a
    thousand or more texts in five, and in no more than half of them; of fewer than ten, what is in any.

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
        batch_size: Documents a step; None for 1,000 in `fit` and 100 in `partial_fit`.
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
        _check_parameters(self)
        training = self._new_training()
        given = self._documents(X, reset=True)
        splits = random_splits(num_documents(given), float(self.validation_fraction), 0.0, training.seed)
        corpus = self._first_corpus(given, splits, embeddings)
        model = _new_model(self, corpus, training.seed)
        training.fit(model, corpus, int(self.batch_size or FIT_BATCH), int(self.max_steps), **self._trainer)
        self.model_, self._training = model, training
        return self

    def partial_fit(self, X: Any, y: Any = None, embeddings: ArrayLike | None = None) -> "ETMTopics":
        """Go on with one pass over more documents, in the memory that these take; topics keep their numbers.

        The first call, unless `fit` came before, tells what the words are and where the topics start: ten documents
        do not tell, some thousands do. 20 Newsgroups in 20 parts, five times, ended with a perplexity 11% above that of
        `fit`; with a first part of 2,800 documents it was 5% after three times. With inference ``auto``, documents have
        one topic for some 30 steps, and the next part, before it trains, chooses. A call has D / batch_size steps, and
        good topics take hundreds: give small corpora several times. Of parts before there is what was learned and no
        memory, so each should be drawn from all: titles that came sorted by their tags ended, after one time, with
        twice the perplexity of mixed ones.

        Args:
            X: The next documents, counts [D, V] or D texts, of which words that the first ones had not are left out.
            y: Ignored.
            embeddings: As in `fit`.

        Raises:
            UserError: As `fit`; or the model comes from a checkpoint, which does not have what goes on.
        """
        _check_parameters(self)
        is_first = not hasattr(self, "model_")
        given = self._documents(X, reset=is_first)
        if is_first:
            training = self._new_training()
            corpus = self._first_corpus(given, ["train"] * num_documents(given), embeddings)
            model = _new_model(self, corpus, training.seed)
        elif self._training is not None:
            corpus = known_corpus(given, embeddings, self.model_)
            model, training = self.model_, self._training
        else:
            raise UserError(
                "partial_fit: this model was loaded from a checkpoint, which does not have what training goes on with; "
                "expected one that was pickled: joblib.dump(estimator, path)."
            )
        training.go_on(model, corpus, int(self.batch_size or STREAM_BATCH), **self._trainer)
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
        check_is_fitted(self, "model_")
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
        check_is_fitted(self, "model_")
        corpus = known_corpus(self._documents(X), embeddings, self.model_)
        return self.model_.completion_perplexity(BowDataset(corpus, corpus.rows("train"), with_halves=True))

    def score(self, X: Any, y: Any = None, embeddings: ArrayLike | None = None) -> float:
        """Mean log-probability of a word in `perplexity`, nats: more is better, whatever the number of documents."""
        return -log(self.perplexity(X, y, embeddings))

    @property
    def components_(self) -> NDArray[np.float32]:
        """Words of the topics, [K, V]: probabilities, each row on the simplex; no pseudo-counts."""
        check_is_fitted(self, "model_")
        beta: NDArray[np.float32] = self.model_.beta.numpy()
        return beta

    def top_words(self, n: int = 10, feature_names: Sequence[str] | None = None) -> list[list[str]]:
        """The n words that tell most of every topic, by `relevance`.

        Args:
            n: How many.
            feature_names: Names of the columns of X, ``vectorizer.get_feature_names_out()`` say. By default the words
                of the texts, the names of the columns where they had such, or else their numbers.
        """
        check_is_fitted(self, "model_")
        words = self._words(feature_names)
        return [[words[word] for word in row] for row in self.model_.top_word_indices(n, self.relevance).tolist()]

    @property
    def _trainer(self) -> dict[str, Any]:
        return {"accelerator": self.accelerator, "verbose": bool(self.verbose)}

    def _first_corpus(
        self, given: pl.Series | sp.csr_array, splits: list[str], embeddings: ArrayLike | None
    ) -> BowCorpus:
        names = getattr(self, "feature_names_in_", None)
        return first_corpus(given, splits, embeddings, self.stop_words, names)

    def _new_training(self) -> Training:
        return Training(int(check_random_state(self.random_state).randint(2**31)))

    def _documents(self, X: Any, reset: bool = False) -> pl.Series | sp.csr_array:
        """Texts or counts, whichever X is, checked as far as scikit-learn does."""
        texts = as_texts(X)
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

    @property
    def _n_features_out(self) -> int:
        return len(self.model_.alpha)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = tags.input_tags.positive_only = True
        tags.transformer_tags.preserves_dtype = []  # theta is float32
        return tags


def _new_model(of: ETMTopics, corpus: BowCorpus, seed: int) -> ETM:
    with apart(seed):  # it is what the weights of an encoder are drawn from
        return ETM(
            corpus.vocab_size,
            int(of.n_components),
            rho_size=int(of.rho_size),
            anchor=float(of.anchor),
            inference=of.inference,
            relevance=float(of.relevance),
            document_embeddings_size=0 if corpus.vectors is None else corpus.vectors.size,
        )


def _check_parameters(of: ETMTopics) -> None:
    inferences = get_args(Inference)
    whole = "a whole number from 1"
    checks = {
        **{name: (_is_whole(getattr(of, name)), whole) for name in ("n_components", "rho_size", "max_steps")},
        "batch_size": (of.batch_size is None or _is_whole(of.batch_size), f"{whole}, or None"),
        "inference": (of.inference in inferences, f"one of {', '.join(inferences)}"),
        "anchor": (isinstance(of.anchor, Real) and of.anchor >= 0, "a number from 0"),
        "relevance": (isinstance(of.relevance, Real) and 0 <= of.relevance <= 1, "a number from 0 to 1"),
        "validation_fraction": (
            isinstance(of.validation_fraction, Real) and 0 <= of.validation_fraction < 1,
            "a share of the documents, from 0 to less than 1",
        ),
    }
    for name, (fine, expected) in checks.items():
        if not fine:
            raise UserError(f"{name}: {getattr(of, name)!r}; expected {expected}.")


def _is_whole(number: Any) -> bool:
    return isinstance(number, Integral) and int(number) >= 1
