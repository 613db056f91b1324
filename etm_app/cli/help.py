"""What ``fit --help`` shows: first what a first run needs, last what is Lightning's, most of that only if asked for."""

import argparse
from collections import Counter
from copy import copy
from typing import Any

from jsonargparse import ArgumentParser, DefaultHelpFormatter
from pytorch_lightning import LightningDataModule

from etm_app.cli.inside import Section, actions_of, sections_of, show_actions, show_sections

__all__ = ["SECTIONS", "HelpFormatter", "arrange", "show_data_module"]

# In the order of the page.
SECTIONS = {
    "data": "Documents: --data names a class that reads them",
    "model": "Model",
    "topics": "Tables of topics and measures that are written",
    "report": "The report, a page on which to look at the topics",
    "embeddings": "Word vectors that embed trains",
    "prediction": "The table that predict writes",
    "sweep": "What sweep varies",
    "coherence": "Coherence in a reference corpus",
    "tensorboard": "What TensorBoard shows",
    "checkpoint": "best.ckpt, the checkpoint that is kept",
    "trainer": "Training, by Lightning's Trainer",
    "fit": "Going on with a training",
    "check": "Going on with a training",
    "embed": "The words of a model",
    "validate": "What is measured",
    "test": "What is measured",
    "report_on": "The model",
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

    section: Section

    def __call__(self, parser: argparse.ArgumentParser, *args: Any, **kwargs: Any) -> None:
        show_sections(parser, [self.section])
        parser.description = None
        parser.print_help()
        parser.exit()


def arrange(parser: ArgumentParser, subcommand: str) -> None:
    """Give a subcommand's help its sections; what the parser accepts stays as it is.

    All take the section of sweep, so that its config serves them; only sweep shows it.
    """
    groups = parser.groups or {}
    for key, title in SECTIONS.items():
        if key in groups:
            groups[key].title = title
    for action in [action for section in sections_of(parser) for action in actions_of(section)]:
        action.help = HELP.get(action.dest, action.help)
        if action.dest == "data":
            action.metavar = "CLASS"
    pages = {key: copy(groups[key]) for key in SECTIONS if key in groups and (key != "sweep" or key == subcommand)}
    for key, names in SHOWN.items():
        help = "Show all arguments of this section and exit."
        shows_all = groups[key].add_argument(f"--{key}.help", action=_WholeSection, help=help)
        shows_all.section = groups[key]
        by_name = {action.dest: action for action in actions_of(groups[key])}
        show_actions(pages[key], [shows_all, *(by_name[f"{key}.{name}"] for name in names)])
    for page in pages.values():
        show_actions(page, [action for action in actions_of(page) if action.dest != "weights_only"])
    positionals, options = sections_of(parser)[:2]
    show_sections(parser, [positionals, options, *pages.values()])


def show_data_module(parser: ArgumentParser, data_module: type[LightningDataModule]) -> None:
    """Show the arguments of a data module after ``--data`` itself."""
    shown = ArgumentParser()
    shown.add_class_arguments(data_module, "data", fail_untyped=False)
    section = (shown.groups or {})["data"]
    section.title = f"{data_module.__name__}, for the documents of this command line"
    show_actions(section, [action for action in actions_of(section) if action.dest != "data"])
    sections = sections_of(parser)
    after = [there.title for there in sections].index(SECTIONS["data"]) + 1
    show_sections(parser, [*sections[:after], section, *sections[after:]])
