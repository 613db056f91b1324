"""A mistake of a user's: what is on the disk, what is typed, and what the answer must name."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

__all__ = ["Case", "Make", "cut", "in_turn", "nothing", "write"]

Make = Callable[[Path], object]


def nothing(folder: Path) -> None:
    """What there is suffices."""


class Case(NamedTuple):
    """One mistake.

    Attributes:
        command: As it is typed, after the program's name and in a folder of its own that has `20ng`, the paper's files
            of the planted corpus; `best.ckpt` and `last.ckpt`, of a fit on it; and `texts.csv`.
        said: What the message must have in it.
        make: Adds to that folder what the command is about.
        begins: Whether it can be known only when a run has begun, whose folder is then there, without a checkpoint.
    """

    command: str
    said: list[str]
    make: Make = nothing
    begins: bool = False


def write(name: str, content: bytes | str) -> Make:
    """A file of this content."""

    def make(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return make


def cut(name: str) -> Make:
    """Take away the last third of a file."""
    return lambda folder: (folder / name).write_bytes(
        (content := (folder / name).read_bytes())[: len(content) * 2 // 3]
    )


def in_turn(*makers: Make) -> Make:
    """All of them."""
    return lambda folder: [make(folder) for make in makers]
