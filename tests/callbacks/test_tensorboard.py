import json
import re
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from etm_app.callbacks.tensorboard import TensorBoardTopics, similarity_image
from etm_app.cli.main import ETMCLI
from etm_app.model import ETM
from etm_app.report.survey import survey_of
from tests.planted import VOCAB, PlantedDataModule

Get = Callable[..., Any]


def etm(num_topics: int = 4) -> ETM:
    torch.manual_seed(0)
    model = ETM(len(VOCAB), num_topics, t_hidden_size=8, rho_size=6)
    model.vocab = VOCAB
    return model


def validated(folder: Path, model: ETM, **kwargs: Any) -> Trainer:
    callback = TensorBoardTopics(**kwargs)
    trainer = Trainer(
        accelerator="cpu", logger=TensorBoardLogger(folder), callbacks=[callback], enable_progress_bar=False
    )
    trainer.validate(model, PlantedDataModule(), verbose=False)
    return trainer


# What TensorBoard itself serves


@pytest.fixture(scope="module")
def served(trained: ETMCLI) -> Iterator[Get]:
    """TensorBoard's HTTP API over the folder of a fit."""
    logdir = Path(trained.trainer.log_dir).parent
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logdir), "--host", "127.0.0.1", "--port", "0"]
    server = subprocess.Popen([*command, "--load_fast", "false"], stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        said = ""
        while not (found := re.search(r"http://127\.0\.0\.1:(\d+)", said)):
            assert select.select([server.stderr], [], [], 60)[0], f"TensorBoard says nothing after {said}"
            line = server.stderr.readline()
            assert line, f"TensorBoard ended: {said}"
            said += line

        def get(path: str, posted: Any = None, as_json: bool = True) -> Any:
            body = None if posted is None else json.dumps(posted).encode()
            request = Request(f"{found[0]}/data/{path}", body, {"Content-Type": "application/json"})
            with urlopen(request, timeout=30) as response:
                body = response.read()
            return json.loads(body) if as_json else body

        yield get
    finally:
        server.terminate()
        server.wait(30)


def test_scalars_are_served(served: Get, trained: ETMCLI) -> None:
    tags = set(served("plugin/scalars/tags")["version_0"])
    assert {"train/elbo", "val/perplexity", "val/topic_coherence", "train/learning_rate"} <= tags
    assert {tag.partition("/")[0] for tag in tags} == {"train", "val", "test"}
    points = served("plugin/scalars/scalars?run=version_0&tag=test/perplexity")
    assert points[-1][2] == pytest.approx(float(trained.trainer.callback_metrics["test_perplexity"]), rel=1e-5)


def test_text_is_served(served: Get, trained: ETMCLI) -> None:
    (text, *_) = served("plugin/text/text?run=version_0&tag=test/topics/text_summary")
    assert all(" ".join(words) in text["text"] for words in trained.model.top_words(10))
    assert "<table>" in text["text"]


def test_the_heat_map_is_served(served: Get, trained: ETMCLI, tmp_path: Path) -> None:
    (image,) = served("plugin/images/images?run=version_0&tag=topics/similarity&sample=0")
    path = tmp_path / "image.png"
    path.write_bytes(served(f"plugin/images/individualImage?{image['query']}", as_json=False))
    with Image.open(path) as shown:
        np.testing.assert_array_equal(np.asarray(shown), np.asarray(similarity_image(trained.model)))


def test_histograms_are_served(served: Get) -> None:
    assert {"topics/theta", "topics/theta_largest"} <= set(served("plugin/histograms/tags")["version_0"])
    (histogram,) = served("plugin/histograms/histograms?run=version_0&tag=topics/theta_largest")
    assert sum(count for _, _, count in histogram[2]) == pytest.approx(54)  # training documents with words


def test_every_picture_is_in_a_group_of_its_split_or_of_the_topics(served: Get) -> None:
    for plugin in ("histograms", "images", "text"):
        tags = served(f"plugin/{plugin}/tags")["version_0"]
        assert tags
        assert {tag.partition("/")[0] for tag in tags} <= {"train", "val", "test", "topics"}


def test_runs_are_compared_by_settings_and_measures(served: Get) -> None:
    found = served("plugin/hparams/experiment", {"hparamsLimit": 0})
    assert {of["name"] for of in found["hparamInfos"]} >= {"num_topics", "inference"}
    assert not [of["name"] for of in found["hparamInfos"] if of["name"].startswith("_")]
    assert {of["name"]["tag"] for of in found["metricInfos"]} == {
        f"{split}/{name}" for split in ("val", "test") for name in ("perplexity", "topic_coherence", "topic_diversity")
    }


def test_the_projector_is_served(served: Get, trained: ETMCLI) -> None:
    runs = served("plugin/projector/runs")
    assert runs == ["version_0"]
    model = trained.model
    topics = [f"topic {topic}: {' '.join(words)}" for topic, words in enumerate(model.top_words(3))]
    expected = {
        "topics": (topics, model.alpha),
        "topics and words": ([*topics, *VOCAB], torch.cat((model.alpha, model.rho))),
    }
    embeddings = served("plugin/projector/info?run=version_0")["embeddings"]
    assert [embedding["tensorName"] for embedding in embeddings] == [*expected]
    for name, (labels, points) in expected.items():
        where = f"run=version_0&name={name.replace(' ', '%20')}"
        vectors = np.frombuffer(served(f"plugin/projector/tensor?{where}", as_json=False), np.float32)
        np.testing.assert_allclose(vectors.reshape(-1, points.shape[1]), points.cpu().numpy(), atol=1e-4)
        head, *rows = served(f"plugin/projector/metadata?{where}", as_json=False).decode().splitlines()
        assert head.split("\t") == ["label", "kind", "topic", "share"]
        assert [row.split("\t")[0] for row in rows] == labels
        assert [row.split("\t")[1] for row in rows[:4]] == ["topic"] * 4


# What is written


def events(folder: Path) -> EventAccumulator:
    (path,) = folder.rglob("events.out.tfevents.*")
    return EventAccumulator(str(path)).Reload()


def test_the_projector_has_the_most_frequent_words_and_what_is_known_of_them(tmp_path: Path) -> None:
    model = etm()
    trainer = validated(tmp_path, model, projector_words=7)
    survey = survey_of(model)
    assert survey is not None
    table = pl.read_csv(Path(trainer.log_dir or "") / "projector" / "metadata.tsv", separator="\t")
    words = table.filter(kind="word")
    assert len(words) == 7
    counts = dict(zip(VOCAB, survey.word_counts, strict=True))
    assert sorted(counts[word] for word in words["label"]) == sorted(counts.values())[-7:]
    total = sum(counts.values())
    assert words["share"].to_list() == pytest.approx([counts[word] / total for word in words["label"]])
    joint = survey.shares[:, None] * model.beta.numpy()
    assert words["topic"].to_list() == [joint[:, VOCAB.index(word)].argmax() for word in words["label"]]
    topics = table.filter(kind="topic")
    assert topics["topic"].to_list() == [0, 1, 2, 3]
    assert topics["share"].to_list() == pytest.approx(survey.shares.tolist())


def test_it_is_all_shown_once_for_a_model_and_not_in_the_middle_of_a_fit(tmp_path: Path) -> None:
    callback, model, data = TensorBoardTopics(), etm(), PlantedDataModule()
    trainer = Trainer(
        accelerator="cpu",
        logger=TensorBoardLogger(tmp_path),
        callbacks=[callback],
        max_epochs=2,
        enable_progress_bar=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        default_root_dir=tmp_path,
    )
    trainer.fit(model, datamodule=data)
    assert not list(tmp_path.rglob("projector*"))
    assert "topics/similarity" not in events(tmp_path).Tags()["images"]
    trainer.validate(model, datamodule=data, verbose=False)
    trainer.test(model, datamodule=data, verbose=False)
    shown = [EventAccumulator(str(path)).Reload().Tags() for path in tmp_path.rglob("events.out.tfevents.*")]
    assert sum("topics/similarity" in tags["images"] for tags in shown) == 1
    assert sum("topics/theta" in tags["histograms"] for tags in shown) == 1
    assert {tag for tags in shown for tag in tags["tensors"]} >= {"val/topics/text_summary", "test/topics/text_summary"}


@pytest.mark.parametrize("num_topics", [1, 2, 3, 60, 150])
def test_the_heat_map_shows_how_alike_topics_are(num_topics: int) -> None:
    model = etm(num_topics)
    if num_topics == 60:  # two groups of topics, mixed up, each all alike
        with torch.no_grad():
            model.topics.alpha.copy_(20 * model.topics.alpha[:2].repeat(30, 1))
    image = np.asarray(similarity_image(model)).astype(int)
    cell = min(1000 // num_topics, 40)
    assert image.shape[0] == cell * num_topics <= 1000
    heat = image[:, image.shape[1] - image.shape[0] :][cell // 2 :: cell, cell // 2 :: cell].sum(axis=2)
    assert heat.shape == (num_topics, num_topics)
    np.testing.assert_array_equal(heat, heat.T)
    assert (np.diag(heat) == heat.min()).all()  # the darkest: 1
    assert (image.shape[1] > image.shape[0]) == (num_topics <= 100)  # labelled where there is room
    if num_topics == 60:
        assert (heat[:30, :30] == heat.min()).all()
        assert (heat[:30, 30:] > heat.min()).all()


def test_without_training_documents_the_words_are_those_that_topics_give_most(tmp_path: Path) -> None:
    model = etm()
    callback = TensorBoardTopics(projector_words=5)
    trainer = Trainer(accelerator="cpu", logger=TensorBoardLogger(tmp_path), enable_progress_bar=False)
    trainer.validate(model, PlantedDataModule(), verbose=False)
    model.training_set = None
    callback.show(trainer, model)
    table = pl.read_csv(Path(trainer.log_dir or "") / "projector" / "metadata.tsv", separator="\t")
    expected = model.beta.sum(0).topk(5).indices.sort().values
    assert table["label"].tail(5).to_list() == [VOCAB[word] for word in expected]
    assert "topics/theta" not in [
        tag for path in tmp_path.rglob("events*") for tag in EventAccumulator(str(path)).Reload().Tags()["histograms"]
    ]
