import numpy as np
import pytest
import torch
from etm_app.nn.mixture import Mixture
from numpy.typing import NDArray
from scipy import special

from tests.reference import batch_of
from tests.strategies import over_corpora

PRIOR = np.array([0.5, 0.3, 0.2])


def mixture() -> Mixture:
    found = Mixture(len(PRIOR)).double()
    with torch.no_grad():
        found.size.copy_(torch.tensor(PRIOR).log() + 3)  # a constant changes nothing
    return found


def topics(vocab_size: int) -> NDArray[np.float64]:
    beta: NDArray[np.float64] = np.random.default_rng(vocab_size).dirichlet(np.full(vocab_size, 0.5), size=len(PRIOR))
    return beta


def test_two_documents_by_hand() -> None:
    beta = np.array([[0.5, 0.5], [0.9, 0.1], [0.2, 0.8]])
    batch = batch_of(np.array([[2, 1], [0, 1]]))
    with torch.no_grad():
        joint = mixture().log_joint(batch, batch.counts, torch.tensor(beta.T).contiguous()).exp()
    expected = [[0.5 * 0.125, 0.3 * 0.081, 0.2 * 0.032], [0.5 * 0.5, 0.3 * 0.1, 0.2 * 0.8]]
    torch.testing.assert_close(joint, torch.tensor(expected, dtype=torch.float64))


@over_corpora
def test_every_topic_is_tried(x: NDArray[np.int64]) -> None:
    beta, batch = topics(x.shape[1]), batch_of(x)
    with torch.no_grad():
        joint = mixture().log_joint(batch, batch.counts, torch.tensor(beta.T).contiguous()).numpy()
        posterior = special.softmax(joint, axis=1)
        kl = mixture().kl(torch.tensor(posterior)).numpy()
    expected = np.log(PRIOR) + special.xlogy(x[:, None], np.maximum(beta, 1e-20)).sum(axis=2)
    np.testing.assert_allclose(joint, expected, rtol=1e-9)
    assert (kl >= -1e-12).all()
    np.testing.assert_allclose(kl.sum(axis=1), special.rel_entr(posterior, PRIOR).sum(axis=1), atol=1e-9)
    empty = x.sum(axis=1) == 0
    np.testing.assert_allclose(posterior[empty], np.tile(PRIOR, (empty.sum(), 1)), atol=1e-12)
    np.testing.assert_allclose(special.logsumexp(joint[empty], axis=1), 0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_the_prior_is_on_the_simplex_in_any_precision(dtype: torch.dtype) -> None:
    prior = mixture().to(dtype).log_prior().exp()
    assert prior.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(prior.sum(), torch.ones((), dtype=prior.dtype))
