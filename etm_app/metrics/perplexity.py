"""Held-out perplexity."""

import torch
from torch import Tensor
from torchmetrics import Metric

__all__ = ["PERPLEXITY_DEFINITIONS", "Perplexity"]

PERPLEXITY_DEFINITIONS = {
    "perplexity": "document completion: exp(-sum log p / sum tokens) over the second halves of all documents, "
    "with theta from their first halves: its posterior mean, or softmax of delta's with an encoder, as in the paper",
    "perplexity_doc_mean": "the same with each document weighing alike: exp(mean over documents of -log p / tokens); "
    "what the paper's code prints",
}


class Perplexity(Metric):
    """Perplexity over all tokens and as a mean over documents, exact over batches and processes.

    Documents without scored tokens take no part. Definitions: `PERPLEXITY_DEFINITIONS`.
    """

    full_state_update = False

    def __init__(self) -> None:
        super().__init__()
        for name in ("log_likelihood", "tokens", "document_loss", "documents"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.log_likelihood: Tensor
        self.tokens: Tensor
        self.document_loss: Tensor
        self.documents: Tensor

    def update(self, log_likelihood: Tensor, tokens: Tensor) -> None:
        """Add documents.

        Args:
            log_likelihood: log p of each document's tokens in nats, [B].
            tokens: How many they are, [B].
        """
        scored = tokens > 0
        log_likelihood, tokens = log_likelihood[scored].double(), tokens[scored].double()
        self.log_likelihood += log_likelihood.sum()
        self.tokens += tokens.sum()
        self.document_loss -= (log_likelihood / tokens).sum()
        self.documents += scored.sum()

    def compute(self) -> dict[str, Tensor]:
        """Both perplexities; NaN where no token was scored."""
        return {
            "perplexity": (-self.log_likelihood / self.tokens).exp(),
            "perplexity_doc_mean": (self.document_loss / self.documents).exp(),
        }
