"""The command line: converts arguments, calls `maintain`, prints; nothing else."""

from maintenance.cli.commands import main

__all__ = ["main"]
