"""Which data module a command line means."""

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from etm_app.cli.chosen_data import DATA_MODULES, arguments_of, choose_data
from etm_app.cli.main import main
from tests.conftest import SMALL

MEANT: dict[str, tuple[list[str], dict[str, object] | None]] = {
    "TextDataModule": (["--data.files=new.csv", "--data.text_column", "review"], {"files": "new.csv"}),
    "CountsDataModule": (["--data.path=counts", "--data.format=npz"], {"path": "counts"}),
    "NewsgroupsDataModule": (["--data.data_dir", "20ng"], {"data_dir": "20ng", "val_fraction": 0.2}),
    "SyntheticDataModule": (["--data.init_args.num_words=9"], {"init_args": {"num_words": 9}}),
    "DocstringsDataModule": (['--data.packages=["json"]', "--data.min_df=1"], {"packages": ["json"]}),
}


def printed(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main(["fit", *args, "--print_config"])
    captured = capsys.readouterr()
    assert stop.value.code == 0, captured.err
    return str(yaml.safe_load(captured.out)["data"]["class_path"]).rpartition(".")[2]


@pytest.mark.parametrize(("meant", "given"), MEANT.items(), ids=MEANT)
def test_the_arguments_tell_the_class(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], meant: str, given: tuple[list[str], dict[str, object]]
) -> None:
    args, section = given
    (tmp_path / "section.yaml").write_text(yaml.safe_dump({"data": section}))
    assert printed(capsys, *args) == meant
    assert printed(capsys, f"--config={tmp_path / 'section.yaml'}") == meant
    assert printed(capsys, "-c", str(tmp_path / "section.yaml"), "--data.seed=3") == meant
    assert printed(capsys, "--config", yaml.safe_dump({"data": section})) == meant


@pytest.mark.parametrize("name", [cls.__name__ for cls in DATA_MODULES])
def test_a_class_that_is_named_is_the_one(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (tmp_path / "named.yaml").write_text(yaml.safe_dump({"data": {"class_path": name}}))
    (tmp_path / "whole.yaml").write_text(yaml.safe_dump({"data": name, "model": {"num_topics": 3}}))
    required = {"CountsDataModule": ["--data.path=x"], "TextDataModule": ["--data.files=x"]}.get(name, [])
    for ways in (["--data", name], [f"--config={tmp_path / 'named.yaml'}"], [f"--config={tmp_path / 'whole.yaml'}"]):
        assert printed(capsys, *ways, "--data.val_fraction=0.2", *required) == name


@settings(max_examples=30)
@given(st.lists(st.sampled_from(sorted({name for cls in DATA_MODULES for name in arguments_of(cls)})), unique=True))
def test_one_that_alone_knows_all_arguments_is_taken(names: list[str]) -> None:
    owners = [cls for cls in DATA_MODULES if {*names} <= {*arguments_of(cls)}]
    chosen = choose_data([f"--data.{name}=1" for name in names])
    assert chosen.name is None
    if DATA_MODULES[0] in owners or len(owners) > 1:
        assert chosen.default is DATA_MODULES[0]
        assert not chosen.arguments
    elif owners:
        assert chosen.default is owners[0]
        assert {*chosen.arguments} <= {*names}
        assert chosen.arguments


@settings(max_examples=30)
@given(st.lists(st.text(max_size=12) | st.sampled_from(["--data", "-c", "--config", "--data.files", "--", "-x"])))
def test_any_command_line_is_looked_at(words: list[str]) -> None:
    """What is wrong with it is the parser's to say."""
    assert choose_data(words).default in DATA_MODULES


@pytest.mark.parametrize("content", [b"data: [1, {", b"\xff\xfe", b"data: 3", b"- a", b"", b"data:\n  1: x"])
def test_any_config_is_looked_at(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd.yaml").write_bytes(content)
    for path in (tmp_path / "odd.yaml", tmp_path, tmp_path / "missing"):
        assert choose_data([f"--config={path}"]).default is DATA_MODULES[0]


def test_the_likeliest_first_command(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """And prediction with its checkpoint, without a name as well."""
    letters = "abcdefghijklmnop"
    lines = ["review", *(f"cat{letters[row % 16]} dog{letters[row % 7]} bird" for row in range(200))]
    (tmp_path / "new.csv").write_text("\n".join(lines))
    mine = [f"--data.files={tmp_path / 'new.csv'}", "--data.text_column=review"]
    where = [f"--data.cache_dir={tmp_path / 'cache'}", f"--trainer.default_root_dir={tmp_path / 'runs'}"]
    with caplog.at_level("INFO", "pytorch_lightning.utilities.rank_zero"):
        fitted = main(["fit", *mine, *where, *SMALL])
    assert type(fitted.datamodule).__name__ == "TextDataModule"
    assert "Data: TextDataModule, for --data.files, --data.text_column; --data names another class." in caplog.text
    saved = yaml.safe_load((Path(fitted.trainer.log_dir) / "config.yaml").read_text())
    assert saved["data"]["class_path"] == "etm_app.TextDataModule"
    best = Path(fitted.trainer.log_dir) / "checkpoints" / "best.ckpt"
    main(["predict", *mine, *where, *SMALL, f"--ckpt_path={best}", f"--prediction.path={tmp_path / 'theta.csv'}"])
    assert re.search(r"theta of 200 documents", capsys.readouterr().out)
