"""Numbers of findings as people read them: each kind has its unit."""

import re
from collections.abc import Callable, Mapping

from maintenance.engine.findings import FindingKind
from maintenance.formatting import readable_size, readable_span, visible

_TAG = re.compile(r"<(?=[^\s=])")
_MENTION = re.compile(r"@(?=\w)")
_LINK = re.compile(r"\](?=[(\[])")


def harmless(text: str) -> str:
    """Return text in one line without a tag, a mention or a link that a chat would follow."""
    text = _TAG.sub("\u2039", visible(text))
    return _LINK.sub("] ", _MENTION.sub("@\u200b", text))


def clipped(text: str, most: int) -> str:
    """Return at most so many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


_LEAST_BYTES = 1024
"""A share is never so large, and a limit in bytes never so small."""

Number = float | str | None


def readable(kind: FindingKind, value: Number, threshold: Number) -> str:
    """Write a value against its threshold, such as `93 % against 90 %`; empty without a value."""
    if value is None:
        return ""
    unit = _unit(kind, threshold)
    shown = _shown(value, unit)
    return shown if threshold is None else f"{shown} against {_shown(threshold, unit)}"


def _unit(kind: FindingKind, threshold: Number) -> Callable[[float], str]:
    in_bytes = isinstance(threshold, float | int) and threshold >= _LEAST_BYTES
    if kind is FindingKind.DISK_GROWTH:
        return readable_size if in_bytes else _share
    return _UNITS.get(kind, _plain)


def _shown(number: float | str, unit: Callable[[float], str]) -> str:
    return number if isinstance(number, str) else unit(number)


def _share(number: float) -> str:
    return f"{number * 100:.3g} %"


def _milliseconds(number: float) -> str:
    return f"{number:,.0f} ms"


def _times(number: float) -> str:
    return f"{number:.3g} times"


def _days(number: float) -> str:
    return f"{number:.3g} days"


def _plain(number: float) -> str:
    return f"{number:,.6g}" if abs(number) < _MILLION else f"{number:,.0f}"


_MILLION = 1_000_000
_UNITS: Mapping[FindingKind, Callable[[float], str]] = {
    FindingKind.BUFFER_HIT_RATE_LOW: _share,
    FindingKind.CONNECTIONS_SATURATED: _share,
    FindingKind.INDEX_BLOAT: _share,
    FindingKind.REDIS_HIT_RATE_LOW: _share,
    FindingKind.TABLE_BLOAT: _share,
    FindingKind.WRAPAROUND_RISK: _share,
    FindingKind.CLOCK_SKEW: readable_span,
    FindingKind.IDLE_IN_TRANSACTION: readable_span,
    FindingKind.LONG_TRANSACTION: readable_span,
    FindingKind.MATVIEW_STALE: readable_span,
    FindingKind.RUN_OVERDUE: readable_span,
    FindingKind.INDEX_EVIDENCE_INSUFFICIENT: _days,
    FindingKind.QUERY_REGRESSED: _times,
    FindingKind.QUERY_SLOW: _milliseconds,
    FindingKind.REPLICATION_LAG: readable_size,
}
