"""Time and peak memory of training against the number of documents, words, topics and the batch.

Each row is a fit of our defaults in a process of its own, its corpus drawn before in another and read from disk;
validation, checkpoints and final evaluation take part in the memory, but not in the time.
"""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from jsonargparse import auto_cli
from tables import show


@dataclass(frozen=True)
class Setting:
    """What a row is about.

    Args:
        documents: Number of documents, all for training but two per cent.
        words: V.
        topics: K, planted and learned.
        batch: Documents a step.
        length: Mean tokens of a document.
    """

    documents: int = 10_000
    words: int = 10_000
    topics: int = 50
    batch: int = 1000
    length: int = 100

    def arguments(self, cache_dir: Path) -> dict[str, Any]:
        """Those of the data module."""
        return {
            "num_documents": self.documents,
            "num_words": self.words,
            "planted_topics": self.topics,
            "document_length": self.length,
            "val_fraction": 0.01,
            "test_fraction": 0.01,
            "batch_size": self.batch,
            "cache_dir": cache_dir,
        }


def prepare(setting: Setting, cache_dir: Path) -> tuple[int, int]:
    """Draw the corpus and keep it; its training documents and its non-zeros."""
    from etm_app import SyntheticDataModule

    corpus = SyntheticDataModule(**setting.arguments(cache_dir)).corpus
    return len(corpus.rows("train")), len(corpus.indices)


def fit(setting: Setting, cache_dir: Path, num_steps: int | None, num_epochs: int) -> tuple[float, dict[str, float]]:
    """Seconds of the fastest epoch, and the memory of this process."""
    from machine import memory
    from peers import epochs

    _, taken = epochs(
        "--data=SyntheticDataModule",
        *(f"--data.{name}={value}" for name, value in setting.arguments(cache_dir).items()),
        f"--data.steps_per_epoch={'null' if num_steps is None else num_steps}",
        f"--model.num_topics={setting.topics}",
        f"--trainer.max_epochs={num_epochs}",
        train_only=False,
    )
    return min(taken), memory()


def alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call it in a fresh process."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def main(
    cache_dir: Path,
    base: Setting = Setting(),
    documents: tuple[int, ...] = (10_000, 100_000, 1_000_000),
    words: tuple[int, ...] = (3_000, 30_000, 100_000),
    topics: tuple[int, ...] = (20, 100, 200),
    batch: tuple[int, ...] = (100, 500, 4000),
    num_steps: int | None = 100,
    num_epochs: int = 3,
) -> None:
    """Measure the base setting and, one at a time, the others.

    Args:
        cache_dir: Folder for the corpora; a million documents take a gigabyte.
        base: What stays the same.
        documents: Numbers of documents.
        words: Sizes of the vocabulary.
        topics: Numbers of topics.
        batch: Documents a step.
        num_steps: Steps of an epoch; null: a full pass.
        num_epochs: Epochs, of which the fastest counts.
    """
    varied = {"documents": documents, "words": words, "topics": topics, "batch": batch}
    settings = [base, *(replace(base, **{name: value}) for name, values in varied.items() for value in values)]
    rows = []
    for setting in dict.fromkeys(settings):
        num_documents, non_zeros = alone(prepare, setting, cache_dir)
        seconds, memory = alone(fit, setting, cache_dir, num_steps, num_epochs)
        steps = num_steps or -(-num_documents // setting.batch)
        seen = num_documents if num_steps is None else num_steps * min(setting.batch, num_documents)
        rows.append([
            f"{setting.documents:,}", f"{setting.words:,}", setting.topics, f"{setting.batch:,}",
            f"{non_zeros / setting.documents:.0f}", steps, f"{seconds:.2f}", f"{1e3 * seconds / steps:.1f}",
            f"{1e6 * seconds / seen:.1f}", f"{memory['peak']:.2f}", f"{memory['files']:.2f}",
        ])  # fmt: skip
    header = ["documents", "V", "K", "batch", "words a document", "steps", "seconds", "ms a step", "µs a document"]
    show(f"An epoch; the same otherwise: {asdict(base)}", [*header, "peak GB", "mapped files GB"], rows)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
