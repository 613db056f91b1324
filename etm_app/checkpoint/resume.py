"""What a run takes from a checkpoint beside the weights: progress, optimizer, callbacks, in the form of its own.

Lightning hands all of it on as it is found. A state that has not the form of the run's own is refused; where the data
are others than those of the checkpoint, training begins anew from its model.
"""

from pathlib import PurePath
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.callbacks.early_stopping import EarlyStoppingReason
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor, nn
from torch.optim import Optimizer

from etm_app.checkpoint.content import non_finite
from etm_app.errors import UserError

__all__ = ["begin_anew", "check_goes_on", "check_state", "configured"]

MAX_STEPS = 2**53
EXAMPLE = torch.Size((2, 3))  # of a parameter
LOOPS = ("fit_loop", "validate_loop", "test_loop", "predict_loop")


def check_state(checkpoint: dict[str, Any], trainer: Trainer, model: LightningModule, goes_on: bool) -> None:
    """Refuse states that this run cannot take up, before it does.

    Args:
        checkpoint: As Lightning has read it. Flags of the optimizer and the schedule are set to those of this run.
        trainer: Of this run.
        model: Of this run, in which nothing is changed.
        goes_on: Whether training goes on where it was.

    Raises:
        UserError: A state is missing, of something else, or of a form that it never has.
    """
    if "loops" in checkpoint:
        loops = _table(checkpoint["loops"], "loops", LOOPS)
        for name in LOOPS:
            _check_loop(loops[name], getattr(trainer, name).state_dict(), f"loops.{name}")
    if "callbacks" in checkpoint:
        states = _table(checkpoint["callbacks"], "callbacks")
        for callback in trainer.callbacks:  # type: ignore[attr-defined]  # set by a connector
            if state := states.get(callback.state_key):
                _check_callback(callback, state, f"callbacks.{type(callback).__name__}")
    if goes_on:
        _check_epochs(checkpoint, trainer)
        _check_optimizers(checkpoint, model)


def check_goes_on(checkpoint: dict[str, Any]) -> None:
    """Refuse a checkpoint that has nothing to go on training with.

    Raises:
        UserError: The states of optimizer or schedule are missing.
    """
    for name in ("optimizer_states", "lr_schedulers"):
        if not isinstance(checkpoint.get(name), list):
            raise _refuse(name, "is no list: perhaps only the weights were kept")
    if not checkpoint["optimizer_states"]:
        raise UserError(
            "ckpt_path: the checkpoint has no optimizer_states to go on with, as none has whose encoder is gone; "
            "expected one that fit of this version wrote: train anew without --ckpt_path, or test and predict with it."
        )


def configured(model: LightningModule) -> tuple[Optimizer, list[Any]]:
    """The optimizer that a model makes for a run, and its schedule if there is one."""
    made: Any = model.configure_optimizers()
    if not isinstance(made, dict):
        return made, []
    return made["optimizer"], [made["lr_scheduler"]["scheduler"]]


def begin_anew(checkpoint: dict[str, Any], trainer: Trainer) -> None:
    """Have a run on other documents than those of the checkpoint train as long as any, from the model as it is.

    Epochs, schedule, the optimizer's means, what was best and when to stop are of those documents: they are forgotten,
    which is said.

    Args:
        checkpoint: As Lightning has read it, in which the states are changed.
        trainer: Of this run.
    """
    states = checkpoint.get("callbacks", {})
    best = ""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # set by a connector
        if isinstance(callback, ModelCheckpoint | EarlyStopping):
            state = states.pop(callback.state_key, {})
            best = best or (state.get("monitor") and state.get("best_model_path")) or ""
    checkpoint.pop("loops", None)
    checkpoint["lr_schedulers"], checkpoint["optimizer_states"] = [], []
    rank_zero_info(
        "Data: other documents, or embeddings of them, than those of the checkpoint, so perplexities do not compare: "
        "epochs are counted, what is best and when to stop are found, anew from here on. The documents before count as "
        "the model remembers them."
        f"{f' The best model on those before stays in {best}.' if best else ''}"
    )


def _refuse(where: str, what: str = "has another form than the states of this run") -> UserError:
    shown = "".join(letter if letter.isprintable() else "?" for letter in where)
    return UserError(
        f"ckpt_path: {shown:.120} of the checkpoint {what}; expected a checkpoint of such a run, as it was."
    )


def _table(value: Any, where: str, names: tuple[str, ...] = ()) -> dict[Any, Any]:
    if not isinstance(value, dict) or not all(name in value for name in names):
        raise _refuse(where)
    return value


def _check_like(value: Any, own: Any, where: str) -> None:
    """By what this run has at this place; where that is nothing yet, anything plain."""
    fine = True
    if isinstance(own, dict):
        fine = isinstance(value, dict) and (not own or value.keys() == own.keys())
        if fine:
            for name, item in own.items():
                _check_like(value[name], item, f"{where}.{name}")
    elif isinstance(own, list | tuple):
        fine = type(value) is type(own) and (not own or len(value) == len(own))
        if fine:
            for place, item in enumerate(own):
                _check_like(value[place], item, f"{where}.{place}")
    elif isinstance(own, Tensor):
        fine = isinstance(value, Tensor) and value.shape == own.shape
    elif own is None:
        fine = isinstance(value, bool | int | float | str | None) or (isinstance(value, Tensor) and not value.shape)
    elif type(own) is int:
        fine = type(value) is int and min(own, 0) <= value <= MAX_STEPS
    elif type(own) is float:
        fine = type(value) in (int, float) and value >= min(own, 0)
    else:
        fine = type(value) is type(own)
    if not fine:
        raise _refuse(where)


def _check_loop(state: Any, own: dict[str, Any], where: str) -> None:
    """Progress; other versions of Lightning may keep more or less of it."""
    for name, item in _table(state, where).items():
        if name.endswith("state_dict"):
            steps = _table(item, f"{where}.{name}").get("_batches_that_stepped", 0)
            _check_like(steps, 0, f"{where}.{name}")
        elif name in own:
            _check_like(item, own[name], f"{where}.{name}")


def _check_callback(callback: Any, state: Any, where: str) -> None:
    if not type(callback).__module__.startswith(("etm_app.", "pytorch_lightning.")):
        return  # of the user's own, who knows what it keeps
    # What grows in a run says nothing of the form.
    own = {name: item if type(item) in (bool, int, float) else None for name, item in callback.state_dict().items()}
    if _table(state, where).keys() != own.keys():
        raise _refuse(where)
    for name, item in own.items():
        if not isinstance(state[name], dict | list):
            _check_like(state[name], item, f"{where}.{name}")
    if isinstance(callback, EarlyStopping):
        reasons = {reason.value for reason in EarlyStoppingReason}
        _check_like(state["best_score"], torch.zeros(()), f"{where}.best_score")
        if type(state["stopping_reason"]) is not int or state["stopping_reason"] not in reasons:
            raise _refuse(f"{where}.stopping_reason")
    if isinstance(callback, ModelCheckpoint):
        _check_best(state, where)


def _check_best(state: dict[str, Any], where: str) -> None:
    """Lightning removes the file of what was best before, so the paths must be checkpoints' and mean what they say."""
    best = _table(state["best_k_models"], f"{where}.best_k_models")
    for path in (state["best_model_path"], state["kth_best_model_path"], state["last_model_path"], *best):
        if type(path) is not str or (
            path and ("://" in path or ".." in PurePath(path).parts or PurePath(path).suffix != ".ckpt")
        ):
            raise _refuse(where, f"names {path!r:.80}, which is no checkpoint of a run")
    scores = {name: state[name] for name in ("best_model_score", "current_score") if state[name] is not None}
    for name, score in {**scores, "kth_value": state["kth_value"], **best}.items():
        _check_like(score, torch.zeros(()), f"{where}.{name}")
    if state["kth_best_model_path"] not in best and (best or state["kth_best_model_path"]):
        raise _refuse(f"{where}.kth_best_model_path")


def _check_epochs(checkpoint: dict[str, Any], trainer: Trainer) -> None:
    progress = checkpoint.get("loops", {}).get("fit_loop", {}).get("epoch_progress")
    most = trainer.max_epochs
    if progress is not None and most is not None and 0 <= most < (had := progress["current"]["processed"]):
        raise UserError(
            f"trainer.max_epochs: {most}, but the checkpoint has had {had} epochs; expected more: "
            f"--trainer.max_epochs {had + 1}, say."
        )


def _check_optimizers(checkpoint: dict[str, Any], model: LightningModule) -> None:
    check_goes_on(checkpoint)
    optimizer, schedulers = configured(model)
    if len(checkpoint["optimizer_states"]) != 1:
        raise _refuse("optimizer_states")
    _check_optimizer(checkpoint["optimizer_states"][0], optimizer, model)
    for place, (state, scheduler) in enumerate(zip(checkpoint["lr_schedulers"], schedulers, strict=False)):
        own, where = scheduler.state_dict(), f"lr_schedulers.{place}"
        _take_flags(_table(state, where), own)
        _check_like(state, own, where)


def _check_optimizer(state: Any, optimizer: Optimizer, model: LightningModule) -> None:
    own, where = optimizer.state_dict(), "optimizer_states.0"
    another = f"is of another optimizer than {type(optimizer).__name__}"
    groups, states = (_table(state, where, ("param_groups", "state"))[name] for name in ("param_groups", "state"))
    if not isinstance(groups, list) or len(groups) != len(own["param_groups"]):
        raise _refuse(f"{where}.param_groups", another)
    for group, own_group in zip(groups, own["param_groups"], strict=True):
        _take_flags(_table(group, f"{where}.param_groups"), own_group)
        if group.keys() != own_group.keys():
            raise _refuse(f"{where}.param_groups", another)
        _check_like(group, own_group, f"{where}.param_groups")
        if group["params"] != own_group["params"]:
            raise _refuse(f"{where}.param_groups", another)
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    kept = _kept_by(model)
    for number, of in _table(states, f"{where}.state").items():
        place = f"{where}.state.{number}"
        if type(number) is not int or not 0 <= number < len(parameters):
            raise _refuse(place, another)
        if _table(of, place) and kept and of.keys() != kept.keys():
            raise _refuse(place, another)
        for name, value in of.items():
            example, shape = kept.get(name), parameters[number].shape
            if isinstance(example, Tensor) and example.shape == EXAMPLE:
                if not isinstance(value, Tensor) or value.shape != shape:
                    raise _refuse(f"{place}.{name}", f"has not the shape of its weights, {list(shape)}")
            elif not isinstance(example, Tensor) or not example.shape:
                _check_like(value, example, f"{place}.{name}")
            elif not isinstance(value, Tensor) or value.numel() > shape.numel():  # of a part of the shape
                raise _refuse(f"{place}.{name}")
        if wrong := non_finite({name: value for name, value in of.items() if isinstance(value, Tensor)}):
            raise _refuse(f"{place}.{wrong}", "has NaN or infinite numbers")


def _kept_by(model: LightningModule) -> dict[str, Any]:
    """What the optimizer keeps of a parameter, found by a step with one."""
    parameter = nn.Parameter(torch.zeros(EXAMPLE))
    with torch.enable_grad():
        make: Any = model.optimizer
        optimizer = make([parameter])
        parameter.sum().backward()  # type: ignore[no-untyped-call]
    optimizer.step(lambda: 0.0)
    kept: dict[str, Any] = optimizer.state[parameter]
    return kept


def _take_flags(state: dict[str, Any], own: dict[str, Any]) -> None:
    """Switches and names are this run's; numbers stay the file's."""
    state.update({name: value for name, value in own.items() if isinstance(value, bool | str | None)})
