"""Every mistake ends in exit code 2 with one or two lines that name the argument and its value; nothing is written."""

import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch

from etm_app.callbacks.run_folder import RUN_FILES
from etm_app.cli.commands import SUBCOMMANDS
from etm_app.cli.main import main
from tests.conftest import SMALL, Run
from tests.paper_files import write_paper_files, write_rows
from tests.planted import VOCAB, planted_counts

Error = Callable[[Callable[[], object]], str]


@pytest.fixture
def error(error: Error, tmp_path: Path) -> Error:
    """And nothing is written, changed or removed, but for prepared data, and what a run begins with."""

    begun = re.compile(r"config\.yaml|events\.out\.tfevents\..*|hparams\.yaml|(last|best)\.ckpt")
    apart = {"cache", "__pycache__", "matplotlib"}

    def files() -> dict[Path, tuple[int, int]]:
        found = (path for path in tmp_path.rglob("*") if path.is_file() and not apart & {*path.parts})
        stats = {path: path.stat() for path in found if not begun.fullmatch(path.name)}
        return {path: (stat.st_size, stat.st_mtime_ns) for path, stat in stats.items()}

    def of(call: Callable[[], object]) -> str:
        before = files()
        said = error(call)
        assert files() == before
        return said

    return of


ARGUMENTS: dict[str, tuple[list[str], list[str]]] = {
    "unknown key": (["--model.num_topic=5"], ["--model.num_topic", "Did you mean --model.num_topics?"]),
    "unknown key of the data": (["--data.data_dri=x"], ["data_dri"]),
    "unknown key anywhere": (["--epochs=5"], ["--epochs"]),
    "argument of an encoder that is gone": (
        ["--model.word_dropout", "0.5"],
        ["--model.word_dropout", "model.word_dropout is gone", "the encoder is the paper's only", "leave it out"],
    ),
    "argument that only begins as one that is gone": (["--model.priors=1"], ["--model.priors", "Did you mean"]),
    "positional": (["configs/20ng.yaml"], ["configs/20ng.yaml"]),
    "word for a number": (["--model.num_topics=many"], ["num_topics", "many"]),
    "fraction for a whole number": (["--model.num_topics=2.5"], ["num_topics", "2.5"]),
    "no topics": (["--model.num_topics=0"], ["num_topics", "0"]),
    "negative topics": (["--model.num_topics=-1"], ["num_topics", "-1"]),
    "no hidden units": (["--model.t_hidden_size=0"], ["t_hidden_size", "0"]),
    "no embedding": (["--model.rho_size=0"], ["rho_size", "0"]),
    "too much dropout": (["--model.enc_drop=1.5"], ["enc_drop", "1.5"]),
    "unknown activation": (["--model.theta_act=swish"], ["theta_act", "swish", "softplus"]),
    "no yes or no": (["--model.train_embeddings=perhaps"], ["train_embeddings", "perhaps"]),
    "unknown optimizer": (["--model.optimizer=Adamm"], ["optimizer", "Adamm"]),
    "no batch": (["--data.batch_size=0"], ["batch_size", "0"]),
    "negative workers": (["--data.num_workers=-1"], ["num_workers", "-1"]),
    "word for epochs": (["--trainer.max_epochs=ten"], ["max_epochs", "ten"]),
    "unknown data module": (["--data=NoSuchDataModule"], ["NoSuchDataModule"]),
    "misspelt data module": (
        ["--data=TextDataModul", "--data.files=x.csv"],
        ["data: expected the name of a class", "there is no TextDataModul\n", "Did you mean TextDataModule?"],
    ),
    "misspelt data module of a package": (["--data=etm_app.TextDataModul"], ["Did you mean TextDataModule?"]),
    "misspelt optimizer": (["--model.optimizer=Adamm"], ["model.optimizer", "there is no Adamm", "Did you mean Adam?"]),
    "misspelt callback": (["--trainer.callbacks=EarlyStoping"], ["callbacks", "Did you mean EarlyStopping?"]),
    "argument of another data module": (
        ["--data=NewsgroupsDataModule", "--data.files=x.csv"],
        ["files", "--data.files is an argument of TextDataModule: name the class with --data."],
    ),
    "misspelt argument of a data module that it is not told": (
        ["--data.fils=x.csv"],
        ["fils", "Did you mean --data.files?"],
    ),
    "no value": (["--data.files"], ["expected one argument\nAll arguments"]),
    "unknown accelerator": (
        ["--trainer.accelerator=gppu"],
        ["trainer.accelerator: gppu", "auto, gpu, cpu", "--trainer.accelerator auto"],
    ),
    "no weight of relevance": (["--model.relevance=1.5"], ["model.relevance", "1.5", "0", "1"]),
    "unknown module": (["--data=no_such_module.Data"], ["no_such_module.Data"]),
    "class of another kind": (["--data=collections.OrderedDict"], ["OrderedDict"]),
    "missing config": (["--config=no/such/file.yaml"], ["config", "no/such/file.yaml"]),
    "monitor that nothing logs": (["--checkpoint.monitor=val_loss"], ["val_loss"]),
    "no share": (
        ["--data=DocstringsDataModule", '--data.packages=["json"]', "--data.min_words=5", "--data.val_fraction=1.5"],
        ["val_fraction", "1.5"],
    ),
    "unknown package": (["--data=DocstringsDataModule", '--data.packages=["nonesuch"]'], ["packages", "nonesuch"]),
    "unknown stop words": (["--data=DocstringsDataModule", "--data.stop_words=no/file"], ["stop_words", "no/file"]),
    "unknown period": (
        ["--data=TextDataModule", "--data.files=x", "--data.time_column=t", "--data.period=hour"],
        ["data.period", "hour", "week"],
    ),
    "period of no times": (
        ["--data=TextDataModule", "--data.files=x", "--data.period=day"],
        ["data.period: day", "--data.time_column"],
    ),
    "no form of times": (
        ["--data=TextDataModule", "--data.files=x", "--data.time_column=t", "--data.time_format=%d.%q"],
        ["data.time_format", "'%d.%q'", "strptime"],
    ),
    "no word left": (
        ["--data=DocstringsDataModule", '--data.packages=["json"]', "--data.min_words=5", "--data.min_df=100000"],
        ["min_df", "100000"],
    ),
}


@pytest.mark.parametrize(("args", "names"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_arguments(run: Run, error: Error, args: list[str], names: list[str]) -> None:
    said = error(lambda: run("fit", *args))
    assert all(name in said for name in names), said


CONFIGS: dict[str, tuple[bytes, list[str]]] = {
    "not YAML": (b"model: [1, 2\ndata: {", ["mine.yaml"]),
    "a sentence": (b"this is a text", ["config", "this is a text"]),
    "a list": (b"- model\n- data\n", ["config"]),
    "binary": (bytes(range(256)), ["mine.yaml"]),
    "unknown key": (b"model:\n  num_topic: 5\n", ["num_topic"]),
    "unknown section": (b"modle:\n  num_topics: 5\n", ["modle"]),
    "of a version before": (
        b"model:\n  num_topics: 5\n  prior: dirichlet\n  learn_prior: true\n",
        ["model.prior is gone", "leave it out", "learn_prior"],
    ),
    "wrong type": (b"model:\n  num_topics: many\n", ["num_topics", "many"]),
    "negative": (b"model:\n  num_topics: -3\n", ["num_topics", "-3"]),
}


@pytest.mark.parametrize(("content", "names"), CONFIGS.values(), ids=CONFIGS)
def test_configs(tmp_path: Path, error: Error, content: bytes, names: list[str]) -> None:
    config = tmp_path / "mine.yaml"
    config.write_bytes(content)
    said = error(lambda: main(["fit", "--config", str(config)]))
    assert all(name in said for name in names), said


@pytest.mark.parametrize(
    ("args", "names"),
    [
        ([], ["no subcommand", ", ".join(SUBCOMMANDS), "fit --data.files texts.csv"]),
        (["train"], ["train", ", ".join(SUBCOMMANDS)]),
        (["predcit"], ["predcit", ", ".join(SUBCOMMANDS), "Did you mean predict?"]),
        (["--model.num_topics=3"], ["--model.num_topics=3"]),
        (["fit", "--trainer.max_epochs"], ["--trainer.max_epochs"]),
        (["fit", "--data.format=csv"], ["format", "CountsDataModule and TextDataModule", "--data"]),
        (["fit", "--data.files=x", "--data.text_colum=y"], ["text_colum'", "Did you mean --data.text_column?"]),
    ],
)
def test_subcommands(error: Error, args: list[str], names: list[str]) -> None:
    said = error(lambda: main(args))
    assert all(name in said for name in names), said


@pytest.mark.parametrize("subcommand", ["validate", "test", "predict"])
def test_evaluation_needs_a_checkpoint(run: Run, error: Error, subcommand: str) -> None:
    said = error(lambda: run(subcommand))
    assert "ckpt_path" in said
    assert subcommand in said


def plain_dict(path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, path)


def other_checkpoint(path: Path) -> None:
    torch.save({"state_dict": {}, "hyper_parameters": {}, "epoch": 3}, path)


def tensor(path: Path) -> None:
    torch.save(torch.zeros(3), path)


class Payload:
    """What an attacker saves: loaded without `weights_only`, it makes a folder."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, ("pwned",)


FILES: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "text": lambda path: path.write_text("no checkpoint"),
    "empty": Path.touch,
    "folder": Path.mkdir,
    "dict": plain_dict,
    "checkpoint of another model": other_checkpoint,
    "tensor": tensor,
    "attack": lambda path: torch.save({"state_dict": {}, "vocab": Payload()}, path),
    "pickled attack": lambda path: path.write_bytes(pickle.dumps(Payload())),
}


@pytest.mark.parametrize("subcommand", ["fit", "test"])
@pytest.mark.parametrize("make", FILES.values(), ids=FILES)
def test_files_that_are_no_checkpoint(
    run: Run, error: Error, tmp_path: Path, subcommand: str, make: Callable[[Path], object]
) -> None:
    path = tmp_path / "some.ckpt"
    make(path)
    said = error(lambda: run(subcommand, f"--ckpt_path={path}"))
    assert "ckpt_path" in said
    assert str(path) in said
    assert not Path("pwned").exists()


@pytest.mark.parametrize("subcommand", ["fit", "validate", "test", "predict"])
@pytest.mark.parametrize("keyword", ["last", "best", "hpc", "registry", "registry:mine"])
def test_keywords_name_no_checkpoint(run: Run, error: Error, subcommand: str, keyword: str) -> None:
    said = error(lambda: run(subcommand, f"--ckpt_path={keyword}"))
    assert "ckpt_path" in said
    assert keyword in said


def test_a_damaged_checkpoint(run: Run, error: Error, checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.ckpt"
    path.write_bytes(checkpoint.read_bytes()[:-200])
    assert str(path) in error(lambda: run("test", f"--ckpt_path={path}"))


X = planted_counts()
SPLIT = {"tr": X[:60], "va": X[60:75], "ts": X[75:]}


@pytest.mark.parametrize("subcommand", ["fit", "validate", "test", "predict"])
@pytest.mark.parametrize("vocab", [VOCAB[::-1], [f"{word}s" for word in VOCAB], VOCAB[:-1]])
def test_a_checkpoint_against_another_vocabulary(
    run: Run, error: Error, checkpoint: Path, tmp_path: Path, vocab: list[str], subcommand: str
) -> None:
    parts = {part: x[:, : len(vocab)] for part, x in SPLIT.items()}
    data_dir = write_paper_files(tmp_path / "other", parts, vocab)
    said = error(lambda: run(subcommand, f"--data.data_dir={data_dir}", f"--ckpt_path={checkpoint}"))
    assert "vocabulary" in said
    assert str(len(VOCAB)) in said
    assert str(len(vocab)) in said


def write(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


DATA: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "half there": (lambda folder: (folder / "bow_va_counts.mat").unlink(), ["bow_va_counts.mat"]),
    "without vocabulary": (lambda folder: (folder / "vocab.pkl").unlink(), ["vocab.pkl"]),
    "unequal lengths": (
        lambda folder: write_rows(folder, "ts", "counts", [[1]] * 15),
        ["bow_ts_tokens", "bow_ts_counts", "document 0"],
    ),
    "index outside": (
        lambda folder: [write_rows(folder, "ts", what, [[99]]) for what in ("tokens", "counts")],
        ["bow_ts_tokens", "99", str(len(VOCAB) - 1)],
    ),
    "malicious vocabulary": (write("vocab.pkl", pickle.dumps([Payload()])), ["vocab.pkl", "mkdir"]),
    "nothing to train on": (
        lambda folder: write_paper_files(folder, {**SPLIT, "tr": np.zeros((3, len(VOCAB)), np.int64)}, VOCAB),
        ["no training document left", "33 documents"],
    ),
    "no training documents": (
        lambda folder: write_paper_files(folder, {**SPLIT, "tr": X[:0]}, VOCAB),
        ["no training document left"],
    ),
}


@pytest.mark.parametrize(("damage", "names"), DATA.values(), ids=DATA)
def test_data_folders(
    run: Run, error: Error, tmp_path: Path, damage: Callable[[Path], object], names: list[str]
) -> None:
    folder = write_paper_files(tmp_path / "paper", SPLIT, VOCAB)
    damage(folder)
    said = error(lambda: run("fit", f"--data.data_dir={folder}"))
    assert all(name in said for name in names), said
    assert "data" in said
    assert not Path("pwned").exists()


@pytest.mark.parametrize("make", [lambda folder: None, Path.mkdir, Path.touch], ids=["missing", "empty", "file"])
def test_a_data_folder_with_nothing_in_it_and_no_network(
    run: Run, error: Error, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], object]
) -> None:
    def fail(**kwargs: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("sklearn.datasets.fetch_20newsgroups", fail)
    make(tmp_path / "none")
    said = error(lambda: run("fit", f"--data.data_dir={tmp_path / 'none'}"))
    assert all(part in said for part in ("data_dir", str(tmp_path / "none"), "vocab.pkl", "no route to host"))


def test_folders_that_cannot_be_written(run: Run, error: Error, tmp_path: Path, checkpoint: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    docstrings = ("--data=DocstringsDataModule", '--data.packages=["json"]', "--data.min_df=1")
    said = error(lambda: run("fit", *docstrings, f"--data.cache_dir={blocked}"))
    assert "cache_dir" in said
    assert str(blocked) in said
    said = error(lambda: run("predict", f"--ckpt_path={checkpoint}", f"--prediction.path={blocked / 'theta.parquet'}"))
    assert "prediction.path" in said
    assert str(blocked) in said


def test_a_run_folder_that_cannot_be_written(run: Run, error: Error, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    said = error(lambda: run("fit", f"--trainer.default_root_dir={tmp_path / 'file'}"))
    assert str(tmp_path / "file") in said


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("accelerator", ["gpu", "cuda"])
def test_a_gpu_that_is_not_there(run: Run, error: Error, tmp_path: Path, accelerator: str) -> None:
    said = error(lambda: run("fit", f"--trainer.accelerator={accelerator}"))
    names = [f"trainer.accelerator: {accelerator}", torch.__version__, "there is cpu", "--trainer.accelerator auto"]
    assert all(name in said for name in names), said
    assert not (tmp_path / "runs").exists()


def test_prediction_to_another_format(run: Run, error: Error, checkpoint: Path) -> None:
    said = error(lambda: run("predict", f"--ckpt_path={checkpoint}", "--prediction.path=theta.xlsx"))
    assert "prediction.path" in said
    assert "theta.xlsx" in said


@pytest.mark.parametrize("name", ["theta.xlsx", "page.html"])
def test_prediction_in_place_of_another_format(
    run: Run, error: Error, checkpoint: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_text("mine")
    said = error(lambda: run("predict", f"--ckpt_path={checkpoint}", f"--prediction.path={tmp_path / name}"))
    assert f"prediction.path: {tmp_path / name} is there" in said


Make = Callable[[Path], list[object]]


def text(folder: Path) -> list[object]:
    (folder / "texts.csv").write_text("text\n" + "cats dogs\n" * 30)
    return ["--data=TextDataModule", f"--data.files={folder / 'texts.csv'}"]


def linked(folder: Path) -> list[object]:
    arguments = text(folder)
    (folder / "theta.csv").hardlink_to(folder / "texts.csv")
    return arguments


def pointed_to(folder: Path) -> list[object]:
    arguments = text(folder)
    (folder / "theta.csv").symlink_to(folder / "texts.csv")
    return arguments


def texts_that_are_a_table_of_ours(folder: Path) -> list[object]:
    (folder / "theta.csv").write_text("row,id,status,topic,theta_0\n0,0,ok,0,1.0\n")
    return ["--data=TextDataModule", f"--data.files={folder / 'theta.csv'}", "--data.text_column=id"]


def in_a_folder(folder: Path) -> list[object]:
    (folder / "deep").mkdir()
    (folder / "deep" / "a.txt").write_text("cats dogs")
    return ["--data=TextDataModule", f"--data.files={folder}"]


def in_a_pattern(folder: Path) -> list[object]:
    text(folder)
    return ["--data=TextDataModule", f"--data.files={folder / '**' / '*.csv'}"]


def among_counts(folder: Path) -> list[object]:
    (folder / "part.csv").write_text("document,term,count\na,b,1\n")
    return ["--data=CountsDataModule", f"--data.path={folder}"]


def table_of_documents(folder: Path) -> list[object]:
    (folder / "theta.csv").write_text("document,split\na,train\n")
    counts = folder / "counts.npz"
    return ["--data=CountsDataModule", f"--data.path={counts}", f"--data.documents={folder / 'theta.csv'}"]


def somebody_elses(folder: Path) -> list[object]:
    (folder / "theta.csv").write_text("row,id,status,topic,theta_0,my_notes\n0,0,ok,0,1.0,precious\n")
    return text(folder)


INPUTS: dict[str, tuple[Make, str, list[str]]] = {
    "the texts": (text, "texts.csv", ["data.files", "another"]),
    "a hard link to them": (linked, "theta.csv", ["data.files", "another"]),
    "a symbolic link to them": (pointed_to, "theta.csv", ["data.files", "another"]),
    "texts that we wrote": (texts_that_are_a_table_of_ours, "theta.csv", ["data.files", "another"]),
    "new in a folder of texts": (in_a_folder, "deep/theta.csv", ["TextDataModule reads", "another"]),
    "new in a pattern": (in_a_pattern, "theta.csv", ["TextDataModule reads", "another"]),
    "new in a folder of counts": (among_counts, "theta.csv", ["CountsDataModule reads", "another"]),
    "the documents' table": (table_of_documents, "theta.csv", ["data.documents", "another"]),
    "a table with a column of somebody's": (somebody_elses, "theta.csv", ["is kept", "another name", "overwrite true"]),
    "a folder": (lambda folder: [*text(folder), (folder / "theta.csv").mkdir()][:2], "theta.csv", ["no file"]),
}


@pytest.mark.parametrize(("make", "name", "said_too"), INPUTS.values(), ids=INPUTS)
@pytest.mark.parametrize("argument", ["prediction.path", "report.path"])
def test_targets_that_hold_something(
    tmp_path: Path, error: Error, checkpoint: Path, make: Make, name: str, said_too: list[str], argument: str
) -> None:
    (folder := tmp_path / "data").mkdir()
    data = make(folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    subcommand = "predict" if argument == "prediction.path" else "test"
    where = [f"--{argument}={folder / name}", f"--ckpt_path={checkpoint}", f"--data.cache_dir={tmp_path / 'cache'}"]
    if "overwrite true" not in said_too:
        where.append(f"--{argument.partition('.')[0]}.overwrite=true")
    said = error(lambda: main([subcommand, *map(str, data), *where, f"--trainer.default_root_dir={tmp_path}"]))
    if argument == "report.path" and said_too[0] == "CountsDataModule reads":
        return  # that is no ending of counts
    assert all(part in said for part in (argument, str(folder / name), *said_too)), said
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert not (tmp_path / "cache").exists()


def test_without_a_logger_nothing_is_written_over(run: Run, error: Error, checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()

    def test(*args: object) -> object:
        where = f"--trainer.default_root_dir={folder}"
        return run("test", f"--ckpt_path={checkpoint}", "--trainer.logger=false", where, *args)

    mine = folder / "topics.csv"
    mine.write_text("id,text\n1,a text\n")
    said = error(test)
    assert f"trainer.default_root_dir: {mine} is there" in said
    assert "--trainer.logger" in said
    mine.unlink()
    test()
    test()  # what a run has written is replaced
    assert {path.name for path in folder.iterdir()} <= {*RUN_FILES, "checkpoints"}
    names = folder / "topics_wide.csv"
    before = names.read_text()
    assert f"{names} is what topics.names names" in error(lambda: test(f"--topics.names={names}"))
    args = ["fit", "--data=TextDataModule", f"--data.files={folder}/topics*.csv", "--trainer.logger=false"]
    assert "is, or would be, among the files" in error(lambda: main([*args, f"--trainer.default_root_dir={folder}"]))
    assert names.read_text() == before


def test_a_checkpoint_is_no_target(run: Run, error: Error, checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes(checkpoint.read_bytes())
    said = error(lambda: run("predict", f"--ckpt_path={path}", f"--prediction.path={path}"))
    assert "prediction.path" in said
    assert "ckpt_path" in said
    assert path.read_bytes() == checkpoint.read_bytes()


OWN = """
import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader


class Own(LightningDataModule):
    def __init__(self, kind: str = ""):
        super().__init__()
        self.kind = kind
        if kind != "no vocab_size":
            self.vocab_size = "six" if kind == "vocab_size a word" else 6

    def train_dataloader(self):
        x = torch.ones(4, 7 if self.kind == "wrong width" else 6)
        if self.kind == "tf-idf":
            x = x / 7
        if self.kind == "words":
            return DataLoader(["one", "two"])
        return DataLoader(x, batch_size=2)

    def val_dataloader(self):
        return self.train_dataloader()
"""


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("tf-idf", ["counts", "fractional"]),
        ("wrong width", ["[2, 7]", "6"]),
        ("words", ["counts"]),
        ("no vocab_size", ["vocab_size"]),
        ("vocab_size a word", ["vocab_size", "six"]),
    ],
)
def test_data_modules_of_the_user(
    tmp_path: Path, error: Error, monkeypatch: pytest.MonkeyPatch, kind: str, names: list[str]
) -> None:
    (tmp_path / "own_mistakes.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    args = ["--data=own_mistakes.Own", f"--data.kind={kind}", f"--trainer.default_root_dir={tmp_path}"]
    said = error(lambda: main(["fit", *args, *SMALL]))
    assert all(name in said for name in names), said


def test_subcommands_that_the_data_cannot_serve(tmp_path: Path, error: Error, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_bare.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    common = ["--data=own_bare.Own", f"--trainer.default_root_dir={tmp_path}", *SMALL]
    best = Path(main(["fit", *common]).trainer.log_dir) / "checkpoints" / "best.ckpt"
    for subcommand in ("test", "predict"):
        said = error(lambda subcommand=subcommand: main([subcommand, *common, f"--ckpt_path={best}"]))  # type: ignore[misc]
        assert f"{subcommand}_dataloader" in said
