"""Counts that exist already: matrices, long tables, and the paper's files."""

import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn

from etm_app.data.batch import LARGEST_COUNT, are_counts
from etm_app.data.corpus import SPLITS, CorpusWriter
from etm_app.data.counts.entries import EntrySorter
from etm_app.data.counts.files import IN_PARTS, LONG, Format, copies_among, find_counts, format_of, paper_files_of
from etm_app.data.counts.formats import (
    CountFile,
    Entries,
    LongTable,
    MatrixMarket,
    Npz,
    SvmLight,
    Uci,
    check_table,
    first_word_of,
    scan_table,
)
from etm_app.data.counts.paper_files import read_paper_files
from etm_app.data.datamodule import TimedDataModule
from etm_app.data.expansion import bytes_of_strings, check_expansion
from etm_app.data.splits import check_fractions, draw_splits
from etm_app.data.times import check_time_type, read_times, said_of_times
from etm_app.data.vocabulary import read_vocab
from etm_app.errors import UserError, reading
from etm_app.files import content_digest, is_among

__all__ = ["CountsDataModule"]


class CountsDataModule(TimedDataModule):
    """Counts that exist already, in any of these formats, told by their endings (most may be gzipped, ``.gz``).

    ``mat``: the paper's files ``bow_{tr,va,ts}_{tokens,counts}.mat``, a folder or one of them. ``npz``: a sparse matrix
    [documents, words] of SciPy's save_npz. ``mtx``: the same as Matrix Market. ``uci``: ``docword.NAME.txt``.
    ``svmlight``: ``label word:count …`` on each line. ``parquet``, ``csv``: a row for each document, term and count, in
    any order, as SQL on Spark or DuckDB writes it. Read once, piece by piece, and kept under ``cache_dir`` until a
    file's content or an argument changes. With a checkpoint the words are those of the checkpoint, found by their
    names; the paper's files must have the very vocabulary.

    Args:
        path: The counts: a file, a folder or a pattern (``counts/part-*.parquet``); the last two for svmlight, Parquet
            and CSV in parts, and for a folder with one file of another format.
        format: Their format where the ending does not tell it.
        vocab: The words in the order of their numbers, one a line (or a pickled list, ``.pkl``). By default
            vocab.txt, vocab.pkl or vocab.NAME.txt beside the counts. For Parquet and CSV it chooses the words; by
            default these are all terms, sorted.
        val_path: Counts for validation, as ``path``; by default a share of the documents in ``path``.
        test_path: Counts for testing, likewise.
        documents: Parquet or CSV table with a row a document, in the order of the counts: a column of names called as
            ``document_column``, and if wanted ``label`` and ``split`` (train, val, test). For Parquet and CSV counts it
            also names the documents without any word.
        document_column: The column with the documents' names in tables.
        term_column: The column with the words in Parquet or CSV counts.
        count_column: The column with the counts.
        first_word: What svmlight files call the first word, 0 or 1; null where a word 0, or a word V, tells.
        val_fraction: Share of the documents for validation, without val_path or a split in ``documents``.
        test_fraction: Share of the documents for testing, likewise.
        kwargs: Those of TimedDataModule, whose times are in ``documents``, and BowDataModule.
    """

    FORMAT = 2

    def __init__(
        self,
        path: str | Path,
        format: Format | None = None,
        vocab: str | Path | None = None,
        val_path: str | Path | None = None,
        test_path: str | Path | None = None,
        documents: str | Path | None = None,
        document_column: str = "document",
        term_column: str = "term",
        count_column: str = "count",
        first_word: int | None = None,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_fractions(val_fraction, test_fraction)
        if first_word not in (None, 0, 1):
            raise UserError(f"data.first_word: {first_word}; expected 0, 1 or null.")
        if self.time_column is not None and documents is None:
            raise UserError(
                f"data.time_column: {self.time_column}, but no table of documents; expected one: --data.documents."
            )
        self.path = Path(path)
        self.format = format
        named = (None if of is None else Path(of) for of in (vocab, val_path, test_path, documents))
        self.vocab_path, self.val_path, self.test_path, self.documents = named
        self.columns = (document_column, term_column, count_column)
        self.id_columns = (document_column, "id")
        self.first_word = first_word
        self.val_fraction = val_fraction
        self.test_fraction = test_fraction
        self._known: list[str] | None = None  # words of a checkpoint

    def use(self, vocab: list[str], analyzer: dict[str, Any] | None) -> None:
        """Take these words of the counts, and no others unless the vocabulary may grow."""
        self._known = vocab

    def cache_key(self) -> dict[str, Any]:
        """The content of all files, and the arguments."""
        format, sources, _ = self._files()
        key: dict[str, Any] = {
            "format": format,
            "files": {split: [[file.name, content_digest(file)] for file in files] for split, files in sources.items()},
            "splits": [self.val_fraction, self.test_fraction, self.seed],
        }
        if format != "mat" and (vocab := _vocab_file(self.vocab_path, format, sources["train"])):
            key["vocab"] = content_digest(vocab)
        if self.documents:
            key["documents"] = [content_digest(_existing(self.documents, "data.documents")), self.columns[0]]
            key |= self.time_key()
        if format in LONG:
            key["columns"] = self.columns
        if format == "svmlight":
            key["first_word"] = self.first_word
        if self._known is not None and format != "mat":
            key["known"] = [sha256("\n".join(self._known).encode()).hexdigest(), self.grow_vocab]
        return key

    def reads(self, path: Path) -> bool:
        """Whether a file is one of those named, or could be taken for counts where a folder or a pattern is named."""
        files = [self.vocab_path, self.documents]
        counts = [self.path, self.val_path, self.test_path] if self.format in IN_PARTS or format_of(path) else []
        return is_among(path, [source for source in (*files, *counts) if source is not None])

    def write(self, folder: Path) -> None:
        """Read the counts piece by piece, and write them into a folder."""
        format, files, others = self._files()
        rank_zero_info(f"Corpus: reading counts from {self.path}; once, they are kept.")
        if format == "mat":
            draw = (self.val_fraction, self.test_fraction, self.seed)
            read_paper_files(paper_files_of(files["train"], self.path, self.vocab_path), draw).save(folder)
            return
        _say_of_others(others, format, sum(map(len, files.values())))
        table = self._document_table(format)
        parts = []
        with CorpusWriter(folder) as writer:
            sources = self._sources(format, files, table)
            report = {"zero_entries": 0, "repeated_entries": 0, "unknown_entries": 0, "tokens": 0, "unknown_tokens": 0}
            vocab = _words_of_both(sources["train"].vocab, self._known, self.grow_vocab)
            number = {word: place for place, word in enumerate(vocab)}
            for split, source in sources.items():
                numbers = np.array([number.get(word, -1) for word in source.vocab], np.int64)
                with writer.scratch() as scratch:
                    sorter = EntrySorter(scratch, len(vocab))
                    for entries in source.entries():
                        documents, words, counts = _checked(source, entries)
                        words = numbers[words]
                        known = words >= 0
                        report["tokens"] += int(counts.sum())
                        report["unknown_tokens"] += int(counts[~known].sum())
                        sorter.append(documents[known], words[known], counts[known])
                    for chunk in sorter.documents(source.num_documents):
                        writer.append(*chunk)
                report["zero_entries"] += sorter.num_zeros
                report["repeated_entries"] += sorter.num_repeated
                report["unknown_entries"] += source.num_unknown
                _say_of_parts(source)
                parts.append(_documents_of(source, split))
            for name, meaning in REPORTED.items():
                if report[name]:
                    rank_zero_info(f"Corpus: {report[name]:,} {meaning}.")
            if self._known is None:
                del report["tokens"], report["unknown_tokens"]
            writer.finish(vocab, self._documents(parts, table), {"source": str(self.path), **report})

    def _files(self) -> tuple[Format, dict[str, list[Path]], list[Path]]:
        """The format, the files of each split, and others among them; of train are also those that fractions split."""
        beside = (self.vocab_path, self.documents)
        format, files, others = find_counts(self.path, "data.path", self.format, *beside)
        sources = {"train": files}
        for split, path in (("val", self.val_path), ("test", self.test_path)):
            if path is not None:
                if format == "mat":
                    raise UserError(
                        f"data.{split}_path: {path}, beside the paper's files in {self.path}; expected none: "
                        f"name the {split} documents' files like the others, as their part {split[0]}*."
                    )
                _, sources[split], more = find_counts(path, f"data.{split}_path", format, *beside)
                others += more
        if self.documents and (format == "mat" or len(sources) > 1):
            raise UserError(
                f"data.documents: {self.documents} beside counts in several parts with splits of their own; expected "
                "one path with all counts, and the column split in the table."
            )
        return format, sources, others

    def _sources(
        self, format: Format, files: dict[str, list[Path]], table: pl.DataFrame | None
    ) -> dict[str, CountFile]:
        """A reader for the files of each split."""
        arguments = {split: "data.path" if split == "train" else f"data.{split}_path" for split in files}
        path = _vocab_file(self.vocab_path, format, files["train"])
        vocab = None if path is None else read_vocab(path, "data.vocab")
        if format in LONG:
            sources: dict[str, CountFile] = {}
            ids = None if table is None else table["id"].to_list()
            for split, argument in arguments.items():
                sources[split] = LongTable(files[split], argument, vocab, format, self.columns, ids)
                if self._known is None:  # else words of a checkpoint may be in any of them
                    vocab = sources["train"].vocab
            return sources
        assert vocab is not None
        if format == "svmlight":
            readers = {split: SvmLight(files[split], arguments[split], vocab) for split in files}
            first = first_word_of(list(readers.values())) if self.first_word is None else self.first_word
            for reader in readers.values():
                reader.first = first
            if self.first_word is None:
                rank_zero_info(f"Corpus: the first word is {first} in the svmlight files (data.first_word).")
            return dict(readers)
        kinds: dict[str, type[Npz | MatrixMarket | Uci]] = {"npz": Npz, "mtx": MatrixMarket, "uci": Uci}
        kind = kinds[format]
        return {split: kind(files[split], arguments[split], vocab) for split in files}

    def _document_table(self, format: Format) -> pl.DataFrame | None:
        """The table of the documents, checked, with id, label, split and time where it has them."""
        if self.documents is None:
            return None
        path = _existing(self.documents, "data.documents")
        there, table = _read_documents(path, (self.columns[0], "label", "split", self.time_column))
        names = {self.columns[0]: "id", "label": "label", "split": "split"}
        found = {name: new for name, new in names.items() if name in there}
        if not found or (format in LONG and "id" not in found.values()):
            raise UserError(
                f"data.documents: {path} has the columns {', '.join(there)}; expected {', '.join(names)}: "
                "name the first with --data.document_column."
            )
        times: list[pl.Series] = []
        if self.time_column is not None:
            if self.time_column not in there:
                raise UserError(
                    f"data.time_column: {path} has no column {self.time_column!r}; expected one of {', '.join(there)}."
                )
            check_time_type(table.schema[self.time_column], self.time_column, path)
            given = table[self.time_column].cast(pl.String)
            times = [read_times(given, f"data.time_column: {path}", self.time_format)]
            rank_zero_info(f"Time: {said_of_times(times[0])}.")
        table = table.select(pl.col(name).cast(pl.String).alias(new) for name, new in found.items())
        table = table.with_columns(times)
        if "split" in table and len(unknown := table.filter(~pl.col("split").is_in(SPLITS).fill_null(False))):
            raise UserError(
                f"data.documents: {path} has the split {unknown['split'][0]!r}, on {len(unknown):,} rows; "
                f"expected {', '.join(SPLITS)}."
            )
        if "id" in table and (table["id"].null_count() or table["id"].is_duplicated().any()):
            raise UserError(
                f"data.documents: {path} has missing or repeated names in {self.columns[0]!r}; expected each once."
            )
        return table

    def _documents(self, parts: list[pl.DataFrame], table: pl.DataFrame | None) -> pl.DataFrame:
        """The corpus' table of documents, with their splits."""
        documents = pl.concat(parts)
        if len(parts) > 1 and documents["id"].is_duplicated().any():  # each file counts from 0, say
            documents = documents.with_columns(id=pl.format("{}/{}", "split", "id"))
        if table is not None:
            if len(table) != len(documents):
                raise UserError(
                    f"data.documents: {self.documents} has {len(table):,} rows for {len(documents):,} documents; "
                    "expected one each, in the order of the counts."
                )
            documents = documents.with_columns(table.get_columns())
        if table is None or "split" not in table:
            val_fraction = 0.0 if self.val_path else self.val_fraction
            test_fraction = 0.0 if self.test_path else self.test_fraction
            drawn = draw_splits(documents["split"], val_fraction, test_fraction, self.seed)
            documents = documents.with_columns(split=drawn)
        return documents


REPORTED = {
    "zero_entries": "entries count 0 and are left out",
    "repeated_entries": "entries repeat a document and word; their counts are added up",
    "unknown_entries": "entries are of words outside the vocabulary and are left out",
}


def _existing(path: Path, argument: str) -> Path:
    path = path.expanduser()
    if not path.is_file():
        raise UserError(f"{argument}: there is no file {path}.")
    return path


def _read_documents(path: Path, wanted: Sequence[str | None]) -> tuple[list[str], pl.DataFrame]:
    """The columns of a table of documents, and all of those that are wanted."""
    kind, what = format_of(path) or "csv", f"data.documents: {path}"
    with reading(
        (OSError, EOFError, pl.exceptions.PolarsError),
        lambda said: UserError(f"{what} {said}; expected Parquet or CSV."),
    ):
        check_table(path, kind, what, [column for column in wanted if column])
        scan = scan_table(path, kind)
        there = scan.collect_schema().names()
        table = scan.select(column for column in dict.fromkeys(wanted) if column in there).collect()
    check_expansion(what, int(bytes_of_strings(table).sum()), path.stat().st_size)
    return there, table


def _vocab_file(path: Path | None, format: Format, files: list[Path]) -> Path | None:
    """The file with the words: the one that is named, or for a matrix one that lies beside it."""
    if path is not None:
        return _existing(path, "data.vocab")
    if format in LONG:
        return None
    name = re.sub(r"(^docword\.)|(\.gz$)", "", files[0].name, flags=re.IGNORECASE)
    stem = name.rsplit(".", 1)[0]
    names = [f"vocab.{stem}.txt", f"{stem}.vocab.txt", "vocab.txt", "vocab.pkl"]
    beside = [files[0].parent / name for name in names]
    if (found := next((path for path in beside if path.is_file()), None)) is None:
        raise UserError(
            f"data.vocab: none of {', '.join(names)} is in {files[0].parent}; expected the words in the order of "
            "their numbers, one a line: --data.vocab."
        )
    return found


def _words_of_both(vocab: list[str], known: list[str] | None, grow: bool) -> list[str]:
    """The words of the corpus.

    Args:
        vocab: Words of the counts to train on.
        known: Those of a checkpoint, which come first; None for none.
        grow: Whether others come after these.
    """
    if known is None:
        return vocab
    had = {*known}
    return [*known, *(word for word in vocab if grow and word not in had)]


def _some(paths: Sequence[Path]) -> str:
    return ", ".join([*(path.name for path in paths[:3]), *["…"] * (len(paths) > 3)])


def _say_of_others(others: Sequence[Path], format: Format, num_read: int) -> None:
    """What lies among the counts and is taken for something else."""
    if others:
        rank_zero_info(
            f"Corpus: files that are not read, as their names tell no {format}, {len(others):,} beside {num_read:,} "
            f"that are: {_some(others)}."
        )


def _say_of_parts(source: CountFile) -> None:
    """What is odd about files that a job has left."""
    if source.empty:
        rank_zero_info(
            f"Corpus: files without a document, {len(source.empty):,} of {len(source.files):,} in {source.where}: "
            f"{_some(source.empty)}."
        )
    if copies := copies_among([path for path in source.files if path not in source.empty]):
        copy, path = next(iter(copies.items()))
        rank_zero_warn(
            f"{source.argument}: files that are copies of others, {len(copies):,} of {len(source.files):,} in "
            f"{source.where}: {copy.name} of {path.name}, say, as a task leaves that ran twice; what is in them counts "
            "twice. Remove them."
        )


def _documents_of(source: CountFile, split: str) -> pl.DataFrame:
    numbers = pl.int_range(source.num_documents, eager=True).cast(pl.String)
    documents = pl.DataFrame({"id": numbers if source.ids is None else pl.Series(source.ids, dtype=pl.String)})
    documents = documents.with_columns(split=pl.lit(split, pl.String))
    if source.labels is not None:
        documents = documents.with_columns(label=pl.Series(source.labels, dtype=pl.String))
    return documents


def _checked(source: CountFile, entries: Entries) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Entries whose numbers are in range and whose counts are whole."""
    documents, words, counts = entries

    def refuse(wrong: NDArray[np.bool_], what: str, expected: str) -> None:
        if wrong.any():
            at = int(wrong.argmax())
            name = source.name(int(documents[at]), int(words[at]))
            others = f", and {wrong.sum() - 1:,} more at least" if wrong.sum() > 1 else ""
            raise source.error(source.where, f"has {name}{what.format(counts[at])}{others}; expected {expected}.")

    last = len(source.vocab) - 1 + source.first
    refuse(
        (words < 0) | (words >= len(source.vocab)),
        "",
        f"words from {source.first} to {last}: is this its vocabulary, and does it count from {source.first}",
    )
    refuse(
        (documents < 0) | (documents >= source.num_documents),
        "",
        f"documents from {source.first} to {source.num_documents - 1 + source.first}",
    )
    refuse(~are_counts(counts), ", with the count {:g}", f"raw counts, whole numbers from 0 to {LARGEST_COUNT}")
    return documents, words, counts.astype(np.int64)
