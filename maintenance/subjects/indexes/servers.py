"""Reading the counters of the primary and of every replica."""

from collections.abc import Mapping
from datetime import timedelta

from maintenance.policy import Policy
from maintenance.server.capabilities import has_last_scan, major_of
from maintenance.server.replicas import ask_replicas
from maintenance.server.session import Connection, fetch, read_transaction
from maintenance.subjects.indexes.usage import Count, Epoch, ServerUsage, Usage

DOING = "reading the use of indexes"


def read_usage(connection: Connection, time_cap: timedelta) -> Usage:
    """Read one server's counters.

    Raises:
        MaintenanceError: the server refused a query, or a query outlasted the cap.
    """
    with read_transaction(connection, time_cap, DOING):
        (whose,) = fetch(connection, "indexes", "describe_counters")
        rows = fetch(connection, "indexes", "list_usage")
    epoch = Epoch(
        whose.system_identifier, whose.timeline, whose.database_reset_at, whose.server_reset_at
    )
    return Usage(
        epoch,
        whose.taken_at,
        {row.oid: Count(row.scans, row.last_scan_at) for row in rows},
        knows_last_scan=has_last_scan(major_of(connection.info.server_version)),
        is_counting=whose.is_counting,
    )


def witnesses(
    connection: Connection, policy: Policy, environ: Mapping[str, str]
) -> tuple[ServerUsage, ...]:
    """Ask the primary and every replica; one that does not answer is a silent witness.

    Raises:
        UsageError: a replica's variable is not set, and the policy calls for it.
        MaintenanceError: the primary's counters could not be read.
    """
    time_cap = policy.observe.time_cap
    primary = ServerUsage("primary", read_usage(connection, time_cap))
    answers = ask_replicas(
        connection, policy, environ, "indexes", lambda replica: read_usage(replica, time_cap)
    )
    return primary, *(
        ServerUsage(a.name, a.told, silence=a.silence, reason=a.reason) for a in answers
    )
