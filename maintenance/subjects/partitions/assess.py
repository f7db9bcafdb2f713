"""Computes the state of every partitioned table of a policy, once per observation."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from maintenance.catalog.models import Common, Detail, Partition, Snapshot
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.scope import Request
from maintenance.names import QualifiedName
from maintenance.partition_set.validate import validate
from maintenance.policy import PartitionPolicy, Policy
from maintenance.subjects.partitions.default_names import default_name, interim_name
from maintenance.subjects.partitions.default_rows import buckets_of
from maintenance.subjects.partitions.released_names import as_released
from maintenance.subjects.partitions.shared_objects import asked_about
from maintenance.subjects.partitions.state import PartitionState, state_of
from maintenance.subjects.partitions.template import like_default


@dataclass(frozen=True, slots=True)
class PartitionsObservation:
    """The observation from which partitions are planned.

    Attributes:
        snapshot: of the catalog, with the details that the states requested.
        states: of each requested table, in the order of the policy; a finding if the table fails
            validation.
    """

    snapshot: Snapshot
    states: Mapping[QualifiedName, PartitionState | Finding]


def assess(
    policy: Policy,
    snapshot: Snapshot,
    now: datetime,
    request: Request,
    converted: Mapping[str, Finding] | None = None,
) -> PartitionsObservation:
    """Compute the state of every requested table of a policy from a snapshot.

    Args:
        policy: of the database.
        snapshot: with all its tables.
        now: the moment from which horizons count.
        request: limits the tables.
        converted: the findings of `conversion` on unpartitioned tables, by table.
    """
    states = {
        section.table: _state(section, snapshot, now, request.periods)
        for section in policy.partitions
        if request.includes(section.table)
    }
    told = converted or {}
    for table, state in states.items():
        if isinstance(state, Finding) and state.kind is FindingKind.NOT_PARTITIONED:
            states[table] = told.get(state.object, state)
    return PartitionsObservation(snapshot, states)


def detailed(
    observation: PartitionsObservation,
    snapshot: Snapshot,
    policy: Policy,
    now: datetime,
    request: Request,
) -> PartitionsObservation:
    """Assess again the tables for which a snapshot has new details."""
    before = observation.snapshot
    changed = {
        name
        for name, state in observation.states.items()
        if snapshot.tables.get(name) is not before.tables.get(name)
        or name in (snapshot.blind.keys() | snapshot.failed.keys())
        or (isinstance(state, PartitionState) and state.place in snapshot.places)
    }
    if not changed:
        return PartitionsObservation(snapshot, observation.states)
    sections = (section for section in policy.partitions if section.table in changed)
    again = {s.table: _state(s, snapshot, now, request.periods) for s in sections}
    return PartitionsObservation(snapshot, {**observation.states, **again})


def details_of(states: Iterable[PartitionState | Finding]) -> list[Detail]:
    """Return the details to read: taken names, and rows of default partitions."""
    return [
        detail
        for state in states
        if isinstance(state, PartitionState)
        for detail in _details(state)
    ]


def interim_names(default: Partition) -> Iterable[QualifiedName]:
    """Return the names that both its tables and the next ones have while it is being replaced."""
    yield from like_default(default, interim_name(default.relation)).names.values()
    yield from as_released(default).names


def lacks_default(state: PartitionState) -> bool:
    """Whether the policy wants a default partition and there is none."""
    return state.policy.default == "ensure" and state.table.default is None


def _state(
    section: PartitionPolicy, snapshot: Snapshot, now: datetime, asked: Sequence[str]
) -> PartitionState | Finding:
    found = validate(section, snapshot, now)
    if found is not None:
        return found
    table = snapshot.tables[section.table]
    try:
        state = state_of(section, table, now, asked)
    except ValueError as exc:
        name = str(table.relation)
        kind = FindingKind.PARTITION_KEY_MISMATCH
        return Finding(kind, Severity.ERROR, name, f"{name}: {exc}")
    place = state.place
    return replace(state, rights=snapshot.places.get(place)) if place is not None else state


def _details(state: PartitionState) -> Iterator[Detail]:
    table = state.table
    yield from (name for slot in state.missing for name in state.names(slot))
    if lacks_default(state):
        yield default_name(table.relation)
    is_filled = table.default is not None and table.default_has_rows
    if table.default is not None and is_filled:
        yield from (name for slot in state.uncovered for name in state.names(slot))
        yield from interim_names(table.default)
        yield buckets_of(table, state.codec, state.window)
    if state.missing or is_filled or lacks_default(state):
        yield Common(table.relation)
    if state.missing and state.place is not None:
        yield state.place
    own = asked_about(table, state.coverage.spans, state.now)
    if own is not None:
        yield own
