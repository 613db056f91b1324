"""What gensim saves: a pickle, with large arrays in files beside it; nothing of it is run."""

import mmap
import pickle
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from etm_app.data.vocabulary import check_memo
from etm_app.data.word_vectors.fasttext import compose
from etm_app.data.word_vectors.word2vec import LARGEST, Vectors
from etm_app.errors import UserError, reading

__all__ = ["PICKLE_MAGICS", "read_keyed_vectors"]

PICKLE_MAGICS = [b"\x80" + bytes([protocol]) for protocol in range(2, 6)]
WORDS = ("index_to_key", "index2word")  # as gensim calls them since 4.0, and before


class _Inert:
    """In place of every class and function that a pickle names: keeps what it would have been made of."""

    args: tuple[Any, ...] = ()
    state: Any = None

    def __init__(self, *args: Any) -> None:
        self.args = args

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _InertUnpickler(pickle.Unpickler):
    """Imports nothing and calls nothing of what a pickle names."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        return _Inert


def read_keyed_vectors(path: Path, places: dict[bytes, int]) -> Vectors:
    """The vectors of gensim's KeyedVectors, or of a model that has some, as ``save`` writes them."""
    remedy = f'KeyedVectors.load("{path}").save_word2vec_format("vectors.bin", binary=True)'
    with reading(
        (Exception,),  # a damaged pickle raises anything
        lambda what: UserError(
            f"model.embeddings: {path} {what}; expected word vectors that gensim saved, and what it saved beside them: "
            f"or write them anew, {remedy}."
        ),
    ):
        attributes, prefix = _attributes(path)

        def matrix(name: str) -> NDArray[np.floating[Any]]:
            """An array that is saved with the others, or in a file of its own."""
            if isinstance(pickled := attributes.get(name), _Inert):
                array = _array(pickled)
            else:
                array = np.load(path.with_name(f"{path.name}.{prefix}{name}.npy"), mmap_mode="r", allow_pickle=False)
            if array.ndim != 2 or array.dtype.kind != "f" or not 0 < array.shape[1] <= LARGEST:
                raise ValueError(f"{name} are {array.dtype} {array.shape}")
            return array

        words = next((attributes[name] for name in WORDS if name in attributes), None)
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError("it holds no list of words")
        rows = {places[word.encode()]: row for row, word in enumerate(words) if word.encode() in places}
        of_words = matrix("vectors_vocab" if "bucket" in attributes else "vectors")
        if len(words) > len(of_words):
            raise ValueError(f"{len(of_words):,} vectors for {len(words):,} words")
        # Of fastText, which makes a word's vector of its own and those of its n-grams.
        ngrams = matrix("vectors_ngrams") if attributes.get("bucket") else of_words[:0]
        lengths = (int(attributes.get("min_n", 0)), int(attributes.get("max_n", 0)))
        yield from compose(places, rows, of_words, ngrams, lengths)


def _attributes(path: Path) -> tuple[dict[str, Any], str]:
    """What the vectors are made of, and what the names of files of their own have before their name."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        check_memo(file_like := cast(IO[bytes], content))
        saved = _InertUnpickler(file_like).load()
    of_model = saved.state.get("wv")
    return (saved.state, "") if of_model is None else (of_model.state, "wv.")


def _array(pickled: _Inert) -> NDArray[Any]:
    """An array of plain numbers, from what NumPy's pickles hold of one."""
    _, shape, dtype, in_fortran_order, content = pickled.state
    kind, (_, byte_order, *_) = dtype.args[0], dtype.state
    if kind not in ("f2", "f4", "f8"):
        raise ValueError(f"an array of {kind!r}")
    return np.frombuffer(content, byte_order + kind).reshape(shape, order="F" if in_fortran_order else "C")
