"""``python -m etm_app check``: what there is to train on, what it takes, and what will go wrong."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import LightningDataModule, LightningModule, Trainer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from etm_app.checkpoint.content import read_checkpoint
from etm_app.data.corpus import BowCorpus, BowDataset
from etm_app.data.datamodule import BowDataModule, corpus_of
from etm_app.data.statistics import CorpusStatistics, corpus_statistics
from etm_app.data.text.advice import advice
from etm_app.data.text.texts import TextDataModule
from etm_app.data.times import periods_of, said_of_times
from etm_app.model import ETM
from etm_app.report.terminal import make_console
from etm_app.start import read_vectors, seed_warnings

__all__ = ["CheckingTrainer", "memory_of", "show_warnings", "warnings_of"]

QUANTILES = {"shortest": 0.0, "5%": 0.05, "25%": 0.25, "median": 0.5, "75%": 0.75, "95%": 0.95, "longest": 1.0}
MIN_DFS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
BAR = 40  # characters of the longest bar
NUM_FREQUENT = 10
GIB = 2**30

# From here on something is worth a warning.
FEW_DOCUMENTS = 1_000  # to train on
FEW_DOCUMENTS_PER_TOPIC = 10
FEW_HELD_OUT = 100
SHORT_DOCUMENT = 5  # tokens
MANY_SHORT = 0.3  # of the documents
MANY_EMPTY = 0.05
MANY_REPEATED = 0.1
MANY_LEAKED = 0.05
MANY_RARE = 0.5  # of the words
RARE_DF = 5
FREQUENT_DF = 0.5  # of the documents
DIVERSITY_WORDS = 25  # that the measure looks at
MEMORY_SHARE = 0.8


class CheckingTrainer(Trainer):
    """Lightning's Trainer with one more thing that it does with a model and its data."""

    def check(
        self,
        model: LightningModule,
        datamodule: LightningDataModule,
        ckpt_path: str | Path | None = None,
        weights_only: bool | None = None,
    ) -> None:
        """Show the data and what training takes, and warn of what will go wrong; train and write nothing.

        Args:
            model: The model; its weights are not looked at, so it may be on the meta device.
            datamodule: The data.
            ckpt_path: A checkpoint to go on from: its vocabulary is held against that of the data.
            weights_only: Only here so that a config that fit saved serves check as well.
        """
        assert isinstance(model, ETM)
        corpus = corpus_of(datamodule, model.vocab_size)
        grows = isinstance(datamodule, BowDataModule) and datamodule.grow_vocab
        if ckpt_path is not None and not grows:
            model.vocab = corpus.vocab
            model.on_load_checkpoint(read_checkpoint(ckpt_path, type(model)))
        statistics = corpus_statistics(corpus)
        try:
            num_steps = len(datamodule.train_dataloader())
            if not isinstance(datamodule, BowDataModule):  # whose batches Lightning deals to the processes
                num_steps = -(-num_steps // self.world_size)
        except TypeError:  # a stream of a user's own
            num_steps = None
        embeddings = read_vectors(model.embeddings, corpus.vocab, model.rho.shape[1])
        coverage = (
            "" if embeddings is None else f"{embeddings.coverage(statistics.token_counts)}, in {model.embeddings}"
        )
        vectors = datamodule.vector_file if isinstance(datamodule, BowDataModule) else None
        memory, available = memory_of(model), _available(self.strategy.root_device)
        console = make_console()
        times = _times(corpus)
        for shown in (
            _documents(statistics),
            *([] if times is None else [times]),
            _lengths(statistics.splits["train"].lengths),
            _vocabulary(statistics),
            _frequent(statistics, corpus.vocab),
            _training(self, model, num_steps, memory, available, coverage, "" if vectors is None else str(vectors)),
        ):
            console.print(shown)
            console.print()
        own_texts = isinstance(datamodule, TextDataModule)
        warnings = [
            *advice(corpus, len(model.topics.alpha), own_texts),
            *warnings_of(statistics, model, corpus.vocab, memory, available),
            *seed_warnings(model.seed_topics, corpus.vocab, BowDataset(corpus, corpus.rows("train"))),
        ]
        show_warnings(console, warnings)
        if not warnings:
            console.print("Nothing to warn of.")


def show_warnings(console: Console, warnings: Sequence[str]) -> None:
    """Print them, a line each."""
    for warning in warnings:
        console.print(Text.assemble(("warning: ", "bold yellow"), warning), soft_wrap=True)


def memory_of(model: ETM) -> dict[str, int]:
    """Bytes that training takes beside the data, by what they are for; Adam is assumed.

    The last is the most that is there at once beyond what stays: the topics and their gradients in a step, or, more
    often, the decomposition of the counts before the first.
    """
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    anchored = model.topics.rho.numel() + model.topics.alpha.numel() + 2 * model.vocab_size if model.warm_start else 0
    (vocab_size, rho_size), num_topics = model.topics.rho.shape, len(model.topics.alpha)
    step = 4 * 5 * vocab_size * num_topics
    start = 4 * 5 * vocab_size * rho_size if model.warm_start else 0
    return {
        "weights": 4 * sum(parameter.numel() for parameter in model.parameters()),
        "gradients": 4 * trained,
        "Adam's moments": 8 * trained,
        "anchors": 4 * anchored,
        "counts of words by topic": 4 * vocab_size * num_topics,
        "working memory": max(step, start),
    }


def _available(device: torch.device) -> int | None:
    """Memory of a device in bytes, where it can be known."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    names = ("SC_PAGE_SIZE", "SC_PHYS_PAGES")
    if device.type == "cpu" and set(names) <= set(getattr(os, "sysconf_names", ())):
        return os.sysconf(names[0]) * os.sysconf(names[1])
    return None


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(columns[0])
    for column in columns[1:]:
        table.add_column(column, justify="right")
    return table


def _documents(statistics: CorpusStatistics) -> Table:
    table = _table(
        "Documents", "split", "documents", "empty", "repeated", "also in train", "tokens", "tokens a document"
    )
    for split, of in statistics.splits.items():
        mean = f"{of.num_tokens / len(of):,.1f}" if len(of) else ""
        also = "" if split == "train" else f"{of.num_in_train:,}"
        table.add_row(
            split, f"{len(of):,}", f"{of.num_empty:,}", f"{of.num_repeated:,}", also, f"{of.num_tokens:,}", mean
        )
    return table


def _times(corpus: BowCorpus) -> Text | None:
    """When the documents are from, and by which periods the topics of those to train on will be looked at."""
    if "time" not in corpus.documents.columns:
        return None
    times = corpus.documents["time"]
    periods = periods_of(times[corpus.with_words(corpus.rows("train"))], corpus.period)
    by = "no periods, as the training documents are all in one, or have no time"
    if periods is not None:
        by = f"{len(periods.names):,} periods of a {periods.unit} with training documents"
    return Text(f"Time: {said_of_times(times)}; {by}")


def _lengths(lengths: NDArray[np.int64]) -> Table:
    quantiles = np.quantile(lengths, list(QUANTILES.values()), method="nearest").astype(np.int64).tolist()
    said = ", ".join(f"{name} {value:,}" for name, value in zip(QUANTILES, quantiles, strict=True))
    table = Table(title="Length of the training documents", title_justify="left", caption=said, caption_justify="left")
    table.add_column("tokens", justify="right")
    table.add_column("documents", justify="right")
    table.add_column("")
    bounds = [0, 1, *(factor * 10**power for power in range(12) for factor in (2, 5, 10))]
    bounds = bounds[: np.searchsorted(bounds, lengths.max(), "right") + 1]
    numbers = np.histogram(lengths, bounds)[0].tolist()
    most = max(numbers)
    first = next(place for place, number in enumerate(numbers) if number)
    for low, high, number in list(zip(bounds[:-1], bounds[1:], numbers, strict=True))[first:]:
        name = f"{low:,}" if high == low + 1 else f"{low:,}–{high - 1:,}"
        table.add_row(name, f"{number:,}", "█" * round(BAR * number / most) or ("▏" if number else ""))
    return table


def _vocabulary(statistics: CorpusStatistics) -> Table:
    frequency, tokens = statistics.document_frequency, statistics.token_counts
    table = _table("Vocabulary, if rarer words were dropped", "in training documents, at least", "words", "tokens kept")
    before = len(frequency)
    table.add_row("as it is", f"{before:,}", "100.0%")
    for least in MIN_DFS:
        kept = frequency >= least
        if 0 < kept.sum() < before:
            before = int(kept.sum())
            table.add_row(f"{least:,}", f"{before:,}", f"{tokens[kept].sum() / tokens.sum():.1%}")
    return table


def _frequent(statistics: CorpusStatistics, vocab: list[str]) -> Text:
    frequency = statistics.document_frequency
    most = np.argsort(-frequency, kind="stable")[:NUM_FREQUENT]
    share = frequency[most] / len(statistics.splits["train"])
    words = ", ".join(f"{vocab[word]} {of:.0%}" for word, of in zip(most.tolist(), share.tolist(), strict=True))
    return Text(f"In most training documents: {words}")


def _training(
    trainer: Trainer,
    model: ETM,
    num_steps: int | None,
    memory: dict[str, int],
    available: int | None,
    coverage: str,
    vectors: str,
) -> Table:
    table = Table(title="Training", title_justify="left", show_header=False)
    table.add_row("topics", f"{len(model.topics.alpha):,}")
    sizes = {
        "prior of topics" if model.encoder is None else "encoder": sum(
            of.numel() for of in model.posterior.parameters()
        ),
        "word embeddings": model.topics.rho.numel(),
        "topic embeddings": model.topics.alpha.numel(),
    }
    total = sum(parameter.numel() for parameter in model.parameters())
    table.add_row("parameters", f"{total:,} ({', '.join(f'{name} {size:,}' for name, size in sizes.items())})")
    epochs = trainer.max_epochs
    if num_steps is not None:
        together = f", each of {trainer.world_size} processes together" if trainer.world_size > 1 else ""
        most = f"; {num_steps * epochs:,} in {epochs:,} epochs" if epochs and epochs > 0 else ""
        table.add_row("steps an epoch", f"{num_steps:,}{together}{most}")
    parts_of_memory = ", ".join(f"{name} {_size(size)}" for name, size in memory.items() if size)
    table.add_row("memory, beside the data", f"about {_size(sum(memory.values()))} ({parts_of_memory})")
    if coverage:
        table.add_row("pre-trained vectors", coverage)
    if vectors:
        table.add_row("document embeddings", vectors)
    table.add_row("device", f"{trainer.strategy.root_device}{'' if available is None else f' with {_size(available)}'}")
    return table


def _size(num_bytes: int) -> str:
    return f"{num_bytes / GIB:,.1f} GiB" if num_bytes >= GIB / 10 else f"{num_bytes / 2**20:,.0f} MiB"


def warnings_of(
    statistics: CorpusStatistics, model: ETM, vocab: list[str], memory: dict[str, int], available: int | None
) -> list[str]:
    """What will go wrong, and what to do about it.

    Args:
        statistics: Of the corpus.
        model: The model that is to be trained.
        vocab: The V words.
        memory: As `memory_of` gives it.
        available: Bytes of the device, if known.
    """
    train = statistics.splits["train"]
    num_topics, num_words = len(model.topics.alpha), len(vocab)
    num_train = len(train) - train.num_empty
    frequency = statistics.document_frequency
    found: list[str] = []
    if num_train < num_topics:
        found.append(
            f"{num_train:,} training documents with words for {num_topics} topics: fewer documents than topics; "
            f"lower --model.num_topics."
        )
    elif num_train < FEW_DOCUMENTS_PER_TOPIC * num_topics:
        found.append(
            f"{num_train:,} training documents are {num_train / num_topics:.1f} a topic: topics will be single "
            f"documents; lower --model.num_topics to {max(num_train // FEW_DOCUMENTS_PER_TOPIC, 1)} or fewer."
        )
    if num_train < FEW_DOCUMENTS:
        found.append(
            f"{num_train:,} training documents with words are few: expect the result to change with the seed "
            "(--seed_everything); split long texts into parts, or take more."
        )
    short = int(((train.lengths > 0) & (train.lengths < SHORT_DOCUMENT)).sum())
    if short > MANY_SHORT * num_train and model.inference in ("mixed_membership", "encoder"):
        found.append(
            f"{short:,} of {num_train:,} training documents have fewer than {SHORT_DOCUMENT} tokens, too few to tell "
            f"several topics, as model.inference {model.inference} does; leave that out, or set it to mixture."
        )
    if train.num_empty > MANY_EMPTY * len(train):
        found.append(
            f"{train.num_empty:,} of {len(train):,} training documents are empty: no word of them is in the "
            "vocabulary. They take no part in training; keep more words (lower min_df) if they should."
        )
    if train.num_repeated > MANY_REPEATED * num_train:
        found.append(
            f"{train.num_repeated:,} of {num_train:,} training documents repeat the words of another: they weigh that "
            "much more; remove duplicates."
        )
    for split in ("val", "test"):
        found += _held_out_warnings(statistics, split)
    if num_words < DIVERSITY_WORDS:
        found.append(
            f"{num_words} words in the vocabulary: topic_diversity compares the {DIVERSITY_WORDS} top words of the "
            "topics, and here these are all words; keep more words (lower min_df, raise max_df)."
        )
    if absent := int((frequency == 0).sum()):
        found.append(
            f"{absent:,} of {num_words:,} words are in no training document: nothing is learned of them; "
            "drop them from the vocabulary."
        )
    rare = int(((frequency > 0) & (frequency < RARE_DF)).sum())
    if rare > MANY_RARE * num_words:
        found.append(
            f"{rare:,} of {num_words:,} words are in fewer than {RARE_DF} training documents: they cost memory and "
            "time and tell little; raise min_df."
        )
    if frequent := [vocab[word] for word in np.flatnonzero(frequency > FREQUENT_DF * len(train)).tolist()]:
        shown = ", ".join(frequent[:NUM_FREQUENT]) + (", …" if len(frequent) > NUM_FREQUENT else "")
        found.append(
            f"in more than half of the training documents: {shown} ({len(frequent):,} of {num_words:,} words). "
            "They will be in many topics; lower max_df, or add them to the stop words."
        )
    needed = sum(memory.values())
    if available is not None and needed > MEMORY_SHARE * available:
        smaller = "--model.rho_size" + (" and --model.t_hidden_size" if model.encoder is not None else "")
        found.append(
            f"training takes about {_size(needed)} of {_size(available)}: it may run out of memory; raise min_df for "
            f"fewer than {num_words:,} words, or lower {smaller}."
        )
    return found


def _held_out_warnings(statistics: CorpusStatistics, split: str) -> list[str]:
    held_out = statistics.splits[split]
    num_known = len(held_out) - held_out.num_empty
    if not num_known:
        without = {
            "val": "nothing stops the training early, and best.ckpt is the last epoch's",
            "test": "fit ends without test metrics",
        }
        return [f"no {split} documents with words: {without[split]}; give some (--data.{split}_fraction 0.1, say)."]
    found = []
    if num_known < FEW_HELD_OUT:
        found.append(f"{num_known:,} {split} documents are few: the {split} metrics will be noisy; give more.")
    if held_out.num_in_train > MANY_LEAKED * num_known:
        found.append(
            f"{held_out.num_in_train:,} of {num_known:,} {split} documents have the very words of a training document: "
            f"the {split} metrics will flatter; remove duplicates before splitting."
        )
    return found
