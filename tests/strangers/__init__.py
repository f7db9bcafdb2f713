"""Databases of applications that are not ours, as SQL files."""

from pathlib import Path

NAMES = ("rails", "django", "prisma", "partman", "iot")


def schema(name: str) -> str:
    """The SQL of one of them."""
    return (Path(__file__).parent / f"{name}.sql").read_text()
