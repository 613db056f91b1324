"""Where there is no memory left: one line with what would take less, and what was written before stays."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from etm_app.model import ETM
from tests.conftest import Run

Error = Callable[[Callable[[], object]], str]
TAKES: dict[str, tuple[Callable[[], object], str]] = {  # more than any machine has
    "of NumPy": (lambda: np.ones(2**50), "8.00 PiB"),
    "of PyTorch": (lambda: torch.ones(2**50), "4,503,599,627,370,496 bytes"),
    "of Python": (lambda: bytes(2**62), "more"),
    "of a GPU": (
        lambda: _raise(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0")),
        "2.00 GiB",
    ),
}


def _raise(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(("take", "size"), TAKES.values(), ids=TAKES)
def test_it_is_said_in_a_line(
    run: Run, error: Error, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, take: Callable[[], object], size: str
) -> None:
    on_train_epoch_start = ETM.on_train_epoch_start

    def too_much(model: ETM) -> None:
        on_train_epoch_start(model)
        if model.current_epoch == 1:
            take()

    monkeypatch.setattr(ETM, "on_train_epoch_start", too_much)
    said = error(lambda: run("fit", "--trainer.max_epochs=3", "--report.enabled=false"))
    assert f"memory: there is none for {size} on " in said
    assert "--data.min_df" in said
    (last,) = tmp_path.rglob("last.ckpt")
    assert torch.load(last, weights_only=True)["epoch"] == 0


def test_other_errors_stay_what_they_are(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ETM, "on_train_epoch_start", lambda _: _raise(RuntimeError("no such thing")))
    with pytest.raises(RuntimeError, match="no such thing"):
        run("fit", "--report.enabled=false")
