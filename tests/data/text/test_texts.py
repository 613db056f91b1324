import gzip
import json
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
