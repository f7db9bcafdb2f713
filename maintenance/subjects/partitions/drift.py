"""Compares partitions with their parent and siblings, and plans the safe repairs.

Missing privileges are granted; owner, row security and replica identity are set to the parent's,
and so are statistics targets of columns without one. Additional privileges and other targets are
only reported: they may be intended.

Row security is set together with the parent's policies. It is not enabled if other roles have
privileges on the partition itself, since it would change what they read, and not disabled if the
partition has policies of its own: both are reported. A default partition keeps its own row
security, which is not forced if that would hide its rows from our role.

What siblings share and a partition lacks is reported with the statement that adds it. It is added
if that blocks no writer and refuses no row: defaults always, all else while the partition lies in
the future and is empty.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from maintenance.catalog.models import (
    Child,
    Grant,
    Partition,
    Properties,
    PropertyDifference,
    Table,
)
from maintenance.catalog.trees import Fault
from maintenance.ddl.children import change_properties, lacking_targets
from maintenance.ddl.guards import empty, still_attached
from maintenance.ddl.lock_statements import take
from maintenance.ddl.objects import by_hand, statements
from maintenance.engine.actions import Action, ActionKind, Lock, LockMode, Step
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.formatting import listed
from maintenance.names import QualifiedName, quote
from maintenance.server.statements import Ours
from maintenance.subjects.partitions.default_names import parent_of_default
from maintenance.subjects.partitions.shared_objects import MINOR, NOTHING_SHARED, Lacking, Sharing
from maintenance.subjects.partitions.template import PLAIN, Siblings

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Drift:
    """One partition that differs from its parent.

    Attributes:
        lacks: differences that `repairs` repairs.
        beyond: privileges and statistics targets that only the partition has.
        by_hand: differences that have to be repaired by hand.
        reported: differences that are only reported, for the owner to decide.
        advice: statements that remove the reported differences.
        wanted: the properties that it should have; the actual ones where nothing is repaired.
        policies: statements that create its parent's policies on it.
    """

    child: QualifiedName
    lacks: tuple[Fault, ...]
    beyond: tuple[Fault, ...]
    by_hand: tuple[Fault, ...] = ()
    reported: tuple[Fault, ...] = ()
    advice: tuple[str, ...] = ()
    wanted: Properties | None = None
    policies: tuple[str, ...] = ()

    @property
    def faults(self) -> tuple[Fault, ...]:
        """All differences."""
        return self.lacks + self.by_hand + self.reported + self.beyond


def drifts(table: Table, sharing: Sharing = NOTHING_SHARED) -> list[Drift]:
    """Compare the partitions that may have drifted exactly with their parent."""
    found = [
        _compare(_wanted(table.properties, child, sharing), table, child) for child in table.drifted
    ]
    return [
        drift for drift in found if drift.lacks or drift.beyond or drift.by_hand or drift.reported
    ]


def _wanted(wanted: Properties, child: Child, sharing: Sharing) -> Properties:
    """Return the parent's properties, with what siblings share and the parent lacks."""
    actual = child.properties
    if sharing.has("replica identity") and wanted.replica_identity == "d":
        wanted = replace(wanted, replica_identity=actual.replica_identity)
    if sharing.has("row security") and not wanted.row_security:
        wanted = replace(
            wanted,
            row_security=actual.row_security,
            force_row_security=actual.force_row_security,
        )
    return wanted


def repairs(table: Table, found: Sequence[Drift]) -> Iterator[Action]:
    """Yield one action for each partition that can be repaired."""
    properties = {child.relation: child.properties for child in table.drifted}
    for drift in found:
        if drift.lacks:
            actual, wanted = properties[drift.child], drift.wanted or table.properties
            steps = change_properties(drift.child, actual, wanted, drift.policies)
            yield Action(
                kind=ActionKind.REPAIR_PARTITION,
                object=str(drift.child),
                table=str(table.relation),
                steps=tuple(steps),
                reason=f"differs from its parent: {', '.join(fault.text for fault in drift.lacks)}",
            )


def additions(table: Table, sharing: Sharing) -> Iterator[Action]:
    """Yield one action for each partition to which shared objects of its siblings can be added."""
    wanted: dict[Partition, list[Lacking]] = defaultdict(list)
    for each in sharing.lacking:
        if _is_addable(each):
            wanted[each.partition].append(each)
    for partition, lacking in wanted.items():
        kinds = ", ".join(dict.fromkeys(_what(each) for each in lacking))
        yield Action(
            kind=ActionKind.REPAIR_PARTITION,
            object=str(partition.relation),
            table=str(table.relation),
            steps=(_add(table, partition, lacking),),
            reason=f"missing, although its siblings have it: {kinds}",
            preconditions={"oid": partition.oid},
        )


def _is_addable(each: Lacking) -> bool:
    own = each.object
    if not each.is_shared or own.obstacle is not None:
        return False
    if own.kind in ("schema", "tablespace", "unlogged", "row security"):
        return False
    return each.is_untouched or own.kind == "default"


def _add(table: Table, partition: Partition, lacking: Sequence[Lacking]) -> Step:
    """Return the transaction that adds the objects; those that scan rows only if it is empty."""
    assert partition.bound is not None, "it was read"
    child = partition.relation
    referenced = sorted({e.object.referenced for e in lacking if e.object.referenced is not None})
    locks = (
        Lock(str(child), LockMode.SHARE_UPDATE_EXCLUSIVE),
        *dict.fromkeys(Lock(str(e.relation), LockMode.ACCESS_EXCLUSIVE) for e in lacking),
        *(Lock(str(other), LockMode.SHARE_ROW_EXCLUSIVE) for other in referenced),
    )
    alone = [each for each in lacking if each.object.kind != "default"]
    owner = table.properties.owner
    return Step(
        statements=(
            take(locks),
            still_attached(child, partition.oid, table.relation, partition.bound),
            *((empty(child),) if alone else ()),
            *(statement for each in lacking for statement in _given(each, owner)),
        ),
        locks=locks,
        owner=owner,
    )


def _given(each: Lacking, owner: str) -> Iterator[str]:
    """Yield the statements, run as the owner; a publication has its own owner, so as our role."""
    for statement in statements(each.object, each.source, each.relation, owner):
        yield Ours(statement) if each.object.kind == "publication" else statement


def drift_finding(
    table: Table,
    found: Sequence[Drift],
    siblings: Siblings = PLAIN,
    sharing: Sharing = NOTHING_SHARED,
) -> Iterator[Finding]:
    """Yield a finding with the partitions that differ, if any."""
    lacking = [
        each
        for each in sharing.lacking
        if each.object.kind != "publication" or each.object.parts[1]
    ]
    odd = [_lacks(table, each) for each in lacking]
    table = replace(table, differences=(*odd, *siblings.differences, *table.differences))
    words = _differences(table, found)
    if not words:
        return
    mendable = any(drift.lacks or drift.by_hand for drift in found)
    name = str(table.relation)
    shown = listed((f"{child} ({', '.join(what)})" for child, what in words.items()), SHOWN, "; ")
    warns = any(drift.reported for drift in found) or any(each.warns for each in table.differences)
    severity = Severity.WARN if mendable or warns or siblings.refuses else Severity.INFO
    why = ""
    if siblings.unbuildable is not None:
        severity = Severity.ERROR
        why = "; no partition is created, because none of these trees can serve as template"
    yield Finding(
        FindingKind.PARTITION_PROPERTY_DRIFT,
        severity,
        name,
        f"{name}: {len(words)} partitions differ from the table or their siblings: {shown}{why}",
        value=len(words),
        threshold=0,
        data={
            "partitions": [str(child) for child in words],
            "reason": siblings.fault.reason if siblings.fault is not None else None,
            "reasons": _reasons(table.differences, found),
            "statements": [
                *(s for each in sharing.lacking for s in _statements(table, each)),
                *(s for each in table.differences for s in each.statements),
                *(s for drift in found for s in drift.advice),
            ],
        },
    )


def _lacks(table: Table, each: Lacking) -> PropertyDifference:
    why = f"; not added automatically: {each.object.obstacle}" if each.object.obstacle else ""
    what = f"lacks {_what(each)} of its siblings: {'; '.join(_statements(table, each))}{why}"
    reason = f"{each.object.kind.replace(' ', '_')}_lacking"
    return PropertyDifference(each.relation, what, each.object.kind not in MINOR, (reason,))


def _statements(table: Table, each: Lacking) -> tuple[str, ...]:
    return by_hand(each.object, each.source, each.relation, table.properties.owner)


def _what(each: Lacking) -> str:
    kind, name = each.object.kind, each.object.name
    unique = "unique " if kind == "index" and "UNIQUE" in each.object.parts[0] else ""
    return f"the {unique}{kind} {quote(name)}" if name else f"the setting {kind}"


def _differences(table: Table, found: Sequence[Drift]) -> dict[QualifiedName, list[str]]:
    """Return the differences of each partition in words, those that can be repaired first."""
    words: dict[QualifiedName, list[str]] = defaultdict(list)
    for drift in sorted(found, key=lambda drift: not drift.lacks):
        words[drift.child] += [fault.text for fault in drift.faults]
    for odd in table.differences:
        words[odd.relation].append(odd.what)
    return words


def _reasons(
    differences: Sequence[PropertyDifference], found: Sequence[Drift]
) -> dict[str, list[str]]:
    """Return the codes of the differences by partition."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for drift in found:
        reasons[str(drift.child)].extend(fault.reason for fault in drift.faults)
    for odd in differences:
        if odd.reasons:
            reasons[str(odd.relation)].extend(odd.reasons)
    return dict(reasons)


def _compare(wanted: Properties, table: Table, child: Child) -> Drift:
    actual = child.properties
    security = _row_security(wanted, table, child)
    wanted = replace(wanted, row_security=security.on, force_row_security=security.force)
    lacks: list[Fault] = []
    if not security.on and table.properties.row_security:
        # privileges on it would bypass the policies of its parent
        wanted = replace(wanted, grants=actual.grants)
    if actual.owner != wanted.owner:
        lacks.append(Fault("owner", f"owner {actual.owner}, should be {wanted.owner}"))
    lacks += [
        Fault("rights_lacking", f"lacks {_words(grant)}")
        for grant in wanted.grants
        if grant not in actual.grants
    ]
    if (actual.row_security, actual.force_row_security) != (
        wanted.row_security,
        wanted.force_row_security,
    ):
        lacks.append(Fault("row_security", "row security"))
    by_hand: list[Fault] = []
    if actual.replica_identity != wanted.replica_identity:
        if wanted.replica_identity == "i":
            # The partition's matching index, if it has one, is not known here.
            set_it = f"ALTER TABLE {child.relation} REPLICA IDENTITY USING INDEX …"
            what = f"replica identity; its parent uses an index: {set_it}"
            by_hand.append(Fault("replica_identity", what))
        else:
            lacks.append(Fault("replica_identity", "replica identity"))
    lacks += [
        Fault(
            "statistics_target",
            f"statistics target of {quote(target.column)}, should be {target.value}",
        )
        for target in lacking_targets(actual, wanted)
    ]
    # The parent's privileges cover queries through it; the owner needs no grants.
    beyond = [
        Fault("rights_beyond", f"additional privilege {_words(grant)}")
        for grant in actual.grants
        if grant not in wanted.grants and grant.grantee != wanted.owner
    ]
    beyond += _other_targets(actual, wanted)
    if _is_of_default(table, child):
        beyond += _security_of_default(table.properties, security)
    return Drift(
        child.relation,
        tuple(lacks),
        tuple(beyond),
        tuple(by_hand),
        security.reported,
        security.advice,
        wanted,
        security.policies,
    )


class _RowSecurity(NamedTuple):
    """The row security that a partition should have, and what is only reported."""

    on: bool
    force: bool
    policies: tuple[str, ...] = ()
    reported: tuple[Fault, ...] = ()
    advice: tuple[str, ...] = ()


def _row_security(wanted: Properties, table: Table, child: Child) -> _RowSecurity:
    """Decide whether a partition gets its parent's row security, and with which policies.

    Without policies only the owner could read its rows.
    """
    actual = child.properties
    as_it_is = _RowSecurity(actual.row_security, actual.force_row_security)
    is_default = _is_of_default(table, child)
    if is_default:
        wanted = parent_of_default(replace(table, properties=wanted)).properties
        if actual.force_row_security and not wanted.force_row_security:
            wanted = replace(wanted, force_row_security=True)
    flags = wanted.row_security, wanted.force_row_security
    if as_it_is[:2] == flags or (is_default and not wanted.row_security):
        return as_it_is
    objects = table.objects.get(child.oid)
    own = [each for each in objects or () if each.kind == "policy"]
    if objects is None or table.oid not in table.objects:
        what = "row security; its policies could not be read"
        return as_it_is._replace(reported=(Fault("policies_unreadable", what),))
    if not wanted.row_security and own:
        what = "row security with its own policies; its parent has none"
        return as_it_is._replace(reported=(Fault("policies_of_its_own", what),))
    definitions = {each.parts for each in own}
    lacking = [each for each in table.policies if each.parts not in definitions]
    owner = table.properties.owner
    policies = tuple(
        statement
        for each in lacking
        for statement in statements(each, table.relation, child.relation, owner)
    )
    turned_on = wanted.row_security and not actual.row_security
    readers = sorted({grant.grantee or "PUBLIC" for grant in actual.grants})
    named = {each.name for each in own}.intersection(each.name for each in lacking)
    if named:
        other = ", ".join(sorted(map(quote, named)))
        what = f"row security; its policies {other} differ"
        return as_it_is._replace(reported=(Fault("policies_differ", what),))
    if turned_on and readers:
        advice = (*policies, f"ALTER TABLE {child.relation} ENABLE ROW LEVEL SECURITY")
        what = (
            f"no row security: {', '.join(readers)} can query it directly and bypass the policies"
            f" of its parent; if that is not intended, run {'; '.join(advice)}"
        )
        return as_it_is._replace(reported=(Fault("read_by_name", what),), advice=advice)
    return _RowSecurity(*flags, policies=policies if turned_on else ())


def _security_of_default(parent: Properties, own: _RowSecurity) -> Iterator[Fault]:
    if own.on and not parent.row_security:
        yield Fault("row_security_of_its_own", "row security; its parent has none")
    elif own.on and parent.force_row_security and not own.force:
        yield Fault(
            "row_security_unforced",
            "row security is not forced, unlike its parent's: forcing it would hide its rows from"
            " our role; a run whose role has BYPASSRLS forces it",
        )


def _is_of_default(table: Table, child: Child) -> bool:
    return table.default is not None and child.oid in table.default.whole.oids


def _other_targets(actual: Properties, wanted: Properties) -> Iterator[Fault]:
    by_column = {target.column: target.value for target in wanted.targets}
    for column, _, value in actual.targets:
        if value != by_column.get(column, value):
            yield Fault(
                "statistics_target",
                f"statistics target {value} of column {quote(column)};"
                f" its parent has {by_column[column]}",
            )


def _words(grant: Grant) -> str:
    column = f" ({grant.column})" if grant.column else ""
    option = " with grant option" if grant.grantable else ""
    return f"{grant.privilege}{column} for {grant.grantee or 'PUBLIC'}{option}"
