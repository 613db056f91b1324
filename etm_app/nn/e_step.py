"""The topics of a document without a network: expectation steps, anew for every document."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from etm_app.data.batch import BowBatch
from etm_app.nn.elbo import MIN_PROBABILITY, Evidence, kl_between_dirichlets
from etm_app.nn.sparse import dots, matmul, num_tokens, sum_documents, sum_words

__all__ = ["EStep"]

PRIOR_TOKENS = 1.0  # what the prior of theta weighs: as much as one word of the document
START_TOKENS = 20.0  # words of a document that its topics start from, as if it had no more
ROUNDS = 7  # of expectation steps with several topics, the last of which leaves each word's own share out
IMPROBABLE = 1e-15  # words of which no more is expected keep their own share
MIN_REMAINDER = 100.0  # rounding errors: what the others leave of a word's probability is not less


class EStep(nn.Module):
    """Topics of documents by expectation steps: one topic each, or several.

    One topic: p(document) = Σ_k π_k Π_v β_kv^n_v. All words are of one topic, of which there are K to try, so
    likelihood and posterior are exact (Nigam et al. 2000, "Text Classification from Labeled and Unlabeled Documents
    using EM"):

        θ_k ∝ π_k Π_v β_kv^n_v

    Several: each word is of a topic of its own, from θ ~ Dirichlet(a), a = π in units of `PRIOR_TOKENS`. From the
    posterior above, of no more than `START_TOKENS`, there are `ROUNDS` steps as of latent Dirichlet allocation. In the
    last one a word is explained by the others alone, as in collapsed inference (Asuncion et al. 2009, "On Smoothing
    and Inference for Topic Models", CVB0), for its own share would confirm itself:

        θ_k ∝ n_k + a_k,  n_k = Σ_v n_v q_vk,  q_vk ∝ θ_k β_kv,  at last q_vk ∝ (n_k + a_k − q_vk) β_kv

    The maximization is left to the optimizer: the gradient of Σ_v n_v q_vk log β_kv + θ_k log π_k, in which q and θ are
    constants. With one topic that is the gradient of the likelihood.

    Where documents come with embeddings e, each has its own π: log π_k = size_k + w_k · e / ‖e‖ but for a constant.

    Args:
        num_topics: K.
        several: Whether a document has several topics.
        vector_size: E, dimensions of the documents' embeddings; 0 for none.
    """

    def __init__(self, num_topics: int, several: bool = False, vector_size: int = 0) -> None:
        super().__init__()
        self.several = several
        self.size = nn.Parameter(torch.zeros(num_topics))  # of the topics: log π but for a constant
        self.from_vectors = nn.Parameter(torch.zeros(num_topics, vector_size)) if vector_size else None

    def log_prior(self, vectors: Tensor | None = None) -> Tensor:
        """The logarithms of π: [K], or [B, K] with embeddings of documents [B, E]."""
        size: Tensor = self.size
        if self.from_vectors is not None and vectors is not None:
            size = size + F.normalize(vectors.to(size.dtype)) @ self.from_vectors.t()
        return size.log_softmax(-1, dtype=torch.promote_types(size.dtype, torch.float32))

    @torch.no_grad()
    def theta(self, batch: BowBatch, counts: Tensor, beta_by_word: Tensor) -> Tensor:
        """Topic proportions of documents: how likely each topic is the one, or the mean of their posterior.

        Args:
            batch: Where the non-zeros are.
            counts: Their values, [N]: all tokens, or a half of them.
            beta_by_word: Words of the topics, a word a row, [V, K].

        Returns:
            [B, K]; π for a document without tokens.
        """
        log_prior = self.log_prior(batch.vectors)
        joint = _log_joint(batch, counts, beta_by_word, log_prior)
        return _rounds(batch, counts, beta_by_word, joint, log_prior)[0] if self.several else joint.softmax(-1)

    def evaluate(self, batch: BowBatch, beta_by_word: Tensor) -> Evidence:
        """The evidence lower bound of whole documents; with one topic it is the log-likelihood itself.

        Args:
            batch: Documents.
            beta_by_word: Words of the topics, a word a row, [V, K].
        """
        return self._infer(batch, beta_by_word, self.log_prior(batch.vectors))[0]

    def evidence(self, batch: BowBatch, beta_by_word: Tensor) -> Evidence:
        """The same as `evaluate`, with the gradient of the maximization."""
        log_prior = self.log_prior(batch.vectors)
        beta, prior = beta_by_word.detach(), log_prior.detach()
        (theta, log_likelihood, kl), ratio = self._infer(batch, beta, prior, with_gradients=True)
        # What is added is 0, and its gradient the one that is wanted.
        added = (ratio * (beta_by_word - beta)).sum() + (theta * (log_prior - prior)).sum()
        return Evidence(theta, log_likelihood + added, kl)

    @torch.no_grad()
    def _infer(
        self, batch: BowBatch, beta: Tensor, log_prior: Tensor, with_gradients: bool = False
    ) -> tuple[Evidence, Tensor]:
        """What is known of whole documents, and the expected counts of words from topics over beta, [V, K]."""
        joint = _log_joint(batch, batch.counts, beta, log_prior)
        if self.several:
            theta, ratio = _rounds(batch, batch.counts, beta, joint, log_prior, with_gradients)
            total = (num_tokens(batch, batch.counts).to(theta) + PRIOR_TOKENS)[:, None]
            posterior = theta * total
            # With q(theta) = Dirichlet(posterior) and the best q of the words' topics then: Blei et al. 2003, eq. 6.
            strength = (posterior.digamma() - total.digamma()).exp()
            probability = dots(batch, strength, beta).clamp(min=MIN_PROBABILITY)
            log_likelihood = torch.dot(batch.counts.to(probability), probability.log())
            kl = kl_between_dirichlets(posterior, PRIOR_TOKENS * _at_least(log_prior.exp()))
        else:
            theta = joint.softmax(-1)
            ratio = sum_documents(batch, batch.counts, theta) / _at_least(beta) if with_gradients else beta
            # Of r and π: r log(r / π) − r + π, of which none is negative; the sum over topics is the divergence.
            kl = torch.special.xlogy(theta, theta) - theta * (log_prior + 1) + log_prior.exp()
            log_likelihood = joint.logsumexp(-1).sum() + kl.sum()
        return Evidence(theta, log_likelihood, kl), ratio


def _log_joint(batch: BowBatch, counts: Tensor, beta: Tensor, log_prior: Tensor) -> Tensor:
    """Logarithms of p(document, topic) if it has one, [B, K]: their logsumexp is that of p(document)."""
    return log_prior + matmul(batch, counts, _at_least(beta).log())


def _rounds(
    batch: BowBatch, counts: Tensor, beta: Tensor, joint: Tensor, log_prior: Tensor, with_gradients: bool = False
) -> tuple[Tensor, Tensor]:
    """Theta with several topics, and expected counts over beta as `EStep._infer`; no array here is [N, K]."""
    tokens = num_tokens(batch, counts).to(joint)[:, None]
    prior, total = PRIOR_TOKENS * _at_least(log_prior.exp()), tokens + PRIOR_TOKENS
    theta = (log_prior + (joint - log_prior) * (START_TOKENS / tokens).clamp(max=1)).softmax(-1)
    for _ in range(ROUNDS - 1):
        theta = (theta * sum_words(batch, counts / _at_least(dots(batch, theta, beta)), beta) + prior) / total
    # A word's own share q_vk is theta_k beta_vk / p: what the others leave is Σ_k (n_k + a_k) beta_vk less that.
    squares, probability = beta.square(), _at_least(dots(batch, theta, beta))
    known = theta * sum_words(batch, counts / probability, beta) + prior
    with_own = dots(batch, known, beta)
    # Where others leave so little, the difference is one of rounding errors: such a word then counts for less.
    least = MIN_REMAINDER * torch.finfo(with_own.dtype).eps * with_own
    # Squares of what is so improbable, and numbers over them, are beyond float32: such a word keeps its own share.
    inverse = probability.reciprocal().where(probability > IMPROBABLE, 0)
    weights = counts / _at_least((with_own - dots(batch, theta, squares) * inverse).maximum(least))
    own = weights * inverse
    expected = known * sum_words(batch, weights, beta) - theta * sum_words(batch, own, squares)
    ratio = beta
    if with_gradients:
        ratio = (sum_documents(batch, weights, known) - beta * sum_documents(batch, own, theta)).clamp(min=0)
    theta = expected.clamp(min=0) + prior
    return theta / theta.sum(-1, keepdim=True), ratio


def _at_least(probability: Tensor) -> Tensor:
    return probability.clamp(min=MIN_PROBABILITY)
