"""Sizes as people read them."""

PAGE_BYTES = 8192
"""A block of a table, in every build of PostgreSQL one is likely to meet."""

_UNITS = ("B", "kB", "MB", "GB")
_KILO = 1024


def readable_size(size_bytes: float) -> str:
    """Write a number of bytes such as `1.4 GB`; 1 kB is 1024 bytes, as the server has it."""
    for unit in _UNITS:
        if size_bytes < _KILO:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= _KILO
    return f"{size_bytes:.1f} TB"
