"""A fit that leaves the numbers ends at once, in one line, and keeps what was good."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from pytorch_lightning import Trainer

from etm_app.callbacks.divergence import DivergenceStop
from etm_app.data.digest import documents_digest
from etm_app.errors import UserError
from etm_app.model import ETM
from tests.conftest import Run
from tests.planted import VOCAB, PlantedDataModule, planted_counts

Error = Callable[[Callable[[], object]], str]


def test_one_topic(run: Run, tmp_path: Path) -> None:
    cli = run("fit", "--model.num_topics=1")
    assert (Path(cli.trainer.log_dir) / "report.html").is_file()
    best = Path(cli.trainer.log_dir) / "checkpoints" / "best.ckpt"
    run("predict", "--model.num_topics=1", f"--ckpt_path={best}", f"--prediction.path={tmp_path / 'theta.csv'}")
    np.testing.assert_array_equal(ETM.load_from_checkpoint(best).theta(planted_counts(5)), 1)


class Spoiled(ETM):
    """Its weights are lost in the second epoch."""

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        if self.current_epoch == 1:
            with torch.no_grad():
                self.topics.alpha.fill_(torch.nan)


@pytest.mark.parametrize("device", ["cpu", "other"])
def test_the_last_good_checkpoint_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    if device == "other":  # where losses are looked at together
        monkeypatch.setattr(DivergenceStop, "_at_once", staticmethod(lambda loss: False))
    run = Trainer(
        accelerator="cpu", max_epochs=3, default_root_dir=tmp_path, logger=False, callbacks=[DivergenceStop()],
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    model = Spoiled(len(VOCAB), 4, t_hidden_size=8, rho_size=6)
    with pytest.raises(UserError, match=r"'document [0-9]+'") as stop:
        run.fit(model, PlantedDataModule(batch_size=30))
    assert "at step 3, " in str(stop.value)  # of two an epoch
    (kept,) = tmp_path.rglob("*.ckpt")
    assert str(kept) in str(stop.value)
    assert ETM.load_from_checkpoint(kept).beta.isfinite().all()


def test_a_digest_is_of_documents_in_any_order() -> None:
    x = planted_counts(20)
    order = np.random.default_rng(0).permutation(20)

    def digest(x: np.ndarray, vocab: list[str] = VOCAB) -> str:  # type: ignore[type-arg]
        return documents_digest([PlantedDataModule(x, ["train"] * len(x)).training_set()], vocab)

    assert digest(x) == digest(x[order])
    swapped = x.copy()
    swapped[[0, 1], :24] = x[[1, 0], :24]  # words of two documents, so that all sums stay
    others = [swapped, x[:, ::-1], x[:-1], np.concatenate((x, x[:1])), 2 * x]
    assert len({digest(x), digest(x, VOCAB[::-1]), *map(digest, others)}) == 7
