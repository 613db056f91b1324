from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning import LightningDataModule, Trainer
from torch.utils.data import DataLoader, TensorDataset

from etm_app.callbacks.reference import ReferenceCoherence
from etm_app.data.corpus import BowCorpus
from etm_app.data.datamodule import BowDataModule
from etm_app.errors import UserError
from etm_app.metrics.coherence import npmi_coherence
from etm_app.model import ETM
from tests.planted import VOCAB, PlantedDataModule, planted_counts


def etm() -> ETM:
    torch.manual_seed(0)
    return ETM(len(VOCAB), num_topics=4, t_hidden_size=8, rho_size=6)


def measured(folder: Path, model: ETM, reference: LightningDataModule | None, **kwargs: Any) -> dict[str, float]:
    off = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
    callback = ReferenceCoherence(reference)
    trainer = Trainer(accelerator="cpu", callbacks=[callback], default_root_dir=folder, **off, **kwargs)
    if kwargs:
        trainer.fit(model, datamodule=PlantedDataModule())
        assert not [name for name in trainer.callback_metrics if "reference" in name]
    trainer.test(model, datamodule=PlantedDataModule(), verbose=False)
    return {
        name.removeprefix("test_reference_"): float(value)
        for name, value in trainer.callback_metrics.items()
        if "reference" in name
    }


class Shuffled(BowDataModule):
    """The planted corpus with its words in another order, some of them left out, and words of its own."""

    def __init__(self, left_out: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.left_out = left_out

    def build(self) -> BowCorpus:
        order = [v for v in np.random.default_rng(3).permutation(len(VOCAB)) if VOCAB[v] not in self.left_out]
        x = np.concatenate((planted_counts()[:, order], np.ones((90, 2), int)), axis=1)
        return BowCorpus.from_matrix(x, [*(VOCAB[v] for v in order), "own", "other"], ["val"] * 45 + ["train"] * 45)


def test_topics_are_matched_by_word_over_all_documents(tmp_path: Path) -> None:
    model = etm()
    values = measured(tmp_path, model, Shuffled())
    top_words = model.top_word_indices(10).numpy()
    x = np.concatenate((planted_counts(), np.ones((90, 1), int)), axis=1)  # no document is empty
    corpus = PlantedDataModule(x, ["train"] * 90).training_set()
    assert values["npmi"] == pytest.approx(npmi_coherence(top_words, corpus.chunks(100), 49).mean(), rel=1e-5)
    assert values["coverage"] == 1
    assert set(values) == {"npmi", "cv", "umass", "coverage"}


def test_the_words_that_it_lacks_are_counted_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = etm()
    measured(tmp_path, model, None)
    (first, *_), top_words = model.top_words(10), {word for row in model.top_words(10) for word in row}
    left_out = tuple(first[1:])
    with caplog.at_level("INFO"):
        values = measured(tmp_path, model, Shuffled(left_out))
    known = top_words - set(left_out)
    assert values["coverage"] == pytest.approx(len(known) / len(top_words))
    assert f"9 of {len(top_words)} top words are in none of its 90 documents" in caplog.text
    assert "1 of 4 topics" in caplog.text
    assert np.isfinite(list(values.values())).all()
    nothing = measured(tmp_path, model, Shuffled(tuple(VOCAB)))
    assert nothing["coverage"] == 0
    assert np.isnan(nothing["npmi"])


class Own(LightningDataModule):
    """A class of the user's own, with dense counts."""

    vocab: list[str] | None = VOCAB

    def __init__(self, documents: int = 90) -> None:
        super().__init__()
        self.documents = documents

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(TensorDataset(torch.as_tensor(planted_counts()[: self.documents])), batch_size=20)


def test_a_data_module_of_the_user_is_a_reference_too(tmp_path: Path) -> None:
    model = etm()
    ours = measured(tmp_path, model, PlantedDataModule(splits=["train"] * 90))
    assert measured(tmp_path, model, Own()) == pytest.approx(ours)


def test_what_is_wrong_with_it_shows_before_anything_is_trained(tmp_path: Path) -> None:
    reference = Own()
    reference.vocab = None
    with pytest.raises(UserError, match="reference: Own has no vocab"):
        measured(tmp_path, etm(), reference)
    bare = LightningDataModule()
    bare.vocab = ["a"]  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="LightningDataModule has no documents"):
        measured(tmp_path, etm(), bare)


def test_it_is_not_measured_in_the_middle_of_a_fit(tmp_path: Path) -> None:
    assert measured(tmp_path, etm(), Shuffled(), max_epochs=1)


def test_without_a_reference_there_is_nothing(tmp_path: Path) -> None:
    assert measured(tmp_path, etm(), None) == {}
