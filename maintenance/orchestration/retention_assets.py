"""The retention asset: shows its plan when launched by hand, acts when the schedule runs it."""

from collections.abc import Iterator
from enum import Enum

import dagster as dg
from pydantic import Field

from maintenance.engine.scope import Request
from maintenance.orchestration.metadata import actions_metadata
from maintenance.orchestration.partition_assets import GROUP, inventory_key
from maintenance.orchestration.resources import Maintainer
from maintenance.orchestration.subject_asset import Frame, Told, face
from maintenance.policy import Policy
from maintenance.subjects.retention import RETENTION


class Mode(Enum):
    """Whether retention is shown or done."""

    PLAN = "plan"
    APPLY = "apply"


class RetentionConfig(dg.Config):
    """What to do, for runs launched by hand; the launchpad shows the descriptions."""

    mode: Mode = Field(
        default=Mode.PLAN, description="PLAN shows what would be done, APPLY does it."
    )
    max_per_run: int = Field(
        default=0,
        description="Retires at most so many partitions of a table; 0: as many as the policy says.",
    )


def retention_key(policy: Policy) -> dg.AssetKey:
    """Return the key `<db>/retention`."""
    return dg.AssetKey([policy.database.name, "retention"])


def run_config(policy: Policy, mode: Mode) -> dg.RunConfig:
    """Return the configuration of a run of the retention asset."""
    return dg.RunConfig(ops={f"{policy.database.name}__retention": RetentionConfig(mode=mode)})


def retention_asset(policy: Policy) -> dg.AssetsDefinition:
    """Make the asset that retires expired partitions."""
    arguments = face(
        policy,
        retention_key(policy),
        group=GROUP,
        pool="ddl",
        deps=[inventory_key(policy)],
        about=(
            "Expired partitions are archived, detached and dropped, as the policy says. Launched"
            " by hand it only shows the plan; set `mode: APPLY` to carry it out."
        ),
        when_red=(
            "the failed check or the run's last error names the partition and what stands in the"
            " way; nothing is dropped without its proof."
        ),
    )
    frame = Frame(policy, RETENTION, arguments)

    def retire(
        context: dg.AssetExecutionContext, config: RetentionConfig, maintainer: Maintainer
    ) -> Iterator[Told]:
        request = _request(config)
        act = maintainer.apply if config.mode is Mode.APPLY else maintainer.plan
        report = act(context, policy, RETENTION.name, request)
        yield from frame.tell(
            report, lambda: {"mode": config.mode.value, **actions_metadata(report)}
        )

    return frame.asset(retire)


def _request(config: RetentionConfig) -> Request:
    """Return what is asked for; the launchpad lets any number through."""
    if config.max_per_run < 0:
        raise dg.Failure(
            description=f"max_per_run: found {config.max_per_run}, wanted 0 or more",
            allow_retries=False,
        )
    return Request(max_per_run=config.max_per_run or None)
