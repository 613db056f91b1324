"""One topic a document: the posterior over all K of them, by enumeration."""

import torch
from torch import Tensor, nn

from etm_app.data.batch import BowBatch
from etm_app.nn import sparse
from etm_app.nn.elbo import MIN_PROBABILITY

__all__ = ["Mixture"]


class Mixture(nn.Module):
    """p(document) = Σ_k π_k Π_v β_kv^n_v: every word of a document is of its one topic, which is not known.

    Which topic it is has K answers only, so that likelihood and posterior are exact: nothing is inferred by a network,
    and nothing is drawn. Nigam et al. 2000, "Text Classification from Labeled and Unlabeled Documents using EM".

    Args:
        num_topics: K.
    """

    def __init__(self, num_topics: int) -> None:
        super().__init__()
        self.size = nn.Parameter(torch.zeros(num_topics))  # of the topics: log π but for a constant

    def log_prior(self) -> Tensor:
        """The logarithms of π, [K]."""
        return self.size.log_softmax(-1, dtype=torch.promote_types(self.size.dtype, torch.float32))

    def log_joint(self, batch: BowBatch, counts: Tensor, beta_by_word: Tensor) -> Tensor:
        """Logarithms of p(document, topic): its logsumexp is the log-likelihood, its softmax the posterior.

        Args:
            batch: Where the non-zeros are.
            counts: Their values, [N]: all tokens, or a half of them.
            beta_by_word: Words of the topics, a word a row, [V, K].

        Returns:
            Nats, [B, K]; log π for a document without tokens.
        """
        log_beta = beta_by_word.clamp(min=MIN_PROBABILITY).log()
        return self.log_prior() + sparse.matmul(batch, counts, log_beta)

    def kl(self, posterior: Tensor) -> Tensor:
        """KL(posterior ‖ π) by topic: r log(r / π) − r + π, of which none is negative, and the sum is the divergence.

        Args:
            posterior: Of the topics of documents, r [B, K].

        Returns:
            Nats, [B, K].
        """
        log_prior = self.log_prior()
        kl: Tensor = torch.special.xlogy(posterior, posterior) - posterior * (log_prior + 1) + log_prior.exp()
        return kl
