"""What the page shows of a model and its corpus, as plain values of bounded size."""

from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from etm_app.data.corpus import SPLITS, BowCorpus, BowDataset
from etm_app.metrics.coherence import npmi_coherence
from etm_app.model import ETM
from etm_app.report.documents import Documents
from etm_app.report.geometry import arrange, faithfulness, project, word_places
from etm_app.report.over_time import OverTime
from etm_app.report.run import plain
from etm_app.report.survey import Survey
from etm_app.topic_names import NAME_WORDS

__all__ = ["describe", "describe_corpus"]

LAMBDA_STEPS = 20  # positions of the relevance slider above 0: for each, exactly the best words are there
BARS = 20  # words shown of a topic at a time
NEAREST_WORDS = 12  # to a topic's embedding
SIMILAR_TOPICS = 10
NEIGHBORS = 10  # of a word
TOP_WORDS = 10  # of a topic, which can all be looked up
FREQUENT_WORDS = 5_000  # that can be looked up too
TOPICS_OF_WORD = 6
MAX_SIMILAR_TOPICS = 300  # in the picture of all similarities
GROUPS, TOPICS_OF_GROUP = 8, 4  # the most families of topics, and how many topics they have on average at least
MANY_TOPICS, TOPICS_OF_PART = 80, 8  # from when on families have parts, and of how many topics on average
LABELS = 12  # of a topic
FREQUENT_LABELS = 20  # in the table of topics and labels
WORDS_AT_ONCE = 10_000  # whose topics are sorted
CHANGES = 5  # words that a topic gains in a period, and that it loses
MAX_CHANGES = 20_000  # of all topics and periods, those that change most


def describe(
    model: ETM,
    dataset: BowDataset | None,
    survey: Survey | None,
    coherence: NDArray[np.float64] | None = None,
) -> dict[str, Any]:
    """Everything that the page shows of a model: lists, numbers and strings.

    Args:
        model: The model.
        dataset: The documents it was trained on, or others with its vocabulary.
        survey: Its topics in them.
        coherence: NPMI of each topic where it is known already, [K].
    """
    beta = model.beta.float().cpu().numpy()
    share = np.full(len(beta), 1 / len(beta)) if survey is None else survey.shares
    marginal = share @ beta
    ranked = model.top_word_indices(BARS, model.relevance).cpu().numpy()
    # Without the words' frequencies they are ranked by probability, where the slider starts then.
    relevance, frequency = 1.0, marginal
    if (model.log_frequency < 0).any():
        relevance, frequency = model.relevance, model.log_frequency.double().exp().cpu().numpy()
    candidates = _candidates(beta, frequency, ranked)
    if coherence is None and dataset is not None:
        coherence = npmi_coherence(model.top_word_indices().cpu().numpy(), dataset.chunks(), model.vocab_size)

    similarity = model.topic_similarity
    points = project(similarity)
    places = _places(ranked, beta, share, points)

    frequent = np.argsort(-marginal, kind="stable")[:FREQUENT_WORDS]
    looked_up = np.concatenate((frequent, np.setdiff1d(ranked[:, :TOP_WORDS], frequent)))
    neighbors, neighbor_cosines = _nearest(model.rho, model.rho[torch.from_numpy(looked_up)], NEIGHBORS, looked_up)
    nearest, nearest_cosines = _nearest(model.rho, model.alpha, NEAREST_WORDS)

    changes = _changes(None if survey is None else survey.by_period)

    # Words are numbered anew, those that can be looked up first; only those that are shown somewhere are there.
    shown = np.unique(np.concatenate([neighbors.ravel(), nearest.ravel(), *candidates, changes["word"]]))
    words = np.concatenate((looked_up, np.setdiff1d(shown, looked_up)))
    number = np.full(model.vocab_size, -1, np.int64)
    number[words] = np.arange(len(words))
    vocab = model.vocab or [str(word) for word in range(model.vocab_size)]
    documents = Documents(model, None if dataset is None else dataset.corpus, survey)

    names = model.topic_names

    def named(topics: list[int]) -> str:
        return " ".join(vocab[word] for word in _words_of(topics, beta, share, relevance, frequency))

    families = _families(similarity)
    group = {topic: number for number, family in enumerate(families) for part in family for topic in part}
    order = [topic for family in families for part in family for topic in part]
    largest = set(np.argsort(-share, kind="stable")[:MAX_SIMILAR_TOPICS].tolist())
    kept = [topic for topic in order if topic in largest]
    return {
        "words": [vocab[word] for word in words.tolist()],
        "num_words": model.vocab_size,
        "num_looked_up": len(looked_up),
        "relevance": relevance,
        "frequency": _rounded(frequency[words]),
        "probability": _rounded(marginal[words]),
        "given": sorted(model.given_names),
        "topics": [
            {
                "name": names[topic],
                "top": [vocab[word] for word in ranked[topic].tolist()],
                "share": None if survey is None else float(f"{share[topic]:.4g}"),
                "coherence": None if coherence is None else _number(coherence[topic]),
                "group": group[topic],
                "point": _rounded(points[topic], 4),
                "words": number[candidates[topic]].tolist(),
                "probability": _rounded(beta[topic, candidates[topic]]),
                "places": [_rounded(place, 3) for place in places[topic]],
                "nearest": number[nearest[topic]].tolist(),
                "cosine": _rounded(nearest_cosines[topic], 3),
                "similar": _similar(similarity, topic),
                "typical": documents.typical(topic),
                "mixed": documents.mixed(topic),
                "labels": [] if survey is None else _labels(survey, topic),
            }
            for topic in range(len(beta))
        ],
        "neighbors": number[neighbors].tolist(),
        "cosines": [_rounded(row, 2) for row in neighbor_cosines],
        "topics_of": _topics_of_words(beta, share, marginal, looked_up),
        # Topics that are alike together: families, their parts, and the topics of each.
        "families": [
            {
                "name": named([topic for part in family for topic in part]),
                "share": None if survey is None else float(share[[topic for part in family for topic in part]].sum()),
                "parts": [{"name": named(part), "topics": part} for part in family],
            }
            for family in families
        ],
        "faithfulness": faithfulness(similarity, points),
        # Of each pair once, in hundredths, in the order in which topics are drawn.
        "similarity": {
            "order": kept,
            "hundredths": [
                np.rint(100 * similarity[topic, kept[:place]]).astype(int).tolist() for place, topic in enumerate(kept)
            ],
        },
        "periods": None if survey is None else _periods(survey.by_period, changes, number),
        "labels": None if survey is None else survey.label_names and list(survey.label_names),
        "label_table": None if survey is None else _label_table(survey, order),
        "documents": documents.described(),
    }


def describe_corpus(corpus: BowCorpus) -> dict[str, Any]:
    """How large the corpus is, split by split, and where it comes from.

    Returns:
        ``splits`` with documents, empty documents, tokens and tokens a document, and ``source`` with the simple values
        that came with the counts.
    """
    lengths = corpus.lengths()
    splits = []
    for split in SPLITS:
        own = lengths[corpus.rows(split)]
        if len(own):
            splits.append(
                {
                    "split": split,
                    "documents": len(own),
                    "empty": int((own == 0).sum()),
                    "tokens": int(own.sum()),
                    "mean_length": float(own.mean()),
                }
            )
    return {"splits": splits, "source": plain(corpus.meta), "num_words": corpus.vocab_size}


def _candidates(
    beta: NDArray[np.float32], frequency: NDArray[Any], first: NDArray[np.int64]
) -> list[NDArray[np.int64]]:
    """The words that the relevance slider can show.

    Args:
        beta: [K, V].
        frequency: Share of the tokens that are each word, [V].
        first: The topics' words as the model ranks them, [K, n], which the slider shows where it starts.

    Returns:
        For each topic these, and then the other words that are among the first n at some position of the slider.
    """
    tiny, weight = torch.finfo(torch.float32).tiny, (torch.arange(LAMBDA_STEPS + 1) / LAMBDA_STEPS)[:, None]
    log_frequency = torch.from_numpy(frequency).float().clamp(min=tiny).log()
    candidates = []
    for own, ranked in zip(torch.from_numpy(beta), first, strict=True):
        best = (own.clamp(min=tiny).log() - (1 - weight) * log_frequency).topk(len(ranked)).indices
        candidates.append(np.concatenate((ranked, np.setdiff1d(best.numpy(), ranked))))
    return candidates


def _families(similarity: NDArray[np.float64]) -> list[list[list[int]]]:
    """Topics that are alike, at two levels: families, their parts (one where topics are few), and each one's topics."""
    num_topics = len(similarity)
    num_families = min(max(num_topics // TOPICS_OF_GROUP, 1), GROUPS)
    num_parts = num_topics // TOPICS_OF_PART if num_topics > MANY_TOPICS else num_families
    order, (family_of, part_of) = arrange(similarity, num_families, num_parts)
    families: dict[int, dict[int, list[int]]] = {}
    for topic in order.tolist():
        families.setdefault(int(family_of[topic]), {}).setdefault(int(part_of[topic]), []).append(topic)
    return [list(parts.values()) for parts in families.values()]


def _words_of(
    topics: list[int], beta: NDArray[np.float32], share: NDArray[np.float64], relevance: float, frequency: NDArray[Any]
) -> list[int]:
    """The most relevant words of several topics together."""
    tiny = np.finfo(np.float32).tiny
    together = np.maximum(share[topics] @ beta[topics] / max(share[topics].sum(), tiny), tiny)
    scores = np.log(together) - (1 - relevance) * np.log(np.maximum(frequency, tiny))
    best: list[int] = np.argsort(-scores, kind="stable")[:NAME_WORDS].tolist()
    return best


def _places(
    ranked: NDArray[np.int64], beta: NDArray[np.float32], share: NDArray[np.float64], points: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Where the words of each topic stand on the map, [K, n, 2]."""
    words, place = np.unique(ranked, return_inverse=True)
    places: NDArray[np.float64] = word_places(share[:, None] * beta[:, words], points)[place.reshape(ranked.shape)]
    return places


def _nearest(
    rho: torch.Tensor, queries: torch.Tensor, n: int, own: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The words nearest to each query by cosine, [Q, n], and the cosines; ``own`` are the queries' own words."""
    directions = F.normalize(rho.float(), dim=-1)
    n = min(n, len(rho) - (own is not None))
    words, cosines = [], []
    for start in range(0, len(queries), 500):  # so that no more than 500 x V cosines are there at once
        cosine = F.normalize(queries[start : start + 500].float(), dim=-1) @ directions.t()
        if own is not None:
            cosine[torch.arange(len(cosine)), torch.from_numpy(own[start : start + 500])] = -torch.inf
        nearest = cosine.topk(n)
        words.append(nearest.indices.cpu().numpy())
        cosines.append(nearest.values.cpu().numpy())
    return np.concatenate(words), np.concatenate(cosines)


def _topics_of_words(
    beta: NDArray[np.float32], share: NDArray[np.float64], marginal: NDArray[np.float64], words: NDArray[np.int64]
) -> list[list[list[int]]]:
    """The topics most of a word's occurrences are of, p(k | w) = share_k beta_kw / p(w), in per cent; at least one."""
    n = min(TOPICS_OF_WORD, len(beta))
    topics_of: list[list[list[int]]] = []
    for start in range(0, len(words), WORDS_AT_ONCE):
        some = words[start : start + WORDS_AT_ONCE]
        posterior = (share[:, None] * beta[:, some] / np.maximum(marginal[some], np.finfo(np.float64).tiny)).T
        best = np.argsort(-posterior, axis=1, kind="stable")[:, :n]
        percent = np.rint(100 * np.take_along_axis(posterior, best, 1)).astype(int)
        topics_of += [
            [
                [topic, value]
                for rank, (topic, value) in enumerate(zip(row, values, strict=True))
                if value >= 1 or not rank
            ]
            for row, values in zip(best.tolist(), percent.tolist(), strict=True)
        ]
    return topics_of


def _similar(similarity: NDArray[np.float64], topic: int) -> list[list[float]]:
    """The topics that are most similar to a topic, with the similarity."""
    others = [other for other in np.argsort(-similarity[topic], kind="stable").tolist() if other != topic]
    return [[other, round(float(similarity[topic, other]), 2)] for other in others[:SIMILAR_TOPICS]]


def _labels(survey: Survey, topic: int) -> list[list[float]]:
    """Numbers and shares of a topic's largest labels."""
    if survey.label_shares is None:
        return []
    shares = survey.label_shares[topic]
    best = np.argsort(-shares, kind="stable")[:LABELS]
    return [[label, _number(shares[label], 3) or 0.0] for label in best.tolist() if shares[label] > 0]


def _changes(found: OverTime | None) -> pl.DataFrame:
    """Those of the words that are shown, with whether they are ``gained``."""
    if found is None:
        return pl.DataFrame(schema={"word": pl.Int64})
    changes = found.words.with_columns(gained=pl.col("score") > 0, strength=pl.col("score").abs())
    rank = pl.col("strength").rank("ordinal", descending=True).over("topic", "period", "gained")
    return changes.filter(rank <= CHANGES).top_k(MAX_CHANGES, by="strength").sort("strength", descending=True)


def _periods(found: OverTime | None, changes: pl.DataFrame, number: NDArray[np.int64]) -> dict[str, Any] | None:
    """The periods in order of time, the topics' shares in each, and the words that they gain and lose there.

    Returns:
        ``unit``, ``names``, ``starts`` (first days) and ``documents`` [P]; ``shares`` [K, P]; and ``words`` for each
        topic: the number of a period, what is gained and what is lost there, where anything is, by period.
    """
    if found is None:
        return None
    words: list[dict[int, tuple[list[int], list[int]]]] = [{} for _ in found.shares]
    for topic, period, word, gained in changes.select("topic", "period", "word", "gained").iter_rows():
        words[topic].setdefault(period, ([], []))[0 if gained else 1].append(int(number[word]))
    return {
        "unit": found.unit,
        "names": found.names,
        "starts": found.starts,
        "documents": found.documents.tolist(),
        "shares": [_rounded(row, 4) for row in found.shares],
        "words": [[[period, *own[period]] for period in sorted(own)] for own in words],
    }


def _label_table(survey: Survey, order: list[int]) -> dict[str, Any] | None:
    """Shares of the most frequent labels in each topic, topics and labels so that large ones are near the diagonal."""
    if survey.label_shares is None:
        return None
    shares = survey.label_shares[order, :FREQUENT_LABELS]
    middle = np.arange(len(order)) @ shares / np.maximum(shares.sum(axis=0), np.finfo(np.float64).tiny)
    columns = np.argsort(middle, kind="stable")
    return {
        "labels": columns.tolist(),
        "topics": order,
        "shares": [_rounded(row, 3) for row in shares[:, columns]],
    }


def _number(value: float, digits: int = 4) -> float | None:
    """A number as short as the page shows it; None for one that is none."""
    return round(float(value), digits) if np.isfinite(value) else None


def _rounded(values: NDArray[Any], digits: int = 0) -> list[float]:
    """Values with so many decimals, or four significant digits."""
    return [float(f"{value:.4g}") if not digits else round(value, digits) for value in values.tolist()]
