"""Reasons to keep a partition although its upper bound says that it has expired.

Each stands for itself: a policy that misreads the table has to get past all of them.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from maintenance.keys import Snowflake
from maintenance.partitioning.coverage import Span, codec_of, read_bound
from maintenance.partitioning.expiry import Detached, Expired, cutoff
from maintenance.partitioning.naming import contradicts, named_period
from maintenance.partitioning.plausibility import Reading, other_readings
from maintenance.retention.case import Case
from maintenance.retention.evidence import Evidence


class Reason(NamedTuple):
    """Why a partition is kept; `is_ordinary` where that is no sign of trouble."""

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
        evidence: what was seen of rows that partitions take.
    """
    return next(_reasons(case, item, spans, evidence), None)


def reason_to_keep_detached(case: Case, item: Detached) -> Reason | None:
    """Return the reason to keep a table that an earlier run detached, if any.

    The policy may have changed since: what it keeps by now is kept.
    """
    limit = cutoff(case.retention, case.policy, case.now)
    try:
        upper = read_bound(item.bound, codec_of(case.policy, case.table))[1]
    except ValueError:  # a mark that somebody edited: only the name is left
        named = named_period(case.policy, item.table.relation.name)
        return _named(named.upper) if named is not None and named.upper > limit else None
    if upper > limit:
        return Reason(f"it holds rows up to {_day(upper)}, which are to be kept")
    return next(_other_readings(case, item.bound, limit), None)


def retires_everything(
    case: Case, free: Sequence[Expired], spans: Sequence[Span], evidence: Evidence, *, begun: bool
) -> bool:
    """Whether a table's first retirement would leave it without partitions, or without rows.

    Args:
        case: the table.
        free: the partitions that may go.
        spans: all of them.
        evidence: what was seen of rows.
        begun: whether earlier runs have detached partitions which are still there.
    """
    table = case.table.relation
    if not free:
        return False
    if table in evidence.rowless and isinstance(case.policy.encoding, Snowflake):
        return True
    is_first = not begun and table not in evidence.retired_before
    return is_first and (len(free) == len(spans) or table in evidence.rowless)


def _reasons(
    case: Case, item: Expired, spans: Sequence[Span], evidence: Evidence
) -> Iterator[Reason]:
    limit = cutoff(case.retention, case.policy, case.now)
    if item.span.upper == spans[-1].upper:
        yield Reason("it is the newest partition", is_ordinary=True)
    yield from _other_readings(case, item.bound, limit)
    named = contradicts(case.policy, item.span)
    if named is not None and named.upper > limit:
        yield _named(named.upper)
    taken = evidence.taken_since(item.span.partition.oid)
    if taken is not None:
        yield Reason(
            f"it took {taken.inserted:,} rows since {taken.at:%Y-%m-%d %H:%M} UTC, so it is in use"
        )


def _other_readings(case: Case, bound: str, limit: datetime) -> Iterator[Reason]:
    for reading in other_readings(case.policy, case.table, bound):
        if reading.upper > limit:
            yield _read_otherwise(reading)


def _read_otherwise(reading: Reading) -> Reason:
    name = reading.encoding.value
    return Reason(f"read as {name} its bounds end on {_day(reading.upper)}, which is to be kept")


def _named(until: datetime) -> Reason:
    return Reason(
        f"its name tells a period up to {_day(until)}, which is to be kept, and its bounds another"
    )


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"
