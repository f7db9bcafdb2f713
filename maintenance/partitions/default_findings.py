"""What the owner should know about the rows in a default partition."""

from collections.abc import Iterator
from typing import Any

from maintenance.catalog.models import Bucket
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.partitions.holding import Holding
from maintenance.partitions.outlook import Outlook
from maintenance.partitions.remedy import Drain, Remedy, Stuck, Swap

SHOWN = 5
_DAY_S = 86_400


def default_finding(outlook: Outlook, remedy: Remedy) -> Iterator[Finding]:
    """Yield the finding that a default partition holds rows, if it does."""
    default = outlook.table.default
    if default is None or not outlook.table.default_has_rows:
        return
    name, holding = outlook.name, outlook.holding
    text = f"its default partition {default.relation} holds rows"
    if holding is not None:
        text = f"its default partition {default.relation} holds {_count(holding)}"
    yield Finding(
        FindingKind.DEFAULT_PARTITION_ROWS,
        Severity.WARN,
        name,
        f"{name}: {text}{_outlook_text(outlook, remedy)}",
        value=holding.n_rows if holding else None,
        threshold=0,
        data={"default": str(default.relation), **(_data(outlook, holding) if holding else {})},
    )


def _count(holding: Holding) -> str:
    parts = [f"{held.n_rows:,} of {held.slot.period}" for held in holding.held[:SHOWN]]
    if len(holding.held) > SHOWN:
        others = sum(held.n_rows for held in holding.held[SHOWN:])
        parts.append(f"{others:,} of {len(holding.held) - SHOWN} more periods")
    if holding.below is not None:
        parts.append(f"{holding.below.n_rows:,} before all periods, from {holding.below.first}")
    if holding.above is not None:
        parts.append(f"{holding.above.n_rows:,} after the horizon, up to {holding.above.last}")
    if holding.n_null:
        parts.append(f"{holding.n_null:,} without a key")
    about = "" if holding.is_exact else "about "
    return f"{about}{holding.n_rows:,} rows: {', '.join(parts)}"


def _outlook_text(outlook: Outlook, remedy: Remedy) -> str:
    match remedy:
        case Swap():
            return "; it becomes the partition of their time in place, no row is moved"
        case Drain(slots):
            keys = [slot.period.key for slot in slots]
            return f"; {_listed(keys)} are copied into partitions of their own"
        case Stuck(reason):
            return f"; they stay: {reason}"
        case None:
            window = outlook.window
            span = f"{window[0].period} to {window[-1].period}"
            todo = "correct or delete them, or set an earlier start"
            return f"; no missing period from {span} takes them: {todo}"


def _data(outlook: Outlook, holding: Holding) -> dict[str, Any]:
    data: dict[str, Any] = {
        "is_exact": holding.is_exact,
        "periods": {held.slot.period.key: held.n_rows for held in holding.held},
        "before": _bucket(holding.below),
        "after": _bucket(holding.above),
        "without_key": holding.n_null,
        "since": holding.oldest.isoformat() if holding.oldest else None,
    }
    rate = _rows_per_day(outlook, holding)
    return data if rate is None else {**data, "rows_per_day": rate}


def _bucket(bucket: Bucket | None) -> dict[str, Any] | None:
    if bucket is None:
        return None
    return {"rows": bucket.n_rows, "first": bucket.first, "last": bucket.last}


def _rows_per_day(outlook: Outlook, holding: Holding) -> int | None:
    """Return at which rate rows of the current period have fallen in since it began."""
    for held in holding.held:
        if held.slot.period == outlook.current:
            elapsed_s = (outlook.now - held.slot.lower).total_seconds()
            return round(held.n_rows * _DAY_S / max(elapsed_s, 1.0))
    return None


def _listed(items: list[str]) -> str:
    shown = ", ".join(items[:SHOWN])
    return shown if len(items) <= SHOWN else f"{shown} and {len(items) - SHOWN} more"
