from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Dirichlet, Normal

from etm_app.nn.prior import POSTERIOR_SAMPLES, Prior, PriorKind
from tests import reference

MEANS = {"no mean": [0.0] * 4, "a mean": [1.0, 0.0, -1.0, 0.5], "a topic that is nearly all": [4.0, 0.0, -3.0, 0.5]}


def prior(kind: PriorKind, mean: list[float], log_scale: float | None = None) -> Prior:
    made = Prior(len(mean), kind, learned=True)
    with torch.no_grad():
        made.mean.copy_(torch.tensor(mean))
        if log_scale is not None:
            made.log_scale.fill_(log_scale)
    return made


def exact_mean(made: Prior, mu: Tensor, logvar: Tensor) -> Tensor:
    """Of theta of each posterior, [B, K]."""
    mean, scale = made.mean.detach().double().numpy(), made.log_scale.double().exp().item()
    rows = zip(mu.double().numpy(), logvar.double().numpy(), strict=True)
    return torch.tensor(np.array([reference.mean_theta(*row, mean, scale, made.kind) for row in rows]))


@pytest.mark.parametrize("kind", get_args(PriorKind))
def test_theta_is_the_softmax_of_delta(kind: PriorKind) -> None:
    made, z = prior(kind, MEANS["a mean"], 0.3), torch.linspace(-4, 4, 12).reshape(3, 4)
    g = Normal(0.0, 1.0).cdf(z.double()).log() if kind == "dirichlet" else z.double()
    weights = (made.mean.double() + np.exp(0.3) * g).exp()
    torch.testing.assert_close(made.theta(z).double(), weights / weights.sum(1, keepdim=True), rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(made.theta(z[0]), made.theta(z)[0])
    torch.testing.assert_close(made.theta(z[:, None]), made.theta(z)[:, None])


@pytest.mark.parametrize("concentration", [0.02, 0.1])
def test_it_is_nearly_a_dirichlet(concentration: float) -> None:
    made = prior("dirichlet", MEANS["no mean"], -np.log(concentration))
    z = torch.randn(100_000, 4, generator=torch.Generator().manual_seed(1))
    theta = made.theta(z).detach().sort(dim=1).values
    drawn = Dirichlet(torch.full((4,), concentration)).sample((100_000,)).sort(dim=1).values
    # The largest of the topics, the next, …: their means, and how often they are all but absent.
    torch.testing.assert_close(theta.mean(0), drawn.mean(0), atol=0.02, rtol=0)
    absent = [(of < 1e-3).double().mean(0) for of in (theta, drawn)]
    torch.testing.assert_close(*absent, atol=0.03, rtol=0)


def test_it_starts_with_two_topics_in_a_document() -> None:
    for num_topics in (10, 100):
        scale = Prior(num_topics, "dirichlet", learned=True).log_scale.exp().item()
        assert num_topics / scale == pytest.approx(2)
    assert Prior(10, "normal", learned=True).log_scale.item() == 0


@pytest.mark.parametrize("learned", [True, False])
def test_mean_and_scale_are_learned_if_wanted(learned: bool) -> None:
    assert [parameter.requires_grad for parameter in Prior(3, "normal", learned).parameters()] == [learned, learned]


def test_the_reference_is_that_of_a_known_mean() -> None:
    """Of two topics, E[sigmoid(delta_1 − delta_2)], the difference normal."""
    mu, logvar = np.array([0.3, -0.5]), np.array([0.2, -1.0])
    x = np.linspace(-12, 12, 20_001)
    weights = np.exp(-(x**2) / 2) / np.exp(-(x**2) / 2).sum()
    difference = 1.0 + 2.0 * 0.8 + 2.0 * np.sqrt(np.exp(logvar).sum()) * x
    expected = (weights / (1 + np.exp(-difference))).sum()
    found = reference.mean_theta(mu, logvar, np.array([1.0, 0.0]), 2.0, "normal")
    np.testing.assert_allclose(found, [expected, 1 - expected], rtol=1e-9)


@pytest.mark.parametrize("mean", MEANS.values(), ids=MEANS)
def test_the_mean_of_a_dirichlet_prior_is_that_of_theta(mean: list[float]) -> None:
    made = prior("dirichlet", mean)
    expected = exact_mean(made, torch.zeros(1, 4), torch.zeros(1, 4))[0]
    assert expected.sum().item() == pytest.approx(1, abs=1e-8)
    torch.testing.assert_close(made.mean_theta().detach().double(), expected, rtol=0, atol=2e-3)
    if not any(mean):
        torch.testing.assert_close(made.mean_theta().detach(), torch.full((4,), 0.25), rtol=0, atol=1e-6)


POSTERIORS = torch.tensor([[0.0, 0.0, 0.0, 0.0], [2.0, 0.5, -1.0, -2.0], [-0.3, 1.5, 1.4, 0.0]])


@pytest.mark.parametrize("logvar", [-8.0, -3.0, 0.0])
@pytest.mark.parametrize("mean", MEANS.values(), ids=MEANS)
def test_theta_of_a_dirichlet_posterior_is_its_mean(
    mean: list[float], logvar: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exactly with many samples; with as many as are taken, as near as the posterior is narrow."""
    logvars = torch.full_like(POSTERIORS, logvar)
    few = prior("dirichlet", mean)
    monkeypatch.setattr("etm_app.nn.prior.POSTERIOR_SAMPLES", 20_000)
    many = prior("dirichlet", mean)
    expected = exact_mean(few, POSTERIORS, logvars)
    thetas = [of.posterior_theta(POSTERIORS, logvars).detach().double() for of in (many, few)]
    torch.testing.assert_close(thetas[0], expected, rtol=0, atol=2e-3)
    torch.testing.assert_close(thetas[1], expected, rtol=0, atol={-8.0: 1e-4, -3.0: 6e-3, 0.0: 0.05}[logvar])


def test_theta_of_a_normal_posterior_is_that_of_the_mean_of_delta() -> None:
    """As the paper has it, which is not the mean of theta."""
    made, logvar = prior("normal", MEANS["a mean"], 0.3), torch.zeros_like(POSTERIORS)
    expected = (made.mean + np.exp(0.3) * POSTERIORS).softmax(-1)
    torch.testing.assert_close(made.posterior_theta(POSTERIORS, logvar), expected)
    assert (expected - exact_mean(made, POSTERIORS, logvar)).abs().max() > 0.05
    torch.testing.assert_close(made.mean_theta(), made.posterior_theta(torch.zeros(1, 4), torch.zeros(1, 4))[0])


def test_only_what_is_learned_is_saved() -> None:
    assert set(Prior(3, "dirichlet", learned=True).state_dict()) == {"mean", "log_scale"}


def test_samples_are_the_same_for_every_model_and_as_many_as_said() -> None:
    """They are not saved, so a model that was loaded draws them again; nor do they change what else is random."""
    made = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        made.append(Prior(3, "dirichlet", learned=True))
        assert torch.equal(made[-1].mean_theta(), made[0].mean_theta())
        assert torch.equal(torch.get_rng_state(), state)
    thetas = [of.posterior_theta(torch.ones(1, 3), torch.zeros(1, 3)) for of in made]
    assert torch.equal(*thetas)
    assert made[0]._points.shape == (POSTERIOR_SAMPLES, 3)


def test_samples_stand_in_pairs_on_both_sides_of_the_mean() -> None:
    """So that the error of a narrow posterior is of second order: a hundredth of the width, a ten-thousandth of it."""
    made = prior("dirichlet", MEANS["a mean"])
    errors = []
    for width in (1e-1, 1e-3):
        narrow = made.posterior_theta(POSTERIORS.double(), torch.full_like(POSTERIORS.double(), 2 * np.log(width)))
        errors.append((narrow - made.theta(POSTERIORS.double())).abs().max().item())
    assert 1e-4 < errors[0] < 1e-1
    assert errors[1] == pytest.approx(errors[0] / 1e4, rel=0.1)


@pytest.mark.parametrize("kind", get_args(PriorKind))
@pytest.mark.parametrize("num_topics", [1, 3, 7])
def test_the_mean_is_alike_for_topics_that_are(num_topics: int, kind: PriorKind) -> None:
    mean = Prior(num_topics, kind, learned=True).double().mean_theta()
    torch.testing.assert_close(mean, torch.full((num_topics,), 1 / num_topics, dtype=torch.float64))


@pytest.mark.parametrize("kind", get_args(PriorKind))
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_proportions_have_no_less_than_float32(kind: PriorKind, dtype: torch.dtype) -> None:
    """As the posteriors have that the encoder gives."""
    made, at_least = Prior(3, kind, learned=True).to(dtype), torch.promote_types(dtype, torch.float32)
    posterior = torch.zeros(2, 3, dtype=at_least)
    assert made.mean_theta().dtype == made.posterior_theta(posterior, posterior).dtype == at_least


@pytest.mark.parametrize("kind", get_args(PriorKind))
def test_the_mean_is_where_the_prior_is(kind: PriorKind) -> None:
    assert Prior(3, kind, learned=True).to("meta").mean_theta().device == torch.device("meta")
