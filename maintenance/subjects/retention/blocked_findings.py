"""Findings about expired partitions that can't be retired: foreign tables, unreadable rows."""

from collections.abc import Iterator, Mapping, Sequence

from maintenance.catalog.models import Obstacle, Snapshot
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.names import QualifiedName, quote
from maintenance.partition_set.bounds import codec_of, coverage_of
from maintenance.partition_set.expiry import cutoff
from maintenance.subjects.retention.models import Case


def foreign_findings(case: Case) -> Iterator[Finding]:
    """Yield a finding for each expired partition that is a foreign table."""
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
            "expired, but not retired: it is a foreign table and its rows are on another server."
            f" Archive and delete the rows there, then run {'; '.join(statements)}",
            {"statements": statements, "obstacle": Obstacle.FOREIGN.value},
        )


def unreadable_findings(
    case: Case,
    due: Sequence[tuple[int, QualifiedName]],
    unreadable: Mapping[int, Obstacle],
    snapshot: Snapshot,
) -> Iterator[Finding]:
    """Yield a finding for each due table that can't be archived because its rows are unreadable.

    Args:
        case: the table that they are or were partitions of.
        due: OIDs and names of what would be archived.
        unreadable: the obstacle to reading the rows, by OID.
        snapshot: has the name of our role.
    """
    role = quote(snapshot.server.role)
    for oid, relation in due:
        obstacle = unreadable.get(oid)
        if obstacle is Obstacle.ROW_SECURITY:
            fact = f"row security hides its rows from role {role}"
            remedy = f"ALTER ROLE {role} BYPASSRLS"
        elif obstacle is not None:
            fact = f"role {role} has no SELECT privilege on it"
            remedy = f"GRANT SELECT ON {relation} TO {role}"
        else:
            continue
        yield _finding(
            case,
            relation,
            f"expired, but not retired because it can't be archived: {fact}. Run {remedy}",
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
