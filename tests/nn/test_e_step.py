"""Expectation steps against enumeration, and a document after the other in float64."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from numpy.typing import NDArray
from scipy import special
from torch import Tensor

from etm_app.nn.e_step import EStep
from tests import reference
from tests.planted import planted_counts
from tests.reference import assert_close, batch_of
from tests.strategies import EDGE_CASES, counts, over_corpora

PRIOR = np.array([0.5, 0.3, 0.2])
K = len(PRIOR)
both = pytest.mark.parametrize("several", [False, True], ids=["one topic", "several"])
edge_cases = pytest.mark.parametrize("x", [*EDGE_CASES.values(), planted_counts(12)], ids=[*EDGE_CASES, "planted"])


def e_step(several: bool, prior: NDArray[np.float64] = PRIOR, vector_size: int = 0) -> EStep:
    found = EStep(len(prior), several, vector_size).double()
    with torch.no_grad():
        found.size.copy_(torch.tensor(prior).log() + 3)  # a constant changes nothing
    return found


def topics(vocab_size: int, num_topics: int = K) -> NDArray[np.float64]:
    """Some topics, [K, V]."""
    rng = np.random.default_rng(vocab_size)
    beta: NDArray[np.float64] = rng.dirichlet(np.full(vocab_size, 0.5), size=num_topics)
    return np.maximum(beta, 1e-12)


def by_word(beta: NDArray[np.float64], dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.tensor(beta.T.copy()).to(dtype)


def theta_of(step: EStep, x: NDArray[np.int64], beta: Tensor) -> Tensor:
    batch = batch_of(x, with_gradients=False)
    return step.theta(batch, batch.counts, beta)


# One topic


def test_two_documents_by_hand() -> None:
    beta = np.array([[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]])
    batch = batch_of(np.array([[2, 1], [0, 1]]))
    joint = np.array([[0.5 * 0.125, 0.3 * 0.081, 0.2 * 0.032], [0.5 * 0.5, 0.3 * 0.1, 0.2 * 0.8]])
    found = e_step(False).evaluate(batch, by_word(beta))
    np.testing.assert_allclose(found.theta, joint / joint.sum(1, keepdims=True), rtol=1e-12)
    assert (found.log_likelihood - found.kl.sum()).item() == pytest.approx(np.log(joint.sum(1)).sum(), rel=1e-12)


@over_corpora
def test_of_one_topic_every_one_is_tried(x: NDArray[np.int64]) -> None:
    beta = topics(x.shape[1])
    theta, log_likelihood, kl = e_step(False).evaluate(batch_of(x), by_word(beta))
    joint = np.log(PRIOR) + special.xlogy(x[:, None], beta).sum(axis=2)  # [B, K]
    posterior = special.softmax(joint, axis=1)
    np.testing.assert_allclose(theta, posterior, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(kl.sum(1), special.rel_entr(posterior, PRIOR).sum(axis=1), rtol=1e-9, atol=1e-12)
    assert (kl >= -1e-15).all()
    evidence = special.logsumexp(joint, axis=1).sum()
    assert (log_likelihood - kl.sum()).item() == pytest.approx(evidence, rel=1e-9, abs=1e-12)


# Several


@both
@over_corpora
def test_steps_are_those_of_the_reference(several: bool, x: NDArray[np.int64]) -> None:
    beta, batch = topics(x.shape[1]), batch_of(x)
    found, expected = e_step(several).evaluate(batch, by_word(beta)), reference.infer(x, beta, PRIOR, several)
    np.testing.assert_allclose(found.theta, expected.theta, rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(theta_of(e_step(several), x, by_word(beta)), found.theta, rtol=0, atol=0)
    assert found.log_likelihood.item() == pytest.approx(expected.log_likelihood, rel=1e-7, abs=1e-9)
    np.testing.assert_allclose(found.kl.sum(1), expected.kl, rtol=1e-6, atol=1e-8)
    assert (found.kl >= -1e-15).all()


def log_evidence(x: NDArray[np.int64], beta: NDArray[np.float64], prior: NDArray[np.float64]) -> float:
    """Over all topics that the tokens of a document can have, theta ~ Dirichlet(prior) integrated."""
    tokens, parts = np.repeat(np.arange(len(x)), x), []
    for of in product(range(len(prior)), repeat=len(tokens)):
        n = np.bincount(of, minlength=len(prior))
        weight = special.gammaln(prior + n) - special.gammaln(prior)
        total = special.gammaln(prior.sum()) - special.gammaln(prior.sum() + len(tokens))
        parts.append(weight.sum() + total + np.log(beta[list(of), tokens]).sum())
    return float(special.logsumexp(parts))


@given(counts(max_words=4, max_count=2).filter(lambda x: x.sum(1).max() <= 4))
@settings(max_examples=40)
def test_the_evaluated_elbo_is_a_bound(x: NDArray[np.int64]) -> None:
    beta = topics(x.shape[1])
    for row in x:
        exact = log_evidence(row, beta, PRIOR)
        _, log_likelihood, kl = e_step(True).evaluate(batch_of(row[None]), by_word(beta))
        bound = (log_likelihood - kl.sum()).item()
        assert bound <= exact + 1e-9
        assert bound >= exact - 1.2 * row.sum()  # and not far below
        assert row.any() or bound == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("word", [0, 1])
def test_a_document_of_one_word_confirms_itself_in_nothing(word: int) -> None:
    """Without its own share there is only the prior to explain a word."""
    beta = np.array([[0.9, 0.1], [0.5, 0.5], [0.1, 0.9]])
    q = PRIOR * beta[:, word] / (PRIOR @ beta[:, word])
    theta = theta_of(e_step(True), np.eye(2, dtype=np.int64)[[word]], by_word(beta))
    np.testing.assert_allclose(theta[0], (q + PRIOR) / 2, rtol=1e-9)


def test_words_of_two_topics_are_found_in_their_proportions() -> None:
    beta = np.array([[0.5, 0.5, 0, 0, 0, 0], [0, 0, 0.5, 0.5, 0, 0], [0, 0, 0, 0, 0.5, 0.5]])
    x = np.array([[30, 30, 10, 10, 0, 0], [0, 0, 9, 0, 0, 1], [40, 40, 0, 0, 0, 0]])
    expected = (x.reshape(3, 3, 2).sum(2) + PRIOR) / (x.sum(1, keepdims=True) + 1)
    np.testing.assert_allclose(theta_of(e_step(True), x, by_word(beta)), expected, atol=1e-6)
    one = theta_of(e_step(False), x, by_word(beta))
    np.testing.assert_allclose(one, np.eye(3)[[0, 1, 0]], atol=1e-6)


# Both


@both
@edge_cases
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_theta_is_on_the_simplex_and_the_prior_of_no_words(
    x: NDArray[np.int64], several: bool, dtype: torch.dtype
) -> None:
    theta = theta_of(e_step(several).to(dtype), x, by_word(topics(x.shape[1]), dtype))
    assert theta.shape == (len(x), K)
    assert (theta >= 0).all()
    torch.testing.assert_close(theta.sum(1), torch.ones(len(x), dtype=dtype))
    empty = x.sum(axis=1) == 0
    np.testing.assert_allclose(theta[empty], np.tile(PRIOR, (empty.sum(), 1)), rtol=1e-6)


@both
def test_a_document_has_the_same_topics_alone_and_in_any_batch(several: bool) -> None:
    x, step, rng = planted_counts(60), e_step(several, np.array([0.4, 0.1, 0.2, 0.3])).float(), np.random.default_rng(0)
    beta = by_word(topics(x.shape[1], 4), torch.float32)
    together, order = theta_of(step, x, beta), rng.permutation(60)
    torch.testing.assert_close(theta_of(step, x[order], beta), together[torch.from_numpy(order)], rtol=1e-5, atol=1e-6)
    alone = torch.cat([theta_of(step, x[row : row + 1], beta) for row in range(60)])
    torch.testing.assert_close(alone, together, rtol=1e-5, atol=1e-6)


@both
def test_half_of_a_document_has_the_topics_of_a_document_of_its_own(several: bool) -> None:
    x, step = planted_counts(20), e_step(several)
    beta, batch = by_word(topics(x.shape[1])), batch_of(x)
    half = torch.div(batch.counts, 2, rounding_mode="floor")
    torch.testing.assert_close(step.theta(batch, half, beta), theta_of(step, x // 2, beta))


@both
@edge_cases
def test_the_gradient_is_that_of_the_maximization(x: NDArray[np.int64], several: bool) -> None:
    """Of Σ_v Q_kv log beta_kv + Σ_d theta_dk log pi_k, through softmax(rho alpha); Q, theta of the reference."""
    x = np.minimum(x, 500)
    generator = torch.Generator().manual_seed(0)
    rho, alpha, size = (
        torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()
        for shape in ((x.shape[1], 4), (K, 4), (K,))
    )
    step = EStep(K, several).double()
    with torch.no_grad():
        step.size.copy_(size)
    beta, log_prior = (alpha @ rho.t()).softmax(-1), size.log_softmax(-1)
    expected = reference.infer(x, beta.detach().numpy(), log_prior.detach().exp().numpy(), several)
    maximized = (torch.tensor(expected.expected) * beta.log()).sum() + (torch.tensor(expected.theta) * log_prior).sum()
    theirs = torch.autograd.grad(maximized, (rho, alpha, size))

    evidence = step.evidence(batch_of(x), (alpha @ rho.t()).softmax(-1).t().contiguous())
    ours = torch.autograd.grad(evidence.log_likelihood - evidence.kl.sum(), (rho, alpha, step.size))
    for actual, of in zip(ours, theirs, strict=True):
        assert_close(actual, of, 1e-7, 1e-3)
    assert evidence.log_likelihood.item() == pytest.approx(expected.log_likelihood, rel=1e-7, abs=1e-9)
    assert evidence.kl.sum().item() == pytest.approx(expected.kl.sum(), rel=1e-7, abs=1e-9)


@edge_cases
def test_with_one_topic_that_is_the_gradient_of_the_likelihood(x: NDArray[np.int64]) -> None:
    beta, step, x_ = by_word(topics(x.shape[1])).requires_grad_(), e_step(False), torch.tensor(x).double()
    exact = (step.size.log_softmax(0) + x_ @ beta.log()).logsumexp(1).sum()
    expected = torch.autograd.grad(exact, (beta, step.size))
    found = step.evidence(batch_of(x), beta)
    value = found.log_likelihood - found.kl.sum()
    torch.testing.assert_close(value, exact, rtol=1e-12, atol=1e-12)
    for actual, of in zip(torch.autograd.grad(value, (beta, step.size)), expected, strict=True):
        assert_close(actual, of, 1e-9, 1e-3)


@both
@edge_cases
def test_odd_documents_in_float32(x: NDArray[np.int64], several: bool) -> None:
    beta = topics(x.shape[1])
    expected, weights = reference.infer(x, beta, PRIOR, several), by_word(beta, torch.float32).requires_grad_()
    theta, log_likelihood, kl = e_step(several).float().evidence(batch_of(x), weights)
    np.testing.assert_allclose(theta, expected.theta, atol=1e-3)
    tokens = max(x.sum(), 1)
    assert log_likelihood.item() == pytest.approx(expected.log_likelihood, abs=1e-5 * tokens)
    assert kl.sum().item() == pytest.approx(expected.kl.sum(), abs=1e-5 * tokens)
    (gradient,) = torch.autograd.grad(log_likelihood, weights)
    assert_close(gradient, torch.tensor((expected.expected / beta).T), 1e-3)


@both
@pytest.mark.parametrize("size", [-10.0, -20.0, -60.0, -200.0])
def test_words_of_a_topic_that_is_as_good_as_gone_break_nothing(several: bool, size: float) -> None:
    """In float32 nothing of such a topic is left when a word's own share is; no gradient grows beyond reason."""
    step = EStep(3, several)
    with torch.no_grad():
        step.size[2] = size
    beta = np.array([[0.5, 0.5 - 1e-12, 1e-12], [0.5, 0.5 - 1e-13, 1e-13], [0.05, 0.05, 0.9]])
    weights = by_word(beta, torch.float32).requires_grad_()
    theta, log_likelihood, kl = step.evidence(batch_of(np.array([[0, 0, 1], [0, 0, 0], [1, 0, 1]])), weights)
    assert (theta >= 0).all()
    torch.testing.assert_close(theta.sum(1), torch.ones(3))
    assert (kl >= -1e-6).all()
    assert kl.sum().item() < 4 * 200
    (gradient,) = torch.autograd.grad(log_likelihood, weights)
    # Expected tokens of a word, at most two, over its probability, but for rounding.
    assert (gradient * weights.detach() <= 2.1).all()
    prior = step.log_prior().exp().detach()
    torch.testing.assert_close(theta[1], prior, atol=1e-6, rtol=1e-4)


@both
@pytest.mark.parametrize("num_topics", [1, 2])
def test_few_topics(several: bool, num_topics: int) -> None:
    x, prior = planted_counts(12), np.full(num_topics, 1 / num_topics)
    beta = topics(x.shape[1], num_topics)
    theta, log_likelihood, kl = e_step(several, prior).evaluate(batch_of(x), by_word(beta))
    expected = reference.infer(x, beta, prior, several)
    np.testing.assert_allclose(theta, expected.theta, rtol=1e-7)
    assert log_likelihood.item() == pytest.approx(expected.log_likelihood)
    if num_topics == 1:
        np.testing.assert_allclose(kl, 0, atol=1e-9)


@both
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_weights_in_other_precisions_find_about_the_same(several: bool, dtype: torch.dtype) -> None:
    x = planted_counts(20)
    beta = topics(x.shape[1])
    step, wide = e_step(several).to(dtype), torch.promote_types(dtype, torch.float32)
    assert step.log_prior().dtype == wide
    torch.testing.assert_close(step.log_prior().exp().sum(), torch.ones((), dtype=wide))
    theta, log_likelihood, kl = step.evidence(batch_of(x), by_word(beta, wide))
    assert {of.dtype for of in (theta, log_likelihood, kl)} == {wide}
    expected = reference.infer(x, beta, PRIOR, several)
    np.testing.assert_allclose(theta.double(), expected.theta, atol=0.02)
    assert log_likelihood.item() == pytest.approx(expected.log_likelihood, rel=1e-3)
    assert kl.sum().item() == pytest.approx(expected.kl.sum(), rel=1e-2)


@both
def test_autocast_lowers_nothing(several: bool) -> None:
    x = planted_counts(20)
    step, batch, beta = e_step(several).float(), batch_of(x), by_word(topics(x.shape[1]), torch.float32)
    expected = step.evidence(batch, beta)
    with torch.autocast("cpu", torch.bfloat16):
        found = step.evidence(batch, beta)
    for actual, of in zip(found, expected, strict=True):
        assert actual.dtype == torch.float32
        assert torch.equal(actual, of)


# Embeddings of documents


def vectors_of(x: NDArray[np.int64]) -> NDArray[np.float64]:
    """Some, one of them 0."""
    vectors: NDArray[np.float64] = np.random.default_rng(1).normal(size=(len(x), 5)) * 7
    vectors[2:3] = 0
    return vectors


def with_vectors(several: bool, x: NDArray[np.int64]) -> tuple[EStep, Any, NDArray[np.float64]]:
    """A step, documents with embeddings, and the prior of each by the formula."""
    step, batch, vectors = e_step(several, vector_size=5), batch_of(x), vectors_of(x)
    assert step.from_vectors is not None
    torch.nn.init.normal_(step.from_vectors, generator=torch.Generator().manual_seed(2))
    batch.vectors = torch.tensor(vectors)
    logits = np.log(PRIOR) + reference.unit(vectors) @ step.from_vectors.detach().numpy().T
    return step, batch, special.softmax(logits, axis=1)


@both
def test_the_prior_of_a_document_follows_its_embedding(several: bool) -> None:
    x = planted_counts(20)
    step, batch, prior = with_vectors(several, x)
    np.testing.assert_allclose(step.log_prior(batch.vectors).exp().detach(), prior, rtol=1e-9)
    np.testing.assert_allclose(step.log_prior(3 * batch.vectors).exp().detach(), prior, rtol=1e-9)
    np.testing.assert_allclose(prior[2], PRIOR, rtol=1e-9)  # of no embedding: that of all
    beta, batch.vectors = topics(x.shape[1]), batch.vectors
    theta = step.theta(batch, batch.counts, by_word(beta))
    empty = x.sum(axis=1) == 0
    np.testing.assert_allclose(theta[empty], prior[empty], rtol=1e-9)
    np.testing.assert_allclose(theta, reference.infer(x, beta, prior, several).theta, rtol=1e-7)


@both
def test_what_embeddings_say_of_topics_is_learned(several: bool) -> None:
    """The gradient is that of Σ_d theta_dk log pi_dk; nothing of an empty document, which has no evidence."""
    x = planted_counts(20)
    step, batch, _ = with_vectors(several, x)
    beta = by_word(topics(x.shape[1]))
    found = step.evidence(batch, beta)
    assert step.from_vectors is not None
    parameters = (step.size, step.from_vectors)
    ours = torch.autograd.grad(found.log_likelihood - found.kl.sum(), parameters)
    known = torch.from_numpy(x.any(axis=1))
    expected = (found.theta[known] * step.log_prior(batch.vectors)[known]).sum()
    for actual, of in zip(ours, torch.autograd.grad(expected, parameters), strict=True):
        assert_close(actual, of, 1e-9)
