"""Command line: converts arguments, calls the pipeline and prints the results."""

from maintenance.loading import without_collecting

__all__ = ["main"]


def main() -> None:
    """Load the commands and run the one that is named."""
    with without_collecting():
        from maintenance.cli.commands import main as run  # noqa: PLC0415 - inside the block
    run()
