"""Numbers in MATLAB 5 files, as strangers make them: SciPy's own reader trusts these, and ends the process at some.

The format: https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf.
"""

import struct
import zlib
from collections.abc import Iterator
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from etm_app.data.expansion import PIECE, check_expansion

__all__ = ["Array", "read_matlab"]

Numbers = NDArray[np.generic]
Array = Numbers | list[Numbers]  # a list is a cell array, flat

HEADER = 128  # bytes before the first variable, the last two of which are the order of bytes
ORDERS = {b"IM": "<", b"MI": ">"}
HDF = b"MATLAB 7.3"  # what starts with it is HDF5
# Kinds of elements: of numbers with their types, arrays, and compressed ones.
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
ARRAY, COMPRESSED = 14, 15
CELLS, OF_NUMBERS = 1, range(6, 16)  # classes of arrays: flags, of which these are the last eight bits
COMPLEX = 0x800
MOST_OF_NOTHING = 1_000_000  # rows without columns


def read_matlab(path: Path, what: str) -> dict[str, Array | None]:
    """The arrays of numbers in a file, and the cell arrays of such, by their names; None for what is something else.

    Args:
        path: The file.
        what: The file for messages, after the argument that names it.

    Raises:
        ValueError, struct.error, zlib.error: It is damaged, or of another version.
        UserError: It expands absurdly.
    """
    content = memoryview(path.read_bytes())
    if (order := ORDERS.get(bytes(content[HEADER - 2 : HEADER]))) is None:
        raise ValueError("it has no header of a MATLAB 5 file: save it with -v7")
    if bytes(content[: len(HDF)]) == HDF:
        raise ValueError("it is of MATLAB 7.3, another format: save it with -v7")
    found: dict[str, Array | None] = {}
    expanded = 0
    for kind, data in _elements(content[HEADER:], order):
        if kind == COMPRESSED:
            data = _decompressed(data, what, len(content), expanded)
            expanded += len(data)
            ((kind, data),) = _elements(data, order)
        if kind != ARRAY:
            raise ValueError(f"a variable of the kind {kind}")
        name, array = _array(data, order)
        found[name] = array
    return found


def _decompressed(data: memoryview, what: str, size: int, expanded: int) -> memoryview:
    expander, pieces, rest = zlib.decompressobj(), list[bytes](), bytes(data)
    while piece := expander.decompress(rest, PIECE):
        pieces.append(piece)
        expanded += len(piece)
        check_expansion(what, expanded, size)
        rest = expander.unconsumed_tail
    return memoryview(b"".join(pieces))


def _elements(content: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """The kinds and bytes of elements that follow each other."""
    at = 0
    while at < len(content):
        kind, size = struct.unpack_from(f"{order}II", content, at)
        if kind >> 16:  # up to four bytes stand beside their kind and size
            kind, size, start, end = kind & 0xFFFF, kind >> 16, at + 4, at + 8
            fits = size <= 4
        else:
            start = at + 8
            end = start + size + (0 if kind == COMPRESSED else -size % 8)
            fits = start + size <= len(content)
        if not fits:
            raise ValueError(f"it is cut, or damaged, before {size:,} bytes of the kind {kind}")
        yield kind, content[start : start + size]
        at = end


def _array(data: memoryview, order: str, is_cell: bool = False) -> tuple[str, Array | None]:
    """The name of an array, and the array where it is of numbers, or of cells of these."""
    if not data:  # an empty cell
        return "", np.empty(0)
    parts = _elements(data, order)
    (_, flags), (_, shape), (_, name) = (next(parts, (0, data[:0])) for _ in range(3))
    (kind,) = struct.unpack_from(f"{order}I", flags)
    lengths = np.frombuffer(shape, f"{order}i4").tolist()
    array: Array | None = None
    if kind & 0xFF == CELLS and not is_cell:
        cells = [_array(cell, order, is_cell=True)[1] for of, cell in parts if of == ARRAY]
        if len(cells) != prod(lengths):
            raise ValueError(f"{len(cells):,} cells, of {lengths}")
        of_numbers = [cell for cell in cells if isinstance(cell, np.ndarray)]
        array = of_numbers if len(of_numbers) == len(cells) else None
    elif kind & 0xFF in OF_NUMBERS and not kind & COMPLEX:
        of, numbers = next(parts, (0, data[:0]))
        if of not in NUMBERS:
            raise ValueError(f"an array of elements of the kind {of}")
        array = np.frombuffer(numbers, f"{order}{NUMBERS[of]}").reshape(lengths, order="F")
        if not array.size and max(lengths, default=0) > MOST_OF_NOTHING:
            raise ValueError(f"an array of {lengths}, in which there is nothing")
    return bytes(name).decode("latin-1"), array
