"""Plan for declarations: what is built, validated, replaced and dropped, in waves. Pure."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

from maintenance.engine.actions import Action, ActionKind
from maintenance.engine.plan import Plan
from maintenance.engine.scope import Request
from maintenance.formatting import PAGE_BYTES
from maintenance.names import QualifiedName
from maintenance.subjects.indexes.declared import ddl, undo
from maintenance.subjects.indexes.declared.assessment import successor_name
from maintenance.subjects.indexes.declared.findings import declared_findings
from maintenance.subjects.indexes.declared.models import (
    NOT_TRIED,
    DeclaredCheck,
    DeclaredColumn,
    DeclaredDrop,
    DeclaredIndex,
    DeclaredObservation,
    OldIndex,
    State,
)
from maintenance.subjects.indexes.declared.seen import Seen
from maintenance.subjects.indexes.models import Catalog, Table


def plan_declared(seen: DeclaredObservation, catalog: Catalog, request: Request) -> Plan:
    """Return the rollout of the declarations and what is wrong with them.

    Args:
        seen: the declarations, compared with the database.
        catalog: all indexes and tables.
        request: limits it to tables.
    """
    wanted = DeclaredObservation(
        tuple(each for each in seen.indexes if request.includes(each.declaration.table)),
        tuple(
            each
            for each in seen.drops
            if request.table is None or (each.old and request.includes(each.old.table.relation))
        ),
        tuple(each for each in seen.checks if request.includes(each.declaration.table)),
        tuple(each for each in seen.columns if request.includes(each.declaration.table)),
    )
    actions = _Rollout(Seen(catalog, {}, {}, frozenset())).actions(wanted)
    return Plan(actions, tuple(declared_findings(wanted)))


def unfinished_rollouts(seen: DeclaredObservation) -> frozenset[str]:
    """Return the partitioned indexes that are invalid only because their rollout continues."""
    return frozenset(
        str(each.declaration.relation) for each in seen.indexes if each.state is State.INCOMPLETE
    )


@dataclass
class _Wave:
    """The actions of one wave.

    Attributes:
        gates: ids of those that the next wave waits for: builds of indexes, except those that
            wait for a drop or a rewrite, which the policy must allow.
    """

    actions: list[Action] = field(default_factory=list[Action])
    gates: list[str] = field(default_factory=list[str])


@dataclass
class _Rollout:
    """Collects the actions of all declarations by wave."""

    tree: Seen
    waves: dict[float, _Wave] = field(default_factory=lambda: defaultdict(_Wave))
    columns: dict[tuple[QualifiedName, str], str] = field(
        default_factory=dict[tuple[QualifiedName, str], str]
    )

    def actions(self, seen: DeclaredObservation) -> tuple[Action, ...]:
        """Return all actions in the order of waves, each after those that it needs."""
        for column in seen.columns:
            self._add_column(column)
        for check in seen.checks:
            self._add_check(check)
        for index in seen.indexes:
            self._add_index(index)
        for drop in seen.drops:
            self._add_drop(drop)
        ordered: list[Action] = []
        before: tuple[str, ...] = ()
        for number in sorted(self.waves):
            wave = self.waves[number]
            # A rewrite builds every index again, also one that duplicates have left unusable.
            first = sorted(wave.actions, key=lambda a: a.kind is not ActionKind.DROP_INVALID_INDEX)
            ordered += [replace(each, after=(*before, *each.after)) for each in first]
            before = tuple(wave.gates) or before
        return tuple(ordered)

    def _put(self, wave: float, action: Action, *, is_gate: bool = True) -> None:
        self.waves[wave].actions.append(action)
        if is_gate:
            self.waves[wave].gates.append(action.id)

    def _add_column(self, found: DeclaredColumn) -> None:
        if found.state is not State.MISSING:
            return
        declared, table = found.declaration, found.table
        assert table is not None, "its table exists"
        detail: dict[str, Any] = {
            "wave": declared.annotations.wave or 1,
            "relation_bytes": found.bytes,
        }
        if not declared.is_virtual:
            detail |= {"rewrites": True, "locked_s": found.locked.total_seconds()}
        action = Action(
            ActionKind.ADD_COLUMN,
            declared.object,
            (ddl.add_column(found),),
            f"declared in {declared.place} and missing",
            table=str(table.relation),
            preconditions={"oid": table.oid},
            branches=self._branches(table),
            detail=detail,
            undo=(undo.undo_column(found),),
        )
        self.columns[declared.table, declared.name] = action.id
        self._put(declared.annotations.wave or 1, action, is_gate=False)

    def _add_check(self, found: DeclaredCheck) -> None:
        if found.state not in (State.MISSING, State.INCOMPLETE) or found.n_violators:
            return
        declared, table = found.declaration, found.table
        assert table is not None, "its table exists"
        wave = declared.annotations.wave or 1
        columns = [(declared.table, name) for name in found.waits_for]
        if not self.columns.keys() >= set(columns):
            return
        needed = tuple(self.columns[column] for column in columns)
        add = Action(
            ActionKind.ADD_CONSTRAINT,
            declared.object,
            (ddl.add_check(found),),
            f"declared in {declared.place} and missing",
            table=str(table.relation),
            after=needed,
            preconditions={"oid": table.oid},
            branches=self._branches(table),
            detail={"wave": wave, "violators": found.n_violators},
            undo=(undo.undo_check(found),),
        )
        if found.state is State.MISSING:
            self._put(wave, add, is_gate=False)
            needed = (add.id,)
        validate = Action(
            ActionKind.VALIDATE_CONSTRAINT,
            declared.object,
            (ddl.validate_check(found),),
            "new rows are checked, older ones were not yet",
            table=str(table.relation),
            after=needed,
            preconditions={"oid": table.oid},
            branches=self._branches(table),
            detail={"wave": wave, "relation_bytes": self._bytes(table)},
            undo=tuple(undo.undo_validation(found)),
        )
        self._put(wave, validate, is_gate=False)

    def _add_index(self, found: DeclaredIndex) -> None:
        wave = found.declaration.wave
        cleaning = [self._drop_unusable(*each) for each in _unusable(found)]
        created = self._create(found)
        if created is not None:
            for action in cleaning:
                self._put(wave, action)
            created = replace(created, after=(*created.after, *(each.id for each in cleaning)))
            free = not found.waits_for and "takes_name_of" not in created.detail
            self._put(wave, created, is_gate=free)
        if created is None and not _is_done(found):
            return
        if found.existing is None and found.is_succeeded:
            self._put(wave, self._rename(found), is_gate=False)
        for old in found.replaced:
            if not old.obstacle:
                after = (created.id,) if created is not None else ()
                self._put(wave, self._replace(found, old, after), is_gate=False)

    def _create(self, found: DeclaredIndex) -> Action | None:
        """Return the action that builds a declared index; None if it is not to be built."""
        columns = [(found.declaration.table, name) for name in found.waits_for]
        if not _is_to_be_built(found) or not self.columns.keys() >= set(columns):
            return None
        declared, table = found.declaration, found.table
        assert table is not None, "an index is built on a table"
        takes_name = found.state is State.DIFFERENT
        name = successor_name(declared) if takes_name else declared.relation
        is_partitioned = table.kind == "p"
        steps = (
            tuple(ddl.build_parts(found, table.relation))
            if is_partitioned
            else (ddl.build(found, name.name, table.relation),)
        )
        lacking = [each for each in found.parts if not each.is_attached]
        what = (
            f"and missing on {len(lacking)} partitions"
            if is_partitioned and found.existing is not None
            else "and missing"
        )
        if takes_name:
            what = f"and different; it takes the name of {declared.relation} once that is dropped"
        return Action(
            ActionKind.CREATE_INDEX,
            str(name),
            steps,
            f"declared in {declared.place} {what}",
            table=str(table.relation),
            after=tuple(self.columns[column] for column in columns),
            preconditions={
                "oid": table.oid,
                "definition": found.definition,
                "leaves": {
                    str(each.table.relation): each.table.oid for each in found.parts if each.is_leaf
                },
            },
            branches=self._branches(table),
            detail=self._detail(found, table, declared.relation if takes_name else None),
            undo=tuple(undo.undo_build(found, name, tuple(self._partitions(table)))),
        )

    def _detail(
        self, found: DeclaredIndex, table: Table, takes_name_of: QualifiedName | None
    ) -> dict[str, Any]:
        notes = found.declaration.annotations
        return {
            "wave": found.declaration.wave,
            "serves": list(notes.serves),
            "expect": notes.expect,
            "replaces": [str(name) for name in notes.replaces],
            "relation_bytes": self._bytes(table),
            "partitions": sum(each.is_leaf for each in found.parts) or None,
            **({"upserts": found.upserts} if found.declaration.is_unique else {}),
            **({"takes_name_of": str(takes_name_of)} if takes_name_of is not None else {}),
        }

    def _replace(self, found: DeclaredIndex, old: OldIndex, after: tuple[str, ...]) -> Action:
        declared, table = found.declaration, old.table.relation
        steps = ddl.drop_old(old, self._partitions(old.table))
        new, renamed = declared.relation, None
        if old.index.relation == declared.relation:
            new = successor_name(declared)
            steps = (*steps, ddl.rename(new, table, declared.name))
            renamed = new, found.definition
        return Action(
            ActionKind.REPLACE_INDEX,
            str(old.index.relation),
            steps,
            f"replaced by {declared.relation}, declared in {declared.place}",
            table=str(table),
            destructive=True,
            after=after,
            preconditions={"oid": old.index.oid, "new": str(new)},
            branches=self._branches(old.table),
            detail=self._old_detail(old, declared.wave),
            undo=tuple(undo.undo_drop(old, renamed)),
        )

    def _rename(self, found: DeclaredIndex) -> Action:
        """Return the end of a replacement that was interrupted after the drop."""
        declared, successor = found.declaration, found.successor
        assert successor is not None, "it was built"
        table = declared.table
        return Action(
            ActionKind.REPLACE_INDEX,
            str(declared.relation),
            (ddl.rename(successor.relation, table, declared.name),),
            f"built as {successor.relation} to take this name, declared in {declared.place}",
            table=str(table),
            preconditions={"oid": successor.oid, "new": str(successor.relation)},
            detail={"wave": declared.wave},
            undo=tuple(undo.undo_rename(found, successor.relation)),
        )

    def _add_drop(self, found: DeclaredDrop) -> None:
        old, declared = found.old, found.declaration
        if old is None or old.obstacle:
            return
        wave = declared.annotations.wave or inf
        action = Action(
            ActionKind.DROP_INDEX,
            str(old.index.relation),
            ddl.drop_old(old, self._partitions(old.table)),
            f"dropped in {declared.place}",
            table=str(old.table.relation),
            destructive=True,
            preconditions={"oid": old.index.oid},
            branches=self._branches(old.table),
            detail=self._old_detail(old, declared.annotations.wave),
            undo=tuple(undo.undo_drop(old, None)),
        )
        self._put(wave, action, is_gate=False)

    def _old_detail(self, old: OldIndex, wave: int | None) -> dict[str, Any]:
        return {
            "wave": wave,
            "size_bytes": old.index.pages * PAGE_BYTES,
            "restore": list(old.restore),
        }

    def _drop_unusable(self, index: QualifiedName, oid: int, table: QualifiedName) -> Action:
        return Action(
            ActionKind.DROP_INVALID_INDEX,
            str(index),
            ddl.drop_unusable(index, oid, table),
            "build incomplete: maintained on writes but not usable; it is built again",
            table=str(table),
            preconditions={"oid": oid},
        )

    def _partitions(self, table: Table) -> Iterator[Table]:
        return self.tree.below(table)

    def _branches(self, table: Table) -> tuple[str, ...]:
        return tuple(sorted(str(each.relation) for each in self._partitions(table)))

    def _bytes(self, table: Table) -> int:
        return sum(each.pages for each in (table, *self._partitions(table))) * PAGE_BYTES


def _is_done(found: DeclaredIndex) -> bool:
    """Whether what replaces other indexes is there and proven usable."""
    return found.state is State.SAME or found.is_succeeded


def _is_to_be_built(found: DeclaredIndex) -> bool:
    if found.rows.n_duplicates or found.is_succeeded:
        return False
    if found.state in (State.MISSING, State.INVALID, State.INCOMPLETE):
        return True
    if found.state is State.DIFFERENT:
        return _takes_name(found)
    # The server refuses a definition that is wrong, and leaves nothing.
    return (
        found.state is State.UNKNOWN
        and found.facts is not None
        and found.facts.partition_key is None
        and found.existing is None
        and found.refusal is not None
        and found.refusal.sqlstate == NOT_TRIED
        and not found.refusal.is_passing
    )


def _takes_name(found: DeclaredIndex) -> bool:
    """Whether it is to take the name of an existing index, which can be dropped."""
    own = found.declaration.relation
    return (
        not found.taken_by
        and found.covered_by is None
        and found.table is not None
        and found.table.kind != "p"
        and any(old.index.relation == own and not old.obstacle for old in found.replaced)
    )


def _unusable(found: DeclaredIndex) -> Iterator[tuple[QualifiedName, int, QualifiedName]]:
    """Yield the unusable indexes in the way of a build: name, OID and table."""
    if found.table is None:
        return
    if found.state is State.INVALID and found.existing is not None:
        yield found.existing.relation, found.existing.oid, found.table.relation
    if found.successor is not None and not found.is_succeeded:
        yield found.successor.relation, found.successor.oid, found.table.relation
    for part in found.parts:
        if part.leftover is not None:
            yield part.leftover.relation, part.leftover.oid, part.table.relation
