"""The evidence lower bound and its parts."""

import torch
from torch import Tensor
from torchmetrics import Metric

__all__ = ["ELBO_DEFINITIONS", "EVALUATED_SAMPLES", "Elbo"]

# Of a document's posterior, in pairs on both sides of its mean: over the 748 validation documents of 20 Newsgroups the
# bound is then known to a tenth of a nat, and an evaluation takes a few per cent longer than with one at the mean.
EVALUATED_SAMPLES = 4

ELBO_DEFINITIONS = {
    "elbo": "evidence lower bound a document in nats, -(reconstruction_loss + kl); higher is better",
    "reconstruction_loss": "-log p(document | theta, beta) in nats, expected for theta of the posterior, mean over "
    f"documents; from one sample a document in training, otherwise from {EVALUATED_SAMPLES}, the same every time; with "
    "inference: mixture exact, and elbo is the log-likelihood itself",
    "kl": "KL divergence of the posterior of delta from its prior in nats, mean over documents; with inference: "
    "mixture that of the document's topic",
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
