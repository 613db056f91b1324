"""Seconds an epoch: our command line's training loop and that of the package embedded-topic-model, side by side.

One pass over the training documents; the original's hyperparameters on both sides: K = 50, H = 800, L = 300,
batch 1000, Adam with rate .005, float32.
"""

import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median

from corpora import newsgroups, synthetic
from jsonargparse import auto_cli
from peers import PAPER, EmbeddedTopicModel, epochs, saved
from tables import show

from etm_app import BowCorpus


def ours(corpus: BowCorpus, hidden_size: int, num_epochs: int) -> list[float]:
    """Seconds of the epochs of a run of configs/paper.yaml."""
    with tempfile.TemporaryDirectory() as folder:
        return epochs(
            PAPER,
            *saved(corpus, Path(folder)),
            "--data.steps_per_epoch=null",
            f"--model.t_hidden_size={hidden_size}",
            f"--trainer.max_epochs={num_epochs}",
        )[1]


def theirs(corpus: BowCorpus, num_epochs: int) -> list[float]:
    """Seconds of the epochs of embedded-topic-model."""
    peer = EmbeddedTopicModel(num_epochs)
    peer.fit(corpus, num_topics=50, seed=1)
    return peer.seconds


def main(
    data_dir: Path | None = None, vocab_sizes: tuple[int, ...] = (30_000, 100_000), num_epochs: int = 4, rounds: int = 2
) -> None:
    """Time epochs of both, in turns.

    Args:
        data_dir: Folder with the paper's files of 20 Newsgroups; null: only the synthetic corpora.
        vocab_sizes: Sizes of the synthetic corpora: 3,000 documents of about 78 distinct words by Zipf's law.
        num_epochs: Epochs of a run; the first one warms up and does not count.
        rounds: How often both run, in turns.
    """
    rows = []
    corpora = [] if data_dir is None else [("20 Newsgroups", lambda: newsgroups(data_dir))]
    corpora += [("synthetic", lambda size=size: synthetic(size)) for size in vocab_sizes]
    for name, make in corpora:
        corpus, times = make(), defaultdict(list)
        for _ in range(rounds):
            times["ours"] += ours(corpus, 800, num_epochs)[1:]
            times["theirs"] += theirs(corpus, num_epochs)[1:]
            times["narrow"] += ours(corpus, 256, num_epochs)[1:]
        peer, wide, narrow = (median(times[key]) for key in ("theirs", "ours", "narrow"))
        rows.append([
            name, f"{len(corpus.rows('train')):,}", f"{corpus.vocab_size:,}", f"{peer:.3f}",
            f"{narrow:.3f}", f"{peer / narrow:.1f}", f"{wide:.3f}", f"{peer / wide:.1f}",
        ])  # fmt: skip
    header = ["corpus", "documents", "V", "embedded-topic-model", "ours, H = 256", "ratio", "ours", "ratio"]
    show("Seconds an epoch (median); H = 800 but where it says 256", header, rows)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
