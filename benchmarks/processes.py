"""Calls in processes of their own, which have imported all that this one has."""

import os
import sys
import traceback
from collections.abc import Callable

__all__ = ["in_a_process"]

FAILED = 70  # the exit code where something was raised


def in_a_process(call: Callable[[], object]) -> int:
    """Call in a fork of this process: its exit code, or less than nothing for a signal."""
    sys.stdout.flush()
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    code = FAILED
    try:
        call()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else FAILED
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
