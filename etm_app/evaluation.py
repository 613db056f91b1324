"""How a model infers and is evaluated: its parts, the steps of validate, test and predict, and what they log."""

from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor
from torchmetrics import Metric

from etm_app.data.batch import BowBatch, as_batch
from etm_app.data.document_vectors import check_vector_size
from etm_app.metrics.elbo import EVALUATED_SAMPLES, Elbo
from etm_app.metrics.perplexity import Perplexity
from etm_app.metrics.usage import TopicUsage
from etm_app.nn import sparse
from etm_app.nn.elbo import kl_to_standard_normal, log_likelihood
from etm_app.nn.encoder import Encoder
from etm_app.nn.mixture import Mixture
from etm_app.nn.prior import Prior
from etm_app.topic_model import Inference, TopicModel

__all__ = ["EvaluatedModel"]

NOISES = 1_021  # samples of z ~ N(0, I) that evaluated documents share: so many that their errors cancel in a mean


class EvaluatedModel(TopicModel, LightningModule):
    """A topic model that Lightning evaluates: evidence lower bound, document completion, use of the topics.

    Args:
        num_topics: K.
        document_embeddings_size: E, dimensions of the embeddings that documents come with; 0 for none.
    """

    def __init__(self, num_topics: int, document_embeddings_size: int) -> None:
        super().__init__()
        self.document_embeddings_size = document_embeddings_size
        self.elbo = Elbo()
        self.perplexity = Perplexity()
        self.usage = TopicUsage(num_topics)
        self._beta_by_word: Tensor | None = None  # during an evaluation
        self._noise = torch.empty(0)  # of an evaluation, [NOISES, K]

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> BowBatch:
        """Turn dense counts [B, V] of a user's own LightningDataModule into a BowBatch.

        Raises:
            UserError: It has no document embeddings where the model takes some, or others than the model takes.
        """
        made = as_batch(batch, self.vocab_size, training=bool(self.trainer.training))
        check_vector_size(self.document_embeddings_size, 0 if made.vectors is None else made.vectors.shape[1])
        return made

    def on_validation_epoch_start(self) -> None:
        """Compute beta once for the whole evaluation, and the noise, which is the same in every one of them."""
        generator = torch.Generator().manual_seed(0)
        self._noise = torch.randn(NOISES, len(self.alpha), generator=generator).to(self.device)
        self._beta_by_word = self.topics()
        self.usage.reset()

    on_test_epoch_start = on_predict_epoch_start = on_validation_epoch_start

    def validation_step(self, batch: BowBatch, batch_idx: int) -> None:
        """ELBO and document completion of a batch."""
        self._evaluate(batch)

    def test_step(self, batch: BowBatch, batch_idx: int) -> None:
        """ELBO and document completion of a batch."""
        self._evaluate(batch)

    def _evaluate(self, batch: BowBatch) -> None:
        beta_by_word, first = self._beta_by_word, batch.first_half
        assert beta_by_word is not None
        if first is None:
            raise RuntimeError("this batch was made without the halves that document completion needs")
        if self.mixture is not None:
            joint = self.mixture.log_joint(batch, batch.counts, beta_by_word)
            theta = joint.softmax(-1)
            kl = self.mixture.kl(theta)
            likelihood = joint.logsumexp(-1) + kl.sum(-1)
        else:
            mu, logvar = self.encoder(batch, batch.counts, beta_by_word)
            theta = self.prior.posterior_theta(mu, logvar)
            kl = kl_to_standard_normal(mu, logvar)
            likelihood = self._expected_log_likelihood(batch, mu, logvar, beta_by_word)
        self.elbo.update(-likelihood.sum(), kl.sum(), batch.num_nonempty)
        self.usage.update(theta, kl, batch.indptr.diff() > 0)
        theta = self.posterior_theta(batch, first, beta_by_word)
        second = batch.counts - first
        known = sparse.num_tokens(batch, first) > 0
        tokens = sparse.num_tokens(batch, second) * known
        self.perplexity.update(log_likelihood(batch, second, theta, beta_by_word), tokens)

    def _expected_log_likelihood(self, batch: BowBatch, mu: Tensor, logvar: Tensor, beta_by_word: Tensor) -> Tensor:
        """E_q[log p(document | theta, beta)], [B]; at the mean of theta it would be more, and the ELBO no bound."""
        # A matter of the document's words, so that its noise is the same in any batch and process.
        number = sparse.num_tokens(batch, batch.counts.double() * batch.indices).long()
        scale, total = (0.5 * logvar).exp(), torch.zeros_like(mu[:, 0])
        for pair in range(EVALUATED_SAMPLES // 2):
            noise = scale * self._noise[(number + pair) % NOISES].to(mu)
            for z in (mu + noise, mu - noise):
                total += log_likelihood(batch, batch.counts, self.prior.theta(z), beta_by_word)
        return total / EVALUATED_SAMPLES

    def on_validation_epoch_end(self) -> None:
        """Log what was measured."""
        self._log_evaluation("val")

    def on_test_epoch_end(self) -> None:
        """Log what was measured."""
        self._log_evaluation("test")

    def _log_evaluation(self, stage: str) -> None:
        self._beta_by_word = None
        self.log_metric(self.elbo, stage)
        self.log_metric(self.perplexity, stage, shown="perplexity")

    def log_metric(self, metric: Metric, stage: str, shown: str = "") -> None:
        """Log a metric's values, already reduced over processes, and start it anew."""
        for name, value in metric.compute().items():
            self.log(f"{stage}_{name}", value.float(), prog_bar=name == shown, sync_dist=True)
        metric.reset()

    def predict_step(self, batch: BowBatch, batch_idx: int) -> tuple[Tensor, Tensor]:
        """Topic proportions of a batch: theta [B, K] and which documents have words, [B]."""
        assert self._beta_by_word is not None
        return self.theta_of_batch(batch, self._beta_by_word), batch.indptr.diff() > 0

    def infer_by(self, inference: Inference) -> None:
        """Have the parts that this inference needs, and no others; ``auto`` has the encoder's until data choose."""
        has_parts = hasattr(self, "mixture")
        self.inference = self.hparams["inference"] = inference
        if has_parts and (inference == "mixture") == (self.mixture is not None):
            return
        of: Any = self.hparams
        mixture = encoder = prior = None
        if inference == "mixture":
            mixture = Mixture(of.num_topics)
        else:
            prior = Prior(of.num_topics, of.prior, of.learn_prior)
            sizes = (of.vocab_size, of.num_topics, of.t_hidden_size)
            encoder = Encoder(*sizes, of.theta_act, of.enc_drop, of.normalize_posterior, of.e_step)
        for name, part in (("mixture", mixture), ("prior", prior), ("encoder", encoder)):
            self.register_module(name, part)
        if has_parts:
            self.to(self.rho)  # its device and precision
