"""Training that goes on with the other half of the documents, against training on all of them at once.

The docstrings as counts by word. The same test documents for all; the perplexity is that of the command's own test.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
from corpora import docstrings
from jsonargparse import auto_cli
from numpy.typing import NDArray
from peers import train
from tables import show

from etm_app import BowCorpus


def main(seeds: tuple[int, ...] = (1, 2, 3), grown: float = 0.2, arguments: tuple[str, ...] = ()) -> None:
    """Fit on half of the documents, go on with the rest, and compare.

    Args:
        seeds: Of training, and of what is in which half.
        grown: How many more words the second half has in the run whose vocabulary grows, as a share of those before.
        arguments: More of the command line.
    """
    corpus = docstrings()
    rows = []
    for seed in seeds:
        random = np.random.default_rng(seed)
        first = random.random(len(corpus)) < 0.5
        new = np.ones(corpus.vocab_size, bool)
        new[random.permutation(len(new))[: round(len(new) / (1 + grown))]] = False
        with TemporaryDirectory() as name:
            folder = Path(name)
            every, none = np.ones(len(corpus), bool), np.zeros(len(corpus), bool)
            training = (corpus.documents["split"] != "test").to_numpy()
            for part, documents, lacking in (
                ("all", every, none),
                ("first", first, none),
                ("first, fewer words", first, every),
                ("all, fewer words in the first", every, first & training),
                ("second", ~first, none),
            ):
                write(corpus, documents | ~training, lacking, new, folder / part)

            def fit(
                part: str, *more: str, seed: int = seed, folder: Path = folder
            ) -> tuple[float, NDArray[np.float64]]:
                """Test perplexity of a fit, and the topics' cosines with those before where it went on."""
                fitted = train(
                    "--data=CountsDataModule",
                    f"--data.path={folder / part / 'counts.parquet'}",
                    f"--data.documents={folder / part / 'documents.parquet'}",
                    f"--data.cache_dir={folder / 'cache'}",
                    f"--seed_everything={seed}",
                    "--report.enabled=false",
                    "--trainer.logger=false",
                    f"--trainer.default_root_dir={folder / part}",
                    *arguments,
                    *more,
                )
                drifts = fitted.config_init["fit"]["topics"].drifts
                cosines = np.array([drift.cosine for drift in drifts])
                return float(fitted.trainer.callback_metrics["test_perplexity"]), cosines

            whole, _ = fit("all")
            seen, _ = fit("all, fewer words in the first")
            fit("first")
            fit("first, fewer words")
            for before, same, more in (
                ("first", whole, ()),
                ("first, fewer words", seen, ("--data.grow_vocab=true",)),
            ):
                best = folder / before / "checkpoints" / "best.ckpt"
                perplexity, cosine = fit("second", f"--ckpt_path={best}", *more)
                rows.append(
                    [before, seed, f"{whole:.1f}", f"{same:.1f}", f"{perplexity:.1f}", f"{perplexity / whole - 1:+.1%}",
                     f"{perplexity / same - 1:+.1%}", f"{cosine.mean():.3f}", f"{cosine.min():.3f}",
                     (cosine < 0.9).sum()]
                )  # fmt: skip
    header = ["went on from", "seed", "perplexity, all at once", "the same tokens at once", "gone on", "more by",
              "than the same", "mean cosine of topics", "least", "topics below .9"]  # fmt: skip
    show(f"Half of {len(corpus):,} docstrings, then the other half", header, rows)


def write(
    corpus: BowCorpus, chosen: NDArray[np.bool_], lacking: NDArray[np.bool_], new: NDArray[np.bool_], folder: Path
) -> None:
    """Counts of the chosen documents; of those that are lacking them without the new words."""
    folder.mkdir()
    rows = np.flatnonzero(chosen)
    indptr, words, counts, _ = corpus.select(rows)
    documents = np.repeat(rows, np.diff(indptr))
    named = corpus.documents.select("split", document="id")
    table = {"document": named["document"][documents], "term": pl.Series(corpus.vocab)[words], "count": counts}
    there = ~(lacking[documents] & new[words])
    pl.DataFrame(table).filter(pl.Series(there)).write_parquet(folder / "counts.parquet")
    named[rows].write_parquet(folder / "documents.parquet")


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
