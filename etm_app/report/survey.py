"""What the topics are in the training documents: one pass over theta, shared by all that show it."""

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from etm_app.data.corpus import BowCorpus, BowDataset
from etm_app.data.times import Periods, periods_of
from etm_app.model import ETM
from etm_app.nn.sparse import num_tokens
from etm_app.report.over_time import Groups, GroupSums, OverTime, PeriodSums, indicators

__all__ = ["HISTOGRAM_BINS", "Survey", "fingerprint", "survey", "survey_of"]

NUM_REPRESENTATIVE = 10
NUM_MIXED = 4
NUM_EXAMPLES = 100
HISTOGRAM_BINS = 20
MAX_LABELS = 1_000  # a corpus with more of them has names there, not classes


@dataclass(frozen=True)
class Survey:
    """Topics of documents as `survey` found them; documents without words take no part.

    Attributes:
        num_documents: Documents with words.
        shares: Share of each topic, theta with documents weighed by their length, [K]; sums to 1.
        representative: For each topic the (row in the corpus, theta_k) of up to 10 documents with most of it, the most
            first.
        mixed: For each topic the (row in the corpus, theta of their second topic) of up to 4 documents of which it is
            the largest topic and another one nearly as large; those with most of the second one first.
        label_names: The labels, the most frequent first, or None where the corpus has none. Beyond 1,000 the others
            are one, in the last place, which says how many they are.
        label_shares: Labels within a topic, theta of the documents that have one, [K, labels]; rows sum to 1.
        by_label: The topics within each of these labels, where there are such.
        by_period: The topics in each of the periods that the documents are from, where it has times and these
            are not all in one.
        example_rows: Rows of up to 100 documents, evenly spaced.
        histogram: How many documents have theta_k in each of 20 equal intervals of [0, 1], int64 [K, 20].
        largest_histogram: The same of each document's largest theta_k, int64 [20].
        word_counts: Tokens of each word, [V].
    """

    num_documents: int
    shares: NDArray[np.float64]
    representative: list[list[tuple[int, float]]]
    mixed: list[list[tuple[int, float]]]
    label_names: list[str] | None
    label_shares: NDArray[np.float64] | None
    by_label: Groups | None
    by_period: OverTime | None
    example_rows: NDArray[np.int64]
    histogram: NDArray[np.int64]
    largest_histogram: NDArray[np.int64]
    word_counts: NDArray[np.float64]


def survey(model: ETM, dataset: BowDataset) -> Survey | None:
    """Look at theta of all documents, some thousands at a time.

    Args:
        model: The model.
        dataset: The documents.

    Returns:
        What was found, or None where no document has words.
    """
    corpus = dataset.corpus
    rows = corpus.with_words(dataset.rows)
    if not len(rows):
        return None
    documents = BowDataset(corpus, rows)
    num_topics = len(model.alpha)
    label_names, codes = _labels(corpus, rows)
    shares = np.zeros(num_topics)
    label_shares = np.zeros((len(label_names or ()), num_topics))
    by_label = None if label_names is None or codes is None else GroupSums(label_names, codes, num_topics)
    by_period = None if (periods := _periods(corpus, rows)) is None else PeriodSums(periods, model)
    histogram = np.zeros((num_topics, HISTOGRAM_BINS), np.int64)
    largest_histogram = np.zeros(HISTOGRAM_BINS, np.int64)
    word_counts = np.zeros(corpus.vocab_size)
    representative, mixed = _Best(num_topics, NUM_REPRESENTATIVE), _Best(num_topics, NUM_MIXED)
    num_seen = 0
    for part in documents.parts():
        (batch,) = part.batches(len(part))
        word_counts += np.bincount(batch.indices.numpy(), batch.counts.numpy(), minlength=len(word_counts))
        batch = batch.to(model.device)
        on_device = model.theta(batch).float()
        representative.add(on_device, part.rows)
        if num_topics > 1:
            two = on_device.topk(2, dim=1)
            second = torch.zeros_like(on_device).scatter_(1, two.indices[:, :1], two.values[:, 1:])
            mixed.add(second, part.rows)
        theta = on_device.cpu().numpy()
        tokens = num_tokens(batch, batch.counts).cpu().numpy()
        shares += tokens @ theta.astype(np.float64)
        bins = np.minimum((theta * HISTOGRAM_BINS).astype(np.int64), HISTOGRAM_BINS - 1)
        places_of = bins + HISTOGRAM_BINS * np.arange(num_topics)
        histogram += np.bincount(places_of.ravel(), minlength=histogram.size).reshape(histogram.shape)
        largest_histogram += np.bincount(bins.max(axis=1), minlength=HISTOGRAM_BINS)
        own = slice(num_seen, num_seen + len(part))
        if codes is not None:
            label_shares += indicators(codes[own], len(label_shares)).T @ theta
        if by_label is not None:
            by_label.add(own, tokens, theta)
        if by_period is not None:
            by_period.add(own, tokens, theta)
            by_period.words.add(batch, on_device, by_period.codes[own])
        num_seen += len(part)
    weight = np.maximum(label_shares.sum(axis=0), np.finfo(np.float64).tiny)  # theta may be 0 in float32
    return Survey(
        num_documents=len(rows),
        shares=shares / shares.sum(),
        representative=representative.lists(),
        mixed=[[(row, second) for row, second in documents if second > 0] for documents in mixed.lists()],
        label_names=label_names,
        label_shares=None if label_names is None else (label_shares / weight).T,
        by_label=None if by_label is None else by_label.groups(),
        by_period=None if by_period is None else by_period.over_time(),
        example_rows=documents.sample(NUM_EXAMPLES).rows,
        histogram=histogram,
        largest_histogram=largest_histogram,
        word_counts=word_counts,
    )


class _Best:
    """The documents with the largest values, for each topic, however many parts they come in.

    Args:
        num_topics: K.
        size: How many documents of each.
    """

    def __init__(self, num_topics: int, size: int) -> None:
        self.size = size
        self.values = np.zeros((0, num_topics), np.float32)
        self.rows = np.zeros((0, num_topics), np.int64)

    def add(self, values: torch.Tensor, rows: NDArray[np.int64]) -> None:
        """Look at documents with these values [n, K] and rows [n]."""
        most, places = values.topk(min(self.size, len(values)), dim=0)
        all_values = np.concatenate((self.values, most.cpu().numpy()))
        all_rows = np.concatenate((self.rows, rows[places.cpu().numpy()]))
        order = np.argsort(-all_values, axis=0, kind="stable")[: self.size]
        self.values, self.rows = np.take_along_axis(all_values, order, 0), np.take_along_axis(all_rows, order, 0)

    def lists(self) -> list[list[tuple[int, float]]]:
        """For each topic the rows and values, the largest first."""
        return [
            list(zip(rows, values, strict=True))
            for rows, values in zip(self.rows.T.tolist(), self.values.T.tolist(), strict=True)
        ]


def _labels(corpus: BowCorpus, rows: NDArray[np.int64]) -> tuple[list[str] | None, NDArray[np.int64] | None]:
    """Names of the labels and the number of each document's, -1 for none."""
    if "label" not in corpus.documents.columns:
        return None, None
    labels = corpus.documents["label"][rows]
    frequency = labels.drop_nulls().value_counts().sort("count", "label", descending=[True, False])
    names = frequency["label"].head(MAX_LABELS).to_list()
    if not names:
        return None, None
    codes = labels.cast(pl.Enum(names), strict=False).to_physical().cast(pl.Int64).fill_null(len(names)).to_numpy()
    if others := len(frequency) - len(names):
        names.append(f"({others:,} other labels)")
    return names, np.where(labels.is_null(), -1, codes)


def _periods(corpus: BowCorpus, rows: NDArray[np.int64]) -> Periods | None:
    if "time" not in corpus.documents.columns:
        return None
    return periods_of(corpus.documents["time"][rows], corpus.period)


def fingerprint(model: ETM) -> tuple[float, ...]:
    """Sums of the weights: the same for the same state, also after it was loaded from a checkpoint anew."""
    with torch.no_grad():
        return tuple(tensor.cpu().sum(dtype=torch.float64).item() for tensor in model.state_dict().values())


_surveys: "WeakKeyDictionary[ETM, tuple[BowCorpus, tuple[float, ...], Survey | None]]" = WeakKeyDictionary()


def survey_of(model: ETM) -> Survey | None:
    """The survey of a model's training documents, made once for the weights that the model has.

    `fit` ends with validate and test of the same checkpoint, and several callbacks ask.

    Returns:
        None where the model knows no training documents, or none with words.
    """
    dataset = model.training_set
    if dataset is None:
        return None
    weights = fingerprint(model)
    if (kept := _surveys.get(model)) is None or kept[0] is not dataset.corpus or kept[1] != weights:
        kept = _surveys[model] = (dataset.corpus, weights, survey(model, dataset))
    return kept[2]
