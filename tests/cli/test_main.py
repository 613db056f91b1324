"""The command line in-process: what its runs leave behind, and that they can be repeated and taken up again."""

import ast
import csv
import json
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import rich
import torch
import yaml
from pytorch_lightning import Callback, LightningModule, Trainer
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from etm_app.cli.main import ETMCLI, main
from etm_app.model import ETM
from tests.conftest import SMALL, Run, run_in
from tests.paper_files import write_paper_files
from tests.planted import SPLITS, VOCAB, planted_counts

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


def folder_of(cli: ETMCLI) -> Path:
    return Path(cli.trainer.log_dir)


def metrics_of(cli: ETMCLI) -> dict[str, dict[str, Any]]:
    return dict(json.loads((folder_of(cli) / "metrics.json").read_text()))


def values_of(cli: ETMCLI) -> dict[str, float]:
    return {name: metric["value"] for name, metric in metrics_of(cli).items()}


def weights_of(cli: ETMCLI, name: str = "last.ckpt") -> dict[str, torch.Tensor]:
    return dict(torch.load(folder_of(cli) / "checkpoints" / name, weights_only=True)["state_dict"])


def assert_same_weights(one: ETMCLI, other: ETMCLI, name: str = "last.ckpt") -> None:
    ours, theirs = weights_of(one, name), weights_of(other, name)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def assert_describes_topics(folder: Path, num_topics: int = 4, num_words: int = 10) -> None:
    topics = json.loads((folder / "topics.json").read_text(encoding="utf-8"))
    with (folder / "topics.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(topics) == num_topics
    assert len(rows) == num_topics * num_words
    assert sum(topic["share"] for topic in topics) == pytest.approx(1)
    for topic in topics:
        of_topic = [row for row in rows if int(row["topic"]) == topic["topic"]]
        assert [row["word"] for row in of_topic] == topic["words"]
        assert len(set(topic["words"])) == num_words
        relevances = [float(row["relevance"]) for row in of_topic]
        assert relevances == sorted(relevances, reverse=True)
        assert 0 < sum(float(row["probability"]) for row in of_topic) <= 1 + 1e-6
        assert -1 <= topic["coherence"] <= 1


def assert_holds_theta(path: Path, ids: list[str]) -> pl.DataFrame:
    table = pl.read_parquet(path)
    assert table["id"].to_list() == ids
    theta = table.select("^theta_.*$").to_numpy()
    assert (theta >= 0).all()
    np.testing.assert_allclose(theta.sum(axis=1), 1, rtol=1e-5)
    return table


IDS = [f"{split}/{row}" for split in ("train", "val", "test") for row in range(SPLITS.count(split))]
METRICS = {"elbo", "reconstruction_loss", "kl", "perplexity", "perplexity_doc_mean"}
METRICS |= {f"{by}_{name}" for by in ("topic", "relevance") for name in ("coherence", "diversity", "quality")}
METRICS |= {"active_topics", "duplicate_topics", "largest_topic_share"}


# fit, validate, test, predict


def test_fit_leaves_everything_in_the_run_folder(trained: ETMCLI) -> None:
    folder = folder_of(trained)
    assert_describes_topics(folder)
    metrics = metrics_of(trained)
    assert set(metrics) == {f"{split}_{name}" for split in ("val", "test") for name in METRICS}
    assert all(metric["definition"] and np.isfinite(metric["value"]) for metric in metrics.values())
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert (folder / "config.yaml").is_file()
    assert any(folder.glob("events.out.tfevents.*"))


def test_fit_reports_its_progress(trained: ETMCLI) -> None:
    names = set(trained.trainer.logged_metrics) | set(trained.trainer.callback_metrics)
    assert {"test_perplexity", "test_elbo"} <= names
    assert trained.trainer.current_epoch == 2


@pytest.mark.parametrize("subcommand", ["validate", "test"])
def test_a_checkpoint_is_evaluated_as_at_the_end_of_fit(
    run: Run, trained: ETMCLI, checkpoint: Path, subcommand: str
) -> None:
    evaluated = run(subcommand, f"--ckpt_path={checkpoint}")
    split = {"validate": "val", "test": "test"}[subcommand]
    expected = {name: value for name, value in values_of(trained).items() if name.startswith(split)}
    assert len(expected) == len(METRICS)
    assert values_of(evaluated) == expected
    assert_describes_topics(folder_of(evaluated))


def test_predict_writes_theta_of_all_documents(
    run: Run, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine" / "theta.parquet"
    run("predict", f"--ckpt_path={checkpoint}", f"--prediction.path={path}")
    table = assert_holds_theta(path, IDS)
    lengths = np.concatenate([planted_counts()[np.array(SPLITS) == split] for split in ("train", "val", "test")]).sum(1)
    assert table["status"].to_list() == np.where(lengths == 0, "empty", "ok").tolist()
    out = capsys.readouterr().out
    assert f"{len(IDS)} documents ({(lengths == 0).sum()} of them empty" in " ".join(out.split())
    assert str(path) in out


def test_predict_writes_to_the_run_folder_by_default(run: Run, checkpoint: Path) -> None:
    cli = run("predict", f"--ckpt_path={checkpoint}")
    assert_holds_theta(folder_of(cli) / "theta.parquet", IDS)


def test_a_checkpoint_is_a_model_in_a_notebook(checkpoint: Path, trained: ETMCLI) -> None:
    assert torch.load(checkpoint, weights_only=True)["vocab"] == VOCAB
    model = ETM.load_from_checkpoint(checkpoint)
    assert model.vocab == VOCAB
    assert model.beta.shape == (4, len(VOCAB))
    assert (model.beta >= 0).all()
    torch.testing.assert_close(model.beta.sum(dim=1), torch.ones(4))
    assert (model.alpha.shape, model.rho.shape) == ((4, 6), (len(VOCAB), 6))
    topics = json.loads((folder_of(trained) / "topics.json").read_text())
    assert model.top_words(10) == [topic["words"] for topic in topics]
    assert all(len(set(words)) == 10 for words in model.top_words(10))


def names_of(cli: ETMCLI, said: str) -> dict[str, list[list[str]]]:
    """The first three words of each topic in everything that a run leaves behind."""
    folder = folder_of(cli)
    topics = json.loads((folder / "topics.json").read_text(encoding="utf-8"))
    long = pl.read_csv(folder / "topics.csv").filter(pl.col("rank") <= 3)
    wide = pl.read_csv(folder / "topics_wide.csv").select("^word_[123]$").rows()
    page = re.search(
        r'<script type="application/json" id="data">(.*?)</script>', (folder / "report.html").read_text("utf-8")
    )
    assert page is not None
    content = json.loads(page[1])
    shown = {int(row[0]): row[3:6] for row in map(str.split, said.splitlines()) if len(row) == 13 and row[0].isdigit()}
    labels = pl.read_csv(folder / "projector" / "metadata.tsv", separator="\t").filter(pl.col("kind") == "topic")
    written = EventAccumulator(str(folder)).Reload()
    (*_, text) = written.Tensors("test/topics/text_summary")
    table = [row.split("|") for row in text.tensor_proto.string_val[0].decode().splitlines()[2:]]
    return {
        "topics.json": [topic["words"][:3] for topic in topics],
        "topics.csv": long.group_by("topic", maintain_order=True).agg("word")["word"].to_list(),
        "topics_wide.csv": [list(row) for row in wide],
        "terminal": [shown[topic] for topic in range(len(topics))],
        "page": [topic["name"].split() for topic in content["topics"]],
        "first words of the page": [
            [content["words"][word] for word in topic["words"][:3]] for topic in content["topics"]
        ],
        "projector": [label.split(": ")[1].split() for label in labels["label"]],
        "text of TensorBoard": [row[3].split()[:3] for row in table],
    }


def test_topics_have_the_same_words_everywhere(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ranked by the argument, in all that a run writes, by its checkpoint, and otherwise where that is asked for."""
    cli = run("fit", "--model.relevance=0.3")
    for name, words in names_of(cli, capsys.readouterr().out).items():
        assert words == cli.model.top_words(3), name
    path = folder_of(cli) / "checkpoints" / "best.ckpt"
    assert ETM.load_from_checkpoint(path).top_words(10) == cli.model.top_words(10)
    assert cli.model.top_words(10) != cli.model.top_words(10, relevance=1)
    for given, relevance in (([], 0.3), (["--model.relevance=1"], 1)):
        again = run("test", f"--ckpt_path={path}", *given)
        assert again.model.relevance == relevance
        for name, words in names_of(again, capsys.readouterr().out).items():
            assert words == cli.model.top_words(3, relevance), (given, name)


def test_a_checkpoint_may_be_moved(run: Run, checkpoint: Path, trained: ETMCLI, tmp_path: Path) -> None:
    moved = tmp_path / "my model.pt"
    moved.write_bytes(checkpoint.read_bytes())
    values = values_of(run("test", f"--ckpt_path={moved}"))
    assert values == {name: value for name, value in values_of(trained).items() if name in values}


# The same again


def test_the_same_seed_gives_the_same_run(run: Run, trained: ETMCLI) -> None:
    again = run("fit")
    assert (folder_of(again) / "metrics.json").read_bytes() == (folder_of(trained) / "metrics.json").read_bytes()
    assert_same_weights(again, trained)


def test_another_seed_gives_another_run(run: Run, trained: ETMCLI) -> None:
    assert values_of(run("fit", "--seed_everything=2")) != values_of(trained)


def test_the_saved_config_reruns_as_it_is(run: Run) -> None:
    first = run("fit", '--model.queries=["a00"]', "--model.lr_scheduler=StepLR", "--model.lr_scheduler.step_size=1")
    again = main(["fit", "--config", str(folder_of(first) / "config.yaml")])
    assert folder_of(again).parent == folder_of(first).parent
    assert folder_of(again) != folder_of(first)
    assert values_of(again) == values_of(first)
    assert_same_weights(again, first)


class Stop(Callback):
    """Ends a run that was to have more epochs."""

    def __init__(self, epochs: int = 2) -> None:
        self.epochs = epochs

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trainer.should_stop = trainer.current_epoch + 1 == self.epochs


def stop_after(epochs: int) -> list[str]:
    return [f"--trainer.callbacks+={__name__}.Stop", f"--trainer.callbacks.epochs={epochs}"]


STEPLR = ("--model.lr_scheduler=StepLR", "--model.lr_scheduler.step_size=1", "--model.lr_scheduler.gamma=0.5")
PLATEAU = "--model.lr_scheduler=pytorch_lightning.cli.ReduceLROnPlateau"
INTERRUPTED: dict[str, tuple[int, tuple[str, ...]]] = {
    "after the choice of the inference": (2, ()),
    "before it": (1, ()),
    "with noise and dropout": (2, ("--model.inference=encoder", "--model.enc_drop=0.4")),
    "rate changed every epoch": (2, STEPLR),
    "rate changed on a plateau": (
        2,
        (PLATEAU, "--model.lr_scheduler.monitor=val_perplexity", "--model.lr_scheduler.patience=0"),
    ),
}


@pytest.mark.parametrize(("epochs", "args"), INTERRUPTED.values(), ids=INTERRUPTED)
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(run: Run, epochs: int, args: tuple[str, ...]) -> None:
    of_all = ("--trainer.max_epochs=4", *args)
    at_once, part = run("fit", *of_all), run("fit", *of_all, *stop_after(epochs))
    assert part.trainer.current_epoch == epochs
    assert (part.model.inference == "auto") == (epochs == 1)
    resumed = run("fit", *of_all, f"--ckpt_path={folder_of(part)}/checkpoints/last.ckpt")
    assert resumed.model.inference == at_once.model.inference != "auto"
    assert not torch.equal(weights_of(part)["topics.rho"], weights_of(at_once)["topics.rho"])
    assert_same_weights(resumed, at_once)
    assert values_of(resumed) == values_of(at_once)


WILD = (
    "--trainer.max_epochs=4",
    "--model.optimizer=Adam",
    "--model.optimizer.lr=0.01",
    "--model.lr_scheduler=StepLR",
    "--model.lr_scheduler.step_size=2",
    "--model.lr_scheduler.gamma=100",
)  # the third epoch, with a learning rate of 1, makes it worse


def epoch_of(path: str | Path) -> int:
    return int(torch.load(path, weights_only=True)["epoch"])


def best_of(cli: ETMCLI) -> str:
    """Where its best checkpoint is: a run that went on may have it from the one before."""
    return str(cli.trainer.checkpoint_callback.best_model_path)


def test_the_last_checkpoint_is_of_the_last_epoch_and_the_best_of_the_best(run: Run) -> None:
    cli = run("fit", *WILD)
    checkpoints = folder_of(cli) / "checkpoints"
    assert Path(best_of(cli)) == checkpoints / "best.ckpt"
    assert epoch_of(checkpoints / "best.ckpt") < 2
    assert epoch_of(checkpoints / "last.ckpt") == 3


def test_the_best_model_may_be_one_from_before_the_interruption(run: Run) -> None:
    at_once = run("fit", *WILD)
    half = run("fit", *WILD, *stop_after(2))
    resumed = run("fit", *WILD, f"--ckpt_path={folder_of(half)}/checkpoints/last.ckpt")
    assert values_of(resumed) == values_of(at_once)
    assert epoch_of(best_of(resumed)) == epoch_of(best_of(at_once)) < 2


def test_early_stopping_is_a_matter_of_the_config(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "stop.yaml"
    when = {"monitor": "val_perplexity", "patience": 0, "min_delta": 1e6}
    config.write_text(yaml.safe_dump({"trainer": {"callbacks": [{"class_path": "EarlyStopping", "init_args": when}]}}))
    cli = run("fit", f"--config={config}", "--trainer.max_epochs=9")
    assert cli.trainer.current_epoch == 2
    assert (folder_of(cli) / "metrics.json").is_file()


def test_without_validation_documents_the_last_model_is_kept(run: Run, tmp_path: Path) -> None:
    x = planted_counts()
    data_dir = write_paper_files(tmp_path / "paper", {"tr": x[:60], "va": x[:0], "ts": x[60:]}, VOCAB)
    cli = run("fit", f"--data.data_dir={data_dir}")
    last, best = weights_of(cli), weights_of(cli, "best.ckpt")
    assert all(torch.equal(last[key], best[key]) for key in last)
    assert {name.split("_")[0] for name in values_of(cli)} == {"test"}


# Configs


@pytest.fixture(scope="session")
def docstrings_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("docstrings")


@pytest.mark.parametrize("config", [None, *CONFIGS], ids=lambda path: path.stem if path else "defaults")
def test_a_printed_config_is_the_config(
    config: Path | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def printed(*args: str) -> str:
        with pytest.raises(SystemExit) as stop:
            main(["fit", *args, "--print_config"])
        assert stop.value.code == 0
        return capsys.readouterr().out

    once = printed(*(["--config", str(config)] if config else []))
    (tmp_path / "printed.yaml").write_text(once)
    assert printed("--config", str(tmp_path / "printed.yaml")) == once
    assert {"seed_everything", "trainer", "model", "data"} <= set(yaml.safe_load(once))
    if config is None:
        assert yaml.safe_load(once)["data"]["class_path"].endswith("DocstringsDataModule")


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_a_config_from_fit_to_predict(config: Path, tmp_path: Path, paper_dir: Path, docstrings_cache: Path) -> None:
    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    docstrings = ['--data.packages=["json"]', "--data.min_df=1", "--data.min_words=5"]
    letters = "abcdefghijklmnop"
    lines = ["text", *(f"cat{letters[row % 16]} dog{letters[row % 7]}" for row in range(200))]
    (tmp_path / "texts.csv").write_text("\n".join(lines))
    data = {
        "CountsDataModule": [f"--data.path={paper_dir}", f"--data.cache_dir={tmp_path}"],
        "NewsgroupsDataModule": [f"--data.data_dir={paper_dir}", f"--data.cache_dir={tmp_path}"],
        "DocstringsDataModule": [*docstrings, f"--data.cache_dir={docstrings_cache}"],
        "TextDataModule": [f"--data.files={tmp_path / 'texts.csv'}", f"--data.cache_dir={tmp_path}"],
    }[content["data"].get("class_path", "DocstringsDataModule").rpartition(".")[2]]
    epochs = 2 * content.get("trainer", {}).get("check_val_every_n_epoch", 1)
    small = [*SMALL, "--data.steps_per_epoch=3", f"--trainer.max_epochs={epochs}"]
    where = [f"--trainer.default_root_dir={tmp_path}", "--trainer.accelerator=cpu", "--trainer.devices=1"]
    common = ["--config", str(config), *data, *small, *where]
    if "embeddings" in content.get("model", {}):
        pytest.importorskip("gensim", reason="gensim is not installed")
        vectors = tmp_path / "vectors.txt"
        common.append(f"--model.embeddings={vectors}")
        main(["embed", *common, f"--embeddings.path={vectors}", "--embeddings.vector_size=6", "--embeddings.epochs=1"])
    fitted = main(["fit", *common])
    assert_describes_topics(folder_of(fitted))
    best = folder_of(fitted) / "checkpoints" / "best.ckpt"
    for subcommand in ("validate", "test"):
        values = values_of(main([subcommand, *common, f"--ckpt_path={best}"]))
        expected = {name: value for name, value in values_of(fitted).items() if name in values}
        assert values == expected
    predicted = main(["predict", *common, f"--ckpt_path={best}"])
    ids = fitted.datamodule.corpus.documents["id"].to_list()
    assert_holds_theta(folder_of(predicted) / "theta.parquet", ids)


# A LightningDataModule of the user's own

OWN = '''
import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader, TensorDataset

from etm_app import BowBatch


class Dense(LightningDataModule):
    """Dense counts in batches of tuples, as TensorDataset makes them."""

    def __init__(self, path: str, batch_size: int = 20, seed: int = 7):
        super().__init__()
        assert (batch_size, seed) == (20, 7), "its own defaults"
        self.path = path
        self.batch_size = batch_size

    @property
    def vocab_size(self) -> int:
        return int(np.load(self.path)["train"].shape[1])

    def loader(self, split):
        return DataLoader(TensorDataset(torch.tensor(np.load(self.path)[split])), batch_size=self.batch_size)

    def train_dataloader(self):
        return self.loader("train")

    def val_dataloader(self):
        return self.loader("val")

    def test_dataloader(self):
        return self.loader("test")

    def predict_dataloader(self):
        return self.loader("test")


class Sparse(Dense):
    """The same, made sparse by the user."""

    def loader(self, split):
        training = split == "train"
        batches = [BowBatch.from_dense(x, self.vocab_size, training=training) for (x,) in super().loader(split)]
        return DataLoader(batches, batch_size=None)


class Bare(Dense):
    """Only what training needs."""

    val_dataloader = LightningDataModule.val_dataloader
    test_dataloader = LightningDataModule.test_dataloader
    predict_dataloader = LightningDataModule.predict_dataloader


class TestOnly(Dense):
    """Only what testing needs."""

    train_dataloader = LightningDataModule.train_dataloader
    val_dataloader = LightningDataModule.val_dataloader
    predict_dataloader = LightningDataModule.predict_dataloader
'''


def run_own(root: Path, class_path: str, data: list[str]) -> Callable[..., ETMCLI]:
    common = [f"--data={class_path}", *data, *SMALL, f"--trainer.default_root_dir={root}"]
    return lambda subcommand, *args: main([subcommand, *common, *args])


def assert_whole_path(run: Callable[..., ETMCLI]) -> tuple[dict[str, float], ETMCLI]:
    """fit, test and predict; returns the metrics of fit, and predict."""
    fitted = run("fit")
    values = values_of(fitted)
    assert np.isfinite(list(values.values())).all()
    best = f"--ckpt_path={folder_of(fitted)}/checkpoints/best.ckpt"
    tested = values_of(run("test", best))
    assert tested == {name: value for name, value in values.items() if name in tested}
    return values, run("predict", best)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Callable[..., ETMCLI]]:
    """Runs a class of the module above, which lies on the user's path."""
    (tmp_path / "own_data.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_data", raising=False)
    x = planted_counts().astype(np.float32)
    np.savez(tmp_path / "counts.npz", **{split: x[np.array(SPLITS) == split] for split in ("train", "val", "test")})
    return lambda name: run_own(tmp_path / name, f"own_data.{name}", [f"--data.path={tmp_path / 'counts.npz'}"])


def test_dense_and_sparse_batches_of_the_user_give_the_same(own: Callable[[str], Callable[..., ETMCLI]]) -> None:
    dense, predicted = assert_whole_path(own("Dense"))
    assert values_of(own("Sparse")("fit")) == dense
    theta = assert_holds_theta(folder_of(predicted) / "theta.parquet", [str(row) for row in range(15)])
    assert theta["status"].to_list().count("empty") == (planted_counts()[np.array(SPLITS) == "test"].sum(1) == 0).sum()


def test_words_without_names_are_numbered(own: Callable[[str], Callable[..., ETMCLI]]) -> None:
    fitted = own("Dense")("fit")
    topics = json.loads((folder_of(fitted) / "topics.json").read_text())
    assert all(0 <= int(word) < len(VOCAB) for topic in topics for word in topic["words"])


def test_training_documents_are_enough_to_fit(own: Callable[[str], Callable[..., ETMCLI]]) -> None:
    fitted = own("Bare")("fit")
    assert {path.name for path in (folder_of(fitted) / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert_describes_topics(folder_of(fitted))


def test_test_documents_are_enough_to_test(own: Callable[[str], Callable[..., ETMCLI]]) -> None:
    fitted = own("Dense")("fit")
    tested = own("TestOnly")("test", f"--ckpt_path={folder_of(fitted)}/checkpoints/best.ckpt")
    names = {name for name in values_of(fitted) if name.startswith("test") and "coherence" not in name}
    names -= {"test_topic_quality", "test_relevance_quality"}
    assert {name: values_of(tested)[name] for name in names} == {name: values_of(fitted)[name] for name in names}


README = ROOT / "README.md"


def readme_data_module() -> tuple[str, str] | None:
    """The first Python block of the README that defines a LightningDataModule, and the class's name."""
    text = README.read_text(encoding="utf-8") if README.exists() else ""
    for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL):
        for node in ast.parse(block).body:
            if isinstance(node, ast.ClassDef) and "LightningDataModule" in map(ast.unparse, node.bases):
                return block, node.name
    return None


@pytest.mark.skipif(readme_data_module() is None, reason="README.md shows no LightningDataModule yet")
def test_the_data_module_of_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, name = readme_data_module() or ("", "")
    (tmp_path / "readme_data.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    _, predicted = assert_whole_path(run_own(tmp_path / "runs", f"readme_data.{name}", []))
    assert pl.read_parquet(folder_of(predicted) / "theta.parquet").height > 0


# Around it


def test_runs_stay_apart(tmp_path: Path, paper_dir: Path) -> None:
    run = run_in(tmp_path / "runs", paper_dir)
    first, second = run("fit", "--trainer.max_epochs=1"), run("fit", "--trainer.max_epochs=1")
    assert folder_of(first) != folder_of(second)
    assert values_of(first) == values_of(second)


def test_other_loggers_work(run: Run, tmp_path: Path) -> None:
    cli = run("fit", "--trainer.logger=CSVLogger", f"--trainer.logger.save_dir={tmp_path / 'csv'}")
    table = pl.read_csv(folder_of(cli) / "metrics.csv")
    assert {"epoch", "train_elbo", "val_perplexity", "learning_rate", "epoch_time"} <= set(table.columns)
    assert_describes_topics(folder_of(cli))
    silent = run("fit", "--trainer.logger=false")
    assert_describes_topics(Path(silent.trainer.default_root_dir))
    assert values_of_folder(Path(silent.trainer.default_root_dir)) == values_of(cli)


def values_of_folder(folder: Path) -> dict[str, float]:
    return {name: metric["value"] for name, metric in json.loads((folder / "metrics.json").read_text()).items()}


def test_queries_are_answered_on_the_terminal(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    cli = run("fit", '--model.queries=["a00", "nonsense"]')
    out = " ".join(capsys.readouterr().out.split())
    nearest = cli.model.nearest_words("a00", 1)[0][0]
    assert f"{nearest} (" in out
    assert "nonsense" in out
    assert all(str(folder_of(cli) / name) in out or name in out for name in ("topics.csv", "metrics.json"))


def reference(data_dir: Path, root: Path) -> list[str]:
    return [
        "--coherence.reference=NewsgroupsDataModule",
        f"--coherence.reference.data_dir={data_dir}",
        f"--coherence.reference.cache_dir={root / 'reference'}",
    ]


def test_a_reference_corpus_from_fit_to_its_saved_config(run: Run, paper_dir: Path, tmp_path: Path) -> None:
    fitted = run("fit", *reference(paper_dir, tmp_path))
    names = {f"reference_{name}" for name in ("npmi", "cv", "umass", "coverage")}
    assert set(values_of(fitted)) == {f"{split}_{name}" for split in ("val", "test") for name in METRICS | names}
    assert values_of(fitted)["test_reference_coverage"] == 1
    again = main(["fit", "--config", str(folder_of(fitted) / "config.yaml")])
    assert values_of(again) == values_of(fitted)
    best = f"--ckpt_path={folder_of(fitted)}/checkpoints/best.ckpt"
    tested = values_of(run("test", best, *reference(paper_dir, tmp_path)))
    assert tested == {name: value for name, value in values_of(fitted).items() if name.startswith("test")}
    assert not any("reference" in name for name in values_of(run("test", best)))


@pytest.mark.parametrize(("wanted", "drawn"), [("null", False), ("true", True), ("false", False)])
def test_progress_is_drawn_where_it_is_wanted(
    run: Run, capsys: pytest.CaptureFixture[str], wanted: str, drawn: bool
) -> None:
    """Never into a pipe unless asked for; what is said at the end is said in any case."""
    cli = run("fit", "--trainer.max_epochs=1", f"--trainer.enable_progress_bar={wanted}")
    assert (cli.trainer.progress_bar_callback is not None) == drawn
    assert rich.get_console().quiet == (wanted == "false")  # the data modules' own
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "Topics, largest first" in out
    assert f"Written to {folder_of(cli)}: topics.csv" in out


@pytest.mark.usefixtures("own")
def test_a_config_of_one_data_module_serves_another(tmp_path: Path) -> None:
    """Its batch size passes to a class that takes one, too; the class need not share its types."""
    plain = (
        "def __init__(self, path: str, batch_size: int = 10):\n  super().__init__(path)\n  self.batch_size = batch_size"
    )
    (tmp_path / "own_plain.py").write_text(f"import own_data\nclass Plain(own_data.Dense):\n {plain}")
    data = ["--data=own_plain.Plain", f"--data.path={tmp_path / 'counts.npz'}"]
    config = f"--config={ROOT / 'configs' / 'paper.yaml'}"
    fitted = main(["fit", config, *data, f"--trainer.default_root_dir={tmp_path}", "--model.warm_start=true", *SMALL])
    assert fitted.datamodule.batch_size == 1000
    assert values_of(fitted)["test_perplexity"] > 1


def test_a_warning_is_one_line_without_a_line_of_code(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def show(*warning: Any) -> None:  # as Python does where no test records it
        sys.stderr.write(warnings.formatwarning(*warning[:4]))

    formatted = warnings.formatwarning
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        monkeypatch.setattr(warnings, "showwarning", show)
        run("fit", "--model.train_embeddings=false", "--model.warm_start=false")
    said = capsys.readouterr().err.splitlines()
    assert "warning: train_embeddings: false without a warm start; the word embeddings rho stay random." in said
    assert not [line for line in said if "Warning:" in line or "workers" in line]
    assert warnings.formatwarning is formatted
