"""Topics by groups of documents, labels or periods, and the words that a topic gains and loses from one to the next."""

from dataclasses import dataclass

import numpy as np
import polars as pl
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from scipy.special import erfc
from torch import Tensor

from etm_app.data.batch import BowBatch
from etm_app.data.times import Period, Periods
from etm_app.model import ETM
from etm_app.nn.elbo import MIN_PROBABILITY
from etm_app.nn.sparse import dots, sum_words

__all__ = ["GroupSums", "Groups", "OverTime", "PeriodSums", "WordsOverTime", "indicators", "moves"]

NUM_WORDS = 50  # of a topic that are followed: so many by relevance, and by probability
MAX_FOLLOWED = 1 << 22  # numbers of words, topics and periods: 32 MB, twice
AT_ONCE = 1 << 21  # words of documents, once for each topic that they are followed in
PRIOR_TOKENS = 100.0  # what the topic's own words weigh against those of a period
MIN_MOVE = 3.0  # standard errors of a topic's share
FALSE_DISCOVERIES = 0.05  # of the words that are found
LEAST, ROUNDING = 1e-9, 1e-5  # tokens that are none; and of float32, by which a topic's words may miss its tokens
MAX_CHANGES = 10  # words that a topic gains in a period, and that it loses


@dataclass(frozen=True)
class Groups:
    """Topics in groups of documents.

    Attributes:
        names: What the groups are called.
        documents: Documents with words in each, int64 [G].
        shares: Share of each topic in each group, theta with documents weighed by their length, [K, G]; columns sum to
            1.
    """

    names: list[str]
    documents: NDArray[np.int64]
    shares: NDArray[np.float64]


@dataclass(frozen=True)
class OverTime(Groups):
    """Topics in periods, in order of time.

    Attributes:
        unit: How long the periods are.
        starts: Their first days, as 2024-03-01.
        words: What `WordsOverTime.changes` found.
    """

    unit: Period
    starts: list[str]
    words: pl.DataFrame


def indicators(codes: NDArray[np.int64], size: int, weights: NDArray[np.floating] | None = None) -> sp.csr_array:
    """Rows with a one, or their weight, at their code, [n, size]; none where the code is -1."""
    (known,) = np.nonzero(codes >= 0)
    values = np.ones(len(known)) if weights is None else weights[known].astype(np.float64)
    return sp.csr_array((values, (known, codes[known])), shape=(len(codes), size))


class GroupSums:
    """Adds up the topics of groups of documents.

    Args:
        names: What the groups are called; each has documents.
        codes: The number of each document's group, int64 [n]; -1 for none.
        num_topics: K.
    """

    def __init__(self, names: list[str], codes: NDArray[np.int64], num_topics: int) -> None:
        self.names = names
        self.codes = codes
        self.tokens = np.zeros((len(names), num_topics))

    def add(self, places: slice, lengths: NDArray[np.floating], theta: NDArray[np.float32]) -> None:
        """Add some of the documents.

        Args:
            places: Which.
            lengths: Their tokens, [B].
            theta: Theirs, [B, K].
        """
        self.tokens += indicators(self.codes[places], len(self.names), lengths).T @ theta

    def groups(self) -> Groups:
        """The topics of the groups."""
        documents = np.bincount(self.codes[self.codes >= 0], minlength=len(self.names))
        return Groups(self.names, documents, (self.tokens / self.tokens.sum(axis=1, keepdims=True)).T)


class PeriodSums(GroupSums):
    """Adds up the topics of periods, and their words.

    Args:
        periods: Of the documents.
        model: The model.
    """

    def __init__(self, periods: Periods, model: ETM) -> None:
        super().__init__(periods.names, periods.codes, len(model.alpha))
        self.periods = periods
        self.words = WordsOverTime(model, len(periods.names))

    def over_time(self) -> OverTime:
        """The topics of the periods."""
        found = self.groups()
        unit, starts = self.periods.unit, self.periods.starts
        return OverTime(found.names, found.documents, found.shares, unit, starts, self.words.changes())


def moves(found: Groups) -> list[tuple[int, float, float]]:
    """The topics whose share changes from the first third of the documents to the last one by more than chance.

    That is by `MIN_MOVE` standard errors of a share among as many documents.

    Args:
        found: The periods.

    Returns:
        Topic, and its shares in the first and the last third, cut between periods; what rises most first.
    """
    before = (np.cumsum(found.documents) - found.documents / 2) / found.documents.sum()  # where their middles are
    early, late = before <= max(1 / 3, before[0]), before >= min(2 / 3, before[-1])
    shares, errors = [], []
    for part in (early, late):
        weights = found.documents * part
        share = found.shares @ weights / weights.sum()
        shares.append(share)
        errors.append(share * (1 - share) / weights.sum())
    change = shares[1] - shares[0]
    (sure,) = np.nonzero(np.abs(change) > MIN_MOVE * np.sqrt(errors[0] + errors[1]))
    ranked = sure[np.argsort(-change[sure], kind="stable")]
    return [(topic, float(shares[0][topic]), float(shares[1][topic])) for topic in ranked.tolist()]


class WordsOverTime:
    """How often each topic uses its words in each period, added up from documents.

    Topics themselves do not change: what does is which of their words are used. Of a word v in a document d,
    n_dv q_dvk are expected to be of topic k, where q_dvk = theta_dk if a document has one topic, and else
    q_dvk ∝ theta_dk beta_kv. Followed are the most relevant and the most probable words of each topic.

    Args:
        model: The model.
        num_periods: P.
    """

    def __init__(self, model: ETM, num_periods: int) -> None:
        num_topics = len(model.alpha)
        each = max(min(NUM_WORDS, MAX_FOLLOWED // (2 * num_topics * num_periods)), 1)
        by = (model.top_word_indices(each, weight).cpu().numpy() for weight in (model.relevance, 1.0))
        followed = [np.unique(words) for words in np.concatenate([*by], axis=1)]
        words = np.concatenate(followed)
        order = np.argsort(words, kind="stable")
        self._one_topic = model.e_step is not None and not model.e_step.several
        with torch.no_grad():
            self._beta: Tensor = model.topics().float()  # [V, K]
        # Pairs of a word and a topic that it is followed in, sorted by word.
        self.words = words[order]
        self.topics = np.repeat(np.arange(num_topics), [len(own) for own in followed])[order]
        self._first = np.searchsorted(self.words, np.arange(model.vocab_size + 1))
        self._beta_of_pair = self._beta[self.words, self.topics].cpu().double().numpy()
        self.counts = np.zeros((num_periods, len(words)))
        self.squares = np.zeros((num_periods, len(words)))
        self.tokens = np.zeros((num_periods, num_topics))

    def add(self, batch: BowBatch, theta: Tensor, codes: NDArray[np.int64]) -> None:
        """Add documents.

        Args:
            batch: They, on the model's device.
            theta: Theirs, [B, K].
            codes: The number of each one's period, [B]; -1 for none.
        """
        counts = batch.counts.to(theta)
        if self._one_topic:
            tokens = theta * torch.segment_reduce(counts, "sum", offsets=batch.indptr.long(), initial=0.0)[:, None]
        else:
            counts = counts / dots(batch, theta, self._beta).clamp(min=MIN_PROBABILITY)
            tokens = theta * sum_words(batch, counts, self._beta)
        self.tokens += indicators(codes, len(self.tokens)).T @ tokens.cpu().double().numpy()
        words, weights = batch.indices.cpu().numpy(), counts.cpu().double().numpy()
        documents = np.repeat(np.arange(len(codes)), batch.indptr.diff().cpu().numpy())
        number = np.diff(self._first)[words]  # pairs of each
        (used,) = np.nonzero((number > 0) & (codes[documents] >= 0))
        ends = np.cumsum(number[used])
        on_host, start = theta.cpu().numpy(), 0
        while start < len(used):
            stop = max(int(ends.searchsorted((ends[start - 1] if start else 0) + AT_ONCE, "right")), start + 1)
            some = used[start:stop]
            which = np.repeat(some, number[some])
            within = np.arange(len(which)) - np.repeat(np.cumsum(number[some]) - number[some], number[some])
            pairs = self._first[words[which]] + within
            values = weights[which] * on_host[documents[which], self.topics[pairs]]
            if not self._one_topic:
                values *= self._beta_of_pair[pairs]
            periods = codes[documents[which]]
            np.add.at(self.counts, (periods, pairs), values)
            np.add.at(self.squares, (periods, pairs), values**2)
            start = stop

    def changes(self) -> pl.DataFrame:
        """The words that topics use more, or less, in a period than in all others.

        Log-odds with an informative Dirichlet prior (Monroe, Colaresi, Quinn 2008, "Fightin' Words", section 3.5), of
        the word among the topic's expected tokens. y are those of the word in the period, n those of all words, and
        y', n' the same in all other periods; the prior has `PRIOR_TOKENS` tokens, a of them of the word as in all
        periods together:

            δ = log (y + a) / (n + PRIOR_TOKENS − y − a) − log (y' + a) / (n' + PRIOR_TOKENS − y' − a)
            score = δ / √(s² + s'²),  s² = (max(y, Σ_d y_d²) + a) / (y + a)²

        It is in standard errors, so that a period with few documents does not shout. Where a document d has y_d > 1 of
        the word, Σ y_d² is larger than the y of a Poisson distribution, which the paper assumes: words come in bursts.
        As many words and periods are looked at, those are kept of which `FALSE_DISCOVERIES` are there by chance
        (Benjamini, Hochberg 1995, "Controlling the False Discovery Rate").

        Returns:
            ``topic``, ``period`` and ``word`` by number, ``score`` (above 0: gained), and the word's ``share`` of the
            topic's tokens in the period and ``elsewhere``: up to `MAX_CHANGES` of a topic and period that are gained,
            and as many that are lost, sorted by topic, period and score.
        """
        # Imported here: it takes long, and only documents with times need it.
        from scipy.stats import false_discovery_control

        of_topic = self.tokens[:, self.topics]  # n, [P, pairs]
        all_words, all_tokens = self.counts.sum(axis=0), of_topic.sum(axis=0)
        whole = np.maximum(all_tokens, LEAST)
        prior = np.maximum(PRIOR_TOKENS * all_words / whole, LEAST)
        elsewhere = np.maximum(all_words - self.counts, 0), np.maximum(all_tokens - of_topic, 0)
        squares = np.maximum(self.squares.sum(axis=0) - self.squares, 0)
        log_odds, variance = [], []
        for (words, tokens), burst in zip(((self.counts, of_topic), elsewhere), (self.squares, squares), strict=True):
            own = words + prior
            log_odds.append(np.log(own / np.maximum(tokens + PRIOR_TOKENS - own, LEAST)))
            variance.append((np.maximum(words, burst) + prior) / own**2)
        score = (log_odds[0] - log_odds[1]) / np.sqrt(variance[0] + variance[1])
        score[:, all_words > (1 - ROUNDING) * whole] = 0  # a topic of one word cannot change
        chance = false_discovery_control(erfc(np.abs(score) / np.sqrt(2)).ravel())
        periods, pairs = np.nonzero(chance.reshape(score.shape) <= FALSE_DISCOVERIES)
        share, other = (
            words[periods, pairs] / np.maximum(tokens[periods, pairs], LEAST)
            for words, tokens in ((self.counts, of_topic), elsewhere)
        )
        found = pl.DataFrame(
            {
                "topic": self.topics[pairs],
                "period": periods,
                "word": self.words[pairs],
                "score": score[periods, pairs],
                "share": share,
                "elsewhere": other,
            }
        )
        strength, group = pl.col("score").abs(), ("topic", "period", pl.col("score") > 0)
        most = found.filter(strength.rank("ordinal", descending=True).over(group) <= MAX_CHANGES)
        return most.sort("topic", "period", "score", descending=[False, False, True])
