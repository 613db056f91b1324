from pathlib import Path

import torch

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


def test_yaml_names_topics_by_number(tmp_path: Path) -> None:
    (tmp_path / "names.yaml").write_text("3: space\n'0': guns\n")
    assert read_names(tmp_path / "names.yaml", 4, "topics.names") == {3: "space", 0: "guns"}
