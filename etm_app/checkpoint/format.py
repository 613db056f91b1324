"""Which form a checkpoint has: one from a later version is not mistaken for damage, or read as what it is not."""

import re
from typing import Any

from etm_app import __version__
from etm_app.errors import UserError

__all__ = ["FORMAT", "check_format", "stamp"]

# Raised where versions before could not read what this one writes, or would take it for something else. Checkpoints of
# 0.1 have none, which is 0; tests/checkpoint/released has one of each.
FORMAT = 2
VERSION = r"\d{1,4}(\.\w{1,10}){1,5}"


def stamp(checkpoint: dict[str, Any]) -> None:
    """Note in a checkpoint that is to be written its form, and the version that writes it."""
    checkpoint["format"] = FORMAT
    checkpoint["etm_app_version"] = __version__


def check_format(checkpoint: dict[str, Any], name: str) -> None:
    """Refuse a form that this version does not know.

    Args:
        checkpoint: Of plain values, which need not be what they should.
        name: What to call it.

    Raises:
        UserError: It is of a later version, or says nothing sensible.
    """
    format, version = checkpoint.get("format", 0), checkpoint.get("etm_app_version", "")
    for key, fine in (("format", type(format) is int and format >= 0), ("etm_app_version", type(version) is str)):
        if not fine:
            raise UserError(f"ckpt_path: {name} was refused: its {key} is none; expected a checkpoint as fit wrote it.")
    if format > FORMAT:
        known = f"etm_app {version}" if re.fullmatch(VERSION, version, re.ASCII) else "a later etm_app"
        raise UserError(
            f"ckpt_path: {name} was written by {known}, in a newer format than etm_app {__version__} reads; expected "
            f"one of this version or before: install {known}, or train anew."
        )
