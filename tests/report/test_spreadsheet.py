import csv
from io import StringIO

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from etm_app.report.spreadsheet import safe_cells

STARTS = ("=", "+", "-", "@", "\t", "\r")


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "=", '=HYPERLINK("http://x")', "-\n="])
def test_formulas_become_text(cell: str) -> None:
    assert safe_cells(pl.DataFrame({"x": [cell]}))["x"].item() == "'" + cell


@pytest.mark.parametrize("cell", ["nan", "NA", "null", "#N/A", "#N/A N/A", "1.#IND"])
def test_what_looks_like_nothing_becomes_text(cell: str) -> None:
    longer = [cell + "x", "x" + cell, cell + "\n"]
    assert safe_cells(pl.DataFrame({"x": [cell, *longer]}))["x"].to_list() == ["'" + cell, *longer]


@given(st.lists(st.one_of(st.none(), st.text(alphabet="=+-@\t\r\na'\"ä, ", max_size=6)), min_size=1))
def test_nothing_else_changes(cells: list[str | None]) -> None:
    table = pl.DataFrame(
        {"text": cells, "number": [-1.5] * len(cells)}, schema={"text": pl.String, "number": pl.Float64}
    )
    safe = safe_cells(table)
    expected = ["'" + cell if cell and cell.startswith(STARTS) else cell for cell in cells]
    assert safe["text"].to_list() == expected
    assert safe["number"].to_list() == table["number"].to_list()
    assert safe_cells(table.lazy()).collect().equals(safe)
    rows = list(csv.reader(StringIO(safe.write_csv(), newline="")))
    assert [row[0] for row in rows[1:]] == [cell or "" for cell in expected]


def test_columns_of_few_values_are_text_too() -> None:
    safe = safe_cells(pl.DataFrame({"x": pl.Series(["=a", "b"], dtype=pl.Categorical)}))
    assert safe["x"].to_list() == ["'=a", "b"]
