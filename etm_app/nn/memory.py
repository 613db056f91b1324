"""What stands for documents that are no longer there, where training goes on with others."""

from typing import Any

import torch
from torch import Tensor, nn

from etm_app.nn.elbo import MIN_PROBABILITY

__all__ = ["Memory"]

BUFFERS = ("beta_by_word", "sizes")


class Memory(nn.Module):
    """The documents that a model was trained on before, by the counts that it expects of them.

    Of D' documents with N' tokens, topics β' and their sizes π' expect N' π'_k β'_kv tokens of word v from topic k, and
    D' π'_k documents of it: sums that are all that a maximization needs to know of documents (Neal, Hinton 1998, "A
    View of the EM Algorithm that Justifies Incremental, Sparse, and Other Variants"). The loss of these and D others
    together is then, as a mean over all:

        D/(D + D') · loss − 1/(D + D') · Σ_k π'_k (N' Σ_v β'_kv log β_kv + D' log π_k)

    Words that the model has learned since then were not counted in those documents, so β_k is there conditional on the
    others.
    """

    def __init__(self) -> None:
        super().__init__()
        self.num_documents = self.num_tokens = 0  # D' and N', known when training goes on
        for name in BUFFERS:
            self.register_buffer(name, torch.empty(0))  # until there is something to remember
        self.beta_by_word: Tensor
        self.sizes: Tensor
        self.register_load_state_dict_pre_hook(_take_shapes)  # type: ignore[no-untyped-call]

    @property
    def placed(self) -> bool:
        """Whether there is something to remember."""
        return self.sizes.numel() > 0

    def place(self, beta_by_word: Tensor, sizes: Tensor) -> None:
        """Remember these.

        Args:
            beta_by_word: Words of the topics, a word a row, [V, K].
            sizes: Of the topics, on the simplex, [K].
        """
        self.beta_by_word, self.sizes = beta_by_word.detach().clone(), sizes.detach().clone()

    def forward(self, loss: Tensor, num_documents: int, beta_by_word: Tensor, log_sizes: Tensor | None) -> Tensor:
        """The loss of all documents.

        Args:
            loss: Of the present ones, nats, a mean over them.
            num_documents: D, how many they are.
            beta_by_word: Words of the topics now, [V, K]; the first V' words are those that are remembered.
            log_sizes: Logarithms of the sizes now, [K]; None where they are not learned.

        Returns:
            Nats a document, a scalar; the loss itself where nothing is remembered.
        """
        if not self.placed or not self.num_documents:
            return loss
        known = beta_by_word[: len(self.beta_by_word)]
        expected = (self.beta_by_word * known.clamp(min=MIN_PROBABILITY).log()).sum(0)
        if len(known) < len(beta_by_word):
            expected = expected - known.sum(0).log()
        before = -self.num_tokens * torch.dot(self.sizes, expected)
        if log_sizes is not None:
            before = before - self.num_documents * torch.dot(self.sizes, log_sizes)
        return (num_documents * loss + before) / (num_documents + self.num_documents)


def _take_shapes(memory: Memory, state_dict: dict[str, Any], prefix: str, *_: object) -> None:
    """Make room for what a checkpoint remembers."""
    for name in BUFFERS:
        if (found := state_dict.get(prefix + name)) is not None:
            setattr(memory, name, torch.empty_like(found, device=getattr(memory, name).device))
