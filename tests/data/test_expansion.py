"""Files as strangers may make them, which are small and expand to what fills memory or disk; and honest ones."""

import bz2
import gzip
import io
import lzma
import subprocess
import sys
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import scipy.io
import scipy.sparse as sp

from etm_app.data import expansion, parquet
from etm_app.data.counts import formats
from etm_app.data.counts.counts import CountsDataModule
from etm_app.data.document_vectors import VectorFile
from etm_app.data.expansion import check_lines, opened
from etm_app.data.parquet import check_parquet
from etm_app.data.text import csv_reader, json_reader, reader, reading
from etm_app.data.text.reader import TextReader
from etm_app.data.word_vectors.embeddings import read_embeddings
from etm_app.errors import UserError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FLOOR = 200_000  # bytes that are always fine here; else a gigabyte
PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lambda content: lzma.compress(content, preset=0),
    ".zst": zstd.compress,
}
CSV = b"text\n" + b"cats and dogs\n" * 400_000
NUMBERS = np.random.default_rng(0).integers(0, 1_000_000, 30_000).tolist()
HONEST = b"text\n" + b"".join(b"cat %d and dog\n" % number for number in NUMBERS)


@pytest.fixture
def low(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expansion, "ALWAYS_EXPANDED", FLOOR)


def texts(path: Path, mode: str = "error") -> list[str]:
    batches = TextReader([str(path)], {"text": "text"}, on_bad_rows=mode).batches()  # type: ignore[arg-type]
    return [text for batch in batches for text in batch["text"]]


def counts(path: Path) -> CountsDataModule:
    (path.parent / "vocab.txt").write_text("cats\ndogs\n")
    data = CountsDataModule(path, vocab=path.parent / "vocab.txt", cache_dir=path.parent / "cache")
    assert len(data.corpus)
    return data


def vectors(path: Path) -> None:
    read_embeddings(path, ["cats", "dogs"])


def npz(**arrays: object) -> bytes:
    np.savez_compressed(file := io.BytesIO(), **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def written(write: Callable[[io.BytesIO], object]) -> bytes:
    write(file := io.BytesIO())
    return file.getvalue()


def zipped(name: str, content: bytes) -> bytes:
    with zipfile.ZipFile(file := io.BytesIO(), "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(name, content)
    return file.getvalue()


def table(**columns: object) -> bytes:
    return written(pl.DataFrame(columns).write_parquet)


MARKET = b"%%MatrixMarket matrix coordinate integer general\n2 2 500000\n" + b"1 1 1\n" * 500_000
SAME = pl.repeat("cats and dogs", 500_000, eager=True)
LONG = pl.repeat("cats " * 1_000, 5_000, eager=True)
ONES = np.ones(500_000, np.int8)
BOMBS: dict[str, tuple[str, bytes, Callable[[Path], object]]] = {
    **{f"csv{ending}": (f"a.csv{ending}", pack(CSV), texts) for ending, pack in PACK.items()},
    **{f"lines{ending}": (f"a.txt{ending}", pack(CSV), texts) for ending, pack in PACK.items()},
    "jsonl": ("a.jsonl.gz", gzip.compress(b'{"text": "a"}\n' * 400_000), texts),
    "json": ("a.json.zst", zstd.compress(b"[" + b'{"text": "a"},' * 400_000 + b'{"text": "a"}]'), texts),
    "called otherwise, .gz": ("a.csv", gzip.compress(CSV), texts),
    "called otherwise, .zst": ("a.txt", zstd.compress(CSV), texts),
    "in an archive": ("a.zip", zipped("a.csv.gz", gzip.compress(CSV)), texts),
    "empty documents": ("a.txt.gz", gzip.compress(b"\n" * 100_000), texts),
    "parquet, one text again and again": ("a.parquet", table(text=SAME), texts),
    "parquet, a long text again and again": ("a.parquet", table(text=LONG), texts),
    "parquet, a category": ("a.parquet", table(text=LONG.cast(pl.Categorical)), texts),
    "mtx": ("a.mtx.gz", gzip.compress(MARKET), counts),
    "uci": ("docword.a.txt.gz", gzip.compress(b"2\n2\n500000\n" + b"1 1 1\n" * 500_000), counts),
    "svmlight": ("a.svmlight.gz", gzip.compress(b"1 0:1 1:1\n" * 400_000), counts),
    "csv of counts": ("a.csv.gz", gzip.compress(b"document,term,count\n" + b"a,cats,1\n" * 400_000), counts),
    "npz of counts": (
        "a.npz",
        written(lambda file: sp.save_npz(file, sp.coo_array((ONES, (0 * ONES, 0 * ONES)), (2, 2)))),
        counts,
    ),
    "parquet of counts": (
        "a.parquet",
        table(document=pl.repeat(1, 500_000, eager=True), term=pl.repeat("cats", 500_000, eager=True), count=ONES),
        counts,
    ),
    "mat": (
        "bow_tr_tokens.mat",
        written(lambda file: scipy.io.savemat(file, {"tokens": np.zeros((1, 100_000))}, do_compression=True)),
        counts,
    ),
    "vectors": ("a.txt.gz", gzip.compress(b"other 0.5 0.5\n" * 400_000), vectors),
    "vectors.npz": ("a.npz", npz(words=np.array(["cats"] * 50_000), vectors=np.zeros((50_000, 8))), vectors),
    "vectors of documents": (
        "a.parquet", table(embedding=pl.Series([[0.5] * 100] * 2_000, dtype=pl.List(pl.Float32))), VectorFile,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_what_expands_absurdly_is_refused_in_a_line(tmp_path: Path, low: None, name: str) -> None:
    file, content, read = BOMBS[name]
    assert len(content) * expansion.MAX_EXPANSION < 3_000_000
    (path := tmp_path / file).write_bytes(content)
    if file.startswith("bow_"):
        scipy.io.savemat(tmp_path / "bow_tr_counts.mat", {"counts": np.ones((1, 2))})
        (tmp_path / "vocab.pkl").write_bytes(b"\x80\x03]q\x00(X\x04\x00\x00\x00catsq\x01X\x04\x00\x00\x00dogsq\x02e.")
    said = "" if file == "a.zip" else path.name  # what is unpacked from it is called otherwise
    with pytest.raises(UserError, match=f"{said}.* expands to") as refused:
        read(path)
    assert len(str(refused.value)) < 400 + len(str(tmp_path))


@pytest.mark.parametrize("ending", PACK)
def test_honest_ones_are_read(tmp_path: Path, low: None, ending: str) -> None:
    (path := tmp_path / f"a.csv{ending}").write_bytes(packed := PACK[ending](HONEST))
    assert FLOOR < len(HONEST) < expansion.MAX_EXPANSION * len(packed)
    assert len(HONEST) > 2 * len(packed)
    assert len(texts(path)) == 30_000


@pytest.mark.parametrize("ending", PACK)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_any_encoding_may_be_compressed(tmp_path: Path, ending: str, encoding: str) -> None:
    (path := tmp_path / f"a.jsonl{ending}").write_bytes(PACK[ending]('{"text": "Größe"}\n'.encode(encoding)))
    (batch,) = TextReader([str(path)], {"text": "text"}, encoding=encoding).batches()
    assert batch["text"].to_list() == ["Größe"]


@pytest.mark.parametrize("ending", [*PACK, ""])
def test_bytes_come_as_they_were_in_flat_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    monkeypatch.setattr(expansion, "PIECE", 1 << 16)
    content = HONEST * 15
    (path := tmp_path / f"a{ending}").write_bytes(PACK.get(ending, bytes)(content))
    tracemalloc.start()
    try:
        with opened(path, "it") as file:
            size, same = 0, True
            while piece := file.read(1 << 16):
                same = same and content[size : size + len(piece)] == piece
                size += len(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert same
    assert size == len(content) > 8_000_000
    assert peak < 2_000_000


PEAK = """
import resource, sys
from etm_app.data.text.reader import TextReader

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1 << 10 if sys.platform == "linux" else 1 << 20)

def read(path):
    return sum(len(batch) for batch in TextReader([path], {"text": "text"}).batches())

read(sys.argv[1])
before = peak()
print(read(sys.argv[2]), peak() - before)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no getrusage")
def test_texts_of_any_size_are_read_in_flat_memory(tmp_path: Path) -> None:
    line = b"the cat sat on the mat, and the dog did not, " * 20 + b"\n"
    for name, repeats in (("small", 10_000), ("large", 500_000)):  # of 9 and 450 MB
        with gzip.open(tmp_path / f"{name}.txt.gz", "wb", 1) as file:
            for _ in range(repeats // 10_000):
                file.write(line * 10_000)
    paths = [str(tmp_path / f"{name}.txt.gz") for name in ("small", "large")]
    done = subprocess.run([sys.executable, "-c", PEAK, *paths], capture_output=True, text=True, check=True)
    number, megabytes = map(int, done.stdout.split())
    assert number == 500_000
    assert megabytes < 200


@pytest.mark.parametrize("ending", [".gz", ".zst"])
@pytest.mark.parametrize(
    ("name", "content", "fits"),
    [
        ("a.txt", b"a" * 20_000_000, False),
        ("a.txt", b"a" * 900_000 + b"\n" + b"b" * 900_000, True),
        ("a.jsonl", b'{"text": "' + b"a" * 20_000_000 + b'"}', False),
        ("a.csv", b'text\n"' + b"a\n" * 10_000_000, False),
        ("a.csv", b"text\n" + b'"a\nb"\n' * 3_000_000, True),
        ("a.csv", b"text\n" + b'"a""\nb"\n' * 2_500_000, True),
        ("a.csv", b'text,n\na 5" disk,1\n' + b"abc,2\n" * 3_000_000, True),
        ("a.csv", b'text,n\na 5" disk,1\n' + b"abc,2\n" * 300_000 + b'"' + b"abc,2\n" * 3_000_000, False),
    ],
)
def test_lines_that_would_fill_memory_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, name: str, content: bytes, fits: bool
) -> None:
    monkeypatch.setattr(expansion, "LONGEST_LINE", 1_000_000)
    monkeypatch.setattr(expansion, "PIECE", 1 << 16)
    (path := tmp_path / f"{name}{ending}").write_bytes(PACK[ending](content))
    if fits:
        check_lines(path, "it", quoted=".csv" in name)
    else:
        with pytest.raises(UserError, match=r"a\..* has a (line|row of CSV).* 1,000,000 bytes"):
            texts(path)
    (tmp_path / "plain.txt").write_bytes(content)
    check_lines(tmp_path / "plain.txt", "it")  # in memory it is no larger than on disk


def test_a_file_with_a_quote_within_a_field_is_looked_through_twice_at_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expansion, "LONGEST_LINE", 100_000)
    monkeypatch.setattr(expansion, "PIECE", 1 << 14)
    (path := tmp_path / "a.csv.gz").write_bytes(PACK[".gz"](b'text,n\na 5" disk,1\n' + b"abc,2\n" * 300_000))
    seen = []
    monkeypatch.setattr(expansion, "opened", lambda *of: seen.append(of) or opened(*of))
    check_lines(path, "it", quoted=True)
    assert len(seen) == 2


@pytest.mark.parametrize("name", ["a.txt.gz", "b.csv.gz"])
def test_a_compressed_document_is_no_longer_than_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(reader, "LONGEST_LINE", 1_000_000)
    (folder := tmp_path / "folder").mkdir()
    (folder / "a.txt.gz").write_bytes(gzip.compress(b"a\n" * 600_000))
    with pytest.raises(UserError, match=r"a\.txt\.gz has more than 1,000,000 characters"):
        texts(folder)
    (folder / "a.txt").write_bytes(b"a\n" * 600_000)
    (folder / "a.txt.gz").unlink()
    assert len(texts(folder)) == 1


def test_a_long_text_in_a_small_table_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "LONGEST_LINE", 100_000)
    (path := tmp_path / "a.parquet").write_bytes(table(text=["a" * 200_000]))
    with pytest.raises(UserError, match="has a text of 200,000 bytes"):
        texts(path)


def test_zlib_is_not_read_though_polars_would(tmp_path: Path) -> None:
    (path := tmp_path / "a.csv").write_bytes(zlib.compress(CSV))
    with pytest.raises(UserError, match="zlib"):
        texts(path)


def test_lines_of_counts_are_not_decompressed(tmp_path: Path) -> None:
    header = b"%%MatrixMarket matrix coordinate integer general\n2 2 1\n"
    for pack in (gzip.compress, zstd.compress, zlib.compress):
        (path := tmp_path / "a.mtx").write_bytes(header + pack(b"1 1 1\n") + b"\n")
        with pytest.raises(UserError, match=r"a\.mtx has on line 3"):
            counts(path)


def test_rows_with_few_of_many_fields_take_no_more_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_reader, "MOST_AT_ONCE", 1 << 20)
    row_by_row, calls = csv_reader.read_csv_by_row, []
    monkeypatch.setattr(csv_reader, "read_csv_by_row", lambda *args: calls.append(args) or row_by_row(*args))
    header = ",".join(["text", *(f"c{number}" for number in range(200))]).encode() + b"\n"
    (path := tmp_path / "a.csv").write_bytes(header + b"a\n" * 1_000)
    assert texts(path) == ["a"] * 1_000
    assert len(calls) == 1
    path.write_bytes(header + b"a" + b"," * 200 + b"\n" + b"b" + b",c" * 200 + b"\n")
    assert texts(path) == ["a", "b"]
    assert len(calls) == 1


def test_of_bad_rows_not_all_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_SKIPPED", 10)
    (path := tmp_path / "a.csv").write_bytes(b"text\na\n" + b"a,b\n" * 10)
    assert texts(path, "skip") == ["a"]
    path.write_bytes(b"text\na\n" + b"a,b\n" * 11)
    with pytest.raises(UserError, match=r"10 rows were left out before .*line 13"):
        texts(path, "skip")


def test_a_json_value_that_would_fill_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_reader, "MAX_VALUE", 1_000)
    (path := tmp_path / "a.jsonl").write_text(
        '{"text": "b"}\n{"text": "a", "other": [' + "[],\n"[:-1] * 1_000 + "[]]}\n" + "null\n"
    )
    with pytest.raises(UserError, match="more than 1,000 characters"):
        texts(path)


def test_parquet_as_others_write_it_is_read(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    rng = np.random.default_rng(0)
    many = pl.DataFrame({
        "document": np.sort(rng.integers(0, 20_000, 300_000)),
        "term": pl.Series(rng.zipf(1.5, 300_000) % 1_000).cast(pl.String),
        "count": np.ones(300_000, np.int64),
        "nested": pl.Series([[1.0, 2.0]] * 300_000, dtype=pl.Array(pl.Float32, 2)),
        "many": [{"a": [True, None], "b": "c"}] * 300_000,
    })  # fmt: skip
    for codec in ("uncompressed", "snappy", "gzip", "zstd", "brotli", "lz4"):
        many.write_parquet(tmp_path / f"{codec}.parquet", compression=codec)  # type: ignore[arg-type]
    for version in ("V1", "V2"):
        copied = f"COPY (FROM '{tmp_path}/uncompressed.parquet') TO '{tmp_path}/{version}.parquet'"
        duckdb.sql(f"{copied} (PARQUET_VERSION {version})")
    for path in tmp_path.glob("*.parquet"):
        assert path.stat().st_size < 30_000_000
        check_parquet(path, "it")


def test_row_groups_that_would_fill_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "AT_ONCE", 1_000_000)
    numbers = pl.DataFrame({"a": np.arange(100_000), "b": np.arange(100_000)})
    numbers.write_parquet(path := tmp_path / "a.parquet", row_group_size=100_000)
    with pytest.raises(UserError, match=r"it expands to [\d,]+ bytes in row group 0"):
        check_parquet(path, "it")
    check_parquet(path, "it", ["c"])  # what is not read takes no memory
    numbers.write_parquet(path, row_group_size=10_000)
    check_parquet(path, "it")


def test_strings_of_a_delta_encoding_may_be_any_length(tmp_path: Path, low: None) -> None:
    arrow = pytest.importorskip("pyarrow")
    write = pytest.importorskip("pyarrow.parquet").write_table
    strings = arrow.table({"text": arrow.array(["a" * 10_000] * 300)})
    path = tmp_path / "a.parquet"
    write(strings, path, use_dictionary=False, compression="none", column_encoding={"text": "DELTA_BYTE_ARRAY"})
    assert 200 * path.stat().st_size < 3_000_000
    with pytest.raises(UserError, match=r"DELTA_BYTE_ARRAY.* write it with PLAIN or a dictionary"):
        texts(path)


def thrift(*fields: tuple[int, int | bytes]) -> bytes:
    """A structure in Thrift's compact protocol: its numbers, or bytes with the kind before them."""
    written, before = b"", 0
    for number, value in fields:
        kind, content = (6, varint(value << 1)) if isinstance(value, int) else (value[0], value[1:])
        written += bytes([number - before << 4 | kind]) + content
        before = number
    return written + b"\0"


def varint(value: int) -> bytes:
    return (bytes([value & 127 | 128]) + varint(value >> 7)) if value > 127 else bytes([value])


def listed(kind: int, items: Sequence[bytes]) -> bytes:
    return bytes([9, 0xF0 | kind]) + varint(len(items)) + b"".join(items)


def test_columns_that_share_their_pages_are_refused_at_once(tmp_path: Path) -> None:
    """Else each page is walked for each column: a file of a megabyte would take hours."""
    pages, number = thrift((2, 0), (3, 0)) * 3_000, 3_000
    chunk = thrift((1, 1), (3, listed(8, [b"\x04text"])), (5, 0), (7, len(pages)), (9, 4))
    group = thrift((1, listed(12, [thrift((3, bytes([12]) + chunk))] * number)), (3, 0))
    footer = thrift((2, listed(12, [])), (3, 0), (4, listed(12, [group])))
    (path := tmp_path / "a.parquet").write_bytes(b"PAR1" + pages + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(OSError, match="columns of"):
        check_parquet(path, "it")


def test_a_damaged_footer_is_refused_in_bounded_time(tmp_path: Path) -> None:
    whole = table(text=[f"cat {number}" for number in range(50)], id=list(range(50)))
    path, rng = tmp_path / "a.parquet", np.random.default_rng(0)
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    refused = 0
    for at in range(footer, len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            check_parquet(path, "it")
        except (OSError, UserError):
            refused += 1
    assert refused > 50


def test_documents_without_words_are_fine_as_long_as_they_are_not_absurdly_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = b"%%MatrixMarket matrix coordinate integer general\n"
    path = tmp_path / "a.mtx"
    path.write_bytes(header + b"2000000000 2 2\n1 1 1\n3 2 1\n")
    with pytest.raises(UserError, match=r"2,000,000,000 documents or more in .* bytes; expected at most 3 in a byte"):
        counts(path)
    monkeypatch.setattr(formats, "ALWAYS_DOCUMENTS", 0)
    many = 3 * len(header + b"222 2 2\n1 1 1\n3 2 1\n")
    path.write_bytes(header + b"%d 2 2\n1 1 1\n3 2 1\n" % many)
    assert len(counts(path).corpus) == many
    path.write_bytes(header + b"%d 2 2\n1 1 1\n3 2 1\n" % (many + 1))
    with pytest.raises(UserError, match="documents or more"):
        counts(path)
    (path := tmp_path / "a.svmlight.gz").write_bytes(gzip.compress(b"1 0:1\n" + b"1\n" * 10_000))
    with pytest.raises(UserError, match="documents or more"):
        counts(path)


def test_row_starts_that_do_not_ascend(tmp_path: Path) -> None:  # SciPy writes beyond its arrays
    ascending = {"indices": np.zeros(5, np.int32), "data": np.ones(5), "format": b"csr", "shape": np.array([2, 2])}
    for starts in ([0, 10**7, 5], [0, -7, 5]):
        (path := tmp_path / "a.npz").write_bytes(npz(**ascending, indptr=np.array(starts, np.int32)))
        with pytest.raises(UserError, match=r"a\.npz cannot be read"):
            counts(path)


def test_long_names_in_parquet_counts_are_refused(tmp_path: Path) -> None:
    for names in (pl.Series(["a" * 5_000, "b"]), pl.Series(["a" * 5_000, "b"], dtype=pl.Categorical)):
        (path := tmp_path / "a.parquet").write_bytes(table(document=names, term=["cats", "dogs"], count=[1, 2]))
        with pytest.raises(UserError, match="has 5,000 bytes in 'document'"):
            counts(path)
