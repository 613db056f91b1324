"""The evidence lower bound and its parts."""

import torch
from torch import Tensor
from torchmetrics import Metric

__all__ = ["ELBO_DEFINITIONS", "Elbo"]

ELBO_DEFINITIONS = {
    "elbo": "evidence lower bound a document in nats, -(reconstruction_loss + kl); higher is better",
    "reconstruction_loss": "-log p(document | theta, beta) in nats, expected for theta of the posterior, mean over "
    "documents",
    "kl": "KL divergence of the posterior of the topics from their prior in nats, mean over documents",
}


class Elbo(Metric):
    """Means over documents, exact over batches and processes; empty documents do not count: `ELBO_DEFINITIONS`."""

    full_state_update = False

    def __init__(self) -> None:
        super().__init__()
        for name in ("reconstruction_loss", "kl", "documents"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.reconstruction_loss: Tensor
        self.kl: Tensor
        self.documents: Tensor

    def update(self, reconstruction_loss: Tensor, kl: Tensor, num_documents: int) -> None:
        """Add a batch: both parts summed over its documents, and how many of these are not empty."""
        self.reconstruction_loss += reconstruction_loss.detach()
        self.kl += kl.detach()
        self.documents += num_documents

    def compute(self) -> dict[str, Tensor]:
        """The three means; none without documents."""
        if not self.documents:
            return {}
        reconstruction_loss, kl = self.reconstruction_loss / self.documents, self.kl / self.documents
        return {"elbo": -reconstruction_loss - kl, "reconstruction_loss": reconstruction_loss, "kl": kl}
