"""Topics and perplexity of our model and its peers: runs are added to a file, and the table of the file is printed.

All models learn from the training documents and are measured alike: perplexity by document completion on the test
documents (theta from the first halves, scored on the second), coherence and diversity as etm_app defines them, NMI and
purity of the largest topic of all test documents against their labels.
"""

import json
from collections import defaultdict
from pathlib import Path
from statistics import mean, stdev
from time import perf_counter
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
import torch
from corpora import docstrings, long_docstrings, newsgroups, short_docstrings
from jsonargparse import auto_cli
from numpy.typing import NDArray
from peers import NMF, PAPER, EmbeddedTopicModel, Etm, GensimLda, SklearnLda, TomotopyLda, TopicModel
from tables import show

from etm_app import BowCorpus
from etm_app.data.corpus import BowDataset
from etm_app.metrics.agreement import topic_agreement
from etm_app.metrics.perplexity import Perplexity
from etm_app.metrics.topics import npmi_coherence, topic_diversity
from etm_app.metrics.usage import duplicate_topics
from etm_app.nn.elbo import log_likelihood
from etm_app.nn.sparse import num_tokens

Model = Literal["ours", "paper", "embedded-topic-model", "tomotopy", "gensim", "sklearn", "nmf"]
PARTS = {
    "warm_start": "false",
    "anchor": "0",
    "word_dropout": "0",
    "normalize_posterior": "false",
    "e_step": "false",
    "prior": "normal",
    "learn_prior": "false",
}
COLUMNS = {  # of a run, with their digits
    "topic_quality": 3, "topic_coherence": 3, "topic_diversity": 3, "perplexity": 0, "perplexity_doc_mean": 0,
    "nmi": 3, "purity": 3, "duplicate_topics": 0, "seconds": 1,
}  # fmt: skip


def of_topics(beta: NDArray[np.float64], corpus: BowCorpus) -> dict[str, float]:
    """How good topics are, and how many pairs of them are nearly the same."""
    top_words = np.argsort(-beta, axis=1)[:, :25]
    train = BowDataset(corpus, corpus.rows("train"))
    coherence = float(npmi_coherence(top_words, train.chunks(10_000), corpus.vocab_size).mean())
    diversity = topic_diversity(top_words)
    return {
        "topic_coherence": coherence,
        "topic_diversity": diversity,
        "topic_quality": coherence * diversity,
        "duplicate_topics": duplicate_topics(top_words),
    }


def of_documents(model: TopicModel, beta: NDArray[np.float64], corpus: BowCorpus) -> dict[str, float]:
    """Perplexity of the test documents, and what their largest topics tell of their labels."""
    rows = corpus.rows("test")
    test = BowDataset(corpus, rows, with_halves=True)
    batch = test.__getitems__(range(len(test)))

    def theta(counts: sp.csr_array) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Proportions, and which documents have any."""
        known = np.diff(counts.indptr) > 0
        proportions = np.zeros((counts.shape[0], len(beta)))
        proportions[known] = model.theta(counts[known])
        return proportions, known

    halves = (batch.first_half.int().numpy(), batch.indices.numpy(), batch.indptr.numpy())
    first = sp.csr_array(halves, (len(test), corpus.vocab_size), copy=True)  # or zeros would vanish from the batch, too
    first.eliminate_zeros()
    proportions, known = theta(first)
    second = batch.counts - batch.first_half
    perplexity = Perplexity()
    perplexity.update(
        log_likelihood(batch, second, torch.from_numpy(proportions), torch.from_numpy(beta).t().contiguous()),
        num_tokens(batch, second) * torch.from_numpy(known),
    )
    values = {name: float(value) for name, value in perplexity.compute().items()}
    if "label" in corpus.documents.columns:
        proportions, known = theta(test.counts())
        labels, topics = corpus.documents["label"].to_numpy()[rows][known], proportions[known].argmax(axis=1)
        values |= topic_agreement(topics, labels)
    return values


def table(runs: list[dict[str, Any]]) -> None:
    """Print mean ± standard deviation of the runs that differ by nothing but the seed."""
    groups = defaultdict(list)
    for run in runs:
        groups[run["corpus"], run["topics"], run["model"]].append(run)
    rows = []
    for key, group in sorted(groups.items()):
        cells = []
        for name, digits in COLUMNS.items():
            values = [run[name] for run in group if name in run]
            deviation = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
            cells.append(f"{mean(values):.{digits}f}{deviation}" if values else "")
        rows.append([*key, len(group), *cells])
    show("Test documents; mean ± standard deviation over seeds", ["corpus", "K", "model", "runs", *COLUMNS], rows)


def main(
    results: Path,
    data_dir: Path | None = None,
    corpora: tuple[Literal["20ng", "docstrings", "short docstrings", "long docstrings"], ...] = ("20ng",),
    models: tuple[Model, ...] = ("ours", "paper", "tomotopy", "gensim", "sklearn", "nmf"),
    topics: tuple[int, ...] = (50,),
    seeds: tuple[int, ...] = (1, 2, 3, 4, 5),
    ablation: bool = False,
    paper_epochs: int = 50,
    lda_iterations: int = 1000,
    lda_passes: int = 20,
) -> None:
    """Train every model on every corpus with every number of topics and every seed, and print all results.

    Args:
        results: JSON-lines file; runs that are there are not repeated, new ones are added.
        data_dir: Folder with the paper's files of 20 Newsgroups, for the corpus 20ng.
        corpora: Corpora; the short and the long docstrings are parts of the docstrings, with other vocabularies.
        models: Models; ``paper`` is our code with configs/paper.yaml. ``[]`` only prints the table.
        topics: Numbers of topics.
        seeds: Seeds.
        ablation: Also train our defaults with one part of the recipe removed at a time.
        paper_epochs: Epochs of ``paper`` and ``embedded-topic-model``; the original's README trains 1000.
        lda_iterations: Gibbs iterations of tomotopy.
        lda_passes: Passes over the documents of gensim and scikit-learn.
    """
    loaders = {
        "20ng": lambda: newsgroups(data_dir or Path()),
        "docstrings": docstrings,
        "short docstrings": short_docstrings,
        "long docstrings": long_docstrings,
    }
    known: dict[str, TopicModel] = {
        "ours": Etm(),
        "paper": Etm((PAPER, "--data.steps_per_epoch=null", f"--trainer.max_epochs={paper_epochs}")),
        "embedded-topic-model": EmbeddedTopicModel(paper_epochs),
        "tomotopy": TomotopyLda(lda_iterations),
        "gensim": GensimLda(lda_passes),
        "sklearn": SklearnLda(lda_passes),
        "nmf": NMF(),
    }
    efforts = dict.fromkeys(("paper", "embedded-topic-model"), f", {paper_epochs} epochs")
    efforts |= dict.fromkeys(("gensim", "sklearn"), f", {lda_passes} passes")
    efforts["tomotopy"] = f", {lda_iterations} iterations"
    chosen = {model + efforts.get(model, ""): known[model] for model in models}
    if ablation:
        chosen |= {f"ours, {part}: {value}": Etm((f"--model.{part}={value}",)) for part, value in PARTS.items()}

    runs = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    done = {(run["corpus"], run["model"], run["topics"], run["seed"]) for run in runs}
    for name in corpora if chosen else ():
        corpus = loaders[name]()
        for seed in seeds:
            for num_topics in topics:
                for label, model in chosen.items():
                    if (name, label, num_topics, seed) in done:
                        continue
                    start = perf_counter()
                    beta = model.fit(corpus, num_topics, seed)
                    run = {
                        "corpus": name,
                        "model": label,
                        "topics": num_topics,
                        "seed": seed,
                        "seconds": perf_counter() - start,
                        **of_topics(beta, corpus),
                        **of_documents(model, beta, corpus),
                    }
                    runs.append(run)
                    with results.open("a") as file:
                        file.write(json.dumps(run) + "\n")
    table(runs)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
