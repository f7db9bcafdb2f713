"""Connections of clients by what they have in common, and those without TLS. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.formatting import listed
from maintenance.policy.thresholds import WorkloadPolicy
from maintenance.subjects.workload.models import OUR_SESSIONS, ConnectionGroup, WorkloadSnapshot

CONNECTIONS = "connections"
"""Key of the fact with all connections, in the JSON of plan, apply and status."""
_SHOWN = 5


def tls_findings(
    database: str, section: WorkloadPolicy, load: WorkloadSnapshot
) -> Iterator[Finding]:
    """Yield that clients are connected over the network without TLS, if the policy requires it.

    What no session does at the moment of the look is not seen.
    """
    if not section.require_tls:
        return
    open_ = [group for group in load.connections if group.is_encrypted is False]
    if open_:
        n = sum(group.n for group in open_)
        yield Finding(
            FindingKind.CONNECTION_WITHOUT_TLS,
            Severity.WARN,
            database,
            f"{database}: {n} connections are not encrypted: {listed(map(_who, open_), _SHOWN)};"
            " set sslmode=require or verify-full in their urls, and hostssl instead of host in"
            " pg_hba.conf",
            value=n,
            threshold=0,
            data={CONNECTIONS: as_json(open_)},
        )


def as_json(groups: Sequence[ConnectionGroup]) -> list[dict[str, Any]]:
    """Return connections as the command line prints them."""
    return [group._asdict() for group in groups]


def _who(group: ConnectionGroup) -> str:
    application = group.application or "no application name"
    ours = ", of this software" if application.startswith(OUR_SESSIONS) else ""
    return f"{group.n} of {group.role} ({application}, {group.client}{ours})"
