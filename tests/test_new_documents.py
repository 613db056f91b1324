"""From a person's texts to topics of new ones: what a checkpoint needs to know, and does."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from etm_app.cli.main import ETMCLI, main
from etm_app.data.text.texts import TextDataModule
from etm_app.errors import UserError
from etm_app.model import ETM
from tests.conftest import SMALL

WORDS = [f"{kind}{letter}" for kind in ("cat", "dog", "bird") for letter in "abcdefgh"]


def texts(size: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS[8 * (row % 3) : 8 * (row % 3) + 8], 12)) for row in range(size)]


TRAIN = texts(120, 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("new")
    pl.DataFrame({"name": [f"n{row}" for row in range(len(TRAIN))], "body": TRAIN}).write_csv(path / "train.csv")
    return path


def run(folder: Path, subcommand: str, *args: object) -> ETMCLI:
    where = [f"--trainer.default_root_dir={folder / 'runs'}", f"--data.cache_dir={folder / 'cache'}"]
    return main([subcommand, "--data=TextDataModule", *where, *SMALL, *map(str, args)])


TRAINING = ("--data.text_column=body", "--data.id_column=name", "--data.min_length=4", "--data.ngrams=2")


@pytest.fixture(scope="module")
def best(folder: Path) -> Path:
    cli = run(folder, "fit", f"--data.files={folder / 'train.csv'}", *TRAINING)
    return Path(cli.trainer.log_dir) / "checkpoints" / "best.ckpt"


def predict(folder: Path, best: Path, files: Path, *args: object, name: str = "theta.parquet") -> Path:
    path = folder / name
    run(folder, "predict", f"--ckpt_path={best}", f"--data.files={files}", f"--prediction.path={path}", *args)
    return path


def theta_of(table: pl.DataFrame) -> np.ndarray:  # type: ignore[type-arg]
    return table.select("^theta_.*$").to_numpy()


def test_a_training_document_as_a_new_one_has_the_same_topics(folder: Path, best: Path) -> None:
    new = predict(folder, best, folder / "train.csv", "--data.text_column=body")  # no other argument of the training
    data = TextDataModule(
        str(folder / "train.csv"), "body", "name", min_length=4, ngrams=2, cache_dir=folder / "cache", batch_size=50
    )
    model = ETM.load_from_checkpoint(best)
    assert model.vocab == data.vocab
    of_corpus = np.concatenate([model.theta(batch).numpy() for batch in data.predict_dataloader()])
    np.testing.assert_allclose(theta_of(pl.read_parquet(new)), of_corpus, atol=1e-6)
    np.testing.assert_allclose(model.transform(TRAIN), of_corpus, atol=1e-6)
    assert model.transform(TRAIN).dtype == np.float32
    assert model.transform([]).shape == (0, 4)


def test_every_row_of_the_input_has_its_row(folder: Path, best: Path) -> None:
    rng = np.random.default_rng(1)
    bodies = texts(1000, 1)
    special = rng.permutation(1000)[:70]
    for row in special[:50]:
        bodies[row] = ("", "  ", "!?")[row % 3]
    for row in special[50:]:
        bodies[row] = "unheard words"
    pl.DataFrame({"id": [f"={row}" for row in range(1000)], "text": bodies}).write_ndjson(folder / "new.jsonl")
    tables = {}
    for ending in ("parquet", "csv", "jsonl"):
        path = predict(folder, best, folder / "new.jsonl", "--data.id_column=id", name=f"theta.{ending}")
        read = {"parquet": pl.read_parquet, "csv": pl.read_csv, "jsonl": pl.read_ndjson}[ending]
        tables[ending] = read(path)
        assert tables[ending]["row"].to_list() == list(range(1000))
    table = tables["parquet"]
    assert table["id"].to_list() == [f"={row}" for row in range(1000)]
    assert table.filter(status="empty")["row"].to_list() == sorted(special)
    without_words, unknown = sorted(special[:50]), sorted(special[50:])
    assert table.filter(pl.col("oov_rate").is_null())["row"].to_list() == without_words
    assert table.filter(oov_rate=1.0)["row"].to_list() == unknown
    assert np.ptp(theta_of(table)[special], axis=0).max() < 1e-6  # the prior's mean
    for ending in ("csv", "jsonl"):
        np.testing.assert_allclose(theta_of(tables[ending]), theta_of(table), atol=1e-6)
    assert tables["jsonl"]["id"].to_list() == table["id"].to_list()
    assert tables["csv"]["id"].to_list() == [f"'={row}" for row in range(1000)]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_spreadsheet_runs_no_cell(folder: Path, best: Path, start: str) -> None:
    with (folder / "evil.csv").open("w", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([["text", "id", "c"], ["cata", f"{start}1+1", f"a{start}"]])
    path = predict(folder, best, folder / "evil.csv", "--data.id_column=id", "--data.label_column=c", name="e.csv")
    with path.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["id"] == f"'{start}1+1"
    assert row["label"] == f"a{start}"


def test_other_subcommands_use_the_checkpoint_s_words(folder: Path, best: Path) -> None:
    (folder / "other.txt").write_text("\n".join([*texts(60, 2), *["rare words"] * 20]))
    common = [f"--data.files={folder / 'other.txt'}", f"--ckpt_path={best}"]
    model = ETM.load_from_checkpoint(best)
    for subcommand, more in (("test", []), ("validate", []), ("fit", ["--trainer.max_epochs=3"])):
        cli = run(folder, subcommand, *common, *more)
        assert cli.datamodule.vocab == cli.datamodule.corpus.vocab == model.vocab
        assert cli.model.analyzer == model.analyzer
    resumed = ETM.load_from_checkpoint(Path(cli.trainer.log_dir) / "checkpoints" / "last.ckpt")
    assert resumed.analyzer == model.analyzer


def test_a_checkpoint_of_counts_is_used_with_the_arguments_of_the_data(
    folder: Path, checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    vocab = ETM.load_from_checkpoint(checkpoint).vocab
    assert vocab is not None
    (folder / "words.txt").write_text("\n".join([vocab[0], "unheard", vocab[-1].upper()]))
    with caplog.at_level("INFO", "pytorch_lightning.utilities.rank_zero"):
        path = predict(folder, checkpoint, folder / "words.txt", "--data.token_pattern=\\S+", "--data.min_length=1")
    assert "does not say how texts were cut" in caplog.text
    assert pl.read_parquet(path)["status"].to_list() == ["ok", "empty", "ok"]
    with pytest.raises(UserError, match="counts"):
        ETM.load_from_checkpoint(checkpoint).transform(["a"])


def by_spaces(text: str) -> list[str]:
    return text.split()


def test_a_tokenizer_is_imported_only_if_it_is_named(folder: Path) -> None:
    name = "tests.test_new_documents.by_spaces"
    files = f"--data.files={folder / 'train.csv'}"
    cli = run(folder, "fit", files, "--data.text_column=body", f"--data.tokenizer={name}")
    best = Path(cli.trainer.log_dir) / "checkpoints" / "best.ckpt"
    path = predict(folder, best, folder / "train.csv", "--data.text_column=body", f"--data.tokenizer={name}")
    model = ETM.load_from_checkpoint(best)
    np.testing.assert_allclose(theta_of(pl.read_parquet(path)), model.transform(TRAIN, name), atol=1e-6)
    with pytest.raises(UserError, match="tokenizer"):
        model.transform(TRAIN)


def test_two_processes_predict_as_one(folder: Path, best: Path) -> None:
    one = pl.read_parquet(predict(folder, best, folder / "train.csv", "--data.text_column=body"))
    path = folder / "two.parquet"
    together = ["--trainer.accelerator=cpu", "--trainer.devices=2", "--trainer.strategy=ddp"]
    data = ["--data=TextDataModule", f"--data.files={folder / 'train.csv'}", "--data.text_column=body"]
    args = [*data, "--data.batch_size=7", f"--ckpt_path={best}", f"--prediction.path={path}", *SMALL, *together]
    where = [f"--trainer.default_root_dir={folder / 'runs'}", f"--data.cache_dir={folder / 'cache'}"]
    command = [sys.executable, "-m", "etm_app", "predict", *args, *where]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=os.environ)
    assert done.returncode == 0, done.stderr
    two = pl.read_parquet(path)
    assert two["row"].to_list() == list(range(len(TRAIN)))
    assert two.drop("^theta_.*$").equals(one.drop("^theta_.*$"))
    np.testing.assert_allclose(theta_of(two), theta_of(one), atol=1e-6)
