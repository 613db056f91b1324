import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from etm_app.data.corpus import SPLITS, BowCorpus, BowDataset
from etm_app.errors import UserError
from tests.reference import batch_of, dense
from tests.strategies import counts, over_corpora, words

X = np.array([[0, 2, 1], [0, 0, 0], [4, 0, 0], [1, 1, 1]])
ARRAYS = ("indptr", "indices", "counts", "halves")
FILES = [*(f"{name}.npy" for name in ARRAYS), "vocab.txt", "documents.arrow", "meta.json"]


def corpus_of(x: NDArray[np.int64], **kwargs: object) -> BowCorpus:
    arguments = {"splits": [SPLITS[row % 3] for row in range(x.shape[0])], **kwargs}
    return BowCorpus.from_matrix(x, [f"w{word}" for word in range(x.shape[1])], **arguments)  # type: ignore[arg-type]


def dense_corpus(corpus: BowCorpus, values: NDArray[np.int32]) -> NDArray[np.int64]:
    return sp.csr_array((values, corpus.indices, corpus.indptr), (len(corpus), corpus.vocab_size)).toarray()


def assert_equal(actual: BowCorpus, expected: BowCorpus) -> None:
    for name in ARRAYS:
        ours, theirs = getattr(actual, name), getattr(expected, name)
        assert (ours is None) == (theirs is None)
        if theirs is not None:
            np.testing.assert_array_equal(ours, theirs)
            assert ours.dtype == theirs.dtype
    assert actual.vocab == expected.vocab
    assert actual.documents.equals(expected.documents)
    assert actual.meta == expected.meta


@over_corpora
def test_any_kind_of_matrix_makes_the_same_corpus(x: NDArray[np.int64]) -> None:
    expected = corpus_of(x)
    assert (dense_corpus(expected, expected.counts) == x).all()
    assert all((np.diff(row) > 0).all() for row in np.split(expected.indices, expected.indptr[1:-1]))
    every_word, indptr = np.indices(x.shape)[1], np.arange(len(x) + 1) * x.shape[1]
    with_zeros = sp.csr_array((x.flatten(), every_word.flatten(), indptr.copy()), x.shape)
    unsorted = sp.csr_array((np.fliplr(x).flatten(), np.fliplr(every_word).flatten(), indptr), x.shape)
    twice = sp.coo_array((np.tile(x.ravel(), 2), np.tile(np.indices(x.shape).reshape(2, -1), 2)), x.shape)
    for matrix in (x.astype(float), sp.coo_array(x), sp.csc_matrix(x), with_zeros, unsorted):
        assert_equal(corpus_of(matrix, splits=expected.documents["split"].to_list()), expected)
    assert_equal(corpus_of(twice, splits=expected.documents["split"].to_list()), corpus_of(2 * x))


@pytest.mark.parametrize("kind", [sp.csr_array, sp.csr_matrix])
def test_the_matrix_that_is_given_stays_as_it_is(kind: type[sp.csr_array]) -> None:
    data, indices, indptr = np.array([0, 5, 1, 2]), np.array([2, 0, 1, 1]), np.array([0, 2, 4])
    matrix, other = (kind((values, indices, indptr), (2, 3)) for values in (data, np.ones(4, np.int64)))
    expected, expected_other = matrix.toarray(), other.toarray()
    assert len(corpus_of(matrix).counts) == 2
    assert (matrix.toarray() == expected).all()
    assert (other.toarray() == expected_other).all()


@over_corpora
def test_splits_share_out_the_documents(x: NDArray[np.int64]) -> None:
    corpus = corpus_of(x)
    rows = np.concatenate([corpus.rows(split) for split in SPLITS])
    assert sorted(rows) == list(range(len(x)))


@given(counts(), st.data())
def test_documents_are_selected_as_scipy_does(x, data) -> None:  # type: ignore[no-untyped-def]
    corpus = corpus_of(x)
    rows = np.array(data.draw(st.lists(st.integers(0, len(x) - 1), max_size=8)), np.int64)
    indptr, indices, values, positions = corpus.select(rows)
    expected = sp.csr_array((corpus.counts, corpus.indices, corpus.indptr), x.shape)[rows]
    np.testing.assert_array_equal(indptr, expected.indptr)
    np.testing.assert_array_equal(indices, expected.indices)
    np.testing.assert_array_equal(values, expected.data)
    np.testing.assert_array_equal(corpus.counts[positions], values)


@pytest.mark.parametrize(
    ("matrix", "arguments", "message"),
    [
        (X, {"vocab": ["a", "b"]}, "3 columns, the vocabulary 2 words"),
        (X, {"vocab": ["a", "b", "a"]}, "repeats 1 of its words"),
        (X, {"vocab": ["a", "b\nc", "d"]}, "line break"),
        (X, {"splits": ["train"]}, "1 for 4 documents"),
        (X, {"splits": ["train", "val", "test", "dev"]}, "dev"),
        (X, {"ids": ["one"]}, "ids"),
        (X, {"labels": ["one"]}, "label"),
        (-X, {}, "negative or fractional"),
        (X / 2, {}, "negative or fractional"),
        (np.where(X > 3, np.nan, X), {}, "counts must be whole"),
        (np.where(X > 3, np.inf, X), {}, "counts must be whole"),
        (np.where(X > 3, 2**31, X), {}, "count"),
        (X, {"halves": sp.csr_array(X + 1)}, "halves"),
        (X, {"halves": sp.csr_array(np.array([[1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]))}, "halves"),
    ],
)
def test_what_does_not_fit_is_refused(matrix: NDArray[np.float64], arguments: dict[str, object], message: str) -> None:
    defaults = {"vocab": ["a", "b", "c"], "splits": ["train"] * 4}
    with pytest.raises(UserError, match=message):
        BowCorpus.from_matrix(matrix, **{**defaults, **arguments})  # type: ignore[arg-type]


@given(counts(), st.data(), st.booleans(), st.booleans())
def test_a_corpus_comes_back_from_disk(tmp_path: Path, x, data, with_halves, with_labels) -> None:  # type: ignore[no-untyped-def]
    names = st.lists(words, min_size=len(x), max_size=len(x))
    corpus = BowCorpus.from_matrix(
        x,
        data.draw(st.lists(words, min_size=x.shape[1], max_size=x.shape[1], unique=True)),
        data.draw(st.lists(st.sampled_from(SPLITS), min_size=len(x), max_size=len(x))),
        ids=data.draw(names),
        labels=data.draw(names) if with_labels else None,
        halves=sp.csr_array(x // 2) if with_halves else None,
        meta={"source": "hypothesis", "größe": 1},
    )
    folder = tmp_path / "corpora" / "one"
    corpus.save(folder)  # over the one before
    loaded = BowCorpus.load(folder)
    assert_equal(loaded, corpus)
    assert isinstance(loaded.counts, np.memmap)
    assert [path.name for path in folder.parent.iterdir()] == ["one"]


def test_a_corpus_without_documents_comes_back_from_disk(tmp_path: Path) -> None:
    corpus = corpus_of(np.zeros((0, 2), np.int64))
    corpus.save(tmp_path / "corpus")
    assert_equal(BowCorpus.load(tmp_path / "corpus"), corpus)


@pytest.mark.parametrize("there_before", [False, True])
def test_a_corpus_is_never_half_there(tmp_path: Path, there_before: bool) -> None:
    folder = tmp_path / "corpora" / "one"
    before = corpus_of(X)
    if there_before:
        before.save(folder)
    with pytest.raises(TypeError):  # meta.json, written last, cannot hold this
        corpus_of(X, meta={"source": object()}).save(folder)
    assert [path.name for path in folder.parent.iterdir()] == ["one"] * there_before
    if there_before:
        assert_equal(BowCorpus.load(folder), before)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut": cut,
    "noise": lambda path: path.write_bytes(bytes(range(256))),
}


@pytest.mark.parametrize(
    ("name", "damage"),
    [(name, damage) for name in FILES for damage in DAMAGES],
)
def test_a_damaged_folder_is_refused(tmp_path: Path, name: str, damage: str) -> None:
    corpus_of(X, halves=sp.csr_array(X // 2)).save(tmp_path / "corpus")
    DAMAGES[damage](tmp_path / "corpus" / name)
    with pytest.raises(UserError, match="holds no readable corpus"):
        BowCorpus.load(tmp_path / "corpus")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("meta.json", b'{"format_version": 0}'),
        ("meta.json", b"{}"),
        ("meta.json", b"[]"),
        ("vocab.txt", b"a\nb\nc\nd\n"),
    ],
)
def test_files_of_another_corpus_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    corpus_of(X).save(tmp_path / "corpus")
    (tmp_path / "corpus" / name).write_bytes(content)
    with pytest.raises(UserError, match="holds no readable corpus"):
        BowCorpus.load(tmp_path / "corpus")


@pytest.mark.parametrize("name", ["indices", "counts", "halves", "documents"])
def test_files_that_do_not_fit_together_are_refused(tmp_path: Path, name: str) -> None:  # fails for counts and halves
    folder = tmp_path / "corpus"
    corpus_of(X, halves=sp.csr_array(X // 2)).save(folder)
    if name == "documents":
        corpus_of(X[:-1]).documents.write_ipc(folder / "documents.arrow")
    else:
        np.save(folder / f"{name}.npy", np.load(folder / f"{name}.npy")[:-1])
    with pytest.raises(UserError, match="holds no readable corpus"):
        BowCorpus.load(folder)


def changed(name: str, change: Callable[[NDArray[np.int64]], NDArray[np.int64]]) -> Callable[[Path], None]:
    """Another array in place of one, whole and of its type."""

    def write(folder: Path) -> None:
        array = np.load(folder / f"{name}.npy")
        np.save(folder / f"{name}.npy", change(array).astype(array.dtype))

    return write


def rewritten(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        meta = json.loads((folder / "meta.json").read_text())
        change(meta)
        (folder / "meta.json").write_text(json.dumps(meta))

    return write


WRONG: dict[str, Callable[[Path], None]] = {
    "a word that is none": changed("indices", lambda words: words + (words == words.max()) * 1_000),
    "a negative word": changed("indices", lambda words: words - 1),
    "another word": changed("indices", lambda words: np.where(words == 1, 0, words)),
    "another count": changed("counts", lambda counts: counts + 1),
    "a count of none": changed("counts", lambda counts: counts * 0),
    "larger halves than counts": changed("halves", lambda halves: halves + 100),
    "documents that end before they start": changed("indptr", lambda starts: np.append(starts[:-1][::-1], starts[-1])),
    "documents that start elsewhere": changed("indptr", lambda starts: np.append(starts[:-1] + 1, starts[-1])),
    "documents that end beyond the entries": changed("indptr", lambda starts: starts * 2),
    "other ends of texts": changed("excerpt_ends", lambda ends: ends * 100),
    "other texts": changed("excerpt_bytes", lambda texts: texts + 128),
    "another word in the vocabulary": lambda folder: (folder / "vocab.txt").write_text("w0\nw1\nother\n") and None,
    "another split": lambda folder: corpus_of(X, splits=["train"] * 4).documents.write_ipc(folder / "documents.arrow"),
    "another setting": rewritten(lambda meta: meta.update(source="else")),
    "a setting less": rewritten(lambda meta: meta.pop("source")),
    "an array less": rewritten(lambda meta: meta["arrays"].remove("halves")),
    "a file less": rewritten(lambda meta: meta["files"].pop("counts.npy")),
    "no files": rewritten(lambda meta: meta.pop("files")),
    "files of another kind": rewritten(lambda meta: meta.update(files=[1])),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_whole_but_not_what_was_written_is_refused(tmp_path: Path, name: str) -> None:
    texts = pl.Series(["a", "b", "c", "d"])
    corpus_of(X, halves=sp.csr_array(X // 2), texts=texts, meta={"source": "a test"}).save(tmp_path / "corpus")
    WRONG[name](tmp_path / "corpus")
    with pytest.raises(UserError, match="holds no readable corpus") as refused:
        BowCorpus.load(tmp_path / "corpus")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", [*FILES, "excerpt_ends.npy", "excerpt_bytes.npy"])
def test_a_flipped_bit_is_seen_or_changes_nothing(tmp_path: Path, name: str) -> None:
    corpus = corpus_of(X, halves=sp.csr_array(X // 2), texts=pl.Series(["a", "b", "c", "d"]), meta={"source": "a test"})
    corpus.save(folder := tmp_path / "corpus")
    whole, rng = (folder / name).read_bytes(), np.random.default_rng(0)
    seen = 0
    for at in rng.choice(len(whole), min(len(whole), 60), replace=False):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << int(rng.integers(8))
        (folder / name).write_bytes(damaged)
        try:
            assert_equal(BowCorpus.load(folder), corpus)
        except UserError as error:
            assert "holds no readable corpus" in str(error)  # noqa: PT017
            seen += 1
    assert seen > 0.9 * min(len(whole), 60)


@over_corpora
def test_a_dataset_makes_batches_of_its_documents(x: NDArray[np.int64]) -> None:
    rows = np.flatnonzero(np.arange(len(x)) % 2 == 0)
    dataset = BowDataset(corpus_of(x), rows, with_gradients=True)
    assert len(dataset) == len(rows)
    batch = dataset[range(len(rows))]
    expected = batch_of(x[rows])
    assert (dense(batch, batch.counts).numpy() == x[rows]).all()
    assert batch.num_nonempty == expected.num_nonempty
    assert batch.by_word is not None
    assert expected.by_word is not None
    assert batch.by_word.order.tolist() == expected.by_word.order.tolist()


@pytest.mark.parametrize("positions", [[3, 0], [1], []])
def test_halves_of_the_source_are_used_as_they_are(positions: list[int]) -> None:
    halves = np.array([[0, 0, 1], [0, 0, 0], [3, 0, 0], [1, 0, 1]])
    dataset = BowDataset(corpus_of(X, halves=sp.csr_array(halves)), np.arange(4), with_halves=True)
    batch = dataset[positions]
    assert batch.first_half is not None
    assert (dense(batch, batch.first_half).numpy() == halves[positions]).all()


@given(counts(), st.integers(1, 5))
def test_batches_and_the_matrix_are_the_documents_in_order(x, size) -> None:  # type: ignore[no-untyped-def]
    dataset = BowDataset(corpus_of(x), np.arange(len(x)))
    batches = list(dataset.batches(size))
    assert all(len(batch) == size for batch in batches[:-1])
    assert (np.concatenate([dense(batch, batch.counts).numpy() for batch in batches]) == x).all()
    assert (dataset.counts().toarray() == x).all()


@given(st.integers(1, 20), st.integers(1, 25))
def test_a_sample_is_spread_over_the_documents(size: int, wanted: int) -> None:
    dataset = BowDataset(corpus_of(np.arange(1, size + 1)[:, None]), np.arange(size))
    rows = dataset.sample(wanted).rows.tolist()
    assert len(rows) == len(set(rows)) == min(size, wanted)
    assert rows == sorted(rows)
    assert len(rows) < 2 or (rows[0], rows[-1], np.ptp(np.diff(rows)) <= 1) == (0, size - 1, True)
    assert dataset.sample(wanted).rows.tolist() == rows


@given(counts(), st.integers(1, 5))
def test_chunks_are_the_documents_in_order(x, size) -> None:  # type: ignore[no-untyped-def]
    chunks = list(BowDataset(corpus_of(x), np.arange(len(x))).chunks(size))
    assert [len(indptr) - 1 for indptr, _ in chunks[:-1]] == [size] * (len(chunks) - 1)
    there = np.zeros(x.shape, bool)
    for start, (indptr, indices) in zip(range(0, len(x), size), chunks, strict=True):
        there[start + np.repeat(np.arange(len(indptr) - 1), np.diff(indptr)), indices] = True
    assert (there == (x > 0)).all()
