import pickle

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from etm_app.data.batch import BowBatch, ByWord, as_batch
from etm_app.errors import UserError
from tests.reference import batch_of, dense
from tests.strategies import over_corpora


def contents(batch: BowBatch | ByWord) -> dict[str, object]:
    """Everything in a batch as plain values, nested as it is."""
    plain: dict[str, object] = {}
    for name, value in attributes(batch).items():
        if isinstance(value, Tensor):
            plain[name] = (value.dtype, value.tolist())
        else:
            plain[name] = contents(value) if isinstance(value, ByWord) else value
    return plain


def attributes(batch: BowBatch | ByWord) -> dict[str, object]:
    return batch._asdict() if isinstance(batch, ByWord) else vars(batch)


def from_dense(x: NDArray[np.int64], *, training: bool = True) -> BowBatch:
    return BowBatch.from_dense(torch.tensor(x), x.shape[1], training=training)


@over_corpora
def test_dense_and_sparse_counts_give_the_same_batch(x: NDArray[np.int64]) -> None:
    assert contents(from_dense(x)) == contents(batch_of(x))


@over_corpora
def test_a_batch_holds_its_documents(x: NDArray[np.int64]) -> None:
    batch = from_dense(x)
    assert len(batch) == len(x)
    assert batch.num_nonempty == np.count_nonzero(x.sum(axis=1))
    assert torch.equal(dense(batch, batch.counts), torch.tensor(x).double())


@over_corpora
def test_by_word_is_the_same_documents_word_by_word(x: NDArray[np.int64]) -> None:
    batch = from_dense(x)
    words = batch.by_word
    assert words is not None
    in_each = words.indptr.diff()
    assert in_each.tolist() == np.count_nonzero(x, axis=0).tolist()
    word, document = torch.arange(x.shape[1]).repeat_interleave(in_each), words.documents.long()
    assert torch.equal(batch.indices[words.order].long(), word)
    assert torch.equal(batch.counts[words.order], torch.tensor(x)[document, word].float())
    assert len(set(zip(document.tolist(), word.tolist(), strict=True))) == len(batch.indices)


@over_corpora
def test_batches_for_evaluation_have_halves_instead(x: NDArray[np.int64]) -> None:
    batch = from_dense(x, training=False)
    assert batch.by_word is None
    assert batch.first_half is not None
    assert dense(batch, batch.first_half).sum(dim=1).tolist() == (x.sum(axis=1) // 2).tolist()


@pytest.mark.parametrize("training", [True, False])
def test_batches_travel(training: bool) -> None:
    batch = from_dense(np.array([[0, 2, 1], [0, 0, 0], [4, 0, 0]]), training=training)
    batch.vectors = torch.arange(6.0).reshape(3, 2)
    assert contents(pickle.loads(pickle.dumps(batch))) == contents(batch)
    assert contents(batch.to("cpu")) == contents(batch)
    moved = batch.to("meta")
    tensors = [value for part in (moved, moved.by_word) if part for value in attributes(part).values()]
    assert {tensor.device.type for tensor in tensors if isinstance(tensor, Tensor)} == {"meta"}


@pytest.mark.parametrize(
    "dtype", [torch.uint8, torch.int16, torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64]
)
def test_counts_may_have_any_type(dtype: torch.dtype) -> None:
    x = torch.tensor([[0, 2, 1], [0, 0, 0], [4, 0, 7]])
    expected = contents(BowBatch.from_dense(x, 3, training=True))
    assert contents(BowBatch.from_dense(x.to(dtype), 3, training=True)) == expected
    assert contents(as_batch(x.to(dtype).requires_grad_(dtype.is_floating_point), 3, training=True)) == expected


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [x], lambda x: (x, torch.zeros(len(x)))])
@pytest.mark.parametrize("training", [True, False])
def test_loaders_may_yield_counts_alone_or_first_in_a_tuple(wrap, training: bool) -> None:  # type: ignore[no-untyped-def]
    x = torch.tensor([[0.0, 2.0], [1.0, 0.0]])
    expected = BowBatch.from_dense(x, 2, training=training)
    assert contents(as_batch(wrap(x), 2, training=training)) == contents(expected)
    assert as_batch(expected, 2, training=training) is expected


@pytest.mark.parametrize("value", [-1.0, 0.5, float("nan"), float("inf"), 2.0**31, 1e300, 2**31, 2**32 + 1])
def test_what_is_no_count_is_refused(value: float) -> None:
    dtype = torch.float64 if isinstance(value, float) else torch.int64
    with pytest.raises(UserError, match="raw counts"):
        BowBatch.from_dense(torch.tensor([[1, 0], [0, value]], dtype=dtype), 2, training=True)


def test_the_largest_count_is_one() -> None:
    batch = BowBatch.from_dense(torch.tensor([[2**31 - 1, 3]]), 2, training=True)
    assert batch.counts.tolist() == [2.0**31, 3.0]  # to the nearest of float32


@pytest.mark.parametrize("shape", [(2, 3), (2,), (2, 4, 1)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="vocab_size = 4"):
        BowBatch.from_dense(torch.ones(shape), 4, training=True)


@pytest.mark.parametrize("batch", [[], {"counts": torch.ones(1, 2)}, ["words"], 3])
def test_another_kind_of_batch_is_refused(batch: object) -> None:
    with pytest.raises(UserError, match="expected counts"):
        as_batch(batch, 2, training=True)
