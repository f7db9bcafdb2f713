"""Read the usage counters of the primary and of every replica."""

from datetime import timedelta

from maintenance.engine.target import Target
from maintenance.server.capabilities import has_last_scan, major_of
from maintenance.server.replicas import ask_replicas
from maintenance.server.session import Connection, fetch, read_transaction
from maintenance.subjects.indexes.usage import Count, Epoch, ServerUsage, Usage

DOING = "reading the use of indexes"


def read_usage(connection: Connection, time_cap: timedelta) -> Usage:
    """Read one server's counters.

    Raises:
        MaintenanceError: the server refused a query, or a query exceeded the time cap.
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
        {row.oid: Count(row.scans, row.last_scan_at, row.reset_at) for row in rows},
        knows_last_scan=has_last_scan(major_of(connection.info.server_version)),
        is_counting=whose.is_counting,
    )


def witnesses(connection: Connection, target: Target) -> tuple[ServerUsage, ...]:
    """Read the counters of the primary and every replica; usage is None if one does not answer.

    Raises:
        UsageError: the variable of a required replica is not set.
        MaintenanceError: the primary's counters could not be read.
    """
    policy = target.policy
    time_cap = policy.observe.time_cap
    primary = ServerUsage("primary", read_usage(connection, time_cap))
    answers = ask_replicas(
        connection, policy, target.resolve, "indexes", lambda replica: read_usage(replica, time_cap)
    )
    return primary, *(
        ServerUsage(a.name, a.result, silence=a.silence, reason=a.reason) for a in answers
    )
