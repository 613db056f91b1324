"""A corpus that is kept is made again only where its class' `FORMAT` is another: who changes one raises the other."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from etm_app.data.corpus import BowCorpus
from etm_app.data.counts.counts import CountsDataModule
from etm_app.data.datamodule import BowDataModule
from etm_app.data.synthetic import SyntheticDataModule
from etm_app.data.text.docstrings import DocstringsDataModule
from etm_app.data.text.newsgroups import NewsgroupsDataModule
from etm_app.data.text.texts import TextDataModule
from tests.data.text.test_newsgroups import fetch

# What the corpora below were with a class' FORMAT: the number, and their digest.
RECORDED = {
    "TextDataModule": (2, "3a6b259dfa5994d8"),
    "CountsDataModule": (2, "a684dfad31993de3"),
    "DocstringsDataModule": (1, "022457054f5a55ea"),
    "NewsgroupsDataModule": (1, "0cb8f4708bf6a9b2"),
    "SyntheticDataModule": (1, "56797d0577fd15b3"),
}

TEXTS = """id,text,label
a,"The Été of <b>cats</b>, cats; dogs' and don't. ﬁne",x
b,"dogs DOGS running with cats 12 times",y
c,,x
d,"Straße straße ΣΊΣΥΦΟΣ 日本語 naïve",y
e,"cats and dogs and birds and bees",x
f,"naïve birds see Straße",y
g,"the of and",x
h,"bees birds cats dogs",y
"""
PACKAGE = '''"""A module with words about solving equations, and more words."""


def solve(matrix):
    """Solve equations of a matrix by solving them, x by x.

    Solving equations takes words, and a matrix.
    """


class Matrix:
    """A matrix has rows and columns; equations have one."""

    def solve(self):
        """Solve equations of a matrix by solving them, x by x.

        Solving equations takes words, and a matrix.
        """

    def rows(self):
        """The rows of a matrix, one by one, as columns have them."""
'''
LONG = "document,term,count\n1,cats,2\n10,dogs,1\n2,cats,1\n2,birds,3\n1,cats,1\n3,birds,0\n4,dogs,2\n5,cats,7\n"


def texts(folder: Path) -> BowDataModule:
    (folder / "texts.csv").write_text(TEXTS, encoding="utf-8")
    options = {"id_column": "id", "label_column": "label", "val_fraction": 0.2, "min_df": 1, "max_df": 1.0}
    return TextDataModule(str(folder / "texts.csv"), strip=["html"], ngrams=2, **options)  # type: ignore[arg-type]


def counts(folder: Path) -> BowDataModule:
    (folder / "counts.csv").write_text(LONG)
    return CountsDataModule(folder / "counts.csv", val_fraction=0.2)


def docstrings(folder: Path) -> BowDataModule:
    (folder / "tiny_package").mkdir()
    (folder / "tiny_package" / "__init__.py").write_text(PACKAGE)
    return DocstringsDataModule(["tiny_package"], min_words=5, min_df=1, max_df=1.0, test_fraction=0.3)


def newsgroups(folder: Path) -> BowDataModule:
    return NewsgroupsDataModule(folder, min_df=2, max_df=1.0, val_fraction=0.25)


def synthetic(folder: Path) -> BowDataModule:
    return SyntheticDataModule(num_documents=40, num_words=30, planted_topics=3, document_length=20)


BUILDERS: dict[str, Callable[[Path], BowDataModule]] = {
    "TextDataModule": texts,
    "CountsDataModule": counts,
    "DocstringsDataModule": docstrings,
    "NewsgroupsDataModule": newsgroups,
    "SyntheticDataModule": synthetic,
}


def digest_of(corpus: BowCorpus) -> str:
    """Counts, words, documents and excerpts: whole numbers and text, so the same with any version of a library."""
    digest = sha256()
    for array in (corpus.indptr, corpus.indices, corpus.counts):
        digest.update(np.asarray(array).astype("<i8").tobytes())
    for words in (corpus.vocab, *corpus.documents.cast(str).to_dict(as_series=False).items()):
        digest.update(repr(words).encode())
    digest.update(repr(corpus.excerpts(np.arange(len(corpus)))).encode())
    return digest.hexdigest()[:16]


@pytest.mark.parametrize("name", BUILDERS)
def test_who_changes_a_corpus_raises_its_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr("sklearn.datasets.fetch_20newsgroups", fetch)
    monkeypatch.syspath_prepend(tmp_path)
    module = BUILDERS[name](tmp_path)
    module.cache_dir = tmp_path / "cache"
    found = digest_of(module.corpus)
    assert len(set(module.corpus.documents["split"])) > 1
    assert (module.FORMAT, found) == RECORDED[name], (
        f"{name} makes another corpus of the same sources: raise FORMAT of {name} and record this digest, {found!r}"
    )
