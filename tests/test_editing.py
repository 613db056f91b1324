"""What a user changes of a model by hand: names, and the model as a file."""

from pathlib import Path

import pytest
import torch

from etm_app.errors import UserError
from etm_app.model import ETM
from tests.conftest import Run


@pytest.fixture
def model(checkpoint: Path) -> ETM:
    return ETM.load_from_checkpoint(checkpoint)


def test_topics_are_called_by_their_first_words_until_they_have_a_name(model: ETM) -> None:
    words = [" ".join(words[:3]) for words in model.top_words(10)]
    assert model.topic_names == words
    model.name_topics({2: "fruit"})
    assert model.topic_names == [*words[:2], "fruit", words[3]]
    model.name_topics({0: "fruit", 2: None})
    assert model.topic_names == ["fruit", *words[1:]]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({4: "fruit"}, "topic 4; expected a number from 0 to 3"),
        ({-1: "fruit"}, "topic -1"),
        ({True: "fruit"}, "topic True"),
        ({0: " "}, "topic 0 is ' '"),
        ({0: "two\nlines"}, "in one line"),
        ({0: "x" * 101}, "1 to 100 characters"),
        ({0: 3}, "topic 0 is 3"),
        ({0: "fruit", 3: "fruit"}, "'fruit' is the name of topics 0 and 3"),
    ],
)
def test_names_that_are_refused_change_nothing(model: ETM, names: dict[int, str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        model.name_topics(names)
    assert model.given_names == {}


def test_a_saved_model_is_the_same_model(model: ETM, tmp_path: Path) -> None:
    model.name_topics({1: "fruit"})
    model.save(tmp_path / "new" / "model.ckpt")
    loaded = ETM.load_from_checkpoint(tmp_path / "new" / "model.ckpt")
    assert loaded.topic_names == model.topic_names
    assert (loaded.vocab, loaded.analyzer, loaded.data_digest) == (model.vocab, model.analyzer, model.data_digest)
    assert loaded.data_digest is not None
    assert dict(loaded.hparams) == dict(model.hparams)
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


def test_every_command_takes_a_saved_model(run: Run, model: ETM, tmp_path: Path) -> None:
    model.name_topics({1: "fruit"})
    path = tmp_path / "model.ckpt"
    model.save(path)
    for subcommand in ("test", "predict"):
        run(subcommand, f"--ckpt_path={path}")
    went_on = run("fit", f"--ckpt_path={path}")
    assert went_on.trainer.current_epoch == 2
    assert not torch.equal(went_on.model.alpha, model.alpha)
    best = went_on.trainer.checkpoint_callback.best_model_path  # type: ignore[union-attr]
    assert ETM.load_from_checkpoint(best).given_names == {1: "fruit"}


def test_a_model_is_saved_over_models_only(model: ETM, tmp_path: Path) -> None:
    thesis = tmp_path / "thesis.ckpt"
    thesis.write_text("years of work")
    with pytest.raises(UserError, match="no checkpoint that etm_app wrote; it is kept"):
        model.save(thesis)
    assert thesis.read_text() == "years of work"
    for _ in range(2):
        model.save(tmp_path / "model.ckpt")
    with pytest.raises(UserError, match="path: cannot write"):
        model.save(thesis / "model.ckpt")
    assert sorted(tmp_path.glob("*.ckpt")) == [tmp_path / "model.ckpt", thesis]
