"""Names that users give to topics: which there may be, and files of them."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from etm_app.errors import UserError, reading

__all__ = ["NAME_WORDS", "check_names", "read_names", "read_table"]

NAME_WORDS = 3  # of a topic, which it is called by where no name is given
MAX_NAME = 100  # characters


def check_names(names: Mapping[int, str], num_topics: int, argument: str) -> None:
    """Refuse names that are of no topic, or that could not be shown or told apart.

    Args:
        names: By the number of the topic.
        num_topics: K.
        argument: What gives them, for the message.

    Raises:
        UserError: One is of no topic, empty, longer than `MAX_NAME`, of more than a line, or that of two topics.
    """
    topic_of: dict[str, int] = {}
    for topic, name in names.items():
        if type(topic) is not int or not 0 <= topic < num_topics:
            raise UserError(f"{argument}: topic {topic!r:.80}; expected a number from 0 to {num_topics - 1}.")
        if not isinstance(name, str) or not name.strip() or len(name) > MAX_NAME or not name.isprintable():
            raise UserError(
                f"{argument}: the name of topic {topic} is {name!r:.80}; "
                f"expected a text of 1 to {MAX_NAME} characters in one line."
            )
        if (other := topic_of.setdefault(name, topic)) != topic:
            raise UserError(
                f"{argument}: {name!r} is the name of topics {other} and {topic}; expected another name for each."
            )


def read_names(path: Path, num_topics: int, argument: str) -> dict[int, str]:
    """Names by the number of the topic: from columns ``topic`` and ``name`` of a CSV, or from YAML ``3: space``.

    Args:
        path: The file; what does not end in .csv is YAML. A row of a CSV without a name gives none.
        num_topics: K.
        argument: What names the file, for messages.

    Raises:
        UserError: It cannot be read or has another form, a topic repeats, or a name is refused by `check_names`.
    """
    expected = "expected a CSV with columns topic and name, or YAML of lines 3: space"
    if path.suffix == ".csv":
        with reading((OSError, pl.exceptions.PolarsError), lambda why: _unread(argument, path, why, expected)):
            table = pl.read_csv(path, infer_schema=False)
        if not {"topic", "name"} <= {*table.columns}:
            columns = ", ".join(map(repr, table.columns))
            raise UserError(f"{argument}: {path} has the columns {columns:.200}; {expected}.")
        rows = [row for row in table.select("topic", "name").rows() if row[1] is not None]
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


def read_table(path: Path, argument: str, expected: str) -> dict[Hashable, Any]:
    """Keys and values of a YAML file, as it has them.

    Args:
        path: The file.
        argument: What names it, for messages.
        expected: What it should hold, for messages.

    Raises:
        UserError: It cannot be read, is no table, or a key repeats, of which YAML would take the last.
    """
    damages = (OSError, ValueError, RecursionError, yaml.YAMLError)
    with reading(damages, lambda why: _unread(argument, path, why, expected)):
        text = path.read_text(encoding="utf-8-sig")
        node, table = yaml.compose(text, yaml.SafeLoader), yaml.safe_load(text)
    if not isinstance(table, dict):
        raise UserError(f"{argument}: {path} is no table; {expected}.")
    keys = [key.value for key, _ in node.value]
    if repeated := [key for key in dict.fromkeys(keys) if keys.count(key) > 1]:
        raise UserError(f"{argument}: {path} has {str(repeated[0])!r:.80} twice; expected it once.")
    return table


def _unread(argument: str, path: Path, why: str, expected: str) -> UserError:
    return UserError(f"{argument}: {path} {why}; {expected}.")
