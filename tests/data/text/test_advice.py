"""Each thing that misleads topics is said once, with its remedy; ordinary texts get no warning."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from etm_app.data.corpus import BowCorpus
from etm_app.data.text.advice import advice
from etm_app.data.text.texts import TextDataModule

ENGLISH = [
    f"The {noun} of the {place} was seen by all of those who had been there with a {noun}, and it is not known why."
    for noun in ("house", "river", "doctor", "engine", "garden") for place in ("north", "valley", "city", "island")
]  # fmt: skip
GERMAN = [
    f"Das {noun} in der {place} wurde von allen gesehen, die dort mit ihren Freunden waren, und niemand weiß warum."
    for noun in ("Haus", "Schiff", "Auto", "Kind", "Buch") for place in ("Stadt", "Nacht", "Mitte", "Ferne")
]  # fmt: skip
JAPANESE = [f"{noun}の{verb}について" for noun in ("猫", "犬", "鳥", "魚", "町") for verb in ("話", "本", "歌", "絵")]
CHINESE = [
    f"{noun}市政府{verb}公告" for noun in ("北京", "上海", "广州", "成都") for verb in ("会议", "新闻", "交通", "天气")
]
PAGE = "<html><head><title>{0}</title><style>p {{ x: y }}</style></head><body><p class=a>{0} &amp; more</body></html>"


def cut(text: str) -> list[str]:
    return list(text)


def said(tmp_path: Path, texts: list[str], num_topics: int = 3, **settings: Any) -> list[str]:
    (tmp_path / "docs").mkdir(exist_ok=True)
    for number, text in enumerate(texts):
        (tmp_path / "docs" / f"{number:04}.txt").write_text(text, encoding="utf-8")
    bounds = {"min_df": 1, "max_df": 1.0, "val_fraction": 0.0, "test_fraction": 0.0}
    data = TextDataModule(str(tmp_path / "docs"), cache_dir=tmp_path / "cache", **{**bounds, **settings})
    return advice(data.corpus, num_topics, own_texts=True)


CASES: dict[str, tuple[list[str], dict[str, Any], list[str]]] = {
    "English": (ENGLISH, {}, []),
    "short titles": (["image segmentation", "deep learning for all", "cats and dogs", "notes on water"] * 9, {}, []),
    "angles": ([f"{text} if a < b and c > d, i <3 you" for text in ENGLISH], {}, []),
    "pages": ([PAGE.format(text) for text in ENGLISH], {}, ["100% of the documents have HTML", "'[html]'"]),
    "pages stripped": ([PAGE.format(text) for text in ENGLISH], {"strip": ["html"]}, []),
    "addresses": (
        [f"{text} see https://a.example/b?c=d" for text in ENGLISH], {}, ["web addresses", "--data.strip '[urls]'"],
    ),
    "mails": ([f"From: jo@a.example {text}" for text in ENGLISH], {"strip": ["html"]}, ["e-mail", "'[html, emails]'"]),
    "both stripped": (
        [f"jo@a.example www.a.example/x {text}" for text in ENGLISH], {"strip": ["urls", "emails"]}, [],
    ),
    "Japanese": (JAPANESE, {}, ["100% of the documents are in a script without", "Japanese", "--data.tokenizer"]),
    "Chinese": (CHINESE, {}, ["Chinese (jieba)"]),
    "Japanese that is cut": (JAPANESE, {"tokenizer": "tests.data.text.test_advice.cut", "min_length": 1}, []),
    "two languages": (ENGLISH + GERMAN, {}, ["several languages", "English 50%", "German 50%"]),
    "German": (GERMAN, {}, ["the documents are in German", "--data.stop_words de"]),
    "German with its stop words": (GERMAN, {"stop_words": "de"}, []),
    "few words": (["cats"] * 20 + ["dogs"] * 20, {"num_topics": 2}, ["2 topics over 2 words"]),
    "a giant": (
        [*ENGLISH, "giants " * 5000], {}, ["one document, '0020.txt', has 9", "of 21 training documents", "split it"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("texts", "settings", "parts"), CASES.values(), ids=CASES)
def test_what_is_said(tmp_path: Path, texts: list[str], settings: dict[str, Any], parts: list[str]) -> None:
    found = said(tmp_path, texts, **settings)
    assert len(found) == bool(parts), found
    assert all(part in found[0] for part in parts), found
    assert all("\n" not in line for line in found)


def test_of_counts_only_the_counts_are_looked_at() -> None:
    counts = np.full((30, 8), 1)
    counts[3] = 1000
    corpus = BowCorpus.from_matrix(counts, [f"w{word}" for word in range(8)], ["train"] * 30)
    (found,) = advice(corpus, 4, own_texts=False)
    assert found.startswith("one document, '3', has 97% of all tokens")
