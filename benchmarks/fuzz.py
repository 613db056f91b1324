"""Readers fed with damaged files: each is read, or refused with a UserError, in bounded time and memory.

Whole files of every kind are damaged by hypothesis, which changes, cuts, repeats and swaps pieces of them, or by
atheris, which prefers what reaches new lines of ours. Every reader has a process of its own with a limit of memory.
What is wrong is printed with its traceback, and the smallest file that shows it is kept.
"""

import bz2
import faulthandler
import gzip
import json
import lzma
import os
import pickle
import re
import resource
import signal
import sys
import time
import traceback
import zipfile
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from functools import partial
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl
import scipy.sparse as sp
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as drawn_from
from hypothesis import strategies as st
from jsonargparse import auto_cli
from processes import in_a_process
from scipy.io import mmwrite, savemat
from tables import show

from etm_app import ETM, CountsDataModule, ETMTopics
from etm_app.callbacks.prediction import is_theta_table
from etm_app.checkpoint.content import read_checkpoint
from etm_app.cli.main import main as etm
from etm_app.data.corpus import BowCorpus
from etm_app.data.document_vectors import VectorFile
from etm_app.data.text.analyzer import read_stop_words
from etm_app.data.text.reader import TextReader
from etm_app.data.vocabulary import read_vocab
from etm_app.data.word_vectors.embeddings import read_embeddings
from etm_app.errors import UserError
from etm_app.report.comparison import is_comparison, read_recorded
from etm_app.report.names import read_names
from etm_app.report.page import is_report
from etm_app.seeds import read_seeds

LONGEST_MESSAGE = 1500
WORDS = ["eins", "zwei", "größe", "日本", "vier"]
COUNTS = np.arange(30).reshape(6, 5) % 4


class Files(NamedTuple):
    """What a reader is fed with.

    Attributes:
        whole: Files that are damaged, by the name that they are read under.
        beside: Files that lie in the same folder, whole.
    """

    whole: dict[str, bytes]
    beside: dict[str, bytes] | None = None


def fuzz(
    seconds: float = 30,
    engine: Literal["hypothesis", "atheris"] = "hypothesis",
    readers: list[str] | None = None,
    seed: int = 1,
    megabytes: int = 1000,
    longest: float = 10,
    found: Path = Path("found"),
) -> None:
    """Feed readers with damaged files, and say what is not refused as it should be.

    Args:
        seconds: For each reader.
        engine: What damages them.
        readers: Some of them; null: all.
        seed: Of the damage.
        megabytes: That a reader may take beyond what the process has before it.
        longest: Seconds that it may take.
        found: Folder for the files that are not read as they should be.
    """
    rows, failed = [], []
    with TemporaryDirectory() as name:
        folder = Path(name)
        # Polars does not survive a fork, so what is forked has never used it.
        if in_a_process(lambda: (folder / "files").write_bytes(pickle.dumps(_files(folder)))):
            raise SystemExit("error: no files to damage")
        files: dict[str, Files] = pickle.loads((folder / "files").read_bytes())
        for reader in readers or [*READERS]:
            feed = {"hypothesis": _by_hypothesis, "atheris": _by_atheris}[engine]
            tally = Tally(reader, files[reader], folder, found, longest)
            end = time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0:
                call = partial(_limited, partial(feed, tally, left, seed), tally, megabytes)
                if (code := in_a_process(call)) == 0:
                    break
                tally.fault_of_a_dead_process(code)
                seed += 1
            counted = tally.counts()
            sizes = f"{counted['slowest']:.2f}", f"{counted['megabytes']:.0f}"
            rows.append([reader, f"{counted['inputs']:,}", f"{counted['refused']:,}", len(counted["faults"]), *sizes])
            for fault, said in counted["faults"].items():
                print(f"{reader}: {fault}\n{said}\n", flush=True)
                failed.append(f"{reader}: {fault}")
    show(f"Damaged files, {engine}", ["reader", "inputs", "refused", "faults", "slowest, s", "memory, MB"], rows)
    if failed:
        raise SystemExit(f"error: {len(failed)} faults, kept in {found}")


class Tally:
    """Feeds a reader, and counts what it does with it; on disk, as its process may die of it.

    Args:
        reader: Its name.
        files: For it.
        folder: For the counts.
        found: Folder for inputs that were not read as they should be.
        longest: Seconds that one may take.
    """

    def __init__(self, reader: str, files: Files, folder: Path, found: Path, longest: float) -> None:
        self.read = READERS[reader]
        self.files = files
        self.found = found / reader.replace(" ", "-")
        self.longest = longest
        self._path = folder / f"{reader}.json"
        self._input = folder / f"{reader}.input"
        self._counts: dict[str, Any] = {"inputs": 0, "refused": 0, "faults": {}, "slowest": 0.0, "megabytes": 0.0}

    def counts(self) -> dict[str, Any]:
        """As they are on disk."""
        if self._path.exists():
            self._counts = json.loads(self._path.read_text())
        return self._counts

    @property
    def num_inputs(self) -> int:
        """So far."""
        return int(self._counts["inputs"])

    def keep(self, megabytes: float = 0.0) -> None:
        """Write them, with the memory that was taken."""
        self._counts["megabytes"] = max(self._counts["megabytes"], megabytes)
        self._path.write_text(json.dumps(self._counts))

    def feed(self, name: str, content: bytes) -> None:
        """Have the reader read an input."""
        counts = self._counts
        with TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:  # noqa: PTH123
            for beside, whole in (self.files.beside or {}).items():
                (Path(folder) / beside).write_bytes(whole)
            (Path(folder) / name).write_bytes(content)
            self._input.write_bytes(name.encode() + b"\n" + content)
            counts["inputs"] += 1
            start = time.perf_counter()
            signal.setitimer(signal.ITIMER_REAL, self.longest)
            faulthandler.dump_traceback_later(2 * self.longest, exit=True)  # where no Python runs that could stop
            try:
                with redirect_stdout(nowhere), redirect_stderr(nowhere):
                    self.read(Path(folder) / name)
            except UserError as error:
                counts["refused"] += 1
                if not 0 < len(str(error)) < LONGEST_MESSAGE or len(str(error).splitlines()) != 1:
                    self._fault(f"a message of {len(str(error)):,} characters or several lines", name, content)
            except BaseException as error:
                frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "etm_app" in frame.filename]
                place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "?"
                self._fault(f"{type(error).__name__} at {place}", name, content)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                faulthandler.cancel_dump_traceback_later()
            counts["slowest"] = max(counts["slowest"], time.perf_counter() - start)

    def fault_of_a_dead_process(self, code: int) -> None:
        """Note that its last input was the end of a process."""
        self.counts()["inputs"] += 1
        name, _, content = self._input.read_bytes().partition(b"\n")
        self._fault(f"the process ended with {code}", name.decode(), content)
        self.keep()

    def _fault(self, what: str, name: str, content: bytes) -> None:
        """Note a fault, and keep the smallest input that has it."""
        kept = self.found / f"{re.sub(r'[^A-Za-z0-9]+', '-', what)[:60]}.{name}"
        if what in self._counts["faults"] and kept.exists() and kept.stat().st_size <= len(content):
            return
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(content)
        self._counts["faults"][what] = f"{kept}\n{traceback.format_exc()[-1500:]}"


def _limited(call: Callable[[], object], tally: Tally, megabytes: int) -> None:
    """Call with a limit of memory, and add to the counts of processes before."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.signal(signal.SIGALRM, _too_long)
    tally.counts()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        call()
    finally:
        tally.keep((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1000)


def _too_long(number: int, frame: object) -> None:
    raise TimeoutError


# How files are damaged


NUMBERS = st.integers(0, 2**16 - 1)
EDITS = st.lists(st.tuples(st.integers(0, 4), NUMBERS, NUMBERS, NUMBERS, st.binary(max_size=8)), max_size=5)


@st.composite
def damaged(draw: st.DrawFn, wholes: list[bytes]) -> tuple[int, bytes]:
    """One of some files with pieces changed, cut out, repeated, swapped for another's, and its end cut."""
    place = draw(NUMBERS) % len(wholes)
    content = bytearray(wholes[place])
    for kind, start, length, number, some in draw(EDITS):
        start %= len(content) + 1
        stop = start + length % (200 if number % 2 else 8)
        other = wholes[number % len(wholes)]
        at = length % max(len(other), 1)
        pieces = (some, b"", ODD[number % len(ODD)], content[start:stop] * 2, other[at : at + 20])
        content[start:stop] = pieces[kind]
    if (cut := draw(NUMBERS)) % 2:
        del content[cut % (len(content) + 1) :]
    return place, bytes(content)


ODD = [
    *(b"\0", b"\xff", b"\xff" * 4, b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"\xff\xff\xff\x7f", b"\x80", b"\0" * 8),
    *(b"-1", b"0", b"99999999999999999999", b"1e400", b"nan", b"inf", b"-0.0", b"1.5", b"true", b"null", b"1_000"),
    *(b'"', b"'", b",", b"\t", b"\r", b"\n", b"\r\n", b"\n\n", b":", b"{", b"}", b"[", b"]", b"&a *a", b"!!"),
    *(b"[" * 2000, b"=1+1", b"../../x", b"/etc/passwd"),
    *("\ufeff".encode(), "\u2028".encode(), "é".encode("latin-1"), b"\xed\xa0\x80"),
]  # fmt: skip


def _by_hypothesis(tally: Tally, seconds: float, seed: int) -> None:
    names = [*tally.files.whole]
    end = time.monotonic() + seconds

    @drawn_from(seed)
    @settings(
        max_examples=10**9, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=[*HealthCheck]
    )
    @given(damaged([*tally.files.whole.values()]))
    def feed(drawn: tuple[int, bytes]) -> None:
        if time.monotonic() > end:
            raise _Over
        tally.feed(names[drawn[0]], drawn[1])

    with suppress(_Over):
        feed()


class _Over(Exception):
    """The time is over."""


def _by_atheris(tally: Tally, seconds: float, seed: int) -> None:
    """An input's first byte says under which name it is read."""
    import atheris

    names = [*tally.files.whole]
    with TemporaryDirectory() as folder:
        for place, whole in enumerate(tally.files.whole.values()):
            (Path(folder) / sha256(whole).hexdigest()[:16]).write_bytes(bytes([place]) + whole)

        def feed(content: bytes) -> None:
            if content:
                tally.feed(names[content[0] % len(names)], content[1:])
                if not tally.num_inputs % 100:
                    tally.keep()

        options = [f"-max_total_time={max(int(seconds), 1)}", f"-seed={seed}", "-max_len=65536", "-print_final_stats=1"]
        for name in [name for name in sys.modules if name.startswith("etm_app.")]:
            for value in vars(sys.modules[name]).values():
                if isinstance(value, type(_too_long)) and value.__module__ == name:
                    atheris.instrument_func(value)
        atheris.Setup([sys.argv[0], *options, "-verbosity=0", folder], feed, internal_libfuzzer=True)
        atheris.Fuzz()


# The readers and whole files for them


def _files(folder: Path) -> dict[str, Files]:
    """Whole ones for each reader."""
    table = pl.DataFrame(
        {"text": ["eins zwei", "größe, 日本", "=vier"], "id": ["a", "b", "c"], "time": ["2020-01-01"] * 3}
    )
    numbers = pl.DataFrame({"document": ["0", "0", "1"], "term": ["eins", "zwei", "vier"], "count": [1, 2, 3]})
    vectors = np.arange(20, dtype=np.float32).reshape(5, 4)
    tokenizer = {"model": {"vocab": {word: row for row, word in enumerate(WORDS)}}}
    pieces = {"model": {"vocab": [[f"\u2581{word}", 0] for word in WORDS]}}
    (run := folder / "fit").mkdir()
    checkpoint = _checkpoint(run)
    return {
        "texts": Files(_texts_in_files(table)),
        "texts, bad rows left out": Files(_texts_in_files(table)),
        "counts": Files(_counts_in_files(numbers), {"vocab.txt": _lines(WORDS)}),
        "counts of the paper": Files(*_paper_files()),
        "vocabulary": Files({"a.txt": _lines(WORDS), "a.pkl": pickle.dumps(WORDS), "b.pkl": pickle.dumps(WORDS, 2)}),
        "word vectors": Files(_word_vectors(vectors), {"tokenizer.json": json.dumps(tokenizer).encode()}),
        "tokens of word vectors": Files(
            {"tokenizer.json": json.dumps(pieces).encode(), "vocab.txt": _lines(WORDS)},
            {"a.safetensors": _safetensors(vectors)},
        ),
        "document vectors": Files(_vectors_of_documents(vectors)),
        "checkpoint": Files({"a.ckpt": checkpoint}),
        "saved estimator": Files({"a.ckpt": checkpoint}),
        "config": Files({"a.yaml": (run / "config.yaml").read_bytes()}),
        "names": Files({"a.csv": b"topic,name\n0,eins\n3,zwei\n", "a.yaml": b"0: eins\n3: zwei drei\n"}),
        "seeds": Files({"a.yaml": b"sport: [team, game]\nspace:\n- orbit\n- nasa\n"}),
        "stop words": Files({"a.txt": _lines(WORDS)}),
        "run to compare with": Files(
            {name: (run / name).read_bytes() for name in ("metrics.json", "topics.json")}, {"best.ckpt": checkpoint}
        ),
        "what is to be replaced": Files(
            {
                "a.html": (run / "report.html").read_bytes()[:3000],
                "a.csv": b"row,id,status,topic,theta_0\n0,a,ok,0,1.0\n",
                "a.jsonl": b'{"row":0,"id":"a","status":"ok","topic":0,"theta_0":1.0}\n',
                "a.parquet": _parquet(pl.DataFrame({"row": [0], "id": ["a"], "status": ["ok"], "topic": [0]})),
            }
        ),
        "cached corpus": Files(*_corpus_files(folder)),
    }


def _lines(words: list[str]) -> bytes:
    return "".join(f"{word}\n" for word in words).encode()


def _into(write: Callable[[BytesIO], object]) -> bytes:
    write(file := BytesIO())
    return file.getvalue()


def _parquet(table: pl.DataFrame) -> bytes:
    return _into(lambda file: table.write_parquet(file))


def _zip(files: dict[str, bytes]) -> bytes:
    def write(file: BytesIO) -> None:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)

    return _into(write)


def _texts_in_files(table: pl.DataFrame) -> dict[str, bytes]:
    csv, lines = table.write_csv().encode(), table.write_ndjson().encode()
    text = _lines([" ".join(WORDS)] * 3)
    return {
        "a.txt": text,
        "a.csv": csv,
        "a.tsv": table.write_csv(separator="\t").encode(),
        "a.jsonl": lines,
        "a.json": json.dumps(table.to_dicts()).encode(),
        "a.parquet": _parquet(table),
        "a.xlsx": _into(lambda file: table.to_pandas().to_excel(file, index=False)),
        "a.zip": _zip({"x.csv": csv, "y.csv": csv}),
        "b.zip": _zip({"x.txt": text, "d/y.txt": text}),
        "a.html": b"<html><body>" + text + b"</body></html>",
        "a.csv.gz": gzip.compress(csv),
        "a.jsonl.bz2": bz2.compress(lines),
        "a.txt.xz": lzma.compress(text),
        "a.csv.zst": _zst(csv),
        "b.txt": b"\xff\xfe" + text.decode().encode("utf-16-le"),
    }


def _zst(content: bytes) -> bytes:
    """One frame with one raw block, whose sizes are told."""
    header = b"\x28\xb5\x2f\xfd" + bytes([0b10100000]) + len(content).to_bytes(4, "little")
    return header + (len(content) << 3 | 1).to_bytes(3, "little") + content


def _texts(path: Path, on_bad_rows: Literal["error", "skip"] = "error") -> None:
    columns = (
        {"text": "text"} if path.name.partition(".")[2].startswith(("txt", "html")) else {"text": "text", "id": "id"}
    )
    for _ in TextReader([str(path)], columns, on_bad_rows=on_bad_rows).batches():
        pass


def _counts_in_files(numbers: pl.DataFrame) -> dict[str, bytes]:
    matrix = sp.csr_array(COUNTS)
    rows = [" ".join(f"{word + 1}:{count}" for word, count in enumerate(row) if count) for row in COUNTS]
    triples = [f"{row + 1} {word + 1} {COUNTS[row, word]}" for row, word in np.argwhere(COUNTS)]
    market = _into(lambda file: mmwrite(file, matrix, field="integer", symmetry="general"))
    return {
        "a.npz": _into(lambda file: sp.save_npz(file, matrix)),
        "b.npz": _into(lambda file: sp.save_npz(file, matrix, compressed=False)),
        "a.mtx": market,
        "a.mtx.gz": gzip.compress(market),
        "docword.a.txt": _lines(["6", "5", str(len(triples)), *triples]),
        "a.svmlight": _lines([f"label {row}" for row in rows]),
        "a.parquet": _parquet(numbers),
        "a.csv": numbers.write_csv().encode(),
        "a.tsv": numbers.write_csv(separator="\t").encode(),
        "a.csv.gz": gzip.compress(numbers.write_csv().encode()),
    }


def _counts(path: Path) -> None:
    where = path if not path.name.startswith(("bow", "vocab.pkl")) else path.parent
    data = CountsDataModule(where, cache_dir=path.parent / "cache", val_fraction=0.0, test_fraction=0.0)
    data.write(path.parent / "corpus")


def _paper_files() -> tuple[dict[str, bytes], dict[str, bytes]]:
    files = {"vocab.pkl": pickle.dumps(WORDS)}
    for what in ("tokens", "counts"):
        cells = np.empty((1, len(COUNTS)), object)
        for row, counts in enumerate(COUNTS):
            cells[0, row] = counts.nonzero()[0] if what == "tokens" else counts[counts > 0]
        for part in ("tr", "va", "ts"):
            files[f"bow_{part}_{what}.mat"] = _into(lambda file, what=what, cells=cells: savemat(file, {what: cells}))
    damaged = {name: files[name] for name in ("bow_tr_tokens.mat", "bow_tr_counts.mat", "vocab.pkl")}
    return damaged, files


def _word_vectors(vectors: np.ndarray[Any, Any]) -> dict[str, bytes]:
    text = _lines([" ".join([word, *map(str, row)]) for word, row in zip(WORDS, vectors, strict=True)])
    binary = b"5 4\n" + b"".join(
        word.encode() + b" " + row.tobytes() + b"\n" for word, row in zip(WORDS, vectors, strict=True)
    )
    return {
        "a.txt": text,
        "a.vec": b"5 4\n" + text,
        "a.bin": binary,
        "a.txt.gz": gzip.compress(text),
        "b.bin": _fasttext(),
        "a.kv": _gensim(vectors),
        "a.safetensors": _safetensors(vectors),
        "a.npz": _into(lambda file: np.savez(file, words=np.array(WORDS), vectors=vectors)),
        "b.npz": _into(lambda file: np.savez_compressed(file, words=np.array(WORDS), vectors=vectors)),
    }


def _fasttext() -> bytes:
    from gensim.models.fasttext import FastText, save_facebook_model

    options = {"vector_size": 4, "min_count": 1, "epochs": 1, "bucket": 9, "workers": 1}
    with TemporaryDirectory() as folder:
        save_facebook_model(FastText([WORDS] * 3, **options), str(Path(folder) / "a.bin"))
        return (Path(folder) / "a.bin").read_bytes()


def _gensim(vectors: np.ndarray[Any, Any]) -> bytes:
    from gensim.models import KeyedVectors

    made = KeyedVectors(4)
    made.add_vectors(WORDS, vectors)
    with TemporaryDirectory() as folder:
        made.save(str(Path(folder) / "a.kv"))
        return (Path(folder) / "a.kv").read_bytes()


def _safetensors(vectors: np.ndarray[Any, Any]) -> bytes:
    header = {"embedding": {"dtype": "F32", "shape": vectors.shape, "data_offsets": [0, vectors.nbytes]}}
    encoded = json.dumps(header).encode()
    return len(encoded).to_bytes(8, "little") + encoded + vectors.tobytes()


def _vectors_of_documents(vectors: np.ndarray[Any, Any]) -> dict[str, bytes]:
    whole = pl.DataFrame({"id": [*"abcde"], "embedding": vectors.tolist()})
    columns = pl.DataFrame(vectors, schema=[f"dim_{place}" for place in range(4)])
    return {
        "a.npy": _into(lambda file: np.save(file, vectors)),
        "a.parquet": _parquet(whole),
        "b.parquet": _parquet(columns),
    }


def _document_vectors(path: Path) -> None:
    documents = pl.DataFrame({"id": [*"abcde"], "row": range(5)})
    VectorFile(path).of(documents, 5).take(np.arange(5))


def _checkpoint(folder: Path) -> bytes:
    """Of a small fit, whose other files are in the folder then."""
    texts = folder / "texts.txt"
    texts.write_bytes(_lines([" ".join(np.roll(WORDS, row)) for row in range(40)]))
    small = ("--model.num_topics=2", "--model.rho_size=3", "--trainer.max_epochs=1", "--data.max_df=1.0")
    where = (
        f"--data.cache_dir={folder / 'cache'}",
        f"--trainer.default_root_dir={folder}",
        "--trainer.enable_progress_bar=false",
    )
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):  # noqa: PTH123
        etm(["fit", f"--data.files={texts}", *small, *where])
    run = folder / "lightning_logs" / "version_0"
    for name in ("metrics.json", "topics.json", "config.yaml", "report.html"):
        (run / name).rename(folder / name)
    return (run / "checkpoints" / "best.ckpt").read_bytes()


def _estimator(path: Path) -> None:
    ETMTopics.load(path).transform([" ".join(WORDS)])


def _config(path: Path) -> None:
    try:
        etm(["fit", f"--config={path}", "--print_config"])
    except SystemExit as stop:
        if stop.code == 2:
            raise UserError("config: refused") from None
        if stop.code:
            raise


def _recorded(path: Path) -> None:
    (run := path.parent / "run" / "checkpoints").mkdir(parents=True)
    (path.parent / "best.ckpt").rename(run / "best.ckpt")
    path.rename(run.parent / path.name)
    (run.parent / "metrics.json").touch()
    read_recorded(run.parent)


def _corpus_files(folder: Path) -> tuple[dict[str, bytes], dict[str, bytes]]:
    (made := folder / "counts").mkdir()
    (made / "vocab.txt").write_bytes(_lines(WORDS))
    sp.save_npz(made / "a.npz", sp.csr_array(COUNTS))
    CountsDataModule(made / "a.npz", cache_dir=made).write(folder / "corpus")
    files = {path.name: path.read_bytes() for path in (folder / "corpus").iterdir()}
    return files, files


def _corpus(path: Path) -> None:
    corpus = BowCorpus.load(path.parent)
    corpus.select(np.arange(len(corpus)))


READERS: dict[str, Callable[[Path], object]] = {
    "texts": _texts,
    "texts, bad rows left out": partial(_texts, on_bad_rows="skip"),
    "counts": _counts,
    "counts of the paper": _counts,
    "vocabulary": lambda path: read_vocab(path, "data.vocab"),
    "word vectors": lambda path: read_embeddings(path, WORDS),
    "tokens of word vectors": lambda path: read_embeddings(path.with_name("a.safetensors"), WORDS),
    "document vectors": _document_vectors,
    "checkpoint": lambda path: read_checkpoint(path, ETM),
    "saved estimator": _estimator,
    "config": _config,
    "names": lambda path: read_names(path, 5, "names"),
    "seeds": lambda path: read_seeds(path, 5),
    "stop words": lambda path: read_stop_words(str(path)),
    "run to compare with": _recorded,
    "what is to be replaced": lambda path: [of(path) for of in (is_theta_table, is_report, is_comparison)],
    "cached corpus": _corpus,
}

if __name__ == "__main__":
    torch.set_num_threads(1)  # threads do not survive a fork
    auto_cli(fuzz, as_positional=False)
