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
from etm_app.report.geometry import arrange, project, topic_overlap
from etm_app.report.over_time import OverTime
from etm_app.report.survey import Survey

__all__ = ["describe", "describe_corpus"]

LAMBDA_STEPS = 20  # positions of the relevance slider above 0: for each, exactly the best words are there
BARS = 20  # words shown of a topic at a time
NEAREST_WORDS = 12  # to a topic's embedding
NEAREST_TOPICS = 12
NEIGHBORS = 10  # of a word
TOP_WORDS = 10  # of a topic, which can all be looked up
FREQUENT_WORDS = 5_000  # that can be looked up too
TOPICS_OF_WORD = 6
MAP_WORDS = 450
MAX_OVERLAP_TOPICS = 300  # in the map of overlaps
GROUPS = 8
DOCUMENTS = 5  # of a topic
TOPICS_OF_DOCUMENT = 12
LABELS = 12  # of a topic
WORDS_OF_DOCUMENT = 25  # where there is no text
EXCERPT = 400  # characters
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
    beta, alpha = model.beta.float().cpu().numpy(), model.alpha.float().cpu().numpy()
    share = np.full(len(beta), 1 / len(beta)) if survey is None else survey.shares
    marginal = share @ beta
    ranked = model.top_word_indices(max(MAP_WORDS // len(beta), BARS), model.relevance).cpu().numpy()
    # Without the words' frequencies they are ranked by probability, where the slider starts then.
    relevance, frequency = 1.0, marginal
    if (model.log_frequency < 0).any():
        relevance, frequency = model.relevance, model.log_frequency.double().exp().cpu().numpy()
    candidates = _candidates(beta, frequency, ranked[:, :BARS])
    if coherence is None and dataset is not None:
        coherence = npmi_coherence(model.top_word_indices().cpu().numpy(), dataset.chunks(), model.vocab_size)

    largest = set(np.argsort(-share, kind="stable")[:MAX_OVERLAP_TOPICS].tolist())
    overlap = topic_overlap(beta)
    order, group = arrange(alpha, GROUPS)

    frequent = np.argsort(-marginal, kind="stable")[:FREQUENT_WORDS]
    looked_up = np.concatenate((frequent, np.setdiff1d(ranked[:, :TOP_WORDS], frequent)))
    neighbors, neighbor_cosines = _nearest(model.rho, model.rho[torch.from_numpy(looked_up)], NEIGHBORS, looked_up)
    nearest, nearest_cosines = _nearest(model.rho, model.alpha, NEAREST_WORDS)

    drawn, drawn_of = _telling_words(ranked)
    topic_points, word_points = project(
        alpha,
        model.rho[torch.from_numpy(drawn)].float().cpu().numpy(),
        model.rho.mean(dim=0).float().cpu().numpy(),
    )

    changes = _changes(None if survey is None else survey.by_period)

    # Words are numbered anew, those that can be looked up first; only those that are shown somewhere are there.
    shown = np.unique(np.concatenate([neighbors.ravel(), nearest.ravel(), drawn, *candidates, changes["word"]]))
    words = np.concatenate((looked_up, np.setdiff1d(shown, looked_up)))
    number = np.full(model.vocab_size, -1, np.int64)
    number[words] = np.arange(len(words))
    vocab = model.vocab or [str(word) for word in range(model.vocab_size)]
    documents = _Documents(None if dataset is None else dataset.corpus, survey)
    names = model.topic_names

    return {
        "words": [vocab[word] for word in words.tolist()],
        "num_words": model.vocab_size,
        "num_looked_up": len(looked_up),
        "relevance": relevance,
        "frequency": _rounded(frequency[words]),
        "probability": _rounded(marginal[words]),
        "topics": [
            {
                "name": names[topic],
                "top": [vocab[word] for word in ranked[topic][:TOP_WORDS].tolist()],
                "share": None if survey is None else float(f"{share[topic]:.4g}"),
                "coherence": None if coherence is None else _number(coherence[topic]),
                "group": int(group[topic]),
                "point": _rounded(topic_points[topic]),
                "words": number[candidates[topic]].tolist(),
                "probability": _rounded(beta[topic, candidates[topic]]),
                "nearest": number[nearest[topic]].tolist(),
                "cosine": _rounded(nearest_cosines[topic], 3),
                "neighbors": _nearest_topics(overlap, topic),
                "documents": [] if survey is None else documents.of_topic(topic),
                "labels": [] if survey is None else _labels(survey, topic),
            }
            for topic in range(len(beta))
        ],
        "neighbors": number[neighbors].tolist(),
        "cosines": [_rounded(row, 2) for row in neighbor_cosines],
        "topics_of": _topics_of_words(beta, share, marginal, looked_up),
        "map": {
            "words": number[drawn].tolist(),
            "topics": drawn_of.tolist(),
            "points": [_rounded(point) for point in word_points],
        },
        # Of each pair once, in hundredths, in the order in which topics are drawn.
        "overlap": {
            "order": (kept := [topic for topic in order.tolist() if topic in largest]),
            "hundredths": [
                np.rint(100 * overlap[topic, kept[:place]]).astype(int).tolist() for place, topic in enumerate(kept)
            ],
        },
        "periods": None if survey is None else _periods(survey.by_period, changes, number),
        "labels": None if survey is None else survey.label_names and list(survey.label_names),
        "examples": documents.examples(),
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
    return {"splits": splits, "source": dict(_simple_values(corpus.meta)), "num_words": corpus.vocab_size}


def _simple_values(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested values by their dotted names; of a long list only its length."""
    simple: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, dict):
            simple += _simple_values(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            text = ", ".join(map(str, value))
            simple.append((prefix + name, text if len(text) <= 100 else f"{len(value):,} of them"))
        else:
            simple.append((prefix + name, value))
    return simple


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


def _telling_words(ranked: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Words for the map and the topic of each: the first of every topic, then the second ones, and so on."""
    topic_of: dict[int, int] = {}
    for rank in ranked.T:
        for topic, word in enumerate(rank.tolist()):
            if len(topic_of) < MAP_WORDS:
                topic_of.setdefault(word, topic)
    return np.array(list(topic_of), np.int64), np.array(list(topic_of.values()), np.int64)


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


def _nearest_topics(overlap: NDArray[np.float32], topic: int) -> list[list[float]]:
    """The topics that have most in common with a topic, with the overlap."""
    others = [other for other in np.argsort(-overlap[topic], kind="stable").tolist() if other != topic]
    return [[other, round(float(overlap[topic, other]), 2)] for other in others[:NEAREST_TOPICS]]


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


class _Documents:
    """The documents that the page shows, each described once."""

    def __init__(self, corpus: BowCorpus | None, survey: Survey | None) -> None:
        self.corpus = corpus
        self.survey = survey
        self._place: dict[int, int] = {}

    def _placed(self, row: int) -> int:
        return self._place.setdefault(row, len(self._place))

    def of_topic(self, topic: int) -> list[list[float]]:
        """Places and theta_k of its most representative documents."""
        assert self.survey is not None
        return [
            [self._placed(row), _number(theta, 3) or 0.0]
            for row, theta in self.survey.representative[topic][:DOCUMENTS]
        ]

    def examples(self) -> list[dict[str, Any]]:
        """Places of the example documents with their largest topics."""
        if self.survey is None:
            return []
        examples = []
        for row, theta in zip(self.survey.example_rows.tolist(), self.survey.example_theta, strict=True):
            best = np.argsort(-theta, kind="stable")[:TOPICS_OF_DOCUMENT]
            examples.append(
                {
                    "document": self._placed(row),
                    "topics": [[topic, _number(theta[topic], 3) or 0.0] for topic in best.tolist()],
                }
            )
        return examples

    def described(self) -> list[dict[str, Any]]:
        """All of them: id, label and text, or words where there is no text."""
        if self.corpus is None or not self._place:
            return []
        rows = np.array(list(self._place), np.int64)
        table = self.corpus.documents[rows]
        labels = table["label"].to_list() if "label" in table.columns else [None] * len(rows)
        texts = self.corpus.excerpts(rows)
        indptr, indices, counts, _ = self.corpus.select(rows)
        documents = []
        for place, (name, label) in enumerate(zip(table["id"].to_list(), labels, strict=True)):
            document: dict[str, Any] = {"id": name, "label": label}
            if texts is not None and texts[place]:
                text = " ".join(texts[place].split())
                document["text"] = text if len(text) <= EXCERPT else text[:EXCERPT].rsplit(" ", 1)[0] + " …"
            else:
                own = slice(indptr[place], indptr[place + 1])
                best = np.argsort(-counts[own], kind="stable")[:WORDS_OF_DOCUMENT]
                document["words"] = [self.corpus.vocab[word] for word in indices[own][best].tolist()]
            documents.append(document)
        return documents


def _number(value: float, digits: int = 4) -> float | None:
    """A number as short as the page shows it; None for one that is none."""
    return round(float(value), digits) if np.isfinite(value) else None


def _rounded(values: NDArray[Any], digits: int = 0) -> list[float]:
    """Values with so many decimals, or four significant digits."""
    return [float(f"{value:.4g}") if not digits else round(value, digits) for value in values.tolist()]
