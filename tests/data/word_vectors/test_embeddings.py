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


def glove(*rows: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "a.txt").write_text("".join(f"{row}\n" for row in rows))


def raw(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


BROKEN: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "missing": (lambda folder: None, ["no file"]),
    "line cut": (glove("zwei 1 2 3", "the 1 2 3", "eins 1 2"), ["line 3", "a.txt", "'eins 1 2'", "3 numbers"]),
    "no numbers": (glove("zwei 1 2 3", "eins 1 two 3"), ["line 2", "'eins 1 two 3'"]),
    "a word alone": (glove("eins"), ["line 1", "'eins'"]),
    "header and another width": (glove("2 4", "eins 1 2 3"), ["line 2", "4 numbers"]),
    "not finite": (glove("eins 1 nan 3"), ["'eins'", "not finite"]),
    "other words": (glove("one 1 2", "two 3 4"), ["none of the 4 words", "eins", "case"]),
    "empty": (glove(), ["none of the 4 words"]),
    "gzip cut": (raw("a.txt.gz", gzip.compress(lines(WORDS, VECTORS))[:-30]), ["a.txt.gz", "cannot be read"]),
    "no gzip": (raw("a.txt.gz", lines(WORDS, VECTORS)), ["a.txt.gz", "cannot be read"]),
    "binary cut": (raw("a.bin", binary(WORDS, VECTORS)[:-3]), ["after 5 of 6 words", "cut"]),
    "binary of text": (raw("a.bin", lines(WORDS, VECTORS)), ["a.bin", "first line"]),
    "binary of absurd width": (raw("a.bin", b"9 99999999999\nno vectors"), ["a.bin", "65,536"]),
    "binary of one word": (raw("a.bin", b"1 5\n" + b"a" * 99_999), ["after 0 of 1 words"]),
    "one endless line": (raw("a.txt.gz", gzip.compress(bytes(1 << 23))), ["line 1", "65536 numbers"]),
    "a model of fastText": (
        raw("a.bin", (793712314).to_bytes(4, "little") + b"\x0c" * 99),
        ["a.bin", "fastText", ".vec"],
    ),
    "npz without vectors": (lambda folder: np.savez(folder / "a.npz", words=["eins"]), ["a.npz", "vectors"]),
    "npz of other sizes": (lambda folder: write_npz(folder / "a.npz", ["eins"], VECTORS), ["a.npz", "(6, 5)"]),
    "npz of numbers": (lambda folder: write_npz(folder / "a.npz", [1.0], VECTORS[:1]), ["a.npz", "strings"]),
    "npz cut": (raw("a.npz", b"PK\x03\x04 no archive"), ["a.npz", "cannot be read"]),
}


@pytest.mark.parametrize(("write", "names"), BROKEN.values(), ids=BROKEN)
def test_broken_files_are_named(tmp_path: Path, write: Callable[[Path], object], names: list[str]) -> None:
    write(tmp_path)
    path = next(tmp_path.glob("a.*"), tmp_path / "a.txt")
    with pytest.raises(UserError, match=r"model\.embeddings") as caught:
        read_embeddings(path, KNOWN)
    assert all(name in str(caught.value) for name in names), str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


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


def test_another_dimension_is_named(run: Run, vectors: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for subcommand in ("fit", "check"):
        with pytest.raises(SystemExit) as stop:
            run(subcommand, f"--model.embeddings={vectors}", "--model.rho_size=7")
        assert stop.value.code == 2
        said = capsys.readouterr().err
        assert "set --model.rho_size 6" in said
        assert "model.rho_size: 7" in said


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
