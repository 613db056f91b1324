"""Words that a user wants topics to be about: their form, their place in a vocabulary, and what the corpus says."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

from etm_app.errors import UserError
from etm_app.topic_names import check_names, read_table

__all__ = ["contradictions", "find_words", "read_seeds", "unknown_words"]

ARGUMENT = "model.seed_topics"
EXPECTED = "expected names with words for each, {sport: [team, game], space: [orbit, nasa]}, or a YAML file of them"
FEW = 5.0  # documents with two of the words by chance: where there would be fewer, nothing can be told
SELDOM = 0.5  # of what chance gives
SHOWN = 10  # unknown words named in a message


def read_seeds(given: Mapping[str, Sequence[str]] | str | Path | None, num_topics: int) -> dict[str, list[str]]:
    """The seeds, words by name, as they are given or from a YAML file; none for None.

    Raises:
        UserError: The file cannot be read, there is something else than words by name, a word twice in a seed, a name
            that `check_names` refuses, or there are more seeds than topics.
    """
    if given is None:
        return {}
    if isinstance(given, str):
        given = Path(given)
    table: Mapping[Any, Any] = read_table(given.expanduser(), ARGUMENT, EXPECTED) if isinstance(given, Path) else given
    for name, words in table.items():
        if not isinstance(words, list | tuple) or not words or not all(isinstance(word, str) for word in words):
            raise UserError(f"{ARGUMENT}: the words of {name!r:.80} are {words!r:.80}; {EXPECTED}.")
        if len({*words}) < len(words):
            twice = next(word for word in words if words.count(word) > 1)
            raise UserError(f"{ARGUMENT}: {name} has {twice!r:.80} twice; expected each word once.")
    if len(table) > num_topics:
        raise UserError(
            f"{ARGUMENT}: {len(table)} seeds for {num_topics} topics; expected no more seeds than topics: raise "
            "--model.num_topics, with room for what the seeds do not say."
        )
    check_names(dict(enumerate(table)), num_topics, ARGUMENT)
    return {name: list(words) for name, words in table.items()}


def find_words(seeds: Mapping[str, Sequence[str]], vocab: Sequence[str]) -> dict[str, dict[str, int]]:
    """The numbers in a vocabulary that the words of each seed have, without the words that are not there.

    Raises:
        UserError: No word of a seed is.
    """
    number = {word: place for place, word in enumerate(vocab)}
    found = {name: {word: number[word] for word in words if word in number} for name, words in seeds.items()}
    for name, words in found.items():
        if not words:
            raise UserError(
                f"{ARGUMENT}: none of the words of {name} is in the vocabulary of {len(vocab):,} "
                f"({_listed(seeds[name])}); expected at least one, written as there, mostly in lower case."
            )
    return found


def unknown_words(seeds: Mapping[str, Sequence[str]], found: Mapping[str, Mapping[str, int]]) -> list[str]:
    """A sentence for each seed with words that `find_words` has not found."""
    unknown = {name: [word for word in words if word not in found[name]] for name, words in seeds.items()}
    return [
        f"Seeds: the vocabulary lacks {len(words)} of the {len(seeds[name])} words of {name}: {_listed(words)}."
        for name, words in unknown.items()
        if words
    ]


def contradictions(found: Mapping[str, Mapping[str, int]], counts: sp.csr_array) -> list[str]:
    """Where documents do not have the words of a seed together: by chance alone they would be together more often.

    Args:
        found: The numbers of the words, by seed and word.
        counts: Training documents, [D, V].

    Returns:
        What was found, a sentence for each word that the others of its seed avoid.
    """
    said = []
    columns = counts.tocsc()
    for name, words in found.items():
        occurs = columns[:, list(words.values())]
        occurs.data = np.ones(len(occurs.data), np.float64)
        frequency = occurs.sum(axis=0)
        together = (occurs.T @ occurs).toarray()
        np.fill_diagonal(together, 0)
        by_chance = np.outer(frequency, frequency) / max(counts.shape[0], 1)
        np.fill_diagonal(by_chance, 0)
        for word, had, chance, documents in zip(
            words, together.sum(axis=1), by_chance.sum(axis=1), frequency, strict=True
        ):
            if chance >= FEW and had < SELDOM * chance:
                said.append(
                    f"Seeds: {word} is seldom where the other words of {name} are: it meets one of them {had:,.0f} "
                    f"times in its {documents:,.0f} documents, where chance alone gives {chance:,.0f}. They will all "
                    "be first in the topic, which may then be of several things."
                )
    return said


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words[:SHOWN]) + " …" * (len(words) > SHOWN)
