"""Checkpoints of versions before: what of them is as it was, what is said of the rest, and what is refused."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from etm_app.checkpoint.content import check_content
from etm_app.errors import UserError
from etm_app.model import ETM
from tests.checkpoint.test_content import changed, hostile, little_memory, load, places  # noqa: F401 - a fixture
from tests.conftest import Run, run_in
from tests.planted import VOCAB, planted_counts

Content = dict[str, Any]
K = 4
X = planted_counts()
DEFAULTS = {
    "word_dropout": 0.6,
    "normalize_posterior": True,
    "e_step": True,
    "prior": "dirichlet",
    "learn_prior": True,
}
PAPER = {"word_dropout": 0.0, "normalize_posterior": False, "e_step": False, "prior": "normal", "learn_prior": False}
SAID = "whose encoder is gone"


@pytest.fixture(scope="module")
def now(tmp_path_factory: pytest.TempPathFactory, paper_dir: Path) -> dict[str, Content]:
    """What this version writes, by inference."""
    found = {}
    for inference in ("encoder", "mixture"):
        run = run_in(tmp_path_factory.mktemp(inference), paper_dir)
        cli = run("fit", f"--model.inference={inference}", "--report.enabled=false")
        found[inference] = load(Path(cli.trainer.log_dir) / "checkpoints" / "last.ckpt")
    return found


def before(content: Content, arguments: dict[str, Any], **state: torch.Tensor) -> Content:
    """The same as the version before wrote it, of these arguments and with this state beside."""
    given = {**content["hyper_parameters"], **arguments}
    del given["relevance"], given["document_embeddings_size"]
    weights = dict(content["state_dict"]) | {name.replace("__", "."): of for name, of in state.items()}
    del weights["log_frequency"]
    if "e_step.size" in weights:
        weights["mixture.size"] = weights.pop("e_step.size")
    return {**content, "hyper_parameters": given, "state_dict": weights}


def paper(now: dict[str, Content]) -> Content:
    return before(now["encoder"], PAPER, prior__mean=torch.zeros(K), prior__log_scale=torch.zeros(()))


def mixture(now: dict[str, Content]) -> Content:
    return before(now["mixture"], DEFAULTS)


def default_encoder(now: dict[str, Content]) -> Content:
    return before(
        now["encoder"],
        DEFAULTS,
        encoder__from_evidence__weight=torch.eye(2 * K, K),
        encoder__norm__mean=torch.full((K,), 0.1),
        encoder__norm__variance=torch.full((K,), 0.5),
        prior__mean=torch.linspace(-1, 1, K),
        prior__log_scale=torch.tensor(K / 2).log(),
    )


def older_encoder(now: dict[str, Content]) -> Content:
    """As versions before that: fewer arguments, the prior under other names."""
    content = default_encoder(now)
    given, state = content["hyper_parameters"], content["state_dict"]
    for name in ("prior", "learn_prior", "inference", "e_step"):
        del given[name]
    del state["encoder.from_evidence.weight"]
    state.update(prior_mean=state.pop("prior.mean"), prior_log_scale=state.pop("prior.log_scale"))
    return content


def learned_prior(now: dict[str, Content]) -> Content:
    """The paper's encoder, but its prior learned: nothing else in the state tells."""
    content = before(now["encoder"], PAPER, prior__mean=torch.linspace(-1, 1, K), prior__log_scale=torch.zeros(()))
    del content["hyper_parameters"]["learn_prior"]
    return content


AS_BEFORE = {"paper": (paper, "encoder"), "mixture": (mixture, "mixture")}
OTHERS = {"default": default_encoder, "older": older_encoder, "learned prior": learned_prior}


def saved(content: Content, path: Path) -> Path:
    torch.save(content, path)
    return path


def weights_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: weight.clone() for name, weight in model.state_dict().items()}


def reference_theta(state: dict[str, torch.Tensor]) -> torch.Tensor:
    """By dense formulas from the state as the version before called it."""
    x = torch.from_numpy(X).double()
    state = {name: of.double() for name, of in state.items()}
    if "mixture.size" in state:
        log_beta = (state["topics.rho"] @ state["topics.alpha"].T).log_softmax(0)
        return (state["mixture.size"].log_softmax(0) + x @ log_beta).softmax(1)
    h = torch.relu(x / x.sum(1, keepdim=True).clamp(min=1) @ state["encoder.weight"] + state["encoder.bias"])
    h = torch.relu(h @ state["encoder.hidden.weight"].T + state["encoder.hidden.bias"])
    mu = (h @ state["encoder.posterior.weight"].T + state["encoder.posterior.bias"])[:, :K]
    return (mu * (x.sum(1, keepdim=True) > 0)).softmax(1)


@pytest.mark.parametrize(("old", "inference"), AS_BEFORE.values(), ids=AS_BEFORE)
def test_what_is_as_it_was(
    run: Run,
    now: dict[str, Content],
    tmp_path: Path,
    recwarn: pytest.WarningsRecorder,
    old: Callable[[dict[str, Content]], Content],
    inference: str,
) -> None:
    """Theta is, and a training that goes on ends where it would from this version's checkpoint."""
    was, new = (saved(of, tmp_path / f"{name}.ckpt") for name, of in (("old", old(now)), ("new", now[inference])))
    model = ETM.load_from_checkpoint(was)
    assert model.inference == inference
    assert torch.equal(model.theta(X), ETM.load_from_checkpoint(new).theta(X))
    torch.testing.assert_close(model.theta(X).double(), reference_theta(old(now)["state_dict"]), rtol=0, atol=1e-5)
    on = [run("fit", f"--ckpt_path={path}", "--trainer.max_epochs=4", "--report.enabled=false") for path in (was, new)]
    first, second = (weights_of(cli.model) for cli in on)
    assert first.keys() == second.keys()
    assert all(torch.equal(weight, second[name]) for name, weight in first.items())
    assert not torch.equal(first["topics.alpha"], now[inference]["state_dict"]["topics.alpha"])
    assert not [warning for warning in recwarn if SAID in str(warning.message)]


@pytest.mark.parametrize("old", OTHERS.values(), ids=OTHERS)
def test_the_topics_of_an_encoder_that_is_gone(
    now: dict[str, Content], tmp_path: Path, old: Callable[[dict[str, Content]], Content]
) -> None:
    with pytest.warns(UserWarning, match=SAID):
        model = ETM.load_from_checkpoint(saved(old(now), tmp_path / "old.ckpt"))
    state = now["encoder"]["state_dict"]
    assert torch.equal(model.alpha, state["topics.alpha"])
    assert torch.equal(model.rho, state["topics.rho"])
    assert model.inference == "mixed_membership"
    fresh = ETM(len(VOCAB), K, t_hidden_size=8, rho_size=6, inference="mixed_membership")
    fresh.topics.place(model.rho, model.alpha)
    assert torch.equal(model.theta(X), fresh.theta(X))


def test_the_commands_with_an_encoder_that_is_gone(
    run: Run, now: dict[str, Content], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(default_encoder(now), tmp_path / "old.ckpt")
    for subcommand in ("test", "validate", "predict"):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            run(subcommand, f"--ckpt_path={path}", f"--prediction.path={tmp_path / 'theta.parquet'}")
        said = [str(warning.message) for warning in caught if SAID in str(warning.message)]
        assert len(said) == 1, subcommand
        assert "\n" not in said[0]
    assert "perplexity" in capsys.readouterr().out
    assert list(tmp_path.glob("runs/**/report.html"))
    theta = pl.read_parquet(tmp_path / "theta.parquet").select(f"theta_{topic}" for topic in range(K)).to_numpy()
    with pytest.warns(UserWarning, match=SAID):
        np.testing.assert_allclose(theta, ETM.load_from_checkpoint(path).theta(X).numpy(), atol=1e-6)


@pytest.mark.parametrize("key", ["hyper_parameters", "state_dict"])
@pytest.mark.usefixtures("little_memory")
@pytest.mark.filterwarnings(f"ignore:.*{SAID}")
def test_whatever_stands_at_any_place(now: dict[str, Content], tmp_path: Path, key: str) -> None:
    """It is refused in one line, or does no harm: what is gone is not looked at, and the rest is as it was."""
    content, path = default_encoder(now), tmp_path / "bad.ckpt"
    theta = ETM.load_from_checkpoint(saved(content, path)).theta(X)
    outcomes, said = {"taken": 0, "refused": 0}, list[str]()
    for place, value in places({key: content[key]}):
        for bad in hostile(value, len(place)):
            try:
                loaded = ETM.load_from_checkpoint(saved(changed(content, place, bad), path))
                torch.testing.assert_close(loaded.theta(X), theta)
                outcomes["taken"] += 1
            except UserError as error:
                said.append(str(error))
                outcomes["refused"] += 1
            try:  # what Lightning has read is not held against the file's size before
                check_content(changed(default_encoder(now), place, bad), ETM)  # which changes it
            except UserError as error:
                said.append(str(error))
            assert not Path("pwned").exists()
    assert not [one for one in said if "\n" in one or len(one) > 600]
    assert min(outcomes.values()) > 10, outcomes
