"""Files with names of topics: the tables of a run and of the page, edited, or YAML."""

from pathlib import Path

import polars as pl

from etm_app.errors import UserError, reading
from etm_app.report.spreadsheet import read_cells
from etm_app.topic_names import NAME_WORDS, check_names, read_table

__all__ = ["read_names"]


def read_names(path: Path, num_topics: int, argument: str) -> dict[int, str]:
    """Names by the number of the topic: from columns ``topic`` and ``name`` of a CSV, or from YAML ``3: space``.

    Args:
        path: The file; what does not end in .csv is YAML. A row of a CSV without a name gives none, and neither does
            one whose name is the words ``word_1`` … beside it: so is a topic called that nobody has named.
        num_topics: K.
        argument: What names the file, for messages.

    Raises:
        UserError: It cannot be read or has another form, a topic repeats, or a name is refused by `check_names`.
    """
    expected = "expected a CSV with columns topic and name, or YAML of lines 3: space"
    if path.suffix == ".csv":
        with reading(
            (OSError, pl.exceptions.PolarsError), lambda why: UserError(f"{argument}: {path} {why}; {expected}.")
        ):
            table = read_cells(path)
        if not {"topic", "name"} <= {*table.columns}:
            columns = ", ".join(map(repr, table.columns))
            raise UserError(f"{argument}: {path} has the columns {columns:.200}; {expected}.")
        words = [column for rank in range(NAME_WORDS) if (column := f"word_{rank + 1}") in table.columns]
        if words:
            table = table.filter(pl.col("name").ne_missing(pl.concat_str(words, separator=" ", ignore_nulls=True)))
        rows = table.drop_nulls("name").select("topic", "name").rows()
    else:
        rows = list(read_table(path, argument, expected).items())
    names: dict[int, str] = {}
    for given, name in rows:
        try:
            topic = int(given) if isinstance(given, str) else given
        except ValueError:
            topic = given
        if topic in names:
            raise UserError(f"{argument}: {path} names topic {topic} twice; expected one name a topic.")
        names[topic] = name
    check_names(names, num_topics, f"{argument}: {path}")
    return names
