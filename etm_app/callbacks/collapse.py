"""A watch over topics that nobody uses, or that are all one."""

from pytorch_lightning import Callback, Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_warn

from etm_app.callbacks.evaluation import OnEvaluations
from etm_app.metrics.usage import active_topics, duplicate_topics
from etm_app.model import ETM

__all__ = ["CollapseMonitor"]

MAX_DUPLICATE_SHARE = 0.02  # of all pairs
MAX_TOPIC_SHARE = 0.5
MIN_ACTIVE_SHARE = 0.5  # of all topics


class CollapseMonitor(OnEvaluations, Callback):
    """Logs active and duplicate topics and the largest one's share with every evaluation; warns once of a collapse."""

    def __init__(self) -> None:
        self.warning = ""

    def on_evaluated(self, trainer: Trainer, model: ETM, split: str) -> None:
        """Log, and warn where topics have collapsed in a fit."""
        usage = model.usage.compute()
        if not usage:
            return
        num_topics = usage["share"].numel()
        active, largest = active_topics(usage["share"]), usage["share"].max().item()
        duplicates = duplicate_topics(model.top_word_indices(10).cpu().numpy())
        values = {"active_topics": active, "largest_topic_share": largest, "duplicate_topics": duplicates}
        model.log_dict({f"{split}_{name}": float(value) for name, value in values.items()}, sync_dist=True)
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
                for name, value in usage.items():
                    logger.experiment.add_histogram(f"{split}/topic_{name}", value.float(), trainer.global_step)
        num_pairs = num_topics * (num_topics - 1) / 2
        collapsed = (
            duplicates > max(MAX_DUPLICATE_SHARE * num_pairs, 1)  # one pair of a few is no collapse
            or (largest > MAX_TOPIC_SHARE and num_topics > 2)
            or active < MIN_ACTIVE_SHARE * num_topics
        )
        if collapsed and not self.warning and trainer.state.fn == "fit":
            self.warning = (
                f"The topics have collapsed at step {trainer.global_step}: {active} of {num_topics} are in use, "
                f"{duplicates} of {num_pairs:.0f} pairs are nearly the same, the largest has {largest:.0%} of the "
                f"documents. Train on if it is early; else {_remedy(model)}."
            )
            rank_zero_warn(self.warning)


def _remedy(model: ETM) -> str:
    """What to change of this model."""
    if not model.warm_start:
        return "set model.warm_start to true: topics that start alike part slowly, or never"
    other = ", or leave model.inference out" if model.encoder is not None else ""
    return f"take fewer topics, or raise model.anchor from {model.anchor.weight:g}{other}"
