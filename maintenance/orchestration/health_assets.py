"""Assets of the health subjects: observations, with a check for each kind of finding."""

from collections.abc import Callable
from typing import Any

import dagster as dg

from maintenance.engine.executor import Outcome
from maintenance.engine.subject import Subject
from maintenance.orchestration.health_metadata import (
    Metadata,
    bloat_metadata,
    capacity_metadata,
    live_metadata,
    workload_metadata,
)
from maintenance.orchestration.maintainer import MAINTAINER
from maintenance.orchestration.metadata import actions_metadata
from maintenance.orchestration.naming import asset_key
from maintenance.orchestration.pools import Pool
from maintenance.orchestration.subject_asset import Frame, face, subject_asset
from maintenance.pipeline.run import Report
from maintenance.policy import Policy
from maintenance.server.session import Connection
from maintenance.subjects.bloat import BLOAT
from maintenance.subjects.capacity import CAPACITY
from maintenance.subjects.workload import WORKLOAD

GROUP = "health"


def health_assets(policy: Policy) -> list[dg.AssetsDefinition]:
    """Build the assets of the health subjects that a policy does not switch off."""
    assets: list[dg.AssetsDefinition] = []
    if policy.bloat is not None:
        about = (
            "Bloat of tables and B-tree indexes, estimated or measured, and the space that a"
            " rewrite would free. Indexes are rebuilt concurrently if `bloat.reindex` is set."
        )
        assets.append(_asset(policy, BLOAT, "ddl", about, bloat_metadata))
    if policy.workload is not None:
        about = (
            "Slow statements, connections, long transactions, replication and growth since the last"
            " observation. Read-only; literals of statements are not stored."
        )
        assets.append(_asset(policy, WORKLOAD, "work", about, workload_metadata))
    if CAPACITY.is_enabled(policy):
        about = (
            "Limits behind which statements fail, how much of each is in use, and when it is"
            " reached at the present rate. Read-only."
        )
        assets.append(_asset(policy, CAPACITY, "work", about, capacity_metadata))
    return assets


def health_key(policy: Policy, subject: Subject[Any]) -> dg.AssetKey:
    """Return the asset key `<db>/<subject>`."""
    return asset_key(policy, subject.name)


def _asset(
    policy: Policy,
    subject: Subject[Any],
    pool: Pool,
    about: str,
    describe: Callable[[Policy, Connection], Metadata],
) -> dg.AssetsDefinition:
    arguments = face(
        policy,
        health_key(policy, subject),
        group=GROUP,
        pool=pool,
        about=about,
        when_red=(
            "the failed check names the object, its value and the threshold; the description of the"
            " check says what to do."
        ),
    )

    def described(report: Report) -> Metadata:
        with MAINTAINER.history(policy) as store:
            metadata = describe(policy, store)
        return {
            **metadata,
            **actions_metadata(report),
            **_won(report),
            **live_metadata(report.facts),
        }

    return subject_asset(Frame(policy, subject, arguments), described)


def _won(report: Report) -> Metadata:
    done = [result.detail for result in report.results if result.outcome is Outcome.DONE]
    won = sum(detail.get("won_bytes", 0) for detail in done)
    return {"won_megabytes": round(won / 2**20, 1)} if done else {}
