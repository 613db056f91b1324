"""TensorBoard's log of a run, arranged for somebody who looks at it."""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only

from etm_app.files import writing

__all__ = ["RunLogger"]

SPLITS = ("train", "val", "test")
OF_TRAINING = ("epoch", "epoch_time", "learning_rate")
COMPARED = [f"{split}/{name}" for split in SPLITS[1:] for name in ("perplexity", "topic_coherence", "topic_diversity")]


class RunLogger(TensorBoardLogger):
    """Lightning's TensorBoardLogger with a group of cards for each split, and with measures beside the settings.

    TensorBoard groups by what is before a slash, so ``val_perplexity`` is ``val/perplexity`` there, and there alone.
    """

    def __init__(self, save_dir: str, version: int | str | None = None) -> None:
        super().__init__(save_dir, version=version, default_hp_metric=False)

    @property
    def experiment(self) -> Any:
        """TensorBoard's writer, which makes its folder and file when it is first asked for."""
        with writing(Path(self.log_dir)):
            return super().experiment

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Write values at a step."""
        super().log_metrics({_tag(name): value for name, value in metrics.items()}, step)

    @rank_zero_only
    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, metrics: dict[str, Any] | None = None, step: int | None = None
    ) -> None:
        """Write the settings for the page on which TensorBoard compares runs, and by which measures it does."""
        # Here, as a run without TensorBoard does not need it.
        from torch.utils.tensorboard.summary import hparams

        given = params if isinstance(params, dict) else vars(params)
        shown = {name: value for name, value in given.items() if not name.startswith("_")}  # LightningCLI's own
        super().log_hyperparams(shown, metrics, step)
        plain = {name: value if isinstance(value, str | int | float) else str(value) for name, value in shown.items()}
        for summary in hparams(plain, dict.fromkeys(COMPARED)):  # type: ignore[no-untyped-call]
            self.experiment._get_file_writer().add_summary(summary)


def _tag(name: str) -> str:
    split, _, metric = name.partition("_")
    if split in SPLITS and metric:
        return f"{split}/{metric}"
    return f"train/{name}" if name in OF_TRAINING else name
