"""Checkpoints of strangers: whatever stands at whatever place, no code runs, no memory is taken, and one line says it."""

import io
import resource
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint

from etm_app.callbacks.checkpoint import BestCheckpoint
from etm_app.callbacks.divergence import DivergenceStop
from etm_app.callbacks.report import Report
from etm_app.checkpoint import read_checkpoint
from etm_app.cli import ETMCLI
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
    trainer(folder, 1).fit(model(), PlantedDataModule(batch_size=30))
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
    if place[-1:] in (("history",), ("state",)):
        items = items[:1]
    if len(place) > 1 and (place[1] in ("validate_loop", "test_loop") or str(place[1]).startswith("ModelCheckpoint")):
        return
    for key, item in items:
        yield from places(item, (*place, key))


def hostile(value: Any) -> list[Any]:
    """What may stand there instead."""
    found: list[Any] = [GONE, RUNS_CODE, "nonsense"]
    if isinstance(value, torch.Tensor):
        huge = torch.zeros(1).expand(10**6, 10**6)
        found += [torch.full_like(value, torch.nan), torch.zeros(3, 5, 7), huge, [1.0]]
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
    "epoch global_step pytorch-lightning_version state_dict loops callbacks optimizer_states lr_schedulers hparams_name "
    "hyper_parameters vocab analyzer data_digest"
).split()


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
        for bad in hostile(value):
            num_variants += 1
            torch.save(changed(content, place, bad), path)
            try:
                loaded = ETM.load_from_checkpoint(path)
                if key in ("state_dict", "hyper_parameters", "vocab", "analyzer"):
                    assert loaded.vocab in (VOCAB, None)
                torch.testing.assert_close(loaded.theta(x), theta)
                resumed = model()
                trainer(tmp_path, 2).fit(resumed, PlantedDataModule(batch_size=30), ckpt_path=path)
                assert all(weight.isfinite().all() for weight in resumed.parameters())
            except UserError as error:
                said = str(error)
                assert any(str(name) in said for name in (place[0], place[-1], "not of an ETM")), (place, bad, said)
                assert len(said) < 600
                assert "\n" not in said
            except Exception as error:
                raise AssertionError(f"{place} as {bad!r:.80}: {error!r:.300}") from error
            assert not Path("pwned").exists()
    assert num_variants >= 3
