"""A corpus with planted topics, small enough to train on in a second."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from etm_app.data.corpus import BowCorpus
from etm_app.data.datamodule import BowDataModule

VOCAB = [f"{chr(97 + topic)}{word:02}" for topic in range(4) for word in range(12)]  # a00 … d11, sorted
SPLITS = ["train"] * 60 + ["val"] * 15 + ["test"] * 15


def planted_counts(num_documents: int = len(SPLITS), seed: int = 0) -> NDArray[np.int64]:
    """Documents that mix four topics of twelve words each; every tenth is empty, every tenth has one word."""
    rng = np.random.default_rng(seed)
    beta = np.repeat(np.eye(4), 12, axis=1) * rng.dirichlet(np.full(12, 3.0), size=4).ravel()
    theta = rng.dirichlet(np.full(4, 0.2), size=num_documents)
    probability = 0.99 * theta @ beta + 0.01 / len(VOCAB)
    lengths = rng.integers(5, 60, size=num_documents)
    lengths[4::10], lengths[7::10] = 0, 1
    return np.array([rng.multinomial(n, p) for n, p in zip(lengths, probability, strict=True)])


class PlantedDataModule(BowDataModule):
    """The planted corpus as BowDataModule; the counts may be given."""

    def __init__(self, x: NDArray[np.int64] | None = None, splits: list[str] | None = None, **kwargs: Any) -> None:
        super().__init__(**{"steps_per_epoch": None, **kwargs})
        self.x = planted_counts() if x is None else x
        self.splits = splits or SPLITS

    def build(self) -> BowCorpus:
        vocab = VOCAB if self.x.shape[1] == len(VOCAB) else [f"w{v:04}" for v in range(self.x.shape[1])]
        ids = [f"document {row}" for row in range(len(self.x))]
        return BowCorpus.from_matrix(self.x, vocab, self.splits, ids=ids)
