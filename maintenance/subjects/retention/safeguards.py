"""Safeguards: reasons to keep a partition that has expired by its upper bound.

Each reason is enough on its own: a policy that misreads the bounds must pass all of them.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from maintenance.partition_key import Encoding, Snowflake
from maintenance.partition_set.bounds import Span, codec_of, read_bound
from maintenance.partition_set.expiry import Detached, Expired, cutoff
from maintenance.partition_set.names import contradicts, named_period
from maintenance.partition_set.plausibility import (
    UNLIKELY_PAST,
    Reading,
    begins_a_period,
    other_readings,
)
from maintenance.subjects.retention.evidence import Evidence
from maintenance.subjects.retention.models import Case


class Reason(NamedTuple):
    """Why a partition is kept; `is_ordinary` if this is normal operation."""

    text: str
    is_ordinary: bool = False


def reason_to_keep(
    case: Case, item: Expired, spans: Sequence[Span], evidence: Evidence
) -> Reason | None:
    """Return the first reason to keep an expired partition, if any.

    Args:
        case: the table.
        item: the partition.
        spans: all partitions of the table, in order of time.
        evidence: the observed inserts.
    """
    return next(_reasons(case, item, spans, evidence), None)


def reason_to_keep_detached(case: Case, item: Detached) -> Reason | None:
    """Return the reason to keep a table that an earlier run detached, if any.

    The policy may have changed since then: a period that it keeps now is not dropped.
    """
    limit = cutoff(case.retention, case.policy, case.now)
    try:
        codec = codec_of(case.policy, case.table)
        upper = codec.last_moment(read_bound(item.bound, codec)[1])
    except ValueError:  # the mark was edited: only the name is left
        named = named_period(case.policy, item.table.relation.name)
        return _named(named.upper) if named is not None and named.upper > limit else None
    if upper > limit:
        return Reason(f"it holds rows up to {_day(upper)}, and the policy keeps them")
    return next(_other_readings(case, item.bound, limit), None)


def empties_table(
    case: Case, free: Sequence[Expired], spans: Sequence[Span], evidence: Evidence, *, begun: bool
) -> bool:
    """Whether a table's first retirement would leave it without partitions, or without rows.

    For a native key, whose bounds can't be misread, this asks whether only partitions created by
    our own runs would be left.

    Args:
        case: the table.
        free: the partitions that may go.
        spans: all of them.
        evidence: which tables have no rows, and which were retired before.
        begun: whether partitions that earlier runs detached still exist.
    """
    table = case.table.relation
    if not free:
        return False
    if table in evidence.rowless and isinstance(case.policy.encoding, Snowflake):
        return True
    is_first = not begun and table not in evidence.retired_before
    doubted = evidence.renewed if _is_native(case) else evidence.rowless
    return is_first and (len(free) == len(spans) or table in doubted)


def can_be_undone(case: Case, free: Sequence[Expired], spans: Sequence[Span]) -> bool:
    """Whether a retirement that empties a table is carried out all the same.

    It is if the bounds can't be misread, partitions are left, and archives can be restored.
    """
    return _is_native(case) and case.archives and len(free) < len(spans)


def _is_native(case: Case) -> bool:
    return case.policy.encoding is Encoding.NATIVE


def _reasons(
    case: Case, item: Expired, spans: Sequence[Span], evidence: Evidence
) -> Iterator[Reason]:
    limit = cutoff(case.retention, case.policy, case.now)
    if item.span.upper == spans[-1].upper:
        yield Reason("it is the newest partition", is_ordinary=True)
    if not _is_native(case) and item.span.upper < UNLIKELY_PAST:
        yield Reason("its bounds end before 1971, as if the policy had a wrong unit")
    yield from _off_the_calendar(case, item)
    yield from _other_readings(case, item.bound, limit)
    named = contradicts(case.policy, item.span)
    if named is not None and named.upper > limit:
        yield _named(named.upper)
    taken = evidence.taken(item.span.partition.oid, case.now)
    if taken is not None:
        yield Reason(f"{taken.n_rows:,} rows were inserted since the last run, so it is in use")


def _off_the_calendar(case: Case, item: Expired) -> Iterator[Reason]:
    """A wrong epoch shifts all moments alike: bounds keep their width but leave the calendar."""
    interval = case.policy.interval
    if isinstance(case.policy.encoding, Snowflake) and not begins_a_period(
        item.span.upper, interval
    ):
        yield Reason(
            f"its bounds end within a period of {interval}, as if the policy had a wrong epoch"
        )


def _other_readings(case: Case, bound: str, limit: datetime) -> Iterator[Reason]:
    for reading in other_readings(case.policy, case.table, bound):
        if reading.upper > limit:
            yield _read_otherwise(reading)


def _read_otherwise(reading: Reading) -> Reason:
    name = reading.encoding.value
    return Reason(
        f"read as {name} its bounds end on {_day(reading.upper)}, and the policy keeps that"
    )


def _named(until: datetime) -> Reason:
    return Reason(
        f"by its name it holds a period up to {_day(until)}, which the policy keeps, but its bounds"
        " differ"
    )


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"
