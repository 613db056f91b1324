"""The bar that shows how a training goes on."""

from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import RichProgressBar
from pytorch_lightning.callbacks.progress.rich_progress import ProcessingSpeedColumn, RichProgressBarTheme

__all__ = ["Progress"]


class Progress(RichProgressBar):
    """Lightning's, in one line of 80 characters: epochs from 1, and the one measure that the model is chosen by."""

    def __init__(self) -> None:
        super().__init__(theme=RichProgressBarTheme(metrics_format=".1f"))

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """The validation perplexity once it is known; before, or without validation documents, the training's bound."""
        shown = {**super().get_metrics(trainer, pl_module)}
        shown.pop("v_num", None)
        if "val_perplexity" in shown:
            shown = {"perplexity": shown.pop("val_perplexity"), **shown}
            shown.pop("train_elbo", None)
        return shown

    def configure_columns(self, trainer: Trainer) -> list[Any]:
        """Without steps a second, for which there is no room."""
        return [of for of in super().configure_columns(trainer) if not isinstance(of, ProcessingSpeedColumn)]

    def _get_train_description(self, current_epoch: int) -> str:  # Lightning has no other place to say it
        most = self.trainer.max_epochs
        last = f"/{most}" if most is not None and most > 0 else ""
        return f"Epoch {current_epoch + 1}{last}".ljust(len(self.validation_description))
