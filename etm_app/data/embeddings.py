"""Pre-trained word vectors from files, of the words of a vocabulary alone."""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from etm_app.errors import UserError

__all__ = ["Embeddings", "read_embeddings"]

BLOCK = 1 << 20  # bytes of binary vectors read at a time
FASTTEXT_MAGIC = (793712314).to_bytes(4, "little")  # of fastText's own .bin, a model
MISSING_SCALE = 0.1  # length of the vectors of words that have none, against that of the others


@dataclass(frozen=True)
class Embeddings:
    """Vectors for a vocabulary.

    Attributes:
        vectors: float32 [V, L]; small random ones for words that the file does not have.
        found: Which words it has, [V].
        path: The file that they are from.
    """

    vectors: NDArray[np.float32]
    found: NDArray[np.bool_]
    path: Path

    def directions(self) -> NDArray[np.float32]:
        """The vectors for a warm start: less their mean, which no topic needs, and of length 1; [V, L].

        Those of words that the file does not have stay short: such a word belongs to no topic in the beginning.
        """
        directions = self.vectors.copy()
        directions[self.found] -= self.vectors[self.found].mean(axis=0)
        directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
        directions[~self.found] *= MISSING_SCALE
        return directions

    @property
    def coverage(self) -> str:
        """How many words it has, in words."""
        num_found, num_words = int(self.found.sum()), len(self.found)
        others = f"; the other {num_words - num_found:,} start small and random" if num_found < num_words else ""
        return f"{num_found:,} of {num_words:,} words ({num_found / num_words:.1%}) have a vector{others}"


def read_embeddings(path: Path, vocab: Sequence[str], seed: int = 0) -> Embeddings:
    """Read the vectors of a vocabulary; those of other words are skipped, and never in memory.

    Args:
        path: word2vec's text or binary format (``.bin``), GloVe's or fastText's text (``.vec``), all of these also
            gzipped (``.gz``); or a NumPy ``.npz`` with arrays ``words`` [N] and ``vectors`` [N, L].
        vocab: The V words; the case matters.
        seed: Of the vectors of words that the file does not have.

    Raises:
        UserError: The file is missing or damaged, named with the line, or has none of the words.
    """
    path = path.expanduser()
    if not path.is_file():
        raise UserError(f"model.embeddings: there is no file {path}; expected word vectors.")
    places = {word.encode(): place for place, word in enumerate(vocab)}
    rows: dict[int, NDArray[np.float32]] = {}
    try:
        for place, vector in _vectors(path, places):
            rows.setdefault(place, vector)  # where a file repeats a word, the first is the more frequent spelling
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"model.embeddings: {path} cannot be read ({error}); expected word vectors.") from error
    if not rows:
        raise UserError(
            f"model.embeddings: {path} has none of the {len(vocab):,} words of the vocabulary ({', '.join(vocab[:3])}, "
            "…); expected most: is it of this language, and is its case that of the vocabulary?"
        )
    there = np.array(sorted(rows))
    known = np.stack([rows[place] for place in there])
    if not np.isfinite(known).all():
        word = vocab[there[~np.isfinite(known).all(axis=1)][0]]
        raise UserError(f"model.embeddings: {path} has a vector for {word!r} that is not finite; expected numbers.")
    scale = MISSING_SCALE * float(np.sqrt(np.mean(known.astype(np.float64) ** 2)))
    vectors = np.random.default_rng(seed).normal(0, scale, (len(vocab), known.shape[1])).astype(np.float32)
    vectors[there] = known
    found = np.zeros(len(vocab), bool)
    found[there] = True
    return Embeddings(vectors, found, path)


Pairs = Iterator[tuple[int, NDArray[np.float32]]]


def _vectors(path: Path, places: dict[bytes, int]) -> Pairs:
    """The vectors of the words in ``places`` with their places, as they come."""
    name = path.name.removesuffix(".gz")
    if name.endswith(".npz"):
        yield from _npz(path, places)
        return
    with cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb") as file:
        yield from (_binary if name.endswith(".bin") else _text)(path, file, places)


def _npz(path: Path, places: dict[bytes, int]) -> Pairs:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            words, vectors = arrays["words"], arrays["vectors"]
        if words.dtype.kind not in "US" or vectors.dtype.kind != "f" or vectors.shape[:1] != words.shape:
            raise ValueError(f"words are {words.dtype} {words.shape}, vectors {vectors.dtype} {vectors.shape}")
        if vectors.ndim != 2 or not vectors.shape[1]:
            raise ValueError(f"vectors have the shape {vectors.shape}")
    except (ValueError, KeyError, BadZipFile) as error:
        raise UserError(
            f"model.embeddings: {path} cannot be read ({error}); expected an .npz with words [N], strings, "
            "and vectors [N, L], numbers."
        ) from error
    for row, word in enumerate(words.tolist()):
        if (place := places.get(word if isinstance(word, bytes) else word.encode())) is not None:
            yield place, vectors[row].astype(np.float32)


def _text(path: Path, file: IO[bytes], places: dict[bytes, int]) -> Pairs:
    """A word and its numbers on each line; word2vec and fastText have a first line with both sizes."""
    size = 0
    for number, line in enumerate(file, 1):
        line = line.rstrip()
        if number == 1:
            fields = line.split(b" ")
            if len(fields) == 2 and all(field.isdigit() for field in fields):
                size = int(fields[1])
                continue
        size = size or line.count(b" ")
        place = places.get(line.partition(b" ")[0])
        if place is None:
            continue
        fields = line.split(b" ")
        if len(fields) > size + 1:  # GloVe has phrases: their first word is not the one that is looked for
            place = places.get(b" ".join(fields[:-size]))
            if place is None:
                continue
        try:
            vector = np.array(fields[-size:], np.float32) if len(fields) > size > 0 else None
        except ValueError:
            vector = None
        if vector is None:
            raise UserError(
                f"model.embeddings: line {number} of {path} is {line[:40].decode(errors='replace')!r}…; "
                f"expected a word and {size} numbers: it was cut or is of another format."
            )
        yield place, vector


def _binary(path: Path, file: IO[bytes], places: dict[bytes, int]) -> Pairs:
    """word2vec's: both sizes on a line, then each word, a space, and its numbers as float32."""
    header = file.readline(100)
    if header.startswith(FASTTEXT_MAGIC):
        raise UserError(
            f"model.embeddings: {path} is a model of fastText; expected its vectors: take the .vec file beside it."
        )
    sizes = header.split()
    if len(sizes) != 2 or not all(size.isdigit() for size in sizes):
        raise UserError(
            f"model.embeddings: {path} starts with {header[:40]!r}; expected word2vec's binary format, with the number "
            "of words and of dimensions on its first line."
        )
    num_words, size = map(int, sizes)
    block, start = b"", 0
    for number in range(num_words):
        # A word of any length, its space, and the numbers; a line break follows in the original's files.
        while (space := block.find(b" ", start)) < 0 or len(block) < space + 1 + 4 * size:
            more = file.read(BLOCK)
            if not more:
                raise UserError(
                    f"model.embeddings: {path} ends after {number:,} of {num_words:,} words; expected all: it was cut."
                )
            block, start = block[start:] + more, 0
        place = places.get(block[start:space].lstrip(b"\n"))
        start = space + 1 + 4 * size
        if place is not None:
            yield place, np.frombuffer(block, "<f4", size, space + 1).astype(np.float32)
