"""The Embedded Topic Model as a LightningModule."""

import time
from pathlib import Path
from typing import Any

import torch
from jsonargparse.typing import ClosedUnitInterval, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from pytorch_lightning.cli import LRSchedulerCallable, OptimizerCallable, ReduceLROnPlateau
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn
from torch import Tensor

from etm_app.checkpoint.content import check_checkpoint_vocab, check_content, hyperparameters, read_checkpoint
from etm_app.checkpoint.format import stamp
from etm_app.checkpoint.old import take_old_names
from etm_app.checkpoint.resume import begin_anew, check_state
from etm_app.data.batch import BowBatch
from etm_app.data.corpus import BowDataset
from etm_app.data.datamodule import BowDataModule, held_out_set, training_set
from etm_app.data.digest import digest_of_data
from etm_app.data.vocabulary import check_same_vocab
from etm_app.editing import EditedModel
from etm_app.errors import UserError
from etm_app.going_on import count_documents, grow_checkpoint
from etm_app.metrics.elbo import Elbo
from etm_app.nn.anchor import Anchor
from etm_app.nn.encoder import Activation
from etm_app.nn.memory import Memory
from etm_app.nn.processes import mean_over_documents
from etm_app.nn.seeds import SeedWords
from etm_app.nn.topics import Topics
from etm_app.seeds import find_words, read_seeds
from etm_app.start import check_same_documents, choose_inference, place_embeddings, read_vectors, seed_warnings
from etm_app.topic_model import Inference

__all__ = ["ETM"]

CHOICE_AFTER = 100  # steps of a mixture, by whose topics the inference is chosen


class ETM(EditedModel):
    """Embedded Topic Model (Dieng, Ruiz, Blei: Topic Modeling in Embedding Spaces, arXiv 1907.04907).

    A document has topics in proportions theta; each of its words comes from topic k with probability theta_k, and then
    is v with probability beta_kv = softmax_v(rho alpha_k). How theta of a document is found says ``inference``: by
    expectation steps (`nn.e_step`), for one topic or several, or as in the paper by an amortized Gaussian posterior of
    delta ~ N(0, I), theta = softmax(delta). The paper's model exactly is configs/paper.yaml.

    Args:
        vocab_size: V, the number of words; the command line takes it from the data.
        num_topics: K, the number of topics.
        t_hidden_size: H, the width of the two hidden layers of an encoder.
        rho_size: L, the dimensions of the word and topic embeddings.
        theta_act: Activation of an encoder.
        enc_drop: Dropout in an encoder.
        train_embeddings: Whether the word embeddings rho are learned.
        warm_start: Whether rho and alpha start from the corpus (latent semantic analysis, k-means), not at random.
        embedding_scale: Length of the embeddings at a warm start; longer ones make more pointed topics.
        anchor: Weight of the squared distance of the embeddings from their warm start in the loss, for each different
            word of a document; more makes topics more coherent and different, less makes held-out perplexity lower.
            With several topics a document it gives way where they explain much of the words, and it counts as 20,000
            documents at most.
        inference: How a document's topics are found. ``mixture``: one topic a document, theta being how likely it is
            which; better where documents are short. ``mixed_membership``: several, each word of one of them, as in
            latent Dirichlet allocation. ``encoder``: several by a network, as in the paper; t_hidden_size, theta_act
            and enc_drop concern it alone. ``auto``: one topic for 100 steps, then of the first two the one that leaves
            held-out words of validation documents less perplexing; the terminal says which.
        relevance: How a topic's words are ranked where they are shown, not in training: 1 by their probability in it,
            less for those that are frequent in it alone (Sievert, Shirley 2014). May differ from a checkpoint's.
        optimizer: Makes the optimizer.
        lr_scheduler: Makes a schedule for the learning rate, stepped every epoch.
        queries: Words whose nearest neighbours among the embeddings are shown at the end.
        embeddings: File with pre-trained word vectors that rho starts from: word2vec (text, or binary as ``.bin``),
            GloVe, fastText ``.vec``, each also as ``.gz``; fastText's own ``.bin``, gensim's ``.kv``, ``.safetensors``
            with the words beside it, or ``.npz`` with ``words`` and ``vectors``. Set rho_size to their dimensions.
            ``embed`` trains such vectors on the texts themselves. A warm start sets their length to embedding_scale
            and places the topics among them.
        document_embeddings_size: E of the documents' embeddings, 0 without; the command line takes it from the data.
        seed_topics: Words that the first topics are to be about, by name: {sport: [team, game]}, or a YAML file of
            such. They stay among the first ten words of their topic, or as many as they are; other topics are free.
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
        embedding_scale: PositiveFloat = 2.0,
        anchor: NonNegativeFloat = 0.12,
        inference: Inference = "auto",
        relevance: ClosedUnitInterval = 0.6,
        optimizer: OptimizerCallable = lambda params: torch.optim.Adam(
            params, lr=0.005, weight_decay=1.2e-6, fused=True
        ),
        lr_scheduler: LRSchedulerCallable | None = None,
        queries: list[str] = [],  # noqa: B006 - shown by --help, never changed
        embeddings: Path | None = None,  # or a string, but not by its type, or a checkpoint could name a file
        document_embeddings_size: NonNegativeInt = 0,
        seed_topics: dict[str, list[str]] | Path | None = None,
    ) -> None:
        sizes = {"num_topics": num_topics, "t_hidden_size": t_hidden_size, "rho_size": rho_size}
        for name, size in {**sizes, "vocab_size": vocab_size}.items():
            if size < 1:
                raise UserError(f"{name}: {size}; expected a whole number from 1.")
        super().__init__(num_topics, document_embeddings_size)
        # What only matters while running stays out of checkpoints, where it would overrule the command line.
        self.save_hyperparameters(ignore=["optimizer", "lr_scheduler", "queries", "embeddings"])
        self.seed_topics = read_seeds(seed_topics, num_topics)
        self.hparams["seed_topics"] = self.seed_topics or None
        self.optimizer, self.lr_scheduler = optimizer, lr_scheduler
        self.queries = queries
        self.embeddings = None if embeddings is None else Path(embeddings)
        self.warm_start, self.embedding_scale = warm_start, embedding_scale
        self.relevance = relevance
        # The order of the parts is that of the optimizer's state in checkpoints.
        self.infer_by(inference)
        self.topics = Topics(vocab_size, num_topics, rho_size, train_embeddings)
        self.anchor = Anchor(anchor)
        self.seed_words = SeedWords()
        self.memory = Memory()
        # Whether training has begun: embeddings that were placed, or learned, are not placed again.
        self.register_buffer("placed", torch.tensor(False))
        self.register_buffer("log_frequency", torch.zeros(vocab_size))
        self.register_buffer("seen", torch.zeros(2, dtype=torch.int64))
        self.register_load_state_dict_pre_hook(take_old_names)  # type: ignore[no-untyped-call]
        self.vocab_size = vocab_size
        self.vocab: list[str] | None = None
        self.given_names = dict(enumerate(self.seed_topics))
        self.unmerged: dict[str, Any] | None = None
        self.analyzer: dict[str, Any] | None = None  # how texts become words of the vocabulary: Analyzer's settings
        self.train_elbo = Elbo()
        self.data_digest: str | None = None  # of the documents that it is trained on and chosen by
        self._trained_on: str | None = None  # of those before this fit
        self.training_set: BowDataset | None = None  # what coherence and the other statistics are counted over
        self._seed = 0
        self._held_out: BowDataset | None = None  # what the inference is chosen by
        self._epoch_start = 0.0

    def configure_optimizers(self) -> Any:
        """The optimizer and, if there is one, its schedule."""
        optimizer = self.optimizer(p for p in self.parameters() if p.requires_grad)
        if self.lr_scheduler is None:
            return optimizer
        scheduler = self.lr_scheduler(optimizer)
        monitor = {"monitor": scheduler.monitor} if isinstance(scheduler, ReduceLROnPlateau) else {}
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, **monitor}}

    def setup(self, stage: str) -> None:
        """Take the vocabulary from the data module; words of one that has none are called by their number."""
        datamodule = getattr(self.trainer, "datamodule", None)
        if (vocab := getattr(datamodule, "vocab", None)) is not None:
            check_same_vocab(vocab, self.vocab if self.placed else None, self.vocab_size)
            self.analyzer = getattr(datamodule, "analyzer_settings", None)
        if vocab is not None or self.vocab is None:
            self.vocab = list(vocab) if vocab is not None else [str(word) for word in range(self.vocab_size)]
        if stage != "predict":
            self.training_set = training_set(datamodule, self.vocab_size)
        if stage == "fit":
            self._seed = torch.initial_seed()
            self._trained_on = self.data_digest if self.placed else None
            if self.training_set is not None and datamodule is not None:
                self.data_digest = digest_of_data(datamodule, self.training_set, self.known_vocab)
                if isinstance(datamodule, BowDataModule):  # a class of the user's may deal its documents out itself
                    check_same_documents(self.data_digest, self.trainer.strategy)

    def on_fit_start(self) -> None:
        """Place the embeddings, once in a model's life; here it is known what a checkpoint has restored."""
        self.unmerged = None  # topics change from here on
        if self.inference == "auto":
            held_out = held_out_set(getattr(self.trainer, "datamodule", None), self.vocab_size)
            self._held_out = self.training_set if held_out is None else held_out
        if self.training_set is not None:
            count_documents(self, self.training_set, self.has_other_documents)
        found = find_words(self.seed_topics, self.known_vocab)
        self.seed_words.hold(seeds := [list(numbers.values()) for numbers in found.values()])
        if not self.placed:
            for warning in seed_warnings(self.seed_topics, self.known_vocab, self.training_set):
                rank_zero_warn(warning)
            given = read_vectors(self.embeddings, self.known_vocab, self.rho.shape[1])
            if given is not None:
                tokens = None if self.training_set is None else self.training_set.token_counts()
                rank_zero_info(f"Embeddings: {given.coverage(tokens)}, in {given.path}")
            corpus = self.training_set if self.warm_start else None
            place_embeddings(self, corpus, given, self.embedding_scale, self._seed, self.trainer.strategy, seeds)
            self.placed.fill_(True)

    @property
    def has_other_documents(self) -> bool:
        """Whether it was trained on other documents than those of this fit, so far as it is known."""
        return None not in (self._trained_on, self.data_digest) and self._trained_on != self.data_digest

    def on_train_epoch_start(self) -> None:
        """Seed the epoch by its number: a run that was interrupted goes on with the noise it would have had."""
        torch.manual_seed((self._seed + 1_000_003 * self.current_epoch + self.global_rank) % 2**63)
        self._epoch_start = time.perf_counter()

    def training_step(self, batch: BowBatch, batch_idx: int) -> Tensor:
        """Negative ELBO, mean over the step's documents that are not empty, and the anchor's pull."""
        beta_by_word = self.topics()
        _, likelihood, kl = self.posterior.evidence(batch, beta_by_word)
        kl = kl.sum()
        # Kept by a metric of our own: Lightning's log costs as much as a tenth of a step, and averages batch means.
        self.train_elbo.update(-likelihood, kl, batch.num_nonempty)
        explained = None if self.e_step is not None and not self.e_step.several else likelihood.detach()
        penalty: Tensor = self.anchor(self.topics.rho, self.topics.alpha, batch, explained, self.num_processes)
        if self.seed_topics:
            penalty = penalty + self.seed_words(self.topics, self.log_frequency, self.relevance)
        loss = mean_over_documents(kl - likelihood, batch.num_nonempty, self.num_processes)
        if self.training_set is not None:
            log_sizes = None if self.e_step is None else self.e_step.log_prior()
            loss = self.memory(loss, len(self.training_set), beta_by_word, log_sizes, batch.num_nonempty)
        return loss + penalty

    def on_after_backward(self) -> None:
        """Count what the batch tells of topics and words, for who goes on with other documents."""
        self.memory.count(self.num_processes, self.loss_scale)

    def on_train_batch_end(self, *_: Any) -> None:
        """Choose the inference, once the topics tell: before any evaluation of an epoch that is not shorter."""
        if self.inference == "auto" and self.global_step >= min(
            CHOICE_AFTER, self.trainer.estimated_stepping_batches // 3
        ):
            inference, reason = self.trainer.strategy.broadcast(choose_inference(self, self._held_out))
            rank_zero_info(f"Inference: {reason}")
            self.infer_by(inference)
            self._held_out = None

    def on_train_epoch_end(self) -> None:
        """Log the loss, the learning rate and the seconds of the epoch, its validation included."""
        (optimizer,) = self.trainer.optimizers
        self.log("learning_rate", optimizer.param_groups[0]["lr"], sync_dist=True)
        self.log("epoch_time", time.perf_counter() - self._epoch_start, sync_dist=True)
        self.log_metric(self.train_elbo, "train", shown="elbo")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what new texts need (vocabulary, analyser), names of topics, the digest of the data, and the form."""
        stamp(checkpoint)
        checkpoint |= {"vocab": self.vocab, "analyzer": self.analyzer, "topic_names": dict(self.given_names)}
        checkpoint |= {"unmerged": self.unmerged, "data_digest": self.data_digest}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take what `on_save_checkpoint` added; a UserError if it is another model's, or what none should hold."""
        check_content(checkpoint, type(self))
        fitting = self._trainer is not None and self.trainer.state.fn == "fit"
        if fitting and getattr(getattr(self.trainer, "datamodule", None), "grow_vocab", False):
            assert self.training_set is not None
            growth = grow_checkpoint(checkpoint, type(self), self.known_vocab, self.training_set)
            rank_zero_info(f"Vocabulary: {growth}.")
        check_checkpoint_vocab(checkpoint["vocab"], self.vocab)
        self._take(checkpoint)
        self.infer_by(hyperparameters(checkpoint)["inference"])
        if self._trainer is not None:
            if fitting:
                self._trained_on = checkpoint.get("data_digest")
                if self.has_other_documents:
                    begin_anew(checkpoint, self.trainer)
            else:
                self.data_digest = checkpoint.get("data_digest")
            check_state(checkpoint, self.trainer, self, goes_on=fitting and not self.has_other_documents)

    def _take(self, checkpoint: dict[str, Any]) -> None:
        self.vocab, self.analyzer = checkpoint["vocab"], checkpoint.get("analyzer") or self.analyzer
        self.given_names, self.unmerged = checkpoint.get("topic_names") or {}, checkpoint.get("unmerged")

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]  # Lightning's calls what the file names
        cls, checkpoint_path: str | Path, map_location: torch.device | str = "cpu", **kwargs: Any
    ) -> "ETM":
        """The model of a checkpoint, which may be a stranger's.

        Args:
            checkpoint_path: The file.
            map_location: The device to put it on.
            **kwargs: Arguments of the class in place of those in the checkpoint.

        Raises:
            UserError: There is no such file, or it holds anything else than a checkpoint of this class.
        """
        checkpoint = read_checkpoint(checkpoint_path, cls)
        model = cls(**{**hyperparameters(checkpoint), **kwargs})
        model._take(checkpoint)
        model.data_digest = checkpoint.get("data_digest")
        model.load_state_dict(checkpoint["state_dict"])
        return model.to(map_location)
