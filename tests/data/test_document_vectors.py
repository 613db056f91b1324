"""Embeddings of documents: joined to the right ones, in every batch, however the file has them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader

from etm_app.data import document_vectors
from etm_app.data.batch import BowBatch
from etm_app.data.corpus import BowCorpus, BowDataset
from etm_app.data.counts.counts import CountsDataModule
from etm_app.data.digest import documents_digest
from etm_app.data.document_vectors import DocumentVectors, VectorFile, as_vectors
from etm_app.data.resident import ResidentDataset
from etm_app.data.text.texts import TextDataModule
from etm_app.errors import UserError

SIZE = 3
WORDS = ["cats", "dogs", "birds", "fish"]
BAD = "{"  # a line of JSONL that cannot be read


def vectors_for(number: int) -> NDArray[np.float32]:
    """One for each row, told apart by any of its numbers."""
    return np.arange(number, dtype=np.float32)[:, None] + np.array([0.0, 0.25, 0.5], np.float32)


def own_word(row: int) -> str:
    """A word that one text alone has."""
    return f"own{chr(97 + row // 26)}{chr(97 + row % 26)}"


def texts(number: int) -> list[str]:
    rng = np.random.default_rng(number)
    return [f"{' '.join(rng.choice(WORDS, 5))} {own_word(row)}" for row in range(number)]


def write_texts(path: Path, number: int, first: int = 0) -> None:
    ids = [f"n{row}" for row in range(first, first + number)]
    pl.DataFrame({"name": ids, "text": texts(number)}).write_csv(path)


def text_module(folder: Path, files: object = "a.csv", **options: Any) -> TextDataModule:
    files = [str(folder / name) for name in (files if isinstance(files, list) else [files])]
    settings = {"min_df": 1, "max_df": 1.0, "cache_dir": folder / "cache", "batch_size": 4, **options}
    return TextDataModule(files, **settings)


def as_lists(vectors: NDArray[Any]) -> dict[str, list[list[float]]]:
    return {"embedding": vectors.tolist()}


def as_dimensions(vectors: NDArray[Any]) -> dict[str, NDArray[Any]]:
    return {f"dim_{number}": column for number, column in enumerate(vectors.T)}


def as_arrays(vectors: NDArray[Any]) -> dict[str, pl.Series]:
    return {"embedding": pl.Series(vectors.tolist(), dtype=pl.Array(pl.Float64, vectors.shape[1]))}


def in_batches(loader: DataLoader[BowBatch]) -> tuple[Tensor, list[str]]:
    """All vectors of a loader, and the ids of their documents."""
    batches = list(loader)
    for batch in batches:
        assert batch.vectors is not None
        assert batch.vectors.dtype == torch.float32
        assert len(batch.vectors) == len(batch)
    assert all(batch.documents is not None for batch in batches)
    return (
        torch.cat([batch.vectors for batch in batches if batch.vectors is not None]),
        [name for batch in batches if batch.documents is not None for name in batch.documents["id"]],
    )


@pytest.mark.parametrize("columns", [as_lists, as_dimensions, as_arrays])
def test_by_order_and_by_name_they_are_the_same_in_every_batch(tmp_path: Path, columns: Callable[..., Any]) -> None:
    write_texts(tmp_path / "a.csv", 30)
    vectors = vectors_for(30)
    np.save(tmp_path / "x.npy", vectors.astype(np.float64))
    named = pl.DataFrame({"name": [f"n{row}" for row in range(30)], **columns(vectors)})
    named.sample(fraction=1.0, shuffle=True, seed=1).write_parquet(tmp_path / "named.parquet")
    named.rename({"name": "id"}).sample(fraction=1.0, shuffle=True, seed=2).write_parquet(tmp_path / "id.parquet")
    named.drop("name").write_parquet(tmp_path / "ordered.parquet")
    for name in ("x.npy", "named.parquet", "id.parquet", "ordered.parquet"):
        data = text_module(tmp_path, id_column="name", document_embeddings=tmp_path / name, steps_per_epoch=None)
        assert data.document_embeddings_size == SIZE
        found, ids = in_batches(data.predict_dataloader())
        np.testing.assert_array_equal(found, vectors)
        assert ids == [f"n{row}" for row in range(30)]
        for loader, split in ((data.val_dataloader(), "val"), (data.test_dataloader(), "test")):
            held_out = torch.cat([batch.vectors for batch in loader])
            np.testing.assert_array_equal(held_out, vectors[data.corpus.rows(split)])
        whole = data.training_set()
        np.testing.assert_array_equal(whole.vectors(), vectors[whole.rows])
        (sample,) = whole.sample(5).batches(5)
        np.testing.assert_array_equal(sample.vectors, vectors[whole.sample(5).rows])
        own = {word: row for row, word in enumerate(map(own_word, range(30)))}
        trained: list[int] = []
        for batch in data.train_dataloader():
            words = np.array(data.vocab)[batch.indices]
            rows = [own[word] for word in words if word in own]
            np.testing.assert_array_equal(batch.vectors, vectors[rows])
            trained += rows
        assert sorted(trained) == whole.rows.tolist()


names = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), min_size=1, max_size=12, unique=True)


@given(ids=names, data=st.data())
def test_any_names_in_any_order_find_their_vectors(tmp_path: Path, ids: list[str], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(ids))))
    wanted = data.draw(st.lists(st.sampled_from(range(len(ids))), max_size=15))
    vectors = vectors_for(len(ids))
    table = {"id": [ids[row] for row in order], **as_lists(vectors[order])}
    pl.DataFrame(table, schema_overrides={"id": pl.String}).write_parquet(tmp_path / "x.parquet")
    file = VectorFile(tmp_path / "x.parquet")
    documents = pl.DataFrame({"id": [ids[row] for row in wanted], "row": wanted}, {"id": pl.String, "row": pl.Int64})
    np.testing.assert_array_equal(file.take(file.places(documents)), vectors[wanted])
    stranger = data.draw(st.text(max_size=6).filter(lambda name: name not in ids and name.isascii()))
    with pytest.raises(UserError, match="has no vector for 1 of 1 documents"):
        file.places(pl.DataFrame({"id": [stranger], "row": [0]}))
    with pytest.raises(UserError, match="None for one"):
        file.places(pl.DataFrame({"id": [None], "row": [0]}, {"id": pl.String, "row": pl.Int64}))


@pytest.mark.parametrize("name", ["x.npy", "x.parquet"])
@pytest.mark.parametrize("values_at_once", [1, 7, 1 << 22])
def test_pieces_are_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, values_at_once: int) -> None:
    monkeypatch.setattr(document_vectors, "VALUES_AT_ONCE", values_at_once)
    vectors = vectors_for(11)
    np.save(tmp_path / "x.npy", vectors)
    pl.DataFrame(as_lists(vectors)).write_parquet(tmp_path / "x.parquet", row_group_size=4)
    documents = pl.DataFrame({"id": [str(row) for row in range(11)]})
    of_all = VectorFile(tmp_path / name).of(documents, 11)
    np.testing.assert_array_equal(of_all.take(np.array([10, 0, 3, 3])), vectors[[10, 0, 3, 3]])
    vectors[[4, 9], 1] = np.nan
    np.save(tmp_path / "x.npy", vectors)
    pl.DataFrame(as_lists(vectors)).write_parquet(tmp_path / "x.parquet", row_group_size=4)
    with pytest.raises(UserError, match=r"2 rows with numbers .* row 4 \(from 0\)"):
        VectorFile(tmp_path / name).of(documents, 11)


def test_an_npy_stays_on_disk(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", vectors_for(6))
    kept = VectorFile(tmp_path / "x.npy").of(pl.DataFrame({"id": list("abcdef")}), 6).vectors
    assert isinstance(kept, np.memmap)
    assert not kept.flags.writeable


def with_bad_rows(folder: Path, bad: list[int], number: int) -> NDArray[np.float32]:
    """Texts as JSONL, some lines of which cannot be read; the vectors of these are not finite, as nobody reads them."""
    lines = [f'{{"text": "{text}", "name": "n{row}"}}' for row, text in enumerate(texts(number))]
    vectors = vectors_for(number)
    for row in bad:
        lines[row] = BAD
        vectors[row] = np.nan
    (folder / "a.jsonl").write_text("\n".join(lines))
    np.save(folder / "x.npy", vectors)
    return vectors


@given(bad=st.sets(st.integers(0, 19), max_size=6))
def test_rows_that_are_left_out_have_vectors_too(tmp_path: Path, bad: set[int]) -> None:
    vectors = with_bad_rows(tmp_path, sorted(bad), 20)
    kept = [row for row in range(20) if row not in bad]
    options = {"on_bad_rows": "skip", "document_embeddings": tmp_path / "x.npy"}
    corpus_path = text_module(tmp_path, "a.jsonl", **options)
    streamed = text_module(tmp_path, "a.jsonl", **options)
    streamed.use(WORDS, None)
    for data in (corpus_path, streamed):
        found, ids = in_batches(data.predict_dataloader())
        np.testing.assert_array_equal(found, vectors[kept])
        assert ids == [str(row) for row in kept]


@pytest.mark.parametrize("bad", [[19], [0], [3, 19]])
def test_vectors_of_the_read_rows_alone_are_refused(tmp_path: Path, bad: list[int]) -> None:
    vectors = with_bad_rows(tmp_path, bad, 20)
    np.save(tmp_path / "x.npy", np.delete(vectors, bad, axis=0))
    for stream in (False, True):
        data = text_module(tmp_path, "a.jsonl", on_bad_rows="skip", document_embeddings=tmp_path / "x.npy")
        if stream:
            data.use(WORDS, None)
        with pytest.raises(UserError, match=f"has {20 - len(bad)} rows"):
            list(data.predict_dataloader())


def test_a_stream_gives_what_the_corpus_gives(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_texts(tmp_path / "a.csv", 12)
    write_texts(tmp_path / "b.csv", 9, first=12)
    vectors = vectors_for(25)
    np.save(tmp_path / "x.npy", vectors[:21])
    named = pl.DataFrame({"id": [f"n{row}" for row in range(25)], **as_dimensions(vectors)})
    named.reverse().write_parquet(tmp_path / "x.parquet")
    for name in ("x.npy", "x.parquet"):
        found = []
        for stream in (False, True):
            data = text_module(tmp_path, ["a.csv", "b.csv"], id_column="name", document_embeddings=tmp_path / name)
            if stream:
                data.use(WORDS, None)
            caplog.clear()
            with caplog.at_level("INFO", "pytorch_lightning.utilities.rank_zero"):
                found.append(in_batches(data.predict_dataloader()))
            assert ("4 of 25 rows" in caplog.text) == (name == "x.parquet")
            assert "3 dimensions in" in caplog.text
        (vectors_of_corpus, ids), (streamed, streamed_ids) = found
        assert torch.equal(vectors_of_corpus, streamed)
        np.testing.assert_array_equal(streamed, vectors[:21])
        assert ids == streamed_ids


@pytest.mark.parametrize("number", [20, 22, 5, 30])
def test_a_stream_of_another_number_is_refused(tmp_path: Path, number: int) -> None:
    write_texts(tmp_path / "a.csv", 21)
    np.save(tmp_path / "x.npy", vectors_for(number))
    data = text_module(tmp_path, document_embeddings=tmp_path / "x.npy")
    data.use(WORDS, None)
    with pytest.raises(UserError, match=f"has {number} rows"):
        list(data.predict_dataloader())


def test_files_of_splits_are_numbered_one_after_the_other(tmp_path: Path) -> None:
    for name, number, first in (("a", 9, 0), ("v", 4, 9), ("t", 5, 13)):
        write_texts(tmp_path / f"{name}.csv", number, first)
    vectors = vectors_for(18)
    np.save(tmp_path / "x.npy", vectors)
    held_out = {"val_files": str(tmp_path / "v.csv"), "test_files": str(tmp_path / "t.csv")}
    data = text_module(tmp_path, **held_out, document_embeddings=tmp_path / "x.npy")
    np.testing.assert_array_equal(torch.cat([batch.vectors for batch in data.val_dataloader()]), vectors[9:13])
    np.testing.assert_array_equal(torch.cat([batch.vectors for batch in data.test_dataloader()]), vectors[13:])
    found, ids = in_batches(data.predict_dataloader())
    np.testing.assert_array_equal(found, vectors)
    assert ids == [str(row) for row in range(18)]


def test_documents_of_counts_are_called_as_their_table_calls_them(tmp_path: Path) -> None:
    entries = [f"d{row},{word},1\n" for row in range(20) for word in WORDS[: 1 + row % 4]]
    (tmp_path / "counts.csv").write_text("".join(["doc,term,count\n", *entries[::-1]]))
    vectors = vectors_for(20)
    pl.DataFrame({"doc": [f"d{row}" for row in range(20)], **as_lists(vectors)}).write_parquet(tmp_path / "x.parquet")
    data = CountsDataModule(
        tmp_path / "counts.csv",
        document_column="doc",
        document_embeddings=tmp_path / "x.parquet",
        cache_dir=tmp_path / "cache",
    )
    found, ids = in_batches(data.predict_dataloader())
    assert sorted(ids) == sorted(f"d{row}" for row in range(20))
    assert found[:, 0].tolist() == [float(name[1:]) for name in ids]


def test_the_prepared_corpus_is_the_same_whatever_the_vectors(tmp_path: Path) -> None:
    write_texts(tmp_path / "a.csv", 20)
    np.save(tmp_path / "x.npy", vectors_for(20))
    without, with_vectors = text_module(tmp_path), text_module(tmp_path, document_embeddings=tmp_path / "x.npy")
    assert without.corpus.vectors is None
    assert without.document_embeddings_size == 0
    assert all(batch.vectors is None for batch in without.predict_dataloader())
    before = sorted((tmp_path / "cache" / "corpora").iterdir())
    assert with_vectors.corpus.vectors is not None
    assert sorted((tmp_path / "cache" / "corpora").iterdir()) == before
    vocab = without.vocab
    digests = {
        documents_digest([data.training_set()], vocab)
        for data in (without, with_vectors, text_module(tmp_path, document_embeddings=tmp_path / "x.npy"))
    }
    np.save(tmp_path / "x.npy", vectors_for(20) + np.float32(1.0))
    changed = text_module(tmp_path, document_embeddings=tmp_path / "x.npy")
    digests.add(documents_digest([changed.training_set()], vocab))
    assert len(digests) == 3


@pytest.mark.parametrize("shuffled", [False, True])
def test_on_a_device_they_are_those_of_the_corpus(shuffled: bool) -> None:
    x = np.random.default_rng(0).integers(0, 2, (13, 4))
    places = np.random.default_rng(1).permutation(20)[:13] if shuffled else None
    corpus = BowCorpus.from_matrix(x, WORDS, ["train"] * 13)
    corpus = BowCorpus(**{**vars(corpus), "vectors": DocumentVectors(vectors_for(20), places)})
    dataset = BowDataset(corpus, np.array([2, 3, 5, 7, 11]), with_gradients=True)
    resident = ResidentDataset(dataset, torch.device("cpu"))
    positions = [4, 0, 0, 3]
    expected = vectors_for(20)[np.arange(20)[:13] if places is None else places][[11, 2, 2, 7]]
    for made in (dataset, resident):
        np.testing.assert_array_equal(made[positions].vectors, expected)


def named(**columns: Any) -> Callable[[Path], object]:
    return lambda path: pl.DataFrame({"id": [f"n{row}" for row in range(len(next(iter(columns.values()))))], **columns}).write_parquet(path)  # fmt: skip  # noqa: E501


def array(of: Any) -> Callable[[Path], object]:
    return lambda path: np.save(path, of, allow_pickle=True)


V = vectors_for(20)
LISTS = V.tolist()


def spoiled(row: int, value: float, dtype: Any = np.float32) -> NDArray[Any]:
    vectors = V.astype(dtype)
    vectors[row, 1] = value
    return vectors


GIVEN: dict[str, tuple[Any, int, list[str]]] = {
    "none": (None, 3, ["none", "embeddings of 3 dimensions", "[20, 3]"]),
    "some that are not wanted": (V, 0, ["some", "without document embeddings", "none"]),
    "too few": (V[1:], 3, ["[19, 3]", "20 documents", "[20, 3]"]),
    "of another width": (V[:, :2], 3, ["[20, 2]", "[20, 3]"]),
    "one for all": (V[0], 3, ["[3]", "[20, 3]"]),
    "whole numbers": (V.astype(int), 3, ["int64", "floating-point"]),
    "words": ([["a", "b", "c"]] * 20, 3, ["<U1"]),
    "NaN": (spoiled(6, np.nan), 3, ["1 rows", "row 6"]),
    "a tensor with one": (torch.tensor(spoiled(6, np.inf)), 3, ["1 rows", "row 6"]),
    "beyond single precision": (spoiled(2, 1e200, float), 3, ["1 rows", "row 2"]),
}


@pytest.mark.parametrize(("given", "size", "said"), GIVEN.values(), ids=GIVEN)
def test_what_a_caller_gives_is_checked(given: Any, size: int, said: list[str]) -> None:
    with pytest.raises(UserError, match=r"^embeddings: ") as mistake:
        as_vectors(given, 20, size)
    assert all(part in str(mistake.value) for part in said), str(mistake.value)


@pytest.mark.parametrize(
    "given", [V, V.astype(np.float64), V.astype(np.float16), V.tolist(), torch.tensor(V), torch.tensor(V).bfloat16()]
)
def test_a_caller_may_give_them_in_any_form(given: Any) -> None:
    np.testing.assert_array_equal(as_vectors(given, 20, 3), V)
