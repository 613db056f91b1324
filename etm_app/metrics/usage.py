"""How much each topic is used, to see a collapse: topics that nobody uses, or that are all one."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

__all__ = ["USAGE_DEFINITIONS", "TopicUsage", "active_topics", "duplicate_topics"]

ACTIVE_SHARE = 0.1  # of what a topic would have if all were alike
DUPLICATE_WORDS = 8  # of the 10 top words

USAGE_DEFINITIONS = {
    "active_topics": f"topics with at least {ACTIVE_SHARE} / K of the documents' mean theta",
    "largest_topic_share": "share of the largest topic in the documents' mean theta",
    "duplicate_topics": f"pairs of topics that share {DUPLICATE_WORDS} or more of their 10 top words",
}


class TopicUsage(Metric):
    """Mean theta and mean KL divergence of each topic over documents that are not empty.

    Args:
        num_topics: K.
    """

    full_state_update = False

    def __init__(self, num_topics: int) -> None:
        super().__init__()
        for name in ("share", "kl"):
            self.add_state(name, torch.zeros(num_topics, dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("documents", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.share: Tensor
        self.kl: Tensor
        self.documents: Tensor

    def update(self, theta: Tensor, kl: Tensor, known: Tensor) -> None:
        """Add documents.

        Args:
            theta: Proportions, [B, K].
            kl: Divergence from the prior in nats, [B, K].
            known: Which of them have words, [B].
        """
        self.share += theta[known].sum(0)
        self.kl += kl[known].sum(0)
        self.documents += known.sum()

    def compute(self) -> dict[str, Tensor]:
        """The means, ``share`` and ``kl``, [K] each, or a scalar of a single topic; none without documents."""
        return {"share": self.share / self.documents, "kl": self.kl / self.documents} if self.documents else {}


def active_topics(share: Tensor) -> int:
    """How many topics are used, from their shares [K]: `USAGE_DEFINITIONS`."""
    return int((share >= ACTIVE_SHARE / share.numel()).sum())


def duplicate_topics(top_words: NDArray[np.int64]) -> int:
    """Pairs of topics that are nearly the same: `USAGE_DEFINITIONS`.

    Args:
        top_words: The topics' words, most probable first, [K, n]; the first 10 are taken.
    """
    words = [set(row[:10].tolist()) for row in top_words]
    return sum(len(words[one] & words[other]) >= DUPLICATE_WORDS for one in range(len(words)) for other in range(one))
