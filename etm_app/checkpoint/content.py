"""Checkpoints as a stranger may have made them: what one holds is checked before anything is made of it."""

import pickletools
import re
import typing
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union

import torch
from torch import Tensor

from etm_app.checkpoint.format import check_format
from etm_app.checkpoint.old import take_old_form, take_old_names
from etm_app.data.text.analyzer import Analyzer
from etm_app.data.vocabulary import check_vocab
from etm_app.errors import UserError
from etm_app.topic_model import TopicModel
from etm_app.topic_names import check_names

__all__ = [
    "COLUMNS",
    "EXPECTED",
    "OF_TOPICS",
    "check_checkpoint_vocab",
    "check_content",
    "fits",
    "hyperparameters",
    "non_finite",
    "read_checkpoint",
]

EXPECTED = (
    "expected the path of a checkpoint that fit wrote: --ckpt_path lightning_logs/version_0/checkpoints/best.ckpt, say."
)
# What torch.save writes of tensors and plain values; torch.load would call others, which take memory as they like.
GLOBALS = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2"}
GLOBALS |= {f"torch {kind}Storage" for kind in ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Bool", "Byte")}
# Each takes one byte in the file and up to two hundred in memory.
CONTAINERS = {"EMPTY_DICT", "EMPTY_LIST", "EMPTY_SET", "EMPTY_TUPLE", "MARK", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"}
MAX_CONTAINERS = 1_000_000
MAX_PICKLE = 2**26  # bytes of words and settings; a million words take 20 MB
MAX_VALUES = 1_000_000  # counted as often as they are referred to
MAX_DEPTH = 50
SHARED = 10_000  # bytes of tensors that stand in several places, such as scores
MAX_NUMBER = 2**64  # of a seed
VERSION = r"[2-9](\.\d{1,4}){1,3}(\.?(dev|post|a|b|rc)\d{1,8})?"  # of Lightning
MAX_TEXT = 10_000  # characters of a setting
MAX_SEEN = 2**50  # documents, tokens
CHUNK = 2**22  # weights looked at at once
# Of a model's state what has a row for each topic, or two for a mean and a variance, or a column.
COLUMNS = ("memory.counts", "memory.words", "memory.topics")
OF_TOPICS = (
    *("topics.alpha", "e_step.size", "e_step.from_vectors", "anchor.alpha", "memory.sizes", *COLUMNS),
    *("encoder.posterior.weight", "encoder.posterior.bias"),
)
LEFTOVERS = {"_instantiator"}  # written by LightningCLI, and never obeyed


class _Unfit(Exception):
    """What is wrong with a checkpoint, without its name."""

    def refusal(self, name: str) -> UserError:
        shown = "".join(letter if letter.isprintable() else "?" for letter in str(self))
        return UserError(f"ckpt_path: {name} was refused: {shown}; expected a checkpoint as fit wrote it.")


def read_checkpoint(path: str | Path, model_class: type[TopicModel]) -> dict[str, Any]:
    """The content of a checkpoint file, of which nothing needs to be trusted.

    It runs no code of the file's choice, and takes no memory but for words and settings: the tensors are views of the
    file, which must stay as it is while they are used.

    Raises:
        UserError: There is no such file, or one that holds anything else than a checkpoint of this class.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"ckpt_path: there is no file {path}; {EXPECTED}")
    try:
        records = _check_archive(path)
        checkpoint = torch.load(path, weights_only=True, map_location="cpu", mmap=True)
    except Exception as error:  # a file of any other kind raises anything
        reason = str(error) if isinstance(error, _Unfit) else type(error).__name__
        raise UserError(f"ckpt_path: {path} is no checkpoint ({reason}); {EXPECTED}") from error
    if isinstance(checkpoint, dict):
        check_format(checkpoint, str(path))
    if not isinstance(checkpoint, dict) or not {"vocab", "state_dict", "hyper_parameters"} <= checkpoint.keys():
        raise UserError(f"ckpt_path: {path} is a checkpoint, but not of an ETM; {EXPECTED}")
    try:
        _check_values(checkpoint, records)
        take_old_form(checkpoint)
        _check_content(checkpoint, model_class)
    except _Unfit as unfit:
        raise unfit.refusal(str(path)) from unfit
    return checkpoint


def check_content(checkpoint: dict[str, Any], model_class: type[TopicModel]) -> None:
    """The same for the content of a file that something else has read.

    Raises:
        UserError: It is none of a checkpoint of this class.
    """
    check_format(checkpoint, "the checkpoint")
    if not {"vocab", "state_dict", "hyper_parameters"} <= checkpoint.keys():
        raise UserError("ckpt_path: this checkpoint is not an ETM's; expected one that etm_app wrote.")
    try:
        take_old_form(checkpoint)
        _check_content(checkpoint, model_class)
    except _Unfit as unfit:
        raise unfit.refusal("the checkpoint") from unfit


def check_checkpoint_vocab(trained: list[str] | None, vocab: list[str] | None) -> None:
    """Refuse a checkpoint of another vocabulary than the data's, where both are known.

    Raises:
        UserError: The words are others, or in another order.
    """
    if vocab is not None and trained is not None and vocab != trained:
        raise UserError(
            f"ckpt_path: the checkpoint was trained on another vocabulary ({len(trained)} words, "
            f"{len(set(trained) & set(vocab))} of them among the {len(vocab)} of the data, or in another "
            "order); expected the same: use the data that it was trained on, or train anew."
        )


def hyperparameters(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """The model's arguments in a checkpoint that was checked."""
    return {name: value for name, value in checkpoint["hyper_parameters"].items() if name not in LEFTOVERS}


def non_finite(tensors: dict[str, Tensor]) -> str | None:
    """The name of the first that has a NaN or an infinite number, looking at a part of it at a time."""
    for name, tensor in tensors.items():
        if not tensor.is_meta and not all(
            part.isfinite().all() for part in torch.split(tensor.detach().reshape(-1), CHUNK)
        ):
            return name
    return None


def fits(value: Any, hint: Any) -> bool:
    """Whether a plain value is of a type, nothing converted: whole numbers are floats as well, NaN is a plain one.

    Args:
        value: Any.
        hint: Plain types, jsonargparse's restricted numbers, and Literal, Union, list, tuple and dict of them.
    """
    origin, of = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return any(type(value) is type(choice) and value == choice for choice in of)
    if origin in (Union, UnionType):
        return any(fits(value, one) for one in of)
    if origin is list:
        return type(value) is list and all(fits(item, of[0]) for item in value)
    if origin is tuple:
        return type(value) is tuple and len(value) == len(of) and all(map(fits, value, of))
    if origin is dict:
        return type(value) is dict and all(fits(key, of[0]) and fits(item, of[1]) for key, item in value.items())
    if hint in (bool, str, NoneType):
        return type(value) is hint
    if not issubclass(hint, int | float) or type(value) not in ((int,) if issubclass(hint, int) else (int, float)):
        return False
    if abs(value) > MAX_NUMBER or not (hint is float or isfinite(value)):
        return False
    try:
        hint(value)
    except ValueError:
        return False
    return True


def _check_archive(path: Path) -> list[int]:
    """Refuse what torch.load would take more memory for than the file has bytes.

    Returns:
        The sizes of the records with numbers in bytes, in the order of the file.
    """
    with zipfile.ZipFile(path) as archive:
        records = archive.infolist()
        stored = all(record.compress_type == zipfile.ZIP_STORED for record in records)
        names = {record.filename for record in records}
        if not stored or archive.comment or len(names) < len(records):
            raise _Unfit("its records are compressed or repeat")
        if sum(record.file_size for record in records) > path.stat().st_size:
            raise _Unfit("its records are larger than the file")
        (pickled,) = (record for record in records if record.filename.endswith("/data.pkl"))
        if pickled.file_size > MAX_PICKLE:
            raise _Unfit(f"its words and settings take {pickled.file_size:,} bytes, more than {MAX_PICKLE:,}")
        num_containers = 0
        for opcode, argument, _ in pickletools.genops(archive.read(pickled)):
            num_containers += opcode.name in CONTAINERS
            if opcode.name == "GLOBAL" and argument not in GLOBALS:
                raise _Unfit(f"it asks for {argument!s:.80}")
        if num_containers > MAX_CONTAINERS:
            raise _Unfit(f"it has {num_containers:,} lists and tables, more than {MAX_CONTAINERS:,}")
        numbers = [record for record in records if "/data/" in record.filename and record.file_size]
        return [record.file_size for record in sorted(numbers, key=lambda record: record.header_offset)]


def _check_values(checkpoint: dict[str, Any], records: list[int]) -> None:
    """Plain values and tensors only, and these no larger than the file: a small storage may claim any shape."""
    num_bytes = sum(records)
    claimed: dict[int, int] = {}
    for where, value in _leaves({name: value for name, value in checkpoint.items() if name != "vocab"}):
        if isinstance(value, Tensor):
            num_bytes -= value.numel() * value.element_size()
            if num_bytes < -SHARED or value.layout != torch.strided or not value.is_contiguous():
                raise _Unfit(f"{where} is a tensor {_shape(value)} of numbers that the file does not hold")
            if storage := value.untyped_storage():
                claimed[storage.data_ptr()] = storage.nbytes()
        elif not isinstance(value, bool | int | float | str | None) or (type(value) is int and abs(value) > MAX_NUMBER):
            raise _Unfit(f"{where} is {_short(value)}, no plain value")
    # Views of the file, so they lie as the records do; torch reads beyond those that are smaller than it is told.
    if [claimed[place] for place in sorted(claimed)] != records:
        raise _Unfit("its records have not the sizes of its tensors")


def _leaves(checkpoint: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Everything in it that holds nothing else, with its place; shared parts as often as they are referred to."""
    stack: list[tuple[str, Any, int]] = [("", checkpoint, 0)]
    num_values = 0
    while stack:
        where, value, depth = stack.pop()
        num_values += 1
        if num_values > MAX_VALUES or depth > MAX_DEPTH:
            raise _Unfit(f"{where.split('.')[0]} has more in it than a checkpoint ever has")
        if isinstance(value, dict):
            if not all(type(name) in (str, int) for name in value):
                raise _Unfit(f"{where or 'it'} has a key that is no text")
            # torch keeps versions of modules as an attribute of the state; any other would hide a method
            hidden = vars(value) if isinstance(value, OrderedDict) else {}
            if hidden.keys() - {"_metadata"} or not _is_metadata(hidden.get("_metadata")):
                raise _Unfit(f"{where} has attributes")
            stack += [(f"{where}.{name!s:.60}".lstrip("."), item, depth + 1) for name, item in value.items()]
        elif isinstance(value, list | tuple):
            stack += [(f"{where}.{place}", item, depth + 1) for place, item in enumerate(value)]
        else:
            yield where, value


def _is_metadata(metadata: Any) -> bool:
    if not isinstance(metadata, dict | None):
        return False
    return not metadata or all(isinstance(of, dict) and fits(of, dict[str, int]) for of in metadata.values())


def _check_content(checkpoint: dict[str, Any], model_class: type[TopicModel]) -> None:
    # Other versions' checkpoints Lightning would bring to the form of its own.
    version = checkpoint.get("pytorch-lightning_version")
    if not isinstance(version, str) or not re.fullmatch(VERSION, version, re.ASCII):
        raise _Unfit(f"pytorch-lightning_version is {_short(version)}")
    _check_hyperparameters(checkpoint["hyper_parameters"], model_class)
    given = hyperparameters(checkpoint)
    _check_vocab(checkpoint["vocab"], given["vocab_size"])
    _check_analyzer(checkpoint.get("analyzer"))
    if not isinstance(checkpoint.get("data_digest"), str | None):
        raise _Unfit(f"data_digest is {_short(checkpoint['data_digest'])}")
    _check_weights(checkpoint["state_dict"], model_class, given)
    _check_names(checkpoint.get("topic_names"), len(checkpoint["state_dict"]["topics.alpha"]))
    _check_unmerged(checkpoint.get("unmerged"), checkpoint["state_dict"], model_class, given)


def _check_hyperparameters(given: Any, model_class: type[TopicModel]) -> None:
    """By the annotations of the class: only what a command line would take as plain values."""
    if type(given) is not dict:
        raise _Unfit(f"hyper_parameters is {_short(given)}")
    hints = typing.get_type_hints(model_class.__init__)
    for name, value in given.items():
        if name in LEFTOVERS:
            continue
        hint = hints.get(name)
        try:
            known = hint is not None and fits(value, hint)
        except TypeError:  # a type that has no plain values, such as an optimizer's
            known = False
        if not known or (isinstance(value, str) and len(value) > MAX_TEXT):
            raise _Unfit(f"hyper_parameters.{name!s:.60} is {_short(value)}")
    if "vocab_size" not in given:
        raise _Unfit("hyper_parameters has no vocab_size")


def _check_vocab(vocab: Any, vocab_size: int) -> None:
    if vocab is None:  # of a model that has seen no data
        return
    if type(vocab) is not list:
        raise _Unfit(f"vocab is {_short(vocab)}")
    if len(vocab) != vocab_size:
        raise _Unfit(f"vocab has {len(vocab):,} words, its vocab_size is {vocab_size:,}")
    wrong = next((word for word in vocab if type(word) is not str), "")
    if wrong != "":
        raise _Unfit(f"vocab has {_short(wrong)} among its words")
    try:
        check_vocab(vocab, "vocab")
    except UserError as error:
        raise _Unfit(str(error).rstrip(".")) from error


def _check_analyzer(settings: Any) -> None:
    """By the annotations of the analyser; a tokenizer is only a name here, which nothing imports."""
    if settings is None:
        return
    if type(settings) is not dict:
        raise _Unfit(f"analyzer is {_short(settings)}")
    hints = typing.get_type_hints(Analyzer)
    for name, value in settings.items():
        if name not in hints or not fits(value, hints[name]) or (isinstance(value, str) and len(value) > MAX_TEXT):
            raise _Unfit(f"analyzer.{name!s:.60} is {_short(value)}")
    try:
        Analyzer.from_settings(settings)
    except UserError as error:
        raise _Unfit(f"analyzer: {error!s:.300}".rstrip(".")) from error


def _check_unmerged(
    before: Any, weights: dict[str, Tensor], model_class: type[TopicModel], given: dict[str, Any]
) -> None:
    """What topics were before they were merged, as of a model that has them still."""
    if before is None:
        return
    if type(before) is not dict or before.keys() != {"state", "topic_names", "seed_topics"}:
        raise _Unfit(f"unmerged is {_short(before)}, and no topics as they were")
    state, alpha = before["state"], before["state"].get("topics.alpha") if type(before["state"]) is dict else None
    if not isinstance(alpha, Tensor) or not alpha.ndim or not state.keys() <= {*OF_TOPICS}:
        raise _Unfit("unmerged.state holds something else than what is of topics")
    given = {**given, "num_topics": len(alpha), "seed_topics": before["seed_topics"]}
    _check_hyperparameters(given, model_class)
    _check_weights({**weights, **state}, model_class, given)
    _check_names(before["topic_names"], len(alpha))


def _check_names(names: Any, num_topics: int) -> None:
    if names is None:
        return
    if not fits(names, dict[int, str]):
        raise _Unfit(f"topic_names is {_short(names)}, and no names of topics by number")
    try:
        check_names(names, num_topics, "topic_names")
    except UserError as error:
        raise _Unfit(str(error).rstrip(".")) from error


def _check_weights(weights: Any, model_class: type[TopicModel], given: dict[str, Any]) -> None:
    if not isinstance(weights, dict) or not all(isinstance(weight, Tensor) for weight in weights.values()):
        raise _Unfit("state_dict holds something else than tensors")
    try:
        with torch.device("meta"):  # shapes, and no memory
            model = model_class(**given)
            weights = dict(weights)
            take_old_names(model, weights)
            if weights.get("anchor.rho", torch.empty(0)).numel():
                model.anchor.place(model.rho, model.alpha, model.rho[:, 0], model.rho[:, 0])
            rows = {name: len(weights[name]) for name in COLUMNS if name in weights and weights[name].ndim == 2}
            for column, number in rows.items():  # of all words, or of those that there were before the vocabulary grew
                words = torch.empty(min(number, model.vocab_size), len(model.alpha))
                setattr(model.memory, column.removeprefix("memory."), words)
            if rows.keys() - {"memory.counts"}:
                model.memory.sizes = model.alpha[:, 0]
        expected = model.state_dict()
    except UserError as error:
        raise _Unfit(f"hyper_parameters: {error!s:.300}".rstrip(".")) from error
    except (RuntimeError, OverflowError, TypeError) as error:  # sizes beyond what can be counted
        sizes = ", ".join(f"{name} {value:,}" for name, value in given.items() if type(value) is int)
        raise _Unfit(f"hyper_parameters: there is no model of {sizes}") from error
    for name in sorted(expected.keys() ^ weights.keys()):
        found, wanted = ("lacks", "") if name in expected else ("has", " not")
        raise _Unfit(f"state_dict {found} {str(name)!r:.80}, by its hyper_parameters it would{wanted}")
    for name, weight in weights.items():
        if weight.shape != expected[name].shape:
            raise _Unfit(
                f"state_dict.{name} is {_shape(weight)}, by its hyper_parameters it would be {_shape(expected[name])}"
            )
        if weight.is_floating_point() != expected[name].is_floating_point():
            raise _Unfit(f"state_dict.{name} is of {weight.dtype}")
    seen = weights["seen"]  # on no device where versions before did not count
    if not seen.is_meta and not ((seen >= 0) & (seen <= MAX_SEEN)).all():
        raise _Unfit(f"state_dict.seen is {seen.tolist()}, no numbers of documents and tokens")
    if wrong := non_finite(weights):
        raise _Unfit(f"state_dict.{wrong} has NaN or infinite numbers")


def _shape(tensor: Tensor) -> str:
    return f"[{', '.join(f'{size:,}' for size in tensor.shape)}]"


def _short(value: Any) -> str:
    """A value as a message may show it."""
    if isinstance(value, Tensor):
        return f"a tensor {_shape(value)}"
    if isinstance(value, dict | list | tuple):
        return f"a {type(value).__name__}"
    return f"{value!r:.60}" if isinstance(value, int | float | str | None) else f"a {type(value).__name__}"
