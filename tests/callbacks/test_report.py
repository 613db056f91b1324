import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from pytorch_lightning import LightningDataModule, Trainer

from etm_app.callbacks.collapse import CollapseMonitor
from etm_app.callbacks.report import Report
from etm_app.callbacks.topic_tables import TopicTables
from etm_app.cli.main import ETMCLI
from etm_app.model import ETM
from tests.conftest import Run
from tests.planted import VOCAB, PlantedDataModule


def page_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def data_of(path: Path) -> Any:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page_of(path), re.DOTALL)
    assert found is not None
    return json.loads(found[1])


def test_a_fit_ends_with_a_report(trained: ETMCLI) -> None:
    path = Path(trained.trainer.log_dir) / "report.html"
    data, page = data_of(path), page_of(path)
    assert set(data["words"]) == set(VOCAB)
    assert len(data["topics"]) == 4
    epochs = {name: [epoch for epoch, _ in values] for name, values in data["history"].items()}
    for name in ("train_elbo", "train_kl", "val_elbo", "val_perplexity", "val_topic_coherence", "val_topic_diversity"):
        assert epochs[name] == [1, 2], name
    for shown in ("train_embeddings", "batch_size", "NewsgroupsDataModule", "Adam", "test", "document completion"):
        assert shown in page
    assert "_instantiator" not in page


def test_its_numbers_are_those_of_the_tables(trained: ETMCLI) -> None:
    folder = Path(trained.trainer.log_dir)
    data = data_of(folder / "report.html")
    tables = json.loads((folder / "topics.json").read_text(encoding="utf-8"))
    for shown, topic in zip(data["topics"], tables, strict=True):
        assert shown["share"] == pytest.approx(topic["share"], rel=1e-3)
        assert shown["coherence"] == pytest.approx(topic["coherence"], abs=1e-4)
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    assert f"{metrics['test_perplexity']['value']:.1f}" in page_of(folder / "report.html")


@pytest.mark.parametrize("subcommand", ["validate", "test"])
def test_a_checkpoint_is_enough(run: Run, trained: ETMCLI, checkpoint: Path, tmp_path: Path, subcommand: str) -> None:
    path = tmp_path / "new folder" / "mine.html"
    run(subcommand, f"--ckpt_path={checkpoint}", f"--report.path={path}")
    assert sorted(found.name for found in path.parent.iterdir()) == ["mine.html"]
    data = data_of(path)
    whole = data_of(Path(trained.trainer.log_dir) / "report.html")
    assert data["topics"] == whole["topics"]
    assert (
        data["history"]["val_perplexity"]
        == whole["history"]["val_perplexity"][: len(data["history"]["val_perplexity"])]
    )
    assert "Adam" in page_of(path)


def test_it_can_be_left_out(run: Run, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli = run("test", f"--ckpt_path={checkpoint}", "--report.enabled=false")
    assert not (Path(cli.trainer.log_dir) / "report.html").exists()
    assert "To look at the topics" not in capsys.readouterr().out


def test_a_resumed_run_tells_of_the_whole(run: Run, trained: ETMCLI, tmp_path: Path) -> None:
    last = shutil.copy(Path(trained.trainer.log_dir) / "checkpoints" / "last.ckpt", tmp_path)
    cli = run("fit", f"--ckpt_path={last}", "--trainer.max_epochs=4")
    history = data_of(Path(cli.trainer.log_dir) / "report.html")["history"]
    assert [epoch for epoch, _ in history["val_perplexity"]] == [1, 2, 3, 4]
    before = data_of(Path(trained.trainer.log_dir) / "report.html")["history"]
    assert history["val_perplexity"][:2] == before["val_perplexity"]
    # The checkpoint of an epoch is written before its training metrics are known.
    assert [epoch for epoch, _ in history["train_elbo"]] == [1, 3, 4]


def test_the_checkpoint_keeps_plain_values(checkpoint: Path) -> None:
    state = torch.load(checkpoint, weights_only=True)["callbacks"]["Report"]
    assert set(state) == {"history", "training"}
    json.dumps(state)


def test_warnings_are_shown_and_a_model_is_described_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import etm_app.callbacks.report as module

    calls = []
    monkeypatch.setattr(module, "describe", lambda *args: calls.append(1) or describe(*args))
    from etm_app.report.content import describe

    torch.manual_seed(0)
    monitor, report = CollapseMonitor(), Report()
    monitor.warning = "The topics have <collapsed>."
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        callbacks=[monitor, TopicTables(), report],
        enable_progress_bar=False,
        default_root_dir=tmp_path,
    )
    model = ETM(len(VOCAB), num_topics=4, t_hidden_size=8, rho_size=6)
    datamodule = PlantedDataModule()
    trainer.validate(model, datamodule, verbose=False)
    trainer.test(model, datamodule, verbose=False)
    assert report.written == tmp_path / "report.html"
    assert "The topics have &lt;collapsed&gt;." in page_of(report.written)
    assert len(calls) == 1
    with torch.no_grad():
        model.topics.alpha.mul_(-1)
    trainer.test(model, datamodule, verbose=False)
    assert len(calls) == 2


def test_a_vocabulary_that_was_found_beside_the_counts_is_no_setting(tmp_path: Path) -> None:
    from etm_app.callbacks.report import _settings_of
    from etm_app.data.counts.counts import CountsDataModule

    sp.save_npz(tmp_path / "counts.npz", sp.csr_array(np.ones((9, 3), np.int64)))
    words = tmp_path / "vocab.txt"
    words.write_text("a\nb\nc\n", encoding="utf-8")
    for given, shown in ((None, None), (words, str(words))):
        datamodule = CountsDataModule(tmp_path / "counts.npz", vocab=given, cache_dir=tmp_path / "cache")
        assert datamodule.vocab == ["a", "b", "c"]
        assert _settings_of(datamodule)["vocab"] == shown


class Many(LightningDataModule):
    def __init__(self, files: list[str], few: list[str]) -> None:
        super().__init__()
        self.files, self.few = files, few


def test_of_a_long_list_the_page_has_the_length() -> None:
    from etm_app.callbacks.report import _settings_of

    shown = _settings_of(Many([f"{part}.csv" for part in range(3_000)], ["a", "b"]))
    assert shown == {"class": "Many", "files": "3,000 of them", "few": "a, b"}
