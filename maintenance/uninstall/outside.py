"""What an uninstall leaves outside the database, and who removes it."""

from collections.abc import Iterator
from pathlib import Path

from maintenance.archives.location import shown
from maintenance.names import quote
from maintenance.policy import Policy
from maintenance.policy.alerts import RedisStreamSink
from maintenance.uninstall.models import Outside, Remains


def outside(policy: Policy, remains: Remains, spool: Path) -> Iterator[Outside]:
    """Yield what is left outside the database, or is not ours to remove.

    Args:
        policy: of the database.
        remains: what was observed there.
        spool: the file of alerts beside Dagster.
    """
    name = policy.database.name
    yield Outside(
        "policy",
        f"{policy.path}: remove it from MAINTENANCE_POLICIES, or its schedules and sensors go on,"
        " and the next run creates the store again",
    )
    yield Outside(
        "dagster",
        f"runs, events and ticks of the jobs {name}_… and the assets {name}/… in Dagster's storage:"
        " they stay until its retention or its owner removes them",
    )
    yield Outside(
        "objects",
        "partitions, indexes, constraints and materialized views that the policy declared belong to"
        " the application: they stay",
    )
    yield from _archives(policy)
    yield from (
        Outside("redis", f"stream {sink.stream} in Redis", (f"DEL {sink.stream}",))
        for sink in policy.alerts.sinks
        if isinstance(sink, RedisStreamSink)
    )
    if spool.exists():
        yield Outside("spool", f"{spool}: alerts and deliveries of all policies of this machine")
    yield from _role(remains)


def _archives(policy: Policy) -> Iterator[Outside]:
    for section in policy.partitions:
        archive = section.retention.archive if section.retention is not None else None
        if archive is not None:
            yield Outside(
                "archive",
                f"{shown(str(archive.url))}: archives of {section.table}; they hold rows, and"
                " maintenance restore needs nothing else",
            )


def _role(remains: Remains) -> Iterator[Outside]:
    if remains.is_superuser:
        return
    role = quote(remains.role)
    yield Outside(
        "role",
        f"role {role}: what it owns first gets another owner; as a superuser, the first two in each"
        " database",
        (f"REASSIGN OWNED BY {role} TO …", f"DROP OWNED BY {role}", f"DROP ROLE {role}"),
    )
