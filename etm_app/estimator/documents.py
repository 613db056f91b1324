"""What an estimator is given for documents: texts in any sequence, or counts."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import ArrayLike

from etm_app.data.corpus import BowCorpus
from etm_app.data.document_vectors import DocumentVectors, as_vectors
from etm_app.data.text.analyzer import Analyzer, read_stop_words, texts_of
from etm_app.data.text.vectorizer import Vectorizer
from etm_app.errors import UserError
from etm_app.topic_model import TopicModel

__all__ = ["as_texts", "first_corpus", "known_corpus", "num_documents"]

# From how many texts on: in how many of them a word is at least, and at most. Of many it is as on the command line.
DF: tuple[tuple[int, int, float], ...] = ((1000, 5, 0.5), (10, 2, 0.5), (0, 1, 1.0))


def as_texts(X: Any) -> pl.Series | None:
    """X as strings without nulls, if it is texts: a sequence with one of them at least, or with None for one.

    Args:
        X: Anything.

    Raises:
        UserError: It is one text, or an empty sequence, or has something among its texts that is none.
    """
    if isinstance(X, str):
        raise UserError("X: one text; expected several, or a list of one: [text].")
    if len(getattr(X, "shape", (0, 0))) != 1 and not isinstance(X, list | tuple):
        return None
    if hasattr(X, "notna"):  # Pandas says in several ways that there is none
        X = X.astype(object).where(X.notna(), None)
    given = list(X)
    if not given:
        raise UserError("X: no documents; expected one at least.")
    return texts_of(given, "X") if any(isinstance(text, str | None) for text in given) else None


def num_documents(given: pl.Series | sp.csr_array) -> int:
    """How many texts, or rows of counts."""
    return len(given) if isinstance(given, pl.Series) else int(given.shape[0])


def first_corpus(
    given: pl.Series | sp.csr_array,
    splits: list[str],
    embeddings: ArrayLike | None,
    stop_words: str,
    names: Iterable[str] | None,
) -> BowCorpus:
    """Documents that a new model gets its words from.

    Args:
        given: Texts or counts.
        splits: train or val for each of them.
        embeddings: Their vectors, if there are such.
        stop_words: Of texts, as `read_stop_words` knows them.
        names: Of the columns of counts; their numbers where there are none.

    Raises:
        UserError: None of the documents has a word, or they are no counts, or the embeddings are not theirs.
    """
    size = 0 if embeddings is None else np.atleast_2d(embeddings).shape[1]
    if not isinstance(given, pl.Series):
        words = [str(name) for name in (range(given.shape[1]) if names is None else names)]
        return _corpus(given, words, splits, {}, embeddings, size)
    min_df, max_df = next((low, high) for least, low, high in DF if len(given) >= least)
    vectorizer = Vectorizer(Analyzer(stop_words=read_stop_words(stop_words)), min_df, max_df)
    counts, words, meta = vectorizer(given, splits)
    return _corpus(counts, words, splits, meta, embeddings, size)


def known_corpus(given: pl.Series | sp.csr_array, embeddings: ArrayLike | None, model: TopicModel) -> BowCorpus:
    """Documents with the words of a model, all of them in the split train.

    Args:
        given: Texts, if the model was trained on such, or counts.
        embeddings: Their vectors, if the model was trained with such.
        model: The model.

    Raises:
        UserError: As `first_corpus`.
    """
    splits = ["train"] * num_documents(given)
    meta: dict[str, Any] = {}
    if isinstance(given, pl.Series):
        assert model.analyzer is not None
        given, _, meta = Vectorizer(Analyzer.from_settings(model.analyzer), vocab=model.known_vocab)(given, splits)
    return _corpus(given, model.known_vocab, splits, meta, embeddings, model.document_embeddings_size)


def _corpus(
    counts: sp.csr_array,
    words: list[str],
    splits: list[str],
    meta: dict[str, Any],
    embeddings: ArrayLike | None,
    size: int,
) -> BowCorpus:
    corpus = BowCorpus.from_matrix(counts, words, splits, meta=meta)
    if not len(corpus.with_words(corpus.rows("train"))):
        raise UserError(f"X: none of {len(corpus):,} documents has a word; expected one at least that does.")
    vectors = as_vectors(embeddings, len(corpus), size)
    return corpus if vectors is None else replace(corpus, vectors=DocumentVectors(vectors))
