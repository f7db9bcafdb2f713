"""Reports as metadata: tables people can read, numbers with stable keys that the UI plots."""

from typing import Any

import dagster as dg

from maintenance.catalog.history import History
from maintenance.engine.runner import Outcome
from maintenance.maintain import Report
from maintenance.names import slug
from maintenance.orchestration.pictures import timeline
from maintenance.partitions.inventory import PartitionFacts, TableInventory, inventory
from maintenance.policy import PartitionPolicy, Policy
from maintenance.sizes import readable_size

Metadata = dict[str, Any]

LISTED = 60
"""How many partitions a table lists, newest first, before it only counts the older ones."""


def period_metadata(
    policy: Policy, section: PartitionPolicy, report: Report
) -> dict[str, Metadata]:
    """Return metadata for each period that has a partition of its own, by period key."""
    created = {result.action.object for result in report.results if result.outcome is Outcome.DONE}
    return {
        facts.period: _period(facts, created=facts.name in created)
        for table in _stock(policy, report)
        if table.table == str(section.table)
        for facts in table.partitions
        if facts.period is not None
    }


def inventory_metadata(policy: Policy, report: Report) -> Metadata:
    """Return what the inventory shows: horizons, a list a table, and numbers to plot."""
    stock = _stock(policy, report)
    metadata: Metadata = {"horizons": dg.MetadataValue.md(_horizons(stock))}
    if stock:
        metadata["periods_ahead"] = min(table.ahead for table in stock)
    done = [result for result in report.results if result.outcome is Outcome.DONE]
    metadata["created"] = len(done)
    for section in policy.partitions:
        metadata |= _table(slug(section.table), str(section.table), stock, report)
    if done:
        sql = ";\n".join(statement for result in done for statement in result.action.sql)
        metadata["executed_sql"] = dg.MetadataValue.md(f"```sql\n{sql};\n```")
    return metadata | cost_metadata(report)


def actions_metadata(report: Report) -> Metadata:
    """Return what was done, or would be where nothing was: a table, and the SQL of it."""
    actions = report.plan.actions
    metadata: Metadata = {"actions": len(actions), "findings": len(report.findings)}
    if not actions:
        return metadata
    results = {result.action.id: result for result in report.results}
    lines = ["| action | object | period | outcome | why |", "|---|---|---|---|---|"]
    for action in actions:
        result = results.get(action.id)
        outcome = result.outcome.value if result else "planned"
        why = (result.error if result else None) or action.reason
        period = action.period or ""
        lines.append(f"| {action.kind} | `{action.object}` | {period} | {outcome} | {why} |")
    sql = ";\n".join(statement for action in actions for statement in action.sql)
    metadata["what"] = dg.MetadataValue.md("\n".join(lines))
    metadata["sql"] = dg.MetadataValue.md(f"```sql\n{sql};\n```")
    return metadata


def cost_metadata(report: Report) -> Metadata:
    """Return what our own statements took: numbers to plot."""
    costs = report.costs.values()
    return {
        "own_query_seconds": round(sum(cost.seconds for cost in costs), 3),
        "own_query_rows": sum(cost.n_rows for cost in costs),
        "own_queries": sum(cost.n_statements for cost in costs),
    }


def _stock(policy: Policy, report: Report) -> tuple[TableInventory, ...]:
    if report.snapshot is None:
        return ()
    return inventory(policy, report.snapshot, report.now)


def _period(facts: PartitionFacts, *, created: bool) -> Metadata:
    metadata: Metadata = {
        "state": "created" if created else "existed",
        "partition": facts.name,
        "size_bytes": facts.size_bytes,
        "size": readable_size(facts.size_bytes),
    }
    if facts.n_rows is not None:
        metadata["dagster/partition_row_count"] = facts.n_rows
    if facts.lower is not None:
        metadata["lower"] = dg.MetadataValue.timestamp(facts.lower)
    if facts.upper is not None:
        metadata["upper"] = dg.MetadataValue.timestamp(facts.upper)
    return metadata


def _table(key: str, name: str, stock: tuple[TableInventory, ...], report: Report) -> Metadata:
    found = [table for table in stock if table.table == name]
    if not found:
        return {}
    (table,) = found
    history = report.snapshot.history if report.snapshot is not None else History()
    return {
        f"{key}_ahead": table.ahead,
        f"{key}_partitions": len(table.partitions),
        f"{key}_rows": table.n_rows,
        f"{key}_megabytes": round(table.size_bytes / 2**20, 1),
        key: dg.MetadataValue.md(_partitions(table)),
        f"{key}_timeline": timeline(table, report.now, history.archives.get(name, ())),
    }


def _horizons(stock: tuple[TableInventory, ...]) -> str:
    lines = ["| table | ahead | horizon | size |", "|---|--:|---|--:|"]
    lines += [
        f"| `{table.table}` | {table.ahead} of {table.premake} | {table.horizon} |"
        f" {readable_size(table.size_bytes)} |"
        for table in stock
    ]
    return "\n".join(lines)


def _partitions(table: TableInventory) -> str:
    lines = ["| partition | from | to | rows | size |", "|---|---|---|--:|--:|"]
    lines += [_row(facts) for facts in reversed(table.partitions[-LISTED:])]
    older = len(table.partitions) - LISTED
    return "\n".join([*lines, f"\nand {older} older ones"] if older > 0 else lines)


def _row(facts: PartitionFacts) -> str:
    lower, upper = (f"{at:%Y-%m-%d %H:%M}" if at else "…" for at in (facts.lower, facts.upper))
    rows = f"~{facts.n_rows:,}" if facts.n_rows is not None else "not analyzed"
    size = readable_size(facts.size_bytes)
    return f"| `{facts.name}` | {lower} | {upper} | {rows} | {size} |"
