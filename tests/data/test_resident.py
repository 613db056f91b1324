import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from etm_app.data.corpus import BowCorpus, BowDataset
from etm_app.data.resident import ResidentDataset
from tests.conftest import Run
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
    actual, expected = resident[positions], dataset[positions]
    assert (actual.vocab_size, actual.num_nonempty) == (expected.vocab_size, expected.num_nonempty)
    assert actual.first_half is None
    assert actual.by_word is not None
    assert expected.by_word is not None
    pairs = [(getattr(actual, name), getattr(expected, name)) for name in ("indptr", "indices", "counts")]
    for ours, theirs in [*pairs, *zip(actual.by_word, expected.by_word, strict=True)]:
        assert ours.device.type == device
        assert ours.dtype == theirs.dtype
        assert ours.tolist() == theirs.tolist()


def test_a_fit_with_the_documents_on_the_device_is_the_same(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = [run("fit").trainer.callback_metrics]
    made: list[ResidentDataset] = []
    make = ResidentDataset.__init__

    def note(self: ResidentDataset, *args: object) -> None:
        make(self, *args)  # type: ignore[arg-type]
        made.append(self)

    monkeypatch.setattr(ResidentDataset, "__init__", note)
    monkeypatch.setattr(ResidentDataset, "fits", lambda dataset, device: True)
    fitted.append(run("fit").trainer.callback_metrics)
    assert made
    ours, theirs = ({name: float(value) for name, value in metrics.items() if "time" not in name} for metrics in fitted)
    assert ours == theirs
