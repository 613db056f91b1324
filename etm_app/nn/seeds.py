"""What holds topics to words that a user gave them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from etm_app.nn.topics import Topics

__all__ = ["SeedWords"]

FIRST = 10  # of a topic's words, among which its seed words are to be
MARGIN = 0.2  # nats of relevance that they are to lie above those after them, so that noise does not matter
# Nats a document for each nat of shortfall: as much as the likelihood asks of a word, for with more of it an optimizer
# that divides by the size of gradients, as Adam, would not see the likelihood of these topics.
WEIGHT = 0.1


class SeedWords(nn.Module):
    """A penalty where seed words are not among the first words of their topics by relevance; 0 where they are.

    Added to the loss, which is a mean over documents:

        weight · Σ_s Σ_{v in seed s} max(0, t_s + margin − r_sv)

    r_sv: log beta_sv − (1 − λ) log f_v, the relevance by which words are shown (`TopicModel.word_relevance`). t_s: that
    of the word of no seed that must not come before them: the (11 − m)-th of such words for m seed words, so that all
    m are among ten, and the first one from ten seed words on. Topics without a seed are free.
    """

    def __init__(self) -> None:
        super().__init__()
        # Of S seeds, padded to as many words as the longest has: known when the vocabulary is.
        self.register_buffer("words", torch.zeros(0, 0, dtype=torch.int64), persistent=False)
        self.register_buffer("given", torch.zeros(0, 0, dtype=torch.bool), persistent=False)
        self.words: Tensor
        self.given: Tensor

    def hold(self, seeds: Sequence[Sequence[int]]) -> None:
        """Hold the first S topics to these words, given by their numbers."""
        longest = max(map(len, seeds), default=0)
        padded = [[*words, *[words[0]] * (longest - len(words))] for words in seeds]
        given = [[place < len(words) for place in range(longest)] for words in seeds]
        self.words = torch.tensor(padded, dtype=torch.int64, device=self.words.device)
        self.given = torch.tensor(given, dtype=torch.bool, device=self.given.device)

    def forward(self, topics: Topics, log_frequency: Tensor, relevance: float) -> Tensor:
        """The penalty.

        Args:
            topics: The embeddings.
            log_frequency: Of the words, log of their shares of the training tokens, [V].
            relevance: λ.

        Returns:
            Nats a document, a scalar.
        """
        with torch.autocast(topics.rho.device.type, enabled=False):  # as of the topics themselves
            # Of a topic's words only differences are needed, so beta need not be normalized.
            scores = topics.alpha[: len(self.words)] @ topics.rho.t() - (1 - relevance) * log_frequency
        own = scores.gather(1, self.words)
        others = scores.scatter(1, self.words, -torch.inf)
        before = (FIRST - self.given.sum(dim=1, keepdim=True)).clamp(min=0)  # words of no seed
        best = others.topk(min(FIRST, scores.shape[1])).values
        bound = best.gather(1, before.clamp(max=best.shape[1] - 1))
        shortfall = (bound + MARGIN - own).clamp(min=0).where(self.given, 0)
        return WEIGHT * shortfall.sum()
