"""What stands for documents that are no longer there, where training goes on with others."""

from typing import Any

import torch
from torch import Tensor, nn

from etm_app.nn.elbo import MIN_PROBABILITY
from etm_app.nn.processes import total

__all__ = ["Memory"]

BUFFERS = ("counts", "words", "sizes", "topics")


class Memory(nn.Module):
    """The documents that a model was trained on before, by the counts that it expects of them.

    Of D' documents with N' tokens, m_vk is the share of these that are word v from topic k, and π'_k that of the
    documents' topics: sums that are all that a maximization needs to know of documents (Neal, Hinton 1998, "A View of
    the EM Algorithm that Justifies Incremental, Sparse, and Other Variants"). The loss of these and D others together
    is then, as a mean over all:

        D/(D + D') · loss − 1/(D + D') · Σ_k (N' Σ_v m_vk log β_kv + D' π'_k log π_k)

    Words that the model has learned since then were not counted in those documents, so β_k is there conditional on the
    others.

    For those who will go on later, m is counted while training goes: as −β_kv ∂loss/∂β_kv is what a batch expects, for
    any inference, and the documents before are in the loss as well. Batches are forgotten as more of them come, at a
    rate by which each document counts about once (Cappé, Moulines 2009, "Online EM Algorithm for Latent Data Models").
    Topics alone would tell less: what holds them, anchor and seeds, would be taken for documents.

    Attributes:
        counts: Of the training so far, in proportion to m, [V, K].
        words: m, [V', K], of documents before; as are
        sizes: π', [K], and
        topics: Their words, a word a row, as they were then, [V', K].
        num_documents: D', and
        num_tokens: N', known when training goes on.
    """

    counts: Tensor
    words: Tensor
    sizes: Tensor
    topics: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.num_documents = self.num_tokens = 0
        for name in BUFFERS:
            self.register_buffer(name, torch.empty(0))  # until there is something to remember
        self._latest: tuple[Tensor, float] | None = None
        self.register_load_state_dict_pre_hook(_take_shapes)  # type: ignore[no-untyped-call]

    @property
    def placed(self) -> bool:
        """Whether there is something to remember."""
        return self.sizes.numel() > 0

    def place(self, beta_by_word: Tensor, sizes: Tensor) -> None:
        """Remember what was counted; where nothing was, what the topics expect.

        Args:
            beta_by_word: Words of the topics, a word a row, [V, K].
            sizes: Of the topics, on the simplex, [K].
        """
        self.expect(beta_by_word, sizes)
        self.words, self.counts = self.counts / self.counts.sum(), self.counts.new_empty(0)
        self.topics, self.sizes = beta_by_word[: len(self.words)].detach().clone(), sizes.detach().clone()

    def expect(self, beta_by_word: Tensor, sizes: Tensor) -> None:
        """Take what topics expect, as in `place`, for counted where nothing was."""
        self.counts = self.counts.clamp(min=0)  # none is negative, but a checkpoint may be a stranger's
        if not self.counts.any():
            self.counts = beta_by_word.detach() * sizes.detach()

    def forward(
        self, loss: Tensor, num_documents: int, beta_by_word: Tensor, log_sizes: Tensor | None, in_batch: int
    ) -> Tensor:
        """The loss of all documents.

        Args:
            loss: Of the present ones, nats, a mean over them.
            num_documents: D, how many they are.
            beta_by_word: Words of the topics now, [V, K]; the first V' words are those that are remembered.
            log_sizes: Logarithms of the sizes now, [K]; None where they are not learned.
            in_batch: Of how many of the present documents the batch is.

        Returns:
            Nats a document, a scalar; the loss itself where nothing is remembered.
        """
        if beta_by_word.requires_grad:
            beta_by_word.retain_grad()
            # Where of documents before only the number is known, these are a part of all.
            self._latest = beta_by_word, in_batch / (num_documents + (0 if self.placed else self.num_documents))
        if not self.placed or not self.num_documents:
            return loss
        known = beta_by_word[: len(self.words)]
        before = -self.num_tokens * torch.sum(self.words * known.clamp(min=MIN_PROBABILITY).log())
        if len(known) < len(beta_by_word):  # what is left to them, by what is not: so new words are expected there, too
            left = 1 - beta_by_word[len(known) :].sum(0)
            before = before + self.num_tokens * torch.dot(self.words.sum(0), left.clamp(min=MIN_PROBABILITY).log())
        if log_sizes is not None:
            before = before - self.num_documents * torch.dot(self.sizes, log_sizes)
        return (num_documents * loss + before) / (num_documents + self.num_documents)

    @torch.no_grad()
    def count(self, num_processes: int, scale: float | None = None) -> None:
        """Count what the batch expects of which the loss was, once it has gradients.

        Args:
            num_processes: How many have a share of the batch each.
            scale: What the loss was multiplied by for half precision, None for nothing; where that was too much, the
                gradient is not finite, and such a batch is no step of training.
        """
        if self._latest is None or (beta_by_word := self._latest[0]).grad is None:
            return
        if self.counts.shape != beta_by_word.shape:
            self.counts = torch.zeros_like(beta_by_word)
        gradient, share = total(beta_by_word.grad, num_processes), self._latest[1]
        self._latest = None
        if scale is not None:
            gradient = gradient / scale
            if not gradient.isfinite().all():
                return
        if num_processes > 1:
            share = float(total(gradient.new_tensor(share), num_processes))
        share = min(share, 1.0)
        self.counts.mul_(1 - share).addcmul_(beta_by_word, gradient, value=-share)

    def __getstate__(self) -> dict[str, Any]:
        """Without the batch of a step that was broken off, whose graph can't be copied."""
        return {**self.__dict__, "_latest": None}


def _take_shapes(memory: Memory, state_dict: dict[str, Any], prefix: str, *_: object) -> None:
    """Make room for what a checkpoint remembers."""
    for name in BUFFERS:
        if (found := state_dict.get(prefix + name)) is not None:
            setattr(memory, name, torch.empty_like(found, device=getattr(memory, name).device))
