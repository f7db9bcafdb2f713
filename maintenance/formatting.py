"""Format names, numbers and errors for display; control characters are escaped.

A name may contain any character: an escape sequence that controls a terminal, a carriage return
that hides the beginning of a line, a mark that reverses the writing direction.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import timedelta

_UNSEEN = ("Cc", "Cf", "Zl", "Zp", "Cs")
"""Unicode categories that end a line, change the writing direction, or are invisible."""

_PLAIN = re.compile(r"[\x20-\x7e\n]*\Z")


def visible(text: str) -> str:
    """Return text as one line, with control characters escaped."""
    return visible_lines(text).replace("\n", " ")


def visible_lines(text: str) -> str:
    """Return text with its line ends, and all other control characters escaped."""
    if _PLAIN.match(text):
        return text
    return "".join(map(_visible, text))


def _visible(character: str) -> str:
    if character == "\n" or unicodedata.category(character) not in _UNSEEN:
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


PAGE_BYTES = 8192
"""Bytes of a block in a standard build of PostgreSQL."""

_UNITS = ("B", "kB", "MB", "GB")
_KILO = 1024
_SPANS = (("day", 86_400), ("hour", 3600), ("minute", 60))
_MINUTE_S = 60
_MANY = 1000


def readable_size(size_bytes: float) -> str:
    """Format a number of bytes, such as `1.4 GB`; 1 kB is 1024 bytes, as in PostgreSQL."""
    for unit in _UNITS:
        if size_bytes < _KILO:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= _KILO
    return f"{size_bytes:.1f} TB"


def readable_number(value: float | str | None) -> str:
    """Format a number with its significant digits; text is unchanged, None is empty."""
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:,.0f}" if value == round(value) or abs(value) >= _MANY else f"{value:.3g}"


def readable_span(span: timedelta | float) -> str:
    """Format a duration in its largest unit, such as `3 days`, `25 minutes` or `20 ms`."""
    seconds = span.total_seconds() if isinstance(span, timedelta) else span
    sign, seconds = "-" if seconds < 0 else "", abs(seconds)
    if 0 < seconds < 1:
        return f"{sign}{seconds * 1000:.3g} ms"
    if seconds < _MINUTE_S:
        return f"{sign}{seconds:.3g} s"
    counts, rest = list[str](), int(seconds)
    for name, unit in _SPANS:
        n, rest = divmod(rest, unit)
        counts.append(f"{n} {name}{'s' if n > 1 else ''}" if n else "")
    counts.append(f"{rest} s" if rest else "")
    largest = next(at for at, count in enumerate(counts) if count)
    return sign + " ".join(filter(None, counts[largest : largest + 2]))


def listed(names: Iterable[object], most: int, separator: str = ", ") -> str:
    """Join the first names and count the others, such as `a, b and 3 more`."""
    shown = list(map(str, names))
    more = f" and {len(shown) - most:,} more" if len(shown) > most else ""
    return separator.join(shown[:most]) + more


def counted(names: Sequence[object], noun: str, most: int) -> str:
    """Count names and list the first ones, such as `3 tables (a, b and 1 more)`."""
    return f"{len(names):,} {noun}{'' if len(names) == 1 else 's'} ({listed(names, most)})"


def counted_noun(n: int, noun: str) -> str:
    """Return a number with a regular noun, such as `1 partition`, `3 indexes` or `2 tables`."""
    if n == 1:
        return f"1 {noun}"
    return f"{n:,} {noun}{'es' if noun.endswith(('x', 'ch')) else 's'}"
