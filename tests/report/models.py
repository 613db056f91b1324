"""Models made by hand, and a corpus whose words, names and texts mean no good."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from etm_app.data.corpus import BowCorpus, BowDataset
from etm_app.model import ETM

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    "<b>bold</b>",
    '<a href="https://example.org">link</a>',
    "&lt;entity&gt;",
    "quote\"'`",
    "{{ 7 * 7 }}",
    "line\u2028separator\u2029",
    "<!--",
    "$\\alpha$",
    "ünïcode",
    "right\u202eleft",
]


def random_model(vocab: list[str], num_topics: int = 6, rho_size: int = 8, seed: int = 0) -> ETM:
    """A model with random embeddings, so with topics of different words."""
    torch.manual_seed(seed)
    model = ETM(len(vocab), num_topics, t_hidden_size=8, rho_size=rho_size, warm_start=False)
    with torch.no_grad():
        model.topics.rho.normal_()
        model.topics.alpha.normal_(std=1.5)
        shares = torch.rand(len(vocab)) + 0.01
        model.log_frequency.copy_((shares / shares.sum()).log())
    model.vocab = list(vocab)
    return model.eval()


def corpus_of(counts: NDArray[Any], vocab: list[str], **kwargs: Any) -> BowCorpus:
    """A corpus of three splits, most of it for training."""
    splits = (["train"] * 8 + ["val", "test"]) * len(counts)
    return BowCorpus.from_matrix(counts, vocab, splits[: len(counts)], **kwargs)


def hostile() -> tuple[ETM, BowDataset]:
    """A model and its documents; every string in them is an attack, or at least odd."""
    vocab = [*HOSTILE, *(f"word{number:02}" for number in range(60))]
    counts = np.random.default_rng(0).poisson(0.3, size=(120, len(vocab)))
    counts[5] = 0
    ids = [f"{HOSTILE[row % len(HOSTILE)]} {row}" for row in range(len(counts))]
    labels = [HOSTILE[row % 4] for row in range(len(counts))]
    corpus = corpus_of(counts, vocab, ids=ids, labels=labels, meta={"source": HOSTILE[0], "list": HOSTILE})
    model = random_model(vocab)
    model.training_set = BowDataset(corpus, corpus.rows("train"))
    return model, model.training_set
