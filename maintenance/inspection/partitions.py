"""Proposes the sections of partitioned tables from their bounds and the names of partitions."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from maintenance.catalog.models import Column, Partition, Snapshot, Table
from maintenance.catalog.partman import PartmanTable
from maintenance.formatting import listed
from maintenance.inspection.adoption import Adopted, notes_of, settings_of
from maintenance.inspection.key_calendar import (
    UTC_ZONE,
    Dated,
    KeyCalendar,
    Unknown,
    calendar_of,
    newest_period,
    share,
    zone_named,
)
from maintenance.inspection.models import (
    Entry,
    Inventory,
    LeftOut,
    Partitioned,
    Setting,
    Subject,
    UnnamedTable,
)
from maintenance.inspection.name_inference import Name, Template, infer_template
from maintenance.names import QualifiedName, quote
from maintenance.partition_key import FUTURE, Encoding, KeyCodec, KeyEncoding, Snowflake
from maintenance.partition_set.bounds import Coverage, coverage_of
from maintenance.partition_set.expected import current_period
from maintenance.partition_set.plausibility import mismatch
from maintenance.periods import Interval, Period
from maintenance.policy import PartitionPolicy
from maintenance.policy.partitions import collisions

RANGE = "r"
_STRATEGIES = {"l": "LIST", "h": "HASH"}

SHOWN = 3

PREMAKE = 3
"""The default of a policy, which is written only where another value is proposed."""
_PREMAKE_OF_SHORT = {Interval.DAY: 7, Interval.WEEK: 4}
"""Days and weeks ahead that outlast nights without a run."""

ENDED = "ended"
"""The reason why an entry for a table that seems to be out of use is a comment."""

UNREAD = "unread"
"""The reason why there is no entry for a table that could not be read."""

MOST_MISSED = 3
"""How many periods may be missing up to now, for a table that is in use."""

Proposal = Entry | LeftOut


def propose_partitions(inventory: Inventory, now: datetime) -> Iterator[Proposal]:
    """Yield an entry for each partitioned table, or why there is none.

    Args:
        inventory: of the database.
        now: the moment from which horizons count.
    """
    for each in inventory.partitioned:
        proposed = _propose(each, inventory, now)
        if isinstance(proposed, LeftOut) and each.relation in inventory.partman.tables:
            proposed = proposed._replace(text=f"{proposed.text}; it stays with pg_partman")
        yield proposed


def unnamed_tables(inventory: Inventory, now: datetime) -> Iterator[UnnamedTable | LeftOut]:
    """Yield until when rows have a partition of each table that could get an entry, or why none.

    Args:
        inventory: of the tables that no section names.
        now: aware.
    """
    for each in inventory.partitioned:
        read = _read(each, inventory)
        yield read if isinstance(read, LeftOut) else _unnamed(*read, inventory, now)


def _unnamed(
    table: Table, column: Column, inventory: Inventory, now: datetime
) -> UnnamedTable | LeftOut:
    newest = newest_period(_attached(table), column.type, inventory.time_zone, now)
    if isinstance(newest, Unknown):
        return _left_out(table.relation, newest.text, newest.reason)
    partman = inventory.partman.tables.get(table.relation)
    server = zone_named(inventory.time_zone) or UTC_ZONE
    of_key = server if partman is not None else UTC_ZONE
    policy = _policy(
        {
            "table": str(table.relation),
            "column": column.name,
            "encoding": written_encoding(newest.encoding),
            "interval": newest.period.interval.value,
            "time_zone": (of_key if newest.is_wall_clock else newest.zone).key,
        }
    )
    if isinstance(policy, str):
        return _left_out(table.relation, f"no section fits: {policy}", "refused")
    codec = KeyCodec(policy.encoding, column.type, policy.time_zone)
    ends = _end(coverage_of(table.partitions, codec), codec, now)
    return UnnamedTable(
        relation=table.relation,
        interval=policy.interval,
        ends=_unless_automatic(ends, partman),
        has_ended=_has_ended(policy, ends, newest.period, now),
    )


def _propose(found: Partitioned, inventory: Inventory, now: datetime) -> Proposal:
    read = _read(found, inventory)
    if isinstance(read, LeftOut):
        return read
    table, column = read
    calendar = calendar_of(_attached(table), column.type, inventory.time_zone, now)
    if isinstance(calendar, Unknown):
        return _left_out(table.relation, calendar.text, calendar.reason)
    found_names = [Name(each.partition.relation.name, each.period) for each in calendar.periods]
    template = infer_template(table.relation.name, found_names)
    return _entry(_Found(table, column, calendar, template, inventory, now))


def _attached(table: Table) -> list[Partition]:
    return [each for each in table.partitions if not each.detach_pending]


def _read(found: Partitioned, inventory: Inventory) -> tuple[Table, Column] | LeftOut:
    """Return a table with its key, or why a policy can't name it."""
    relation, snapshot = found.relation, inventory.snapshot
    if str(relation) in inventory.undecodable:
        return _left_out(relation, "its name is not valid UTF-8; rename it", "undecodable")
    if found.strategy != RANGE:
        strategy = _STRATEGIES.get(found.strategy, found.strategy)
        text = f"is partitioned by {strategy}; a policy names tables partitioned by RANGE of time"
        return _left_out(relation, text, "strategy")
    table = snapshot.tables.get(relation)
    unread = _unread(snapshot, relation, table)
    if unread is not None or table is None:
        return _left_out(relation, f"could not be read: {unread}", UNREAD)
    column = table.key_columns[0] if len(table.key_columns) == 1 else None
    known = table.column(column) if column is not None else None
    if known is None:
        key = found.key or "several columns or an expression"
        text = f"is partitioned by {key}; a policy needs RANGE of one column"
        return _left_out(relation, text, "key")
    return table, known


class _Found(NamedTuple):
    """All that was found about one table."""

    table: Table
    column: Column
    calendar: KeyCalendar
    template: Template | None
    inventory: Inventory
    now: datetime

    @property
    def partman(self) -> PartmanTable | None:
        """Its configuration of pg_partman, if any."""
        return self.inventory.partman.tables.get(self.table.relation)

    @property
    def server_zone(self) -> ZoneInfo:
        """The TimeZone of the server's sessions; UTC if it is not known here."""
        return zone_named(self.inventory.time_zone) or UTC_ZONE


def valid(entries: Sequence[Entry]) -> list[Entry]:
    """Propose only as comments those entries that a policy would refuse."""
    return [_valid(entry) if entry.applies else entry for entry in entries]


def _valid(entry: Entry) -> Entry:
    refusal = _policy(entry.values)
    if isinstance(refusal, PartitionPolicy):
        return entry
    return replace(entry, obstacle=f"a policy wants {refusal}", reason="refused")


def without_collisions(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Propose only as comments those entries whose names could collide with those of others."""
    applied = [entry for entry in entries if entry.applies]
    policies = [PartitionPolicy.model_validate(entry.values) for entry in applied]
    colliding = {applied[int(place[0])].relation for place, _ in collisions(policies)}
    text = "partitions of two tables could get the same name. Change a template, then remove the #"
    return tuple(
        replace(entry, obstacle=f"{text} signs", reason="name_collision")
        if entry.relation in colliding
        else entry
        for entry in entries
    )


def _unread(snapshot: Snapshot, relation: QualifiedName, table: Table | None) -> str | None:
    if relation in snapshot.failed:
        return snapshot.failed[relation]
    if relation in snapshot.blind:
        return snapshot.blind[relation]
    return "it was dropped meanwhile" if table is None else None


def _left_out(relation: QualifiedName, text: str, reason: str) -> LeftOut:
    return LeftOut(Subject.PARTITIONS, relation, text, reason)


def _entry(found: _Found) -> Proposal:
    table, calendar, template = found.table, found.calendar, found.template
    settings = [
        Setting("table", str(table.relation)),
        Setting("column", found.column.name),
        *_encoding(calendar, found.column.type),
        Setting("interval", calendar.interval.value, _interval_evidence(calendar)),
        *_zone(found),
        *_name(template, len(calendar.periods)),
    ]
    policy = _policy({setting.key: setting.value for setting in settings})
    if isinstance(policy, str):
        return _left_out(table.relation, f"no section fits: {policy}", "refused")
    codec = KeyCodec(policy.encoding, found.column.type, policy.time_zone)
    coverage = coverage_of(table.partitions, codec)
    notes = list(_notes(table, calendar))
    settings += _start(coverage, calendar)
    if found.partman is not None:
        adopted = Adopted(
            found.partman, policy, coverage.spans, codec, found.server_zone, found.now
        )
        settings += settings_of(adopted)
        notes += notes_of(adopted)
    else:
        settings += _premake(policy, calendar, found.now)
    ends = _end(coverage, codec, found.now)
    obstacle, reason = _obstacle(found, policy, ends)
    return Entry(
        subject=Subject.PARTITIONS,
        relation=table.relation,
        summary=_summary(table, found.column.name, calendar),
        settings=tuple(settings),
        notes=tuple(notes),
        obstacle=obstacle,
        reason=reason,
        ends=_unless_automatic(ends, found.partman),
    )


def _unless_automatic(ends: datetime | None, partman: PartmanTable | None) -> datetime | None:
    return None if partman is not None and partman.is_automatic else ends


def _end(coverage: Coverage, codec: KeyCodec, now: datetime) -> datetime | None:
    """Return the moment from which on rows have no partition with bounds."""
    hole = coverage.first_hole(codec.position(now), FUTURE)
    return codec.first_moment(hole[0]) if hole is not None else None


def written_encoding(encoding: KeyEncoding) -> Any:
    """Return an encoding as a policy writes it."""
    if isinstance(encoding, Snowflake):
        epoch = encoding.epoch.isoformat().replace("+00:00", "Z")
        return {"snowflake": {"epoch": epoch, "shift": encoding.shift}}
    return encoding.value


def _encoding(calendar: KeyCalendar, column_type: str) -> Iterator[Setting]:
    if calendar.encoding is not Encoding.NATIVE:
        evidence = f"the key is {column_type}; by no other encoding are the bounds calendar periods"
        yield Setting("encoding", written_encoding(calendar.encoding), evidence)


def _interval_evidence(calendar: KeyCalendar) -> str:
    return f"{share(calendar)} partitions are exactly that"


def _zone(found: _Found) -> Iterator[Setting]:
    calendar, server = found.calendar, found.server_zone
    if calendar.is_wall_clock:
        if server == UTC_ZONE:
            return
        if found.partman is not None:
            evidence = "the key has no zone; pg_partman reads it in the TimeZone of the server"
            yield Setting("time_zone", server.key, evidence)
            return
        text = f"the key has no zone: is it written in UTC or in {server.key}? It decides"
        yield Setting("time_zone", "UTC", f"{text} when a period begins")
        return
    if calendar.zone == UTC_ZONE:
        return
    evidence = "all bounds of those are midnight there"
    if calendar.zone == server:
        evidence += ", and it is the TimeZone of the server"
    elif calendar.same:
        evidence += f"; also in {listed(calendar.same, SHOWN)}"
    yield Setting("time_zone", calendar.zone.key, evidence)


def _name(template: Template | None, n: int) -> Iterator[Setting]:
    if template is None:
        return
    share_of = f"{template.n_matching} of {n}"
    other = f"; {template.other} has another name" if template.other is not None else ""
    yield Setting("name", template.template, f"{share_of} names are of this form{other}")


def _policy(values: Mapping[str, Any]) -> PartitionPolicy | str:
    try:
        return PartitionPolicy.model_validate(dict(values))
    except ValidationError as exc:
        return "; ".join(error["msg"] for error in exc.errors())


def _premake(policy: PartitionPolicy, calendar: KeyCalendar, now: datetime) -> Iterator[Setting]:
    current = current_period(policy, now)
    ahead = sum(each.period > current for each in calendar.periods)
    least = _PREMAKE_OF_SHORT.get(policy.interval, PREMAKE)
    exist = f"{ahead} exist ahead today"
    if least != PREMAKE:
        yield Setting("premake", least, f"outlasts nights without a run; {exist}")
    else:
        more = "; write more here to keep as many" if ahead > PREMAKE else ""
        yield Setting("premake", PREMAKE, f"{exist}{more}")


def _start(coverage: Coverage, calendar: KeyCalendar) -> Iterator[Setting]:
    """Propose the first period behind the newest gap, so that old gaps are left alone."""
    codec_zone = UTC_ZONE if calendar.is_wall_clock else calendar.zone
    periods = [each.period for each in calendar.periods]
    for before, after in reversed(list(itertools.pairwise(periods))):
        end, begin = before.bounds(codec_zone)[1], after.bounds(codec_zone)[0]
        if end < begin and not coverage.covers(end, begin):
            evidence = f"there is a gap before it, from {before.shift(1)}; without this line the"
            yield Setting("start", after.key, f"{evidence} gap is filled")
            return


def _summary(table: Table, column: str, calendar: KeyCalendar) -> str:
    n = len(table.partitions)
    first, last = calendar.periods[0].period, calendar.periods[-1].period
    what = f"RANGE ({quote(column)})"
    return f"{table.relation}: {what}, {n} partitions, {first} to {last}"


def _obstacle(found: _Found, policy: PartitionPolicy, ends: datetime | None) -> tuple[str, str]:
    """Return why an entry is only proposed as a comment, with a code; empty if it applies."""
    table, calendar, now = found.table, found.calendar, found.now
    last = calendar.periods[-1].period
    if _has_ended(policy, ends, last, now):
        text = f"its newest partition is of {last}; all periods from then to now would be created"
        return f"{text}. Remove the # signs if the table is still in use", ENDED
    if calendar.others:
        zones = listed((calendar.zone.key, *calendar.others), 2 * SHOWN)
        text = f"the bounds are midnight in several zones that differ later: {zones}"
        return f"{text}. Write the right one as time_zone, and remove the # signs", "zone_ambiguous"
    if found.template is None:
        newest = calendar.periods[-1].partition.relation.name
        text = f"no template gives the names of its partitions, such as {newest}; new ones would be"
        name = policy.child_name(calendar.periods[-1].period.shift(1))
        return f"{text} named like {name}. Remove the # signs if that is fine", "names"
    unfit = mismatch(policy, table, now)
    return (unfit.text, "mismatch") if unfit is not None else ("", "")


def _has_ended(policy: PartitionPolicy, ends: datetime | None, last: Period, now: datetime) -> bool:
    """Whether a table seems to be out of use: no partition of several periods was made."""
    is_past = ends is not None and ends <= now
    return is_past and last.shift(MOST_MISSED) < current_period(policy, now)


def _notes(table: Table, calendar: KeyCalendar) -> Iterator[str]:
    odd = _odd(table, calendar.periods)
    if odd:
        yield f"Other bounds than that interval: {listed(odd, SHOWN)}. They stay as they are."
    if table.default is not None:
        yield f"The default partition {table.default.relation} stays and is watched for rows."


def _odd(table: Table, dated: Sequence[Dated]) -> list[QualifiedName]:
    regular = {each.partition.oid for each in dated}
    return [
        each.relation
        for each in table.partitions
        if each.oid not in regular and not each.is_default and each.bound is not None
    ]
