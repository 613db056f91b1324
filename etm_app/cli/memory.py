"""What is said where there is no memory left."""

import re

import torch

from etm_app.errors import UserError

__all__ = ["out_of_memory"]

# The first is NumPy's, the second PyTorch's; on a device PyTorch says it in a class of its own.
SIZES = (r"Unable to allocate ([\d.]+ \w+)", r"tried to allocate ([\d.]+ \w+)")


def out_of_memory(error: Exception) -> UserError | None:
    """A line on an error that says that there is no memory for something; None for any other."""
    of_torch = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    if not isinstance(error, MemoryError | torch.OutOfMemoryError) and not of_torch:
        return None
    found = next((size[1] for pattern in SIZES if (size := re.search(pattern, str(error), re.IGNORECASE))), "more")
    found = re.sub(r"\d{4,}", lambda digits: f"{int(digits[0]):,}", found)
    device = "the GPU" if isinstance(error, torch.OutOfMemoryError) else "this machine, or under its limit,"
    return UserError(
        f"memory: there is none for {found} on {device} any more; expected some: fewer --model.num_topics, a smaller "
        "--model.rho_size or --data.batch_size, or fewer words by --data.min_df; `check` says what training takes."
    )
