"""What a user changes of a model by hand: names, and the model as a file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from etm_app.errors import UserError
from etm_app.model import ETM
from etm_app.topic_model import Inference
from tests.conftest import Run
from tests.planted import planted_counts


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
        ({4: "fruit"}, "topic 4; expected numbers from 0 to 3"),
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


def proportions(model: ETM) -> torch.Tensor:
    return model.theta(planted_counts()).double()


def test_a_merged_topic_is_the_nearest_to_its_members_together(model: ETM) -> None:
    model.name_topics({0: "fruit", 2: "citrus", 3: "berries"})
    merged = model.merge([[3, 1]])
    assert merged.topic_names == ["fruit", "berries", "citrus"]
    assert model.merge([[2, 0]]).topic_names[0] in ("fruit / citrus", "citrus / fruit")
    assert torch.equal(merged.alpha[[0, 2]], model.alpha[[0, 2]])
    size = model.posterior.log_prior().exp()  # type: ignore[operator]
    torch.testing.assert_close(merged.posterior.log_prior().exp(), torch.stack([size[0], size[1] + size[3], size[2]]))  # type: ignore[operator]
    mixture = (size[[1, 3]] / size[[1, 3]].sum()) @ model.beta[[1, 3]]

    def divergence(alpha: torch.Tensor) -> torch.Tensor:
        return (mixture.double() * -(merged.rho.double() @ alpha).log_softmax(0)).sum()

    alpha = merged.alpha[1].double().requires_grad_()
    (gradient,) = torch.autograd.grad(divergence(alpha), alpha)
    assert gradient.norm() < 1e-4
    assert divergence(alpha) <= min(divergence(model.alpha[topic].double()) for topic in (1, 3))
    together = proportions(model)
    expected = torch.stack([together[:, 0], together[:, 1] + together[:, 3], together[:, 2]], dim=1)
    assert (proportions(merged) - expected).abs().mean() < 0.05


def test_merging_and_ordering_are_undone_to_the_digit(model: ETM, tmp_path: Path) -> None:
    model.name_topics({2: "citrus"})
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    changed = model.reorder(np.array([2, 0, 3, 1])).merge(np.array([[0, 3]])).reorder("size")
    assert len(changed.topic_names) == 3
    changed.save(tmp_path / "merged.ckpt")
    loaded = ETM.load_from_checkpoint(tmp_path / "merged.ckpt")
    assert loaded.topic_names == changed.topic_names
    for back in (changed.unmerge(), loaded.unmerge()):
        assert back.given_names == {2: "citrus"}
        assert dict(back.hparams) == dict(model.hparams)
        assert all(torch.equal(back.state_dict()[name], tensor) for name, tensor in state.items())
    with pytest.raises(UserError, match="no topics were merged"):
        model.unmerge()


def test_what_is_remembered_is_merged_and_ordered_as_the_topics_are(model: ETM, tmp_path: Path) -> None:
    words, sizes = torch.randn(40, 4).softmax(0), torch.randn(4).softmax(0)  # of a vocabulary that has grown since
    model.memory.counts = torch.empty(0)
    model.memory.place(words, sizes)
    model.memory.counts = counts = torch.rand(48, 4)
    model.reorder([2, 0, 3, 1]).merge([[0, 3]]).save(tmp_path / "merged.ckpt")
    loaded = ETM.load_from_checkpoint(tmp_path / "merged.ckpt")
    tokens = words * sizes  # the shares of all that are of each topic
    expected = torch.stack([tokens[:, 2] + tokens[:, 1], tokens[:, 0], tokens[:, 3]], dim=1)
    torch.testing.assert_close(loaded.memory.words, expected)
    ordered = torch.stack([counts[:, 2] + counts[:, 1], counts[:, 0], counts[:, 3]], dim=1)
    torch.testing.assert_close(loaded.memory.counts, ordered)
    torch.testing.assert_close(loaded.memory.sizes, torch.stack([sizes[2] + sizes[1], sizes[0], sizes[3]]))
    back = loaded.unmerge().memory
    assert torch.equal(back.topics, words)
    assert torch.equal(back.counts, counts)
    torch.testing.assert_close(back.words, tokens)
    assert torch.equal(back.sizes, sizes)


def test_a_joined_name_that_another_topic_has_is_dropped(model: ETM, tmp_path: Path) -> None:
    model.name_topics({0: "a", 1: "b", 2: "a / b", 3: "b / a"})
    merged = model.merge([[0, 1]])
    assert merged.given_names == {1: "a / b", 2: "b / a"}
    merged.save(tmp_path / "merged.ckpt")
    assert ETM.load_from_checkpoint(tmp_path / "merged.ckpt").given_names == merged.given_names


def test_what_none_could_load_is_not_saved(model: ETM, tmp_path: Path) -> None:
    vocab, model.given_names = model.known_vocab, {0: "a", 1: "a"}
    with pytest.raises(UserError, match="save: 'a' is the name of topics 0 and 1"):
        model.save(tmp_path / "model.ckpt")
    model.given_names, model.vocab = {}, [vocab[0], *vocab[:-1]]
    with pytest.raises(UserError, match="save: the vocabulary repeats 1 of its words"):
        model.save(tmp_path / "model.ckpt")
    assert not (tmp_path / "model.ckpt").exists()


def test_a_merged_model_goes_on_with_fewer_topics(run: Run, model: ETM, tmp_path: Path) -> None:
    model.merge([[0, 1]]).save(tmp_path / "merged.ckpt")
    went_on = run("fit", f"--ckpt_path={tmp_path / 'merged.ckpt'}", "--model.num_topics=3").model
    assert went_on.unmerged is None  # what was before is of other word embeddings
    assert len(went_on.beta) == 3


@pytest.mark.parametrize("inference", ["mixture", "mixed_membership", "encoder"])
def test_an_order_changes_nothing_else(inference: Inference) -> None:
    torch.manual_seed(0)
    model = ETM(48, 4, t_hidden_size=8, rho_size=6, inference=inference, document_embeddings_size=2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += torch.randn_like(parameter)
    x, vectors, order = planted_counts(), torch.randn(90, 2), [2, 0, 3, 1]
    reordered = model.reorder(order)
    torch.testing.assert_close(reordered.theta(x, vectors), model.theta(x, vectors)[:, order])
    torch.testing.assert_close(reordered.beta, model.beta[order])
    if inference != "encoder":
        assert reordered.reorder("size").alpha[0].equal(model.alpha[model.e_step.size.argmax()])  # type: ignore[union-attr]
        return
    for refused in (lambda: model.reorder("size"), lambda: model.merge([[0, 1]])):
        with pytest.raises(UserError, match="encoder"):
            refused()


def test_suggestions_are_of_topics_that_are_alike() -> None:
    model = ETM(48, 6, rho_size=8, inference="mixture")
    with torch.no_grad():
        model.topics.alpha.copy_(torch.eye(8)[[0, 1, 0, 1, 2, 0]] + 0.1 * torch.eye(8)[[3, 4, 5, 6, 7, 7]])
    assert sorted(model.merge_suggestions(3)) == [[0, 2, 5], [1, 3]]
    assert [1, 3] in model.merge_suggestions()
    assert all(len(group) == 2 for group in model.merge_suggestions())
    assert model.merge_suggestions(6) == []
    for num_topics in range(1, 6):
        assert len(model.merge(model.merge_suggestions(num_topics)).alpha) == num_topics
    with pytest.raises(UserError, match="num_topics 7"):
        model.merge_suggestions(7)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda model: model.merge([[0, 4]]), "topic 4; expected numbers from 0 to 3"),
        (lambda model: model.merge([[0, 1], [1, 2]]), "topic 1 is there twice"),
        (lambda model: model.merge([[0]]), "a group of one topic"),
        (lambda model: model.merge([[0, True]]), "topic True"),
        (lambda model: model.reorder([0, 1, 2]), "3 topics; expected all 4"),
        (lambda model: model.reorder([0, 1, 2, 2]), "topic 2 is there twice"),
        (lambda model: model.reorder("share"), "'share'"),
        (lambda model: model.merge([3, 2]), r"merge: \[3, 2\]; expected groups of topics"),
        (lambda model: model.merge(None), "merge: None; expected groups of topics"),
        (lambda model: model.reorder(None), "reorder: None; expected numbers from 0 to 3"),
        (lambda model: model.merge_suggestions("x"), "num_topics 'x'; expected a number from 1 to 4"),
        (lambda model: model.merge_suggestions(2.0), "num_topics 2.0; expected a number from 1 to 4"),
    ],
)
def test_groups_and_orders_that_are_none(model: ETM, change: Callable[[Any], object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        change(model)


def test_names_from_a_file_are_everywhere(run: Run, checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "names.csv").write_text("name,topic\n=fruit,1\n,2\n")
    names = f"--topics.names={tmp_path / 'names.csv'}"
    tables = Path(run("test", f"--ckpt_path={checkpoint}", names).trainer.log_dir)
    wide = pl.read_csv(tables / "topics_wide.csv")
    assert wide.columns[:3] == ["topic", "name", "share"]
    first_words = [" ".join(row) for row in wide.select("word_1", "word_2", "word_3").rows()]
    assert wide["name"].to_list() == [first_words[0], "'=fruit", *first_words[2:]]
    assert [topic["name"] for topic in json.loads((tables / "topics.json").read_text())][1] == "=fruit"
    assert pl.read_csv(tables / "topics.csv").filter(topic=1)["name"].unique().to_list() == ["'=fruit"]
    assert "=fruit" in (tables / "report.html").read_text()
    theta = tmp_path / "theta.parquet"
    run("predict", f"--ckpt_path={checkpoint}", f"--prediction.path={theta}")
    without = pl.read_parquet(theta)
    run("predict", f"--ckpt_path={checkpoint}", f"--prediction.path={theta}", names)
    table = pl.read_parquet(theta)
    assert table.drop("topic_name").equals(without)
    assert table.columns.index("topic_name") == table.columns.index("topic") + 1
    called = [first_words[0], "=fruit", *first_words[2:]]
    assert table["topic_name"].to_list() == [called[topic] for topic in table["topic"]]
    went_on = run("fit", f"--ckpt_path={checkpoint}", "--trainer.max_epochs=3", names)
    assert ETM.load_from_checkpoint(went_on.trainer.checkpoint_callback.best_model_path).given_names == {1: "=fruit"}  # type: ignore[union-attr]
