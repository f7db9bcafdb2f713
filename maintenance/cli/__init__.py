"""Command line: converts arguments, calls the pipeline and prints the results."""

from maintenance.cli.commands import cli, main

__all__ = ["cli", "main"]
