import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from sklearn.utils import Bunch

from etm_app.data.corpus import BowCorpus
from etm_app.data.text.newsgroups import NewsgroupsDataModule
from etm_app.errors import UserError
from tests.paper_files import REAL, write_paper_files, write_part, write_rows
from tests.reference import dense

VOCAB = ["eins", "zwei", "drei", "vier"]
TS_H1 = np.array([[1, 0, 0, 2], [0, 0, 0, 0], [0, 1, 0, 0]])
TS_H2 = np.array([[0, 0, 1, 2], [0, 0, 0, 0], [1, 0, 0, 0]])
PARTS = {
    "tr": np.array([[2, 0, 1, 0], [0, 0, 0, 3], [0, 0, 0, 0], [1, 1, 1, 1]]),
    "va": np.array([[0, 5, 0, 0], [1, 0, 2, 0]]),
    "ts": TS_H1 + TS_H2,
}
WITH_HALVES = {**PARTS, "ts_h1": TS_H1, "ts_h2": TS_H2}


def read(folder: Path) -> BowCorpus:
    return NewsgroupsDataModule(data_dir=folder).build()


def split_of(corpus: BowCorpus, split: str) -> NDArray[np.int64]:
    """Dense counts of a split."""
    indptr, indices, values, _ = corpus.select(corpus.rows(split))
    x = np.zeros((len(indptr) - 1, corpus.vocab_size), np.int64)
    x[np.repeat(np.arange(len(x)), np.diff(indptr)), indices] = values
    return x


def assert_holds(corpus: BowCorpus, parts: dict[str, NDArray[np.int64]]) -> None:
    for part, split in (("tr", "train"), ("va", "val"), ("ts", "test")):
        np.testing.assert_array_equal(split_of(corpus, split), parts[part])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_paper_files(tmp_path / "20ng", WITH_HALVES, VOCAB)


@pytest.mark.parametrize("ending", [".mat", ""])
@pytest.mark.parametrize("parts", [PARTS, WITH_HALVES], ids=["without halves", "with halves"])
def test_ragged_files_are_read(tmp_path: Path, ending: str, parts: dict[str, NDArray[np.int64]]) -> None:
    corpus = read(write_paper_files(tmp_path, parts, VOCAB, ending=ending))
    assert_holds(corpus, parts)
    assert corpus.vocab == VOCAB
    assert (corpus.halves is not None) == ("ts_h1" in parts)
    assert corpus.documents["id"].is_unique().all()


@pytest.mark.parametrize("ending", [".mat", ""])
def test_rectangular_files_are_read(tmp_path: Path, ending: str) -> None:
    x = np.array([[2, 0, 1, 0], [0, 4, 0, 1], [1, 1, 0, 0]])  # documents of two words each
    parts = {"tr": x, "va": x[:1], "ts": x[1:]}
    assert_holds(read(write_paper_files(tmp_path, parts, VOCAB, ending=ending, ragged=False)), parts)


def test_halves_of_the_files_score_document_completion(folder: Path) -> None:
    module = NewsgroupsDataModule(data_dir=folder)
    (batch,) = module.test_dataloader()
    assert (dense(batch, batch.first_half).numpy() == TS_H1).all()
    (batch,) = module.val_dataloader()
    assert dense(batch, batch.first_half).sum(dim=1).tolist() == (PARTS["va"].sum(axis=1) // 2).tolist()


def test_repeated_words_and_zero_counts_are_summed(folder: Path) -> None:
    write_rows(folder, "va", "tokens", [[3, 0, 3], [1, 2]])
    write_rows(folder, "va", "counts", [[2, 1, 4], [0, 1]])
    assert_holds(read(folder), {**PARTS, "va": np.array([[1, 0, 0, 6], [0, 0, 1, 0]])})


def test_a_part_may_have_no_documents(folder: Path) -> None:
    write_part(folder, "va", np.zeros((0, 4), np.int64))
    assert_holds(read(folder), {**PARTS, "va": np.zeros((0, 4), np.int64)})


class Payload:
    """What an attacker pickles: unpickled as usual, it runs a command."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch '{self.path}'",)


def test_code_in_the_vocabulary_does_not_run(folder: Path) -> None:
    victim = folder / "pwned"
    payload = pickle.dumps(["eins", Payload(victim)])
    pickle.loads(payload)
    assert victim.exists()  # the attack works on a plain unpickler
    victim.unlink()
    (folder / "vocab.pkl").write_bytes(payload)
    with pytest.raises(UserError, match=r"vocab\.pkl was refused.*system"):
        read(folder)
    assert not victim.exists()


# The download, through a scikit-learn that has its files already.

TEXTS = {
    "train": ["space shuttle orbit", "space probe", "hockey game puck", "hockey space", "", "space game"] * 4,
    "test": ["shuttle launch space", "puck launch", "nothing known"],
}


def fetch(data_home: str, subset: str) -> Bunch:
    """20 Newsgroups in small, as `fetch_20newsgroups` returns it."""
    texts = TEXTS[subset]
    return Bunch(
        data=texts,
        target=np.arange(len(texts)) % 2,
        target_names=["rec.sport.hockey", "sci.space"],
        filenames=np.array([f"{data_home}/20news/sci.space/{subset}{row}" for row in range(len(texts))]),
    )


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Subsets fetched so far."""
    fetched: list[str] = []

    def recorded(data_home: str, subset: str, **kwargs: Any) -> Bunch:
        fetched.append(subset)
        return fetch(data_home, subset)

    monkeypatch.setattr("sklearn.datasets.fetch_20newsgroups", recorded)
    return fetched


def downloading(tmp_path: Path, **kwargs: Any) -> NewsgroupsDataModule:
    arguments = {"min_df": 2, "max_df": 1.0, "stop_words": "none", "val_fraction": 0.25, **kwargs}
    return NewsgroupsDataModule(data_dir=tmp_path / "none", cache_dir=tmp_path / "cache", **arguments)


def test_texts_are_downloaded_once_where_there_are_no_files(tmp_path: Path, downloads: list[str]) -> None:
    module = downloading(tmp_path)
    assert module.vocab == sorted(module.vocab)
    assert set(module.vocab) <= {"space", "shuttle", "orbit", "probe", "hockey", "game", "puck"}
    splits = module.corpus.documents["split"].to_list()
    assert (splits.count("train"), splits.count("val"), splits[24:]) == (18, 6, ["test"] * 3)
    assert module.corpus.documents["id"][:2].to_list() == ["sci.space/train0", "sci.space/train1"]
    assert module.corpus.documents["label"][24:].to_list() == ["rec.sport.hockey", "sci.space", "rec.sport.hockey"]
    assert split_of(module.corpus, "test").sum(axis=1).tolist() == [
        sum(word in module.vocab for word in text.split()) for text in TEXTS["test"]
    ]
    assert downloading(tmp_path).vocab == module.vocab
    assert sorted(downloads) == ["test", "train"]


def test_settings_of_the_download_matter(tmp_path: Path, downloads: list[str]) -> None:
    (tmp_path / "stop").write_text("space hockey")
    assert not {"space", "hockey"} & set(downloading(tmp_path, stop_words=str(tmp_path / "stop")).vocab)
    assert "space" in downloading(tmp_path).vocab
    other = downloading(tmp_path, seed=1).corpus.documents["split"]
    assert not other.equals(downloading(tmp_path).corpus.documents["split"])
    assert len(downloads) == 6


@pytest.mark.parametrize("make", [lambda folder: None, Path.mkdir, Path.touch], ids=["missing", "empty", "file"])
def test_without_files_and_network_both_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], object]
) -> None:
    def fail(**kwargs: Any) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("sklearn.datasets.fetch_20newsgroups", fail)
    make(tmp_path / "none")
    with pytest.raises(UserError, match=r"none.*vocab\.pkl.*bow_.*\.mat.*no route to host") as caught:
        downloading(tmp_path).vocab_size  # noqa: B018
    assert str(tmp_path / "none") in str(caught.value)


@pytest.mark.skipif(not REAL.exists(), reason=f"the paper's files are not in {REAL}")
def test_the_real_corpus() -> None:
    module = NewsgroupsDataModule(data_dir=REAL)
    sizes = module.corpus.documents["split"].value_counts().sort("count")["count"].to_list()
    assert sizes == [100, 7531, 11214]
    assert module.vocab_size == 3072
    assert isinstance(module.corpus.documents, pl.DataFrame)
    corpus, halves = module.corpus, module.corpus.halves
    assert halves is not None
    lengths, first = (
        np.add.reduceat(np.append(values, 0), corpus.indptr[:-1]) * (np.diff(corpus.indptr) > 0)
        for values in (corpus.counts, halves)
    )
    test = corpus.rows("test")
    assert (abs(lengths - 2 * first)[test] <= 1).all()
