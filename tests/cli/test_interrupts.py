"""A signal ends the command at once, with one line and 128 plus its number, and what was saved can be gone on from."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from etm_app.cli.interrupts import obeying_signals
from etm_app.cli.main import ETMCLI
from etm_app.model import ETM
from tests.conftest import Run


class Exit(Exception):
    """In place of the end of the process."""


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs something that sends this process a signal; exit code and what was said of it."""

    def exit(status: int) -> None:
        raise Exit(status)

    monkeypatch.setattr(os, "_exit", exit)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def of(call: Callable[[], object]) -> tuple[int, str]:
        capsys.readouterr()
        try:
            with pytest.raises(Exit) as stop, obeying_signals():
                call()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        captured = capsys.readouterr()
        assert not captured.out  # no topics, nothing claimed
        assert "Traceback" not in captured.err
        said = [line for line in captured.err.splitlines() if line.startswith("stopped by ")]
        assert len(said) == 1, captured.err
        return stop.value.args[0], said[0]

    return of


def at(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, number: signal.Signals, epoch: int | None) -> None:
    """Send a signal to this process after a method, in an epoch."""
    method = getattr(owner, name)

    def then_signal(self, *args: object, **kwargs: object) -> object:  # type: ignore[no-untyped-def]
        result = method(self, *args, **kwargs)
        if epoch is None or self.current_epoch == epoch:
            os.kill(os.getpid(), number)
        return result

    monkeypatch.setattr(owner, name, then_signal)


def last_weights(cli: ETMCLI) -> dict[str, torch.Tensor]:
    """What a fit ended with."""
    path = Path(cli.trainer.log_dir) / "checkpoints" / "last.ckpt"
    weights: dict[str, torch.Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return weights


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("hook", ["training_step", "on_validation_epoch_end"])
def test_a_fit_goes_on_as_if_it_had_not_been_stopped(
    run: Run, interrupted: Callable[..., tuple[int, str]], number: signal.Signals, hook: str
) -> None:
    whole = last_weights(run("fit", "--trainer.max_epochs=4"))
    with pytest.MonkeyPatch.context() as patch:
        at(patch, ETM, hook, number, 2)
        status, said = interrupted(lambda: run("fit", "--trainer.max_epochs=4"))
    assert status == 128 + number
    assert f"stopped by {number.name} after 2 epochs" in said
    last = said.rpartition("--ckpt_path ")[2]
    assert Path(last).name == "last.ckpt"
    resumed = last_weights(run("fit", "--trainer.max_epochs=4", f"--ckpt_path={last}"))
    torch.testing.assert_close(resumed, whole, rtol=0, atol=0)


def test_a_fit_that_has_saved_nothing_says_so(
    run: Run, interrupted: Callable[..., tuple[int, str]], checkpoint: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        at(patch, ETM, "training_step", signal.SIGTERM, None)
        assert "nothing new is saved" in interrupted(lambda: run("fit"))[1]
        status, said = interrupted(lambda: run("fit", f"--ckpt_path={checkpoint}", "--trainer.max_epochs=9"))
    assert status == 143
    assert said.endswith(f"nothing new is saved; go on from {checkpoint}")


def test_the_evaluation_after_a_fit(run: Run, interrupted: Callable[..., tuple[int, str]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        at(patch, ETM, "test_step", signal.SIGINT, None)
        status, said = interrupted(lambda: run("fit"))
    assert status == 130
    best = said.rpartition("go on with test --ckpt_path ")[2]
    assert run("test", f"--ckpt_path={best}")


@pytest.mark.parametrize("hook", ["predict_step", "on_predict_epoch_start"])
def test_a_predict_leaves_nothing(
    run: Run, interrupted: Callable[..., tuple[int, str]], checkpoint: Path, tmp_path: Path, hook: str
) -> None:
    path = tmp_path / "new" / "theta.csv"
    with pytest.MonkeyPatch.context() as patch:
        at(patch, ETM, hook, signal.SIGTERM, None)
        status, said = interrupted(lambda: run("predict", f"--ckpt_path={checkpoint}", f"--prediction.path={path}"))
    assert (status, said) == (143, "stopped by SIGTERM")
    assert not path.parent.exists()


SLOW = """
import sys, time

def cut(text):
    print("cutting", flush=True)
    time.sleep(60)
    return text.split()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_counting_stops_at_once_and_cleans_up(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "texts.txt").write_text("cats and dogs\n" * 9)
    data = ["--data=TextDataModule", "--data.files=texts.txt", "--data.tokenizer=slow.cut", "--data.cache_dir=cache"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    process = subprocess.Popen(
        [sys.executable, "-m", "etm_app", "check", *data],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "cutting\n"
    assert [path.name for path in (tmp_path / "cache" / "corpora").iterdir() if path.name.startswith(".")]
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert said.splitlines()[-1] == f"stopped by {number.name}"
    assert "Traceback" not in said
    assert not [path.name for path in (tmp_path / "cache" / "corpora").iterdir() if path.name.startswith(".")]


def test_a_second_signal_does_not_wait_for_the_cleaning_up() -> None:
    code = """
import os, signal
from etm_app.cli.interrupts import obeying_signals
with obeying_signals():
    try:
        os.kill(os.getpid(), signal.SIGINT)
    finally:
        os.kill(os.getpid(), signal.SIGINT)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGINT


def test_a_signal_that_is_ignored_stays_so(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with obeying_signals():
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
