"""Training on a CUDA device: whether it is right and repeats itself, and how near it comes to the device's limit."""

import tempfile
from pathlib import Path
from statistics import median

import machine
import numpy as np
import torch
from corpora import newsgroups, synthetic
from jsonargparse import auto_cli
from limit import against_floor, paper_model, silent, step
from peers import PAPER, epochs, saved
from tables import show

from etm_app import ETM, BowBatch, BowCorpus
from etm_app.data.corpus import BowDataset
from etm_app.data.resident import ResidentDataset
from etm_app.nn.elbo import kl_to_standard_normal, log_likelihood


def gradients(model: ETM, batch: BowBatch) -> dict[str, torch.Tensor]:
    """Of the negative ELBO at the posterior's mean: of the sample's noise each device has its own."""
    mu, logvar = model.encoder(batch, batch.counts)
    likelihood = log_likelihood(batch, batch.counts, mu.softmax(-1), model.topics())
    ((kl_to_standard_normal(mu, logvar).sum() - likelihood.sum()) / len(batch)).backward()
    return {name: p.grad.cpu().double() for name, p in model.named_parameters() if p.grad is not None}


def difference(corpus: BowCorpus, batch: BowBatch, device: str) -> float:
    """Largest difference of a gradient from the CPU's, as a share of the largest entry of its tensor."""
    expected = gradients(paper_model(corpus.vocab_size), batch)
    found = gradients(paper_model(corpus.vocab_size).to(device), batch.to(device))
    return max(float((found[name] - g).abs().max() / g.abs().max()) for name, g in expected.items())


def fit(corpus: BowCorpus, batch_size: int, num_epochs: int, device: str) -> tuple[dict[str, torch.Tensor], float]:
    """The command line's loop: the weights that it ends with, and the seconds of an epoch."""
    with tempfile.TemporaryDirectory() as folder:
        cli, taken = epochs(
            PAPER,
            *saved(corpus, Path(folder)),
            "--data.steps_per_epoch=null",
            f"--data.batch_size={batch_size}",
            f"--trainer.max_epochs={num_epochs}",
            "--trainer.deterministic=true",
            f"--trainer.accelerator={'cpu' if device == 'cpu' else 'gpu'}",
            "--trainer.devices=1",
        )
    return {name: weight.cpu() for name, weight in cli.model.state_dict().items()}, median(taken[1:])


def main(
    data_dir: Path | None = None,
    vocab_size: int = 30_000,
    num_documents: int = 100_000,
    batch_sizes: tuple[int, ...] = (1000, 10_000),
    num_epochs: int = 4,
    device: str = "cuda",
) -> None:
    """Measure the paper's model.

    Args:
        data_dir: Folder with the paper's files of 20 Newsgroups; null: a synthetic corpus.
        vocab_size: Words of the synthetic corpus.
        num_documents: Documents of the synthetic corpus.
        batch_sizes: Documents a step.
        num_epochs: Epochs of a run; the first one warms up and does not count.
        device: ``cpu`` only tries the script.
    """
    if device != "cpu" and not torch.cuda.is_available():
        print("not measured: no CUDA device")
        return
    corpus = synthetic(vocab_size, num_documents) if data_dir is None else newsgroups(data_dir)
    dataset = BowDataset(corpus, corpus.rows("train"), with_gradients=True)
    resident = ResidentDataset(dataset, torch.device(device))
    order = np.random.default_rng(0).permutation(len(dataset))
    rows = []
    for batch_size in batch_sizes:
        batch = dataset[order[:batch_size]]
        off = difference(corpus, batch, device)
        (first, seconds), (second, _) = (fit(corpus, batch_size, num_epochs, device) for _ in range(2))
        same = all(torch.equal(weight, second[name]) for name, weight in first.items())

        if device != "cpu":
            torch.cuda.reset_peak_memory_stats()
        model = silent(paper_model(corpus.vocab_size).to(device))
        optimizer = model.configure_optimizers()
        on_device = batch.to(device)
        bare = machine.seconds(lambda: step(model, on_device, optimizer), device=device)  # noqa: B023 - called at once
        memory = torch.cuda.max_memory_allocated() / 1e9 if device != "cpu" else machine.memory()["peak"]
        _, floor = against_floor(model, lambda: resident[order[:batch_size]], device)  # noqa: B023
        rows.append([
            f"{len(batch):,}", f"{off:.0e}", "yes" if same else "no", f"{1e3 * bare:.2f}", f"{floor / bare:.0%}",
            f"{len(batch) / bare:,.0f}", f"{len(dataset) / seconds:,.0f}", f"{memory:.2f}",
        ])  # fmt: skip
    header = ["batch", "gradients off by", "two runs identical", "step, ms", "share of the floor", "documents a second"]
    header += ["in the command line's loop", "peak GB"]
    show(f"The paper's model, V = {corpus.vocab_size:,}, {len(dataset):,} documents", header, rows, device)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
