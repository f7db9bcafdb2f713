"""Takes over the settings of pg_partman, and proves that both would do the same."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from maintenance.catalog.partman import PartmanTable
from maintenance.formatting import listed
from maintenance.inspection.models import Setting
from maintenance.inspection.partman import (
    YEARS,
    Comparison,
    compare_horizon,
    compare_retention,
    read_span,
)
from maintenance.partition_key import KeyCodec
from maintenance.partition_set.bounds import Span
from maintenance.partition_set.expiry import cutoff
from maintenance.periods import CalendarSpan, Interval
from maintenance.policy import PartitionPolicy, RetentionPolicy

SHOWN = 3

MOST_PREMAKE = 1000

_PER_MONTH = {Interval.DAY: 31, Interval.WEEK: 5}
"""How many periods expire between two monthly runs of retention."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """A table of pg_partman with the section that would take its place.

    Attributes:
        found: its configuration.
        policy: the section, without a retention.
        spans: its partitions with bounds, oldest first.
        codec: of its key.
        session_zone: the TimeZone of pg_partman's sessions.
        now: aware.
    """

    found: PartmanTable
    policy: PartitionPolicy
    spans: Sequence[Span]
    codec: KeyCodec
    session_zone: ZoneInfo
    now: datetime


def settings_of(adopted: Adopted) -> Iterator[Setting]:
    """Yield the settings that take the place of pg_partman's: premake and retention."""
    found = adopted.found
    if not 1 <= found.premake <= MOST_PREMAKE:
        evidence = f"not taken over: a policy makes at most {MOST_PREMAKE:,} ahead"
        yield Setting("premake", found.premake, evidence, applies=False)
        yield from _retention(adopted)
        return
    policy = adopted.policy.model_copy(update={"premake": found.premake})
    compared = compare_horizon(policy, found, adopted.session_zone, adopted.now)
    yield Setting("premake", found.premake, _horizon_evidence(found, compared))
    yield from _retention(adopted)


def notes_of(adopted: Adopted) -> Iterator[str]:
    """Yield what the owner should know about the handover."""
    found = adopted.found
    if found.is_automatic:
        yield (
            f"pg_partman maintains it too. When this policy is in use, run: {found.switch_off};"
            f" see docs/from-pg-partman.md."
        )
    else:
        yield f"pg_partman knows it ({found.config}), but its automatic maintenance is off."
    interval = read_span(found.interval)
    if interval != _span(adopted.policy.interval):
        yield f"{found.config} says {found.interval}, but the partitions show the interval below."


def _span(interval: Interval) -> CalendarSpan:
    return CalendarSpan(interval.months, interval.days)


def _horizon_evidence(found: PartmanTable, compared: Comparison) -> str:
    evidence = f"as in {found.config}"
    difference = compared.difference
    if difference is None:
        return f"{evidence}; same horizon at {compared.n_moments:,} moments of {YEARS} years"
    return (
        f"{evidence}; pg_partman's horizon differs at times: at {difference.moment:%Y-%m-%d %H:%M}"
        f" it is {difference.partman}, here {difference.ours}"
    )


def _retention(adopted: Adopted) -> Iterator[Setting]:
    found = adopted.found
    if found.retention is None:
        return
    keep = read_span(found.retention)
    if keep is None:
        text = (
            f"retention {found.retention} of {found.config} is no length in days, months or years"
        )
        yield _no_retention({"keep": found.retention}, text)
        return
    value = {"keep": str(keep), "action": "detach" if found.keeps_table else "drop"}
    if adopted.policy.interval in _PER_MONTH:
        value |= {"max_per_run": _PER_MONTH[adopted.policy.interval]}
    try:
        retention = _read(adopted.policy, value)
    except ValidationError as exc:
        text = "; ".join(error["msg"] for error in exc.errors())
        yield _no_retention(value, f"a policy wants {text}")
        return
    reasons = list(_reasons(adopted, retention))
    if reasons:
        yield _no_retention(value, "; ".join(reasons))
        return
    yield Setting("retention", value, _retention_evidence(adopted, retention))


def _no_retention(value: Mapping[str, Any], reason: str) -> Setting:
    return Setting("retention", dict(value), f"not taken over: {reason}", applies=False)


def _read(policy: PartitionPolicy, value: Mapping[str, Any]) -> RetentionPolicy:
    """Read a retention as part of a section.

    Raises:
        ValidationError: it does not fit the section.
    """
    written = {
        "table": str(policy.table),
        "column": policy.column,
        "interval": policy.interval.value,
        "retention": dict(value),
    }
    retention = PartitionPolicy.model_validate(written).retention
    assert retention is not None, "it was written"
    return retention


def _retention_evidence(adopted: Adopted, retention: RetentionPolicy) -> str:
    n = _compared(adopted, retention).n_moments
    return (
        f"as in {adopted.found.config}; both remove the same partitions at {n:,} moments of"
        f" {YEARS} years. Schedules wait for maintenance approve"
    )


def _reasons(adopted: Adopted, retention: RetentionPolicy) -> Iterator[str]:
    """Yield why the retention is only proposed as a comment."""
    found = adopted.found
    if not found.is_automatic:
        yield "pg_partman's automatic maintenance is off, so nothing is removed today"
    if found.retention_schema is not None:
        yield f"pg_partman moves partitions to schema {found.retention_schema}; this does not"
    if found.keeps_table and not found.keeps_index:
        yield "pg_partman drops the indexes of detached partitions; this does not"
    limit = cutoff(retention, adopted.policy, adopted.now)
    due = [s for s in adopted.spans if adopted.codec.last_moment(s.upper) <= limit]
    if due:
        names = listed((span.partition.relation for span in due), SHOWN)
        yield f"{len(due)} partitions have expired by it and would go at once: {names}"
    difference = _compared(adopted, retention).difference
    if difference is not None:
        yield (
            f"at {difference.moment:%Y-%m-%d %H:%M} UTC pg_partman removes what ends before"
            f" {difference.partman}, this what ends up to {difference.ours}"
        )


def _compared(adopted: Adopted, retention: RetentionPolicy) -> Comparison:
    return compare_retention(
        adopted.policy,
        retention,
        adopted.spans,
        adopted.codec,
        adopted.session_zone,
        adopted.now,
    )
