"""A training step against the floor of the machine, and Lightning's loop against a bare one.

The floor of a piece is the time of its matrix products, measured alone in float32 at the same shapes, plus the bytes
that it has to move at the bandwidth measured on as much memory as it moves them from: a product with sparse counts
reads one row of the other matrix for every non-zero, Adam reads four arrays and writes three.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import machine
import numpy as np
import torch
from corpora import newsgroups, synthetic
from jsonargparse import auto_cli
from peers import PAPER, epochs
from tables import show

from etm_app import ETM, BowBatch, BowCorpus
from etm_app.data.corpus import BowDataset
from etm_app.nn import elbo, sparse


@dataclass
class Piece:
    """A part of the step: what it does, and the least that it has to do."""

    name: str
    run: Callable[[], Any] | None  # None: measured as what the others leave of the step
    matmuls: list[tuple[int, int, int]]  # [rows, inner] @ [inner, columns]
    moved: int  # bytes
    working_set: int = machine.LARGE  # bytes that it moves them from

    @property
    def flop(self) -> int:
        """Of the matrix products."""
        return sum(2 * rows * inner * columns for rows, inner, columns in self.matmuls)

    def floor(self, device: str) -> float:
        """Seconds."""
        products = sum(_matmul_seconds(*shape, device) for shape in self.matmuls)
        return products + self.moved / _bandwidth(self.working_set, device)


_matmul_seconds = cache(machine.matmul_seconds)
_bandwidth = cache(machine.bandwidth)


def paper_model(vocab_size: int, hidden_size: int = 800) -> ETM:
    """The paper's model."""
    torch.manual_seed(0)
    return ETM(vocab_size, t_hidden_size=hidden_size, warm_start=False, anchor=0.0, inference="encoder")


def silent(model: ETM) -> ETM:
    """The model for a bare loop: it trains as before, but logs nothing."""
    model.log = model.log_dict = lambda *args, **kwargs: None  # type: ignore[method-assign]
    return model.train()


def step(model: ETM, batch: BowBatch, optimizer: torch.optim.Optimizer) -> None:
    """The bare operations of a training step."""
    optimizer.zero_grad()
    model.training_step(batch, 0).backward()
    optimizer.step()


def pieces(model: ETM, optimizer: torch.optim.Optimizer, fetch: Callable[[], BowBatch]) -> list[Piece]:
    """The step of the paper's model in pieces; the gradients of the model are set."""
    encoder, topics, batch = model.encoder, model.topics, fetch()
    (V, H), (K, L), B, N = encoder.weight.shape, topics.alpha.shape, len(batch), len(batch.counts)
    parameters = sum(p.numel() for p in model.parameters() if p.requires_grad)

    def rand(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, device=model.device, requires_grad=True)

    hidden, wide, narrow, theta = (rand(*shape) for shape in ((B, H), (B, H), (B, 2 * K), (B, K)))
    product = sparse.matmul(batch, batch.counts, encoder.weight)
    beta = topics()

    def linear(layer: torch.nn.Linear, gradient: torch.Tensor) -> None:
        torch.autograd.grad(layer(hidden), (hidden, layer.weight, layer.bias), gradient)

    def decode() -> None:
        words = beta.detach().requires_grad_()
        torch.autograd.grad(elbo.log_likelihood(batch, batch.counts, theta, words).sum(), (theta, words))

    def gradient_of(out: torch.Tensor, *inputs: torch.Tensor) -> Callable[[], Any]:
        gradient = torch.ones_like(out)
        return lambda: torch.autograd.grad(out, inputs, gradient, retain_graph=True)

    return [
        # int32 words and counts read and written, sorted by word with their places (int32, int64) as well
        Piece("batch from the corpus", fetch, [], N * (2 * 8 + 12)),
        Piece("first layer", lambda: sparse.matmul(batch, batch.counts, encoder.weight), [],
              4 * (N * H + B * H), 4 * V * H),
        Piece("its gradient", gradient_of(product, encoder.weight), [], 4 * (N * H + V * H), 4 * B * H),
        Piece("second layer", lambda: linear(encoder.hidden, wide), [(B, H, H), (H, B, H), (B, H, H)], 0),
        Piece("mu and logvar", lambda: linear(encoder.posterior, narrow),
              [(B, H, 2 * K), (2 * K, B, H), (B, 2 * K, H)], 0),
        # softmax: one array read and one written, then two read and one written
        Piece("beta", lambda: torch.autograd.grad(topics(), (topics.rho, topics.alpha), beta.detach()),
              [(K, L, V), (K, V, L), (V, K, L)], 4 * 5 * V * K, 4 * V * K),
        # a row of theta and of beta, then one for each gradient
        Piece("log-likelihood", decode, [], 4 * (4 * N * K + 2 * V * K), 4 * V * K),
        # after both layers: one array read and one written, then two read and one written
        Piece("activations, noise, KL", None, [], 4 * 2 * 5 * B * H, 4 * B * H),
        Piece("Adam", optimizer.step, [], 4 * 7 * parameters, 4 * 4 * parameters),
    ]  # fmt: skip


def fetcher(corpus: BowCorpus) -> Callable[[], BowBatch]:
    """Cuts a batch of 1,000 of the training documents, the same ones every time."""
    dataset = BowDataset(corpus, corpus.rows("train"), with_gradients=True)
    chosen = np.random.default_rng(0).permutation(len(dataset))[:1000]
    return lambda: dataset[chosen]


def against_floor(model: ETM, fetch: Callable[[], BowBatch], device: str = "cpu") -> tuple[float, float]:
    """Print the pieces of a step on a device; seconds of the whole step and of its floor."""
    optimizer, batch = model.configure_optimizers(), fetch()
    step(model, batch, optimizer)
    parts = pieces(model, optimizer, fetch)
    whole = Piece("whole step", lambda: step(model, fetch(), optimizer), [], 0)
    alone = [piece for piece in (*parts, whole) if piece.run]
    measured = dict(zip((p.name for p in alone), machine.in_turns([p.run for p in alone], device=device), strict=True))
    rest = 2 * measured[whole.name] - sum(measured.values())
    rows = [(p.name, p.flop, p.moved, p.floor(device), measured.get(p.name, rest)) for p in parts]
    floor = sum(row[3] for row in rows)
    rows.append((whole.name, sum(row[1] for row in rows), sum(row[2] for row in rows), floor, measured[whole.name]))
    V, H = model.encoder.weight.shape
    show(
        f"A step on {device}: batch {len(batch):,} with {len(batch.counts):,} non-zeros, V = {V:,}, H = {H}; "
        f"{_bandwidth(machine.LARGE, device) / 1e9:.1f} GB/s from memory",
        ["piece", "GFLOP", "MB moved", "floor, ms", "measured, ms", "ratio"],
        [
            [name, f"{flop / 1e9:.2f}", f"{moved / 1e6:.1f}", f"{1e3 * floor:.2f}", f"{1e3 * taken:.2f}",
             f"{taken / floor:.2f}"]
            for name, flop, moved, floor, taken in rows
        ],
        device,
    )  # fmt: skip
    return measured[whole.name], floor


def main(
    data_dir: Path,
    hidden_sizes: tuple[int, ...] = (800, 256),
    vocab_sizes: tuple[int, ...] = (30_000, 100_000),
    num_epochs: int = 6,
    rounds: int = 3,
) -> None:
    """Measure the paper's model and settings on 20 Newsgroups, and a step alone on larger vocabularies.

    Args:
        data_dir: Folder with the paper's files.
        hidden_sizes: Widths H of the encoder.
        vocab_sizes: Sizes of synthetic corpora.
        num_epochs: Epochs of a run of either loop; the first one warms up and does not count.
        rounds: How often both loops run, in turns.
    """
    corpus = newsgroups(data_dir)
    loops = []
    for hidden_size in hidden_sizes:
        lightning, bare = [], []
        for _ in range(rounds):
            cli, taken = epochs(
                PAPER,
                f"--data.data_dir={data_dir}",
                f"--model.t_hidden_size={hidden_size}",
                f"--trainer.max_epochs={num_epochs}",
            )
            lightning += taken[1:]
            model = silent(cli.model)
            optimizer = model.configure_optimizers()
            loader = cli.datamodule.train_dataloader()
            for epoch in range(num_epochs):
                start = perf_counter()
                for batch in loader:
                    step(model, batch, optimizer)
                if epoch:
                    bare.append(perf_counter() - start)
        against_floor(model, fetcher(corpus))
        fitted, plain = median(lightning), median(bare)
        loops.append([f"H = {hidden_size}", f"{plain:.3f}", f"{fitted:.3f}", f"{fitted / plain:.2f}"])
    header = ["", "bare loop", "Lightning's loop with callbacks", "ratio"]
    show("Seconds an epoch of the same operations", header, loops)
    for vocab_size in vocab_sizes:
        fetch = fetcher(synthetic(vocab_size))
        for hidden_size in hidden_sizes:
            against_floor(silent(paper_model(vocab_size, hidden_size)), fetch)


if __name__ == "__main__":
    auto_cli(main, as_positional=False)
