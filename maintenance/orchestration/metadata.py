"""Reports as metadata: tables to read, and numbers with stable keys that the UI plots."""

from collections.abc import Iterable
from typing import Any

import dagster as dg

from maintenance.catalog.history import History
from maintenance.engine.actions import Action
from maintenance.engine.executor import Outcome, Result
from maintenance.formatting import readable_size, visible
from maintenance.names import slug
from maintenance.orchestration.images import timeline
from maintenance.orchestration.markdown import code, plain, sql, table
from maintenance.periods import parse_period
from maintenance.pipeline.run import Report
from maintenance.policy import PartitionPolicy, Policy
from maintenance.subjects.partitions.inventory import PartitionFacts, TableInventory, inventory

Metadata = dict[str, Any]

LISTED = 60
"""Number of partitions listed per table, newest first; older ones are counted."""


def period_metadata(
    policy: Policy, section: PartitionPolicy, report: Report
) -> dict[str, Metadata]:
    """Return the metadata of each period that has a partition of its own, by period key."""
    created = {result.action.object for result in report.results if result.outcome is Outcome.DONE}
    return {
        facts.period: _period(facts, created=facts.name in created)
        for table in _stock(policy, report)
        if table.table == str(section.table)
        for facts in table.partitions
        if facts.period is not None
    }


def shared_metadata(
    policy: Policy, section: PartitionPolicy, report: Report, keys: Iterable[str]
) -> dict[str, Metadata]:
    """Return the metadata of periods whose partitions have bounds of another interval."""
    found: dict[str, Metadata] = {}
    for stock in _stock(policy, report):
        if stock.table != str(section.table):
            continue
        for key in keys:
            bounds = parse_period(key, section.interval).bounds(section.time_zone)
            if holders := stock.holders(*bounds):
                names = ", ".join(facts.name for facts in holders)
                found[key] = {
                    "state": "covered by partitions with other bounds",
                    "partitions": visible(names),
                }
    return found


def inventory_metadata(policy: Policy, report: Report) -> Metadata:
    """Return the inventory's metadata: horizons, a list per table, and numbers to plot."""
    stock = _stock(policy, report)
    metadata: Metadata = {"horizons": _horizons(stock)}
    if stock:
        metadata["periods_ahead"] = min(table.ahead for table in stock)
    metadata["created"] = sum(result.outcome is Outcome.DONE for result in report.results)
    for section in policy.partitions:
        metadata |= _table(slug(section.table), str(section.table), stock, report)
    return metadata


def actions_metadata(report: Report) -> Metadata:
    """Return the actions, done or only planned: numbers, and a table."""
    actions = report.plan.actions
    metadata: Metadata = {"actions": len(actions), "findings": len(report.findings)}
    if actions:
        results = {result.action.id: result for result in report.results}
        rows = [_action(action, results.get(action.id)) for action in actions[:LISTED]]
        metadata["what"] = table(("action", "object", "period", "outcome", "why"), rows)
    return metadata


def _action(action: Action, result: Result | None) -> tuple[str, ...]:
    outcome = result.outcome.value if result else "planned"
    why = (result.error if result else None) or action.reason
    return action.kind.value, code(action.object), action.period or "", outcome, plain(why)


def sql_metadata(report: Report) -> Metadata:
    """Return the executed statements; if none was executed, the planned ones."""
    done = [result.action for result in report.results if result.outcome is Outcome.DONE]
    named = {"executed_sql": done} if report.results else {"planned_sql": report.plan.actions}
    found = {name: [s for a in actions for s in a.sql] for name, actions in named.items()}
    return {name: sql(statements) for name, statements in found.items() if statements}


def cost_metadata(report: Report) -> Metadata:
    """Return the cost of our own statements: numbers to plot."""
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
        "partition": visible(facts.name),
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
    each = next((table for table in stock if table.table == name), None)
    if each is None:
        return {}
    history = report.snapshot.history if report.snapshot is not None else History()
    return {
        f"{key}_ahead": each.ahead,
        f"{key}_partitions": len(each.partitions),
        f"{key}_rows": each.n_rows,
        f"{key}_megabytes": round(each.size_bytes / 2**20, 1),
        key: _partitions(each),
        f"{key}_timeline": timeline(each, report.now, history.archives.get(name, ())),
    }


def _horizons(stock: tuple[TableInventory, ...]) -> dg.MarkdownMetadataValue:
    rows = [
        (
            code(each.table),
            f"{each.ahead} of {each.premake}",
            each.horizon,
            readable_size(each.size_bytes),
        )
        for each in sorted(stock, key=lambda each: each.ahead - each.premake)
    ]
    return table(("table", "ahead:", "horizon", "size:"), rows)


def _partitions(stock: TableInventory) -> dg.MarkdownMetadataValue:
    rows = [_row(facts) for facts in reversed(stock.partitions[-LISTED:])]
    older = len(stock.partitions) - LISTED
    head = ("partition", "from", "to", "rows:", "size:")
    return table(head, rows, f"and {older} older partitions" if older > 0 else "")


def _row(facts: PartitionFacts) -> tuple[str, ...]:
    lower, upper = (f"{at:%Y-%m-%d %H:%M}" if at else "…" for at in (facts.lower, facts.upper))
    rows = f"~{facts.n_rows:,}" if facts.n_rows is not None else "not analyzed"
    return code(facts.name), lower, upper, rows, readable_size(facts.size_bytes)
