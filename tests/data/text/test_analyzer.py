import unicodedata
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer

from etm_app.data.text.analyzer import WORD, Analyzer, Strip, read_stop_words
from etm_app.errors import UserError

# A sentence each, with its words as they are to be found.
LANGUAGES = {
    "English": "The naïve façade, re-read!",
    "German": "Größe übt Maß.",
    "Russian": "Кошка ёлка съела й",
    "Greek": "Ἑλλάς γλώσσα ΐ",
    "Arabic": "كِتَابٌ جميل، مدرسة",
    "Hebrew": "שָׁלוֹם עולם",
    "Persian": "می‌خواهم کتاب‌ها",
    "Urdu": "زندگی خوبصورت ہے",
    "Hindi": "हिन्दी विद्यार्थी क्षेत्र",
    "Marathi": "मराठी भाषेतील शब्द",
    "Bengali": "বাংলা ভাষায় ক্ষমা",
    "Tamil": "தமிழ் மொழியில்",
    "Telugu": "తెలుగు పుస్తకాలు",
    "Malayalam": "മലയാളം അവന്‍",
    "Sinhala": "ශ්‍රී ලංකාව",
    "Thai": "ภาษาไทย น้ำ ที่นี่",
    "Khmer": "ភាសាខ្មែរ",
    "Tibetan": "བོད་ཡིག",
    "Korean": "한국어 문장",
    "Japanese": "東京 データ がっこう",
    "Amharic": "አማርኛ ቋንቋ",
    "Vietnamese": "Tiếng Việt đẹp",
    "Turkish": "İstanbul ığdır",
    "Armenian": "Հայերեն լեզու",
}


def words(text: str, **settings: object) -> list[str]:
    return Analyzer(**{"min_length": 1, **settings}).words(pl.Series([text]))["word"].to_list()  # type: ignore[arg-type]


@pytest.mark.parametrize("text", LANGUAGES.values(), ids=LANGUAGES)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_no_script_loses_a_sign(text: str, form: str) -> None:
    """What stands between spaces and punctuation is one word, marks and joiners included, however it was typed."""
    separators = " ,.!-،་"
    expected = (
        "".join(" " if sign in separators else sign for sign in unicodedata.normalize("NFC", text)).lower().split()
    )
    assert words(unicodedata.normalize(form, text)) == expected  # type: ignore[arg-type]


# Letters and marks that this Python knows; Rust may know newer ones.
any_text = st.text(st.characters(exclude_categories=["Cs", "Cn", "Co"]), max_size=40)


def reference(text: str) -> list[str]:
    """The default pattern letter by letter, by Python's own table of categories."""
    found: list[str] = []
    inside = False
    for sign in unicodedata.normalize("NFC", text).lower():
        kind = unicodedata.category(sign)[0]
        if kind == "L" and not inside:
            found.append("")
        inside = kind == "L" or (inside and (kind == "M" or sign in "\u200c\u200d"))
        if inside:
            found[-1] += sign
    return found


@given(any_text)
def test_any_unicode_is_cut_as_the_table_of_categories_says(text: str) -> None:
    assert words(text) == reference(text)


@given(any_text)
def test_both_ways_of_typing_are_one_word(text: str) -> None:
    composed, decomposed = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))  # type: ignore[arg-type]
    assert words(composed) == words(decomposed)
    assert words(composed, strip_accents=True) == words(decomposed, strip_accents=True)


@given(st.lists(any_text, max_size=6))
def test_texts_keep_to_themselves(texts: list[str]) -> None:
    together = Analyzer().words(pl.Series(texts, dtype=pl.String))
    apart = [(row, word) for row, text in enumerate(texts) for word in words(text, min_length=2)]
    assert list(together.iter_rows()) == apart


def test_texts_stay_as_they_are() -> None:
    texts = pl.Series(["e\u0301", "plain"])
    Analyzer().words(texts)
    assert texts.to_list() == ["e\u0301", "plain"]


@pytest.mark.parametrize(
    ("text", "settings", "expected"),
    [
        ("Café CAFÉ", {}, ["café", "café"]),
        ("Café", {"lowercase": False}, ["Café"]),
        ("café й ΐ हिन्दी كِتَاب", {"strip_accents": True}, ["cafe", "и", "ι", "हिन्दी", "كِتَاب"]),
        ("ﬁne Ｗｉｄｅ", {"normalization": "NFKC"}, ["fine", "wide"]),
        ("covid19 2024 h2o", {}, ["covid", "h", "o"]),
        ("covid19 2024 h2o", {"token_pattern": r"[\p{L}\p{N}][\p{L}\p{M}\p{N}]*"}, ["covid19", "2024", "h2o"]),
        ("a bc def", {"min_length": 2}, ["bc", "def"]),
        ("the cat isn't", {"stop_words": ["THE", "isn't"]}, ["cat"]),
        ("été ete", {"stop_words": ["e\u0301te\u0301"]}, ["ete"]),
        ("one two", {"ngrams": 3}, ["one", "two", "one two"]),
        ("one of two", {"ngrams": 2, "stop_words": ["of"]}, ["one", "two", "one two"]),
        ("A b-C", {"tokenizer": "tests.data.text.test_analyzer.at_hyphens"}, ["a b", "c"]),
    ],
)
def test_settings(text: str, settings: dict[str, object], expected: list[str]) -> None:
    assert words(text, **settings) == expected


def at_hyphens(text: str) -> list[str]:
    return [*text.split("-"), " "]


@pytest.mark.parametrize("ngrams", [1, 2, 3])
@given(
    texts=st.lists(
        st.lists(st.sampled_from(["ab", "bc", "cd", "the", "é"]), max_size=8).map(" ".join), min_size=1, max_size=5
    )
)
def test_ngrams_are_those_of_scikit_learn(ngrams: int, texts: list[str]) -> None:
    theirs = CountVectorizer(token_pattern=r"\w+", ngram_range=(1, ngrams), stop_words=["the"]).build_analyzer()
    found = Analyzer(min_length=1, ngrams=ngrams, stop_words=["the"]).words(pl.Series(texts))
    for row, text in enumerate(texts):
        assert Counter(found.filter(document=row)["word"]) == Counter(theirs(text))


def test_counts_and_shares_of_known_words() -> None:
    counted = Analyzer().count(pl.Series(["bb aa bb xx", "", "yy zz"]), pl.Enum(["aa", "bb"]))
    assert counted.indptr.tolist() == [0, 2, 2, 2]
    assert counted.indices.tolist() == [0, 1]
    assert counted.counts.tolist() == [1, 2]
    assert counted.num_words.tolist() == [4, 0, 2]
    assert counted.num_known.tolist() == [3, 0, 0]


def test_shares_are_of_single_words() -> None:
    counted = Analyzer(ngrams=2).count(pl.Series(["aa bb cc"]), pl.Enum(["aa", "aa bb"]))
    assert (counted.num_words.tolist(), counted.num_known.tolist()) == ([3], [1])
    assert counted.indices.tolist() == [0, 1]


def test_settings_are_simple_and_make_the_same_analyzer() -> None:
    analyzer = Analyzer(stop_words=["the"], ngrams=2, token_pattern=WORD)
    assert Analyzer.from_settings(analyzer.settings()) == analyzer
    with pytest.raises(UserError, match="version"):
        Analyzer.from_settings({"no_such_setting": 1})


def test_stop_words_come_from_the_package_a_language_a_file_or_nowhere(tmp_path: Path) -> None:
    listing = tmp_path / "words.txt"
    listing.write_text("eins zwei\n\n drei\tüber\n", encoding="utf-8")
    assert read_stop_words(str(listing)) == ["eins", "zwei", "drei", "über"]
    assert read_stop_words("none") == []
    assert {"und", "über"} <= set(read_stop_words("de"))
    assert "और" in read_stop_words("hi")
    english = read_stop_words("english")
    assert {"the", "and", "of"} <= set(english)
    assert len(set(english)) == len(english)


STRIPPED: dict[str, tuple[list[str], str, list[str]]] = {
    "nothing": ([], "<b>bold</b> a@b.de", ["<b>bold</b>", "a@b.de"]),
    "tags": (["html"], "<p class='x > y'>one</p><p>two<br/>three", ["one", "two", "three"]),
    "letters in a word": (["html"], "<b>W</b>ord wo<wbr>rd2 w<i class=a>or</i>d3", ["Word", "word2", "word3"]),
    "entities": (["html"], "Gr&ouml;&szlig;e &amp; a&nbsp;b &#252; &lt;t&gt;", ["Größe", "&", "a", "b", "ü", "<t>"]),
    "hidden": (
        ["html"], "a<script>if (x<y) {}</script>b<STYLE type=x>p{}</Style >c<!-- d <p> -->e<!DOCTYPE html>f",
        [*"abcef"],
    ),
    "never closed": (["html"], "a <script>b c", ["a"]),
    "no tags": (["html"], "1 < 2 and 3 > 2, i <3 u", ["1", "<", "2", "and", "3", ">", "2,", "i", "<3", "u"]),
    "addresses": (["urls"], "see https://a.de/b?c=d&e#f, www.x.org/ä and httpx", ["see", "and", "httpx"]),
    "addresses in Japanese": (["urls"], "詳細はhttps://a.jp/bを見る", ["詳細は", "を見る"]),
    "mails": (["emails"], "jo.do+x@a-b.example.org, a@b @c", ["a@b", "@c"]),
    "all": (
        ["html", "urls", "emails"], "<a href='http://a.de'>x</a> &lt;jo@a.de&gt; http://b.de?a&amp;b", [*"x<>"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("strip", "text", "words"), STRIPPED.values(), ids=STRIPPED)
def test_what_is_no_text_is_taken_out(strip: list[Strip], text: str, words: list[str]) -> None:
    (found,) = Analyzer(strip=strip).stripped(pl.Series([text]))
    assert [word for word in found.split() if word != ","] == words


@given(st.text())
def test_stripping_leaves_plain_text_and_never_fails(text: str) -> None:
    plain = text.translate({ord(character): " " for character in "<&@:\N{SOFT HYPHEN}"}).replace("www.", "")
    analyzer = Analyzer(strip=["html", "urls", "emails"])
    assert analyzer.stripped(pl.Series([plain], dtype=pl.String))[0] == plain
    analyzer.stripped(pl.Series([text], dtype=pl.String))


def test_settings_of_before_there_was_strip() -> None:
    settings = Analyzer(strip=["html"]).settings()
    assert Analyzer.from_settings(settings).strip == ["html"]
    del settings["strip"]
    assert Analyzer.from_settings(settings).strip == []


def raising(text: str) -> list[str]:
    return [str(1 / len(text)) if "x" not in text else text[99]]


def test_a_tokenizer_that_raises() -> None:
    analyzer = Analyzer(tokenizer="tests.data.text.test_analyzer.raising")
    texts = pl.Series(["fine", "also", "bad x", ""])
    expected = (
        r"data.tokenizer: tests.data.text.test_analyzer.raising failed on row 2 .*'bad x': IndexError: string index"
    )
    with pytest.raises(UserError, match=expected):
        analyzer.words(texts)
    with pytest.raises(UserError, match=r"row 17 .*'': ZeroDivisionError: division by zero"):
        analyzer.count(texts.gather([0, 3]), pl.Enum(["a"]), rows=pl.Series([5, 17]))
