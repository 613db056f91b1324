import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from etm_app.data.corpus import BowCorpus, BowDataset
from etm_app.data.resident import ResidentDataset
from tests.strategies import over_corpora

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
DEVICES = ["cpu", pytest.param("cuda", marks=needs_cuda)]


@pytest.mark.parametrize("device", DEVICES)
@over_corpora
def test_its_batches_are_those_of_the_corpus(device: str, x: NDArray[np.int64]) -> None:
    corpus = BowCorpus.from_matrix(x, [f"w{word}" for word in range(x.shape[1])], ["train"] * len(x))
    rows = np.flatnonzero(np.arange(len(x)) != 1)  # not all of the corpus
    dataset = BowDataset(corpus, rows, with_gradients=True)
    resident = ResidentDataset(dataset, torch.device(device))
    assert len(resident) == len(dataset)
    positions = [*range(len(rows))[::-1], *range(len(rows))]  # in another order, and twice
    actual, expected = resident.__getitems__(positions), dataset.__getitems__(positions)
    assert (actual.vocab_size, actual.num_nonempty) == (expected.vocab_size, expected.num_nonempty)
    assert actual.first_half is None
    assert actual.by_word is not None
    assert expected.by_word is not None
    pairs = [(getattr(actual, name), getattr(expected, name)) for name in ("indptr", "indices", "counts")]
    for ours, theirs in [*pairs, *zip(actual.by_word, expected.by_word, strict=True)]:
        assert ours.device.type == device
        assert ours.dtype == theirs.dtype
        assert ours.tolist() == theirs.tolist()
