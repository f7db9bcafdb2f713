"""Findings about objects that a policy does not name, or that another program maintains too."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from maintenance.catalog.models import Snapshot, Table
from maintenance.catalog.partman import Partman
from maintenance.engine.findings import CAPACITY, PARTITIONS, Finding, FindingKind, Severity
from maintenance.formatting import counted_noun, listed
from maintenance.inspection.conversions import CONVERSION
from maintenance.inspection.key_calendar import Unknown, calendar_of, share, zone_named
from maintenance.inspection.models import Entry, Subject, UnnamedTable
from maintenance.inspection.name_inference import NEWEST, Name, infer_template
from maintenance.inspection.policy_text import scalar
from maintenance.names import QualifiedName, quote
from maintenance.partition_key import PAST, types_of
from maintenance.partition_set.bounds import codec_of, coverage_of
from maintenance.periods import Interval, period_at
from maintenance.policy import PartitionPolicy, Policy

SOON = timedelta(days=31)
"""How long ahead the end of a table's partitions is said."""

SHOWN = 5


def not_in_policy(
    database: str, tables: Sequence[UnnamedTable], further: Sequence[Entry], now: datetime
) -> Finding | None:
    """Return the finding on objects that no section of a policy names; None without any.

    Args:
        database: its name in the policy.
        tables: the partitioned tables that a section could name.
        further: the sections that could be proposed for views, and for tables to convert.
        now: aware.
    """
    partitioned = [table for table in tables if not table.has_ended]
    views = [entry for entry in further if entry.subject is Subject.MATVIEWS]
    convertible = [entry for entry in further if entry.reason == CONVERSION]
    counts = [
        counted_noun(len(some), noun)
        for some, noun in (
            (partitioned, "partitioned table"),
            (views, "materialized view"),
            (convertible, "table to convert"),
        )
        if some
    ]
    if not counts:
        return None
    ends = {str(t.relation): t.ends for t in partitioned if t.ends is not None}
    soon = {name: end for name, end in ends.items() if end < now + SOON}
    return Finding(
        FindingKind.NOT_IN_POLICY,
        Severity.INFO,
        database,
        f"{database}: no section names {', '.join(counts)}{_ending(soon)}."
        " Run maintenance init, which proposes their sections",
        value=len(partitioned) + len(views) + len(convertible),
        threshold=0,
        data={
            "partitioned": _names(partitioned),
            "matviews": _names(views),
            "convertible": _names(convertible),
            "ends": {name: end.isoformat() for name, end in soon.items()},
        },
        subject=CAPACITY,
    )


def partitions_ending(tables: Sequence[UnnamedTable], now: datetime) -> Iterator[Finding]:
    """Yield a finding for each table whose newest partition ends soon, if no section names it.

    Tables of days get theirs a day ahead, others a week: who makes them later is late.

    Args:
        tables: the partitioned tables that a section could name.
        now: aware.
    """
    for table in tables:
        if table.ends is None or table.has_ended:
            continue
        ahead = timedelta(days=1 if table.interval is Interval.DAY else 7)
        left = table.ends - now
        if left > ahead:
            continue
        name, days = str(table.relation), left / timedelta(days=1)
        when = "have no partition since" if days <= 0 else "have no partition from"
        yield Finding(
            FindingKind.PARTITIONS_ENDING,
            Severity.ERROR if left < ahead / 7 else Severity.WARN,
            name,
            f"{name}: rows {when} {table.ends:%Y-%m-%d %H:%M} UTC, and no section of the policy"
            " names the table: inserts fail. Create the next partition, or run maintenance init,"
            " which proposes a section",
            value=round(days, 2),
            threshold=ahead.days,
            data={"ends": table.ends.isoformat()},
            subject=CAPACITY,
        )


def _ending(soon: Mapping[str, datetime]) -> str:
    if not soon:
        return ""
    told = (f"of {name} at {end:%Y-%m-%d %H:%M} UTC" for name, end in sorted(soon.items()))
    return f"; partitions end soon: {listed(told, SHOWN)}"


def _names(found: Sequence[Entry | UnnamedTable]) -> list[str]:
    return [str(each.relation) for each in found]


def names_differ(policy: Policy, snapshot: Snapshot) -> Iterator[Finding]:
    """Yield a finding for each table whose newest partitions are named by another template.

    Args:
        policy: of the database.
        snapshot: with its tables.
    """
    for section in policy.partitions:
        table = snapshot.tables.get(section.table)
        names = _regular_names(section, table) if table is not None else []
        newest = names[-NEWEST:]
        if not newest or any(section.child_name(each.period) == each.name for each in newest):
            continue
        inferred = infer_template(section.table.name, names)
        template = inferred.template if inferred is not None else None
        name, last = str(section.table), newest[-1]
        advice = (
            f"write name: {scalar(template)} in the policy"
            if template is not None
            else "no template of a policy gives such names"
        )
        yield Finding(
            FindingKind.PARTITION_NAMES_DIFFER,
            Severity.WARN,
            name,
            f"{name}: the partition of {last.period} is {quote(last.name)}, but new ones would be"
            f" named like {quote(section.child_name(last.period))}: {advice}",
            data={"template": template, "newest": last.name},
            subject=PARTITIONS,
        )


def zones_differ(policy: Policy, snapshot: Snapshot, now: datetime) -> Iterator[Finding]:
    """Yield a finding for each table whose bounds are midnights of another zone than the policy's.

    Args:
        policy: of the database.
        snapshot: with its tables.
        now: aware.
    """
    for section in policy.partitions:
        table = snapshot.tables.get(section.table)
        column = table.column(section.column) if table is not None else None
        if table is None or column is None or not table.is_partitioned:
            continue
        zone = section.time_zone.key
        attached = [each for each in table.partitions if not each.detach_pending]
        calendar = calendar_of(attached, column.type, zone, now)
        if isinstance(calendar, Unknown) or calendar.is_wall_clock:
            continue
        if calendar.zone == zone_named(zone) or zone in calendar.same:
            continue
        name, found = str(section.table), calendar.zone.key
        yield Finding(
            FindingKind.PARTITION_TIME_ZONE_DRIFT,
            Severity.WARN,
            name,
            f"{name}: {share(calendar)} partitions begin and end at midnight in {found}, not in"
            f" {zone}, so new ones would not fit to them: write time_zone: {found} in the policy",
            data={"time_zone": found},
            subject=PARTITIONS,
        )


def _regular_names(section: PartitionPolicy, table: Table) -> list[Name]:
    """Return the names of the partitions that are exactly one period, oldest first."""
    column = table.column(section.column)
    if not table.is_partitioned or column is None or column.type not in types_of(section.encoding):
        return []
    codec = codec_of(section, table)
    try:
        spans = coverage_of(table.partitions, codec).spans
    except ValueError:
        return []
    dated = (
        (period_at(span.lower, section.interval, codec.calendar), span)
        for span in spans
        if span.lower != PAST
    )
    return [
        Name(span.partition.relation.name, period)
        for period, span in dated
        if period.bounds(codec.calendar) == (span.lower, span.upper)
    ]


def partman_findings(policy: Policy, partman: Partman, role: str) -> Iterator[Finding]:
    """Yield a finding for each table of a policy that pg_partman maintains by itself.

    Args:
        policy: of the database.
        partman: what pg_partman maintains there.
        role: of our session.
    """
    for section in policy.partitions:
        found = partman.tables.get(section.table)
        if found is None or not found.is_automatic:
            continue
        removes = ""
        if found.retention is not None:
            how = "detaches" if found.keeps_table else "drops"
            removes = f", and it {how} partitions after {found.retention} without an archive"
        name = str(section.table)
        yield Finding(
            FindingKind.PARTMAN_ACTIVE,
            Severity.WARN,
            name,
            f"{name}: pg_partman is set to maintain it too{removes}. Run {found.switch_off}",
            data={
                "config": str(found.config),
                "retention": found.retention,
                "statements": [found.switch_off],
            },
            subject=PARTITIONS,
        )
    if policy.partitions:
        yield from _unreadable(policy, partman, role)


def _unreadable(policy: Policy, partman: Partman, role: str) -> Iterator[Finding]:
    name = policy.database.name
    for config in partman.unreadable:
        grants = grants_to_read(config, role)
        yield Finding(
            FindingKind.PARTMAN_ACTIVE,
            Severity.INFO,
            f"{name}/{config}",
            f"{name}: {config} can't be read, so it is unknown whether pg_partman maintains tables"
            f" of this policy too: run {'; '.join(grants)}",
            data={"grants": grants},
            subject=PARTITIONS,
        )


def grants_to_read(relation: QualifiedName, role: str) -> list[str]:
    """Return the statements by which a role may read a table."""
    return [
        f"GRANT USAGE ON SCHEMA {quote(relation.schema)} TO {quote(role)}",
        f"GRANT SELECT ON {relation} TO {quote(role)}",
    ]
