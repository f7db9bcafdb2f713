"""Partitions held against their parent: what differs, and what of it is safely put right.

Rights that a partition lacks are granted, its owner, row security and replica identity are set
to the parent's, and so are statistics targets of columns that have none of their own. Rights that
it has beyond its parent's, and other targets, are only reported: somebody gave them.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from maintenance.catalog.models import Child, Grant, Properties, Table
from maintenance.ddl.children import change_properties, lacking_targets
from maintenance.engine.actions import Action, ActionKind
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.names import QualifiedName, quote
from maintenance.partitions.siblings import PLAIN, Siblings

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Drift:
    """One partition that differs from its parent.

    Attributes:
        lacks: in words, what it has otherwise; mended by `repairs`.
        beyond: rights that only the partition gives, targets that somebody chose for it.
        by_hand: what it lacks and no statement of ours can give it.
    """

    child: QualifiedName
    lacks: tuple[str, ...]
    beyond: tuple[str, ...]
    by_hand: tuple[str, ...] = ()


def drifts(table: Table) -> list[Drift]:
    """Compare the partitions that may have drifted with their parent, exactly."""
    found = [_compare(table.properties, child) for child in table.drifted]
    return [drift for drift in found if drift.lacks or drift.beyond or drift.by_hand]


def repairs(table: Table, found: Sequence[Drift]) -> Iterator[Action]:
    """Yield one action for each partition of which something can be put right."""
    properties = {child.relation: child.properties for child in table.drifted}
    for drift in found:
        if drift.lacks:
            steps = change_properties(drift.child, properties[drift.child], table.properties)
            yield Action(
                kind=ActionKind.REPAIR_PARTITION,
                object=str(drift.child),
                table=str(table.relation),
                steps=tuple(steps),
                reason=f"differs from its parent: {', '.join(drift.lacks)}",
            )


def drift_finding(
    table: Table, found: Sequence[Drift], siblings: Siblings = PLAIN
) -> Iterator[Finding]:
    """Yield the finding that names the partitions which differ, if any do."""
    table = replace(table, oddities=(*siblings.oddities, *table.oddities))
    words = _differences(table, found)
    if not words:
        return
    lacking = any(drift.lacks or drift.by_hand for drift in found)
    name = str(table.relation)
    shown = [f"{child} ({', '.join(what)})" for child, what in list(words.items())[:SHOWN]]
    more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    severity = Severity.WARN if lacking or siblings.refuses else Severity.INFO
    why = ""
    if siblings.unbuildable is not None:
        severity = Severity.ERROR
        why = "; no partition is made, for none of these trees can be built again"
    yield Finding(
        FindingKind.PARTITION_PROPERTY_DRIFT,
        severity,
        name,
        f"{name}: {len(words)} differ from it or their siblings: {'; '.join(shown)}{more}{why}",
        value=len(words),
        threshold=0,
        data={"partitions": [str(child) for child in words]},
    )


def _differences(table: Table, found: Sequence[Drift]) -> dict[QualifiedName, list[str]]:
    """Return in words what each partition has otherwise, those that can be mended first."""
    words: dict[QualifiedName, list[str]] = defaultdict(list)
    for drift in sorted(found, key=lambda drift: not drift.lacks):
        words[drift.child] += drift.lacks + drift.by_hand + drift.beyond
    for odd in table.oddities:
        words[odd.relation].append(odd.what)
    return words


def _compare(wanted: Properties, child: Child) -> Drift:
    actual = child.properties
    lacks: list[str] = []
    if actual.owner != wanted.owner:
        lacks.append(f"owner {actual.owner}, wanted {wanted.owner}")
    lacks += [f"lacks {_words(grant)}" for grant in wanted.grants if grant not in actual.grants]
    if (actual.row_security, actual.force_row_security) != (
        wanted.row_security,
        wanted.force_row_security,
    ):
        lacks.append("row security")
    by_hand: list[str] = []
    if actual.replica_identity != wanted.replica_identity:
        if wanted.replica_identity == "i":
            # Which of its indexes that would be, if it has it at all, only the server knows.
            set_it = f"ALTER TABLE {child.relation} REPLICA IDENTITY USING INDEX …"
            by_hand.append(f"replica identity, its parent's is by an index: {set_it}")
        else:
            lacks.append("replica identity")
    lacks += [
        f"statistics target of {quote(target.column)}, wanted {target.value}"
        for target in lacking_targets(actual, wanted)
    ]
    # A parent's rights cover a partition read through it; its owner needs none of its own.
    beyond = [
        f"also {_words(grant)}"
        for grant in actual.grants
        if grant not in wanted.grants and grant.grantee != wanted.owner
    ]
    beyond += _other_targets(actual, wanted)
    return Drift(child.relation, tuple(lacks), tuple(beyond), tuple(by_hand))


def _other_targets(actual: Properties, wanted: Properties) -> Iterator[str]:
    by_column = {target.column: target.value for target in wanted.targets}
    for column, _, value in actual.targets:
        if value != by_column.get(column, value):
            yield (
                f"statistics target {value} of column {quote(column)},"
                f" its parent has {by_column[column]}"
            )


def _words(grant: Grant) -> str:
    column = f" ({grant.column})" if grant.column else ""
    option = " with grant option" if grant.grantable else ""
    return f"{grant.privilege}{column} for {grant.grantee or 'PUBLIC'}{option}"
