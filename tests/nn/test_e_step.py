from itertools import product

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import Dirichlet, kl_divergence

from etm_app.nn.e_step import EStep
from etm_app.nn.elbo import kl_between_dirichlets
from tests.planted import planted_counts
from tests.reference import batch_of, several_topics
from tests.strategies import EDGE_CASES

NUM_TOPICS = 3
BOTH = pytest.mark.parametrize("several", [False, True], ids=["one topic", "several"])
ODD = pytest.mark.parametrize("x", [*EDGE_CASES.values(), planted_counts(12)], ids=[*EDGE_CASES, "planted"])


def e_step(several: bool = False, vector_size: int = 0) -> EStep:
    torch.manual_seed(0)
    made = EStep(NUM_TOPICS, several, vector_size).double()
    with torch.no_grad():
        made.size.copy_(torch.tensor([0.4, -0.3, 0.0]))
        if made.from_vectors is not None:
            made.from_vectors.normal_()
    return made


def topics(num_words: int) -> Tensor:
    """Some, [K, V]."""
    return Dirichlet(torch.full((num_words,), 0.3).double()).sample((NUM_TOPICS,)) * 0.99 + 0.01 / num_words


def counts_of_few(num_documents: int = 40, num_words: int = 5) -> NDArray[np.int64]:
    """Documents of up to four tokens."""
    rng = np.random.default_rng(0)
    return np.array([rng.multinomial(n % 5, np.full(num_words, 1 / num_words)) for n in range(num_documents)])


def test_one_topic_is_the_enumeration_of_all() -> None:
    x, made = counts_of_few(), e_step()
    beta, batch = topics(x.shape[1]), batch_of(x)
    joint = made.log_prior().exp() * torch.stack([(of ** torch.tensor(x)).prod(1) for of in beta], 1)
    theta, log_likelihood, kl = made.evaluate(batch, beta.t().contiguous())
    torch.testing.assert_close(theta, joint / joint.sum(1, keepdim=True))
    torch.testing.assert_close(
        log_likelihood - kl.sum(), joint.sum(1).log().sum()
    )  # the bound is the likelihood itself
    assert (kl >= -1e-12).all()


@ODD
def test_several_topics_are_the_steps_of_each_token(x: NDArray[np.int64]) -> None:
    beta, made, batch = topics(x.shape[1]), e_step(several=True), batch_of(x)
    prior = made.log_prior().exp().detach()
    expected = torch.stack([several_topics(row, beta, prior)[0] for row in torch.tensor(x)] or [prior])[: len(x)]
    found = made.theta(batch, batch.counts, beta.t().contiguous())
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)


@BOTH
@ODD
def test_theta_is_on_the_simplex_and_a_matter_of_the_document_alone(x: NDArray[np.int64], several: bool) -> None:
    beta, made = topics(x.shape[1]).float().t().contiguous(), e_step(several).float()
    together = made.theta(batch_of(x), batch_of(x).counts, beta)
    torch.testing.assert_close(together.sum(1), torch.ones(len(x)))
    assert (together >= 0).all()
    prior = made.log_prior().exp()
    for row, document in enumerate(x):
        alone = batch_of(document[None])
        torch.testing.assert_close(made.theta(alone, alone.counts, beta)[0], together[row], rtol=1e-4, atol=1e-6)
        if not document.any():
            torch.testing.assert_close(together[row], prior.detach())


def log_probability(document: NDArray[np.int64], beta: Tensor, prior: Tensor) -> float:
    """log p(document) under latent Dirichlet allocation, by all assignments of its tokens to topics."""
    words, total = np.repeat(np.arange(len(document)), document), 0.0
    for assignment in product(range(NUM_TOPICS), repeat=len(words)):
        number = torch.bincount(torch.tensor(assignment, dtype=torch.int64), minlength=NUM_TOPICS)
        weight = (prior + number).lgamma().sum() - prior.lgamma().sum()
        weight = weight + prior.sum().lgamma() - (prior.sum() + len(words)).lgamma()
        likelihood = beta[list(assignment), words].log().sum() if len(words) else 0.0
        total += float((weight + likelihood).exp())
    return float(np.log(total))


def test_the_elbo_with_several_topics_is_a_bound_and_no_loose_one() -> None:
    x, made = counts_of_few(20), e_step(several=True)
    beta, slack = topics(x.shape[1]), []
    for document in x:
        _, log_likelihood, kl = made.evaluate(batch_of(document[None]), beta.t().contiguous())
        prior = made.log_prior().exp().detach()
        slack.append(log_probability(document, beta, prior) - (log_likelihood - kl.sum()).item())
    assert min(slack) > -1e-9
    assert np.mean(slack) < 1.0
    assert max(slack) > 0.01  # not the likelihood itself


@pytest.mark.parametrize("prior", [[0.3, 0.3, 0.4], [1e-3, 0.9, 0.099], [5.0, 1.0, 0.2]])
def test_the_divergence_is_that_of_dirichlets_and_no_share_is_negative(prior: list[float]) -> None:
    of_prior = torch.tensor(prior).double()
    posterior = of_prior + torch.rand(50, 3, dtype=torch.float64) * torch.logspace(-6, 3, 50)[:, None]
    posterior[0] = of_prior
    found = kl_between_dirichlets(posterior, of_prior)
    expected = kl_divergence(Dirichlet(posterior), Dirichlet(of_prior.expand_as(posterior)))
    torch.testing.assert_close(found.sum(1), expected, rtol=1e-6, atol=1e-8)
    assert (found >= 0).all()


def test_with_one_topic_the_gradient_is_that_of_the_likelihood() -> None:
    x, made = counts_of_few(), e_step()
    logits = topics(x.shape[1]).log().requires_grad_()
    found = made.evidence(batch_of(x), logits.softmax(1).t().contiguous())
    gradient = torch.autograd.grad(found.log_likelihood - found.kl.sum(), [logits, made.size])
    joint = made.log_prior() + torch.tensor(x).double() @ logits.log_softmax(1).t()
    expected = torch.autograd.grad(joint.logsumexp(1).sum(), [logits, made.size])
    for actual, wanted in zip(gradient, expected, strict=True):
        torch.testing.assert_close(actual, wanted)


@BOTH
def test_embeddings_of_documents_give_each_a_prior_of_its_own(several: bool) -> None:
    x, made = counts_of_few(), e_step(several, vector_size=4)
    batch, beta = batch_of(x), topics(x.shape[1]).t().contiguous()
    batch.vectors = torch.randn(len(x), 4)
    assert made.from_vectors is not None
    directions = batch.vectors.double() / batch.vectors.double().norm(dim=1, keepdim=True)
    prior = (made.size + directions @ made.from_vectors.t()).softmax(1)
    theta = made.theta(batch, batch.counts, beta)
    empty = torch.from_numpy(~x.any(axis=1))
    torch.testing.assert_close(theta[empty], prior[empty].detach(), rtol=1e-6, atol=1e-9)
    found = made.evidence(batch, beta)
    (found.log_likelihood - found.kl.sum()).backward()
    assert made.from_vectors.grad is not None
    assert made.from_vectors.grad.abs().sum() > 0
    batch.vectors = 10 * batch.vectors  # only the direction counts
    torch.testing.assert_close(made.theta(batch, batch.counts, beta), theta, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_the_prior_is_on_the_simplex_in_any_precision(dtype: torch.dtype) -> None:
    prior = e_step().to(dtype).log_prior().exp()
    assert prior.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(prior.sum(), torch.ones((), dtype=prior.dtype))
