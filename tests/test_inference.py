"""Which inference a model gets, and a mixture through the whole of Lightning's Trainer and the command line."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor

from etm_app.cli.main import main
from etm_app.data.datamodule import held_out_set
from etm_app.model import ETM
from etm_app.start import choose_inference
from etm_app.topic_model import Inference
from tests.conftest import SMALL
from tests.planted import SPLITS, VOCAB, PlantedDataModule, planted_counts
from tests.test_model import no_tensor_of_batch_by_vocabulary

LENGTH = 4  # tokens of a short document


class Stop(Callback):
    """Stops a run after some epochs of those it was to have."""

    def __init__(self, max_epochs: int) -> None:
        self.max_epochs = max_epochs

    def on_train_epoch_end(self, trainer: Trainer, pl_module: object) -> None:
        trainer.should_stop = trainer.current_epoch + 1 >= self.max_epochs


def short_counts(num_documents: int = len(SPLITS), length: int = LENGTH, seed: int = 0) -> NDArray[np.int64]:
    """Documents of one of four topics each; every tenth is empty."""
    rng = np.random.default_rng(seed)
    beta = np.repeat(np.eye(4), 12, axis=1) * rng.dirichlet(np.full(12, 3.0), size=4).ravel()
    lengths = np.full(num_documents, length)
    lengths[4::10] = 0
    topics = rng.integers(4, size=num_documents)
    return np.array([rng.multinomial(n, beta[k] / beta[k].sum()) for n, k in zip(lengths, topics, strict=True)])


def etm(vocab_size: int = len(VOCAB), **kwargs: Any) -> ETM:
    torch.manual_seed(0)
    return ETM(vocab_size, **{"num_topics": 4, "t_hidden_size": 8, "rho_size": 6, **kwargs})


def trainer(**kwargs: Any) -> Trainer:
    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    return Trainer(**{"max_epochs": 2, "accelerator": "cpu", "num_sanity_val_steps": 0, **off, **kwargs})


def fit(model: ETM, x: NDArray[np.int64], **kwargs: Any) -> Trainer:
    run = trainer(**kwargs)
    run.fit(model, PlantedDataModule(x, batch_size=16))
    return run


# Which

CHOICES = [(short_counts(), "mixture"), (short_counts(length=60), "mixture"), (planted_counts(), "mixed_membership")]


def fit_until_it_is_chosen(model: ETM, x: NDArray[np.int64]) -> Trainer:
    """A third of its 48 steps as a mixture."""
    return fit(model, x, max_epochs=12)


@pytest.mark.parametrize(("x", "expected"), CHOICES, ids=["short", "long, of one topic", "of several topics"])
def test_the_data_choose(x: NDArray[np.int64], expected: str, caplog: pytest.LogCaptureFixture) -> None:
    model = etm()
    fit_until_it_is_chosen(model, x)
    assert model.inference == model.hparams["inference"] == expected
    assert model.e_step is not None
    assert model.e_step.several == (expected == "mixed_membership")
    (said,) = [line for line in caplog.messages if line.startswith("Inference: ")]
    assert expected in said
    assert "--model.inference" in said


@pytest.mark.parametrize("inference", ["encoder", "mixture", "mixed_membership"])
def test_an_argument_overrules(inference: Inference, caplog: pytest.LogCaptureFixture) -> None:
    for x in (short_counts(), planted_counts()):
        model = etm(inference=inference)
        fit(model, x, max_epochs=1)
        assert model.inference == inference
    assert "Inference: " not in caplog.text


def test_without_validation_documents_those_of_training_choose() -> None:
    model = etm()
    datamodule = PlantedDataModule(short_counts(), ["train"] * len(SPLITS), batch_size=16)
    trainer(max_epochs=6, limit_val_batches=0).fit(model, datamodule)
    assert model.inference == "mixture"
    assert held_out_set(None, len(VOCAB)) is None
    assert choose_inference(etm(), None)[0] == "mixed_membership"


def test_what_is_chosen_leaves_held_out_words_less_perplexing() -> None:
    model, held_out = etm(), held_out_set(PlantedDataModule(planted_counts()), len(VOCAB))
    assert held_out is not None
    fit(model, planted_counts(), max_epochs=12)
    choice, said = choose_inference(model, held_out)
    found = {}
    for inference in ("mixture", "mixed_membership"):
        model.infer_by(inference)
        (metrics,) = trainer().validate(model, PlantedDataModule(planted_counts()), verbose=False)
        found[inference] = metrics["val_perplexity"]
        assert f"{metrics['val_perplexity']:,.0f}" in said
    assert choice == min(found, key=lambda name: found[name])


def test_a_run_stopped_before_the_choice_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole, part, path = etm(), etm(), tmp_path / "last.ckpt"
    fit(whole, short_counts(), max_epochs=12)
    saving = {"callbacks": [ModelCheckpoint(tmp_path, save_last=True), Stop(2)], "enable_checkpointing": True}
    fit(part, short_counts(), max_epochs=12, **saving)
    assert part.inference == "auto"
    resumed = etm()
    trainer(max_epochs=12).fit(resumed, PlantedDataModule(short_counts(), batch_size=16), ckpt_path=path)
    assert resumed.inference == whole.inference == "mixture"
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, msg=name)


# What a mixture does


def halves(x: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    (batch,) = PlantedDataModule(x).val_dataloader()
    documents = torch.arange(len(batch)).repeat_interleave(batch.indptr.diff())
    dense = [torch.zeros(len(batch), x.shape[1]) for _ in range(2)]
    for of, counts in zip(dense, (batch.first_half, batch.counts - batch.first_half), strict=True):
        of.index_put_((documents, batch.indices.long()), counts.float(), accumulate=True)
    return dense[0].double(), dense[1].double()


@pytest.mark.parametrize("batch_size", [4, 1000])
def test_evaluation_is_the_definition(batch_size: int) -> None:
    x = short_counts()
    model = etm(inference="mixture")
    fit(model, x)
    (metrics,) = trainer().validate(model, PlantedDataModule(x, batch_size=batch_size), verbose=False)
    first, second = halves(x)
    assert model.e_step is not None
    beta, prior = model.beta.double(), model.e_step.log_prior().detach().exp().double()
    joint = prior * torch.stack([(of ** (first + second)).prod(1) for of in beta], 1)
    there = (first + second).sum(1) > 0
    posterior = joint / joint.sum(1, keepdim=True)
    kl = (posterior * (posterior / prior).log()).nansum(1)
    assert metrics["val_elbo"] == pytest.approx(joint.sum(1).log()[there].mean().item(), rel=1e-5)
    assert metrics["val_kl"] == pytest.approx(kl[there].mean().item(), rel=1e-5)
    of_first = prior * torch.stack([(of**first).prod(1) for of in beta], 1)
    theta = of_first / of_first.sum(1, keepdim=True)
    completed = (second * (theta @ beta).log())[first.sum(1) > 0].sum()
    expected = (-completed / second[first.sum(1) > 0].sum()).exp().item()
    assert metrics["val_perplexity"] == pytest.approx(expected, rel=1e-5)
    shown = model.theta((first + second).float())
    torch.testing.assert_close(shown[there].double(), posterior[there], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(shown[~there].double(), prior.expand(int((~there).sum()), -1), rtol=1e-4, atol=1e-6)


def test_planted_topics_are_found() -> None:
    model = etm(rho_size=20)
    x = short_counts(900)
    datamodule = PlantedDataModule(x, ["train"] * 800 + ["val"] * 100, batch_size=100)
    trainer(max_epochs=20).fit(model, datamodule)
    assert model.inference == "mixture"
    pure = [np.bincount(row // 12).max() / 10 for row in model.top_word_indices(10).numpy()]
    assert np.mean(pure) >= 0.95
    assert {int(np.bincount(row // 12).argmax()) for row in model.top_word_indices(10).numpy()} == {0, 1, 2, 3}


def test_no_tensor_has_the_size_of_batch_times_vocabulary() -> None:
    x = np.random.default_rng(0).poisson(0.003, size=(6 * 64, 5000))
    datamodule = PlantedDataModule(x, ["train", "val", "test"] * 128, batch_size=64)
    model = etm(5000, rho_size=4)
    with no_tensor_of_batch_by_vocabulary():
        trainer(max_epochs=1).fit(model, datamodule)
        trainer().test(model, datamodule, verbose=False)
    assert model.inference != "auto"


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
def test_other_precisions_find_about_the_same(precision: Any) -> None:
    found = []
    for kwargs in ({}, {"precision": precision}):
        model = etm()
        fit(model, short_counts(), **kwargs)
        assert model.inference == "mixture"
        (metrics,) = trainer(**kwargs).validate(model, PlantedDataModule(short_counts()), verbose=False)
        found.append(metrics["val_perplexity"])
    assert found[1] == pytest.approx(found[0], rel=0.1)


# Checkpoints


@pytest.mark.parametrize("x", [short_counts(), planted_counts()], ids=["mixture", "encoder"])
def test_a_checkpoint_says_which(x: NDArray[np.int64], tmp_path: Path) -> None:
    model, path = etm(), tmp_path / "model.ckpt"
    fit(model, x).save_checkpoint(path)
    loaded = ETM.load_from_checkpoint(path)
    assert loaded.inference == model.inference != "auto"
    assert torch.equal(loaded.theta(x), model.theta(x))
    others = [
        trainer().validate(of, PlantedDataModule(x), ckpt_path=path, verbose=False)
        for of in (etm(), etm(inference="mixture"))
    ]
    (expected,) = trainer().validate(model, PlantedDataModule(x), verbose=False)
    assert all(dict(metrics) == pytest.approx(dict(expected), rel=1e-6) for (metrics,) in others)


@pytest.mark.parametrize("x", [short_counts(), planted_counts()], ids=["mixture", "encoder"])
@pytest.mark.parametrize("other", [short_counts(), planted_counts()], ids=["on short", "on long"])
def test_a_run_that_goes_on_keeps_it(x: NDArray[np.int64], other: NDArray[np.int64], tmp_path: Path) -> None:
    model, path = etm(), tmp_path / "model.ckpt"
    fit(model, x, max_epochs=1).save_checkpoint(path)
    resumed = etm()
    trainer(max_epochs=2).fit(resumed, PlantedDataModule(other, batch_size=16), ckpt_path=path)
    assert resumed.inference == model.inference
    if other is x:
        whole = etm()
        fit(whole, x, max_epochs=2)
        for name, value in whole.state_dict().items():
            torch.testing.assert_close(resumed.state_dict()[name], value, msg=name)


def test_a_checkpoint_of_a_version_before_has_an_encoder(tmp_path: Path) -> None:
    model, path = etm(inference="encoder"), tmp_path / "model.ckpt"
    x = short_counts()
    fit(model, x).save_checkpoint(path)
    content = torch.load(path, weights_only=True)
    del content["hyper_parameters"]["inference"]
    torch.save(content, path)
    loaded = ETM.load_from_checkpoint(path)
    assert loaded.inference == "encoder"
    assert torch.equal(loaded.theta(x), model.theta(x))


def test_asking_for_theta_changes_nothing() -> None:
    model = etm(inference="mixture")
    before = deepcopy(model.state_dict())
    assert torch.equal(model.theta(short_counts()), model.theta(short_counts()))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


# The command line


def test_titles_from_text_to_theta(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    titles = [" ".join(f"{'abcd'[row % 4]}x{word}" for word in rng.choice(list("efghijklmn"), 5)) for row in range(200)]
    (tmp_path / "titles.txt").write_text("\n".join(titles))
    where = [f"--trainer.default_root_dir={tmp_path}", f"--data.cache_dir={tmp_path / 'cache'}"]
    data = ["--data=TextDataModule", f"--data.files={tmp_path / 'titles.txt'}", *where]
    small = [of for of in SMALL if "model" not in of or "num_topics" in of]
    cli = main(["check", *data, *small, "--model.inference=mixture"])
    assert "encoder" not in capsys.readouterr().out
    cli = main(["fit", *data, *small])
    assert cli.model.inference == "mixture"
    folder = Path(cli.trainer.log_dir)
    best = folder / "checkpoints" / "best.ckpt"
    main(["predict", *data, f"--ckpt_path={best}", f"--prediction.path={tmp_path / 'theta.csv'}"])
    written = np.genfromtxt(tmp_path / "theta.csv", delimiter=",", skip_header=1, dtype=str)[:, -4:].astype(float)
    model = ETM.load_from_checkpoint(best)
    np.testing.assert_allclose(written, model.transform(titles), atol=1e-5)
    np.testing.assert_allclose(model.transform(titles).sum(axis=1), 1, rtol=1e-5)
    # The config of the run says auto, and what was chosen stays so.
    again = main(["fit", "--config", str(folder / "config.yaml"), f"--ckpt_path={best}", "--trainer.max_epochs=9"])
    assert again.model.inference == "mixture"
