from math import exp, log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from etm_app.metrics.perplexity import PERPLEXITY_DEFINITIONS, Perplexity

# Three documents of 2, 4 and 1 tokens with probabilities 1/8 each, 1/2 each and 1/4, and one without tokens.
LOG_LIKELIHOOD = torch.tensor([2 * log(1 / 8), 4 * log(1 / 2), log(1 / 4), 0.0])
TOKENS = torch.tensor([2.0, 4.0, 1.0, 0.0])
EXPECTED = {"perplexity": 2 ** ((6 + 4 + 2) / 7), "perplexity_doc_mean": 2 ** ((3 + 1 + 2) / 3)}


def perplexity(*batches: tuple[torch.Tensor, torch.Tensor]) -> dict[str, float]:
    metric = Perplexity()
    for batch in batches:
        metric.update(*batch)
    return {name: float(value) for name, value in metric.compute().items()}


def test_a_case_by_hand() -> None:
    assert perplexity((LOG_LIKELIHOOD, TOKENS)) == pytest.approx(EXPECTED)
    assert set(EXPECTED) == set(PERPLEXITY_DEFINITIONS)


@given(st.permutations(range(4)), st.integers(1, 4))
def test_batches_make_no_difference(order: list[int], size: int) -> None:
    batches = zip(LOG_LIKELIHOOD[order].split(size), TOKENS[order].split(size), strict=True)
    assert perplexity(*batches) == pytest.approx(EXPECTED)


def test_a_uniform_model_is_as_perplexed_as_there_are_words() -> None:
    tokens = torch.arange(1.0, 50.0)
    assert perplexity((-tokens * log(300), tokens)) == pytest.approx(dict.fromkeys(EXPECTED, 300))


def test_many_tokens_are_added_exactly() -> None:
    batch = torch.full((1000,), -1e6 * log(7)), torch.full((1000,), 1e6)
    assert perplexity(*[batch] * 50) == pytest.approx(dict.fromkeys(EXPECTED, 7))


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
@pytest.mark.parametrize("batches", [(), ((torch.zeros(2), torch.zeros(2)),)], ids=["no batch", "no tokens"])
def test_nothing_scored_is_nan(batches: tuple[tuple[torch.Tensor, torch.Tensor], ...]) -> None:
    assert all(value != value for value in perplexity(*batches).values())


def test_a_reset_forgets() -> None:
    metric = Perplexity()
    metric.update(LOG_LIKELIHOOD, TOKENS)
    metric.reset()
    metric.update(torch.tensor([-1.0]), torch.tensor([1.0]))
    assert float(metric.compute()["perplexity"]) == pytest.approx(exp(1))
