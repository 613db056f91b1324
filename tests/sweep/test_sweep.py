"""The sweep as a command: its tables, and that it goes on where it was stopped."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from filelock import FileLock

from etm_app.cli import sweep as command
from etm_app.cli.main import main
from etm_app.model import ETM
from tests.conftest import SMALL
from tests.paper_files import write_paper_files
from tests.planted import VOCAB, planted_counts

Error = Callable[[Callable[[], object]], str]
Said = pytest.CaptureFixture[str]


def here(config: str, folder: Path) -> str:
    """A fit as the command line runs it, but in this process."""
    main(["fit", "--config", config])
    return ""


def nothing(config: str, folder: Path) -> str:
    raise AssertionError("this has been trained before")


class Sweeps:
    """``sweeps(…)`` on the planted corpus, with the trials in this process; counts them."""

    def __init__(self, folder: Path, data_dir: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.data_dir = data_dir
        self.cache_dir = cache_dir
        self.fit = here
        self.trained: list[str] = []
        monkeypatch.setattr(command, "fit_apart", self._fit)

    def _fit(self, config: str, folder: Path) -> str:
        self.trained.append(folder.name.rpartition("-")[0])
        return self.fit(config, folder)

    def arguments(self, *args: object) -> list[str]:
        data = ["--data=NewsgroupsDataModule", f"--data.data_dir={self.data_dir}", "--data.batch_size=16"]
        own = [f"--sweep.folder={self.folder}", "--sweep.num_topics=[2, 3]", "--sweep.seeds=[1, 2]"]
        cache = f"--data.cache_dir={self.cache_dir}"
        return ["sweep", *data, cache, "--data.steps_per_epoch=3", *SMALL, *own, *map(str, args)]

    def __call__(self, *args: object) -> list[str]:
        self.trained = []
        main(self.arguments(*args))
        return self.trained

    def table(self) -> pl.DataFrame:
        return pl.read_csv(self.folder / "sweep.csv")

    def trial(self, name: str) -> Path:
        (found,) = (self.folder / "trials").glob(f"{name}-*")
        return found


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def sweeps(tmp_path: Path, paper_dir: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Sweeps:
    return Sweeps(tmp_path / "sweep", paper_dir, cache_dir, monkeypatch)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory, paper_dir: Path, cache_dir: Path) -> tuple[Path, list[str], str]:
    """The folder of a sweep over 2 and 3 topics and seeds 1 and 2, its trials in their order, and what it said."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(said):
        sweeps = Sweeps(tmp_path_factory.mktemp("ended") / "sweep", paper_dir, cache_dir, patch)
        trained = sweeps()
    return sweeps.folder, trained, said.getvalue()


@pytest.fixture
def again(sweeps: Sweeps, ended: tuple[Path, list[str], str]) -> Sweeps:
    """``sweeps`` with a copy of that folder."""
    shutil.copytree(ended[0], sweeps.folder)
    return sweeps


def without_seconds(table: pl.DataFrame) -> pl.DataFrame:
    return table.drop("seconds_mean", "seconds_sd")


def values_of(folder: Path) -> dict[str, float]:
    return {name: metric["value"] for name, metric in json.loads((folder / "metrics.json").read_text()).items()}


def test_the_table_is_of_the_trials(again: Sweeps, ended: tuple[Path, list[str], str]) -> None:
    _, trained, said = ended
    assert trained == ["K2-seed1", "K3-seed1", "K2-seed2", "K3-seed2"]
    table = again.table()
    assert table["num_topics"].to_list() == [2, 3]
    assert table["runs"].to_list() == [2, 2]
    for row in table.iter_rows(named=True):
        own = [values_of(again.trial(f"K{row['num_topics']}-seed{seed}")) for seed in (1, 2)]
        assert len(own[0]) > 20
        for name in own[0]:
            values = [metrics[name] for metrics in own]
            assert row[f"{name}_mean"] == pytest.approx(np.mean(values))
            assert row[f"{name}_sd"] == pytest.approx(abs(values[0] - values[1]) / np.sqrt(2))
    assert "4 of 4: 3 topics, seed 2: val_perplexity " in said
    assert "mean ± standard deviation over seeds, val documents" in said
    assert "How many topics" in (again.folder / "sweep.html").read_text(encoding="utf-8")
    assert "nmi" not in said, "it has no labels"


def test_the_stability_is_that_of_the_best_assignment(again: Sweeps) -> None:
    assert again("--sweep.num_topics=[3]", "--sweep.seeds=[1, 2, 3]") == ["K3-seed3"]
    betas = [
        ETM.load_from_checkpoint(again.trial(f"K3-seed{seed}") / "checkpoints" / "best.ckpt").beta.double().numpy()
        for seed in (1, 2, 3)
    ]
    unit = [beta / np.linalg.norm(beta, axis=1, keepdims=True) for beta in betas]
    best = {
        (one, other): max(
            ((unit[one] * unit[other][[*order]]).sum(axis=1) for order in permutations(range(3))), key=sum
        )
        for one, other in combinations(range(3), 2)
    }
    table = again.table()
    pairs = [cosines.mean() for cosines in best.values()]
    assert table["stability_mean"][0] == pytest.approx(np.mean(pairs))
    assert table["stability_sd"][0] == pytest.approx(np.std(pairs, ddof=1), abs=1e-6)
    topics = pl.read_csv(again.folder / "sweep_topics.csv")
    assert topics["seed"].to_list() == [1, 1, 1]
    assert topics["stability"].to_list() == sorted(topics["stability"], reverse=True)
    expected = (best[0, 1] + best[0, 2]) / 2
    assert topics.sort("topic")["stability"].to_list() == pytest.approx(expected.tolist())
    described = json.loads((again.trial("K3-seed1") / "topics.json").read_text())
    words = topics.sort("topic").select(pl.concat_list("^word_.*$")).to_series().to_list()
    assert words == [topic["words"] for topic in described]


def test_a_trial_is_a_fit_that_can_be_used(again: Sweeps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = again.trial("K3-seed2")
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.ckpt"}
    assert not [*folder.rglob("report.html"), *folder.rglob("events.out*")]
    own = [*again.arguments()[1:5], f"--trainer.default_root_dir={tmp_path}"]
    main(["test", *own, f"--ckpt_path={folder / 'checkpoints' / 'best.ckpt'}"])
    tested = values_of(tmp_path / "lightning_logs" / "version_0")
    assert tested
    assert tested == {name: value for name, value in values_of(folder).items() if name.startswith("test_")}
    # and its config is that of a fit, which leaves the sweep alone
    config = (folder / "config.yaml").read_bytes()
    monkeypatch.chdir(tmp_path)
    main(["fit", f"--config={folder / 'config.yaml'}"])
    assert values_of(tmp_path / "lightning_logs" / "version_1") == values_of(folder)
    assert {path.name for path in (tmp_path / "lightning_logs" / "version_1" / "checkpoints").iterdir()} == {
        "best.ckpt", "last.ckpt"
    }  # fmt: skip
    assert (folder / "config.yaml").read_bytes() == config
    # and of a sweep
    arguments = ["--sweep.num_topics=[3]", "--sweep.seeds=[2]", "--report.enabled=false", "--trainer.logger=false"]
    main(["sweep", f"--config={folder / 'config.yaml'}", f"--sweep.folder={tmp_path / 'other'}", *arguments])


def test_what_is_asked_for_is_written(sweeps: Sweeps) -> None:
    sweeps("--sweep.num_topics=[2]", "--sweep.seeds=[1]", "--report.enabled=true", "--trainer.logger=true")
    assert [*sweeps.trial("K2-seed1").rglob("report.html")]
    assert [*sweeps.trial("K2-seed1").rglob("events.out*")]
    assert sweeps.table()["runs"].to_list() == [1]


def test_one_seed_measures_no_stability(again: Sweeps, capsys: Said) -> None:
    assert again("--sweep.seeds=[2]") == []
    assert "Stability is not measured, as it takes two seeds." in capsys.readouterr().out
    assert "Stability is not measured" in (again.folder / "sweep.html").read_text(encoding="utf-8")
    assert not [name for name in again.table().columns if "stability" in name]
    assert pl.read_csv(again.folder / "sweep_topics.csv")["stability"].null_count() == 5


def test_finished_trials_are_not_repeated(again: Sweeps, capsys: Said) -> None:
    files = ("sweep.csv", "sweep_topics.csv")
    before = {name: (again.folder / name).read_bytes() for name in files}
    again.fit = nothing
    assert again() == []
    assert "4 of 4 trials are in" in capsys.readouterr().out
    assert {name: (again.folder / name).read_bytes() for name in files} == before
    again.fit = here
    assert again("--sweep.num_topics=[3, 4]") == ["K4-seed1", "K4-seed2"]
    assert "2 other trials" in capsys.readouterr().out
    assert again.table()["num_topics"].to_list() == [3, 4]


def test_other_settings_or_data_are_other_trials(sweeps: Sweeps, tmp_path: Path, capsys: Said) -> None:
    one = ("--sweep.num_topics=[2]", "--sweep.seeds=[1]")
    assert sweeps(*one) == ["K2-seed1"]
    assert sweeps(*one, "--model.num_topics=9", "--seed_everything=5") == []  # which the sweep sets
    assert sweeps(*one, "--model.anchor=0.3") == ["K2-seed1"]
    assert "1 other trials" in capsys.readouterr().out
    assert sweeps(*one) == []
    x = planted_counts()
    x[0, 0] += 1
    parts = {"tr": x[:60], "va": x[60:75], "ts": x[75:]}
    sweeps.data_dir = write_paper_files(tmp_path / "paper", parts, VOCAB)
    assert sweeps(*one) == ["K2-seed1"]


def test_a_trial_whose_files_are_gone_is_repeated(again: Sweeps, capsys: Said) -> None:
    (again.trial("K2-seed2") / "checkpoints" / "best.ckpt").unlink()
    (again.trial("K2-seed1") / "metrics.json").write_text("{half of")
    assert again() == ["K2-seed1", "K2-seed2"]
    assert "other trials" not in capsys.readouterr().out


def test_a_crash_takes_no_other_trial_with_it(sweeps: Sweeps, error: Error) -> None:
    def crashing(config: str, folder: Path) -> str:
        return "ended by SIGKILL; see fit.log" if "K3-seed1" in folder.name else here(config, folder)

    sweeps.fit = crashing
    said = error(lambda: sweeps("--sweep.seeds=[1]"))
    assert "sweep: 1 of 2 trials" in said
    assert "3 topics, seed 1: ended by SIGKILL; see fit.log" in said
    assert sweeps.table()["num_topics"].to_list() == [2]
    sweeps.fit = here
    assert sweeps("--sweep.seeds=[1]") == ["K3-seed1"]
    assert sweeps.table()["num_topics"].to_list() == [2, 3]


def children_of(process: subprocess.Popen[Any]) -> list[int]:
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [*map(int, path.read_text().split())] if path.is_file() else []


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def begun(sweeps: Sweeps, trial: str, *args: str) -> subprocess.Popen[str]:
    """A sweep in a process of its own, in a trial."""
    environment = {
        **os.environ,
        "HOME": str(sweeps.folder.parent),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    command = [sys.executable, "-m", "etm_app", *sweeps.arguments(*args)]
    where: dict[str, Any] = {"cwd": sweeps.folder.parent, "env": environment, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, **where, start_new_session=True)
    while not [*sweeps.folder.glob(f"trials/{trial}-*/fit.log")]:
        assert process.poll() is None
        time.sleep(0.01)
    return process


def assert_end(children: list[int]) -> None:
    """They end soon, by themselves."""
    until = time.monotonic() + 60
    while any(map(is_running, children)) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any(map(is_running, children))


def test_ctrl_c_ends_the_sweep_and_its_trial_with_one_line(sweeps: Sweeps) -> None:
    process = begun(sweeps, "K2-seed1")
    children = children_of(process)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.splitlines()[-1] == f"stopped by SIGINT; the same command goes on with what {sweeps.folder} holds"
    assert "Traceback" not in said
    assert_end(children)


def test_a_killed_sweep_goes_on_where_it_stopped(sweeps: Sweeps, tmp_path: Path) -> None:
    """Killed in its second trial; its table is then that of one that was not, to the digit."""
    process = begun(sweeps, "K2-seed2", "--sweep.num_topics=[2]")
    children = children_of(process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert_end(children)
    first = sweeps.trial("K2-seed1")
    written = (first / "metrics.json").stat().st_mtime_ns
    assert not (sweeps.folder / "sweep.csv").exists()

    assert sweeps("--sweep.num_topics=[2]") == ["K2-seed2"]
    assert (first / "metrics.json").stat().st_mtime_ns == written
    assert sweeps.trial("K2-seed2")  # and what was half written is gone
    resumed = sweeps.table(), pl.read_csv(sweeps.folder / "sweep_topics.csv")
    sweeps.folder = tmp_path / "whole"
    assert sweeps("--sweep.num_topics=[2]") == ["K2-seed1", "K2-seed2"]
    assert without_seconds(sweeps.table()).equals(without_seconds(resumed[0]))
    assert pl.read_csv(sweeps.folder / "sweep_topics.csv").equals(resumed[1])


def test_a_folder_in_use_is_left_alone(sweeps: Sweeps, error: Error) -> None:
    sweeps.folder.mkdir()
    with FileLock(sweeps.folder / ".lock"):
        assert "a sweep is running in" in error(sweeps)
    assert not sweeps.trained


def test_a_folder_of_any_name(sweeps: Sweeps, tmp_path: Path) -> None:
    sweeps.folder = tmp_path / "50% of {mine}? #1; 'ü'"
    one = ("--sweep.num_topics=[2]", "--sweep.seeds=[1]")
    assert len(sweeps(*one)) == 1
    assert sweeps(*one) == []


def test_without_validation_documents_test_documents_are_compared(sweeps: Sweeps, tmp_path: Path, capsys: Said) -> None:
    x = planted_counts()
    sweeps.data_dir = write_paper_files(tmp_path / "paper", {"tr": x[:60], "va": x[:0], "ts": x[60:]}, VOCAB)
    sweeps("--sweep.num_topics=[2]", "--sweep.seeds=[1]")
    assert "over seeds, test documents" in capsys.readouterr().out


def test_without_optuna(sweeps: Sweeps, error: Error, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etm_app.sweep.plan.find_spec", lambda name: None)
    assert 'pip install "etm_app[sweep]"' in error(sweeps)
    assert not sweeps.folder.exists()
