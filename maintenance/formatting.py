"""Text from names, rows and errors of others, made fit for people: shown, and never obeyed.

A name may hold any character: an escape sequence that rewrites a terminal, a carriage return that
hides the beginning of a line, a mark that turns the direction of writing around.
"""

import re
import unicodedata
from datetime import timedelta

_UNSEEN = ("Cc", "Cf", "Zl", "Zp", "Cs")
"""Categories that end a line, turn the direction of writing around, or are not seen at all."""

_PLAIN = re.compile(r"[\x20-\x7e\n]*\Z")


def visible(text: str) -> str:
    """Return text in one line, in which every character is seen: control characters escaped."""
    return visible_lines(text).replace("\n", " ")


def visible_lines(text: str) -> str:
    """Return text with its line ends, in which every other control character is escaped."""
    if _PLAIN.match(text):
        return text
    return "".join(map(_visible, text))


def _visible(character: str) -> str:
    if character == "\n" or unicodedata.category(character) not in _UNSEEN:
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


PAGE_BYTES = 8192
"""A block of a table, in every build of PostgreSQL one is likely to meet."""

_UNITS = ("B", "kB", "MB", "GB")
_KILO = 1024
_SPANS = (("day", 86_400), ("hour", 3600), ("minute", 60))
_MANY = 1000


def readable_size(size_bytes: float) -> str:
    """Write a number of bytes such as `1.4 GB`; 1 kB is 1024 bytes, as the server has it."""
    for unit in _UNITS:
        if size_bytes < _KILO:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= _KILO
    return f"{size_bytes:.1f} TB"


def readable_number(value: float | str | None) -> str:
    """Write a number with as many digits as tell something; a text stays, None is nothing."""
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:,.0f}" if value == round(value) or abs(value) >= _MANY else f"{value:.3g}"


def readable_span(span: timedelta) -> str:
    """Write how long something lasts such as `3 days` or `25 minutes`, in its largest unit."""
    seconds = span.total_seconds()
    for name, unit in _SPANS:
        n = int(seconds / unit)
        if n >= 1:
            return f"{n} {name}{'s' if n > 1 else ''}"
    return f"{seconds:.0f} s"
