"""The topics in TensorBoard: as text, as histograms, as heat maps and in the embedding projector."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from jsonargparse.typing import PositiveInt
from numpy.typing import NDArray
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.loggers import TensorBoardLogger

from etm_app.callbacks.evaluation import OnEvaluations
from etm_app.files import replacing
from etm_app.model import ETM
from etm_app.report.geometry import arrange
from etm_app.report.over_time import Groups
from etm_app.report.survey import HISTOGRAM_BINS, Survey, fingerprint, survey_of

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["TensorBoardTopics", "groups_image", "similarity_image"]

IMAGE_SIZE = 1_000  # pixels that the cells of the heat map share, a side
MAX_CELL = 40
MAX_COLUMNS = IMAGE_SIZE
MIN_LABELLED = 10  # pixels a cell needs for its row to be labelled
DARK, LIGHT = np.array([0.03, 0.19, 0.42]), np.array([0.97, 0.98, 1.0])  # colours for 1 and 0


class TensorBoardTopics(OnEvaluations, Callback):
    """Shows the topics in TensorBoard, where a TensorBoardLogger logs.

    At every validation and test their top words as text. After `validate` and `test` (`fit` ends with both), once for a
    model: histograms of theta over the training documents, heat maps of how alike the topics are and of their shares by
    period and label, and in the embedding projector the topics alone, and topics and words.

    Args:
        num_words: Words shown of each topic.
        projector_words: The most frequent words that the projector shows beside all topics; it takes about two
            kilobytes a word.
    """

    def __init__(self, num_words: PositiveInt = 10, projector_words: PositiveInt = 5_000) -> None:
        self.num_words = num_words
        self.projector_words = projector_words
        self._shown: tuple[str, tuple[float, ...]] | None = None

    def on_evaluated(self, trainer: Trainer, model: ETM, split: str) -> None:
        """Log the topics as text."""
        for logger in _loggers(trainer):
            rows = [
                f"| {topic} | {model.given_names.get(topic, '')} | {' '.join(words)} |"
                for topic, words in enumerate(model.top_words(self.num_words))
            ]
            text = "\n".join(["| topic | name | words |", "|---|---|---|", *rows])
            logger.experiment.add_text(f"{split}/topics", text, trainer.global_step)

    def on_measured(self, trainer: Trainer, model: ETM) -> None:
        """Show what is final."""
        self.show(trainer, model)

    def show(self, trainer: Trainer, model: ETM) -> None:
        """Show histograms, heat maps and projector of the model as it is."""
        for logger in _loggers(trainer):
            state = (logger.log_dir, fingerprint(model))
            if self._shown == state:
                continue
            self._shown = state
            writer, step = logger.experiment, trainer.global_step
            survey = survey_of(model)
            if survey is not None:
                _add_histogram(writer, "topics/theta", survey.histogram.sum(axis=0), step)
                _add_histogram(writer, "topics/theta_largest", survey.largest_histogram, step)
            image = similarity_image(model)
            writer.add_image("topics/similarity", np.asarray(image), step, dataformats="HWC")
            for tag, found in _groups(survey).items():
                writer.add_image(tag, np.asarray(groups_image(model, found)), step, dataformats="HWC")
            self._write_projector(Path(logger.log_dir), model, survey)

    def _write_projector(self, folder: Path, model: ETM, survey: Survey | None) -> None:
        """Words and topics in the projector's own files.

        `SummaryWriter.add_embedding` writes the same, but formats number after number in Python, which takes seconds.
        """
        from google.protobuf import text_format
        from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

        beta = model.beta.cpu().double().numpy()
        counts = beta.sum(axis=0) if survey is None else survey.word_counts
        shares = np.full(len(beta), 1 / len(beta)) if survey is None else survey.shares
        words = np.sort(np.argsort(-counts, kind="stable")[: self.projector_words])
        vocab = model.vocab or []
        topics = pl.DataFrame(
            {
                "label": [f"topic {topic}: {name}" for topic, name in enumerate(model.topic_names)],
                "kind": "topic",
                "topic": np.arange(len(beta)),
                "share": shares,
            }
        )
        frequent = pl.DataFrame(
            {
                "label": [vocab[word] for word in words],
                "kind": "word",
                # The topic that a word most likely comes from where it is seen: p(k | v) ~ share_k beta_kv.
                "topic": (shares[:, None] * beta[:, words]).argmax(axis=0),
                "share": counts[words] / counts.sum(),
            }
        )
        alpha, rho = model.alpha.float().cpu().numpy(), model.rho[words].float().cpu().numpy()
        config = ProjectorConfig()
        (folder / "projector").mkdir(parents=True, exist_ok=True)
        # The first is what is shown at once. In both, the topics' rows are first.
        for name, prefix, table, points in (
            ("topics", "topics_", topics, alpha),
            ("topics and words", "", pl.concat([topics, frequent]), np.concatenate((alpha, rho))),
        ):
            metadata, tensors = f"projector/{prefix}metadata.tsv", f"projector/{prefix}tensors.tsv"
            with replacing(folder / metadata) as path:
                table.with_columns(pl.col("label").str.replace_all(r"[\t\r\n]", " ")).write_csv(
                    path, separator="\t", quote_style="never"
                )
            with replacing(folder / tensors) as path:
                # Rounded by NumPy: Polars' own float_precision takes six times as long.
                pl.DataFrame(points.round(4)).write_csv(path, separator="\t", include_header=False)
            config.embeddings.add(tensor_name=name, tensor_path=tensors, metadata_path=metadata)
        with replacing(folder / "projector_config.pbtxt") as path:
            path.write_text(text_format.MessageToString(config), encoding="utf-8")


def _loggers(trainer: Trainer) -> list[TensorBoardLogger]:
    if not trainer.is_global_zero:
        return []
    return [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]


def _groups(survey: Survey | None) -> dict[str, Groups]:
    """What there is to be drawn, by tag."""
    if survey is None:
        return {}
    groups = {"topics/by_period": survey.by_period, "topics/by_label": survey.by_label}
    return {tag: found for tag, found in groups.items() if found is not None and len(found.names) <= MAX_COLUMNS}


def _add_histogram(writer: Any, tag: str, counts: NDArray[np.int64], step: int) -> None:
    """A histogram of values that are counted already, in equal intervals of [0, 1]."""
    limits = np.linspace(0, 1, HISTOGRAM_BINS + 1)
    middle = (limits[1:] + limits[:-1]) / 2
    (filled,) = np.nonzero(counts)
    writer.add_histogram_raw(
        tag,
        min=limits[filled[0]],
        max=limits[filled[-1] + 1],
        num=counts.sum(),
        sum=counts @ middle,
        sum_squares=counts @ middle**2,
        bucket_limits=limits[1:].tolist(),
        bucket_counts=counts.tolist(),
        global_step=step,
    )


def similarity_image(model: ETM) -> "Image":
    """A heat map of how alike topics are: white without relation, in the order of the report's list."""
    similarity = model.topic_similarity
    order, _ = arrange(similarity)
    return _heat_map(similarity[np.ix_(order, order)].clip(min=0), _labels_of(model, order))


def groups_image(model: ETM, found: Groups) -> "Image":
    """A heat map of the topics by group: each topic's share, the darker the nearer to the largest that it has.

    Topics are in the order of the groups that they are most in.
    """
    most = found.shares.max(axis=1, keepdims=True)
    shade = found.shares / np.maximum(most, np.finfo(np.float64).tiny)
    order = np.argsort(shade @ np.arange(shade.shape[1]) / np.maximum(shade.sum(axis=1), 1), kind="stable")
    return _heat_map(shade[order], _labels_of(model, order), found.names)


def _labels_of(model: ETM, order: NDArray[np.int64]) -> list[str]:
    names = model.topic_names
    return [f"{names[topic]}  {topic}" for topic in order]


def _heat_map(shade: NDArray[np.floating], rows: Sequence[str], columns: Sequence[str] = ()) -> "Image":
    """Cells that are dark where a value is near 1, with the names of rows and columns where there is room.

    Args:
        shade: From 0 to 1, [R, C].
        rows: Names, [R].
        columns: Names, [C], or none.
    """
    # Imported here: only a run that ends with TensorBoard needs it. TensorBoard itself needs Pillow.
    from PIL import Image, ImageDraw, ImageFont

    cell = min(max(IMAGE_SIZE // max(shade.shape), 1), MAX_CELL)
    pixels = (255 * (LIGHT + shade[..., None] * (DARK - LIGHT))).round().astype(np.uint8)
    heat = Image.fromarray(pixels.repeat(cell, axis=0).repeat(cell, axis=1))
    if cell < MIN_LABELLED:
        return heat
    font = ImageFont.load_default(size=min(cell, 16) - 2)
    left, below = (8 + round(max(map(font.getlength, names), default=-8)) for names in (rows, columns))
    image = Image.new("RGB", (left + heat.width, heat.height + below), "white")
    image.paste(heat, (left, 0))
    draw = ImageDraw.Draw(image)
    for row, name in enumerate(rows):
        draw.text((left - 4, (row + 0.5) * cell), name, fill="black", font=font, anchor="rm")
    for column, name in enumerate(columns):  # upwards
        upright = Image.new("RGB", (below, cell), "white")
        ImageDraw.Draw(upright).text((below - 4, cell / 2), name, fill="black", font=font, anchor="rm")
        image.paste(upright.transpose(Image.Transpose.ROTATE_90), (left + column * cell, heat.height))
    return image
