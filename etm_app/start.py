"""Where the embeddings start: at pre-trained vectors, or where the corpus puts them."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from pytorch_lightning.utilities import rank_zero_info, rank_zero_warn

from etm_app.data.embeddings import Embeddings, read_embeddings
from etm_app.errors import UserError
from etm_app.nn.warm_start import MAX_DOCUMENTS, warm_start

if TYPE_CHECKING:
    from etm_app.model import ETM

__all__ = ["place_embeddings", "read_vectors"]


def place_embeddings(model: "ETM", seed: int) -> None:
    """Place the word and topic embeddings of a new model: by pre-trained vectors, by the corpus, or both.

    Args:
        model: The model, with its training set, attached to a trainer.
        seed: Of the warm start.

    Raises:
        UserError: As `read_vectors`.
    """
    given = read_vectors(model, model.known_vocab)
    if given is not None:
        rank_zero_info(f"Embeddings: {given.coverage} in {model.embeddings}")
        model.topics.place(torch.from_numpy(given.vectors), model.alpha)
    if model.warm_start and model.training_set is not None:
        counts = model.training_set.sample(MAX_DOCUMENTS).counts()
        num_topics, rho_size = model.topics.alpha.shape
        directions = None if given is None else given.directions()
        start = warm_start(counts, num_topics, rho_size, model.embedding_scale, seed % 2**32, directions)
        # All processes take the first one's: arithmetic on several machines need not agree to the last bit.
        rho, alpha = map(torch.from_numpy, model.trainer.strategy.broadcast(start))
        model.topics.place(rho, alpha)
        # Plus one: a word of no document here is held as well, if loosely.
        documents = (np.bincount(counts.indices, minlength=model.vocab_size) + 1) / (counts.shape[0] + 1)
        tokens = np.bincount(counts.indices, counts.data, minlength=model.vocab_size) + 1
        frequencies = map(torch.from_numpy, (documents, tokens / tokens.sum()))
        model.anchor.place(model.rho, model.alpha, *frequencies)
    elif given is None and not model.topics.rho.requires_grad:
        rank_zero_warn("train_embeddings: false without a warm start; the word embeddings rho stay random.")


def read_vectors(model: "ETM", vocab: list[str]) -> Embeddings | None:
    """The pre-trained vectors of these words, if the model's ``embeddings`` names a file.

    Raises:
        UserError: The file is missing or damaged, or its vectors have not rho_size dimensions.
    """
    if model.embeddings is None:
        return None
    read = read_embeddings(model.embeddings, vocab)
    size, rho_size = read.vectors.shape[1], model.topics.rho.shape[1]
    if size != rho_size:
        raise UserError(
            f"model.rho_size: {rho_size}, but the vectors in {model.embeddings} have {size} dimensions; "
            f"expected as many: set --model.rho_size {size}."
        )
    return read
