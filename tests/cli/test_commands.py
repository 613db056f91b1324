"""The command line as a user starts it, in processes of its own."""

import contextlib
import os
import pty
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import etm_app
import etm_app.__main__
from tests.conftest import SMALL


@pytest.fixture
def start(tmp_path: Path):  # type: ignore[no-untyped-def]
    """Run ``python -m etm_app`` in an empty folder."""

    def run(*args: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "etm_app", *map(str, args)]
        environment = {**os.environ, "HOME": str(tmp_path), "COLUMNS": "120"}
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=120)

    return run


def test_version(start) -> None:  # type: ignore[no-untyped-def]
    done = start("--version")
    assert done.returncode == 0
    assert done.stdout == f"python -m etm_app {etm_app.__version__}\n"


def test_help(start) -> None:  # type: ignore[no-untyped-def]
    done = start("--help")
    assert done.returncode == 0
    assert all(subcommand in done.stdout for subcommand in ("fit", "validate", "test", "predict"))


def test_help_of_a_subcommand_names_every_argument(start) -> None:  # type: ignore[no-untyped-def]
    done = start("fit", "--help")
    assert done.returncode == 0
    names = ("num_topics", "t_hidden_size", "rho_size", "theta_act", "enc_drop", "train_embeddings", "optimizer")
    assert all(f"--model.{name}" in done.stdout for name in names)
    assert not done.stderr.strip()


def test_a_mistake(start) -> None:  # type: ignore[no-untyped-def]
    done = start("fit", "--model.num_topics=0")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) <= 2
    assert not done.stdout


def test_a_fit(start, tmp_path: Path, paper_dir: Path) -> None:  # type: ignore[no-untyped-def]
    done = start("fit", "--data=NewsgroupsDataModule", f"--data.data_dir={paper_dir}", *SMALL)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr
    folder = tmp_path / "lightning_logs" / "version_0"
    assert {"topics.csv", "topics.json", "metrics.json", "config.yaml"} <= {path.name for path in folder.iterdir()}
    assert "perplexity" in done.stdout


def test_a_fit_in_a_terminal(tmp_path: Path, paper_dir: Path) -> None:
    """The bar is one line that ends with the last epoch; what is said goes above it, and nothing is said twice."""
    here, there = pty.openpty()
    data = ("--data=NewsgroupsDataModule", f"--data.data_dir={paper_dir}", *SMALL[:-1])
    run = subprocess.Popen(
        [sys.executable, "-m", "etm_app", "fit", *data],
        stdin=there,
        stdout=there,
        stderr=there,
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path), "COLUMNS": "80", "TERM": "xterm"},
    )
    os.close(there)
    said = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while part := os.read(here, 2**16):
            said += part
    os.close(here)
    assert run.wait(60) == 0
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said.decode()).replace("\r", "\n")
    bars = [line for line in text.splitlines() if line.startswith("Epoch")]
    assert bars[0].startswith("Epoch 1/2")
    assert bars[-1].startswith("Epoch 2/2")
    assert "perplexity: " in bars[-1]
    assert max(map(len, bars)) <= 80
    assert text.count("Inference: ") == 1
    assert not [words for words in ("v_num", "Restoring", "Loaded", "stopped") if words in text]
    last = text.index("Metrics"), text.index("Topics, largest first"), text.index("Best checkpoint: lightning_logs/")
    assert last == (*sorted(last),)


def test_the_etm_command_is_the_same() -> None:
    (command,) = entry_points(group="console_scripts", name="etm")
    assert command.load() is etm_app.__main__.main


def test_importing_the_package_is_quick() -> None:
    code = "import sys, etm_app, etm_app.data.text.docstring_parser; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert all(hasattr(etm_app, name) for name in etm_app.__all__)
    with pytest.raises(AttributeError):
        etm_app.no_such_name  # noqa: B018
