"""The one exception that a user's mistake raises."""

__all__ = ["UserError"]


class UserError(ValueError):
    """A mistake that the user can mend: the message names argument, value, expectation and remedy.

    The command line prints the message alone and exits with code 2; in Python it is a ValueError.
    """
