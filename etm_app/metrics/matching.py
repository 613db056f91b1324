"""Which topics of two models are the same."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

__all__ = ["Matching", "match_topics", "on_common_words"]


class Matching(NamedTuple):
    """Topics matched one to one, so that the sum of the cosines is largest.

    Attributes:
        first: Numbers of the topics in the first model, ascending, int64 [min(K, K')].
        second: Of those matched with them in the second, [min(K, K')].
        cosine: Of their word probabilities, from 0 to 1, [min(K, K')].
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    cosine: NDArray[np.float64]


def match_topics(first: NDArray[Any], second: NDArray[Any]) -> Matching:
    """Match the topics of two models by the cosine of their word probabilities (Hungarian method).

    Args:
        first: Probabilities of the same words in the topics of one, [K, V].
        second: In those of the other, [K', V].
    """
    cosine = _unit(first) @ _unit(second).T
    rows, columns = linear_sum_assignment(cosine, maximize=True)
    return Matching(rows, columns, cosine[rows, columns].clip(0, 1))


def on_common_words(
    first: NDArray[Any], first_vocab: Sequence[str], second: NDArray[Any], second_vocab: Sequence[str]
) -> tuple[NDArray[Any], NDArray[Any], list[str]]:
    """Word probabilities in the topics of two models, of the words that both know.

    Args:
        first: [K, V].
        first_vocab: Its V words.
        second: [K', V'].
        second_vocab: Its V' words.

    Returns:
        Both for the C words that are in both vocabularies, in the order of the first: [K, C], [K', C], and the words.
    """
    number = {word: index for index, word in enumerate(second_vocab)}
    common = [(index, number[word]) for index, word in enumerate(first_vocab) if word in number]
    own, other = np.array(common, np.int64).reshape(-1, 2).T
    return first[:, own], second[:, other], [first_vocab[index] for index in own]


def _unit(rows: NDArray[Any]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-300)
    return unit
