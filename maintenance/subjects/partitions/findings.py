"""Findings about the partitions of one table."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from maintenance.catalog.history import History
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.formatting import listed, readable_span
from maintenance.names import QualifiedName, quote
from maintenance.partition_set.expected import PeriodRange
from maintenance.periods import period_at
from maintenance.subjects.partitions.growth import insert_rate
from maintenance.subjects.partitions.odd_bounds import odd_bounds
from maintenance.subjects.partitions.state import PartitionState

SHOWN = 5
"""How many objects a message names; further ones are only counted."""


class TakenName(NamedTuple):
    """The name of a missing partition that another relation uses.

    `period` is its key, or `default`.
    """

    child: QualifiedName
    period: str


def findings_of(
    state: PartitionState, names_taken: Iterable[TakenName], history: History
) -> Iterator[Finding]:
    """Yield the findings about the partitions of a table, at most one of each kind."""
    if state.first_uncovered is not None:
        yield _horizon_short(state, state.first_uncovered)
    occupied = state.occupied
    past = [slot for slot in state.missing if slot.upper <= state.position]
    gaps = [slot for slot in past if slot not in occupied]
    if gaps:
        yield _gap(state, gaps)
    yield from odd_bounds(state)
    taken = list(names_taken)
    if taken:
        yield _name_taken(state, taken)
    pending = [str(p.relation) for p in state.table.partitions if p.detach_pending]
    if pending:
        yield _detach_pending(state, pending, history)


def _horizon_short(state: PartitionState, first: tuple[datetime, datetime]) -> Finding:
    codec, now, (lower, upper) = state.codec, state.now, first
    has_default = state.table.default is not None
    impact = "fall into the default partition" if has_default else "fail"
    overdue = lower <= state.position
    impact_at = now if overdue else codec.first_moment(lower)
    when = "now"
    if not overdue:
        when = f"from {_moment(state, lower)}, in {readable_span(impact_at - now)}"
    until = f", until {_moment(state, upper)}" if upper < state.end else ""
    rate = insert_rate(state)
    how_many = f", at the current rate about {rate:,} rows a day" if rate else ""
    calendar, held = codec.calendar, max(lower, state.position)
    return _finding(
        state,
        FindingKind.PARTITION_HORIZON_SHORT,
        Severity.ERROR if overdue and not has_default else Severity.WARN,
        f"{state.ahead} of {state.policy.premake} partitions ahead exist;"
        f" inserts {impact} {when}{until}{how_many}",
        value=state.ahead,
        threshold=state.policy.premake,
        data={
            "impact": impact,
            "has_default": has_default,
            "impact_at": impact_at.isoformat(),
            "first_missing": period_at(held, state.policy.interval, calendar).key,
            "first_missing_key": codec.literal(lower).strip("'"),
            "rows_per_day": rate,
        },
    )


def _moment(state: PartitionState, position: datetime) -> str:
    """Format the moment of a position, with the key for types without time zone."""
    moment = state.codec.first_moment(position)
    seconds = ":%S" if moment.second or moment.microsecond else ""
    text = f"{moment:{f'%Y-%m-%d %H:%M{seconds}'}} UTC"
    if not state.codec.is_wall_clock:
        return text
    return f"{text} ({quote(state.policy.column)} = {state.codec.literal(position)})"


def _gap(state: PartitionState, gaps: Sequence[PeriodRange]) -> Finding:
    keys = _keys(gaps)
    has_default = state.table.default is not None
    impact = "fall into the default partition" if has_default else "are refused"
    ranges = [slot.literals(state.codec) for slot in gaps]
    parts = [f"{lower} to {upper}" for lower, upper in ranges]
    shown = [part if slot.is_bridge else slot.key for slot, part in zip(gaps, parts, strict=True)]
    return _finding(
        state,
        FindingKind.PARTITION_GAP,
        Severity.WARN,
        f"no partition for {listed(shown, SHOWN)}: rows of that period {impact}",
        value=len(gaps),
        threshold=0,
        data={
            "periods": keys,
            "impact_at": state.codec.first_moment(gaps[0].lower).isoformat(),
            "ranges": [[end.strip("'") for end in ends] for ends in ranges],
        },
    )


def _name_taken(state: PartitionState, taken: Sequence[TakenName]) -> Finding:
    children = [str(name.child) for name in taken]
    return _finding(
        state,
        FindingKind.PARTITION_NAME_TAKEN,
        Severity.ERROR,
        f"name conflict: {listed(children, SHOWN)} exists and is not this table's partition for"
        " that period. Rename it, attach it, or change the name template of the policy",
        value=len(children),
        threshold=0,
        data={"names": children, "periods": [name.period for name in taken]},
    )


def _detach_pending(state: PartitionState, children: list[str], history: History) -> Finding:
    origin = history.origin(children[0])
    statement = f"ALTER TABLE {state.name} DETACH PARTITION {children[0]} FINALIZE"
    return _finding(
        state,
        FindingKind.DETACH_PENDING,
        Severity.ERROR,
        f"detach of {listed(children, SHOWN)} was interrupted: its rows are invisible and inserts"
        f" into its range fail. Run {statement}; {origin}",
        value=len(children),
        threshold=0,
        data={
            "partitions": children,
            "origin": origin,
            "last_action": history.last_action(children[0]),
            "statements": [statement],
        },
    )


def _finding(
    state: PartitionState, kind: FindingKind, severity: Severity, text: str, **facts: Any
) -> Finding:
    return Finding(kind, severity, state.name, f"{state.name}: {text}", **facts)


def _keys(slots: Collection[PeriodRange]) -> list[str]:
    return list(dict.fromkeys(slot.period.key for slot in slots))
