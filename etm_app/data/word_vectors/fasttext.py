"""fastText's own models (``.bin``), which have vectors of n-grams, and so of words that they do not know."""

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etm_app.data.word_vectors.word2vec import LARGEST, Vectors, WordVector
from etm_app.errors import UserError, reading

__all__ = ["FASTTEXT_MAGIC", "compose", "read_fasttext"]

FASTTEXT_MAGIC = (793712314).to_bytes(4, "little")
VERSIONS = (11, 12)
ARGUMENTS = struct.Struct("<12id")  # dim, ws, epoch, minCount, neg, wordNgrams, loss, model, bucket, minn, maxn, …
SIZES = struct.Struct("<3i2q")  # of the dictionary: entries, words, labels, tokens, n-grams that were kept
ENTRY = 9  # bytes after a word: how often it was, and what it is
END_OF_SENTENCE = b"</s>"  # no word, and without n-grams


def read_fasttext(path: Path, places: dict[bytes, int]) -> Vectors:
    """The vectors as fastText gives them: of a word the mean of its own and those of its n-grams, if it knows the word.

    Bojanowski et al. 2017. Only the rows that are needed are read.
    """
    with (
        reading(
            (ValueError, struct.error, EOFError),
            lambda what: UserError(
                f"model.embeddings: {path} {what}; expected a model of fastText, whole: take the .vec file beside it."
            ),
        ),
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        (version,) = struct.unpack_from("<i", content, 4)
        size, *_, bucket, shortest, longest, _, _ = ARGUMENTS.unpack_from(content, 8)
        at = 8 + ARGUMENTS.size
        num_entries, num_words, _, _, num_kept = SIZES.unpack_from(content, at)
        at += SIZES.size
        if version not in VERSIONS:
            raise ValueError(f"version {version}")
        own_rows: dict[int, int] = {}
        for entry in range(num_entries):
            end = content.find(b"\0", at)
            if end < 0:
                raise EOFError(f"it ends after {entry:,} of {num_entries:,} words")
            place = places.get(content[at:end]) if entry < num_words else None
            if place is not None:
                own_rows.setdefault(place, entry)
            at = end + 1 + ENTRY
        if num_kept > 0 or content[at : at + 1] == b"\1":
            raise UserError(
                f"model.embeddings: {path} is a quantized model of fastText; expected the .bin that it was made of, or "
                "its .vec file."
            )
        rows, columns = struct.unpack_from("<2q", content, at + 1)
        at += 1 + 16
        num_ngrams = bucket if num_kept else 0
        if (
            not 0 < size <= LARGEST
            or columns != size
            or min(num_words, num_ngrams) < 0
            or rows < num_words + num_ngrams
        ):
            raise ValueError(
                f"{rows} rows of {columns} numbers for {num_words} words, {bucket} n-grams, {size} numbers"
            )
        if 4 * rows * columns > len(content) - at:
            raise EOFError(f"it ends within {rows:,} rows of {columns:,} numbers")
        matrix = np.memmap(path, "<f4", "r", at, (rows, columns))
        ngrams = matrix[num_words : num_words + num_ngrams]
        yield from compose(places, own_rows, matrix[:num_words], ngrams, (shortest, longest))


def compose(
    places: dict[bytes, int],
    own_rows: dict[int, int],
    words: NDArray[np.floating[Any]],
    ngrams: NDArray[np.floating[Any]],
    lengths: tuple[int, int],
) -> Vectors:
    """A word's vector is the mean of its own and those of its n-grams.

    Args:
        places: The words that are asked for.
        own_rows: Rows of those that have a vector of their own, by place.
        words: Vectors of words, [N, L].
        ngrams: Vectors of n-grams by their hash, [buckets, L]; none for vectors of words alone.
        lengths: Of the n-grams in characters, from and to.
    """
    for word, place in places.items():
        parts = [words[own_rows[place]][None]] if place in own_rows else []
        if len(ngrams) and word != END_OF_SENTENCE:
            parts.append(ngrams[[hashed % len(ngrams) for hashed in _hashed_ngrams(word, *lengths)]])
        needed = np.concatenate(parts) if parts else ngrams[:0]
        if len(needed):
            with np.errstate(invalid="ignore", over="ignore"):  # the reader looks at what is not finite
                vector = needed.mean(axis=0, dtype=np.float64).astype(np.float32)
            yield WordVector(place, vector, place in own_rows)


def _hashed_ngrams(word: bytes, shortest: int, longest: int) -> Iterator[int]:
    """FNV-1a of the n-grams of ``<word>``, of characters; as in fastText a byte above 127 counts as a negative one."""
    letters = [letter.encode() for letter in f"<{word.decode()}>"]
    for start in range(len(letters)):
        for stop in range(start + max(shortest, 1), min(start + longest, len(letters)) + 1):
            if stop - start == 1 and (start == 0 or stop == len(letters)):
                continue  # < and > alone
            hashed = 2166136261
            for byte in b"".join(letters[start:stop]):
                hashed ^= byte if byte < 128 else byte | 0xFFFFFF00
                hashed = hashed * 16777619 & 0xFFFFFFFF
            yield hashed
