"""The best model of a run."""

from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import ModelCheckpoint

__all__ = ["BestCheckpoint"]


class BestCheckpoint(ModelCheckpoint):
    """Lightning's ModelCheckpoint that, in a resumed run, still knows the best model of the run before.

    Lightning forgets it where the folder is another one, which it is for every new version of a run; the resumed run
    would then call the best of its own epochs the best. Files of the other folder are never removed.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what was best, as long as its file is there."""
        if Path(state_dict.get("best_model_path", "")).is_file():
            super().load_state_dict({**state_dict, "dirpath": self.dirpath})
