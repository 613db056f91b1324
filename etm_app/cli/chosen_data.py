"""The data module that a command line means: the one it names, or the one that its arguments are of."""

import argparse
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from jsonargparse import ArgumentParser
from pytorch_lightning import LightningDataModule

# Imported here, so that their short names work as well: --data NewsgroupsDataModule.
from etm_app.data.counts.counts import CountsDataModule
from etm_app.data.synthetic import SyntheticDataModule
from etm_app.data.text.docstrings import DocstringsDataModule
from etm_app.data.text.newsgroups import NewsgroupsDataModule
from etm_app.data.text.texts import TextDataModule

__all__ = ["DATA_MODULES", "ChosenData", "arguments_of", "choose_data"]

DATA_MODULES = (  # the default first
    DocstringsDataModule,
    CountsDataModule,
    NewsgroupsDataModule,
    SyntheticDataModule,
    TextDataModule,
)


class ChosenData(NamedTuple):
    """What a command line says of the data module.

    Attributes:
        name: Its name or import path, where ``--data`` or a config has one.
        default: The class, where there is no name.
        arguments: Those by which it was told; none where it is the usual default.
        is_given: Whether the command line says anything of the data.
    """

    name: str | None
    default: type[LightningDataModule]
    arguments: list[str]
    is_given: bool


def choose_data(args: Sequence[str]) -> ChosenData:
    """Of `DATA_MODULES` take the one that knows most of the arguments that are given.

    Args:
        args: The command line. The usual default is kept where others know no more of its arguments, or several do,
            which is then the parser's to refuse.
    """
    usual = DATA_MODULES[0]
    # Only a look at what is there: what is wrong with it is the parser's to say.
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("--data", "--data.class_path", nargs="?", action="append", default=[])
    parser.add_argument("-c", "--config", nargs="?", action="append", default=[])
    found, others = parser.parse_known_args(args)
    sections = [*map(_data_section, found.config), *found.data]
    given = [arg.partition("=")[0].removeprefix("--data.") for arg in others if arg.startswith("--data.")]
    name = None
    for section in sections:
        if isinstance(section, str):
            name = section
        elif isinstance(section, dict):
            name = section.get("class_path", name)
            given += [str(key) for key in section.get("init_args") or section if key != "class_path"]
    arguments = [argument.removeprefix("init_args.").partition(".")[0].rstrip("+") for argument in given]
    known = {cls: {*arguments_of(cls)} & {*arguments} for cls in DATA_MODULES} if arguments and name is None else {}
    most = [cls for cls in known if len(known[cls]) == max(map(len, known.values()))]
    if len(most) == 1 and most[0] is not usual:
        return ChosenData(None, most[0], sorted(known[most[0]] - known[usual]), True)
    return ChosenData(name, usual, [], name is not None or bool(arguments))


@cache  # the look at a signature takes longer than all else here
def arguments_of(data_module: type[LightningDataModule]) -> tuple[str, ...]:
    """The names of a data module's arguments, those of the classes below it included."""
    return tuple(ArgumentParser().add_class_arguments(data_module, fail_untyped=False))


def _data_section(config: str | None) -> Any:
    """What a config, a file or its text, has under ``data``, itself or for its subcommand."""
    try:
        path = Path(config or "")
        content = yaml.safe_load(path.read_text(encoding="utf-8") if path.is_file() else config or "")
    except (OSError, ValueError, yaml.YAMLError):
        return None
    if not isinstance(content, dict):
        return None
    subcommand = next((value for value in content.values() if isinstance(value, dict) and "data" in value), {})
    return content.get("data", subcommand.get("data"))
