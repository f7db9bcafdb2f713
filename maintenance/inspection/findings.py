"""Findings about objects that a policy does not name, or that another program maintains too."""

from collections.abc import Iterator

from maintenance.catalog.partman import Partman
from maintenance.engine.findings import PARTITIONS, Finding, FindingKind, Severity
from maintenance.names import QualifiedName, quote
from maintenance.policy import Policy


def partman_findings(policy: Policy, partman: Partman, role: str) -> Iterator[Finding]:
    """Yield a finding for each table of a policy that pg_partman maintains by itself.

    Args:
        policy: of the database.
        partman: what pg_partman maintains there.
        role: of our session.
    """
    for section in policy.partitions:
        found = partman.tables.get(section.table)
        if found is None or not found.is_automatic:
            continue
        removes = (
            f", and it removes partitions after {found.retention} without an archive"
            if found.retention is not None
            else ""
        )
        name = str(section.table)
        yield Finding(
            FindingKind.PARTMAN_ACTIVE,
            Severity.WARN,
            name,
            f"{name}: pg_partman maintains it too{removes}. Run {found.switch_off}",
            data={
                "config": str(found.config),
                "retention": found.retention,
                "statements": [found.switch_off],
            },
            subject=PARTITIONS,
        )
    if policy.partitions:
        yield from _unreadable(policy, partman, role)


def _unreadable(policy: Policy, partman: Partman, role: str) -> Iterator[Finding]:
    name = policy.database.name
    for config in partman.unreadable:
        grants = grants_to_read(config, role)
        yield Finding(
            FindingKind.PARTMAN_ACTIVE,
            Severity.INFO,
            f"{name}/{config}",
            f"{name}: {config} can't be read, so it is unknown whether pg_partman maintains tables"
            f" of this policy too: run {'; '.join(grants)}",
            data={"grants": grants},
            subject=PARTITIONS,
        )


def grants_to_read(relation: QualifiedName, role: str) -> list[str]:
    """Return the statements by which a role may read a table."""
    return [
        f"GRANT USAGE ON SCHEMA {quote(relation.schema)} TO {quote(role)}",
        f"GRANT SELECT ON {relation} TO {quote(role)}",
    ]
