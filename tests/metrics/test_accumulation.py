"""What the metrics that add up over batches and processes have in common."""

from collections.abc import Callable
from typing import TypeVar

import pytest
import torch
from torchmetrics import Metric

from etm_app.metrics.elbo import Elbo
from etm_app.metrics.perplexity import Perplexity
from etm_app.metrics.usage import TopicUsage

AMetric = TypeVar("AMetric", bound=Metric)


def two_processes(make: Callable[[], AMetric], one: tuple[object, ...], other: tuple[object, ...]) -> AMetric:
    """A metric of the first of two processes, each with a batch; the states are exchanged when it is computed."""
    first, second = make(), make()
    first.update(*one)
    second.update(*other)
    theirs = iter(second.metric_state.values())
    first.dist_sync_fn = lambda ours, group: [ours, next(theirs)]
    first.distributed_available_fn = lambda: True
    return first


def one_process(make: Callable[[], AMetric], *batches: tuple[object, ...]) -> AMetric:
    metric = make()
    for batch in batches:
        metric.update(*batch)
    return metric


def values(metric: Metric) -> dict[str, object]:
    return {name: value.tolist() for name, value in metric.compute().items()}


BATCHES: dict[str, tuple[Callable[[], Metric], tuple[object, ...], tuple[object, ...]]] = {
    "elbo": (Elbo, (torch.tensor(30.0), torch.tensor(6.0), 3), (torch.tensor(50.0), torch.tensor(2.0), 1)),
    "perplexity": (
        Perplexity,
        (torch.tensor([-3.0, -8.0]), torch.tensor([1.0, 5.0])),
        (torch.tensor([-2.0]), torch.tensor([2.0])),
    ),
    "usage": (
        lambda: TopicUsage(2),
        (torch.tensor([[0.2, 0.8], [0.3, 0.7]]), torch.tensor([[1.0, 3.0], [2.0, 0.0]]), torch.tensor([True, True])),
        (torch.tensor([[0.9, 0.1]]), torch.tensor([[4.0, 5.0]]), torch.tensor([True])),
    ),
}


@pytest.mark.parametrize(("make", "one", "other"), BATCHES.values(), ids=BATCHES)
def test_two_processes_find_what_one_finds(
    make: Callable[[], Metric], one: tuple[object, ...], other: tuple[object, ...]
) -> None:
    expected = one_process(make, one, other)
    assert values(two_processes(make, one, other)) == values(expected)
    assert all(state.dtype == torch.float64 for state in expected.metric_state.values())


BIG = 2.0**24  # float32 has no number between this and the next even one

LARGE: dict[str, tuple[Callable[[], Metric], tuple[object, ...], tuple[object, ...], dict[str, object]]] = {
    "elbo": (
        Elbo,
        (torch.tensor(BIG), torch.tensor(BIG), int(BIG)),
        (torch.tensor(1.0), torch.tensor(1.0), 1),
        {"elbo": -2.0, "reconstruction_loss": 1.0, "kl": 1.0},
    ),
    "elbo of one": (
        Elbo,
        (torch.tensor(BIG), torch.tensor(BIG), 1),
        (torch.tensor(1.0), torch.tensor(1.0), 0),
        {"elbo": -2 * BIG - 2, "reconstruction_loss": BIG + 1, "kl": BIG + 1},
    ),
    "usage": (
        lambda: TopicUsage(2),
        (torch.tensor([[BIG, 0.0]]), torch.tensor([[0.0, BIG]]), torch.tensor([True])),
        (torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), torch.tensor([True])),
        {"share": [(BIG + 1) / 2, 0.0], "kl": [0.0, (BIG + 1) / 2]},
    ),
}


@pytest.mark.parametrize(("make", "large", "small", "expected"), LARGE.values(), ids=LARGE)
def test_a_small_batch_after_large_ones_is_not_lost(
    make: Callable[[], Metric], large: tuple[object, ...], small: tuple[object, ...], expected: dict[str, object]
) -> None:
    assert values(one_process(make, large, small)) == expected
