"""Topics that are seeded by words: where their words stand in them, and what that costs the perplexity."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

from corpora import newsgroups, short_texts
from jsonargparse import auto_cli
from peers import Etm
from quality import of_documents
from tables import show

from etm_app import BowCorpus

SEEDED = {
    "20ng": {
        "space": ["space", "nasa", "orbit", "launch"],
        "hockey": ["hockey", "team", "players", "season"],
        "guns": ["gun", "firearms", "weapons", "crime"],
    },
    "stack_overflow": {"web": ["wordpress", "drupal", "magento"], "data": ["hibernate", "oracle", "linq"]},
}


def main(
    data_dir: Path | None = None,
    short_dir: Path | None = None,
    corpora: tuple[Literal["20ng", "stack_overflow"], ...] = ("20ng",),
    num_topics: int = 50,
    seeds: tuple[int, ...] = (1, 2, 3, 4, 5),
) -> None:
    """Fit with and without seeds.

    Args:
        data_dir: Folder with the paper's files of 20 Newsgroups, for 20ng.
        short_dir: Folder with stack_overflow.csv.
        corpora: Which.
        num_topics: K.
        seeds: Of training.
    """
    loaders: dict[str, Callable[[], BowCorpus]] = {
        "20ng": partial(newsgroups, data_dir or Path()),
        "stack_overflow": partial(short_texts, (short_dir or Path()) / "stack_overflow.csv"),
    }
    rows = []
    for name in corpora:
        corpus, seeded = loaders[name](), SEEDED[name]
        given = "{" + ", ".join(f"{topic}: [{', '.join(words)}]" for topic, words in seeded.items()) + "}"
        for seed in seeds:
            perplexity = []
            for model in (Etm(), Etm([f"--model.seed_topics={given}"])):
                beta = model.fit(corpus, num_topics, seed)
                perplexity.append(of_documents(model, beta, corpus)["perplexity"])
            ranked = model.model.top_words(corpus.vocab_size)
            ranks = [1 + ranked[topic].index(word) for topic, words in enumerate(seeded.values()) for word in words]
            cost = f"{perplexity[1] / perplexity[0] - 1:+.2%}"
            rows.append([name, seed, *(f"{value:.1f}" for value in perplexity), cost, len(ranks), max(ranks)])
    header = ["corpus", "seed", "perplexity, no seeds", "seeded", "more by", "seed words", "lowest rank by relevance"]
    show("Seeded topics", header, rows)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
