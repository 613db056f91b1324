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


@pytest.mark.parametrize(("frequency", "evenness"), [([0.25] * 4, 1), ([0.97, 0.01, 0.01, 0.01], 0.296)])
def test_what_topics_move_by_together_is_held_by_how_even_the_frequencies_are(
    frequency: list[float], evenness: float
) -> None:
    at, rho = torch.randn(3, 5, dtype=torch.float64), torch.zeros(4, 5, dtype=torch.float64)
    anchor = Anchor(1.0)
    anchor.place(rho, at, torch.full((4,), 0.5), torch.tensor(frequency, dtype=torch.float64))
    assert anchor.evenness().item() == pytest.approx(evenness, abs=5e-4)
    apart, together = torch.randn(3, 5, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    apart -= apart.mean(dim=0)
    held = min(1.0, anchor.evenness().item() / 0.5) ** 3
    expected = 2 * (apart.square().sum() / 3 + held * together.square().sum())
    torch.testing.assert_close(anchor.drift(rho, at + apart + together), expected)


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
    ("num_documents", "share"), [(1, 1), (2_500, 1), (20_000, 1), (40_000, 1 / 2), (200_000, 1 / 10)]
)
def test_it_gives_way_by_what_topics_leave_unexplained_and_counts_no_more_documents(
    num_documents: int, share: float
) -> None:
    batch, at, alpha = batch_of(np.array([[2, 0, 1]])), torch.zeros(3, 4).double(), torch.zeros(2, 4).double()
    anchor = placed(at, alpha, weight=0.7)
    anchor.num_documents = num_documents
    drift = anchor.drift(at + 1, alpha).item()
    assert drift == pytest.approx(3 / 2 * 4)
    for unexplained in (2.0, 1.0, 0.5, 0.1):
        likelihood = torch.tensor(3 * np.log(1 / 3) - 3 * np.log(unexplained))
        expected = 0.7 * share * min(1.0, unexplained / 0.5) ** 3 * drift
        assert anchor(at + 1, alpha, batch, likelihood).item() == pytest.approx(expected)
    # Of one topic, where every document is best explained from the beginning, always by as much.
    assert anchor(at + 1, alpha, batch, None).item() == pytest.approx(0.7 * share * 0.4 * drift)


def test_without_a_place_or_a_weight_there_is_no_penalty() -> None:
    rho, alpha, batch = torch.ones(3, 4), torch.ones(2, 4), batch_of(np.eye(3, dtype=int))
    assert not Anchor(1.0).placed
    assert placed(torch.ones(1, 1), torch.ones(1, 1)).placed
    for likelihood in (torch.tensor(-9.0), None):
        assert Anchor(1.0)(rho, alpha, batch, likelihood).item() == 0
        assert placed(rho, alpha, weight=0.0)(rho + 1, alpha, batch, likelihood).item() == 0
        assert placed(rho, alpha)(rho + 1, alpha, batch, likelihood).item() > 0


def test_no_gradient_flows_into_the_likelihood() -> None:
    batch = batch_of(np.array([[2, 0, 1]]))
    at, alpha = torch.randn(3, 4, dtype=torch.float64), torch.randn(2, 4, dtype=torch.float64)
    anchor = placed(at, alpha, weight=0.7)
    rho, likelihood = (at + 1).requires_grad_(), torch.tensor(-4.0, dtype=torch.float64, requires_grad=True)
    anchor(rho, alpha, batch, likelihood).backward()
    assert np.exp((3 * np.log(1 / 3) + 4) / 3) > 0.5  # it does not give way
    torch.testing.assert_close(rho.grad, torch.full_like(at, 0.7 * (1 / 2) * 2))
    assert likelihood.grad is None


def test_one_token_is_unexplained_as_it_is() -> None:
    anchor = placed(torch.zeros(4, 2), torch.zeros(1, 2))
    assert anchor.unexplained(batch_of(np.eye(4, dtype=int)[:1]), torch.tensor(-0.5)).item() == pytest.approx(
        np.exp(np.log(1 / 4) + 0.5)
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_frequencies_take_the_type_of_the_embeddings_after_their_logarithm(dtype: torch.dtype) -> None:
    frequency = torch.tensor([0.7, 0.2, 0.1])
    anchor = Anchor(1.0)
    anchor.place(torch.zeros(3, 2, dtype=dtype), torch.zeros(1, 2, dtype=dtype), frequency, frequency)
    assert {buffer.dtype for buffer in anchor.buffers()} == {dtype}
    expected = frequency.to(torch.promote_types(dtype, torch.float32)).log().to(dtype)
    torch.testing.assert_close(anchor.log_frequency, expected, rtol=1e-14, atol=0)


@pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter")
def test_a_place_is_where_the_embeddings_are_also_when_loaded() -> None:
    saved, elsewhere = placed(torch.ones(3, 2), torch.ones(1, 2)), torch.device("meta")
    anchor = Anchor(1.0)
    anchor.place(torch.ones(3, 2, device=elsewhere), torch.ones(1, 2, device=elsewhere), torch.ones(3), torch.ones(3))
    loaded = Anchor(1.0).to(elsewhere)
    loaded.load_state_dict(saved.state_dict())
    for of in (anchor, loaded):
        assert {buffer.device for buffer in of.buffers()} == {elsewhere}


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


def test_second_derivatives_are_refused_and_not_wrong() -> None:
    rho, alpha = torch.randn(3, 4, requires_grad=True), torch.randn(2, 4)
    penalty = placed(torch.zeros(3, 4), alpha).drift(rho, alpha).square()
    (gradient,) = torch.autograd.grad(penalty, rho, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
