"""What made a run: versions, machine, sources, command. By it, a run can be made again."""

import json
import os
import platform
import shlex
import subprocess
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import polars as pl
import torch
from pytorch_lightning import Trainer

from etm_app import __file__ as package
from etm_app import __version__
from etm_app.files import replacing
from etm_app.model import ETM

__all__ = ["circumstances", "software", "write_run"]

LIBRARIES = ("torch", "pytorch-lightning", "numpy", "scipy", "scikit-learn", "polars")  # that compute what is written
PATIENCE = 10  # seconds for git, which may have a large folder to look through


def software() -> dict[str, str]:
    """Versions by name: of this package, of the libraries that compute, of Python."""
    found = {"etm_app": __version__}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:  # installed by other means, and its version unknown
            found[library] = "unknown"
    return {**found, "python": platform.python_version()}


def circumstances(trainer: Trainer, model: ETM) -> dict[str, str | int]:
    """What of the trainer may change the last digits."""
    return {"precision": str(trainer.precision), "device": model.device.type, "processes": trainer.world_size}


def write_run(folder: Path, trainer: Trainer, model: ETM, seed: int, command: Sequence[str] | None) -> None:
    """Write run.json.

    Args:
        folder: Where to.
        trainer: Of the run.
        model: Its model, which knows the digest of its data.
        seed: What the random numbers started from.
        command: Its words, where it was typed. Nothing of the environment is written beside it.
    """
    run = {
        "command": None if command is None else shlex.join(command),
        "seed": seed,
        "data_digest": model.data_digest,
        "versions": software(),
        "platform": platform.platform(),
        "git": {
            "etm_app": _git_state(Path(package).parent, Path(package).name),
            "working_folder": _git_state(Path.cwd()),
        },
        "threads": {"torch": torch.get_num_threads(), "polars": pl.thread_pool_size()},
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        **circumstances(trainer, model),
    }
    with replacing(folder / "run.json") as path:
        path.write_text(json.dumps(run, indent=1, ensure_ascii=False), encoding="utf-8")


def _git_state(folder: Path, of: str = "") -> dict[str, Any] | None:
    """Commit of a folder, and whether files that git knows have changed since; None where git cannot tell.

    Args:
        folder: The folder.
        of: A file in it that must be git's, lest a virtual environment be taken for the repository around it.
    """
    try:
        if of:
            _git(folder, "ls-files", "--error-unmatch", of)
        lines = _git(folder, "status", "--porcelain=v2", "--branch", "--untracked-files=no").splitlines()
    except (OSError, subprocess.SubprocessError):  # no git, no repository, somebody else's folder
        return None
    (commit,) = (line.split()[-1] for line in lines if line.startswith("# branch.oid "))
    return {
        "commit": None if commit == "(initial)" else commit,
        "modified": not all(line.startswith("#") for line in lines),
    }


def _git(folder: Path, *arguments: str) -> str:
    """What git says, without writing anything or running a monitor that the repository's own settings name."""
    return subprocess.run(
        ["git", "-c", "core.fsmonitor=false", *arguments],
        cwd=folder,
        env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=True,
        timeout=PATIENCE,
    ).stdout
