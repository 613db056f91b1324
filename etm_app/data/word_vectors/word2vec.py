"""word2vec's formats, GloVe's and fastText's text: a word and its numbers, again and again."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from etm_app.errors import UserError
from etm_app.files import replacing, writing

__all__ = [
    "ENDINGS",
    "LARGEST",
    "Vectors",
    "WordVector",
    "is_own_word2vec",
    "read_binary",
    "read_text",
    "write_word2vec",
]

BLOCK = 1 << 20  # bytes of binary vectors read at a time
LARGEST = 1 << 16  # dimensions of a vector
LONGEST_WORD = 1 << 16  # bytes
LONGEST_LINE = LONGEST_WORD + 32 * LARGEST
ENDINGS = (".txt", ".vec", ".bin")  # of what is written
OWN_HEADER = re.compile(rb"\d{12} \d{1,5}\n")


class WordVector(NamedTuple):
    """A word of the vocabulary that a file has a vector for.

    Attributes:
        place: The word's number in the vocabulary.
        vector: float32 [L].
        whole: Whether the file has the word itself, not its parts alone.
    """

    place: int
    vector: NDArray[np.float32]
    whole: bool = True


Vectors = Iterator[WordVector]


def read_text(path: Path, file: IO[bytes], places: dict[bytes, int]) -> Vectors:
    """A word and its numbers on each line; word2vec and fastText have a first line with both sizes."""
    size = number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        if len(line) == LONGEST_LINE:
            raise _no_vector(path, number, line, size or LARGEST)
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
            raise _no_vector(path, number, line, size)
        yield WordVector(place, vector)


def _no_vector(path: Path, number: int, line: bytes, size: int) -> UserError:
    return UserError(
        f"model.embeddings: line {number} of {path} is {line[:40].decode(errors='replace')!r}…; "
        f"expected a word and {size} numbers: it was cut or is of another format."
    )


def read_binary(path: Path, file: IO[bytes], places: dict[bytes, int]) -> Vectors:
    """word2vec's: both sizes on a line, then each word, a space, and its numbers as float32."""
    header = file.readline(100)
    sizes = header.split()
    if len(sizes) != 2 or not all(size.isdigit() for size in sizes) or not 0 < int(sizes[1]) <= LARGEST:
        raise UserError(
            f"model.embeddings: {path} starts with {header[:40]!r}; expected word2vec's binary format, with the number "
            f"of words and of dimensions, {LARGEST:,} at most, on its first line."
        )
    num_words, size = map(int, sizes)
    block, start = b"", 0
    for number in range(num_words):
        # A word of any length, its space, and the numbers; a line break follows in the original's files.
        while (space := block.find(b" ", start)) < 0 or len(block) < space + 1 + 4 * size:
            more = file.read(BLOCK) if space >= 0 or len(block) - start < LONGEST_WORD else b""
            if not more:
                raise UserError(
                    f"model.embeddings: {path} ends after {number:,} of {num_words:,} words; expected all: it was cut."
                )
            block, start = block[start:] + more, 0
        place = places.get(block[start:space].lstrip(b"\n"))
        start = space + 1 + 4 * size
        if place is not None:
            yield WordVector(place, np.frombuffer(block, "<f4", size, space + 1).astype(np.float32))


def write_word2vec(path: Path, words: Sequence[str], vectors: NDArray[np.float32], argument: str) -> list[str]:
    """Write vectors in word2vec's format, which all readers of word vectors know.

    Args:
        path: Binary as ``.bin``, else text.
        words: Of the vectors, [N].
        vectors: float32 [N, L].
        argument: What says where it is, for the message.

    Returns:
        The words that were left out: both formats end a word where a white space is.

    Raises:
        UserError: It cannot be written.
    """
    written = [place for place, word in enumerate(words) if word and not re.search(r"\s", word)]
    with writing(path, argument):
        path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path, argument) as unfinished, unfinished.open("wb") as file:
        # The zeros before the number change nothing to a reader, and tell our own files from others.
        file.write(f"{len(written):012d} {vectors.shape[1]}\n".encode())
        if path.suffix == ".bin":
            for place in written:
                file.write(words[place].encode() + b" " + vectors[place].astype("<f4").tobytes())
        else:
            columns = [f"{dim}" for dim in range(vectors.shape[1])]
            table = pl.DataFrame(vectors[written], schema=dict.fromkeys(columns, pl.Float32))
            table.insert_column(0, pl.Series("word", [words[place] for place in written], dtype=pl.String))
            table.write_csv(file, include_header=False, separator=" ", quote_style="never")
    kept = {*written}
    return [word for place, word in enumerate(words) if place not in kept]


def is_own_word2vec(path: Path) -> bool:
    """Whether `write_word2vec` wrote a file."""
    with path.open("rb") as file:
        return OWN_HEADER.fullmatch(file.readline(100)) is not None
