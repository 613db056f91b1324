"""How checkpoints get onto the disk."""

from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.io import TorchCheckpointIO

from etm_app.files import RUN_FOLDER, replacing, writing

__all__ = ["CheckpointFiles"]


class CheckpointFiles(TorchCheckpointIO):
    """Lightning's, but a checkpoint is there as a whole or not at all.

    Lightning writes to the folder for temporary files and moves that; from another disk this is a copy, and where the
    disk is full half a last.ckpt in place of a good one.

    Args:
        argument: What says where they are written, for a message.

    Attributes:
        epochs: After how many epochs the checkpoints of this process were saved, by path.
    """

    def __init__(self, argument: str = RUN_FOLDER) -> None:
        self.argument = argument
        self.epochs: dict[Path, int] = {}

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Write a file beside it, then rename that.

        Raises:
            UserError: There is no room, or no permission.
        """
        if "://" in str(path):  # in the cloud, which Lightning knows
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        path = Path(path)
        content = BytesIO()
        torch.save(checkpoint, content)  # not to the file: torch would hide why that cannot be written
        with writing(path, self.argument):
            path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, self.argument) as unfinished:
            unfinished.write_bytes(content.getbuffer())
        self.epochs[path] = checkpoint["epoch"] + 1
