from collections.abc import Iterator
from itertools import combinations
from math import log

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from etm_app.metrics.coherence import document_frequency, npmi_coherence, reference_coherence, topic_diversity
from tests.strategies import counts

# Four documents and an empty one: words 0 and 1 always together in half of them, 2 in all, 3 alone in one, 4 in none.
X = np.array([[1, 2, 1, 0, 0], [3, 1, 1, 0, 0], [0, 0, 5, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 0]])


def chunks(x: NDArray[np.int64], size: int = 2) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int32]]]:
    for start in range(0, len(x), size):
        rows = sp.csr_array(x[start : start + size])
        yield rows.indptr.astype(np.int64), rows.indices.astype(np.int32)


def coherence(topics: list[list[int]], x: NDArray[np.int64] = X) -> list[float]:
    return npmi_coherence(np.array(topics), chunks(x), x.shape[1]).tolist()


def npmi(i: int, j: int, x: NDArray[np.int64]) -> float:
    """The definition, for one pair."""
    there = x[x.sum(axis=1) > 0] > 0
    first, second, both = there[:, i].mean(), there[:, j].mean(), (there[:, i] & there[:, j]).mean()
    if both in (0, 1):
        return 2.0 * both - 1
    return log(both / (first * second)) / -log(both)


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        ((0, 1), log((1 / 2) / (1 / 4)) / log(2)),  # always together: 1
        ((0, 2), log((1 / 2) / (1 / 2)) / log(2)),  # by chance: 0
        ((2, 3), log((1 / 4) / (1 / 4)) / log(4)),  # by chance: 0
        ((0, 3), -1.0),  # never together
        ((0, 4), -1.0),  # nowhere at all
    ],
)
def test_pairs_by_hand(pair: tuple[int, int], expected: float) -> None:
    assert coherence([[*pair]]) == pytest.approx([expected])
    assert coherence([[*reversed(pair)]]) == pytest.approx([expected])


def test_a_topic_is_the_mean_of_its_pairs() -> None:
    assert coherence([[0, 1, 3], [2, 0, 1]]) == pytest.approx([(1 - 1 - 1) / 3, (0 + 0 + 1) / 3])


def test_words_in_every_document_are_coherent() -> None:
    assert coherence([[0, 1]], np.ones((3, 2), np.int64)) == [1.0]


@given(counts(max_documents=12), st.integers(1, 5), st.data())
def test_coherence_is_the_definition(x, size, data) -> None:  # type: ignore[no-untyped-def]
    v = x.shape[1]
    topics = np.array(data.draw(st.lists(st.permutations(range(v)), min_size=1, max_size=3)))
    values = npmi_coherence(topics, chunks(x, size), v)
    if v == 1 or not x.any():
        assert np.isnan(values).all()
        return
    expected = [np.mean([npmi(i, j, x) for i, j in combinations(topic, 2)]) for topic in topics]
    np.testing.assert_allclose(values, expected, atol=1e-12)
    assert ((values >= -1 - 1e-12) & (values <= 1 + 1e-12)).all()


def test_ten_words_of_a_topic_count() -> None:
    x = np.random.default_rng(0).integers(0, 2, size=(30, 14))
    assert coherence([list(range(14))], x) == coherence([list(range(10))], x)
    assert coherence([list(range(9))], x) != coherence([list(range(10))], x)


@given(counts(max_documents=12), st.integers(1, 5), st.data())
def test_frequencies_are_the_dense_product(x, size, data) -> None:  # type: ignore[no-untyped-def]
    words = np.array(data.draw(st.lists(st.integers(0, x.shape[1] - 1), unique=True, min_size=1)))
    pairs = np.stack(np.meshgrid(np.arange(len(words)), np.arange(len(words))), axis=-1)
    frequency, together, num_documents = document_frequency(chunks(x, size), words, pairs, x.shape[1])
    there = (x[:, words] > 0).astype(np.int64)
    np.testing.assert_array_equal(together, there.T @ there)
    np.testing.assert_array_equal(frequency, there.sum(axis=0))
    assert frequency.dtype == together.dtype == np.int64
    assert num_documents == np.count_nonzero(x.sum(axis=1))


def test_frequencies_in_many_documents() -> None:
    x = np.random.default_rng(0).integers(0, 2, size=(1000, 6))
    for size in (1, 63, 64, 65, 1000):
        frequency, together, _ = document_frequency(chunks(x, size), np.array([4, 1]), np.array([[0, 1], [1, 1]]), 6)
        assert frequency.tolist() == [x[:, 4].sum(), x[:, 1].sum()]
        assert together.tolist() == [x[:, 4] @ x[:, 1], x[:, 1].sum()]


@pytest.mark.parametrize(
    ("topics", "expected"),
    [([[0, 1], [2, 3]], 1.0), ([[0, 1], [1, 0]], 0.5), ([[0, 1, 2], [2, 3, 4]], 5 / 6), ([[7]], 1.0)],
)
def test_diversity_by_hand(topics: list[list[int]], expected: float) -> None:
    assert topic_diversity(np.array(topics)) == pytest.approx(expected)


def test_twenty_five_words_of_a_topic_count() -> None:
    topics = np.stack([np.arange(30), np.r_[np.arange(100, 125), np.arange(5)]])
    assert topic_diversity(topics) == 1.0
    assert topic_diversity(np.roll(topics, 5, axis=1)) == pytest.approx(45 / 50)


# In another corpus


def in_reference(topics: list[list[int]], x: NDArray[np.int64] = X) -> dict[str, list[float]]:
    found = reference_coherence(np.array(topics), chunks(x), x.shape[1])
    return {name: values.tolist() for name, values in found.items()}


def test_reference_by_hand() -> None:
    """In X, p = 1/2 for words 0 and 1 and for both, 1 for word 2, 1/4 for word 3."""
    found = in_reference([[0, 1], [2, 3], [3, 2], [0, 3]])
    assert found["npmi"] == pytest.approx([1, 0, 0, -1])
    assert found["umass"] == pytest.approx([0, log(1 / 4), 0, log(1e-12 / (1 / 2))], abs=1e-9)
    assert found["cv"][0] == pytest.approx(1)
    never = log(1e-12 * 8) / -log(1e-12)  # their NPMI, where 1e-12 stands for 0
    assert found["cv"][3] == pytest.approx((1 + never) / (2**0.5 * (1 + never**2) ** 0.5))
    assert found["known"] == [[True, True]] * 4


@pytest.mark.parametrize("lacking", [-1, 4])
def test_words_that_the_reference_lacks_are_left_out(lacking: int) -> None:
    """-1 is not in its vocabulary, 4 in none of its documents."""
    without = in_reference([[0, 1, 3]])
    found = in_reference([[0, lacking, 1, 3], [lacking, 2, lacking, lacking]])
    for name in ("npmi", "cv", "umass"):
        assert found[name][0] == pytest.approx(without[name][0])
        assert np.isnan(found[name][1])
    assert found["known"] == [[True, False, True, True], [False, True, False, False]]


def test_a_reference_of_one_document() -> None:
    found = in_reference([[0, 1], [1, 2]], np.array([[1, 4, 0]]))
    assert found["npmi"] == pytest.approx([1, np.nan], nan_ok=True)
    assert found["umass"] == pytest.approx([0, np.nan], abs=1e-9, nan_ok=True)
    assert found["known"] == [[True, True], [True, False]]


@pytest.mark.parametrize(
    ("topics", "x"),
    [([[-1, -1], [-1, -1]], X), ([[0, 1], [2, 1]], np.zeros((3, 4), np.int64))],
    ids=["no word", "empty"],
)
def test_nothing_is_known_of_topics_that_the_reference_lacks(topics: list[list[int]], x: NDArray[np.int64]) -> None:
    found = reference_coherence(np.array(topics), chunks(x), x.shape[1])
    assert set(found) == {"npmi", "cv", "umass", "known"}
    assert all(found[name].shape == (2,) and np.isnan(found[name]).all() for name in ("npmi", "cv", "umass"))
    assert found["known"].dtype == bool
    assert not found["known"].any()


def test_ten_words_of_a_topic_count_in_the_reference() -> None:
    x = np.random.default_rng(0).integers(0, 2, size=(30, 14))
    assert in_reference([list(range(14))], x) == in_reference([list(range(10))], x)


def cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


@given(counts(max_documents=12), st.integers(1, 5))
def test_reference_coherences_are_their_definitions(x, size) -> None:  # type: ignore[no-untyped-def]
    """A topic of all words, by loops over its words."""
    found = reference_coherence(np.arange(x.shape[1])[None, :], chunks(x, size), x.shape[1])
    there = x[x.any(axis=1)] > 0
    words = [word for word in range(x.shape[1]) if x[:, word].any()][:10]
    assert found["known"].tolist() == [[word in words for word in range(x.shape[1])][:10]]
    if len(words) < 2:
        return

    def p(*of: int) -> float:
        return float(there[:, of].all(axis=1).mean())

    umass = [log((p(i, j) + 1e-12) / p(i)) for i, j in combinations(words, 2)]
    context = np.array([[log((p(i, j) + 1e-12) / (p(i) * p(j))) / -log(p(i, j) + 1e-12) for j in words] for i in words])
    assert found["npmi"] == pytest.approx(np.mean([npmi(i, j, x) for i, j in combinations(words, 2)]))
    assert found["umass"] == pytest.approx(np.mean(umass), abs=1e-9)
    assert found["cv"] == pytest.approx(np.mean([cosine(row, context.sum(axis=0)) for row in context]))


@given(counts(max_documents=12), st.integers(1, 5))
def test_reference_npmi_is_that_of_the_training_documents_for_known_words(x, size) -> None:  # type: ignore[no-untyped-def]
    (known,) = np.nonzero(x.any(axis=0))
    if len(known) < 2:
        return
    topics = np.stack([known, known[::-1]])
    found = reference_coherence(topics, chunks(x, size), x.shape[1])
    np.testing.assert_allclose(found["npmi"], npmi_coherence(topics, chunks(x), x.shape[1]))
    assert (found["umass"] <= 1e-9).all()
    assert np.isfinite(found["cv"]).all()


def test_gensim_finds_the_same() -> None:
    """With a window that spans whole documents; NPMI where every pair is together somewhere, as gensim smoothes it."""
    models = pytest.importorskip("gensim.models", reason="gensim is of the extra bench")
    corpora = pytest.importorskip("gensim.corpora")
    rng = np.random.default_rng(0)
    x = rng.poisson(rng.gamma(0.6, 1.0, size=(80, 14)))
    x = x[x.any(axis=1)]
    topics = np.array([rng.permutation(14)[:10] for _ in range(6)])
    ours = reference_coherence(topics, chunks(x, 30), 14)
    texts = [[f"w{word}" for word in np.repeat(np.arange(14), row)] for row in x]
    dictionary = corpora.Dictionary(texts)
    words = [[f"w{word}" for word in topic] for topic in topics]
    for name, theirs in (("cv", "c_v"), ("umass", "u_mass"), ("npmi", "c_npmi")):
        model = models.CoherenceModel(
            topics=words, texts=texts, dictionary=dictionary, coherence=theirs, window_size=10_000, processes=1
        )
        assert ours[name] == pytest.approx(model.get_coherence_per_topic(), rel=1e-9, abs=1e-9), name
    rare = x.copy()
    rare[:, 13] = 0
    rare[:3] = np.eye(14, dtype=int)[13]  # never with another
    texts = [[f"w{word}" for word in np.repeat(np.arange(14), row)] for row in rare if row.any()]
    ours = reference_coherence(topics, chunks(rare), 14)
    for name, theirs in (("cv", "c_v"), ("umass", "u_mass")):
        model = models.CoherenceModel(
            topics=words, texts=texts, dictionary=dictionary, coherence=theirs, window_size=10_000, processes=1
        )
        assert ours[name] == pytest.approx(model.get_coherence_per_topic(), rel=1e-6), name
