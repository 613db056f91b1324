"""What trials come to together: measures against the number of topics, and how stable topics are over seeds."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from etm_app.metrics.matching import match_topics
from etm_app.model import ETM
from etm_app.sweep.trials import BEST, Trial

__all__ = ["SECONDS", "STABILITY", "Spread", "StableTopic", "Summary", "summarize"]

STABILITY, SECONDS = "stability", "seconds"


@dataclass(frozen=True)
class Spread:
    """Values of one measure with one number of topics: by seed, or of stability by pair of seeds.

    Attributes:
        values: One or more.
    """

    values: list[float]

    @property
    def mean(self) -> float:
        """Their mean."""
        return float(np.mean(self.values))

    @property
    def sd(self) -> float | None:
        """Their standard deviation as that of a sample; None of one."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None


@dataclass(frozen=True)
class StableTopic:
    """A topic of the first seed, and how much those of the others are like it.

    Attributes:
        num_topics: K.
        seed: The first.
        topic: Its number with that seed.
        stability: Mean cosine of its word probabilities with those of the topics matched with it in the others; None
            where there is no other.
        share: Of the training documents' tokens, or None.
        coherence: NPMI of its most probable words, or None.
        words: Its top words, as in topics.csv.
    """

    num_topics: int
    seed: int
    topic: int
    stability: float | None
    share: float | None
    coherence: float | None
    words: list[str]


@dataclass(frozen=True)
class Summary:
    """Of all trials.

    Attributes:
        measures: By number of topics and by name: metrics (``val_perplexity``), ``stability``, ``seconds``.
        seeds: By number of topics, those that it was trained with.
        topics: Of the first seed of each, the most stable first.
    """

    measures: dict[int, dict[str, Spread]]
    seeds: dict[int, list[int]]
    topics: list[StableTopic]


def summarize(trials: Sequence[Trial]) -> Summary:
    """Put trials together by their number of topics.

    Args:
        trials: All of one corpus, by number of topics and then by seed.
    """
    measures: dict[int, dict[str, Spread]] = {}
    topics: list[StableTopic] = []
    by_topics: dict[int, list[Trial]] = {}
    for trial in trials:
        by_topics.setdefault(trial.num_topics, []).append(trial)
    for num_topics, own in by_topics.items():
        names = dict.fromkeys(name for trial in own for name in trial.metrics)
        spreads = {name: Spread([trial.metrics[name] for trial in own if name in trial.metrics]) for name in names}
        stability, of_topics = _stability([_beta(trial) for trial in own] if len(own) > 1 else [])
        if stability:
            spreads[STABILITY] = Spread(stability)
        spreads[SECONDS] = Spread([trial.seconds for trial in own])
        measures[num_topics] = spreads
        described = _topics(own[0], of_topics)
        topics += sorted(described, key=lambda topic: (-(topic.stability or 0), topic.topic))
    seeds = {num_topics: [trial.seed for trial in own] for num_topics, own in by_topics.items()}
    return Summary(measures, seeds, topics)


def _stability(betas: Sequence[NDArray[np.float32]]) -> tuple[list[float], list[float | None]]:
    """Mean matched cosine of each pair of seeds, and of each topic of the first over the other seeds."""
    matched = {pair: match_topics(betas[pair[0]], betas[pair[1]]).cosine for pair in combinations(range(len(betas)), 2)}
    with_first = [cosine for (one, _), cosine in matched.items() if one == 0]
    of_topics = np.mean(with_first, axis=0).tolist() if with_first else []
    return [float(cosine.mean()) for cosine in matched.values()], of_topics


def _beta(trial: Trial) -> NDArray[np.float32]:
    """Word probabilities of its topics, [K, V]."""
    beta: NDArray[np.float32] = ETM.load_from_checkpoint(trial.folder / BEST).beta.numpy()
    return beta


def _topics(trial: Trial, stability: Sequence[float | None]) -> list[StableTopic]:
    described: list[dict[str, Any]] = json.loads((trial.folder / "topics.json").read_text(encoding="utf-8"))
    return [
        StableTopic(
            trial.num_topics,
            trial.seed,
            topic["topic"],
            stability[topic["topic"]] if stability else None,
            topic["share"],
            topic["coherence"],
            topic["words"],
        )
        for topic in described
    ]
