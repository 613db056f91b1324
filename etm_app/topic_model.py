"""What a trained model tells: of its topics and words, and of documents."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import polars as pl
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from etm_app.data.batch import BowBatch, sparse_batches
from etm_app.data.text.analyzer import Analyzer
from etm_app.errors import UserError
from etm_app.nn.anchor import Anchor
from etm_app.nn.encoder import Encoder
from etm_app.nn.mixture import Mixture
from etm_app.nn.prior import Prior
from etm_app.nn.topics import Topics

__all__ = ["Inference", "TopicModel"]

Inference = Literal["auto", "encoder", "mixture"]

BATCH = 1_000  # documents whose topics are found at once


class TopicModel(nn.Module):
    """What a model of these parts can be asked; `ETM` makes them, and knows how they are trained.

    Attributes:
        mixture: One topic a document; None where a document has several.
        encoder: Documents to the posterior of their topics; only without a mixture.
        prior: That of the topics of a document; only without a mixture.
        topics: The embeddings.
        log_frequency: Of each word, log of its share of the training tokens, [V]; 0 for a word that none of them is,
            and for all where they are not known: words are ranked by probability then.
        relevance: λ of `word_relevance`, by which words are ranked where topics are shown.
        anchor: Where these were placed in the beginning.
        placed: Whether they were, a bool: they are not placed again.
        vocab_size: V.
        vocab: The V words, once they are known.
        analyzer: How texts are cut into them, where the model was trained on texts: settings of an `Analyzer`.
    """

    mixture: Mixture | None
    encoder: Encoder
    prior: Prior
    topics: Topics
    log_frequency: Tensor
    relevance: float
    anchor: Anchor
    placed: Tensor
    vocab_size: int
    vocab: list[str] | None
    analyzer: dict[str, Any] | None

    def theta(self, documents: BowBatch | Tensor | NDArray[Any] | sp.sparray | sp.spmatrix) -> Tensor:
        """Topic proportions of documents, by their posterior: its mean; with ``prior: normal`` softmax of delta's mean.

        Args:
            documents: A batch, or counts [D, V]: dense, or a sparse matrix of SciPy's.

        Returns:
            [D, K]; for an empty document those of the prior.

        Raises:
            UserError: Counts of another width, or that are no counts.
        """
        if sp.issparse(documents):
            batches = list(sparse_batches(documents, self.vocab_size, BATCH))
        elif isinstance(documents, BowBatch):
            batches = [documents]
        else:
            batches = [BowBatch.from_dense(torch.as_tensor(documents), self.vocab_size, training=False)]
        was_training = self.training
        self.eval()
        with torch.no_grad():
            beta = self.topics()
            theta = torch.cat([self.theta_of_batch(batch.to(self.rho.device), beta) for batch in batches])
        self.train(was_training)
        return theta

    def theta_of_batch(self, batch: BowBatch, beta_by_word: Tensor) -> Tensor:
        """Topic proportions of a batch, [B, K], as `theta`, with topics [V, K] that are known already."""
        theta = self.posterior_theta(batch, batch.counts, beta_by_word)
        if self.mixture is None and batch.num_nonempty < len(batch):
            theta[batch.indptr.diff() == 0] = self.prior.mean_theta()
        if not theta.isfinite().all():
            raise UserError(
                "theta is not finite: the model's weights are no trained ones; expected a checkpoint as fit wrote it."
            )
        return theta

    def posterior_theta(self, batch: BowBatch, counts: Tensor, beta_by_word: Tensor) -> Tensor:
        """Topic proportions by the posterior given these counts, [N] at the batch's non-zeros; [B, K]."""
        if self.mixture is not None:
            return self.mixture.log_joint(batch, counts, beta_by_word).softmax(-1)
        return self.prior.posterior_theta(*self.encoder(batch, counts, beta_by_word))

    def transform(self, texts: Iterable[str], tokenizer: str | None = None) -> NDArray[np.float32]:
        """Topic proportions of texts, cut into words as those that the model was trained on.

        Args:
            texts: Any number of documents.
            tokenizer: Import path of the function that cut the texts in training, where one did: it is imported only
                if it is named here.

        Returns:
            [D, K]; for a text without a word of the vocabulary those of the prior.

        Raises:
            UserError: One text instead of several, or something that is no text; or the model was trained on counts,
                or by another tokenizer.
        """
        if isinstance(texts, str):
            raise UserError("transform: one text; expected several, or a list of one: transform([text]).")
        if self.analyzer is None:
            raise UserError("transform: this model was trained on counts, not on texts; use theta(counts) [D, V].")
        if (trained := self.analyzer.get("tokenizer")) != tokenizer:
            raise UserError(f"transform: tokenizer {tokenizer}, but {trained} in training; expected the same.")
        analyzer, numbers = Analyzer.from_settings(self.analyzer), pl.Enum(self.known_vocab)
        given = list(texts)
        for place, text in enumerate(given):
            if not isinstance(text, str | None):
                raise UserError(
                    f"transform: text {place} is a {type(text).__name__}; expected str, or None for no text."
                )
        documents = pl.Series(given, dtype=pl.String).fill_null("")
        theta = [np.zeros((0, len(self.alpha)), np.float32)]
        for part in documents.to_frame("text").with_row_index("row").iter_slices(BATCH):
            counted = analyzer.count(part["text"], numbers, part["row"])
            batch = BowBatch.from_csr(counted.indptr, counted.indices, counted.counts, self.vocab_size)
            theta.append(self.theta(batch.to(self.rho.device)).float().cpu().numpy())
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

    def word_relevance(self, relevance: float | None = None) -> Tensor:
        """How much each word tells of each topic: λ log p + (1 − λ) log(p / f), nats, [K, V].

        Sievert, Shirley 2014. p is beta, f the word's share of the training tokens (`log_frequency`): a word that none
        of them is gains nothing by being rare.

        Args:
            relevance: λ, from 0, what is only here, to 1, what is most probable here; by default the model's.
        """
        weight = self.relevance if relevance is None else relevance
        beta = self.beta
        return beta.clamp(min=torch.finfo(beta.dtype).tiny).log_().sub_(self.log_frequency * (1 - weight))

    def top_word_indices(self, n: int = 10, relevance: float = 1.0) -> Tensor:
        """The n words of every topic that are first by `word_relevance`, by default by probability.

        Returns:
            int64 [K, min(n, V)]; words that are level in the order of the vocabulary.
        """
        scores = self.beta if relevance == 1 else self.word_relevance(relevance)
        least = scores.topk(min(n, self.vocab_size)).values[:, -1]
        rows = []
        for own, bound in zip(scores, least, strict=True):
            (found,) = (~(own < bound)).nonzero(as_tuple=True)
            rows.append(found[own[found].argsort(descending=True, stable=True)[: min(n, self.vocab_size)]])
        return torch.stack(rows)

    def top_words(self, n: int = 10, relevance: float | None = None) -> list[list[str]]:
        """The n words that tell most of every topic, the first by `word_relevance` first.

        Args:
            n: How many.
            relevance: 1 for the most probable words; by default the model's, as in everything that shows topics.
        """
        ranked = self.top_word_indices(n, self.relevance if relevance is None else relevance)
        return [self._words(row) for row in ranked.tolist()]

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
