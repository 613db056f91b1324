"""The inference network: a document's counts to the posterior of its topic proportions."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from etm_app.data.batch import BowBatch
from etm_app.nn.elbo import Evidence, kl_to_standard_normal, log_likelihood
from etm_app.nn.sparse import matmul, num_tokens

__all__ = ["EVALUATED_SAMPLES", "Activation", "Encoder"]

Activation = Literal["tanh", "softplus", "relu", "rrelu", "leakyrelu", "elu", "selu", "glu"]

# Of a document's posterior, in pairs on both sides of its mean: over the 748 validation documents of 20 Newsgroups the
# bound is then known to a tenth of a nat, and an evaluation takes a few per cent longer than with one at the mean.
EVALUATED_SAMPLES = 4
NOISES = 1_021  # samples of z ~ N(0, I) that evaluated documents share: so many that their errors cancel in a mean

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
    """q(delta | document) = N(mu, diag(exp(logvar))), theta = softmax(delta); NN(x; ν) of the paper, section 5.

    Two hidden layers over the document's counts divided by its length. The first layer's weight is kept
    [V, H], so that a word is a row. The prior of delta is N(0, I).

    Args:
        vocab_size: V.
        num_topics: K.
        hidden_size: H, the width of both hidden layers.
        activation: After each of them. ``glu`` gates one half of its input with the other; the layers
            are twice as wide there, so that H comes out.
        dropout: Probability of dropping a hidden unit, after the second layer.
        vector_size: E, dimensions of embeddings that documents come with, which the first layer sees at length 1
            beside the counts; 0 for none.
    """

    def __init__(
        self,
        vocab_size: int,
        num_topics: int,
        hidden_size: int,
        activation: Activation,
        dropout: float,
        vector_size: int = 0,
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
        self.from_vectors = nn.Linear(vector_size, width, bias=False) if vector_size else None
        noise = torch.randn(NOISES, num_topics, generator=torch.Generator().manual_seed(0))
        self.register_buffer("_noise", noise, persistent=False)
        self._noise: Tensor

    def forward(self, batch: BowBatch, counts: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior of every document.

        Args:
            batch: Documents.
            counts: Values at the batch's non-zeros, [N]: all tokens, or a half of them.

        Returns:
            mu and logvar, [B, K] each. For a document without tokens, those of the prior: 0 and 0.
        """
        tokens = num_tokens(batch, counts)[:, None]
        tokens = tokens.to(torch.promote_types(self.weight.dtype, tokens.dtype))
        x = torch.addcdiv(self.bias, matmul(batch, counts, self.weight), tokens.clamp(min=1))
        if self.from_vectors is not None and batch.vectors is not None:
            x = x + self.from_vectors(F.normalize(batch.vectors.to(self.weight.dtype)))
        x = self.activation(self.hidden(self.activation(x).to(self.hidden.weight.dtype)))
        # To float32 again under autocast: KL and softmax want the bits.
        mu, logvar = (self.posterior(self.dropout(x)).to(tokens.dtype) * (tokens > 0)).chunk(2, -1)
        return mu, logvar

    def theta(self, batch: BowBatch, counts: Tensor, beta_by_word: Tensor) -> Tensor:
        """Topic proportions of documents, [B, K]: as in the paper, softmax of the posterior mean of delta."""
        mu, _ = self(batch, counts)
        theta: Tensor = mu.softmax(-1)
        return theta

    def evidence(self, batch: BowBatch, beta_by_word: Tensor) -> Evidence:
        """The evidence lower bound, with its gradient, from one sample of each document's posterior.

        Args:
            batch: Documents. Empty ones add 0: their likelihood is 1 and their posterior the prior.
            beta_by_word: Words of the topics, a word a row, [V, K].
        """
        mu, logvar = self(batch, batch.counts)
        theta = (mu + torch.randn_like(mu) * (0.5 * logvar).exp()).softmax(-1)
        likelihood = log_likelihood(batch, batch.counts, theta, beta_by_word).sum()
        return Evidence(theta, likelihood, kl_to_standard_normal(mu, logvar))

    def evaluate(self, batch: BowBatch, beta_by_word: Tensor) -> Evidence:
        """The same from `EVALUATED_SAMPLES`; at the mean of theta it would be more, and no bound."""
        mu, logvar = self(batch, batch.counts)
        # A matter of the document's words, so that its noise is the same in any batch and process.
        number = num_tokens(batch, batch.counts.double() * batch.indices).long()
        scale, total = (0.5 * logvar).exp(), mu.new_zeros(())
        for pair in range(EVALUATED_SAMPLES // 2):
            noise = scale * self._noise[(number + pair) % NOISES].to(mu)
            for z in (mu + noise, mu - noise):
                total += log_likelihood(batch, batch.counts, z.softmax(-1), beta_by_word).sum()
        return Evidence(mu.softmax(-1), total / EVALUATED_SAMPLES, kl_to_standard_normal(mu, logvar))
