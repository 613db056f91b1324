from pathlib import Path
from typing import Any

import pytest
from pytorch_lightning import Trainer
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from etm_app.callbacks.agreement import LabelAgreement
from etm_app.data.corpus import BowCorpus
from etm_app.model import ETM
from tests.planted import SPLITS, VOCAB, PlantedDataModule, planted_counts
from tests.report.test_survey import etm

TOPIC = planted_counts().reshape(len(SPLITS), 4, 12).sum(2).argmax(1)  # the planted topic that a document has most of
NAMES: list[str | None] = [None if row % 11 == 3 else f"label {topic}" for row, topic in enumerate(TOPIC)]


class Labelled(PlantedDataModule):
    """The planted corpus with labels."""

    def __init__(self, labels: list[str | None] = NAMES) -> None:
        super().__init__()
        self.labels = labels

    def build(self) -> BowCorpus:
        return BowCorpus.from_matrix(self.x, VOCAB, SPLITS, labels=self.labels)  # type: ignore[arg-type]


def trainer(folder: Path, **kwargs: Any) -> Trainer:
    off = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    return Trainer(accelerator="cpu", callbacks=[LabelAgreement()], default_root_dir=folder, **off, **kwargs)


@pytest.mark.parametrize("split", ["val", "test"])
def test_it_is_that_of_the_evaluated_documents(tmp_path: Path, split: str) -> None:
    model = etm()
    run = trainer(tmp_path)
    (run.validate if split == "val" else run.test)(model, datamodule=Labelled(), verbose=False)
    x = planted_counts()
    rows = [row for row, name in enumerate(NAMES) if name and x[row].any() and SPLITS[row] == split]
    assert len(rows) < SPLITS.count(split) - 1
    topics = model.theta(x[rows]).argmax(1).numpy()
    labels = [NAMES[row] for row in rows]
    values = {name: float(value) for name, value in run.callback_metrics.items()}
    assert values[f"{split}_nmi"] == pytest.approx(normalized_mutual_info_score(labels, topics))
    assert values[f"{split}_ari"] == pytest.approx(adjusted_rand_score(labels, topics))
    assert 0 < values[f"{split}_purity"] <= 1
    right = values[f"{split}_accuracy"] * len(rows)
    assert right == pytest.approx(round(right), abs=1e-4)


def test_topics_that_were_learned_agree_with_labels_and_only_the_end_of_a_run_says_so(tmp_path: Path) -> None:
    model, data = ETM(len(VOCAB), num_topics=4, t_hidden_size=32, rho_size=16), Labelled()
    run = trainer(tmp_path, max_epochs=60)
    run.fit(model, datamodule=data)
    assert not {"val_nmi", "val_accuracy"} & set(run.callback_metrics)
    run.test(model, datamodule=data, verbose=False)
    assert run.callback_metrics["test_accuracy"] > 0.7
    assert run.callback_metrics["test_nmi"] > 0.4


@pytest.mark.parametrize("missing", ["everywhere", "train", "test"])
def test_without_labels_there_is_nothing_to_agree_with(tmp_path: Path, missing: str) -> None:
    labels = [None if missing in (split, "everywhere") else "a" for split in SPLITS]
    run = trainer(tmp_path)
    run.test(etm(), datamodule=Labelled(labels), verbose=False)
    assert "test_nmi" not in run.callback_metrics
    assert run.callback_metrics["test_elbo"] < 0
