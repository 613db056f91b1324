"""``python -m etm_app`` and the ``etm`` command."""

import os


def main() -> None:
    """Run the command line; imported late, because processes that parse docstrings import this module too."""
    # OpenMP's threads spin while they wait, by default; two trainings on the same cores then keep each other from
    # working and are five to ten times slower. Read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from etm_app.cli import main

    main()


if __name__ == "__main__":
    main()
