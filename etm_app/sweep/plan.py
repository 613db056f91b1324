"""What a sweep varies, and where it is kept."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from jsonargparse.typing import NonNegativeInt, PositiveInt

from etm_app.errors import UserError

__all__ = ["STORAGE", "STUDY", "Sweep", "check_sweep"]

STORAGE = "sweep.db"  # Optuna's, in the folder of the sweep
STUDY = "etm_app sweep"
MAX_SEED = 2**32 - 1


@dataclass(frozen=True)
class Sweep:
    """What a sweep varies. Splits and vocabulary stay the same, for `data.seed` does; so topics can be matched.

    Args:
        num_topics: Numbers of topics, each in place of model.num_topics.
        seeds: Seeds to train with, each in place of seed_everything. Between those of the same number of topics it is
            measured how stable topics are, so it takes two; the words shown are those of the first.
        folder: Where the trials and the tables are kept. A sweep that was stopped goes on from what it holds.
    """

    num_topics: list[PositiveInt] = field(default_factory=lambda: [10, 20, 50, 100, 200])
    seeds: list[NonNegativeInt] = field(default_factory=lambda: [1, 2, 3])
    folder: Path = Path("sweep")


def check_sweep(sweep: Sweep) -> None:
    """Refuse what cannot be swept over, before anything is computed.

    Raises:
        UserError: Nothing to vary, a value twice, a folder that somebody else wrote to, or no Optuna.
    """
    if find_spec("optuna") is None:
        raise UserError('sweep: needs optuna, which keeps the trials; expected it: pip install "etm_app[sweep]".')
    _check_values("num_topics", sweep.num_topics)
    _check_values("seeds", sweep.seeds)
    if max(sweep.seeds) > MAX_SEED:
        raise UserError(f"sweep.seeds: {max(sweep.seeds)}; expected seeds up to {MAX_SEED}.")
    folder = sweep.folder
    if folder.exists() and not folder.is_dir():
        raise UserError(f"sweep.folder: {folder} is there and no folder; expected the name of a folder.")
    if not _is_ours(folder):
        raise UserError(
            f"sweep.folder: {folder} holds something, and no sweep that etm_app wrote; it is kept. Expected a folder "
            "that is new or empty, or that of an earlier sweep."
        )


def _check_values(name: str, values: Sequence[int]) -> None:
    if not values:
        raise UserError(f"sweep.{name}: an empty list; expected one number at least: --sweep.{name} '[1, 2]', say.")
    if repeated := sorted({value for value in values if values.count(value) > 1}):
        raise UserError(f"sweep.{name}: {', '.join(map(str, repeated))} more than once; expected each number once.")


def _is_ours(folder: Path) -> bool:
    """Whether there is nothing in it, hidden files aside, or the trials of a sweep."""
    if not folder.is_dir() or all(path.name.startswith(".") for path in folder.iterdir()):
        return True
    storage = folder / STORAGE
    if not storage.is_file():
        return False
    try:  # Optuna would make its tables in any database
        with closing(sqlite3.connect(f"{storage.resolve().as_uri()}?mode=ro", uri=True)) as database:
            return (STUDY,) in database.execute("SELECT study_name FROM studies").fetchall()
    except sqlite3.Error:
        return False
