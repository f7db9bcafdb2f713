"""Command line: converts arguments, calls the pipeline and prints the results."""

import gc

__all__ = ["main"]


def main() -> None:
    """Load the commands and run the one that is named."""
    gc.disable()  # loading makes no garbage: looking for it takes a fifth of a short command
    from maintenance.cli.commands import main as run  # noqa: PLC0415 - after the line above

    gc.freeze()
    gc.enable()
    run()
