"""The trials of a sweep: each is run once, and kept by Optuna in the folder of the sweep."""

import json
import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from etm_app.errors import UserError, reading
from etm_app.files import replacing, writing
from etm_app.sweep.plan import MAX_SEED, STORAGE, STUDY, Sweep

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

__all__ = ["BEST", "Fit", "Outcome", "Trial", "run_trials"]

MAX_TOPICS = 2**31 - 1
FOLDER = "sweep.folder"
TRIALS = "trials"  # in it
NAME = re.compile(r"K\d+-seed\d+-\d+")  # of a trial's folder; the last number is Optuna's
BEST, LAST = (Path("checkpoints") / name for name in ("best.ckpt", "last.ckpt"))

# Trains with a number of topics and a seed into a folder; gives the reason where a crash left no result.
Fit = Callable[[int, int, Path], str]


@dataclass(frozen=True)
class Trial:
    """A training that ended.

    Attributes:
        num_topics: K.
        seed: Its seed.
        metrics: Its final metrics by name, ``val_perplexity``; those that are finite.
        seconds: Of the whole command.
        folder: With its metrics.json, topics.json and checkpoints/best.ckpt.
    """

    num_topics: int
    seed: int
    metrics: dict[str, float]
    seconds: float
    folder: Path


@dataclass(frozen=True)
class Outcome:
    """What a sweep has come to.

    Attributes:
        trials: Those that ended, by number of topics and then by seed, each in the order of the sweep.
        failures: Of those that did not, which and why.
        num_others: Trials that the folder holds beside them: of other settings, data, numbers of topics or seeds.
    """

    trials: list[Trial]
    failures: list[str]
    num_others: int


def run_trials(sweep: Sweep, settings: str, value: str, fit: Fit, show: Callable[[str], None]) -> Outcome:
    """Train with each number of topics and each seed, but for what the folder holds of the same settings.

    A trial counts once Optuna has it as complete, which is after its last file; one that was interrupted is none, and
    is repeated.

    Args:
        sweep: Numbers of topics, seeds, folder.
        settings: Digest of all other settings and of the data.
        value: The metric that is the value of a trial for Optuna.
        fit: Trains.
        show: Tells how far it is.

    Raises:
        UserError: Another sweep uses the folder, it cannot be written, or `fit` was given what it refuses.
    """
    from optuna.trial import TrialState

    folder = sweep.folder
    # All numbers of topics with one seed before the next: soon there is something of each.
    wanted = [(num_topics, seed) for seed in sweep.seeds for num_topics in sweep.num_topics]
    with _alone(folder), _study(folder) as study:
        complete = _after_interruptions(study, folder)
        finished = {
            (trial.num_topics, trial.seed): trial
            for kept in complete
            if kept.user_attrs["settings"] == settings
            for trial in _read(folder / TRIALS / kept.user_attrs["folder"], kept.params, kept.user_attrs["seconds"])
        }
        missing = [pair for pair in wanted if pair not in finished]
        num_kept = len(wanted) - len(missing)
        if num_kept:
            show(f"{num_kept} of {len(wanted)} trials are in {folder} already.")
        failures = []
        for number, (num_topics, seed) in enumerate(missing, num_kept + 1):
            study.enqueue_trial({"num_topics": num_topics, "seed": seed}, user_attrs={"settings": settings})
            running = study.ask()
            running.suggest_int("num_topics", 1, MAX_TOPICS)
            running.suggest_int("seed", 0, MAX_SEED)
            own = folder / TRIALS / f"K{num_topics}-seed{seed}-{running.number}"
            with writing(own, FOLDER):
                own.mkdir(parents=True)
            start = time.monotonic()
            reason = fit(num_topics, seed, own)
            seconds = time.monotonic() - start
            found = [] if reason else _read(own, running.params, seconds)
            if found and value in found[0].metrics:
                (trial,) = found
                (trial.folder / LAST).unlink(missing_ok=True)  # twice the size of the best one
                running.set_user_attr("folder", own.name)
                running.set_user_attr("seconds", seconds)
                study.tell(running, trial.metrics[value])
                finished[num_topics, seed] = trial
                said = f"{value} {trial.metrics[value]:,.1f}, {seconds:.0f} s"
            else:
                study.tell(running, state=TrialState.FAIL)
                said = reason or f"no finite {value}, see {own}"
                failures.append(f"{num_topics} topics, seed {seed}: {said}")
            show(f"{number} of {len(wanted)}: {num_topics} topics, seed {seed}: {said}")
    by_topics = [(num_topics, seed) for num_topics in sweep.num_topics for seed in sweep.seeds]
    trials = [finished[pair] for pair in by_topics if pair in finished]
    others = [
        kept
        for kept in complete
        if kept.user_attrs["settings"] != settings or (kept.params["num_topics"], kept.params["seed"]) not in wanted
    ]
    return Outcome(trials, failures, len(others))


def _read(folder: Path, params: dict[str, int], seconds: float) -> list[Trial]:
    """The trial of a folder; none where files of it are gone or damaged."""
    for path in sorted(folder.rglob("metrics.json")):
        if (path.parent / BEST).is_file():
            try:
                metrics = json.loads(path.read_text(encoding="utf-8"))
                values = {name: of["value"] for name, of in metrics.items() if of["value"] is not None}
            except (ValueError, AttributeError, TypeError, KeyError):
                return []
            return [Trial(**params, metrics=values, seconds=seconds, folder=path.parent)]
    return []


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One sweep at a time in a folder."""
    with writing(folder, FOLDER):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise UserError(
                f"sweep.folder: a sweep is running in {folder}; expected another folder, or wait for its end."
            ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _study(folder: Path) -> Iterator["Study"]:
    import optuna
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def damaged(said: str) -> UserError:
        return UserError(f"sweep.folder: {folder / STORAGE} {said}; expected what a sweep wrote, and room for it.")

    def opened(path: Path) -> RDBStorage:
        connect = partial(sqlite3.connect, path)  # an address could not say a path with any character
        with reading((RuntimeError,), damaged):  # made by another version of Optuna
            return RDBStorage("sqlite://", engine_kwargs={"creator": connect})

    with reading((optuna.exceptions.StorageInternalError, SQLAlchemyError), damaged):
        if not (folder / STORAGE).exists():
            with replacing(folder / STORAGE, FOLDER) as path:  # a database without its study would not be known as ours
                new = opened(path)
                optuna.create_study(storage=new, study_name=STUDY, direction="minimize")
                new.engine.dispose()
        storage = opened(folder / STORAGE)
        try:
            yield optuna.load_study(study_name=STUDY, storage=storage, sampler=optuna.samplers.RandomSampler(seed=0))
        finally:
            storage.engine.dispose()


def _after_interruptions(study: "Study", folder: Path) -> list["FrozenTrial"]:
    """The complete trials; what others had begun is ended, and what they had written removed."""
    from optuna.trial import TrialState

    while study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        study.ask()
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    kept = {trial.user_attrs["folder"] for trial in complete}
    if (folder / TRIALS).is_dir():
        for path in (folder / TRIALS).iterdir():
            if NAME.fullmatch(path.name) and path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)
    return complete
