"""Validates a partitioned table against its policy."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from maintenance import names
from maintenance.catalog.models import Server, Snapshot, Table
from maintenance.engine.findings import (
    UNKNOWN,
    Finding,
    FindingKind,
    Reading,
    Severity,
    unknown_without,
)
from maintenance.names import quote
from maintenance.partition_key import types_of
from maintenance.partition_set.plausibility import mismatch
from maintenance.policy import PartitionPolicy

_KINDS = {
    "r": "an unpartitioned table",
    "v": "a view",
    "m": "a materialized view",
    "f": "a foreign table",
    "S": "a sequence",
    "i": "an index",
}
_STRATEGIES = {"l": "LIST", "h": "HASH"}


def validate(policy: PartitionPolicy, snapshot: Snapshot, now: datetime) -> Finding | None:
    """Return a finding with the first reason why the policy doesn't fit its table, if any."""
    if policy.table in snapshot.failed:
        return _failed(policy, snapshot.failed[policy.table])
    table = snapshot.tables.get(policy.table)
    if table is None:
        return _absent(policy, snapshot)
    reasons = _reasons(policy, table, snapshot, now)
    return next(reasons, None)


def _reasons(
    policy: PartitionPolicy, table: Table, snapshot: Snapshot, now: datetime
) -> Iterator[Finding]:
    if policy.table in snapshot.blind:
        yield _finding(
            policy,
            FindingKind.MONITOR_BLIND,
            f"its partitions can't be read: {snapshot.blind[policy.table]}; until then nothing is"
            " planned for it",
            severity=Severity.WARN,
            data={UNKNOWN: _unknown(policy)},
        )
    if not table.is_partitioned:
        yield _finding(
            policy,
            FindingKind.NOT_PARTITIONED,
            f"is {_KINDS.get(table.kind, 'another kind of object')},"
            f" not a table partitioned by RANGE ({quote(policy.column)})",
            data={"relkind": table.kind},
        )
    yield from _key_reasons(policy, table)
    yield from _bound_reasons(policy, table, now)
    yield from _privilege_reasons(policy, table, snapshot.server)


def _key_reasons(policy: PartitionPolicy, table: Table) -> Iterator[Finding]:
    column = table.column(policy.column)
    if column is None:
        near = names.near(policy.column, [c.name for c in table.columns])
        yield _finding(
            policy,
            FindingKind.NO_SUCH_COLUMN,
            f"has no column {quote(policy.column)}{_did_you_mean(near)}",
            data={"near": near},
        )
        return
    if table.key_strategy != "r" or table.key_columns != (policy.column,):
        yield _finding(
            policy,
            FindingKind.PARTITION_KEY_MISMATCH,
            f"is partitioned by {_key_text(table)}, but the policy requires RANGE"
            f" ({quote(policy.column)})",
            data={
                "reason": "other_key",
                "strategy": _strategy(table),
                "columns": list(table.key_columns),
            },
        )
    if column.type not in types_of(policy.encoding):
        wanted = sorted(types_of(policy.encoding))
        yield _finding(
            policy,
            FindingKind.PARTITION_KEY_MISMATCH,
            f"its key {quote(column.name)} has type {column.type}, but encoding"
            f" {policy.encoding.value} requires {', '.join(wanted)}",
            data={"reason": "other_type", "type": column.type, "wanted": wanted},
        )


def _bound_reasons(policy: PartitionPolicy, table: Table, now: datetime) -> Iterator[Finding]:
    found = mismatch(policy, table, now)
    if found is not None:
        yield _finding(
            policy,
            FindingKind.PARTITION_KEY_MISMATCH,
            f"{found.text}; nothing is created, retired or restored until policy and bounds match",
            data=found.data,
        )


def _privilege_reasons(policy: PartitionPolicy, table: Table, server: Server) -> Iterator[Finding]:
    owner, role = quote(table.properties.owner), quote(server.role)
    if not table.manageable:
        right = server.grants.right_to_act(table.properties.owner, table.relation)
        yield _finding(
            policy,
            FindingKind.PRIVILEGE_MISSING,
            f"is owned by {owner}, and role {role} is not a member of that role. Run {right}",
            data={"grants": [right]},
        )
    if not table.lends:
        grant = f"GRANT TEMPORARY ON DATABASE {quote(server.database)} TO {owner}"
        yield _finding(
            policy,
            FindingKind.PRIVILEGE_MISSING,
            f"statements on it run as its owner {owner} in a temporary function, but the owner has"
            f" no TEMPORARY privilege. Run {grant}",
            data={"grants": [grant]},
        )
    if not table.creatable or (not table.owner_creates and table.code is not None):
        schema = quote(table.relation.schema)
        grant = f"GRANT USAGE, CREATE ON SCHEMA {schema} TO {role}, {owner}"
        yield _finding(
            policy,
            FindingKind.PRIVILEGE_MISSING,
            f"no partition can be created in its schema: privileges are missing. Run {grant}",
            data={"grants": [grant]},
        )


def _failed(policy: PartitionPolicy, error: str) -> Finding:
    return _finding(
        policy,
        FindingKind.MONITOR_BLIND,
        f"can't be read: {error}; until then nothing is planned for it",
        data={UNKNOWN: _unknown(policy)},
    )


def _unknown(policy: PartitionPolicy) -> dict[str, Sequence[str] | None]:
    """Return the objects whose findings are unknown while the table can't be read, by kind."""
    of_table = unknown_without(Reading.TABLE, [str(policy.table)])
    # These name partitions, which are unknown too.
    return {**of_table, **unknown_without(Reading.PARTITIONS, None)}


def _absent(policy: PartitionPolicy, snapshot: Snapshot) -> Finding:
    near = list(snapshot.missing.get(policy.table, ()))
    return _finding(
        policy,
        FindingKind.NO_SUCH_TABLE,
        f"no such table in database {snapshot.server.database}{_did_you_mean(near)}",
        data={"near": near},
    )


def _key_text(table: Table) -> str:
    columns = ", ".join(quote(c) if c is not None else "an expression" for c in table.key_columns)
    return f"{_strategy(table)} ({columns})"


def _strategy(table: Table) -> str:
    return _STRATEGIES.get(table.key_strategy or "", "RANGE")


def _did_you_mean(near: list[str]) -> str:
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _finding(
    policy: PartitionPolicy,
    kind: FindingKind,
    text: str,
    *,
    severity: Severity = Severity.ERROR,
    data: dict[str, object] | None = None,
) -> Finding:
    return Finding(kind, severity, str(policy.table), f"{policy.table}: {text}", data=data or {})
