"""Callbacks on evaluations."""

from pytorch_lightning import LightningModule, Trainer

from etm_app.model import ETM

__all__ = ["OnEvaluations"]


class OnEvaluations:
    """Hooks for a callback on evaluations of any documents; before `Callback` among its bases.

    Lightning has one set of hooks for `validate` and for the validations within a `fit`, in the middle of which nothing
    is final, and another for `test`. `fit` ends with `validate` and `test` of its best checkpoint.
    """

    # Hooks of ours, for a callback to override those that it needs.

    def on_evaluated(self, trainer: Trainer, model: ETM, split: str) -> None:
        """After each evaluation, within a fit as well: metrics of ``split`` (val or test) can be logged."""

    def on_final(self, trainer: Trainer, model: ETM, split: str) -> None:
        """After that, in `validate` and `test` alone: metrics can still be logged."""

    def on_measured(self, trainer: Trainer, model: ETM) -> None:
        """At the end of `validate` and `test`: all metrics are there."""

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lightning's hook."""
        assert isinstance(pl_module, ETM)
        if not trainer.sanity_checking:
            self.on_evaluated(trainer, pl_module, "val")
        if trainer.state.fn == "validate":
            self.on_final(trainer, pl_module, "val")

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lightning's hook."""
        assert isinstance(pl_module, ETM)
        self.on_evaluated(trainer, pl_module, "test")
        self.on_final(trainer, pl_module, "test")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lightning's hook."""
        assert isinstance(pl_module, ETM)
        if trainer.state.fn == "validate":
            self.on_measured(trainer, pl_module)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lightning's hook."""
        assert isinstance(pl_module, ETM)
        self.on_measured(trainer, pl_module)
