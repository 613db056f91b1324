"""The prior of a document's topic proportions, and the means that are taken over it."""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["Prior", "PriorKind"]

PriorKind = Literal["normal", "dirichlet"]

# Samples of a posterior that its mean is taken over, in pairs on both sides of mu, whose errors cancel to first order.
POSTERIOR_SAMPLES = 32
PRIOR_SAMPLES = 4_000  # of the prior, at least, for its mean; once a batch with an empty document, so cheap enough


class Prior(nn.Module):
    """p(theta): theta = softmax(delta), delta = mean + scale · g(z), z ~ N(0, I) of K dimensions.

    ``normal``: g(z) = z, with mean 0 and scale 1 the logistic normal of the paper. ``dirichlet``: g(z) = log Φ(z), Φ
    the normal distribution function. exp(delta) are then Beta(c, 1) variables, c = 1 / scale, times exp(mean), and
    with mean 0 theta is Dirichlet(c, …, c) in the limit of small c. The posterior of a document is that of its z,
    N(mu, diag(exp(logvar))), so its divergence from the prior is the same for both.

    Args:
        num_topics: K.
        kind: Which g.
        learned: Whether mean and scale are.
    """

    def __init__(self, num_topics: int, kind: PriorKind, learned: bool) -> None:
        super().__init__()
        self.kind = kind
        self.mean = nn.Parameter(torch.zeros(num_topics), learned)
        # A Dirichlet starts with parameters that sum to 2: about as many topics in a document.
        scale = num_topics / 2 if kind == "dirichlet" else 1.0
        self.log_scale = nn.Parameter(torch.tensor(scale).log(), learned)
        points = torch.randn(POSTERIOR_SAMPLES // 2, num_topics, generator=torch.Generator().manual_seed(0))
        self.register_buffer("_points", torch.cat((points, -points)), persistent=False)
        self._points: Tensor

    def theta(self, z: Tensor) -> Tensor:
        """Proportions of samples z [..., K], on the simplex."""
        transformed = torch.special.log_ndtr(z) if self.kind == "dirichlet" else z
        theta: Tensor = (self.mean + self.log_scale.exp() * transformed).softmax(-1)
        return theta

    def posterior_theta(self, mu: Tensor, logvar: Tensor) -> Tensor:
        """Proportions of documents by their posteriors.

        Args:
            mu: Of z, [B, K].
            logvar: Of z, [B, K].

        Returns:
            [B, K]: with ``dirichlet`` the posterior mean of theta; with ``normal``, as in the paper, softmax of the
            posterior mean of delta, which is another.
        """
        if self.kind == "normal":
            return self.theta(mu)
        theta = torch.zeros_like(mu)
        for sample in self._samples(mu, logvar):
            theta += sample
        return theta / len(self._points)

    def _samples(self, mu: Tensor, logvar: Tensor) -> Iterator[Tensor]:
        scale = (0.5 * logvar).exp()
        for point in self._points.unbind():
            yield self.theta(mu + scale * point)

    def mean_theta(self) -> Tensor:
        """Proportions of a document of which nothing is known, [K]: `posterior_theta` of the prior itself.

        With ``dirichlet`` their mean under the prior, with ``normal`` softmax of delta's.
        """
        if self.kind == "normal":  # no less than float32, as posteriors have, whatever the weights are kept in
            return self.mean.softmax(-1, dtype=torch.promote_types(self.mean.dtype, torch.float32))
        num_topics = len(self.mean)
        points = torch.randn(-(-PRIOR_SAMPLES // num_topics), num_topics, generator=torch.Generator().manual_seed(0))
        # Each one turned round all topics, so that they are alike where the prior's mean is 0.
        turned = torch.cat([points.roll(topic, 1) for topic in range(num_topics)])
        return self.theta(turned.to(self.mean.device)).mean(0)
