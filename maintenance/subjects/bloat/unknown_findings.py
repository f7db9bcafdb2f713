"""Findings on relations whose bloat is unknown: one for each table and cause."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from maintenance.engine.findings import (
    UNKNOWN,
    Finding,
    FindingKind,
    Reading,
    Severity,
    unknown_without,
)
from maintenance.formatting import counted, counted_noun, readable_size
from maintenance.names import QualifiedName, literal, quote
from maintenance.subjects.bloat.models import (
    MOST_BYTES,
    SET_STATISTICS,
    BloatSnapshot,
    Observed,
    ObservedIndex,
)

MOST_UNKNOWN = 20
"""How many findings on unknown bloat there are, largest first; further relations are counted."""
FEW = 3
"""How many relations a message names besides the first."""


def name_of(seen: Observed) -> str:
    """Return the name of a relation, for a TOAST table with that of its table."""
    if isinstance(seen, ObservedIndex) or seen.owner is None:
        return str(seen.relation)
    return f"{seen.relation} (TOAST of {seen.owner})"


def unknown_findings(
    database: str, unknown: Sequence[Observed], stock: BloatSnapshot
) -> Iterator[Finding]:
    """Yield one finding for each table and cause, the largest first; further ones are counted."""
    groups: dict[tuple[QualifiedName, str], list[Observed]] = defaultdict(list)
    for each in sorted(unknown, key=lambda each: (-each.size_bytes, each.relation)):
        groups[each.table, stock.bloat[each.oid].reason].append(each)
    largest = sorted(groups.values(), key=_size, reverse=True)
    yield from (_unknown_together(found, stock) for found in largest[:MOST_UNKNOWN])
    rest = [each for found in largest[MOST_UNKNOWN:] for each in found]
    if rest:
        yield Finding(
            FindingKind.BLOAT_UNKNOWN,
            Severity.INFO,
            database,
            f"{database}: bloat unknown for {counted_noun(len(rest), 'more relation')},"
            f" {readable_size(_size(rest))} in total",
            value=len(rest),
            data={UNKNOWN: _unsure(rest)},
        )


def _unknown_together(found: Sequence[Observed], stock: BloatSnapshot) -> Finding:
    """Return the finding on relations of one table whose bloat is unknown for the same cause."""
    first = next((each for each in found if each.relation == each.table), found[0])
    bloat = stock.bloat[first.oid]
    remedy = bloat.remedy or _measuring(first, stock)
    others = [each.relation for each in found if each is not first]
    also = f" and {counted(others, 'other relation', FEW)} of {first.table}" if others else ""
    return Finding(
        FindingKind.BLOAT_UNKNOWN,
        Severity.INFO,
        str(first.relation),
        f"{name_of(first)}{also} ({readable_size(_size(found))}): bloat unknown: {bloat.text}."
        f" {_sentence(first, remedy)}",
        data={
            "size_bytes": _size(found),
            "reason": bloat.reason,
            "remedy": remedy,
            "table": str(first.table),
            "relations": [str(each.relation) for each in found],
            UNKNOWN: _unsure(found),
        },
    )


def _size(found: Iterable[Observed]) -> int:
    return sum(each.size_bytes for each in found)


def _sentence(seen: Observed, remedy: str) -> str:
    """Return what to do, with the name of the table."""
    known = {
        "ANALYZE": f"Run ANALYZE {seen.table}",
        "GRANT SELECT": f"Grant this role SELECT on {seen.table}",
        "ALTER ROLE … BYPASSRLS": "Run ALTER ROLE … BYPASSRLS for this role",
        SET_STATISTICS: f"Run ALTER TABLE {seen.table} ALTER COLUMN … SET STATISTICS -1 for that"
        f" column, then ANALYZE {seen.table}",
    }
    if remedy.startswith(("VACUUM", "SELECT")):
        return f"Run {remedy}"
    return known.get(remedy, f"{remedy[:1].upper()}{remedy[1:]}")


def _measuring(seen: Observed, stock: BloatSnapshot) -> str:
    """Return what lets a relation be measured on this server, by this role."""
    extension = stock.extension
    if extension.schema is None and not extension.remedy:
        return (
            "it can only be measured: install the contrib package of the server, then run CREATE"
            " EXTENSION pgstattuple"
        )
    if extension.remedy:
        return f"run {extension.remedy}, so that a run can measure it"
    if seen.oid not in stock.tried and seen.size_bytes <= MOST_BYTES:
        return "it is measured on one of the next runs"
    is_index = isinstance(seen, ObservedIndex)
    function = f"{quote(extension.schema or '')}.{'pgstatindex' if is_index else 'pgstattuple'}"
    call = f"SELECT * FROM {function}({literal(str(seen.relation)).strip()})"
    if seen.oid in stock.tried:
        return (
            "its measurement was refused or exceeded observe.time_cap; to see which, run"
            f" {call} at a quiet time"
        )
    return f"it is too large to be measured by a run: at a quiet time, run {call}"


def _unsure(unknown: Sequence[Observed]) -> Mapping[str, Sequence[str] | None]:
    return unknown_without(Reading.BLOAT, [str(each.relation) for each in unknown])
