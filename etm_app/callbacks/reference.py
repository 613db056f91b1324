"""Coherence of the topics in a corpus that they were not learned from."""

from itertools import compress

import numpy as np
from pytorch_lightning import Callback, LightningDataModule, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info

from etm_app.callbacks.evaluation import OnEvaluations
from etm_app.data.corpus import BowDataset
from etm_app.data.datamodule import BowDataModule, training_set
from etm_app.errors import UserError
from etm_app.metrics.coherence import reference_coherence
from etm_app.model import ETM

__all__ = ["ReferenceCoherence"]

METRIC_WORDS = 10


class ReferenceCoherence(OnEvaluations, Callback):
    """Logs NPMI, C_V and U_Mass of the topics in a reference corpus, in `validate` and `test`.

    Topics are matched by their words. A word that the reference lacks is left out; how many are known is a metric too.

    Args:
        reference: The corpus, any data module with a vocabulary: all documents of those here, the training documents
            of a class of your own. Its words should be made as the model's were.
    """

    def __init__(self, reference: LightningDataModule | None = None) -> None:
        self.reference = reference
        self._documents: BowDataset | None = None
        self._measured: tuple[list[list[str]], dict[str, float]] | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Open the reference corpus, so that what is wrong with it shows before anything is trained."""
        if self.reference is None or stage == "predict" or self._documents is not None:
            return
        name = type(self.reference).__name__
        vocab = getattr(self.reference, "vocab", None)
        if vocab is None:
            raise UserError(
                f"coherence.reference: {name} has no vocab; expected a list of its words, by which topics are matched."
            )
        if isinstance(self.reference, BowDataModule):
            corpus = self.reference.corpus
            self._documents = BowDataset(corpus, np.arange(len(corpus)))
        else:
            self._documents = training_set(self.reference, len(vocab))
        if self._documents is None or not len(self._documents):
            raise UserError(f"coherence.reference: {name} has no documents; expected some, from a train_dataloader.")

    def on_final(self, trainer: Trainer, model: ETM, split: str) -> None:
        """Log."""
        if self._documents is None:
            return
        top_words = model.top_words(METRIC_WORDS, relevance=1)  # by probability, as U_Mass wants them
        if self._measured is None or self._measured[0] != top_words:  # `fit` ends with validate and test
            self._measured = (top_words, self._measure(top_words, self._documents))
        values = self._measured[1]
        model.log_dict({f"{split}_reference_{name}": value for name, value in values.items()}, sync_dist=True)

    def _measure(self, top_words: list[list[str]], documents: BowDataset) -> dict[str, float]:
        vocab: list[str] = self.reference.vocab  # type: ignore[union-attr]  # checked by setup
        place = {word: index for index, word in enumerate(vocab)}
        words = np.array([[place.get(word, -1) for word in row] for row in top_words])
        found = reference_coherence(words, documents.chunks(), len(vocab))
        known = {word for row, there in zip(top_words, found["known"], strict=True) for word in compress(row, there)}
        lacking = sorted({word for row in top_words for word in row} - known)
        left_out = np.isnan(found["npmi"])
        if lacking:
            shown = f"{', '.join(lacking[:5])}{', …' if len(lacking) > 5 else ''}"
            rank_zero_info(
                f"Reference corpus: {len(lacking)} of {len(lacking) + len(known)} top words are in none of its "
                f"{len(documents):,} documents and left out ({shown}), "
                f"and so are {left_out.sum()} of {len(top_words)} topics with fewer than two that are."
            )
        values = {
            name: float(found[name][~left_out].mean()) if not left_out.all() else np.nan
            for name in ("npmi", "cv", "umass")
        }
        return {**values, "coverage": len(known) / (len(known) + len(lacking))}
