"""Every mistake ends in exit code 2 with one or two lines that name the argument and its value; nothing is written."""

import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from etm_app.cli.main import main
from etm_app.errors import UserError
from etm_app.model import ETM
from tests.conftest import run_in
from tests.errors.arguments import ARGUMENTS, CONFIGS, OWN_DATA, SUBCOMMANDS_MISSED
from tests.errors.case import Case
from tests.errors.checkpoints import CHECKPOINTS, CONTENTS, with_others
from tests.errors.counts import COUNTS, PAPER_FILES
from tests.errors.subcommands import EMBED, NAMES, REPORT, SEEDS, SWEEP
from tests.errors.texts import OTHER_DATA, TEXTS, TIMES, WORDS
from tests.errors.vectors import DOCUMENT_VECTORS, WORD_VECTORS
from tests.errors.writing import WRITING

TABLES = [
    *(SUBCOMMANDS_MISSED, ARGUMENTS, CONFIGS, OWN_DATA, OTHER_DATA),
    *(TEXTS, TIMES, WORDS, COUNTS, PAPER_FILES, DOCUMENT_VECTORS, WORD_VECTORS),
    *(CHECKPOINTS, WRITING, REPORT, NAMES, SEEDS, EMBED, SWEEP),
]
CASES: dict[str, Case] = {name: case for table in TABLES for name, case in table.items()}


def test_every_case_has_a_name_of_its_own() -> None:
    assert len(CASES) == sum(map(len, TABLES))


@pytest.fixture(scope="session")
def given(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path, paper_dir: Path) -> Path:
    """What the folder of every case begins with."""
    folder, vectors = tmp_path_factory.mktemp("given"), tmp_path_factory.mktemp("vectors") / "x.npy"
    np.save(vectors, np.ones((90, 3), np.float32))
    shutil.copytree(paper_dir, folder / "20ng")
    for name in ("best.ckpt", "last.ckpt"):
        shutil.copyfile(checkpoint.with_name(name), folder / name)
    (folder / "texts.csv").write_text("text\n" + "cats dogs\n" * 30)
    embedded = run_in(tmp_path_factory.mktemp("embedded"), paper_dir)("fit", f"--data.document_embeddings={vectors}")
    shutil.copyfile(Path(embedded.trainer.log_dir) / "checkpoints" / "best.ckpt", folder / "embedded.ckpt")
    return folder


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_mistake(
    case: Case,
    given: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Callable[[Callable[[], object]], str],
) -> None:
    here = shutil.copytree(given, tmp_path / "here")
    monkeypatch.chdir(here)
    monkeypatch.syspath_prepend(here)  # as `python -m` does
    monkeypatch.setenv("HOME", str(tmp_path / "elsewhere"))  # whose cache may be written
    case.make(here)
    before = content_of(here, case.begins)
    said = error(lambda: main(shlex.split(case.command)))
    assert not [part for part in case.said if part not in said], said
    assert content_of(here, case.begins) == before
    for name in [name for name, module in sys.modules.items() if str(here) in str(getattr(module, "__file__", ""))]:
        del sys.modules[name]


@pytest.mark.parametrize(("changes", "said"), CONTENTS.values(), ids=CONTENTS)
def test_a_checkpoint_that_is_refused_is_so_from_python(
    given: Path, tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    shutil.copyfile(given / "best.ckpt", tmp_path / "best.ckpt")
    with_others(changes)(tmp_path)
    with pytest.raises(UserError, match="ckpt_path") as refused:
        ETM.load_from_checkpoint(tmp_path / "bad.ckpt")
    assert said in str(refused.value)


def content_of(folder: Path, begins: bool) -> dict[Path, tuple[int, int]]:
    """All that is in a folder, by size and time; not that a run has begun, where it may have."""
    found = [path for path in folder.rglob("*") if "__pycache__" not in path.parts]
    if begins:
        of_run = {*folder.glob("lightning_logs/**/*"), folder / "lightning_logs"}
        assert not [path for path in of_run if path.suffix in (".ckpt", ".csv", ".html")]
        found = [path for path in found if path not in of_run]
    return {path: (path.stat().st_size if path.is_file() else 0, path.lstat().st_mtime_ns) for path in found}
