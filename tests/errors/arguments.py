"""What the arguments themselves have wrong, and the configs that hold them."""

import torch

from etm_app.cli.commands import SUBCOMMANDS
from tests.errors.case import Case, write

__all__ = ["ARGUMENTS", "CONFIGS", "OWN_DATA", "SUBCOMMANDS_MISSED"]

DOCSTRINGS = """--data DocstringsDataModule --data.packages '["json"]' --data.min_words 5"""
PLANTED = "--data.data_dir 20ng"

SUBCOMMANDS_MISSED = {
    "no subcommand": Case("", ["no subcommand", ", ".join(SUBCOMMANDS), "fit --data.files texts.csv"]),
    "no such subcommand": Case("train", ["train", ", ".join(SUBCOMMANDS)]),
    "misspelt subcommand": Case("predcit", ["predcit", ", ".join(SUBCOMMANDS), "Did you mean predict?"]),
    "argument before the subcommand": Case("--model.num_topics=3", ["--model.num_topics=3"]),
}

ARGUMENTS = {
    "no value": Case("fit --trainer.max_epochs", ["--trainer.max_epochs"]),
    "no value for the data": Case("fit --data.files", ["expected one argument\nAll arguments"]),
    "unknown key": Case("fit --model.num_topic=5", ["--model.num_topic", "Did you mean --model.num_topics?"]),
    "unknown key anywhere": Case("fit --epochs=5", ["--epochs"]),
    "unknown key of the data": Case(f"fit {PLANTED} --data.data_dri=x", ["data_dri"]),
    "misspelt argument of a data module that it is not told": Case(
        "fit --data.fils=x.csv", ["fils", "Did you mean --data.files?"]
    ),
    "misspelt argument beside one that tells": Case(
        "fit --data.files=x --data.text_colum=y", ["text_colum'", "Did you mean --data.text_column?"]
    ),
    "argument of two data modules": Case(
        "fit --data.format=csv", ["format", "CountsDataModule and TextDataModule", "--data"]
    ),
    "argument of another data module": Case(
        "fit --data=NewsgroupsDataModule --data.files=x.csv",
        ["files", "--data.files is an argument of TextDataModule: name the class with --data."],
    ),
    "argument of an encoder that is gone": Case(
        "fit --model.word_dropout 0.5",
        ["--model.word_dropout", "model.word_dropout is gone", "the encoder is the paper's only", "leave it out"],
    ),
    "argument that only begins as one that is gone": Case("fit --model.priors=1", ["--model.priors", "Did you mean"]),
    "positional": Case("fit configs/20ng.yaml", ["configs/20ng.yaml"]),
    "missing config": Case("fit --config no/such/file.yaml", ["config", "no/such/file.yaml"]),
    "word for a number": Case("fit --model.num_topics=many", ["num_topics", "many"]),
    "fraction for a whole number": Case("fit --model.num_topics=2.5", ["num_topics", "2.5"]),
    "no topics": Case("fit --model.num_topics=0", ["num_topics", "0"]),
    "no topics to check": Case("check --model.num_topics=0", ["num_topics", "0"]),
    "negative topics": Case("fit --model.num_topics=-1", ["num_topics", "-1"]),
    "no hidden units": Case("fit --model.t_hidden_size=0", ["t_hidden_size", "0"]),
    "no embedding": Case("fit --model.rho_size=0", ["rho_size", "0"]),
    "too much dropout": Case("fit --model.enc_drop=1.5", ["enc_drop", "1.5"]),
    "unknown activation": Case("fit --model.theta_act=swish", ["theta_act", "swish", "softplus"]),
    "no yes or no": Case("fit --model.train_embeddings=perhaps", ["train_embeddings", "perhaps"]),
    "unknown inference": Case("fit --model.inference=gibbs", ["inference", "gibbs", "mixed_membership"]),
    "negative anchor": Case("fit --model.anchor=-1", ["model.anchor", "-1"]),
    "no weight of relevance": Case("fit --model.relevance=1.5", ["model.relevance", "1.5", "0", "1"]),
    "unknown optimizer": Case("fit --model.optimizer=Adamm", ["optimizer", "no Adamm", "Did you mean Adam?"]),
    "misspelt callback": Case("fit --trainer.callbacks=EarlyStoping", ["callbacks", "Did you mean EarlyStopping?"]),
    "no batch": Case("fit --data.batch_size=0", ["batch_size", "0"]),
    "no steps": Case("fit --data.steps_per_epoch=0", ["steps_per_epoch", "0"]),
    "negative workers": Case("fit --data.num_workers=-1", ["num_workers", "-1"]),
    "word for epochs": Case("fit --trainer.max_epochs=ten", ["max_epochs", "ten"]),
    "unknown data module": Case("fit --data=NoSuchDataModule", ["NoSuchDataModule"]),
    "misspelt data module": Case(
        "fit --data=TextDataModul --data.files=x.csv",
        ["data: expected the name of a class", "there is no TextDataModul\n", "Did you mean TextDataModule?"],
    ),
    "misspelt data module of a package": Case("fit --data=etm_app.TextDataModul", ["Did you mean TextDataModule?"]),
    "unknown module": Case("fit --data=no_such_module.Data", ["no_such_module.Data"]),
    "class of another kind": Case("fit --data=collections.OrderedDict", ["OrderedDict"]),
    "unknown accelerator": Case(
        "fit --trainer.accelerator=gppu", ["trainer.accelerator: gppu", "auto, gpu, cpu", "--trainer.accelerator auto"]
    ),
    **{
        f"no such device: {name}": Case(
            f"fit --trainer.accelerator={name}",
            [f"trainer.accelerator: {name}", torch.__version__, "there is cpu", "--trainer.accelerator auto"],
        )
        for name in ("gpu", "cuda")
        if not torch.cuda.is_available() and not torch.backends.mps.is_available()
    },
    "monitor that nothing logs": Case(f"fit {PLANTED} --checkpoint.monitor=val_loss", ["val_loss"], begins=True),
    "shares of more than all": Case(
        "fit --data.files texts.csv --data.val_fraction=0.6 --data.test_fraction=0.6",
        ["val_fraction", "test_fraction", "0.6"],
    ),
    "learning rate that is too high": Case(
        f"fit {PLANTED} --model.num_topics=4 --data.batch_size=16 --model.optimizer.lr=1e30",
        [
            "model.optimizer.lr: 1e+30",
            "at step 2, with the documents 'train/",
            "and 13 more",
            "No checkpoint was written",
        ],
        begins=True,
    ),
    "learning rate that is too high, one step an epoch": Case(
        f"fit {PLANTED} --model.num_topics=4 --data.batch_size=1000 --data.steps_per_epoch=null "
        "--model.optimizer.lr=1e30",
        ["the validation's loss is not finite at step 1"],
        begins=True,
    ),
    "cache that is a file": Case(
        f"fit {DOCSTRINGS} --data.min_df=1 --data.cache_dir=texts.csv", ["cache_dir", "texts.csv"]
    ),
    "folder of runs that is a file": Case(f"fit {PLANTED} --trainer.default_root_dir=texts.csv", ["texts.csv"]),
    "no table of names": Case(f"fit {PLANTED} --topics.names=none.csv", ["topics.names", "none.csv"], begins=True),
    "name of a topic that there is not": Case(
        f"test {PLANTED} --ckpt_path best.ckpt --topics.names names.yaml",
        ["topics.names", "names.yaml", "99"],
        write("names.yaml", "99: space\n"),
        begins=True,
    ),
    "no reference corpus": Case(
        f"fit {PLANTED} --coherence.reference=NewsgroupsDataModule --coherence.reference.data_dir=half",
        ["half"],
        write("half/vocab.pkl", b""),
        begins=True,
    ),
}


def config(content: bytes, said: list[str]) -> Case:
    """A fit with a config of this content."""
    return Case("fit --config mine.yaml", said, write("mine.yaml", content))


CONFIGS = {
    "config that is no YAML": config(b"model: [1, 2\ndata: {", ["mine.yaml"]),
    "config of a sentence": config(b"this is a text", ["config", "this is a text"]),
    "config of a list": config(b"- model\n- data\n", ["config"]),
    "binary config": config(bytes(range(256)), ["mine.yaml"]),
    "config with an unknown key": config(b"model:\n  num_topic: 5\n", ["num_topic"]),
    "config with an unknown section": config(b"modle:\n  num_topics: 5\n", ["modle"]),
    "config of a version before": config(
        b"model:\n  num_topics: 5\n  prior: dirichlet\n  learn_prior: true\n",
        ["model.prior is gone", "leave it out", "learn_prior"],
    ),
    "config of a wrong type": config(b"model:\n  num_topics: many\n", ["num_topics", "many"]),
    "config with a negative number": config(b"model:\n  num_topics: -3\n", ["num_topics", "-3"]),
}

OWN = b"""
import torch
from pytorch_lightning import LightningDataModule
from tests.planted import VOCAB
from torch.utils.data import DataLoader


class Own(LightningDataModule):
    def __init__(self, kind: str = ""):
        super().__init__()
        self.kind, self.vocab = kind, VOCAB
        if kind != "no vocab_size":
            self.vocab_size = "six" if kind == "vocab_size a word" else 48

    def train_dataloader(self):
        x = torch.ones(4, 49 if self.kind == "wrong width" else 48)
        if self.kind == "tf-idf":
            x = x / 7
        if self.kind == "words":
            return DataLoader(["one", "two"])
        return DataLoader(x, batch_size=2)

    def val_dataloader(self):
        return self.train_dataloader()
"""


def own(kind: str, said: list[str], begins: bool = True) -> Case:
    """A fit on a data module of the user's own."""
    return Case(f"fit --data=own_mistakes.Own --data.kind='{kind}'", said, write("own_mistakes.py", OWN), begins)


OWN_DATA = {
    "own data of tf-idf": own("tf-idf", ["counts", "fractional"]),
    "own data of a wrong width": own("wrong width", ["[2, 49]", "48"]),
    "own data of words": own("words", ["counts"]),
    "own data without vocab_size": own("no vocab_size", ["vocab_size"], begins=False),
    "own data with a word for vocab_size": own("vocab_size a word", ["vocab_size", "six"], begins=False),
    **{
        f"own data without documents to {name}": Case(
            f"{name} --data=own_mistakes.Own --ckpt_path best.ckpt",
            [f"{name}_dataloader"],
            write("own_mistakes.py", OWN),
        )
        for name in ("test", "predict")
    },
}
