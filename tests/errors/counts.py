"""What counts can have wrong, in each of their formats."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.io import savemat

from tests.data.counts.test_counts import (
    LONG,
    Write,
    unfinished,
    write_csv,
    write_mtx,
    write_npz,
    write_parquet,
    write_uci,
    write_vocab,
)
from tests.errors.case import Case, Make, cut, in_turn, nothing, write
from tests.paper_files import write_paper_files, write_part, write_rows
from tests.planted import VOCAB, planted_counts

__all__ = ["COUNTS", "PAPER_FILES"]

X = planted_counts()
SPLIT = {"tr": X[:60], "va": X[60:75], "ts": X[75:]}


class Payload:
    """What an attacker pickles: unpickled as usual, it makes a folder."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, ("pwned",)


def of(at: str, make: Make, said: list[str], *args: str) -> Case:
    """A fit on what is made in a folder of counts, or at a place in it."""

    def in_folder(folder: Path) -> None:
        (folder / "counts").mkdir()
        make(folder / "counts")

    return Case(" ".join([f"fit --data.path counts/{at}", *args]), said, in_folder)


def file(name: str, content: bytes | str, said: list[str]) -> Case:
    """On a file of counts of three words."""
    return of(name, in_turn(lambda folder: write_vocab(folder, [*"abc"]), write(name, content)), said)


def matrix(x: NDArray[np.generic], said: list[str]) -> Case:
    """On a matrix of counts of three words."""

    def make(folder: Path) -> None:
        write_vocab(folder, [*"abc"])
        sp.save_npz(folder / "counts.npz", sp.csr_array(x))

    return of("counts.npz", make, said)


def table(frame: pl.DataFrame, said: list[str]) -> Case:
    """On a table of counts."""
    return of("counts.parquet", lambda folder: frame.write_parquet(folder / "counts.parquet"), said)


def written(format: Write, x: NDArray[np.int64] = X, vocab: list[str] = VOCAB) -> Make:
    """Good counts in a format."""
    return lambda folder: format(folder, x, vocab)


def vocabulary(content: bytes) -> Make:
    """Good counts with a `vocab.pkl` of this content."""
    return lambda folder: [sp.save_npz(folder / "counts.npz", sp.csr_array(X)), write("vocab.pkl", content)(folder)]


def pickled_npz(folder: Path) -> None:
    write_vocab(folder, VOCAB)
    np.savez(folder / "counts.npz", format=np.array("csr"), data=np.array([Payload()], dtype=object))


def paper(folder: Path) -> None:
    write_paper_files(folder, {"tr": X}, VOCAB)


BANNER = "%%MatrixMarket matrix coordinate integer general\n"
COUNTS = {
    "counts: no such file": of("none.npz", nothing, ["no file", "none.npz"]),
    "counts: no such pattern": of("part-*.parquet", nothing, ["no file", "part-*.parquet"]),
    "counts: empty folder": of("", nothing, ["nothing in the folder"]),
    "counts: unknown ending": file("counts.dat", "", ["counts.dat", "--data.format"]),
    "counts: two formats": of("", in_turn(written(write_npz), written(write_mtx)), ["npz", "mtx"]),
    "counts: no vocabulary": of(
        "docword.other.txt.gz",
        lambda folder: write_uci(folder, X, VOCAB).rename(folder / "docword.other.txt.gz"),
        ["vocab.other.txt", "--data.vocab"],
    ),
    "counts: vocabulary repeats": of(
        "counts.npz", written(write_npz, X, [*VOCAB[:-2], "a00", "a00"]), ["vocab.txt", "repeats 2", "'a00'"]
    ),
    "counts: vocabulary with an empty line": of(
        "counts.npz", written(write_npz, X, ["", *VOCAB[1:]]), ["vocab.txt", "line 1"]
    ),
    "counts: vocabulary too short": of(
        "docword.mine.txt.gz", written(write_uci, X, VOCAB[1:]), ["48 words", "vocabulary 47"]
    ),
    "counts: transposed": of("counts.npz", written(write_npz, X.T[:, :47]), ["47 words", "48", "transpose"]),
    "counts: malicious vocabulary": of("counts.npz", vocabulary(pickle.dumps([Payload()])), ["vocab.pkl", "mkdir"]),
    "counts: vocabulary of a huge memo": of(
        "counts.npz", vocabulary(b"\x80\x04]r\xff\xff\xff\x7f."), ["vocab.pkl", "was refused", "LONG_BINPUT"]
    ),
    "counts: malicious matrix": of("counts.npz", pickled_npz, ["counts.npz", "cannot be read"]),
    "counts: npz negative": matrix(np.array([[1.0, 0, -2]]), ["counts.npz", "document 0, word 2", "-2", "raw counts"]),
    "counts: npz fractional": matrix(np.array([[1.0, 0.5, 2]]), ["document 0, word 1", "0.5", "raw counts"]),
    "counts: npz not a number": matrix(np.array([[1.0, np.nan, 2]]), ["document 0, word 1", "nan", "raw counts"]),
    "counts: npz complex": matrix(np.array([[1.0j, 2]]), ["counts.npz", "complex128"]),
    "counts: npz cut": of(
        "counts.npz", in_turn(written(write_npz), cut("counts.npz")), ["counts.npz", "cannot be read"]
    ),
    "counts: mtx of another kind": file(
        "a.mtx", BANNER.replace("coordinate", "array"), ["a.mtx", "array integer general", "coordinate"]
    ),
    "counts: mtx without banner": file("a.mtx", "3 3 1\n1 1 1\n", ["a.mtx", "%%MatrixMarket"]),
    "counts: mtx fractional": file("a.mtx", f"{BANNER}1 3 1\n1 2 0.25\n", ["document 1, word 2", "0.25"]),
    "counts: mtx of absurdly many": file(
        "a.mtx", f"{BANNER}{2**31} 3 1\n1 2 1\n", ["2,147,483,648 documents", "header"]
    ),
    "counts: mtx cut": file("a.mtx", f"{BANNER}1 3 2\n1 2 1\n", ["1 entries", "header states 2", "cut"]),
    "counts: mtx word from 0": file("a.mtx", f"{BANNER}1 3 1\n1 0 1\n", ["word 0", "words from 1 to 3"]),
    "counts: mtx document from 0": file("a.mtx", f"{BANNER}1 3 1\n0 1 1\n", ["document 0", "documents from 1 to 1"]),
    "counts: uci word outside": file("docword.txt", "1\n3\n1\n1 4 1\n", ["document 1, word 4", "words from 1 to 3"]),
    "counts: uci negative": file("docword.txt", "1\n3\n1\n1 3 -1\n", ["document 1, word 3", "-1"]),
    "counts: uci too many documents": file("docword.txt", "1\n3\n1\n2 3 1\n", ["document 2", "documents from 1 to 1"]),
    "counts: uci of words": file("docword.txt", "1\n3\n2\n1 3 1\n1 two 3\n", ["docword.txt", "line 5", "1 two 3"]),
    "counts: uci with a short line": file("docword.txt", "1\n3\n2\n1 3 1\n1 2\n", ["line 5", "'1 2'"]),
    "counts: uci with a long line": file("docword.txt", "1\n3\n2\n1 3 1\n1 2 3 4\n", ["line 5", "'1 2 3 4'"]),
    "counts: uci of absurdly many": file(
        "docword.txt", f"{10**14 - 1}\n3\n1\n1 3 1\n", ["99,999,999,999,999", "header"]
    ),
    "counts: uci of less than none": file("docword.txt", "-1\n3\n0\n", ["states -1 documents", "from 0"]),
    "counts: uci without header": file("docword.txt", "1 3 1\n1 2 1\n", ["docword.txt", "D, W"]),
    "counts: uci cut": of(
        "docword.mine.txt.gz",
        in_turn(written(write_uci), cut("docword.mine.txt.gz")),
        ["docword.mine.txt.gz", "cannot be read"],
    ),
    "counts: uci too large": file("docword.txt", "1\n3\n1\n1 3 3000000000\n", ["3e+09", "2147483647"]),
    "counts: uci sum too large": file("docword.txt", "1\n3\n2\n" + "1 3 2000000000\n" * 2, ["4000000000"]),
    "counts: svmlight outside": file("a.svm", "0 1:1\n1 4:1\n", ["document 2", "word 4", "words from 1 to 3"]),
    "counts: svmlight from 0 with word 3": file("a.svm", "0 0:1 3:1\n", ["word 3", "words from 0 to 2"]),
    "counts: svmlight of text": file("a.svm", "0 1:1\n1 one:1\n", ["a.svm", "line 2", "'one:1'"]),
    "counts: svmlight that does not tell": file(
        "a.svm", "0 1:1\n1 2:1\n", ["a.svm", "no word 3", "--data.first_word 0"]
    ),
    "counts: svmlight fractional": file("a.svm", "0 3:1\n1 2:1.5\n", ["document 2", "1.5"]),
    "counts: svmlight without labels": file("a.svm", "1:1 2:1\n", ["line 1", "'1:1'", "label"]),
    "counts: svmlight binary": file("a.svm", bytes(range(256)), ["a.svm"]),
    "counts: parquet cut": of(
        "", in_turn(written(write_parquet), cut("part-1.snappy.parquet")), ["part-1.snappy.parquet", "cannot be read"]
    ),
    "counts: parquet without the column": table(LONG.rename({"term": "w"}), ["'term'", "'w'", "--data.term_column"]),
    "counts: parquet negative": table(LONG.with_columns(count=pl.Series([1, -2])), ["document 'b', term 'y'", "-2"]),
    "counts: parquet fractional": table(
        LONG.with_columns(count=pl.Series([1.0, 0.5])), ["document 'b', term 'y'", "0.5"]
    ),
    "counts: parquet of lists": table(LONG.with_columns(count=pl.Series([[1], [2]])), ["List", "whole numbers"]),
    "counts: parquet missing": table(LONG.with_columns(term=pl.Series(["x", None])), ["1 rows", "'term'", "missing"]),
    "counts: parquet of text": file("a.parquet", "document,term,count\na,x,1\n", ["a.parquet", "cannot be read"]),
    "counts: job not done": of("", unfinished, ["has _temporary and no _SUCCESS", "let it end", "remove _temporary"]),
    "counts: job not done, by a pattern": of("*.parquet", unfinished, ["has _temporary and no _SUCCESS"]),
    "counts: job that has written nothing": of(
        "", lambda folder: unfinished(folder, False), ["has _temporary and no _SUCCESS"]
    ),
    "counts: parts of nothing": of(
        "", in_turn(write("a.csv", ""), write("b.csv.gz", "")), ["2 files", "nothing in them"]
    ),
    "counts: csv of words": file(
        "a.csv", "document,term,count\na,x,many\n", ["a.csv", "1 rows", "'count'", "no number"]
    ),
    "counts: csv ragged": file("a.csv", "document,term,count\na,x,1\nb,y,1,2\n", ["a.csv", "cannot be read"]),
    "counts: csv empty": file("a.csv", "", ["a.csv", "cannot be read"]),
    "counts: csv of a header": file("a.csv", "document,term,count\n", ["no training document left"]),
    "counts: csv cut": of(
        "counts.csv.gz", in_turn(written(write_csv), cut("counts.csv.gz")), ["counts.csv.gz", "cannot be read"]
    ),
    "counts: csv not UTF-8": file("a.csv", b"document,term,count\na,\xff\xfe,1\n", ["a.csv", "cannot be read"]),
    "counts: paper's files half there": of(
        "", in_turn(paper, lambda folder: (folder / "bow_tr_counts.mat").unlink()), ["bow_tr_counts.mat"]
    ),
    "counts: paper's files cut": of(
        "", in_turn(paper, cut("bow_tr_counts.mat")), ["bow_tr_counts.mat", "cannot be read"]
    ),
    **{
        f"counts, documents: {name}": of(
            "counts.npz",
            in_turn(written(write_npz), write("documents.csv", content)),
            ["data.documents", *said],
            "--data.documents=counts/documents.csv",
        )
        for name, content, said in (
            ("too few", "document\na\n", ["1 rows", "90 documents"]),
            ("other split", "document,split\n" + "".join(f"{n},dev\n" for n in range(90)), ["'dev'", "90 rows"]),
            ("repeated", "document\n" + "a\n" * 90, ["repeated", "'document'"]),
            ("no column", "name\n" + "a\n" * 90, ["name", "--data.document_column"]),
            ("not there", "", ["cannot be read"]),
        )
    },
    "counts, documents: one that is not listed": of(
        "counts.parquet",
        in_turn(lambda folder: LONG.write_parquet(folder / "counts.parquet"), write("a.csv", "document\na\nc\n")),
        ["'b', which data.documents does not list"],
        "--data.documents=counts/a.csv",
    ),
    "counts, documents: another form of times": of(
        "a.csv",
        in_turn(write("a.csv", "document,term,count\na,x,1\n"), write("b.csv", "document,on\na,2024\n")),
        ["row 0 (from 0): 'a' is no time"],
        "--data.documents=counts/b.csv --data.time_column=document",
    ),
    "counts, documents: no column of times": of(
        "a.csv",
        in_turn(write("a.csv", "document,term,count\na,x,1\n"), write("b.csv", "document,on\na,2024\n")),
        ["data.time_column: ", "no column 'when'; expected one of document, on"],
        "--data.documents=counts/b.csv --data.time_column=when",
    ),
    "counts, documents: times without a table": of(
        "a.csv",
        write("a.csv", "document,term,count\na,x,1\n"),
        ["data.time_column: on, but no table of documents"],
        "--data.time_column=on",
    ),
}


def in_paper_files(damage: Make, said: list[str]) -> Case:
    """A fit on the paper's files of the planted corpus, damaged."""
    return Case("fit --data.data_dir 20ng", ["data", *said], lambda folder: damage(folder / "20ng"))


HALF = np.array([[1, 0, 0, 2], [0, 0, 0, 0], [0, 1, 0, 0]])
WORDS = ["eins", "zwei", "drei", "vier"]


def in_small_files(damage: Make, said: list[str]) -> Case:
    """On a few documents of four words, those to test with in halves."""
    parts = {"tr": HALF + 1, "va": np.array([[0, 5, 0, 0], [1, 0, 2, 0]]), "ts": 2 * HALF, "ts_h1": HALF, "ts_h2": HALF}

    def make(folder: Path) -> None:
        damage(write_paper_files(folder / "paper", parts, WORDS))

    return Case("fit --data.data_dir paper", ["paper", *said], make)


def rows(part: str, what: str, *documents: list[float]) -> Make:
    return lambda folder: write_rows(folder, part, what, documents)


PAPER_FILES = {
    "paper's files: malicious vocabulary": in_paper_files(
        write("vocab.pkl", pickle.dumps([Payload()])), ["vocab.pkl", "mkdir"]
    ),
    "paper's files: nothing to train on": in_paper_files(
        lambda folder: write_paper_files(folder, {**SPLIT, "tr": np.zeros((3, len(VOCAB)), np.int64)}, VOCAB),
        ["no training document left", "33 documents"],
    ),
    "paper's files: no training documents": in_paper_files(
        lambda folder: write_paper_files(folder, {**SPLIT, "tr": X[:0]}, VOCAB), ["no training document left"]
    ),
    **{
        f"paper's files: {name} missing": in_small_files(lambda folder, name=name: (folder / name).unlink(), [name])  # type: ignore[misc]
        for name in (
            "vocab.pkl",
            *(f"bow_{part}_{what}.mat" for part in (*SPLIT, "ts_h1", "ts_h2") for what in ("tokens", "counts")),
        )
    },
    **{
        f"paper's files: {name}": in_small_files(damage, said)
        for name, damage, said in (
            ("fewer documents with counts", rows("va", "counts", [5]), ["bow_va_counts"]),
            ("fewer counts than tokens", rows("va", "counts", [5], [1]), ["bow_va_counts", "document 1"]),
            ("index outside", rows("va", "tokens", [1], [0, 4]), ["bow_va_tokens", "document 1", "index 4"]),
            ("index negative", rows("va", "tokens", [-1], [0, 2]), ["bow_va_tokens", "document 0", "index -1"]),
            ("index fractional", rows("va", "tokens", [1], [0.5, 2]), ["bow_va_tokens", "index 0.5"]),
            ("index not a number", rows("va", "tokens", [1], [float("nan"), 2]), ["bow_va_tokens", "index nan"]),
            ("count negative", rows("va", "counts", [5], [1, -2]), ["bow_va_counts"]),
            ("count fractional", rows("va", "counts", [5], [1, 0.5]), ["bow_va_counts"]),
            ("count not a number", rows("va", "counts", [5], [1, float("nan")]), ["bow_va_counts"]),
            ("count infinite", rows("va", "counts", [5], [1, float("inf")]), ["bow_va_counts"]),
            ("halves of other documents", lambda folder: write_part(folder, "ts_h1", HALF[::-1]), ["ts_h1"]),
            ("halves of too few documents", lambda folder: write_part(folder, "ts_h1", HALF[:2]), ["ts_h1"]),
            ("cut", cut("bow_tr_counts.mat"), ["bow_tr_counts.mat"]),
            ("empty", write("bow_tr_counts.mat", ""), ["bow_tr_counts.mat"]),
            ("text", write("bow_tr_counts.mat", "1 2 3\n" * 99), ["bow_tr_counts.mat"]),
            ("no variable", lambda folder: savemat(folder / "bow_tr_counts.mat", {}), ["bow_tr_counts.mat"]),
            (
                "words for tokens",
                lambda folder: savemat(folder / "bow_tr_tokens.mat", {"tokens": [["eins"], ["zwei"]]}),
                ["bow_tr_tokens"],
            ),
            ("vocabulary empty", write("vocab.pkl", ""), ["vocab.pkl"]),
            ("vocabulary cut", cut("vocab.pkl"), ["vocab.pkl"]),
            ("vocabulary of text", write("vocab.pkl", "eins\nzwei\n"), ["vocab.pkl"]),
            ("vocabulary a dict", write("vocab.pkl", pickle.dumps({"eins": 0})), ["vocab.pkl"]),
            ("vocabulary of numbers", write("vocab.pkl", pickle.dumps([1, 2, 3, 4])), ["vocab.pkl"]),
            ("vocabulary an array", write("vocab.pkl", pickle.dumps(np.array(WORDS))), ["vocab.pkl"]),
            ("vocabulary repeats", write("vocab.pkl", pickle.dumps([*WORDS[:3], "eins"])), ["vocab.pkl"]),
            ("vocabulary with line break", write("vocab.pkl", pickle.dumps([*WORDS[:3], "vi\ner"])), ["vocab.pkl"]),
        )
    },
}
