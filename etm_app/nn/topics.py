"""Topics as points in the space of the words."""

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from etm_app.data.batch import BowBatch

__all__ = ["Topics"]


class Topics(nn.Module):
    """beta_k = softmax(rho alpha_k): a topic gives a word probability by the inner product of their embeddings.

    Section 4 of the paper.

    Args:
        vocab_size: V.
        num_topics: K.
        rho_size: L, the dimensions of the embeddings.
        train_embeddings: Whether rho is learned; it is saved and moved with the model either way.
    """

    def __init__(self, vocab_size: int, num_topics: int, rho_size: int, train_embeddings: bool) -> None:
        super().__init__()
        bound = rho_size**-0.5  # as nn.Linear(L, ...) starts, which the paper's code uses for both
        self.rho = nn.Parameter(torch.empty(vocab_size, rho_size).uniform_(-bound, bound), train_embeddings)
        self.alpha = nn.Parameter(torch.empty(num_topics, rho_size).uniform_(-bound, bound))
        self.register_buffer("rho_anchor", None)
        self.register_buffer("alpha_anchor", None)
        self.register_buffer("word_weight", None)
        self.register_buffer("log_frequency", None)
        self.rho_anchor: Tensor | None
        self.alpha_anchor: Tensor | None
        self.word_weight: Tensor | None
        self.log_frequency: Tensor | None

    def place(self, rho: Tensor, alpha: Tensor, document_frequency: Tensor, frequency: Tensor) -> None:
        """Start from these embeddings, and measure `drift` from them.

        Args:
            rho: Of the words, [V, L].
            alpha: Of the topics, [K, L].
            document_frequency: Share of the documents with each word, [V].
            frequency: Share of the tokens that are each word, [V], none of them 0.
        """
        with torch.no_grad():
            self.rho.copy_(rho)
            self.alpha.copy_(alpha)
        self.rho_anchor, self.alpha_anchor = self.rho.detach().clone(), self.alpha.detach().clone()
        self.word_weight = document_frequency.to(self.rho)
        self.log_frequency = frequency.to(self.rho).log()

    def drift(self) -> Tensor:
        """Squared distance of the embeddings from where they were placed, over the different words of a document.

        For each of the words its own and, on average over the topics, a topic's: like the likelihood, it grows with
        the number of words, and counts frequent ones, by which topics are known, before rare ones.
        """
        if self.rho_anchor is None or self.alpha_anchor is None or self.word_weight is None:
            return self.alpha.new_zeros(())
        words: Tensor = _WeightedDistance.apply(self.rho, self.rho_anchor, self.word_weight)  # type: ignore[no-untyped-call]
        topics = F.mse_loss(self.alpha, self.alpha_anchor, reduction="sum") / len(self.alpha)
        total: Tensor = words + self.word_weight.sum() * topics
        return total

    @torch.no_grad()
    def unexplained(self, batch: BowBatch, log_likelihood: Tensor) -> Tensor:
        """Perplexity of a batch over that of the words' frequencies alone: 1 where topics explain nothing, towards 0.

        Args:
            batch: Documents.
            log_likelihood: Of all of them, nats.
        """
        assert self.log_frequency is not None, "only topics that were placed know the words' frequencies"
        by_frequency = torch.dot(batch.counts.to(self.log_frequency), self.log_frequency.index_select(0, batch.indices))
        return ((by_frequency - log_likelihood) / batch.counts.sum().clamp(min=1)).exp()

    def forward(self) -> Tensor:
        """The topics, a word a row: beta [V, K], each column on the simplex."""
        # In float32 under autocast too: the softmax runs over the whole vocabulary.
        with torch.autocast(self.rho.device.type, enabled=False):
            return (self.alpha @ self.rho.t()).softmax(dim=-1, dtype=self._softmax_type).t().contiguous()

    @property
    def _softmax_type(self) -> torch.dtype:
        return torch.promote_types(self.rho.dtype, torch.float32)


class _WeightedDistance(torch.autograd.Function):
    """Σ weight_v ‖x_v − y_v‖²; autograd's own would hold and pass over five arrays of the size of rho."""

    @staticmethod
    def forward(ctx, x: Tensor, y: Tensor, weight: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        difference = x - y
        weighted = difference * weight[:, None]
        ctx.save_for_backward(weighted)
        return torch.dot(weighted.view(-1), difference.view(-1))

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[no-untyped-def]
        (weighted,) = ctx.saved_tensors
        return weighted * (2 * grad), None, None
