"""Planning retention: what has expired goes, oldest first, never more than the fuse allows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from maintenance.catalog.models import Snapshot, Table
from maintenance.ddl.detach import detach, finalize
from maintenance.ddl.guards import still_detached
from maintenance.ddl.marks import DETACHED_FROM, NOW, marked, stamp
from maintenance.engine.actions import Action, ActionKind, Lock, LockMode, Step
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.plans import Plan, join
from maintenance.engine.requests import Request
from maintenance.keys import FUTURE, PAST
from maintenance.names import QualifiedName
from maintenance.partitioning.coverage import codec_of, coverage_of, read_bound
from maintenance.partitioning.expiry import (
    Detached,
    Expired,
    detached,
    expired,
    grace_over,
    label,
)
from maintenance.partitioning.fitness import unfit
from maintenance.policy import PartitionPolicy, Policy, RetentionPolicy
from maintenance.sizes import readable_size

Facts = dict[str, object]

MAX_CLOCK_SKEW = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Case:
    """One table whose policy has a retention."""

    policy: PartitionPolicy
    retention: RetentionPolicy
    table: Table
    comments: dict[int, str]
    now: datetime

    @property
    def name(self) -> str:
        """The table's name as PostgreSQL quotes it."""
        return str(self.table.relation)

    @property
    def drops(self) -> bool:
        """Whether tables are dropped in the end."""
        return self.retention.action in ("drop", "archive_then_drop")

    @property
    def archives(self) -> bool:
        """Whether they are archived before."""
        return self.retention.action == "archive_then_drop"


def plan(policy: Policy, snapshot: Snapshot, now: datetime, request: Request) -> Plan:
    """Plan the retention of every table of the policy that has one.

    A server whose clock differs from ours by more than a minute is left alone: what has expired
    is not known. A table that is unfit is another subject's finding, and is left alone too.
    """
    fit = [
        section
        for section in policy.partitions
        if request.concerns(section.table) and unfit(section, snapshot) is None
    ]
    if request.periods:
        return join(_archive_asked(section, snapshot, now, request.periods) for section in fit)
    return join(_plan_table(section, snapshot, now, request.max_per_run) for section in fit)


def _archive_asked(
    section: PartitionPolicy, snapshot: Snapshot, now: datetime, keys: Sequence[str]
) -> Plan:
    """Archive the periods that somebody asks for; nothing is retired."""
    retention = section.retention
    if retention is None or retention.archive is None:
        return Plan()
    table = snapshot.tables[section.table]
    case = Case(section, retention, table, {}, now)
    spans = coverage_of(table.partitions, codec_of(section, table)).spans
    return Plan(
        actions=tuple(
            _archive(
                case, span.partition.relation, span.partition.oid, str(span.partition.bound), key
            )
            for span in spans
            if (key := label(section, span)) in keys
        )
    )


def _plan_table(
    section: PartitionPolicy, snapshot: Snapshot, now: datetime, fuse: int | None
) -> Plan:
    table = snapshot.tables[section.table]
    pending = tuple(_pending(table))
    retention = section.retention
    if retention is None or retention.action == "keep":
        return Plan(actions=pending)
    if fuse is not None:
        retention = retention.model_copy(update={"max_per_run": fuse})
    comments = {marked.oid: marked.comment for marked in snapshot.marked}
    case = Case(section, retention, table, comments, now)
    due = expired(section, retention, snapshot, now)
    if abs(snapshot.server.clock_skew_s) > MAX_CLOCK_SKEW.total_seconds():
        return Plan(actions=pending, findings=tuple(_clock_refused(case, due)))
    ended = {int(action.preconditions["oid"]): action.id for action in pending}
    left = list(_left_over(case, snapshot, ended)) if case.drops else []
    free = [item for item in due if item.held is None and not table.referenced_by]
    room = max(retention.max_per_run - len(left), 0)
    going = free[:room]
    actions = [
        *(_finish(case, item, ended) for item in left[: retention.max_per_run]),
        *(action for item in going for action in _retire(case, item)),
    ]
    findings = _findings(case, due, n_wanted=len(free) + len(left), n_going=len(going) + len(left))
    return Plan(
        actions=(*pending, *actions), findings=(*findings, *_stranded(case, snapshot, ended))
    )


def _pending(table: Table) -> Iterator[Action]:
    """End detaches that somebody or something interrupted: at most one is pending a parent."""
    for child in table.partitions:
        if child.detach_pending:
            yield Action(
                kind=ActionKind.FINALIZE_DETACH,
                object=str(child.relation),
                table=str(table.relation),
                steps=(finalize(table.relation, child.relation),),
                reason="its detach was interrupted: rows are invisible, inserts of its range fail",
                preconditions={"oid": child.oid},
            )


def _left_over(case: Case, snapshot: Snapshot, ended: Mapping[int, str]) -> Iterator[Detached]:
    """Yield tables that an earlier run detached, or whose detach this run ends."""
    for item in detached(case.policy, snapshot, ended):
        if grace_over(case.policy, case.retention, item.at, case.now):
            yield item


def _retire(case: Case, item: Expired) -> Iterator[Action]:
    """Yield what takes one partition from attached to gone, as far as this run may go."""
    child = item.span.partition
    period = label(case.policy, item.span)
    facts = _facts(case, child.oid, item.bound)
    after: tuple[str, ...] = ()
    if case.archives:
        archive = _archive(case, child.relation, child.oid, item.bound, period)
        yield archive
        after = (archive.id,)
    mark = marked(
        case.comments.get(child.oid),
        {
            DETACHED_FROM: case.name,
            "bound": item.bound,
            "period": period,
            "at": NOW,
        },
    )
    steps = detach(case.table, child, stamp(child.relation, mark))
    detachment = _action(
        case, ActionKind.DETACH_PARTITION, child.relation, period, facts, steps, after
    )
    yield detachment
    if case.drops and not (case.retention.grace.months or case.retention.grace.days):
        yield _drop(case, child.relation, child.oid, item.bound, period, (detachment.id,))


def _finish(case: Case, item: Detached, ended: Mapping[int, str]) -> Action:
    """Return the drop of a table that is detached, or will be when its detach is ended."""
    table = item.table
    after = (ended[table.oid],) if table.oid in ended else ()
    return _drop(case, table.relation, table.oid, item.bound, item.period, after)


def _drop(
    case: Case,
    relation: QualifiedName,
    oid: int,
    bound: str,
    period: str,
    after: tuple[str, ...],
) -> Action:
    lock = Lock(str(relation), LockMode.ACCESS_EXCLUSIVE)
    step = Step(statements=(still_detached(relation, oid), f"DROP TABLE {relation}"), locks=(lock,))
    facts = _facts(case, oid, bound) | {"archived": case.archives}
    return _action(case, ActionKind.DROP_PARTITION, relation, period, facts, (step,), after)


def _facts(case: Case, oid: int, bound: str) -> Facts:
    """Return what must still be so of a table, and what its archive will say of it."""
    try:
        lower, upper = read_bound(bound, codec_of(case.policy, case.table))
    except ValueError:
        lower, upper = PAST, FUTURE
    return {
        "oid": oid,
        "bound": bound,
        "key": case.policy.column,
        "lower": lower.isoformat() if lower > PAST else None,
        "upper": upper.isoformat() if upper < FUTURE else None,
    }


def _archive(case: Case, relation: QualifiedName, oid: int, bound: str, period: str) -> Action:
    step = Step(statements=(f"COPY {relation} TO STDOUT",))
    facts = _facts(case, oid, bound)
    kind = ActionKind.ARCHIVE_PARTITION
    return _action(case, kind, relation, period, facts, (step,))


def _action(
    case: Case,
    kind: ActionKind,
    relation: QualifiedName,
    period: str,
    facts: Facts,
    steps: tuple[Step, ...],
    after: tuple[str, ...] = (),
) -> Action:
    return Action(
        kind=kind,
        object=str(relation),
        table=case.name,
        period=period,
        steps=steps,
        reason=f"expired: {case.retention.keep} are kept",
        destructive=kind is not ActionKind.ARCHIVE_PARTITION,
        after=after,
        preconditions=facts,
    )


def _findings(
    case: Case, due: Sequence[Expired], *, n_wanted: int, n_going: int
) -> Iterator[Finding]:
    held = [item for item in due if item.held is not None]
    if held:
        reasons = ", ".join(f"{item.relation} ({item.held})" for item in held)
        yield _finding(
            case,
            FindingKind.RETENTION_HELD,
            Severity.INFO,
            f"expired and held: {reasons}",
            value=len(held),
        )
    free = [item for item in due if item.held is None]
    if free and case.table.referenced_by:
        others = ", ".join(str(name) for name in case.table.referenced_by)
        yield _finding(
            case,
            FindingKind.RETENTION_DUE,
            Severity.WARN,
            f"{len(free)} partitions have expired and must stay: foreign keys of {others} point"
            " to this table; drop those keys, or give this table no retention",
            value=len(free),
        )
    elif free:
        yield _finding(
            case,
            FindingKind.RETENTION_DUE,
            Severity.INFO,
            f"{len(free)} partitions have expired, the oldest is {free[0].relation}",
            value=len(free),
        )
    if n_wanted > n_going:
        yield _finding(
            case,
            FindingKind.RETENTION_FUSE,
            Severity.WARN,
            f"{n_wanted} partitions are due and max_per_run is {case.retention.max_per_run};"
            f" the others wait for later runs",
            value=n_wanted,
            threshold=case.retention.max_per_run,
        )


def _stranded(case: Case, snapshot: Snapshot, ended: Mapping[int, str]) -> Iterator[Finding]:
    """Report tables that this software detached and will not drop."""
    if case.drops:
        return
    for item in detached(case.policy, snapshot, ended):
        name = str(item.table.relation)
        yield Finding(
            FindingKind.STRANDED_TABLE,
            Severity.INFO,
            name,
            f"{name}: detached from {case.name} on {item.at:%Y-%m-%d}, held"
            f" {readable_size(item.table.pages * 8192)}; archive it, drop it or attach it again",
            value=(case.now - item.at).days,
        )


def _clock_refused(case: Case, due: Sequence[Expired]) -> Iterator[Finding]:
    if due:
        yield _finding(
            case,
            FindingKind.RETENTION_DUE,
            Severity.WARN,
            f"{len(due)} partitions look expired and stay: the server's clock and ours differ"
            " by more than a minute",
            value=len(due),
        )


def _finding(
    case: Case,
    kind: FindingKind,
    severity: Severity,
    text: str,
    *,
    value: float,
    threshold: float = 0,
) -> Finding:
    return Finding(kind, severity, case.name, f"{case.name}: {text}", value, threshold)
