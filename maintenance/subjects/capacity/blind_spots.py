"""Findings on limits that could not be observed, and what is unknown therefore: pure."""

from collections.abc import Iterator, Mapping, Sequence

from maintenance.engine.findings import (
    UNKNOWN,
    Finding,
    FindingKind,
    Reading,
    Severity,
    failed_readings,
)
from maintenance.formatting import counted
from maintenance.subjects.capacity.models import CapacityObservation, SequenceUse, column_name

SHOWN = 5


def blind_spot_findings(database: str, seen: CapacityObservation) -> Iterator[Finding]:
    """Yield one finding for each failed observation, and one for sequences that are hidden."""
    yield from failed_readings(database, "capacity", seen.blind)
    hidden = [each for each in seen.sequences if not each.is_readable]
    if hidden:
        grant = f"GRANT pg_read_all_data TO {seen.role}"
        yield Finding(
            FindingKind.PRIVILEGE_MISSING,
            Severity.WARN,
            f"{database}/sequences",
            f"{database}: role {seen.role} can't read {_counted(hidden)}, so whether they are near"
            f" their end is unknown: run {grant}",
            data={"grants": [grant], UNKNOWN: _unknown(seen, hidden)},
        )
    locked = [each for each in seen.sequences if each.is_readable and not each.is_read]
    if locked and Reading.SEQUENCES not in seen.blind:
        yield Finding(
            FindingKind.MONITOR_BLIND,
            Severity.WARN,
            f"{database}/capacity/locked_sequences",
            f"{database}: {_counted(locked)} not checked: locked by another session; the next"
            " observation reads them",
            data={UNKNOWN: _unknown(seen, locked)},
        )


def _counted(sequences: Sequence[SequenceUse]) -> str:
    return counted([each.relation for each in sequences], "sequence", SHOWN)


def _unknown(
    seen: CapacityObservation, sequences: Sequence[SequenceUse]
) -> Mapping[str, Sequence[str]]:
    """Return the sequences and their columns: no limit of theirs is known."""
    oids = {each.oid for each in sequences}
    columns = [column_name(c.table, c.column) for c in seen.columns if c.sequence in oids]
    names = [str(each.relation) for each in sequences]
    return {FindingKind.CAPACITY_CLIFF.value: [*names, *columns]}
