"""Seeded topics: what they hold, what is refused, what is said."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
import yaml

from etm_app.model import ETM
from etm_app.nn.seeds import SeedWords
from etm_app.nn.topics import Topics
from etm_app.seeds import contradictions, find_words
from tests.conftest import Run

Error = Callable[[Callable[[], object]], str]
SEEDS = {"citrus": ["c02", "c07", "c11"], "berries": ["b00", "b05"]}


@pytest.mark.parametrize("given", [[], ["--model.inference=encoder"], ["--model.inference=mixture"]], ids=str)
def test_a_seed_is_the_topic_of_its_words(run: Run, tmp_path: Path, given: list[str]) -> None:
    (tmp_path / "seeds.yaml").write_text(yaml.safe_dump(SEEDS, sort_keys=False))
    long = ["--trainer.max_epochs=12", "--data.batch_size=10", "--trainer.callbacks=null"]
    cli = run("fit", f"--model.seed_topics={tmp_path / 'seeds.yaml'}", *long, *given)
    model = ETM.load_from_checkpoint(cli.trainer.checkpoint_callback.best_model_path)  # type: ignore[union-attr]
    assert model.topic_names[:2] == [*SEEDS]
    for words, top in zip(SEEDS.values(), model.top_words(10), strict=False):
        assert {*words} <= {*top}
        assert sum(word[0] == words[0][0] for word in top) >= 8  # the others that documents have with them
    assert model.seed_topics == SEEDS
    wide = Path(cli.trainer.log_dir, "topics_wide.csv").read_text()
    assert "\n0,citrus," in wide


def test_the_penalty_ends_where_the_words_are_first() -> None:
    torch.manual_seed(0)
    topics, held = Topics(60, 3, 8, True), SeedWords()
    held.hold([[5], [7, 8, 9, 30], list(range(20, 32))])
    optimizer = torch.optim.Adam(topics.parameters(), 0.02)
    frequency = -3 * torch.rand(60)
    for _ in range(300):
        optimizer.zero_grad()
        loss = held(topics, frequency, 0.6)
        loss.backward()
        optimizer.step()
    assert loss == 0
    relevance = topics().t().log() - 0.4 * frequency
    for topic, words in enumerate([[5], [7, 8, 9, 30], list(range(20, 32))]):
        first = relevance[topic].topk(max(10, len(words))).indices.tolist()
        assert {*words} <= {*first}


@pytest.mark.parametrize("num_words", [2, 5, 12])
def test_a_vocabulary_of_few_words_has_room_for_all_of_them(num_words: int) -> None:
    topics, held = Topics(num_words, 2, 3, True), SeedWords()
    held.hold([list(range(num_words)), [0]])
    loss = held(topics, torch.zeros(num_words), 1.0)
    loss.backward()
    assert loss.isfinite()
    assert all(parameter.grad.isfinite().all() for parameter in topics.parameters() if parameter.grad is not None)


def test_unknown_words_are_said(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.warns(UserWarning, match="the vocabulary lacks 1 of the 2 words of some: z99"):
        run("fit", "--model.seed_topics={some: [a00, z99]}", "--report.enabled=false")
    run("check", "--model.seed_topics={some: [a00, z99]}")
    assert "lacks 1 of the 2 words of some" in capsys.readouterr().out


def test_a_checkpoint_keeps_its_seeds(run: Run, tmp_path: Path) -> None:
    (tmp_path / "seeds.yaml").write_text("some: [a00]")
    seeds = f"--model.seed_topics={tmp_path / 'seeds.yaml'}"
    best = run("fit", seeds).trainer.checkpoint_callback.best_model_path  # type: ignore[union-attr]
    for args in ([seeds], []):
        assert run("test", f"--ckpt_path={best}", *args).model.topic_names[0] == "some"


def test_words_that_avoid_each_other() -> None:
    rng = np.random.default_rng(0)
    topic = rng.integers(2, size=1_000)
    dense = rng.random((1_000, 4)) < np.where(topic[:, None] == [0, 0, 1, 1], 0.4, 0.0)
    counts = sp.csr_array(dense.astype(np.int32))
    together = find_words({"one": ["a", "b"], "other": ["c"]}, "abcd")
    assert contradictions(together, counts) == []
    (a, c) = contradictions(find_words({"both": ["a", "c"]}, "abcd"), counts)
    assert a.startswith("Seeds: a is seldom where the other words of both are")
    assert f"{dense[:, 2].sum():,} documents" in c
