"""Partitions held against their parent: what differs, and what of it is safely put right.

Rights that a partition lacks are granted, its owner, row security and replica identity are set
to the parent's, and so are statistics targets of columns that have none of their own. Rights that
it has beyond its parent's, and other targets, are only reported: somebody gave them.

Row security comes with the parent's policies. It is not set where others were given rights on the
partition itself, which they would read otherwise from then on, nor taken away where the partition
has policies of its own: both are told. A default partition keeps the one it has of its own, and is
not forced to have it where its rows would be hidden from us from then on.

What siblings share and a partition lacks is told with the statement that adds it. It is added where
that can stop no writer and refuse no row: defaults, and all else while the partition lies ahead and
is empty.
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
from maintenance.ddl.locks import take
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
        lacks: what it has otherwise; mended by `repairs`.
        beyond: rights that only the partition gives, targets that somebody chose for it.
        by_hand: what it lacks and no statement of ours can give it.
        told: what it has otherwise and somebody should decide about.
        advice: statements that put right what is told, if that is wanted.
        wanted: what it is to have; as it has it, where it is not mended.
        policies: statements that give it its parent's policies.
    """

    child: QualifiedName
    lacks: tuple[Fault, ...]
    beyond: tuple[Fault, ...]
    by_hand: tuple[Fault, ...] = ()
    told: tuple[Fault, ...] = ()
    advice: tuple[str, ...] = ()
    wanted: Properties | None = None
    policies: tuple[str, ...] = ()

    @property
    def faults(self) -> tuple[Fault, ...]:
        """All that it has otherwise."""
        return self.lacks + self.by_hand + self.told + self.beyond


def drifts(table: Table, sharing: Sharing = NOTHING_SHARED) -> list[Drift]:
    """Compare the partitions that may have drifted with their parent, exactly."""
    found = [
        _compare(_wanted(table.properties, child, sharing), table, child) for child in table.drifted
    ]
    return [drift for drift in found if drift.lacks or drift.beyond or drift.by_hand or drift.told]


def _wanted(wanted: Properties, child: Child, sharing: Sharing) -> Properties:
    """Leave what siblings share where their parent has none of its own."""
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
    """Yield one action for each partition of which something can be put right."""
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
    """Yield one action for each partition that can get what its siblings share."""
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
            reason=f"lacks what its siblings have: {kinds}",
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
    """Return the one transaction that adds it; what may look at rows only while there are none."""
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
    """Yield what adds it, with the owner's rights; a publication has an owner of its own."""
    for statement in statements(each.object, each.source, each.relation, owner):
        yield Ours(statement) if each.object.kind == "publication" else statement


def drift_finding(
    table: Table,
    found: Sequence[Drift],
    siblings: Siblings = PLAIN,
    sharing: Sharing = NOTHING_SHARED,
) -> Iterator[Finding]:
    """Yield the finding that names the partitions which differ, if any do."""
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
    warns = any(drift.told for drift in found) or any(each.warns for each in table.differences)
    severity = Severity.WARN if mendable or warns or siblings.refuses else Severity.INFO
    why = ""
    if siblings.unbuildable is not None:
        severity = Severity.ERROR
        why = "; no partition is made, for none of these trees can be built again"
    yield Finding(
        FindingKind.PARTITION_PROPERTY_DRIFT,
        severity,
        name,
        f"{name}: {len(words)} differ from it or their siblings: {shown}{why}",
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
    why = f"; not added by itself: {each.object.obstacle}" if each.object.obstacle else ""
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
    """Return in words what each partition has otherwise, those that can be mended first."""
    words: dict[QualifiedName, list[str]] = defaultdict(list)
    for drift in sorted(found, key=lambda drift: not drift.lacks):
        words[drift.child] += [fault.text for fault in drift.faults]
    for odd in table.differences:
        words[odd.relation].append(odd.what)
    return words


def _reasons(
    differences: Sequence[PropertyDifference], found: Sequence[Drift]
) -> dict[str, list[str]]:
    """Return by partition the codes of what it has otherwise, as far as there are any."""
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
        # rights on it would lead past the policies of its parent
        wanted = replace(wanted, grants=actual.grants)
    if actual.owner != wanted.owner:
        lacks.append(Fault("owner", f"owner {actual.owner}, wanted {wanted.owner}"))
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
            # Which of its indexes that would be, if it has it at all, only the server knows.
            set_it = f"ALTER TABLE {child.relation} REPLICA IDENTITY USING INDEX …"
            what = f"replica identity, its parent's is by an index: {set_it}"
            by_hand.append(Fault("replica_identity", what))
        else:
            lacks.append(Fault("replica_identity", "replica identity"))
    lacks += [
        Fault(
            "statistics_target",
            f"statistics target of {quote(target.column)}, wanted {target.value}",
        )
        for target in lacking_targets(actual, wanted)
    ]
    # A parent's rights cover a partition read through it; its owner needs none of its own.
    beyond = [
        Fault("rights_beyond", f"also {_words(grant)}")
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
        security.told,
        security.advice,
        wanted,
        security.policies,
    )


class _RowSecurity(NamedTuple):
    """What a partition is to have of row security, and what is told instead of being done."""

    on: bool
    force: bool
    policies: tuple[str, ...] = ()
    told: tuple[Fault, ...] = ()
    advice: tuple[str, ...] = ()


def _row_security(wanted: Properties, table: Table, child: Child) -> _RowSecurity:
    """Decide whether a partition gets its parent's row security, and with which policies.

    Without policies nobody but the owner would see a row of it.
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
        what = "row security, and its policies could not be read"
        return as_it_is._replace(told=(Fault("policies_unreadable", what),))
    if not wanted.row_security and own:
        what = "row security with policies of its own, its parent has none"
        return as_it_is._replace(told=(Fault("policies_of_its_own", what),))
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
        what = f"row security, and its policies {other} differ"
        return as_it_is._replace(told=(Fault("policies_differ", what),))
    if turned_on and readers:
        advice = (*policies, f"ALTER TABLE {child.relation} ENABLE ROW LEVEL SECURITY")
        what = (
            f"no row security, and {', '.join(readers)} may read it by name past the policies of"
            f" its parent; if that is not meant: {'; '.join(advice)}"
        )
        return as_it_is._replace(told=(Fault("read_by_name", what),), advice=advice)
    return _RowSecurity(*flags, policies=policies if turned_on else ())


def _security_of_default(parent: Properties, own: _RowSecurity) -> Iterator[Fault]:
    if own.on and not parent.row_security:
        yield Fault("row_security_of_its_own", "row security of its own, its parent has none")
    elif own.on and parent.force_row_security and not own.force:
        yield Fault(
            "row_security_unforced",
            "row security that is not forced as its parent's is: its rows would be hidden from us;"
            " a run whose role has BYPASSRLS forces it",
        )


def _is_of_default(table: Table, child: Child) -> bool:
    return table.default is not None and child.oid in table.default.whole.oids


def _other_targets(actual: Properties, wanted: Properties) -> Iterator[Fault]:
    by_column = {target.column: target.value for target in wanted.targets}
    for column, _, value in actual.targets:
        if value != by_column.get(column, value):
            yield Fault(
                "statistics_target",
                f"statistics target {value} of column {quote(column)},"
                f" its parent has {by_column[column]}",
            )


def _words(grant: Grant) -> str:
    column = f" ({grant.column})" if grant.column else ""
    option = " with grant option" if grant.grantable else ""
    return f"{grant.privilege}{column} for {grant.grantee or 'PUBLIC'}{option}"
