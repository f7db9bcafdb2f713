"""Findings about the rows in a default partition."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

from maintenance.catalog.history import History, RowCount
from maintenance.catalog.models import Bucket, Obstacle, Unseen
from maintenance.engine.findings import (
    UNKNOWN,
    Finding,
    FindingKind,
    Reading,
    Severity,
    unknown_without,
)
from maintenance.formatting import listed, readable_span
from maintenance.names import quote
from maintenance.subjects.partitions.default_remedy import Blocked, Drain, Remedy, Swap
from maintenance.subjects.partitions.default_rows import FEW_ROWS, DefaultContents
from maintenance.subjects.partitions.growth import Rate, copy_time, growth
from maintenance.subjects.partitions.state import PartitionState

SHOWN = 5


def default_finding(state: PartitionState, remedy: Remedy, history: History) -> Iterator[Finding]:
    """Yield a finding if a default partition holds rows, with their growth."""
    default = state.table.default
    if default is None or not state.table.default_has_rows:
        return
    name, holding = state.name, state.holding
    text = f"its default partition {default.relation} holds rows"
    if holding is not None:
        text = f"its default partition {default.relation} holds {_count(holding)}"
    data: dict[str, Any] = {"default": str(default.relation)}
    if holding is not None:
        rate = _rate(state, holding, history)
        text += _growth_text(holding, rate, remedy)
        data |= _data(holding) | _impact(state, holding, rate)
    if isinstance(remedy, Blocked):
        data |= {"reason": remedy.reason, "by": [str(each) for each in remedy.by]}
    yield Finding(
        FindingKind.DEFAULT_PARTITION_ROWS,
        Severity.WARN,
        name,
        f"{name}: {text}{_remedy_text(state, remedy)}",
        value=holding.n_rows if holding else None,
        threshold=0,
        data=data,
    )


def _count(holding: DefaultContents) -> str:
    parts = [f"{held.n_rows:,} of {held.slot.key}" for held in holding.held[:SHOWN]]
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


def _remedy_text(state: PartitionState, remedy: Remedy) -> str:
    match remedy:
        case Swap():
            return "; it becomes the partition of their period, and no row is moved"
        case Drain(slots):
            keys = [slot.key for slot in slots]
            return f"; rows of {listed(keys, SHOWN)} are copied into new partitions"
        case Blocked(text=text):
            return f"; cannot be moved automatically: {text}"
        case None:
            window = state.window
            span = f"{window[0].period} to {window[-1].period}"
            todo = "correct or delete them, or set an earlier start"
            return f"; they belong to no missing period from {span}: {todo}"


def _data(holding: DefaultContents) -> dict[str, Any]:
    return {
        "is_exact": holding.is_exact,
        "periods": {held.slot.key: held.n_rows for held in holding.held},
        "before": _bucket(holding.below),
        "after": _bucket(holding.above),
        "without_key": holding.n_null,
        "since": holding.oldest.isoformat() if holding.oldest else None,
    }


def _bucket(bucket: Bucket | None) -> dict[str, Any] | None:
    if bucket is None:
        return None
    return {"rows": bucket.n_rows, "first": bucket.first, "last": bucket.last}


def _rate(state: PartitionState, holding: DefaultContents, history: History) -> Rate | None:
    """Measure the growth since earlier runs, else since the current period began."""
    rate = growth(history.default_rows.get(state.name, ()), holding.n_rows, state.now)
    if rate is not None:
        return rate
    for held in holding.held:
        if state.holds_now(held.slot):
            since = state.codec.first_moment(held.slot.lower)
            return growth([RowCount(since, 0)], held.n_rows, state.now)
    return None


def _growth_text(holding: DefaultContents, rate: Rate | None, remedy: Remedy) -> str:
    """Describe the growth, and the time to copy the rows now and in a week."""
    if rate is None or rate.rows_per_day <= 0:
        return ""
    text = f"; {rate.rows_per_day:,} more a day since {rate.since:%Y-%m-%d}"
    if isinstance(remedy, Swap):
        return text
    counts = (holding.n_rows, _in_a_week(holding, rate))
    now, later = (readable_span(copy_time(n_rows)) for n_rows in counts)
    return f"{text}; copying them takes about {now} now, {later} in a week"


def _impact(state: PartitionState, holding: DefaultContents, rate: Rate | None) -> dict[str, Any]:
    if rate is None:
        return {}
    facts: dict[str, Any] = {
        "rows_per_day": rate.rows_per_day,
        "rate_since": rate.since.isoformat(),
        "copy_s": copy_time(holding.n_rows).total_seconds(),
        "copy_in_a_week_s": copy_time(_in_a_week(holding, rate)).total_seconds(),
    }
    if FEW_ROWS - holding.n_rows > 0 and rate.rows_per_day > 0:
        days = (FEW_ROWS - holding.n_rows) / rate.rows_per_day
        with suppress(OverflowError):
            facts["small_until"] = (state.now + timedelta(days=days)).isoformat()
    return facts


def _in_a_week(holding: DefaultContents, rate: Rate) -> int:
    return max(0, holding.n_rows + 7 * rate.rows_per_day)


TOLD_ALONG = frozenset({FindingKind.PARTITION_HORIZON_SHORT, FindingKind.PARTITION_GAP})
"""Findings that follow from a default partition that can't be read."""


def unseen_finding(state: PartitionState, role: str) -> Iterator[Finding]:
    """Yield a finding if the rows of a default partition can't be read, with the consequence."""
    default, unseen = state.table.default, state.table.default_unseen
    if default is None or unseen is None:
        return
    name, relation = state.name, str(default.relation)
    remedies = _remedies(unseen, relation, role)
    if unseen.is_empty:
        impact = "it is empty now, but future rows in it will not be detected"
    else:
        impact = (
            "its rows may belong to periods without a partition, so no partition is created for"
            f" this table; {state.ahead} of {state.policy.premake} partitions ahead exist"
        )
    unknown = dict(unknown_without(Reading.DEFAULT_ROWS, [name]))
    if not unseen.is_empty:
        unknown |= unknown_without(Reading.DEFAULT_ROW_PERIODS, [name])
    todo = f"; run {' or '.join(remedies)}" if remedies else ""
    yield Finding(
        FindingKind.MONITOR_BLIND,
        Severity.WARN if unseen.is_empty else Severity.ERROR,
        name,
        f"{name}: {_fact(unseen, relation, role)}; {impact}{todo}",
        data={
            "default": relation,
            "obstacle": unseen.obstacle.value,
            "missing": [slot.period.key for slot in state.missing],
            "remedies": remedies,
            UNKNOWN: unknown,
        },
    )


def _fact(unseen: Unseen, default: str, role: str) -> str:
    match unseen.obstacle:
        case Obstacle.ROW_SECURITY:
            fact = f"row security hides the rows of its default partition {default}"
            return f"{fact} from role {quote(role)}"
        case Obstacle.PRIVILEGE:
            fact = f"role {quote(role)} has no SELECT privilege"
            return f"{fact} on its default partition {default}"
        case Obstacle.FOREIGN if unseen.detail != default:
            foreign = f"the foreign table {unseen.detail}, which is never read"
            return f"its default partition {default} contains {foreign}"
        case Obstacle.FOREIGN:
            return f"its default partition {default} is a foreign table, which is never read"
        case Obstacle.ERROR:
            return f"its default partition {default} can't be read: {unseen.detail}"


def _remedies(unseen: Unseen, default: str, role: str) -> list[str]:
    match unseen.obstacle:
        case Obstacle.ROW_SECURITY:
            return [f"ALTER ROLE {quote(role)} BYPASSRLS"]
        case Obstacle.PRIVILEGE:
            return [f"GRANT SELECT ON {default} TO {quote(role)}"]
        case Obstacle.FOREIGN:
            return [f"replace {unseen.detail} with a local table"]
        case Obstacle.ERROR:
            return []
