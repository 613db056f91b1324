"""What a user changes of a model by hand, and how it is kept: names of topics, and the model as a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning import __version__ as lightning_version  # type: ignore[attr-defined]  # not in its __all__

from etm_app.checkpoint.content import read_checkpoint
from etm_app.checkpoint.files import CheckpointFiles
from etm_app.errors import UserError
from etm_app.evaluation import EvaluatedModel
from etm_app.topic_names import check_names

__all__ = ["EditedModel"]


class EditedModel(EvaluatedModel):
    """A model whose topics can be named, and that can be written to a file."""

    def name_topics(self, names: Mapping[int, str | None]) -> None:
        """Give topics names, by which everything that shows topics calls them.

        Args:
            names: By the topic's number; None takes a name away. Topics that are not among them keep theirs.

        Raises:
            UserError: There is no such topic; or a name is none, or another topic's.
        """
        new = {topic: name for topic, name in {**self.given_names, **names}.items() if name is not None}
        check_names(new, len(self.alpha), "name_topics")
        self.given_names = new

    def save(self, path: str | Path) -> None:
        """Write the model as a checkpoint, which ``load_from_checkpoint`` and every command take.

        It has the model alone: `fit` goes on from its topics with a new optimizer, counting epochs from 0.

        Args:
            path: The file; a checkpoint of an ETM that is there is replaced.

        Raises:
            UserError: It is there and something else, or it cannot be written.
        """
        path = Path(path).expanduser()
        if path.exists():
            try:
                read_checkpoint(path, type(self))
            except UserError as error:
                raise UserError(
                    f"path: {path} is there, and no checkpoint that etm_app wrote; it is kept. Expected another name."
                ) from error
        configured: Any = self.configure_optimizers()
        schedulers = []
        if isinstance(configured, dict):
            schedulers = [configured["lr_scheduler"]["scheduler"].state_dict()]
            configured = configured["optimizer"]
        checkpoint = {
            "epoch": 0,
            "global_step": 0,
            "pytorch-lightning_version": lightning_version,
            "state_dict": self.state_dict(),
            "optimizer_states": [configured.state_dict()],
            "lr_schedulers": schedulers,
            "hparams_name": "kwargs",
            "hyper_parameters": dict(self.hparams),
        }
        self.on_save_checkpoint(checkpoint)
        CheckpointFiles("path").save_checkpoint(checkpoint, path)
