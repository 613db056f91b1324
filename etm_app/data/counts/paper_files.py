"""The layout of the paper's code: tokens and counts of the documents as MATLAB files, one pair a part."""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from etm_app.data.batch import are_counts
from etm_app.data.completion import first_half
from etm_app.data.corpus import BowCorpus
from etm_app.data.counts.matlab import read_matlab
from etm_app.data.splits import random_splits
from etm_app.data.vocabulary import read_vocab
from etm_app.errors import UserError

__all__ = ["PaperFiles", "read_paper_files"]

PARTS = ("tr", "va", "ts")
HALVES = ("ts_h1", "ts_h2")
SPLIT_OF = {"tr": "train", "va": "val", "ts": "test"}
WHATS = ("tokens", "counts")


@dataclass(frozen=True)
class PaperFiles:
    """Where the files of a corpus are: ``vocab.pkl`` and ``bow_{tr,va,ts,ts_h1,ts_h2}_{tokens,counts}.mat``.

    Attributes:
        folder: The folder that holds them.
        argument: What to call it in messages.
        prefix: What the names of the counts' files start with.
        vocab: The vocabulary where it is no ``vocab.pkl`` or ``vocab.txt`` in the folder.
    """

    folder: Path
    argument: str
    prefix: str = "bow_"
    vocab: Path | None = None

    def name(self, part: str, what: str) -> str:
        """The name of a file, with its ending."""
        return f"{self.prefix}{part}_{what}.mat"

    def path(self, part: str, what: str) -> Path | None:
        """A file that is there, with or without the ending .mat."""
        name = self.name(part, what)
        candidates = (self.folder / name, self.folder / name.removesuffix(".mat"))
        return next((path for path in candidates if path.is_file()), None)

    def vocab_path(self) -> Path | None:
        """The vocabulary, if it is there."""
        candidates = (self.vocab,) if self.vocab else (self.folder / "vocab.pkl", self.folder / "vocab.txt")
        return next((path for path in candidates if path.is_file()), None)

    def paths(self) -> list[Path]:
        """All files that are there."""
        files = [self.path(part, what) for part in (*PARTS, *HALVES) for what in WHATS]
        return [path for path in (self.vocab_path(), *files) if path is not None]

    def has(self, part: str) -> bool:
        """Whether one of a part's files is there."""
        return any(self.path(part, what) for what in WHATS)


def read_paper_files(files: PaperFiles, draw: tuple[float, float, int] | None = None) -> BowCorpus:
    """Read a corpus in the layout of the paper's code.

    Args:
        files: Where it is.
        draw: Shares of the training documents that validate and test where there are no files for it, and the seed
            of the draw; None asks for the files.

    Raises:
        UserError: A file is missing, unreadable or does not fit the others.
    """
    parts = [part for part in PARTS if part == "tr" or draw is None or files.has(part)]
    halves_there = any(files.has(part) for part in HALVES)
    needed = [(part, what) for part in (*parts, *(HALVES if halves_there else ())) for what in WHATS]
    vocab_path = files.vocab_path()
    missing = [(files.vocab or "vocab.pkl")] * (vocab_path is None)
    missing += [files.name(part, what) for part, what in needed if files.path(part, what) is None]
    if missing or vocab_path is None:
        raise UserError(
            f"{files.argument}: {files.folder} lacks {', '.join(map(str, missing))} of the paper's files; expected "
            f"{'all of them' if draw is None else 'both files of each part'} "
            "(the halves ts_h1 and ts_h2 may be left out, together)."
        )
    vocab = read_vocab(vocab_path, files.argument)
    matrices = {part: _read_part(files, part, len(vocab)) for part in parts}
    splits = {part: [SPLIT_OF[part]] * matrix.shape[0] for part, matrix in matrices.items()}
    if draw is not None:
        val_fraction, test_fraction, seed = draw
        splits["tr"] = random_splits(
            matrices["tr"].shape[0],
            0.0 if "va" in parts else val_fraction,
            0.0 if "ts" in parts else test_fraction,
            seed,
        )
    ids = [f"{SPLIT_OF[part]}/{row}" for part, matrix in matrices.items() for row in range(matrix.shape[0])]
    return BowCorpus.from_matrix(
        sp.vstack(list(matrices.values())),
        vocab,
        [split for part in parts for split in splits[part]],
        ids=ids if len(parts) > 1 else None,
        halves=_read_halves(files, matrices, splits) if halves_there else None,
        meta={"source": f"the paper's files in {files.folder}"},
    )


def _read_halves(files: PaperFiles, matrices: dict[str, sp.csr_array], splits: dict[str, list[str]]) -> sp.csr_array:
    """The first halves: of the test documents those of the files, of what else is evaluated drawn ones."""
    num_words = matrices["tr"].shape[1]
    first, second = (_read_part(files, part, num_words) for part in HALVES)
    test = matrices.get("ts")
    if test is None or not first.shape == second.shape == test.shape or (first + second != test).nnz:
        raise UserError(
            f"{files.argument}: in {files.folder} the halves {files.prefix}ts_h1_* and {files.prefix}ts_h2_* do not "
            f"add up to {files.prefix}ts_*; "
            "expected each test document's tokens in one of its halves: remove both to have halves drawn."
        )
    halves = []
    for part, x in matrices.items():
        if part == "ts":
            halves.append(first)
        elif set(splits[part]) <= {"train"}:
            halves.append(sp.csr_array(x.shape, dtype=np.int64))
        else:
            halves.append(sp.csr_array((first_half(x.indptr, x.indices, x.data), x.indices, x.indptr), x.shape))
    return sp.vstack(halves)


def _read_part(files: PaperFiles, part: str, vocab_size: int) -> sp.csr_array:
    """Counts [D, V] of one part, from its tokens and counts."""
    tokens, counts = (_read_rows(files, part, what) for what in WHATS)
    name = f"{files.argument}: {files.folder}/{files.prefix}{part}_tokens and {files.prefix}{part}_counts"
    if len(tokens) != len(counts):
        raise UserError(f"{name} have {len(tokens)} and {len(counts)} documents; expected as many: make both anew.")
    lengths = np.array([len(row) for row in tokens], dtype=np.int64)
    differing = np.flatnonzero(lengths != [len(row) for row in counts])
    if len(differing):
        row = differing[0]
        raise UserError(
            f"{name} differ in length in {len(differing)} documents; document {row} (from 0) has "
            f"{len(tokens[row])} tokens and {len(counts[row])} counts: expected one count a token."
        )
    words = np.concatenate([*tokens, np.empty(0, np.int64)])
    values = np.concatenate([*counts, np.empty(0, np.int64)])
    outside = np.flatnonzero((words < 0) | (words >= vocab_size) | (words != np.round(words)))
    if len(outside):
        row = np.searchsorted(np.cumsum(lengths), outside[0], side="right")
        raise UserError(
            f"{name}: document {row} (from 0) has the word index {words[outside[0]]:g}, and so have "
            f"{len(outside) - 1} more entries; expected 0 to {vocab_size - 1}, for the words of the vocabulary."
        )
    if not are_counts(values).all():
        raise UserError(f"{name}: a count is negative, fractional or too large; expected whole numbers.")
    indptr = np.concatenate(([0], np.cumsum(lengths)))
    matrix = sp.csr_array((values.astype(np.int64), words.astype(np.int32), indptr), shape=(len(tokens), vocab_size))
    matrix.sum_duplicates()
    return matrix


def _read_rows(files: PaperFiles, part: str, what: str) -> list[NDArray[Any]]:
    """The documents of a .mat file: ragged (cells) or rectangular (all documents equally long)."""
    path = files.path(part, what)
    assert path is not None  # checked by the caller for all files at once
    try:
        variables = read_matlab(path, f"{files.argument}: {path}")
        array = variables[what] if what in variables else next(iter(variables.values()), None)
        if array is None:
            raise ValueError(f"{what if what in variables else 'what it has'} is no array of numbers")
        if isinstance(array, list):
            return [np.ravel(cell) for cell in array]
        return list(np.atleast_2d(array))
    except UserError:
        raise
    except (OSError, ValueError, struct.error, zlib.error) as error:
        raise UserError(
            f"{files.argument}: {path} cannot be read ({type(error).__name__}: {error}); "
            f"expected a MATLAB 5 file with one row of numbers a document."
        ) from error
