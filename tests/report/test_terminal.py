import io
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console

from etm_app.report.tables import Topic
from etm_app.report.terminal import make_console, show_metrics, show_neighbors, show_path, show_topics

TOPICS = [
    Topic(0, "word00 word01 word02", 0.2, -0.123, [f"word{i:02}" for i in range(25)], [0.04] * 25, [-1.0] * 25),
    Topic(1, "[red]paint[/red]", 0.7, None, ["[red]bold[/red]", "ärger", "x"], [0.5, 0.3, 0.2], [1.0, 0.0, -1.0]),
    Topic(2, "only", 0.1, 0.5, ["only"], [1.0], [0.0]),
]
METRICS = {"val_perplexity": 1234.5, "test_perplexity": float("nan"), "val_active": 3.0, "val_unknown": 1.0}
DEFINITIONS = {"perplexity": "exp of something long " * 10, "active": "how many", "never": "logged"}


def shown(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    show_topics(console, TOPICS)
    show_neighbors(console, {"query": [("near", 0.5), ("[b]", 0.25)]}, ["missing"])
    show_metrics(console, METRICS, DEFINITIONS)
    return console.file.getvalue().splitlines()


def piped(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    return shown(make_console())


def test_a_pipe_gets_plain_lines_as_long_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = piped(monkeypatch)
    assert not any("\x1b" in line or set(line) & set("─│┃━╇") for line in lines)
    assert all(line == line.rstrip() for line in lines)
    (first,) = [line for line in lines if "word00" in line]
    assert first.split() == ["0", "20.0%", "-0.12", *TOPICS[0].words]
    (metric,) = [line for line in lines if line.startswith("perplexity")]
    assert metric.split()[:3] == ["perplexity", "1,234.5", "–"]
    assert metric.endswith(DEFINITIONS["perplexity"].strip())


def test_names_are_shown_where_some_were_given() -> None:
    for named in (False, True):
        console = Console(file=io.StringIO(), width=200)
        show_topics(console, TOPICS, named)
        assert isinstance(console.file, io.StringIO)
        assert bool(re.search(r"\[red\]paint\[/red\] +\[red\]bold\[/red\]", console.file.getvalue())) == named


@pytest.mark.parametrize("width", [60, 80, 140])
def test_a_terminal_gets_lines_that_fit(width: int) -> None:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    lines = shown(console)
    assert all(len(line) <= width for line in lines)
    words = " ".join(lines).split()
    assert set(TOPICS[0].words) <= set(words)
    assert {"–", "1,234.5", "3", "near", "missing"} <= {word.strip(",") for word in words}
    assert len([line for line in lines if "something long" in line]) == 1  # a line for each metric


def test_paths_are_shown_as_one_would_type_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert show_path(tmp_path / "runs" / "a.ckpt") == str(Path("runs", "a.ckpt"))
    assert show_path(tmp_path.parent / "a.ckpt") == str(tmp_path.parent / "a.ckpt")
    assert show_path("a.ckpt") == "a.ckpt"


def test_topics_are_sorted_by_share(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = piped(monkeypatch)
    start = lines.index("Topics, largest first")
    assert [line.split()[:2] for line in lines[start + 2 : start + 5]] == [
        ["1", "70.0%"],
        ["0", "20.0%"],
        ["2", "10.0%"],
    ]


def test_words_are_no_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "\n".join(piped(monkeypatch))
    assert "[red]bold[/red] ärger x" in text
    assert "[b] (0.25)" in text


def test_only_metrics_that_were_logged_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "\n".join(piped(monkeypatch))
    assert "how many" in text
    assert "never" not in text


def test_an_encoding_that_lacks_a_letter_does_not_end_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding="ascii"))
    show_topics(make_console(), TOPICS)
    sys.stdout.flush()
    assert b"?rger" in out.getvalue()
