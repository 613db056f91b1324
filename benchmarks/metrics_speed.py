"""Coherence and diversity of topics: ours against the loops of the package embedded-topic-model, same results."""

from pathlib import Path
from time import perf_counter

import numpy as np
from corpora import newsgroups, training_counts
from embedded_topic_model.utils import metrics as theirs
from jsonargparse import auto_cli
from machine import seconds
from peers import as_lists
from tables import show

from etm_app.data.corpus import BowDataset
from etm_app.metrics.coherence import npmi_coherence, topic_diversity


def main(data_dir: Path, num_topics: int = 50) -> None:
    """Time both on the same topics.

    Args:
        data_dir: Folder with the paper's files of 20 Newsgroups.
        num_topics: K; the peer needs about a second and a half for each.
    """
    corpus = newsgroups(data_dir)
    dataset = BowDataset(corpus, corpus.rows("train"))
    counts = training_counts(corpus)
    # Topics of words that are frequent, as trained ones are.
    beta = np.random.default_rng(0).dirichlet(np.asarray(counts.sum(axis=0)) / 200 + 0.01, num_topics)
    top_words = np.argsort(-beta, axis=1)[:, :25]
    documents = as_lists(counts)["tokens"]

    rows = []
    for name, ours, peer in (
        (
            "coherence",
            lambda: float(npmi_coherence(top_words, dataset.chunks(10_000), corpus.vocab_size).mean()),
            lambda: theirs.get_topic_coherence(beta, documents, corpus.vocab),
        ),
        ("diversity", lambda: topic_diversity(top_words), lambda: theirs.get_topic_diversity(beta)),
    ):
        start = perf_counter()
        their_value = peer()
        their_time, our_time = perf_counter() - start, seconds(ours)
        rows.append([
            name, f"{their_value:.6f}", f"{ours():.6f}",
            f"{their_time:.4f}", f"{our_time:.5f}", f"{their_time / our_time:,.0f}",
        ])  # fmt: skip
    header = ["metric", "their value", "our value", "embedded-topic-model", "ours", "ratio"]
    show(f"Seconds for {num_topics} topics on {counts.shape[0]:,} documents", header, rows)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
