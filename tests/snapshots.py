"""Builders of policies and snapshots for planners, with defaults that fit each other."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from maintenance.catalog.models import Column, Partition, Properties, Server, Snapshot, Table
from maintenance.engine.plan import Plan
from maintenance.engine.scope import EVERYTHING, Request
from maintenance.names import QualifiedName
from maintenance.policy import Policy
from maintenance.subjects.partitions.assess import assess
from maintenance.subjects.partitions.plan import plan
from maintenance.subjects.retention.assess import assess as assess_retention
from maintenance.subjects.retention.models import NOTHING_SEEN, Blockers, RetentionObservation
from maintenance.subjects.retention.plan import plan as plan_retention
from maintenance.subjects.workload import WORKLOAD
from maintenance.subjects.workload.models import WorkloadSnapshot
from tests.policies import with_health_off

NOW = datetime(2026, 11, 20, tzinfo=UTC)
EVENTS = QualifiedName("public", "events")
SERVER = Server(
    version=180004,
    database="app",
    role="owner",
    is_superuser=False,
    in_recovery=False,
    encoding="UTF8",
    clock_skew_s=0.0,
)


def a_policy(*partitions: dict[str, Any], **sections: Any) -> Policy:
    """A policy of these partitioned tables; without any, of `public.events` by `at`.

    Health subjects that it does not name are off.
    """
    tables = [{"table": "public.events", "column": "at", **p} for p in partitions or ({},)]
    database = {"name": "app", "url": {"env": "APP_URL"}}
    text = yaml.safe_dump({"database": database, "partitions": tables, **with_health_off(sections)})
    return Policy.model_validate(yaml.safe_load(text), context={"path": Path("app.yaml")})


def a_partition(name: str, lower: str = "", upper: str = "", **changes: Any) -> Partition:
    """A partition of `[lower, upper)`, written as dates; without bounds the default one."""

    def bound(text: str) -> str:
        return text if text.endswith("VALUE") else f"'{text} 00:00:00+00'"

    text = f"FOR VALUES FROM ({bound(lower)}) TO ({bound(upper)})" if lower else "DEFAULT"
    partition = Partition(1, QualifiedName("public", name), "r", False, 0, -1, text)
    return partition._replace(**changes)


def months(first: str, last: str) -> list[Partition]:
    """Monthly partitions of `events` from first to last (`2026-11`), both included."""
    found: list[Partition] = []
    year, month = map(int, first.split("-"))
    while f"{year}-{month:02}" <= last:
        later = (year + month // 12, month % 12 + 1)
        lower, upper = f"{year}-{month:02}-01", f"{later[0]}-{later[1]:02}-01"
        found.append(a_partition(f"events_{year}_{month:02}", lower, upper))
        year, month = later
    return found


def a_table(partitions: Iterable[Partition] = (), **changes: Any) -> Table:
    """`public.events`, partitioned by RANGE (at), ours to manage."""
    facts: dict[str, Any] = {
        "oid": 1,
        "relation": EVENTS,
        "kind": "p",
        "columns": (Column("id", "bigint"), Column("at", "timestamp with time zone")),
        "properties": Properties(owner="owner"),
        "key_strategy": "r",
        "key_columns": ("at",),
        "partitions": tuple(partitions),
    }
    return Table(**(facts | changes))


def a_snapshot(*tables: Table, **changes: Any) -> Snapshot:
    facts: dict[str, Any] = {"server": SERVER, "tables": {t.relation: t for t in tables}}
    return Snapshot(**(facts | changes))


def planned(
    policy: Policy, *tables: Table, now: datetime = NOW, request: Request = EVERYTHING, **facts: Any
) -> Plan:
    """Plan partitions on a snapshot of these tables."""
    return plan(assess(policy, a_snapshot(*tables, **facts), now, request), request)


def retention_planned(
    policy: Policy, snapshot: Snapshot, blockers: Blockers = NOTHING_SEEN, now: datetime = NOW
) -> Plan:
    """Plan retention on a snapshot."""
    states = assess_retention(policy, snapshot, now, EVERYTHING)
    observation = RetentionObservation(snapshot, states, blockers)
    return plan_retention(policy, observation, now, EVERYTHING)


def workload_plan(policy: Policy, load: WorkloadSnapshot, now: datetime) -> Plan:
    """Plan the workload of a database on an observation."""
    return WORKLOAD.plan(policy, load, now, EVERYTHING)
