"""``python -m etm_app sweep``: a fit for each number of topics and each seed, and what they come to together."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
import yaml
from jsonargparse import Namespace
from pytorch_lightning import LightningDataModule, LightningModule
from rich.text import Text

from etm_app import __version__
from etm_app.callbacks.reference import ReferenceCoherence
from etm_app.cli.check import CheckingTrainer, show_warnings
from etm_app.cli.guards import has_documents
from etm_app.cli.trial import fit_apart
from etm_app.data.corpus import SPLITS, BowCorpus, BowDataset
from etm_app.data.datamodule import corpus_of
from etm_app.data.digest import documents_digest
from etm_app.data.text.advice import advice
from etm_app.data.text.texts import TextDataModule
from etm_app.errors import UserError
from etm_app.files import content_digest, replacing
from etm_app.model import ETM
from etm_app.report.run import Value, plain
from etm_app.report.terminal import make_console
from etm_app.sweep.page import write_sweep_page
from etm_app.sweep.plan import Sweep, check_sweep
from etm_app.sweep.results import summarize
from etm_app.sweep.tables import show_sweep, write_tables
from etm_app.sweep.trials import run_trials

__all__ = ["SweepingTrainer", "sweep_of"]

NOT_OF_A_TRIAL = ("sweep", "prediction", "ckpt_path", "weights_only")  # of the arguments


def sweep_of(config: Namespace) -> Sweep:
    """What the arguments of the command say of the sweep, before anything is computed.

    Args:
        config: The arguments of the subcommand.

    Raises:
        UserError: It cannot be swept over that, or not with that checkpoint or logger.
    """
    given = config.sweep  # whose numbers are of jsonargparse's types
    sweep = Sweep([*map(int, given.num_topics)], [*map(int, given.seeds)], given.folder.expanduser())
    check_sweep(sweep)
    if config.ckpt_path is not None:
        raise UserError(
            f"ckpt_path: {config.ckpt_path}; expected null, as the trials of a sweep begin anew: leave it out."
        )
    if config.trainer.logger not in (None, False, True):
        raise UserError(
            "trainer.logger: a class; expected true or false in a sweep, as each trial logs to a folder of its own: "
            "set --trainer.logger false."
        )
    return sweep


class SweepingTrainer(CheckingTrainer):
    """And with many fits, each of which it leaves to a process of its own."""

    def sweep_over(
        self,
        model: LightningModule,
        datamodule: LightningDataModule,
        sweep: Sweep,
        config: dict[str, Any],
        ckpt_path: str | Path | None = None,
        weights_only: bool | None = None,
    ) -> None:
        """Fit with each number of topics and each seed, each in a process of its own; write and show what they come to.

        Args:
            model: The model; its weights are not looked at, so it may be on the meta device.
            datamodule: The data, which all trials find prepared.
            sweep: What varies, and where it is kept.
            config: The arguments of the command, as in a config.
            ckpt_path: None, as every trial begins anew; only here, as the next, so that a config that fit saved serves.
            weights_only: None.

        Raises:
            UserError: There are no documents to compare the trials by, or a trial has no result.
        """
        assert isinstance(model, ETM)
        splits = [split for split in ("val", "test") if has_documents(datamodule, f"{split}_dataloader")]
        if not splits:
            raise UserError(
                f"data: {type(datamodule).__name__} has no validation and no test documents; expected some, as "
                "perplexity is compared on them: give it a val split or a val_dataloader."
            )
        corpus = corpus_of(datamodule, model.vocab_size)
        console = make_console()
        show_warnings(console, advice(corpus, max(sweep.num_topics), isinstance(datamodule, TextDataModule)))

        def fit(num_topics: int, seed: int, folder: Path) -> str:
            failed = fit_apart(_trial(config, num_topics, seed, folder), folder)
            if not failed:
                for path in folder.rglob("config.yaml"):
                    _let_go(path)
            return failed

        digest = _data_digest([corpus, *_references(self)], config)
        settings = sha256(f"{_trial(config, 0, 0, Path())}{digest}".encode()).hexdigest()
        done = run_trials(
            sweep, settings, f"{splits[0]}_perplexity", fit, lambda said: console.print(Text(said), soft_wrap=True)
        )
        if done.num_others:
            said = f"{done.num_others} other trials in {sweep.folder}, of other settings, data, numbers of topics or "
            console.print(Text(f"{said}seeds, are kept and not in the tables."), soft_wrap=True)
        if done.trials:
            summary = summarize(done.trials)
            written = write_tables(summary, sweep.folder)
            page = write_sweep_page(summary, sweep.folder / "sweep.html", corpus, _shown(config))
            show_sweep(console, summary)
            console.print(Text(f"Written to {sweep.folder}: {', '.join(written)}"), soft_wrap=True)
            console.print(Text(f"To look at the curves: {page}"), soft_wrap=True)
        if done.failures:
            num_trials = len(sweep.num_topics) * len(sweep.seeds)
            raise UserError(
                f"sweep: {len(done.failures)} of {num_trials} trials have no result ({'; '.join(done.failures)}); the "
                "tables are of the others. The same command runs those again, or leave their numbers of topics out."
            )

    sweep = sweep_over  # the subcommand; the method's own name is that of its arguments, and sweep has others


def _trial(config: dict[str, Any], num_topics: int, seed: int, folder: Path) -> str:
    """The config of a fit: that of the sweep, with what is the trial's own. Of its checkpoints the best is kept."""
    own: dict[str, Any] = {
        "seed_everything": seed,
        "model": {"num_topics": num_topics},
        "trainer": {"default_root_dir": str(folder), "logger": config["trainer"]["logger"] is True},
        "checkpoint": {"dirpath": None, "filename": "best", "save_top_k": 1, "save_weights_only": True},
        "report": {"path": None},
    }
    config = {name: value for name, value in config.items() if name not in NOT_OF_A_TRIAL}
    both = {name: {**config[name], **value} if isinstance(value, dict) else value for name, value in own.items()}
    return str(yaml.safe_dump({**config, **both}, sort_keys=False))


def _let_go(path: Path) -> None:
    """Make a trial's config one that trains again somewhere else, and keeps what a fit does."""
    text = path.read_text(encoding="utf-8")
    config = yaml.safe_load(text)
    config["trainer"] |= {"default_root_dir": None, "logger": None}
    config["checkpoint"]["save_weights_only"] = False
    with replacing(path, "sweep.folder") as new:
        version, _, _ = text.partition("\n")  # of Lightning, by which the folder is known as a run's
        new.write_text(f"{version}\n{yaml.safe_dump(config, sort_keys=False)}", encoding="utf-8")


def _references(trainer: SweepingTrainer) -> list[BowCorpus]:
    """Documents that all trials measure coherence in, beside their own."""
    found = (of.reference for of in trainer.callbacks if isinstance(of, ReferenceCoherence))  # type: ignore[attr-defined]
    return [corpus_of(of, len(of.vocab)) for of in found if of is not None]  # type: ignore[attr-defined]  # it has one


def _shown(config: dict[str, Any]) -> dict[str, dict[str, Value]]:
    """The settings of all trials, as the page shows them."""
    data, trainer = config["data"], config["trainer"]
    sections = {
        "Model": {name: value for name, value in config["model"].items() if name != "num_topics"},
        "Data": {"class": data["class_path"].rpartition(".")[2], **data.get("init_args", {})},
        "Training": {name: trainer[name] for name in ("max_epochs", "precision", "accelerator", "devices")},
    }
    # Where the corpus is kept and how it is read does not change a number.
    return {
        title: plain({name: of for name, of in values.items() if name not in ("cache_dir", "num_workers")})
        for title, values in sections.items()
    }


def _data_digest(corpora: list[BowCorpus], config: dict[str, Any]) -> str:
    """Of all that is read beside the config, and of what reads it."""
    labels = [of.documents["label"].to_list() for of in corpora if "label" in of.documents.columns]
    named = [config["model"]["embeddings"], config["model"]["seed_topics"], config["topics"]["names"]]
    files = [Path(of).expanduser() for of in named if isinstance(of, str)]
    parts = (
        *(documents_digest((BowDataset(of, of.rows(split)) for split in SPLITS), of.vocab) for of in corpora),
        sha256(repr(labels).encode("utf-8", "surrogatepass")).hexdigest(),
        *map(content_digest, files),
        __version__,
        torch.__version__,
    )
    return " ".join(map(str, parts))
