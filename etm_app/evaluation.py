"""How a model infers and is evaluated: its parts, the steps of validate, test and predict, and what they log."""

from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor
from torchmetrics import Metric

from etm_app.data.batch import BowBatch, as_batch
from etm_app.data.corpus import BowDataset
from etm_app.data.document_vectors import check_vector_size
from etm_app.metrics.elbo import Elbo
from etm_app.metrics.perplexity import Perplexity
from etm_app.metrics.usage import TopicUsage
from etm_app.nn.e_step import EStep
from etm_app.nn.elbo import log_likelihood
from etm_app.nn.encoder import Encoder
from etm_app.nn.sparse import num_tokens
from etm_app.topic_model import BATCH, Inference, TopicModel

__all__ = ["EvaluatedModel"]


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

    @property
    def num_processes(self) -> int:
        """How many processes have a share of each step."""
        return 1 if self._trainer is None else self.trainer.world_size

    @property
    def loss_scale(self) -> float | None:
        """What the loss of a step is multiplied by, so that its gradients are none that half precision takes for 0."""
        scaler = None if self._trainer is None else getattr(self.trainer.precision_plugin, "scaler", None)
        return None if scaler is None else float(scaler.get_scale())

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> BowBatch:
        """Turn dense counts [B, V] of a user's own LightningDataModule into a BowBatch.

        Raises:
            UserError: It has no document embeddings where the model takes some, or others than the model takes.
        """
        made = as_batch(batch, self.vocab_size, training=bool(self.trainer.training))
        check_vector_size(self.document_embeddings_size, 0 if made.vectors is None else made.vectors.shape[1])
        return made

    def on_validation_epoch_start(self) -> None:
        """Compute beta once for the whole evaluation."""
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
        beta_by_word = self._beta_by_word
        assert beta_by_word is not None
        theta, likelihood, kl = self.posterior.evaluate(batch, beta_by_word)
        self.elbo.update(-likelihood, kl.sum(), batch.num_nonempty)
        self.usage.update(theta, kl, batch.indptr.diff() > 0)
        self.perplexity.update(*self.complete(batch, beta_by_word))

    def complete(self, batch: BowBatch, beta_by_word: Tensor) -> tuple[Tensor, Tensor]:
        """Document completion: theta from the first half of each document, by which the second one is scored.

        Returns:
            Log-likelihood of the second half, nats, and how many tokens it has, 0 where the first has none: [B] each.
        """
        first = batch.first_half
        if first is None:
            raise RuntimeError("this batch was made without the halves that document completion needs")
        theta = self.posterior.theta(batch, first, beta_by_word)
        second = batch.counts - first
        tokens = num_tokens(batch, second) * (num_tokens(batch, first) > 0)
        return log_likelihood(batch, second, theta, beta_by_word), tokens

    @torch.no_grad()
    def completion_perplexity(self, documents: BowDataset) -> float:
        """Perplexity by document completion, without a Trainer.

        Args:
            documents: With halves.

        Returns:
            Over all their tokens; NaN where none has two words.
        """
        beta_by_word, perplexity = self.topics(), Perplexity().to(self.rho.device)
        for batch in documents.batches(BATCH):
            perplexity.update(*self.complete(batch.to(self.rho.device), beta_by_word))
        return float(perplexity.compute()["perplexity"])

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
        """Have the part that finds topics in this way, and no other; with ``auto`` one that the data can choose for."""
        has_parts = hasattr(self, "e_step")
        self.inference = self.hparams["inference"] = inference
        of: Any = self.hparams
        if has_parts and (inference == "encoder") == (self.encoder is not None):
            if self.e_step is not None:
                self.e_step.several = inference == "mixed_membership"
            return
        e_step = encoder = None
        if inference == "encoder":
            sizes = (of.vocab_size, of.num_topics, of.t_hidden_size)
            encoder = Encoder(*sizes, of.theta_act, of.enc_drop, self.document_embeddings_size)
        else:
            several = inference == "mixed_membership"
            e_step = EStep(of.num_topics, several, self.document_embeddings_size)
        for name, part in (("e_step", e_step), ("encoder", encoder)):
            self.register_module(name, part)
        if has_parts:
            self.posterior.to(self.rho)  # its device and precision; metrics keep their own
