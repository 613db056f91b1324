"""What the commands that train no single model refuse: report, embed and sweep; and seeds and names of topics."""

import importlib.util
from pathlib import Path

import torch

from tests.errors.case import Case, Make, in_turn, write
from tests.paper_files import write_paper_files
from tests.planted import VOCAB, planted_counts

__all__ = ["EMBED", "NAMES", "REPORT", "SEEDS", "SWEEP"]

X = planted_counts()


def report(args: str, said: list[str], make: Make = lambda folder: None) -> Case:
    return Case(f"report --ckpt_path best.ckpt {args}", said, make)


def without_words(folder: Path) -> None:
    content = torch.load(folder / "best.ckpt", weights_only=True)
    torch.save({**content, "vocab": None}, folder / "wordless.ckpt")


REPORT = {
    "report of a text": Case("report --ckpt_path texts.csv", ["texts.csv", "is no checkpoint"]),
    "report in place of a text": report("--report.path=texts.csv", ["report.overwrite"]),
    "report that is not to be": report("--report.enabled=false", ["report.enabled"]),
    "report with no such counts": report("--data.path=counts.npz", ["counts.npz"]),
    "report of another model": report("--model.num_topics=7", ["num_topics"]),
    "report with no such names": report("--topics.names=none.csv", ["topics.names"]),
    "report compared with an empty folder": report(
        "--report.compare=f", ["report.compare: there is no file"], lambda folder: (folder / "f").mkdir()
    ),
    "report compared with a text": report("--report.compare=texts.csv", ["report.compare"]),
    "report of other words": report(
        "--data=SyntheticDataModule --data.num_words=30 --data.num_documents=50", ["vocabulary"]
    ),
    "report beside a table of somebody's": report(
        "--report.path=f/page.html --report.compare=last.ckpt",
        ["compare.csv is there"],
        write("f/compare.csv", "topic,mine"),
    ),
    **{
        f"report with {one} compared with {other}": Case(
            f"report --ckpt_path {one} --report.compare={other}",
            ["no vocabulary, by which topics are matched"],
            without_words,
        )
        for one, other in (("wordless.ckpt", "best.ckpt"), ("best.ckpt", "wordless.ckpt"))
    },
}

NAMES = {
    f"names of topics: {name}": report(f"--topics.names={file}", ["topics.names", said], write(file, content))
    for name, file, content, said in (
        ("topic that there is not", "names.csv", "topic,name\n4,fruit\n", "topic 4; expected a number from 0 to 3"),
        ("no whole number", "names.csv", "topic,name\n1.5,fruit\n", "topic '1.5'"),
        ("topic twice", "names.csv", "topic,name\n1,fruit\n1,citrus\n", "names topic 1 twice"),
        ("name twice", "names.csv", "topic,name\n1,fruit\n2,fruit\n", "'fruit' is the name of topics 1 and 2"),
        ("other columns", "names.csv", "number,name\n1,fruit\n", "has the columns 'number', 'name'"),
        ("columns with line breaks", "names.csv", '"a\nb"\n1\n', r"has the columns 'a\nb'"),
        ("empty", "names.csv", "", "cannot be read"),
        ("topic twice in YAML", "names.yaml", "1: fruit\n1: citrus\n", "'1' twice"),
        ("list for a name", "names.yaml", "1: [fruit]\n", "topic 1 is ['fruit']"),
        ("no YAML", "names.yaml", "{1: fruit", "cannot be read"),
        ("word", "names.yaml", "fruit", "is no table"),
    )
}

SEEDS = {
    **{
        f"seeds: {name}": Case(
            "check --data.data_dir 20ng --model.num_topics=4 --model.seed_topics=seeds.yaml",
            ["seed_topics", said],
            write("seeds.yaml", content),
        )
        for name, content, said in (
            ("no words", "a: []", "the words of 'a' are"),
            ("word for a list", "a: word", "the words of 'a' are 'word'"),
            ("number for a word", "a: [1984]", "the words of 'a' are"),
            ("word twice", "a: [x, y, x]", "a has 'x' twice"),
            ("no name", "'': [x]", "the name of topic 0 is ''"),
            ("more than topics", "".join(f"{name}: [x]\n" for name in "abcde"), "5 seeds for 4 topics"),
            ("name twice", "a: [x]\na: [y]\n", "'a' twice"),
            ("no YAML", "a: [x\n", "cannot be read"),
            ("list", "- a\n", "no table"),
            ("binary", b"\xff\xfe\x00a", "cannot be read"),
        )
    },
    "seeds: no file": Case(
        "check --data.data_dir 20ng --model.seed_topics=none.yaml", ["seed_topics", "cannot be read"]
    ),
    "seeds: no word of one": Case(
        "fit --data.data_dir 20ng --model.seed_topics='{all: [y98, z99]}'",
        ["none of the words of all is in the vocabulary of 48 (y98, z99)"],
    ),
}


def embed(args: str, said: list[str], make: Make = lambda folder: None) -> Case:
    data = "--data.files animals.csv --data.min_df=2 --data.max_df=1.0 --embeddings.vector_size=6 --embeddings.epochs=1"
    return Case(
        f"embed {data} {args}", said, in_turn(write("animals.csv", "text\n" + "cat dog\nhorse cat\n" * 30), make)
    )


EMBED = {
    "embed to another format": embed("--embeddings.path=vectors.npz", [".vec"]),
    "embed pairs of words": embed("--data.ngrams=2", ["data.ngrams: 2"]),
    "embed no word": embed("--embeddings.min_count=9999", ["embeddings.min_count: 9999"]),
    "embed below a file": embed("--embeddings.path=texts.csv/no.txt", ["embeddings.path"]),
    "embed in no window": embed("--embeddings.window=0", ["embeddings.window"]),
    "embed in place of vectors of others": embed(
        "--embeddings.path=glove.txt", ["--embeddings.overwrite true"], write("glove.txt", "8 6\ncat 1 2 3 4 5 6\n")
    ),
    "embed among the texts": Case(
        "embed --data.files f/*.txt --embeddings.path=f/new.txt", ["among the files"], write("f/a.txt", "cat dog\n" * 9)
    ),
    "embed in place of the texts": embed("--embeddings.path=animals.csv", ["animals.csv"]),
    **{
        f"embed counts: {data}": Case(f"embed {data}", ["has counts", "--data.files"])
        for data in ("--data.data_dir 20ng", "--data.num_words=20 --data.num_documents=50")
    },
}
if importlib.util.find_spec("gensim") is None:
    EMBED = {}


def sweep(args: str, said: list[str], make: Make = lambda folder: None) -> Case:
    own = "--sweep.folder=sweep --sweep.num_topics='[2, 3]' --sweep.seeds='[1, 2]'"
    return Case(f"sweep --data.data_dir 20ng {own} {args}", said, make)


def database_of_others(folder: Path) -> None:
    import optuna

    (folder / "sweep").mkdir()
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'sweep' / 'sweep.db'}")
    optuna.create_study(storage=storage, study_name="my own")
    storage.engine.dispose()


SWEEP = {
    "sweep over no numbers": sweep("--sweep.num_topics=[]", ["sweep.num_topics", "an empty list", "[1, 2]"]),
    "sweep over no seeds": sweep("--sweep.seeds=[]", ["sweep.seeds", "an empty list"]),
    "sweep over a number twice": sweep("--sweep.num_topics='[5, 3, 5]'", ["sweep.num_topics", "5 more than once"]),
    "sweep over a seed twice": sweep("--sweep.seeds='[1, 1]'", ["sweep.seeds", "1 more than once"]),
    "sweep over no topics": sweep("--sweep.num_topics='[0, 5]'", ["sweep.num_topics", "0"]),
    "sweep over a negative seed": sweep("--sweep.seeds=[-1]", ["sweep.seeds", "-1"]),
    "sweep over a seed too large": sweep("--sweep.seeds=[4294967296]", ["sweep.seeds: 4294967296", "4294967295"]),
    "sweep over no list": sweep("--sweep.num_topics=many", ["sweep.num_topics", "many"]),
    "sweep over a name misspelt": sweep(
        "--sweep.num_topic=[5]", ["--sweep.num_topic", "Did you mean --sweep.num_topics?"]
    ),
    "sweep from a checkpoint": sweep("--ckpt_path=best.ckpt", ["ckpt_path: best.ckpt", "null"]),
    "sweep with a logger of one's own": sweep(
        "--trainer.logger=CSVLogger --trainer.logger.save_dir=logs", ["trainer.logger", "--trainer.logger false"]
    ),
    "sweep in a folder of texts": sweep("", ["sweep.folder: sweep"], write("sweep/mine.txt", "mine")),
    "sweep in place of a file": sweep("", ["sweep.folder: sweep"], write("sweep", "mine")),
    "sweep in a broken database": sweep("", ["sweep.folder: sweep"], write("sweep/sweep.db", "mine")),
    "sweep in a database of others": sweep("", ["sweep.folder: sweep"], database_of_others),
    "sweep among the texts": Case(
        "sweep --data.files f --sweep.folder=f/sweep",
        ["sweep.folder: f/sweep is, or would be, among the files"],
        write("f/a.txt", "cats and dogs"),
    ),
    "sweep without documents to compare on": sweep(
        "--data.data_dir only",
        ["no validation and no test documents"],
        lambda folder: write_paper_files(folder / "only", {"tr": X, "va": X[:0], "ts": X[:0]}, VOCAB),
    ),
}
if importlib.util.find_spec("optuna") is None:
    SWEEP = {}
