"""What the command line is called and offers: known, and answered, without waiting for torch."""

import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from jsonargparse import ActionConfigFile, ArgumentParser, set_parsing_settings  # type: ignore[attr-defined]

from etm_app import __version__

__all__ = ["SUBCOMMANDS", "answer", "main_parser_arguments", "program"]

DESCRIPTION = "Embedded Topic Models: topics and words as points of one space, learned from your texts."
SUBCOMMANDS = {
    "check": "Show the data in numbers and warn of what will go wrong; train nothing.",
    "embed": "Train word vectors on the texts by skip-gram, for a model that starts from them.",
    "fit": "Train a model, measure the best one, and write its topics and the report.",
    "validate": "Measure a checkpoint on the validation documents, and write its topics and the report.",
    "test": "Measure a checkpoint on the test documents, and write its topics and the report.",
    "report": "Write the report of a checkpoint, with the documents of --data if it is given; measure nothing.",
    "predict": "Write the topic proportions of documents as a table.",
    "sweep": "Train with several numbers of topics and seeds, and show how the topics change with their number.",
}


def program() -> str:
    """The command as it was typed: ``etm``, else ``python -m etm_app``."""
    return "etm" if Path(sys.argv[0]).stem == "etm" else "python -m etm_app"


def main_parser_arguments() -> dict[str, Any]:
    """Arguments of the parser that knows the subcommands: LightningCLI's, and the one that answers here."""
    # Completion is for a command of one word. jsonargparse adds the argument when it parses, if this is set.
    set_parsing_settings(add_print_completion_argument=program() == "etm")
    return {"prog": program(), "description": DESCRIPTION, "version": __version__, "allow_abbrev": False}


def answer(args: Sequence[str]) -> None:
    """Answer what needs no model, and exit: the version, the list of subcommands, no or an unknown subcommand.

    Args:
        args: Those of the process; where they ask for more, nothing happens.
    """
    if list(args) in (["--version"], ["--help"], ["-h"]):
        parser = ArgumentParser(**main_parser_arguments())
        parser.add_argument(
            "-c", "--config", action=ActionConfigFile, help="Path to a configuration file in json or yaml format."
        )
        subcommands = parser.add_subcommands()
        for name, help in SUBCOMMANDS.items():
            subcommands.add_subcommand(name, ArgumentParser(), help=help)
        parser.parse_args(args)
    if args and (args[0].startswith("-") or args[0] in SUBCOMMANDS):
        return
    expected = f"expected one of {', '.join(SUBCOMMANDS)}"
    if args:
        near = get_close_matches(args[0], SUBCOMMANDS, n=1)
        said, hint = f"{args[0]} is no subcommand; {expected}.", f"Did you mean {near[0]}? " if near else ""
    else:
        said, hint = f"no subcommand; {expected}.", f"To begin: {program()} fit --data.files texts.csv "
        hint += "--data.text_column text. "
    sys.stderr.write(f"error: {said}\n{hint}All subcommands: {program()} --help\n")
    sys.exit(2)
