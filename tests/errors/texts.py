"""What texts can have wrong: their files, columns, encodings, and words."""

import datetime as dt
import gzip
import os
import zipfile
from pathlib import Path

import polars as pl

from tests.errors.case import Case, Make, cut, in_turn, write

__all__ = ["OTHER_DATA", "TEXTS", "TIMES", "WORDS"]

FIT = "fit --data.val_fraction=0 --data.test_fraction=0 --data.min_df=1 --data.max_df=1.0 --data.files"


def many(size: int, broken: int, row: str, bad: str) -> bytes:
    """Rows of which one is bad, far from the beginning."""
    return "".join((bad if line == broken else row) + "\n" for line in range(1, size + 1)).encode()


def parquet(folder: Path) -> None:
    pl.DataFrame({"text": ["a text"] * 99}).write_parquet(folder / "a.parquet")


def workbook(folder: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(["text"])
    book.active.append(["cats"])
    book.save(folder / "a.xlsx")


def zipped(files: dict[str, str]) -> Make:
    def make(folder: Path) -> None:
        with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)

    return make


def locked(folder: Path) -> None:
    """Set the flag of a password in an archive of one file."""
    content = bytearray((folder / "a.zip").read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + offset] |= 1
    (folder / "a.zip").write_bytes(content)


def lying(folder: Path) -> None:
    """Have an archive say that its file is of ten bytes."""
    content = bytearray((folder / "a.zip").read_bytes())
    directory = content.index(b"PK\x01\x02")
    content[directory + 24 : directory + 28] = (10).to_bytes(4, "little")
    (folder / "a.zip").write_bytes(content)


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
        ["a.csv, line 4002", "no utf-8", "cp1252", "--data.encoding"],
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
    **{
        f"texts: {what} column of {name}": Case(
            f"{FIT} {files} --data.{what}_column=s",
            [f"data.{what}_column: s, but {source} is read as text", "no columns", remedy],
            in_turn(*(write(of, "s,text\ntrain,aa\n") for of in ("a.txt", "b.csv", "f/a"))),
        )
        for what, remedy in (
            ("text", "--data.format"),
            ("id", "leave it out"),
            ("label", "leave it out"),
            ("split", "--data.val_files"),
            ("time", "leave it out"),
        )
        for name, files, source in (("lines", "a.txt", "a.txt"), ("a folder", "f", "f/a"))
    },
    "texts: label column of a table and of lines": Case(
        f"{FIT} b.csv --data.files+=a.txt --data.label_column=s",
        ["data.label_column: s, but a.txt is read as text"],
        in_turn(write("a.txt", "aa\n"), write("b.csv", "s,text\nx,aa\n")),
    ),
    "texts: more in an array of JSON": Case(
        f"{FIT} a.json", ["a.json, record 1 (from 0): no JSON"], write("a.json", '[{"text": "a"}, {"text": oops}]')
    ),
    "texts: half an array of JSON": Case(
        f"{FIT} a.json --data.on_bad_rows=skip", ["a.json, record 0 (from 0): no JSON"], write("a.json", '[{"te')
    ),
    "texts: workbook of another column": Case(
        f"{FIT} a.xlsx --data.text_column=body",
        ["data.text_column", "no column 'body'; expected one of text"],
        workbook,
    ),
    "texts: workbook of text": Case(
        f"{FIT} a.xlsx", ["a.xlsx cannot be read as excel"], write("a.xlsx", "no workbook")
    ),
    "texts: separator that is not found": Case(
        f"{FIT} a.csv --data.text_column=body",
        ["no column 'body'; expected one of id, text, preis (between ';'"],
        write("a.csv", "id;text;preis\n1;aa;9,50\n"),
    ),
    "archive of nothing": Case(f"{FIT} a.zip", ["a.zip has no files in it"], zipped({})),
    "archive of tables and others": Case(
        f"{FIT} a.zip", ["a.csv for one, and others, readme.md"], zipped({"a.csv": "text\na\n", "readme.md": "x"})
    ),
    "archive of another format": Case(f"{FIT} a.zip", ["a.zip/a.doc tells no format"], zipped({"a.doc": "x"})),
    "archive that is none": Case(f"{FIT} a.zip", ["a.zip cannot be read as zip"], write("a.zip", "PK no")),
    "archive with a password": Case(
        f"{FIT} a.zip", ["a.zip has a password", "unpack it"], in_turn(zipped({"a.csv": "text\na\n"}), locked)
    ),
    "archive that lies about its sizes": Case(
        f"{FIT} a.zip", ["a.zip/a.csv cannot be read"], in_turn(zipped({"a.csv": "text\n" + "a\n" * 100_000}), lying)
    ),
}

TIMED = "text,t\naa,2024\naa,soon\n"
TIMES = {
    "times: unknown period": Case(f"{FIT} x --data.time_column=t --data.period=hour", ["data.period", "hour", "week"]),
    "times: period of none": Case(f"{FIT} x --data.period=day", ["data.period: day", "--data.time_column"]),
    "times: form of none": Case(f"{FIT} x --data.time_format=%d", ["data.time_format: %d", "--data.time_column"]),
    **{
        f"times: no form {form}": Case(
            f"{FIT} x --data.time_column=t --data.time_format={form}", ["data.time_format", f"'{form}'", "strptime"]
        )
        for form in ("%d.%q", "%")
    },
    "times: form without a year": Case(
        f"{FIT} x --data.time_column=t --data.time_format=%d.%m.", ["data.time_format: '%d.%m.' tells no year"]
    ),
    "times: a row without": Case(
        f"{FIT} a.csv --data.time_column=t",
        ["row 1 (from 0): 'soon' in t (data.time_column)", "on_bad_rows skip"],
        write("a.csv", TIMED),
    ),
    "times: of another form": Case(
        f"{FIT} a.csv --data.time_column=t --data.time_format=%d.%m.%Y",
        ["row 0 (from 0): '2024' in t (data.time_column)"],
        write("a.csv", TIMED),
    ),
    "times: no such column": Case(
        f"{FIT} a.csv --data.time_column=when", ["data.time_column", "'when'"], write("a.csv", TIMED)
    ),
    **{
        f"times: column of {name}": Case(
            f"{FIT} a.parquet --data.time_column=t",
            ["data.time_column: t of a.parquet holds ", "expected dates"],
            lambda folder, values=values: pl.DataFrame({"text": ["aa"] * 4, "t": values}).write_parquet(  # type: ignore[misc]
                folder / "a.parquet"
            ),
        )
        for name, values in (
            ("lists", [[1], [2], [3], [4]]),
            ("lengths", [dt.timedelta(1)] * 4),
            ("yes and no", [True, False, None, None]),
        )
    },
}

CUTTERS = b"""
def no_list(text):
    return "a"

def sixth(text):
    return [text.split()[5]]
"""
WORDS = {
    **{
        f"words: {args}": Case(f"{FIT} texts.csv {args}", said, write("cutters.py", CUTTERS))
        for args, said in (
            ("--data.ngrams=0", ["data.ngrams: 0"]),
            ("--data.min_length=0", ["data.min_length: 0"]),
            ("--data.token_pattern='('", ["data.token_pattern: '('"]),
            ("--data.token_pattern='a*'", ["data.token_pattern: 'a*'"]),
            ("--data.tokenizer=os.no_such_function", ["data.tokenizer: os.no_such_function"]),
            ("--data.tokenizer=plain", ["data.tokenizer: plain"]),
            ("--data.tokenizer=os.sep", ["data.tokenizer: os.sep"]),
            ("--data.tokenizer=cutters.no_list", ["data.tokenizer: cutters.no_list returned 'a'"]),
            ("--data.min_df=0.5 --data.max_df=0.1", ["min_df 0.5 is more than data.max_df 0.1"]),
            ("--data.min_df=25 --data.max_df=0.5", ["min_df 25 and data.max_df 0.5"]),
            ("--data.min_df=-1", ["min_df: -1"]),
            ("--data.max_df=1.5", ["max_df: 1.5"]),
            ("--data.max_vocab=0", ["max_vocab: 0"]),
            ("--data.min_df=100 --data.max_df=200", ["lower min_df"]),
        )
    },
    "words: tokenizer that raises": Case(
        f"{FIT} a.csv --data.tokenizer=cutters.sixth --data.on_bad_rows=skip",
        ["data.tokenizer: cutters.sixth failed on row 4 (from 0), 'too short': IndexError"],
        in_turn(
            write("cutters.py", CUTTERS),
            write("a.csv", "text,n\n" + "a b c d e f g,1\n" * 3 + "x,1,2\n" + "too short,1\n"),
        ),
    ),
    "words: stop words that are no text": Case(
        f"{FIT} texts.csv --data.stop_words=words.txt",
        ["data.stop_words", "words.txt"],
        write("words.txt", "naïve".encode("latin-1")),
    ),
    "words: one for all topics": Case(
        f"{FIT} a.txt", ["data: one word in the vocabulary", "--data.min_df"], write("a.txt", "topic\n" * 30)
    ),
}

OTHER_DATA = {
    **{
        f"docstrings: {args}": Case(f"fit --data=DocstringsDataModule --data.packages='[json]' {args}", said)
        for args, said in (
            ("--data.packages='[email, no_such_package]'", ["packages: no_such_package"]),
            ("--data.packages='[no_such_package.inside]'", ["packages: no_such_package.inside"]),
            ("--data.packages='[ast]'", ["packages: ast"]),
            ("--data.packages='[]'", ["packages"]),
            ("--data.min_words=100000", ["min_words"]),
            ("--data.min_words=5 --data.min_df=100000", ["min_df", "100000"]),
            ("--data.val_fraction=0.6 --data.test_fraction=0.6", ["val_fraction"]),
            ("--data.val_fraction=-0.1", ["val_fraction"]),
            ("--data.val_fraction=1.5", ["val_fraction", "1.5"]),
            ("--data.stop_words=no/such/file", ["stop_words", "no/such/file"]),
        )
    },
    **{
        f"synthetic documents: {args}": Case(f"fit --data=SyntheticDataModule {args}", [said])
        for args, said in (
            ("--data.num_documents=0", "data.num_documents: 0; expected a whole number from 1"),
            ("--data.num_words=0", "data.num_words: 0"),
            ("--data.planted_topics=-1", "data.planted_topics: -1"),
            ("--data.document_length=0", "data.document_length: 0"),
            ("--data.theta_scale=-1.0", "data.theta_scale: -1.0; expected a number from 0 to 100"),
            ("--data.beta_scale=.inf", "data.beta_scale: inf"),
            ("--data.zipf_exponent=.nan", "data.zipf_exponent: nan"),
            ("--data.val_fraction=0.6 --data.test_fraction=0.6", "data.val_fraction"),
        )
    },
}
