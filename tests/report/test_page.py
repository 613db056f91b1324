import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etm_app.data.corpus import BowDataset
from etm_app.errors import UserError
from etm_app.report import Run, write_report
from etm_app.report.page import as_data
from tests.report.models import HOSTILE, corpus_of, hostile, random_model


class Elements(HTMLParser):
    """Tags with their attributes, scripts by their type, and all text outside of them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[str | None, str]] = []
        self.text = ""
        self._raw: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._raw = tag if tag in ("script", "style") else None
        if tag == "script":
            self.scripts.append((dict(attrs).get("type"), ""))

    def handle_endtag(self, tag: str) -> None:
        self._raw = None

    def handle_data(self, data: str) -> None:
        if self._raw == "script":
            kind, text = self.scripts[-1]
            self.scripts[-1] = (kind, text + data)
        elif self._raw is None:
            self.text += data


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Elements:
    model, dataset = hostile()
    run = Run(
        metrics={"val_perplexity": 12.5, "test_perplexity": 1234.56, "val_topic_coherence": float("nan")},
        history={"val_perplexity": [(1, 20.0), (2, float("nan"))], "train_kl": [(1, 3.0)]},
        settings={"Model": {HOSTILE[0]: HOSTILE[1], "warm_start": True, "num_topics": 6, "nothing": None}},
        warnings=[HOSTILE[0]],
    )
    path = write_report(model, dataset, tmp_path_factory.mktemp("report") / "report.html", run)
    return Elements(path.read_text(encoding="utf-8"))


def data_of(page: Elements) -> Any:
    (data,) = [text for kind, text in page.scripts if kind == "application/json"]
    return json.loads(data)


def test_nothing_is_loaded_and_no_markup_comes_from_words(page: Elements) -> None:
    assert not {tag for tag, _ in page.tags} & {"img", "b", "iframe", "link", "object", "embed"}
    assert all(not name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert all("src" not in attributes for _, attributes in page.tags)
    links = [attributes["href"] for _, attributes in page.tags if "href" in attributes]
    assert all(link is not None and link.startswith("#") for link in links)
    assert len(page.scripts) == 2
    assert all(word in page.text for word in HOSTILE[:2])
    assert "{{ 7 * 7 }}" in data_of(page)["words"]
    assert set(HOSTILE) <= set(data_of(page)["words"])


def test_the_policy_lets_these_scripts_run_and_no_other(page: Elements) -> None:
    (policy,) = [
        attributes["content"]
        for _, attributes in page.tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy is not None
    rules = {rule.split()[0]: rule.split()[1:] for rule in policy.split(";")}
    assert rules["default-src"] == ["'none'"]
    digests = [
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for kind, text in page.scripts
        if kind is None
    ]
    assert rules["script-src"] == digests
    assert not any("http" in value or "*" in value for values in rules.values() for value in values)


def test_the_run_can_be_read_without_a_script(page: Elements) -> None:
    for shown in ("1,234.6", "12.5", "document completion", "warm_starttrue", "nothingnull", "num_topics6"):
        assert shown in page.text
    assert not re.search(r"\bnan\b", page.text)
    model, _ = hostile()
    assert all(word in page.text for words in model.top_words(1) for word in words)
    assert data_of(page)["history"]["val_perplexity"] == [[1, 20.0], [2, None]]


@given(st.recursive(st.text() | st.floats(allow_nan=False, allow_infinity=False), st.lists, max_leaves=8))
def test_data_says_the_same_and_nothing_ends_its_element(value: Any) -> None:
    text = as_data(value)
    assert json.loads(text) == value
    assert not set(text) & set("<>&\u2028\u2029")


def test_long_runs_are_thinned_out(tmp_path: Path) -> None:
    history = {"val_perplexity": [(epoch, 1000 / epoch) for epoch in range(1, 2001)], "train_kl": [(2000.0, 1.0)]}
    path = write_report(random_model(["a", "b", "c"], 2), None, str(tmp_path / "report.html"), Run(history=history))
    page = Elements(path.read_text(encoding="utf-8"))
    shown = data_of(page)["history"]["val_perplexity"]
    assert len(shown) == 200
    assert shown[0] == [1, 1000]
    assert shown[-1] == [2000, 0.5]
    assert all(value == pytest.approx(1000 / epoch, rel=1e-5) for epoch, value in shown)
    assert data_of(page)["history"]["train_kl"] == [[2000, 1]]


def test_half_a_surrogate_pair_is_no_obstacle(tmp_path: Path) -> None:
    path = write_report(random_model(["half \ud83d", "whole", "more"], 2), None, tmp_path / "report.html")
    assert data_of(Elements(path.read_text(encoding="utf-8")))["num_words"] == 3


def test_without_documents_shares_are_not_known(tmp_path: Path) -> None:
    path = write_report(random_model([f"w{number}" for number in range(30)]), None, tmp_path / "report.html")
    page = Elements(path.read_text(encoding="utf-8"))
    assert all(topic["share"] is None and topic["coherence"] is None for topic in data_of(page)["topics"])
    assert not {"documents", "labels"} & {attributes.get("id") for _, attributes in page.tags}


def test_a_comparison_is_shown_side_by_side(tmp_path: Path) -> None:
    model = random_model([f"w{number}" for number in range(30)], 3)
    pair = {"topic": 1, "other": 7, "cosine": 0.25, "share": None, "other_share": 0.125, "name": "mine"}
    comparison = {
        "other": HOSTILE[1],
        "common_words": 1234,
        "topics": [{**pair, "other_name": HOSTILE[0], "gained": ["rise", HOSTILE[2]], "lost": ["fall"]}],
        "unmatched": {"here": [{"topic": 0, "name": "here", "share": None}], "there": []},
        "metrics": [{"name": "val_perplexity", "here": 12.5, "there": None}],
        "without_metrics": False,
    }
    path = write_report(model, None, tmp_path / "report.html", Run(comparison=comparison))
    page = Elements(path.read_text(encoding="utf-8"))
    text = " ".join(page.text.split())
    assert f"Compared with {HOSTILE[1]}" in text
    assert f"7 {HOSTILE[0]} 0.25 12.5% rise {HOSTILE[2]} fall" in re.sub(r"\s*(0\.25|12\.5%|rise|fall)", r" \1", text)
    assert "Only here: 0" in text
    assert "1,234 words" in text
    assert not {tag for tag, _ in page.tags} & {"img", "b"}


def test_other_documents_may_be_looked_at(tmp_path: Path) -> None:
    model, _ = hostile()
    corpus = corpus_of(np.ones((10, model.vocab_size), int), model.vocab or [], ids=[f"new {row}" for row in range(10)])
    path = write_report(model, BowDataset(corpus, np.arange(10)), tmp_path / "report.html")
    page = Elements(path.read_text(encoding="utf-8"))
    assert len(data_of(page)["documents"]) == 10
    assert all(f"new {row}" in page.text for row in range(10))
    with pytest.raises(UserError, match=r"dataset: its vocabulary has 2 words, the model's 72"):
        write_report(model, BowDataset(other := corpus_of(np.ones((3, 2), int), ["a", "b"]), other.rows("train")), path)


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    model = random_model(["a", "b", "c"], 2)
    (tmp_path / "file").write_text("before")
    with pytest.raises(UserError, match=r"report\.path: cannot write .*expected"):
        write_report(model, None, tmp_path / "file" / "report.html")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match=r"report\.path"):
        write_report(model, None, tmp_path / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "home"]
    assert (tmp_path / "file").read_text() == "before"


def test_the_page_stays_small_for_many_words(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    vocab = [f"{number:05}{'x' * (number % 8)}" for number in range(50_000)]
    model = random_model(vocab, 50, rho_size=4)
    counts = np.zeros((40, 50_000), np.int64)
    counts[np.arange(4_000) % 40, rng.integers(0, 50_000, 4_000)] = 1
    corpus = corpus_of(counts, vocab)
    object.__setattr__(corpus, "excerpts", lambda rows: ["a word and another " * 40 for _ in rows])
    path = write_report(model, BowDataset(corpus, corpus.rows("train")), tmp_path / "report.html")
    assert path.stat().st_size < 5_000_000
    assert re.search(r"5,\d{3} of 50,000\s+words can be looked up", path.read_text(encoding="utf-8"))
