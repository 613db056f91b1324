"""``python -m etm_app`` and the ``etm`` command."""

import os
import sys

from etm_app.cli.interrupts import obeying_signals
from etm_app.cli.slurm import obey_requeue_signal


def main() -> None:
    """Run the command line; imported late, because processes that parse docstrings import this module too."""
    # Both are read when torch is loaded. OpenMP's threads spin while they wait, because waking one takes as long as a
    # small operation; by default they do it so long that two trainings on the same cores keep each other from working.
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    # Pages of 2 MB: with a vocabulary of 100,000 words, a step spends a fifth of its time on faults of small ones.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    # As `python -m` does, `etm` finds the user's own classes in the folder it is started in; last, so that no file that
    # lies there takes the place of an installed module.
    if not getattr(sys.flags, "safe_path", False):
        sys.path.append("")
    obey_requeue_signal()
    with obeying_signals():
        from etm_app.cli.commands import answer

        answer(sys.argv[1:])
        from etm_app.cli.main import main
    with obeying_signals():  # again, for Polars has taken Ctrl-C for itself when it was imported
        main()


if __name__ == "__main__":
    main()
