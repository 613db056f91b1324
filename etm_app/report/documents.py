"""The documents that the page shows, with their topics and the beginnings of their texts."""

from typing import Any

import numpy as np

from etm_app.data.corpus import EXCERPT_LENGTH, BowCorpus, BowDataset
from etm_app.model import ETM
from etm_app.report.survey import Survey

__all__ = ["LEAST_SHARE", "Documents"]

TYPICAL, MIXED = (2, 8, 400), (1, 3, 150)  # documents of a topic, from … to …, so that all topics have about so many
TOPICS_OF_DOCUMENT = 8
LEAST_SHARE = 0.05  # that is named of a document
WORDS_OF_DOCUMENT = 25  # where there is no text
DOCUMENTS_AT_ONCE = 1_000


class Documents:
    """The documents that the page shows: typical and mixed ones of each topic, and some evenly spaced in the corpus."""

    def __init__(self, model: ETM, corpus: BowCorpus | None, survey: Survey | None) -> None:
        self._typical: list[list[tuple[int, float]]] = [[] for _ in range(len(model.alpha))]
        self._mixed = self._typical
        self._place: dict[int, int] = {}
        if survey is None or corpus is None:
            return
        self._typical, self._mixed = (
            [rows[: min(max(about // len(lists), least), most)] for rows in lists]
            for lists, (least, most, about) in ((survey.representative, TYPICAL), (survey.mixed, MIXED))
        )
        of_topics = [row for documents in (*self._typical, *self._mixed) for row, _ in documents]
        rows = np.unique(np.concatenate([survey.example_rows, np.array(of_topics, np.int64)]))
        self._place = {row: place for place, row in enumerate(rows.tolist())}
        self._corpus, self._rows = corpus, rows
        batches = BowDataset(corpus, rows).batches(DOCUMENTS_AT_ONCE)
        self._theta = np.concatenate([model.theta(batch.to(model.device)).float().cpu().numpy() for batch in batches])

    def typical(self, topic: int) -> list[tuple[int, float]]:
        """Places of the documents with most of a topic, and how much, however little."""
        return [(self._place[row], float(f"{share:.4g}")) for row, share in self._typical[topic]]

    def mixed(self, topic: int) -> list[int]:
        """Places of those of which it is the largest topic, and another one nearly as large."""
        return [self._place[row] for row, _ in self._mixed[topic]]

    def described(self) -> list[dict[str, Any]]:
        """All of them in the order of the corpus: id, label, topics, and text, or words where there is no text."""
        if not self._place:
            return []
        corpus = self._corpus
        table = corpus.documents[self._rows]
        labels = table["label"].to_list() if "label" in table.columns else [None] * len(table)
        texts = corpus.excerpts(self._rows)
        indptr, indices, counts, _ = corpus.select(self._rows)
        documents = []
        for place, (name, label) in enumerate(zip(table["id"].to_list(), labels, strict=True)):
            document: dict[str, Any] = {"id": name, "label": label, "topics": self._topics(place)}
            if texts is not None and texts[place]:
                document["text"] = _excerpt(texts[place])
            else:
                own = slice(indptr[place], indptr[place + 1])
                best = np.argsort(-counts[own], kind="stable")[:WORDS_OF_DOCUMENT]
                document["words"] = [corpus.vocab[word] for word in indices[own][best].tolist()]
            documents.append(document)
        return documents

    def _topics(self, place: int) -> list[list[float]]:
        """The topics that a document is of, the largest first; at least one."""
        theta = self._theta[place]
        best = np.argsort(-theta, kind="stable")[:TOPICS_OF_DOCUMENT].tolist()
        return [
            [topic, round(float(theta[topic]), 3)]
            for rank, topic in enumerate(best)
            if theta[topic] >= LEAST_SHARE or not rank
        ]


def _excerpt(beginning: str) -> str:
    """The beginning of a text in one line, up to a whole word."""
    text = " ".join(beginning.split())
    if len(beginning) < EXCERPT_LENGTH:
        return text
    whole, blank, _ = text.rpartition(" ")
    return f"{whole if blank else text} …"
