"""Agreement of the topics with the labels of a corpus."""

import numpy as np
from numpy.typing import NDArray
from pytorch_lightning import Callback, Trainer

from etm_app.callbacks.evaluation import OnEvaluations
from etm_app.data.corpus import BowCorpus, BowDataset
from etm_app.data.datamodule import BowDataModule
from etm_app.metrics.agreement import MAX_TRAINED, LinearClassifier, topic_agreement
from etm_app.model import ETM

__all__ = ["LabelAgreement"]


class LabelAgreement(OnEvaluations, Callback):
    """Logs how well topics agree with labels, where the corpus has some, in `validate` and `test`.

    Not in the validations within a fit: it is no measure to choose a model by, and would take as long as they do.
    Documents without a word or a label take no part.
    """

    def __init__(self) -> None:
        self._trained: tuple[NDArray[np.float32], NDArray[np.int64], LinearClassifier] | None = None

    def on_final(self, trainer: Trainer, model: ETM, split: str) -> None:
        """Log for the documents of the split."""
        datamodule = getattr(trainer, "datamodule", None)
        if not isinstance(datamodule, BowDataModule) or "label" not in datamodule.corpus.documents.columns:
            return
        corpus = datamodule.corpus
        label = corpus.documents["label"].rank("dense").cast(int).fill_null(-1).to_numpy()  # by its number
        train, evaluated = (_labelled(corpus, label, rows) for rows in (corpus.rows("train"), corpus.rows(split)))
        train = train.sample(MAX_TRAINED)
        if not len(train) or not len(evaluated):
            return
        classifier = self._classifier(_theta(model, train), label[train.rows])
        topics, found = [], []
        for part in evaluated.parts():
            theta = _theta(model, part)
            topics.append(theta.argmax(axis=1))
            found.append(classifier.predict(theta))
        values = topic_agreement(np.concatenate(topics), label[evaluated.rows])
        values["accuracy"] = float((np.concatenate(found) == label[evaluated.rows]).mean())
        model.log_dict({f"{split}_{name}": value for name, value in values.items()}, sync_dist=True)

    def _classifier(self, theta: NDArray[np.float32], labels: NDArray[np.int64]) -> LinearClassifier:
        """The one of before where nothing has changed: `fit` ends with validate and test."""
        kept = self._trained
        if kept is None or not np.array_equal(kept[0], theta) or not np.array_equal(kept[1], labels):
            kept = self._trained = (theta, labels, LinearClassifier(theta, labels))
        return kept[2]


def _labelled(corpus: BowCorpus, label: NDArray[np.int64], rows: NDArray[np.int64]) -> BowDataset:
    return BowDataset(corpus, corpus.with_words(rows[label[rows] >= 0]))


def _theta(model: ETM, documents: BowDataset) -> NDArray[np.float32]:
    (batch,) = documents.batches(max(len(documents), 1))
    return model.theta(batch.to(model.device)).float().cpu().numpy()
