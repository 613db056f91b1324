"""20 Newsgroups: the paper's files where they are, else downloaded and prepared."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp
from numpy.typing import NDArray
from pytorch_lightning.utilities import rank_zero_info
from scipy.io import loadmat

from etm_app.data.analyzer import Analyzer, read_stop_words
from etm_app.data.completion import first_half
from etm_app.data.corpus import BowCorpus, check_vocab
from etm_app.data.datamodule import BowDataModule
from etm_app.data.splits import check_fractions, random_splits
from etm_app.data.vectorizer import Vectorizer
from etm_app.errors import UserError

__all__ = ["NewsgroupsDataModule", "read_paper_files"]

PARTS = ("tr", "va", "ts")
HALVES = ("ts_h1", "ts_h2")
SPLIT_OF = {"tr": "train", "va": "val", "ts": "test"}


class NewsgroupsDataModule(BowDataModule):
    """20 Newsgroups, or any corpus in the layout of the paper's code.

    Where ``data_dir`` has ``vocab.pkl`` and ``bow_{tr,va,ts}_{tokens,counts}.mat`` (with or without the
    ending; ``bow_{ts_h1,ts_h2}_…`` hold the halves for document completion), these are read. Where it has
    none of them, the texts are downloaded through scikit-learn and prepared; the other arguments are for that.

    Args:
        data_dir: Folder with the paper's files.
        stop_words: Words to drop: ``english`` for the package's list, ``none``, or a file with words.
        min_df: Words in fewer training documents are dropped; a number, or a share if a float.
        max_df: Words in more training documents are dropped; likewise.
        val_fraction: Share of the training documents that validates instead.
        kwargs: Those of BowDataModule.
    """

    def __init__(
        self,
        data_dir: Path = Path("data/20ng"),
        stop_words: str = "english",
        min_df: int | float = 100,
        max_df: int | float = 0.7,
        val_fraction: float = 0.05,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_fractions(val_fraction, 0.0)
        self.data_dir = data_dir
        self.stop_words = stop_words
        self.min_df = min_df
        self.max_df = max_df
        self.val_fraction = val_fraction

    def _has_paper_files(self) -> bool:
        folder = self.data_dir.expanduser()
        names = ["vocab.pkl", *(_name(part, what) for part in (*PARTS, *HALVES) for what in ("tokens", "counts"))]
        return any(_find(folder, name) for name in names)

    def cache_key(self) -> dict[str, Any] | None:
        """The arguments of the download; the paper's files are read each time, which takes a fraction of a second."""
        if self._has_paper_files():
            return None
        return {
            "stop_words": read_stop_words(self.stop_words),
            "df": [repr(self.min_df), repr(self.max_df)],
            "splits": [self.val_fraction, self.seed],
        }

    def build(self) -> BowCorpus:
        """Read the paper's files, or download and prepare 20 Newsgroups."""
        if self._has_paper_files():
            return read_paper_files(self.data_dir.expanduser())
        return self._download()

    def _download(self) -> BowCorpus:
        from sklearn.datasets import fetch_20newsgroups  # half a second to import, and seldom needed

        rank_zero_info(f"Corpus: none of the paper's files in {self.data_dir}; downloading 20 Newsgroups (14 MB).")
        try:
            parts = [
                fetch_20newsgroups(data_home=str(self.cache_dir.expanduser()), subset=subset)
                for subset in ("train", "test")
            ]
        except OSError as error:
            raise UserError(
                f"data.data_dir: {self.data_dir} has none of vocab.pkl, bow_{{tr,va,ts}}_{{tokens,counts}}.mat, and "
                f"20 Newsgroups could not be downloaded ({error}); give a folder with these files, or connect."
            ) from error
        splits = random_splits(len(parts[0].data), self.val_fraction, 0.0, self.seed) + ["test"] * len(parts[1].data)
        texts = pl.Series([text for part in parts for text in part.data])
        analyzer = Analyzer(stop_words=read_stop_words(self.stop_words))
        matrix, vocab, report = Vectorizer(analyzer, self.min_df, self.max_df)(texts, splits)
        return BowCorpus.from_matrix(
            matrix,
            vocab,
            splits,
            ids=["/".join(Path(name).parts[-2:]) for part in parts for name in part.filenames],
            labels=[part.target_names[target] for part in parts for target in part.target],
            meta={"source": "20 Newsgroups through scikit-learn", **report},
            texts=texts,
        )


def read_paper_files(folder: Path) -> BowCorpus:
    """Read a corpus in the layout of the paper's code.

    Raises:
        UserError: A file is missing, unreadable or does not fit the others.
    """
    has_halves = any(_find(folder, _name(part, what)) for part in HALVES for what in ("tokens", "counts"))
    names = [_name(part, what) for part in PARTS + HALVES * has_halves for what in ("tokens", "counts")]
    if missing := [name for name in ["vocab.pkl", *names] if _find(folder, name) is None]:
        raise UserError(
            f"data.data_dir: {folder} lacks {', '.join(missing)} of the paper's files; "
            "expected all of them (only the halves ts_h1 and ts_h2 may be left out, together)."
        )
    vocab = _read_vocab(folder / "vocab.pkl")
    parts = {part: _read_part(folder, part, len(vocab)) for part in PARTS}
    halves = None
    if has_halves:
        first, second = (_read_part(folder, part, len(vocab)) for part in HALVES)
        if not first.shape == second.shape == parts["ts"].shape or (first + second != parts["ts"]).nnz:
            raise UserError(
                f"data.data_dir: in {folder} the halves bow_ts_h1_* and bow_ts_h2_* do not add up to bow_ts_*; "
                "expected each test document's tokens in one of its halves: remove both to have halves drawn."
            )
        val = parts["va"]
        drawn = sp.csr_array((first_half(val.indptr, val.indices, val.data), val.indices, val.indptr), val.shape)
        halves = sp.vstack([sp.csr_array(parts["tr"].shape, dtype=np.int64), drawn, first])
    return BowCorpus.from_matrix(
        sp.vstack(list(parts.values())),
        vocab,
        [SPLIT_OF[part] for part, matrix in parts.items() for _ in range(matrix.shape[0])],
        ids=[f"{SPLIT_OF[part]}/{row}" for part, matrix in parts.items() for row in range(matrix.shape[0])],
        halves=halves,
        meta={"source": f"the paper's files in {folder}"},
    )


def _name(part: str, what: str) -> str:
    return f"bow_{part}_{what}.mat"


def _find(folder: Path, name: str) -> Path | None:
    """The file, with or without the ending .mat."""
    candidates = (folder / name, folder / name.removesuffix(".mat"))
    return next((path for path in candidates if path.is_file()), None)


class _StringsOnly(pickle.Unpickler):
    """Builds lists of strings: any other object needs a class looked up, which is what an attack does, too."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}")


def _read_vocab(path: Path) -> list[str]:
    expected = "expected a pickled list of the words, as strings, each once."
    try:
        with path.open("rb") as file:
            vocab = _StringsOnly(file).load()
    except Exception as error:  # a damaged pickle raises anything
        raise UserError(f"data.data_dir: {path} was refused ({error}); {expected}") from error
    if not isinstance(vocab, list) or not all(isinstance(word, str) for word in vocab):
        raise UserError(f"data.data_dir: {path} holds a {type(vocab).__name__} that is no list of strings; {expected}")
    check_vocab(vocab, f"data.data_dir: {path}")
    return vocab


def _read_part(folder: Path, part: str, vocab_size: int) -> sp.csr_array:
    """Counts [D, V] of one part, from its tokens and counts."""
    tokens = _read_rows(folder, _name(part, "tokens"))
    counts = _read_rows(folder, _name(part, "counts"))
    name = f"data.data_dir: {folder}/bow_{part}_tokens and bow_{part}_counts"
    if len(tokens) != len(counts):
        raise UserError(f"{name} have {len(tokens)} and {len(counts)} documents; expected as many: make both anew.")
    lengths = np.array([len(row) for row in tokens], dtype=np.int64)
    differing = np.flatnonzero(lengths != [len(row) for row in counts])
    if len(differing):
        row = differing[0]
        raise UserError(
            f"{name} differ in length in {len(differing)} documents; document {row} (from 0) has "
            f"{len(tokens[row])} tokens and {len(counts[row])} counts: expected one count a token."
        )
    words = np.concatenate([*tokens, np.empty(0, np.int64)])
    values = np.concatenate([*counts, np.empty(0, np.int64)])
    outside = np.flatnonzero((words < 0) | (words >= vocab_size) | (words != np.round(words)))
    if len(outside):
        row = np.searchsorted(np.cumsum(lengths), outside[0], side="right")
        raise UserError(
            f"{name}: document {row} (from 0) has the word index {words[outside[0]]:g}, and so have "
            f"{len(outside) - 1} more entries; expected 0 to {vocab_size - 1}, for the words of vocab.pkl."
        )
    if not ((values >= 0) & (values <= np.iinfo(np.int32).max) & (values == np.round(values))).all():
        raise UserError(f"{name}: a count is negative, fractional or too large; expected whole numbers.")
    indptr = np.concatenate(([0], np.cumsum(lengths)))
    matrix = sp.csr_array((values.astype(np.int64), words.astype(np.int32), indptr), shape=(len(tokens), vocab_size))
    matrix.sum_duplicates()
    return matrix


def _read_rows(folder: Path, name: str) -> list[NDArray[Any]]:
    """The documents of a .mat file: ragged (cells) or rectangular (all documents equally long)."""
    path = _find(folder, name)
    assert path is not None  # checked by the caller for all files at once
    try:
        variables = {key: value for key, value in loadmat(path).items() if not key.startswith("__")}
        wanted = name.removesuffix(".mat").rsplit("_", 1)[1]
        array = variables[wanted] if wanted in variables else next(iter(variables.values()))
        if array.dtype == object:
            return [np.asarray(cell).ravel() for cell in array.ravel()]
        return list(np.atleast_2d(array))
    except Exception as error:  # a damaged file raises anything
        raise UserError(
            f"data.data_dir: {path} cannot be read ({type(error).__name__}: {error}); "
            f"expected a MATLAB 5 file with one row of numbers a document."
        ) from error
