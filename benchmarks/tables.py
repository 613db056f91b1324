"""How the benchmarks print: as Markdown, ready for README.md."""

from collections.abc import Iterable, Sequence

from machine import describe
from rich import box
from rich.console import Console
from rich.table import Table

__all__ = ["show"]


def show(title: str, header: Sequence[str], rows: Iterable[Sequence[object]], device: str = "cpu") -> None:
    """Print a table, the first column to the left and the others, numbers, to the right, and the machine under it."""
    table = Table(*header, box=box.MARKDOWN)
    for column in table.columns[1:]:
        column.justify = "right"
    for row in rows:
        table.add_row(*map(str, row))
    console = Console(width=300, highlight=False)  # no row is broken
    console.print(f"\n{title}")
    console.print(table)
    console.print(describe(device))
