import errno
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from pytorch_lightning import LightningDataModule, Trainer
from torch.utils.data import DataLoader, TensorDataset

from etm_app.callbacks.prediction import ThetaWriter, is_theta_table
from etm_app.data.corpus import BowCorpus
from etm_app.errors import UserError
from etm_app.model import ETM
from tests.planted import SPLITS, VOCAB, PlantedDataModule, planted_counts

X = planted_counts()


class Labelled(PlantedDataModule):
    """With a label for each document."""

    def build(self) -> BowCorpus:
        labels = [f"label {row % 3}" for row in range(len(self.x))]
        ids = [f"/{row}.txt" for row in range(len(self.x))]
        return BowCorpus.from_matrix(self.x, VOCAB, self.splits, ids=ids, labels=labels)


class Dense(LightningDataModule):
    """A user's own, without ids: batches made by the loader, or by the user."""

    def __init__(self, *, in_batches: bool) -> None:
        super().__init__()
        self.in_batches = in_batches

    def predict_dataloader(self) -> DataLoader:  # type: ignore[type-arg]
        if self.in_batches:
            return DataLoader(list(torch.tensor(X).split(7)), batch_size=None)  # type: ignore[arg-type]
        return DataLoader(TensorDataset(torch.tensor(X)), batch_size=7)


@pytest.fixture
def model() -> ETM:
    torch.manual_seed(0)
    return ETM(len(VOCAB), num_topics=4, t_hidden_size=8, rho_size=6)


def predict(
    model: ETM, datamodule: LightningDataModule, root: Path, path: Path | None = None, *, overwrite: bool = False
) -> ThetaWriter:
    writer = ThetaWriter(path, overwrite)
    trainer = Trainer(
        accelerator="cpu", logger=False, callbacks=[writer], enable_progress_bar=False, default_root_dir=root
    )
    trainer.predict(model, datamodule, return_predictions=False)
    return writer


def read(writer: ThetaWriter) -> pl.DataFrame:
    assert writer.written is not None
    return pl.read_parquet(writer.written)


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_every_document_has_its_row(tmp_path: Path, model: ETM, batch_size: int) -> None:
    writer = predict(model, Labelled(batch_size=batch_size), tmp_path)
    table = read(writer)
    assert table["row"].to_list() == list(range(90))
    assert table["id"].to_list() == [f"/{row}.txt" for row in range(90)]
    assert table["split"].to_list() == SPLITS
    assert table["label"].to_list() == [f"label {row % 3}" for row in range(90)]
    empty = X.sum(axis=1) == 0
    assert table["status"].to_list() == ["empty" if is_empty else "ok" for is_empty in empty]
    theta = table.select("^theta_.*$").to_numpy()
    np.testing.assert_allclose(theta, model.theta(X).numpy(), rtol=1e-5)
    np.testing.assert_allclose(theta.sum(axis=1), 1, rtol=1e-5)
    assert theta[empty] == pytest.approx(1 / 4)  # the prior's mean, before anything is learned
    assert (table["topic"].to_numpy() == theta.argmax(axis=1)).all()
    assert (writer.num_documents, writer.num_empty) == (90, empty.sum())


@pytest.mark.parametrize("in_batches", [False, True])
def test_documents_of_a_plain_data_module_are_numbered(tmp_path: Path, model: ETM, in_batches: bool) -> None:
    table = read(predict(model, Dense(in_batches=in_batches), tmp_path))
    assert table["id"].to_list() == [str(row) for row in range(90)]
    np.testing.assert_allclose(table.select("^theta_.*$").to_numpy(), model.theta(X).numpy(), rtol=1e-5)


def test_the_file_goes_where_it_is_wanted_and_nothing_else_stays(tmp_path: Path, model: ETM) -> None:
    path = tmp_path / "new" / "folder" / "my.parquet"
    for _ in range(2):  # the second time over the first
        writer = predict(model, Labelled(), tmp_path, path)
        assert writer.written == path
        assert len(read(writer)) == 90
        assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("ending", [".parquet", ".csv", ".jsonl"])
def test_only_a_table_of_ours_is_replaced(tmp_path: Path, model: ETM, ending: str) -> None:
    path = tmp_path / f"theta{ending}"
    path.touch()  # holds nothing that could be lost
    predict(model, Labelled(), tmp_path, path)
    assert is_theta_table(path)
    predict(model, Dense(in_batches=False), tmp_path, path)
    assert is_theta_table(path)
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / path.name
    table = pl.DataFrame({"row": [0], "id": ["a"], "text": ["precious"]})
    {".parquet": table.write_parquet, ".csv": table.write_csv, ".jsonl": table.write_ndjson}[ending](other)
    for content in (other.read_bytes(), b"\x00 neither this nor that"):
        other.write_bytes(content)
        with pytest.raises(UserError, match=r"prediction\.path.*kept.*prediction\.overwrite true"):
            predict(model, Labelled(), tmp_path, other)
        assert other.read_bytes() == content
    predict(model, Labelled(), tmp_path, other, overwrite=True)
    assert is_theta_table(other)
    assert [file.name for file in other.parent.iterdir()] == [path.name]


def test_what_a_link_points_to_is_replaced(tmp_path: Path, model: ETM) -> None:
    (tmp_path / "elsewhere").mkdir()
    link, target = tmp_path / "theta.csv", tmp_path / "elsewhere" / "theta.csv"
    link.symlink_to(target)
    predict(model, Labelled(), tmp_path, link)
    assert link.is_symlink()
    assert is_theta_table(target)


@pytest.mark.parametrize("batch", [0, 3, None])
def test_without_room_nothing_stays(
    tmp_path: Path, model: ETM, monkeypatch: pytest.MonkeyPatch, batch: int | None
) -> None:
    write, written = pl.DataFrame.write_parquet, []

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def until_full(table: pl.DataFrame, path: Path) -> None:
        written.append(path)
        full() if len(written) - 1 == batch else write(table, path)

    monkeypatch.setattr(pl.DataFrame, "write_parquet", until_full)
    if batch is None:
        monkeypatch.setattr(Path, "replace", full)
    path = tmp_path / "new" / "folder" / "theta.parquet"
    with pytest.raises(UserError, match=r"prediction\.path.*No space left"):
        predict(model, Labelled(batch_size=10), tmp_path, path)
    assert written
    assert not (tmp_path / "new").exists()
