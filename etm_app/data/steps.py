"""Which documents a step takes, and which of them each process."""

from collections.abc import Iterator
from itertools import islice

from torch.utils.data import DistributedSampler, SequentialSampler

from etm_app.data.shuffle import EpochShuffle

__all__ = ["Steps"]


class Steps(DistributedSampler[list[int]], SequentialSampler):
    """The share that a process has in each step.

    The shares of a step follow each other in its order, have each document once, and differ by one document at most.
    Where there are fewer documents than processes, some are empty: all processes take the same number of steps.

    A DistributedSampler, as Lightning takes that for dealt out: its own would give some documents to two processes. And
    a SequentialSampler: `overfit_batches` would put one of single documents in the place of others.

    Args:
        order: Numbers of the documents in their order.
        size: Documents a step, of all processes together; the last step has what is left.
        num_processes: How many there are.
        process: The number of this one.
    """

    def __init__(self, order: EpochShuffle | range, size: int, num_processes: int = 1, process: int = 0) -> None:
        super().__init__(order, num_processes, process, shuffle=False)  # type: ignore[arg-type]  # asked for its length
        self.order = order
        self.size = size

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before every epoch."""
        if isinstance(self.order, EpochShuffle):
            self.order.set_epoch(epoch)

    def __len__(self) -> int:
        return -(-len(self.order) // self.size)

    def whole(self) -> Iterator[list[int]]:
        """The documents of each step, of all processes together."""
        order = iter(self.order)
        while step := list(islice(order, self.size)):
            yield step

    def __iter__(self) -> Iterator[list[int]]:  # type: ignore[override]
        for step in self.whole():
            first, end = (len(step) * place // self.num_replicas for place in (self.rank, self.rank + 1))
            yield step[first:end]
