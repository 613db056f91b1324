"""Vocabularies from files: a word a line, or the pickled list of the paper's code."""

import pickle
import pickletools
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from etm_app.errors import UserError

__all__ = ["check_memo", "check_same_vocab", "check_vocab", "read_vocab"]


def check_vocab(vocab: Sequence[str], name: str) -> None:
    """Refuse words that repeat, or that do not fit on a line.

    Raises:
        UserError: There are some; ``name`` is what the message calls their list.
    """
    if repeated := len(vocab) - len(set(vocab)):
        seen: set[str] = set()
        first = next(word for word in vocab if word in seen or seen.add(word))  # type: ignore[func-returns-value]
        raise UserError(f"{name} repeats {repeated} of its words, {first!r} for one; expected each once.")
    if broken := [word for word in vocab if "\n" in word]:
        raise UserError(f"{name} has words with a line break, {broken[0]!r} for one; expected none.")


def check_same_vocab(vocab: Sequence[str], trained: Sequence[str] | None, size: int) -> None:
    """Refuse data with other words than those of a model.

    Args:
        vocab: Those of the data.
        trained: Those that the model was trained on, if it was.
        size: How many it was made for.

    Raises:
        UserError: They are others, or in another order.
    """
    if len(vocab) != size:
        raise UserError(
            f"data: the vocabulary has {len(vocab)} words, the model was made for {size}; "
            "expected as many: use the data that it was trained on, or train anew."
        )
    if trained is not None and list(trained) != list(vocab):
        raise UserError(
            f"data: another vocabulary than the model was trained on ({len(set(vocab) & set(trained))} of "
            f"{len(vocab)} words are the same, or they are in another order); expected the same: "
            "use the data that it was trained on, or train a new ETM."
        )


def read_vocab(path: Path, argument: str) -> list[str]:
    """Read the words of a vocabulary file.

    Args:
        path: A UTF-8 text with a word a line, or, ending in ``.pkl``, a pickled list of strings.
        argument: What to call it in messages.

    Returns:
        The words in the order of the file.

    Raises:
        UserError: The file is missing or damaged, holds something else, or repeats words.
    """
    vocab = _read_pickle(path, argument) if path.suffix == ".pkl" else _read_text(path, argument)
    check_vocab(vocab, f"{argument}: {path}")
    return vocab


def _read_text(path: Path, argument: str) -> list[str]:
    try:
        lines = path.read_bytes().decode("utf-8-sig").split("\n")  # splitlines knows too many ends
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{argument}: {path} cannot be read ({error}); expected a UTF-8 text, a word a line."
        ) from error
    vocab = [line.removesuffix("\r") for line in (lines if lines[-1] else lines[:-1])]
    if "" in vocab:
        raise UserError(f"{argument}: line {vocab.index('') + 1} of {path} is empty; expected a word on each line.")
    return vocab


class _StringsOnly(pickle.Unpickler):
    """Builds lists of strings: any other object needs a class looked up, which is what an attack does, too."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}")


def check_memo(pickled: IO[bytes]) -> None:
    """Refuse a pickle that asks for more memory than it has bytes: a place in the memo makes that grow as far.

    Args:
        pickled: Never gives more than there is, as a file on disk would where a string of terabytes is asked for.

    Raises:
        ValueError: It asks for that, or is none.
    """
    for number, (opcode, argument, _) in enumerate(pickletools.genops(pickled)):
        if "PUT" in opcode.name and int(argument or 0) > number:
            raise ValueError(f"{opcode.name} {argument}")
    pickled.seek(0)


def _read_pickle(path: Path, argument: str) -> list[str]:
    expected = "expected a pickled list of the words, as strings, each once."
    try:
        check_memo(pickled := BytesIO(path.read_bytes()))
        vocab = _StringsOnly(pickled).load()
    except Exception as error:  # a damaged pickle raises anything
        raise UserError(f"{argument}: {path} was refused ({error}); {expected}") from error
    if not isinstance(vocab, list) or not all(isinstance(word, str) for word in vocab):
        raise UserError(f"{argument}: {path} holds a {type(vocab).__name__} that is no list of strings; {expected}")
    return vocab
