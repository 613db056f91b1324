"""The inference network: a document's counts to the posterior of its topic proportions."""

from typing import Literal

import torch
from torch import Tensor, nn

from etm_app.data.batch import BowBatch
from etm_app.nn import sparse

__all__ = ["Activation", "Encoder", "kl_to_standard_normal"]

Activation = Literal["tanh", "softplus", "relu", "rrelu", "leakyrelu", "elu", "selu", "glu"]

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
    """q(delta | document) = N(mu, diag(exp(logvar))), with theta = softmax(delta); NN(x; ν) of the paper, section 5.

    Two hidden layers over the document's counts divided by its length. The first layer's weight is kept
    [V, H], so that a word is a row.

    Args:
        vocab_size: V.
        num_topics: K.
        hidden_size: H, the width of both hidden layers.
        activation: After each of them. ``glu`` gates one half of its input with the other; the layers
            are twice as wide there, so that H comes out.
        dropout: Probability of dropping a hidden unit, after the second layer.
    """

    def __init__(
        self, vocab_size: int, num_topics: int, hidden_size: int, activation: Activation, dropout: float
    ) -> None:
        super().__init__()
        width = 2 * hidden_size if activation == "glu" else hidden_size
        bound = vocab_size**-0.5  # as nn.Linear(V, H) starts
        self.weight = nn.Parameter(torch.empty(vocab_size, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(width).uniform_(-bound, bound))
        self.activation = _ACTIVATIONS[activation]()
        self.hidden = nn.Linear(hidden_size, width)
        self.dropout = nn.Dropout(dropout)
        self.mu = nn.Linear(hidden_size, num_topics)
        self.logvar = nn.Linear(hidden_size, num_topics)

    def forward(self, batch: BowBatch, counts: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior of every document.

        Args:
            batch: Documents.
            counts: Values at the batch's non-zeros, [N]: all tokens, or a half of them.

        Returns:
            mu and logvar, [B, K] each. For a document without tokens, those of the prior: 0 and 0.
        """
        tokens = sparse.num_tokens(batch, counts)[:, None].to(self.weight.dtype)
        x = sparse.matmul(batch, counts, self.weight) / tokens.clamp(min=1) + self.bias
        x = self.activation(self.hidden(self.activation(x)))
        x = self.dropout(x)
        known = (tokens > 0).to(tokens.dtype)  # float32 brings bfloat16 outputs back: KL and softmax want the bits
        return self.mu(x) * known, self.logvar(x) * known


def kl_to_standard_normal(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, diag(exp(logvar))) ‖ N(0, I)) = ½ Σ_k (exp(logvar) + mu² − 1 − logvar); Kingma and Welling 2014, B.

    Args:
        mu: [B, K].
        logvar: [B, K].

    Returns:
        Nats, [B].
    """
    return 0.5 * (logvar.exp() + mu.square() - 1 - logvar).sum(dim=-1)
