"""What a new user is told: help, version, subcommands, completion, and under which name."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import etm_app
from etm_app.cli import main as cli
from etm_app.cli.chosen_data import arguments_of
from etm_app.cli.commands import SUBCOMMANDS
from etm_app.cli.help import SECTIONS
from tests.cli.test_main import readme_data_module

NAMES = {"/usr/bin/etm": "etm", "C:/Scripts/etm.exe": "etm", "/some/etm_app/__main__.py": "python -m etm_app"}


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What ``etm`` shows, on 80 columns."""

    def of(*args: str, called: str = "/usr/bin/etm") -> str:
        monkeypatch.setattr(sys, "argv", [called])
        monkeypatch.setenv("COLUMNS", "80")
        with pytest.raises(SystemExit) as stop:
            cli.main(list(args))
        assert stop.value.code == 0
        return capsys.readouterr().out

    return of


def titles_of(page: str) -> list[str]:
    return [line[:-1] for line in page.splitlines() if re.fullmatch(r"\S.*:", line)]


@pytest.mark.parametrize(("called", "name"), NAMES.items())
def test_the_program_has_the_name_by_which_it_was_called(
    shown: Callable[..., str], capsys: pytest.CaptureFixture[str], called: str, name: str
) -> None:
    assert shown("--version", called=called) == f"{name} {etm_app.__version__}\n"
    assert shown("--help", called=called).startswith(f"usage: {name} [")
    assert shown("fit", "--help", called=called).startswith(f"usage: {name} fit [")
    for args, pointer in (
        (["fit", "--no_such=1"], f"{name} fit --help"),
        (["fti"], f"{name} --help"),
        ([], f"{name} --help"),
    ):
        with pytest.raises(SystemExit):
            cli.main(args)
        assert capsys.readouterr().err.rstrip().endswith(pointer)


def test_what_is_answered_at_once_is_what_lightning_s_parser_says(shown: Callable[..., str]) -> None:
    for called in NAMES:
        # With more than --help it is left to that parser.
        assert shown("--help", called=called) == shown("--help", "fit", called=called)
    assert [*SUBCOMMANDS] == [*cli.ETMCLI.subcommands()]
    page = " ".join(shown("--help").split())
    assert all(f"{name} {help}" in page for name, help in SUBCOMMANDS.items())


@pytest.mark.parametrize(
    ("args", "code"), [(["--version"], 0), (["--help"], 0), (["-h"], 0), ([], 2), (["trian"], 2), (["predcit"], 2)]
)
def test_what_needs_no_model_does_not_wait_for_torch(args: list[str], code: int) -> None:
    script = (
        "import sys\nsys.argv[0] = 'etm'\nfrom etm_app.__main__ import main\n"
        "try:\n    main()\nfinally:\n    print({'torch', 'lightning', 'polars'} & {*sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script, *args], capture_output=True, text=True)
    assert done.returncode == code
    assert done.stderr.endswith("set()\n")


def of_its_own(subcommand: str) -> set[str]:
    """The sections of a subcommand's own arguments; another one is called report already."""
    return {"report": {"report_on"}, "embed": {"embed", "embeddings"}}.get(subcommand, {subcommand})


NOT_OF_ALL = set.union(*map(of_its_own, SUBCOMMANDS))


@pytest.mark.parametrize("subcommand", SUBCOMMANDS)
def test_documents_and_model_come_first_and_the_trainer_last(shown: Callable[..., str], subcommand: str) -> None:
    page = shown(subcommand, "--help", "--data=TextDataModule")
    order = [key for key in SECTIONS if key not in NOT_OF_ALL or key in of_its_own(subcommand)]
    expected = ["options", *(SECTIONS[key] for key in order)]
    expected.insert(2, "TextDataModule, for the documents of this command line")
    assert titles_of(page) == expected
    assert len(page.splitlines()) < 550
    assert max(map(len, page.splitlines())) <= 80
    assert SUBCOMMANDS[subcommand] in " ".join(page.split())
    assert "etm_app.cli" not in shown(subcommand, "--help")  # what cannot be named there


def test_every_section_of_the_parsers_has_its_title(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that is added to the parser is forgotten on the page."""
    made: list[cli.ETMCLI] = []

    def stop(self: cli.ETMCLI, parser: object, args: object) -> None:
        made.append(self)
        raise SystemExit

    monkeypatch.setattr(cli.ETMCLI, "parse_arguments", stop)
    with pytest.raises(SystemExit):
        cli.main({})
    for subcommand in SUBCOMMANDS:
        expected = {*SECTIONS} - NOT_OF_ALL | {*of_its_own(subcommand), "sweep"}  # one config serves fit and sweep
        hidden = {"sweep_over"} if subcommand == "sweep" else set()  # what must be null in it
        assert {*(made[0].parser.subcommands[subcommand].groups or {})} == expected | hidden


DATA = {
    (): etm_app.DocstringsDataModule,
    ("--data=TextDataModule",): etm_app.TextDataModule,
    ("--data", "etm_app.CountsDataModule"): etm_app.CountsDataModule,
    ("--data.files=new.csv",): etm_app.TextDataModule,
    ("--data.class_path=NewsgroupsDataModule",): etm_app.NewsgroupsDataModule,
    ("--data.num_words=7", "--data.num_documents", "3"): etm_app.SyntheticDataModule,
}


@pytest.mark.parametrize(("args", "data_module"), DATA.items())
def test_the_arguments_of_the_data_are_shown(
    shown: Callable[..., str], args: tuple[str, ...], data_module: type[etm_app.BowDataModule]
) -> None:
    for page in (shown("fit", *args, "--help"), shown("predict", "--help", *args)):
        of_data = {name for name in re.findall(r"^  --data\.([\w.]+)", page, re.MULTILINE) if name != "help"}
        assert of_data == {*arguments_of(data_module)}
        assert f"{data_module.__name__}, for the documents" in page


def test_the_arguments_of_a_class_of_one_s_own_are_shown(
    shown: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, name = readme_data_module() or ("", "")
    (tmp_path / "own_help.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    assert "--data.batch_size" in shown("fit", f"--data=own_help.{name}", "--help")
    assert "for the documents" not in shown("fit", "--help", "--data=no_such.Class")


@pytest.mark.parametrize("section", ["trainer", "checkpoint"])
def test_what_is_left_out_is_shown_when_asked_for(shown: Callable[..., str], section: str) -> None:
    page, whole = shown("fit", "--help"), shown("fit", f"--{section}.help")
    in_page, in_whole = ({*re.findall(rf"^  --({section}\.\w+)", text, re.MULTILINE)} for text in (page, whole))
    assert f"{section}.help" in in_page
    assert in_page < in_whole
    assert "--model.num_topics" not in whole
    assert {"trainer": "trainer.gradient_clip_val", "checkpoint": "checkpoint.save_top_k"}[
        section
    ] in in_whole - in_page


def test_the_shell_completes(shown: Callable[..., str], tmp_path: Path) -> None:
    script = shown("--print_completion", "shtab-bash")
    assert all(name in script for name in (*SUBCOMMANDS, "num_topics", "text_column", "limit_val_batches"))
    (tmp_path / "etm").write_text(script)
    ask = 'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _shtab_etm; echo "${COMPREPLY[@]}"'
    for words, expected in (
        (("etm", "pre"), {"predict"}),
        (("etm", "fit", "--data.files"), {"--data.files"}),
        (("etm", "fit", "--model.inference", ""), {"auto", "mixture", "mixed_membership", "encoder"}),
    ):
        done = subprocess.run(["bash", "-c", ask, tmp_path / "etm", *words], capture_output=True, text=True, check=True)
        assert {*done.stdout.split()} == expected


def test_only_a_command_of_one_word_is_completed(shown: Callable[..., str]) -> None:
    assert "--print_completion" not in shown("--help", called="/some/etm_app/__main__.py")


def test_etm_finds_a_class_in_the_folder_and_takes_nothing_else_from_it(tmp_path: Path) -> None:
    """As ``python -m`` finds it; a file called as a module that is installed stays a file."""
    command, here = tmp_path / "bin" / "etm", tmp_path / "here"
    for folder in (command.parent, here):
        folder.mkdir()
    command.write_text("import sys\nfrom etm_app.__main__ import main\nsys.exit(main())\n")  # as pip writes it
    code, name = readme_data_module() or ("", "")
    (here / "my_data.py").write_text(code)
    (here / "yaml.py").write_text("raise SystemExit('this is not the module')")
    args = ["fit", f"--data=my_data.{name}", "--data.batch_size=17", "--print_config"]
    path = str(Path(etm_app.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, command, *args], cwd=here, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"class_path: my_data.{name}" in done.stdout
    assert "batch_size: 17" in done.stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("accelerator", ["auto", "cpu"])
def test_devices_that_are_there_are_taken(shown: Callable[..., str], accelerator: str) -> None:
    cli.check_accelerator(accelerator)
    assert f"accelerator: {accelerator}" in shown("fit", f"--trainer.accelerator={accelerator}", "--print_config")


def test_classes_that_nobody_can_name_are_not_shown(shown: Callable[..., str]) -> None:
    page = " ".join(shown("fit", "--help").split())
    for shipped in ("TextDataModule", "TopicTables"):
        assert f"{shipped}," in page
    for base in ("BowDataModule", "WrittenDataModule", "OnEvaluations"):
        assert f"{base}," not in page
