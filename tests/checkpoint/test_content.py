"""Checkpoints of strangers: whatever stands at whatever place, no code runs, no memory is taken, one line says it."""

import pickle
import resource
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

from etm_app.callbacks.best_checkpoint import BestCheckpoint
from etm_app.callbacks.divergence import DivergenceStop
from etm_app.callbacks.report import Report
from etm_app.checkpoint.content import read_checkpoint
from etm_app.cli.main import ETMCLI
from etm_app.errors import UserError
from etm_app.model import ETM
from tests.conftest import Run
from tests.planted import VOCAB, PlantedDataModule, planted_counts

Error = Callable[[Callable[[], object]], str]
GIB = 2**30
RUNS_CODE = {"class_path": "os.mkdir", "init_args": {"path": "pwned"}}
GONE = object()


def trainer(folder: Path, max_epochs: int) -> Trainer:
    """As the command line's, in what a checkpoint keeps of it."""
    callbacks = [
        DivergenceStop(),
        EarlyStopping("val_perplexity", strict=False),
        Report(enabled=False),
        BestCheckpoint(folder, "best", monitor="val_perplexity", enable_version_counter=False),
        ModelCheckpoint(folder, "last", enable_version_counter=False),
    ]
    return Trainer(
        accelerator="cpu",
        max_epochs=max_epochs,
        callbacks=callbacks,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


def model() -> ETM:
    return ETM(
        len(VOCAB),
        4,
        t_hidden_size=8,
        rho_size=6,
        lr_scheduler=lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 1),
    )


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    named = model()
    named.name_topics({1: "fruit"})
    trainer(folder, 1).fit(named, PlantedDataModule(batch_size=30))
    return folder / "last.ckpt"


def load(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(path, weights_only=True)
    return content


Place = tuple[Any, ...]


def places(tree: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every key of the file; of things that are alike, such as counters and moments, one."""
    if place:
        yield place, tree
    if place == ("vocab",):
        return
    items = list(tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list | tuple) else ())
    if all(isinstance(item, int | float | torch.Tensor) and not isinstance(item, bool) for _, item in items):
        items = items if place in (("state_dict",), ("hyper_parameters",)) else items[:1]
    if place[-1:] in (("history",), ("training",), ("state",)) or {"total", "current"} <= {key for key, _ in items}:
        items = items[:1]
    if len(place) > 1 and (place[1] in ("validate_loop", "test_loop") or str(place[1]).startswith("ModelCheckpoint")):
        return
    for key, item in items:
        yield from places(item, (*place, key))


def hostile(value: Any, depth: int) -> list[Any]:
    """What may stand there instead."""
    found: list[Any] = [GONE, RUNS_CODE, "nonsense"]
    if depth > 3 and isinstance(value, int | dict):  # counters of the loops
        return [*found[:2], -7, 10**15]
    if isinstance(value, torch.Tensor):
        huge = torch.zeros(1).expand(10**6, 10**6)
        found += [
            torch.full_like(value, -7 if value.dtype == torch.int64 else torch.nan),
            torch.zeros(3, 5, 7),
            huge,
            [1.0],
        ]
    elif isinstance(value, bool | int | float):
        found += [-7, 10**15, float("nan")]
    elif isinstance(value, str):
        found += [7, "x" * 20_000, "../../other.ckpt", "memory://other.ckpt"]
    else:
        found += [7, [], {}, [[[]]] * 3]
    return found


def changed(tree: Any, place: Place, value: Any) -> Any:
    """A copy with something else at one place."""
    key, *rest = place
    copy = list(tree) if isinstance(tree, list | tuple) else type(tree)(tree)
    if rest:
        copy[key] = changed(copy[key], tuple(rest), value)
    elif value is GONE:
        del copy[key]
    else:
        copy[key] = value
    return type(tree)(copy) if isinstance(tree, tuple) else copy


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Not a GiB more than is in use."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + GIB, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


KEYS = (
    *("epoch", "global_step", "pytorch-lightning_version", "state_dict", "loops", "callbacks", "optimizer_states"),
    *("lr_schedulers", "hparams_name", "hyper_parameters", "vocab", "analyzer", "data_digest", "topic_names"),
    *("unmerged", "format", "etm_app_version"),
)
STATES = {"loops", "callbacks", "optimizer_states", "lr_schedulers", "data_digest"}  # that a fit takes up


def test_these_are_all_keys(good: Path) -> None:
    assert load(good).keys() == set(KEYS)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.usefixtures("little_memory")
def test_whatever_stands_at_any_place(good: Path, tmp_path: Path, key: str) -> None:
    """It is refused in one line that names the place, or does no harm: the run ends with finite weights."""
    content, path, num_variants = load(good), tmp_path / "bad.ckpt", 0
    x = planted_counts(20)
    theta = ETM.load_from_checkpoint(good).theta(x)
    for place, value in places({key: content[key]}):
        values = hostile(value, len(place))
        if key in STATES:  # where each may train: two, and one of the others in turn
            values = [*values[:2], values[2 + num_variants // 3 % (len(values) - 2)]]
        for bad in values:
            num_variants += 1
            torch.save(changed(content, place, bad), path)
            try:
                loaded = ETM.load_from_checkpoint(path)
                if key in ("state_dict", "hyper_parameters", "vocab", "analyzer"):
                    assert loaded.vocab in (VOCAB, None)
                torch.testing.assert_close(loaded.theta(x), theta)
                if key not in STATES:
                    continue
                resumed = model()
                trainer(tmp_path, 2).fit(resumed, PlantedDataModule(batch_size=30), ckpt_path=path)
                assert all(weight.isfinite().all() for weight in resumed.parameters())
            except UserError as error:
                said = str(error)
                assert any(str(name) in said for name in (place[0], place[-1], "not of an ETM", "e_step")), (
                    place,
                    bad,
                    said,
                )
                assert len(said) < 600
                assert "\n" not in said
            except Exception as error:
                raise AssertionError(f"{place} as {bad!r:.80}: {error!r:.300}") from error
            finally:
                assert not Path("pwned").exists()
    assert num_variants >= 3


@pytest.mark.usefixtures("little_memory")
def test_whatever_stands_for_topics_that_were_merged(good: Path, tmp_path: Path) -> None:
    path, x = tmp_path / "bad.ckpt", planted_counts(20)
    merged = ETM.load_from_checkpoint(good).merge([[0, 2]])
    merged.save(path)
    content, theta, refused = load(path), merged.theta(x), []
    for place, value in places({"unmerged": content["unmerged"]}):
        for bad in hostile(value, len(place)):
            torch.save(changed(content, place, bad), path)
            try:
                loaded = ETM.load_from_checkpoint(path)
                assert loaded.unmerged is None or loaded.unmerge().theta(x).isfinite().all()
                torch.testing.assert_close(loaded.theta(x), theta)
            except UserError as error:
                refused.append(str(error))
    assert len(refused) > 20
    assert all(len(said) < 600 and "\n" not in said for said in refused)


HARMLESS: dict[str, dict[str, Any]] = {
    "instantiator": {"hyper_parameters": {"_instantiator": "os.mkdir"}},
    "name of the arguments": {"hparams_name": "optimizer", "hparams_type": "os.mkdir"},
    "arguments of old versions": {"hparams": {"optimizer": RUNS_CODE}, "module_arguments": {"lr_scheduler": RUNS_CODE}},
    "arguments of the data": {"datamodule_hyper_parameters": RUNS_CODE, "datamodule_hparams_name": "data"},
}


def attack(good: Path, path: Path, changes: dict[str, Any]) -> Path:
    content = load(good)
    for key, value in changes.items():
        content[key] = {**content[key], **value} if isinstance(content.get(key), dict) else value
    torch.save(content, path)
    return path


@pytest.mark.parametrize("changes", HARMLESS.values(), ids=HARMLESS)
def test_what_is_never_obeyed(run: Run, checkpoint: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    path = attack(checkpoint, tmp_path / "odd.ckpt", changes)
    x = planted_counts(20)
    assert torch.equal(ETM.load_from_checkpoint(path).theta(x), ETM.load_from_checkpoint(checkpoint).theta(x))
    run("predict", f"--ckpt_path={path}")
    assert not Path("pwned").exists()


def rewritten(good: Path, path: Path, change: Callable[[str, bytes], bytes], compression: int = 0) -> Path:
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(path, "w", compression) as target:
        for record in source.infolist():
            target.writestr(record.filename, change(record.filename, source.read(record)))
    return path


def pickled(value: bytes) -> Callable[[str, bytes], bytes]:
    return lambda name, content: value if name.endswith("data.pkl") else content


SHARING = b"\x80\x02]q\x00" + b"".join(b"]q%c(h%ch%ce" % (n + 1, n, n) for n in range(40)) + b"."
FILES: dict[str, tuple[Callable[[str, bytes], bytes], int]] = {
    "compressed": (lambda name, content: content, zipfile.ZIP_DEFLATED),
    "record of another size": (lambda name, content: content[:4] if "/data/" in name else content, 0),
    "bytes of any number": (pickled(b"\x80\x02c__builtin__\nbytearray\nJ\xff\xff\xff\x7f\x85R."), 0),
    "lists without end": (pickled(b"\x80\x02]" + b"]" * 2_000_000 + b"."), 0),
    "lists that double": (pickled(SHARING), 0),
    "code": (pickled(pickle.dumps(Path)), 0),
}


@pytest.mark.parametrize(("change", "compression"), FILES.values(), ids=FILES)
@pytest.mark.usefixtures("little_memory")
def test_files_that_take_more_than_they_have(
    good: Path, tmp_path: Path, change: Callable[[str, bytes], bytes], compression: int
) -> None:
    path = rewritten(good, tmp_path / "bad.ckpt", change, compression)
    with pytest.raises(UserError, match=str(path)) as refused:
        read_checkpoint(path, ETM)
    assert "MemoryError" not in str(refused.value)


def test_lists_that_double_inside_a_good_one(good: Path, tmp_path: Path) -> None:
    bomb: list[Any] = []
    for _ in range(40):
        bomb = [bomb, bomb]
    path = attack(good, tmp_path / "bad.ckpt", {"callbacks": {"Own": bomb}})
    with pytest.raises(UserError, match="callbacks has more in it"):
        ETM.load_from_checkpoint(path)


# Going on


Said = pytest.LogCaptureFixture


def resumed(folder: Path, good: Path, data: PlantedDataModule, max_epochs: int = 2) -> Trainer:
    run = trainer(folder, max_epochs)
    run.fit(model(), data, ckpt_path=good)
    return run


def test_other_data_start_the_comparison_anew(good: Path, tmp_path: Path, caplog: Said) -> None:
    """The old perplexities, made unbeatable, would keep the old model as the best."""
    content = load(good)
    for state in content["callbacks"].values():
        for name in ("best_model_score", "best_score", "kth_value", "current_score"):
            if isinstance(state.get(name), torch.Tensor):
                state[name] = torch.tensor(1e-3)
        for path in state.get("best_k_models", {}):
            state["best_k_models"][path] = torch.tensor(1e-3)
    path = tmp_path / "unbeatable.ckpt"
    torch.save(content, path)
    best = str(good.with_name("best.ckpt"))
    caplog.set_level("INFO", "pytorch_lightning.utilities.rank_zero")
    same = resumed(tmp_path / "same", path, PlantedDataModule(batch_size=30))
    assert "other documents" not in caplog.text
    assert same.checkpoint_callback.best_model_path == best  # type: ignore[union-attr]
    x = planted_counts()
    x[0] = x[0][::-1]  # one document, of as many words
    other = resumed(tmp_path / "other", path, PlantedDataModule(x, batch_size=30))
    assert caplog.text.count("other documents") == 1
    assert best in caplog.text
    assert other.checkpoint_callback.best_model_path == str(tmp_path / "other" / "best.ckpt")  # type: ignore[union-attr]


def test_a_checkpoint_without_a_digest_goes_on_in_silence(good: Path, tmp_path: Path, caplog: Said) -> None:
    content = load(good)
    del content["data_digest"]
    torch.save(content, tmp_path / "old.ckpt")
    caplog.set_level("INFO", "pytorch_lightning.utilities.rank_zero")
    run = resumed(tmp_path, tmp_path / "old.ckpt", PlantedDataModule(planted_counts(seed=3), batch_size=30))
    assert run.current_epoch == 2
    assert "other documents" not in caplog.text


def test_nothing_is_trained_where_all_epochs_were(run: Run, trained: ETMCLI, caplog: Said) -> None:
    last = Path(trained.trainer.log_dir) / "checkpoints" / "last.ckpt"
    caplog.set_level("INFO", "pytorch_lightning.utilities.rank_zero")
    run("fit", f"--ckpt_path={last}")
    assert "Nothing was trained: the checkpoint has had 2 epochs" in caplog.text
    caplog.clear()
    run("fit", f"--ckpt_path={last}", "--trainer.max_epochs=3")
    assert "Nothing was trained" not in caplog.text


def test_files_that_lightning_would_remove(good: Path, tmp_path: Path) -> None:
    precious = tmp_path / "thesis.docx"
    precious.touch()
    for path in (f"{tmp_path}/checkpoints/../thesis.docx", str(precious), "memory://best.ckpt"):
        content = load(good)
        for state in content["callbacks"].values():
            if "best_model_path" in state:
                state.update(best_model_path=path, kth_best_model_path=path, best_k_models={path: torch.tensor(1e9)})
        torch.save(content, tmp_path / "bad.ckpt")
        with pytest.raises(UserError, match="no checkpoint of a run"):
            resumed(tmp_path, tmp_path / "bad.ckpt", PlantedDataModule(batch_size=30))
    assert precious.exists()
