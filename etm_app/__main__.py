"""``python -m etm_app`` and the ``etm`` command."""


def main() -> None:
    """Run the command line; imported late, because processes that parse docstrings import this module too."""
    from etm_app.cli import main

    main()


if __name__ == "__main__":
    main()
