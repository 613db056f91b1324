"""What is not promised by argparse, jsonargparse and Lightning, and needed: an upgrade that breaks it fails here."""

import argparse
import inspect
import signal
from pathlib import Path
from types import FrameType

import jsonargparse
import pytest
import pytorch_lightning
import torch
import torchmetrics
from pytorch_lightning import Trainer
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.trainer.states import TrainerFn

from etm_app.cli.help import HelpFormatter
from etm_app.cli.inside import (
    actions_of,
    leave_hpc_checkpoints,
    let_sigterm_end_the_run,
    sections_of,
    show_actions,
    show_sections,
)
from etm_app.cli.main import EXPECTED_WARNINGS, SPARED
from etm_app.cli.parser import Parser, condense, hint_at


@pytest.mark.parametrize("kind", [argparse.ArgumentParser, jsonargparse.ArgumentParser])
def test_argparse_shows_the_sections_and_arguments_that_it_is_given(kind: type[argparse.ArgumentParser]) -> None:
    parser = kind()
    section = parser.add_argument_group("Cats")
    first, second = (section.add_argument(f"--{name}") for name in ("first", "second"))
    assert sections_of(parser)[2:] == [section]
    assert actions_of(section) == [first, second]
    show_actions(section, [second])
    show_sections(parser, [section])
    shown = parser.format_help().partition("Cats:")[2]
    assert "--second" in shown
    assert "--first" not in shown
    assert vars(parser.parse_args(["--first=1"])) == {"first": "1", "second": None}


def test_jsonargparse_s_help_names_subclasses_in_the_form_that_is_shortened() -> None:
    parser = jsonargparse.ArgumentParser(formatter_class=HelpFormatter)
    parser.add_argument("--cat", type=torch.optim.lr_scheduler.ConstantLR, help="A cat.")
    parser.add_argument("--optimizer", type=torch.optim.Optimizer)
    shown = " ".join(parser.format_help().split())
    assert "known subclasses: " in shown
    assert " Adam, " in shown.partition("known subclasses: ")[2]
    assert "torch.optim.adam.Adam" not in shown.replace("torch.optim.Optimizer", "")


def test_lightning_makes_its_subcommands_by_what_the_parser_offers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["etm"])
    parser = Parser()
    action = parser.add_subcommands()
    own = LightningArgumentParser()
    with pytest.raises(KeyError):  # of `arrange`: there is nothing in it
        action.add_subcommand("fit", own, help="other")
    listed = parser.format_help()
    assert "Train a model" in listed
    assert "other" not in listed
    assert ".add_subcommands()" in inspect.getsource(LightningCLI)
    assert ".add_subcommand(subcommand, subcommand_parser" in inspect.getsource(LightningCLI)


def test_lightning_takes_up_what_another_job_has_saved_if_it_is_let(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "1")
    (tmp_path / "hpc_ckpt_1.ckpt").touch()
    trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", default_root_dir=tmp_path)

    def chosen() -> object:
        return trainer._checkpoint_connector._select_ckpt_path(TrainerFn.FITTING, None, True, True)

    assert chosen() == str(tmp_path / "hpc_ckpt_1.ckpt")
    leave_hpc_checkpoints(trainer)
    assert chosen() is None


def test_lightning_s_answer_to_sigterm_is_the_one_that_is_kept_away(tmp_path: Path) -> None:
    heard = []

    def ours(number: int, frame: FrameType | None) -> None:
        heard.append(number)

    before = signal.signal(signal.SIGTERM, ours)
    try:
        trainer = Trainer(logger=False, enable_checkpointing=False, accelerator="cpu", default_root_dir=tmp_path)
        let_sigterm_end_the_run(trainer)
        trainer._signal_connector.register_signal_handlers()
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            trainer._signal_connector.teardown()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]
    assert not trainer.received_sigterm


# All but that of torch, which says it in new versions only.
@pytest.mark.parametrize("message", [*(said for said in EXPECTED_WARNINGS if "LeafSpec" not in said), *SPARED])
def test_libraries_still_say_what_is_silenced(message: str) -> None:
    words = message.removeprefix(".*").partition("on_before_batch_transfer")[0]  # a name is put in there
    words = words.removesuffix("Elbo")  # and here
    folders = [Path(inspect.getfile(library)).parent for library in (pytorch_lightning, torchmetrics)]
    assert any(words.encode() in path.read_bytes() for folder in folders for path in folder.rglob("*.py"))


def said_by_jsonargparse(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    parser = jsonargparse.ArgumentParser(prog="etm")
    parser.add_argument("--number", type=int)
    parser.add_subclass_arguments(torch.optim.Optimizer, "data", skip={"params"}, required=False)
    with pytest.raises(SystemExit):
        parser.parse_args([*args])
    return capsys.readouterr().err.partition("error: ")[2]


def test_messages_of_jsonargparse_have_the_form_that_is_condensed(capsys: pytest.CaptureFixture[str]) -> None:
    said = condense(said_by_jsonargparse(capsys, "--number=many"))
    assert said.startswith("number: ")
    assert "many" in said
    assert "\n" not in said
    unknown = condense(said_by_jsonargparse(capsys, "--data=Adan"))
    assert "expected the name of a class or its import path, my_module.MyClass; there is no Adan" in unknown
    assert hint_at(unknown, []) == "Did you mean Adam? "
