"""Text to counts, in Polars."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import scipy.sparse as sp

from etm_app.errors import UserError

__all__ = ["Analyzer", "Vectorizer", "read_stop_words"]


def read_stop_words(source: str) -> list[str]:
    """Stop words: ``english`` for the package's list of function words, ``none``, or a file with words.

    Raises:
        UserError: It is neither, and no file that can be read.
    """
    if source == "none":
        return []
    listing = files("etm_app.data") / "stopwords.txt" if source == "english" else Path(source).expanduser()
    try:
        return listing.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"data.stop_words: {source!r} is no readable file ({error}); expected english, none, "
            "or a UTF-8 text file with words between white space."
        ) from error


@dataclass(frozen=True)
class Analyzer:
    """How a text becomes words.

    Attributes:
        lowercase: Fold case first.
        token_pattern: Regular expression (Rust syntax) of a word; by default two letters or more of any script.
        min_length: Shorter words are dropped, in characters.
        stop_words: Words that are dropped.
    """

    lowercase: bool = True
    token_pattern: str = r"\p{L}[\p{L}\p{M}]+"
    min_length: int = 2
    stop_words: list[str] = field(default_factory=list)

    def count(self, texts: pl.Series) -> pl.DataFrame:
        """Count the words of every text.

        Args:
            texts: Strings, [D].

        Returns:
            Columns ``row`` (place in ``texts``), ``word`` and ``count``; no order.
        """
        text = pl.col("text").str.to_lowercase() if self.lowercase else pl.col("text")
        return (
            texts.to_frame("text")
            .lazy()
            .with_row_index("row")
            .select("row", text.str.extract_all(self.token_pattern).alias("word"))
            .explode("word")
            .filter(pl.col("word").str.len_chars() >= self.min_length)
            .group_by("row", "word")
            .agg(pl.len().alias("count"))
            .filter(~pl.col("word").is_in(self.stop_words))
            .collect(engine="streaming")
        )


@dataclass(frozen=True)
class Vectorizer:
    """Counts over the vocabulary of the training documents.

    Attributes:
        analyzer: How a text becomes words.
        min_df: Words in fewer training documents are dropped; a number of documents, or a share if a float.
        max_df: Words in more training documents are dropped; likewise.
    """

    analyzer: Analyzer
    min_df: int | float = 1
    max_df: int | float = 1.0

    def __call__(self, texts: pl.Series, splits: Sequence[str]) -> tuple[sp.csr_array, list[str], dict[str, Any]]:
        """Vectorize texts.

        Args:
            texts: Strings, [D].
            splits: train, val or test of each, [D]; document frequencies are counted over train alone.

        Returns:
            Counts [D, V], the vocabulary in sorted order, and settings and what was dropped as simple values.

        Raises:
            UserError: No word is left.
        """
        counted = self.analyzer.count(texts)
        is_train = pl.Series(splits) == "train"
        train_rows = pl.DataFrame({"row": pl.Series(np.flatnonzero(is_train.to_numpy()), dtype=pl.UInt32)})
        frequencies = (
            counted.join(train_rows, on="row", how="semi").group_by("word").agg(pl.len().alias("df")).sort("word")
        )
        low, high = (
            bound if isinstance(bound, int) else bound * len(train_rows) for bound in (self.min_df, self.max_df)
        )
        kept = frequencies.filter(pl.col("df").is_between(low, high))
        if not len(kept):
            raise UserError(
                f"min_df {self.min_df} and max_df {self.max_df} leave none of the {len(frequencies)} words of the "
                f"{len(train_rows)} training documents; expected some: lower min_df or raise max_df."
            )
        vocab = kept.select("word").with_row_index("index")
        entries = counted.join(vocab, on="word", how="inner").sort("row", "index")
        matrix = sp.csr_array(
            (entries["count"].to_numpy(), (entries["row"].to_numpy(), entries["index"].to_numpy())),
            shape=(len(texts), len(vocab)),
        )
        report = {
            "analyzer": asdict(self.analyzer),
            "min_df": self.min_df,
            "max_df": self.max_df,
            "words_below_min_df": int((frequencies["df"] < low).sum()),
            "words_above_max_df": int((frequencies["df"] > high).sum()),
            "empty_documents": int((np.diff(matrix.indptr) == 0).sum()),
        }
        return matrix, vocab["word"].to_list(), report
