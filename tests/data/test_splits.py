from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etm_app.data.splits import random_splits
from etm_app.errors import UserError

shares = st.floats(0, 0.49)


@given(st.integers(0, 200), shares, shares, st.integers(0, 5))
def test_every_document_has_its_split(size: int, val: float, test: float, seed: int) -> None:
    splits = random_splits(size, val, test, seed)
    assert len(splits) == size
    expected = {"val": round(size * val), "test": round(size * test)}
    assert Counter(splits) == Counter({**expected, "train": size - sum(expected.values())})
    assert random_splits(size, val, test, seed) == splits


def test_seeds_split_otherwise() -> None:
    assert random_splits(50, 0.2, 0.2, 0) != random_splits(50, 0.2, 0.2, 1)


@pytest.mark.parametrize(("val", "test"), [(-0.1, 0), (0, -0.1), (1, 0), (0.5, 0.5), (float("nan"), 0)])
def test_shares_leave_something_to_train_on(val: float, test: float) -> None:
    with pytest.raises(UserError, match=r"val_fraction.*test_fraction"):
        random_splits(10, val, test, 0)
