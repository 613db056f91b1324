"""What argparse and Lightning keep to themselves and this command line needs: each thing in one function, tested."""

import argparse

from pytorch_lightning import Trainer
from pytorch_lightning.trainer.connectors.checkpoint_connector import _CheckpointConnector

__all__ = [
    "actions_of",
    "leave_hpc_checkpoints",
    "let_sigterm_end_the_run",
    "sections_of",
    "show_actions",
    "show_sections",
]

Section = argparse._ArgumentGroup


def sections_of(parser: argparse.ArgumentParser) -> list[Section]:
    """The sections of a parser's help in order; argparse adds some, and has no way to see or to order them."""
    return parser._action_groups


def show_sections(parser: argparse.ArgumentParser, sections: list[Section]) -> None:
    """Let the help have these sections, in this order; what is parsed stays as it is."""
    parser._action_groups = sections


def actions_of(section: Section) -> list[argparse.Action]:
    """The arguments of a section in order; argparse only ever adds to them."""
    return section._group_actions


def show_actions(section: Section, actions: list[argparse.Action]) -> None:
    """Let a section of the help have these arguments, in this order; what is parsed stays as it is."""
    section._group_actions = actions


def let_sigterm_end_the_run(trainer: Trainer) -> None:
    """Keep Lightning's own answer to SIGTERM from ours, which ends the run at once.

    Lightning calls a handler that is there after its own, which first broadcasts to the other processes of the run; if
    they are in another collective operation, that could wait for ever. It has no switch for it.
    """
    trainer._signal_connector._sigterm_notifier_fn = lambda *_: None  # type: ignore[method-assign]


class _Connector(_CheckpointConnector):
    _hpc_resume_path = None


def leave_hpc_checkpoints(trainer: Trainer) -> None:
    """Keep a job of SLURM from taking up what another one has saved.

    Unasked, Lightning goes on from a ``hpc_ckpt_1.ckpt`` that lies in the folder, of whatever run. It has no switch
    for it.
    """
    trainer._checkpoint_connector = _Connector(trainer)
