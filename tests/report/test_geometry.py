import numpy as np
import pytest

from etm_app.report.geometry import arrange, project, topic_overlap


def clusters(of: int, each: int, dimensions: int = 12) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Topics along the first axes, and words that point nearly the way of one of them: ``each`` a topic."""
    rng = np.random.default_rng(0)
    alpha = np.eye(of, dimensions, dtype=np.float32) * 3
    rho = np.repeat(alpha, each, axis=0) * 0.7 + rng.normal(0, 0.1, (of * each, dimensions)).astype(np.float32)
    return alpha, rho


def test_words_are_drawn_by_their_topics() -> None:
    alpha, rho = clusters(8, 12)
    topics, words = project(alpha, rho, rho.mean(axis=0))
    distance = np.linalg.norm(words[:, None] - topics[None], axis=2)
    assert (distance.argmin(axis=1) == np.repeat(np.arange(8), 12)).mean() > 0.95
    both = np.concatenate((topics, words))
    assert both.min(axis=0) == pytest.approx([0, 0])
    assert both.max(axis=0) == pytest.approx([1, 1])


def test_the_plane_is_always_the_same_and_does_not_mind_what_all_words_have_in_common() -> None:
    alpha, rho = clusters(5, 6)
    first, again = (project(alpha, rho, rho.mean(axis=0)) for _ in range(2))
    assert all((one == other).all() for one, other in zip(first, again, strict=True))
    moved = rho + np.float32(8)  # powers of two: exact
    shifted = project(alpha, moved, moved.mean(axis=0))
    near = np.linalg.norm(shifted[1][:, None] - shifted[0][None], axis=2).argmin(axis=1)
    assert (near == np.repeat(np.arange(5), 6)).mean() > 0.9


@pytest.mark.parametrize("num_topics", [1, 2, 5])
@pytest.mark.parametrize("num_words", [0, 1, 3])
@pytest.mark.parametrize("dimensions", [1, 2])
def test_few_points(num_topics: int, num_words: int, dimensions: int) -> None:
    rng = np.random.default_rng(0)
    alpha = rng.normal(size=(num_topics, dimensions)).astype(np.float32)
    rho = rng.normal(size=(num_words, dimensions)).astype(np.float32)
    topics, words = project(alpha, rho, np.zeros(dimensions, np.float32))
    assert topics.shape == (num_topics, 2)
    assert words.shape == (num_words, 2)
    assert np.isfinite(topics).all()
    order, group = arrange(alpha, 3)
    assert sorted(order) == list(range(num_topics))
    assert set(group) == set(range(group.max() + 1))


def test_overlap() -> None:
    beta = np.array([[0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0], [0, 0, 0.9, 0.1], [0.25, 0.25, 0.25, 0.25]], np.float32)
    overlap = topic_overlap(beta)
    assert overlap[0] == pytest.approx([1, 1, 0, np.sqrt(0.5)])
    expected = [[np.sqrt(one * other).sum() for other in beta] for one in beta]
    np.testing.assert_allclose(overlap, expected, rtol=1e-6)


def test_like_topics_have_one_group_and_stand_together() -> None:
    rng = np.random.default_rng(1)
    planted = rng.permutation(np.repeat(np.arange(4), 5))
    alpha = (3 * np.eye(4, 9)[planted] + rng.normal(0, 0.1, (20, 9))).astype(np.float32)
    order, group = arrange(alpha, 4)
    assert len({*zip(planted.tolist(), group.tolist(), strict=True)}) == 4
    assert group[order].tolist() == np.repeat(np.arange(4), 5).tolist()
    assert arrange(alpha, 2)[1].max() == 1
