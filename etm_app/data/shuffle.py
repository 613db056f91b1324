"""The order in which documents are trained on."""

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Sampler

__all__ = ["EpochShuffle"]


class EpochShuffle(Sampler[int]):
    """Document after document in random order, a new order each time all were had, cut into epochs of equal length.

    An epoch depends on the seed and its number alone, so a resumed run repeats it.

    Args:
        size: Number of documents.
        length: Documents an epoch.
        seed: Of the orders.
    """

    def __init__(self, size: int, length: int, seed: int) -> None:
        self.size = size
        self.length = length
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        start, stop = self.epoch * self.length, (self.epoch + 1) * self.length
        first, last = start // self.size, -(-stop // self.size)
        orders = [np.random.default_rng((self.seed, round)).permutation(self.size) for round in range(first, last)]
        return iter(np.concatenate(orders)[start - first * self.size : stop - first * self.size].tolist())
