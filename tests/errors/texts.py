"""What texts can have wrong: their files, columns, encodings, and words."""

import gzip
import os
from pathlib import Path

import polars as pl

from tests.errors.case import Case, cut, in_turn, write

__all__ = ["TEXTS"]

FIT = "fit --data.val_fraction=0 --data.test_fraction=0 --data.min_df=1 --data.max_df=1.0 --data.files"


def many(size: int, broken: int, row: str, bad: str) -> bytes:
    """Rows of which one is bad, far from the beginning."""
    return "".join((bad if line == broken else row) + "\n" for line in range(1, size + 1)).encode()


def parquet(folder: Path) -> None:
    pl.DataFrame({"text": ["a text"] * 99}).write_parquet(folder / "a.parquet")


TEXTS = {
    "texts: no file": Case(f"{FIT} a.csv", ["data.files", "a.csv"]),
    "texts: no match": Case(f"{FIT} no*.csv", ["data.files", "no*.csv"]),
    "texts: empty folder": Case(f"{FIT} a", ["data.files", "is empty"], lambda folder: (folder / "a").mkdir()),
    "texts: folder of tables": Case(f"{FIT} f", ["data.files", "a.csv", "*.csv"], write("f/a.csv", b"text\nx\n")),
    "texts: no column": Case(
        f"{FIT} a.csv", ["data.text_column", "'text'", "body, title"], write("a.csv", b"body,title\nx,y\n")
    ),
    "texts: no column of JSON": Case(
        f"{FIT} a.jsonl", ["data.text_column", "'text'", "body"], write("a.jsonl", b'{"body": "x"}\n')
    ),
    "texts: no id column": Case(
        f"{FIT} a.csv --data.id_column=name", ["data.id_column", "'name'"], write("a.csv", b"text\nx\n")
    ),
    "texts: empty CSV": Case(f"{FIT} a.csv", ["data.files", "a.csv", "empty"], write("a.csv", b"")),
    "texts: CSV of a header": Case(f"{FIT} a.csv", ["data.files", "a.csv", "empty"], write("a.csv", b"text\n")),
    "texts: empty text": Case(f"{FIT} a.txt", ["data.files", "a.txt", "empty"], write("a.txt", b"")),
    "texts: empty JSON": Case(f"{FIT} a.jsonl", ["data.files", "a.jsonl", "empty"], write("a.jsonl", b"\n")),
    "texts: no format": Case(f"{FIT} a.doc", ["data.files", "a.doc", ".csv", "save it as text"], write("a.doc", b"x")),
    "texts: unknown ending": Case(
        f"{FIT} a.log", ["data.files", "a.log", ".csv", "--data.format"], write("a.log", b"x")
    ),
    "texts: archive of another kind": Case(
        f"{FIT} a.tar.gz", ["data.files", "a.tar.gz", "unpack it"], write("a.tar.gz", b"x")
    ),
    "texts: encoding of CSV": Case(
        f"{FIT} a.csv",
        ["a.csv, line 4002", "utf-8", "--data.encoding"],
        write("a.csv", many(5000, 4002, "text,a", "b\xe9d,a").decode().encode("latin-1")),
    ),
    "texts: encoding of lines": Case(
        f"{FIT} a.txt",
        ["a.txt, line 4002", "utf-8", "--data.encoding"],
        write("a.txt", many(5000, 4002, "text", "b\xe9d").decode().encode("latin-1")),
    ),
    "texts: encoding of JSON": Case(
        f"{FIT} a.jsonl",
        ["a.jsonl, line 42", "utf-8", "--data.encoding"],
        write("a.jsonl", many(50, 42, '{"text": "a"}', '{"text": "\xe9"}').decode().encode("latin-1")),
    ),
    "texts: encoding of a document": Case(f"{FIT} f", ["f/a, line 2", "utf-8"], write("f/a", b"a\nb\xe9d")),
    "texts: another encoding": Case(
        f"{FIT} a.txt --data.encoding=cp1252", ["a.txt, line 2", "cp1252"], write("a.txt", b"a\nb\x81d")
    ),
    "texts: UTF-16 without its mark": Case(
        f"{FIT} a.txt --data.encoding=utf-16",
        ["a.txt, line 1", "no utf-16", "--data.encoding"],
        write("a.txt", b"a\nb"),
    ),
    "texts: split column of lines": Case(
        f"{FIT} a.txt --data.split_column=s",
        ["data.split_column: s", "no columns", "val_files"],
        write("a.txt", b"aa\nbb\n"),
    ),
    "texts: broken header": Case(
        f"{FIT} a.csv --data.on_bad_rows=skip", ["a.csv, line 1", "columns"], write("a.csv", b'text,id"i","a\n')
    ),
    "texts: header of broken quotes": Case(
        f"{FIT} a.csv --data.on_bad_rows=skip", ["a.csv, line 1", "columns"], write("a.csv", b'text,"id":"a"\nx,y\n')
    ),
    "texts: carriage return in the header": Case(
        f"{FIT} a.csv", ["data.text_column", "'text'"], write("a.csv", b"te\rxt,id\nx,y\n")
    ),
    "texts: columns with line breaks": Case(
        f"{FIT} a.csv", ["data.text_column", "a b, c"], write("a.csv", b'"a\nb",c\nx,y\n')
    ),
    "texts: no workbook after all": Case(
        f"{FIT} a.xlsx", ["data.files", "a.xlsx"], write("a.xlsx", b"PK\x05\x06" + b"\1" * 8 + b"\xff" * 8 + b"\0\0")
    ),
    "texts: unknown encoding": Case(
        f"{FIT} a.txt --data.encoding=utf-9", ["data.encoding", "utf-9"], write("a.txt", b"a")
    ),
    "texts: too many fields": Case(
        f"{FIT} a.csv",
        ["a.csv, line 4002", "3 fields", "2"],
        write("a.csv", many(5000, 4002, "text,a", "text, and more,a")),
    ),
    "texts: too many fields of one": Case(
        f"{FIT} a.csv", ["a.csv, line 3", "2 fields"], write("a.csv", b"text\none\ntwo, three\n")
    ),
    "texts: open quote": Case(f"{FIT} a.csv", ["a.csv, line 3", "quotes"], write("a.csv", b'text,a\nx,1\n"y,2\nz,3\n')),
    "texts: broken JSON": Case(
        f"{FIT} a.jsonl", ["a.jsonl, line 4002"], write("a.jsonl", many(5000, 4002, '{"text": "a"}', '{"text": oops}'))
    ),
    "texts: JSON list": Case(f"{FIT} a.jsonl", ["a.jsonl, line 2"], write("a.jsonl", b'{"text": "a"}\n[1]\n')),
    "texts: numbers for texts": Case(
        f"{FIT} a.parquet",
        ["data.text_column", "Int64"],
        lambda folder: pl.DataFrame({"text": [1, 2]}).write_parquet(folder / "a.parquet"),
    ),
    "texts: half a Parquet": Case(
        f"{FIT} a.parquet", ["data.files", "a.parquet", "parquet"], in_turn(parquet, cut("a.parquet"))
    ),
    "texts: half a .gz": Case(
        f"{FIT} a.csv.gz",
        ["data.files", "a.csv.gz"],
        lambda folder: (folder / "a.csv.gz").write_bytes(gzip.compress(os.urandom(9000).hex().encode())[:4000]),
    ),
    "texts: no .gz": Case(f"{FIT} a.txt.gz", ["data.files", "a.txt.gz"], write("a.txt.gz", b"plain \xff")),
    "texts: repeated ids": Case(
        f"{FIT} a.csv --data.id_column=id", ["data.id_column", "'1'"], write("a.csv", b"id,text\n1,aa\n2,aa\n1,aa\n")
    ),
    "texts: missing ids": Case(
        f"{FIT} a.csv --data.id_column=id", ["data.id_column", "row 1"], write("a.csv", b"id,text\n1,aa\n,aa\n")
    ),
    "texts: unknown split": Case(
        f"{FIT} a.csv --data.split_column=s",
        ["split_column", "'holdout'"],
        write("a.csv", b"s,text\ntrain,aa\nholdout,aa\n"),
    ),
    "texts: splits twice": Case(
        f"{FIT} a.csv --data.split_column=s --data.val_files=b",
        ["split_column", "val_files"],
        write("a.csv", b"s,text\n"),
    ),
    "texts: only nulls": Case(
        f"{FIT} a.csv", ["data.text_column", "2 training", "empty"], write("a.csv", b"n,text\n1,\n2,\n")
    ),
    "texts: only blanks": Case(f"{FIT} a.txt", ["data.token_pattern", "2 training"], write("a.txt", b" \n!\n")),
    "texts: only stop words": Case(
        f"{FIT} a.txt", ["data.stop_words", "--data.stop_words none"], write("a.txt", b"the of\nand so\n")
    ),
    "texts: only short words": Case(f"{FIT} a.txt", ["data.min_length", "shorter than 2"], write("a.txt", b"x y\nz\n")),
    "texts: nothing above min_df": Case(
        f"{FIT} a.txt --data.min_df=2 --data.max_df=9", ["lower min_df"], write("a.txt", b"aa\nbb\n")
    ),
    "texts: min_df above max_df": Case(
        f"{FIT} a.txt --data.min_df=4 --data.max_df=3", ["min_df 4", "max_df 3"], write("a.txt", b"aa\nbb\n")
    ),
    "texts: two characters for a separator": Case(
        f"{FIT} a.csv --data.separator=::", ["data.separator", "'::'", "tab"], write("a.csv", b"text\na\n")
    ),
    "texts: nothing to strip": Case(f"{FIT} a.txt --data.strip=[xml]", ["strip", "xml"], write("a.txt", b"a")),
    "texts: the standard input twice": Case(
        f"{FIT} a.txt --data.files=- --data.val_files=-", ["data.files", "more than once"], write("a.txt", b"a")
    ),
    "texts: open quote far from the end": Case(
        f"{FIT} a.csv",
        ["a.csv, line 3", "quotes", "--data.on_bad_rows skip"],
        write("a.csv", b'text,a\nx,1\n"y,2\n' + b"z,3\n" * 4000),
    ),
    "texts: all rows left out": Case(
        f"{FIT} a.csv --data.on_bad_rows=skip", ["data.files", "all 1 rows"], write("a.csv", b"text,a\nx,1,2\n")
    ),
    "texts: unknown format": Case(f"{FIT} a.txt --data.format=docx", ["format", "docx"], write("a.txt", b"a")),
    "texts: unknown stop words": Case(
        f"{FIT} a.txt --data.stop_words=qq", ["stop_words", "'qq'"], write("a.txt", b"a")
    ),
    "texts: too long n-grams": Case(f"{FIT} a.txt --data.ngrams=4", ["ngrams", "4"], write("a.txt", b"a")),
    "texts: unknown tokenizer": Case(
        f"{FIT} a.txt --data.tokenizer=no.cut", ["tokenizer", "no.cut"], write("a.txt", b"a")
    ),
}
