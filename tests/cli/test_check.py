"""`check` says what there is and what will go wrong, trains nothing and writes nothing."""

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from etm_app.cli.check import memory_of, warnings_of
from etm_app.cli.main import ETMCLI, main
from etm_app.data.corpus import BowCorpus
from etm_app.data.statistics import corpus_statistics
from etm_app.data.text.advice import advice
from etm_app.model import ETM
from etm_app.topic_model import Inference
from tests.conftest import SMALL, Run
from tests.errors.arguments import OWN
from tests.planted import SPLITS, VOCAB, planted_counts
from tests.strategies import over_corpora

X = planted_counts()
Out = pytest.CaptureFixture[str]


def corpus_of(x: NDArray[np.int64], splits: list[str] | None = None) -> BowCorpus:
    return BowCorpus.from_matrix(x, [f"w{word}" for word in range(x.shape[1])], splits or ["train"] * len(x))


def on_meta(vocab_size: int, num_topics: int = 4, **kwargs: object) -> ETM:
    with torch.device("meta"):
        return ETM(vocab_size, num_topics, 8, 6, **kwargs)  # type: ignore[arg-type]


@over_corpora
def test_statistics_are_those_of_the_matrix(x: NDArray[np.int64]) -> None:
    splits = [("train", "train", "val", "test")[row % 4] for row in range(len(x))]
    statistics = corpus_statistics(corpus_of(x, splits))
    parts = {split: x[[own == split for own in splits]] for split in statistics.splits}
    train = {tuple(row) for row in parts["train"] if row.any()}
    for split, of in statistics.splits.items():
        bags = [tuple(row) for row in parts[split] if row.any()]
        assert of.lengths.tolist() == parts[split].sum(axis=1).tolist()
        assert (len(of), of.num_empty) == (len(parts[split]), len(parts[split]) - len(bags))
        assert of.num_tokens == parts[split].sum()
        assert of.num_repeated == len(bags) - len(set(bags))
        assert of.num_in_train == (0 if split == "train" else sum(bag in train for bag in bags))
    assert statistics.document_frequency.tolist() == (parts["train"] > 0).sum(axis=0).tolist()
    assert statistics.token_counts.tolist() == parts["train"].sum(axis=0).tolist()


def test_statistics_are_the_same_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = BowCorpus.from_matrix(np.concatenate([X, X]), VOCAB, SPLITS + SPLITS)
    whole = corpus_statistics(corpus)
    monkeypatch.setattr("etm_app.data.corpus.DOCUMENTS_AT_ONCE", 7)
    pieces = corpus_statistics(corpus)
    assert whole.splits["train"].num_repeated >= 54
    for split, of in whole.splits.items():
        assert (of.num_repeated, of.num_in_train) == (
            pieces.splits[split].num_repeated,
            pieces.splits[split].num_in_train,
        )
        assert of.lengths.tolist() == pieces.splits[split].lengths.tolist()
    assert whole.document_frequency.tolist() == pieces.document_frequency.tolist()


@pytest.fixture
def check(run: Run, capsys: Out, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs ``check`` over the planted corpus and returns what it shows."""
    monkeypatch.setenv("COLUMNS", "200")

    def of(*args: object) -> str:
        cli = run("check", *args)
        assert {parameter.device.type for parameter in cli.model.parameters()} == {"meta"}
        return capsys.readouterr().out

    return of


def row_of(shown: str, start: str) -> list[str]:
    """The cells of the first row of a table that starts with a word."""
    rows = [[cell.strip() for cell in line.strip("│ ").split("│")] for line in shown.splitlines() if "│" in line]
    return next(row for row in rows if row[0] == start)


def parts_of(model: ETM, name: str, size: int) -> str:
    """Of whose parameters all are in one of the parts."""
    total = sum(p.numel() for p in model.parameters())
    assert total == size + model.rho.numel() + model.alpha.numel()
    return (
        f"{total:,} ({name} {size:,}, word embeddings {model.rho.numel():,}, topic embeddings {model.alpha.numel():,})"
    )


def test_the_parameters_of_an_encoder(check: Callable[..., str]) -> None:
    model = ETM(48, 4, 8, 6, inference="encoder")
    size = (48 + 1) * 8 + (8 + 1) * 8 + (8 + 1) * 2 * 4
    assert row_of(check("--model.inference=encoder"), "parameters")[1] == parts_of(model, "encoder", size)


def test_check_shows_the_data_and_writes_nothing(check: Callable[..., str], tmp_path: Path) -> None:
    shown = check()
    train, val = (X[[own == split for own in SPLITS]] for split in ("train", "val"))
    assert row_of(shown, "train")[1:4] == ["60", str((train.sum(axis=1) == 0).sum()), row_of(shown, "train")[3]]
    assert row_of(shown, "val")[5] == f"{val.sum():,}"
    assert row_of(shown, "as it is")[1] == "48"
    assert row_of(shown, "5")[1] == str(((train > 0).sum(axis=0) >= 5).sum())
    assert row_of(shown, "topics")[1] == "4"
    assert row_of(shown, "steps an epoch")[1] == "4; 8 in 2 epochs"  # 60 documents, 16 a step
    assert f"longest {train.sum(axis=1).max()}" in shown
    model = ETM(48, 4, 8, 6)
    assert row_of(shown, "parameters")[1] == parts_of(model, "prior of topics", 4)
    assert "warning: " in shown
    assert not (tmp_path / "runs").exists()


def test_a_saved_config_serves_check(trained: ETMCLI, check: Callable[..., str], checkpoint: Path) -> None:
    config = Path(trained.trainer.log_dir) / "config.yaml"
    assert "Training" in check("--config", config)
    assert "Training" in check(f"--ckpt_path={checkpoint}")


def test_check_of_a_module_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Out) -> None:
    (tmp_path / "own_checked.py").write_bytes(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    main(["check", "--data=own_checked.Own", f"--trainer.default_root_dir={tmp_path}", *SMALL])
    shown = capsys.readouterr().out
    assert row_of(shown, "train")[1:6] == ["4", "0", "3", "", "192"]
    assert row_of(shown, "val")[4] == "4"  # the same documents


def test_the_times_of_documents_are_told(tmp_path: Path, capsys: Out) -> None:
    years = [f"{2000 + row % 3}" if row else "" for row in range(60)]
    (tmp_path / "a.csv").write_text("text,t\n" + "".join(f"cats dogs birds,{year}\n" for year in years))
    where = [f"--data.files={tmp_path / 'a.csv'}", f"--data.cache_dir={tmp_path / 'cache'}", "--data.time_column=t"]
    for period, said in ((None, "3 periods of a year"), ("decade", "no periods")):
        chosen = [] if period is None else [f"--data.period={period}"]
        main(["check", "--data=TextDataModule", *where, *chosen, "--data.max_df=1.0", *SMALL])
        shown = capsys.readouterr().out
        assert f"Time: 2000-01-01 to 2002-01-01 (UTC); 1 of 60 documents have no time; {said}" in shown


# What is warned of, each thing alone.

LONG = np.random.default_rng(0).poisson(0.4, (1500, 60)) + np.eye(60, dtype=np.int64)[np.arange(1500) % 60] * 5
THIRDS = ["train"] * 1200 + ["val"] * 150 + ["test"] * 150


def warned(
    x: NDArray[np.int64] = LONG,
    splits: list[str] = THIRDS,
    num_topics: int = 4,
    available: int | None = 10**12,
    inference: str = "auto",
) -> list[str]:
    corpus = corpus_of(x, splits)
    model = on_meta(x.shape[1], num_topics, inference=inference)
    of_training = warnings_of(corpus_statistics(corpus), model, corpus.vocab, memory_of(model), available)
    return [*advice(corpus, num_topics, own_texts=False), *of_training]


def with_rows(change: Callable[[NDArray[np.int64]], None]) -> NDArray[np.int64]:
    x = LONG.copy()
    change(x)
    return x


def make_short(x: NDArray[np.int64]) -> None:
    x[:500] = 0
    x[np.arange(500), np.arange(500) % 60] = 1
    x[np.arange(500), np.arange(500) // 60] = 2


def copy_to_val(x: NDArray[np.int64]) -> None:
    x[1200:1220] = x[:20]


def make_rare(x: NDArray[np.int64]) -> None:
    x[3:, 29:] = 0
    x[0, 29:] = 1


def make_empty(x: NDArray[np.int64]) -> None:
    x[:100] = 0


def make_repeated(x: NDArray[np.int64]) -> None:
    x[:150] = x[0]


def make_frequent(x: NDArray[np.int64]) -> None:
    x[:, 7] = 2


CASES: dict[str, tuple[dict[str, object], list[str]]] = {
    "nothing": ({}, []),
    "memory unknown": ({"available": None}, []),
    "fewer documents than topics": (
        {"num_topics": 50, "x": LONG[:40], "splits": ["train"] * 40},
        ["50 topics over 60 words", "fewer documents than topics", "few:", "no val", "no test"],
    ),
    "few documents a topic": (
        {"num_topics": 59, "x": LONG[700:], "splits": THIRDS[700:]},
        ["59 topics over 60 words", "8.5 a topic", "500 training"],
    ),
    "short, for which auto is": ({"x": with_rows(make_short)}, []),
    "short, of one topic": ({"x": with_rows(make_short), "inference": "mixture"}, []),
    "short, of several topics": (
        {"x": with_rows(make_short), "inference": "mixed_membership"},
        ["500 of 1,200 training documents have fewer than 5 tokens, too few to tell several topics, as "
         "model.inference mixed_membership does; leave that out"],
    ),
    "short, for an encoder": ({"x": with_rows(make_short), "inference": "encoder"}, ["model.inference encoder does"]),
    "empty": ({"x": with_rows(make_empty)}, ["100 of 1,200 training documents are empty"]),
    "repeated": ({"x": with_rows(make_repeated)}, ["149 of 1,200 training documents repeat"]),
    "in train and val": ({"x": with_rows(copy_to_val)}, ["20 of 150 val documents"]),
    "no val": ({"splits": ["train"] * 1350 + ["test"] * 150}, ["no val documents"]),
    "few val": ({"splits": ["train"] * 1340 + ["val"] * 10 + ["test"] * 150}, ["10 val documents are few"]),
    "few words": (
        {"x": LONG[:, :24] + LONG[:, 24:48]},
        ["24 words in the vocabulary: topic_diversity", "in more than half"],
    ),
    "more topics than words": ({"num_topics": 61}, ["61 topics over 60 words"]),
    "absent words": ({"x": np.append(LONG, 0 * LONG[:, :2], axis=1)}, ["2 of 62 words are in no training document"]),
    "rare words": ({"x": with_rows(make_rare)}, ["31 of 60 words are in fewer than 5"]),
    "frequent words": ({"x": with_rows(make_frequent)}, ["in more than half of the training documents: w7 (1 of 60"]),
    "little memory": ({"available": 10_000}, ["or lower --model.rho_size."]),
    "little memory for an encoder": (
        {"available": 10_000, "inference": "encoder"},
        ["may run out of memory; raise min_df for fewer than 60 words, or lower --model.rho_size and --model.t_hidden"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "expected"), CASES.values(), ids=CASES)
def test_what_will_go_wrong_is_warned_of(arguments: dict[str, object], expected: list[str]) -> None:
    found = warned(**arguments)  # type: ignore[arg-type]
    assert len(found) == len(expected), found
    assert all(any(part in warning for warning in found) for part in expected), found


@given(st.integers(1, 50), st.integers(1, 9), st.booleans(), st.sampled_from(get_args(Inference)))
def test_parameters_are_counted_as_they_are(
    vocab_size: int, num_topics: int, train_embeddings: bool, inference: Inference
) -> None:
    model = ETM(vocab_size, num_topics, 8, 6, train_embeddings=train_embeddings, inference=inference)
    memory = memory_of(on_meta(vocab_size, num_topics, train_embeddings=train_embeddings, inference=inference))
    assert memory["weights"] == sum(p.numel() * p.element_size() for p in model.parameters())
    adam = torch.optim.Adam([p for p in model.parameters() if p.requires_grad])
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.zeros_like(parameter)
    adam.step()
    moments = sum(state[name].nbytes for state in adam.state.values() for name in ("exp_avg", "exp_avg_sq"))
    assert memory["Adam's moments"] == moments
    assert memory["gradients"] == sum(p.grad.nbytes for p in model.parameters() if p.grad is not None)
    model.anchor.place(model.rho, model.alpha, torch.ones(vocab_size), torch.ones(vocab_size))
    assert memory["anchors"] == sum(buffer.nbytes for buffer in model.anchor.buffers())
    assert memory["counts of words by topic"] == model.topics().nbytes
