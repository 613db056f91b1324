"""A fit in a process of its own: how it ends, and that it ends with the one that waits for it."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from etm_app.cli import trial
from etm_app.cli.interrupts import Interrupted
from etm_app.errors import UserError
from tests.sweep import processes


@pytest.mark.parametrize(
    ("fit", "reason"), [("ended", ""), ("killed", "ended by SIGKILL; see "), ("raised", "ended with exit code 1; see ")]
)
def test_how_it_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fit: str, reason: str) -> None:
    monkeypatch.setattr(trial, "_fit", getattr(processes, fit))
    said = trial.fit_apart("", tmp_path)
    assert said == (f"{reason}{tmp_path / 'fit.log'}" if reason else "")


def test_what_it_refuses_is_what_the_sweep_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_fit", processes.refused)
    with pytest.raises(UserError, match=r"^model\.num_topics: 3; expected another\.$"):
        trial.fit_apart("model.num_topics: 3", tmp_path)


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs signals to a thread")
def test_it_ends_where_the_sweep_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_fit", processes.sleeping)
    log = tmp_path / "fit.log"
    main = threading.get_ident()

    def interrupt() -> None:
        while not (log.is_file() and log.read_text()):
            time.sleep(0.01)
        signal.pthread_kill(main, signal.SIGINT)

    def stop(number: int, frame: object) -> None:
        raise Interrupted(number)

    before = signal.signal(signal.SIGINT, stop)
    try:
        threading.Thread(target=interrupt).start()
        with pytest.raises(Interrupted):
            trial.fit_apart("", tmp_path)
    finally:
        signal.signal(signal.SIGINT, before)
    with pytest.raises(ProcessLookupError):
        os.kill(int(log.read_text()), 0)
