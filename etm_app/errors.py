"""The one exception that a user's mistake raises, and how a damaged file comes to raise it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["UserError", "reading"]


class UserError(ValueError):
    """A mistake that the user can mend: the message names argument, value, expectation and remedy.

    The command line prints the message alone and exits with code 2; in Python it is a ValueError.
    """


@contextmanager
def reading(damages: tuple[type[Exception], ...], refuse: Callable[[str], UserError]) -> Iterator[None]:
    """Turn what reading a damaged file raises into a UserError.

    Args:
        damages: What it may raise.
        refuse: Makes the error that names the file, from what is wrong with it.
    """
    try:
        yield
    except UserError:
        raise
    except damages as error:
        said = " ".join(str(error).split()).rstrip(".")[:200]
        raise refuse(f"cannot be read ({said or type(error).__name__})") from error
