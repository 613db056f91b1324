"""The model as an estimator of scikit-learn's."""

import gc
import pickle
import random
import re
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp
import torch
from pytorch_lightning import Trainer
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils import Tags
from sklearn.utils.estimator_checks import parametrize_with_checks

from etm_app import ETM, BowCorpus, ETMTopics, TextDataModule
from etm_app.cli.main import main
from etm_app.errors import UserError
from etm_app.estimator.training import TELLING_AFTER, InMemoryDataModule, Training
from tests.planted import VOCAB, planted_counts

SMALL: dict[str, Any] = {"n_components": 3, "rho_size": 4, "max_steps": 2}
WORDS = [
    *["matrix", "vector", "tensor", "norm"],
    *["graph", "node", "edge", "path"],
    *["string", "text", "token", "letter"],
]


class OfWholeNumbers(ETMTopics):
    """scikit-learn's checks draw any numbers, and whole ones only for what takes categories: counts are no such."""

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.categorical = True
        return tags


@parametrize_with_checks([OfWholeNumbers(**SMALL)])
def test_scikit_learn_takes_it_for_one_of_its_own(estimator: Any, check: Any) -> None:
    check(estimator)


def planted_texts(num: int = 90, seed: int = 0) -> tuple[list[str], list[int]]:
    """Texts with words of one of three topics each, and which it is."""
    rng = np.random.default_rng(seed)
    topics = [row % 3 for row in range(num)]
    return [" ".join(rng.choice(WORDS[4 * topic : 4 * topic + 4], 6)) for topic in topics], topics


@pytest.fixture(scope="module")
def of_texts() -> ETMTopics:
    return ETMTopics(3, rho_size=8, max_steps=60, random_state=0).fit(planted_texts()[0])


@pytest.fixture(scope="module")
def of_counts() -> ETMTopics:
    return ETMTopics(4, rho_size=8, max_steps=30, random_state=0).fit(planted_counts())


def test_in_a_pipeline_the_number_of_topics_is_searched_for() -> None:
    texts, labels = planted_texts()
    steps = [
        ("counts", CountVectorizer()),
        ("topics", ETMTopics(rho_size=8, max_steps=30, random_state=0)),
        ("label", LogisticRegression()),
    ]
    search = GridSearchCV(Pipeline(steps), {"topics__n_components": [1, 3]}, cv=2).fit(texts, labels)
    assert search.best_params_ == {"topics__n_components": 3}
    assert search.score(*planted_texts(seed=1)) > 0.95
    counts, topics, _ = (step for _, step in search.best_estimator_.steps)
    words = topics.top_words(4, counts.get_feature_names_out())
    assert sorted(map(sorted, words)) == sorted(sorted(WORDS[start : start + 4]) for start in (0, 4, 8))


@pytest.mark.parametrize("kind", ["tuple", "array", "polars", "pandas", "pandas string"])
def test_texts_come_in_any_sequence(of_texts: ETMTopics, kind: str) -> None:
    texts = [*planted_texts()[0][:5], None]
    expected = of_texts.transform(texts)
    np.testing.assert_allclose(expected[5], of_texts.transform([""])[0])
    made: Any = {"tuple": tuple, "array": np.array, "polars": pl.Series}.get(kind)
    if made is None:
        pandas = pytest.importorskip("pandas", reason="pandas comes with the extra test")
        made = lambda of: pandas.Series(of, dtype="string" if kind.endswith("string") else object)  # noqa: E731
    np.testing.assert_array_equal(of_texts.transform(made(texts)), expected)


def test_texts_have_the_words_of_the_command_line(tmp_path: Path) -> None:
    texts = [f"the {text} number{number}" for number, text in enumerate(planted_texts(1200)[0])]
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    data = TextDataModule(str(tmp_path / "texts.txt"), cache_dir=tmp_path, val_fraction=0.0, test_fraction=0.0)
    fitted = ETMTopics(**SMALL, validation_fraction=0).fit(texts)
    assert fitted.model_.vocab == data.vocab
    assert fitted.model_.analyzer == data.analyzer_settings


def test_few_texts_have_words_as_well() -> None:
    assert ETMTopics(**SMALL).fit(["matrix norm", "graph", "graph node"]).model_.vocab == [
        "graph",
        "matrix",
        "node",
        "norm",
    ]
    assert ETMTopics(**SMALL).fit([*planted_texts(30)[0], "rare"]).model_.vocab == sorted(WORDS)


def test_columns_with_names_are_words() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas comes with the extra test")
    counts = pandas.DataFrame(planted_counts(), columns=VOCAB)
    fitted = ETMTopics(4, rho_size=8, max_steps=20, random_state=0).set_output(transform="pandas").fit(counts)
    assert {word for words in fitted.top_words(5) for word in words} <= {*VOCAB}
    theta = fitted.transform(counts)
    assert [*theta.columns] == [*fitted.get_feature_names_out()] == [f"etmtopics{topic}" for topic in range(4)]
    np.testing.assert_allclose(theta.sum(axis=1), 1, rtol=1e-5)


def test_components_are_the_words_of_topics(of_counts: ETMTopics) -> None:
    np.testing.assert_allclose(of_counts.components_.sum(axis=1), 1, rtol=1e-5)
    most = of_counts.components_.argmax(axis=1)
    probable = clone(of_counts).set_params(relevance=1.0).fit(planted_counts())
    assert probable.top_words(1) == [[str(word)] for word in most]


def test_it_is_quiet_and_leaves_no_trace(capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder) -> None:
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1], random.getstate()  # type: ignore[index]
    handlers = [signal.getsignal(of) for of in (signal.SIGINT, signal.SIGTERM)]
    fitted = ETMTopics(3, rho_size=4, max_steps=120, random_state=0, inference="encoder").fit(planted_counts())
    pickle.loads(pickle.dumps(fitted.partial_fit(planted_counts()))).transform(planted_counts())
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()  # type: ignore[index]
    assert before[2] == random.getstate()
    assert handlers == [signal.getsignal(of) for of in (signal.SIGINT, signal.SIGTERM)]
    assert capfd.readouterr() == ("", "")
    assert not [str(warning.message) for warning in recwarn]


def test_threads_do_not_disturb_each_other() -> None:
    def components(seed: int) -> Any:
        return (
            ETMTopics(3, rho_size=4, max_steps=10, random_state=seed, inference="encoder")
            .fit(planted_counts())
            .components_
        )

    alone = [components(seed) for seed in range(3)]
    with ThreadPoolExecutor(3) as pool:
        np.testing.assert_array_equal([*pool.map(components, range(3))], alone)


def test_told_to_it_says_what_it_does(capfd: pytest.CaptureFixture[str]) -> None:
    ETMTopics(**SMALL, verbose=True).fit(planted_counts())
    said = "".join(capfd.readouterr())
    assert "Epoch 0/0" in said


@pytest.mark.parametrize("inference", ["auto", "encoder"])
def test_a_seed_tells_everything(inference: Any) -> None:
    found = []
    for seed in (0, np.random.RandomState(0), 1):
        torch.rand(3)  # another state of the session
        found.append(
            ETMTopics(3, rho_size=4, max_steps=5, inference=inference, random_state=seed).fit(planted_counts())
        )
    first, again, other = found
    np.testing.assert_array_equal(first.components_, again.components_)
    np.testing.assert_array_equal(first.transform(planted_counts()), again.transform(planted_counts()))
    assert not np.allclose(first.components_, other.components_)


@pytest.mark.parametrize("counts", [sp.csr_matrix, sp.csc_array, sp.coo_array, np.float32])
def test_counts_of_any_form(of_counts: ETMTopics, counts: Callable[[Any], Any]) -> None:
    x = planted_counts()
    np.testing.assert_array_equal(of_counts.transform(counts(x)), of_counts.transform(x))


def test_perplexity_is_that_of_validation(of_counts: ETMTopics) -> None:
    x = planted_counts(seed=3)
    corpus = BowCorpus.from_matrix(x, [str(word) for word in range(x.shape[1])], ["train"] + ["val"] * (len(x) - 1))
    trainer = Trainer(logger=False, enable_progress_bar=False, accelerator="cpu", devices=1)
    (measured,) = trainer.validate(of_counts.model_, InMemoryDataModule(corpus), verbose=False)
    assert of_counts.perplexity(x[1:]) == pytest.approx(measured["val_perplexity"], rel=1e-5)
    assert of_counts.score(x[1:]) == pytest.approx(-np.log(of_counts.perplexity(x[1:])))


def test_validation_documents_choose_and_do_not_train() -> None:
    x = planted_counts()
    fitted = ETMTopics(**SMALL, random_state=0).fit(x)
    assert fitted.model_.seen[0] == len(x) - 9
    assert ETMTopics(**SMALL, validation_fraction=0).fit(x).model_.seen[0] == len(x)


def test_the_best_weights_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[torch.Tensor] = []

    def perplexity(model: ETM, documents: Any) -> float:
        found.append(model.rho.clone())
        return [9.0, 3.0, 4.0, 4.0, 4.0, 1.0][len(found) - 1]

    monkeypatch.setattr(ETM, "completion_perplexity", perplexity)
    fitted = ETMTopics(3, rho_size=4, inference="mixture", random_state=0).fit(planted_counts())
    assert len(found) == 5  # three looks after the best one
    assert torch.equal(fitted.model_.rho, found[1])
    assert not torch.equal(found[1], found[4])


def test_validation_documents_that_tell_nothing_do_not_end_the_training() -> None:
    x = np.eye(48, dtype=int)[np.arange(96) % 48]  # one word each, no two halves
    fitted = ETMTopics(3, rho_size=4, inference="mixture", max_steps=200, random_state=0).fit(x)
    assert np.isnan(fitted.perplexity(x))
    assert fitted._training.num_steps == 200


def test_a_checkpoint_is_one_of_the_command_line(of_texts: ETMTopics, tmp_path: Path) -> None:
    texts = planted_texts(seed=2)[0]
    of_texts.save(tmp_path / "topics.ckpt")
    loaded = ETMTopics.load(tmp_path / "topics.ckpt")
    np.testing.assert_array_equal(loaded.transform(texts), of_texts.transform(texts))
    assert loaded.get_params() == of_texts.get_params() | {
        "inference": of_texts.model_.inference, "max_steps": 600, "random_state": None,
    }  # fmt: skip
    (tmp_path / "new.txt").write_text("\n".join(texts))
    given = ["--data=TextDataModule", f"--data.files={tmp_path / 'new.txt'}", f"--data.cache_dir={tmp_path}"]
    main(
        [
            "predict",
            f"--ckpt_path={tmp_path / 'topics.ckpt'}",
            *given,
            f"--prediction.path={tmp_path / 'theta.parquet'}",
        ]
    )
    theta = pl.read_parquet(tmp_path / "theta.parquet").select("^theta_.*$").to_numpy()
    np.testing.assert_allclose(theta, of_texts.transform(texts), atol=1e-6)
    with pytest.raises(UserError, match="loaded from a checkpoint"):
        loaded.partial_fit(texts)


def test_a_checkpoint_of_counts_may_have_their_names(of_counts: ETMTopics, tmp_path: Path) -> None:
    numbers = of_counts.model_.vocab
    of_counts.save(tmp_path / "counts.ckpt", VOCAB)
    loaded = ETMTopics.load(tmp_path / "counts.ckpt")
    assert loaded.top_words(3) == of_counts.top_words(3, VOCAB)
    with pytest.raises(UserError, match="feature_names repeats 47 of its words, 'a'"):
        of_counts.save(tmp_path / "repeated.ckpt", ["a"] * 48)
    assert not (tmp_path / "repeated.ckpt").exists()
    assert of_counts.model_.vocab == numbers
    with pytest.raises(ValueError, match="48 features"):
        loaded.transform(planted_counts()[:, 1:])


def parts() -> Iterator[Any]:
    for seed in range(3):
        yield planted_counts(200, seed)


def test_parts_are_taken_as_one_corpus() -> None:
    fitted = ETMTopics(4, rho_size=8, batch_size=20, random_state=0)
    gc.collect()
    before = sum(type(thing) is BowCorpus for thing in gc.get_objects())
    documents = 0
    for part in parts():
        fitted.partial_fit(part)
        documents += len(part)
        assert fitted.model_.seen[0] == fitted.model_.anchor.num_documents == documents
        assert not fitted.model_.memory.placed  # of topics as they were after the first part
    gc.collect()
    assert sum(type(thing) is BowCorpus for thing in gc.get_objects()) == before
    whole = np.concatenate([*parts()])
    model, frequencies = fitted.model_, np.log((whole.sum(0) + 1) / (whole.sum() + whole.shape[1]))
    np.testing.assert_allclose(model.log_frequency, frequencies, rtol=1e-5)
    assert model.seen[1] == whole.sum()
    (state, *_) = fitted._training.optimizer_state["state"].values()
    assert int(state["step"]) == fitted._training.num_steps == 30


def test_the_command_line_goes_on_from_a_stream_with_other_documents(tmp_path: Path) -> None:
    fitted, digests = ETMTopics(4, rho_size=8, batch_size=20, random_state=0), set()
    for part in parts():
        digests.add(fitted.partial_fit(part).model_.data_digest)
    assert len(digests) == 3
    assert None not in digests
    fitted.save(tmp_path / "stream.ckpt")
    loaded = ETM.load_from_checkpoint(tmp_path / "stream.ckpt")
    others = BowCorpus.from_matrix(part, loaded.known_vocab, ["train"] * len(part))  # of the parts the last, alone
    trainer = Trainer(max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False)
    trainer.fit(loaded, InMemoryDataModule(others), ckpt_path=tmp_path / "stream.ckpt")
    assert loaded.memory.placed
    assert loaded.memory.num_documents == 600
    assert loaded.seen[0] == 800


def test_topics_keep_their_numbers() -> None:
    fitted = ETMTopics(4, rho_size=8, batch_size=20, random_state=0)
    topics = [fitted.partial_fit(part).components_ for part in parts()]
    for later in topics[1:]:
        assert (np.corrcoef(topics[0], later)[:4, 4:].argmax(1) == range(4)).all()


def test_a_pickle_goes_on_as_if_it_had_not_been_one() -> None:
    straight, pickled = (ETMTopics(4, rho_size=8, batch_size=50, random_state=0) for _ in range(2))
    for part in parts():
        straight.partial_fit(part)
        pickled = pickle.loads(pickle.dumps(pickled.partial_fit(part)))
    np.testing.assert_array_equal(straight.components_, pickled.components_)


def test_the_inference_of_a_stream_is_chosen_once_topics_tell() -> None:
    fitted = ETMTopics(4, rho_size=8, batch_size=10, random_state=0)
    steps = []
    for part in (planted_counts(100, seed) for seed in range(5)):
        steps.append(0 if not steps else fitted._training.num_steps)
        fitted.partial_fit(part)
        assert fitted.model_.inference == ("mixed_membership" if steps[-1] >= TELLING_AFTER else "mixture")
    assert steps == [0, 10, 20, 30, 40]


def test_a_part_may_be_of_documents_without_text(of_texts: ETMTopics) -> None:
    np.testing.assert_array_equal(of_texts.transform([None, None]), of_texts.transform(["", ""]))
    with pytest.raises(UserError, match="X: none of 1 documents has a word"):
        pickle.loads(pickle.dumps(of_texts)).partial_fit([None])


def test_words_that_are_new_in_a_part_are_left_out(of_texts: ETMTopics) -> None:
    fitted = pickle.loads(pickle.dumps(of_texts))
    fitted.partial_fit(["matrix graph unheard", "text"])
    assert fitted.model_.vocab == of_texts.model_.vocab
    with pytest.raises(UserError, match="none of 1 documents has a word"):
        fitted.partial_fit(["unheard"])


def test_embeddings_of_documents() -> None:
    x, vectors = planted_counts(), np.eye(4, dtype=np.float32)[np.arange(90) % 4]
    fitted = ETMTopics(4, rho_size=8, max_steps=5, random_state=0)
    theta = fitted.fit_transform(x, embeddings=vectors)
    assert not np.allclose(theta, fitted.transform(x, embeddings=vectors[::-1].copy()))
    assert np.isfinite(fitted.score(x, embeddings=vectors))
    fitted.partial_fit(x, embeddings=vectors)
    for call in (fitted.transform, fitted.score, fitted.partial_fit):
        with pytest.raises(UserError, match="embeddings: none, but the model was trained with"):
            call(x)
    with pytest.raises(UserError, match=r"\[90, 4\].*\[3, 4\]|\[3, 4\].*\[90, 4\]"):
        clone(fitted).fit(x, embeddings=vectors[:3])


def test_an_interruption_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ETM, "training_step", interrupted)
    handler, estimator = signal.getsignal(signal.SIGINT), ETMTopics(**SMALL)
    with pytest.raises(KeyboardInterrupt):
        estimator.fit(planted_counts())
    assert signal.getsignal(signal.SIGINT) is handler
    with pytest.raises(NotFittedError):
        estimator.transform(planted_counts())


WRONG: dict[str, tuple[dict[str, Any], Any, str]] = {
    "no topics": ({"n_components": 0}, [[1]], "n_components: 0; expected a whole number from 1"),
    "half a topic": ({"n_components": 1.5}, [[1]], "n_components: 1.5"),
    "inference": ({"inference": "lda"}, [[1]], "inference: 'lda'; expected one of auto, mixture"),
    "anchor": ({"anchor": -1}, [[1]], "anchor: -1"),
    "relevance": ({"relevance": 2}, [[1]], "relevance: 2"),
    "steps": ({"max_steps": 0}, [[1]], "max_steps: 0"),
    "batch": ({"batch_size": 0}, [[1]], "batch_size: 0"),
    "validation": ({"validation_fraction": 1.0}, [[1]], "validation_fraction: 1.0"),
    "one text": ({}, "a text", "X: one text"),
    "no texts": ({}, [], "X: no documents; expected one at least"),
    "a number among texts": ({}, ["a text", 1.5], "X: text 1 is a float"),
    "fractions": ({}, [[0.5, 1]], "whole numbers"),
    "nothing counted": ({}, [[0, 0], [0, 0]], "X: none of 2 documents has a word"),
}


@pytest.mark.parametrize(("arguments", "x", "says"), WRONG.values(), ids=WRONG)
def test_mistakes(arguments: dict[str, Any], x: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        ETMTopics(**arguments).fit(x)


def test_texts_for_a_model_of_counts(of_counts: ETMTopics) -> None:
    with pytest.raises(UserError, match=r"X: texts, but the model was fitted on counts; .* \[documents, 48\]"):
        of_counts.transform(["a text"])
    with pytest.raises(UserError, match="X: no documents"):
        of_counts.transform([])
    with pytest.raises(UserError, match="feature_names: 1 for 48"):
        of_counts.top_words(3, ["a"])


def test_the_readme_s_lines_run_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"### With scikit-learn\n.*?```python\n(.*?)```", readme, flags=re.DOTALL)
    texts, labels = planted_texts()
    fit = Training.fit

    def short(self: Training, model: ETM, corpus: BowCorpus, batch_size: int, max_steps: int, **trainer: Any) -> None:
        fit(self, model, corpus, batch_size, 2, **trainer)

    monkeypatch.setattr(Training, "fit", short)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"texts": texts, "labels": labels, "parts": [texts, texts]}
    exec(code, names)
    assert names["theta"].shape == (len(texts), 20)
    assert names["words"].tolist() == sorted(WORDS)
    assert names["stream"].transform(texts).shape == (len(texts), 50)
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["topics.ckpt"]
