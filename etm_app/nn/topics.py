"""Topics as points in the space of the words."""

import torch
from torch import Tensor, nn

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

    @torch.no_grad()
    def place(self, rho: Tensor, alpha: Tensor) -> None:
        """Start from these embeddings: rho [V, L], alpha [K, L]."""
        self.rho.copy_(rho)
        self.alpha.copy_(alpha)

    def forward(self) -> Tensor:
        """The topics by word: beta, a word a row as the sums over documents want it, [V, K], columns on the simplex."""
        # In float32 under autocast too: the softmax runs over the whole vocabulary.
        with torch.autocast(self.rho.device.type, enabled=False):
            return (self.alpha @ self.rho.t()).softmax(dim=-1, dtype=self._softmax_type).t().contiguous()

    @property
    def _softmax_type(self) -> torch.dtype:
        return torch.promote_types(self.rho.dtype, torch.float32)
