"""CSV that is safe to open in a spreadsheet."""

from typing import TypeVar

import polars as pl
from polars import selectors as cs

__all__ = ["safe_cells"]

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)

FORMULA = r"^[=+\-@\t\r]"  # a cell that starts so is run, not shown


def safe_cells(table: Frame) -> Frame:
    """The table with a single quote before every text that a spreadsheet would run as a formula.

    Spreadsheets take the quote for "this is text" and do not show it. Use it on all that becomes CSV and holds words
    or names that come from somewhere else; numbers stay numbers.
    """
    text = cs.string() | cs.categorical() | cs.enum()
    return table.with_columns(text.cast(pl.String).str.replace(f"({FORMULA})", "'${1}"))
