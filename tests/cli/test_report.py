"""``etm report``: the page of a checkpoint alone, or with documents."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from etm_app.cli.main import ETMCLI, main
from etm_app.report.comparison import is_comparison
from tests.conftest import Run
from tests.planted import VOCAB


def data_of(path: Path) -> Any:
    found = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', path.read_text(encoding="utf-8"), re.DOTALL
    )
    assert found is not None
    return json.loads(found[1])


def data_arguments(paper_dir: Path, tmp_path: Path) -> list[str]:
    return ["--data=NewsgroupsDataModule", f"--data.data_dir={paper_dir}", f"--data.cache_dir={tmp_path / 'cache'}"]


def test_a_checkpoint_alone_has_words_topics_and_its_history(
    checkpoint: Path, trained: ETMCLI, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new" / "page.html"
    main(["report", f"--ckpt_path={checkpoint}", f"--report.path={path}"])
    assert [found.name for found in path.parent.iterdir()] == ["page.html"]
    data, whole = data_of(path), data_of(Path(trained.trainer.log_dir) / "report.html")
    assert set(data["words"]) == set(VOCAB)
    assert [topic["name"] for topic in data["topics"]] == [topic["name"] for topic in whole["topics"]]
    assert {topic["share"] for topic in data["topics"]} == {None}
    assert data["history"]["val_perplexity"]
    out = capsys.readouterr().out
    assert "4 topics, no documents" in out
    assert str(path) in out


def test_with_data_it_has_what_the_report_of_the_run_has(
    checkpoint: Path, trained: ETMCLI, paper_dir: Path, tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    main(["report", f"--ckpt_path={checkpoint}", f"--report.path={path}", *data_arguments(paper_dir, tmp_path)])
    data, whole = data_of(path), data_of(Path(trained.trainer.log_dir) / "report.html")
    assert data["topics"] == whole["topics"]
    assert data["documents"] == whole["documents"]
    assert {found.name for found in tmp_path.iterdir()} == {"page.html", "home"}  # no folder of a run


def test_words_are_ranked_as_is_asked_for(checkpoint: Path, trained: ETMCLI, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    main(["report", f"--ckpt_path={checkpoint}", f"--report.path={path}", "--model.relevance=1"])
    shown = [
        [data["words"][word] for word in topic["words"][:10]] for data in [data_of(path)] for topic in data["topics"]
    ]
    assert shown == trained.model.top_words(10, relevance=1)


def test_names_are_taken_from_their_file(checkpoint: Path, tmp_path: Path) -> None:
    path, names = tmp_path / "page.html", tmp_path / "names.csv"
    names.write_text("topic,name\n2,fruit\n")
    main(["report", f"--ckpt_path={checkpoint}", f"--report.path={path}", f"--topics.names={names}"])
    data = data_of(path)
    assert (data["topics"][2]["name"], data["given"]) == ("fruit", [2])


def test_without_a_vocabulary_there_is_a_page(checkpoint: Path, tmp_path: Path) -> None:
    wordless, path = tmp_path / "wordless.ckpt", tmp_path / "page.html"
    torch.save({**torch.load(checkpoint, weights_only=True), "vocab": None}, wordless)
    main(["report", f"--ckpt_path={wordless}", f"--report.path={path}"])
    assert set(data_of(path)["words"]) == {str(word) for word in range(len(VOCAB))}


def test_two_runs_are_compared(
    checkpoint: Path, trained: ETMCLI, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, folder = tmp_path / "page.html", Path(trained.trainer.log_dir)
    main(["report", f"--ckpt_path={checkpoint}", f"--report.path={path}", f"--report.compare={folder}"])
    compared = data_of(path)["compare"]
    assert compared["other"] == folder.name
    assert [(pair["topic"], pair["other"], pair["cosine"]) for pair in compared["topics"]] == [
        (topic, topic, 1) for topic in range(4)
    ]
    shares = [topic["share"] for topic in json.loads((folder / "topics.json").read_text())]
    assert (
        [pair["share"] for pair in compared["topics"]] == [pair["other_share"] for pair in compared["topics"]] == shares
    )
    metrics = json.loads((folder / "metrics.json").read_text())
    assert {(of["name"], of["here"], of["there"]) for of in compared["metrics"]} == {
        (name, of["value"], of["value"]) for name, of in metrics.items()
    }
    assert len(pl.read_csv(tmp_path / "compare.csv")) == 4
    out = capsys.readouterr().out
    assert f"Topics here and in {folder.name}" in out
    assert str(tmp_path / "compare.csv") in out


def test_a_test_compares_with_a_checkpoint_alone(
    run: Run, checkpoint: Path, trained: ETMCLI, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    last = checkpoint.with_name("last.ckpt")
    cli = run("test", f"--ckpt_path={checkpoint}", f"--report.compare={last}")
    compared = data_of(Path(cli.trainer.log_dir) / "report.html")["compare"]
    assert (compared["other"], compared["metrics"], compared["without_metrics"]) == ("last.ckpt", [], True)
    assert is_comparison(Path(cli.trainer.log_dir) / "compare.csv")
    assert "The measures of last.ckpt are not known" in capsys.readouterr().out


Error = Callable[[Callable[[], object]], str]
