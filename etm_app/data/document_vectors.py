"""Vectors of documents from files, as any encoder of sentences makes them: opened, joined to documents, checked."""

import re
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from etm_app.data.expansion import bytes_of_strings, check_expansion
from etm_app.data.parquet import check_parquet
from etm_app.errors import UserError, reading

__all__ = ["DocumentVectors", "VectorFile", "as_vectors", "check_vector_size"]

VALUES_AT_ONCE = 1 << 22  # numbers that are read to be looked at
VECTOR = "embedding"  # the column with whole vectors
DAMAGES = (OSError, EOFError, ValueError, TypeError, OverflowError, TokenError, pl.exceptions.PolarsError)
EXPECTED = "an .npy file of numbers [documents, dimensions], or Parquet"


@dataclass(frozen=True)
class DocumentVectors:
    """A vector for each of D documents.

    Attributes:
        vectors: Numbers [N, E]; memory-mapped, they take no memory until they are taken.
        places: Where the vector of each document stands, int64 [D]; None: where the document does.
    """

    vectors: NDArray[Any]
    places: NDArray[np.int64] | None = None

    @property
    def size(self) -> int:
        """E."""
        return int(self.vectors.shape[1])

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Those of some documents, float32 [n, E].

        Args:
            rows: Numbers of the documents, [n].
        """
        return _single(self.vectors[rows if self.places is None else self.places[rows]])


class VectorFile:
    """A file with a vector for each document.

    ``.npy`` holds a matrix, of which a row is the record of the input with its number. ``.parquet`` has the vectors in
    a column ``embedding``, or in ``dim_0`` to the last; they belong to the documents that a column names, or without
    one to the records of the input in their order.

    Args:
        path: The file.
        id_columns: How a column with the names of the documents may be called; the first that is there is it.

    Attributes:
        size: E.
        num_rows: N.

    Raises:
        UserError: There is no such file, it is damaged, or holds something else.
    """

    def __init__(self, path: Path, id_columns: Sequence[str] = ("id",)) -> None:
        self.path = path.expanduser()
        self._id_column: str | None = None
        kinds = {".npy": (self._open_npy, self._memory_mapped), ".parquet": (self._open_parquet, self._read_parquet)}
        if not self.path.is_file():
            raise UserError(f"data.document_embeddings: there is no file {path}; expected {EXPECTED}.")
        if (kind := self.path.suffix.lower()) not in kinds:
            raise self._refuse(f"ends in {kind or 'nothing'}; expected {EXPECTED}, by its ending")
        look, self._read = kinds[kind]
        with self._reading():
            self.num_rows, self.size = look(id_columns)
        if not self.num_rows or not self.size:
            raise self._refuse(
                f"has {self.num_rows:,} vectors of {self.size} dimensions; expected one for each document, of 1 or more"
            )

    def __str__(self) -> str:
        joined = "in the order of the records" if self._id_column is None else f"by {self._id_column!r}"
        return f"{self.size:,} dimensions in {self.num_rows:,} rows of {self.path}, joined {joined}"

    def places(self, documents: pl.DataFrame) -> NDArray[np.int64]:
        """Where the vectors of documents stand in the file, [n].

        Args:
            documents: With ``id`` and ``row``, the number of the record in the input.

        Raises:
            UserError: One of them has none.
        """
        if self._id_column is None:
            places: NDArray[np.int64] = documents["row"].to_numpy().astype(np.int64)
            if places.max(initial=-1) >= self.num_rows:
                raise self._refuse(f"has {self.num_rows:,} rows, and the input more records; {ONE_EACH}")
            return places
        ids, order = self._sorted_ids
        at = ids.search_sorted(documents["id"]).clip(0, len(ids) - 1)
        found = (ids.gather(at) == documents["id"]).fill_null(False)
        if not found.all():
            missing = documents["id"].filter(~found)
            shown = " and ".join(map(repr, missing.head(2)))
            raise self._refuse(
                f"has no vector for {len(missing):,} of {len(documents):,} documents, {shown} for "
                f"{'one' if len(missing) == 1 else 'two'}; expected one for each, called as in its column "
                f"{self._id_column!r}"
            )
        places = order[at.to_numpy()]
        return places

    def check_number(self, num_records: int) -> None:
        """Hold the number of rows against that of the records, where these are joined by their order.

        Args:
            num_records: Of the input, those with it that were left out.

        Raises:
            UserError: They differ.
        """
        if self._id_column is None and self.num_rows != num_records:
            raise self._refuse(f"has {self.num_rows:,} rows for {num_records:,} records of the input; {ONE_EACH}")

    def of(self, documents: pl.DataFrame, num_records: int) -> DocumentVectors:
        """The vectors of the documents of a corpus, all of them checked.

        Args:
            documents: D documents, with ``id`` and, where records were left out, ``row``.
            num_records: Of the input, those with it that were left out.

        Raises:
            UserError: A document has none, or one that is not finite; or the number of rows is another.
        """
        self.check_number(num_records)
        numbered = documents if "row" in documents.columns else documents.with_row_index("row")
        places = self.places(numbered)
        self.check_finite(places)
        self.say_unused(len(places))
        as_they_are = np.array_equal(places, np.arange(len(places)))
        return DocumentVectors(self.vectors, None if as_they_are else places)

    def take(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors at these places, checked, float32 [n, E]."""
        self.check_finite(places)
        return _single(self.vectors[places])

    def check_finite(self, places: NDArray[np.int64]) -> None:
        """Look at the vectors at these places, a part of them at a time.

        Raises:
            UserError: Some are not finite.
        """
        if len(wrong := _not_finite(self.vectors, places)):
            raise self._refuse(
                f"has {len(wrong):,} rows with numbers that are missing, NaN or infinite, row {wrong.min()} (from 0) "
                "for one; expected finite numbers in single precision"
            )

    def say_unused(self, num_used: int) -> None:
        """Say how many vectors have the name of no document, where names tell."""
        if self._id_column is not None and (number := self.num_rows - num_used):
            rank_zero_info(
                f"Document embeddings: {number:,} of {self.num_rows:,} rows of {self.path} are of no document here."
            )

    @cached_property
    def vectors(self) -> NDArray[Any]:
        """All of them, [N, E]: memory-mapped, or of Parquet float32 in memory, read once."""
        with self._reading():
            return self._read()

    def _open_npy(self, id_columns: Sequence[str]) -> tuple[int, int]:
        array = self._memory_mapped()
        if array.ndim != 2 or array.dtype.kind != "f":
            shape = ", ".join(map(str, array.shape))
            raise self._refuse(
                f"holds {array.dtype} of the shape [{shape}]; expected floating-point numbers [documents, dimensions]: "
                "numpy.save of what an encoder gives for all texts together"
            )
        return array.shape

    def _memory_mapped(self) -> NDArray[Any]:
        return np.lib.format.open_memmap(self.path, mode="r")  # objects, which would be unpickled, are refused by it

    def _scan(self) -> pl.LazyFrame:
        return pl.scan_parquet(self.path, hive_partitioning=False, glob=False)

    def _open_parquet(self, id_columns: Sequence[str]) -> tuple[int, int]:
        schema = self._scan().collect_schema()
        self._id_column = next((column for column in id_columns if column in schema), None)
        dimensions = [name for name in schema if re.fullmatch(r"dim_\d+", name)]
        if VECTOR in schema:
            dtype = schema[VECTOR]
            if not isinstance(dtype, pl.List | pl.Array) or not dtype.inner.is_float():
                raise self._refuse(f"has {dtype} in {VECTOR!r}; expected lists of floating-point numbers")
            vector = pl.col(VECTOR)
        elif dimensions:
            numbered = [f"dim_{number}" for number in range(len(dimensions))]
            if lacking := [name for name in numbered if name not in schema]:
                raise self._refuse(f"has {dimensions[-1]!r} but no {lacking[0]!r}; expected dim_0 to the last")
            if wrong := [name for name in numbered if not schema[name].is_float()]:
                raise self._refuse(f"has {schema[wrong[0]]} in {wrong[0]!r}; expected floating-point numbers")
            vector = pl.concat_list(numbered)
        else:
            raise self._refuse(
                f"has the columns {', '.join(schema)[:300]}; expected {VECTOR!r} with lists of numbers, or 'dim_0' to "
                "the last with a number each"
            )
        read = [*([VECTOR] if VECTOR in schema else numbered), *filter(None, [self._id_column])]
        check_parquet(self.path, f"data.document_embeddings: {self.path}", read)
        self._vectors = self._scan().select(vector.cast(pl.List(pl.Float32)).alias(VECTOR))
        lengths = self._vectors.head(1).select(pl.col(VECTOR).list.len()).collect()[VECTOR]
        return int(self._scan().select(pl.len()).collect().item()), int(lengths.sum())  # 0 where there is none

    def _read_parquet(self) -> NDArray[np.float32]:
        vectors = np.empty((self.num_rows, self.size), np.float32)
        start, at_once = 0, max(VALUES_AT_ONCE // self.size, 1)
        for batch in self._vectors.collect_batches(chunk_size=at_once, maintain_order=True, engine="streaming"):
            lists = batch[VECTOR]
            lengths = lists.list.len()
            if len(other := (lengths.ne_missing(self.size)).arg_true()):
                raise self._refuse(
                    f"has {lengths[other[0]] or 0:,} dimensions in row {start + other[0]} (from 0) and {self.size:,} "
                    "in the first; expected as many in each"
                )
            vectors[start : start + len(lists)] = lists.cast(pl.Array(pl.Float32, self.size)).to_numpy()
            start += len(lists)
        if start != self.num_rows:
            raise ValueError(f"it has {start:,} rows, its footer states {self.num_rows:,}")
        return vectors

    @cached_property
    def _sorted_ids(self) -> tuple[pl.Series, NDArray[np.int64]]:
        """The names in order, and in which row each is."""
        column = self._id_column
        assert column is not None
        with self._reading():
            names = self._scan().select(column).collect()
            size = self.path.stat().st_size
            check_expansion(f"data.document_embeddings: {self.path}", int(bytes_of_strings(names).sum()), size)
            ids = names[column].cast(pl.String)
        if ids.null_count():
            raise self._refuse(f"has {ids.null_count():,} rows without a name in {column!r}; expected one in each")
        if (repeated := ids.filter(ids.is_duplicated())).len():
            raise self._refuse(
                f"has {repeated.n_unique():,} names more than once in {column!r}, {repeated[0]!r} for one; expected "
                "each once"
            )
        order = ids.arg_sort()
        return ids.gather(order), order.to_numpy().astype(np.int64)

    def _reading(self) -> AbstractContextManager[None]:
        return reading(DAMAGES, lambda what: self._refuse(f"{what}; expected {EXPECTED}"))

    def _refuse(self, what: str) -> UserError:
        return UserError(f"data.document_embeddings: {self.path} {what}.")


ONE_EACH = (
    "expected one for each record in the order of the input, for those that are left out as well: or save Parquet with "
    "a column of the documents' names"
)


def check_vector_size(trained: int, given: int) -> None:
    """Hold the vectors of the documents against those that a model is for.

    Args:
        trained: Dimensions of the model's; 0 for none.
        given: Dimensions of the data's; 0 for none.

    Raises:
        UserError: They differ.
    """
    if trained == given:
        return
    model = f"with document embeddings of {trained:,} dimensions" if trained else "without document embeddings"
    remedy = "those of the same encoder" if trained else "none: leave it out, or train anew"
    if trained and not given:
        remedy = "--data.document_embeddings with vectors of the same encoder"
    raise UserError(
        f"data.document_embeddings: {f'{given:,} dimensions' if given else 'none'}, but the model was trained {model}; "
        f"expected {remedy}."
    )


def as_vectors(given: ArrayLike | Tensor | None, num_documents: int, size: int) -> NDArray[Any] | None:
    """Vectors of documents that a caller gives beside them, checked.

    Args:
        given: Numbers [D, E], or None.
        num_documents: D.
        size: E that the model was trained with; 0 for none.

    Returns:
        Numbers [D, E], not copied; None where the model takes none.

    Raises:
        UserError: They have another shape, are not finite, or are none that this model takes.
    """
    if given is None and not size:
        return None
    if given is None or not size:
        model = f"with document embeddings of {size:,} dimensions" if size else "without document embeddings"
        expected = f"[{num_documents}, {size}], a row for each document, by the same encoder" if size else "none"
        raise UserError(
            f"embeddings: {'none' if size else 'some'}, but the model was trained {model}; expected {expected}."
        )
    array = given.detach().float().cpu().numpy() if isinstance(given, Tensor) else np.asarray(given)
    if array.shape != (num_documents, size) or array.dtype.kind != "f":
        shape = ", ".join(map(str, array.shape))
        raise UserError(
            f"embeddings: {array.dtype} of the shape [{shape}] for {num_documents:,} documents; expected "
            f"floating-point numbers [{num_documents}, {size}]: a row for each document, by the same encoder as in "
            "training."
        )
    if len(wrong := _not_finite(array, np.arange(num_documents))):
        raise UserError(
            f"embeddings: {len(wrong):,} rows have NaN or infinite numbers, row {wrong[0]} (from 0) for one; expected "
            "finite numbers in single precision."
        )
    return array


def _not_finite(vectors: NDArray[Any], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of the places whose vectors are not finite in single precision, looking at a part of them at a time."""
    wrong = [np.zeros(0, np.int64)]
    step = max(VALUES_AT_ONCE // vectors.shape[1], 1)
    for start in range(0, len(places), step):
        part = places[start : start + step]
        wrong.append(part[~np.isfinite(_single(vectors[part])).all(axis=1)])
    return np.concatenate(wrong)


def _single(vectors: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what has no place in single precision is infinite, which is then said
        return np.asarray(vectors, np.float32)
