from pathlib import Path

import pytest
import torch

from etm_app.errors import UserError
from etm_app.model import ETM
from etm_app.report.names import read_names
from etm_app.report.tables import Topic, write_topics
from tests.report.models import random_model


def topics_of(model: ETM, num_words: int = 5) -> list[Topic]:
    words = model.top_words(num_words)
    zeros = [0.0] * num_words
    return [Topic(k, name, 0.1, 0.0, words[k], zeros, zeros) for k, name in enumerate(model.topic_names)]


ODD = ["=1+1", "nan", "@home", "-", "می\u200cخواهم", "'=x"]


def test_the_table_of_a_run_gives_the_names_that_were_given(tmp_path: Path) -> None:
    model = random_model([*ODD, *(f"word{number}" for number in range(9))])
    with torch.no_grad():
        model.topics.alpha[1] = model.topics.alpha[0]  # two topics of the same words
    given = {2: "@home", 3: "nan", 4: "خانه\u200cها \N{NO-BREAK SPACE}👩\u200d🚀", 5: "it's"}
    model.given_names = given
    write_topics(topics_of(model), tmp_path)
    assert read_names(tmp_path / "topics_wide.csv", 6, "topics.names") == given


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("names.csv", "topic,name\n4,fruit\n", "topic 4; expected a number from 0 to 3"),
        ("names.csv", "topic,name\n1.5,fruit\n", "topic '1.5'"),
        ("names.csv", "topic,name\n1,fruit\n1,citrus\n", "names topic 1 twice"),
        ("names.csv", "topic,name\n1,fruit\n2,fruit\n", "'fruit' is the name of topics 1 and 2"),
        ("names.csv", "number,name\n1,fruit\n", "has the columns 'number', 'name'"),
        ("names.csv", '"a\nb"\n1\n', r"has the columns 'a\nb'"),
        ("names.csv", "", "cannot be read"),
        ("names.yaml", "1: fruit\n1: citrus\n", "'1' twice"),
        ("names.yaml", "1: [fruit]\n", "topic 1 is ['fruit']"),
        ("names.yaml", "{1: fruit", "cannot be read"),
        ("names.yaml", "fruit", "is no table"),
        ("missing.yaml", None, "cannot be read"),
    ],
)
def test_files_that_are_no_names(tmp_path: Path, name: str, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=r"topics\.names") as refused:
        read_names(tmp_path / name, 4, "topics.names")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_yaml_names_topics_by_number(tmp_path: Path) -> None:
    (tmp_path / "names.yaml").write_text("3: space\n'0': guns\n")
    assert read_names(tmp_path / "names.yaml", 4, "topics.names") == {3: "space", 0: "guns"}
