"""``python -m etm_app embed``: word vectors from the texts themselves, for a model that starts from such."""

from pathlib import Path

from pytorch_lightning import LightningDataModule, LightningModule

from etm_app.cli.check import CheckingTrainer
from etm_app.data.datamodule import BowDataModule
from etm_app.data.word_vectors.skip_gram import SkipGram, train_skip_gram
from etm_app.errors import UserError
from etm_app.model import ETM
from etm_app.report.terminal import make_console

__all__ = ["EmbeddingTrainer"]


class EmbeddingTrainer(CheckingTrainer):
    """Lightning's Trainer with what `check` and `embed` do."""

    def embed(
        self,
        model: LightningModule,
        datamodule: LightningDataModule,
        embeddings: SkipGram = SkipGram(),  # noqa: B008 - frozen
        ckpt_path: str | Path | None = None,
        weights_only: bool | None = None,
    ) -> None:
        """Train word vectors on the training documents, and write them to a file for ``--model.embeddings``.

        Args:
            model: The model that they are for; its weights are not looked at, so it may be on the meta device.
            datamodule: The data.
            embeddings: How they are trained.
            ckpt_path: A checkpoint whose words are taken, cut as its texts were.
            weights_only: Only here so that a config that fit saved serves embed as well.
        """
        assert isinstance(model, ETM)
        if not isinstance(datamodule, BowDataModule):
            raise UserError(
                f"data: {type(datamodule).__name__} is a class of its own that gives counts; expected texts: "
                "TextDataModule, say, or a subclass of BowDataModule with training_texts."
            )
        trained = train_skip_gram(embeddings, datamodule)
        path, size = embeddings.path.expanduser(), embeddings.vector_size
        console = make_console()

        def say(line: str) -> None:
            console.print(line, soft_wrap=True, markup=False, highlight=False)

        say(
            f"Vectors of {trained.num_words:,} words, {size} dimensions, from {trained.num_tokens:,} tokens of "
            f"{trained.num_documents:,} training documents, written to {path}"
        )
        if unwritten := trained.unwritten:
            say(f"Left out, for the format ends a word at a white space: {len(unwritten):,}, {unwritten[0]!r} for one.")
        other_size = "" if size == model.topics.rho.shape[1] else f" --model.rho_size {size}"
        say(f"To start a model from them: fit with the same data and --model.embeddings {path}{other_size}")
