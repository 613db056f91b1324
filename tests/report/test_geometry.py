import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from etm_app.nn.merging import topic_similarity
from etm_app.report.geometry import arrange, faithfulness, project, word_places
from tests.report.models import random_model


def planted(families: int, each: int, num_words: int = 120) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Topics of words in common with their family, and a few of their own; [K, V] and the family of each."""
    rng = np.random.default_rng(0)
    family = rng.permutation(np.repeat(np.arange(families), each))
    logits = rng.normal(0, 1, (families, num_words))[family] + rng.normal(0, 0.4, (families * each, num_words))
    beta = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return beta.astype(np.float32), family


def test_similarity_is_the_correlation_over_tokens() -> None:
    beta, _ = planted(3, 4)
    counts = np.random.default_rng(1).integers(1, 9, beta.shape[1])
    tokens = np.repeat(np.log(beta) - np.log(beta).mean(axis=0), counts, axis=1)  # a column for each token
    np.testing.assert_allclose(topic_similarity(beta, counts.astype(float)), np.corrcoef(tokens), atol=1e-5)


def test_similarity_is_the_cosine_of_embeddings_in_the_metric_of_the_words() -> None:
    rng = np.random.default_rng(0)
    rho, alpha = rng.normal(size=(60, 5)), rng.normal(size=(7, 5))
    logits = alpha @ rho.T
    beta = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
    weight = rng.random(60)
    centered = alpha - alpha.mean(axis=0)
    inner = centered @ np.cov(rho.T, aweights=weight) @ centered.T
    cosine = inner / np.sqrt(np.outer(inner.diagonal(), inner.diagonal()))
    np.testing.assert_allclose(topic_similarity(beta, weight), cosine, atol=1e-4)


def test_a_model_weighs_words_as_training_had_them() -> None:
    model = random_model([f"w{number}" for number in range(40)])
    beta, frequency = model.beta.numpy(), model.log_frequency.double().exp().numpy()
    np.testing.assert_array_equal(model.topic_similarity, topic_similarity(beta, frequency))
    model.log_frequency[3] = 0  # no token
    frequency[3] = 0
    np.testing.assert_array_equal(model.topic_similarity, topic_similarity(beta, frequency))
    model.log_frequency.zero_()  # not known
    np.testing.assert_array_equal(model.topic_similarity, topic_similarity(beta, beta.mean(axis=0)))


def test_like_topics_have_one_group_and_stand_together() -> None:
    beta, family = planted(4, 6)
    order, (group, part) = arrange(topic_similarity(beta, np.ones(beta.shape[1])), 4, 8)
    assert len({*zip(family.tolist(), group.tolist(), strict=True)}) == 4
    assert group[order].tolist() == np.repeat(np.arange(4), 6).tolist()
    assert len(set(part.tolist())) == 8
    assert len({*zip(group.tolist(), part.tolist(), strict=True)}) == 8  # each part is of one group


def test_the_map_puts_a_family_together_and_says_what_it_is_worth() -> None:
    beta, family = planted(5, 8)
    similarity = topic_similarity(beta, np.ones(beta.shape[1]))
    points = project(similarity)
    np.testing.assert_array_equal(points, project(similarity))
    assert points.min(axis=0) == pytest.approx([0, 0])
    assert points[:, 0].max() == pytest.approx(1)
    assert points[:, 1].max() <= 1
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    assert (family[distance.argmin(axis=1)] == family).mean() > 0.95
    worth = faithfulness(similarity, points)
    others = [[other for other in np.argsort(-similarity[topic]) if other != topic][:5] for topic in range(40)]
    near = np.argsort(distance, axis=1)[:, :10]
    assert worth == pytest.approx(
        np.mean([len({*own} & {*found.tolist()}) / 5 for own, found in zip(others, near, strict=True)])
    )
    assert worth > 0.8
    at_random = [faithfulness(similarity, np.random.default_rng(seed).random((40, 2))) for seed in range(20)]
    assert np.mean(at_random) == pytest.approx(10 / 39, abs=0.05)  # type: ignore[arg-type]
    assert faithfulness(similarity[:11, :11], points[:11]) is None


def test_words_stand_among_their_topics() -> None:
    points = np.array([[0.0, 0], [1, 0], [0, 1]])
    joint = np.array([[0.2, 0.1, 0], [0, 0.1, 0], [0, 0, 0]])
    np.testing.assert_allclose(word_places(joint, points), [[0, 0], [0.5, 0], [0, 0]])


@given(npst.arrays(np.float32, st.tuples(st.integers(1, 7), st.integers(1, 4)), elements=st.floats(0, 1, width=32)))
def test_odd_topics(weights: NDArray[np.float32]) -> None:
    beta = (weights + np.float32(1e-30)) / (weights + np.float32(1e-30)).sum(axis=1, keepdims=True)
    similarity = topic_similarity(beta, np.ones(beta.shape[1]))
    assert np.isfinite(similarity).all()
    assert (np.abs(similarity) <= 1).all()
    assert (similarity == similarity.T).all()
    order, (group,) = arrange(similarity, 3)
    assert sorted(order) == list(range(len(beta)))
    assert set(group.tolist()) == set(range(group.max() + 1))
    points = project(similarity)
    assert points.shape == (len(beta), 2)
    assert np.isfinite(points).all()
