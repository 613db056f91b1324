"""What a row is called, what is read of files from elsewhere, and what is left of broken ones."""

import bz2
import csv
import gzip
import io
import json
import lzma
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etm_app.data import expansion
from etm_app.data.text import csv_reader, sources
from etm_app.data.text.reader import TextReader
from etm_app.errors import UserError

MODES = ("error", "skip")
TEXTS = ["Größe; mit, allem", 'ein "Zitat"', "zwei\nZeilen", "", "drei", "東京"]


def read(path: Path | str | list[str], mode: str = "error", **settings: Any) -> tuple[pl.DataFrame, TextReader]:
    files = path if isinstance(path, list) else [str(path)]
    columns = settings.pop("columns", {"text": "text"})
    reader = TextReader(files, columns, on_bad_rows=mode, **settings)  # type: ignore[arg-type]
    return pl.concat(list(reader.batches()), how="diagonal"), reader


# A row is the number of its record


LINES = st.lists(st.sampled_from(["a,1", '"b\n\n,,\nc",2', "", ",", ",3", "d", '"",""', "e,", '"f,"']), min_size=1)


@given(LINES, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_rows_of_csv_are_those_of_other_readers(tmp_path: Path, lines: list[str], end: str, last: bool) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes((end.join(["text,n", *lines]) + end * last).encode())
    with path.open(newline="", encoding="utf-8") as file:
        expected = [record["text"] for record in csv.DictReader(file)]
    for mode in MODES:
        if not expected:
            with pytest.raises(UserError, match="empty"):
                read(path, mode)
            continue
        found, of = read(path, mode)
        assert found["row"].to_list() == list(range(len(expected)))
        assert [text.replace("\r\n", "\n") for text in found["text"]] == [
            text.replace("\r\n", "\n") for text in expected
        ]
        assert of.num_short <= lines.count("d") + lines.count('"f,"')
        if mode == "skip":
            assert of.num_short == lines.count("d") + lines.count('"f,"')


@given(st.lists(st.sampled_from(["a", '""', "", " ", '"b\n\nc"']), min_size=1))
def test_rows_of_one_column(tmp_path: Path, lines: list[str]) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["text", *lines, "end"]) + "\n")
    with path.open(newline="") as file:
        expected = [record["text"] for record in csv.DictReader(file)]
    for mode in MODES:
        found, _ = read(path, mode)
        assert found["text"].to_list() == expected
        assert found["row"].to_list() == list(range(len(expected)))


def test_a_table_joins_by_row(tmp_path: Path) -> None:
    """As in a notebook: what is in a row of theta is in that row of what polars and csv read."""
    lines = ["text,n", "a,0", "b,1,too,many", "", "c,2", "", '"d', 'e",3', ",", "f,5"]
    (tmp_path / "a.csv").write_text("\n".join(lines) + "\n")
    found, of = read(tmp_path / "a.csv", "skip")
    assert found.rows() == [(0, "a"), (2, "c"), (3, "d\ne"), (4, ""), (5, "f")]
    assert len(of.skipped) == 1
    with (tmp_path / "a.csv").open(newline="") as file:
        records = list(csv.DictReader(file))
    assert [records[row]["text"] for row in found["row"]] == found["text"].to_list()

    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n\noops\n   \n{"text": "c"}\n')
    assert read(tmp_path / "a.jsonl", "skip")[0].rows() == [(0, "a"), (2, "c")]
    (tmp_path / "a.json").write_text('[{"text": "a"}, 1, {"text": "c"}]')
    assert read(tmp_path / "a.json", "skip")[0].rows() == [(0, "a"), (2, "c")]
    (tmp_path / "a.txt").write_bytes(b"a\n\nb\xff\nc\n")
    assert read(tmp_path / "a.txt", "skip")[0].rows() == [(0, "a"), (1, ""), (3, "c")]


def test_rows_go_on_over_files(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,n\na,0\nb,1,2\n")
    (tmp_path / "b.jsonl").write_text('oops\n{"text": "d"}\n')
    (tmp_path / "c.csv").write_text("text,n\ne,0\n")
    found, _ = read([str(tmp_path / name) for name in ("a.csv", "b.jsonl", "c.csv")], "skip")
    assert found.rows() == [(0, "a"), (3, "d"), (4, "e")]


def test_rows_of_a_folder_count_files_that_are_left_out(tmp_path: Path) -> None:
    for name, content in (("a", b"a"), ("b", b"\xff"), ("c", b"c")):
        (tmp_path / name).write_bytes(content)
    found, of = read(tmp_path, "skip")
    assert found.rows() == [(0, "a", "a"), (2, "c", "c")]
    assert of.skipped == [str(tmp_path / "b")]


# Broken quotes


@given(st.lists(st.sampled_from(["a,1", '"b,2', 'c",3', '"d\ne",4', 'f "g",5', '"h" i,6', ",", 'x","y']), max_size=30))
def test_a_broken_quote_costs_no_row_after_it(tmp_path: Path, lines: list[str]) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["text,n", *lines, "good,7", 'open,"', *(f"good{n},8" for n in range(5))]) + "\n")
    found, of = read(path, "skip")
    texts = found["text"].to_list()
    assert texts[-5:] == [f"good{n}" for n in range(5)]
    assert of.num_rows == len(texts) + len(of.skipped)


def test_one_stray_quote_in_the_middle(tmp_path: Path) -> None:
    rows = [f"text {n},{n}" for n in range(3000)]
    rows[7] = '"text 7,7'
    (tmp_path / "a.csv").write_text("\n".join(["text,n", *rows]) + "\n")
    found, of = read(tmp_path / "a.csv", "skip")
    assert of.skipped == [f"{tmp_path / 'a.csv'}, line 9"]
    assert found["row"].to_list() == [*range(7), *range(8, 3000)]
    with pytest.raises(UserError, match=r"line 9: .*quotes.*--data.on_bad_rows skip"):
        read(tmp_path / "a.csv")


def test_quotes_that_only_python_reads(tmp_path: Path) -> None:
    rows = [f'{n}" pipe,{n}' for n in range(5)]
    (tmp_path / "a.csv").write_text("\n".join(["text,n", *rows, "end,5"]) + "\n")
    for mode in MODES:
        assert read(tmp_path / "a.csv", mode)[0]["text"].to_list() == [*(f'{n}" pipe' for n in range(5)), "end"]


def test_reading_again_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_reader, "MAX_REREAD", 10_000)
    (tmp_path / "a.csv").write_text("text,n\n" + '"x\n' + 'x","y\n' * 5000)
    with pytest.raises(UserError, match="mend the file"):
        read(tmp_path / "a.csv", "skip")


# Tables from elsewhere


def european(separator: str = ";") -> str:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=separator, lineterminator="\r\n")
    writer.writerow(["id", "text", "preis"])
    writer.writerows([n, text, f"{n},50"] for n, text in enumerate(TEXTS))
    return out.getvalue()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.csv.gz", "a.csv.bz2", "a.csv.xz", "a.zip"])
def test_separators_are_found_and_bytes_unpacked(tmp_path: Path, name: str, separator: str, mode: str) -> None:
    content = european(separator).encode("utf-8-sig")
    path = tmp_path / name
    pack: dict[str, Callable[[bytes], bytes]] = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("in/a.csv", content)
            archive.writestr("__MACOSX/in/._a.csv", b"\0")
    else:
        path.write_bytes(pack.get(path.suffix, bytes)(content))
    found, _ = read(path, mode, columns={"text": "text", "id": "id"})
    assert found["text"].to_list() == TEXTS
    assert found["id"].to_list() == [str(n) for n in range(len(TEXTS))]
    assert read(path, mode, separator=separator)[0]["text"].to_list() == TEXTS


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.jsonl", "a.json", "a.txt", "folder/a", "a.zip"])
def test_the_first_bytes_tell_the_encoding(tmp_path: Path, name: str, encoding: str) -> None:
    texts = ["Größe", "東京"]
    table = pl.DataFrame({"text": texts})
    content = {
        "a.csv": table.write_csv(), "a.csv.gz": table.write_csv(), "a.zip": table.write_csv(),
        "a.jsonl": table.write_ndjson(), "a.json": json.dumps(table.to_dicts()),
    }.get(name, "\n".join(texts))  # fmt: skip
    mark = "\ufeff" if encoding[-2:] in ("le", "be") else ""
    raw = (mark + content).encode(encoding)
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    if name == "a.zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.csv", raw)
    else:
        path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    found, _ = read(path.parent if name == "folder/a" else path)
    assert found["text"].to_list() == (["Größe\n東京"] if name == "folder/a" else texts)


def test_excel_in_western_europe(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(european().replace("東京", "Köln").encode("cp1252"))
    found, _ = read(tmp_path / "a.csv", encoding="cp1252")
    assert found["text"].to_list() == [*TEXTS[:-1], "Köln"]
    with pytest.raises(UserError, match=r"line 2: no utf-8; .*cp1252"):
        read(tmp_path / "a.csv")


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(european())
    with pytest.raises(UserError, match=r"no column 'body'; expected one of id, text, preis \(between ';'"):
        read(tmp_path / "a.csv", columns={"text": "body"})
    with pytest.raises(UserError, match=r"no column 'text'; expected one of id;text;preis \(between '\|'"):
        read(tmp_path / "a.csv", separator="|")


def workbook(path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (["id", "text"], [1, "cats"], [None, None], [2.5, 3], [None, "dogs, birds"]):
        book.active.append(row)
    book.create_sheet("other").append(["x"])
    book.save(path)


def test_workbooks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("fastexcel")
    workbook(tmp_path / "a.xlsx")
    with caplog.at_level("INFO", "pytorch_lightning.utilities.rank_zero"):
        found, of = read(tmp_path / "a.xlsx", columns={"text": "text", "id": "id"})
    assert found.rows() == [(0, "cats", "1"), (1, "", None), (2, "3", "2.5"), (3, "dogs, birds", None)]
    assert of.num_null == 1
    assert "first of 2 sheets" in caplog.text


def test_workbooks_without_their_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastexcel", None)
    (tmp_path / "a.xlsx").write_bytes(b"x")
    with pytest.raises(UserError, match=r'pip install "etm_app\[excel\]"'):
        read(tmp_path / "a.xlsx")


# Arrays of JSON

values = st.dictionaries(
    st.sampled_from(["text", "more"]),
    st.one_of(st.text(max_size=9), st.none(), st.integers(), st.booleans(), st.lists(st.integers(), max_size=2)),
)


@given(st.lists(values, min_size=1, max_size=6), st.sampled_from([None, 1]), st.integers(1, 40))
def test_arrays_of_json_are_read_as_one_object_a_line_is(
    tmp_path: Path, rows: list[dict[str, Any]], indent: int | None, piece: int
) -> None:
    rows = [{"text": "first"}, *rows]
    (tmp_path / "a.json").write_text(json.dumps(rows, indent=indent))
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "lines.json").write_bytes((tmp_path / "a.jsonl").read_bytes())
    expected, of_lines = read(tmp_path / "a.jsonl", "skip")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "PIECE", piece)
        found, of_array = read(tmp_path / "a.json", "skip")
    assert found.equals(expected)
    assert len(of_array.skipped) == len(of_lines.skipped)
    assert read(tmp_path / "lines.json", "skip")[0].equals(expected)


# Archives


def zipped(path: Path, files: dict[str, bytes | str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def test_archives_are_read_as_what_is_in_them(tmp_path: Path) -> None:
    tables = zipped(tmp_path / "a.zip", {"b.csv": "text\nb\n", "a/c.jsonl": '{"text": "c"}\n', "a/.d": "x"})
    assert read(tables)[0].rows() == [(0, "c"), (1, "b")]
    assert read(zipped(tmp_path / "b.zip", {"a.txt": "a\nb\n"}))[0].rows() == [(0, "a"), (1, "b")]
    texts = zipped(tmp_path / "c.zip", {"x/b.html": "b\nc", "x/a.txt": "a\n"})
    assert read(texts)[0].rows() == [(0, "x/a.txt", "a\n"), (1, "x/b.html", "b\nc")]
    assert read(texts, format="txt")[0].rows() == [(0, "a"), (1, "b"), (2, "c")]
    parquet = io.BytesIO()
    pl.DataFrame({"text": ["a"]}).write_parquet(parquet)
    assert read(zipped(tmp_path / "d.zip", {"a.parquet": parquet.getvalue()}))[0].rows() == [(0, "a")]


def test_nothing_is_unpacked_to_where_an_archive_says(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"../evil.csv": "text\na\n", "/abs.csv": "text\nb\n"})
    before = {path for path in tmp_path.parent.rglob("*") if path.is_file()}
    assert sorted(read(archive)[0]["text"]) in (["a", "b"], ["b"])
    assert {path for path in tmp_path.parent.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("name", ["a.csv.bz2", "a.csv.xz", "a.zip", "a.xlsx"])
def test_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for module in (expansion, sources):
        monkeypatch.setattr(module, "ALWAYS_EXPANDED", 100_000)
    content = b"text\n" + b"a\n" * 10_000_000
    path = tmp_path / name
    if path.suffix in (".zip", ".xlsx"):
        pytest.importorskip("fastexcel")
        zipped(path, {"a.csv": content})
    else:
        path.write_bytes({".bz2": bz2.compress, ".xz": lzma.compress}[path.suffix](content))
    with pytest.raises(UserError, match="expands to"):
        read(path)


# Pages, folders, and the standard input


def test_pages_are_a_document_each(tmp_path: Path) -> None:
    for name in ("b.html", "a.html", "c.htm"):
        (tmp_path / name).write_text(f"<p>\n{name}</p>")
    found, _ = read(str(tmp_path / "*.htm*"))
    assert found["text"].to_list() == ["<p>\na.html</p>", "<p>\nb.html</p>", "<p>\nc.htm</p>"]
    assert found["id"].to_list() == [str(tmp_path / name) for name in ("a.html", "b.html", "c.htm")]


def test_a_folder_that_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for folder in ("a", "locked"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.txt").write_text(folder)
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(UserError, match=r"locked: cannot be read.*--data.on_bad_rows skip"):
        read(tmp_path)
    found, of = read(tmp_path, "skip")
    assert found["id"].to_list() == ["a/x.txt"]
    assert of.skipped == [str(tmp_path / "locked")]


class Slow(io.RawIOBase):
    """A pipe that hands on what it has, a few bytes at a time."""

    def __init__(self, content: bytes, size: int) -> None:
        self.left = content
        self.size = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece, self.left = self.left[: self.size], self.left[self.size :]
        buffer[: len(piece)] = piece
        return len(piece)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("format", [None, "csv", "jsonl", "json", "parquet"])
def test_the_standard_input(monkeypatch: pytest.MonkeyPatch, format: str | None, encoding: str) -> None:
    texts = ["Größe, x", "", 'ein "Zitat"', "Ende"]
    table = pl.DataFrame({"text": texts})
    if format == "parquet":
        out = io.BytesIO()
        table.write_parquet(out)
        content = out.getvalue()
    else:
        content = {
            None: "\r\n".join(texts), "csv": table.write_csv(quote_style="always"), "jsonl": table.write_ndjson(),
            "json": json.dumps(table.to_dicts()),
        }[format].encode(encoding)  # fmt: skip
    pipe = io.BufferedReader(Slow(content, 7))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(pipe))
    settings = {} if encoding.startswith("utf") else {"encoding": encoding}
    assert read("-", format=format, **settings)[0].rows() == list(enumerate(texts))


def test_the_standard_input_comes_as_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = Slow(b"some words\n" * 10, 11)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(pipe)))
    next(sources.lines_of("-"))
    assert pipe.left


def test_a_broken_line_of_the_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = Slow("a\n\ufffd\n".encode(), 99)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(pipe)))
    assert read("-")[0].rows() == [(0, "a"), (1, "\ufffd")]
    pipe = Slow(b"a\nb\xff\nc", 99)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(pipe)))
    found, of = read("-", "skip")
    assert found.rows() == [(0, "a"), (2, "c")]
    assert of.skipped == ["-, line 2"]
