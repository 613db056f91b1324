"""Training that goes on with the other half of the documents, against training on all of them at once.

The docstrings as counts by word. The same test documents for all; the perplexity is that of the command's own test.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl
import scipy.sparse as sp
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
        known = np.sort(random.permutation(corpus.vocab_size)[: round(corpus.vocab_size / (1 + grown))])
        with TemporaryDirectory() as name:
            folder = Path(name)
            every = np.arange(corpus.vocab_size)
            for part, documents, words in (
                ("all", np.ones(len(corpus), bool), every),
                ("first", first, every),
                ("first, fewer words", first, known),
                ("second", ~first, every),
            ):
                write(corpus, documents, words, folder / part)

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
            fit("first")
            fit("first, fewer words")
            for before, more in (("first", ()), ("first, fewer words", ("--data.grow_vocab=true",))):
                best = folder / before / "checkpoints" / "best.ckpt"
                perplexity, cosine = fit("second", f"--ckpt_path={best}", *more)
                rows.append(
                    [before, seed, f"{whole:.1f}", f"{perplexity:.1f}", f"{perplexity / whole - 1:+.1%}",
                     f"{cosine.mean():.3f}", f"{cosine.min():.3f}", (cosine < 0.9).sum()]
                )  # fmt: skip
    header = ["went on from", "seed", "perplexity, all at once", "gone on", "more by", "mean cosine of topics", "least",
              "topics below .9"]  # fmt: skip
    show(f"Half of {len(corpus):,} docstrings, then the other half", header, rows)


def write(corpus: BowCorpus, chosen: NDArray[np.bool_], words: NDArray[np.int64], folder: Path) -> None:
    """Counts of some words in some of the training and validation documents, and in all test documents."""
    folder.mkdir()
    rows = np.flatnonzero(chosen | (corpus.documents["split"] == "test").to_numpy())
    indptr, indices, counts, _ = corpus.select(rows)
    matrix = sp.coo_array(sp.csr_array((counts, indices, indptr), (len(rows), corpus.vocab_size))[:, words])
    documents = corpus.documents[rows].select("split", document="id")
    terms = pl.Series(corpus.vocab)[words]
    table = {"document": documents["document"][matrix.row], "term": terms[matrix.col], "count": matrix.data}
    pl.DataFrame(table).write_parquet(folder / "counts.parquet")
    documents.write_parquet(folder / "documents.parquet")


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
