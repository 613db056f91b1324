"""Training that goes on with other documents: what stays, what is learned, and what is said of it."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp
import torch

from etm_app.cli.main import ETMCLI, main
from etm_app.data.counts.counts import CountsDataModule
from etm_app.data.text.docstrings import DocstringsDataModule
from etm_app.data.text.texts import TextDataModule
from etm_app.going_on import grow_vocab
from etm_app.model import ETM
from etm_app.report.drift import drift_of
from tests.conftest import SMALL
from tests.planted import VOCAB, PlantedDataModule
from tests.test_model import etm, trainer

KINDS = ("cat", "dog", "bird", "fish")


def texts(size: int, seed: int, letters: str = "abcdefgh", kinds: tuple[str, ...] = KINDS) -> str:
    """Each of one kind of word."""
    rng = np.random.default_rng(seed)
    words = [[f"{kind}{letter}" for letter in letters] for kind in kinds]
    return "\n".join(" ".join(rng.choice(words[row % len(words)], 12)) for row in range(size))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("on")
    (path / "first.txt").write_text(texts(200, 0))
    (path / "second.txt").write_text(texts(200, 1, "efghij"))
    return path


def run(folder: Path, subcommand: str, *args: object) -> ETMCLI:
    where = [f"--trainer.default_root_dir={folder / 'runs'}", f"--data.cache_dir={folder / 'cache'}"]
    few = ["--data.steps_per_epoch=20", "--data.batch_size=50", "--report.enabled=false"]
    return main([subcommand, "--data=TextDataModule", *where, *SMALL, *few, *map(str, args)])


def checkpoint_of(cli: ETMCLI, name: str = "best") -> Path:
    return Path(cli.trainer.log_dir) / "checkpoints" / f"{name}.ckpt"


@pytest.fixture(scope="module")
def first(folder: Path) -> Path:
    return checkpoint_of(run(folder, "fit", f"--data.files={folder / 'first.txt'}", "--data.max_df=1.0"))


Captured = pytest.CaptureFixture[str]


def test_other_documents_are_trained_on_and_topics_keep_their_numbers(
    folder: Path, first: Path, capsys: Captured, caplog: pytest.LogCaptureFixture
) -> None:
    before = ETM.load_from_checkpoint(first)
    with caplog.at_level("INFO", "pytorch_lightning.utilities.rank_zero"):
        cli = run(folder, "fit", f"--ckpt_path={first}", f"--data.files={folder / 'second.txt'}")
    out = " ".join(capsys.readouterr().out.split())
    assert cli.trainer.current_epoch == 2  # all of SMALL's epochs, though the checkpoint had them, too
    assert "Nothing was trained" not in caplog.text
    text = (folder / "second.txt").read_text().split()
    unknown = sum(word not in (before.vocab or []) for word in text)
    assert f"{unknown / len(text):.1%} of the tokens of the documents ({unknown:,} of {len(text):,})" in caplog.text
    assert "--data.grow_vocab true" in caplog.text
    after = ETM.load_from_checkpoint(checkpoint_of(cli))
    assert after.vocab == before.vocab
    cosine = torch.cosine_similarity(before.beta, after.beta)
    assert cosine.min() > 0.8
    assert after.seen[0] == before.seen[0] + 160
    table = pl.read_csv(Path(cli.trainer.log_dir) / "topic_drift.csv")
    assert table.columns == ["topic", "cosine", "nearest", "nearest_cosine", "gained", "lost"]
    np.testing.assert_allclose(table.sort("topic")["cosine"], cosine, atol=1e-5)
    assert table["cosine"].is_sorted()
    assert (table["nearest"] == table["topic"]).all()
    assert "Drift of the topics since before these documents" in out
    assert "topic_drift.csv" in out


def test_without_memory_they_would_not(folder: Path, first: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents of one kind alone: all topics would become theirs."""
    (folder / "cats.txt").write_text(texts(200, 2, kinds=("cat",)))
    before, least = ETM.load_from_checkpoint(first), []
    for remembers in (True, False):
        if not remembers:
            monkeypatch.setattr("etm_app.nn.memory.Memory.forward", lambda self, loss, *_: loss)
        cli = run(folder, "fit", f"--ckpt_path={first}", f"--data.files={folder / 'cats.txt'}", "--model.anchor=0.12")
        least.append(float(torch.cosine_similarity(before.beta, cli.model.beta).min()))
    assert least[0] > 0.9
    assert least[0] > least[1]


def test_going_on_with_others_goes_on_after_an_interruption_as_if_there_had_been_none(tmp_path: Path) -> None:
    run, others = trainer(max_epochs=1), PlantedDataModule(seed=3, batch_size=20)
    run.fit(etm(), PlantedDataModule(batch_size=20))
    run.save_checkpoint(tmp_path / "first.ckpt")
    others.x = others.x[::-1].copy()  # other documents to train on
    whole, part, resumed = etm(), etm(), etm()
    trainer(max_epochs=4).fit(whole, others, ckpt_path=tmp_path / "first.ckpt")
    run = trainer(max_epochs=2)
    run.fit(part, others, ckpt_path=tmp_path / "first.ckpt")
    run.save_checkpoint(tmp_path / "part.ckpt")
    trainer(max_epochs=4).fit(resumed, others, ckpt_path=tmp_path / "part.ckpt")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name
    assert whole.memory.num_documents == resumed.memory.num_documents == 60
    assert drift_of(whole, 5) == drift_of(resumed, 5)
    assert drift_of(etm(), 5) == []


def test_new_words_are_learned_and_known_ones_keep_their_place(
    folder: Path, first: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = ETM.load_from_checkpoint(first)
    arguments = [f"--data.files={folder / 'second.txt'}", "--data.grow_vocab=true", "--data.max_df=1.0"]
    with caplog.at_level("INFO", "pytorch_lightning.utilities.rank_zero"):
        cli = run(folder, "fit", f"--ckpt_path={first}", *arguments)
    new = sorted(f"{kind}{letter}" for kind in KINDS for letter in "ij")
    assert "32 words that the model knows, 16 of them in no training document now, and 8 new ones" in caplog.text
    grown = ETM.load_from_checkpoint(checkpoint_of(cli))
    assert before.vocab is not None
    assert grown.vocab == [*before.vocab, *new]
    topic_of = dict(zip(grown.vocab, grown.beta.argmax(dim=0).tolist(), strict=True))
    assert all(topic_of[word] == topic_of[f"{word[:-1]}e"] for word in new)
    assert torch.cosine_similarity(before.beta, grown.beta[:, :32]).min() > 0.8
    run(folder, "check", f"--ckpt_path={first}", *arguments)  # looks at what would be trained
    tested = run(folder, "test", f"--ckpt_path={checkpoint_of(cli)}", *arguments)  # where nothing grows
    assert tested.model.vocab == grown.vocab


@pytest.mark.parametrize("inference", ["mixture", "mixed_membership", "encoder"])
def test_a_vocabulary_grows_around_what_is_known(inference: str) -> None:
    model, data = etm(inference=inference), PlantedDataModule()
    trainer(max_epochs=2).fit(model, data)
    beta, rho, theta = model.beta, model.rho.clone(), model.theta(data.x)
    corpus = data.corpus
    grown = PlantedDataModule(np.hstack((data.x, data.x[:, :5] + (np.arange(90) % 9 == 0)[:, None])))
    grown.__dict__["corpus"] = corpus.from_matrix(grown.x, [*VOCAB, *(f"new{v}" for v in range(5))], grown.splits)
    growth = grow_vocab(model, grown.corpus.vocab, grown.training_set())
    assert (growth.known, growth.new) == (48, 5)
    assert model.vocab_size == model.hparams["vocab_size"] == len(model.log_frequency) == 53
    assert torch.equal(model.rho[:48], rho)
    assert torch.equal(model.anchor.rho[48:], model.rho[48:])
    conditional = model.beta[:, :48] / model.beta[:, :48].sum(dim=1, keepdim=True)
    torch.testing.assert_close(conditional, beta)
    if model.encoder is not None:
        assert torch.equal(model.encoder.weight[48:], torch.zeros(5, 8))
        torch.testing.assert_close(model.theta(np.hstack((data.x, np.zeros((90, 5))))), theta)
    trainer(max_epochs=1).fit(model, grown)  # and trains on
    assert model.memory.words.shape == (48, 4)  # documents before say nothing of new words


def test_of_a_version_that_did_not_count_the_topics_say_what_was_before() -> None:
    model, data = etm(), PlantedDataModule()
    trainer(max_epochs=1).fit(model, data)
    model.memory.counts = torch.empty(0)
    sizes, beta = model.e_step.size.softmax(0), model.beta.t()  # type: ignore[union-attr]
    grown = PlantedDataModule(np.hstack((data.x, data.x[:, :5])))
    grown.__dict__["corpus"] = data.corpus.from_matrix(grown.x, [*VOCAB, *(f"new{v}" for v in range(5))], grown.splits)
    grow_vocab(model, grown.corpus.vocab, grown.training_set())
    trainer(max_epochs=1).fit(model, grown)
    torch.testing.assert_close(model.memory.words, beta * sizes)


def test_counts_of_a_checkpoint_s_words_are_found_by_their_names(tmp_path: Path) -> None:
    x = sp.csr_array(np.arange(1, 13).reshape(3, 4))
    sp.save_npz(tmp_path / "counts.npz", sp.csr_matrix(x))
    (tmp_path / "vocab.txt").write_text("b\na\nd\nc\n")
    for grow, vocab, columns in ((False, ["a", "b", "z"], [1, 0]), (True, ["a", "b", "z", "d", "c"], [1, 0, 2, 3])):
        data = CountsDataModule(
            tmp_path / "counts.npz", val_fraction=0, test_fraction=0, grow_vocab=grow, cache_dir=tmp_path / "cache"
        )
        data.use(["a", "b", "z"], None)
        assert data.vocab == vocab
        found = np.delete(data.training_set().counts().toarray(), 2, axis=1)
        np.testing.assert_array_equal(found, x.toarray()[:, columns])
        unknown = 0 if grow else x.toarray()[:, 2:].sum()
        assert (data.corpus.meta["tokens"], data.corpus.meta["unknown_tokens"]) == (78, unknown)


def test_docstrings_of_other_packages_have_the_words_of_the_checkpoint(tmp_path: Path) -> None:
    json = DocstringsDataModule(["json"], min_words=5, min_df=1, max_df=1.0, cache_dir=tmp_path)
    email, texts = (DocstringsDataModule(["email"], min_words=5, min_df=1, cache_dir=tmp_path) for _ in range(2))
    email.use(json.vocab, json.analyzer_settings)
    assert email.vocab == json.vocab
    texts.use(["reviews"], TextDataModule("reviews.csv").analyzer_settings)  # of a model that never saw docstrings
    assert texts.vocab != ["reviews"]


def test_max_vocab_bounds_what_a_vocabulary_grows_to(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("aa bb cc\nbb cc dd\ncc dd ee\n")
    data = TextDataModule(
        str(tmp_path / "a.txt"), min_df=1, max_df=1.0, max_vocab=4, val_fraction=0, test_fraction=0,
        grow_vocab=True, cache_dir=tmp_path / "cache",
    )  # fmt: skip
    data.use(["zz", "ee"], None)
    assert data.vocab == ["zz", "ee", "bb", "cc"]  # those in most documents, the first of equals
    assert data.training_set().token_counts().tolist() == [0, 1, 2, 3]
