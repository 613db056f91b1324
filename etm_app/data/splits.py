"""Which documents train, validate and test."""

import numpy as np

from etm_app.errors import UserError

__all__ = ["check_fractions", "random_splits"]


def check_fractions(val_fraction: float, test_fraction: float) -> None:
    """Refuse shares that are no shares, or leave nothing to train on.

    Raises:
        UserError: They do.
    """
    if not (0 <= val_fraction < 1 and 0 <= test_fraction < 1 and val_fraction + test_fraction < 1):
        raise UserError(
            f"data.val_fraction {val_fraction} and data.test_fraction {test_fraction}: "
            "expected shares of the documents, from 0, that leave some to train on (0.1 and 0.1, say)."
        )


def random_splits(num_documents: int, val_fraction: float, test_fraction: float, seed: int) -> list[str]:
    """Split documents at random.

    Args:
        num_documents: D.
        val_fraction: Share for validation.
        test_fraction: Share for testing.
        seed: Another seed draws another split.

    Returns:
        train, val or test for each document, [D].

    Raises:
        UserError: As `check_fractions`.
    """
    check_fractions(val_fraction, test_fraction)
    num_val, num_test = round(num_documents * val_fraction), round(num_documents * test_fraction)
    splits = np.full(num_documents, "train", dtype=object)
    order = np.random.default_rng(seed).permutation(num_documents)
    splits[order[:num_val]] = "val"
    splits[order[num_val : num_val + num_test]] = "test"
    return splits.tolist()
