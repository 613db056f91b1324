"""The anchor: what holds the embeddings near the place where the warm start put them."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from etm_app.data.batch import BowBatch
from etm_app.nn.processes import total

__all__ = ["Anchor"]

# Documents in training: the anchor weighs as much in the sum over a corpus of more as in one of so many, as a prior
# does. More data have a better place to tell than the start was.
MOST_DOCUMENTS = 20_000
# Perplexity of the topics over that of the words' frequencies, from which down the anchor gives way, and how fast. The
# topics of 20 Newsgroups, which need it for their quality, stay above or near it, those of docstrings, which it holds
# back, do not: benchmarks/README.md. The same of the frequencies' perplexity over the number of words: .63 on 20
# Newsgroups, whose rare words the paper left out, .21 to .51 on the others, .14 by Zipf's law.
GIVES_WAY_BELOW = 0.5
GIVES_WAY_POWER = 3
# Of the weight, where documents have one topic each. The nearer topics stay to the clusters of documents that they
# start from, the better they agree with labels, and the less their words cohere.
ONE_TOPIC = 0.4

BUFFERS = ("rho", "alpha", "document_frequency", "log_frequency")


class Anchor(nn.Module):
    """A penalty on the drift of the embeddings, which gives way where topics explain much and documents are many.

    Added to the loss, which is a mean over documents:

        weight · min(1, 20000/D) · g(u) · Σ_v f_v (‖ρ_v − ρ⁰_v‖² + 1/K Σ_k ‖Δ_k − Δ‖² + g(e) ‖Δ‖²)

    g(x) = min(1, x/0.5)³. D: documents in training. u: perplexity of the step over that of the words' frequencies
    alone (`unexplained`), a constant to the gradients; with one topic a document, 0.4 in place of g(u). f_v: share of
    the documents with word v; Σ_v f_v is the number of different words of a document. Δ_k = α_k − α⁰_k, Δ: their mean.
    ρ⁰, α⁰: where the embeddings were placed. Like the likelihood, the drift grows with the number of words, and counts
    frequent ones, by which topics are known, before rare ones. What all topics move by together, Δ, makes words
    frequent or rare in all of them, which the start, whose topics point from the mean, cannot say: it is held where
    words are about as frequent, and free where they are far from that. e: perplexity of their frequencies over the
    number of words (`evenness`).

    Args:
        weight: Of the penalty; 0 for none.
    """

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.num_documents = 1  # D, known when training begins
        for name in BUFFERS:
            self.register_buffer(name, torch.empty(0))  # until something is placed
        self.rho: Tensor
        self.alpha: Tensor
        self.document_frequency: Tensor
        self.log_frequency: Tensor
        self.register_load_state_dict_pre_hook(_take_shapes)  # type: ignore[no-untyped-call]

    @property
    def placed(self) -> bool:
        """Whether there is a place to drift from."""
        return self.rho.numel() > 0

    def place(self, rho: Tensor, alpha: Tensor, document_frequency: Tensor, frequency: Tensor) -> None:
        """Measure the drift from these embeddings.

        Args:
            rho: Of the words, [V, L].
            alpha: Of the topics, [K, L].
            document_frequency: Share of the documents with each word, [V].
            frequency: Share of the tokens that are each word, [V], none of them 0.
        """
        self.rho, self.alpha = rho.detach().clone(), alpha.detach().clone()
        self.document_frequency = document_frequency.to(rho)
        self.log_frequency = frequency.to(torch.promote_types(rho.dtype, torch.float32)).log().to(rho)

    def forward(
        self, rho: Tensor, alpha: Tensor, batch: BowBatch, log_likelihood: Tensor | None, num_processes: int = 1
    ) -> Tensor:
        """The penalty of these embeddings.

        Args:
            rho: Of the words, [V, L].
            alpha: Of the topics, [K, L].
            batch: Documents.
            log_likelihood: Of all of them together, nats; None where they have one topic each.
            num_processes: How many processes have a share of the step's documents.

        Returns:
            Nats a document, a scalar; 0 where no embeddings were placed.
        """
        if not self.weight or not self.placed:
            return alpha.new_zeros(())
        gives_way: Tensor | float = ONE_TOPIC
        if log_likelihood is not None:
            gives_way = _gives_way(self.unexplained(batch, log_likelihood, num_processes))
        weight = self.weight * min(1.0, MOST_DOCUMENTS / self.num_documents)
        return weight * gives_way * self.drift(rho, alpha)

    def drift(self, rho: Tensor, alpha: Tensor) -> Tensor:
        """Σ_v f_v (‖ρ_v − ρ⁰_v‖² + 1/K Σ_k ‖Δ_k − Δ‖² + g(e) ‖Δ‖²), a scalar."""
        words: Tensor = _WeightedDistance.apply(rho, self.rho, self.document_frequency)  # type: ignore[no-untyped-call]
        apart = alpha - self.alpha
        shared = apart.mean(dim=0)
        topics = F.mse_loss(apart, shared.expand_as(apart), reduction="sum") / len(alpha)
        topics = topics + _gives_way(self.evenness()) * shared.square().sum()
        return words + self.document_frequency.sum() * topics

    def evenness(self) -> Tensor:
        """Perplexity of the words' frequencies over the number of words: 1 where all are as frequent."""
        evenness: Tensor = torch.special.entr(self.log_frequency.exp()).sum().exp() / len(self.log_frequency)
        return evenness

    def unexplained(self, batch: BowBatch, log_likelihood: Tensor, num_processes: int = 1) -> Tensor:
        """Perplexity of a step over that of the words' frequencies alone: 1 where topics explain nothing, towards 0.

        Args:
            batch: Documents.
            log_likelihood: Of all of them together, nats.
            num_processes: As in `forward`.
        """
        by_frequency = torch.dot(batch.counts.to(self.log_frequency), self.log_frequency.index_select(0, batch.indices))
        sums = torch.stack((by_frequency - log_likelihood.detach(), batch.counts.sum()))
        excess, tokens = total(sums, num_processes)
        unexplained: Tensor = (excess / tokens.clamp(min=1)).exp()
        return unexplained


def _gives_way(left: Tensor) -> Tensor:
    """g, of a ratio of perplexities: what is left of the larger one."""
    return (left / GIVES_WAY_BELOW).clamp(max=1).pow(GIVES_WAY_POWER)


def _take_shapes(anchor: Anchor, state_dict: dict[str, Any], prefix: str, *_: object) -> None:
    """Make room for what a checkpoint has of the anchor: nothing, if its model was not placed."""
    for name in BUFFERS:
        if (found := state_dict.get(prefix + name)) is not None:
            setattr(anchor, name, torch.empty_like(found, device=getattr(anchor, name).device))


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
