import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from etm_app.data.text.analyzer import Analyzer
from etm_app.data.text.vectorizer import Vectorizer
from etm_app.errors import UserError

PATTERN = r"\b\w\w+\b"  # means the same to Rust, Polars' side, and to Python, scikit-learn's
TEXTS = [
    "The cat sat on the mat; the CAT's mat.",
    "A dog — Größe XL — sat down, über alles!",
    "ΣΊΣΥΦΟΣ σίσυφος, naïve café. Café? cafe",
    "",
    "Привет, мир! привет cat\tdog\ncat",
    "東京 は 日本 の 首都 です 東京",
    "x y z 1 22 333 snake_case 22",
    "the the the dog",
]
SPLITS = ["train", "train", "train", "train", "val", "train", "test", "train"]

WORDS = ["cat", "dog", "Mat", "über", "ÜBER", "на", "мир", "東京", "x", "42", ",", ";", "\n", "the"]
snippets = st.lists(st.sampled_from(WORDS), max_size=12)


def vectorize(
    texts: list[str], splits: list[str], vectorizer: Vectorizer
) -> tuple[sp.csr_array, list[str], dict[str, object]]:
    return vectorizer(pl.Series(texts, dtype=pl.String), splits)


def assert_same_counts(
    texts: list[str],
    splits: list[str],
    min_df: int | float = 1,
    max_df: int | float = 1.0,
    stop_words: list[str] | None = None,
) -> None:
    """Ours and scikit-learn's, vocabulary from the training documents, or both refuse."""
    analyzer = Analyzer(token_pattern=PATTERN, stop_words=stop_words or [])
    theirs = CountVectorizer(token_pattern=PATTERN, min_df=min_df, max_df=max_df, stop_words=stop_words)
    try:
        theirs.fit([text for text, split in zip(texts, splits, strict=True) if split == "train"])
    except ValueError:
        with pytest.raises(UserError, match=r"min_df|empty|stop words"):
            vectorize(texts, splits, Vectorizer(analyzer, min_df, max_df))
        return
    matrix, vocab, _ = vectorize(texts, splits, Vectorizer(analyzer, min_df, max_df))
    assert vocab == theirs.get_feature_names_out().tolist()
    assert vocab == sorted(vocab)
    np.testing.assert_array_equal(matrix.toarray(), theirs.transform(texts).toarray())


@pytest.mark.parametrize(("min_df", "max_df"), [(1, 1.0), (2, 1.0), (1, 0.34), (0.3, 1.0), (2, 2), (1, 1), (0.5, 0.1)])
@pytest.mark.parametrize("stop_words", [None, ["the", "cat"], ["absent"]])
def test_counts_are_those_of_scikit_learn(
    min_df: int | float, max_df: int | float, stop_words: list[str] | None
) -> None:
    assert_same_counts(TEXTS, SPLITS, min_df, max_df, stop_words)


@given(
    st.lists(snippets.map(" ".join), min_size=1, max_size=8),
    st.integers(1, 3) | st.sampled_from([0.25, 0.5]),
    st.integers(3, 8) | st.sampled_from([0.5, 0.75, 1.0]),
    st.data(),
)
def test_random_counts_are_those_of_scikit_learn(texts, min_df, max_df, data) -> None:  # type: ignore[no-untyped-def]
    splits = data.draw(st.lists(st.sampled_from(["train", "val"]), min_size=len(texts) - 1, max_size=len(texts) - 1))
    assert_same_counts(texts, ["train", *splits], min_df, max_df)


def test_words_of_held_out_documents_stay_out_of_the_vocabulary() -> None:
    _, vocab, _ = vectorize(["seen words", "unseen words"], ["train", "test"], Vectorizer(Analyzer()))
    assert vocab == ["seen", "words"]


@pytest.mark.parametrize(
    ("analyzer", "words"),
    [
        (Analyzer(), ["café", "naïve", "größe", "мир", "हिन्दी", "the"]),
        (Analyzer(min_length=4), ["café", "naïve", "größe", "हिन्दी"]),
        (Analyzer(lowercase=False), ["café", "naïve", "Größe", "мир", "हिन्दी", "the", "The"]),
        (Analyzer(stop_words=["the"]), ["café", "naïve", "größe", "мир", "हिन्दी"]),
        (Analyzer(token_pattern=r"\d+"), ["42"]),
    ],
)
def test_words_are_found_in_any_script(analyzer: Analyzer, words: list[str]) -> None:
    text = "The café, the naïve; Größe 42 x мир हिन्दी"
    _, vocab, _ = vectorize([text], ["train"], Vectorizer(analyzer))
    assert vocab == sorted(words)


def test_the_report_says_what_was_dropped() -> None:
    texts = ["common rare", "common other", "common other", "rare unseen", ""]
    _, vocab, report = vectorize(texts, ["train"] * 3 + ["test"] * 2, Vectorizer(Analyzer(), min_df=2, max_df=2))
    assert vocab == ["other"]
    assert (report["words_below_min_df"], report["words_above_max_df"], report["empty_documents"]) == (1, 1, 3)


def test_the_most_frequent_words_are_kept_the_first_among_equals() -> None:
    texts = ["bb aa dd", "bb aa", "cc aa dd dd dd"]
    _, vocab, report = vectorize(texts, ["train"] * 3, Vectorizer(Analyzer(), max_vocab=2))
    assert vocab == ["aa", "bb"]
    assert report["words_beyond_max_vocab"] == 2


@given(st.lists(snippets.map(" ".join), min_size=1, max_size=8), st.integers(1, 3))
def test_a_vocabulary_that_is_given_counts_the_same(texts: list[str], ngrams: int) -> None:
    analyzer = Analyzer(ngrams=ngrams)
    splits = ["train"] * len(texts)
    try:
        matrix, vocab, _ = vectorize(texts, splits, Vectorizer(analyzer))
    except UserError:
        return
    again, same, _ = vectorize(texts, ["test"] * len(texts), Vectorizer(analyzer, vocab=vocab))
    assert same == vocab
    np.testing.assert_array_equal(again.toarray(), matrix.toarray())


def test_pieces_of_any_size_make_the_same_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, vocab, report = vectorize(TEXTS, SPLITS, Vectorizer(Analyzer(), min_df=2))
    monkeypatch.setattr("etm_app.data.text.vectorizer.CHUNK", 3)
    pieces, *same = vectorize(TEXTS, SPLITS, Vectorizer(Analyzer(), min_df=2))
    assert same == [vocab, report]
    np.testing.assert_array_equal(pieces.toarray(), whole.toarray())
