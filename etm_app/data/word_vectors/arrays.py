"""Vectors as one array, with the words of its rows: NumPy's .npz and .safetensors."""

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from tokenize import TokenError
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from etm_app.data.expansion import check_archive
from etm_app.data.vocabulary import read_vocab
from etm_app.data.word_vectors.word2vec import LARGEST, Vectors, WordVector
from etm_app.errors import UserError, reading

__all__ = ["read_npz", "read_safetensors"]

WORDS_AT_ONCE = 100_000  # as Python's, of which each takes some fifty bytes
LARGEST_HEADER = 1 << 24  # bytes of JSON; that of a model with a thousand arrays has a hundred thousand
LARGEST_TOKENIZER = 1 << 26
TOKENIZER = "tokenizer.json"
VOCAB = "vocab.txt"
DTYPES = {"F16": "<f2", "BF16": "<u2", "F32": "<f4", "F64": "<f8"}
INDICES = {"I32": "<i4", "I64": "<i8", "U32": "<u4", "U64": "<u8"}
WORD_STARTS = ("▁", "Ġ")  # before a token that begins a word, as SentencePiece and byte-level tokenizers write it


def read_npz(path: Path, places: dict[bytes, int]) -> Vectors:
    """The arrays ``words`` [N] and ``vectors`` [N, L]."""
    with reading(
        (ValueError, KeyError, RuntimeError, MemoryError, TokenError, BadZipFile, zlib.error),
        lambda what: UserError(
            f"model.embeddings: {path} {what}; expected an .npz with words [N], strings, and vectors [N, L], numbers."
        ),
    ):
        check_archive(path, f"model.embeddings: {path}")
        with np.load(path, allow_pickle=False) as arrays:
            words, vectors = arrays["words"], arrays["vectors"]
        if words.dtype.kind not in "US" or vectors.dtype.kind != "f" or vectors.shape[:1] != words.shape:
            raise ValueError(f"words are {words.dtype} {words.shape}, vectors {vectors.dtype} {vectors.shape}")
        if vectors.ndim != 2 or not vectors.shape[1]:
            raise ValueError(f"vectors have the shape {vectors.shape}")
        for start in range(0, len(words), WORDS_AT_ONCE):
            for row, word in enumerate(words[start : start + WORDS_AT_ONCE].tolist(), start):
                if (place := places.get(word if isinstance(word, bytes) else word.encode())) is not None:
                    yield WordVector(place, vectors[row].astype(np.float32))


def read_safetensors(path: Path, places: dict[bytes, int]) -> Vectors:
    """The one matrix of a .safetensors file, with the words in a file beside it.

    These are ``vocab.txt``, a word a line in the order of the rows, or else ``tokenizer.json``, as model2vec and the
    static embeddings of sentence-transformers have it: of its tokens those that are whole words.
    """
    with reading(
        (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError),
        lambda what: UserError(
            f"model.embeddings: {path} {what}; expected one matrix of floating-point numbers, and the words of its "
            f"rows in {VOCAB} or {TOKENIZER} beside it."
        ),
    ):
        tensors = _tensors(path)
        matrices = {name: of for name, of in tensors.items() if of.ndim == 2 and of.dtype.str in DTYPES.values()}
        if len(matrices) != 1:
            raise ValueError(f"it has {len(matrices)} matrices of floating-point numbers: {', '.join(tensors)[:100]}")
        ((name, matrix),) = matrices.items()
        if not 0 < matrix.shape[1] <= LARGEST:
            raise ValueError(f"{name} has the shape {matrix.shape}")
        rows = tensors.get("mapping")  # model2vec's, where tokens share vectors
        for word, token in _words_beside(path):
            if (place := places.get(word.encode())) is None:
                continue
            row = token if rows is None else int(rows[token])
            if not 0 <= row < len(matrix):
                raise ValueError(f"{word!r} has the row {row} of {len(matrix)}")
            numbers = matrix[row]
            if numbers.dtype.kind == "u":  # bfloat16: the upper half of a float32
                numbers = (numbers.astype("<u4") << np.uint32(16)).view("<f4")
            yield WordVector(place, numbers.astype(np.float32))


def _tensors(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a .safetensors file, memory-mapped: a length, so many bytes of JSON, and the numbers.

    bfloat16 comes as the bits that it is; arrays of other than floating-point numbers and indices are left out.
    """
    total = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(total - 8, LARGEST_HEADER):
            raise ValueError(f"a header of {length:,} bytes in a file of {total:,}")
        header = json.loads(file.read(length))
    tensors: dict[str, NDArray[Any]] = {}
    for name, of in header.items():
        if name == "__metadata__" or (kind := {**DTYPES, **INDICES}.get(of["dtype"])) is None:
            continue
        shape, (start, stop) = tuple(map(int, of["shape"])), map(int, of["data_offsets"])
        size = np.dtype(kind).itemsize
        for dimension in shape:
            if dimension < 0:
                raise ValueError(f"{name} has the shape {shape}")
            size *= dimension
        if not 0 <= start <= stop <= total - 8 - length or stop - start != size:
            raise ValueError(f"{name} is cut: bytes {start:,} to {stop:,} for the shape {shape}")
        if size:
            tensors[name] = np.memmap(path, kind, "r", 8 + length + start, shape)
    return tensors


def _words_beside(path: Path) -> Iterator[tuple[str, int]]:
    """Words and their numbers."""
    if (vocab := path.with_name(VOCAB)).is_file():
        yield from ((word, row) for row, word in enumerate(read_vocab(vocab, "model.embeddings")))
        return
    tokenizer = path.with_name(TOKENIZER)
    if not tokenizer.is_file():
        raise ValueError("there is no such file with the words")
    if tokenizer.stat().st_size > LARGEST_TOKENIZER:
        raise ValueError(f"{TOKENIZER} has more than {LARGEST_TOKENIZER:,} bytes")
    tokens = json.loads(tokenizer.read_bytes())["model"]["vocab"]
    numbers = {token: number for number, (token, _) in enumerate(tokens)} if isinstance(tokens, list) else dict(tokens)
    # A word at the start of a text, and so the word itself, where the tokenizer marks that.
    starts = next((mark for mark in WORD_STARTS if any(token.startswith(mark) for token in numbers)), "")
    for token, number in numbers.items():
        if token.startswith(starts):
            yield token.removeprefix(starts), int(number)
