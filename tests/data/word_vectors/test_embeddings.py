"""All formats of word vectors give the same rho, and what is wrong with a file is said by its line."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from etm_app.cli.main import ETMCLI
from etm_app.data.word_vectors import word2vec
from etm_app.data.word_vectors.embeddings import read_embeddings
from etm_app.errors import UserError
from etm_app.model import ETM
from tests.conftest import Run
from tests.planted import VOCAB

WORDS = ["the", "größe", "zwei", "of", "not-in-it", "eins"]
VECTORS = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
KNOWN = ["eins", "fehlt", "zwei", "größe"]  # a vocabulary of which one word has no vector
Vectors = NDArray[np.float32]


def lines(words: list[str], vectors: Vectors, header: str = "", end: str = "\n") -> bytes:
    rows = [f"{word} {' '.join(map(repr, vector.tolist()))}{end}" for word, vector in zip(words, vectors, strict=True)]
    return (header + "".join(rows)).encode()


def binary(words: list[str], vectors: Vectors, end: bytes = b"") -> bytes:
    rows = (word.encode() + b" " + vector.tobytes() + end for word, vector in zip(words, vectors, strict=True))
    return f"{len(words)} {vectors.shape[1]}\n".encode() + b"".join(rows)


def write_npz(path: Path, words: object, vectors: object) -> None:
    with path.open("wb") as file:
        np.savez(file, words=np.array(words), vectors=np.array(vectors))


FORMATS: dict[str, Callable[[Path, list[str], Vectors], object]] = {
    "glove.txt": lambda path, words, vectors: path.write_bytes(lines(words, vectors)),
    "glove.txt.gz": lambda path, words, vectors: path.write_bytes(gzip.compress(lines(words, vectors))),
    "word2vec.txt": lambda path, words, vectors: path.write_bytes(lines(words, vectors, f"{len(words)} 5\n")),
    "fasttext.vec": lambda path, words, vectors: path.write_bytes(lines(words, vectors, f"{len(words)} 5\n", " \r\n")),
    "word2vec.bin": lambda path, words, vectors: path.write_bytes(binary(words, vectors)),
    "original.bin": lambda path, words, vectors: path.write_bytes(binary(words, vectors, b"\n")),
    "word2vec.bin.gz": lambda path, words, vectors: path.write_bytes(gzip.compress(binary(words, vectors))),
    "mine.npz": write_npz,
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("block", [1, 30, 1 << 20])
def test_all_formats_give_the_same_vectors(
    tmp_path: Path, name: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(word2vec, "BLOCK", block)
    FORMATS[name](tmp_path / name, WORDS, VECTORS)
    read = read_embeddings(tmp_path / name, KNOWN)
    assert read.found.tolist() == [True, False, True, True]
    np.testing.assert_array_equal(read.vectors[read.found], VECTORS[[5, 2, 1]])
    assert read.vectors.dtype == np.float32
    assert 0 < np.linalg.norm(read.vectors[1]) < 0.5 * np.linalg.norm(VECTORS, axis=1).min()
    assert read.coverage() == "3 of 4 words (75.0%) have a vector; the other 1 start small and random"
    np.testing.assert_array_equal(read_embeddings(tmp_path / name, KNOWN).vectors, read.vectors)
    assert (read_embeddings(tmp_path / name, KNOWN, seed=1).vectors[1] != read.vectors[1]).any()


@pytest.mark.parametrize("name", ["glove.txt", "word2vec.bin", "mine.npz"])
def test_of_a_repeated_word_the_first_counts(tmp_path: Path, name: str) -> None:
    FORMATS[name](tmp_path / name, ["eins", "eins"], VECTORS[:2])
    assert (read_embeddings(tmp_path / name, ["eins"]).vectors == VECTORS[:1]).all()


def test_phrases_are_not_their_first_word(tmp_path: Path) -> None:
    FORMATS["glove.txt"](tmp_path / "a.txt", ["x", "eins zwei", "eins", "of the of"], VECTORS[:4])
    read = read_embeddings(tmp_path / "a.txt", ["eins", "eins zwei", "of"])
    np.testing.assert_array_equal(read.vectors[:2], VECTORS[[2, 1]])
    assert not read.found[2]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=20), st.integers(1, 6), st.data())
def test_any_overlap(tmp_path: Path, numbers: list[int], size: int, data: st.DataObject) -> None:
    known = data.draw(st.lists(st.integers(0, 30), min_size=1, unique=True))
    vectors = np.random.default_rng(0).normal(size=(len(numbers), size)).astype(np.float32)
    path = tmp_path / "a.vec"
    path.write_bytes(lines([f"w{n}" for n in numbers], vectors, f"{len(numbers)} {size}\n"))
    vocab = [f"w{n}" for n in known]
    if not set(numbers) & set(known):
        with pytest.raises(UserError, match="none of the"):
            read_embeddings(path, vocab)
        return
    read = read_embeddings(path, vocab)
    assert read.found.tolist() == [n in numbers for n in known]
    for place, n in enumerate(known):
        if n in numbers:
            np.testing.assert_array_equal(read.vectors[place], vectors[numbers.index(n)])
    directions = read.directions()
    assert directions.shape == read.vectors.shape
    lengths = np.linalg.norm(directions, axis=1)
    assert (np.isclose(lengths, 1, atol=1e-4) | (lengths < 1e-3) | ~read.found).all()  # 0 where all are the mean
    np.testing.assert_allclose(lengths[~read.found], 0.1, rtol=1e-4)


def test_only_words_of_the_vocabulary_are_kept(tmp_path: Path) -> None:
    """Vectors of others are not even parsed."""
    path = tmp_path / "a.txt"
    path.write_bytes(lines(["eins"], VECTORS[:1]) + b"other no numbers at all\n" * 3)
    assert read_embeddings(path, ["eins"]).found.all()


# In a model.


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    path = tmp_path / "vectors.txt"
    path.write_bytes(lines(VOCAB[1:], np.random.default_rng(1).normal(2, 1, (47, 6)).astype(np.float32)))
    return path


def rho_of(cli: ETMCLI, name: str) -> NDArray[np.float32]:
    path = Path(cli.trainer.log_dir) / "checkpoints" / name
    return torch.load(path, weights_only=True)["state_dict"]["topics.rho"].numpy()  # type: ignore[no-any-return]


def test_frozen_vectors_without_a_warm_start_are_rho(run: Run, vectors: Path, caplog: pytest.LogCaptureFixture) -> None:
    cli = run("fit", f"--model.embeddings={vectors}", "--model.train_embeddings=false", "--model.warm_start=false")
    np.testing.assert_array_equal(rho_of(cli, "last.ckpt"), read_embeddings(vectors, VOCAB).vectors)
    tokens = cli.datamodule.training_set().token_counts()
    share = f"{tokens[1:].sum() / tokens.sum():.1%} of the tokens"
    said = f"47 of 48 words (97.9%) have a vector, {share}; the other 1 start small and random, the most frequent: "
    assert f"Embeddings: {said}{VOCAB[0]}, in {vectors}" in caplog.text


def test_a_warm_start_keeps_their_directions_and_sets_their_length(run: Run, vectors: Path) -> None:
    cli = run("fit", f"--model.embeddings={vectors}", "--model.train_embeddings=false", "--model.embedding_scale=3.0")
    rho = rho_of(cli, "last.ckpt")
    np.testing.assert_allclose(rho, 3 * read_embeddings(vectors, VOCAB).directions(), rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(rho[1:], axis=1), 3, rtol=1e-5)
    assert isinstance(cli.model, ETM)
    assert cli.model.anchor.placed


def test_vectors_are_learned_on(run: Run, vectors: Path) -> None:
    cli = run("fit", f"--model.embeddings={vectors}", "--model.warm_start=false")
    drift = np.abs(rho_of(cli, "last.ckpt") - read_embeddings(vectors, VOCAB).vectors)
    assert 0 < drift.max() < 1


def test_a_checkpoint_needs_no_vectors(run: Run, vectors: Path) -> None:
    fitted = run("fit", f"--model.embeddings={vectors}")
    checkpoint = Path(fitted.trainer.log_dir) / "checkpoints" / "last.ckpt"
    assert "embeddings" not in torch.load(checkpoint, weights_only=True)["hyper_parameters"]
    config = Path(fitted.trainer.log_dir) / "config.yaml"
    vectors.unlink()
    resumed = run("fit", f"--config={config}", f"--ckpt_path={checkpoint}", "--trainer.max_epochs=3")
    assert resumed.trainer.current_epoch == 3
    assert run("test", f"--ckpt_path={checkpoint}").trainer.state.finished
    assert ETM.load_from_checkpoint(checkpoint).rho.shape == (48, 6)


def test_check_says_the_coverage(
    run: Run, vectors: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    run("check", f"--model.embeddings={vectors}")
    assert "47 of 48 words (97.9%) have a vector" in capsys.readouterr().out


def test_the_most_frequent_words_without_a_vector_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(lines(["b"], VECTORS[:1]))
    read = read_embeddings(path, list("abcdefgh"))
    assert read.coverage(np.array([1, 60, 5, 5, 9, 8, 7, 5])) == (
        "1 of 8 words (12.5%) have a vector, 60.0% of the tokens; the other 7 start small and random, "
        "the most frequent: e, f, g, c, d, …"
    )
