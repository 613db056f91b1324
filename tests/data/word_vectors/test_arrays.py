"""A matrix in .safetensors has its words beside it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from numpy.typing import NDArray

from etm_app.data.word_vectors.embeddings import read_embeddings
from tests.data.word_vectors.damaged import damaged, read_or_refusal

VOCAB = ["eins", "fehlt", "größe"]
VECTORS = np.arange(20, dtype=np.float32).reshape(5, 4)
WORDS = ["[UNK]", "zwei", "größe", "##eins", "eins"]


def safetensors(arrays: dict[str, tuple[str, NDArray[Any]]], **metadata: str) -> bytes:
    header: dict[str, Any] = {"__metadata__": metadata}
    content = b""
    for name, (dtype, array) in arrays.items():
        offsets = [len(content), len(content) + array.nbytes]
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": offsets}
        content += array.tobytes()
    encoded = json.dumps(header).encode()
    return len(encoded).to_bytes(8, "little") + encoded + content


def tokenizer(vocab: Any) -> str:
    return json.dumps({"version": "1.0", "model": {"type": "any", "vocab": vocab}})


BESIDE = {
    "a word a line": ("vocab.txt", "\n".join(WORDS)),
    "WordPiece": ("tokenizer.json", tokenizer({word: row for row, word in enumerate(WORDS)})),
    "Unigram": (
        "tokenizer.json",
        tokenizer([["<unk>", 0], ["▁zwei", -1.5], ["▁größe", -2], ["eins", -3], ["▁eins", -4]]),
    ),
    "BPE": ("tokenizer.json", tokenizer({"<s>": 0, "Ġzwei": 1, "Ġgröße": 2, "eins": 3, "Ġeins": 4})),
}
DTYPES = {
    "F16": VECTORS.astype("<f2"),
    "BF16": (VECTORS.view("<u4") >> 16).astype("<u2"),
    "F32": VECTORS,
    "F64": VECTORS.astype("<f8"),
}


def write(folder: Path, content: bytes, beside: str = "a word a line") -> Path:
    name, words = BESIDE[beside]
    (folder / name).write_text(words, encoding="utf-8")
    (folder / "model.safetensors").write_bytes(content)
    return folder / "model.safetensors"


@pytest.mark.parametrize("beside", BESIDE)
@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_have_the_words_beside_them(tmp_path: Path, beside: str, dtype: str) -> None:
    counted = ("I64", np.arange(3))
    read = read_embeddings(
        write(tmp_path, safetensors({"other": counted, "embeddings": (dtype, DTYPES[dtype])}, format="pt"), beside),
        VOCAB,
    )
    assert read.found.tolist() == [True, False, True]
    np.testing.assert_array_equal(read.vectors[[0, 2]], VECTORS[[4, 2]])


def test_tokens_may_share_rows(tmp_path: Path) -> None:
    mapping = ("I32", np.array([0, 0, 3, 0, 3], np.int32))
    read = read_embeddings(write(tmp_path, safetensors({"embeddings": ("F32", VECTORS), "mapping": mapping})), VOCAB)
    np.testing.assert_array_equal(read.vectors[[0, 2]], VECTORS[[3, 3]])


GOOD = safetensors({"embeddings": ("F32", VECTORS)})
WRONG = {
    "two matrices": (safetensors({"a": ("F32", VECTORS), "b": ("F32", VECTORS)}), "2 matrices"),
    "integers": (safetensors({"a": ("I8", VECTORS.astype(np.int8))}), "0 matrices"),
    "a row too few": (safetensors({"a": ("F32", VECTORS[:4])}), "'eins' has the row 4 of 4"),
    "cut": (GOOD[:-1], "is cut"),
    "an absurd header": ((1 << 62).to_bytes(8, "little") + b"{}", "header of 4,611,686,018,427,387,904 bytes"),
    "an absurd shape": (GOOD.replace(b"[5, 4]", b"[5, 9]"), "is cut"),
    "a header of brackets": ((99_999).to_bytes(8, "little") + b"[" * 99_999, "cannot be read"),
    "empty": (b"", "header"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said(tmp_path: Path, name: str) -> None:
    content, expected = WRONG[name]
    said = read_or_refusal(write(tmp_path, content), VOCAB)
    assert isinstance(said, str)
    assert expected in said
    assert "vocab.txt or tokenizer.json" in said


@pytest.mark.parametrize(
    "words", [None, "no JSON", "[]", '{"model": {"vocab": [1]}}', '{"model": {"vocab": {"eins": "x"}}}']
)
def test_words_that_cannot_be_told(tmp_path: Path, words: str | None) -> None:
    path = write(tmp_path, GOOD)
    (tmp_path / "vocab.txt").unlink()
    if words is not None:
        (tmp_path / "tokenizer.json").write_text(words)
    assert "tokenizer.json" in str(read_or_refusal(path, VOCAB))


@given(damaged(GOOD))
def test_any_damage(tmp_path: Path, content: bytes) -> None:
    read_or_refusal(write(tmp_path, content), VOCAB)


@given(damaged(BESIDE["Unigram"][1].encode()))
def test_any_damage_of_the_words(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path, GOOD, "Unigram")
    (tmp_path / "tokenizer.json").write_bytes(content)
    read_or_refusal(path, VOCAB)


def test_any_damage_of_compressed_arrays(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, words=np.array(WORDS), vectors=VECTORS)
    whole = path.read_bytes()
    for at in range(0, len(whole), 3):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        read_or_refusal(path, VOCAB)
