"""Whether training finds the topics that documents were drawn from: mean cosine of matched topics, and perplexity."""

from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

import torch
from jsonargparse import auto_cli
from tables import show

from etm_app import SyntheticDataModule
from etm_app.cli.main import main as etm
from etm_app.metrics.matching import match_topics


def main(
    sizes: tuple[tuple[int, int, int], ...] = ((10_000, 5_000, 50), (20_000, 2_000, 20), (200_000, 10_000, 50)),
    seeds: tuple[int, ...] = (1, 2, 3),
    arguments: tuple[str, ...] = (),
    cache_dir: Path | None = None,
) -> None:
    """Draw documents with known topics, fit with the defaults and as many topics, and match both sets one to one.

    Args:
        sizes: Documents, words and topics of each corpus.
        seeds: Of training; the documents are the same.
        arguments: More of the command line.
        cache_dir: Where the documents are kept; by default nowhere.
    """
    rows = []
    with TemporaryDirectory() as name:
        for (documents, words, topics), seed in ((size, seed) for size in sizes for seed in seeds):
            drawn = {"num_documents": documents, "num_words": words, "planted_topics": topics}
            kept = {**drawn, "cache_dir": str(cache_dir or name)}
            data = SyntheticDataModule(**kept)  # type: ignore[arg-type]
            fitted = etm(
                [
                    "fit",
                    "--data=SyntheticDataModule",
                    *(f"--data.{argument}={value}" for argument, value in kept.items()),
                    f"--model.num_topics={topics}",
                    f"--seed_everything={seed}",
                    f"--trainer.default_root_dir={name}",
                    "--report.enabled=false",
                    *arguments,
                ]
            )
            beta = fitted.model.beta.cpu().double().numpy()
            cosine = match_topics(beta, torch.as_tensor(data.planted_beta).double().numpy()).cosine
            perplexity = fitted.trainer.callback_metrics["test_perplexity"]
            found = [f"{documents:,}", f"{words:,}", topics, seed, f"{cosine.mean():.3f}", f"{(cosine > 0.9).sum()}"]
            rows.append([*found, f"{float(perplexity):,.0f}"])
    header = ["documents", "words", "topics", "seed", "mean cosine", "topics above .9", "test perplexity"]
    show("Planted topics that are found", header, rows)
    print(f"mean over all: {mean(float(row[4]) for row in rows):.3f}")


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
