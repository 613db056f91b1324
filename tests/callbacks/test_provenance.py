"""What made a run is recorded, and makes it again to the last bit."""

import json
import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch

import etm_app
from etm_app.callbacks.provenance import _git_state
from etm_app.cli.main import ETMCLI
from tests.conftest import Run

GIT_IDENTITY = {f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def folder_of(cli: ETMCLI) -> Path:
    return Path(str(cli.trainer.log_dir))


def record_of(cli: ETMCLI) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder_of(cli) / "run.json").read_text(encoding="utf-8"))
    return record


def test_runs_of_one_seed_are_equal_to_the_last_bit(run: Run) -> None:
    runs = [
        run("fit", "--trainer.deterministic=true", "--report.enabled=false", f"--data.num_workers={workers}")
        for workers in (0, 0, 2)
    ]
    for name in ("metrics.json", "topics.json", "topics.csv"):
        contents = {(folder_of(cli) / name).read_bytes() for cli in runs}
        assert len(contents) == 1, name
        assert len(contents.pop()) > 500
    first, *others = ({**record_of(cli), "command": None} for cli in runs)
    assert others == [first, first]
    assert first["deterministic"] is True


def test_what_made_a_run_is_recorded(
    run: Run, trained: ETMCLI, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "confidential")
    tested = run("test", f"--ckpt_path={checkpoint}", "--seed_everything=7", "--report.enabled=false")
    record, of_fit = record_of(tested), record_of(trained)
    command = shlex.split(record["command"])
    assert command[:4] == ["python", "-m", "etm_app", "test"]
    assert f"--ckpt_path={checkpoint}" in command
    assert (record["seed"], of_fit["seed"]) == (7, 1)
    assert record["data_digest"] == of_fit["data_digest"] == trained.model.data_digest is not None
    versions = record["versions"]
    assert versions["etm_app"] == etm_app.__version__
    for library in ("torch", "scikit-learn"):
        assert versions[library] == version(library)
    assert versions["python"] == sys.version.split()[0]
    assert record["threads"]["torch"] == torch.get_num_threads()
    assert (record["device"], record["processes"], record["precision"]) == ("cpu", 1, "32-true")
    assert record["deterministic"] is False
    assert "confidential" not in (folder_of(tested) / "run.json").read_text(encoding="utf-8")


def test_the_report_names_the_versions_of_the_training(trained: ETMCLI) -> None:
    page = (folder_of(trained) / "report.html").read_text(encoding="utf-8")
    for name, number in record_of(trained)["versions"].items():
        assert re.search(rf">{name}</th><td>{re.escape(number)}</td>", page), name


def test_the_state_of_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GIT_IDENTITY.items():
        monkeypatch.setenv(name, value)

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True
        ).stdout.strip()

    folder = tmp_path / "repository"
    folder.mkdir()
    assert _git_state(folder) is None  # none yet
    git("init", "-q")
    assert _git_state(folder) == {"commit": None, "modified": False}
    (folder / "my_data.py").write_text("first")
    git("add", ".")
    git("commit", "-qm", "first")
    (folder / "notes.txt").write_text("git does not know it")
    found = {"commit": git("rev-parse", "HEAD"), "modified": False}
    assert _git_state(folder) == _git_state(folder, "my_data.py") == found
    assert _git_state(folder, "notes.txt") is None
    (folder / "my_data.py").write_text("second")
    (folder / ".git" / "hook").write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n")
    (folder / ".git" / "hook").chmod(0o755)
    git("config", "core.fsmonitor", ".git/hook")
    assert _git_state(folder) == {**found, "modified": True}
    assert not (tmp_path / "ran").exists()
    monkeypatch.setenv("PATH", os.devnull)
    assert _git_state(folder) is None  # no git on this machine
