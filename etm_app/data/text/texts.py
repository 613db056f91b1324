"""A user's own texts, from files."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
import torch
from pytorch_lightning.utilities import rank_zero_info
from torch.utils.data import DataLoader, IterableDataset

from etm_app.data.batch import BowBatch
from etm_app.data.corpus import CorpusWriter, Excerpts
from etm_app.data.datamodule import TimedDataModule
from etm_app.data.splits import check_fractions, draw_splits
from etm_app.data.text.analyzer import WORD, Analyzer, Normalization, Strip, read_stop_words
from etm_app.data.text.csv_reader import check_separator
from etm_app.data.text.documents import documents_of, num_records, training_texts
from etm_app.data.text.reader import FORMATS, TextReader
from etm_app.data.text.reading import Format, OnBadRows
from etm_app.data.text.sources import STDIN, in_utf8
from etm_app.data.text.vectorizer import Vectorizer, in_parallel
from etm_app.data.times import said_of_times
from etm_app.errors import UserError
from etm_app.files import content_digest, is_among

__all__ = ["TextDataModule"]


class TextDataModule(TimedDataModule):
    r"""Your own texts: lines of .txt, a column of a table, or folders and web pages with one document a file.

    Tables are CSV, TSV, JSONL, JSON with an array of objects, Parquet and Excel's first sheet. Files may be compressed
    (.gz, .zst, .bz2, .xz), in a .zip, and larger than memory; they are counted once, and the counts are kept. A row is
    called by the number of its record in the input, from 0 and over all files in order: records that are skipped have
    their numbers too; a line of CSV or JSONL with nothing in it is no record, an empty line of .txt is one. With a
    checkpoint (validate, test, predict, or fit that goes on) the words are those of the checkpoint: its vocabulary, cut
    as its texts were; the arguments from strip to max_vocab do not matter then, but for those that grow_vocab names.

    Args:
        files: Path, glob, folder, address in the cloud (s3://…), or - for the standard input; or a list of them, read
            in this order.
        text_column: Column of a table with the texts.
        id_column: Column with a name for each document, each once; by default documents are called by their rows, and
            those of a folder named by their paths in it.
        label_column: Column with classes, to compare the topics with.
        split_column: Column that says train, val (validation, valid, dev) or test; in place of random splits.
        val_files: Files with the validation documents, in place of a random part of ``files``.
        test_files: Files with the test documents, likewise.
        val_fraction: Share of the documents in ``files`` that validates.
        test_fraction: Share of the documents in ``files`` for testing.
        format: txt, csv, tsv, jsonl, json, parquet or excel; null tells it from the ending, of the standard input txt.
        encoding: Of text, CSV, TSV and JSON: utf-8, latin-1, cp1252, utf-16 …; a byte order mark tells it too.
        separator: Between the columns of CSV: one character, or tab; null finds , ; | or a tab by the names of the
            columns in the first line.
        on_bad_rows: Whether a row that cannot be read is an error, or skipped and counted.
        strip: What is taken out of the texts: html (tags, scripts, entities), urls, emails.
        lowercase: Whether case is folded.
        normalization: Unicode form: NFC, or NFKC, which also makes one of ligatures, wide letters and the like.
        strip_accents: Whether Latin, Greek and Cyrillic letters lose their accents.
        token_pattern: Regular expression (Rust's syntax) of a word; by default letters of any script with their marks.
            With numbers as well: ``[\p{L}\p{N}][\p{L}\p{M}\p{N}]*``.
        min_length: Shorter words are dropped, in characters.
        stop_words: Words to drop: ``english`` for a short list of function words, the two letters of a language (de,
            fr, hi, … and en for a longer list), ``none``, or a file with words.
        ngrams: Longest sequence of words that counts as one word, 1 to 3. All different ones are in memory while they
            are counted.
        tokenizer: Import path of a function str -> list[str] that cuts a text in place of token_pattern, for languages
            without spaces and for lemmas. It runs in Python, on one core.
        min_df: Words in fewer training documents are dropped; a number, or a share if a float.
        max_df: Words in more training documents are dropped; likewise.
        max_vocab: Of the rest, at most so many words are kept: those in most training documents.
        kwargs: Those of TimedDataModule and BowDataModule.
    """

    FORMAT = 2

    def __init__(
        self,
        files: str | list[str],
        text_column: str = "text",
        id_column: str | None = None,
        label_column: str | None = None,
        split_column: str | None = None,
        val_files: str | list[str] | None = None,
        test_files: str | list[str] | None = None,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        format: Format | None = None,
        encoding: str = "utf-8",
        separator: str | None = None,
        on_bad_rows: OnBadRows = "error",
        strip: list[Strip] = [],  # noqa: B006 - shown by --help, never changed
        lowercase: bool = True,
        normalization: Normalization = "NFC",
        strip_accents: bool = False,
        token_pattern: str = WORD,
        min_length: int = 2,
        stop_words: str = "english",
        ngrams: int = 1,
        tokenizer: str | None = None,
        min_df: int | float = 5,
        max_df: int | float = 0.5,
        max_vocab: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_fractions(val_fraction, test_fraction)
        self.files = {
            split: [*map(str, [given] if isinstance(given, str | Path) else given)]
            for split, given in (("train", files), ("val", val_files), ("test", test_files))
            if given is not None
        }
        if split_column is not None and len(self.files) > 1:
            raise UserError(
                "data.split_column: data.val_files or data.test_files tell the split too; expected one way."
            )
        columns = {"text": text_column, "id": id_column, "label": label_column, "split": split_column}
        columns["time"] = self.time_column
        self.columns = {what: column for what, column in columns.items() if column is not None}
        if id_column is not None:
            self.id_columns = (id_column, "id")
        self.val_fraction = val_fraction
        self.test_fraction = test_fraction
        self.format = format
        self.encoding = encoding
        self.separator = check_separator(separator)
        self.on_bad_rows = on_bad_rows
        if sum(name == STDIN for files in self.files.values() for name in files) > 1:
            raise UserError(f"data.files: {STDIN}, the standard input, more than once; expected it once.")
        stop = read_stop_words(stop_words)
        analyzer = Analyzer(
            lowercase, normalization, strip_accents, token_pattern, min_length, stop, ngrams, tokenizer, strip
        )
        self.vectorizer = Vectorizer(analyzer, min_df, max_df, max_vocab)

    def use(self, vocab: list[str], analyzer: dict[str, Any] | None) -> None:
        """Count these words, cut as the analyser with these settings does; as a checkpoint has them.

        Args:
            vocab: The V words.
            analyzer: Settings, or None for those of this data module.

        Raises:
            UserError: The checkpoint has a tokenizer that this data module does not name.
        """
        own = self.vectorizer.analyzer
        if analyzer is None:
            rank_zero_info(
                f"Text: the checkpoint has {len(vocab):,} words but does not say how texts were cut into them; "
                "they are cut as the arguments of the data say."
            )
        elif (tokenizer := analyzer.get("tokenizer")) != own.tokenizer:
            # Nothing is imported because a file says so.
            raise UserError(
                f"data.tokenizer: {own.tokenizer}, the checkpoint's texts were cut by {tokenizer}; expected the same: "
                f"--data.tokenizer {tokenizer or 'null'}."
            )
        else:
            own = Analyzer.from_settings(analyzer)
            rank_zero_info(f"Text: cut into the {len(vocab):,} words of the checkpoint, as its texts were.")
        self.vectorizer = replace(self.vectorizer, analyzer=own, vocab=vocab, grow=self.grow_vocab)

    @property
    def vocab(self) -> list[str]:
        """The V words: those of the checkpoint, or those of the training documents."""
        return self.vectorizer.fixed_vocab or super().vocab

    @property
    def vocab_size(self) -> int:
        """V; the model's size is linked to it."""
        return len(self.vocab)

    @property
    def analyzer_settings(self) -> dict[str, Any]:
        """How texts become words, as simple values."""
        return self.vectorizer.analyzer.settings()

    def cache_key(self) -> dict[str, Any]:
        """The arguments, and the content of the files; those in the cloud are known by their address alone."""
        return {
            "files": {
                # With a name a file is one document, without it is one of many: the same files are other documents.
                split: [
                    [source] if isinstance(source, str) else [source.name, name, content_digest(source)]
                    for source, name in self._reader(split).sources()
                ]
                for split in self.files
            },
            "columns": self.columns,
            **self.time_key(),
            "format": self.format,
            "encoding": self.encoding,
            "separator": self.separator,
            "on_bad_rows": self.on_bad_rows,
            **self.vectorizer.cache_key(),
            "splits": [self.val_fraction, self.test_fraction, self.seed],
        }

    def reads(self, path: Path) -> bool:
        """Whether a file is one of the texts, lies in a folder of them or matches a pattern for them."""
        return is_among(path, [name for names in self.files.values() for name in names if "://" not in name])

    def write(self, folder: Path) -> None:
        """Read and count the texts batch by batch; memory does not grow with them, but for the different words."""
        names = ", ".join(name for files in self.files.values() for name in files)
        rank_zero_info(f"Corpus: counting the words of {names}; once, the counts are kept.")
        tables: list[pl.DataFrame] = []
        readers = self._readers()

        def documents_with_texts() -> Iterator[pl.DataFrame]:
            for batch in documents_of(readers):
                tables.append(batch.drop("text"))
                writer.append_excerpts(Excerpts.of(self.vectorizer.analyzer.beginnings(batch["text"])))
                yield batch

        with CorpusWriter(folder) as writer:
            with writer.scratch() as scratch:
                counted = self.vectorizer.count(documents_with_texts(), scratch)
                documents = self._with_splits(pl.concat(tables))
                _check_ids(documents, self.columns.get("id"))
                if documents["row"].equals(pl.int_range(len(documents), eager=True)):
                    documents = documents.drop("row")
                vocab, report = counted.choose(documents["split"].to_list())
                for chunk in counted.chunks():
                    writer.append(*chunk)
            if (records := num_records(readers)) > len(documents):
                report["num_records"] = records
            writer.finish(vocab, documents, {"source": names, **report})
        rank_zero_info(
            f"Corpus: {len(documents):,} documents, {len(vocab):,} words; {report['empty_documents']:,} documents have "
            "none of them (empty)."
        )
        if self.time_column is not None:
            rank_zero_info(f"Time: {said_of_times(documents['time'])}.")

    def training_texts(self) -> Iterator[pl.Series]:
        """The texts of the training documents in order, batch by batch; read anew."""
        return training_texts(documents_of(self._readers()), self.corpus.documents["split"])

    def predict_dataloader(self) -> DataLoader[BowBatch]:
        """All documents in the order of the input; with a checkpoint's words no corpus is made of them."""
        if self.vectorizer.fixed_vocab is None:
            return super().predict_dataloader()
        return DataLoader(_Stream(self), batch_size=None, pin_memory=torch.cuda.is_available())

    def _reader(self, split: str, *, once: bool = False) -> TextReader:
        """A reader of the files of a split; of the standard input as it comes if it is read only once."""
        files = [name if name != STDIN or once else str(self._kept_stdin) for name in self.files[split]]
        columns = {what: column for what, column in self.columns.items() if what != "time" or not once}
        options = (self.format, self.encoding, self.on_bad_rows, self.separator, self.time_format)
        return TextReader(files, columns, *options)

    @cached_property
    def _kept_stdin(self) -> Path:
        """A copy of the standard input, for what is read to know it and then to count it."""
        self._scratch = TemporaryDirectory(prefix="etm_app-")  # removed with this object
        endings = {format: ending for ending, format in reversed(FORMATS.items())}
        copy = Path(self._scratch.name) / f"stdin{endings[self.format or 'txt']}"
        with in_utf8(STDIN, None) as given:
            Path(given).rename(copy)
        return copy

    def _readers(self, *, once: bool = False) -> dict[str, TextReader]:
        return {split: self._reader(split, once=once) for split in self.files}

    def _with_splits(self, documents: pl.DataFrame) -> pl.DataFrame:
        """With a ``split`` for each document: random ones among those that are to train."""
        if "split" in self.columns:
            return documents
        if "split" not in documents.columns:
            documents = documents.with_columns(split=pl.lit("train")).select("id", "split", pl.exclude("id", "split"))
        val_fraction = 0.0 if "val" in self.files else self.val_fraction
        test_fraction = 0.0 if "test" in self.files else self.test_fraction
        return documents.with_columns(split=draw_splits(documents["split"], val_fraction, test_fraction, self.seed))


class _Stream(IterableDataset[BowBatch]):
    """Documents counted as they are read; each process counts its share of the batches."""

    def __init__(self, data: TextDataModule) -> None:
        self.data = data

    def __iter__(self) -> Iterator[BowBatch]:
        data, vectors = self.data, self.data.vector_file
        numbers, readers = pl.Enum(data.vocab), data._readers(once=True)

        def batch_of(documents: pl.DataFrame) -> BowBatch:
            counted = data.vectorizer.analyzer.count(documents["text"], numbers, documents["row"])
            unknown = counted.num_words - counted.num_known
            with np.errstate(invalid="ignore"):
                oov_rate = pl.Series("oov_rate", unknown / counted.num_words).fill_nan(None)
            batch = BowBatch.from_csr(counted.indptr, counted.indices, counted.counts, data.vocab_size)
            batch.documents = documents.drop("text").with_columns(oov_rate)
            return batch

        several = torch.distributed.is_available() and torch.distributed.is_initialized()
        rank, size = (torch.distributed.get_rank(), torch.distributed.get_world_size()) if several else (0, 1)
        if size > 1 and any(STDIN in files for files in data.files.values()):
            raise UserError(f"data.files: {STDIN} in {size} processes; expected one: --trainer.devices 1.")
        mine = (documents for number, documents in enumerate(self._documents(readers)) if number % size == rank)
        counted = in_parallel(batch_of, mine)
        if vectors is None:
            yield from counted
            return
        used = np.zeros(vectors.num_rows, bool)
        for batch in counted:
            assert batch.documents is not None
            places = vectors.places(batch.documents)
            used[places] = True
            batch.vectors = torch.from_numpy(vectors.take(places))
            yield batch
        vectors.check_number(num_records(readers))
        if size == 1:  # others use the rest
            vectors.say_unused(int(used.sum()))

    def _documents(self, readers: dict[str, TextReader]) -> Iterator[pl.DataFrame]:
        for documents in documents_of(readers):
            yield from documents.iter_slices(self.data.batch_size)


def _check_ids(documents: pl.DataFrame, column: str | None) -> None:
    ids = documents["id"]
    if ids.null_count():
        raise UserError(
            f"data.id_column: {ids.null_count()} documents have no {column}, row "
            f"{documents['row'].filter(ids.is_null())[0]} (from 0) for one; expected a name for each."
        )
    if ids.n_unique() < len(ids):
        repeated = ids.filter(ids.is_duplicated())
        raise UserError(
            f"data.id_column: {column or 'files'} repeats {repeated.n_unique()} of its names, {repeated[0]!r} for one; "
            "expected a name of its own for each."
        )
