"""What vectors can have wrong: embeddings of documents, and word vectors that a model starts from."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tests.data.test_document_vectors import as_lists, vectors_for, write_texts
from tests.data.word_vectors.test_embeddings import KNOWN, VECTORS, WORDS, binary, lines, write_npz
from tests.errors.case import Case, Make, cut, in_turn, nothing, write
from tests.planted import VOCAB

__all__ = ["DOCUMENT_VECTORS", "WORD_VECTORS"]

V = vectors_for(20)
LISTS = V.tolist()


def of(name: str, make: Callable[[Path], object], said: list[str]) -> Case:
    """A fit on 20 texts with their embeddings in a file."""
    data = "--data.files a.csv --data.id_column=name --data.min_df=1 --data.max_df=1.0"
    return Case(
        f"fit {data} --data.document_embeddings {name}",
        ["data.document_embeddings: ", "expected", *said],
        lambda folder: [write_texts(folder / "a.csv", 20), make(folder / name)],
    )


def of_npy(make: Callable[[Path], object], said: list[str]) -> Case:
    return of("x.npy", make, said)


def of_parquet(make: Callable[[Path], object], said: list[str]) -> Case:
    return of("x.parquet", make, said)


def array(of: Any) -> Callable[[Path], object]:
    return lambda path: np.save(path, of, allow_pickle=True)


def spoiled(row: int, value: float, dtype: Any = np.float32) -> NDArray[Any]:
    vectors = V.astype(dtype)
    vectors[row, 1] = value
    return vectors


def named(ids: list[str | None] | None = None, **columns: Any) -> Callable[[Path], object]:
    """A table with names of documents."""
    ids = ids or [f"n{row}" for row in range(len(next(iter(columns.values()))))]
    return lambda path: pl.DataFrame({"id": ids, **columns}).write_parquet(path)


def replaced(make: Callable[[Path], object], old: bytes, new: bytes) -> Callable[[Path], object]:
    """A file with some bytes replaced by others."""
    return lambda path: [make(path), path.write_bytes(path.read_bytes().replace(old, new, 1))]


def shortened(make: Callable[[Path], object], by: int) -> Callable[[Path], object]:
    return lambda path: [make(path), path.write_bytes(path.read_bytes()[:-by])]


DOCUMENT_VECTORS = {
    "embeddings: no file": of_npy(lambda path: None, ["there is no file", "x.npy"]),
    "embeddings: a folder": of_npy(Path.mkdir, ["there is no file"]),
    "embeddings: another ending": of("x.csv", lambda path: path.write_text("1,2"), ["ends in .csv", ".npy"]),
    "embeddings: damaged .npy": of_npy(lambda path: path.write_bytes(b"\x93NUMPY\x01\x00v\x00{"), ["cannot be read"]),
    "embeddings: cut .npy": of_npy(shortened(array(V), 40), ["cannot be read", "x.npy"]),
    "embeddings: empty .npy": of_npy(Path.touch, ["cannot be read"]),
    "embeddings: no .npy": of_npy(lambda path: path.write_text("0.1 0.2\n" * 20), ["cannot be read"]),
    "embeddings: larger than the file": of_npy(replaced(array(V), b"(20, 3)", b"(2000000, 3)"), ["cannot be read"]),
    "embeddings: objects": of_npy(array(np.array([[None, 1.0]] * 20, object)), ["cannot be read", "x.npy"]),
    "embeddings: whole numbers": of_npy(array(np.ones((20, 3), int)), ["int64", "[20, 3]", "floating-point"]),
    "embeddings: one dimension": of_npy(array(np.ones(20)), ["[20]", "[documents, dimensions]"]),
    "embeddings: three dimensions": of_npy(array(np.ones((20, 1, 3))), ["[20, 1, 3]", "[documents, dimensions]"]),
    "embeddings: no width": of_npy(array(np.ones((20, 0))), ["20 vectors of 0 dimensions"]),
    "embeddings: no row": of_npy(array(np.ones((0, 3))), ["0 vectors of 3 dimensions"]),
    "embeddings: a row too few": of_npy(array(V[1:]), ["19 rows for 20 records", "in the order of the input"]),
    "embeddings: a row too many": of_npy(array(vectors_for(21)), ["21 rows for 20 records"]),
    "embeddings: NaN": of_npy(array(spoiled(7, np.nan)), ["1 rows with", "NaN", "row 7 (from 0)"]),
    "embeddings: infinite": of_npy(array(spoiled(0, -np.inf)), ["infinite", "row 0 (from 0)"]),
    "embeddings: beyond single precision": of_npy(array(spoiled(3, 1e300, float)), ["row 3", "single precision"]),
    "embeddings: damaged header": of_npy(replaced(array(V), b"), }", b"((({"), ["cannot be read"]),
    "embeddings: damaged Parquet": of_parquet(lambda path: path.write_bytes(b"PAR1 nothing PAR1"), ["cannot be read"]),
    "embeddings: cut Parquet": of_parquet(shortened(named(embedding=LISTS), 9), ["cannot be read", "x.parquet"]),
    "embeddings: no vectors": of_parquet(named(vector=LISTS), ["the columns id, vector", "'embedding'", "'dim_0'"]),
    "embeddings: words for vectors": of_parquet(named(embedding=["a"] * 20), ["String in 'embedding'"]),
    "embeddings: lists of words": of_parquet(named(embedding=[["a"]] * 20), ["List(String) in 'embedding'"]),
    "embeddings: a dimension missing": of_parquet(named(dim_0=V[:, 0], dim_2=V[:, 1]), ["'dim_2' but no 'dim_1'"]),
    "embeddings: words for a dimension": of_parquet(named(dim_0=V[:, 0], dim_1=["a"] * 20), ["String in 'dim_1'"]),
    "embeddings: lists of other lengths": of_parquet(
        named(embedding=[*LISTS[:5], [1.0], *LISTS[6:]]), ["1 dimensions in row 5", "3 in the first"]
    ),
    "embeddings: a list missing": of_parquet(
        named(embedding=[*LISTS[:5], None, *LISTS[6:]]), ["0 dimensions in row 5"]
    ),
    "embeddings: empty lists": of_parquet(
        named(embedding=pl.Series([[]] * 20, dtype=pl.List(pl.Float32))), ["0 dimensions"]
    ),
    "embeddings: no list": of_parquet(named(embedding=pl.Series([], dtype=pl.List(pl.Float32))), ["0 vectors"]),
    "embeddings: a number missing": of_parquet(
        named(dim_0=[*V[:19, 0].tolist(), None]), ["1 rows with numbers that are missing", "row 19"]
    ),
    "embeddings: names missing": of_parquet(
        named(embedding=LISTS[:17]), ["no vector for 3 of 20", "'n17' and 'n18' for two"]
    ),
    "embeddings: a name missing": of_parquet(named(embedding=LISTS[:19]), ["no vector for 1 of 20", "'n19' for one"]),
    "embeddings: names twice": of_parquet(
        named(["n0", *[f"n{row}" for row in range(19)]], embedding=LISTS), ["1 names more than once in 'id'", "'n0'"]
    ),
    "embeddings: rows without a name": of_parquet(
        named([None, *[f"n{row}" for row in range(19)]], embedding=LISTS), ["1 rows without a name in 'id'"]
    ),
    "embeddings: Parquet in order, a row too few": of_parquet(
        lambda path: pl.DataFrame(as_lists(V[:19])).write_parquet(path), ["19 rows for 20 records"]
    ),
    **{
        f"embeddings of documents, {name}, {subcommand}": Case(
            f"{subcommand} --data.data_dir 20ng --ckpt_path {given}",
            ["data.document_embeddings", *said],
            lambda folder: np.save(folder / "wide.npy", np.ones((90, 4))),
        )
        for subcommand in ("fit", "check", "test", "predict")
        for name, given, said in (
            ("none", "embedded.ckpt", ["none", "embeddings of 3 dimensions", "--data.document_embeddings"]),
            (
                "of another width",
                "embedded.ckpt --data.document_embeddings wide.npy",
                ["4 dimensions", "embeddings of 3 dimensions", "same encoder"],
            ),
            (
                "not wanted",
                "best.ckpt --data.document_embeddings wide.npy",
                ["4 dimensions", "without document embeddings", "leave it out"],
            ),
        )
    },
}


def words(name: str, make: Make, said: list[str], size: int = 5) -> Case:
    """A look at a model of four words that starts from a file."""
    data = "--data.files words.txt --data.min_df=1 --data.max_df=1.0 --data.val_fraction=0 --data.test_fraction=0"
    return Case(
        f"check {data} --model.embeddings {name} --model.rho_size={size}",
        said,
        in_turn(write("words.txt", f"{' '.join(KNOWN)}\n" * 5), make),
    )


def glove(rows: list[str], said: list[str]) -> Case:
    return words("a.txt", write("a.txt", "".join(f"{row}\n" for row in rows)), ["model.embeddings", *said], 3)


def raw(name: str, content: bytes, said: list[str]) -> Case:
    return words(name, write(name, content), ["model.embeddings", name, *said])


WORD_VECTORS = {
    "word vectors: missing": words("a.txt", nothing, ["no file"]),
    "word vectors: line cut": glove(
        ["zwei 1 2 3", "the 1 2 3", "eins 1 2"], ["line 3", "a.txt", "'eins 1 2'", "3 numbers"]
    ),
    "word vectors: no numbers": glove(["zwei 1 2 3", "eins 1 two 3"], ["line 2", "'eins 1 two 3'"]),
    "word vectors: a word alone": glove(["eins"], ["line 1", "'eins'"]),
    "word vectors: header and another width": glove(["2 4", "eins 1 2 3"], ["line 2", "4 numbers"]),
    "word vectors: not finite": glove(["eins 1 nan 3"], ["'eins'", "not finite"]),
    "word vectors: other words": glove(["one 1 2", "two 3 4"], ["none of the 4 words", "eins", "case"]),
    "word vectors: empty": glove([], ["none of the 4 words"]),
    "word vectors: gzip cut": raw("a.txt.gz", gzip.compress(lines(WORDS, VECTORS))[:-30], ["cannot be read"]),
    "word vectors: no gzip": raw("a.txt.gz", lines(WORDS, VECTORS), ["cannot be read"]),
    "word vectors: binary cut": raw("a.bin", binary(WORDS, VECTORS)[:-3], ["after 5 of 6 words", "cut"]),
    "word vectors: binary of text": raw("a.bin", lines(WORDS, VECTORS), ["first line"]),
    "word vectors: binary of absurd width": raw("a.bin", b"9 99999999999\nno vectors", ["65,536"]),
    "word vectors: binary of one word": raw("a.bin", b"1 5\n" + b"a" * 99_999, ["after 0 of 1 words"]),
    "word vectors: one endless line": raw("a.txt.gz", gzip.compress(bytes(1 << 23)), ["line 1", "65536 numbers"]),
    "word vectors: a model of fastText": raw(
        "a.bin", (793712314).to_bytes(4, "little") + b"\x0c" * 99, ["fastText", ".vec"]
    ),
    "word vectors: npz without vectors": words(
        "a.npz", lambda folder: np.savez(folder / "a.npz", words=["eins"]), ["a.npz", "vectors"]
    ),
    "word vectors: npz of other sizes": words(
        "a.npz", lambda folder: write_npz(folder / "a.npz", ["eins"], VECTORS), ["a.npz", "(6, 5)"]
    ),
    "word vectors: npz of numbers": words(
        "a.npz", lambda folder: write_npz(folder / "a.npz", [1.0], VECTORS[:1]), ["a.npz", "strings"]
    ),
    "word vectors: npz cut": words(
        "a.npz",
        in_turn(lambda folder: write_npz(folder / "a.npz", WORDS, VECTORS), cut("a.npz")),
        ["a.npz", "cannot be read"],
    ),
    "word vectors: another dimension": words(
        "a.txt", write("a.txt", lines(WORDS, VECTORS)), ["set --model.rho_size 5", "model.rho_size: 7"], 7
    ),
    "word vectors: another dimension, before a fit": Case(
        "fit --data.data_dir 20ng --model.embeddings a.txt --model.rho_size=7",
        ["set --model.rho_size 5", "model.rho_size: 7"],
        write("a.txt", lines(VOCAB[:6], VECTORS)),
        begins=True,
    ),
}
