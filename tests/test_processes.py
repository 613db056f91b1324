"""Several processes, started by torchrun, against one: the same numbers, every document once, every file once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from etm_app.cli.main import main
from tests.conftest import SMALL

PROCESSES = 2
# Of 15 documents that are evaluated, and of 90 that are predicted, the last step has fewer than there are processes.
STEP = 7
COMMANDS = """
import json, sys
from etm_app.cli.main import main
for command in json.loads(sys.argv[1]):
    main(command)
"""


def commands(folder: Path, paper_dir: Path, processes: int, trained_by_one: Path) -> list[list[str]]:
    """A fit, and test and predict of a checkpoint, with all output below a folder."""
    data = ["--data=NewsgroupsDataModule", f"--data.data_dir={paper_dir}", f"--data.batch_size={STEP}"]
    given = [*data, "--data.steps_per_epoch=20", *SMALL, f"--trainer.default_root_dir={folder}"]
    given += ["--trainer.accelerator=cpu", f"--trainer.devices={processes}"]
    of = [*given, f"--ckpt_path={trained_by_one / 'lightning_logs' / 'version_0' / 'checkpoints' / 'best.ckpt'}"]
    return [["fit", *given], ["test", *of], ["predict", *of, f"--prediction.path={folder / 'theta.csv'}"]]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, paper_dir: Path) -> tuple[Path, Path]:
    """What one process and what several have written."""
    one, several, home = (tmp_path_factory.mktemp(name) for name in ("one", "several", "home"))
    for command in commands(one, paper_dir, 1, one):
        main(command)
    script = home / "commands.py"
    script.write_text(COMMANDS)
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={PROCESSES}"]
    done = subprocess.run(
        [*start, str(script), json.dumps(commands(several, paper_dir, PROCESSES, one))],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Written to") == 2, "not one process alone says what was written"
    return one, several


@pytest.mark.parametrize(("run", "relative"), [("version_0", 1e-4), ("version_1", 1e-6)], ids=["fit", "test"])
def test_metrics_are_those_of_one(folders: tuple[Path, Path], run: str, relative: float) -> None:
    by_one, by_several = (
        json.loads((folder / "lightning_logs" / run / "metrics.json").read_text()) for folder in folders
    )
    assert by_one.keys() == by_several.keys()
    assert len(by_one) >= 10
    for name, metric in by_one.items():
        assert by_several[name]["value"] == pytest.approx(metric["value"], rel=relative), name


def test_what_is_remembered_is_that_of_one(folders: tuple[Path, Path]) -> None:
    last = [folder / "lightning_logs" / "version_0" / "checkpoints" / "last.ckpt" for folder in folders]
    by_one, by_several = (torch.load(path, weights_only=True)["state_dict"]["memory.counts"] for path in last)
    assert by_one.sum() > 0
    torch.testing.assert_close(by_several / by_several.sum(), by_one / by_one.sum(), rtol=1e-3, atol=1e-6)


def test_predictions_are_those_of_one_in_order(folders: tuple[Path, Path]) -> None:
    by_one, by_several = (pl.read_csv(folder / "theta.csv") for folder in folders)
    assert by_several["row"].to_list() == list(range(90))
    assert by_several.drop("^theta_.*$").equals(by_one.drop("^theta_.*$"))
    theta = [table.select("^theta_.*$").to_numpy() for table in (by_one, by_several)]
    np.testing.assert_allclose(*theta, rtol=1e-6)


def test_files_are_those_of_one(folders: tuple[Path, Path]) -> None:
    names = []
    for folder in folders:
        files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
        names.append(sorted(str(path) for path in files if not path.name.startswith("events.")))
    assert names[0] == names[1]
    assert "lightning_logs/version_0/report.html" in names[0]
    assert len([name for name in names[0] if name.endswith(".ckpt")]) == 2
