"""What all tests share: isolation from network and home, small corpora, and the command line in-process."""

import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import torch
from hypothesis.configuration import set_hypothesis_home_dir

from etm_app.cli.main import ETMCLI, main
from tests.paper_files import write_paper_files
from tests.planted import SPLITS, VOCAB, planted_counts

set_hypothesis_home_dir(tempfile.mkdtemp(prefix="hypothesis-"))
hypothesis.settings.register_profile(
    "tests",
    derandomize=True,
    deadline=None,
    max_examples=60,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
hypothesis.settings.load_profile("tests")

NOISE = (  # of Lightning, torch and jsonargparse, about what is meant here
    "Sparse CSR tensor support",
    ".*does not have many workers",
    ".*LeafSpec.* is deprecated",
    ".*overridden `on_before_batch_transfer`",
    "LightningCLI's args parameter",
    r"\s+Unable to serialize instance <function ETM",
    r"\s+By default only one JsonargparseDeprecationWarning",
    r"\s+.*deprecated in v4.49.0",
    "The dirpath has changed",
    "You defined a `validation_step` but have no",
    "train_embeddings.*random",
    "Total length of `DataLoader` across ranks is zero",
)


def pytest_configure(config: pytest.Config) -> None:
    for message in NOISE:
        config.addinivalue_line("filterwarnings", f"ignore:{message}")


Run = Callable[..., ETMCLI]

SMALL = (
    "--model.num_topics=4",
    "--model.t_hidden_size=8",
    "--model.rho_size=6",
    "--model.enc_drop=0.1",
    "--trainer.max_epochs=2",
    "--trainer.enable_progress_bar=false",
)


@pytest.fixture(scope="session", autouse=True)
def _no_network() -> Iterator[None]:
    getaddrinfo = socket.getaddrinfo

    def refuse(host: object, *args: Any, **kwargs: Any) -> Any:
        if host not in ("localhost", "127.0.0.1"):  # a server of the test's own, a browser's driver
            raise OSError("the tests have no network")
        return getaddrinfo(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", refuse)
        yield


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Defaults such as ~/.cache and ./lightning_logs end in a temporary folder; global switches are put back."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "matplotlib"))  # torchmetrics imports it where it is installed
    monkeypatch.chdir(home)
    yield
    torch.use_deterministic_algorithms(False)
    assert not list(home.iterdir()), "something was written outside the folders that were named"


@pytest.fixture(scope="session")
def paper_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The planted corpus in the layout of the paper's code."""
    x = planted_counts()
    parts = {
        part: x[[own == split for own in SPLITS]] for part, split in (("tr", "train"), ("va", "val"), ("ts", "test"))
    }
    return write_paper_files(tmp_path_factory.mktemp("paper"), parts, VOCAB)


def words_of(root: Path, data_dir: Path, subcommand: str, *args: object) -> list[str]:
    """A command over a folder with the paper's files; everything is written below ``root``."""
    data = [f"--data.data_dir={data_dir}", "--data.batch_size=16", "--data.steps_per_epoch=null"]
    where = [f"--trainer.default_root_dir={root}", f"--data.cache_dir={root / 'cache'}"]
    return [subcommand, "--data=NewsgroupsDataModule", *data, *where, *SMALL, *map(str, args)]


def run_in(root: Path, data_dir: Path) -> Run:
    """The command line on such words."""
    return lambda subcommand, *args: main(words_of(root, data_dir, subcommand, *args))


@pytest.fixture
def run(tmp_path: Path, paper_dir: Path) -> Run:
    """``run("fit", "--key=value", …)``: small, on the planted corpus, with all output below ``tmp_path / "runs"``."""
    return run_in(tmp_path / "runs", paper_dir)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, paper_dir: Path) -> ETMCLI:
    """A finished fit on the planted corpus; tests only look at it."""
    return run_in(tmp_path_factory.mktemp("trained"), paper_dir)("fit")


@pytest.fixture(scope="session")
def checkpoint(trained: ETMCLI) -> Path:
    """Its best checkpoint."""
    return Path(trained.trainer.log_dir) / "checkpoints" / "best.ckpt"


@pytest.fixture
def error(capsys: pytest.CaptureFixture[str]) -> Callable[[Callable[[], object]], str]:
    """Calls something that must fail as a user's mistake does, and returns what was said."""

    def of(call: Callable[[], object]) -> str:
        with pytest.raises(SystemExit) as stop:
            call()
        said = capsys.readouterr().err
        assert stop.value.code == 2
        assert "Traceback" not in said
        lines = said.splitlines()
        starts = [place for place, line in enumerate(lines) if line.startswith("error: ")]
        assert len(starts) == 1, said
        lines = lines[starts[0] :]
        assert 1 <= len(lines) <= 2, said
        assert all(line.strip() for line in lines), said
        return "\n".join(lines)

    return of
