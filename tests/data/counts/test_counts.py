"""Counts in all formats are one corpus, and what is wrong with a file is said by its name."""

import gzip
import os
import pickle
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.io
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.datasets import dump_svmlight_file

from etm_app.data.corpus import BowCorpus
from etm_app.data.counts.counts import CountsDataModule
from etm_app.data.counts.entries import EntrySorter
from etm_app.data.counts.formats import LongTable, MatrixMarket, Npz, SvmLight, Uci
from etm_app.data.text.newsgroups import NewsgroupsDataModule
from etm_app.errors import UserError
from tests.data.test_corpus import assert_equal, dense_corpus
from tests.paper_files import REAL, write_paper_files
from tests.planted import SPLITS, VOCAB, planted_counts
from tests.strategies import over_corpora

X = planted_counts()
Write = Callable[[Path, NDArray[np.int64], list[str]], Path]


def write_vocab(folder: Path, vocab: list[str], name: str = "vocab.txt") -> None:
    (folder / name).write_text("".join(f"{word}\n" for word in vocab))


def triples(x: NDArray[np.int64], columns: str = "document term count") -> pl.DataFrame:
    """Entries in an order of their own, from 0."""
    rows, words = x.nonzero()
    order = np.random.default_rng(1).permutation(len(rows))
    values = (rows[order], words[order], x[rows, words][order])
    return pl.DataFrame(dict(zip(columns.split(), values, strict=True)))


def write_uci(folder: Path, x: NDArray[np.int64], vocab: list[str]) -> Path:
    write_vocab(folder, vocab, "vocab.mine.txt")
    table = triples(x).select(pl.col("document") + 1, pl.col("term") + 1, "count").sort("document")
    header = f"{x.shape[0]}\n{x.shape[1]}\n{len(table)}\n"
    path = folder / "docword.mine.txt.gz"
    path.write_bytes(gzip.compress((header + table.write_csv(include_header=False, separator=" ")).encode()))
    return path


def write_npz(folder: Path, x: NDArray[np.int64], vocab: list[str]) -> Path:
    write_vocab(folder, vocab)
    sp.save_npz(folder / "counts.npz", sp.csc_matrix(x.astype(np.float32)))
    return folder / "counts.npz"


def write_mtx(folder: Path, x: NDArray[np.int64], vocab: list[str]) -> Path:
    write_vocab(folder, vocab)
    scipy.io.mmwrite(folder / "counts.mtx", sp.coo_array(x), comment="two\n lines", symmetry="general")
    return folder


def write_svmlight(folder: Path, x: NDArray[np.int64], vocab: list[str]) -> Path:
    write_vocab(folder, vocab)
    half = len(x) // 2  # two parts, as Spark leaves them
    for number, part in enumerate((x[:half], x[half:])):
        path = folder / f"part-{number}.libsvm"
        if len(part):
            dump_svmlight_file(part, np.arange(len(part)) % 2, str(path), zero_based=False, comment="made for a test")
    (folder / "_SUCCESS").touch()
    return folder


def write_parquet(folder: Path, x: NDArray[np.int64], vocab: list[str]) -> Path:
    write_vocab(folder, vocab)
    table = triples(x).with_columns(term=pl.col("term").map_elements(vocab.__getitem__, pl.String))
    third = -(-len(table) // 3)
    for number in range(3):
        table[number * third : (number + 1) * third].write_parquet(folder / f"part-{number}.snappy.parquet")
    (folder / "_SUCCESS").touch()
    return folder


def write_csv(folder: Path, x: NDArray[np.int64], vocab: list[str]) -> Path:
    write_vocab(folder, vocab)
    table = triples(x).with_columns(term=pl.col("term").map_elements(vocab.__getitem__, pl.String))
    (folder / "counts.csv.gz").write_bytes(gzip.compress(table.write_csv().encode()))
    return folder / "counts.csv.gz"


FORMATS: dict[str, Write] = {
    "npz": write_npz,
    "mtx": write_mtx,
    "uci": write_uci,
    "svmlight": write_svmlight,
    "parquet": write_parquet,
    "csv": write_csv,
}


def module(folder: Path, path: Path, **kwargs: object) -> CountsDataModule:
    return CountsDataModule(path, cache_dir=folder / "cache", **kwargs)  # type: ignore[arg-type]


def read(folder: Path, format: str, x: NDArray[np.int64], vocab: list[str], **kwargs: object) -> BowCorpus:
    """The corpus of counts that were written in a format; long tables get what they cannot tell."""
    folder.mkdir(parents=True, exist_ok=True)
    path = FORMATS[format](folder, x, vocab)
    if format in ("parquet", "csv"):
        documents = folder / "documents.tsv"  # names documents without a word
        pl.DataFrame({"document": [str(row) for row in range(len(x))]}).write_csv(documents, separator="\t")
        kwargs = {"vocab": folder / "vocab.txt", "documents": documents, **kwargs}
    if format == "svmlight":
        kwargs = {"first_word": 1, **kwargs}
    return module(folder, path, **kwargs).build()


def assert_holds(corpus: BowCorpus, x: NDArray[np.int64], vocab: list[str]) -> None:
    expected = BowCorpus.from_matrix(x, vocab, corpus.documents["split"].to_list())
    for name in ("indptr", "indices", "counts"):
        np.testing.assert_array_equal(getattr(corpus, name), getattr(expected, name))
        assert getattr(corpus, name).dtype == getattr(expected, name).dtype
    assert corpus.vocab == vocab
    assert corpus.documents["id"].to_list() == [str(row) for row in range(len(x))]


@pytest.mark.parametrize("format", FORMATS)
@settings(max_examples=12)
@over_corpora
def test_all_formats_hold_the_same_counts(tmp_path_factory, format: str, x: NDArray[np.int64]) -> None:  # type: ignore[no-untyped-def]
    if not x.any():  # nothing that a long table or scikit-learn's svmlight could hold
        return
    vocab = [f"wörd{word}" for word in range(x.shape[1])]
    corpus = read(tmp_path_factory.mktemp("counts"), format, x, vocab)
    assert_holds(corpus, x, vocab)


def test_all_formats_are_split_alike(tmp_path: Path) -> None:
    corpora = {format: read(tmp_path / format, format, X, VOCAB, val_fraction=0.2) for format in FORMATS}
    splits = corpora["npz"].documents["split"]
    assert splits.value_counts().sort("split")["count"].to_list() == [9, 63, 18]
    for corpus in corpora.values():
        assert_holds(corpus, X, VOCAB)
        assert corpus.documents["split"].equals(splits)


def test_pieces_of_any_size_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etm_app.data.counts.formats.CHUNK", 7)
    monkeypatch.setattr("etm_app.data.counts.formats.BLOCK", 50)
    monkeypatch.setattr("etm_app.data.counts.entries.CHUNK", 11)
    for format in FORMATS:
        assert_holds(read(tmp_path / format, format, X, VOCAB), X, VOCAB)
    monkeypatch.setattr("etm_app.data.counts.entries.MAX_FILES", 4)
    assert_holds(read(tmp_path / "few", "mtx", X, VOCAB), X, VOCAB)


def test_a_long_table_alone_tells_its_words_and_documents(tmp_path: Path) -> None:
    pl.DataFrame({
        "doc": ["b", "a", "b", "c", "a"],
        "word": ["zwei", "eins", "zwei", "eins", "drei"],
        "n": [1, 2, 3, 0, 5],
    }).write_parquet(tmp_path / "counts.parquet")  # fmt: skip
    names = {"document_column": "doc", "term_column": "word", "count_column": "n"}
    corpus = module(tmp_path, tmp_path, **names).build()
    assert corpus.vocab == ["drei", "eins", "zwei"]
    assert corpus.documents["id"].to_list() == ["a", "b", "c"]
    assert dense_corpus(corpus, corpus.counts).tolist() == [[5, 2, 0], [0, 0, 4], [0, 0, 0]]
    assert corpus.meta["repeated_entries"] == corpus.meta["zero_entries"] == 1
    (tmp_path / "vocab.txt").write_text("zwei\nvier\n")
    corpus = module(tmp_path, tmp_path / "*.parquet", vocab=tmp_path / "vocab.txt", **names).build()
    assert dense_corpus(corpus, corpus.counts).tolist() == [[0, 0], [4, 0], [0, 0]]
    assert corpus.meta["unknown_entries"] == 3


def test_documents_are_ordered_by_number(tmp_path: Path) -> None:
    pl.DataFrame({"document": ["10", "9", "-1"], "term": ["a"] * 3, "count": [10, 9, 1]}).write_csv(tmp_path / "n.csv")
    assert module(tmp_path, tmp_path / "n.csv").build().counts.tolist() == [1, 9, 10]


@pytest.mark.parametrize("format", FORMATS)
def test_splits_from_separate_files(tmp_path: Path, format: str) -> None:
    own = {split: X[[of == split for of in SPLITS]] for split in ("train", "val", "test")}
    paths = {}
    for split, x in own.items():
        (tmp_path / split).mkdir()
        x = x[x.any(axis=1)] if format in ("parquet", "csv") else x
        own[split] = x
        paths[split] = FORMATS[format](tmp_path / split, x, VOCAB)
    vocab = {"vocab": tmp_path / "train" / "vocab.txt"} if format in ("parquet", "csv") else {}
    corpus = module(tmp_path, paths["train"], val_path=paths["val"], test_path=paths["test"], **vocab).build()
    for split, x in own.items():
        np.testing.assert_array_equal(dense_corpus(corpus, corpus.counts)[corpus.rows(split)], x)
    assert corpus.documents["id"].is_unique().all()
    assert corpus.documents["id"][0] == "train/0"


def test_a_table_of_the_documents(tmp_path: Path) -> None:
    path = write_npz(tmp_path, X, VOCAB)
    table = pl.DataFrame({"document": [f"d{row}" for row in range(90)], "label": ["x"] * 90, "split": SPLITS})
    table.write_parquet(tmp_path / "documents.parquet")
    corpus = module(tmp_path, path, documents=tmp_path / "documents.parquet").build()
    assert corpus.documents.equals(table.select("document", "split", "label").rename({"document": "id"}))


def test_labels_of_svmlight(tmp_path: Path) -> None:
    (tmp_path / "a.svmlight").write_text("1 1:2 3:1 # a comment: 7\n\n# nothing\n-1 qid:3 2:4\n+1\n")
    write_vocab(tmp_path, ["a", "b", "c"])
    corpus = module(tmp_path, tmp_path / "a.svmlight").build()
    assert corpus.documents["label"].to_list() == ["1", "-1", "+1"]
    assert dense_corpus(corpus, corpus.counts).tolist() == [[2, 0, 1], [0, 4, 0], [0, 0, 0]]


def test_a_byte_order_mark_is_no_part_of_a_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etm_app.data.counts.formats.BLOCK", 12)
    (tmp_path / "a.svmlight").write_text("x 1:2 2:1\nx 1:1\ny 1:3\n", encoding="utf-8-sig")
    write_vocab(tmp_path, ["a", "b"])
    assert module(tmp_path, tmp_path / "a.svmlight").build().documents["label"].to_list() == ["x", "x", "y"]


@pytest.mark.parametrize(("first", "given"), [(0, None), (1, None), (0, 0), (1, 1)])
def test_svmlight_counts_from_0_or_1(tmp_path: Path, first: int, given: int | None) -> None:
    write_vocab(tmp_path, ["a", "b", "c"])
    (tmp_path / "train.svm").write_text(f"0 {first}:1 {1 + first}:2\n0 {2 + first}:1\n")
    (tmp_path / "val.svm").write_text(f"0 {1 + first}:3\n")  # may count from either
    corpus = module(tmp_path, tmp_path / "train.svm", val_path=tmp_path / "val.svm", first_word=given).build()
    assert dense_corpus(corpus, corpus.counts).tolist() == [[1, 2, 0], [0, 0, 1], [0, 3, 0]]


def test_svmlight_that_does_not_tell_is_not_guessed(tmp_path: Path) -> None:
    """Neither the first word nor the last is in a few new documents, as these are rare."""
    write_vocab(tmp_path, ["aa", "bb", "cc", "dd"])
    path = tmp_path / "new.svm"
    options: dict[str, Any] = {"val_fraction": 0, "test_fraction": 0}
    for first, x in enumerate(([[0, 2, 1, 0]], [[2, 1, 0, 0]])):
        dump_svmlight_file(x, [0], str(path), zero_based=not first)
        assert path.read_text() == "0 1:2 2:1\n"
        with pytest.raises(UserError, match=r"data\.first_word: null, but .*new.svm has no word 0 and no word 4"):
            module(tmp_path, path, **options).build()
        corpus = module(tmp_path, path, first_word=first, **options).build()
        assert dense_corpus(corpus, corpus.counts).tolist() == x
    (tmp_path / "val.svm").write_text("0 2:1 4:1\n")  # tells for both
    corpus = module(tmp_path, path, val_path=tmp_path / "val.svm", test_fraction=0).build()
    assert dense_corpus(corpus, corpus.counts).tolist() == [[2, 1, 0, 0], [0, 1, 0, 1]]
    path.write_text("0\n1 # no word\n")
    assert len(module(tmp_path, path, **options).build()) == 2


@pytest.mark.parametrize("format", ["uci", "mtx"])
@given(st.data())
def test_repeated_entries_are_added_up(tmp_path_factory, format: str, data: st.DataObject) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path_factory.mktemp("repeated")
    entry = st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(0, 4))
    entries = [(1, 1, 1), *data.draw(st.lists(entry, max_size=12))]
    x = np.zeros((3, 2), np.int64)
    np.add.at(x, (np.array(entries)[:, 0] - 1, np.array(entries)[:, 1] - 1), np.array(entries)[:, 2])
    header = f"3\n2\n{len(entries)}\n" if format == "uci" else f"{BANNER}3 2 {len(entries)}\n"
    path = folder / ("docword.txt" if format == "uci" else "a.mtx")
    path.write_text(header + "".join(f"{d} {w}\t {n}\r\n" for d, w, n in entries))
    write_vocab(folder, ["a", "b"])
    corpus = module(folder, path).build()
    np.testing.assert_array_equal(dense_corpus(corpus, corpus.counts), x)
    zeros = sum(n == 0 for _, _, n in entries)
    assert corpus.meta["zero_entries"] == zeros
    assert corpus.meta["repeated_entries"] == len(entries) - zeros - (x > 0).sum()


@pytest.mark.parametrize("grow", [False, True])
def test_words_of_a_checkpoint_are_found_in_all_splits(tmp_path: Path, grow: bool) -> None:
    parts = {"train": ["bb", "new"], "val": ["dd"], "test": ["cc", "new", "unseen"]}
    for split, terms in parts.items():
        table = pl.DataFrame({"document": ["d"] * len(terms), "term": terms, "count": range(2, 2 + len(terms))})
        table.write_parquet(tmp_path / f"{split}.parquet")
    paths = {f"{split}_path": tmp_path / f"{split}.parquet" for split in ("val", "test")}
    data = module(tmp_path, tmp_path / "train.parquet", grow_vocab=grow, **paths)
    data.use(["aa", "bb", "cc", "dd"], None)
    found = dense_corpus(data.corpus, data.corpus.counts)
    assert found[:, :4].tolist() == [[0, 2, 0, 0], [0, 0, 0, 2], [0, 0, 2, 0]]
    assert data.vocab[4:] == ["new"] * grow
    assert found[:, 4:].tolist() == ([[3], [0], [3]] if grow else [[], [], []])
    assert data.corpus.meta["tokens"] == 16
    assert data.corpus.meta["unknown_tokens"] == (4 if grow else 10)


# What files are called.


@pytest.mark.parametrize("by_pattern", [False, True])
@pytest.mark.parametrize("format", ["svmlight", "parquet", "csv"])
def test_parts_whose_names_tell_nothing(tmp_path: Path, format: str, by_pattern: bool) -> None:
    (tmp_path / "counts").mkdir()
    FORMATS[format](tmp_path / "counts", X, VOCAB)  # with a vocab.txt, whose name is enough
    for number, path in enumerate(sorted((tmp_path / "counts").glob("[pc]*"))):
        with path.open("rb") as file:
            content = gzip.decompress(file.read()) if path.suffix == ".gz" else file.read()
        path.unlink()
        (tmp_path / "counts" / f"part-{number:05}").write_bytes(content)
    write_npz(tmp_path / "counts", X, VOCAB)  # of another format
    path = tmp_path / "counts" / "*" if by_pattern else tmp_path / "counts"
    assert module(tmp_path, path, format=format).build().counts.sum() == X.sum()


def test_a_matrix_whose_name_tells_nothing(tmp_path: Path) -> None:
    write_npz(tmp_path, X, VOCAB).rename(tmp_path / "matrix")
    assert_holds(module(tmp_path, tmp_path, format="npz").build(), X, VOCAB)
    sp.save_npz(tmp_path / "counts.npz", sp.csr_array(X + 1))  # whose name does
    assert_holds(module(tmp_path, tmp_path, format="npz").build(), X + 1, VOCAB)


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_the_format_that_is_told_is_meant(tmp_path: Path, format: str) -> None:
    path = FORMATS[format](tmp_path, X, VOCAB)
    table = pl.scan_parquet(path / "*.parquet") if format == "parquet" else pl.scan_csv(path)
    for name in ("counts.data", "counts.tsv.parquet" if format == "csv" else "counts.csv"):
        if format == "parquet":
            table.collect().write_parquet(tmp_path / name)
        else:
            table.collect().write_csv(tmp_path / name, separator="\t" if ".tsv" in name else ",")
        assert module(tmp_path, tmp_path / name, format=format).build().counts.sum() == X.sum()


@pytest.mark.parametrize("name", ["X.PARQUET", "X.TSV", "X.SVM.GZ", "DOCWORD.x.TXT.GZ"])
def test_endings_in_capitals(tmp_path: Path, name: str) -> None:
    write_vocab(tmp_path, ["a", "b"], "vocab.x.txt" if "x" in name else "vocab.txt")
    table = pl.DataFrame({"document": ["0", "1", "1"], "term": ["a", "a", "b"], "count": [3, 1, 2]})
    if name == "X.PARQUET":
        table.write_parquet(tmp_path / name)
    elif name == "X.TSV":
        table.write_csv(tmp_path / name, separator="\t")
    else:
        content = "0 1:3\n0 1:1 2:2\n" if "SVM" in name else "2\n2\n3\n1 1 3\n2 1 1\n2 2 2\n"
        (tmp_path / name).write_bytes(gzip.compress(content.encode()))
    assert_holds(module(tmp_path, tmp_path).build(), np.array([[3, 0], [1, 2]]), ["a", "b"])


@pytest.mark.parametrize("absolute", [False, True])
def test_a_table_among_the_counts_is_none_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, absolute: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "counts" if absolute else Path("counts")
    other = Path("counts") if absolute else tmp_path / "counts"
    folder.mkdir()
    write_parquet(folder, X, VOCAB)
    pl.DataFrame({"document": [str(row) for row in range(len(X))]}).write_parquet(folder / "documents.parquet")
    (folder / "words.csv").write_bytes((folder / "vocab.txt").read_bytes())
    corpus = module(tmp_path, folder, documents=other / "documents.parquet", vocab=other / "words.csv").build()
    assert_holds(corpus, X, VOCAB)


# What a job on a cluster leaves.


def test_what_is_not_data_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "counts").mkdir()
    write_parquet(tmp_path / "counts", X, VOCAB)
    for folder in ("_temporary/0/task_1", ".staging", "_temporary/0/_temporary/attempt_1"):
        (tmp_path / "counts" / folder).mkdir(parents=True)
        shutil.copy(tmp_path / "counts" / "part-0.snappy.parquet", tmp_path / "counts" / folder / "part-0.parquet")
    (tmp_path / "counts" / ".part-0.snappy.parquet.crc").write_bytes(b"crc")
    (tmp_path / "counts" / "_bucket=1").mkdir()  # a value of a column, as Spark writes it
    (tmp_path / "counts" / "part-1.snappy.parquet").rename(tmp_path / "counts" / "_bucket=1" / "part-1.parquet")
    for path in (tmp_path / "counts", tmp_path / "counts" / "**" / "*.parquet"):
        assert module(tmp_path, path).build().counts.sum() == X.sum()
    hidden = tmp_path / "_here"  # what the user names is meant
    (tmp_path / "counts").rename(hidden)
    assert module(tmp_path, hidden / "p*.parquet").build().counts.sum() < X.sum()


@pytest.mark.parametrize("format", ["svmlight", "parquet", "csv"])
def test_parts_with_nothing_in_them_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture, format: str) -> None:
    read(tmp_path / "whole", format, X, VOCAB)
    assert "without a document" not in caplog.text
    folder = tmp_path / "parts"
    shutil.copytree(tmp_path / "whole", folder)
    if format != "svmlight":
        (folder / "documents.tsv").rename(tmp_path / "documents.tsv")
    names = [f"a.{format}"] if format == "parquet" else [f"a.{format}", f"b.{format}.gz", f"c.{format}"]
    for name, content in zip(
        names, ("", "", "document,term,count\n" if format == "csv" else "# nothing\n"), strict=False
    ):
        (folder / name).write_bytes(gzip.compress(b"") if name.endswith(".gz") else content.encode())
    if format == "parquet":
        LONG.with_columns(count=pl.lit(1.5)).clear().write_parquet(folder / names[0])
    documents = None if format == "svmlight" else tmp_path / "documents.tsv"
    with_nothing = module(tmp_path, folder, vocab=folder / "vocab.txt", documents=documents).build()
    assert_holds(with_nothing, X, VOCAB)
    assert f"files without a document, {len(names)} of " in caplog.text
    assert f"{folder}: {', '.join(names)}." in caplog.text


@pytest.mark.parametrize("format", [None, "csv"])
def test_what_is_no_part_by_its_name_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, format: str | None
) -> None:
    folder = tmp_path / "counts"
    folder.mkdir()
    for name, word in (("part-1.csv", "x"), ("part-00000", "y")):
        (folder / name).write_text(f"document,term,count\na,{word},1\n")
    (folder / "_SUCCESS").touch()
    caplog.set_level("INFO", "pytorch_lightning.utilities.rank_zero")
    assert module(tmp_path, folder, format=format).build().vocab == ["x"]
    assert "not read, as their names tell no csv, 1 beside 1 that are: part-00000." in caplog.text
    caplog.clear()
    (folder / "part-00000").rename(folder / "part-0.csv")
    assert module(tmp_path, folder, format=format).build().vocab == ["x", "y"]
    assert "not read" not in caplog.text


@pytest.mark.parametrize("format", ["svmlight", "parquet"])
def test_a_part_that_is_there_twice_is_said(tmp_path: Path, format: str) -> None:
    (tmp_path / "counts").mkdir()
    path = FORMATS[format](tmp_path / "counts", X, VOCAB)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        once = module(tmp_path, path).build().counts.sum()
    part = next(path.glob("part-0*"))
    shutil.copy(part, part.with_name(f"part-0-again{part.suffix}"))
    with pytest.warns(UserWarning, match=r"copies of others, 1 of \d in .*: part-0.* of part-0.*, say.* counts twice"):
        twice = module(tmp_path, path).build().counts.sum()
    assert once < twice < 2 * once


# The paper's files.


@pytest.fixture
def paper(tmp_path: Path, paper_dir: Path) -> Path:
    folder = tmp_path / "paper"
    folder.mkdir()
    for path in paper_dir.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_the_papers_files_are_the_same_by_either_module(paper: Path, tmp_path: Path) -> None:
    expected = NewsgroupsDataModule(data_dir=paper).corpus
    assert_equal(module(tmp_path, paper).corpus, expected)
    assert_equal(module(tmp_path, paper / "bow_va_counts.mat").corpus, expected)


@pytest.mark.skipif(not REAL.exists(), reason=f"the paper's files are not in {REAL}")
def test_the_real_corpus_is_the_same_by_either_module(tmp_path: Path) -> None:
    assert_equal(module(tmp_path, REAL).corpus, NewsgroupsDataModule(data_dir=REAL).corpus)


def test_the_papers_layout_under_another_name_with_a_text_vocabulary(paper: Path, tmp_path: Path) -> None:
    expected = module(tmp_path, paper).build()
    for path in paper.glob("bow_*"):
        path.rename(path.with_name(path.name.replace("bow_", "my_own_")))
    (paper / "vocab.pkl").unlink()
    write_vocab(paper, VOCAB)
    assert_equal(module(tmp_path, paper).build(), expected)


def test_parts_without_files_are_drawn(paper: Path, tmp_path: Path) -> None:
    for path in paper.glob("bow_va_*"):
        path.unlink()
    corpus = module(tmp_path, paper, val_fraction=0.25).build()
    assert [len(corpus.rows(split)) for split in ("train", "val", "test")] == [45, 15, 15]
    for path in paper.glob("bow_ts_*"):
        path.unlink()
    corpus = module(tmp_path, paper).build()
    assert [len(corpus.rows(split)) for split in ("train", "val", "test")] == [48, 6, 6]
    assert corpus.documents["id"][0] == "0"


# Mistakes.

BANNER = "%%MatrixMarket matrix coordinate integer general\n"


def text(name: str, content: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        write_vocab(folder, ["a", "b", "c"])
        (folder / name).write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
        return folder / name

    return write


def table(frame: pl.DataFrame) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        frame.write_parquet(folder / "counts.parquet")
        return folder / "counts.parquet"

    return write


def cut(write: Write, name: str) -> Callable[[Path], Path]:
    def cut_in_half(folder: Path) -> Path:
        path = write(folder, X, VOCAB)
        damaged = folder / name
        damaged.write_bytes(damaged.read_bytes()[: damaged.stat().st_size // 2])
        return path

    return cut_in_half


def npz(x: NDArray[np.float64]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        write_vocab(folder, ["a", "b", "c"])
        sp.save_npz(folder / "counts.npz", sp.csr_array(x))
        return folder / "counts.npz"

    return write


def binary(name: str, content: bytes) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        write_vocab(folder, ["a", "b", "c"])
        (folder / name).write_bytes(content)
        return folder / name

    return write


def without(name: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (write_paper_files(folder, {"tr": X}, VOCAB) / name).unlink()
        return folder

    return write


def cut_paper_file(name: str) -> Callable[[Path], Path]:
    return cut(lambda folder, x, vocab: write_paper_files(folder, {"tr": x}, vocab), name)


class Payload:
    """What an attacker pickles: unpickled as usual, it makes a folder."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, ("pwned",)


def attack(folder: Path) -> Path:
    (folder / "vocab.pkl").write_bytes(pickle.dumps([Payload()]))
    sp.save_npz(folder / "counts.npz", sp.csr_array(X))
    return folder / "counts.npz"


def huge_memo(folder: Path) -> Path:
    """Two bytes and a number, for which unpickling would take 16 GB."""
    path = attack(folder)
    (folder / "vocab.pkl").write_bytes(b"\x80\x04]r\xff\xff\xff\x7f.")
    return path


def pickled_npz(folder: Path) -> Path:
    write_vocab(folder, VOCAB)
    np.savez(folder / "counts.npz", format=np.array("csr"), data=np.array([Payload()], dtype=object))
    return folder / "counts.npz"


def unfinished(folder: Path, some: bool = True) -> Path:
    """As a job of Spark leaves its folder that was ended in the middle."""
    task = folder / "_temporary" / "0" / "task_1"
    task.mkdir(parents=True)
    for path in [task, folder] if some else [task]:
        LONG.write_parquet(path / "part-0.parquet")
    return folder


LONG = pl.DataFrame({"document": ["a", "b"], "term": ["x", "y"], "count": [1, 2]})
# What is kept.


def test_the_cache_follows_content_not_times(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_npz(tmp_path, X, VOCAB)
    first = module(tmp_path, path).corpus
    os.utime(path, (0, 0))
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    path.rename(moved / path.name)
    write_vocab(moved, VOCAB)
    caplog.clear()
    assert_equal(module(tmp_path, moved / path.name).corpus, first)
    assert "reused from" in caplog.text
    changed = X.copy()
    changed[0, 0] += 1
    assert_holds(module(tmp_path, write_npz(tmp_path, changed, VOCAB)).corpus, changed, VOCAB)
    assert_holds(module(tmp_path, write_npz(tmp_path, X, VOCAB[::-1])).corpus, X, VOCAB[::-1])
    other = module(tmp_path, moved / path.name, seed=1).corpus
    assert not other.documents.equals(first.documents)


def test_no_piece_grows_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etm_app.data.counts.formats.CHUNK", 100)
    monkeypatch.setattr("etm_app.data.counts.formats.BLOCK", 1000)
    x = planted_counts(600)
    for name in FORMATS:
        (tmp_path / name).mkdir()
        FORMATS[name](tmp_path / name, x, VOCAB)

    def files(format: str, pattern: str) -> tuple[list[Path], str]:
        return sorted((tmp_path / format).glob(pattern)), "data.path"

    readers = [
        Npz(*files("npz", "*.npz"), VOCAB),
        MatrixMarket(*files("mtx", "*.mtx"), VOCAB),
        Uci(*files("uci", "docword*"), VOCAB),
        SvmLight(*files("svmlight", "part*"), VOCAB),
        LongTable(*files("parquet", "*.parquet"), None, "parquet", ("document", "term", "count")),
    ]
    for reader in readers:
        sizes = [len(documents) for documents, _, _ in reader.entries()]
        assert sum(sizes) == (x > 0).sum()
        assert max(sizes) <= 250
        assert len(sizes) > 20
    monkeypatch.setattr("etm_app.data.counts.entries.CHUNK", 100)
    for order in ("in order", "mixed"):
        (tmp_path / order).mkdir()
        sorter = EntrySorter(tmp_path / order, len(VOCAB))
        rows, words = x.nonzero()
        mixed = np.random.default_rng(0).permutation(len(rows)) if order == "mixed" else np.arange(len(rows))
        sorter.append(rows[mixed], words[mixed], x[rows, words][mixed])
        pieces = list(sorter.documents(len(x)))
        assert sum(len(indptr) - 1 for indptr, _, _ in pieces) == len(x)
        assert max(len(indices) for _, indices, _ in pieces) <= 100 + len(VOCAB)
        assert not list((tmp_path / order).iterdir())
