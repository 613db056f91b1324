"""How an estimator is kept: as a checkpoint of its model, or pickled with one."""

from collections.abc import Sequence
from copy import copy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from etm_app.data.vocabulary import check_vocab
from etm_app.errors import UserError
from etm_app.estimator.training import Training, apart
from etm_app.model import ETM

__all__ = ["SavedTopics"]

Self = TypeVar("Self", bound="SavedTopics")


class SavedTopics(BaseEstimator):  # type: ignore[misc]  # untyped
    """An estimator with an ETM.

    Attributes:
        model_: The model.
        _training: What training goes on with; None where that is not known.
    """

    model_: ETM
    _training: Training | None

    def save(self, path: str | Path, feature_names: Sequence[str] | None = None) -> None:
        """Write a checkpoint, which the command line takes as well; it holds no code, as a pickle does.

        Args:
            path: The file, ``topics.ckpt`` say.
            feature_names: As in `top_words`, each once; those of this estimator stay as they are.

        Raises:
            UserError: As `ETM.save`; or the names are too few or too many, or repeat.
        """
        check_is_fitted(self, "model_")
        named = copy(self.model_)
        named.vocab = self._words(feature_names)
        check_vocab(named.vocab, "feature_names")
        named.save(path)

    @classmethod
    def load(cls: type[Self], path: str | Path) -> Self:
        """The estimator of a checkpoint, of `save` or of the command line; it may be a stranger's.

        Raises:
            UserError: There is no such file, or it holds anything else.
        """
        model = _read(path)
        names = ("inference", "anchor", "relevance", "rho_size")
        estimator = cls(model.hparams["num_topics"], **{name: model.hparams[name] for name in names})
        estimator.model_, estimator._training = model, None
        if model.analyzer is None:
            estimator.n_features_in_ = model.vocab_size
        return estimator

    def _words(self, feature_names: Sequence[str] | None) -> list[str]:
        if feature_names is None:
            return self.model_.known_vocab
        if len(names := list(map(str, feature_names))) != self.model_.vocab_size:
            raise UserError(
                f"feature_names: {len(names)} for {self.model_.vocab_size} columns of X; expected one for each."
            )
        return names

    def __getstate__(self) -> dict[str, Any]:
        """With a checkpoint in place of the model, whose optimizer is a function without a name."""
        state: dict[str, Any] = dict(super().__getstate__())
        if (model := state.pop("model_", None)) is not None:
            with TemporaryDirectory() as folder:
                model.save(Path(folder) / "model.ckpt")
                state["_checkpoint"] = (Path(folder) / "model.ckpt").read_bytes()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make the model of it again."""
        if (checkpoint := state.pop("_checkpoint", None)) is not None:
            with TemporaryDirectory() as folder:
                (Path(folder) / "model.ckpt").write_bytes(checkpoint)
                state = {**state, "model_": _read(Path(folder) / "model.ckpt")}
        super().__setstate__(state)


def _read(path: str | Path) -> ETM:
    with apart(0):  # weights are drawn before they are read
        return ETM.load_from_checkpoint(path).eval()
