"""Planning retention: what has expired goes, oldest first, never more than the fuse allows."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from maintenance.catalog.models import Snapshot
from maintenance.engine.plans import Plan, join
from maintenance.engine.requests import Request
from maintenance.partitioning.coverage import codec_of, coverage_of
from maintenance.partitioning.expiry import Expired, detached, expired, grace_over
from maintenance.partitioning.fitness import unfit
from maintenance.policy import PartitionPolicy, Policy
from maintenance.retention.actions import archive, end_pending, finish, retire, unmark
from maintenance.retention.case import Case, case_of
from maintenance.retention.findings import clocks_differ, due_findings, fuse_finding, stranded

MAX_CLOCK_SKEW = timedelta(minutes=1)


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
    if request.periods or request.archives:
        return join(_archive_asked(section, snapshot, now, request.archives) for section in fit)
    return join(_plan_table(section, snapshot, now, request.max_per_run) for section in fit)


def _archive_asked(
    section: PartitionPolicy, snapshot: Snapshot, now: datetime, keys: Sequence[str]
) -> Plan:
    """Archive the periods that somebody asks for; nothing is retired."""
    retention = section.retention
    if retention is None or retention.archive is None:
        return Plan()
    case = case_of(section, retention, snapshot, now)
    spans = coverage_of(case.table.partitions, codec_of(section, case.table)).spans
    targets = [case.attached(Expired(span, held=None)) for span in spans]
    return Plan(actions=tuple(archive(case, t) for t in targets if t.period in keys))


def _plan_table(
    section: PartitionPolicy, snapshot: Snapshot, now: datetime, fuse: int | None
) -> Plan:
    pending = tuple(end_pending(snapshot.tables[section.table]))
    retention = section.retention
    if retention is None or retention.action == "keep":
        return Plan(actions=pending)
    if fuse is not None:
        retention = retention.model_copy(update={"max_per_run": fuse})
    case = case_of(section, retention, snapshot, now)
    due = expired(section, retention, snapshot, now)
    if abs(snapshot.server.clock_skew_s) > MAX_CLOCK_SKEW.total_seconds():
        return Plan(actions=pending, findings=tuple(clocks_differ(case, due)))
    ended = {int(action.preconditions["oid"]): action.id for action in pending}
    work = _work(case, due, snapshot, ended)
    return Plan(actions=(*pending, *work.actions), findings=work.findings)


def _work(case: Case, due: Sequence[Expired], snapshot: Snapshot, ended: dict[int, str]) -> Plan:
    """Plan what goes: first what earlier runs have detached, then what is still attached."""
    loose = list(detached(case.policy, snapshot, ended))
    left = [
        item
        for item in loose
        if case.drops and grace_over(case.policy, case.retention, item.at, case.now)
    ]
    free = [item for item in due if item.held is None and not case.table.referenced_by]
    most = case.retention.max_per_run
    going = free[: max(most - len(left), 0)]
    unattached = {*ended, *(item.span.partition.oid for item in going)}
    return Plan(
        actions=(
            *unmark(case, unattached),
            *(finish(case, item, ended) for item in left[:most]),
            *(action for item in going for action in retire(case, item)),
        ),
        findings=(
            *due_findings(case, due),
            *fuse_finding(case, len(left) + len(free)),
            *stranded(case, [] if case.drops else loose, snapshot.history),
        ),
    )
