"""The inference network: a document's counts to the posterior of its topic proportions."""

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn

from etm_app.data.batch import BowBatch
from etm_app.nn import sparse

__all__ = ["Activation", "DocumentNorm", "Encoder", "evidence"]

Activation = Literal["tanh", "softplus", "relu", "rrelu", "leakyrelu", "elu", "selu", "glu"]

# Words, added to the expected number of them from a topic: from here down they are none. As a Dirichlet's alpha.
FEWEST = 0.05
# Probability: a word that all topics together give less says nothing of them, and nothing is divided by 0.
NEVER = 1e-20

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "tanh": nn.Tanh,
    "softplus": nn.Softplus,
    "relu": nn.ReLU,
    "rrelu": nn.RReLU,
    "leakyrelu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "glu": nn.GLU,
}


class Encoder(nn.Module):
    """q(z | document) = N(mu, diag(exp(logvar))), z of `nn.prior`; NN(x; ν) of the paper, section 5.

    Two hidden layers over the document's counts divided by its length. The first layer's weight is kept
    [V, H], so that a word is a row. With ``e_step`` their output corrects what the words say of the topics by
    themselves (`evidence`): that holds for documents unlike the training ones, and before the first step.

    Args:
        vocab_size: V.
        num_topics: K.
        hidden_size: H, the width of both hidden layers.
        activation: After each of them. ``glu`` gates one half of its input with the other; the layers
            are twice as wide there, so that H comes out.
        dropout: Probability of dropping a hidden unit, after the second layer.
        normalize: Whether every topic's mu is normalized over the documents.
        e_step: Whether mu and logvar also are a linear function of the evidence, mu equal to it at the start.
    """

    def __init__(
        self,
        vocab_size: int,
        num_topics: int,
        hidden_size: int,
        activation: Activation,
        dropout: float,
        normalize: bool = False,
        e_step: bool = False,
    ) -> None:
        super().__init__()
        width = 2 * hidden_size if activation == "glu" else hidden_size
        bound = vocab_size**-0.5  # as nn.Linear(V, H) starts
        self.weight = nn.Parameter(torch.empty(vocab_size, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(width).uniform_(-bound, bound))
        self.activation = _ACTIVATIONS[activation]()
        self.hidden = nn.Linear(hidden_size, width)
        self.dropout = nn.Dropout(dropout)
        self.posterior = nn.Linear(hidden_size, 2 * num_topics)  # mu and logvar in one product
        self.from_evidence = nn.Linear(num_topics, 2 * num_topics, bias=False) if e_step else None
        if self.from_evidence is not None:
            nn.init.eye_(self.from_evidence.weight)
        self.norm = DocumentNorm(num_topics) if normalize else None

    def forward(self, batch: BowBatch, counts: Tensor, beta_by_word: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior of every document.

        Args:
            batch: Documents.
            counts: Values at the batch's non-zeros, [N]: all tokens, or a half of them.
            beta_by_word: Words of the topics, a word a row, [V, K], for the evidence; no gradient flows into them.

        Returns:
            mu and logvar, [B, K] each. For a document without tokens, those of the prior: 0 and 0.
        """
        mu, logvar, known = self._unnormalized(batch, counts, beta_by_word)
        if self.norm is not None:
            mu = self.norm(mu, known)
        return mu * known, logvar * known

    def _unnormalized(self, batch: BowBatch, counts: Tensor, beta_by_word: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """mu, logvar [B, K] and 1 for documents with tokens, 0 for those without, [B, 1]."""
        tokens = sparse.num_tokens(batch, counts)[:, None]
        tokens = tokens.to(torch.promote_types(self.weight.dtype, tokens.dtype))
        x = torch.addcdiv(self.bias, sparse.matmul(batch, counts, self.weight), tokens.clamp(min=1))
        x = self.activation(self.hidden(self.activation(x).to(self.hidden.weight.dtype)))
        # To float32 again under autocast: KL and softmax want the bits.
        posterior = self.posterior(self.dropout(x)).to(tokens.dtype)
        if self.from_evidence is not None:
            with torch.autocast(counts.device.type, enabled=False):
                seen = evidence(batch, counts, beta_by_word).to(self.from_evidence.weight.dtype)
                posterior = posterior + self.from_evidence(seen)
        mu, logvar = posterior.chunk(2, -1)
        return mu, logvar, (tokens > 0).to(tokens.dtype)

    def measure(self, batches: Iterable[BowBatch], beta_by_word: Tensor) -> None:
        """Fix the statistics of the normalization to those of these documents, however they are batched.

        Args:
            batches: Documents.
            beta_by_word: Words of the topics, a word a row, [V, K].
        """
        if self.norm is None:
            return
        was_training = self.training
        self.eval()
        moments = torch.zeros(2, self.norm.mean.numel(), dtype=torch.float64, device=self.weight.device)
        num_documents = torch.zeros((), dtype=torch.float64, device=self.weight.device)
        with torch.no_grad():
            for batch in batches:
                mu, _, known = self._unnormalized(batch, batch.counts, beta_by_word)
                mu = mu.double() * known
                moments += torch.stack((mu.sum(0), mu.square().sum(0)))
                num_documents += known.sum()
        mean, square = moments / num_documents.clamp(min=1)
        self.norm.mean.copy_(mean)
        self.norm.variance.copy_((square - mean.square()).clamp(min=0))
        self.train(was_training)


class DocumentNorm(nn.Module):
    """Normalizes each topic's mu to mean 0 and variance 1 over documents, so that no topic goes out of use.

    Batch normalization without scale and shift (Zhu et al. 2020, "A Batch Normalized Inference Network Keeps the KL
    Vanishing Away"): by the batch's statistics in training, by those of the training documents otherwise
    (`Encoder.measure`). Until these are measured, a running average stands in.
    """

    EPSILON = 1e-5  # added to the variance, as in batch normalization: a topic alike in all documents divides by no 0
    MOMENTUM = 0.1  # share of the newest batch in the running average, as in torch's batch normalization

    def __init__(self, num_topics: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(num_topics))
        self.register_buffer("variance", torch.ones(num_topics))
        self.mean: Tensor
        self.variance: Tensor

    def forward(self, mu: Tensor, known: Tensor) -> Tensor:
        """Normalize mu [B, K]; known [B, 1] is 0 for documents without words, which do not count."""
        mean, variance = self.mean, self.variance
        if self.training:
            num_documents = known.sum()
            mean = (mu * known).sum(0) / num_documents.clamp(min=1)
            variance = ((mu - mean) * known).square().sum(0) / num_documents.clamp(min=1)
            with torch.no_grad():
                self.mean.lerp_(mean.to(self.mean.dtype), self.MOMENTUM)
                self.variance.lerp_(variance.to(self.variance.dtype), self.MOMENTUM)
        return (mu - mean) * (variance + self.EPSILON).rsqrt()


def evidence(batch: BowBatch, counts: Tensor, beta_by_word: Tensor) -> Tensor:
    """What a document's words say of its topics: log of the expected number of them from each, all as likely before.

    One expectation step of latent Dirichlet allocation (Blei, Ng, Jordan 2003, eq. 6) from equal proportions:
    a word v comes from topic k with probability beta_kv / Σ_j beta_jv.

    Args:
        batch: Documents.
        counts: Values at the batch's non-zeros, [N].
        beta_by_word: Words of the topics, a word a row, [V, K].

    Returns:
        log(`FEWEST` + expected number), [B, K].
    """
    with torch.no_grad():
        shares = beta_by_word / beta_by_word.sum(1, keepdim=True).clamp(min=NEVER)
        return (FEWEST + sparse.matmul(batch, counts, shares)).log()
