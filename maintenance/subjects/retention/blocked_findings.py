"""Expired partitions that retention can't retire: foreign tables, and rows that we can't read."""

from collections.abc import Iterator, Mapping, Sequence

from maintenance.catalog.models import Obstacle, Snapshot
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.names import QualifiedName, quote
from maintenance.partition_set.bounds import codec_of, coverage_of
from maintenance.partition_set.expiry import cutoff
from maintenance.subjects.retention.models import Case


def foreign_findings(case: Case) -> Iterator[Finding]:
    """Yield the expired partitions that lie on other servers, each by its name."""
    codec = codec_of(case.policy, case.table)
    foreign = [p for p in case.table.partitions if p.kind == "f" and not p.detach_pending]
    spans = coverage_of(foreign, codec).spans
    limit = cutoff(case.retention, case.policy, case.now)
    held = [period.bounds(codec.calendar) for period in case.retention.hold]
    for span in spans:
        is_held = any(lower < span.upper and span.lower < upper for lower, upper in held)
        if codec.last_moment(span.upper) > limit or is_held:
            continue
        name = str(span.partition.relation)
        statements = [
            f"ALTER TABLE {case.name} DETACH PARTITION {name}",
            f"DROP FOREIGN TABLE {name}",
        ]
        yield _finding(
            case,
            span.partition.relation,
            "expired, and stays: it is a foreign table, whose rows lie on another server;"
            f" retire them there, then {'; '.join(statements)}",
            {"statements": statements, "obstacle": Obstacle.FOREIGN.value},
        )


def unreadable_findings(
    case: Case,
    due: Sequence[tuple[int, QualifiedName]],
    unreadable: Mapping[int, Obstacle],
    snapshot: Snapshot,
) -> Iterator[Finding]:
    """Yield the tables that can't be archived, since their rows can't be read.

    Args:
        case: the table that they are or were partitions of.
        due: OIDs and names of what would be archived.
        unreadable: what keeps us from rows, by OID.
        snapshot: says who we are.
    """
    role = quote(snapshot.server.role)
    for oid, relation in due:
        obstacle = unreadable.get(oid)
        if obstacle is Obstacle.ROW_SECURITY:
            fact = f"its rows are hidden from role {role} by row security"
            remedy = f"ALTER ROLE {role} BYPASSRLS"
        elif obstacle is not None:
            fact = f"role {role} may not read it"
            remedy = f"GRANT SELECT ON {relation} TO {role}"
        else:
            continue
        yield _finding(
            case,
            relation,
            f"expired, and stays because it can't be archived: {fact}; {remedy}",
            {"statements": [remedy], "obstacle": obstacle.value},
        )


def _finding(case: Case, relation: QualifiedName, text: str, data: Mapping[str, object]) -> Finding:
    return Finding(
        FindingKind.RETENTION_HELD,
        Severity.WARN,
        str(relation),
        f"{relation}: {text}",
        data={"table": case.name, **data},
    )
