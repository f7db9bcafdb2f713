"""What the owner should know about a table's retention."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from maintenance.catalog.history import History
from maintenance.catalog.models import MarkedTable
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.formatting import PAGE_BYTES, listed, readable_size
from maintenance.names import QualifiedName
from maintenance.partition_set.expiry import Detached, Expired
from maintenance.subjects.retention.models import Case
from maintenance.subjects.retention.selection import Kept

SHOWN = 5


def due_findings(case: Case, due: Sequence[Expired], kept: Sequence[Kept]) -> Iterator[Finding]:
    """Yield what has expired: to go, held, or kept by what stands on it or points to it."""
    held = [item for item in due if item.held is not None]
    if held:
        reasons = ", ".join(f"{item.relation} ({item.held})" for item in held)
        text = f"expired and held: {reasons}"
        data = {"partitions": [str(item.relation) for item in held]}
        yield _finding(case, FindingKind.RETENTION_HELD, Severity.INFO, text, len(held), data=data)
    free = [item for item in due if item.held is None]
    if not free and not kept:
        return
    must_stay = [each for each in kept if not each.waits and not each.guarded]
    guarded = [each for each in kept if each.guarded and not each.is_ordinary]
    parts = (
        [f"{len(free)} partitions have expired, the oldest is {free[0].relation}"] if free else []
    )
    if must_stay:
        todo = "drop what keeps them, or give this table no retention"
        parts.append(f"{len(must_stay)} must stay: {_listed(must_stay)}; {todo}")
    if guarded:
        parts.append(
            f"{len(guarded)} stay because they may be in use: {_listed(guarded)}; check encoding,"
            " interval, time_zone and keep of this table in the policy"
        )
    parts.extend(f"{each.relation} stays: {each.text}" for each in kept if each.is_ordinary)
    if waiting := [each for each in kept if each.waits]:
        parts.append(f"{len(waiting)} wait until those have gone: {_listed(waiting)}")
    severity = Severity.WARN if must_stay or guarded else Severity.INFO
    text = "; ".join(parts)
    data = {
        "partitions": [str(item.relation) for item in free],
        "kept": [each.as_json() for each in kept],
    }
    n_due = max(len(free), len(kept))
    yield _finding(case, FindingKind.RETENTION_DUE, severity, text, n_due, data=data)


def _listed(kept: Sequence[Kept]) -> str:
    return listed((f"{each.relation} ({each.text})" for each in kept), SHOWN)


def fuse_finding(case: Case, n_due: int) -> Iterator[Finding]:
    """Yield a warning where more is due than one run may retire."""
    most = case.retention.max_per_run
    if n_due > most:
        text = f"{n_due} partitions are due and max_per_run is {most}; the others wait for later"
        yield _finding(case, FindingKind.RETENTION_FUSE, Severity.WARN, f"{text} runs", n_due, most)


def everything_finding(case: Case, free: Sequence[Expired]) -> Finding:
    """Return the warning that a first run would leave a table without partitions or rows."""
    n_free, oldest, newest = len(free), free[0].relation, free[-1].relation
    text = (
        f"{n_free} partitions from {oldest} to {newest} have expired, and no other holds a row:"
        " the first run would retire every row of this table, so nothing is retired;"
        f" check encoding, interval and keep ({case.retention.keep}) in the policy; if the rows"
        " shall go, detach or drop the oldest partition by hand"
    )
    most = case.retention.max_per_run
    return Finding(
        FindingKind.RETENTION_FUSE,
        Severity.WARN,
        case.name,
        f"{case.name}: {text}",
        n_free,
        most,
        data={"everything": True, "partitions": [str(item.relation) for item in free[:100]]},
    )


def unarchived_findings(relations: Iterable[QualifiedName], history: History) -> Iterator[Finding]:
    """Yield the tables that are due and that the newest try could not archive.

    No look reads archives, so what the run found stands until a run has archived the table.
    """
    for relation in relations:
        error = history.unarchived.get(str(relation))
        if error is not None:
            yield Finding(
                FindingKind.ARCHIVE_UNVERIFIED,
                Severity.ERROR,
                str(relation),
                f"{relation}: the last try to archive it failed, so it stays: {error}",
            )


def clocks_differ(case: Case, due: Sequence[Expired]) -> Iterator[Finding]:
    """Yield a warning where nothing is retired because the time is not known."""
    if due:
        text = (
            f"{len(due)} partitions look expired and stay: the server's clock and ours differ by"
            " more than a minute"
        )
        data = {"reason": "clock_skew"}
        yield _finding(case, FindingKind.RETENTION_DUE, Severity.WARN, text, len(due), data=data)


def stranded(case: Case, tables: Sequence[Detached], history: History) -> Iterator[Finding]:
    """Yield the tables that this software detached and will not drop."""
    for item in tables:
        name = str(item.table.relation)
        size = readable_size(item.table.pages * PAGE_BYTES)
        yield Finding(
            FindingKind.STRANDED_TABLE,
            Severity.INFO,
            name,
            f"{name}: detached from {case.name} on {item.at:%Y-%m-%d}, {size}; archive it, drop it"
            f" or attach it again; {history.origin(name)}",
            value=(case.now - item.at).days,
            data={"table": case.name, "origin": history.origin(name)},
        )


def unproven_findings(case: Case, tables: Iterable[tuple[MarkedTable, str]]) -> Iterator[Finding]:
    """Yield the tables whose comment alone says that they were detached: they are left alone."""
    for table, reason in tables:
        name = str(table.relation)
        yield Finding(
            FindingKind.RETENTION_HELD,
            Severity.WARN,
            name,
            f"{name}: its comment says that it was detached from {case.name}, but {reason}; it is"
            " neither archived nor dropped. If it was a partition of that table, archive and drop"
            f" it by hand; else remove the comment: COMMENT ON TABLE {name} IS NULL",
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
