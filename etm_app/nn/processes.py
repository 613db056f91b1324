"""What the documents of a step come to, where several processes have a share of them each."""

import torch
from torch import Tensor

__all__ = ["mean_over_documents", "total"]


def total(values: Tensor, num_processes: int) -> Tensor:
    """The sum over all processes of a run, in place where there are several.

    Args:
        values: Numbers of this process, without gradient.
        num_processes: How many there are.
    """
    if num_processes > 1:
        torch.distributed.all_reduce(values)
    return values


def mean_over_documents(loss: Tensor, num_documents: int, num_processes: int) -> Tensor:
    """The mean of a loss over the documents of all processes, however unequal their shares are.

    Where there are several, the gradient is that of the own documents, times the number of processes: in a step, the
    mean over these is taken, which then is the gradient of the mean over all documents.

    Args:
        loss: The sum over the own documents, a scalar.
        num_documents: How many they are.
        num_processes: How many processes there are.
    """
    if num_processes == 1:
        return loss / max(num_documents, 1)
    sums = torch.stack((loss.detach(), loss.new_full((), num_documents)))
    of_all, documents = total(sums, num_processes)
    own = loss * (num_processes / documents.clamp(min=1))
    mean: Tensor = of_all / documents.clamp(min=1) + (own - own.detach())
    return mean
