import numpy as np
import pytest
import torch
from torch import Tensor

from etm_app.nn.anchor import Anchor
from tests.reference import batch_of


def placed(rho: Tensor, alpha: Tensor, document_frequency: Tensor | None = None, weight: float = 1.0) -> Anchor:
    words = torch.ones(len(rho))
    anchor = Anchor(weight)
    anchor.place(rho, alpha, words / 2 if document_frequency is None else document_frequency, words / len(rho))
    return anchor


def test_drift_is_nothing_at_the_start_and_grows_with_the_distance() -> None:
    rho, alpha = torch.randn(6, 4), torch.randn(3, 4)
    anchor = placed(rho, alpha)
    assert anchor.drift(rho, alpha).item() == 0
    rho += 1.0
    alpha[0] += 3.0
    assert anchor.drift(rho, alpha).item() == pytest.approx(6 * 0.5 * (4 * 1.0 + 4 * 9.0 / 3))


def test_drift_weighs_words_by_their_frequency() -> None:
    """Value and gradient against autograd's, in float64."""
    at, alpha = torch.randn(5, 4, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64).requires_grad_()
    frequency = torch.tensor([0.0, 0.01, 0.02, 0.3, 1.0], dtype=torch.float64)
    anchor = placed(at, alpha, frequency)
    rho = (at + torch.randn(5, 4, dtype=torch.float64)).requires_grad_()
    expected = (frequency * (rho - at).square().sum(1)).sum()
    actual = anchor.drift(rho, alpha)
    torch.testing.assert_close(actual, expected)
    actual_gradient, of_alpha = torch.autograd.grad(actual, (rho, alpha))
    torch.testing.assert_close(actual_gradient, *torch.autograd.grad(expected, rho))
    assert not of_alpha.any()


def test_what_topics_leave_unexplained_is_perplexity_over_that_of_the_frequencies() -> None:
    x = np.array([[3, 1, 0], [0, 2, 2], [0, 0, 0]])
    batch, frequency = batch_of(x), torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    anchor = Anchor(1.0)
    anchor.place(torch.zeros(3, 4).double(), torch.zeros(2, 4).double(), torch.ones(3), frequency)
    by_frequency = (torch.from_numpy(x) * frequency.log()).sum()
    assert anchor.unexplained(batch, by_frequency).item() == pytest.approx(1)
    assert anchor.unexplained(batch, torch.zeros(())).item() == pytest.approx((by_frequency / 8).exp().item())
    nothing = batch_of(np.zeros((2, 3), np.int64))
    assert anchor.unexplained(nothing, torch.zeros(())).item() == 1


@pytest.mark.parametrize(
    ("num_documents", "expected"),
    [
        (10, [2, 2, 2 / 2**0.012]),
        (2_500, [2, 2, 2 / 2**3]),
        (5_000, [2, 2, 2 / 2**6]),
        (20_000, [2, 2, 2 / 2**6]),
        (200_000, [0.2, 0.2, 0.2 / 2**6]),
    ],
)
def test_it_gives_way_where_topics_explain_many_documents(num_documents: int, expected: list[float]) -> None:
    """By what the topics leave unexplained of the words: all, a half, a quarter."""
    anchor = Anchor(2.0)
    anchor.num_documents = num_documents
    strength = [anchor.strength(torch.tensor(unexplained)).item() for unexplained in (1.0, 0.5, 0.25)]
    assert strength == pytest.approx(expected)


def test_without_a_place_or_a_weight_there_is_no_penalty() -> None:
    rho, alpha, batch, likelihood = torch.ones(3, 4), torch.ones(2, 4), batch_of(np.eye(3, dtype=int)), torch.zeros(())
    assert not Anchor(1.0).placed
    assert Anchor(1.0)(rho, alpha, batch, likelihood).item() == 0
    assert placed(rho, alpha, weight=0.0)(rho + 1, alpha, batch, likelihood).item() == 0
    assert placed(rho, alpha)(rho + 1, alpha, batch, torch.tensor(-9.0)).item() > 0


@pytest.mark.parametrize("from_placed", [True, False])
@pytest.mark.parametrize("into_placed", [True, False])
def test_it_is_saved_and_loaded(from_placed: bool, into_placed: bool) -> None:
    def make(is_placed: bool) -> Anchor:
        return placed(torch.randn(3, 4), torch.randn(2, 4)) if is_placed else Anchor(1.0)

    saved, loaded = make(from_placed), make(into_placed)
    loaded.load_state_dict(saved.state_dict())
    assert loaded.placed == from_placed
    for name, value in saved.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)
