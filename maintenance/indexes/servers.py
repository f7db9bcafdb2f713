"""Reading the counters of the primary and of every replica."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import timedelta

import psycopg

from maintenance.errors import MaintenanceError, UnreachableError, UsageError
from maintenance.indexes.usage import Count, Epoch, Usage, Witness
from maintenance.policy import Policy
from maintenance.policy.references import Url
from maintenance.server.session import Connection, Timeouts, brief, connect, fetch

DOING = "reading the use of indexes"
FIRST_WITH_LAST_SCAN = 160000


def read_usage(connection: Connection, time_cap: timedelta) -> tuple[Usage, int]:
    """Read one server's counters, and the oid of the database there.

    Raises:
        MaintenanceError: the server refused a query, or a query outlasted the cap.
    """
    with brief(connection, time_cap, DOING):
        (whose,) = fetch(connection, "indexes", "describe_counters")
        rows = fetch(connection, "indexes", "list_usage")
    epoch = Epoch(
        whose.system_identifier, whose.timeline, whose.database_reset_at, whose.server_reset_at
    )
    usage = Usage(
        epoch,
        whose.taken_at,
        {row.oid: Count(row.scans, row.last_scan_at) for row in rows},
        knows_last_scan=connection.info.server_version >= FIRST_WITH_LAST_SCAN,
        is_counting=whose.is_counting,
    )
    return usage, whose.database_oid


def witnesses(
    connection: Connection, policy: Policy, environ: Mapping[str, str]
) -> tuple[Witness, ...]:
    """Ask the primary and every replica; one that does not answer is a silent witness.

    Raises:
        UsageError: a replica's variable is not set, and the policy calls for it.
        MaintenanceError: the primary's counters could not be read.
    """
    usage, database_oid = read_usage(connection, policy.observe.time_cap)
    primary = Witness("primary", usage)
    return primary, *_replicas(policy, environ, (usage.epoch.system_identifier, database_oid))


def _replicas(
    policy: Policy, environ: Mapping[str, str], identity: tuple[int, int]
) -> Iterator[Witness]:
    for number, url in enumerate(policy.database.replicas, 1):
        name = url.env or f"replica {number}"
        try:
            usage = _replica(url, policy, environ, identity)
        except UsageError as exc:
            if not policy.database.optional_replicas:
                raise
            yield Witness(name, None, silence=str(exc))
        except MaintenanceError as exc:
            yield Witness(name, None, silence=str(exc))
        else:
            yield Witness(name, usage)


def _replica(
    url: Url, policy: Policy, environ: Mapping[str, str], identity: tuple[int, int]
) -> Usage:
    timeouts = Timeouts(policy.locks.lock_timeout, policy.observe.time_cap)
    address = url.resolve(environ)
    application = f"maintenance indexes {policy.database.name}"
    with closing(connect(address, application=application, timeouts=timeouts)) as connection:
        try:
            usage, database_oid = read_usage(connection, policy.observe.time_cap)
        except psycopg.Error as exc:
            raise UnreachableError(f"{type(exc).__name__} while {DOING}") from exc
    if (usage.epoch.system_identifier, database_oid) != identity:
        raise UnreachableError("it is no replica of this database: another system or database")
    return usage
