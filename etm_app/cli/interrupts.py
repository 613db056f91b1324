"""Ctrl-C and SIGTERM: the command stops at once, says how to go on, and exits with 130 or 143."""

import gc
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Interrupted", "is_first_process", "obeying_signals"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)
RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID")  # where launchers say which of several processes this is


class Interrupted(BaseException):
    """The user or the scheduler ends the command.

    No KeyboardInterrupt: Lightning would take that for a reason to exit with 1, without a word of how to go on.

    Attributes:
        number: The signal.
        remedy: How to go on.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number
        self.remedy = ""


@contextmanager
def obeying_signals() -> Iterator[None]:
    """End the process with one line where a signal asks for it, after everything on the way has cleaned up."""
    command = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() != command:  # a process that was forked to load data; its parent ends it
            raise KeyboardInterrupt
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL)  # a second one does not wait for the cleaning up
        raise Interrupted(number)

    for each in SIGNALS:
        if signal.getsignal(each) is not signal.SIG_IGN:  # nohup
            signal.signal(each, stop)
    try:
        yield
        return
    except Interrupted as interrupted:
        status = 128 + interrupted.number
        said = f"stopped by {interrupted}{interrupted.remedy}\n"
    gc.collect()  # what had not ended, a temporary copy that was being read say, ends with its last reference
    sys.stdout.flush()
    if is_first_process():
        sys.stderr.write(said)
        sys.stderr.flush()
    os._exit(status)  # an exit would wait for threads that still cut texts into words


def is_first_process() -> bool:
    """Whether this is the one of several processes that speaks, by what their launcher says."""
    return all(os.environ.get(rank, "0") == "0" for rank in RANKS)
