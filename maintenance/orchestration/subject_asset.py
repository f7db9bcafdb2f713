"""What the assets of all subjects have in common: how they look, how they tell, when they fail."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import dagster as dg

from maintenance.engine.subject import Subject
from maintenance.orchestration.checks import check_results, check_specs
from maintenance.orchestration.metadata import Metadata, cost_metadata, sql_metadata
from maintenance.orchestration.resources import Maintainer, fail_if_undone
from maintenance.pipeline.run import Report
from maintenance.policy import Policy

Told = dg.AssetCheckResult | dg.MaterializeResult[Any]
"""What an asset yields: its checks first, so that they are there also where the run fails."""

Describe = Callable[[Maintainer, Report], Metadata]
"""Puts a report of work that was done into metadata."""


def face(
    policy: Policy,
    key: dg.AssetKey,
    *,
    group: str,
    about: str,
    when_red: str,
    pool: str = "work",
    kinds: Sequence[str] = ("postgres",),
    **further: Any,
) -> dict[str, Any]:
    """Return the arguments of `dg.asset` by which an operator knows an asset.

    Args:
        policy: whose asset it is.
        key: its key.
        group: where it stands in the graph.
        about: what it is, and what materializing it does.
        when_red: what to do then.
        pool: `ddl` for what runs alone on its database, `work` for the rest.
        kinds: the marks that it bears.
        further: arguments that only this asset has.
    """
    return {
        "key": key,
        "group_name": group,
        "pool": f"{policy.database.name}_{pool}",
        "kinds": set(kinds),
        **belonging(policy),
        "description": f"{about}\n\n**When red:** {when_red}",
        **further,
    }


def belonging(policy: Policy) -> dict[str, Any]:
    """Return the arguments by which assets are found that belong to a database, or to somebody."""
    return {"tags": {"database": policy.database.name}, "owners": list(policy.database.owners)}


def make_asset(arguments: dict[str, Any], body: Callable[..., Any]) -> dg.AssetsDefinition:
    """Make an asset of its arguments and what materializes it."""
    return cast("dg.AssetsDefinition", dg.asset(**arguments)(body))


@dataclass(frozen=True)
class Frame:
    """An asset that carries out one subject as a whole, with a check for each kind of finding.

    Attributes:
        arguments: of `dg.asset`, as `face` returns them.
    """

    policy: Policy
    subject: Subject[Any]
    arguments: dict[str, Any]

    @property
    def key(self) -> dg.AssetKey:
        """The asset's key."""
        return self.arguments["key"]

    def asset(self, body: Callable[..., Iterator[Told]]) -> dg.AssetsDefinition:
        """Make the asset of a body of its own; it ends with `tell`."""
        checks = check_specs(self.key, self.subject.finding_kinds)
        return make_asset({**self.arguments, "check_specs": checks}, body)

    def tell(self, report: Report, describe: Callable[[], Metadata]) -> Iterator[Told]:
        """Yield the checks, then what was done; in between the run fails if it was not.

        Raises:
            dagster.Failure: an action could not be done.
        """
        yield from check_results(self.key, self.subject.finding_kinds, report.findings)
        fail_if_undone(report)
        shown = {**describe(), **sql_metadata(report), **cost_metadata(report)}
        yield dg.MaterializeResult(asset_key=self.key, metadata=shown)


def subject_asset(frame: Frame, describe: Describe) -> dg.AssetsDefinition:
    """Make the asset whose materialization carries out its subject, and shows what came of it."""

    def execute_plan(context: dg.AssetExecutionContext, maintainer: Maintainer) -> Iterator[Told]:
        report = maintainer.apply(context, frame.policy, frame.subject.name)
        yield from frame.tell(report, lambda: describe(maintainer, report))

    return frame.asset(execute_plan)
