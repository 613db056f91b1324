from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer

from etm_app.callbacks.collapse import CollapseMonitor
from etm_app.model import ETM
from tests.planted import VOCAB, PlantedDataModule


def monitored(tmp_path: Path, max_epochs: int) -> tuple[CollapseMonitor, Trainer]:
    monitor = CollapseMonitor()
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    options: dict[str, Any] = {"max_epochs": max_epochs, "accelerator": "cpu", "default_root_dir": tmp_path, **quiet}
    return monitor, Trainer(callbacks=[monitor], **options)


def etm(**arguments: Any) -> ETM:
    torch.manual_seed(0)
    return ETM(len(VOCAB), num_topics=4, t_hidden_size=16, rho_size=8, **arguments)


def test_topics_that_are_all_one_are_reported_once(tmp_path: Path) -> None:
    """All topics start as one, and at a rate of 0 nothing parts them."""
    model = etm(warm_start=False)
    with torch.no_grad():
        model.topics.alpha.copy_(model.topics.alpha[:1].expand(4, -1))
    model.optimizer = lambda params: torch.optim.SGD(params, lr=0.0)
    monitor, trainer = monitored(tmp_path, 3)
    with pytest.warns(UserWarning, match="collapsed") as warned:
        trainer.fit(model, datamodule=PlantedDataModule())
    assert len([warning for warning in warned if "collapsed" in str(warning.message)]) == 1
    assert "6 of 6 pairs" in monitor.warning
    assert trainer.callback_metrics["val_duplicate_topics"] == 6
    assert "set model.warm_start to true" in monitor.warning
    assert "anchor" not in monitor.warning  # which does nothing without a warm start


@pytest.mark.parametrize("inference", ["mixture", "mixed_membership", "encoder"])
def test_the_advice_is_for_the_model(tmp_path: Path, inference: str) -> None:
    """Topics that were placed by a warm start, have become one since, and stay so."""
    model = etm(inference=inference, anchor=0.3)
    with torch.no_grad():
        model.topics.alpha.copy_(model.topics.alpha[:1].expand(4, -1))
        model.placed.fill_(True)
    model.optimizer = lambda params: torch.optim.SGD(params, lr=0.0)
    monitor, trainer = monitored(tmp_path, 1)
    with pytest.warns(UserWarning, match="collapsed"):
        trainer.fit(model, datamodule=PlantedDataModule())
    assert "take fewer topics, or raise model.anchor from 0.3" in monitor.warning
    assert "warm_start" not in monitor.warning
    assert ("model.inference" in monitor.warning) == (inference == "encoder")


def test_topics_that_are_apart_are_not_reported(tmp_path: Path) -> None:
    monitor, trainer = monitored(tmp_path, 10)
    trainer.fit(etm(), datamodule=PlantedDataModule())
    assert not monitor.warning
    assert trainer.callback_metrics["val_duplicate_topics"] == 0
    assert trainer.callback_metrics["val_active_topics"] == 4
    assert 0.25 <= trainer.callback_metrics["val_largest_topic_share"] < 0.5


def test_a_single_topic_is_no_collapse(tmp_path: Path) -> None:
    monitor, trainer = monitored(tmp_path, 1)
    trainer.fit(ETM(len(VOCAB), num_topics=1, t_hidden_size=4, rho_size=4), datamodule=PlantedDataModule())
    assert not monitor.warning
    assert trainer.callback_metrics["val_active_topics"] == 1
    assert trainer.callback_metrics["val_largest_topic_share"] == pytest.approx(1)
