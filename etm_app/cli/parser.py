"""LightningCLI's parser, with a user's mistakes reported in two lines."""

import re
import sys
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

import yaml
from jsonargparse import ArgumentParser, Namespace
from pytorch_lightning import Callback, LightningDataModule
from pytorch_lightning.cli import LightningArgumentParser
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from etm_app.checkpoint.old import REMOVED
from etm_app.cli.chosen_data import DATA_MODULES, arguments_of
from etm_app.cli.commands import SUBCOMMANDS
from etm_app.cli.help import arrange
from etm_app.cli.inside import actions_of, sections_of

__all__ = ["Parser", "condense", "hint_at"]

UNKNOWN_CLASS = "expected the name of a class or its import path, my_module.MyClass; there is no"


class Parser(LightningArgumentParser):
    """LightningCLI's parser, with mistakes reported in two lines instead of a page."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.subcommands: dict[str, ArgumentParser] = {}

    def add_subcommands(self, *args: Any, **kwargs: Any) -> Any:
        """Subcommands as they are described here, with help in the order of a first use."""
        action = super().add_subcommands(*args, **kwargs)
        add = action.add_subcommand

        def add_subcommand(name: str, parser: ArgumentParser, **kwargs: Any) -> Any:
            added = add(name, parser, **{**kwargs, "help": SUBCOMMANDS[name]})
            arrange(parser, name)
            self.subcommands[name] = parser
            return added

        action.add_subcommand = add_subcommand  # type: ignore[method-assign]
        return action

    def add_method_arguments(self, class_type: Any, method_name: str, *args: Any, **kwargs: Any) -> list[str]:
        """Those of a method of the trainer, unless what it is called by is a section already, as sweep is."""
        if getattr(class_type, method_name).__name__ in (self.groups or {}):
            return []
        added: list[str] = super().add_method_arguments(class_type, method_name, *args, **kwargs)
        return added

    def add_subclass_arguments(self, *args: Any, **kwargs: Any) -> Any:
        """Arguments of a class, which has a default and so is not required where defaults are left out either."""
        return super().add_subclass_arguments(*args, **{**kwargs, "required": False})

    def get_defaults(self, *args: Any, **kwargs: Any) -> Namespace:
        """The defaults, of the data module only its class: its arguments must not pass to another class."""
        defaults: Namespace = super().get_defaults(*args, **kwargs)
        if isinstance(data := defaults.get("data"), Namespace):
            data.pop("init_args", None)
        return defaults

    def parse_path(self, path: Any, *args: Any, **kwargs: Any) -> Namespace:
        """Parse a config file, named where it is no YAML."""
        try:
            yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            self.error(f"config: {path} is no YAML ({' '.join(str(error).split())})")
        config: Namespace = super().parse_path(path, *args, **kwargs)
        return config

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Say what is wrong and where to look, and exit with code 2."""
        if not self.exit_on_error:  # a parser within a parser: the outermost one reports
            super().error(message, ex)
        parser = getattr(ex, "subcommand_parser", None) or self
        said = condense(message)
        program = parser.prog.replace(" [options]", "")
        actions = [action for section in sections_of(parser) for action in actions_of(section)]
        hint = hint_at(said, [option for action in actions for option in action.option_strings])
        sys.stderr.write(f"error: {said}\n{hint}All arguments: {program} --help\n")
        sys.exit(2)


def hint_at(message: str, options: list[str]) -> str:
    """What was meant by an argument or a class that is not known, if that can be told."""
    if found := re.search(rf"\bmodel\.({'|'.join(REMOVED)})\b", message):
        others = ", ".join(name for name in REMOVED if name != found[1])
        return f"model.{found[1]} is gone, as the encoder is the paper's only: leave it out (and {others}). "
    if found := re.match(r"data: Option '([\w.]+)' is not accepted", message):
        arguments = {cls.__name__: arguments_of(cls) for cls in DATA_MODULES}
        if owners := [name for name in arguments if found[1] in arguments[name]]:
            return f"--data.{found[1]} is an argument of {' and '.join(owners)}: name the class with --data. "
        options = [f"--data.{argument}" for of_class in arguments.values() for argument in of_class]
        message = f"--data.{found[1]}"
    words = {"--" + word.lstrip("-"): options for word in re.findall(r"--[\w.]+|(?<=option ')[\w.]+", message)}
    if found := re.search(rf"(?:{UNKNOWN_CLASS} |has no attribute ')(\w+)", message):
        bases = (LightningDataModule, Optimizer, LRScheduler, Callback)
        words[found[1]] = sorted({name for base in bases for name in names_below(base)})
    near = [match for word, known in words.items() for match in get_close_matches(word, known, n=1) if match != word]
    return f"Did you mean {' and '.join(near)}? " if near else ""


def names_below(base: Any) -> Iterator[str]:
    """The names of all classes that are loaded and derive from one."""
    for derived in base.__subclasses__():
        yield derived.__name__
        yield from names_below(derived)


def condense(message: str) -> str:
    """One line of what jsonargparse says about a value in many: the key, what was expected and what was given."""
    keys: list[str] = []
    details: list[str] = []
    given = ""
    for line in message.splitlines():
        line = line.strip(" -\t")
        if found := re.match(r'Parser key "([^"]+)":\s*(.*)', line):
            keys.append(found[1])
            line = found[2]
        if found := re.match(r"Given value: (?!NestedArg)(.*)", line):
            given = given or f"given: {found[1]}"
        elif not line or re.match(
            r"Does not validate|Subtypes:|Errors:|Given value|Expected a <class 'NoneType'>"
            r"|Expected a path but|Problem with",
            line,
        ):
            continue
        else:
            line = re.sub(r"<class '([^']+)'>|typing\.(Literal\[)", r"\1\2", line)
            details.append(re.sub("Expected a dot import path string:", UNKNOWN_CLASS, line))
    prefix = [".".join(keys)] if keys else []
    if given and details[-1:] != [f"{UNKNOWN_CLASS} {given.removeprefix('given: ')}"]:
        details.append(given)
    return ": ".join([*prefix, "; ".join(dict.fromkeys(details))])
