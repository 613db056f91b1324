"""A stop where training has left the numbers."""

from itertools import islice
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor

from etm_app.checkpoint.content import non_finite
from etm_app.data.datamodule import BowDataModule
from etm_app.data.steps import Steps
from etm_app.errors import UserError
from etm_app.model import ETM

__all__ = ["DivergenceStop"]

SHOWN = 3  # documents
ENOUGH = 1000  # steps after which losses are looked at on any device


class DivergenceStop(Callback):
    """Ends a run at the first loss, evaluation or weight that is NaN or infinite, before it is saved or shown.

    On a CPU every loss is looked at in its step. Elsewhere that would make each step wait for the device, so they are
    looked at together, at the end of an epoch, before a validation and before a checkpoint.
    """

    def __init__(self) -> None:
        self._losses: list[Tensor] = []
        self._first = (0, 0)  # step and batch of the first of them

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin."""
        self._losses = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the loss, or keep it.

        Raises:
            UserError: It is not finite.
        """
        loss = outputs["loss"].detach()
        if not self._losses:
            self._first = (trainer.global_step, batch_idx)
        self._losses.append(loss)
        if self._at_once(loss) or len(self._losses) == ENOUGH:
            self._look(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the losses of the epoch, as above."""
        self._look(trainer, pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the losses before, as above."""
        self._look(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the evaluation, before others show it.

        Raises:
            UserError: It is not finite.
        """
        assert isinstance(pl_module, ETM)
        if all(value.isfinite() for value in pl_module.elbo.compute().values()):
            return
        if trainer.state.fn == "fit":
            raise self._end(trainer, "the validation's loss", trainer.global_step)
        raise UserError("ckpt_path: the loss is not finite with these weights; expected a checkpoint as fit wrote it.")

    on_test_epoch_end = on_validation_epoch_end

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Look at the weights: a checkpoint is there to go on from.

        Raises:
            UserError: They are not finite.
        """
        if trainer.state.fn != "fit":
            return
        self._look(trainer, pl_module)
        if (name := non_finite(checkpoint["state_dict"])) is not None:
            raise self._end(trainer, name, trainer.global_step)

    @staticmethod
    def _at_once(loss: Tensor) -> bool:
        return loss.device.type == "cpu"

    def _look(self, trainer: Trainer, pl_module: LightningModule) -> None:
        losses, self._losses = self._losses, []
        if not losses:
            return
        wrong = (~torch.stack(losses).isfinite()).nonzero()
        if len(wrong):
            place = int(wrong[0])
            step, batch = (first + place for first in self._first)
            raise self._end(trainer, f"the loss ({losses[place].item()})", step, _documents_of(trainer, batch))

    def _end(self, trainer: Trainer, what: str, step: int, documents: str = "") -> UserError:
        saved = [of.best_model_path for of in trainer.callbacks if isinstance(of, ModelCheckpoint)]  # type: ignore[attr-defined]
        kept = [path for path in saved if path]
        lr = trainer.optimizers[0].param_groups[0]["lr"]
        return UserError(
            f"model.optimizer.lr: {lr:g}, and {what} is not finite at step {step:,}{documents}; expected numbers. "
            "Lower the learning rate (--model.optimizer.lr 0.001, say), or look for documents of extreme length there. "
            + (f"The last good checkpoints: {', '.join(kept)}." if kept else "No checkpoint was written before.")
        )


def _documents_of(trainer: Trainer, batch_idx: int) -> str:
    """Names of the documents of a batch of this epoch, whose order can be had again."""
    datamodule = getattr(trainer, "datamodule", None)
    sampler = getattr(trainer.train_dataloader, "sampler", None)
    if not isinstance(datamodule, BowDataModule) or not isinstance(sampler, Steps):
        return f", in batch {batch_idx:,} of epoch {trainer.current_epoch:,}"
    positions = next(islice(sampler.whole(), batch_idx, None))
    corpus = datamodule.corpus
    ids = corpus.documents["id"].gather(corpus.rows("train")[positions[:SHOWN]]).to_list()
    more = f" and {len(positions) - SHOWN:,} more" if len(positions) > SHOWN else ""
    return f", with the documents {', '.join(map(repr, ids))}{more}"
