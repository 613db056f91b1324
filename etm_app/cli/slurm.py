"""SLURM: a job that is about to end has itself queued again, and its fit goes on from the end of its last epoch."""

import os
import signal
import subprocess
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from etm_app.cli.interrupts import is_first_process

if TYPE_CHECKING:
    from jsonargparse import Namespace

__all__ = ["go_on_in_job", "obey_requeue_signal"]


def obey_requeue_signal() -> None:
    """Queue the job again on SIGUSR1, which ``#SBATCH --signal=USR1@90`` sends; it runs until SLURM ends it.

    This takes the place of Lightning's answer. That saves in the middle of an epoch, from where no run goes on exactly;
    in all processes together, each of which may be in another collective operation; and to a file that every later job
    in the folder takes up.
    """
    if "SLURM_JOB_ID" not in os.environ:
        return
    command = os.getpid()

    def requeue(number: int, frame: FrameType | None) -> None:
        if os.getpid() == command and is_first_process():  # not forked to load data
            _requeue(signal.Signals(number).name)

    signal.signal(signal.SIGUSR1, requeue)


def _requeue(why: str) -> None:
    job = os.environ["SLURM_JOB_ID"]
    if (array := os.environ.get("SLURM_ARRAY_JOB_ID")) is not None:  # by its own number one job may mean all of them
        job = f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    _say(f"{why}: job {job} is to be queued again")  # first, as SLURM may end it at once
    try:
        subprocess.run(["scontrol", "requeue", job], check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        _say(f"job {job} could not be queued again: {error.stderr.strip()}")
    except OSError as error:
        _say(f"job {job} could not be queued again: {error}")


def _say(said: str) -> None:
    os.write(2, f"{said}\n".encode())  # not to the stream, which the signal may have come in the middle of


def go_on_in_job(subcommand: str, config: "Namespace") -> None:
    """Have a fit go on from the last checkpoint of its job where SLURM has started that again, whatever had ended it.

    Args:
        subcommand: Of the command line.
        config: Its arguments, of which ``ckpt_path`` is set.
    """
    if subcommand != "fit" or os.environ.get("SLURM_RESTART_COUNT", "0") == "0":
        return
    # Here, as a command starts by obeying signals, and Lightning takes seconds.
    from lightning_fabric.plugins.environments.slurm import SLURMEnvironment

    job = SLURMEnvironment.job_id()
    runs = Path(config.trainer.default_root_dir or "") / "lightning_logs"
    last = runs / f"version_{job}" / "checkpoints" / "last.ckpt"
    if job is not None and config.trainer.logger in (None, True) and last.is_file():
        config.ckpt_path = str(last)
