"""Two hosts, as network namespaces of this machine, that train, test and predict together, against one process.

``python -m tests.two_hosts`` on Linux, as root. Each host has its own network, its own processes and its own cache of
prepared corpora; the folder of the runs is one that both see.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl

HOSTS = {"etm-host-0": "192.0.2.1", "etm-host-1": "192.0.2.2"}  # addresses that are nobody's
PORT = 29_500
LINKS = ("etm-link-0", "etm-link-1")


def why_not() -> str:
    """What this machine lacks; empty where it lacks nothing."""
    if not sys.platform.startswith("linux"):
        return "network namespaces are Linux's"
    if (ip := shutil.which("ip")) is None:
        return "there is no `ip` (iproute2)"
    tried = subprocess.run([ip, "netns", "add", "etm-tried"], capture_output=True, text=True)
    if tried.returncode:
        return f"no privilege to make network namespaces: {tried.stderr.strip()}"
    subprocess.run([ip, "netns", "delete", "etm-tried"], check=True)
    return ""


@contextmanager
def two_networks() -> Iterator[None]:
    """The hosts' networks, with a cable between them."""

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True)

    try:
        for host in HOSTS:
            ip("netns", "add", host)
        ip("link", "add", LINKS[0], "type", "veth", "peer", "name", LINKS[1])
        for (host, address), link in zip(HOSTS.items(), LINKS, strict=True):
            ip("link", "set", link, "netns", host)
            ip("-n", host, "address", "add", f"{address}/30", "dev", link)
            for device in (link, "lo"):
                ip("-n", host, "link", "set", device, "up")
        yield
    finally:  # the cable goes with them
        for host in HOSTS:
            subprocess.run(["ip", "netns", "delete", host], stderr=subprocess.DEVNULL)


def on_one(arguments: Sequence[str], folder: Path) -> None:
    """Run a command in one process."""
    where = ["--trainer.devices=1", f"--data.cache_dir={folder / 'cache'}"]
    subprocess.run([sys.executable, "-m", "etm_app", *arguments, *where], check=True, stdout=subprocess.DEVNULL)


def on_two_hosts(arguments: Sequence[str], folder: Path, processes: int) -> None:
    """Run a command on both, with so many processes on each."""
    started = []
    for rank, (host, link) in enumerate(zip(HOSTS, LINKS, strict=True)):
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", f"--node_rank={rank}"]
        torchrun += [f"--nproc_per_node={processes}", f"--master_addr={HOSTS['etm-host-0']}", f"--master_port={PORT}"]
        where = ["--trainer.num_nodes=2", f"--trainer.devices={processes}", "--trainer.strategy=ddp"]
        where += [f"--data.cache_dir={folder / f'cache-{rank}'}"]
        started.append(
            subprocess.Popen(
                ["ip", "netns", "exec", host, *torchrun, "-m", "etm_app", *arguments, *where],
                env={**os.environ, "GLOO_SOCKET_IFNAME": link},
                stdout=subprocess.PIPE,
            )
        )
    try:
        said = [process.communicate(timeout=1_800)[0] for process in started]
        assert not any(process.returncode for process in started), "a host has failed"
        assert said[0], "the first host says nothing"
        assert not said[1], "the second host says what the first one does"
    finally:
        for process in started:
            process.terminate()


def difference(one: Path, two: Path) -> float:
    """The largest relative difference of the metrics of two runs."""
    by_one, by_two = (json.loads((folder / "metrics.json").read_text()) for folder in (one, two))
    assert by_one.keys() == by_two.keys(), "not the same metrics"
    pairs = [(by_one[name]["value"], by_two[name]["value"]) for name in by_one]
    return max(abs(own - other) / max(abs(own), 1e-12) for own, other in pairs)


def main() -> None:
    """Try it, and print how far one process and two hosts are from each other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=2_001)
    parser.add_argument("--processes", type=int, default=1, help="on each host")
    parser.add_argument("--epochs", type=int, default=2)
    given = parser.parse_args()
    if reason := why_not():
        print(f"skipped: {reason}")
        return
    with tempfile.TemporaryDirectory() as name, two_networks():
        one, two = (Path(name) / folder for folder in ("one", "two"))
        data = ["--data=SyntheticDataModule", f"--data.num_documents={given.documents}", "--data.num_words=1000"]
        settings = [*data, "--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false"]
        best = one / "lightning_logs" / "version_0" / "checkpoints" / "best.ckpt"
        for command, more in (
            ("fit", ["--model.num_topics=10", f"--trainer.max_epochs={given.epochs}"]),
            ("test", [f"--ckpt_path={best}"]),
            ("predict", [f"--ckpt_path={best}"]),
        ):
            for folder in (one, two):
                where = [f"--trainer.default_root_dir={folder}"]
                where += [f"--prediction.path={folder / 'theta.parquet'}"] * (command == "predict")
                arguments = [command, *settings, *more, *where]
                on_one(arguments, folder) if folder == one else on_two_hosts(arguments, folder, given.processes)
        for version, command, most in (("version_0", "fit", 1e-4), ("version_1", "test", 1e-6)):
            off = difference(*(folder / "lightning_logs" / version for folder in (one, two)))
            print(f"{command}: metrics differ by {off:.1e} at most")
            assert off <= most, f"expected {most} at most"
        tables = [pl.read_parquet(folder / "theta.parquet") for folder in (one, two)]
        assert tables[1]["row"].to_list() == list(range(given.documents)), "rows are lost, repeated or not in order"
        thetas = [table.select("^theta_.*$").to_numpy() for table in tables]
        print(f"predict: {given.documents:,} rows in order, theta differs by {np.abs(thetas[0] - thetas[1]).max():.1e}")
        assert np.abs(thetas[0] - thetas[1]).max() <= 1e-6, "expected the same"


if __name__ == "__main__":
    main()
