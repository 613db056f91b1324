"""What is refused before anything is computed."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from pytorch_lightning import LightningDataModule
from pytorch_lightning.accelerators import AcceleratorRegistry
from pytorch_lightning.utilities.model_helpers import is_overridden

from etm_app.callbacks.prediction import is_theta_table
from etm_app.callbacks.run_folder import RUN_FILES
from etm_app.checkpoint.content import EXPECTED, hyperparameters, read_checkpoint
from etm_app.checkpoint.resume import check_goes_on
from etm_app.data.datamodule import BowDataModule
from etm_app.data.word_vectors.word2vec import ENDINGS, is_own_word2vec
from etm_app.errors import UserError
from etm_app.files import RUN_FOLDER, check_target, is_same
from etm_app.model import ETM
from etm_app.report.comparison import is_comparison
from etm_app.report.page import is_report
from etm_app.seeds import read_seeds

__all__ = [
    "check_accelerator",
    "check_checkpoint",
    "check_growth",
    "check_has_documents",
    "check_reads_no_target",
    "check_targets",
    "has_documents",
    "trained_arguments",
    "unknown_words",
    "vocab_size_of",
]

FREE = {"relevance"}  # arguments of the model that may differ from its checkpoint's: they change nothing in it


def check_targets(subcommand: str, config: Namespace) -> list[tuple[str, Path]]:
    """Refuse to write over a file that is named elsewhere, or that somebody else wrote, before anything is computed.

    Args:
        subcommand: The subcommand.
        config: The arguments of the command.

    Returns:
        The files that something is written to at places that the user names, each with the argument.

    Raises:
        UserError: One of them is there and not to be replaced.
    """
    own = config[subcommand]
    if subcommand == "sweep":  # whose trials write into their folders
        return [("sweep.folder", own.sweep.folder.expanduser())]
    targets: list[tuple[str, Path]] = []
    if subcommand in ("fit", "validate", "test") and own.trainer.logger in (False, []):
        folder = Path(own.trainer.default_root_dir or "").expanduser()  # which no logger makes anew for each run
        targets = [(RUN_FOLDER, folder / name) for name in RUN_FILES]
    argument = None
    if subcommand == "predict":
        argument, section, is_ours = "prediction.path", own.prediction, is_theta_table
    elif subcommand == "embed":
        argument, section, is_ours = "embeddings.path", own.embeddings, is_own_word2vec
        if section.path.suffix not in ENDINGS:
            raise UserError(
                f"{argument}: the ending of {section.path} tells no format; expected {', '.join(ENDINGS)} (binary)."
            )
    elif subcommand != "check" and own.report.enabled:
        argument, section, is_ours = "report.path", own.report, is_report
    if argument is not None and section.path is not None:
        targets.append((argument, section.path.expanduser()))
    named = {name: value if isinstance(value, list) else [value] for name, value in config.items()}
    if argument is not None:
        del named[f"{subcommand}.{argument}"]
    if subcommand == "embed":  # what a model starts from may be trained again
        del named["embed.model.embeddings"]
    for name, values in named.items():
        paths = [Path(value).expanduser() for value in values if isinstance(value, str | os.PathLike)]
        for target, path in targets:
            if path.is_file() and any(is_same(path, other) for other in paths):
                name = name.removeprefix(f"{subcommand}.").replace("init_args.", "")
                raise UserError(f"{target}: {path} is what {name} names; expected another file to write to.")
    for target, path in targets:
        if target == argument:
            check_target(path, argument, is_ours, section.overwrite)
        elif path.exists() and not _is_of_a_run(path):
            raise UserError(
                f"{target}: {path} is there, and not of a run of etm_app; it is kept. Expected another folder, or a "
                "logger, which makes one for each run: leave --trainer.logger out."
            )
    return targets


def _is_of_a_run(path: Path) -> bool:
    """Whether a file of this name is one that an earlier run has written: into its folder, or `report` alone."""
    config = path.with_name("config.yaml")
    if config.is_file():
        with config.open("rb") as file:
            if file.readline(100).startswith(b"# pytorch_lightning=="):
                return True
    kinds = {"report.html": is_report, "compare.csv": is_comparison}
    return path.is_file() and path.name in kinds and kinds[path.name](path)


def vocab_size_of(data: LightningDataModule) -> int:
    """The size of a data module's vocabulary, which the model's is linked to.

    Raises:
        UserError: It has none, or no whole number from 1.
    """
    size = getattr(data, "vocab_size", None)
    if not isinstance(size, int) or size < 1:
        raise UserError(
            f"data: the vocab_size of {type(data).__name__} is {size!r}; expected the number of words, an int from 1."
        )
    return size


def check_accelerator(accelerator: Any) -> None:
    """Refuse a kind of device that is not there, before documents are read for it.

    Raises:
        UserError: There is no such kind, or no such device here.
    """
    if not isinstance(accelerator, str) or accelerator == "auto":
        return
    kinds = {name: AcceleratorRegistry[name]["accelerator"] for name in sorted(AcceleratorRegistry)}
    there = [name for name, kind in kinds.items() if kind.is_available()]
    known = ["auto", "gpu", *kinds]
    remedy = "set --trainer.accelerator auto, which takes the fastest device that is there"
    if accelerator not in known:
        raise UserError(f"trainer.accelerator: {accelerator}; expected one of {', '.join(known)}: {remedy}.")
    if not {"cuda", "mps"} & {*there} if accelerator == "gpu" else accelerator not in there:
        raise UserError(
            f"trainer.accelerator: {accelerator}, but torch {torch.__version__} finds none here; "
            f"there is {', '.join(there)}: {remedy}."
        )


def check_checkpoint(subcommand: str, path: str | Path | None) -> dict[str, Any] | None:
    """Refuse what would evaluate random weights or end in a traceback.

    Returns:
        The checkpoint without its tensors; None where none is needed and none is named.

    Raises:
        UserError: No checkpoint where one is needed, a keyword for one, a missing file or one of another kind, or one
            that training cannot go on from.
    """
    if path is None:
        if subcommand not in ("fit", "check", "embed", "sweep"):
            raise UserError(f"ckpt_path: {subcommand} without a checkpoint would use random weights; {EXPECTED}")
        return None
    if str(path) in ("best", "last", "hpc", "registry") or str(path).startswith("registry:"):
        raise UserError(f"ckpt_path: {path!r} names no file, and a fresh process knows no earlier run; {EXPECTED}")
    checkpoint = read_checkpoint(path, ETM)
    if subcommand in ("fit", "check"):
        check_goes_on(checkpoint)
    # The rest would keep the file open, which fit may overwrite.
    return {name: checkpoint.get(name) for name in ("hyper_parameters", "vocab", "analyzer", "global_step")}


def trained_arguments(checkpoint: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the model in a checkpoint, but for those that may differ and are given.

    Args:
        checkpoint: As `check_checkpoint` returned it.
        given: Arguments of the model that are given; seeds in a file are read.

    Raises:
        UserError: One differs from what the model was trained with.
    """
    kept = {"seed_topics": None, **hyperparameters(checkpoint)}
    if "seed_topics" in given:
        given["seed_topics"] = read_seeds(given["seed_topics"], kept.get("num_topics", sys.maxsize)) or None
    of_training = {name: value for name, value in kept.items() if name not in FREE or name not in given}
    for name, trained in of_training.items():
        if name in given and given[name] not in (trained, "auto"):  # what was chosen by itself stays so
            raise UserError(
                f"model.{name}: {given[name]}, but the checkpoint was trained with {trained}; expected the "
                f"same: leave model.{name} out, or train anew without --ckpt_path."
            )
    return of_training


def check_has_documents(data: LightningDataModule, split: str) -> None:
    """Refuse to measure on documents that are not there.

    Raises:
        UserError: The data has none in this split.
    """
    if not has_documents(data, f"{split}_dataloader"):
        raise UserError(
            f"data: {type(data).__name__} has no {split} documents; expected some: "
            f"give it a {split} split or a {split}_dataloader."
        )


def check_reads_no_target(data: BowDataModule, targets: Sequence[tuple[str, Path]]) -> None:
    """Refuse to write over what the data is read from.

    Args:
        data: The data.
        targets: Files that are to be written, each with the argument that names it.

    Raises:
        UserError: One is among its files.
    """
    for argument, path in targets:
        if data.reads(path):
            raise UserError(
                f"{argument}: {path} is, or would be, among the files that {type(data).__name__} reads; "
                "expected another name, or another folder."
            )


def check_growth(subcommand: str, data: BowDataModule, checkpoint: dict[str, Any] | None) -> None:
    """Have a vocabulary grow only where training goes on.

    Raises:
        UserError: It is to grow, but there is none, or none that is known by its words.
    """
    if subcommand not in ("fit", "check"):
        data.grow_vocab = False
    if not data.grow_vocab:
        return
    if checkpoint is None or checkpoint["vocab"] is None:
        raise UserError(
            "data.grow_vocab: true, but there is no vocabulary to grow; expected the checkpoint of a model to go on "
            "with: --ckpt_path, or leave data.grow_vocab out."
        )


def unknown_words(data: LightningDataModule) -> str:
    """How much of the texts or counts a checkpoint's vocabulary lacks, a sentence; nothing where that is not known."""
    meta = data.corpus.meta if isinstance(data, BowDataModule) else {}
    if not meta.get("tokens") or not (unknown := meta.get("unknown_tokens")):
        return ""
    return (
        f"Vocabulary: {unknown / meta['tokens']:.1%} of the tokens of the documents ({unknown:,} of "
        f"{meta['tokens']:,}) are words that the model does not know, and are left out; --data.grow_vocab true has it "
        "learn those within --data.min_df and --data.max_df."
    )


def has_documents(datamodule: LightningDataModule, loader: str) -> bool:
    """Whether a loader of a data module has something to give; of a user's own, whether there is such a loader."""
    if not is_overridden(loader, datamodule, LightningDataModule):
        return False
    if isinstance(datamodule, BowDataModule):
        return len(datamodule.corpus.rows(loader.removesuffix("_dataloader"))) > 0
    return True
