"""The command line: converts arguments, calls `maintain`, prints; nothing else."""

from maintenance.cli.commands import cli, main

__all__ = ["cli", "main"]
