"""Files that are not what they say: whatever is wrong with them, a user is told in a line, and memory is not spent."""

import tracemalloc
from collections.abc import Sequence
from pathlib import Path

from hypothesis import strategies as st

from etm_app.data.word_vectors.embeddings import Embeddings, read_embeddings
from etm_app.errors import UserError

__all__ = ["damaged", "read_or_refusal"]

MEMORY = 100 << 20


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """A file with some bytes changed, or cut, or both."""
    changed = bytearray(content)
    for place in draw(st.lists(st.integers(0, len(content) - 1), max_size=4)):
        changed[place] = draw(st.one_of(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]), st.integers(0, 255)))
    return bytes(changed[: draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))])


def read_or_refusal(path: Path, vocab: Sequence[str]) -> Embeddings | str:
    """What is read of a file, or the one line that says why it is not; in little memory either way."""
    tracemalloc.start()
    try:
        return read_embeddings(path, vocab)
    except UserError as error:
        said = str(error)
        assert "model.embeddings: " in said
        assert len(said.splitlines()) == 1
        assert len(said) < 700, said
        return said
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < MEMORY
