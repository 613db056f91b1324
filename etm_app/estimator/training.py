"""Training within a Python session: quiet, in memory, part by part where the documents come so."""

import logging
import signal
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from math import inf, isnan
from threading import RLock
from typing import Any

import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from etm_app.data.corpus import BowCorpus, BowDataset
from etm_app.data.datamodule import BowDataModule, held_out_set
from etm_app.going_on import count_more
from etm_app.model import ETM
from etm_app.start import choose_inference

__all__ = ["InMemoryDataModule", "Training", "apart"]

STEPS_PER_LOOK = 50  # between two looks at the validation documents
PATIENCE = 3  # looks without a better one before training ends
MAX_HELD_OUT = 2_000  # documents that are looked at
TELLING_AFTER = 30  # steps after which topics tell how many of them a document has

_ONE_AT_A_TIME = RLock()  # generators, warnings and loggers are those of all threads


class InMemoryDataModule(BowDataModule):
    """A corpus that is there already.

    Args:
        corpus: The corpus.
        kwargs: Those of BowDataModule.
    """

    def __init__(self, corpus: BowCorpus, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._corpus = corpus

    def build(self) -> BowCorpus:
        """What was given."""
        return self._corpus


@dataclass
class Training:
    """What is left of documents that a model was trained on, for it to go on with others as if all had been one corpus.

    The documents themselves are not held.

    Attributes:
        seed: Of everything that is drawn; the generators of the session are left as they are.
        num_parts: Parts of the corpus so far.
        num_steps: Steps over them.
        optimizer_state: Of `torch.optim.Optimizer.state_dict`; None before the first.
        is_undecided: Whether the inference is still to be chosen.
    """

    seed: int
    num_parts: int = 0
    num_steps: int = 0
    optimizer_state: dict[str, Any] | None = None
    is_undecided: bool = False

    def fit(self, model: ETM, corpus: BowCorpus, batch_size: int, max_steps: int, **trainer: Any) -> None:
        """Train a new model, until validation documents, where there are some, are told no better.

        Args:
            model: The model.
            corpus: Documents to train on and, perhaps, to validate with.
            batch_size: Documents a step.
            max_steps: Steps at most.
            trainer: ``accelerator`` of Lightning, and ``verbose``: whether it says what it does, with a progress bar.

        Raises:
            UserError: No training document has a word.
        """
        data = InMemoryDataModule(corpus, batch_size=batch_size, steps_per_epoch=STEPS_PER_LOOK, seed=self.seed)
        held_out = held_out_set(data, model.vocab_size)
        best: list[Callback] = [] if held_out is None else [_KeepBest(held_out.sample(MAX_HELD_OUT))]
        self._train(model, data, best, max_steps=max_steps, max_epochs=-(-max_steps // STEPS_PER_LOOK), **trainer)

    def go_on(self, model: ETM, corpus: BowCorpus, batch_size: int, **trainer: Any) -> None:
        """Take one pass over the next documents; the first ones are what the embeddings start from.

        With inference ``auto``, documents have one topic until the topics tell, and the first ones after that, which
        training has not seen, choose.

        Args:
            model: The same for all parts.
            corpus: Documents to train on.
            batch_size: Documents a step.
            trainer: As in `fit`.

        Raises:
            UserError: None of them has a word.
        """
        data = InMemoryDataModule(corpus, batch_size=batch_size, steps_per_epoch=None, seed=self.seed + self.num_parts)
        if model.inference == "auto":
            self.is_undecided = True
            model.infer_by("mixture")
        if self.is_undecided and self.num_steps >= TELLING_AFTER:
            inference, reason = choose_inference(model, data.training_set())
            model.infer_by(inference)
            self.is_undecided = False
            if trainer.get("verbose"):
                rank_zero_info(f"Inference: {reason}")
        self._train(model, data, [], max_epochs=1, **trainer)

    def _train(
        self,
        model: ETM,
        data: BowDataModule,
        callbacks: list[Callback],
        accelerator: str = "auto",
        verbose: bool = False,
        **limit: Any,
    ) -> None:
        digest = model.data_digest
        if self.num_parts:
            # Not told that there were others, the model does not remember them: it would hold on to the topics of the
            # first parts, which are poor. What it has learned of them stays in its weights and the optimizer's means.
            model.data_digest = None
            count_more(model, data.training_set())
        with apart((self.seed + self.num_parts) % 2**32, verbose):
            trainer = Trainer(
                **limit,
                limit_val_batches=0,
                accelerator=accelerator,
                devices=1,
                plugins=[LightningEnvironment()],  # one process, also in one of several that a scheduler has started
                callbacks=[_GoOn(self.optimizer_state), *callbacks],
                logger=False,
                enable_checkpointing=False,
                enable_model_summary=False,
                enable_progress_bar=verbose,
            )
            trainer.fit(model, data)
        if self.num_parts:
            model.data_digest = sha256(f"{digest} {model.data_digest}".encode()).hexdigest()  # of all parts
        self.num_parts += 1
        self.num_steps += trainer.global_step
        self.optimizer_state = trainer.optimizers[0].state_dict()
        model.training_set = None
        model.trainer = None  # which holds the documents as well
        model.eval()


class _GoOn(Callback):
    """Lets a model train as if it had never stopped: Lightning makes a new optimizer for each part."""

    def __init__(self, optimizer_state: dict[str, Any] | None) -> None:
        self.optimizer_state = optimizer_state

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give the new one the state of the last."""
        if self.optimizer_state is not None:
            trainer.optimizers[0].load_state_dict(self.optimizer_state)


class _KeepBest(Callback):
    """Keeps, in memory, the weights that tell validation documents best; stops where it gets no better."""

    def __init__(self, held_out: BowDataset) -> None:
        self.held_out = BowDataset(held_out.corpus, held_out.rows, with_halves=True)
        self.perplexity = inf
        self.weights: dict[str, Tensor] = {}
        self.num_worse = 0

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look, once it is known how the model infers."""
        assert isinstance(pl_module, ETM)
        if pl_module.inference == "auto":
            return
        pl_module.eval()
        perplexity = pl_module.completion_perplexity(self.held_out)
        pl_module.train()
        if isnan(perplexity):
            return  # no document of them has two words, so they tell nothing
        if perplexity < self.perplexity:
            self.perplexity, self.num_worse = perplexity, 0
            self.weights = {name: weight.clone() for name, weight in pl_module.state_dict().items()}
        else:
            self.num_worse += 1
            trainer.should_stop = self.num_worse >= PATIENCE

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take them."""
        if self.weights:
            pl_module.load_state_dict(self.weights)


@contextmanager
def apart(seed: int, verbose: bool = False) -> Iterator[None]:
    """Seeded and quiet, of which nothing stays; Ctrl-C is KeyboardInterrupt, as anywhere in a session.

    Args:
        seed: Of PyTorch's generators.
        verbose: Whether Lightning is let speak.
    """
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else []
    lightning = logging.getLogger("pytorch_lightning")
    with _ONE_AT_A_TIME, torch.random.fork_rng(devices), warnings.catch_warnings():
        level, on_interrupt = lightning.level, signal.getsignal(signal.SIGINT)
        torch.manual_seed(seed)
        if not verbose:
            lightning.setLevel(logging.WARNING)
            warnings.filterwarnings("ignore", module=r"pytorch_lightning\.")  # of its own loop, which nobody chose here
        try:
            yield
        except SystemExit as end:
            if not isinstance(end.__context__, KeyboardInterrupt):
                raise
            signal.signal(signal.SIGINT, on_interrupt)  # which Lightning ignores from the first one on
            raise KeyboardInterrupt from None
        finally:
            lightning.setLevel(level)
