"""Document embeddings on the command line and from Python: what was trained with them is used with them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from numpy.typing import NDArray
from pytorch_lightning import Trainer
from sklearn.metrics import normalized_mutual_info_score
from torch import Tensor

from etm_app.cli.main import ETMCLI, main
from etm_app.data.batch import BowBatch
from etm_app.data.text.texts import TextDataModule
from etm_app.errors import UserError
from etm_app.model import ETM
from etm_app.topic_model import Inference
from tests.conftest import SMALL
from tests.planted import VOCAB, PlantedDataModule
from tests.test_new_documents import texts

Error = Callable[[Callable[[], object]], str]

SIZE = 3
TEXTS = texts(60, 3)
VECTORS = np.random.default_rng(0).normal(size=(60, SIZE)).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("embedded")
    pl.DataFrame({"id": [f"n{row}" for row in range(60)], "text": TEXTS}).write_csv(path / "a.csv")
    np.save(path / "x.npy", VECTORS)
    np.save(path / "wider.npy", np.ones((60, SIZE + 1)))
    np.save(path / "others.npy", VECTORS + np.float32(1))
    shuffled = pl.DataFrame({"id": [f"n{row}" for row in range(60)], "embedding": VECTORS.tolist()})
    shuffled.sample(fraction=1.0, shuffle=True, seed=1).write_parquet(path / "x.parquet")
    return path


def run(folder: Path, subcommand: str, *args: object) -> ETMCLI:
    data = [f"--data.files={folder / 'a.csv'}", "--data.min_df=1", "--data.id_column=id"]
    sizes = ["--data.batch_size=16", "--data.steps_per_epoch=null"]
    where = [f"--trainer.default_root_dir={folder / 'runs'}", f"--data.cache_dir={folder / 'cache'}"]
    return main([subcommand, "--data=TextDataModule", *data, *sizes, *where, *SMALL, *map(str, args)])


def best_of(cli: ETMCLI, name: str = "best") -> Path:
    return Path(cli.trainer.log_dir) / "checkpoints" / f"{name}.ckpt"


@pytest.fixture(scope="module")
def embedded(folder: Path) -> Path:
    """A checkpoint that was trained with embeddings of the documents."""
    return best_of(run(folder, "fit", f"--data.document_embeddings={folder / 'x.npy'}"))


@pytest.fixture(scope="module")
def plain(folder: Path) -> Path:
    """One that was trained without."""
    return best_of(run(folder, "fit"))


@pytest.fixture
def inferred(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The vectors of all batches whose topics are found from here on."""
    found: list[Tensor] = []
    theta_of_batch = ETM.theta_of_batch

    def note(self: ETM, batch: BowBatch, beta_by_word: Tensor) -> Tensor:
        assert batch.vectors is not None
        found.extend(batch.vectors.cpu())
        return theta_of_batch(self, batch, beta_by_word)

    monkeypatch.setattr(ETM, "theta_of_batch", note)
    return found


def as_array(vectors: list[Tensor]) -> NDArray[np.float32]:
    return np.array([vector.tolist() for vector in vectors], np.float32)


def test_a_checkpoint_knows_their_size(embedded: Path, plain: Path) -> None:
    sizes = [ETM.load_from_checkpoint(path).document_embeddings_size for path in (embedded, plain)]
    assert sizes == [SIZE, 0]


@pytest.mark.parametrize("name", ["x.npy", "x.parquet"])
def test_new_documents_have_theirs(folder: Path, embedded: Path, inferred: list[Tensor], name: str) -> None:
    path = folder / "theta.csv"
    given = [f"--data.document_embeddings={folder / name}", f"--prediction.path={path}"]
    run(folder, "predict", f"--ckpt_path={embedded}", *given)
    np.testing.assert_array_equal(as_array(inferred), VECTORS)
    theta = pl.read_csv(path).select("^theta_.*$").to_numpy()
    inferred.clear()
    model = ETM.load_from_checkpoint(embedded)
    np.testing.assert_allclose(model.transform(TEXTS, embeddings=VECTORS), theta, atol=1e-6)
    np.testing.assert_array_equal(as_array(inferred), VECTORS)


def test_theta_takes_them_with_any_kind_of_counts(
    folder: Path, embedded: Path, inferred: list[Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("etm_app.topic_model.BATCH", 7)
    data = TextDataModule(
        str(folder / "a.csv"),
        min_df=1,
        cache_dir=folder / "cache",
        document_embeddings=folder / "x.npy",
        val_fraction=0,
    )
    training_set = data.training_set()
    vectors = VECTORS[training_set.rows]
    model = ETM.load_from_checkpoint(embedded)
    assert model.vocab is not None
    counts = training_set.counts()[:, [data.vocab.index(word) for word in model.vocab]]
    (batch,) = training_set.batches(len(training_set))
    kept = batch.vectors
    for documents in (counts, counts.toarray()):
        model.theta(documents, vectors)
        np.testing.assert_array_equal(as_array(inferred), vectors)
        inferred.clear()
        for mistake in (None, vectors[1:], vectors[:, 1:]):
            with pytest.raises(UserError, match=r"^embeddings: "):
                model.theta(documents, mistake)
    model.theta(batch)
    np.testing.assert_array_equal(as_array(inferred), vectors)
    inferred.clear()
    model.theta(batch, vectors + np.float32(1))
    np.testing.assert_array_equal(as_array(inferred), vectors + np.float32(1))
    assert batch.vectors is kept
    with pytest.raises(UserError, match=r"^embeddings: none"):
        model.transform(TEXTS)
    with pytest.raises(UserError, match=r"\[59, 3\] for 60 documents"):
        model.transform(TEXTS, embeddings=VECTORS[1:])


def test_a_model_without_takes_none(plain: Path) -> None:
    model = ETM.load_from_checkpoint(plain)
    assert model.transform(TEXTS[:2]).shape == (2, 4)
    with pytest.raises(UserError, match="trained without document embeddings"):
        model.transform(TEXTS, embeddings=VECTORS)


def test_from_python_as_well(folder: Path, plain: Path) -> None:
    data = TextDataModule(str(folder / "a.csv"), document_embeddings=folder / "x.npy", cache_dir=folder / "cache")
    model = ETM.load_from_checkpoint(plain)
    data.use(model.known_vocab, model.analyzer)
    trainer = Trainer(logger=False, enable_progress_bar=False, accelerator="cpu")
    with pytest.raises(UserError, match="trained without document embeddings"):
        trainer.predict(model, datamodule=data)


def test_a_mistake_in_the_file_is_said_before_texts_are_counted(folder: Path, error: Error, tmp_path: Path) -> None:
    np.save(tmp_path / "whole.npy", np.ones((60, SIZE), int))
    for name in ("missing.npy", "whole.npy"):
        given = [f"--data.document_embeddings={tmp_path / name}", f"--data.cache_dir={tmp_path / 'cache'}"]
        assert str(tmp_path / name) in error(lambda given=given: run(folder, "fit", *given))  # type: ignore[misc]
        assert not (tmp_path / "cache").exists()


def test_a_training_goes_on_with_the_same_and_says_where_they_are_others(
    folder: Path, embedded: Path, caplog: pytest.LogCaptureFixture
) -> None:
    last = embedded.with_name("last.ckpt")
    for name, others in (("x.parquet", False), ("others.npy", True)):
        caplog.clear()
        with caplog.at_level("INFO", "pytorch_lightning.utilities.rank_zero"):
            run(
                folder,
                "fit",
                f"--ckpt_path={last}",
                f"--data.document_embeddings={folder / name}",
                "--trainer.max_epochs=3",
            )
        assert ("other documents, or embeddings of them" in caplog.text) == others


def test_check_names_them(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    run(folder, "check", f"--data.document_embeddings={folder / 'x.parquet'}")
    shown = next(line for line in capsys.readouterr().out.splitlines() if "document embeddings" in line)
    assert "3 dimensions in 60 rows" in shown
    assert f"{folder / 'x.parquet'}, joined by 'id'" in shown


# What they are good for

LABELS = np.arange(1_500) % 4


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> tuple[NDArray[np.int64], Path]:
    """Documents of four words, most of them anybody's, and embeddings that tell the labels apart."""
    rng = np.random.default_rng(0)
    topics = np.repeat(np.eye(4), 12, axis=1) / 12
    x = np.array([rng.multinomial(4, 0.35 * topics[label] + 0.65 / len(VOCAB)) for label in LABELS])
    x[::50] = 0
    vectors = rng.normal(size=(4, 8))[LABELS] + rng.normal(0, 0.4, (len(LABELS), 8))
    path = tmp_path_factory.mktemp("labelled") / "x.npy"
    np.save(path, vectors.astype(np.float32))
    return x, path


def fitted(x: NDArray[np.int64], path: Path | None, inference: Inference) -> tuple[ETM, PlantedDataModule]:
    """On two thirds of the documents."""
    splits = ["train", "train", "test"] * 500
    data = PlantedDataModule(x, splits, batch_size=100, document_embeddings=path)
    torch.manual_seed(0)
    sizes = {"num_topics": 4, "t_hidden_size": 16, "rho_size": 12}
    model = ETM(
        len(VOCAB),
        **sizes,
        inference=inference,
        optimizer=lambda params: torch.optim.Adam(params, lr=0.02),
        document_embeddings_size=data.document_embeddings_size,
    )
    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    Trainer(**off, max_epochs=25, accelerator="cpu").fit(model, data)
    return model, data


@pytest.mark.parametrize(
    ("inference", "gain"), [("auto", 0.4), ("mixture", 0.4), ("mixed_membership", 0.15), ("encoder", 0.04)]
)
def test_what_they_know_is_found_where_words_say_little(
    labelled: tuple[NDArray[np.int64], Path], inference: Inference, gain: float
) -> None:
    """In new documents; the most where documents have one topic, as these do."""
    x, path = labelled
    vectors, agreement = np.load(path), []
    new, empty = np.arange(len(LABELS)) % 3 == 2, ~x.any(axis=1)
    for given in (None, path):
        model, data = fitted(x, given, inference)
        theta = model.theta(x, None if given is None else vectors).numpy()
        agreement.append(normalized_mutual_info_score(LABELS[new], theta[new].argmax(axis=1)))
        if given is None:
            np.testing.assert_allclose(theta[empty], theta[[0]].repeat(empty.sum(), axis=0), atol=1e-6)
    assert agreement[0] < 0.3
    assert agreement[1] > agreement[0] + gain
    # With the vectors that the batches have it is the same.
    (batch,) = data.test_dataloader().dataset.batches(1000)
    np.testing.assert_allclose(model.theta(batch), theta[new], atol=1e-5)


@pytest.mark.parametrize("inference", ["mixture", "mixed_membership"])
def test_a_document_without_words_has_the_topics_of_its_embedding(
    labelled: tuple[NDArray[np.int64], Path], inference: Inference
) -> None:
    x, path = labelled
    model, _ = fitted(x, path, inference)
    vectors, nothing = np.load(path), np.zeros_like(x)
    theta = model.theta(nothing, vectors)
    assert model.e_step is not None
    torch.testing.assert_close(theta, model.e_step.log_prior(torch.from_numpy(vectors)).exp().detach())
    assert normalized_mutual_info_score(LABELS, theta.argmax(dim=1)) > 0.6
