"""Where the embeddings start: at pre-trained vectors, or where the corpus puts them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn

from etm_app.data.corpus import BowDataset
from etm_app.data.embeddings import Embeddings, read_embeddings
from etm_app.errors import UserError
from etm_app.nn.warm_start import MAX_DOCUMENTS, mixture_start, warm_start
from etm_app.topic_model import Inference, TopicModel

__all__ = ["choose_inference", "place_embeddings", "read_vectors"]

# Tokens: half of the training documents have no more where they get one topic each. Chosen among eight corpora whose
# medians are 5, 5, 6 and 14, where the mixture is better in everything, and 29, 31, 53 and 90: benchmarks/README.md.
SHORT_DOCUMENT = 20
# Embeddings of a mixture start shorter: a document's words add up in favour of its one topic.
MIXTURE_SCALE = 0.5


def choose_inference(training_set: BowDataset | None, warm_start: bool) -> tuple[Inference, str]:
    """How the topics of documents like these are best inferred, and why.

    Args:
        training_set: The corpus, if it is known.
        warm_start: Whether the topics start from it: those of a mixture must.

    Returns:
        ``encoder`` or ``mixture``, and a sentence for the terminal.
    """
    counts = None if training_set is None or not warm_start else training_set.sample(MAX_DOCUMENTS).counts()
    if counts is None or not counts.nnz:
        return "encoder", "several topics a document (encoder), as there is no corpus to start from."
    tokens = counts.sum(axis=1)
    median = np.median(tokens[tokens > 0])
    if median <= SHORT_DOCUMENT:
        chosen: Inference = "mixture"
        said = f"one topic a document (mixture): half of them have {median:.0f} words or less, too few to tell several"
    else:
        chosen = "encoder"
        said = f"several topics a document (encoder): half of them have {median:.0f} words or more, enough to tell them"
    return chosen, f"{said}; --model.inference overrules."


def place_embeddings(
    model: TopicModel,
    training_set: BowDataset | None,
    given: Embeddings | None,
    scale: float,
    seed: int,
    broadcast: Callable[[Any], Any],
) -> None:
    """Place the word and topic embeddings of a new model, and its anchor there.

    Args:
        model: The model.
        training_set: The corpus of a warm start; None for none.
        given: Pre-trained vectors of the words, if there are some.
        scale: Length of the embeddings at a warm start.
        seed: Of the warm start.
        broadcast: Gives all processes what the first one has.
    """
    if given is not None:
        rank_zero_info(f"Embeddings: {given.coverage} in {given.path}")
        model.topics.place(torch.from_numpy(given.vectors), model.alpha)
    if training_set is not None:
        counts = training_set.sample(MAX_DOCUMENTS).counts()
        num_topics, rho_size = model.topics.alpha.shape
        directions = None if given is None else given.directions()
        start_of, length = (warm_start, scale) if model.mixture is None else (mixture_start, MIXTURE_SCALE * scale)
        start = start_of(counts, num_topics, rho_size, length, seed % 2**32, directions)
        # All processes take the first one's: arithmetic on several machines need not agree to the last bit.
        rho, alpha = map(torch.from_numpy, broadcast(start))
        model.topics.place(rho, alpha)
        # Plus one: a word of no document here is held as well, if loosely.
        documents = (np.bincount(counts.indices, minlength=model.vocab_size) + 1) / (counts.shape[0] + 1)
        tokens = np.bincount(counts.indices, counts.data, minlength=model.vocab_size) + 1
        frequencies = map(torch.from_numpy, (documents, tokens / tokens.sum()))
        model.anchor.place(model.rho, model.alpha, *frequencies)
    elif given is None and not model.topics.rho.requires_grad:
        rank_zero_warn("train_embeddings: false without a warm start; the word embeddings rho stay random.")


def read_vectors(path: Path | None, vocab: list[str], rho_size: int) -> Embeddings | None:
    """The pre-trained vectors of these words, if there is a file of such.

    Args:
        path: The file.
        vocab: The V words.
        rho_size: L, the dimensions that they must have.

    Raises:
        UserError: The file is missing or damaged, or its vectors have not rho_size dimensions.
    """
    if path is None:
        return None
    read = read_embeddings(path, vocab)
    if (size := read.vectors.shape[1]) != rho_size:
        raise UserError(
            f"model.rho_size: {rho_size}, but the vectors in {path} have {size} dimensions; "
            f"expected as many: set --model.rho_size {size}."
        )
    return read
