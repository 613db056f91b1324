"""How a trained model goes on with other documents: it remembers those before, and may learn further words."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from etm_app.checkpoint.content import hyperparameters
from etm_app.data.corpus import BowDataset
from etm_app.errors import UserError
from etm_app.evaluation import EvaluatedModel
from etm_app.nn.new_words import place_words
from etm_app.nn.warm_start import MAX_DOCUMENTS
from etm_app.topic_model import TopicModel

__all__ = ["Growth", "count_documents", "count_more", "grow_checkpoint", "grow_vocab"]


@torch.no_grad()
def count_documents(model: TopicModel, documents: BowDataset, others_before: bool) -> None:
    """Tell a model how many documents it is trained on and how frequent their words are, those before included.

    Args:
        model: The model; where there were others before, it remembers them from here on by its topics as they are.
        documents: Training documents.
        others_before: Whether it was trained on others, which it does not remember yet.
    """
    counts = documents.token_counts()
    now = model.seen.new_tensor([len(documents), int(counts.sum())])
    if others_before:
        if not model.seen.any():
            model.seen.copy_(now)  # versions before did not count: as many then
        model.memory.place(model.topics(), _sizes(model))
        count_more(model, documents)
    elif (model.seen <= now).all():  # else there were others, whose words are among those that it knows
        model.take_frequencies(counts)
        model.seen.copy_(now)
    model.memory.num_documents, model.memory.num_tokens = (model.seen - now).clamp(min=0).tolist()
    model.anchor.num_documents = max(int(model.seen[0]), 1)


@torch.no_grad()
def count_more(model: TopicModel, documents: BowDataset) -> None:
    """Count documents, and their words, beside those that a model was trained on before."""
    counts = documents.token_counts()
    model.take_frequencies(counts + model.token_counts(int(model.seen[1])))
    model.seen += model.seen.new_tensor([len(documents), int(counts.sum())])


class Growth(NamedTuple):
    """How a vocabulary has grown.

    Attributes:
        known: Words that the model knew.
        absent: Of them, those that no training document has now.
        new: Words that it did not know.
    """

    known: int
    absent: int
    new: int

    def __str__(self) -> str:
        return (
            f"{self.known:,} words that the model knows, {self.absent:,} of them in no training document now, and "
            f"{self.new:,} new ones"
        )


@torch.no_grad()
def grow_vocab(model: EvaluatedModel, vocab: Sequence[str], documents: BowDataset) -> Growth:
    """Give a trained model the words that it lacks, in place; what it has of the others stays as it is.

    New words are placed by the documents that they are in (`nn.new_words`), the anchor holds them there, and they begin
    as an encoder's input with weights of 0. An optimizer that was made before has to be made anew.

    Args:
        model: The model, with its vocabulary.
        vocab: All words: first those of the model in their order, then the new ones.
        documents: Training documents, counted over all words.

    Raises:
        UserError: The first words are not those of the model.
    """
    trained, size = model.known_vocab, model.vocab_size
    if list(vocab[:size]) != trained:
        raise UserError(
            f"vocab: its first {size:,} words are not those of the model in their order; expected these, and the new "
            "ones after them."
        )
    growth = Growth(size, int((documents.token_counts()[:size] == 0).sum()), len(vocab) - size)
    if not growth.new:
        return growth
    model.memory.expect(model.topics(), _sizes(model))  # before there are words that it did not count
    sample = documents.sample(MAX_DOCUMENTS)
    counts = sample.counts()
    known, new = counts[:, :size], counts[:, size:]
    proportions = model.theta(known, sample.vectors())
    rho, alpha, theta = (of.float().cpu().numpy() for of in (model.rho, model.alpha, proportions))
    placed = torch.from_numpy(place_words(rho, alpha, known, new, theta)).to(model.rho)
    model.topics.rho = _grown(model.topics.rho, placed)
    if model.encoder is not None:
        weight = model.encoder.weight
        model.encoder.weight = _grown(weight, weight.new_zeros(growth.new, weight.shape[1]))
    if (anchor := model.anchor).placed:
        # Of the sample, and plus one, as where a model starts.
        documents_with = (np.bincount(new.indices, minlength=growth.new) + 1) / (new.shape[0] + 1)
        tokens = (new.sum(axis=0) + 1) / (counts.sum() + len(vocab))
        anchor.rho = torch.cat((anchor.rho, placed))
        anchor.document_frequency = _with(anchor.document_frequency, documents_with)
        anchor.log_frequency = _with(anchor.log_frequency, np.log(tokens))
    model.log_frequency = _with(model.log_frequency, np.zeros(growth.new))  # no training token yet was one of them
    model.vocab = list(vocab)
    model.vocab_size = model.hparams["vocab_size"] = len(vocab)
    return growth


def grow_checkpoint(
    checkpoint: dict[str, Any], model_class: type[EvaluatedModel], vocab: list[str], documents: BowDataset
) -> Growth:
    """The same for a checkpoint that was checked, in place.

    Args:
        checkpoint: Of a model whose words are the first of ``vocab``.
        model_class: Of this class.
        vocab: As for `grow_vocab`.
        documents: As there.
    """
    model = model_class(**hyperparameters(checkpoint))
    model.vocab = checkpoint["vocab"]
    model.load_state_dict(checkpoint["state_dict"])
    growth = grow_vocab(model, vocab, documents)
    checkpoint["vocab"], checkpoint["state_dict"] = vocab, model.state_dict()
    checkpoint["hyper_parameters"] = {**checkpoint["hyper_parameters"], "vocab_size": len(vocab)}
    return growth


def _sizes(model: TopicModel) -> Tensor:
    """Of the topics, on the simplex, [K]; an encoder knows none."""
    return (model.alpha.new_zeros(len(model.alpha)) if model.e_step is None else model.e_step.size).softmax(0)


def _grown(weight: nn.Parameter, rows: Tensor) -> nn.Parameter:
    return nn.Parameter(torch.cat((weight.detach(), rows)), weight.requires_grad)


def _with(values: Tensor, more: Any) -> Tensor:
    return torch.cat((values, torch.from_numpy(np.asarray(more)).to(values)))
