"""Checkpoints of versions before."""

from typing import Any

import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from etm_app.topic_model import TopicModel

__all__ = ["REMOVED", "take_old_form", "take_old_names"]

# What they called the parts of the model's state.
OLD_NAMES = {
    "mixture.size": "e_step.size",
    "topics.rho_anchor": "anchor.rho",
    "topics.alpha_anchor": "anchor.alpha",
    "topics.word_weight": "anchor.document_frequency",
    "topics.log_frequency": "anchor.log_frequency",
}
# Arguments of encoders other than the paper's.
REMOVED = ("word_dropout", "normalize_posterior", "e_step", "prior", "learn_prior")
# Of the model's state: those that only such encoders had, and the prior of delta, which in the paper's is not learned.
REMOVED_STATE = ("encoder.from_evidence.", "encoder.norm.")
PRIOR_STATE = ("prior.mean", "prior.log_scale", "prior_mean", "prior_log_scale")


def take_old_form(checkpoint: dict[str, Any]) -> None:
    """Bring a checkpoint of a version before to what this one knows, in place; anything else stays as it is.

    The paper's encoder is the only one left. The topics of a model with another are taken as they are, and documents
    get theirs by expectation steps, which is said; such a training cannot go on.

    Args:
        checkpoint: With hyper_parameters and state_dict, which need not be what they should.
    """
    given, state = checkpoint["hyper_parameters"], checkpoint["state_dict"]
    if type(given) is not dict or not isinstance(state, dict):
        return
    had = {name: given.pop(name) for name in REMOVED if name in given}
    given.setdefault("inference", "encoder")  # versions before knew encoders alone
    prior = [state.pop(name) for name in PRIOR_STATE if name in state]
    other = (
        any(str(name).startswith(REMOVED_STATE) for name in state)
        or had.get("prior") == "dirichlet"
        or had.get("learn_prior") is True
        or any(isinstance(of, Tensor) and not _is_zero(of) for of in prior)  # no N(0, I), whatever the arguments say
    )
    topics = state.get("topics.alpha")
    if given["inference"] == "encoder" and other and isinstance(topics, Tensor) and topics.ndim == 2:
        rank_zero_warn(
            "ckpt_path: the checkpoint is of a version whose encoder is gone. Its topics are as they were; those of "
            "documents are found by expectation steps (mixed_membership): theta and perplexity are others than before, "
            "and its training cannot go on."
        )
        given["inference"] = "mixed_membership"
        checkpoint["optimizer_states"] = []
        for name in [name for name in state if str(name).startswith("encoder.")]:
            del state[name]
        state["e_step.size"] = topics.new_zeros(1).expand(len(topics))  # no memory: as many as the file claims


def _is_zero(tensor: Tensor) -> bool:
    """Where the numbers are no more than the file has."""
    return tensor.is_contiguous() and not tensor.any()


def take_old_names(model: TopicModel, state_dict: dict[str, Any], *_: object) -> None:
    """Bring the state of a trained model that a version before saved to the names of this one, in place."""
    for old, new in OLD_NAMES.items():
        if old in state_dict:
            state_dict[new] = state_dict.pop(old)
    if "placed" not in state_dict:
        state_dict["placed"] = torch.ones_like(model.placed)
        for name, buffer in model.anchor.named_buffers(prefix="anchor"):  # absent where there was no warm start
            state_dict.setdefault(name, torch.empty_like(buffer[:0]))
    state_dict.setdefault("seen", torch.zeros_like(model.seen))  # not counted, nor anything remembered
    topics, sizes = state_dict.get("memory.beta_by_word"), state_dict.get("memory.sizes")
    if topics is not None and sizes is not None and topics.shape[1:] == sizes.shape[topics.ndim == 1 :]:
        state_dict["memory.topics"] = state_dict.pop("memory.beta_by_word")
        state_dict["memory.words"] = topics * sizes  # what topics expect of documents before
    for name, buffer in model.memory.named_buffers(prefix="memory"):
        state_dict.setdefault(name, torch.empty_like(buffer[:0]))
    if "log_frequency" not in state_dict:  # the anchor's is of a sample of the documents, and none is 0
        known = state_dict.get("anchor.log_frequency", torch.empty(0))
        state_dict["log_frequency"] = known if known.numel() else torch.zeros_like(model.log_frequency)
