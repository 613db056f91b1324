"""Whatever is written, where the disk is full while it is: one line, exit code 2, and what was there before stays."""

import errno
import os
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from etm_app.cli import sweep as command
from etm_app.cli.main import main
from etm_app.errors import UserError
from etm_app.estimator.topics import ETMTopics
from etm_app.model import ETM
from etm_app.report.drift import Drift
from etm_app.report.tables import write_drift
from tests.conftest import SMALL
from tests.planted import planted_counts

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")

Error = Callable[[Callable[[], object]], str]
Full = Callable[[str], None]
DATA = (
    "--data.label_column=label",
    "--data.time_column=time",
    "--data.min_df=1",
    "--data.max_df=1.0",
    "--data.steps_per_epoch=2",
)


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Full:
    """``full("a.csv")``: there is room to make a file of this name, but not for a byte in it, as the system says it."""
    with_name = Path.with_name

    def of(name: str) -> None:
        def onto_the_full_disk(path: Path, other: str) -> Path:
            unfinished = with_name(path, other)
            if path.name == name and re.fullmatch(rf"\.{re.escape(name)}\.[0-9a-f]{{8}}", other):
                unfinished.symlink_to("/dev/full")
            return unfinished

        monkeypatch.setattr(Path, "with_name", onto_the_full_disk)

    return of


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with texts and a finished fit; where tests write, they write beside it."""
    folder = tmp_path_factory.mktemp("before")
    draw = random.Random(0)
    rows = ["text,label,time"]
    for _ in range(60):
        kind = draw.randrange(2)
        words = " ".join(draw.choices([["cat", "dog", "horse"], ["red", "green", "blue"]][kind], k=12))
        rows.append(f"{words},{'ab'[kind]},20{draw.randrange(10, 13)}-05-01")
    (folder / "texts.csv").write_text("\n".join(rows) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        main(["fit", *arguments(folder)])
    return folder


def arguments(folder: Path) -> list[str]:
    where = [f"--data.cache_dir={folder / 'cache'}", f"--trainer.default_root_dir={folder / 'runs'}"]
    return [f"--data.files={folder / 'texts.csv'}", *DATA, *where, *SMALL]


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and "cache" not in path.parts}


MEASURED = (
    *("config.yaml", "topics.json", "topics.parquet", "topics.csv", "topics_wide.csv", "topics_by_label.csv"),
    *("topics_by_period.csv", "topic_words_by_period.csv", "metrics.json", "metrics_table.csv", "report.html"),
    *("rho.parquet", "embeddings.txt"),
)


@pytest.mark.parametrize("name", MEASURED)
def test_what_is_measured(before: Path, full: Full, error: Error, name: str) -> None:
    (checkpoint,) = before.rglob("best.ckpt")
    there = files(before)
    full(name)
    run = ["validate", f"--ckpt_path={checkpoint}", "--topics.export_embeddings=true", *arguments(before)]
    said = error(lambda: main(run))
    assert "No space left on device" in said
    assert ("report.path" if name == "report.html" else "trainer.default_root_dir") in said
    assert name in said
    new = {path.name for path in files(before).keys() - there.keys()}
    assert name not in new
    assert not [path for path in new if path.startswith(".")]
    assert files(before).items() >= there.items()


def test_the_log(before: Path, error: Error, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorBoard writes it in a thread of its own, whose traceback is not to be seen."""

    def full(writer: object, record: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    there = files(before)
    monkeypatch.setattr("tensorboard.summary.writer.record_writer.RecordWriter.write", full)
    said = error(lambda: main(["fit", *arguments(before)]))
    assert said.startswith("error: trainer.default_root_dir: cannot write ")
    assert "(No space left on device)" in said
    assert files(before).items() >= there.items()


def written_again(full: Full, error: Error, write: Callable[[], object], folder: Path, *names: str) -> list[str]:
    """What is said of each of the files in a folder when it is written again, and there is no room for it."""
    write()
    there = files(folder)
    said = []
    for name in names:
        full(name)
        said.append(error(write))
        assert "No space left on device" in said[-1]
        assert name in said[-1]
        now = files(folder)
        assert now.keys() == there.keys()
        assert [path for path in there if path.name == name and now[path] != there[path]] == []
    return said


def test_the_page_of_a_checkpoint_and_what_it_is_compared_with(
    before: Path, tmp_path: Path, full: Full, error: Error
) -> None:
    (checkpoint,) = before.rglob("best.ckpt")
    path = tmp_path / "pages" / "page.html"
    given = [f"--ckpt_path={checkpoint}", f"--report.path={path}", f"--report.compare={checkpoint}"]
    for said in written_again(
        full, error, lambda: main(["report", *given]), path.parent, "page.html", "compare.csv"
    ):  # a name
        assert said.startswith("error: report.path: ")


@pytest.mark.parametrize("name", ["vectors.txt", "vectors.bin"])
def test_word_vectors(before: Path, tmp_path: Path, full: Full, error: Error, name: str) -> None:
    pytest.importorskip("gensim", reason="gensim is not installed")
    own = ["--embeddings.vector_size=4", "--embeddings.epochs=1", f"--embeddings.path={tmp_path / 'own' / name}"]
    (said,) = written_again(full, error, lambda: main(["embed", *arguments(before), *own]), tmp_path / "own", name)
    assert "embeddings.path" in said


@pytest.mark.parametrize("name", ["theta.csv", "theta.jsonl", "theta.parquet"])
def test_predictions(before: Path, tmp_path: Path, full: Full, error: Error, name: str) -> None:
    (checkpoint,) = before.rglob("best.ckpt")
    own = [f"--ckpt_path={checkpoint}", f"--prediction.path={tmp_path / 'own' / name}"]
    (said,) = written_again(full, error, lambda: main(["predict", *arguments(before), *own]), tmp_path / "own", name)
    assert "prediction.path" in said


def test_a_sweep(before: Path, tmp_path: Path, full: Full, error: Error, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "fit_apart", lambda config, folder: main(["fit", "--config", config]) and "")
    folder = tmp_path / "sweep"
    run = ["sweep", *arguments(before), f"--sweep.folder={folder}", "--sweep.num_topics=[2]", "--sweep.seeds=[1]"]
    full("sweep.db")
    said = error(lambda: main(run))
    assert "sweep.folder" in said
    assert not list(folder.rglob("*.db*"))
    full("")
    names = ("sweep.csv", "sweep_topics.csv", "sweep.html")
    for said in written_again(full, error, lambda: main(run), folder, *names):
        assert "sweep.folder" in said


def test_models(tmp_path: Path, full: Full) -> None:
    model = ETM(4, 2, rho_size=3, inference="mixture")
    fitted = ETMTopics(2, rho_size=3, max_steps=2).fit(planted_counts()[:60])
    for save in (model.save, fitted.save):
        path = tmp_path / "model.ckpt"
        full("")
        save(path)
        there = path.read_bytes()
        full("model.ckpt")
        with pytest.raises(UserError, match=r"^path: cannot write to .*model.ckpt \(No space left on device\)"):
            save(path)
        assert [*tmp_path.glob("*model*")] == [path]
        assert path.read_bytes() == there


def test_drift(tmp_path: Path, full: Full) -> None:
    drifts = [Drift(0, 0.5, 1, 0.75, ["gained"], ["lost"])]
    write_drift(drifts, tmp_path)
    there = files(tmp_path)
    full("topic_drift.csv")
    with pytest.raises(UserError, match=r"cannot write to .*topic_drift.csv \(No space left on device"):
        write_drift(drifts[::-1] * 2, tmp_path)
    assert files(tmp_path) == there


def test_a_file_where_a_folder_is_to_be(before: Path, tmp_path: Path, error: Error) -> None:
    """As a folder that may not be written to, which is none to root."""
    (checkpoint,) = before.rglob("best.ckpt")
    (tmp_path / "file").touch()
    there = files(before)
    inside = tmp_path / "file" / "new"
    commands = {
        "trainer.default_root_dir": ["fit", *arguments(before), f"--trainer.default_root_dir={inside}"],
        "report.path": ["report", f"--ckpt_path={checkpoint}", f"--report.path={inside / 'page.html'}"],
        "prediction.path": [
            "predict",
            f"--ckpt_path={checkpoint}",
            *arguments(before),
            f"--prediction.path={inside}.csv",
        ],
        "sweep.folder": ["sweep", *arguments(before), f"--sweep.folder={inside}", "--sweep.num_topics=[2]"],
        "data.cache_dir": ["fit", *arguments(before), f"--data.cache_dir={inside}"],
    }
    for named, run in commands.items():
        said = error(lambda run=run: main(run))  # type: ignore[misc]
        assert named in said
        assert "Not a directory" in said
    with pytest.raises(UserError, match="path: cannot write to"):
        ETM.load_from_checkpoint(checkpoint).save(inside / "model.ckpt")
    assert files(before) == there
    assert (tmp_path / "file").read_bytes() == b""
