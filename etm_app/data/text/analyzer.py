"""How a text becomes words."""

import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from html import unescape
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from etm_app.errors import UserError

__all__ = [
    *("EMAIL", "TAG", "URL", "WORD"),
    *("Analyzer", "BatchCounts", "Normalization", "Strip", "read_stop_words", "texts_of"),
]

Normalization = Literal["NFC", "NFKC"]
Strip = Literal["html", "urls", "emails"]

# A letter of any script, then letters, their marks (the vowels of Hindi, Thai, Tamil …), and the joiners that Persian
# and the scripts of India write within words.
WORD = r"\p{L}[\p{L}\p{M}\x{200C}\x{200D}]*"

# HTML: what is no text, and tags, with a > in quotes or not; those that only mark letters may stand within a word.
HIDDEN = r"(?is)<!--.*?(?:-->|\z)|<script\b.*?(?:</script\s*>|\z)|<style\b.*?(?:</style\s*>|\z)"
MARKING = r"(?i)</?(?:b|big|em|font|i|mark|s|small|strong|sub|sup|tt|u|wbr)(?:\s[^<>]*)?/?>|&shy;|\x{AD}"
TAG = r"""<[/!?]?[A-Za-z](?:[^<>"']|"[^"]*"|'[^']*')*>|<[/!?]?[A-Za-z][^<>]*>"""
# In writing without blanks, text stands right before and after an address.
URL = (
    r"(?i)(?-u:\b)(?:(?:https?|ftp)://|www\.)"
    r"[^\s<>\"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\x{3000}-\x{303F}\x{FF00}-\x{FFEF}]+"
)
HEAD = 100_000  # characters of a page that may come before its first words
EMAIL = r"[A-Za-z0-9_.+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"


def read_stop_words(source: str) -> list[str]:
    """Stop words.

    Args:
        source: ``english`` for the package's own list of function words; the ISO 639-1 code of a language (``de``,
            ``fr``, ``hi`` …) for the longer list of stopwordsiso; ``none``; or a file with words between white space.

    Raises:
        UserError: It is none of these, or a file that cannot be read.
    """
    if source == "none":
        return []
    if len(source) == 2 and source.isalpha():
        import stopwordsiso  # reads its lists, which few runs need

        if stopwordsiso.has_lang(source):
            return sorted(stopwordsiso.stopwords(source))
    listing = files("etm_app.data.text") / "stopwords.txt" if source == "english" else Path(source).expanduser()
    try:
        return listing.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"data.stop_words: {source!r} is no readable file ({error}); expected english, the two letters of a "
            "language (de, fr, hi …), none, or a UTF-8 text file with words between white space."
        ) from error


def texts_of(given: Iterable[str | None], argument: str) -> pl.Series:
    """Texts that are in memory, as strings without nulls.

    Args:
        given: Texts, and None for no text.
        argument: What gives them, for the message.

    Raises:
        UserError: There is something else among them.
    """
    texts = list(given)
    for place, text in enumerate(texts):
        if not isinstance(text, str | None):
            raise UserError(f"{argument}: text {place} is a {type(text).__name__}; expected str, or None for no text.")
    return pl.Series(texts, dtype=pl.String).fill_null("")


@dataclass(frozen=True)
class BatchCounts:
    """Counts of some documents in compressed sparse row form.

    Attributes:
        indptr: Document boundaries, int64 [D + 1].
        indices: Words, ascending within a document, int32 [N].
        counts: Their counts, int32 [N].
        num_words: Words of each document, n-grams aside, whether they have a number or not, int64 [D].
        num_known: Those of them that have one, int64 [D].
        num_cut: Words of all documents, those that were dropped as well.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    counts: NDArray[np.int32]
    num_words: NDArray[np.int64]
    num_known: NDArray[np.int64]
    num_cut: int


@dataclass(frozen=True)
class Analyzer:
    """How a text becomes words: brought to one Unicode form, lowercased, cut, filtered, and joined to n-grams.

    Attributes:
        lowercase: Whether case is folded.
        normalization: Unicode form, so that é is the same letter however it was typed. NFC changes nothing visible;
            NFKC also makes one of ligatures, wide and narrow letters and the like.
        strip_accents: Whether Latin, Greek and Cyrillic letters lose their accents; marks of other scripts stay, for
            they are vowels.
        token_pattern: Regular expression of a word, in the syntax of Rust.
        min_length: Shorter words are dropped, in characters.
        stop_words: Words that are dropped, before n-grams are made.
        ngrams: Longest sequence of words that counts as a word of its own, joined by spaces; 1 to 3.
        tokenizer: Import path of a function str -> list[str] that cuts the lowercased text in place of token_pattern.
        strip: What is taken out of a text first: ``html`` (tags, comments, scripts and styles; entities become what
            they stand for), ``urls``, ``emails``.
    """

    lowercase: bool = True
    normalization: Normalization = "NFC"
    strip_accents: bool = False
    token_pattern: str = WORD
    min_length: int = 2
    stop_words: list[str] = field(default_factory=list)
    ngrams: int = 1
    tokenizer: str | None = None
    strip: list[Strip] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not 1 <= self.ngrams <= 3:
            raise UserError(f"data.ngrams: {self.ngrams}; expected 1, 2 or 3 words.")
        if self.min_length < 1:
            raise UserError(f"data.min_length: {self.min_length}; expected a number of characters from 1.")
        if unknown := set(self.strip) - set(get_args(Strip)):
            raise UserError(f"data.strip: {sorted(unknown)[0]!r}; expected some of {', '.join(get_args(Strip))}.")
        try:
            matches_nothing = pl.Series([""]).str.contains(self.token_pattern).item()
        except pl.exceptions.PolarsError as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"data.token_pattern: {self.token_pattern!r} is no regular expression ({reason})."
            ) from error
        if matches_nothing:
            raise UserError(
                f"data.token_pattern: {self.token_pattern!r} matches a word of no characters; expected one at least."
            )

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> "Analyzer":
        """The analyser whose `settings` these are.

        Raises:
            UserError: They are of another version of this program.
        """
        try:
            return cls(**settings)
        except TypeError as error:
            raise UserError(f"the analyser's settings in the checkpoint are not of this version ({error}).") from error

    def settings(self) -> dict[str, Any]:
        """Its attributes as simple values."""
        return asdict(self)

    def tokenizer_file(self) -> list[str | int] | None:
        """The file of the tokenizer and when it was changed, where it has one: another one cuts other words."""
        if self.tokenizer is None:
            return None
        file = getattr(sys.modules.get(getattr(self._tokenize, "__module__", "")), "__file__", None)
        return [file, Path(file).stat().st_mtime_ns] if file else None

    def words(self, texts: pl.Series) -> pl.DataFrame:
        """Cut texts into words.

        Args:
            texts: Strings without nulls, [D].

        Returns:
            Columns ``document`` (place in ``texts``) and ``word``, in the order of the texts.
        """
        return pl.concat(self._sequences(self._cut(texts)))

    def _sequences(self, cut: pl.Series) -> list[pl.DataFrame]:
        """The words, the pairs of words, … as in `words`."""
        words = pl.DataFrame({"document": np.arange(len(cut), dtype=np.uint32), "word": cut})
        long_enough = pl.col("word").str.len_chars() >= self.min_length
        words = words.explode("word").filter(long_enough & ~pl.col("word").is_in(self._prepared_stop_words))
        sequences = [words]
        for n in range(2, self.ngrams + 1):
            joined = pl.concat_str([pl.col("word").shift(-k) for k in range(n)], separator=" ").alias("word")
            within = pl.col("document") == pl.col("document").shift(1 - n)  # null, so none, at the end
            sequences.append(words.select("document", joined, within=within).filter("within").drop("within"))
        return sequences

    def count(self, texts: pl.Series, numbers: pl.Categorical | pl.Enum, rows: pl.Series | None = None) -> BatchCounts:
        """Count the words of texts.

        Args:
            texts: Strings without nulls, [D].
            numbers: Gives words their numbers: categories that grow, or a vocabulary as Enum, whose order they have
                then; words outside it are not counted.
            rows: What a message calls each text, [D]; by default its place.

        Raises:
            UserError: The tokenizer fails.
        """
        cut = self._cut(texts, rows)
        keys = []
        num_words = num_known = np.zeros(len(texts), np.int64)
        for n, words in enumerate(self._sequences(cut)):
            numbered = words.select("document", number=pl.col("word").cast(numbers, strict=False).to_physical())
            known = numbered.drop_nulls()
            documents = known["document"].to_numpy()
            # Document and word in one number, for sorting those is fast.
            keys.append(documents.astype(np.uint64) << np.uint64(32) | known["number"].to_numpy().astype(np.uint64))
            if n == 0:
                num_words = np.bincount(words["document"].to_numpy(), minlength=len(texts))
                num_known = np.bincount(documents, minlength=len(texts))
        key = np.concatenate(keys)
        key.sort()
        first = np.flatnonzero(np.concatenate((np.ones(min(len(key), 1), bool), key[1:] != key[:-1])))
        return BatchCounts(
            (key[first] >> np.uint64(32)).searchsorted(np.arange(len(texts) + 1, dtype=np.uint64)),
            (key[first] & np.uint64(0xFFFFFFFF)).astype(np.int32),
            np.diff(first, append=len(key)).astype(np.int32),
            num_words,
            num_known,
            int(cut.list.len().sum()),
        )

    def _cut(self, texts: pl.Series, rows: pl.Series | None = None) -> pl.Series:
        prepared = self._prepare(texts)
        if self.tokenizer is None:
            return prepared.str.extract_all(self.token_pattern)
        tokenize = self._tokenize
        words: list[list[str]] = []
        for row, text in zip(range(len(texts)) if rows is None else rows, prepared, strict=True):
            try:
                cut = tokenize(text)
            except Exception as error:  # a stranger's function raises anything
                raise UserError(
                    f"data.tokenizer: {self.tokenizer} failed on row {row} (from 0), {text[:40]!r}: "
                    f"{type(error).__name__}: {str(error)[:200]}; expected a list of strings for any text."
                ) from error
            if not isinstance(cut, list) or not all(isinstance(word, str) for word in cut):
                raise UserError(
                    f"data.tokenizer: {self.tokenizer} returned {cut!r:.80} for row {row} (from 0); expected a list of "
                    "strings."
                )
            words.append([word for word in map(str.strip, cut) if word])
        return pl.Series(words, dtype=pl.List(pl.String))

    def stripped(self, texts: pl.Series) -> pl.Series:
        """Texts without what `strip` names.

        Args:
            texts: Strings without nulls, [D].
        """
        if "html" in self.strip:
            texts = texts.str.replace_all(HIDDEN, " ").str.replace_all(MARKING, "").str.replace_all(TAG, " ")
            entities = texts.str.contains("&", literal=True).arg_true()
            if len(entities):
                plain = pl.Series([unescape(text) for text in texts.gather(entities)], dtype=pl.String)
                texts = texts.clone().scatter(entities, plain)
        for name, pattern in (("urls", URL), ("emails", EMAIL)):
            if name in self.strip:
                texts = texts.str.replace_all(pattern, " ")
        return texts

    def beginnings(self, texts: pl.Series) -> pl.Series:
        """What there is to read at the start of texts without nulls, [D]."""
        if not self.strip:
            return texts
        return self.stripped(texts.str.head(HEAD)).str.replace_all(r"\s+", " ").str.strip_chars()

    def _prepare(self, texts: pl.Series) -> pl.Series:
        texts = self.stripped(texts)
        # It costs as much as all the rest, and ASCII has one form only.
        beyond_ascii = (texts.str.len_bytes() != texts.str.len_chars()).arg_true()
        if len(beyond_ascii):
            normalized = texts.gather(beyond_ascii).str.normalize(self.normalization)
            texts = texts.clone().scatter(beyond_ascii, normalized)  # which changes the series that it is called on
        if self.lowercase:
            texts = texts.str.to_lowercase()
        if self.strip_accents:
            bare = texts.str.normalize("NFD").str.replace_all(r"([\p{Latin}\p{Greek}\p{Cyrillic}])\p{Mn}+", "$1")
            texts = bare.str.normalize("NFC")
        return texts

    @cached_property
    def _prepared_stop_words(self) -> list[str]:
        """In the form of words, and the parts of those with an apostrophe, which the pattern cuts."""
        words = self._prepare(pl.Series(self.stop_words, dtype=pl.String))
        parts = words.filter(words.str.contains(r"^\S+['’]\S*$")).str.extract_all(self.token_pattern)
        return pl.concat([words, parts.explode().drop_nulls()]).unique(maintain_order=True).to_list()

    @cached_property
    def _tokenize(self) -> Callable[[str], list[str]]:
        assert self.tokenizer is not None
        module, _, name = self.tokenizer.rpartition(".")
        try:
            function = getattr(import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise UserError(
                f"data.tokenizer: {self.tokenizer} cannot be imported ({error}); expected the path of a function, "
                "my_module.my_function, whose module is in this folder or installed."
            ) from error
        if not callable(function):
            raise UserError(f"data.tokenizer: {self.tokenizer} is no function; expected one, str -> list[str].")
        tokenize: Callable[[str], list[str]] = function
        return tokenize
