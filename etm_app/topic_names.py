"""Names that users give to topics: which there may be."""

from collections.abc import Mapping

from etm_app.errors import UserError

__all__ = ["NAME_WORDS", "check_names"]

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
