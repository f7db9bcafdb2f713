"""Common parts of all subject assets: arguments, checks, metadata and failure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, cast

import dagster as dg

from maintenance.engine.findings import FindingKind
from maintenance.engine.scope import EVERYTHING, Request
from maintenance.engine.subject import Subject
from maintenance.orchestration.checks import check_results, check_specs
from maintenance.orchestration.maintainer import MAINTAINER, fail_if_undone
from maintenance.orchestration.metadata import Metadata, cost_metadata, sql_metadata
from maintenance.orchestration.pools import Pool, pool_of
from maintenance.pipeline.run import Report
from maintenance.policy import Policy

AssetResult = dg.AssetCheckEvaluation | dg.MaterializeResult[Any]
"""The results of an asset: the checks first, so that they exist even if the run fails."""

Describe = Callable[[Report], Metadata]
"""Converts a report to metadata."""


def face(
    policy: Policy,
    key: dg.AssetKey,
    *,
    group: str,
    about: str,
    when_red: str,
    pool: Pool = "work",
    kinds: Sequence[str] = ("postgres",),
    **further: Any,
) -> dict[str, Any]:
    """Return the common arguments of `dg.asset`.

    Args:
        policy: the policy of the asset's database.
        key: the asset key.
        group: the asset group.
        about: what the asset shows, and what materializing it does.
        when_red: what to do when a check or the run fails.
        pool: `ddl` for steps that run alone on their database, `work` for the others.
        kinds: the kinds shown in the UI.
        further: additional arguments of this asset.
    """
    return {
        "key": key,
        "group_name": group,
        "pool": pool_of(policy, pool),
        "kinds": set(kinds),
        **belonging(policy),
        "description": f"{about}\n\n**When red:** {when_red}",
        **further,
    }


def belonging(policy: Policy) -> dict[str, Any]:
    """Return the arguments that filter assets by database and owner."""
    return {"tags": {"database": policy.database.name}, "owners": list(policy.database.owners)}


def make_asset(
    policy: Policy, arguments: dict[str, Any], body: Callable[..., Iterator[Any]]
) -> dg.AssetsDefinition:
    """Build an asset from its arguments and its body.

    Of an asset with checks, Dagster stores for each check that it is planned, that the step gave it
    out, and its result. Outputs of a subset need not be given out, and jobs leave the checks out of
    their selection, so that the result alone is stored.
    """
    if "check_specs" not in arguments:
        return cast("dg.AssetsDefinition", dg.asset(**arguments)(placed(policy, body)))
    spec = dict(arguments)
    key, pool, checks = (spec.pop(name) for name in ("key", "pool", "check_specs"))
    tags = spec.pop("op_tags", None)
    made = dg.multi_asset(
        name=key.to_python_identifier(),
        specs=[dg.AssetSpec(key, **spec)],
        check_specs=checks,
        can_subset=True,
        pool=pool,
        op_tags=tags,
    )
    return made(placed(policy, with_asset(body)))


def with_asset(body: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """Return the body of an asset that refuses to run for its checks alone."""

    @wraps(body)
    def run(context: dg.AssetExecutionContext, *arguments: Any, **named: Any) -> Iterator[Any]:
        if not context.selected_asset_keys:
            raise dg.Failure(
                "A check is a result of its asset: materialize the asset.", allow_retries=False
            )
        yield from body(context, *arguments, **named)

    return run


def placed(policy: Policy, body: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
    """Return the body of an asset as the project runs it."""

    @wraps(body)
    def run(context: dg.AssetExecutionContext, *arguments: Any, **named: Any) -> Iterator[Any]:
        whole = partial(body, context, *arguments, **named)
        yield from policy.placement.execute(context, whole)

    return run


def materialized(key: dg.AssetKey, metadata: Metadata) -> dg.MaterializeResult[Any]:
    """Return the result of an asset, with metadata on its materialization alone.

    A result that has metadata itself is stored twice: with the output of the step too.
    """
    dg.AssetExecutionContext.get().add_asset_metadata(metadata, asset_key=key)
    return dg.MaterializeResult(asset_key=key)


@dataclass(frozen=True)
class Frame:
    """An asset that runs one subject, with a check for each kind of finding.

    Attributes:
        arguments: of `dg.asset`, as `face` returns them.
        left_out: kinds of the subject that another asset checks.
        further: kinds of a subject that acts before it in the same run.
    """

    policy: Policy
    subject: Subject[Any]
    arguments: dict[str, Any]
    left_out: frozenset[FindingKind] = frozenset()
    further: frozenset[FindingKind] = frozenset()

    @property
    def kinds(self) -> frozenset[FindingKind]:
        """The kinds of findings that it checks."""
        return self.subject.finding_kinds - self.left_out | self.further

    @property
    def key(self) -> dg.AssetKey:
        """The asset key."""
        return self.arguments["key"]

    def asset(self, body: Callable[..., Iterator[AssetResult]]) -> dg.AssetsDefinition:
        """Build the asset from a custom body, which must end with `results`."""
        checks = check_specs(self.key, self.kinds)
        return make_asset(self.policy, {**self.arguments, "check_specs": checks}, body)

    def results(self, report: Report, describe: Callable[[], Metadata]) -> Iterator[AssetResult]:
        """Yield the checks and then the materialization; fail in between if an action failed.

        Raises:
            dagster.Failure: an action failed or was refused.
        """
        yield from check_results(self.key, self.kinds, report.findings)
        fail_if_undone(report)
        shown = {**describe(), **sql_metadata(report), **cost_metadata(report)}
        yield materialized(self.key, shown)


def subject_asset(
    frame: Frame, describe: Describe, request: Request = EVERYTHING
) -> dg.AssetsDefinition:
    """Build the asset that applies its subject and shows the result as metadata."""

    def execute_plan(context: dg.AssetExecutionContext) -> Iterator[AssetResult]:
        report = MAINTAINER.apply(context, frame.policy, frame.subject.name, request)
        yield from frame.results(report, lambda: describe(report))

    return frame.asset(execute_plan)
