"""Which documents train, validate and test."""

import numpy as np
import polars as pl

from etm_app.errors import UserError

__all__ = ["check_fractions", "draw_splits", "random_splits"]


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


def draw_splits(splits: pl.Series, val_fraction: float, test_fraction: float, seed: int) -> pl.Series:
    """Draw validation and test documents among those that are to train; the others keep their split.

    Args:
        splits: train, val or test of each document, [D].
        val_fraction: Share of the training documents for validation.
        test_fraction: Share of the training documents for testing.
        seed: Another seed draws another split.
    """
    is_train = (splits == "train").to_numpy()
    drawn = splits.to_numpy().astype(object)
    drawn[is_train] = random_splits(int(is_train.sum()), val_fraction, test_fraction, seed)
    return pl.Series("split", drawn.tolist(), dtype=pl.String)
