"""Readers of files that hold counts: each gives (document, word, count) entries, a piece at a time."""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from io import BytesIO
from pathlib import Path
from tokenize import TokenError
from typing import IO
from zipfile import BadZipFile

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray

from etm_app.data.counts.files import Format
from etm_app.data.expansion import (
    ALWAYS_EXPANDED,
    DECOMPRESSED_BY_POLARS,
    MAX_EXPANSION,
    ROW,
    check_archive,
    check_lines,
    opened,
)
from etm_app.data.parquet import check_parquet
from etm_app.errors import UserError, reading

__all__ = [
    "CountFile",
    "Entries",
    "LongTable",
    "MatrixMarket",
    "Npz",
    "SvmLight",
    "Uci",
    "check_table",
    "first_word_of",
    "scan_table",
]

CHUNK = 1_000_000  # entries given at a time
BLOCK = 1 << 24  # bytes of text parsed at a time
LONGEST_NAME = 1 << 12  # bytes of a term, or of what a table calls a document
LONGEST_TRIPLE, LONGEST_DOCUMENT = 1 << 16, 1 << 26  # bytes of a line, which takes some thirty times as many
MOST_DOCUMENTS = np.iinfo(np.int32).max  # as their numbers are kept
ALWAYS_DOCUMENTS, MOST_PER_BYTE = ALWAYS_EXPANDED // ROW, MAX_EXPANSION // ROW  # so many, and beyond them in a byte
# Of NumPy's, zipfile's and Polars' readers: a RuntimeError where an archive says that it is encrypted, a MemoryError
# where a header states more numbers than there could be.
DAMAGES = (
    *(OSError, EOFError, ValueError, TypeError, KeyError, RuntimeError, MemoryError),
    *(TokenError, zlib.error, BadZipFile, pl.exceptions.PolarsError),
)
TRIPLE = {"document": pl.Int64, "word": pl.Int64, "count": pl.Float64}

Entries = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]


class CountFile(ABC):
    """Counts in files of one format.

    Args:
        files: The files; one, where the format has no parts.
        argument: What to call them in messages.
        vocab: The V words.

    Attributes:
        num_documents: D; known when the entries have been read through, as are the following.
        ids: Names of the documents, [D], where the files have them.
        labels: Their labels, [D], where the files have them.
        num_unknown: Entries of words outside the vocabulary, which are left out.
        empty: Files among several that hold no document.
        first: What the files call the first document and the first word: 0 or 1.
    """

    first = 0

    def __init__(self, files: list[Path], argument: str, vocab: list[str]) -> None:
        self.files = files
        self.argument = argument
        self.vocab = vocab
        self.num_documents = 0
        self.ids: list[str] | None = None
        self.labels: list[str] | None = None
        self.num_unknown = 0
        self.empty: list[Path] = []

    @abstractmethod
    def entries(self) -> Iterator[Entries]:
        """Numbers of documents and words from 0, and counts, none of them checked; all [N].

        Raises:
            UserError: A file is damaged, or of another format.
        """

    def name(self, document: int, word: int) -> str:
        """How the files call an entry."""
        return f"document {document + self.first}, word {word + self.first} (counted from {self.first})"

    @property
    def where(self) -> Path:
        """The file, or the folder of several."""
        return self.files[0] if len(self.files) == 1 else self.files[0].parent

    def error(self, path: Path, what: str) -> UserError:
        """A mistake in a file."""
        return UserError(f"{self.argument}: {path} {what}")

    def opened(self, path: Path) -> AbstractContextManager[IO[bytes]]:
        """The bytes of a file, decompressed."""
        return opened(path, f"{self.argument}: {path}")

    def check_number(self, num_documents: int) -> None:
        """Hold a number of documents against the files, as each takes memory, also where it is empty.

        Raises:
            UserError: There are absurdly many for files of this size.
        """
        size = sum(path.stat().st_size for path in self.files)
        if num_documents > max(ALWAYS_DOCUMENTS, MOST_PER_BYTE * size):
            raise self.error(
                self.where,
                f"has {num_documents:,} documents or more in {size:,} bytes; expected at most {MOST_PER_BYTE} in a "
                "byte: leave out the empty ones.",
            )

    def reading(self, path: Path, expected: str) -> AbstractContextManager[None]:
        """What reading a damaged file raises becomes a UserError that names the file."""
        return reading(DAMAGES, lambda what: self.error(path, f"{what}; expected {expected}."))

    def check_shape(self, path: Path, num_documents: int, num_words: int) -> None:
        """Hold the shape that a file states against the vocabulary, and against what there may be.

        Raises:
            UserError: They differ, or there are too many documents.
        """
        if num_words != len(self.vocab):
            remedy = (
                "transpose it, documents are rows."
                if num_documents == len(self.vocab)
                else "name the vocabulary file that belongs to it: --data.vocab."
            )
            raise self.error(
                path, f"has {num_words:,} words, the vocabulary {len(self.vocab):,}; expected as many: {remedy}"
            )
        if not 0 <= num_documents <= MOST_DOCUMENTS:
            raise self.error(
                path, f"states {num_documents:,} documents; expected from 0 to {MOST_DOCUMENTS:,}: correct its header."
            )
        self.check_number(num_documents)


class Npz(CountFile):
    """A sparse matrix [D, V] that SciPy's ``save_npz`` wrote."""

    def entries(self) -> Iterator[Entries]:
        """The non-zeros."""
        (path,) = self.files
        expected = "a sparse matrix [documents, words] of numbers that scipy.sparse.save_npz wrote"
        with self.reading(path, expected):
            check_archive(path, f"{self.argument}: {path}")
            loaded = sp.load_npz(path)
            if loaded.format in ("csr", "csc", "bsr"):
                loaded.check_format()  # else SciPy writes beyond its arrays
            matrix = sp.coo_array(loaded)
            if matrix.ndim != 2 or matrix.dtype.kind not in "biuf":
                raise ValueError(f"it holds {matrix.dtype} of shape {matrix.shape}")
        self.num_documents = matrix.shape[0]
        self.check_shape(path, *matrix.shape)
        for start in range(0, matrix.nnz, CHUNK):
            piece = slice(start, start + CHUNK)
            yield (
                matrix.row[piece].astype(np.int64),
                matrix.col[piece].astype(np.int64),
                matrix.data[piece].astype(np.float64),
            )


class _Triples(CountFile):
    """Text with a header, then ``document word count`` on each line, both numbers from 1."""

    first = 1
    expected: str

    def entries(self) -> Iterator[Entries]:
        """The lines after the header."""
        (path,) = self.files
        num_read = 0
        with self.reading(path, self.expected), self.opened(path) as file:
            num_lines, self.num_documents, num_words, num_entries, columns = self.header(file)
            self.check_shape(path, self.num_documents, num_words)
            for line, block in _blocks(file, num_lines + 1, LONGEST_TRIPLE):
                table = self._parse(path, line, block, columns)
                num_read += len(table)
                for piece in table.iter_slices(CHUNK):
                    document, word, count = piece.get_columns()
                    yield document.to_numpy() - 1, word.to_numpy() - 1, count.to_numpy()
        if num_read != num_entries:
            raise self.error(
                path,
                f"has {num_read:,} entries, its header states {num_entries:,}; expected as many: "
                f"{'it was cut, copy it again' if num_read < num_entries else 'correct the header'}.",
            )

    @abstractmethod
    def header(self, file: IO[bytes]) -> tuple[int, int, int, int, int]:
        """Its number of lines, D, V, the number of entries, and columns of an entry.

        Raises:
            ValueError: It is of another kind.
        """

    def _parse(self, path: Path, line: int, block: bytes, columns: int) -> pl.DataFrame:
        if any(odd in block for odd in (b"\t", b"  ", b" \n", b"\n ", b"\r")) or block.startswith(b" "):
            block = b"".join(b" ".join(row.split()) + b"\n" for row in block.split(b"\n")[:-1])
        schema = dict(list(TRIPLE.items())[:columns])
        if not block.startswith(DECOMPRESSED_BY_POLARS):
            with suppress(pl.exceptions.PolarsError):
                table = pl.read_csv(BytesIO(block), separator=" ", has_header=False, schema=schema, quote_char=None)
                table = table.filter(~pl.all_horizontal(pl.all().is_null()))  # empty lines
                if table.null_count().sum_horizontal().item() == 0:
                    return table if columns == 3 else table.with_columns(count=pl.lit(1.0))
        for number, row in enumerate(block.split(b"\n")[:-1], line):
            try:
                values = [kind(field) for kind, field in zip((int, int, float), row.split(), strict=False)]
            except ValueError:
                values = []
            if (row.strip() and len(values) != columns) or len(row.split()) not in (0, columns):
                raise self.error(
                    path,
                    f"has on line {number} {row[:60].decode(errors='replace')!r}; expected {columns} numbers: "
                    f"{' '.join(list(TRIPLE)[:columns])}.",
                )
        raise self.error(path, f"has numbers beyond 64 bits near line {line}; expected counts.")


class MatrixMarket(_Triples):
    """A Matrix Market file of coordinates: documents are rows, words are columns."""

    expected = "a Matrix Market file: %%MatrixMarket matrix coordinate integer general, its sizes, then its entries"

    def header(self, file: IO[bytes]) -> tuple[int, int, int, int, int]:
        """The banner, comments and the sizes."""
        banner = file.readline(200).decode(errors="replace").lower().split()
        if len(banner) != 5 or banner[0] != "%%matrixmarket":
            raise ValueError("it does not start with %%MatrixMarket and four words")
        _, _, layout, field, symmetry = banner
        if layout != "coordinate" or symmetry != "general" or field not in ("integer", "real", "pattern"):
            raise ValueError(f"its banner says {layout} {field} {symmetry}")
        num_lines, row = 2, file.readline(LONGEST_TRIPLE)
        while row.startswith(b"%") or (row and not row.strip()):
            num_lines, row = num_lines + 1, file.readline(LONGEST_TRIPLE)
        num_documents, num_words, num_entries = map(int, row.split())
        return num_lines, num_documents, num_words, num_entries, 2 if field == "pattern" else 3


class Uci(_Triples):
    """A ``docword.NAME.txt`` of the UCI bag-of-words data sets."""

    expected = "a UCI docword file: D, W and the number of entries on a line each, then document word count"

    def header(self, file: IO[bytes]) -> tuple[int, int, int, int, int]:
        """Three numbers on three lines."""
        num_documents, num_words, num_entries = (int(file.readline(100)) for _ in range(3))
        return 3, num_documents, num_words, num_entries, 3


class SvmLight(CountFile):
    """Text with ``label word:count word:count …`` on each line, a document a line; parts follow each other.

    What they call the first word is to be set: `first_word_of` finds out.
    """

    expected = "svmlight text: label word:count word:count …"

    def words(self) -> Iterator[NDArray[np.int64]]:
        """What they call the words of all entries, a piece at a time, [N]; no piece is empty."""
        for path in self.files:
            with self.reading(path, self.expected), self.opened(path) as file:
                yield from (words for _, _, words, _ in self._parsed(path, file) if len(words))

    def entries(self) -> Iterator[Entries]:
        """The features of each line."""
        self.num_documents, self.labels = 0, []
        for path in self.files:
            before_file = self.num_documents
            with self.reading(path, self.expected), self.opened(path) as file:
                for labels, documents, words, counts in self._parsed(path, file):
                    before = self.num_documents
                    self.num_documents += len(labels)
                    self.check_number(self.num_documents)
                    self.labels += labels
                    yield documents + before, words - self.first, counts
            if self.num_documents == before_file:
                self.empty.append(path)

    def name(self, document: int, word: int) -> str:
        """By the line, whatever words count from."""
        return f"document {document + 1} (from 1), word {word + self.first} (from {self.first})"

    def _parsed(
        self, path: Path, file: IO[bytes]
    ) -> Iterator[tuple[list[str], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]]:
        for line, block in _blocks(file, 1, LONGEST_DOCUMENT):
            lines = pl.Series(
                "text", block.decode("utf-8-sig" if line == 1 else "utf-8").split("\n")[:-1], dtype=pl.String
            )
            fields = (
                lines.to_frame()
                .with_row_index("line")
                .select("line", field=pl.col("text").str.replace(r"#.*", "").str.extract_all(r"\S+"))
                .filter(pl.col("field").list.len() > 0)  # empty lines and comments
                .with_row_index("document")
            )
            features = (
                fields.select("document", "line", pl.col("field").list.slice(1))
                .explode("field", empty_as_null=True)
                .filter(pl.col("field").is_not_null() & ~pl.col("field").str.starts_with("qid:"))
                .with_columns(
                    word=pl.col("field").str.extract(r"^(\d+):").cast(pl.Int64, strict=False),
                    count=pl.col("field").str.extract(r":(.+)$").cast(pl.Float64, strict=False),
                )
            )
            broken = features.filter(pl.col("word").is_null() | pl.col("count").is_null())
            labels = fields["field"].list.first()
            if len(no_label := fields.filter(labels.str.contains(":", literal=True))):
                broken = no_label.select("document", "line", pl.col("field").list.first())
            if len(broken):
                raise self.error(
                    path,
                    f"has on line {line + broken['line'][0]} {broken['field'][0][:60]!r}; expected {self.expected}.",
                )
            yield (
                labels.to_list(),
                features["document"].cast(pl.Int64).to_numpy(),
                features["word"].to_numpy(),
                features["count"].to_numpy(),
            )


def first_word_of(files: Sequence[SvmLight]) -> int:
    """What svmlight files call the first word: 0 where a word 0 occurs, 1 where a word V does.

    Args:
        files: Those that count alike, for one vocabulary.

    Raises:
        UserError: Neither occurs, so it may be either.
    """
    some = False
    for file in files:
        for words in file.words():
            if words.min() == 0:
                return 0
            if words.max() >= len(file.vocab):
                return 1
            some = True
    if some:
        raise UserError(
            f"data.first_word: null, but {files[0].where} has no word 0 and no word {len(files[0].vocab)}, so it does "
            "not tell what it calls the first of the vocabulary; expected --data.first_word 0, which is scikit-learn's "
            "way, or 1, that of LIBSVM and Spark."
        )
    return 1  # no word is called anything


class LongTable(CountFile):
    """Parquet or CSV with a row for each (document, term, count), in any order and any number of parts.

    Documents are ordered by their names, as numbers where all are whole numbers; so the parts and the order of their
    rows do not matter.

    Args:
        files: The parts.
        argument: What to call them in messages.
        vocab: The V words, others are left out; None takes all terms, sorted.
        format: ``parquet`` or ``csv``.
        columns: Names of the columns that hold document, term and count.
        ids: All documents in order, also those without entries; None takes those of the entries.
    """

    def __init__(
        self,
        files: list[Path],
        argument: str,
        vocab: list[str] | None,
        format: Format,
        columns: tuple[str, str, str],
        ids: list[str] | None = None,
    ) -> None:
        super().__init__(files, argument, vocab or [])
        self._format = format
        self._columns = columns
        self._rows = self._scan()
        self._check_nulls()
        if vocab is None:
            self.vocab = self._distinct("term").sort().to_list()
        self.ids = ids if ids is not None else self._in_order(self._distinct("document")).to_list()
        self.num_documents = len(self.ids)

    def _scan(self) -> pl.LazyFrame:
        document, term, count = self._columns
        scans = []
        for path in self.files:  # one after the other, to know which one is damaged
            with self.reading(path, EXPECTED_OF_TABLES):
                check_table(path, self._format, f"{self.argument}: {path}", self._columns)
                scan = scan_table(path, self._format)
                try:
                    schema = scan.collect_schema()
                except pl.exceptions.NoDataError:  # a part of text without even a header
                    if len(self.files) == 1:
                        raise
                    self.empty.append(path)
                    continue
                if missing := [column for column in self._columns if column not in schema]:
                    raise self.error(
                        path,
                        f"has no column {missing[0]!r}, it has {', '.join(map(repr, schema))}; expected document, term "
                        "and count: name yours with --data.document_column, --data.term_column, --data.count_column.",
                    )
                for column in (document, term) if self._format == "parquet" else ():
                    self._check_names(path, column, scan, schema[column])
                if not (schema[count].is_numeric() or schema[count] == pl.String):
                    raise self.error(path, f"has {schema[count]} in {count!r}; expected whole numbers.")
                scans.append(
                    scan.select(
                        document=pl.col(document).cast(pl.String),
                        term=pl.col(term).cast(pl.String),
                        count=pl.col(count).cast(pl.Float64, strict=False),
                    )
                )
                if len(self.files) > 1 and scan.head(1).collect(engine="streaming").is_empty():
                    self.empty.append(path)
        if not scans:
            raise self.error(self.where, f"has {len(self.files):,} files, and nothing in them; expected counts.")
        return pl.concat(scans)

    def _check_names(self, path: Path, column: str, scan: pl.LazyFrame, kind: pl.DataType) -> None:
        """Long names that rows share would be copied for each, a million at once."""
        if isinstance(kind, pl.String | pl.Categorical | pl.Enum):
            of_names = pl.col(column).str if isinstance(kind, pl.String) else pl.col(column).cat
            longest = scan.select(of_names.len_bytes().max()).collect(engine="streaming").item() or 0
            if longest > LONGEST_NAME:
                raise self.error(
                    path, f"has {longest:,} bytes in {column!r}; expected names of {LONGEST_NAME:,} at most."
                )

    def _check_nulls(self) -> None:
        nulls = self._collect(self._rows.select(pl.all().is_null().sum())).row(0)
        for column, number in zip(self._columns, nulls, strict=True):
            if number:
                raise self.error(
                    self.where,
                    f"has {number:,} rows where {column!r} is missing{' or no number' * (column == self._columns[2])}; "
                    "expected document, term and count in each row.",
                )

    def _distinct(self, column: str) -> pl.Series:
        """The values of a column, in no order; Polars' own `unique` takes memory for rows, not for values."""
        distinct, pending, num_pending = pl.Series(column, dtype=pl.String), list[pl.Series](), 0
        for batch in self._batches(self._rows.select(column)):
            pending.append(batch[column].unique())
            num_pending += len(pending[-1])
            if num_pending > len(distinct) + CHUNK:  # seldom, or it would take longer than reading
                distinct, pending, num_pending = pl.concat([distinct, *pending]).unique(), [], 0
        return pl.concat([distinct, *pending]).unique()

    @staticmethod
    def _batches(query: pl.LazyFrame) -> Iterator[pl.DataFrame]:
        return query.collect_batches(chunk_size=CHUNK, maintain_order=False, engine="streaming")

    @staticmethod
    def _in_order(ids: pl.Series) -> pl.Series:
        numbers = ids.cast(pl.Int64, strict=False)
        if numbers.null_count() == 0 and (numbers.cast(pl.String) == ids).all():
            return numbers.sort().cast(pl.String)
        return ids.sort()

    def _collect(self, query: pl.LazyFrame) -> pl.DataFrame:
        try:
            return query.collect(engine="streaming")
        except pl.exceptions.PolarsError:
            self._find_damaged()
            raise

    def _find_damaged(self) -> None:
        """Polars does not always say which file it could not read: the first that cannot be is named."""
        for path in self.files:
            with self.reading(path, EXPECTED_OF_TABLES):
                scan_table(path, self._format).select(pl.all().len()).collect(engine="streaming")
                scan_table(path, self._format).select(pl.all().null_count()).collect(engine="streaming")

    def entries(self) -> Iterator[Entries]:
        """The rows, in no order."""
        documents = pl.LazyFrame({"document": self.ids}, schema={"document": pl.String}).with_row_index("row")
        words = pl.LazyFrame({"term": self.vocab}, schema={"term": pl.String}).with_row_index("word")
        query = (
            self._rows.join(words, on="term", how="left")
            .join(documents, on="document", how="left")
            .select("document", "row", "word", "count")
        )
        # Fails only where a file changes while it is read: all have been read through for their terms.
        for batch in self._batches(query):
            if len(strangers := batch.filter(pl.col("row").is_null())):
                raise self.error(
                    self.where,
                    f"has counts of document {strangers['document'][0]!r}, which data.documents does not list; "
                    "expected all documents there.",
                )
            known = batch.filter(pl.col("word").is_not_null())
            self.num_unknown += len(batch) - len(known)
            yield (
                known["row"].cast(pl.Int64).to_numpy(),
                known["word"].cast(pl.Int64).to_numpy(),
                known["count"].to_numpy(),
            )

    def name(self, document: int, word: int) -> str:
        """By the names in the table."""
        assert self.ids is not None
        return f"document {self.ids[document]!r}, term {self.vocab[word]!r}"


EXPECTED_OF_TABLES = "a whole Parquet file, or UTF-8 text with a header and as many fields on each line"


def check_table(path: Path, format: Format, what: str, columns: Collection[str] | None = None) -> None:
    """Refuse a table that is no honest one of its size, before `scan_table` trusts it.

    Args:
        path: The file.
        format: ``parquet`` or ``csv``.
        what: The file for messages, after the argument that names it.
        columns: Those that will be read; None for all.

    Raises:
        OSError: It is damaged.
        EOFError: It is cut.
        UserError: It expands absurdly.
    """
    if format == "parquet":
        check_parquet(path, what, columns)
    else:
        check_lines(path, what, quoted=True)


def scan_table(path: Path, format: Format) -> pl.LazyFrame:
    """A Parquet file, or a text with commas, or tabs where it is called ``.tsv``; all columns of text are strings."""
    if format == "parquet":
        return pl.scan_parquet(path, hive_partitioning=False)
    return pl.scan_csv(path, separator="\t" if ".tsv" in map(str.lower, path.suffixes) else ",", infer_schema=False)


def _blocks(file: IO[bytes], line: int, longest: int) -> Iterator[tuple[int, bytes]]:
    """The rest of a text in blocks of whole lines, with the number of the first line of each."""
    rest = b""
    while block := file.read(BLOCK):
        whole, newline, rest_of_block = block.rpartition(b"\n")
        if not newline:
            rest += block
            if len(rest) > longest:
                raise ValueError(f"line {line} has more than {longest:,} bytes")
            continue
        lines, rest = rest + whole + newline, rest_of_block
        yield line, lines
        line += lines.count(b"\n")
    if rest:
        yield line, rest + b"\n"
