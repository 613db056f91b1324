"""What ``fit --help`` shows: first what a first run needs, last what is Lightning's, most of that only if asked for."""

import argparse
from collections import Counter
from copy import copy
from typing import Any

from jsonargparse import ArgumentParser, DefaultHelpFormatter
from pytorch_lightning import LightningDataModule

__all__ = ["SECTIONS", "HelpFormatter", "arrange", "show_data_module"]

# In the order of the page.
SECTIONS = {
    "data": "Documents: --data names a class that reads them",
    "model": "Model",
    "topics": "Tables of topics and measures that are written",
    "report": "The report, a page on which to look at the topics",
    "prediction": "The table that predict writes",
    "coherence": "Coherence in a reference corpus",
    "tensorboard": "What TensorBoard shows",
    "checkpoint": "best.ckpt, the checkpoint that is kept",
    "trainer": "Training, by Lightning's Trainer",
    "fit": "Going on with a training",
    "check": "Going on with a training",
    "validate": "What is measured",
    "test": "What is measured",
    "predict": "The model",
}
# Of Lightning's classes, what is more than seldom set.
SHOWN = {
    "trainer": (
        "max_epochs",
        "max_time",
        "accelerator",
        "devices",
        "strategy",
        "precision",
        "callbacks",
        "logger",
        "default_root_dir",
        "enable_progress_bar",
    ),
    "checkpoint": ("monitor", "mode", "dirpath"),
}
HELP = {
    "seed_everything": "Seed of all random numbers: the same one gives the same model. true draws one.",
    "ckpt_path": "The checkpoint, a file that fit wrote: lightning_logs/version_0/checkpoints/best.ckpt, say. "
    "fit goes on from last.ckpt.",
    "data": "The class: one of this package by name, or your own by import path (my_module.MyDataModule). Without it, "
    "the one that alone has the arguments that are given as --data.NAME; --data.files alone is TextDataModule.",
    "data.help": "Show the arguments of this class and exit: --data.help TextDataModule, say.",
    "trainer.callbacks": "Lightning's and your own, beside those of this package; null also ends early stopping.",
    "trainer.precision": "Of the numbers in training: 32-true, 16-mixed, bf16-mixed, …",
    "trainer.logger": "Who logs: true for TensorBoard, false for none, or a class: CSVLogger, …",
    "trainer.strategy": "How several devices work together: auto, ddp, …",
    "checkpoint.dirpath": "Its folder; by default checkpoints in the folder of the run.",
    "checkpoint.monitor": "The measure by which it is the best.",
    "checkpoint.mode": "Whether less or more of the measure is better: min or max.",
}


class HelpFormatter(DefaultHelpFormatter):
    """jsonargparse's, with the classes that an argument takes by their names, which suffice where they are unique."""

    def _get_help_string(self, action: argparse.Action) -> str:
        help, known, classes = super()._get_help_string(action).partition(", known subclasses: ")
        paths = classes.rstrip(")").split(", ")
        names = Counter(path.rpartition(".")[2] for path in paths)
        shown = [name if names[name] == 1 else path for path in paths if (name := path.rpartition(".")[2])]
        return f"{help}{known}{', '.join(shown)})" if known else help


class _WholeSection(argparse._HelpAction):
    """``--trainer.help``: all arguments of a section, those left out of ``--help`` as well."""

    group: argparse._ArgumentGroup

    def __call__(self, parser: argparse.ArgumentParser, *args: Any, **kwargs: Any) -> None:
        parser._action_groups = [self.group]
        parser.description = None
        parser.print_help()
        parser.exit()


def arrange(parser: ArgumentParser) -> None:
    """Give a subcommand's help its sections; what the parser accepts stays as it is."""
    groups = parser.groups or {}
    for key, title in SECTIONS.items():
        if key in groups:
            groups[key].title = title
    for action in parser._actions:
        action.help = HELP.get(action.dest, action.help)
        if action.dest == "data":
            action.metavar = "CLASS"
    pages = {key: copy(groups[key]) for key in SECTIONS if key in groups}
    for key, names in SHOWN.items():
        whole = f"--{key}.help"
        groups[key].add_argument(whole, action=_WholeSection, help="Show all arguments of this section and exit.")
        by_name = {action.dest: action for action in groups[key]._group_actions}
        by_name[whole] = parser._option_string_actions[whole]
        by_name[whole].group = groups[key]  # type: ignore[attr-defined]
        pages[key]._group_actions = [by_name[name] for name in (whole, *(f"{key}.{name}" for name in names))]
    for page in pages.values():
        page._group_actions = [action for action in page._group_actions if action.dest != "weights_only"]
    positionals, options = parser._action_groups[:2]
    parser._action_groups = [positionals, options, *pages.values()]


def show_data_module(parser: ArgumentParser, data_module: type[LightningDataModule]) -> None:
    """Show the arguments of a data module after ``--data`` itself."""
    shown = ArgumentParser()
    shown.add_class_arguments(data_module, "data", fail_untyped=False)
    section = (shown.groups or {})["data"]
    section.title = f"{data_module.__name__}, for the documents of this command line"
    section._group_actions = [action for action in section._group_actions if action.dest != "data"]
    titles = [group.title for group in parser._action_groups]
    after = titles.index(SECTIONS["data"]) + 1
    parser._action_groups = [*parser._action_groups[:after], section, *parser._action_groups[after:]]
