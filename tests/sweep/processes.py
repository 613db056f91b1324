"""In place of a fit, what may happen to its process; light, as each is imported in a new one."""

import os
import signal
import time
from pathlib import Path


def killed(config: str, log: Path) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def raised(config: str, log: Path) -> None:
    raise SystemExit(1)


def refused(config: str, log: Path) -> None:
    log.write_text(f"Corpus: …\nerror: {config}; expected another.\nAll arguments: --help\n")
    raise SystemExit(2)


def ended(config: str, log: Path) -> None:
    log.write_text("fine")


def sleeping(config: str, log: Path) -> None:
    log.write_text(str(os.getpid()))
    time.sleep(60)
