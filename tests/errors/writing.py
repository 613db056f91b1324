"""Files that would be written over, or where none can be written."""

from tests.errors.case import Case, Make, in_turn, write

__all__ = ["WRITING"]

THETA = "row,id,status,topic,theta_0\n0,0,ok,0,1.0\n"
TEXTS = "--data.files texts.csv"
COUNTED = "document,term,count\na,b,1\n"

TARGETS: dict[str, tuple[str, str, list[str], Make]] = {  # the data, what is to be written, what is said
    "the texts": (TEXTS, "texts.csv", ["data.files", "another"], lambda folder: None),
    "a hard link to the texts": (
        TEXTS,
        "theta.csv",
        ["data.files", "another"],
        lambda folder: (folder / "theta.csv").hardlink_to(folder / "texts.csv"),
    ),
    "a symbolic link to the texts": (
        TEXTS,
        "theta.csv",
        ["data.files", "another"],
        lambda folder: (folder / "theta.csv").symlink_to(folder / "texts.csv"),
    ),
    "texts that we wrote": (
        "--data.files theta.csv --data.text_column=id",
        "theta.csv",
        ["data.files", "another"],
        write("theta.csv", THETA),
    ),
    "something new in a folder of texts": (
        "--data.files f",
        "f/deep/theta.csv",
        ["TextDataModule reads", "another"],
        write("f/deep/a.txt", "cats dogs"),
    ),
    "something new in a pattern": (
        "--data.files f/**/*.csv",
        "f/theta.csv",
        ["TextDataModule reads", "another"],
        write("f/a.csv", "text\ncats\n"),
    ),
    "the table of documents": (
        "--data.path counts.npz --data.documents theta.csv",
        "theta.csv",
        ["data.documents", "another"],
        write("theta.csv", "document,split\na,train\n"),
    ),
    "a table with a column of somebody's": (
        TEXTS,
        "theta.csv",
        ["is kept", "another name", "overwrite true"],
        write("theta.csv", THETA.replace("\n", ",my_notes\n", 1).replace("1.0\n", "1.0,precious\n")),
    ),
    "a folder": (TEXTS, "theta.csv", ["no file"], lambda folder: (folder / "theta.csv").mkdir()),
}


def over(command: str, argument: str, path: str, said: list[str], make: Make) -> Case:
    """A command that is to write to a place, with the word that it may, unless the answer is to give it."""
    allowed = "" if "overwrite true" in said else f" --{argument.partition('.')[0]}.overwrite=true"
    return Case(f"{command} --ckpt_path best.ckpt --{argument}={path}{allowed}", [argument, path, *said], make)


WRITING = {
    **{
        f"in place of {name}: {argument}": over(f"{subcommand} {data}", argument, path, said, make)
        for name, (data, path, said, make) in TARGETS.items()
        for subcommand, argument in (("predict", "prediction.path"), ("test", "report.path"))
    },
    "something new in a folder of counts": over(
        "predict --data.path f",
        "prediction.path",
        "f/theta.csv",
        ["CountsDataModule reads", "another"],
        write("f/part.csv", COUNTED),
    ),
    "in place of the checkpoint": Case(
        "predict --data.data_dir 20ng --ckpt_path mine.csv --prediction.path mine.csv",
        ["prediction.path", "ckpt_path"],
        lambda folder: (folder / "best.ckpt").rename(folder / "mine.csv"),
    ),
    **{
        f"in place of {name}": Case(
            f"predict --data.data_dir 20ng --ckpt_path best.ckpt --prediction.path={name}",
            [f"prediction.path: {name} is there"],
            write(name, "mine"),
        )
        for name in ("theta.xlsx", "page.html")
    },
    **{
        f"prediction as {name}": Case(
            f"predict --data.data_dir 20ng --ckpt_path best.ckpt --prediction.path={name}",
            ["prediction.path", name, ".parquet"],
        )
        for name in ("theta.xlsx", "theta")
    },
    **{
        f"prediction in place of {name}": Case(
            f"predict --data.data_dir 20ng --ckpt_path best.ckpt --prediction.path={name}",
            ["prediction.path", "kept", "prediction.overwrite true"],
            write(name, content),
        )
        for name, content in (
            ("theta.parquet", b"\x00 neither this nor that"),
            ("theta.csv", "row,id,text\n0,a,precious\n"),
            ("theta.jsonl", '{"row": 0, "id": "a", "text": "precious"}\n'),
        )
    },
    "prediction below a file": Case(
        "predict --data.data_dir 20ng --ckpt_path best.ckpt --prediction.path=texts.csv/theta.parquet",
        ["prediction.path", "texts.csv"],
    ),
    "report below a file": Case(
        "fit --data.data_dir 20ng --report.path=texts.csv/report.html",
        ["report.path: cannot write to ", "expected"],
        begins=True,
    ),
    "run in place of a table of somebody's": Case(
        "test --data.data_dir 20ng --ckpt_path best.ckpt --trainer.logger=false --trainer.default_root_dir=mine",
        ["trainer.default_root_dir: mine/topics.csv is there", "--trainer.logger"],
        write("mine/topics.csv", "id,text\n1,a text\n"),
    ),
    "run in place of the names that it is given": Case(
        "test --data.data_dir 20ng --ckpt_path best.ckpt --trainer.logger=false --trainer.default_root_dir=mine "
        "--topics.names=mine/topics_wide.csv",
        ["mine/topics_wide.csv is what topics.names names"],
        in_turn(
            write("mine/config.yaml", "# pytorch_lightning==2.6.6\n"), write("mine/topics_wide.csv", "topic,name\n")
        ),
    ),
    "run among its texts": Case(
        "fit --data.files mine/topics*.csv --trainer.logger=false --trainer.default_root_dir=mine",
        ["is, or would be, among the files"],
        in_turn(
            write("mine/config.yaml", "# pytorch_lightning==2.6.6\n"), write("mine/topics.csv", "text\ncats dogs\n")
        ),
    ),
}
