"""Sizes, numbers and spans of time as people read them."""

from datetime import timedelta

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
