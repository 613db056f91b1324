"""Where words are placed that a model does not know."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logsumexp

from etm_app.nn.new_words import place_words
from etm_app.nn.warm_start import warm_start
from tests.nn.test_warm_start import block_counts

BLOCKS, WORDS = 5, 8


@pytest.fixture(scope="module")
def corpus() -> tuple[sp.csr_array, np.ndarray, np.ndarray, np.ndarray]:
    """Counts, rho, alpha and theta where each document is of one block of words; the last word of each is new."""
    counts = block_counts(BLOCKS, WORDS, 400)
    rho, alpha = warm_start(counts, BLOCKS, 12, 2.0, 1)
    of_blocks = counts.toarray().reshape(400, BLOCKS, WORDS).sum(axis=2)
    block_of_topic = (alpha @ rho.T).argmax(axis=1) // WORDS
    theta = np.eye(BLOCKS, dtype=np.float32)[of_blocks.argmax(axis=1)][:, block_of_topic]
    return counts, rho, alpha, theta


def test_a_word_is_placed_among_those_of_its_documents(
    corpus: tuple[sp.csr_array, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    counts, rho, alpha, theta = corpus
    is_new = np.arange(BLOCKS * WORDS) % WORDS == WORDS - 1
    known, new = counts[:, ~is_new], counts[:, is_new]
    placed = place_words(rho[~is_new], alpha, known, new, theta)
    cosine = placed @ rho[~is_new].T / np.linalg.norm(placed, axis=1)[:, None]
    nearest = cosine.argsort(axis=1)[:, -(WORDS - 1) :] // (WORDS - 1)
    assert (nearest == np.arange(BLOCKS)[:, None]).all()


def test_a_topic_has_it_for_each_known_word_as_its_documents_do() -> None:
    rng = np.random.default_rng(0)
    rho, alpha = (rng.normal(size=(of, 12)).astype(np.float32) for of in (20, 4))
    theta = rng.dirichlet(np.full(4, 0.3), 200).astype(np.float32)
    known, new = (sp.csr_array(rng.poisson(rate, (200, of)).astype(np.int32)) for rate, of in ((2.0, 20), (0.2, 3)))
    placed = place_words(rho, alpha, known, new, theta)
    ratio = np.exp(placed @ alpha.T - logsumexp(alpha @ rho.T, axis=1))
    np.testing.assert_allclose(ratio, (new.T @ theta) / (known.sum(axis=1) @ theta), rtol=0.1)


@settings(max_examples=30)
@given(st.integers(1, 8), st.integers(1, 6), st.integers(1, 4), st.integers(1, 5), st.integers(1, 6), st.data())
def test_any_counts_give_finite_places(
    documents: int, words: int, new: int, topics: int, size: int, data: st.DataObject
) -> None:
    counts = [
        np.array(data.draw(st.lists(st.integers(0, 3), min_size=documents * of, max_size=documents * of)), np.int32)
        for of in (words, new)
    ]
    known, others = (sp.csr_array(of.reshape(documents, -1)) for of in counts)
    rng = np.random.default_rng(0)
    rho, alpha = rng.normal(size=(words, size)).astype(np.float32), np.ones((topics, size), np.float32)
    theta = rng.dirichlet(np.ones(topics), documents).astype(np.float32)
    placed = place_words(rho, alpha, known, others, theta)
    assert placed.shape == (new, size)
    assert placed.dtype == np.float32
    assert np.isfinite(placed).all()
