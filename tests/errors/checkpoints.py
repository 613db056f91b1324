"""What a checkpoint can have wrong, by itself or for the command that is given it."""

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import etm_app
from etm_app.checkpoint.format import FORMAT
from etm_app.data.text.analyzer import Analyzer
from tests.checkpoint.test_format import RELEASED
from tests.errors.case import Case, Make, cut, in_turn, nothing, write
from tests.paper_files import write_paper_files
from tests.planted import VOCAB, planted_counts

__all__ = ["CHECKPOINTS", "CONTENTS", "with_others"]

PLANTED = "--data.data_dir 20ng"
RUNS_CODE = {"class_path": "os.mkdir", "init_args": {"path": "pwned"}}
X = planted_counts()
SPLIT = {"tr": X[:60], "va": X[60:75], "ts": X[75:]}


class Payload:
    """What an attacker saves: loaded without `weights_only`, it makes a folder."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, ("pwned",)


def saved(content: object) -> Make:
    return lambda folder: torch.save(content, folder / "bad.ckpt")


def changed(change: Callable[[dict[str, Any]], object]) -> Make:
    """A good one, changed."""

    def make(folder: Path) -> None:
        content = torch.load(folder / "best.ckpt", weights_only=True)
        change(content)
        torch.save(content, folder / "bad.ckpt")

    return make


def with_others(changes: dict[str, Any]) -> Make:
    """A good one with other values at some keys."""

    def change(content: dict[str, Any]) -> None:
        for key, value in changes.items():
            content[key] = {**content[key], **value} if isinstance(content.get(key), dict) else value

    return changed(change)


def of_texts(**settings: str) -> Make:
    """As of a model of texts that were cut by these settings."""
    return changed(lambda content: content.update(analyzer={**Analyzer().settings(), **settings}))


FILES = {
    "missing": nothing,
    "text": write("bad.ckpt", "no checkpoint"),
    "empty": write("bad.ckpt", ""),
    "folder": lambda folder: (folder / "bad.ckpt").mkdir(),
    "dict": saved({"weight": torch.zeros(3)}),
    "of another model": saved({"state_dict": {}, "hyper_parameters": {}, "epoch": 3}),
    "tensor": saved(torch.zeros(3)),
    "attack": saved({"state_dict": {}, "vocab": Payload()}),
    "pickled attack": write("bad.ckpt", pickle.dumps(Payload())),
    "cut": in_turn(lambda folder: shutil.copyfile(folder / "best.ckpt", folder / "bad.ckpt"), cut("bad.ckpt")),
}
CONTENTS: dict[str, tuple[dict[str, Any], str]] = {
    "schedule": ({"hyper_parameters": {"lr_scheduler": RUNS_CODE}}, "hyper_parameters.lr_scheduler"),
    "optimizer": ({"hyper_parameters": {"optimizer": RUNS_CODE}}, "hyper_parameters.optimizer"),
    "class": ({"hyper_parameters": {"_class_path": "os.mkdir"}}, "hyper_parameters._class_path"),
    "embeddings": ({"hyper_parameters": {"embeddings": "/etc/passwd"}}, "hyper_parameters.embeddings"),
    "argument that is not there": ({"hyper_parameters": {"no_such": 1}}, "hyper_parameters.no_such"),
    "topics beyond count": ({"hyper_parameters": {"num_topics": 10**12}}, "1,000,000,000,000"),
    "embeddings of documents below nothing": (
        {"hyper_parameters": {"document_embeddings_size": -1}},
        "hyper_parameters.document_embeddings_size",
    ),
    "yes for a number": ({"hyper_parameters": {"num_topics": True}}, "num_topics"),
    "other words": ({"vocab": [str(word) for word in range(7)]}, "vocab has 7 words"),
    "numbers for words": ({"vocab": list(range(len(VOCAB)))}, "vocab"),
    "repeated words": ({"vocab": ["one"] * len(VOCAB)}, "vocab repeats"),
    "names of other topics": ({"topic_names": {4: "fruit"}}, "topic_names: topic 4; expected a number from 0 to 3"),
    "one name for all": ({"topic_names": {0: "fruit", 1: "fruit"}}, "topic_names: 'fruit' is the name of"),
    "name without end": ({"topic_names": {0: "x" * 10**6}}, "1 to 100 characters"),
    "endless expression": ({"analyzer": {"token_pattern": "(a{1000}){1000}{1000}"}}, "token_pattern"),
    "setting that is not there": ({"analyzer": {"no_such": 1}}, "analyzer.no_such"),
    "embeddings beyond what can be counted": (
        {"hyper_parameters": {"rho_size": 5 * 10**18}},
        "rho_size 5,000,000,000,000,000,000",
    ),
    "inference of other weights": ({"hyper_parameters": {"inference": "encoder"}}, "state_dict has 'e_step.size', by"),
    "no such inference": ({"hyper_parameters": {"inference": "gibbs"}}, "hyper_parameters.inference is 'gibbs'"),
    "words for weights": ({"state_dict": {"topics.rho": "words"}}, "state_dict holds something else than tensors"),
    "weights that are no numbers": ({"state_dict": {"topics.rho": torch.full((48, 6), torch.nan)}}, "topics.rho"),
}
LATER = {"format": FORMAT + 1, "etm_app_version": "7.1.0", "hyper_parameters": {"no_such": 1}}
EVALUATIONS = ("validate", "test", "predict")

CHECKPOINTS = {
    **{
        f"no checkpoint to {subcommand}": Case(f"{subcommand} {PLANTED}", ["ckpt_path", subcommand])
        for subcommand in (*EVALUATIONS, "report")
    },
    **{
        f"checkpoint {keyword} to {subcommand}": Case(
            f"{subcommand} {PLANTED} --ckpt_path={keyword}", ["ckpt_path", keyword]
        )
        for subcommand in ("fit", *EVALUATIONS)
        for keyword in ("last", "best", "hpc", "registry", "registry:mine")
    },
    "checkpoint by an address": Case(
        f"test {PLANTED} --ckpt_path=http://127.0.0.1:1/model.ckpt", ["ckpt_path", "no file http"]
    ),
    **{
        f"checkpoint, {name}, to {subcommand}": Case(
            f"{subcommand} {PLANTED} --ckpt_path=bad.ckpt", ["ckpt_path", "bad.ckpt"], make
        )
        for name, make in FILES.items()
        for subcommand in ("fit", "test")
    },
    **{
        f"checkpoint, {name}, to {subcommand}": Case(
            f"{subcommand} {PLANTED} --ckpt_path=bad.ckpt", ["ckpt_path", "bad.ckpt", said], with_others(changes)
        )
        for name, (changes, said) in CONTENTS.items()
        for subcommand in ("predict", "fit", "check")
    },
    **{
        f"checkpoint of a later version to {subcommand}": Case(
            f"{subcommand} {PLANTED} --ckpt_path=bad.ckpt",
            [
                f"bad.ckpt was written by etm_app 7.1.0, in a newer format than etm_app {etm_app.__version__} reads",
                "install etm_app 7.1.0",
            ],
            with_others(LATER),
        )
        for subcommand in ("test", "fit", "predict")
    },
    **{
        f"checkpoint of an encoder that is gone to {subcommand}": Case(
            f"{subcommand} {PLANTED} --ckpt_path=bad.ckpt",
            ["optimizer_states", "train anew"],
            lambda folder: shutil.copyfile(RELEASED[0], folder / "bad.ckpt"),
        )
        for subcommand in ("fit", "check")
    },
    **{
        f"checkpoint of finite weights that give no topics to {subcommand}": Case(
            f"{subcommand} {PLANTED} --ckpt_path=bad.ckpt",
            ["finite"],
            changed(lambda content: content["state_dict"]["topics.rho"].fill_(3e38)),
            begins=subcommand == "test",
        )
        for subcommand in ("predict", "test")
    },
    **{
        f"vocabulary {name} than the checkpoint's to {subcommand}": Case(
            f"{subcommand} --data.data_dir other --ckpt_path=best.ckpt",
            ["vocabulary", str(len(VOCAB)), str(len(vocab))],
            lambda folder, vocab=vocab: write_paper_files(  # type: ignore[misc]
                folder / "other", {part: x[:, : len(vocab)] for part, x in SPLIT.items()}, vocab
            ),
            begins=subcommand != "predict",
        )
        for name, vocab in (
            ("in another order", VOCAB[::-1]),
            ("of other words", [f"{word}s" for word in VOCAB]),
            ("with a word less", VOCAB[:-1]),
        )
        for subcommand in ("fit", *EVALUATIONS)
    },
    "vocabulary of synthetic documents to check": Case(
        "check --data.num_words=48 --ckpt_path=best.ckpt", ["another vocabulary"]
    ),
    **{
        f"argument against the checkpoint: {name}={value}": Case(
            f"fit {PLANTED} --ckpt_path=best.ckpt --{name}={value}", [f"{name}: {value}", "was trained with"]
        )
        for name, value in (
            ("model.num_topics", 12),
            ("model.num_topics", 50),
            ("model.anchor", 0.1),
            ("model.inference", "encoder"),
        )
    },
    "argument against the checkpoint, in a config": Case(
        f"test {PLANTED} --config mine.yaml --ckpt_path=best.ckpt",
        ["model.anchor", "was trained with"],
        write("mine.yaml", "model:\n  anchor: 0.1\n"),
    ),
    "argument against the checkpoint, without data": Case(
        "test --ckpt_path best.ckpt --model.num_topics=7", ["model.num_topics: 7"]
    ),
    "seeds against the checkpoint": Case(
        f"fit {PLANTED} --ckpt_path best.ckpt --model.seed_topics seeds.yaml",
        ["model.seed_topics: {'some': ['a00']}, but"],
        write("seeds.yaml", "some: [a00]"),
    ),
    "epochs that the checkpoint has had": Case(
        f"fit {PLANTED} --ckpt_path last.ckpt --trainer.max_epochs=1", ["trainer.max_epochs: 1"], begins=True
    ),
    "another optimizer than the checkpoint's": Case(
        f"fit {PLANTED} --ckpt_path best.ckpt --model.optimizer=SGD --model.optimizer.lr=0.1 --trainer.max_epochs=3",
        ["another optimizer than SGD"],
        begins=True,
    ),
    "vocabulary that is to grow out of nothing": Case(
        "fit --data.files texts.csv --data.grow_vocab=true", ["data.grow_vocab", "no vocabulary to grow", "--ckpt_path"]
    ),
    "tokenizer that the checkpoint does not have": Case(
        "fit --data.files texts.csv --ckpt_path bad.ckpt --data.tokenizer=builtins.list",
        ["data.tokenizer", "null"],
        of_texts(),
    ),
    "tokenizer of the checkpoint that is not named": Case(
        "predict --data.files texts.csv --ckpt_path bad.ckpt",
        ["--data.tokenizer tests.test_new_documents.by_spaces"],
        of_texts(tokenizer="tests.test_new_documents.by_spaces"),
    ),
}
