"""What is written is there as a whole or not at all, and only what was asked for."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import torch
from pytorch_lightning.plugins.io import AsyncCheckpointIO

from etm_app.callbacks.run_folder import RUN_FILES
from etm_app.cli.main import main
from etm_app.errors import UserError
from etm_app.files import is_among, is_same, replacing
from tests.conftest import SMALL, Run

Error = Callable[[Callable[[], object]], str]
NO_SPACE = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("error", [NO_SPACE, pl.exceptions.ComputeError("full"), KeyboardInterrupt(), ValueError("x")])
def test_what_fails_changes_nothing(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "new" / "a.txt"
    path.parent.mkdir()

    def write(content: str, error: BaseException | None = None) -> None:
        with replacing(path, "some.path") as unfinished:
            unfinished.write_text(content)
            if error is not None:
                raise error

    write("before")
    with pytest.raises(UserError if isinstance(error, OSError | pl.exceptions.PolarsError) else type(error)):
        write("half", error)
    assert list(path.parent.iterdir()) == [path]
    assert path.read_text() == "before"
    write("after")
    assert list(path.parent.iterdir()) == [path]
    assert path.read_text() == "after"


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("docs/a.csv", "docs/a.csv", True),
        ("docs/b.csv", "docs/a.csv", False),
        ("docs/new.csv", "docs", True),
        ("docs/deep/new.csv", "docs", True),
        ("other/new.csv", "docs", False),
        ("docs/new.csv", "docs/*.csv", True),
        ("docs/new.parquet", "docs/*.csv", False),
        ("docs/deep/new.csv", "docs/*.csv", False),
        ("docs/deep/new.csv", "docs/**/*.csv", True),
        ("docs/new.csv", "docs/**/*.csv", True),
        ("docs/deep/new.csv", "*/*/new.*", True),
        ("linked/new.csv", "docs/*.csv", True),
        ("docs/../docs/a.csv", "docs/[a].csv", True),
        ("hard.csv", "docs/a.csv", True),
        ("hard.csv", "docs/*.csv", True),
        ("hard.csv", "no/such/file.csv", False),
    ],
)
def test_what_is_among_the_files_that_are_read(tmp_path: Path, name: str, source: str, expected: bool) -> None:
    (tmp_path / "docs" / "deep").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "docs" / "a.csv").touch()
    (tmp_path / "linked").symlink_to(tmp_path / "docs")
    (tmp_path / "hard.csv").hardlink_to(tmp_path / "docs" / "a.csv")
    assert is_among(tmp_path / name, [str(tmp_path / source)]) == expected
    assert not is_same(tmp_path / "docs" / "b.csv", tmp_path / "docs" / "a.csv")


@pytest.mark.parametrize("full", ["last.ckpt", "best.ckpt"])
def test_a_full_disk_leaves_the_checkpoint_of_before(
    run: Run, error: Error, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, full: str
) -> None:
    write, seen = Path.write_bytes, []

    def until_full(path: Path, content: memoryview) -> int:
        seen.append(full in path.name)
        if sum(seen) < 2:
            return write(path, content)
        write(path, content[: len(content) // 2])
        raise NO_SPACE

    monkeypatch.setattr(Path, "write_bytes", until_full)
    said = error(lambda: run("fit", "--trainer.max_epochs=9"))
    assert "trainer.default_root_dir" in said
    assert "No space left" in said
    (path,) = (tmp_path / "runs").rglob(full)
    assert str(path) in said
    assert torch.load(path, weights_only=True)["epoch"] == 0
    assert sorted(file.name for file in path.parent.iterdir()) == ["best.ckpt", "last.ckpt"]


def test_without_a_logger_a_run_replaces_what_a_run_has_written(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    for _ in range(2):
        run("test", f"--ckpt_path={checkpoint}", "--trainer.logger=false", f"--trainer.default_root_dir={folder}")
    assert {path.name for path in folder.iterdir()} <= {*RUN_FILES, "checkpoints"}


NO_ROOM = """
import resource, sys
from etm_app.cli.main import main

resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
main(sys.argv[1:])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no resource limits")
def test_without_room_for_the_report(tmp_path: Path, paper_dir: Path) -> None:
    data = ["--data=NewsgroupsDataModule", f"--data.data_dir={paper_dir}", f"--trainer.default_root_dir={tmp_path}"]
    command = [sys.executable, "-c", NO_ROOM, "fit", *data, *SMALL]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "report.path" in said
    assert "too large" in said
    (folder,) = (tmp_path / "lightning_logs").iterdir()
    assert {"topics.csv", "metrics.json", "config.yaml"} <= {path.name for path in folder.iterdir()}
    assert not [path for path in folder.iterdir() if "report" in path.name]


def test_predict_writes_its_table_alone(tmp_path: Path, paper_dir: Path, checkpoint: Path) -> None:
    path = tmp_path / "out" / "theta.parquet"
    data = ["--data=NewsgroupsDataModule", f"--data.data_dir={paper_dir}"]
    for _ in range(2):  # in a working directory in which nothing may be written: see conftest.py
        main(["predict", *data, f"--ckpt_path={checkpoint}", f"--prediction.path={path}"])
    assert list(path.parent.iterdir()) == [path]


def test_predict_without_a_path_makes_a_folder_with_its_table_alone(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    for _ in range(2):
        run("predict", f"--ckpt_path={checkpoint}")
    files = sorted(path.relative_to(tmp_path / "runs") for path in (tmp_path / "runs").rglob("*") if path.is_file())
    assert files == [Path(f"lightning_logs/version_{version}/theta.parquet") for version in (0, 1)]


def test_a_plugin_of_the_users_stays(run: Run) -> None:
    plugin = {"class_path": "pytorch_lightning.plugins.io.AsyncCheckpointIO"}
    assert type(run("fit", f"--trainer.plugins={[plugin]}").trainer.strategy.checkpoint_io) is AsyncCheckpointIO
