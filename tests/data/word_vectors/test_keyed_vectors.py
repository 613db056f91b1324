"""What gensim saves is read, and of what else a pickle may ask nothing happens."""

import gzip
import os
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from etm_app.data.word_vectors.embeddings import read_embeddings
from tests.data.word_vectors.damaged import damaged, read_or_refusal

WORDS = ["zwei", "größe", "eins"]
VECTORS = np.arange(12, dtype=np.float32).reshape(3, 4)
VOCAB = ["eins", "fehlt", "größe"]


class KeyedVectors:
    """Pickled as gensim's, as far as it is read."""

    def __init__(self, words: Any = WORDS, vectors: Any = VECTORS) -> None:
        self.__dict__ |= {"vector_size": 4, "index_to_key": words, "vectors": vectors, "norms": None}


@pytest.mark.parametrize("kind", ["KeyedVectors", "Word2Vec", "FastTextKeyedVectors"])
@pytest.mark.parametrize("separately", [False, True])
def test_what_gensim_saves_is_read(tmp_path: Path, kind: str, separately: bool) -> None:
    gensim = pytest.importorskip("gensim.models", reason="gensim is not installed")
    path = tmp_path / "a.kv"
    options: dict[str, Any] = {"vector_size": 4, "min_count": 1, "epochs": 1, "workers": 1}
    trained = (gensim.FastText if kind == "FastTextKeyedVectors" else gensim.Word2Vec)([WORDS] * 9, **options)
    (trained if kind == "Word2Vec" else trained.wv).save(str(path), **({"sep_limit": 1} if separately else {}))
    read = read_embeddings(path, VOCAB)
    assert read.found.tolist() == [True, kind == "FastTextKeyedVectors", True]
    np.testing.assert_allclose(read.vectors[read.found], trained.wv[np.array(VOCAB)[read.found].tolist()], rtol=1e-5)
    if separately:
        for other in tmp_path.glob("*.npy"):
            other.unlink()
        said = read_or_refusal(path, VOCAB)
        assert "npy" in str(said)
        assert "save_word2vec_format" in str(said)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<f2"])
def test_arrays_are_taken_as_numpy_does(tmp_path: Path, protocol: int, order: Any, dtype: str) -> None:
    vectors = np.array(VECTORS, dtype, order=order)
    (tmp_path / "a.kv").write_bytes(pickle.dumps(KeyedVectors(vectors=vectors), protocol))
    read = read_or_refusal(tmp_path / "a.kv", VOCAB)
    if isinstance(read, str):  # NumPy before protocol 3 and from protocol 5 on pickles through functions
        assert protocol in (2, 5)
        return
    np.testing.assert_array_equal(read.vectors[[0, 2]], VECTORS[[2, 1]])


class Attack:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("attacked",)


def test_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for attacking in (KeyedVectors(words=Attack()), Attack(), KeyedVectors(vectors=Attack()), [Attack()]):
        (tmp_path / "a.kv").write_bytes(pickle.dumps(attacking))
        assert "a.kv" in str(read_or_refusal(tmp_path / "a.kv", VOCAB))
        assert not (tmp_path / "attacked").exists()
    pickle.loads(pickle.dumps(Attack()))  # what it would do
    assert (tmp_path / "attacked").exists()


ABSURD = {
    "memo": b"\x80\x04Nr" + struct.pack("<I", 2**31) + b".",
    "bytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"ab.",
    "frame": b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b"N.",
    "words that are none": pickle.dumps(KeyedVectors(words=[1, 2, 3])),
    "too many words": pickle.dumps(KeyedVectors(words=[*WORDS, "vier"])),
    "objects": pickle.dumps(KeyedVectors(vectors=VECTORS.astype(object))),
    "one dimension": pickle.dumps(KeyedVectors(vectors=VECTORS[0])),
    "a list": pickle.dumps(WORDS),
    "packed": gzip.compress(pickle.dumps(KeyedVectors())),
}


@pytest.mark.parametrize("name", ABSURD)
def test_absurd_pickles_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"a.kv{'.gz' if name == 'packed' else ''}"
    path.write_bytes(ABSURD[name])
    said = read_or_refusal(path, VOCAB)
    assert isinstance(said, str)
    assert ("gunzip" if name == "packed" else "save_word2vec_format") in said


@given(damaged(pickle.dumps(KeyedVectors(), 4)))
def test_any_damage(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.kv").write_bytes(content)
    read_or_refusal(tmp_path / "a.kv", VOCAB)
