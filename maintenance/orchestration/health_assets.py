"""The assets of health: what was seen, with a check for each kind of finding."""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg

from maintenance.bloat import BLOAT
from maintenance.engine.runner import Outcome
from maintenance.engine.subject import Subject
from maintenance.maintain import Report
from maintenance.orchestration.checks import check_results, check_specs
from maintenance.orchestration.health_metadata import (
    Metadata,
    bloat_metadata,
    workload_metadata,
)
from maintenance.orchestration.metadata import actions_metadata
from maintenance.orchestration.resources import Maintainer, fail_if_undone
from maintenance.policy import Policy
from maintenance.server.session import Connection
from maintenance.workload import WORKLOAD

GROUP = "health"

WHEN_RED = (
    "**When red:** open the failed check; its text names object, value and threshold, and what to"
    " do. The runbook has an entry for each."
)


def health_assets(policy: Policy) -> list[dg.AssetsDefinition]:
    """Make the assets of the health sections that a policy has."""
    assets: list[dg.AssetsDefinition] = []
    if policy.bloat is not None:
        about = (
            "How empty tables and btree indexes are, estimated or measured, with what a rewrite"
            " would win. Indexes are rebuilt online where `bloat.reindex` says so."
        )
        assets.append(_asset(policy, BLOAT, "ddl", about, bloat_metadata))
    if policy.workload is not None:
        about = (
            "Statements, connections, transactions, replication and growth since the last look;"
            " nothing is changed, and no literal of a statement is kept."
        )
        assets.append(_asset(policy, WORKLOAD, "work", about, workload_metadata))
    return assets


def health_key(policy: Policy, subject: Subject[Any]) -> dg.AssetKey:
    """Return the key `<db>/<subject>`."""
    return dg.AssetKey([policy.database.name, subject.name])


def _asset(
    policy: Policy,
    subject: Subject[Any],
    pool: str,
    about: str,
    describe: Callable[[Policy, Connection], Metadata],
) -> dg.AssetsDefinition:
    key, kinds = health_key(policy, subject), subject.finding_kinds

    @dg.asset(
        key=key,
        group_name=GROUP,
        check_specs=check_specs(key, kinds),
        pool=f"{policy.database.name}_{pool}",
        kinds={"postgres"},
        tags={"database": policy.database.name},
        description=f"{about}\n\n{WHEN_RED}",
    )
    def look(
        context: dg.AssetExecutionContext, maintainer: Maintainer
    ) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult[Any]]:
        report = maintainer.apply(context, policy, subject.name)
        yield from check_results(key, kinds, report.findings)
        fail_if_undone(report)
        with maintainer.history(policy) as store:
            metadata = describe(policy, store)
        metadata |= {**actions_metadata(report), **_won(report)}
        yield dg.MaterializeResult(asset_key=key, metadata=metadata)

    return look


def _won(report: Report) -> Metadata:
    done = [result.detail for result in report.results if result.outcome is Outcome.DONE]
    won = sum(detail.get("won_bytes", 0) for detail in done)
    return {"won_megabytes": round(won / 2**20, 1)} if done else {}
