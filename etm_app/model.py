"""The Embedded Topic Model as a LightningModule."""

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from jsonargparse.typing import ClosedUnitInterval, NonNegativeFloat, PositiveFloat, PositiveInt
from numpy.typing import NDArray
from pytorch_lightning import LightningModule
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable, ReduceLROnPlateau
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor
from torch.nn import functional as F
from torchmetrics import Metric

from etm_app.data.analyzer import Analyzer
from etm_app.data.batch import BowBatch, as_batch
from etm_app.data.corpus import BowDataset
from etm_app.data.datamodule import training_set
from etm_app.data.embeddings import Embeddings, read_embeddings
from etm_app.errors import UserError
from etm_app.metrics.elbo import EVALUATED_SAMPLES, Elbo
from etm_app.metrics.perplexity import Perplexity
from etm_app.metrics.usage import TopicUsage
from etm_app.nn import sparse
from etm_app.nn.anchor import Anchor
from etm_app.nn.elbo import kl_to_standard_normal, log_likelihood
from etm_app.nn.encoder import Activation, Encoder
from etm_app.nn.prior import Prior, PriorKind
from etm_app.nn.topics import Topics
from etm_app.nn.warm_start import MAX_DOCUMENTS, warm_start

__all__ = ["ETM"]

# Documents that the statistics of the normalization are measured over: enough for them to be known to one per cent.
MAX_MEASURED = 8_000
TRANSFORMED = 1_000  # texts at once
# What versions before called the parts of the model's state.
OLD_NAMES = {
    "prior_mean": "prior.mean",
    "prior_log_scale": "prior.log_scale",
    "topics.rho_anchor": "anchor.rho",
    "topics.alpha_anchor": "anchor.alpha",
    "topics.word_weight": "anchor.document_frequency",
    "topics.log_frequency": "anchor.log_frequency",
}


class ETM(LightningModule):
    """Embedded Topic Model (Dieng, Ruiz, Blei: Topic Modeling in Embedding Spaces, arXiv 1907.04907).

    A document's topic proportions are theta = softmax(delta), in the paper with delta = z ~ N(0, I); each of its words
    comes from topic k with probability theta_k, and then is v with probability beta_kv = softmax_v(rho alpha_k).
    Trained by maximizing the evidence lower bound with an amortized Gaussian posterior of z.

    The arguments from ``warm_start`` to ``learn_prior`` add to the paper's model; configs/paper.yaml turns
    all of them off.

    With ``prior: dirichlet`` delta = log Φ(z) / c, Φ the normal distribution function: theta is then nearly
    Dirichlet(c, …, c) (`nn.prior`). Most topics are all but absent from a document then, at no cost to the bound, and a
    few of them are there.

    Args:
        vocab_size: V, the number of words; the command line takes it from the data.
        num_topics: K, the number of topics.
        t_hidden_size: H, the width of the encoder's two hidden layers.
        rho_size: L, the dimensions of the word and topic embeddings.
        theta_act: Activation of the encoder.
        enc_drop: Dropout in the encoder.
        train_embeddings: Whether the word embeddings rho are learned.
        warm_start: Whether rho and alpha start from the corpus (latent semantic analysis, k-means), not at random.
        embedding_scale: Length of the embeddings at a warm start; longer ones make more pointed topics.
        anchor: Weight of the squared distance of the embeddings from their warm start in the loss, for each different
            word of a document; more makes topics more coherent and different, less makes held-out perplexity lower.
            It gives way where topics explain the words of many documents well, to less than half of the perplexity of
            their frequencies, and counts as 20,000 documents at most.
        word_dropout: Share of a document's words that the encoder does not see in training, while all are to be
            reconstructed; what it learns holds better for new documents.
        normalize_posterior: Whether every topic's mu has mean 0 and variance 1 over the training documents, which
            keeps all topics in use.
        e_step: Whether the encoder starts from what the words say of the topics by themselves and corrects it.
        prior: Of delta: ``normal`` as in the paper, or nearly a Dirichlet, ``dirichlet``: few topics in a document.
        learn_prior: Whether a mean of delta and its scale are learned: topics of different size, and as many of them
            in a document as the corpus has.
        optimizer: Makes the optimizer.
        lr_scheduler: Makes a schedule for the learning rate, stepped every epoch.
        queries: Words whose nearest neighbours among the embeddings are shown at the end.
        embeddings: File with pre-trained word vectors that rho starts from: word2vec (text, or binary as ``.bin``),
            GloVe, fastText ``.vec``, each also as ``.gz``, or ``.npz`` with ``words`` and ``vectors``. Set rho_size to
            their dimensions. A warm start sets their length to embedding_scale and places the topics among them.
    """

    def __init__(
        self,
        vocab_size: PositiveInt,
        num_topics: PositiveInt = 50,
        t_hidden_size: PositiveInt = 256,
        rho_size: PositiveInt = 300,
        theta_act: Activation = "relu",
        enc_drop: ClosedUnitInterval = 0.0,
        train_embeddings: bool = True,
        warm_start: bool = True,
        embedding_scale: PositiveFloat = 4.0,
        anchor: NonNegativeFloat = 0.4,
        word_dropout: ClosedUnitInterval = 0.6,
        normalize_posterior: bool = True,
        e_step: bool = True,
        prior: PriorKind = "dirichlet",
        learn_prior: bool = True,
        optimizer: OptimizerCallable = lambda params: torch.optim.Adam(
            params, lr=0.005, weight_decay=1.2e-6, fused=True
        ),
        lr_scheduler: LRSchedulerCallable | None = None,
        queries: list[str] = [],  # noqa: B006 - shown by --help, never changed
        embeddings: Path | None = None,
    ) -> None:
        super().__init__()
        sizes = {
            "num_topics": num_topics,
            "t_hidden_size": t_hidden_size,
            "rho_size": rho_size,
            "vocab_size": vocab_size,
        }
        for name, size in sizes.items():
            if size < 1:
                raise UserError(f"{name}: {size}; expected a whole number from 1.")
        # What only matters while running stays out of checkpoints, where it would overrule the command line.
        self.save_hyperparameters(ignore=["optimizer", "lr_scheduler", "queries", "embeddings"])
        self.optimizer = optimizer
        self.lr_scheduler = lr_scheduler
        self.queries = queries
        self.embeddings = embeddings
        self.warm_start = warm_start
        self.embedding_scale = embedding_scale
        self.word_dropout = word_dropout
        # The order of the parts is that of the optimizer's state in checkpoints.
        self.prior = Prior(num_topics, prior, learn_prior)
        self.encoder = Encoder(vocab_size, num_topics, t_hidden_size, theta_act, enc_drop, normalize_posterior, e_step)
        self.topics = Topics(vocab_size, num_topics, rho_size, train_embeddings)
        self.anchor = Anchor(anchor)
        # Whether training has begun: embeddings that were placed, or learned, are not placed again.
        self.register_buffer("placed", torch.tensor(False))
        self.placed: Tensor
        self.register_load_state_dict_pre_hook(_rename)  # type: ignore[no-untyped-call]
        self.vocab_size = vocab_size
        self.vocab: list[str] | None = None
        self.analyzer: dict[str, Any] | None = None  # how texts become words of the vocabulary: Analyzer's settings
        self.train_elbo = Elbo()
        self.elbo = Elbo()
        self.perplexity = Perplexity()
        self.usage = TopicUsage(num_topics)
        self.training_set: BowDataset | None = None  # what coherence and the other statistics are counted over
        self._beta_by_word: Tensor | None = None  # during an evaluation
        self._noise = np.random.default_rng(0)  # of an evaluation
        self._seed = 0
        self._epoch_start = 0.0
        self._measured = True  # whether the encoder's statistics are those of its weights

    # Training

    def configure_optimizers(self) -> Any:
        """The optimizer and, if there is one, its schedule."""
        optimizer = self.optimizer(p for p in self.parameters() if p.requires_grad)
        if self.lr_scheduler is None:
            return optimizer
        scheduler = self.lr_scheduler(optimizer)
        if isinstance(scheduler, ReduceLROnPlateau):
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "monitor": scheduler.monitor}}
        return {"optimizer": optimizer, "lr_scheduler": scheduler}

    def setup(self, stage: str) -> None:
        """Take the vocabulary from the data module; words of one that has none are called by their number."""
        datamodule = getattr(self.trainer, "datamodule", None)
        vocab = getattr(datamodule, "vocab", None)
        if vocab is not None and len(vocab) != self.vocab_size:
            raise UserError(
                f"data: the vocabulary has {len(vocab)} words, the model was made for {self.vocab_size}; "
                "expected as many: use the data that it was trained on, or train anew."
            )
        if vocab is not None and self.placed and self.vocab is not None and self.vocab != list(vocab):
            raise UserError(
                f"data: another vocabulary than the model was trained on ({len(set(vocab) & set(self.vocab))} of "
                f"{len(vocab)} words are the same, or they are in another order); expected the same: "
                "use the data that it was trained on, or train a new ETM."
            )
        if vocab is not None:
            self.analyzer = getattr(datamodule, "analyzer_settings", None)
        if vocab is not None or self.vocab is None:
            self.vocab = list(vocab) if vocab is not None else [str(word) for word in range(self.vocab_size)]
        if stage != "predict":
            self.training_set = training_set(datamodule, self.vocab_size)
        if stage == "fit":
            self._seed = torch.initial_seed()
            if self.training_set is not None:
                self.anchor.num_documents = max(len(self.training_set), 1)

    def on_fit_start(self) -> None:
        """Place the embeddings, once in a model's life; here it is known whether a checkpoint has restored them."""
        if not self.placed:
            self._place()
            self.placed.fill_(True)

    def _place(self) -> None:
        given = self.read_embeddings(self._known_vocab())
        if given is not None:
            rank_zero_info(f"Embeddings: {given.coverage} in {self.embeddings}")
            self.topics.place(torch.from_numpy(given.vectors), self.alpha)
        if self.warm_start and self.training_set is not None:
            counts = self.training_set.sample(MAX_DOCUMENTS).counts()
            num_topics, rho_size = self.topics.alpha.shape
            directions = None if given is None else given.directions()
            seed = self._seed % 2**32
            start = warm_start(counts, num_topics, rho_size, self.embedding_scale, seed, directions)
            # All processes take the first one's: arithmetic on several machines need not agree to the last bit.
            rho, alpha = map(torch.from_numpy, self.trainer.strategy.broadcast(start))
            self.topics.place(rho, alpha)
            # Plus one: a word of no document here is held as well, if loosely.
            documents = (np.bincount(counts.indices, minlength=self.vocab_size) + 1) / (counts.shape[0] + 1)
            tokens = np.bincount(counts.indices, counts.data, minlength=self.vocab_size) + 1
            frequencies = map(torch.from_numpy, (documents, tokens / tokens.sum()))
            self.anchor.place(self.rho, self.alpha, *frequencies)
        elif given is None and not self.topics.rho.requires_grad:
            rank_zero_warn("train_embeddings: false without a warm start; the word embeddings rho stay random.")

    def read_embeddings(self, vocab: list[str]) -> Embeddings | None:
        """The pre-trained vectors of these words, if ``embeddings`` names a file.

        Raises:
            UserError: The file is missing or damaged, or its vectors have not rho_size dimensions.
        """
        if self.embeddings is None:
            return None
        read = read_embeddings(self.embeddings, vocab)
        size, rho_size = read.vectors.shape[1], self.topics.rho.shape[1]
        if size != rho_size:
            raise UserError(
                f"model.rho_size: {rho_size}, but the vectors in {self.embeddings} have {size} dimensions; "
                f"expected as many: set --model.rho_size {size}."
            )
        return read

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> BowBatch:
        """Turn dense counts [B, V] of a user's own LightningDataModule into a BowBatch."""
        return as_batch(batch, self.vocab_size, training=bool(self.trainer.training))

    def on_train_epoch_start(self) -> None:
        """Seed the epoch by its number: a run that was interrupted goes on with the noise it would have had."""
        torch.manual_seed((self._seed + 1_000_003 * self.current_epoch + self.global_rank) % 2**63)
        self._epoch_start = time.perf_counter()

    def training_step(self, batch: BowBatch, batch_idx: int) -> Tensor:
        """Negative ELBO of a batch, mean over its documents that are not empty, and the anchor's pull."""
        self._measured = False
        # What is seen counts for what is hidden as well: the evidence is of whole documents, as in evaluation.
        seen = F.dropout(batch.counts, self.word_dropout) if self.word_dropout else batch.counts
        beta_by_word = self.topics()
        mu, logvar = self.encoder(batch, seen, beta_by_word)
        z = mu + torch.randn_like(mu) * (0.5 * logvar).exp()
        # Empty documents add 0 to both: their likelihood is 1 and their posterior the prior.
        likelihood = log_likelihood(batch, batch.counts, self.prior.theta(z), beta_by_word).sum()
        kl = kl_to_standard_normal(mu, logvar).sum()
        # Kept by a metric of our own: Lightning's log costs as much as a tenth of a step, and averages batch means.
        self.train_elbo.update(-likelihood, kl, batch.num_nonempty)
        penalty: Tensor = self.anchor(self.topics.rho, self.topics.alpha, batch, likelihood.detach())
        return (kl - likelihood) / max(batch.num_nonempty, 1) + penalty

    def on_train_epoch_end(self) -> None:
        """Log the loss, the learning rate and the seconds of the epoch, its validation included."""
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, torch.optim.Optimizer)
        self.log("learning_rate", optimizer.param_groups[0]["lr"], sync_dist=True)
        self.log("epoch_time", time.perf_counter() - self._epoch_start, sync_dist=True)
        self._log_metric(self.train_elbo, "train", shown="elbo")

    # Evaluation

    def on_validation_start(self) -> None:
        """Measure the statistics of the normalization in the middle of a fit."""
        self._measure()

    def on_train_end(self) -> None:
        """Leave a model that can be used at once."""
        self._measure()

    def _measure(self) -> None:
        if self._measured:
            return
        if self.training_set is not None:
            sample = self.training_set.sample(MAX_MEASURED)
            batches = (batch.to(self.device) for batch in sample.batches(MAX_MEASURED // 4))
            with torch.no_grad():
                self.encoder.measure(batches, self.topics())
        self._measured = True

    def on_validation_epoch_start(self) -> None:
        """Compute beta once for the whole evaluation, and start the noise that every one of them has."""
        self._noise = np.random.default_rng(0)
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
        mu, logvar = self.encoder(batch, batch.counts, beta_by_word)
        theta = self.prior.posterior_theta(mu, logvar)
        kl = kl_to_standard_normal(mu, logvar)
        likelihood = self._expected_log_likelihood(batch, mu, logvar, beta_by_word)
        self.elbo.update(-likelihood.sum(), kl.sum(), batch.num_nonempty)
        self.usage.update(theta, kl, batch.indptr.diff() > 0)
        theta = self.prior.posterior_theta(*self.encoder(batch, first, beta_by_word))
        second = batch.counts - first
        known = sparse.num_tokens(batch, first) > 0
        tokens = sparse.num_tokens(batch, second) * known
        self.perplexity.update(log_likelihood(batch, second, theta, beta_by_word), tokens)

    def _expected_log_likelihood(self, batch: BowBatch, mu: Tensor, logvar: Tensor, beta_by_word: Tensor) -> Tensor:
        """E_q[log p(document | theta, beta)], [B]; at the mean of theta it would be more, and the ELBO no bound."""
        # NumPy draws one number after the other, so that a document's are the same however they are batched.
        noise = self._noise.standard_normal((len(mu), EVALUATED_SAMPLES // 2, mu.shape[1]), np.float32)
        scale, total = (0.5 * logvar).exp(), torch.zeros_like(mu[:, 0])
        for half in torch.from_numpy(noise).to(mu).unbind(1):
            for z in (mu + scale * half, mu - scale * half):
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
        self._log_metric(self.elbo, stage)
        self._log_metric(self.perplexity, stage, shown="perplexity")

    def _log_metric(self, metric: Metric, stage: str, shown: str = "") -> None:
        """Log a metric's values, already reduced over processes, and start it anew."""
        for name, value in metric.compute().items():
            self.log(f"{stage}_{name}", value.float(), prog_bar=name == shown, sync_dist=True)
        metric.reset()

    def predict_step(self, batch: BowBatch, batch_idx: int) -> tuple[Tensor, Tensor]:
        """Topic proportions of a batch: theta [B, K] and which documents have words, [B]."""
        assert self._beta_by_word is not None
        return self._theta_of(batch, self._beta_by_word), batch.indptr.diff() > 0

    # What the model has learned

    def theta(self, documents: BowBatch | Tensor | NDArray[Any]) -> Tensor:
        """Topic proportions of documents, by their posterior: its mean; with ``prior: normal`` softmax of delta's mean.

        Args:
            documents: A batch, or dense counts [D, V].

        Returns:
            [D, K]; for an empty document those of the prior.

        Raises:
            UserError: Dense counts of another width, or that are no counts.
        """
        if not isinstance(documents, BowBatch):
            counts = torch.as_tensor(documents)
            documents = BowBatch.from_dense(counts, self.vocab_size, training=False).to(self.device)
        was_training = self.training
        self.eval()
        with torch.no_grad():
            theta = self._theta_of(documents, self.topics())
        self.train(was_training)
        return theta

    def _theta_of(self, batch: BowBatch, beta_by_word: Tensor) -> Tensor:
        theta = self.prior.posterior_theta(*self.encoder(batch, batch.counts, beta_by_word))
        if batch.num_nonempty < len(batch):
            theta[batch.indptr.diff() == 0] = self.prior.mean_theta()
        return theta

    def transform(self, texts: Iterable[str], tokenizer: str | None = None) -> NDArray[np.float32]:
        """Topic proportions of texts, cut into words as those that the model was trained on.

        Args:
            texts: Any number of documents.
            tokenizer: Import path of the function that cut the texts in training, where one did: it is imported only
                if it is named here.

        Returns:
            [D, K]; for a text without a word of the vocabulary those of the prior.

        Raises:
            UserError: The model was trained on counts, or by another tokenizer.
        """
        if self.analyzer is None:
            raise UserError("transform: this model was trained on counts, not on texts; use theta(counts) [D, V].")
        if (trained := self.analyzer.get("tokenizer")) != tokenizer:
            raise UserError(f"transform: tokenizer {tokenizer}, but {trained} in training; expected the same.")
        analyzer, numbers = Analyzer.from_settings(self.analyzer), pl.Enum(self._known_vocab())
        documents = pl.Series(list(texts), dtype=pl.String).fill_null("")
        theta = [np.zeros((0, len(self.alpha)), np.float32)]
        for part in documents.to_frame().iter_slices(TRANSFORMED):
            counted = analyzer.count(part.to_series(), numbers)
            batch = BowBatch.from_csr(counted.indptr, counted.indices, counted.counts, self.vocab_size)
            theta.append(self.theta(batch.to(self.device)).float().cpu().numpy())
        return np.concatenate(theta)

    @property
    def beta(self) -> Tensor:
        """Words of the topics, [K, V], each row on the simplex."""
        with torch.no_grad():
            beta_by_word: Tensor = self.topics()
        return beta_by_word.t().contiguous()

    @property
    def alpha(self) -> Tensor:
        """Topic embeddings, [K, L]."""
        return self.topics.alpha.detach()

    @property
    def rho(self) -> Tensor:
        """Word embeddings, [V, L]."""
        return self.topics.rho.detach()

    def top_word_indices(self, n: int = 10) -> Tensor:
        """The n most probable words of every topic, most probable first: int64 [K, min(n, V)]."""
        return self.beta.topk(min(n, self.vocab_size)).indices

    def top_words(self, n: int = 10) -> list[list[str]]:
        """The n most probable words of every topic, most probable first."""
        return [self._words(row) for row in self.top_word_indices(n).tolist()]

    def nearest_words(self, word: str, n: int = 10) -> list[tuple[str, float]]:
        """The words whose embeddings are nearest to a word's by cosine, with the cosine, nearest first.

        Raises:
            UserError: The word is not in the vocabulary.
        """
        vocab = self._known_vocab()
        if word not in vocab:
            raise UserError(f"word: {word!r} is not among the {self.vocab_size} words of the vocabulary.")
        index = vocab.index(word)
        cosine = F.normalize(self.rho, dim=-1) @ F.normalize(self.rho[index], dim=-1)
        cosine[index] = -np.inf  # every word is its own nearest
        nearest = cosine.topk(min(n, self.vocab_size - 1))
        return list(zip(self._words(nearest.indices.tolist()), nearest.values.tolist(), strict=True))

    def _known_vocab(self) -> list[str]:
        if self.vocab is None:
            raise UserError("the model has no vocabulary yet; train it or load a checkpoint.")
        return self.vocab

    def _words(self, indices: Sequence[int]) -> list[str]:
        vocab = self._known_vocab()
        return [vocab[index] for index in indices]

    # Checkpoints

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add vocabulary and analyser, so that a checkpoint is all that new texts need, and fresh statistics."""
        checkpoint["vocab"] = self.vocab
        checkpoint["analyzer"] = self.analyzer
        if not self._measured:
            self._measure()
            checkpoint["state_dict"] = self.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the vocabulary, or hold it against that of the data.

        Raises:
            UserError: The checkpoint is of another model or another vocabulary.
        """
        if "vocab" not in checkpoint:
            raise UserError("ckpt_path: this checkpoint is not an ETM's; expected one that etm_app wrote.")
        trained = checkpoint["vocab"]
        if self.vocab is not None and trained is not None and self.vocab != trained:
            raise UserError(
                f"ckpt_path: the checkpoint was trained on another vocabulary ({len(trained)} words, "
                f"{len(set(trained) & set(self.vocab))} of them among the {len(self.vocab)} of the data, or in another "
                "order); expected the same: use the data that it was trained on, or train anew."
            )
        self.vocab = trained
        self.analyzer = checkpoint.get("analyzer") or self.analyzer


def _rename(model: ETM, state_dict: dict[str, Any], *_: object) -> None:
    """Take the state that a version before saved: of a trained model, whose embeddings are not placed again."""
    for old, new in OLD_NAMES.items():
        if old in state_dict:
            state_dict[new] = state_dict.pop(old)
    if "placed" not in state_dict:
        state_dict["placed"] = torch.ones_like(model.placed)
        for name, buffer in model.anchor.named_buffers(prefix="anchor"):  # that a model without warm start did not have
            state_dict.setdefault(name, torch.empty_like(buffer[:0]))
