import gzip
import json
import os
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from etm_app.data.corpus import BowCorpus
from etm_app.data.text.reader import TextReader
from etm_app.data.text.texts import TextDataModule

NASTY = [
    'He said "cats, dogs", twice "" and left',
    "café, кошка; हिन्दी 東京",
    "tab\there, comma, and semicolon; cats",
    "=1+1 cats -dogs @home",
    "  spaces around cats  ",
    "backslash \\n and \\ end",
    "a 'single' quote, dogs",
]
TEXTS = [f"{text} number{row % 7} word{row % 3}" for row, text in enumerate(NASTY * 9)]
SETTINGS: dict[str, Any] = {"min_df": 1, "max_df": 1.0, "val_fraction": 0.2, "test_fraction": 0.2}


def table(texts: list[str]) -> pl.DataFrame:
    return pl.DataFrame({"id": [f"d{row}" for row in range(len(texts))], "text": texts, "rest": [1] * len(texts)})


def write_folder(texts: list[str], path: Path) -> None:
    for row, text in enumerate(texts):
        file = path / f"{row // 10:02}" / f"{row:03}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())


def write_parts(texts: list[str], path: Path) -> None:
    path.mkdir()
    table(texts[:10]).write_csv(path / "part-0.csv")
    table(texts[10:]).select("rest", "text").write_csv(path / "part-1.csv")


WRITERS: dict[str, Callable[[list[str], Path], object]] = {
    "a.csv": lambda texts, path: table(texts).write_csv(path),
    "a.csv.gz": lambda texts, path: path.write_bytes(gzip.compress(table(texts).write_csv().encode())),
    "a.csv.zst": lambda texts, path: table(texts).lazy().sink_csv(path, compression="zstd"),
    "crlf.csv": lambda texts, path: path.write_text(
        table(texts).write_csv(line_terminator="\r\n"), encoding="utf-8-sig", newline=""
    ),
    "a.tsv": lambda texts, path: table(texts).write_csv(path, separator="\t"),
    "a.jsonl": lambda texts, path: table(texts).write_ndjson(path),
    "a.ndjson.gz": lambda texts, path: path.write_bytes(gzip.compress(table(texts).write_ndjson().encode())),
    "a.jsonl.zst": lambda texts, path: table(texts).lazy().sink_ndjson(path, compression="zstd"),
    "bom.jsonl": lambda texts, path: path.write_text("\n" + table(texts).write_ndjson(), encoding="utf-8-sig"),
    "a.parquet": lambda texts, path: table(texts).write_parquet(path),
    "a.txt": lambda texts, path: path.write_text("".join(f"{text}\r\n" for text in texts), encoding="utf-8-sig"),
    "a.txt.gz": lambda texts, path: path.write_bytes(gzip.compress("\n".join(texts).encode())),
    "folder": write_folder,
    "parts/*.csv": lambda texts, path: write_parts(texts, path.parent),
}


def corpus(files: object, cache_dir: Path, **settings: Any) -> BowCorpus:
    return TextDataModule(files, **{**SETTINGS, "cache_dir": cache_dir, **settings}).corpus  # type: ignore[arg-type]


def matrix(of: BowCorpus) -> sp.csr_array:
    return sp.csr_array((of.counts, of.indices, of.indptr), shape=(len(of), of.vocab_size))


@pytest.mark.parametrize("on_bad_rows", ["error", "skip"])
@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_counts(tmp_path: Path, name: str, on_bad_rows: str) -> None:
    WRITERS[name](TEXTS, tmp_path / name)
    found = corpus(str(tmp_path / name), tmp_path, stop_words="none", on_bad_rows=on_bad_rows)
    train = found.documents["split"] == "train"
    theirs = CountVectorizer(token_pattern=r"(?:[^\W\d_]|\u093f|\u094d|\u0940){2,}")
    theirs.fit([text for text, kept in zip(TEXTS, train, strict=True) if kept])
    assert found.vocab == theirs.get_feature_names_out().tolist()
    assert (matrix(found) != theirs.transform(TEXTS)).nnz == 0
    assert found.excerpts(np.array([8, 3, 0])) == [TEXTS[8], TEXTS[3], TEXTS[0]]


fields = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@given(st.lists(st.tuples(fields, fields), min_size=1, max_size=6))
def test_both_readers_of_csv_and_json_read_any_text(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    documents = pl.DataFrame(rows, schema=["text", "other"], orient="row")
    documents.write_csv(tmp_path / "a.csv", quote_style="always")
    documents.write_ndjson(tmp_path / "a.jsonl")
    expected = [text for text, _ in rows]
    for name, on_bad_rows in (("a.csv", "error"), ("a.csv", "skip"), ("a.jsonl", "error"), ("a.jsonl", "skip")):
        reader = TextReader([str(tmp_path / name)], {"text": "text"}, on_bad_rows=on_bad_rows)  # type: ignore[arg-type]
        read = pl.concat(list(reader.batches()))
        assert read["text"].to_list() == expected
        assert read["row"].to_list() == list(range(len(rows)))
        assert not reader.skipped


def test_several_files_are_read_in_order(tmp_path: Path) -> None:
    table(TEXTS[:20]).write_csv(tmp_path / "b.csv")
    table(TEXTS[20:]).with_columns(pl.col("id") + "x").write_parquet(tmp_path / "a.parquet")
    found = corpus([str(tmp_path / "b.csv"), str(tmp_path / "a.parquet")], tmp_path, id_column="id")
    assert found.excerpts(np.arange(len(TEXTS))) == TEXTS
    assert found.documents["id"].to_list() == [f"d{row}" for row in range(20)] + [f"d{row}x" for row in range(43)]


def test_ids_labels_and_splits_come_from_columns(tmp_path: Path) -> None:
    splits = ["train", "Validation", "test", "train"]
    pl.DataFrame(
        {"text": ["cats", "cats", "", "dogs"], "n": [4, 3, 2, 1], "c": ["a", None, "b", "a"], "s": splits}
    ).write_parquet(tmp_path / "a.parquet")
    columns = {"id_column": "n", "label_column": "c", "split_column": "s"}
    found = corpus(str(tmp_path / "a.parquet"), tmp_path, **columns)
    assert found.documents.to_dict(as_series=False) == {
        "id": ["4", "3", "2", "1"], "split": ["train", "val", "test", "train"], "label": ["a", None, "b", "a"],
    }  # fmt: skip


def test_splits_come_from_files(tmp_path: Path) -> None:
    for name, texts in (("a", TEXTS[:30]), ("v", TEXTS[30:35]), ("t", TEXTS[35:])):
        (tmp_path / f"{name}.txt").write_text("\n".join(texts), encoding="utf-8")
    found = corpus(str(tmp_path / "a.txt"), tmp_path, val_files=str(tmp_path / "v.txt"))
    assert (len(found.rows("train")), len(found.rows("val")), len(found.rows("test"))) == (24, 5, 6)
    assert found.rows("val").tolist() == list(range(30, 35))
    found = corpus(
        str(tmp_path / "a.txt"), tmp_path, val_files=str(tmp_path / "v.txt"), test_files=str(tmp_path / "t.txt")
    )
    assert [len(found.rows(split)) for split in ("train", "val", "test")] == [30, 5, 28]


def test_folders_name_their_documents(tmp_path: Path) -> None:
    write_folder(["cats", "dogs"], tmp_path / "texts")
    (tmp_path / "texts" / ".hidden").write_text("secret")
    (tmp_path / "texts" / "more").write_text("birds\nfly")
    found = corpus(str(tmp_path / "texts"), tmp_path, val_fraction=0.0, test_fraction=0.0)
    assert found.documents["id"].to_list() == ["00/000.txt", "00/001.txt", "more"]
    assert found.vocab == ["birds", "cats", "dogs", "fly"]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16"])
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.jsonl", "a.txt", "folder"])
def test_other_encodings(tmp_path: Path, name: str, encoding: str) -> None:
    texts = ["Größe über alles", "naïve café", "naïve Größe"]
    WRITERS[name](texts, tmp_path / name)
    for path in [tmp_path / name] if (tmp_path / name).is_file() else list((tmp_path / name).rglob("*.txt")):
        packed = path.suffix == ".gz"
        content = (gzip.decompress(path.read_bytes()) if packed else path.read_bytes()).decode("utf-8-sig")
        path.write_bytes(gzip.compress(content.encode(encoding)) if packed else content.encode(encoding))
    found = corpus(str(tmp_path / name), tmp_path, encoding=encoding, val_fraction=0.0, test_fraction=0.0)
    assert found.vocab == ["alles", "café", "größe", "naïve", "über"]


def test_addresses_are_read_as_polars_does(tmp_path: Path) -> None:
    table(TEXTS).write_csv(tmp_path / "a.csv")

    class Ranges(SimpleHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            content = (tmp_path / self.path.lstrip("/")).read_bytes()
            asked = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")
            first, last = int(asked[0]), min(int(asked[1] or len(content)), len(content) - 1)
            self.send_response(206 if "Range" in self.headers else 200)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
            self.send_header("Content-Length", str(last + 1 - first))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content[first : last + 1])

        def log_message(self, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Ranges)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        found = corpus(f"http://127.0.0.1:{server.server_port}/a.csv", tmp_path)
    finally:
        server.shutdown()
    assert found.excerpts(np.arange(len(TEXTS))) == TEXTS


def test_what_is_skipped_or_missing_is_counted(tmp_path: Path, said: Callable[[], str]) -> None:
    rows = [
        '{"text": "cats"}',
        "oops",
        '{"text": null}',
        '{"id": 1}',
        "[1]",
        '{"text": ["x"]}',
        '{"text": 5, "more": [1]}',
        "",
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    settings = {"val_fraction": 0.0, "test_fraction": 0.0, "on_bad_rows": "skip"}
    found = corpus(str(tmp_path / "a.jsonl"), tmp_path, **settings)
    assert found.excerpts(np.arange(4)) == ["cats", "", "", "5"]
    assert len(found) == 4
    told = said()
    assert "skipped 3 rows" in told
    assert all(f"line {line}" in told for line in (2, 5, 6))
    assert "2 of 4 documents have no text" in told
    assert "3 documents have none of them (empty)" in told

    (tmp_path / "short.csv").write_text("text,n,m\ncats\nbirds,1\ndogs,,\n")
    for mode in ("skip", "error"):
        assert len(corpus(str(tmp_path / "short.csv"), tmp_path, **{**settings, "on_bad_rows": mode})) == 3
        assert "2 rows have fewer fields" in said()

    (tmp_path / "a.csv").write_bytes(b'text,n\ncats,1\ndogs,1,2\n"birds,\nfly",2\nb\xe9d,3\n\n"open,4\n')
    found = corpus(str(tmp_path / "a.csv"), tmp_path, **settings)
    assert found.excerpts(np.arange(2)) == ["cats", "birds,\nfly"]
    told = said()
    assert all(f"a.csv, line {line}" in told for line in (3, 6, 8))


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], str]]:
    with caplog.at_level("INFO", "pytorch_lightning.utilities.rank_zero"):
        yield lambda: "\n".join(caplog.messages)


def write(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def cut_parquet(folder: Path) -> None:
    table(TEXTS).write_parquet(folder / "a.parquet")
    content = (folder / "a.parquet").read_bytes()
    (folder / "a.parquet").write_bytes(content[: len(content) // 2])


def many(size: int, broken: int, row: str, bad: str) -> bytes:
    return "".join((bad if line == broken else row) + "\n" for line in range(1, size + 1)).encode()


MISTAKES: dict[str, tuple[Callable[[Path], object], str, list[str], list[str]]] = {
    "no file": (lambda folder: None, "a.csv", [], ["data.files", "a.csv"]),
    "no match": (lambda folder: None, "*.csv", [], ["data.files", "*.csv"]),
    "empty folder": (lambda folder: (folder / "a").mkdir(), "a", [], ["data.files", "is empty"]),
    "folder of tables": (write("a.csv", b"text\nx\n"), ".", [], ["data.files", "a.csv", "*.csv"]),
    "no column": (write("a.csv", b"body,title\nx,y\n"), "a.csv", [], ["data.text_column", "'text'", "body, title"]),
    "no column of JSON": (write("a.jsonl", b'{"body": "x"}\n'), "a.jsonl", [], ["data.text_column", "'text'", "body"]),
    "no id column": (write("a.csv", b"text\nx\n"), "a.csv", ["--data.id_column=name"], ["data.id_column", "'name'"]),
    "empty CSV": (write("a.csv", b""), "a.csv", [], ["data.files", "a.csv", "empty"]),
    "CSV of a header": (write("a.csv", b"text\n"), "a.csv", [], ["data.files", "a.csv", "empty"]),
    "empty text": (write("a.txt", b""), "a.txt", [], ["data.files", "a.txt", "empty"]),
    "empty JSON": (write("a.jsonl", b"\n"), "a.jsonl", [], ["data.files", "a.jsonl", "empty"]),
    "no format": (write("a.doc", b"x"), "a.doc", [], ["data.files", "a.doc", ".csv", "save it as text"]),
    "unknown ending": (write("a.log", b"x"), "a.log", [], ["data.files", "a.log", ".csv", "--data.format"]),
    "archive of another kind": (write("a.tar.gz", b"x"), "a.tar.gz", [], ["data.files", "a.tar.gz", "unpack it"]),
    "encoding of CSV": (
        write("a.csv", many(5000, 4002, "text,a", "b\xe9d,a").decode().encode("latin-1")),
        "a.csv", [], ["a.csv, line 4002", "utf-8", "--data.encoding"],
    ),
    "encoding of lines": (
        write("a.txt", many(5000, 4002, "text", "b\xe9d").decode().encode("latin-1")),
        "a.txt", [], ["a.txt, line 4002", "utf-8", "--data.encoding"],
    ),
    "encoding of JSON": (
        write("a.jsonl", many(50, 42, '{"text": "a"}', '{"text": "\xe9"}').decode().encode("latin-1")),
        "a.jsonl", [], ["a.jsonl, line 42", "utf-8", "--data.encoding"],
    ),
    "encoding of a document": (
        lambda folder: [(folder / "f").mkdir(), (folder / "f" / "a").write_bytes(b"a\nb\xe9d")],
        "f", [], ["f/a, line 2", "utf-8"],
    ),
    "another encoding": (
        write("a.txt", b"a\nb\x81d"), "a.txt", ["--data.encoding=cp1252"], ["a.txt, line 2", "cp1252"],
    ),
    "UTF-16 without its mark": (
        write("a.txt", b"a\nb"), "a.txt", ["--data.encoding=utf-16"], ["a.txt, line 1", "no utf-16", "--data.encoding"],
    ),
    "split column of lines": (
        write("a.txt", b"aa\nbb\n"),
        "a.txt", ["--data.split_column=s"], ["data.split_column: s", "no columns", "val_files"],
    ),
    "broken header": (
        write("a.csv", b'text,id"i","a\n'), "a.csv", ["--data.on_bad_rows=skip"], ["a.csv, line 1", "columns"],
    ),
    "header of broken quotes": (
        write("a.csv", b'text,"id":"a"\nx,y\n'), "a.csv", ["--data.on_bad_rows=skip"], ["a.csv, line 1", "columns"],
    ),
    "carriage return in the header": (write("a.csv", b"te\rxt,id\nx,y\n"), "a.csv", [], ["data.text_column", "'text'"]),
    "columns with line breaks": (write("a.csv", b'"a\nb",c\nx,y\n'), "a.csv", [], ["data.text_column", "a b, c"]),
    "no workbook after all": (
        write("a.xlsx", b"PK\x05\x06" + b"\1" * 8 + b"\xff" * 8 + b"\0\0"), "a.xlsx", [], ["data.files", "a.xlsx"],
    ),
    "unknown encoding": (write("a.txt", b"a"), "a.txt", ["--data.encoding=utf-9"], ["data.encoding", "utf-9"]),
    "too many fields": (
        write("a.csv", many(5000, 4002, "text,a", "text, and more,a")),
        "a.csv", [], ["a.csv, line 4002", "3 fields", "2"],
    ),
    "too many fields of one": (write("a.csv", b"text\none\ntwo, three\n"), "a.csv", [], ["a.csv, line 3", "2 fields"]),
    "open quote": (write("a.csv", b'text,a\nx,1\n"y,2\nz,3\n'), "a.csv", [], ["a.csv, line 3", "quotes"]),
    "broken JSON": (
        write("a.jsonl", many(5000, 4002, '{"text": "a"}', '{"text": oops}')), "a.jsonl", [], ["a.jsonl, line 4002"],
    ),
    "JSON list": (write("a.jsonl", b'{"text": "a"}\n[1]\n'), "a.jsonl", [], ["a.jsonl, line 2"]),
    "numbers for texts": (
        lambda folder: pl.DataFrame({"text": [1, 2]}).write_parquet(folder / "a.parquet"),
        "a.parquet", [], ["data.text_column", "Int64"],
    ),
    "half a Parquet": (cut_parquet, "a.parquet", [], ["data.files", "a.parquet", "parquet"]),
    "half a .gz": (
        lambda folder: (folder / "a.csv.gz").write_bytes(gzip.compress(os.urandom(9000).hex().encode())[:4000]),
        "a.csv.gz", [], ["data.files", "a.csv.gz"],
    ),
    "no .gz": (write("a.txt.gz", b"plain \xff"), "a.txt.gz", [], ["data.files", "a.txt.gz"]),
    "repeated ids": (
        write("a.csv", b"id,text\n1,aa\n2,aa\n1,aa\n"), "a.csv", ["--data.id_column=id"], ["data.id_column", "'1'"],
    ),
    "missing ids": (
        write("a.csv", b"id,text\n1,aa\n,aa\n"), "a.csv", ["--data.id_column=id"], ["data.id_column", "row 1"],
    ),
    "unknown split": (
        write("a.csv", b"s,text\ntrain,aa\nholdout,aa\n"),
        "a.csv", ["--data.split_column=s"], ["split_column", "'holdout'"],
    ),
    "splits twice": (
        write("a.csv", b"s,text\n"),
        "a.csv", ["--data.split_column=s", "--data.val_files=b"], ["split_column", "val_files"],
    ),
    "only nulls": (write("a.csv", b"n,text\n1,\n2,\n"), "a.csv", [], ["data.text_column", "2 training", "empty"]),
    "only blanks": (write("a.txt", b"  \n!\n"), "a.txt", [], ["data.token_pattern", "2 training"]),
    "only stop words": (
        write("a.txt", b"the of\nand so\n"), "a.txt", [], ["data.stop_words", "--data.stop_words none"],
    ),
    "only short words": (write("a.txt", b"x y\nz\n"), "a.txt", [], ["data.min_length", "shorter than 2"]),
    "nothing above min_df": (
        write("a.txt", b"aa\nbb\n"), "a.txt", ["--data.min_df=2", "--data.max_df=9"], ["lower min_df"],
    ),
    "min_df above max_df": (
        write("a.txt", b"aa\nbb\n"), "a.txt", ["--data.min_df=4", "--data.max_df=3"], ["min_df 4", "max_df 3"],
    ),
    "two characters for a separator": (
        write("a.csv", b"text\na\n"), "a.csv", ["--data.separator=::"], ["data.separator", "'::'", "tab"],
    ),
    "nothing to strip": (write("a.txt", b"a"), "a.txt", ["--data.strip=[xml]"], ["strip", "xml"]),
    "the standard input twice": (
        write("a.txt", b"a"), "a.txt", ["--data.files=-", "--data.val_files=-"], ["data.files", "more than once"],
    ),
    "open quote far from the end": (
        write("a.csv", b'text,a\nx,1\n"y,2\n' + b"z,3\n" * 4000),
        "a.csv", [], ["a.csv, line 3", "quotes", "--data.on_bad_rows skip"],
    ),
    "all rows left out": (
        write("a.csv", b"text,a\nx,1,2\n"), "a.csv", ["--data.on_bad_rows=skip"], ["data.files", "all 1 rows"],
    ),
    "unknown format": (write("a.txt", b"a"), "a.txt", ["--data.format=docx"], ["format", "docx"]),
    "unknown stop words": (write("a.txt", b"a"), "a.txt", ["--data.stop_words=qq"], ["stop_words", "'qq'"]),
    "too long n-grams": (write("a.txt", b"a"), "a.txt", ["--data.ngrams=4"], ["ngrams", "4"]),
    "unknown tokenizer": (write("a.txt", b"a"), "a.txt", ["--data.tokenizer=no.cut"], ["tokenizer", "no.cut"]),
}  # fmt: skip


@pytest.mark.parametrize(("make", "name", "args", "names"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_two_lines(
    tmp_path: Path,
    error: Callable[[Callable[[], object]], str],
    make: Callable[[Path], object],
    name: str,
    args: list[str],
    names: list[str],
) -> None:
    from etm_app.cli.main import main

    folder = tmp_path / "data"
    folder.mkdir()
    make(folder)
    where = [f"--data.cache_dir={tmp_path / 'cache'}", f"--trainer.default_root_dir={tmp_path / 'runs'}"]
    bounds = [] if any("_df" in arg for arg in args) else ["--data.min_df=1", "--data.max_df=1.0"]
    data = ["--data=TextDataModule", f"--data.files={folder / name}", "--data.val_fraction=0", "--data.test_fraction=0"]
    message = error(lambda: main(["fit", *data, *where, *bounds, *args]))
    assert all(part in message for part in names), message
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.suffix != ".lock" and path.is_file()]


def test_a_corpus_is_kept_until_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.txt"
    path.write_text("cats\ndogs\n")
    settings: dict[str, Any] = {"val_fraction": 0.0, "test_fraction": 0.0}
    assert corpus(str(path), tmp_path, **settings).vocab == ["cats", "dogs"]
    write_anew, written = TextDataModule.write, []
    monkeypatch.setattr(TextDataModule, "write", lambda self, folder: written.append(write_anew(self, folder)))
    assert corpus(str(path), tmp_path, **settings).vocab == ["cats", "dogs"]
    assert not written
    path.write_text("cats\nbirds\n")
    assert corpus(str(path), tmp_path, **settings).vocab == ["birds", "cats"]
    assert len(written) == 1


def test_the_corpus_can_be_built_in_memory(tmp_path: Path) -> None:
    table(TEXTS).write_csv(tmp_path / "a.csv")
    data = TextDataModule(str(tmp_path / "a.csv"), **SETTINGS, cache_dir=tmp_path)
    built, kept = data.build(), data.corpus
    assert built.vocab == kept.vocab
    assert (matrix(built) != matrix(kept)).nnz == 0
    assert built.documents.equals(kept.documents)
    assert built.excerpts(np.arange(5)) == TEXTS[:5]
    assert json.loads(json.dumps(built.meta)) == built.meta


def test_a_folder_and_a_pattern_are_two_corpora(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    for name in "ab":
        (tmp_path / "docs" / f"{name}.txt").write_text("cats dogs\n" * 9)
    for files, num_documents in (
        (tmp_path / "docs" / "*.txt", 18),
        (tmp_path / "docs", 2),
        (tmp_path / "docs" / "*", 18),
    ):
        no_split = {"val_fraction": 0.0, "test_fraction": 0.0}
        assert len(corpus(str(files), tmp_path / "cache", **no_split)) == num_documents
    assert len(list((tmp_path / "cache" / "corpora").glob("*.lock"))) == 2
