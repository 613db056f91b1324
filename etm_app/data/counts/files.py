"""Which files hold counts, and in which format."""

import re
from glob import has_magic
from itertools import takewhile
from pathlib import Path
from typing import Literal

from etm_app.data.counts.paper_files import PaperFiles
from etm_app.errors import UserError
from etm_app.files import content_digest, is_same

__all__ = ["IN_PARTS", "LONG", "Format", "copies_among", "find_counts", "format_of", "paper_files_of"]

Format = Literal["mat", "npz", "mtx", "uci", "svmlight", "parquet", "csv"]
ENDINGS: dict[str, Format] = {
    r"\.npz": "npz",
    r"\.(mtx|mm)": "mtx",
    r"docword.*\.txt": "uci",
    r"\.(svmlight|svm|libsvm)": "svmlight",
    r"\.(parquet|pq)": "parquet",
    r"\.(csv|tsv)": "csv",
    r"(\.mat|_tokens|_counts)": "mat",
}
IN_PARTS = ("svmlight", "parquet", "csv")
LONG = ("parquet", "csv")
VOCAB_FILE = re.compile(r"(^|\.)vocab\.", re.IGNORECASE)
PAPER_FILE = re.compile(r"(?P<prefix>.*?)(tr|va|ts|ts_h1|ts_h2)_(tokens|counts)(\.mat)?")


def format_of(path: Path) -> Format | None:
    """The format that a file's name tells, if it does."""
    name = path.name.lower().removesuffix(".gz")
    return next((format for ending, format in ENDINGS.items() if re.search(rf"{ending}$", name)), None)


def find_counts(
    path: Path, argument: str, format: Format | None, vocab: Path | None, documents: Path | None
) -> tuple[Format, list[Path], list[Path]]:
    """The format of the counts that a path names, their files, and those beside them that are taken for something else.

    Args:
        path: A file, a folder or a pattern.
        argument: What to call it in messages.
        format: Their format, if it is told.
        vocab: The file with the words, which may lie among them.
        documents: That with the documents, which may, too.

    Raises:
        UserError: There are none, or of several formats.
    """
    path = path.expanduser()
    if path.is_file():
        files = [path]
    else:
        root = path if path.is_dir() else _without_pattern(path)
        found = sorted(root.glob("**/*" if path.is_dir() else str(path.relative_to(root))))
        named = [of.expanduser() for of in (vocab, documents) if of]
        files = [file for file in found if file.is_file() and not _is_hidden(file.relative_to(root))]
        files = [file for file in files if not any(is_same(file, of) for of in named)]
        _check_finished({root, *(file.parent for file in files)}, argument)
    if not files:
        raise UserError(
            f"{argument}: there is {'nothing in the folder' if path.is_dir() else 'no file'} {path}; expected "
            "counts: a file, a folder, or a pattern such as 'counts/part-*.parquet'."
        )
    own = {file: format_of(file) for file in files}
    others: list[Path] = []
    if format is None:
        formats = dict.fromkeys(format for format in own.values() if format is not None)
        if len(formats) != 1:
            said = f"has files of the formats {', '.join(formats)}" if formats else "has no ending of a format"
            raise UserError(
                f"{argument}: {path} {said}; expected counts in one: name the file, and set --data.format "
                f"({', '.join(dict.fromkeys(ENDINGS.values()))}) where its ending does not tell."
            )
        (format,) = formats
    if not path.is_file():
        others = [file for file in files if own[file] != format and not VOCAB_FILE.search(file.name)]
        files = [file for file in files if own[file] == format]
        if not files:  # as part-00000; where some tell it, what else lies there is something else
            files = [file for file in others if own[file] is None]
            others = [file for file in others if own[file] is not None]
        if not files or (len(files) > 1 and format not in (*IN_PARTS, "mat")):
            raise UserError(
                f"{argument}: {path} has {len(files)} {format} files; expected "
                f"{'some' if format in IN_PARTS else 'one: name the file'}."
            )
    if format == "mat":
        files = paper_files_of(files, path, vocab).paths()
    return format, files, others


def copies_among(files: list[Path]) -> dict[Path, Path]:
    """Files that are byte for byte another, which stands before them; each with that one."""
    by_size: dict[int, list[Path]] = {}
    for file in files:
        by_size.setdefault(file.stat().st_size, []).append(file)
    first: dict[str, Path] = {}
    alike = [file for same in by_size.values() if len(same) > 1 for file in same]  # a copy has the size of another
    return {file: other for file in alike if (other := first.setdefault(content_digest(file), file)) != file}


def _without_pattern(path: Path) -> Path:
    """The folder that a pattern starts from."""
    fixed = takewhile(lambda part: not has_magic(part), path.parent.parts)
    return Path(*fixed)


def _is_hidden(path: Path) -> bool:
    """Whether Spark and Hadoop would not take it for data: marks, checksums, and what tasks have not finished."""
    return any(part.startswith(".") or (part.startswith("_") and "=" not in part) for part in path.parts)


def _check_finished(folders: set[Path], argument: str) -> None:
    """Refuse what a job of Spark or Hadoop has not written to the end: its tasks' folder is there, its mark is not.

    Raises:
        UserError: One of the folders is such.
    """
    for folder in sorted(folders):
        if (folder / "_temporary").is_dir() and not (folder / "_SUCCESS").exists():
            raise UserError(
                f"{argument}: {folder} has _temporary and no _SUCCESS, so the job that writes it has not ended well; "
                "expected all parts: let it end, or run it again. If they are all there, remove _temporary."
            )


def paper_files_of(files: list[Path], path: Path, vocab: Path | None) -> PaperFiles:
    """The corpus in the layout of the paper's code that these files are of.

    Args:
        files: Some of its files.
        path: What the user named them by.
        vocab: The file with the words, where it is not the usual one.

    Raises:
        UserError: They are of several corpora.
    """
    prefixes = {found["prefix"] for file in files if (found := PAPER_FILE.fullmatch(file.name))}
    if len(prefixes) != 1:
        raise UserError(
            f"data.path: {path} has {len(prefixes)} corpora in the layout of the paper's code; expected one, "
            "NAME_{tr,va,ts}_{tokens,counts}.mat: name one of its files."
        )
    vocab = None if vocab is None else vocab.expanduser()
    return PaperFiles(files[-1].parent, "data.path", prefixes.pop(), vocab)
