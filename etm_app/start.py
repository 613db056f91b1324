"""Where a model starts: its embeddings at pre-trained vectors or where the corpus puts them, and its inference."""

from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning.strategies import Strategy
from pytorch_lightning.utilities import rank_zero_warn

from etm_app.data.corpus import BowDataset
from etm_app.data.word_vectors.embeddings import Embeddings, read_embeddings
from etm_app.errors import UserError
from etm_app.evaluation import EvaluatedModel
from etm_app.nn.warm_start import MAX_DOCUMENTS, warm_start
from etm_app.seeds import contradictions, find_words, unknown_words
from etm_app.topic_model import Inference, TopicModel

__all__ = ["check_same_documents", "choose_inference", "place_embeddings", "read_vectors", "seed_warnings"]

CHOICES: tuple[Inference, Inference] = ("mixture", "mixed_membership")
CHOOSING = 2_000  # documents that the inference is chosen by


@torch.no_grad()
def choose_inference(model: EvaluatedModel, held_out: BowDataset | None) -> tuple[Inference, str]:
    """How many topics documents like these are best given: one or several.

    Half of the words of some documents are predicted from the others in both ways.

    Args:
        model: Whose topics have begun to tell.
        held_out: Documents, of which training has seen none if there are such; None where there are none at all.

    Returns:
        ``mixture`` or ``mixed_membership``, and a sentence for the terminal.
    """
    if held_out is None:
        return CHOICES[1], f"several topics a document ({CHOICES[1]}): there are no documents to choose by."
    sample = BowDataset(held_out.corpus, held_out.sample(CHOOSING).rows, with_halves=True)
    perplexities = []
    for inference in CHOICES:
        model.infer_by(inference)
        perplexities.append(model.completion_perplexity(sample))
    one, several = perplexities
    if isnan(one):
        reason = f"of {len(sample):,} documents to choose by none has two words."
        return CHOICES[0], f"one topic a document ({CHOICES[0]}): {reason}"
    choice, said = (CHOICES[1], "several topics") if several < one else (CHOICES[0], "one topic")
    return choice, (
        f"{said} a document ({choice}): words held out of {len(sample):,} documents have a perplexity of {one:,.0f} "
        f"with one, {several:,.0f} with several; --model.inference overrules."
    )


def check_same_documents(digest: str, strategy: Strategy) -> None:
    """Refuse processes, of several machines say, that do not have the same documents.

    Args:
        digest: Of the documents of this process.
        strategy: Of the processes that train.

    Raises:
        UserError: They do not; all of them say so.
    """
    if not strategy.reduce_boolean_decision(strategy.broadcast(digest) == digest, all=True):  # or some would wait
        raise UserError(
            "data: the processes have different documents; expected the same on all machines: of the same files, and "
            "of the same versions of packages."
        )


def place_embeddings(
    model: TopicModel,
    training_set: BowDataset | None,
    given: Embeddings | None,
    scale: float,
    seed: int,
    strategy: Strategy,
    seeds: Sequence[Sequence[int]] = (),
) -> None:
    """Place the word and topic embeddings of a new model, and its anchor there.

    Args:
        model: The model.
        training_set: The corpus of a warm start; None for none.
        given: Pre-trained vectors of the words, if there are some.
        scale: Length of the embeddings at a warm start.
        seed: Of the warm start.
        strategy: Of the processes that train.
        seeds: Words, by their numbers, that the first topics are to be about.
    """
    if given is not None:
        model.topics.place(torch.from_numpy(given.vectors), model.alpha)
    if training_set is not None:
        sample = training_set.sample(MAX_DOCUMENTS)
        counts, vectors = sample.counts(), sample.vectors()
        num_topics, rho_size = model.topics.alpha.shape
        directions = None if given is None else given.directions()
        # Once for all: processes share cores, and arithmetic on several machines need not agree to the last bit.
        found = None
        if strategy.is_global_zero:
            found = warm_start(counts, num_topics, rho_size, scale, seed % 2**32, directions, vectors, seeds)
        start: Any = strategy.broadcast(found)
        rho, alpha = map(torch.from_numpy, start)
        model.topics.place(rho, alpha)
        # Plus one: a word of no document here is held as well, if loosely.
        documents = (np.bincount(counts.indices, minlength=model.vocab_size) + 1) / (counts.shape[0] + 1)
        tokens = np.bincount(counts.indices, counts.data, minlength=model.vocab_size) + 1
        frequencies = map(torch.from_numpy, (documents, tokens / tokens.sum()))
        model.anchor.place(model.rho, model.alpha, *frequencies)
    elif given is None and not model.topics.rho.requires_grad:
        rank_zero_warn("train_embeddings: false without a warm start; the word embeddings rho stay random.")


def seed_warnings(
    seeds: Mapping[str, Sequence[str]], vocab: Sequence[str], training_set: BowDataset | None
) -> list[str]:
    """Which words of the seeds are not known, and which the documents do not have together.

    Args:
        seeds: Words by name.
        vocab: The V words.
        training_set: The documents.

    Raises:
        UserError: No word of a seed is in the vocabulary.
    """
    found = find_words(seeds, vocab)
    said = unknown_words(seeds, found)
    if seeds and training_set is not None:
        said += contradictions(found, training_set.sample(MAX_DOCUMENTS).counts())
    return said


def read_vectors(path: Path | None, vocab: list[str], rho_size: int) -> Embeddings | None:
    """The pre-trained vectors of these words, if there is a file of such.

    Args:
        path: The file.
        vocab: The V words.
        rho_size: L, the dimensions that they must have.

    Raises:
        UserError: The file is missing or damaged, or its vectors have not rho_size dimensions.
    """
    return None if path is None else read_embeddings(path, vocab, size=rho_size)
