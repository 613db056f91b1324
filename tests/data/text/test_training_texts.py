"""What word vectors are trained on is what the training documents were counted from."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from etm_app.data.datamodule import BowDataModule
from etm_app.data.text.analyzer import Analyzer
from etm_app.data.text.docstrings import DocstringsDataModule
from etm_app.data.text.texts import TextDataModule
from etm_app.errors import UserError
from tests.data.text.test_newsgroups import downloading, downloads

__all__ = ["downloads"]  # a fixture


def own(tmp_path: Path) -> TextDataModule:
    rows = [f'{{"text": "cat{row % 7} dog{row % 3}"}}' if row % 4 else "no JSON" for row in range(90)]
    (tmp_path / "a.jsonl").write_text("\n".join(rows))
    (tmp_path / "b.jsonl").write_text('{"text": "cat1 cat2 cat1"}\n')
    return TextDataModule(
        str(tmp_path / "a.jsonl"), test_files=str(tmp_path / "b.jsonl"), val_fraction=0.3, on_bad_rows="skip",
        token_pattern=r"\w+", min_df=1, max_df=1.0, cache_dir=tmp_path,
    )  # fmt: skip


def of_docstrings(tmp_path: Path) -> DocstringsDataModule:
    return DocstringsDataModule(["json"], min_words=5, min_df=1, max_df=1.0, val_fraction=0.3, cache_dir=tmp_path)


@pytest.mark.parametrize("made", [own, of_docstrings, downloading])
def test_training_texts_are_those_that_were_counted(made: object, tmp_path: Path, downloads: list[str]) -> None:
    data: BowDataModule = made(tmp_path)  # type: ignore[operator]
    texts = pl.concat(list(data.training_texts()))
    assert len(texts) == len(data.training_set()) > 3
    counted = Analyzer.from_settings(data.analyzer_settings or {}).count(texts, pl.Enum(data.vocab))
    tokens = np.bincount(counted.indices, counted.counts, data.vocab_size)
    np.testing.assert_array_equal(tokens, data.training_set().token_counts())


def test_counts_have_no_texts(paper_dir: Path) -> None:
    from etm_app import NewsgroupsDataModule

    with pytest.raises(UserError, match="NewsgroupsDataModule has counts"):
        NewsgroupsDataModule(paper_dir).training_texts()
