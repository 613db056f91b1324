"""The mathematics of the package once more, dense and in float64, the way the paper writes it."""

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from etm_app.data.batch import BowBatch


def batch_of(x: NDArray[np.int64], *, with_gradients: bool = True, half: NDArray[np.int64] | None = None) -> BowBatch:
    """Dense counts [B, V] as a batch."""
    rows = sp.csr_array(x)
    at = None if half is None else half[x > 0].astype(np.int32)
    return BowBatch.from_csr(
        rows.indptr.astype(np.int64),
        rows.indices.astype(np.int32),
        rows.data.astype(np.int32),
        x.shape[1],
        half=at,
        with_gradients=with_gradients,
    )


def dense(batch: BowBatch, counts: Tensor) -> Tensor:
    """Values at a batch's non-zeros, [N], as a matrix [B, V]."""
    x = torch.zeros(len(batch), batch.vocab_size, dtype=torch.float64)
    documents = torch.arange(len(batch)).repeat_interleave(batch.indptr.diff())
    return x.index_put((documents, batch.indices.long()), counts.double(), accumulate=True)


def matmul(batch: BowBatch, counts: Tensor, weight: Tensor) -> Tensor:
    """Counts times a matrix [V, H]."""
    return dense(batch, counts) @ weight.double()


def log_likelihood(batch: BowBatch, counts: Tensor, theta: Tensor, beta: Tensor) -> Tensor:
    """Σ_v counts_dv log (theta beta)_dv for theta [B, K] and beta [V, K]."""
    return (dense(batch, counts) * (theta.double() @ beta.double().t()).log()).sum(dim=1)


def assert_close(actual: Tensor, expected: Tensor, relative: float = 1e-5, at_least: float = 1e-12) -> None:
    """No element is further off than the largest one, or ``at_least``, times ``relative``."""
    assert actual.shape == expected.shape
    assert actual.isfinite().all()
    scale = max(expected.abs().max().item() if expected.numel() else 0.0, at_least)
    torch.testing.assert_close(actual.double(), expected.double(), rtol=0, atol=relative * scale)
