"""Documents that are no longer there: what their expected counts do to a loss."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from etm_app.nn.memory import Memory


def topics(num_words: int = 7, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of words [V, K] and of sizes [K], float64, with gradients."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(num_words, 3, dtype=torch.float64, generator=generator)
    return logits.requires_grad_(), torch.randn(3, dtype=torch.float64, generator=generator).requires_grad_()


def remembering(logits: torch.Tensor, sizes: torch.Tensor) -> Memory:
    memory = Memory()
    memory.place(logits.softmax(0), sizes.softmax(0))
    memory.num_documents, memory.num_tokens = 30, 600
    return memory


def test_the_loss_is_the_mean_over_the_documents_and_what_is_expected_of_those_before() -> None:
    before, now = topics(), topics(seed=1)
    loss = remembering(*before)(torch.tensor(5.0), 10, now[0].softmax(0), now[1].log_softmax(0), 1)
    (beta, pi), (log_beta, log_pi) = [
        [part.detach().numpy() for part in parts]
        for parts in ((before[0].softmax(0), before[1].softmax(0)), (now[0].log_softmax(0), now[1].log_softmax(0)))
    ]
    expected = 10 * 5.0 - sum(
        pi[k] * (600 * sum(beta[v, k] * log_beta[v, k] for v in range(7)) + 30 * log_pi[k]) for k in range(3)
    )
    np.testing.assert_allclose(loss.item(), expected / 40)


def test_topics_as_they_are_remembered_are_where_it_pulls_to() -> None:
    logits, sizes = topics()
    memory = remembering(logits, sizes)
    constant = torch.zeros((), dtype=torch.float64)
    memory(constant, 10, logits.softmax(0), sizes.log_softmax(0), 1).backward()
    assert max(logits.grad.abs().max(), sizes.grad.abs().max()) < 1e-12
    others = [topics(seed=seed) for seed in range(1, 20)]
    least = memory(constant, 10, logits.softmax(0), sizes.log_softmax(0), 1)
    assert all(memory(constant, 10, own[0].softmax(0), own[1].log_softmax(0), 1) > least for own in others)


def test_of_words_that_were_not_known_nothing_is_remembered() -> None:
    logits, sizes = topics()
    memory = remembering(logits, sizes)
    constant = torch.zeros((), dtype=torch.float64)
    known = memory(constant, 10, logits.softmax(0), sizes.log_softmax(0), 1)
    grown = torch.cat((logits, topics(4, seed=2)[0]))
    torch.testing.assert_close(memory(constant, 10, grown.softmax(0), sizes.log_softmax(0), 1), known)


def counting(loss: torch.Tensor, words: torch.Tensor, scale: float = 1.0) -> Memory:
    memory = Memory()
    beta = words.detach().softmax(0).requires_grad_()
    (memory(loss - beta.log().sum(), 10, beta, None, 10) * scale).backward()
    return memory


def test_counts_are_not_of_the_scale_of_half_precision() -> None:
    words, loss = topics()[0], torch.tensor(5.0)
    plain, scaled, too_much = counting(loss, words), counting(loss, words, 2.0**16), counting(loss, words, float("inf"))
    plain.count(1)
    scaled.count(1, 2.0**16)
    too_much.count(1, float("inf"))
    torch.testing.assert_close(scaled.counts, plain.counts)
    assert not too_much.counts.any()


def test_a_step_that_was_broken_off_can_be_copied() -> None:
    memory = deepcopy(counting(torch.tensor(5.0), topics()[0]))
    memory.count(1)
    assert not memory.counts.numel()


@pytest.mark.parametrize("counts", [torch.zeros(7, 3), -torch.ones(7, 3)])
def test_counts_that_are_none_leave_what_the_topics_expect(counts: torch.Tensor) -> None:
    memory, logits = Memory(), topics()[0]
    memory.counts = counts.double()
    memory.place(logits.softmax(0), torch.full((3,), 1 / 3).double())
    torch.testing.assert_close(memory.words, logits.softmax(0).detach() / 3)


def test_without_documents_before_the_loss_stays() -> None:
    logits, sizes = topics()
    loss = torch.tensor(5.0)
    assert Memory()(loss, 10, logits.softmax(0), sizes.log_softmax(0), 1) is loss
    encoded = remembering(logits, sizes)(loss, 10, topics(seed=1)[0].softmax(0), None, 1)
    assert encoded.isfinite()
