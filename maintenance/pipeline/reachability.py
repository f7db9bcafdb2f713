"""Whether a database and its store can be used: one finding for one cause.

Nothing else about a database is known while it can't be reached, so each attempt to
connect is reported by `reachability`: an alert is raised by a failure and resolved by a success.
"""

from collections.abc import Iterator

import psycopg

from maintenance.alerts.models import FindingSet
from maintenance.engine.findings import WORKLOAD, Finding, FindingKind, Severity
from maintenance.engine.target import Target
from maintenance.errors import MaintenanceError, UnreachableError, UsageError
from maintenance.policy import Policy
from maintenance.server.refusals import DISK_FULL, READ_ONLY, REFUSED, TOO_MANY_CONNECTIONS

STANDBY = "standby"
STORE_UNREACHABLE = "store_unreachable"

_KINDS = frozenset({FindingKind.DATABASE_UNREACHABLE})


def reachability(policy: Policy, error: MaintenanceError | None) -> FindingSet:
    """Return what an attempt to use the database says about it.

    Args:
        policy: the policy of the database.
        error: why it can't be used; None if it can.

    Returns:
        A finding `database_unreachable` with the reason as its value, or nothing, which resolves
        it. If the server says that all connections are taken, `connections_saturated` as well.
    """
    name = policy.database.name
    findings = [] if error is None else list(_findings(name, error))
    return FindingSet(name, findings, _KINDS, only=name)


def store_reachability(policy: Policy, error: MaintenanceError | None) -> FindingSet:
    """Return what an attempt to use the store says: about the database, if the store is in it.

    A store in another database has an object of its own, `<db>/store`, since the maintained
    database may be well.
    """
    if policy.store.url is None:
        if error is not None and not error.reason and not isinstance(error, UnreachableError):
            error.reason = STORE_UNREACHABLE  # the server answers; its schema can't be used
        return reachability(policy, error)
    name = policy.database.name
    object_ = f"{name}/store"
    findings = [] if error is None else [_store_finding(object_, error)]
    return FindingSet(name, findings, _KINDS, only=object_)


def probe(on: Policy | Target) -> FindingSet:
    """Connect to the database, and return what that says about it.

    Raises:
        UsageError: an environment variable is missing, or the url is invalid.
    """
    target = Target.of(on)
    policy = target.policy
    try:
        with target.database("probe") as connection:
            refuse_standby(connection)
    except UsageError:
        raise
    except MaintenanceError as exc:
        return reachability(policy, exc)
    return reachability(policy, None)


def refuse_standby(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    """Refuse a server that only replays the WAL of another one.

    Raises:
        UnreachableError: it is a standby.
    """
    row = connection.execute("SELECT pg_catalog.pg_is_in_recovery()").fetchone()
    if row is not None and row[0]:
        raise standby_error()


def standby_error() -> UnreachableError:
    """Return why a standby can't be maintained."""
    return UnreachableError(
        "the server is a standby, wanted the primary",
        hint="set the url to the primary; list standbys under database.replicas",
        reason=STANDBY,
    )


def _findings(name: str, error: MaintenanceError) -> Iterator[Finding]:
    yield _finding(name, error, error.reason or REFUSED)
    if error.reason == TOO_MANY_CONNECTIONS:
        yield Finding(
            FindingKind.CONNECTIONS_SATURATED,
            Severity.ERROR,
            name,
            f"{name}: the server refuses connections, all are in use ({error}); reduce the"
            " application's pools, or use a pooler",
            data={"reason": TOO_MANY_CONNECTIONS},
            subject=WORKLOAD,
        )


def _store_finding(object_: str, error: MaintenanceError) -> Finding:
    cause = error.reason or REFUSED
    reason = cause if cause in (READ_ONLY, DISK_FULL, STANDBY) else STORE_UNREACHABLE
    return _finding(object_, error, reason)


def _finding(object_: str, error: MaintenanceError, reason: str) -> Finding:
    hint = f"; {error.hint}" if error.hint else ""
    return Finding(
        FindingKind.DATABASE_UNREACHABLE,
        Severity.ERROR,
        object_,
        f"{object_}: can't be used ({reason}): {error}{hint}",
        value=reason,
        data={"reason": reason},
    )
