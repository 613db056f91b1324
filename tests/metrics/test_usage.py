import numpy as np
import pytest
import torch

from etm_app.metrics.usage import TopicUsage, active_topics, duplicate_topics


def test_means_over_the_documents_with_words() -> None:
    metric = TopicUsage(2)
    metric.update(torch.tensor([[0.2, 0.8]]), torch.tensor([[1.0, 3.0]]), torch.tensor([True]))
    theta, kl = torch.tensor([[0.6, 0.4], [0.5, 0.5]]), torch.tensor([[5.0, 1.0], [9.0, 9.0]])
    metric.update(theta, kl, torch.tensor([True, False]))
    values = {name: value.tolist() for name, value in metric.compute().items()}
    assert values == {"share": pytest.approx([0.4, 0.6]), "kl": pytest.approx([3.0, 2.0])}


def test_nothing_without_documents() -> None:
    assert TopicUsage(3).compute() == {}


def test_a_topic_is_active_from_a_tenth_of_its_part() -> None:
    assert active_topics(torch.tensor([0.9, 0.07, 0.026, 0.004])) == 3
    assert active_topics(torch.tensor([0.925, 0.1 / 4, 0.1 / 4, 0.0249], dtype=torch.float64)) == 3


def test_a_single_topic_is_active() -> None:
    metric = TopicUsage(1)
    metric.update(torch.ones(3, 1), torch.zeros(3, 1), torch.ones(3, dtype=torch.bool))
    assert active_topics(metric.compute()["share"]) == 1


def test_pairs_are_duplicates_from_eight_words_of_ten() -> None:
    first = np.arange(10)
    eight, seven = np.r_[first[:8], 20, 21], np.r_[first[:7], 30, 31, 32]
    assert duplicate_topics(np.array([first, eight, seven, first[::-1]])) == 3  # the first, eight and the reverse
    assert duplicate_topics(np.array([first])) == 0


def test_ten_words_of_a_topic_count_as_duplicates() -> None:
    """Seven of the first ten are shared, and the eleventh."""
    one = np.r_[np.arange(7), 10, 11, 12, 40]
    assert duplicate_topics(np.array([one, np.r_[np.arange(7), 20, 21, 22, 40]])) == 0
