"""CSV of which a spreadsheet runs nothing and other tools lose nothing."""

import re
from pathlib import Path
from typing import TypeVar

import polars as pl
from polars import selectors as cs

__all__ = ["MARKED", "read_cells", "safe_cells"]

Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame)

FORMULA = r"[=+\-@\t\r]"  # a cell that starts so is run, not shown
# What pandas takes for missing, in quotes as well, unless it is told not to; R takes NA, Excel #N/A.
MISSING = (
    "#N/A", "#N/A N/A", "#NA", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null",
)  # fmt: skip
# A regular expression for Polars, Python and the page's JavaScript.
MARKED = f"^({FORMULA}|(?:{'|'.join(map(re.escape, MISSING))})$)"


def safe_cells(table: Frame) -> Frame:
    """The table with a single quote before every text that would not be read as text.

    That is what a spreadsheet would run as a formula, and what looks like a missing value. Spreadsheets take the quote
    for "this is text". Use it on all that becomes CSV and holds words or names that come from somewhere else; numbers
    stay numbers.
    """
    text = cs.string() | cs.categorical() | cs.enum()
    return table.with_columns(text.cast(pl.String).str.replace(MARKED, "'${1}"))


def read_cells(path: Path) -> pl.DataFrame:
    """A table of `safe_cells` as it was before, all of it as text."""
    return pl.read_csv(path, infer_schema=False).with_columns(cs.string().str.replace(f"^'{MARKED[1:]}", "${1}"))
