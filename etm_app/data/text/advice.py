"""What in the documents will mislead the topics, each thing in one line with what to do; known before training."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from etm_app.data.corpus import BowCorpus
from etm_app.data.text.analyzer import EMAIL, TAG, URL, WORD

__all__ = ["advice"]

MAX_TEXTS = 2_000  # that are looked at, evenly spaced

# From here on something is worth a warning.
WORDS_PER_TOPIC = 2
LARGE_DOCUMENT = 0.5  # of all tokens
FEW_DOCUMENTS = 10  # among them a large one is no surprise
MANY_WITH_MARKUP = 0.05  # of the documents
MANY_WITH_ADDRESSES = 0.1
MANY_WITHOUT_BLANKS = 0.1
SECOND_LANGUAGE = 0.05  # of the documents whose language shows
FEW_OF_A_LANGUAGE = 5
# A language shows in as many words of its own, a word of two languages counting half in each, and so much more of them
# than of any other.
OWN_WORDS, MORE_WORDS = 2.0, 1.5

WITHOUT_BLANKS = {
    r"[\p{Hiragana}\p{Katakana}]": "Japanese (fugashi, janome)",
    r"\p{Han}": "Chinese (jieba)",
    r"\p{Thai}": "Thai (pythainlp)",
    r"[\p{Lao}\p{Khmer}\p{Myanmar}]": "Lao, Khmer or Burmese",
}
LANGUAGES = {
    "ar": "Arabic", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek", "en": "English", "es": "Spanish",
    "fa": "Persian", "fi": "Finnish", "fr": "French", "hi": "Hindi", "hu": "Hungarian", "id": "Indonesian",
    "it": "Italian", "ko": "Korean", "nl": "Dutch", "no": "Norwegian", "pl": "Polish", "pt": "Portuguese",
    "ro": "Romanian", "ru": "Russian", "sv": "Swedish", "tr": "Turkish", "uk": "Ukrainian", "vi": "Vietnamese",
}  # fmt: skip


def advice(corpus: BowCorpus, num_topics: int, own_texts: bool) -> list[str]:
    """What will go wrong with these documents, and what to do about it.

    Args:
        corpus: The documents.
        num_topics: K.
        own_texts: Whether they are a user's own texts, who can say how they are to be cut.
    """
    found = [*_of_counts(corpus, num_topics)]
    if own_texts and (texts := _texts(corpus)) is not None:
        analyzer = corpus.meta["analyzer"]
        found += [*_of_markup(texts, analyzer["strip"])]
        if analyzer["tokenizer"] is None and analyzer["token_pattern"] == WORD:
            found += [*_of_scripts(texts)]
        found += [*_of_languages(texts, analyzer["stop_words"])]
    return found


def _of_counts(corpus: BowCorpus, num_topics: int) -> Iterator[str]:
    if corpus.vocab_size < WORDS_PER_TOPIC * num_topics:
        yield (
            f"{num_topics} topics over {corpus.vocab_size:,} words: fewer than {WORDS_PER_TOPIC} words a topic, so "
            "topics will be alike; lower --model.num_topics, or keep more words (lower min_df, raise max_df)."
        )
    rows = corpus.rows("train")
    lengths = corpus.lengths()[rows]
    share = lengths.max(initial=0) / max(int(lengths.sum()), 1)
    if share > LARGE_DOCUMENT and len(rows) >= FEW_DOCUMENTS:
        name = corpus.documents["id"][int(rows[lengths.argmax()])]
        yield (
            f"one document, {name!r}, has {share:.0%} of all tokens of {len(rows):,} training documents: most topics "
            "will be about it alone; split it into parts, or leave it out."
        )


def _texts(corpus: BowCorpus) -> pl.Series | None:
    """The beginnings of some training documents; None where the corpus has no texts, or all are empty."""
    rows = corpus.rows("train")
    excerpts = corpus.excerpts(rows[np.linspace(0, len(rows) - 1, min(len(rows), MAX_TEXTS)).astype(np.int64)])
    texts = pl.Series("text", excerpts or [], dtype=pl.String)
    texts = texts.filter(texts.str.contains(r"\S"))
    return texts if len(texts) else None


def _share(texts: pl.Series, pattern: str) -> float:
    return int(texts.str.contains(pattern).sum()) / len(texts)


def _of_markup(texts: pl.Series, stripped: list[str]) -> Iterator[str]:
    for name, pattern, what, many in (
        ("html", rf"(?i)<!doctype|{TAG}|&(?:nbsp|amp|lt|gt|quot|#\d+);", "HTML", MANY_WITH_MARKUP),
        ("urls", URL, "web addresses", MANY_WITH_ADDRESSES),
        ("emails", EMAIL, "e-mail addresses", MANY_WITH_ADDRESSES),
    ):
        if name not in stripped and (share := _share(texts, pattern)) > many:
            yield (
                f"{share:.0%} of the documents have {what} in them, the parts of which count as words; "
                f"take them out: --data.strip '[{', '.join([*stripped, name])}]'."
            )


def _of_scripts(texts: pl.Series) -> Iterator[str]:
    letters = texts.str.count_matches(r"\p{L}")
    without = texts.str.count_matches(f"[{''.join(WITHOUT_BLANKS)}]")
    share = int((2 * without > letters).sum()) / len(texts)
    if share > MANY_WITHOUT_BLANKS:
        shares = {name: _share(texts, pattern) for pattern, name in WITHOUT_BLANKS.items()}
        name = next(
            (name for name, own in shares.items() if 2 * own > share), max(shares, key=lambda name: shares[name])
        )
        yield (
            f"{share:.0%} of the documents are in a script without blanks, so whole sentences count as words; give a "
            f"function that cuts {name}: --data.tokenizer my_module.my_function."
        )


def _of_languages(texts: pl.Series, stop_words: list[str]) -> Iterator[str]:
    languages = _languages(texts)
    num_known = sum(languages.values())
    many = {
        name: count
        for name, count in languages.items()
        if count >= FEW_OF_A_LANGUAGE and count > SECOND_LANGUAGE * num_known
    }
    if len(many) > 1:
        said = ", ".join(f"{LANGUAGES[code]} {count / num_known:.0%}" for code, count in many.items())
        yield (
            f"the documents are in several languages ({said}): topics will be languages; train on one at a time, in a "
            f"file of its own, with its stop words (--data.stop_words {list(many)[-1]}, say)."
        )
    elif (code := next(iter(many), "en")) != "en" and "the" in stop_words:
        yield (f"the documents are in {LANGUAGES[code]}, and English stop words are dropped: --data.stop_words {code}.")


def _languages(texts: pl.Series) -> dict[str, int]:
    """How many texts are in each language, as far as it shows in their stop words; the most frequent first."""
    import stopwordsiso  # reads its lists, which few commands need

    known = pl.DataFrame(
        [(word, code) for code in LANGUAGES for word in stopwordsiso.stopwords(code)],
        schema=["word", "language"],
        orient="row",
    ).with_columns(weight=1 / pl.len().over("word"))
    cut = texts.str.to_lowercase().str.extract_all(r"[\p{L}\p{M}]+")
    words = pl.DataFrame({"text": pl.int_range(len(texts), eager=True), "word": cut}).explode("word")
    scores = words.unique().join(known, on="word").group_by("text", "language").agg(pl.col("weight").sum())
    best = (
        scores.sort("weight", descending=True)
        .group_by("text", maintain_order=True)
        .agg(
            pl.col("language").first(), first=pl.col("weight").first(), second=pl.col("weight").get(1, null_on_oob=True)
        )
        .filter((pl.col("first") >= OWN_WORDS) & (pl.col("first") >= MORE_WORDS * pl.col("second").fill_null(0)))
    )
    return dict(best["language"].value_counts(sort=True).rows())
