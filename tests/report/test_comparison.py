import csv
import io
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from rich.cells import cell_len
from rich.console import Console

from etm_app.errors import UserError
from etm_app.report import Run, compare, write_report
from etm_app.report.comparison import Recorded, is_comparison, read_recorded, write_comparison
from etm_app.report.terminal import show_comparison
from tests.report.models import HOSTILE, random_model

VOCAB = [*HOSTILE, *(f"word{number:02}" for number in range(40)), "=formula", "nan"]


def test_a_model_in_another_order_is_the_same() -> None:
    model, other = random_model(VOCAB), random_model(VOCAB)
    topics, words = torch.randperm(6), torch.randperm(len(VOCAB))
    with torch.no_grad():
        other.topics.alpha.copy_(model.alpha[topics])
        other.topics.rho.copy_(model.rho[words])
        other.log_frequency.copy_(model.log_frequency[words])
    other.vocab = [VOCAB[word] for word in words]
    found = compare(model, other)
    assert (
        [topics[pair["other"]] for pair in found["topics"]]
        == [pair["topic"] for pair in found["topics"]]
        == [*range(6)]
    )
    assert all(pair["cosine"] == pytest.approx(1) and not pair["gained"] + pair["lost"] for pair in found["topics"])
    assert all(pair["name"] == pair["other_name"] for pair in found["topics"])
    assert found["unmatched"] == {"here": [], "there": []}
    assert found["common_words"] == len(VOCAB)


@pytest.mark.parametrize(("here", "there"), [(6, 4), (4, 6)])
def test_words_gained_and_lost_turn_one_topic_into_the_other(here: int, there: int) -> None:
    model, other = random_model(VOCAB, here), random_model(VOCAB[5:], there, seed=1)
    found = compare(model, other, shares=np.arange(here) / 10)
    assert len(found["topics"]) == 4
    for pair in found["topics"]:
        words, before = model.top_words(10)[pair["topic"]], other.top_words(10, model.relevance)[pair["other"]]
        assert {*words} == {*before} - {*pair["lost"]} | {*pair["gained"]}
        assert pair["share"] == pair["topic"] / 10
        assert pair["other_share"] is None
    for side, of, key in (("here", model, "topic"), ("there", other, "other")):
        alone = [topic["topic"] for topic in found["unmatched"][side]]
        assert sorted([*alone, *(pair[key] for pair in found["topics"])]) == [*range(len(of.alpha))]
        assert [topic["name"] for topic in found["unmatched"][side]] == [of.topic_names[topic] for topic in alone]


def test_metrics_are_those_that_both_have() -> None:
    model = random_model(VOCAB)
    other = Recorded(model, "before", {"test_perplexity": 9.0, "val_perplexity": 8.0, "test_kl": None})
    found = compare(model, other, metrics={"test_kl": float("nan"), "test_elbo": 1.0, "test_perplexity": 7.0})
    assert found["metrics"] == [
        {"name": "test_perplexity", "here": 7.0, "there": 9.0},
        {"name": "test_kl", "here": None, "there": None},
    ]
    assert not found["without_metrics"]
    json.dumps(found, allow_nan=False)


def test_models_without_a_common_word_do_not_compare() -> None:
    with pytest.raises(UserError, match="none of the"):
        compare(random_model(["a", "b"], 2), random_model(["c", "d"], 2))


def test_the_table_has_a_row_for_every_topic(tmp_path: Path) -> None:
    found = compare(random_model(VOCAB, 6), random_model(VOCAB, 4, seed=1))
    path = tmp_path / "compare.csv"
    write_comparison(found, path)
    table = pl.read_csv(path)
    assert table["topic"].to_list() == [*(pair["topic"] for pair in found["topics"]), *table["topic"][4:]]
    assert sorted(table["topic"]) == [*range(6)]
    assert table["other"].null_count() == 2
    gained = [(words or "").removeprefix("'") for words in table["gained"][:4]]
    assert gained == [" ".join(pair["gained"]) for pair in found["topics"]]
    with path.open(encoding="utf-8", newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@"))]
    assert is_comparison(path)
    path.write_text("topic,other\n")
    assert not is_comparison(path)


def test_the_terminal_and_the_page_show_it(tmp_path: Path) -> None:
    model = random_model(VOCAB, 6)
    found = compare(model, random_model(VOCAB, 4, seed=1))
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    show_comparison(console, found)
    assert isinstance(console.file, io.StringIO)
    said = console.file.getvalue()
    assert "Only here, 2 topics" in said
    assert all(cell_len(line) <= 80 for line in said.partition("Only here")[0].split("\n"))
    page = write_report(model, None, tmp_path / "page.html", Run(comparison=found)).read_text(encoding="utf-8")
    assert '"compare":{"other":' in page


def test_a_run_folder_is_read_with_its_measures(checkpoint: Path) -> None:
    folder = checkpoint.parents[1]
    run = read_recorded(folder)
    assert run.name == folder.name == read_recorded(checkpoint).name
    metrics = json.loads((folder / "metrics.json").read_text())
    assert run.metrics == {name: of["value"] for name, of in metrics.items()}
    assert run.shares == [topic["share"] for topic in json.loads((folder / "topics.json").read_text())]
    last = read_recorded(checkpoint.with_name("last.ckpt"))  # of which the folder's measures are not
    assert (last.name, last.metrics, last.shares) == ("last.ckpt", {}, None)


@pytest.mark.parametrize("content", ["", "[", "[1]", "7", '{"val_perplexity": {"value": "x"}}', "[" * 100_000])
def test_damaged_measures_are_refused(checkpoint: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "best.ckpt").write_bytes(checkpoint.read_bytes())
    (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(UserError, match=r"report\.compare: .*metrics\.json"):
        read_recorded(tmp_path)
