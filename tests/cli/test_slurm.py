"""A job of SLURM that is about to end has itself queued again; started again, it ends as if it had not been stopped."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from etm_app.cli.main import ETMCLI, main
from etm_app.cli.slurm import obey_requeue_signal
from tests.conftest import Run, words_of

ROOT = Path(__file__).parents[2]
JOB = {"SLURM_JOB_ID": "4711", "SLURM_JOB_NAME": "topics", "SLURM_NTASKS": "1", "SLURM_NTASKS_PER_NODE": "1"}
JOB |= dict.fromkeys(("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID"), "0")
SCONTROL = """#!/bin/sh
echo "$@" >> "$(dirname "$0")/told"
"""
END = "kill -TERM $PPID\n"  # what SLURM does to a job that is queued again while it runs
TOLD_IN_THE_MIDDLE_OF_AN_EPOCH = """
import os, signal
from etm_app.__main__ import main
from etm_app.model import ETM

training_step = ETM.training_step

def then_told(self, batch, batch_idx):
    if self.current_epoch == 2 and batch_idx == 1:
        os.kill(os.getpid(), signal.SIGUSR1)
    return training_step(self, batch, batch_idx)

ETM.training_step = then_told
main()
"""


@pytest.fixture
def scontrol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The command in the environment of a job; what it is told is in the file ``told`` beside it."""
    path = tmp_path / "bin" / "scontrol"
    path.parent.mkdir()
    path.write_text(SCONTROL)
    path.chmod(0o755)
    for name, value in {**JOB, "PATH": f"{path.parent}{os.pathsep}{os.environ['PATH']}"}.items():
        monkeypatch.setenv(name, value)
    return path


def last_of(cli: ETMCLI) -> Path:
    return Path(cli.trainer.log_dir) / "checkpoints" / "last.ckpt"


def test_a_fit_goes_on_in_the_same_job_as_if_it_had_not_been_stopped(
    tmp_path: Path, paper_dir: Path, scontrol: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scontrol.open("a") as script:
        script.write(END)
    words = paper_dir, "fit", "--trainer.max_epochs=4"
    stopped = subprocess.run(
        [sys.executable, "-c", TOLD_IN_THE_MIDDLE_OF_AN_EPOCH, *words_of(tmp_path / "stopped", *words)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert stopped.returncode == 128 + signal.SIGTERM, stopped.stderr
    assert (scontrol.parent / "told").read_text() == "requeue 4711\n"
    assert "SIGUSR1: job 4711 is to be queued again\n" in stopped.stderr
    assert "stopped by SIGTERM after 2 epochs; go on with" in stopped.stderr
    assert not (tmp_path / "stopped" / "lightning_logs" / "version_4711" / "metrics.json").exists()

    whole = main(words_of(tmp_path / "whole", *words))
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    resumed = main(words_of(tmp_path / "stopped", *words))
    assert resumed.config.fit.ckpt_path == str(last_of(resumed))
    assert last_of(resumed).is_relative_to(tmp_path / "stopped" / "lightning_logs" / "version_4711")
    metrics = [json.loads((last_of(cli).parents[1] / "metrics.json").read_text()) for cli in (whole, resumed)]
    assert metrics[0] == metrics[1]
    weights = [torch.load(last_of(cli), weights_only=True)["state_dict"] for cli in (whole, resumed)]
    torch.testing.assert_close(*weights, rtol=0, atol=0)


def test_another_job_starts_from_nothing(
    run: Run, tmp_path: Path, scontrol: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "hpc_ckpt_1.ckpt").write_text("what Lightning would take up")
    first = run("fit", "--trainer.max_epochs=1")
    assert first.trainer.log_dir.endswith("version_4711")
    assert run("fit", "--trainer.max_epochs=1").config.fit.ckpt_path is None  # the second command of the job
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    monkeypatch.setenv("SLURM_JOB_ID", "4712")
    other = run("fit", "--trainer.max_epochs=1")
    assert other.config.fit.ckpt_path is None
    assert other.trainer.global_step == first.trainer.global_step > 0


@pytest.fixture
def _handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGUSR1)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("_handler")
def test_one_process_asks_for_its_own_task_of_an_array(
    scontrol: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "4700")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "11")
    obey_requeue_signal()
    signal.raise_signal(signal.SIGUSR1)
    monkeypatch.setenv("SLURM_PROCID", "1")
    signal.raise_signal(signal.SIGUSR1)
    assert (scontrol.parent / "told").read_text() == "requeue 4700_11\n"
    assert capfd.readouterr().err == "SIGUSR1: job 4700_11 is to be queued again\n"


@pytest.mark.usefixtures("_handler")
@pytest.mark.parametrize("script", ["#!/bin/sh\necho Access denied >&2; exit 1\n", None])
def test_a_job_that_cannot_be_queued_again_runs_on(
    scontrol: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], script: str | None
) -> None:
    if script is None:
        monkeypatch.setenv("PATH", str(scontrol.parent / "nothing"))
    else:
        scontrol.write_text(script)
    obey_requeue_signal()
    signal.raise_signal(signal.SIGUSR1)
    said = capfd.readouterr().err
    assert "\njob 4711 could not be queued again: " in said
    assert ("Access denied" if script else "scontrol") in said


@pytest.mark.usefixtures("_handler")
def test_outside_of_a_job_the_signal_is_nobodys() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    obey_requeue_signal()
    assert signal.getsignal(signal.SIGUSR1) == before
