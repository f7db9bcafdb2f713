"""Plan ANALYZE and VACUUM of due tables, worst first; tables under autovacuum are skipped."""

from collections.abc import Collection, Iterator, Sequence

from maintenance.engine.actions import Action, ActionKind, Lock, LockMode, Step
from maintenance.engine.plan import Plan, Skip
from maintenance.engine.scope import Request
from maintenance.names import QualifiedName
from maintenance.policy import Policy
from maintenance.server.capabilities import has_analyze_only
from maintenance.subjects.statistics.due import Due, Why, due_tables
from maintenance.subjects.statistics.findings import findings_of, unknown_table
from maintenance.subjects.statistics.models import StatisticsObservation, TableFacts, ancestors


def plan(policy: Policy, seen: StatisticsObservation, request: Request) -> Plan:
    """Plan ANALYZE and VACUUM; nothing if periods were requested."""
    section = policy.statistics
    if section is None or request.periods or request.archives:
        return Plan()
    by_oid = {table.oid: table for table in seen.tables}
    among = {
        table.oid: table
        for table in seen.tables
        if any(map(request.includes, _names(table, by_oid)))
    }
    due = [item for item in due_tables(section, seen) if item.table.oid in among]
    wanted = [_asked(table, request) for table in among.values()] if request.forced else due
    idle = [
        item
        for item in wanted
        # ANALYZE of a parent also reads its foreign partitions, whose servers may not respond.
        if item.table.oid not in seen.foreign
        and (item.table.permitted or request.forced)
        and item.table.autovacuum_pid is None
    ]
    covered = _covered(idle, seen)
    below = _branches(idle, seen)
    return Plan(
        actions=tuple(
            _action(item, seen, below.get(item.table.oid, ()))
            for item in idle
            if item.table.oid not in covered
        ),
        findings=(*findings_of(policy, seen, due), *unknown_table(seen, request)),
        skipped=tuple(_skips(wanted, seen)),
    )


def _asked(table: TableFacts, request: Request) -> Due:
    return Due(table, Why.ASKED, 0, 0, for_vacuum=request.vacuum and not table.is_parent)


def _names(table: TableFacts, by_oid: dict[int, TableFacts]) -> Iterator[QualifiedName]:
    yield table.relation
    yield from (above.relation for above in ancestors(table, by_oid))


def _covered(due: Sequence[Due], seen: StatisticsObservation) -> Collection[int]:
    """Return the OIDs of partitions that the ANALYZE of a parent includes."""
    if has_analyze_only(seen.major):
        return ()
    by_oid = {table.oid: table for table in seen.tables}
    parents = {item.table.oid for item in due if item.table.is_parent}
    return {
        item.table.oid
        for item in due
        if not item.for_vacuum
        and any(above.oid in parents for above in ancestors(item.table, by_oid))
    }


def _branches(due: Sequence[Due], seen: StatisticsObservation) -> dict[int, tuple[str, ...]]:
    """Return, for each parent to analyze, the relations that its ANALYZE reads and locks."""
    if has_analyze_only(seen.major):
        return {}
    by_oid = {table.oid: table for table in seen.tables}
    below: dict[int, list[str]] = {item.table.oid: [] for item in due if item.table.is_parent}
    if below:
        for table in seen.tables:
            for above in ancestors(table, by_oid):
                if above.oid in below:
                    below[above.oid].append(str(table.relation))
    return {oid: tuple(names) for oid, names in below.items()}


def _action(due: Due, seen: StatisticsObservation, branches: tuple[str, ...]) -> Action:
    table = due.table
    return Action(
        kind=ActionKind.VACUUM_TABLE if due.for_vacuum else ActionKind.ANALYZE_TABLE,
        object=str(table.relation),
        table=str(table.relation),
        steps=(_step(due, seen),),
        reason=_reason(due),
        preconditions={"oid": table.oid, "parent": table.is_parent},
        branches=branches,
    )


def _step(due: Due, seen: StatisticsObservation) -> Step:
    name = str(due.table.relation)
    if due.for_vacuum:
        # Without TRUNCATE it never takes ACCESS EXCLUSIVE, which would block readers.
        freeze = "FREEZE, " if due.why is Why.FREEZE else ""
        statement = f"VACUUM ({freeze}ANALYZE, TRUNCATE false) {name}"
    else:
        alone = due.table.is_parent and has_analyze_only(seen.major)
        statement = f"ANALYZE {'ONLY ' if alone else ''}{name}"
    lock = Lock(name, LockMode.SHARE_UPDATE_EXCLUSIVE)
    return Step(statements=(statement,), locks=(lock,), concurrent=True)


def _reason(due: Due) -> str:
    value, threshold = f"{due.value:,.0f}", f"{due.threshold:,.0f}"
    if due.why is Why.ASKED:
        return "asked for by hand"
    if due.why is Why.FREEZE:
        return f"freeze: transaction age {value}, limit {threshold}"
    if due.why is Why.DEAD:
        return f"dead rows: {value}, limit {threshold}"
    if due.why is Why.MISSING:
        return "never analyzed: the planner guesses"
    below = " below it" if due.table.is_parent else ""
    return f"changed: {value} rows{below} since its last ANALYZE, limit {threshold}"


def _skips(due: Sequence[Due], seen: StatisticsObservation) -> Iterator[Skip]:
    for item in due:
        kind = ActionKind.VACUUM_TABLE if item.for_vacuum else ActionKind.ANALYZE_TABLE
        if item.why is Why.ASKED and item.table.oid in seen.foreign:
            (foreign, *_) = seen.foreign[item.table.oid]
            reason = f"ANALYZE would read {foreign.relation} on the foreign server {foreign.server}"
            yield Skip(kind, str(item.table.relation), reason)
        elif item.table.autovacuum_pid is not None and item.table.permitted:
            reason = f"autovacuum (pid {item.table.autovacuum_pid}) is working on it"
            yield Skip(kind, str(item.table.relation), reason)
