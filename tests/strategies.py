"""Random corpora for property tests."""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

Counts = NDArray[np.int64]

EDGE_CASES: dict[str, Counts] = {
    "no document": np.zeros((0, 3), np.int64),
    "all documents empty": np.zeros((3, 4), np.int64),
    "an empty document at each end": np.array([[0, 0], [1, 2], [0, 0]]),
    "documents of one word": np.eye(3, dtype=np.int64),
    "a vocabulary of one word": np.array([[1], [0], [7]]),
    "one long document": np.array([[0, 100_000, 3]]),
}


def counts(max_documents: int = 6, max_words: int = 8, max_count: int = 6) -> st.SearchStrategy[Counts]:
    """Dense counts [D, V], most of them zero: empty documents and documents of one word are common."""
    shapes = st.tuples(st.integers(1, max_documents), st.integers(1, max_words))
    elements = st.integers(0, max_count)
    return shapes.flatmap(lambda shape: hnp.arrays(np.int64, shape, elements=elements, fill=st.just(0)))


def over_corpora(test: Callable[..., Any]) -> Callable[..., Any]:
    """Run a test with many ``x``, counts [D, V], all edge cases among them."""
    for case in EDGE_CASES.values():
        test = example(x=case)(test)
    return given(x=counts())(test)


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=6)
