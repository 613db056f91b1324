"""What the machine is and what it can do: the yardsticks of the tables."""

import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import torch

__all__ = ["bandwidth", "describe", "in_turns", "matmul_seconds", "memory", "seconds"]

LARGE = 1 << 28  # bytes that fit no cache


def describe(device: str = "cpu") -> str:
    """Processor, cores, threads and versions in one line."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    parts = [
        names[0] if names else platform.processor() or platform.machine(),
        f"{os.cpu_count()} cores",
        f"{torch.get_num_threads()} threads",
        f"torch {torch.__version__}",
        f"Python {platform.python_version()}",
    ]
    if device != "cpu":
        parts.insert(0, torch.cuda.get_device_name(device))
    return ", ".join(parts)


def in_turns(functions: Sequence[Callable[[], object]], repeats: int = 15, device: str = "cpu") -> list[float]:
    """Median time of each call, all called in turns, after two turns to warm up; on a GPU until its work is done."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(repeats + 2):
        for function, taken in zip(functions, times, strict=True):
            start = time.perf_counter()
            function()
            if device != "cpu":
                torch.cuda.synchronize(device)
            taken.append(time.perf_counter() - start)
    return [median(taken[2:]) for taken in times]


def seconds(function: Callable[[], object], repeats: int = 15, device: str = "cpu") -> float:
    """Median time of a call, see `in_turns`."""
    return in_turns([function], repeats, device)[0]


def matmul_seconds(rows: int, inner: int, columns: int, device: str = "cpu") -> float:
    """Time of a float32 product [rows, inner] @ [inner, columns]."""
    left, right = torch.randn(rows, inner, device=device), torch.randn(inner, columns, device=device)
    out = torch.empty(rows, columns, device=device)
    return seconds(lambda: torch.mm(left, right, out=out), device=device)


def bandwidth(working_set: int, device: str = "cpu") -> float:
    """Bytes a second of the triad a = b + 2c, its arrays ``working_set`` bytes in all: of a cache or of memory."""
    working_set = max(working_set, 1 << 20)
    a, b, c = torch.rand(3, working_set // 12, device=device)
    calls = min(max(LARGE // working_set, 1), 100)  # in a row, so that a cache keeps what fits it

    def triads() -> None:
        for _ in range(calls):
            torch.add(b, c, alpha=2.0, out=a)

    return calls * 12 * len(a) / seconds(triads, 5, device)


def memory() -> dict[str, float]:
    """Resident memory of this process in GB: its peak, and pages of mapped files in it now (Linux)."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {name: int(status[key].split()[0]) * 1024 / 1e9 for name, key in (("peak", "VmHWM"), ("files", "RssFile"))}
