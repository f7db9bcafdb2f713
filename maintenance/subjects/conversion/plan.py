"""Plans conversions: all remaining steps of a table, or all reasons against it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from maintenance.engine.actions import Action, ActionKind
from maintenance.engine.findings import UNKNOWN, Finding, FindingKind, Severity
from maintenance.engine.plan import Plan, join
from maintenance.engine.scope import Request
from maintenance.formatting import readable_size
from maintenance.names import QualifiedName, quote
from maintenance.subjects.conversion.journaled_undo import journaled_undo
from maintenance.subjects.conversion.matviews import Twin
from maintenance.subjects.conversion.models import (
    ConversionObservation,
    ConvertibleTable,
    Obstacle,
)
from maintenance.subjects.conversion.obstacles import (
    obstacles_of_definition,
    obstacles_of_rows,
    obstacles_of_target,
    shown,
)
from maintenance.subjects.conversion.references import references_of
from maintenance.subjects.conversion.steps import (
    ConversionStep,
    finishing_steps,
    steps_of,
    steps_of_earlier_runs,
)
from maintenance.subjects.conversion.target import Target, target_of
from maintenance.subjects.conversion.undo import undo_steps
from maintenance.subjects.conversion.waiting import waiting


def plan(seen: ConversionObservation, now: datetime, request: Request) -> Plan:
    """Plan the conversion of every observed table.

    A table that can't be converted is reported with all reasons, and never blocks the others.
    """
    tables = _in_turn(
        {each.name: (each, _plan_table(each, seen, now, request)) for each in seen.tables}
    )
    unfinished = (_plan_rest(each, request) for each in seen.unfinished)
    abandoned = (Plan(actions=tuple(_removal(each, _UNWANTED))) for each in seen.abandoned)
    failed = (Plan(findings=(_unread(name, text),)) for name, text in seen.failed.items())
    unread = (Plan(findings=(_unknown(name, text),)) for name, text in seen.unread.items())
    return join([*tables, *abandoned, *unfinished, *failed, *unread])


def _in_turn(
    planned: Mapping[QualifiedName, tuple[ConvertibleTable, Plan]],
) -> Iterator[Plan]:
    """Yield the plans, but nothing for tables that reference one that is converted before.

    Foreign keys of a partitioned table can't be created again without a scan.
    """
    converting = {
        name
        for name, (_, plan) in planned.items()
        if any(action.kind is ActionKind.CONVERT_TABLE for action in plan.actions)
    }
    for name, (table, found) in planned.items():
        keys = (k for k in table.of("constraint") if k.definition["type"] == "f")
        referenced = {QualifiedName(*key.definition["references"]) for key in keys}
        if name in converting and not converting.isdisjoint(referenced - {name}):
            converting.remove(name)
            actions = (a for a in found.actions if a.kind is not ActionKind.CONVERT_TABLE)
            yield replace(found, actions=tuple(actions))
        else:
            yield found


def target_if_any(seen: ConvertibleTable, now: datetime) -> Target | None:
    """Return the partitions of a table after its conversion, if its key allows to tell."""
    if seen.key is None or seen.table.column(seen.section.column) is None:
        return None
    if any(obstacles_of_rows(seen, now)):
        return None
    try:
        return target_of(seen, now)
    except ValueError:
        return None


def _plan_table(
    seen: ConvertibleTable, observation: ConversionObservation, now: datetime, request: Request
) -> Plan:
    limit = seen.section.convert_when.larger_than
    if seen.table.kind == "r" and seen.sizes.total_bytes < limit and not seen.helpers:
        return Plan(findings=(_small(seen, limit),))
    found = list(obstacles_of_definition(seen, observation.server))
    target = None
    if seen.table.kind == "r" and not any(each.code in _BEFORE_ROWS for each in found):
        found += obstacles_of_rows(seen, now)
        target = target_if_any(seen, now)
        if target is not None:
            found += obstacles_of_target(seen, target)
    if found or target is None:
        return Plan(actions=tuple(_removal(seen, _REFUSED)), findings=(_refused(seen, found),))
    steps = steps_of(seen, target, observation.server)
    action = _action(seen, target, steps, observation.facts_sql)
    if (run := observation.undone.get(action.goal)) is not None:
        # held by the gate; a CHECK that an interrupted undo has left would refuse rows
        actions = tuple(_removal(seen, _UNDONE)) or (action,)
        return Plan(actions=actions, findings=(_undone(seen, run),))
    findings = [_planned(seen, action, len(steps))]
    if (wait := observation.waits.get(str(seen.name))) is not None:
        findings.append(waiting(seen, wait, now))
    before = tuple(_leftovers(seen))
    action = replace(action, after=tuple(each.id for each in before))
    return Plan(actions=() if request.periods else (*before, action), findings=tuple(findings))


def _plan_rest(seen: ConvertibleTable, request: Request) -> Plan:
    """Plan what an interrupted run has left after its swap."""
    steps = finishing_steps(seen)
    action = Action(
        kind=ActionKind.CONVERT_TABLE,
        object=str(seen.name),
        table=str(seen.name),
        steps=tuple(each.step for each in steps),
        reason="it is partitioned by an earlier run, which did not finish",
        preconditions={
            "oid": seen.table.oid,
            "column": seen.section.column,
            "matviews": _twins(seen),
            "is_swapped": True,
        },
        detail={
            "steps": [_shown(each) for each in steps],
            "estimated_s": round(sum(each.seconds for each in steps)),
        },
    )
    return Plan(actions=() if request.periods else (action,), findings=(_left(seen, steps),))


_BEFORE_ROWS = frozenset({"no_such_column", "other_type", "not_a_table"})
"""Reasons without which the rows can't be read as times."""


_REFUSED = "its conversion can't go on"
_UNWANTED = "its conversion is not wanted"
_UNDONE = "its conversion was undone"


def _action(
    seen: ConvertibleTable, target: Target, steps: tuple[ConversionStep, ...], facts_sql: str
) -> Action:
    seconds = sum(each.seconds for each in steps)
    return Action(
        kind=ActionKind.CONVERT_TABLE,
        object=str(seen.name),
        table=str(seen.name),
        steps=tuple(each.step for each in steps),
        reason=f"the policy wants it partitioned by RANGE ({seen.section.column}), and it is not;"
        f" it has {readable_size(seen.sizes.total_bytes)}",
        preconditions={
            "oid": seen.table.oid,
            "column": seen.section.column,
            "key": list(seen.extended_key),
            "referenced_by": dict(seen.definition.referenced_by),
            "matviews": _twins(seen),
            "is_swapped": False,
            "new": f"RANGE ({quote(seen.section.column)})",
        },
        branches=(str(target.first),),
        undo=journaled_undo(seen, target, facts_sql),
        detail={
            "steps": [_shown(each) for each in steps],
            "estimated_s": round(seconds),
            "first_partition": str(target.first),
            "until": target.until.period.key,
            "key": list(seen.extended_key),
            "schema_change": _schema_change(seen),
            "undo": [list(step.sql) for step in undo_steps(seen, target)],
        },
    )


def _twins(seen: ConvertibleTable) -> dict[str, str]:
    """Return the materialized views that are replaced, by the names of their twins."""
    return {str(Twin(view).name): str(view.name) for view in seen.matviews}


def _shown(each: ConversionStep) -> dict[str, Any]:
    return {
        "what": each.what,
        "locks": [f"{lock.mode} on {lock.object}" for lock in each.step.locks],
        "estimated_s": round(each.seconds),
    }


def _schema_change(seen: ConvertibleTable) -> str | None:
    """Return what to change in the schema file of an ORM, and in statements."""
    if not seen.extends_key:
        return None
    columns = ", ".join(seen.extended_key)
    relations = "".join(
        f"; {each.table}: foreign key ({', '.join((*each.facts['columns'], each.column))})"
        f" references ({', '.join((*each.facts['referenced'], each.key))}), in Prisma the fields"
        " and references of its @relation"
        for each in references_of(seen.definition)
        if each.column is not None and not each.has_key
    )
    old = ", ".join(seen.primary_key.definition["columns"]) if seen.primary_key else ""
    return (
        f"primary key ({columns}): Prisma @@id([{columns}]), Rails primary_key: [...], Django"
        f" CompositePrimaryKey; ON CONFLICT ({old}) becomes ON CONFLICT ({columns}){relations}"
    )


def _removal(seen: ConvertibleTable, why: str) -> Iterator[Action]:
    """Yield the removal of what an earlier run made for a conversion that is not to be."""
    steps = undo_steps(seen)
    if not steps:
        return
    yield Action(
        kind=ActionKind.REMOVE_LEFTOVERS,
        object=str(seen.name),
        table=str(seen.name),
        reason=f"{why}, and an earlier run left a CHECK, an index or a foreign key NOT VALID",
        steps=steps,
        preconditions={"oid": seen.table.oid},
    )


def _leftovers(seen: ConvertibleTable) -> Iterator[Action]:
    """Yield what an earlier run left that is due even if the conversion is held."""
    steps = tuple(each.step for each in steps_of_earlier_runs(seen))
    if steps:
        yield Action(
            kind=ActionKind.REMOVE_LEFTOVERS,
            object=str(seen.name),
            table=str(seen.name),
            reason="an earlier run left foreign keys NOT VALID, or copies of materialized views",
            steps=steps,
            preconditions={"oid": seen.table.oid},
        )


def _refused(seen: ConvertibleTable, found: list[Obstacle]) -> Finding:
    name = str(seen.name)
    return Finding(
        FindingKind.NOT_PARTITIONED,
        Severity.ERROR,
        name,
        f"{name}: not partitioned, and can't be converted: {shown(found)}",
        data={
            "relkind": seen.table.kind,
            "reasons": list(dict.fromkeys(each.code for each in found)),
            "obstacles": [
                {"code": each.code, "text": each.text, "objects": list(each.objects)}
                for each in found
            ],
        },
    )


def _small(seen: ConvertibleTable, limit: int) -> Finding:
    name, size = str(seen.name), seen.sizes.total_bytes
    return Finding(
        FindingKind.NOT_PARTITIONED,
        Severity.INFO,
        name,
        f"{name}: not partitioned; it has {readable_size(size)} and is converted from"
        f" {readable_size(limit)} on (convert_when.larger_than)",
        value=size,
        threshold=limit,
        data={"relkind": seen.table.kind, "reasons": ["small"]},
    )


def _planned(seen: ConvertibleTable, action: Action, n_left: int) -> Finding:
    name = str(seen.name)
    begun = "has begun" if seen.helpers else "is planned"
    promise = "the next apply or the nightly run does them"
    return Finding(
        FindingKind.NOT_PARTITIONED,
        Severity.WARN,
        name,
        f"{name}: not partitioned; its conversion {begun}: {n_left} steps remain; {promise}",
        data={
            "relkind": seen.table.kind,
            "reasons": ["converting"],
            "steps_left": n_left,
            "estimated_s": action.detail["estimated_s"],
        },
        promise=promise,
    )


def _left(seen: ConvertibleTable, steps: tuple[ConversionStep, ...]) -> Finding:
    name = str(seen.name)
    keys = [f"{each.table} {each.name}" for each in seen.helpers if each.kind == "reference"]
    views = [str(view.name) for view in seen.matviews]
    left = (f"foreign key {key} is not validated" for key in keys)
    stale = (f"{view} reads its first partition alone" for view in views)
    return Finding(
        FindingKind.CONVERSION_UNFINISHED,
        Severity.WARN,
        name,
        f"{name}: partitioned, but its conversion has not finished: {len(steps)} steps remain:"
        f" {', '.join((*stale, *left)) or 'leftovers'}. Run maintenance apply, or wait for the"
        " nightly run",
        value=len(steps),
        data={"foreign_keys": keys, "materialized_views": views},
    )


def _unknown(name: QualifiedName, error: str) -> Finding:
    kind = FindingKind.CONVERSION_UNFINISHED
    return Finding(
        FindingKind.MONITOR_BLIND,
        Severity.WARN,
        f"{name}/conversion",
        f"{name}: whether its conversion has left something to do is unknown: {error}",
        data={UNKNOWN: {kind.value: [str(name)]}},
    )


def _undone(seen: ConvertibleTable, run: str) -> Finding:
    name = str(seen.name)
    return Finding(
        FindingKind.NOT_PARTITIONED,
        Severity.WARN,
        name,
        f"{name}: not partitioned: its conversion was undone by run {run}, and no run converts it"
        " again by itself. Run maintenance apply --again to convert it, or set convert: never",
        data={"relkind": seen.table.kind, "reasons": ["undone"], "undone_by": run},
    )


def _unread(name: object, error: str) -> Finding:
    return Finding(
        FindingKind.NOT_PARTITIONED,
        Severity.ERROR,
        str(name),
        f"{name}: not partitioned, and not converted: its properties could not be read: {error}",
        data={"relkind": "r", "reasons": ["unread"]},
    )
