"""Names that users give to topics: which there may be, and what is called by name in a YAML file."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any
from unicodedata import category

import yaml

from etm_app.errors import UserError, reading

__all__ = ["NAME_WORDS", "check_names", "read_table"]

NAME_WORDS = 3  # of a topic, which it is called by where no name is given
MAX_NAME = 100  # characters
CONTROLS = ("Cc", "Zl", "Zp", "Cs")  # what starts a line or cannot be written; joiners within words and emoji may be


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
        if not isinstance(name, str) or not name.strip() or len(name) > MAX_NAME or not _is_line(name):
            raise UserError(
                f"{argument}: the name of topic {topic} is {name!r:.80}; "
                f"expected a text of 1 to {MAX_NAME} characters in one line."
            )
        if (other := topic_of.setdefault(name, topic)) != topic:
            raise UserError(
                f"{argument}: {name!r} is the name of topics {other} and {topic}; expected another name for each."
            )


def _is_line(name: str) -> bool:
    return not any(category(character) in CONTROLS for character in name)


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
    with reading(damages, lambda why: UserError(f"{argument}: {path} {why}; {expected}.")):
        text = path.read_text(encoding="utf-8-sig")
        node, table = yaml.compose(text, yaml.SafeLoader), yaml.safe_load(text)
    if not isinstance(table, dict):
        raise UserError(f"{argument}: {path} is no table; {expected}.")
    keys = [key.value for key, _ in node.value]
    if repeated := [key for key in dict.fromkeys(keys) if keys.count(key) > 1]:
        raise UserError(f"{argument}: {path} has {str(repeated[0])!r:.80} twice; expected it once.")
    return table
