"""What a trained model tells: of its topics and words, and of documents."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import polars as pl
import scipy.sparse as sp
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from etm_app.data.batch import BowBatch, sparse_batches
from etm_app.data.document_vectors import as_vectors
from etm_app.data.text.analyzer import Analyzer, texts_of
from etm_app.errors import UserError
from etm_app.nn.anchor import Anchor
from etm_app.nn.e_step import EStep
from etm_app.nn.encoder import Encoder
from etm_app.nn.memory import Memory
from etm_app.nn.merging import topic_similarity
from etm_app.nn.topics import Topics
from etm_app.topic_names import NAME_WORDS

__all__ = ["Inference", "TopicModel", "highest", "relevance_in"]

Inference = Literal["auto", "mixture", "mixed_membership", "encoder"]

BATCH = 1_000  # documents whose topics are found at once


class TopicModel(nn.Module):
    """What a model of these parts can be asked; `ETM` makes them, and knows how they are trained.

    Attributes:
        inference: How the topics of a document are found.
        e_step: What finds them; None where the encoder does.
        encoder: The network that does; None where there is none.
        topics: The embeddings.
        log_frequency: Of each word, log of its share of the training tokens, [V]; 0 for a word that none of them is,
            and for all where they are not known: words are ranked by probability then.
        relevance: λ of `word_relevance`, by which words are ranked where topics are shown.
        anchor: Where these were placed in the beginning.
        memory: What stands for the documents of trainings before.
        seen: How many documents and tokens the model was trained on, those of trainings before included, int64 [2]; 0
            where that is not known.
        placed: Whether they were, a bool: they are not placed again.
        vocab_size: V.
        document_embeddings_size: E, dimensions of the embeddings that documents come with; 0 for none.
        vocab: The V words, once they are known.
        given_names: Names that a user gave to topics, by number.
        analyzer: How texts are cut into them, where the model was trained on texts: settings of an `Analyzer`.
    """

    inference: Inference
    e_step: EStep | None
    encoder: Encoder | None
    topics: Topics
    log_frequency: Tensor
    relevance: float
    anchor: Anchor
    memory: Memory
    seen: Tensor
    placed: Tensor
    vocab_size: int
    document_embeddings_size: int
    vocab: list[str] | None
    given_names: dict[int, str]
    analyzer: dict[str, Any] | None

    def theta(
        self,
        documents: BowBatch | Tensor | NDArray[Any] | sp.sparray | sp.spmatrix,
        embeddings: ArrayLike | Tensor | None = None,
    ) -> Tensor:
        """Topic proportions of documents, by their posterior: its mean; with an encoder softmax of delta's mean.

        Args:
            documents: A batch, or counts [D, V]: dense, or a sparse matrix of SciPy's.
            embeddings: Of the documents [D, E], for a model that was trained with such; a batch may have them itself.

        Returns:
            [D, K]; for an empty document those of the prior.

        Raises:
            UserError: Counts of another width, or that are no counts; embeddings of another shape, not finite, or where
                the model takes none, or none where it takes some.
        """
        if sp.issparse(documents):
            batches = list(sparse_batches(documents, self.vocab_size, BATCH))
        elif isinstance(documents, BowBatch):
            batches = [documents]
        else:
            batches = [BowBatch.from_dense(torch.as_tensor(documents), self.vocab_size, training=False)]
        if embeddings is None and isinstance(documents, BowBatch):
            embeddings = documents.vectors
        vectors = as_vectors(embeddings, sum(map(len, batches)), self.document_embeddings_size)
        was_training = self.training
        self.eval()
        with torch.no_grad():
            beta = self.topics()
            theta = torch.cat([self.theta_of_batch(batch, beta) for batch in self._here(batches, vectors)])
        self.train(was_training)
        return theta

    def _here(self, batches: Iterable[BowBatch], vectors: NDArray[Any] | None) -> Iterator[BowBatch]:
        """Copies of batches on the model's device, with their vectors."""
        start = 0
        for batch in batches:
            here = batch.to(self.rho.device)
            if vectors is not None:
                own = np.array(vectors[start : start + len(batch)], np.float32)
                here.vectors = torch.from_numpy(own).to(self.rho.device)
            start += len(batch)
            yield here

    def theta_of_batch(self, batch: BowBatch, beta_by_word: Tensor) -> Tensor:
        """Topic proportions of a batch, [B, K], as `theta`, with topics [V, K] that are known already."""
        theta = self.posterior.theta(batch, batch.counts, beta_by_word)
        if not theta.isfinite().all():
            raise UserError(
                "theta is not finite: the model's weights are no trained ones; expected a checkpoint as fit wrote it."
            )
        return theta

    @property
    def posterior(self) -> EStep | Encoder:
        """What finds the topics of documents."""
        posterior = self.e_step or self.encoder
        assert posterior is not None
        return posterior

    def transform(
        self,
        texts: Iterable[str],
        tokenizer: str | None = None,
        embeddings: ArrayLike | Tensor | None = None,
    ) -> NDArray[np.float32]:
        """Topic proportions of texts, cut into words as those that the model was trained on.

        Args:
            texts: Any number of documents.
            tokenizer: Import path of the function that cut the texts in training, where one did: it is imported only
                if it is named here.
            embeddings: Of the texts [D, E], for a model that was trained with such.

        Returns:
            [D, K]; for a text without a word of the vocabulary those of the prior.

        Raises:
            UserError: One text instead of several, or something that is no text; or the model was trained on counts,
                or by another tokenizer; or embeddings that `theta` refuses.
        """
        if isinstance(texts, str):
            raise UserError("transform: one text; expected several, or a list of one: transform([text]).")
        if self.analyzer is None:
            raise UserError("transform: this model was trained on counts, not on texts; use theta(counts) [D, V].")
        if (trained := self.analyzer.get("tokenizer")) != tokenizer:
            raise UserError(f"transform: tokenizer {tokenizer}, but {trained} in training; expected the same.")
        analyzer, numbers = Analyzer.from_settings(self.analyzer), pl.Enum(self.known_vocab)
        documents = texts_of(texts, "transform")
        vectors = as_vectors(embeddings, len(documents), self.document_embeddings_size)
        theta = [np.zeros((0, len(self.alpha)), np.float32)]
        for part in documents.to_frame("text").with_row_index("row").iter_slices(BATCH):
            counted = analyzer.count(part["text"], numbers, part["row"])
            batch = BowBatch.from_csr(counted.indptr, counted.indices, counted.counts, self.vocab_size)
            own = None if vectors is None else vectors[part["row"][0] :][: len(part)]
            theta.append(self.theta(batch, own).float().cpu().numpy())
        return np.concatenate(theta)

    @property
    def beta(self) -> Tensor:
        """Words of the topics, [K, V], each row on the simplex."""
        with torch.no_grad():
            beta_by_word: Tensor = self.topics()
        return beta_by_word.t().contiguous()

    @property
    def alpha(self) -> Tensor:
        """Topic embeddings, [K, L]."""
        return self.topics.alpha.detach()

    @property
    def rho(self) -> Tensor:
        """Word embeddings, [V, L]."""
        return self.topics.rho.detach()

    def take_frequencies(self, token_counts: NDArray[np.int64]) -> None:
        """Know how frequent words are, from how many of the training tokens are each of them, [V]."""
        tokens = torch.from_numpy(token_counts)
        share = (tokens + 1) / (tokens.sum() + len(tokens))
        self.log_frequency.copy_(share.where(tokens > 0, 1.0).log())

    def token_counts(self, num_tokens: int) -> NDArray[np.int64]:
        """How many of so many training tokens are each word, [V], by what `take_frequencies` has kept."""
        counts = self.log_frequency.double().exp() * (num_tokens + self.vocab_size) - 1
        known: NDArray[np.int64] = counts.where(self.log_frequency < 0, 0).round().clamp(min=0).long().cpu().numpy()
        return known

    def word_relevance(self, relevance: float | None = None) -> Tensor:
        """How much each word tells of each topic: λ log p + (1 − λ) log(p / f), nats, [K, V].

        Sievert, Shirley 2014. p is beta, f the word's share of the training tokens (`log_frequency`): a word that none
        of them is gains nothing by being rare.

        Args:
            relevance: λ, from 0, what is only here, to 1, what is most probable here; by default the model's.
        """
        return relevance_in(self.beta, self.log_frequency, self.relevance if relevance is None else relevance)

    def top_word_indices(self, n: int = 10, relevance: float = 1.0) -> Tensor:
        """The n words of every topic that are first by `word_relevance`, by default by probability.

        Returns:
            int64 [K, min(n, V)]; words that are level in the order of the vocabulary.
        """
        return highest(self.beta if relevance == 1 else self.word_relevance(relevance), n)

    def top_words(self, n: int = 10, relevance: float | None = None) -> list[list[str]]:
        """The n words that tell most of every topic, the first by `word_relevance` first.

        Args:
            n: How many.
            relevance: 1 for the most probable words; by default the model's, as in everything that shows topics.
        """
        ranked = self.top_word_indices(n, self.relevance if relevance is None else relevance)
        return [self._words(row) for row in ranked.tolist()]

    @property
    def topic_names(self) -> list[str]:
        """What the K topics are called in everything that shows them: the name that was given, or their first words."""
        return [
            self.given_names.get(topic) or " ".join(words) for topic, words in enumerate(self.top_words(NAME_WORDS))
        ]

    @property
    def topic_similarity(self) -> NDArray[np.float64]:
        """How alike the topics are, in all that shows them together, [K, K]; by the words as training had them."""
        beta, known = self.beta.float().cpu().numpy(), self.log_frequency < 0
        weight = torch.where(known, self.log_frequency.double().exp(), 0.0).cpu().numpy()
        return topic_similarity(beta, weight if known.any() else beta.mean(axis=0))

    def nearest_words(self, word: str, n: int = 10) -> list[tuple[str, float]]:
        """The words whose embeddings are nearest to a word's by cosine, with the cosine, nearest first.

        Raises:
            UserError: The word is not in the vocabulary.
        """
        vocab = self.known_vocab
        if word not in vocab:
            raise UserError(f"word: {word!r} is not among the {self.vocab_size} words of the vocabulary.")
        index = vocab.index(word)
        cosine = F.normalize(self.rho, dim=-1) @ F.normalize(self.rho[index], dim=-1)
        cosine[index] = -np.inf  # every word is its own nearest
        nearest = cosine.topk(min(n, self.vocab_size - 1))
        return list(zip(self._words(nearest.indices.tolist()), nearest.values.tolist(), strict=True))

    @property
    def known_vocab(self) -> list[str]:
        """The V words.

        Raises:
            UserError: There are none yet.
        """
        if self.vocab is None:
            raise UserError("the model has no vocabulary yet; train it or load a checkpoint.")
        return self.vocab

    def _words(self, indices: Sequence[int]) -> list[str]:
        vocab = self.known_vocab
        return [vocab[index] for index in indices]


def relevance_in(beta: Tensor, log_frequency: Tensor, weight: float) -> Tensor:
    """`TopicModel.word_relevance` in any topics, [K, V]."""
    return beta.clamp(min=torch.finfo(beta.dtype).tiny).log_().sub_(log_frequency * (1 - weight))


def highest(scores: Tensor, n: int) -> Tensor:
    """The columns of the n highest scores of each row, int64; those that are level in their order."""
    n = min(n, scores.shape[1])
    least = scores.topk(n).values[:, -1]
    rows = []
    for own, bound in zip(scores, least, strict=True):
        (found,) = (~(own < bound)).nonzero(as_tuple=True)
        rows.append(found[own[found].argsort(descending=True, stable=True)[:n]])
    return torch.stack(rows)
