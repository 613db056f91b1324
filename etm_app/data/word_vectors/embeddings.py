"""Pre-trained word vectors from files, of the words of a vocabulary alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from etm_app.data.expansion import opened
from etm_app.data.word_vectors.arrays import read_npz, read_safetensors
from etm_app.data.word_vectors.fasttext import FASTTEXT_MAGIC, read_fasttext
from etm_app.data.word_vectors.keyed_vectors import PICKLE_MAGICS, read_keyed_vectors
from etm_app.data.word_vectors.word2vec import Vectors, read_binary, read_text
from etm_app.errors import UserError, reading

__all__ = ["Embeddings", "read_embeddings"]

MISSING_SCALE = 0.1  # length of the vectors of words that have none, against that of the others
NUM_MISSING = 5  # words without a vector that are named


@dataclass(frozen=True)
class Embeddings:
    """Vectors for a vocabulary.

    Attributes:
        vocab: The V words.
        vectors: float32 [V, L]; small random ones for words that the file has no vector for.
        found: Which words it has one for, [V].
        composed: Which of them are not in the file themselves, but their parts are, [V].
        path: The file that they are from.
    """

    vocab: Sequence[str]
    vectors: NDArray[np.float32]
    found: NDArray[np.bool_]
    composed: NDArray[np.bool_]
    path: Path

    def directions(self) -> NDArray[np.float32]:
        """The vectors for a warm start: less their mean, which no topic needs, and of length 1; [V, L].

        Those of words that the file does not have stay short: such a word belongs to no topic in the beginning.
        """
        directions = self.vectors.copy()
        directions[self.found] -= self.vectors[self.found].mean(axis=0)
        directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
        directions[~self.found] *= MISSING_SCALE
        return directions

    def coverage(self, tokens: NDArray[np.generic] | None = None) -> str:
        """How many words have a vector, in words.

        Args:
            tokens: How often each word is in the training documents, [V], if that is known.
        """
        num_found, num_words = int(self.found.sum()), len(self.found)
        said = f"{num_found:,} of {num_words:,} words ({num_found / num_words:.1%}) have a vector"
        if tokens is not None:
            said += f", {tokens[self.found].sum() / max(tokens.sum(), 1):.1%} of the tokens"
        if num_composed := int(self.composed.sum()):
            said += f", {num_composed:,} of them by their parts"
        missing = np.flatnonzero(~self.found)
        if not len(missing):
            return said
        said += f"; the other {len(missing):,} start small and random"
        if tokens is not None:
            missing = missing[np.argsort(-tokens[missing].astype(np.float64), kind="stable")]
            more = ", …" if len(missing) > NUM_MISSING else ""
            said += f", the most frequent: {', '.join(self.vocab[word] for word in missing[:NUM_MISSING])}{more}"
        return said


def read_embeddings(path: Path, vocab: Sequence[str], seed: int = 0, size: int | None = None) -> Embeddings:
    """Read the vectors of a vocabulary; those of other words are skipped, and never in memory.

    Args:
        path: word2vec's text or binary format (``.bin``), GloVe's or fastText's text (``.vec``), all of these also
            gzipped (``.gz``); a model of fastText (``.bin``), which has a vector for any word made of its n-grams; what
            gensim saves (``.kv``, ``.model``); ``.safetensors`` with the words beside it; or a NumPy ``.npz`` with
            arrays ``words`` [N] and ``vectors`` [N, L].
        vocab: The V words; the case matters.
        seed: Of the vectors of words that the file does not have.
        size: L that they must have, where that is known.

    Raises:
        UserError: The file is missing or damaged, has none of the words, or vectors of another size.
    """
    path = path.expanduser()
    if not path.is_file():
        raise UserError(
            f"model.embeddings: there is no file {path}; expected word vectors: embed trains some on your texts."
        )
    places = {word.encode(): place for place, word in enumerate(vocab)}
    vectors = np.empty((0, 0), np.float32)
    found, composed = np.zeros(len(vocab), bool), np.zeros(len(vocab), bool)
    with reading(
        (OSError, EOFError),
        lambda what: UserError(f"model.embeddings: {path} {what}; expected word vectors."),
    ):
        for place, vector, whole in _vectors(path, places):
            if size is not None and len(vector) != size:
                raise UserError(
                    f"model.rho_size: {size}, but the vectors in {path} have {len(vector)} dimensions; "
                    f"expected as many: set --model.rho_size {len(vector)}."
                )
            if not len(vectors):
                vectors = np.empty((len(vocab), len(vector)), np.float32)
            if found[place]:
                continue  # where a file repeats a word, the first is the more frequent spelling
            if not np.isfinite(vector).all():
                raise UserError(
                    f"model.embeddings: {path} has a vector for {vocab[place]!r} that is not finite; expected numbers."
                )
            vectors[place] = vector
            found[place], composed[place] = True, not whole
    if not found.any():
        raise UserError(
            f"model.embeddings: {path} has none of the {len(vocab):,} words of the vocabulary ({', '.join(vocab[:3])}, "
            "…); expected most: is it of this language, and is its case that of the vocabulary?"
        )
    scale = MISSING_SCALE * float(np.sqrt(np.mean(vectors[found].astype(np.float64) ** 2)))
    random = np.random.default_rng(seed).normal(0, scale, vectors.shape)
    vectors[~found] = random[~found]
    return Embeddings(vocab, vectors, found, composed, path)


def _vectors(path: Path, places: dict[bytes, int]) -> Vectors:
    """The vectors of the words in ``places`` with their places, as they come."""
    name = path.name.removesuffix(".gz")
    gzipped = name != path.name
    if path.suffix == ".npz":
        yield from read_npz(path, places)
        return
    if path.suffix == ".safetensors":
        yield from read_safetensors(path, places)
        return
    with opened(path, f"model.embeddings: {path}") as file:
        start = file.peek(4)[:4]
        mapped = (
            read_fasttext if start == FASTTEXT_MAGIC else read_keyed_vectors if start[:2] in PICKLE_MAGICS else None
        )
        if mapped is None:
            yield from (read_binary if name.endswith(".bin") else read_text)(path, file, places)
        elif gzipped:
            raise UserError(f"model.embeddings: {path} is packed; expected it unpacked: gunzip --keep {path}.")
        else:
            yield from mapped(path, places)
