import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etm_app.metrics.matching import match_topics, on_common_words


def draw(num_topics: int, num_words: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(num_words, 0.1), num_topics)


@given(st.integers(1, 12), st.integers(0, 3), st.integers(0, 10_000))
def test_topics_in_another_order_are_found_again(num_topics: int, missing: int, seed: int) -> None:
    beta = draw(num_topics, 40, seed)
    order = np.random.default_rng(seed).permutation(num_topics)[: max(num_topics - missing, 1)]
    matching = match_topics(beta, beta[order])
    assert set(zip(matching.first, matching.second, strict=True)) == {(k, place) for place, k in enumerate(order)}
    assert np.all(np.diff(matching.first) > 0)
    np.testing.assert_allclose(matching.cosine, 1)


def test_the_whole_is_matched_best_not_the_first_pair() -> None:
    first = np.array([[0.6, 0.4, 0.0], [0.5, 0.0, 0.5]])
    second = np.array([[0.6, 0.2, 0.2], [0.1, 0.9, 0.0]])  # the first is nearest to both
    matching = match_topics(first, second)
    assert matching.second.tolist() == [1, 0]
    expected = [0.42 / (np.hypot(0.6, 0.4) * np.hypot(0.1, 0.9)), 0.4 / (np.sqrt(0.5) * np.sqrt(0.44))]
    np.testing.assert_allclose(matching.cosine, expected)


def test_a_topic_without_words_is_like_none() -> None:
    assert match_topics(np.zeros((1, 3)), draw(1, 3)).cosine == 0


def test_models_with_other_vocabularies_meet_on_the_words_they_share() -> None:
    first, second = draw(2, 3), draw(4, 3, seed=1)
    own, other, words = on_common_words(first, ["a", "b", "c"], second, ["c", "x", "a"])
    assert words == ["a", "c"]
    np.testing.assert_array_equal(own, first[:, [0, 2]])
    np.testing.assert_array_equal(other, second[:, [2, 0]])


@pytest.mark.parametrize("vocab", [[], ["x"]])
def test_no_common_words_are_no_error(vocab: list[str]) -> None:
    own, other, words = on_common_words(draw(2, 1), ["a"], np.ones((3, len(vocab))), vocab)
    assert (own.shape, other.shape, words) == ((2, 0), (3, 0), [])
    assert match_topics(own, other).cosine.tolist() == [0, 0]
