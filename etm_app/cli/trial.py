"""A fit in a process of its own, as the command line would run it: its memory and its crashes are its own."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from pathlib import Path
from runpy import run_module
from threading import Thread

from etm_app.errors import UserError

__all__ = ["fit_apart"]

LOG = "fit.log"


def fit_apart(config: str, folder: Path) -> str:
    """Run ``fit`` and wait for its end; where something ends this process, that ends as well.

    Args:
        config: Its config, as YAML.
        folder: For what it prints, as fit.log.

    Returns:
        Why there is no result; empty where there is one.

    Raises:
        UserError: It refuses its arguments or the data: what it says.
    """
    log = folder / LOG
    process = get_context("spawn").Process(target=_fit, args=(config, log))
    try:
        with _signals_here():
            process.start()
        process.join()
    finally:
        if process.pid is not None:
            process.kill()
            process.join()
    status = process.exitcode or 0
    if status == 2:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
        said = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
        raise UserError(said[-1] if said else f"sweep: fit ended with exit code 2; see {log}.")
    if status < 0:
        return f"ended by {signal.Signals(-status).name}; see {log}"
    return f"ended with exit code {status}; see {log}" if status else ""


@contextmanager
def _signals_here() -> Iterator[None]:
    """What is started does not hear what is sent to both: this process ends it, ready or not.

    A terminal sends Ctrl-C, SLURM sends SIGUSR1.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGUSR1})  # which a new process inherits
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _fit(config: str, log: Path) -> None:
    Thread(target=_end_with_parent, daemon=True).start()
    with log.open("w", encoding="utf-8") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    sys.argv[1:] = ["fit", "--config", config]
    run_module("etm_app", run_name="__main__", alter_sys=True)  # python -m etm_app, for Lightning's other processes too


def _end_with_parent() -> None:
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)
