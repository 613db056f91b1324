"""Topics and perplexity of our model and its peers: runs are added to a file, and the table of the file is printed.

All models learn from the training documents and are measured alike: perplexity by document completion on the test
documents (theta from the first halves, scored on the second), coherence and diversity as etm_app defines them, of the
topics' words by probability and by relevance, NMI and purity of the largest topic of all test documents against their
labels.
"""

import json
import shlex
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from time import perf_counter
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
import torch
from corpora import (
    docstrings,
    long_docstrings,
    newsgroups,
    short_docstrings,
    short_texts,
    summary_lines,
    training_counts,
)
from jsonargparse import auto_cli
from numpy.typing import NDArray
from peers import (
    NMF,
    PAPER,
    BitermTopicModel,
    DirichletMixture,
    EmbeddedTopicModel,
    Etm,
    GensimLda,
    SklearnLda,
    TomotopyLda,
    TopicModel,
)
from tables import show

from etm_app import BowCorpus
from etm_app.data.corpus import BowDataset
from etm_app.metrics.agreement import topic_agreement
from etm_app.metrics.coherence import npmi_coherence, topic_diversity
from etm_app.metrics.perplexity import Perplexity
from etm_app.metrics.usage import duplicate_topics
from etm_app.nn.elbo import log_likelihood
from etm_app.nn.sparse import num_tokens

Corpus = Literal[
    "20ng", "docstrings", "long docstrings", "short docstrings", "summary lines", "google_news", "search_snippets",
    "stack_overflow",
]  # fmt: skip
Model = Literal["ours", "paper", "tomotopy", "nmf", "gsdmm", "btm", "gensim", "sklearn", "embedded-topic-model"]
COLUMNS = {  # of a run, with their digits
    "topic_quality": 3, "topic_coherence": 3, "topic_diversity": 3, "quality_by_relevance": 3,
    "coherence_by_relevance": 3, "diversity_by_relevance": 3, "perplexity": 0, "perplexity_doc_mean": 0, "nmi": 3,
    "purity": 3, "duplicate_topics": 0, "seconds": 1,
}  # fmt: skip


def of_topics(beta: NDArray[np.float64], corpus: BowCorpus) -> dict[str, float]:
    """How good topics are by their most probable words and by their most relevant ones; how many pairs are alike.

    Relevance is .6 log p + .4 log lift (Sievert and Shirley 2014), the lift over the words' share of the tokens.
    """
    counts = training_counts(corpus)
    frequency = (counts.sum(axis=0) + 1) / (counts.sum() + corpus.vocab_size)
    relevance = np.log(np.maximum(beta, 1e-30)) - 0.4 * np.log(frequency)
    values: dict[str, float] = {"duplicate_topics": duplicate_topics(np.argsort(-beta, axis=1))}
    for name, score in (("topic_{}", beta), ("{}_by_relevance", relevance)):
        top_words = np.argsort(-score, axis=1)[:, :25]
        coherence = npmi_coherence(top_words, [(counts.indptr.astype(np.int64), counts.indices)], corpus.vocab_size)
        measures = {"coherence": float(coherence.mean()), "diversity": topic_diversity(top_words)}
        measures["quality"] = measures["coherence"] * measures["diversity"]
        values |= {name.format(measure): value for measure, value in measures.items()}
    return values


def of_documents(model: TopicModel, beta: NDArray[np.float64], corpus: BowCorpus) -> dict[str, float]:
    """Perplexity of the test documents, and what their largest topics tell of their labels."""
    rows = corpus.rows("test")
    test = BowDataset(corpus, rows, with_halves=True)
    batch = test[range(len(test))]

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
    short_dir: Path | None = None,
    corpora: tuple[Corpus, ...] | None = None,
    models: tuple[Model, ...] = ("ours", "paper", "tomotopy", "nmf", "gsdmm"),
    variants: tuple[str, ...] = (),
    topics: tuple[int | Literal["labels"], ...] = (50, "labels"),
    seeds: tuple[int, ...] = (1, 2, 3),
    paper_epochs: int = 50,
    lda_iterations: int = 1000,
    lda_passes: int = 20,
) -> None:
    """Train every model on every corpus with every number of topics and every seed, and print all results.

    Args:
        results: JSON-lines file; runs that are there are not repeated, new ones are added.
        data_dir: Folder with the paper's files of 20 Newsgroups, for the corpus 20ng.
        short_dir: Folder with google_news.csv, search_snippets.csv and stack_overflow.csv, with the columns text and
            label.
        corpora: Corpora; the long and the short docstrings and the summary lines are parts of the docstrings, with
            other vocabularies. null: all of those whose folder is given.
        models: Models; ``paper`` is our code with configs/paper.yaml. ``[]`` only prints the table.
        variants: Our model with other arguments than the defaults, each a string: ``'["--model.anchor=0"]'``.
        topics: Numbers of topics; ``labels``: as many as the corpus has labels, where it has any.
        seeds: Seeds.
        paper_epochs: Epochs of ``paper`` and ``embedded-topic-model``; the original's README trains 1000.
        lda_iterations: Gibbs iterations of tomotopy.
        lda_passes: Passes over the documents of gensim and scikit-learn.
    """
    loaders: dict[str, Callable[[], BowCorpus]] = {
        "docstrings": docstrings,
        "long docstrings": long_docstrings,
        "short docstrings": short_docstrings,
        "summary lines": summary_lines,
    }
    if data_dir:
        loaders["20ng"] = partial(newsgroups, data_dir)
    if short_dir:
        for name in ("google_news", "search_snippets", "stack_overflow"):
            loaders[name] = partial(short_texts, short_dir / f"{name}.csv")
    if missing := set(corpora or ()) - set(loaders):
        raise SystemExit(f"{', '.join(sorted(missing))}: needs --data_dir (20ng) or --short_dir (the others).")
    known: dict[str, TopicModel] = {
        "ours": Etm(),
        "paper": Etm((PAPER, "--data.steps_per_epoch=null", f"--trainer.max_epochs={paper_epochs}")),
        "tomotopy": TomotopyLda(lda_iterations),
        "nmf": NMF(),
        "gsdmm": DirichletMixture(),
        "btm": BitermTopicModel(),
        "gensim": GensimLda(lda_passes),
        "sklearn": SklearnLda(lda_passes),
        "embedded-topic-model": EmbeddedTopicModel(paper_epochs),
    }
    efforts = dict.fromkeys(("paper", "embedded-topic-model"), f", {paper_epochs} epochs")
    efforts |= dict.fromkeys(("gensim", "sklearn"), f", {lda_passes} passes")
    efforts["tomotopy"] = f", {lda_iterations} iterations"
    chosen = {model + efforts.get(model, ""): known[model] for model in models}
    chosen |= {f"ours, {variant}": Etm(shlex.split(variant)) for variant in variants}

    runs = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    done = {(run["corpus"], run["model"], run["topics"], run["seed"]) for run in runs}
    for name in (corpora or loaders) if chosen else ():
        corpus = loaders[name]()
        labels = corpus.documents["label"].n_unique() if "label" in corpus.documents.columns else None
        sizes = [labels if size == "labels" else size for size in topics]
        for seed, num_topics, (label, model) in product(seeds, filter(None, sizes), chosen.items()):
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
