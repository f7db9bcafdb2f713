"""Readable numbers of findings: each kind has its unit."""

import re
from collections.abc import Callable, Mapping

from maintenance.engine.findings import FindingKind, Unit
from maintenance.formatting import readable_size, readable_span, visible

_TAG = re.compile(r"<(?=[^\s=])")
_MENTION = re.compile(r"@(?=\w)")
_LINK = re.compile(r"\](?=[(\[])")


def harmless(text: str) -> str:
    """Return text on one line without tags, mentions or links that a chat would follow."""
    text = _TAG.sub("\u2039", visible(text))
    return _LINK.sub("] ", _MENTION.sub("@\u200b", text))


def clipped(text: str, most: int) -> str:
    """Return text cut to a maximum number of characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


_LEAST_BYTES = 1024
"""A share is never this large, and a limit in bytes never this small."""

Number = float | str | None


def readable(kind: FindingKind, value: Number, threshold: Number) -> str:
    """Format a value and its threshold, such as `93 %, threshold 90 %`; empty without a value."""
    if value is None:
        return ""
    unit = _unit(kind, threshold)
    shown = _shown(value, unit)
    return shown if threshold is None else f"{shown}, threshold {_shown(threshold, unit)}"


def _unit(kind: FindingKind, threshold: Number) -> Callable[[float], str]:
    in_bytes = isinstance(threshold, float | int) and threshold >= _LEAST_BYTES
    if kind.spec.unit is Unit.SHARE_OR_BYTES:
        return readable_size if in_bytes else _share
    return _FORMATS[kind.spec.unit]


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
_FORMATS: Mapping[Unit, Callable[[float], str]] = {
    Unit.NUMBER: _plain,
    Unit.SHARE: _share,
    Unit.BYTES: readable_size,
    Unit.MILLISECONDS: _milliseconds,
    Unit.SECONDS: readable_span,
    Unit.DAYS: _days,
    Unit.TIMES: _times,
}
