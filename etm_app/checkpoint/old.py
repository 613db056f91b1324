"""Checkpoints of versions before."""

from typing import Any

import torch

from etm_app.topic_model import TopicModel

__all__ = ["take_old_names"]

# What they called the parts of the model's state.
OLD_NAMES = {
    "prior_mean": "prior.mean",
    "prior_log_scale": "prior.log_scale",
    "topics.rho_anchor": "anchor.rho",
    "topics.alpha_anchor": "anchor.alpha",
    "topics.word_weight": "anchor.document_frequency",
    "topics.log_frequency": "anchor.log_frequency",
}


def take_old_names(model: TopicModel, state_dict: dict[str, Any], *_: object) -> None:
    """Bring the state of a trained model that a version before saved to the names of this one, in place."""
    for old, new in OLD_NAMES.items():
        if old in state_dict:
            state_dict[new] = state_dict.pop(old)
    if "placed" not in state_dict:
        state_dict["placed"] = torch.ones_like(model.placed)
        for name, buffer in model.anchor.named_buffers(prefix="anchor"):  # absent where there was no warm start
            state_dict.setdefault(name, torch.empty_like(buffer[:0]))
    if "log_frequency" not in state_dict:  # the anchor's is of a sample of the documents, and none is 0
        known = state_dict.get("anchor.log_frequency", torch.empty(0))
        state_dict["log_frequency"] = known if known.numel() else torch.zeros_like(model.log_frequency)
