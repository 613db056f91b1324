"""Vectors from fastText's own models are those that gensim and fastText give, of words they do not know as well."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etm_app.data.word_vectors.embeddings import read_embeddings
from etm_app.data.word_vectors.fasttext import FASTTEXT_MAGIC
from tests.data.word_vectors.damaged import damaged, read_or_refusal

KNOWN = ["größe", "eins", "zwei", "日本語", "a"]
VOCAB = ["einst", "größe", "größer", "日本", "a", "eins", "q"]


def model(
    size: int = 3, bucket: int = 7, grams: tuple[int, int] = (2, 3), version: int = 12, kept: int = -1, quant: int = 0
) -> bytes:
    """A model as fastText writes it, its numbers counted up from 0."""
    arguments = (size, 5, 1, 1, 5, 1, 2, 2, bucket, *grams, 100)
    words = b"".join(word.encode() + b"\0" + struct.pack("<qb", 9, 0) for word in KNOWN)
    matrix = np.arange((len(KNOWN) + bucket) * size, dtype="<f4")
    return b"".join([
        FASTTEXT_MAGIC,
        struct.pack("<i12id", version, *arguments, 0.001),
        struct.pack("<3i2q", len(KNOWN), len(KNOWN), 0, 45, kept),
        words,
        struct.pack("<b2q", quant, len(KNOWN) + bucket, size),
        matrix.tobytes(),
        b"\0 the output matrix",
    ])  # fmt: skip


@pytest.mark.parametrize(("bucket", "grams"), [(300, (3, 6)), (50, (1, 2)), (100, (2, 2))])
def test_vectors_are_those_of_gensim(tmp_path: Path, bucket: int, grams: tuple[int, int]) -> None:
    gensim = pytest.importorskip("gensim.models.fasttext", reason="gensim is not installed")
    made = gensim.FastText(
        [KNOWN * 3] * 9, vector_size=6, min_count=1, epochs=1, bucket=bucket, min_n=grams[0], max_n=grams[1], workers=1
    )
    gensim.save_facebook_model(made, str(tmp_path / "a.bin"))
    theirs = gensim.load_facebook_vectors(str(tmp_path / "a.bin"))
    ours = read_embeddings(tmp_path / "a.bin", VOCAB)
    for place, word in enumerate(VOCAB):
        if ours.found[place]:  # gensim invents a vector for a word without n-grams
            np.testing.assert_allclose(ours.vectors[place], theirs.get_vector(word), rtol=1e-4, atol=1e-6)
        assert ours.composed[place] == (ours.found[place] and word not in theirs.key_to_index)
    assert ours.found[:6].all()
    assert f"{ours.composed.sum()} of them by their parts" in ours.coverage()


def test_without_ngrams_the_words_alone_have_vectors(tmp_path: Path) -> None:
    for content in (model(bucket=0), model(grams=(3, 0)), model(kept=0)):
        (tmp_path / "a.bin").write_bytes(content)
        read = read_embeddings(tmp_path / "a.bin", VOCAB)
        assert read.found.tolist() == [word in KNOWN for word in VOCAB]
        assert read.vectors[1].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (model(quant=1), ["quantized", ".vec"]),
        (model(kept=3), ["quantized", ".vec"]),
        (model(version=99), ["version 99"]),
        (model().replace(struct.pack("<ii", 12, 3), struct.pack("<ii", 12, 2**30)), ["1073741824"]),
        (model()[:-60], ["ends within 12 rows of 3 numbers"]),
        (model()[:120], ["ends after 2 of 5 words"]),
        (model()[:30], ["cannot be read"]),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, content: bytes, names: list[str]) -> None:
    (tmp_path / "a.bin").write_bytes(content)
    said = read_or_refusal(tmp_path / "a.bin", VOCAB)
    assert isinstance(said, str)
    assert all(name in said for name in ["a.bin", *names]), said


@given(damaged(model()))
def test_any_damage(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.bin").write_bytes(content)
    read_or_refusal(tmp_path / "a.bin", VOCAB)


@settings(max_examples=20)
@given(st.text(min_size=1, max_size=8))
def test_any_word_is_asked_for(tmp_path: Path, word: str) -> None:
    (tmp_path / "a.bin").write_bytes(model())
    read_or_refusal(tmp_path / "a.bin", [word, "eins"])
