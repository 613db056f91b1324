"""What only many runs show: fits that are killed, fits without end, any arguments, any number of documents.

Each part is a subcommand, prints its figures, and ends with an error where something is not as it is to be. Runs are
forks of a process that has imported everything, which takes longer than they do.
"""

import csv
import gc
import inspect
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from itertools import chain
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import torch
import yaml
from jsonargparse import auto_cli
from machine import memory
from processes import in_a_process
from tables import show

from etm_app import ETM, SyntheticDataModule, TextDataModule
from etm_app.cli.main import main as etm
from etm_app.data.datamodule import BowDataModule, TimedDataModule

EVENTS = ("open", "os.rename", "os.mkdir")  # at which a run is killed
MOMENT = 0.01  # seconds in which it is killed after one
SIZES = ("num_documents", "num_words")  # whose defaults are larger than a soak can pay for
SMALL = ("--model.num_topics=5", "--model.rho_size=8", "--trainer.enable_progress_bar=false")


def kills(rounds: int = 50, most_kills: int = 3, seed: int = 1) -> None:
    """Fits that are killed at random moments and go on from last.ckpt come to what one that is left alone does.

    Every other kill comes right after a file or folder was made or renamed. After each, every file that is
    there has to be whole.

    Args:
        rounds: Fits.
        most_kills: How often one of them is killed; it is then left alone.
        seed: Of the moments.
    """
    random = Random(seed)
    num_killed = num_resumed = num_anew = num_left = 0
    with TemporaryDirectory() as name:
        texts = _texts(Path(name) / "texts.csv", 600, seed)

        def fit(folder: Path, *args: str, moment: "Moment | None" = None) -> tuple[int, str]:
            data = (f"--data.files={texts}", "--data.batch_size=50", "--data.steps_per_epoch=4")
            where = (f"--data.cache_dir={folder / 'cache'}", f"--trainer.default_root_dir={folder}")
            return _forked(lambda: etm(["fit", *data, *where, *SMALL, "--trainer.max_epochs=6", *args]), folder, moment)

        alone = Path(name) / "alone"
        counting = Moment(alone, None)
        start = time.perf_counter()
        code, said = fit(alone, moment=counting)
        duration = time.perf_counter() - start
        _expect(code == 0, said)
        expected = _results(alone)
        num_events = int((alone / "events").read_text())
        for number in range(rounds):
            folder = Path(name) / f"round-{number}"
            for attempt in range(most_kills + 1):
                last = max(folder.rglob("last.ckpt"), key=lambda path: path.stat().st_mtime_ns, default=None)
                num_resumed += last is not None
                num_anew += bool(attempt) and last is None
                moment = None
                if attempt < most_kills:
                    event = random.randrange(num_events) if random.random() < 0.5 else None
                    moment = Moment(folder, event, random.uniform(0, duration if event is None else MOMENT))
                code, said = fit(folder, *(() if last is None else (f"--ckpt_path={last}",)), moment=moment)
                _expect(code in (0, -signal.SIGKILL), f"round {number}, attempt {attempt}: {said}")
                num_killed += code != 0
                for path in folder.rglob("*"):
                    _expect(_is_whole(path, folder), f"round {number}, attempt {attempt}: half of {path}")
                if code == 0:
                    break
            results = _results(folder)
            _expect(results == expected, f"round {number}: {results} for {expected}")
            left = [path for path in folder.rglob(".*") if path.name != "."]
            num_left += len(left)
            _expect(not [path for path in left if path.parent.name == "cache"], f"round {number}: {left} in the cache")
    header = ["fits", "killed", "gone on with", "begun anew", "unfinished files left", "events a fit", "seconds a fit"]
    row = [rounds, num_killed, num_resumed, num_anew, num_left, num_events, f"{duration:.1f}"]
    show("Fits killed and gone on with: all files whole, all metrics as of one left alone", header, [row])


def fits(rounds: int = 200, command: bool = False, most_growth: float = 0.02) -> None:
    """Fits in one process take no more memory one after the other.

    Args:
        rounds: Fits.
        command: Whether the command line fits, with all that it writes; else `ETMTopics`, as in a session.
        most_growth: Resident memory by which the second half may grow, in MB a fit.
    """
    from sklearn.feature_extraction.text import CountVectorizer

    from etm_app import ETMTopics

    resident = []
    with TemporaryDirectory() as name:
        texts = _texts(Path(name) / "texts.csv", 300, 1)
        with texts.open(encoding="utf-8", newline="") as file:
            counts = CountVectorizer().fit_transform([row["text"] for row in csv.DictReader(file)])
        args = (f"--data.files={texts}", f"--data.cache_dir={name}/cache", "--data.steps_per_epoch=2", *SMALL)
        for number in range(rounds):
            if command:
                with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):  # noqa: PTH123
                    etm(["fit", *args, f"--trainer.default_root_dir={name}/{number}", "--trainer.max_epochs=2"])
            else:
                ETMTopics(5, rho_size=8, max_steps=5, random_state=number).fit(counts)
            gc.collect()
            resident.append(_resident())
    marks = [rounds // 10, rounds // 2, rounds - 1]
    growth = (resident[marks[2]] - resident[marks[1]]) / (marks[2] - marks[1])
    header = [*(f"after fit {mark + 1}, MB" for mark in marks), "growth a fit since the middle, MB"]
    show(f"{rounds} fits in one process", header, [[*(f"{resident[mark]:.1f}" for mark in marks), f"{growth:.3f}"]])
    _expect(growth <= most_growth, f"memory grows by {growth:.3f} MB a fit; expected at most {most_growth} MB")


def steps(number: int = 100_000, each: int = 1_000, most_growth: float = 1.0, seed: int = 1) -> None:
    """A long fit by the command line takes no more memory as it goes.

    Args:
        number: Of steps.
        each: Steps of an epoch: as often it is evaluated, logged and saved.
        most_growth: Resident memory by which the second half may grow, in MB.
        seed: Of the documents.
    """
    resident: list[float] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(1):
            resident.append(_resident())

    with TemporaryDirectory() as name:
        texts = _texts(Path(name) / "texts.csv", 2_000, seed)
        command = ["fit", f"--data.files={texts}", f"--data.cache_dir={name}/cache", f"--trainer.max_steps={number}"]
        command += [f"--data.steps_per_epoch={each}", "--data.batch_size=100", f"--trainer.default_root_dir={name}"]
        start, watching = time.perf_counter(), threading.Thread(target=watch)
        watching.start()
        try:
            with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):  # noqa: PTH123
                fitted = etm([*command, *SMALL, "--trainer.max_epochs=-1", "--trainer.callbacks=null"])
        finally:
            ended.set()
            watching.join()
        taken = time.perf_counter() - start
    resident = resident[: -len(resident) // 20]  # the end has its own work: the report
    marks = [len(resident) // 10, len(resident) // 2, len(resident) - 1]
    growth = resident[marks[2]] - resident[marks[1]]
    header = ["steps", "after a tenth, MB", "after half", "at the end", "growth since the middle, MB", "seconds"]
    sizes = (f"{resident[mark]:.1f}" for mark in marks)
    row = [f"{fitted.trainer.global_step:,}", *sizes, f"{growth:.2f}", f"{taken:.0f}"]
    show("One long fit", header, [row])
    _expect(growth <= most_growth, f"memory grows by {growth:.2f} MB; expected at most {most_growth} MB")


def arguments(rounds: int = 100, seed: int = 1) -> None:
    """Fits with arguments of model and data drawn at random end well, or with a user's mistake in two lines.

    Args:
        rounds: Fits.
        seed: Of the arguments; each round has its own, ``seed`` + its number.
    """
    outcomes: dict[str, int] = {}
    found = []
    with TemporaryDirectory() as name:
        texts = _texts(Path(name) / "texts.csv", 300, 1)
        space = _space(texts)
        _check_space(space)
        for number in range(seed, seed + rounds):
            random = Random(number)
            given = _drawn(random, space, texts)
            folder = Path(name) / str(number)
            where = (f"--data.cache_dir={folder / 'cache'}", f"--trainer.default_root_dir={folder}")
            own = ("--trainer.enable_progress_bar=false", f"--trainer.max_epochs={random.randint(1, 3)}")
            command = ["fit", *given, *where, *own]
            code, said = _forked(lambda command=command: etm(command), folder)  # type: ignore[misc]
            errors = [line for line in said.splitlines() if line.startswith("error: ")]
            fine = code == 0 or (code == 2 and len(errors) == 1 and "Traceback" not in said)
            metrics = next(folder.rglob("metrics.json"), None)
            if code == 0 and (metrics is None or "NaN" in metrics.read_text() or "Infinity" in metrics.read_text()):
                fine = False
            outcome = "finished" if code == 0 else "refused" if fine else "failed"
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
            if code:
                print(f"{number}: {outcome}: {(errors or said.splitlines() or [''])[-1][:300]}", flush=True)
            if not fine:
                found.append(number)
                print(f"{' '.join(command)}\n{said[-3000:]}", flush=True)
    show("Random arguments", [*outcomes], [[*outcomes.values()]])
    _expect(not found, f"rounds {found} failed")


def predict(documents: int = 1_000_000, seed: int = 1) -> None:
    """Memory of `predict` does not depend on the number of documents.

    Args:
        documents: Of the larger file; the smaller has a tenth of them.
        seed: Of their words.
    """
    rows = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        args = (f"--data.cache_dir={folder / 'cache'}", f"--trainer.default_root_dir={folder}", *SMALL)
        texts = _texts(folder / "texts.csv", 1000, seed)
        code, said = _forked(lambda: etm(["fit", f"--data.files={texts}", *args]), folder)
        _expect(code == 0, said)
        model = next(folder.rglob("best.ckpt"))
        for number in (documents // 10, documents):
            file, table = _texts(folder / f"{number}.csv", number, seed, 8), folder / f"{number}.parquet"

            def command(file: Path = file, table: Path = table) -> None:
                written = f"--prediction.path={table}"
                etm(["predict", f"--data.files={file}", f"--ckpt_path={model}", written, *args])
                (folder / "memory").write_text(json.dumps(memory()))

            start = time.perf_counter()
            code, said = _forked(command, folder)
            taken = time.perf_counter() - start
            _expect(code == 0, said)
            peak = json.loads((folder / "memory").read_text())
            sizes = f"{file.stat().st_size / 1e6:,.0f}", f"{table.stat().st_size / 1e6:,.0f}"
            rows.append([f"{number:,}", *sizes, f"{taken:.0f}", f"{peak['peak']:.2f}", f"{peak['files']:.2f}"])
    header = ["documents", "MB of text", "MB of the table", "seconds", "peak memory, GB", "mapped files, GB"]
    show("Short documents predicted", header, rows)


class Moment:
    """When a run is killed: so many seconds after its start, or after its file event with a number.

    Args:
        folder: Where events count.
        event: The number; None: the start.
        seconds: After it; None: never, but the events are counted and written to a file ``events`` in the folder.
    """

    def __init__(self, folder: Path, event: int | None, seconds: float | None = None) -> None:
        self.folder = folder
        self.event = event
        self.seconds = seconds
        self.seen = 0

    def arm(self) -> None:
        """Called in the process that is to be killed."""
        if self.seconds is not None and self.event is None:
            self._soon()
        else:
            sys.addaudithook(self._see)

    def _soon(self) -> None:
        assert self.seconds is not None
        timer = threading.Timer(self.seconds, os.kill, (os.getpid(), signal.SIGKILL))
        timer.daemon = True
        timer.start()

    def _see(self, event: str, args: tuple[Any, ...]) -> None:
        if event not in EVENTS or not str(args[0]).startswith(str(self.folder)):
            return
        if event == "open" and not (isinstance(args[1], str) and {*"wax+"} & {*args[1]}):
            return
        if self.seen == self.event:
            self._soon()
        self.seen += 1


def _forked(call: Callable[[], object], folder: Path, moment: Moment | None = None) -> tuple[int, str]:
    """Call in a process of its own: its exit code, or less than nothing for a signal, and all that it wrote."""
    folder.mkdir(parents=True, exist_ok=True)
    said = folder / "said"

    def watched() -> None:
        to = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(to, 1)
        os.dup2(to, 2)
        if moment is not None:
            moment.arm()
        call()
        if moment is not None and moment.seconds is None:
            (folder / "events").write_text(str(moment.seen))

    code = in_a_process(watched)
    return code, said.read_text(errors="replace") if said.exists() else ""


def _space(texts: Path) -> dict[type, dict[str, tuple[Any, ...]]]:
    """Values of all arguments of model and data, ordinary ones and those at the edges."""
    columns = ("text", "id", "label", "time", "split", None)
    adam = {"class_path": "Adam", "init_args": {"lr": 0.05, "weight_decay": 0.1}}
    sgd = {"class_path": "SGD", "init_args": {"lr": 10.0, "momentum": 0.9}}
    decay = {"class_path": "torch.optim.lr_scheduler.ExponentialLR", "init_args": {"gamma": 0.5}}
    plateau = {"class_path": "pytorch_lightning.cli.ReduceLROnPlateau", "init_args": {"monitor": "val_perplexity"}}
    fractions = (0.0, 0.1, 0.1, 0.1, 0.3, 0.5)
    return {
        ETM: {
            "num_topics": (1, 2, 3, 10, 60, 300),
            "t_hidden_size": (1, 2, 16, 800),
            "rho_size": (1, 2, 16, 300),
            "theta_act": ("relu", "tanh", "softplus", "rrelu", "leakyrelu", "elu", "selu", "glu"),
            "enc_drop": (0.0, 0.0, 0.5, 0.99, 1.0),
            "train_embeddings": (True, False),
            "warm_start": (True, False),
            "embedding_scale": (1e-6, 0.5, 2.0, 30.0, 1e6),
            "anchor": (0.0, 0.12, 10.0, 1e6),
            "inference": ("auto", "mixture", "mixed_membership", "encoder"),
            "relevance": (0.0, 0.6, 1.0),
            "optimizer": (None, None, adam, sgd),
            "lr_scheduler": (None, None, decay, plateau),
            "queries": ([], ["appleaa"], ["appleaa", "no such word"]),
            "embeddings": (None,),  # benchmarks/fuzz.py has files of vectors
            "seed_topics": (None, None, {"fruit": ["appleaa", "appleab"]}, {"a": ["celloaa"], "b": ["nothing"]}),
        },
        BowDataModule: {
            "batch_size": (1, 7, 50, 1000, 10**9),
            "steps_per_epoch": (None, 1, 3, 10),
            "num_workers": (0,),  # processes of their own
            "seed": (0, 1, 2**31),
            "document_embeddings": (None,),
            "grow_vocab": (False,),  # of a checkpoint
        },
        TextDataModule: {
            "text_column": ("text", "text", "text", "text", "id"),
            "id_column": columns,
            "label_column": columns,
            "split_column": (None, None, None, "split", "split", "label"),
            "val_files": (None, None, None, str(texts)),
            "test_files": (None, None, None, str(texts)),
            "val_fraction": fractions,
            "test_fraction": fractions,
            "format": (None, None, "csv", "txt"),
            "encoding": ("utf-8", "utf-8", "latin-1", "utf-16"),
            "separator": (None, None, None, ",", ";"),
            "on_bad_rows": ("error", "skip"),
            "strip": ([], ["html"], ["html", "urls", "emails"]),
            "lowercase": (True, False),
            "normalization": ("NFC", "NFKC"),
            "strip_accents": (True, False),
            "token_pattern": (r"\w+", r"\w+", "[a-z]{3,}", "[a-z]", "x*", "("),
            "min_length": (1, 2, 8),
            "stop_words": ("english", "none", "de"),
            "ngrams": (1, 2, 3),
            "tokenizer": (None, None, "builtins.str.split"),
            "min_df": (0, 1, 1, 5, 5, 0.01, 0.9),
            "max_df": (0.5, 1.0, 1.0, 3, 100, 100),
            "max_vocab": (None, None, 1, 2, 50),
        },
        TimedDataModule: {
            "time_column": (None, "time", "time", "time", "label"),
            "time_format": (None, None, "%Y-%m-%d"),
            "period": (None, "day", "month", "year"),
        },
        SyntheticDataModule: {
            "num_documents": (1, 3, 10, 300, 300),
            "num_words": (1, 2, 30, 500),
            "planted_topics": (1, 5),
            "document_length": (1, 3, 50),
            "theta_scale": (0.0, 3.0, 100.0),
            "beta_scale": (0.0, 2.0, 100.0),
            "zipf_exponent": (0.0, 1.0, 5.0),
            "val_fraction": fractions,
            "test_fraction": fractions,
        },
    }  # fmt: skip


GIVEN = {"self", "kwargs", "files", "cache_dir", "vocab_size", "document_embeddings_size"}  # by the runs, or the data


def _check_space(space: dict[type, dict[str, tuple[Any, ...]]]) -> None:
    """An argument that is new is drawn as well."""
    for of, values in space.items():
        names = {*inspect.signature(of.__init__).parameters} - GIVEN  # type: ignore[misc]
        _expect(names == {*values}, f"{of.__name__}: {names ^ {*values}} are not in both the space and its arguments")


def _drawn(random: Random, space: dict[type, dict[str, tuple[Any, ...]]], texts: Path) -> list[str]:
    """Arguments of a fit: some of those there are, at one of their values."""
    data = random.choice((TextDataModule, SyntheticDataModule))
    sections = {"model": [ETM], "data": [cls for cls in space if issubclass(data, cls)]}
    given = [f"--data={data.__name__}"] + [f"--data.files={texts}"] * (data is TextDataModule)
    share = random.choice((0.1, 0.3, 0.7))
    for section, classes in sections.items():
        for argument, values in chain.from_iterable(space[cls].items() for cls in classes):
            if (random.random() < share or argument in SIZES) and (value := random.choice(values)) is not None:
                given.append(f"--{section}.{argument}={value if isinstance(value, str) else json.dumps(value)}")
    return given


def _is_whole(path: Path, folder: Path) -> bool:
    """Whether a file is what its ending says, to the end; unfinished ones have hidden names, and corpora tell."""
    inside = path.relative_to(folder).parts
    if path.is_dir() or inside[0] in ("cache", "said") or path.name.startswith(".") or "tfevents" in path.name:
        return True
    try:
        match path.suffix:
            case ".json":
                json.loads(path.read_text(encoding="utf-8"))
            case ".yaml":
                return isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict)
            case ".ckpt":
                torch.load(path, weights_only=True)
            case ".csv" | ".tsv":
                text = path.read_text(encoding="utf-8")
                rows = list(csv.reader(text.splitlines()))
                return text.endswith("\n") and all(len(row) == len(rows[0]) for row in rows)
            case ".html":
                return path.read_text(encoding="utf-8").rstrip().endswith("</html>")
            case ".parquet":
                return path.read_bytes()[-4:] == b"PAR1"
            case ".txt" | ".bytes" | ".pbtxt":
                return path.stat().st_size > 0
            case _:
                raise AssertionError(f"{path}: of no known kind")
    except (ValueError, RuntimeError, EOFError, yaml.YAMLError):
        return False
    return True


def _results(folder: Path) -> dict[str, Any]:
    """The metrics of the last run in a folder, and its topics."""
    metrics = max(folder.rglob("metrics.json"), key=lambda path: path.stat().st_mtime_ns)
    return {"metrics": json.loads(metrics.read_text()), "topics": metrics.with_name("topics.csv").read_text()}


def _texts(path: Path, number: int, seed: int, length: int = 40) -> Path:
    """Documents about one of five topics each: a CSV file with text, id, label, time and split."""
    random = Random(seed)
    words = [[f"{topic}{chr(97 + place // 26)}{chr(97 + place % 26)}" for place in range(60)] for topic in
             ("apple", "bicycle", "cello", "desert", "engine")]  # fmt: skip
    splits = ("train",) * 8 + ("val", "test")
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "id", "label", "time", "split"])
        for document in range(number):
            topic = random.randrange(len(words))
            tokens = random.choices(words[topic], k=length - length // 8) + random.choices(
                words[topic - 1], k=length // 8
            )
            day = f"{random.randint(2000, 2020)}-{random.randint(1, 12):02}-{random.randint(1, 28):02}"
            writer.writerow([" ".join(tokens), f"d{document}", f"label {topic}", day, splits[document % 10]])
    return path


def _resident() -> float:
    """Resident memory of this process now, MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _expect(what: bool, said: str) -> None:
    if not what:
        raise SystemExit(f"error: {said}")


if __name__ == "__main__":
    torch.set_num_threads(1)  # threads do not survive a fork
    auto_cli([kills, fits, steps, arguments, predict], as_positional=False)
