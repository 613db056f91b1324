"""Word vectors are trained on the training documents in the order of their words, the same each time."""

import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etm_app.cli.main import main
from etm_app.data.text.texts import TextDataModule
from etm_app.data.word_vectors import skip_gram
from etm_app.data.word_vectors.embeddings import read_embeddings
from etm_app.data.word_vectors.skip_gram import SkipGram, train_skip_gram
from etm_app.data.word_vectors.word2vec import is_own_word2vec
from etm_app.errors import UserError
from tests.conftest import SMALL

pytest.importorskip("gensim", reason="gensim is not installed")

ANIMALS, COLOURS = ["cat", "dog", "horse", "mouse"], ["blue", "green", "red", "white"]
Embed = Callable[..., Path]
Error = Callable[[Callable[[], object]], str]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """Each text is of animals or of colours; those that do not train are all of one word."""
    draw = random.Random(0)
    rows = [f"train,{' '.join(draw.choices(draw.choice([ANIMALS, COLOURS]), k=20))} the" for _ in range(200)]
    rows += [f"{split},secret cat secret dog" for split in ("val", "test")] * 5
    path = tmp_path / "texts.csv"
    path.write_text("\n".join(["split,text", *rows]))
    return path


@pytest.fixture
def embed(tmp_path: Path, texts: Path) -> Embed:
    """The command line; returns the file that it wrote."""

    def of(*args: str, name: str = "vectors.txt") -> Path:
        data = [f"--data.files={texts}", "--data.split_column=split", "--data.min_df=2", "--data.max_df=1.0"]
        where = [f"--data.cache_dir={tmp_path / 'cache'}", f"--trainer.default_root_dir={tmp_path}"]
        small = ["--embeddings.vector_size=6", "--embeddings.epochs=3"]
        main(["embed", *data, *where, *small, f"--embeddings.path={tmp_path / name}", *args])
        return tmp_path / name

    return of


def data_module(texts: Path, tmp_path: Path, **kwargs: Any) -> TextDataModule:
    options: dict[str, Any] = {"split_column": "split", "min_df": 2, "max_df": 1.0, "cache_dir": tmp_path / "cache"}
    return TextDataModule(str(texts), **{**options, **kwargs})


def test_words_that_stand_together_are_alike(embed: Embed, capsys: pytest.CaptureFixture[str]) -> None:
    path = embed("--embeddings.epochs=30")
    said = capsys.readouterr().out
    assert "Vectors of 8 words, 6 dimensions, from 4,000 tokens of 200 training documents" in said
    assert f"--model.embeddings {path} --model.rho_size 6" in said
    read = read_embeddings(path, [*ANIMALS, *COLOURS, "secret"])
    assert read.found.tolist() == [True] * 8 + [False]
    directions = read.directions()[:8]
    alike = directions @ directions.T
    assert alike[:4, :4].min() > alike[:4, 4:].max()
    assert alike[4:, 4:].min() > alike[:4, 4:].max()


def test_the_same_seed_gives_the_same_file_and_another_seed_another(embed: Embed) -> None:
    one, two, other = (embed(f"--embeddings.seed={seed}", name=f"new/{seed}.vec").read_bytes() for seed in (1, 1, 2))
    assert one == two != other


def test_binary_and_text_hold_the_same_and_gensim_reads_both(embed: Embed) -> None:
    from gensim.models import KeyedVectors

    paths = [embed(name="a.vec"), embed(name="a.bin")]
    theirs = [KeyedVectors.load_word2vec_format(path, binary=path.suffix == ".bin") for path in paths]
    assert theirs[0].index_to_key == theirs[1].index_to_key
    np.testing.assert_array_equal(theirs[0].vectors, theirs[1].vectors)
    ours = [read_embeddings(path, theirs[0].index_to_key).vectors for path in paths]
    np.testing.assert_array_equal(ours, [theirs[0].vectors] * 2)


def test_with_min_count_the_words_are_those_of_the_texts(embed: Embed) -> None:
    path = embed("--data.max_vocab=3", "--embeddings.min_count=2")
    assert read_embeddings(path, [*ANIMALS, *COLOURS]).found.all()
    assert read_embeddings(embed("--data.max_vocab=3"), [*ANIMALS, *COLOURS]).found.sum() == 3


def test_a_model_starts_from_them(embed: Embed, texts: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = embed()
    args = [f"--data.files={texts}", "--data.split_column=split", "--data.min_df=2", "--data.max_df=1.0"]
    where = [f"--data.cache_dir={tmp_path / 'cache'}", f"--trainer.default_root_dir={tmp_path}"]
    fitted = main(["fit", *args, *where, *SMALL, f"--model.embeddings={path}", "--data.steps_per_epoch=null"])
    assert "8 of 8 words (100.0%) have a vector, 100.0% of the tokens" in caplog.text
    config = Path(fitted.trainer.log_dir) / "config.yaml"
    before = path.read_bytes()
    main(["embed", f"--config={config}", f"--embeddings.path={path}", "--embeddings.vector_size=6"])  # its own file
    assert path.read_bytes() != before


def test_streams_are_the_documents_words_in_order(texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut as for the counts, those of train alone; long ones in pieces that gensim takes whole."""
    monkeypatch.setattr(skip_gram, "LONGEST", 6)
    data = data_module(texts, tmp_path)
    streams = skip_gram._Streams.of(data.training_texts(), data.vectorizer.analyzer, tmp_path)
    lines = [
        row.partition(",")[2].split()[:-1] for row in texts.read_text().splitlines()[1:] if row.startswith("train")
    ]
    expected = [line[start : start + 6] for line in lines for start in range(0, 20, 6)]
    assert [*streams] == [*streams] == expected
    assert (streams.num_sentences, streams.num_documents, streams.num_words) == (800, 200, 4000)
    counts = dict(streams.frequencies.iter_rows())
    assert sum(counts.values()) == 4000
    assert counts["cat"] == sum(line.count("cat") for line in lines)


def test_words_with_white_space_are_left_out_and_said(
    embed: Embed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pairs_of.py").write_text("def cut(text):\n    return ['big cat', *text.split()]\n")
    monkeypatch.syspath_prepend(tmp_path)
    path = embed("--data.tokenizer=pairs_of.cut")
    assert "'big cat'" in capsys.readouterr().out
    assert not read_embeddings(path, ["big cat", "cat"]).found[0]


def test_without_gensim(embed: Embed, error: Error, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gensim.models", None)
    assert 'pip install "etm_app[skipgram]"' in error(embed)
    assert not [*tmp_path.glob("*vectors*")]


def test_a_file_of_others_is_replaced_where_that_is_said(embed: Embed, tmp_path: Path) -> None:
    other = tmp_path / "glove.txt"
    other.write_text("8 6\ncat 1 2 3 4 5 6\n")
    assert not is_own_word2vec(other)
    assert is_own_word2vec(embed("--embeddings.overwrite=true", name="glove.txt"))


class Stopped(BaseException):
    """As an interrupt."""


def test_interrupted_it_leaves_nothing(texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    advanced: list[int] = []

    def stop(*_: object) -> None:
        raise Stopped

    def advance(*_: object) -> None:
        advanced.append(1)
        if len(advanced) == 5:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(skip_gram.Progress, "advance", advance)
    handler = signal.signal(signal.SIGINT, stop)
    try:
        with pytest.raises(Stopped):
            train_skip_gram(SkipGram(tmp_path / "v.txt", epochs=10_000), data_module(texts, tmp_path))
    finally:
        signal.signal(signal.SIGINT, handler)
    assert not [*tmp_path.glob("*v.txt*")]


def test_checkpoints_words_are_cut_as_they_were(texts: Path, tmp_path: Path) -> None:
    data = data_module(texts, tmp_path)
    data.use(["cat", "red"], None)
    trained = train_skip_gram(SkipGram(tmp_path / "v.txt", vector_size=3, epochs=1), data)
    assert trained.num_words == 2
    data.use(["cat"], None)
    with pytest.raises(UserError, match="two at least"):
        train_skip_gram(SkipGram(tmp_path / "v.txt", vector_size=3, epochs=1), data)
