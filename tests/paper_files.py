"""Small corpora on disk, in the layout of the paper's code."""

import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat

Row = Sequence[float] | NDArray[np.int64]
Rows = Sequence[Row]

# The paper's own files of 20 Newsgroups, where a developer has them beside the project.
REAL = Path(__file__).parents[2] / "shared" / "data" / "20ng"


def write_rows(folder: Path, part: str, what: str, rows: Rows, *, ending: str = ".mat", ragged: bool = True) -> Path:
    """One file: a cell a document, or a matrix with a row a document."""
    array = np.empty((1, len(rows)), dtype=object) if ragged else np.array([*rows])
    if ragged:
        for column, row in enumerate(rows):
            array[0, column] = np.asarray(row)
    path = folder / f"bow_{part}_{what}{ending}"
    with path.open("wb") as file:
        savemat(file, {what: array})
    return path


def write_part(folder: Path, part: str, x: NDArray[np.int64], *, ending: str = ".mat", ragged: bool = True) -> None:
    """Tokens and counts of documents given as dense counts [D, V]."""
    tokens = [row.nonzero()[0] for row in x]
    write_rows(folder, part, "tokens", tokens, ending=ending, ragged=ragged)
    write_rows(folder, part, "counts", [row[row > 0] for row in x], ending=ending, ragged=ragged)


def write_paper_files(
    folder: Path,
    parts: Mapping[str, NDArray[np.int64]],
    vocab: Sequence[str],
    *,
    ending: str = ".mat",
    ragged: bool = True,
) -> Path:
    """A whole corpus: ``parts`` are dense counts by tr, va, ts and, if wanted, ts_h1 and ts_h2."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, x in parts.items():
        write_part(folder, part, x, ending=ending, ragged=ragged)
    (folder / "vocab.pkl").write_bytes(pickle.dumps(list(vocab)))
    return folder
