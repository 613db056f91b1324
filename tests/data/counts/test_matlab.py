"""Arrays in MATLAB files: as SciPy reads them where they are whole, and refused where they are not."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as drawn
from numpy.typing import NDArray
from scipy.io import loadmat, savemat

from etm_app.data.counts.matlab import read_matlab
from etm_app.errors import UserError

DAMAGES = (ValueError, struct.error, zlib.error)
dtypes = st.sampled_from(["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8", ">i4", ">f8"])
arrays = dtypes.flatmap(lambda dtype: drawn.arrays(dtype, drawn.array_shapes(min_dims=2, max_dims=3, min_side=0)))


def cells(of: list[NDArray[np.generic]]) -> NDArray[np.object_]:
    array = np.empty((1, len(of)), object)
    for place, cell in enumerate(of):
        array[0, place] = cell
    return array


def written(path: Path, variables: dict[str, object], compressed: bool = False) -> Path:
    savemat(path, variables, do_compression=compressed)
    return path


@given(arrays, st.booleans())
def test_numbers_are_those_of_scipy(tmp_path: Path, array: NDArray[np.generic], compressed: bool) -> None:
    path = written(tmp_path / "a.mat", {"tokens": array, "counts": np.arange(3)}, compressed)
    found, expected = read_matlab(path, "a.mat"), loadmat(path)
    assert [*found] == ["tokens", "counts"]
    np.testing.assert_array_equal(found["tokens"], expected["tokens"])
    np.testing.assert_array_equal(found["counts"], expected["counts"])


@given(st.lists(arrays, min_size=1, max_size=5), st.booleans())
def test_cells_are_those_of_scipy(tmp_path: Path, of: list[NDArray[np.generic]], compressed: bool) -> None:
    path = written(tmp_path / "a.mat", {"tokens": cells(of)}, compressed)
    tokens = read_matlab(path, "a.mat")["tokens"]
    assert isinstance(tokens, list)
    for found, expected in zip(tokens, loadmat(path)["tokens"].ravel(), strict=True):
        np.testing.assert_array_equal(found, expected)


OTHERS: dict[str, object] = {
    "text": "made by hand",
    "a struct": {"a": 1},
    "cells of text": np.array([["one", "two"]], object),
    "cells of cells": cells([cells([np.arange(3)])]),
    "complex": np.array([1j, 2]),
    "sparse": sp.csc_array(np.eye(3)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_of_no_numbers_is_left_out(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / "a.mat", {"other": OTHERS[name], "tokens": np.arange(4)})
    found = read_matlab(path, "a.mat")
    assert found["other"] is None
    np.testing.assert_array_equal(found["tokens"], [[0, 1, 2, 3]])


@given(st.data(), st.booleans())
def test_a_damaged_file_is_refused_or_read(tmp_path: Path, data: st.DataObject, compressed: bool) -> None:
    """SciPy's reader ends the process where the kind of an element is one that there is not."""
    content = bytearray(
        written(tmp_path / "a.mat", {"tokens": cells([np.arange(n) for n in range(4)])}, compressed).read_bytes()
    )
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(126, len(content) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "b.mat").write_bytes(content[: data.draw(st.integers(120, len(content)))])
    try:
        found = read_matlab(tmp_path / "b.mat", "b.mat")
    except DAMAGES:
        return
    assert all(array is None or isinstance(array, list | np.ndarray) for array in found.values())


def element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def of_one(shape: tuple[int, ...], data: bytes, kind: int = 6) -> bytes:
    """A file of one array."""
    parts = element(6, struct.pack("<II", kind, 0)) + element(5, np.array(shape, "<i4").tobytes()) + element(1, b"x")
    return bytes(124) + b"\x00\x01IM" + element(14, parts + data)


ABSURD = {
    "sizes of nothing": of_one((2**31 - 1, 0), element(9, b"")),
    "more than there is": of_one((2**31 - 1, 2**31 - 1), element(9, bytes(8))),
    "cells that are not there": of_one((2**31 - 1, 1), b"", kind=1),
    "a kind that there is not": of_one((1, 1), element(12_345, bytes(8))),
    "a kind of no numbers": of_one((1, 1), element(16, bytes(8))),
    "a variable that is none": bytes(124) + b"\x00\x01IM" + element(9, bytes(8)),
    "no header": b"tokens",
    "HDF5": b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(400),
}


@pytest.mark.parametrize("content", ABSURD.values(), ids=ABSURD)
def test_absurd_ones_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(DAMAGES):
        read_matlab(tmp_path / "a.mat", "a.mat")


def test_what_expands_absurdly_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etm_app.data.expansion.ALWAYS_EXPANDED", 1_000)
    path = written(tmp_path / "a.mat", {"tokens": np.zeros(1_000_000)}, compressed=True)
    with pytest.raises(UserError, match="expands to"):
        read_matlab(path, "a.mat")
