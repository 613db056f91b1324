"""How far topics have drifted where training went on with other documents."""

from dataclasses import dataclass

from torch.nn import functional as F

from etm_app.model import ETM
from etm_app.topic_model import highest, relevance_in

__all__ = ["Drift", "drift_of"]


@dataclass(frozen=True)
class Drift:
    """Of one topic.

    Attributes:
        topic: Its number.
        cosine: Of its word probabilities before and now, from 0 to 1, on the words that were known before.
        nearest: Number of the topic before that it is nearest to by that cosine: its own, where it means what it meant.
        nearest_cosine: With that.
        gained: Of its top words now, those that were none before, the first first.
        lost: Of its top words before, those that are none now.
    """

    topic: int
    cosine: float
    nearest: int
    nearest_cosine: float
    gained: list[str]
    lost: list[str]


def drift_of(model: ETM, num_words: int) -> list[Drift]:
    """The drift of every topic since training went on with other documents, the largest first; none where it did not.

    Args:
        model: The model, which remembers its topics before.
        num_words: How many top words by relevance are compared; words are as frequent as they are now.
    """
    if not model.memory.placed:
        return []
    before = model.memory.topics.t()
    now = model.beta[:, : before.shape[1]]
    cosine = (F.normalize(now) @ F.normalize(before).t()).clamp(0, 1)
    nearest = cosine.argmax(dim=1).tolist()
    relevance = relevance_in(before, model.log_frequency[: before.shape[1]], model.relevance)
    vocab, words_now = model.known_vocab, model.top_words(num_words)
    words_before = [[vocab[word] for word in words] for words in highest(relevance, num_words).tolist()]
    drifts = [
        Drift(
            topic=topic,
            cosine=float(cosine[topic, topic]),
            nearest=nearest[topic],
            nearest_cosine=float(cosine[topic, nearest[topic]]),
            gained=[word for word in words_now[topic] if word not in words_before[topic]],
            lost=[word for word in words_before[topic] if word not in words_now[topic]],
        )
        for topic in range(len(now))
    ]
    return sorted(drifts, key=lambda drift: drift.cosine)
