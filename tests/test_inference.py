"""Which inference a model gets: chosen by documents, asked for, or kept by a checkpoint."""

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pytorch_lightning import Callback, LightningDataModule, LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from etm_app.cli.main import main
from etm_app.data.datamodule import held_out_set
from etm_app.model import ETM
from etm_app.start import choose_inference
from etm_app.topic_model import Inference
from tests.conftest import SMALL
from tests.planted import VOCAB, PlantedDataModule, planted_counts

TRAINING, VALIDATION = 300, 100
SPLIT = ["train"] * TRAINING + ["val"] * VALIDATION
BATCHES = 6  # an epoch, of 50 documents


def one_topic_each(length: int = 4, seed: int = 0) -> NDArray[np.int64]:
    """Documents of one of four topics each, of few words; every tenth is empty."""
    rng = np.random.default_rng(seed)
    beta = np.repeat(np.eye(4), 12, axis=1) * rng.dirichlet(np.full(12, 3.0), size=4).ravel()
    lengths = np.full(len(SPLIT), length)
    lengths[4::10] = 0
    topics = rng.integers(4, size=len(SPLIT))
    return np.array([rng.multinomial(n, beta[k] / beta[k].sum()) for n, k in zip(lengths, topics, strict=True)])


PLANTED: dict[Inference, NDArray[np.int64]] = {
    "mixture": one_topic_each(),
    "mixed_membership": planted_counts(len(SPLIT)),
}
planted = pytest.mark.parametrize(("expected", "x"), PLANTED.items(), ids=PLANTED)


def etm(vocab_size: int = len(VOCAB), **kwargs: Any) -> ETM:
    torch.manual_seed(0)
    more = {"num_topics": 4, "t_hidden_size": 8, "rho_size": 12}
    return ETM(vocab_size, **{**more, "optimizer": lambda params: torch.optim.Adam(params, lr=0.02), **kwargs})


def trainer(**kwargs: Any) -> Trainer:
    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    return Trainer(**{"max_epochs": 5, "accelerator": "cpu", "num_sanity_val_steps": 0, **off, **kwargs})


def data(x: NDArray[np.int64], splits: list[str] | None = None) -> PlantedDataModule:
    return PlantedDataModule(x, splits or SPLIT, batch_size=50)


class Steps(Callback):
    """The inference of every step, and of every validation."""

    def __init__(self) -> None:
        self.inferences: list[str] = []
        self.validated: list[str] = []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: object) -> None:
        assert isinstance(pl_module, ETM)
        self.inferences.append(pl_module.inference)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, ETM)
        self.validated.append(pl_module.inference)


def fit(model: ETM, datamodule: LightningDataModule, **kwargs: Any) -> tuple[Trainer, Steps]:
    steps = Steps()
    run = trainer(callbacks=[steps], **kwargs)
    run.fit(model, datamodule)
    return run, steps


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [line for line in caplog.messages if line.startswith("Inference: ")]


# Which


@planted
def test_the_documents_choose(expected: Inference, x: NDArray[np.int64], caplog: pytest.LogCaptureFixture) -> None:
    model = etm()
    fit(model, data(x), max_epochs=20)
    assert model.inference == model.hparams["inference"] == expected
    assert model.e_step is not None
    assert model.encoder is None
    assert model.e_step.several == (expected == "mixed_membership")
    (line,) = said(caplog)
    assert f"({expected})" in line
    assert f"held out of {VALIDATION} documents" in line


@planted
def test_what_is_said_is_the_perplexity_of_completion(
    expected: Inference, x: NDArray[np.int64], caplog: pytest.LogCaptureFixture
) -> None:
    model = etm(optimizer=lambda params: torch.optim.SGD(params, lr=0.0))
    fit(model, data(x), max_epochs=1)
    found: dict[str, float] = {}
    for inference in PLANTED:
        model.infer_by(inference)
        (metrics,) = trainer().validate(model, data(x), verbose=False)
        found[inference] = metrics["val_perplexity"]
    assert min(found, key=lambda name: found[name]) == expected
    (line,) = said(caplog)
    assert f"{found['mixture']:,.0f} with one, {found['mixed_membership']:,.0f} with several" in line


@pytest.mark.parametrize("inference", [of for of in get_args(Inference) if of != "auto"])
def test_an_argument_overrules(inference: Inference, caplog: pytest.LogCaptureFixture) -> None:
    for x in PLANTED.values():
        model = etm(inference=inference)
        _, steps = fit(model, data(x), max_epochs=1)
        assert {model.inference, model.hparams["inference"], *steps.inferences} == {inference}
    assert not said(caplog)


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        ({"max_epochs": 52}, 100),
        ({"max_epochs": 5}, 10),
        ({"max_epochs": 1}, 2),
        ({"max_epochs": 1, "limit_train_batches": 2}, 1),  # a third of them is none
        ({"max_epochs": -1, "max_steps": 104}, 34),
        ({"max_epochs": 12, "accumulate_grad_batches": 2}, 12),
    ],
    ids=str,
)
def test_it_is_chosen_after_a_hundred_steps_or_a_third_of_a_shorter_run(length: dict[str, Any], expected: int) -> None:
    _, steps = fit(etm(), data(PLANTED["mixture"]), **length)
    at = steps.inferences.index("mixture") // length.get("accumulate_grad_batches", 1)
    assert set(steps.inferences[: steps.inferences.index("mixture")]) == {"auto"}
    assert set(steps.inferences[steps.inferences.index("mixture") :]) == {"mixture"}
    assert at == expected


def test_a_run_of_one_step_chooses_after_it() -> None:
    model = etm()
    _, steps = fit(model, data(PLANTED["mixture"]), max_steps=1)
    assert steps.inferences == ["auto"]
    assert model.inference == "mixture"


def test_no_epoch_as_long_is_evaluated_before() -> None:
    _, steps = fit(etm(), data(PLANTED["mixed_membership"]), max_epochs=2)
    assert set(steps.validated) == {"mixed_membership"}


def test_one_that_was_chosen_is_not_chosen_again(caplog: pytest.LogCaptureFixture) -> None:
    model = etm()
    fit(model, data(PLANTED["mixture"]))
    fit(model, data(PLANTED["mixed_membership"]))
    assert model.inference == "mixture"
    assert len(said(caplog)) == 1


@planted
def test_without_validation_documents_those_of_training_choose(
    expected: Inference, x: NDArray[np.int64], caplog: pytest.LogCaptureFixture
) -> None:
    for splits in (["train"] * len(x), ["train"] * TRAINING + ["test"] * VALIDATION):
        caplog.clear()
        model = etm()
        fit(model, data(x, splits))
        assert model.inference == expected
        assert f"held out of {splits.count('train')} documents" in said(caplog)[0]


class Own(LightningDataModule):
    """Of a user's: dense counts."""

    def __init__(self, x: NDArray[np.int64]) -> None:
        super().__init__()
        self.x, self.vocab_size = torch.tensor(x), x.shape[1]

    def train_dataloader(self) -> DataLoader[Tensor]:
        return self._loader(self.x[:TRAINING])

    def _loader(self, x: Tensor) -> DataLoader[Tensor]:
        return DataLoader(x, batch_size=50)  # type: ignore[arg-type]


class Validated(Own):
    def val_dataloader(self) -> DataLoader[Tensor]:
        return self._loader(self.x[TRAINING:])


@planted
@pytest.mark.parametrize("validated", [True, False])
def test_documents_of_a_module_of_ones_own_choose(
    expected: Inference, x: NDArray[np.int64], validated: bool, caplog: pytest.LogCaptureFixture
) -> None:
    model = etm()
    fit(model, Validated(x) if validated else Own(x))
    assert model.inference == expected
    assert f"held out of {VALIDATION if validated else TRAINING} documents" in said(caplog)[0]


def test_loaders_alone_leave_no_documents_to_choose_by(caplog: pytest.LogCaptureFixture) -> None:
    model = etm()
    trainer().fit(model, Own(PLANTED["mixture"]).train_dataloader())
    assert model.inference == "mixed_membership"
    assert said(caplog) == [
        "Inference: several topics a document (mixed_membership): there are no documents to choose by."
    ]


def test_documents_of_one_word_each_have_one_topic(caplog: pytest.LogCaptureFixture) -> None:
    model = etm()
    fit(model, data(one_topic_each(length=1)))
    assert model.inference == "mixture"
    (line,) = said(caplog)
    assert "none has two words" in line
    assert "nan" not in line


def test_choosing_changes_no_weight_and_no_metric() -> None:
    model, datamodule = etm(), data(PLANTED["mixture"])
    fit(model, datamodule)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    metrics = (model.perplexity.metric_state, model.elbo.metric_state)
    kept = [{name: value.clone() for name, value in of.items()} for of in metrics]
    inference, _ = choose_inference(model, held_out_set(datamodule, len(VOCAB)))
    assert inference == "mixture"
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert kept == [model.perplexity.metric_state, model.elbo.metric_state]


# What it does


@planted
def test_planted_topics_are_found(expected: Inference, x: NDArray[np.int64]) -> None:
    model = etm(rho_size=20)
    fit(model, data(x), max_epochs=20)
    assert model.inference == expected
    ranked = model.top_word_indices(10).numpy()
    assert np.mean([np.bincount(row // 12).max() / 10 for row in ranked]) >= 0.95
    assert {int(np.bincount(row // 12).argmax()) for row in ranked} == {0, 1, 2, 3}


# Checkpoints


@planted
def test_a_checkpoint_says_which(expected: Inference, x: NDArray[np.int64], tmp_path: Path) -> None:
    model, path = etm(), tmp_path / "model.ckpt"
    run, _ = fit(model, data(x))
    run.save_checkpoint(path)
    loaded = ETM.load_from_checkpoint(path)
    assert loaded.inference == model.inference == expected
    assert torch.equal(loaded.theta(x), model.theta(x))
    (metrics,) = trainer().validate(model, data(x), verbose=False)
    for inference in get_args(Inference):
        other = etm(inference=inference)
        (others,) = trainer().validate(other, data(x), ckpt_path=path, verbose=False)
        assert other.inference == expected
        assert dict(others) == pytest.approx(dict(metrics), rel=1e-6)


def assert_same_state(model: ETM, other: ETM) -> None:
    assert model.inference == other.inference
    for name, value in other.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


class Stop(Callback):
    """Saves at a step, and stops there."""

    def __init__(self, step: int, path: Path) -> None:
        self.step, self.path = step, path

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)


@planted
@pytest.mark.parametrize("inference", get_args(Inference))
def test_a_run_that_is_interrupted_before_the_choice_ends_as_if_it_were_not(
    expected: Inference, x: NDArray[np.int64], inference: Inference, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the model that goes on was made with: the checkpoint says that there is a choice."""
    whole, path = etm(), tmp_path / "model.ckpt"
    trainer(callbacks=[Stop(2 * BATCHES, path)], max_epochs=8).fit(whole, data(x))
    assert torch.load(path, weights_only=True)["hyper_parameters"]["inference"] == "auto"
    resumed = etm(inference=inference)
    trainer(max_epochs=8).fit(resumed, data(x), ckpt_path=path)
    assert resumed.inference == expected
    assert_same_state(resumed, whole)
    assert said(caplog)[0] == said(caplog)[1]


@planted
@pytest.mark.parametrize("other", PLANTED.values(), ids=[f"on a corpus of {name}" for name in PLANTED])
def test_a_run_that_goes_on_keeps_it(
    expected: Inference, x: NDArray[np.int64], other: NDArray[np.int64], tmp_path: Path
) -> None:
    path, whole, resumed = tmp_path / "model.ckpt", etm(), etm()
    trainer(callbacks=[Stop(4 * BATCHES, path)], max_epochs=6).fit(whole, data(x))
    steps = Steps()
    trainer(max_epochs=6, callbacks=[steps]).fit(resumed, data(other), ckpt_path=path)
    assert set(steps.inferences) == {expected}
    if other is x:
        assert_same_state(resumed, whole)


# The command line


@pytest.mark.parametrize("expected", PLANTED)
def test_from_text_to_theta(expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng, texts = np.random.default_rng(0), []
    for row in range(400):
        topics = [row % 4] * 5 if expected == "mixture" else rng.choice(4, size=40, p=rng.dirichlet(np.full(4, 0.3)))
        texts.append(" ".join(f"{'abcd'[k]}x{rng.choice(list('efghijklmn'))}" for k in topics))
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    where = [f"--trainer.default_root_dir={tmp_path}", f"--data.cache_dir={tmp_path / 'cache'}"]
    documents = ["--data=TextDataModule", f"--data.files={tmp_path / 'texts.txt'}", "--data.batch_size=50", *where]
    small = [of for of in SMALL if "model" not in of or "num_topics" in of]
    cli = main(["fit", *documents, *small, "--trainer.max_epochs=6"])
    assert cli.model.inference == expected
    folder = Path(cli.trainer.log_dir)
    best = folder / "checkpoints" / "best.ckpt"
    main(["predict", *documents, f"--ckpt_path={best}", f"--prediction.path={tmp_path / 'theta.csv'}"])
    written = np.genfromtxt(tmp_path / "theta.csv", delimiter=",", skip_header=1, dtype=str)[:, -4:].astype(float)
    model = ETM.load_from_checkpoint(best)
    theta = model.transform(texts)
    np.testing.assert_allclose(written, theta, atol=1e-5)
    np.testing.assert_allclose(theta.sum(axis=1), 1, rtol=1e-5)
    # The config of the run says auto, and what was chosen stays so.
    again = main(["fit", "--config", str(folder / "config.yaml"), f"--ckpt_path={best}", "--trainer.max_epochs=9"])
    assert again.model.inference == expected
