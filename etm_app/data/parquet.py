"""What a Parquet file expands to, told by its footer and the headers of its pages before anything is decoded.

Polars trusts these: a page of a hundred bytes may hold two thousand million values, or bytes. The format:
https://parquet.apache.org/docs/file-format, in Thrift's compact protocol.
"""

import mmap
from collections.abc import Collection
from pathlib import Path
from typing import Any

from etm_app.data.expansion import check_expansion, is_absurd
from etm_app.errors import UserError

__all__ = ["check_parquet"]

AT_ONCE = 1 << 32  # bytes of a row group, which is decoded as a whole
MAGIC = b"PAR1"
LARGEST_FOOTER = 1 << 26  # bytes, which take some sixty times as many here
DEEPEST = 20  # structures within each other; the format has six
# Numbers of fields in parquet.thrift.
SCHEMA, ALL_ROWS, ROW_GROUPS = 2, 3, 4
TYPE_LENGTH = 2  # of an element of the schema
COLUMNS, NUM_ROWS = 1, 3  # of a row group
METADATA = 3  # of a chunk of a column; the next are of these
TYPE, PATH, NUM_VALUES, COMPRESSED_SIZE, DATA_OFFSET, DICTIONARY_OFFSET = 1, 3, 5, 7, 9, 11
PAGE_EXPANDED, PAGE_COMPRESSED = 2, 3  # sizes in the header of a page
PAGE_KINDS = {5: 2, 7: 2, 8: 4}  # headers of the kinds of pages, with the field of theirs that is the encoding
IN_PAGE = 1  # number of values
# By the physical types' numbers, bytes that a value takes; of strings beside their own bytes.
WIDTHS = {0: 1, 1: 4, 2: 8, 3: 12, 4: 4, 5: 8, 6: 16, 7: 16}
FIXED_LENGTH, DELTA_BYTE_ARRAY = 7, 7


def check_parquet(path: Path, what: str, columns: Collection[str] | None = None) -> None:
    """Refuse a Parquet file that expands absurdly, in all or in a row group.

    Args:
        path: The file.
        what: The file for messages, after the argument that names it.
        columns: Those that will be read; None for all.

    Raises:
        OSError: It is damaged.
        UserError: It expands absurdly.
    """
    size = path.stat().st_size
    total = rows = read = untold = 0
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            footer = _footer(content)
            longest = max((element.get(TYPE_LENGTH, 0) for element in footer[SCHEMA]), default=0)
            for number, group in enumerate(footer[ROW_GROUPS]):
                rows += group[NUM_ROWS]
                expanded = 0
                for chunk in (column[METADATA] for column in group[COLUMNS]):
                    read += max(chunk[COMPRESSED_SIZE], 0)
                    if read > size:  # before the pages are walked, which may be the same for all chunks
                        raise ValueError(f"columns of {read:,} bytes in {size:,}")
                    if columns is None or chunk[PATH][0].decode() in columns:
                        told, repeated = _expanded(content, chunk, group[NUM_ROWS], max(longest, 0))
                        expanded, untold = expanded + told, untold + repeated
                total += expanded
                check_expansion(what, total, size)
                if expanded > AT_ONCE:
                    raise UserError(
                        f"{what} expands to {expanded:,} bytes in row group {number} (from 0), which is read as a "
                        f"whole; expected at most {AT_ONCE:,}: write it with smaller ones."
                    )
            if is_absurd(total + untold, size):
                raise UserError(
                    f"{what} has strings in the encoding DELTA_BYTE_ARRAY, of which nothing tells how long they are: "
                    f"{untold:,} bytes at most; expected them in another: write it with PLAIN or a dictionary."
                )
            if rows != footer[ALL_ROWS]:
                raise ValueError(f"row groups of {rows:,} rows for {footer[ALL_ROWS]:,}")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        if isinstance(error, UserError):
            raise
        raise OSError(f"its footer or its pages are damaged: {error}") from error


def _footer(content: mmap.mmap) -> dict[int, Any]:
    length = int.from_bytes(content[-8:-4], "little")
    if content[-4:] != MAGIC or not 0 < length <= min(LARGEST_FOOTER, len(content) - 8):
        raise ValueError(f"it ends in {content[-8:]!r}")
    return _Thrift(content, len(content) - 8 - length).struct()


def _expanded(content: mmap.mmap, chunk: dict[int, Any], num_rows: int, longest: int) -> tuple[int, int]:
    """Bytes that the values of a column take in a row group: those of its pages, and a width for each.

    Returns:
        These, and what may come to them where each value may begin as all of the one before.
    """
    width = WIDTHS[chunk[TYPE]] + longest * (chunk[TYPE] == FIXED_LENGTH)
    at = chunk.get(DICTIONARY_OFFSET) or chunk[DATA_OFFSET]
    end = at + chunk[COMPRESSED_SIZE]
    if not 0 <= at <= end <= len(content):
        raise ValueError(f"a column at the bytes {at:,} to {end:,} of {len(content):,}")
    expanded = untold = 0
    while at < end:
        page = (header := _Thrift(content, at)).struct()
        size, compressed = page[PAGE_EXPANDED], page[PAGE_COMPRESSED]
        kind = next((kind for kind in PAGE_KINDS if kind in page), None)  # else it holds no values
        num_values = page[kind][IN_PAGE] if kind else 0
        if min(size, compressed, num_values) < 0:
            raise ValueError(f"a page of {size:,} bytes and {num_values:,} values")
        expanded += size + num_values * width
        if kind and page[kind][PAGE_KINDS[kind]] == DELTA_BYTE_ARRAY:
            untold += num_values * size
        at = header.at + compressed
    stated: int = width * max(num_rows, chunk[NUM_VALUES])
    return max(expanded, stated), untold


class _Thrift:
    """Reads structures in Thrift's compact protocol, as dictionaries by the numbers of their fields.

    Args:
        content: The bytes.
        at: Where a structure starts; then where it ended.
    """

    def __init__(self, content: mmap.mmap, at: int) -> None:
        self.at = at
        self._content = content
        self._depth = 0

    def struct(self) -> dict[int, Any]:
        """The structure that starts here."""
        fields: dict[int, Any] = {}
        number = 0
        while (start := self._byte()) & 15:
            number = number + (start >> 4) if start >> 4 else self._number()
            fields[number] = self._value(start & 15)
        return fields

    def _byte(self) -> int:
        self.at += 1
        return self._content[self.at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while (byte := self._byte()) & 128:
            value |= (byte & 127) << shift
            shift += 7
            if shift > 63:
                raise ValueError("a number beyond 64 bits")
        return value | byte << shift

    def _number(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)  # zigzag: 0, -1, 1, -2, …

    def _value(self, kind: int, in_field: bool = True) -> Any:
        if kind in (1, 2):
            return kind == 1 if in_field else self._byte() == 1  # a field's own kind is its value
        if kind == 3:
            return self._byte()
        if kind in (4, 5, 6):
            return self._number()
        if kind in (7, 8):
            length = self._varint() if kind == 8 else 8
            self.at += length
            if self.at > len(self._content):
                raise ValueError("it is cut")
            return self._content[self.at - length : self.at]
        self._depth += 1
        if kind not in (9, 10, 11, 12) or self._depth > DEEPEST:
            raise ValueError(f"a value of the kind {kind}, in {self._depth} others")
        value = self.struct() if kind == 12 else self._map() if kind == 11 else self._list()
        self._depth -= 1
        return value

    def _list(self) -> list[Any]:
        start = self._byte()
        length = start >> 4 if start < 0xF0 else self._varint()
        return [self._value(start & 15, in_field=False) for _ in range(length)]

    def _map(self) -> list[Any]:
        if not (length := self._varint()):
            return []
        kinds = self._byte()
        of_key, of_value = kinds >> 4, kinds & 15
        return [(self._value(of_key, in_field=False), self._value(of_value, in_field=False)) for _ in range(length)]
