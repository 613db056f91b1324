"""A corpus on disk: counts as memory-mapped CSR, the vocabulary, and a table of the documents."""

import json
import shutil
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from tokenize import TokenError
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from etm_app.data.batch import LARGEST_COUNT, BowBatch, are_counts
from etm_app.data.completion import first_half
from etm_app.data.document_vectors import DocumentVectors
from etm_app.data.times import Period, read_times
from etm_app.data.vocabulary import check_vocab
from etm_app.errors import UserError
from etm_app.files import content_digest

__all__ = ["DOCUMENTS_AT_ONCE", "SPLITS", "BowCorpus", "BowDataset", "CorpusWriter", "Excerpts", "GrowingArray"]

SPLITS = ("train", "val", "test")
DAMAGES = (  # of files; Polars' own reader of Arrow files panics at some
    *(OSError, EOFError, ValueError, TypeError, LookupError, AttributeError, TokenError),
    *(pl.exceptions.PolarsError, pl.exceptions.PanicException),
)
FORMAT_VERSION = 4
META = "meta.json"
EXCERPT_LENGTH = 300  # characters
DOCUMENTS_AT_ONCE = 10_000  # where all are looked at; of 1,000 topics, their theta takes 40 MB
ARRAYS: dict[str, type[np.int64 | np.int32]] = {
    "indptr": np.int64,
    "indices": np.int32,
    "counts": np.int32,
    "halves": np.int32,
}
EXCERPTS: dict[str, type[np.int64 | np.uint8]] = {"excerpt_ends": np.int64, "excerpt_bytes": np.uint8}


@dataclass(frozen=True)
class Excerpts:
    """The beginnings of texts, one after the other in UTF-8; memory-mapped, they take no memory until they are read.

    Attributes:
        ends: Where each ends, int64 [D].
        bytes: All of them, uint8.
    """

    ends: NDArray[np.int64]
    bytes: NDArray[np.uint8]

    @classmethod
    def of(cls, texts: pl.Series) -> "Excerpts":
        """The beginnings of texts without nulls."""
        heads = texts.str.head(EXCERPT_LENGTH)
        joined = "".join(heads).encode("utf-8")
        return cls(heads.str.len_bytes().cast(pl.Int64).cum_sum().to_numpy(), np.frombuffer(joined, np.uint8))

    def __getitem__(self, rows: NDArray[np.int64]) -> list[str]:
        starts = np.where(rows > 0, self.ends[np.maximum(rows - 1, 0)], 0)
        return [
            self.bytes[start:end].tobytes().decode("utf-8")
            for start, end in zip(starts.tolist(), self.ends[rows].tolist(), strict=True)
        ]


@dataclass(frozen=True)
class BowCorpus:
    """Bags of words of D documents over V words, all splits together, in the order of the input.

    Attributes:
        indptr: Document boundaries, int64 [D + 1].
        indices: Words of the non-zero counts, ascending within a document, int32 [N].
        counts: The counts, int32 [N], at least 1.
        vocab: The V words.
        documents: One row a document in the order of the input: ``id``, ``split`` (train, val or test) and,
            where the documents have them, ``label`` and ``time`` (in UTC, null where it is not known); ``row`` where
            records of the input were left out: their numbers in it.
        halves: Tokens of each count in the first half for document completion, int32 [N], where the source
            comes with halves; else they are drawn (`etm_app.data.completion`).
        meta: Where the counts come from: source, analyser settings, what was dropped. Simple values. With them, where
            records of the input were left out, their number with these, ``num_records``.
        beginnings: Of the documents' texts, where it was made from texts; see `excerpts`.
        vectors: Embeddings of the documents, where there are such; they are not saved with it.
        period: How long the periods are over which its topics are looked at; None chooses. It is not saved either.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    counts: NDArray[np.int32]
    vocab: list[str]
    documents: pl.DataFrame
    halves: NDArray[np.int32] | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    beginnings: Excerpts | None = None
    vectors: DocumentVectors | None = None
    period: Period | None = None

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def vocab_size(self) -> int:
        """V."""
        return len(self.vocab)

    @classmethod
    def from_matrix(
        cls,
        matrix: sp.sparray | sp.spmatrix | NDArray[Any],
        vocab: Sequence[str],
        splits: Sequence[str],
        *,
        ids: Sequence[str] | None = None,
        labels: Sequence[str] | None = None,
        times: Sequence[object] | None = None,
        halves: sp.sparray | None = None,
        meta: dict[str, Any] | None = None,
        texts: pl.Series | None = None,
    ) -> "BowCorpus":
        """Build a corpus from a document-word matrix.

        Args:
            matrix: Counts [D, V], sparse or dense.
            vocab: The V words.
            splits: train, val or test for each document, [D].
            ids: Names of the documents, [D]; by default their numbers.
            labels: Classes of the documents, [D].
            times: When they are from, [D]: dates, datetimes (UTC without a zone), years, or these as texts; None where
                it is not known.
            halves: The first half of each document's tokens [D, V], zero wherever ``matrix`` is.
            meta: Simple values to keep with the corpus.
            texts: The documents' texts [D], whose beginnings are kept.

        Raises:
            UserError: Sizes differ, words repeat, counts are negative or fractional, or a time is none.
        """
        rows = sp.csr_array(matrix, copy=True)
        rows.sum_duplicates()
        rows.eliminate_zeros()
        rows.sort_indices()
        if rows.shape[1] != len(vocab):
            raise UserError(
                f"the counts have {rows.shape[1]} columns, the vocabulary {len(vocab)} words; expected as many."
            )
        check_vocab(vocab, "the vocabulary")
        for name, column in (("splits", splits), ("ids", ids), ("labels", labels), ("times", times)):
            if column is not None and len(column) != rows.shape[0]:
                raise UserError(f"{name}: {len(column)} for {rows.shape[0]} documents; expected one each.")
        if unknown := set(splits) - set(SPLITS):
            raise UserError(f"splits: {sorted(unknown)[0]!r} is none; expected {', '.join(SPLITS)}.")
        if not are_counts(rows.data).all():
            raise UserError(
                f"counts must be whole numbers from 0 to {LARGEST_COUNT}; some are negative or fractional, or too "
                "large: give raw counts."
            )
        documents = pl.DataFrame(
            {"id": list(ids) if ids is not None else [str(row) for row in range(rows.shape[0])], "split": list(splits)},
            schema={"id": pl.String, "split": pl.String},
        )
        if labels is not None:
            documents = documents.with_columns(label=pl.Series(list(labels), dtype=pl.String))
        if times is not None:
            given = pl.Series([None if time is None else str(time) for time in times], dtype=pl.String)
            documents = documents.with_columns(read_times(given, "times"))
        aligned = None
        if halves is not None:
            # `matrix` + `halves` has every non-zero of `matrix`, so its values line up with `rows`.
            both = sp.csr_array(rows + sp.csr_array(halves))
            both.sort_indices()
            aligned = (both.data - rows.data).astype(np.int32) if both.nnz == rows.nnz else None
            if aligned is None or (aligned < 0).any() or (aligned > rows.data).any():
                raise UserError("the first halves hold tokens that their documents do not; expected a part of each.")
        return cls(
            rows.indptr.astype(np.int64),
            rows.indices.astype(np.int32),
            rows.data.astype(np.int32),
            list(vocab),
            documents,
            aligned,
            meta or {},
            None if texts is None else Excerpts.of(texts),
        )

    def rows(self, split: str) -> NDArray[np.int64]:
        """Numbers of the documents of a split, ascending."""
        return np.flatnonzero((self.documents["split"] == split).to_numpy()).astype(np.int64)

    def with_words(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of some documents that have words.

        Args:
            rows: Numbers of the documents, [n].
        """
        return rows[self.indptr[rows + 1] > self.indptr[rows]]

    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each document, [D], counted in pieces."""
        lengths = np.zeros(len(self), np.int64)
        for start in range(0, len(self), DOCUMENTS_AT_ONCE):
            bounds = self.indptr[start : start + DOCUMENTS_AT_ONCE + 1]
            counts = self.counts[bounds[0] : bounds[-1]]
            sums = np.concatenate((np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)))
            lengths[start : start + DOCUMENTS_AT_ONCE] = np.diff(sums[bounds - bounds[0]])
        return lengths

    def excerpts(self, rows: NDArray[np.int64]) -> list[str] | None:
        """The first characters of documents, read from disk; None where the corpus has no texts.

        Args:
            rows: Numbers of the documents, [n].
        """
        return None if self.beginnings is None else self.beginnings[rows]

    def select(
        self, rows: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
        """Slice any documents at once.

        Args:
            rows: Numbers of the documents, [B].

        Returns:
            indptr [B + 1], indices [N], counts [N], and where these stand in the corpus' own arrays [N].
        """
        starts = self.indptr[rows]
        lengths = self.indptr[rows + 1] - starts
        indptr = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
        positions = np.arange(indptr[-1]) + np.repeat(starts - indptr[:-1], lengths)
        return indptr, np.asarray(self.indices[positions]), np.asarray(self.counts[positions]), positions

    def in_memory(self) -> "BowCorpus":
        """The same corpus, which needs its folder no longer."""
        texts = self.beginnings
        return replace(
            self,
            indptr=np.array(self.indptr),
            indices=np.array(self.indices),
            counts=np.array(self.counts),
            halves=None if self.halves is None else np.array(self.halves),
            beginnings=None if texts is None else Excerpts(np.array(texts.ends), np.array(texts.bytes)),
        )

    def save(self, folder: Path) -> None:
        """Write the corpus to a folder, all or nothing."""
        with CorpusWriter(folder, with_halves=self.halves is not None) as writer:
            writer.append(self.indptr, self.indices, self.counts, self.halves)
            if self.beginnings is not None:
                writer.append_excerpts(self.beginnings)
            writer.finish(self.vocab, self.documents, self.meta)

    @classmethod
    def load(cls, folder: Path) -> "BowCorpus":
        """Open a saved corpus; the counts stay on disk and are read where they are needed.

        Raises:
            UserError: The folder holds no corpus of this format, or a damaged one.
        """
        try:
            meta = json.loads((folder / META).read_text(encoding="utf-8"))
            if meta["format_version"] != FORMAT_VERSION:
                raise ValueError("written by another version")
            _check_digests(folder, meta)
            del meta["format_version"]
            vocab_size = meta.pop("vocab_size")
            arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in meta.pop("arrays")}
            excerpts = [arrays.pop(name) for name in EXCERPTS if name in arrays]
            beginnings = Excerpts(*excerpts) if excerpts else None
            vocab = (
                (folder / "vocab.txt").read_bytes().decode("utf-8").split("\n")[:-1]
            )  # splitlines knows too many ends
            documents = pl.read_ipc(folder / "documents.arrow")
            corpus = cls(vocab=vocab, documents=documents, meta=meta, beginnings=beginnings, **arrays)
            non_zeros = {len(array) for name, array in arrays.items() if name != "indptr"}
            if non_zeros != {int(corpus.indptr[-1])} or len(corpus.documents) != len(corpus):
                raise ValueError("its files do not fit together")
            if beginnings is not None and len(beginnings.ends) != len(corpus):
                raise ValueError("its excerpts are not those of its documents")
            if len(vocab) != vocab_size:
                raise ValueError(f"vocab.txt has {len(vocab)} words in place of {vocab_size}")
        except DAMAGES as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(
                f"{folder} holds no readable corpus ({reason}); delete the folder to have it made again."
            ) from error
        return corpus


def _digest_of(meta: dict[str, Any]) -> str:
    return sha256(json.dumps(meta).encode()).hexdigest()


def _check_digests(folder: Path, meta: dict[str, Any]) -> None:
    """Hold the files against what was written: a wrong count is seen by nothing else.

    Only those that have changed since, by their time, are read: all of a large corpus would take longer than all else.

    Args:
        folder: With the files.
        meta: What is written of them; the digests are taken out.

    Raises:
        ValueError: One is another.
    """
    if meta.pop("digest") != _digest_of(meta):
        raise ValueError(f"what is in {META} is not what was written")
    written = (folder / META).stat().st_mtime_ns  # the last of all
    for name, digest in meta.pop("files").items():
        path = folder / name
        if path.stat().st_mtime_ns >= written and content_digest(path) != digest:
            raise ValueError(f"what is in {name} is not what was written")


class CorpusWriter:
    """Writes a corpus to a folder in pieces, so that it never has to be in memory, and all or nothing.

    It is written under another name first and renamed by `finish`; left without that, nothing stays. What else is
    needed on the way goes into a folder from `scratch`, and so vanishes with it, even after a kill -9::

        with CorpusWriter(folder) as writer:
            for indptr, indices, counts in chunks:
                writer.append(indptr, indices, counts)
            writer.finish(vocab, documents, meta)

    Args:
        folder: Where `BowCorpus.load` finds it; what is there before is replaced.
        with_halves: Whether the documents come with halves.
    """

    def __init__(self, folder: Path, with_halves: bool = False) -> None:
        self.folder = folder
        self.partial = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")  # its name until it is finished
        self._arrays: dict[str, GrowingArray] = {}
        self._names = [name for name in ARRAYS if with_halves or name != "halves"]

    def __enter__(self) -> "CorpusWriter":
        self.partial.mkdir(parents=True)
        for name in self._names:
            self._arrays[name] = GrowingArray(self.partial / f"{name}.npy", ARRAYS[name])
        self._arrays["indptr"].append(np.zeros(1, np.int64))
        return self

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """An empty folder for files that the corpus is made from, removed at the end of the block."""
        with TemporaryDirectory(dir=self.partial, prefix="scratch.") as folder:
            yield Path(folder)

    def append(
        self,
        indptr: NDArray[np.int64],
        indices: NDArray[np.int32],
        counts: NDArray[np.int32],
        halves: NDArray[np.int32] | None = None,
    ) -> None:
        """Add the next documents, in the form of the attributes of `BowCorpus`; ``indptr`` starts at 0."""
        self._arrays["indptr"].append(indptr[1:] + len(self._arrays["indices"]))
        self._arrays["indices"].append(indices)
        self._arrays["counts"].append(counts)
        if halves is not None:
            self._arrays["halves"].append(halves)

    def append_excerpts(self, excerpts: Excerpts) -> None:
        """Add the beginnings of the next documents, which need not be those of the last `append`."""
        for name in EXCERPTS:
            if name not in self._arrays:
                self._arrays[name] = GrowingArray(self.partial / f"{name}.npy", EXCERPTS[name])
        self._arrays["excerpt_ends"].append(excerpts.ends + len(self._arrays["excerpt_bytes"]))
        self._arrays["excerpt_bytes"].append(excerpts.bytes)

    def finish(self, vocab: Sequence[str], documents: pl.DataFrame, meta: dict[str, Any]) -> None:
        """Add what belongs to all documents, as in `BowCorpus`, and give the folder its name."""
        for array in self._arrays.values():
            array.close()
        (self.partial / "vocab.txt").write_bytes("".join(f"{word}\n" for word in vocab).encode("utf-8"))
        documents.write_ipc(self.partial / "documents.arrow", compression="uncompressed")
        files = {path.name: content_digest(path) for path in sorted(self.partial.iterdir())}
        sizes = {"format_version": FORMAT_VERSION, "vocab_size": len(vocab), "arrays": list(self._arrays)}
        meta = {**sizes, **meta, "files": files}
        written = {"digest": _digest_of(meta), **meta}
        (self.partial / META).write_text(json.dumps(written, indent=2, ensure_ascii=False), encoding="utf-8")
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self.partial.rename(self.folder)

    def __exit__(self, *error: object) -> None:
        try:
            for array in self._arrays.values():
                array.close()
        finally:  # closing fails where the disk is full
            shutil.rmtree(self.partial, ignore_errors=True)


class GrowingArray:
    """A one-dimensional .npy file of a length that shows only in the end."""

    def __init__(self, path: Path, dtype: type[np.generic]) -> None:
        self.path = path
        self._file = path.open("wb")
        self._dtype = np.dtype(dtype)
        self._length = 0
        self._write_header()

    def __len__(self) -> int:
        return self._length

    def append(self, values: NDArray[Any]) -> None:
        """Add values."""
        self._file.write(np.ascontiguousarray(values, self._dtype).data)
        self._length += len(values)

    def close(self) -> None:
        """Write the length."""
        if not self._file.closed:
            self._file.seek(0)
            self._write_header()  # NumPy pads it for this: as many bytes for any length
            self._file.close()

    def open(self) -> NDArray[Any]:
        """The closed file, memory-mapped."""
        array: NDArray[Any] = np.load(self.path, mmap_mode="r")
        return array

    def _write_header(self) -> None:
        description = np.lib.format.dtype_to_descr(self._dtype)
        header = {"descr": description, "fortran_order": False, "shape": (self._length,)}
        np.lib.format.write_array_header_1_0(self._file, header)


class BowDataset(Dataset[BowBatch]):
    """Some documents of a corpus, fetched a whole batch at a time.

    Args:
        corpus: The corpus.
        rows: Numbers of its documents, [n].
        with_gradients: Batches carry what the backward passes need.
        with_halves: Batches carry the halves for document completion.
        with_documents: Batches carry who their documents are.
    """

    def __init__(
        self,
        corpus: BowCorpus,
        rows: NDArray[np.int64],
        *,
        with_gradients: bool = False,
        with_halves: bool = False,
        with_documents: bool = False,
    ) -> None:
        self.corpus = corpus
        self.rows = rows
        self.with_gradients = with_gradients
        self.with_halves = with_halves
        self.with_documents = with_documents

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, positions: Sequence[int]) -> BowBatch:
        """The documents at these positions of ``rows``, as one batch; DataLoader calls this."""
        rows = self.rows[np.asarray(positions, np.int64)]
        indptr, indices, counts, where = self.corpus.select(rows)
        half = None
        if self.with_halves:
            halves = self.corpus.halves
            half = first_half(indptr, indices, counts) if halves is None else halves[where]
        vocab_size = self.corpus.vocab_size
        batch = BowBatch.from_csr(indptr, indices, counts, vocab_size, half=half, with_gradients=self.with_gradients)
        if self.with_documents:
            documents = self.corpus.documents[rows]
            if "row" not in documents.columns:
                documents = documents.with_columns(row=pl.Series(rows))
            batch.documents = documents.select("row", pl.exclude("row", "time"))
        if self.corpus.vectors is not None:
            batch.vectors = torch.from_numpy(self.corpus.vectors.take(rows))
        return batch

    def sample(self, size: int) -> "BowDataset":
        """At most ``size`` of the documents, evenly spaced: always the same ones."""
        if len(self) <= size:
            return self
        rows = self.rows[np.linspace(0, len(self) - 1, size).astype(np.int64)]
        return BowDataset(self.corpus, rows, with_gradients=self.with_gradients, with_halves=self.with_halves)

    def batches(self, size: int) -> Iterator[BowBatch]:
        """All documents in order, at most ``size`` at a time."""
        for start in range(0, len(self), size):
            yield self[range(start, min(start + size, len(self)))]

    def parts(self, size: int | None = None) -> Iterator["BowDataset"]:
        """All documents in order, at most ``size`` at a time; by default `DOCUMENTS_AT_ONCE`."""
        size = size or DOCUMENTS_AT_ONCE
        for start in range(0, len(self), size):
            rows = self.rows[start : start + size]
            yield BowDataset(self.corpus, rows, with_gradients=self.with_gradients, with_halves=self.with_halves)

    def chunks(self, size: int | None = None) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int32]]]:
        """The counts of `parts` as (indptr, indices)."""
        for part in self.parts(size):
            indptr, indices, _, _ = self.corpus.select(part.rows)
            yield indptr, indices

    def token_counts(self) -> NDArray[np.int64]:
        """Tokens of each word in all of them, [V]."""
        tokens = np.zeros(self.corpus.vocab_size, np.int64)
        for part in self.parts():
            _, indices, counts, _ = self.corpus.select(part.rows)
            tokens += np.bincount(indices, counts, self.corpus.vocab_size).astype(np.int64)
        return tokens

    def counts(self) -> sp.csr_array:
        """All documents as a sparse matrix [n, V]."""
        indptr, indices, counts, _ = self.corpus.select(self.rows)
        return sp.csr_array((counts, indices, indptr), shape=(len(self), self.corpus.vocab_size))

    def vectors(self) -> NDArray[np.float32] | None:
        """The embeddings of all documents, float32 [n, E], where the corpus has such."""
        return None if self.corpus.vectors is None else self.corpus.vectors.take(self.rows)
