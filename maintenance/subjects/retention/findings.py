"""Findings about the retention of a table."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from maintenance.catalog.history import History
from maintenance.catalog.models import MarkedTable
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.formatting import PAGE_BYTES, counted_noun, listed, readable_size
from maintenance.names import QualifiedName
from maintenance.partition_key import Encoding
from maintenance.partition_set.expiry import Detached, Expired
from maintenance.subjects.retention.batch import Choice, Kept
from maintenance.subjects.retention.contents import total
from maintenance.subjects.retention.models import Case, RetentionTarget, detached_target

SHOWN = 5


def due_findings(case: Case, due: Sequence[Expired], kept: Sequence[Kept]) -> Iterator[Finding]:
    """Yield findings about expired partitions: due, held by the policy, or blocked."""
    held = [item for item in due if item.held is not None]
    if held:
        reasons = ", ".join(f"{item.relation} ({item.held})" for item in held)
        text = f"expired, but held by the policy, so not retired: {reasons}"
        data = {"partitions": [str(item.relation) for item in held]}
        yield _finding(case, FindingKind.RETENTION_HELD, Severity.INFO, text, len(held), data=data)
    free = [item for item in due if item.held is None]
    if not free and not kept:
        return
    must_stay = [each for each in kept if not each.waits and not each.guarded]
    guarded = [each for each in kept if each.guarded and not each.is_ordinary]
    held_by = total([case.held_by(case.attached(item)) for item in free])
    parts = [f"{_expired(len(free))} ({held_by}); the oldest is {free[0].relation}"] if free else []
    if must_stay:
        todo = "remove what blocks them, or remove retention of this table from the policy"
        parts.append(f"{len(must_stay)} can't be retired: {_listed(must_stay)}; {todo}")
    if guarded:
        parts.append(
            f"{len(guarded)} are not retired because they may be in use: {_listed(guarded)};"
            " check encoding, interval, time_zone and keep of this table in the policy"
        )
    ordinary = (each for each in kept if each.is_ordinary)
    parts.extend(f"{each.relation} is not retired: {each.text}" for each in ordinary)
    if waiting := [each for each in kept if each.waits]:
        parts.append(
            f"{len(waiting)} are retired after the partitions that reference them:"
            f" {_listed(waiting)}"
        )
    severity = Severity.WARN if must_stay or guarded else Severity.INFO
    text = "; ".join(parts)
    data = {
        "partitions": [str(item.relation) for item in free],
        "kept": [each.as_json() for each in kept],
        **held_by.as_json(),
    }
    n_due = max(len(free), len(kept))
    yield _finding(case, FindingKind.RETENTION_DUE, severity, text, n_due, data=data)


def _listed(kept: Sequence[Kept]) -> str:
    return listed((f"{each.relation} ({each.text})" for each in kept), SHOWN)


def fuse_finding(case: Case, n_due: int) -> Iterator[Finding]:
    """Yield a warning if more partitions are due than one run may retire."""
    most = case.retention.max_per_run
    if n_due > most:
        text = f"{n_due} partitions are due and max_per_run is {most}; later runs retire the others"
        yield _finding(case, FindingKind.RETENTION_FUSE, Severity.WARN, text, n_due, most)


def unapproved_finding(case: Case, choice: Choice) -> Iterator[Finding]:
    """Yield a warning if a schedule would retire partitions of a table, but for the approval.

    Value is the number of due partitions. Rows (an estimate of the catalog) and bytes are of those
    that one run retires; None if unknown for one of them.

    Args:
        case: the table.
        choice: what the next run would retire.
    """
    going = [*choice.finishing, *(each.item for each in choice.leaving)]
    if not going:
        return
    targets = [_target(case, item) for item in going]
    periods = sorted({target.period for target in targets})
    held_by = total([case.held_by(target) for target in targets])
    span = periods[0] if len(periods) == 1 else f"{periods[0]} to {periods[-1]}"
    command = f"maintenance approve --table '{case.name}'"
    what = f"{_DOES[case.retention.action]} {len(going)} of {choice.n_due} due partitions"
    text = (
        f"retention is held until approved: by schedule, the next run would {what}"
        f" ({span}; {held_by}). If that is right: {command}."
        " If not, correct the policy"
    )
    data = {
        "action": case.retention.action,
        "keep": case.retention.kept_for,
        "partitions": [str(target.relation) for target in targets],
        "periods": periods,
        "rows": held_by.rows,
        "bytes": held_by.size_bytes,
        "oldest": held_by.oldest,
        "newest": held_by.newest,
        "command": command,
    }
    kind, n_due = FindingKind.RETENTION_UNAPPROVED, choice.n_due
    yield _finding(case, kind, Severity.WARN, text, n_due, data=data)


def _expired(n: int) -> str:
    return f"{counted_noun(n, 'partition')} {'has' if n == 1 else 'have'} expired"


_DOES = {"detach": "detach", "drop": "drop", "archive_then_drop": "archive and drop"}


def _target(case: Case, item: Detached | Expired) -> RetentionTarget:
    return detached_target(item) if isinstance(item, Detached) else case.attached(item)


def everything_finding(case: Case, free: Sequence[Expired], *, withheld: bool) -> Finding:
    """Return the warning that a first retirement leaves a table without partitions or rows.

    Args:
        case: the table.
        free: the partitions that may go, oldest first.
        withheld: whether they are not retired.
    """
    n_free, oldest, newest = len(free), free[0].relation, free[-1].relation
    most = case.retention.max_per_run
    if withheld:
        what = "Nothing is retired. Check encoding, interval and keep"
    else:
        what = f"The next run archives and drops them, at most {most} per run. Check keep"
    others = "no other partition holds rows, so a first retirement removes every row"
    if case.table.default_has_rows:
        others = (
            "only the default partition holds other rows, so a first retirement removes the rest"
        )
    text = (
        f"{_expired(n_free)}, from {oldest} to {newest}, and {others} of this table. {what}"
        f" ({case.retention.kept_for}) in the policy. {_remedy(case, withheld=withheld)}"
    )
    return Finding(
        FindingKind.RETENTION_FUSE,
        Severity.WARN,
        case.name,
        f"{case.name}: {text}",
        n_free,
        most,
        data={
            "everything": True,
            "withheld": withheld,
            "partitions": [str(item.relation) for item in free[:100]],
        },
    )


def _remedy(case: Case, *, withheld: bool) -> str:
    if not withheld:
        return "If it is wrong, correct it now; what was dropped can be restored from its archive"
    if case.archives and case.policy.encoding is Encoding.NATIVE:
        return (
            "If the policy is wrong, correct it now: the key is native and the action is"
            " archive_then_drop, so once new partitions exist the next run archives and drops the"
            f" expired ones, at most {case.retention.max_per_run} per run"
        )
    return "If the rows must be removed, detach or drop the oldest partition by hand"


def unarchived_findings(relations: Iterable[QualifiedName], history: History) -> Iterator[Finding]:
    """Yield the due tables whose latest archiving attempt failed.

    Observations don't read archives, so the finding remains until a run has archived the table.
    """
    for relation in relations:
        error = history.unarchived.get(str(relation))
        if error is not None:
            yield Finding(
                FindingKind.ARCHIVE_UNVERIFIED,
                Severity.ERROR,
                str(relation),
                f"{relation}: not dropped, because the last attempt to archive it failed: {error}",
            )


def clocks_differ(case: Case, due: Sequence[Expired]) -> Iterator[Finding]:
    """Yield a warning if nothing is retired because the clocks differ."""
    if due:
        text = (
            "retention skipped: clock skew between the server and this host exceeds 1 minute;"
            f" {len(due)} partitions seem expired"
        )
        data = {"reason": "clock_skew"}
        yield _finding(case, FindingKind.RETENTION_DUE, Severity.WARN, text, len(due), data=data)


def stranded(case: Case, tables: Sequence[Detached], history: History) -> Iterator[Finding]:
    """Yield a finding for each table that this software detached and will not drop."""
    for item in tables:
        name = str(item.table.relation)
        size = readable_size(item.table.pages * PAGE_BYTES)
        yield Finding(
            FindingKind.STRANDED_TABLE,
            Severity.INFO,
            name,
            f"{name}: detached from {case.name} on {item.at:%Y-%m-%d}, {size}, and not dropped."
            f" Archive it, drop it or attach it again; {history.origin(name)}",
            value=(case.now - item.at).days,
            data={"table": case.name, "origin": history.origin(name)},
        )


def unproven_findings(case: Case, tables: Iterable[tuple[MarkedTable, str]]) -> Iterator[Finding]:
    """Yield the tables that only their comment marks as detached: they are not dropped."""
    for table, reason in tables:
        name = str(table.relation)
        yield Finding(
            FindingKind.RETENTION_HELD,
            Severity.WARN,
            name,
            f"{name}: neither archived nor dropped: its comment says that it was detached from"
            f" {case.name}, but {reason}. If it was a partition of that table, archive and drop it"
            f" by hand. Otherwise remove the comment: COMMENT ON TABLE {name} IS NULL",
            data={"table": case.name, "reason": reason},
        )


def _finding(
    case: Case,
    kind: FindingKind,
    severity: Severity,
    text: str,
    value: float,
    threshold: float = 0,
    data: Mapping[str, Any] | None = None,
) -> Finding:
    return Finding(kind, severity, case.name, f"{case.name}: {text}", value, threshold, data or {})
