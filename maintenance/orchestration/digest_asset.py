"""The digest asset: a daily health summary on one page."""

from collections.abc import Collection, Iterator, Sequence

import dagster as dg

from maintenance.engine.findings import Severity
from maintenance.formatting import visible_lines
from maintenance.monitoring import Level, Overview, Verdict, assess_health
from maintenance.orchestration.digest_day import work_section
from maintenance.orchestration.digest_links import AssetLinks
from maintenance.orchestration.digest_page import digest_page
from maintenance.orchestration.maintainer import MAINTAINER
from maintenance.orchestration.metadata import Metadata
from maintenance.orchestration.naming import asset_key
from maintenance.orchestration.subject_asset import AssetResult, face, make_asset, materialized
from maintenance.policy import Policy

GROUP = "digest"
CHECK = "nothing_to_worry_about"

_MEGABYTE = 2**20


def digest_key(policy: Policy) -> dg.AssetKey:
    """Return the asset key `<db>/digest`."""
    return asset_key(policy, "digest")


def digest_asset(
    policy: Policy, upstream: Sequence[dg.AssetKey], others: Collection[dg.AssetKey] = ()
) -> dg.AssetsDefinition:
    """Build the asset that summarizes the results of the other assets, even if some failed.

    Args:
        policy: the policy of the database.
        upstream: the assets that it waits for.
        others: further assets that its page links to.
    """
    key = digest_key(policy)
    check = dg.AssetCheckSpec(
        CHECK, asset=key, description="Fails if an operator must act; the text says why."
    )
    arguments = face(
        policy,
        key,
        group=GROUP,
        deps=upstream,
        about=(
            "Daily health summary: verdict, open alerts, partitions ahead, age of views, activity"
            " of the last 24 hours and scheduled work. Open `digest` in the metadata of the newest"
            " materialization. Read-only; one short catalog query for the partitions and a few"
            " queries on the store."
        ),
        when_red="the failed check lists the problems, the most urgent first.",
        check_specs=[check],
    )

    links = AssetLinks(
        frozenset(each.to_user_string() for each in (*upstream, *others)),
        policy.placement,
        (policy.alerts.ui or "").rstrip("/"),
    )

    def sum_up(context: dg.AssetExecutionContext) -> Iterator[AssetResult]:
        overview = MAINTAINER.overview(policy)
        verdict = assess_health(overview)
        context.log.info("%s", visible_lines(str(verdict)))
        yield _check(key, verdict)
        yield materialized(key, _metadata(overview, links))

    return make_asset(policy, arguments, sum_up)


def _check(key: dg.AssetKey, verdict: Verdict) -> dg.AssetCheckEvaluation:
    is_urgent = verdict.level is Level.NOW
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=CHECK,
        passed=verdict.level is Level.FINE,
        severity=dg.AssetCheckSeverity.ERROR if is_urgent else dg.AssetCheckSeverity.WARN,
        description=visible_lines(str(verdict)),
    )


def _metadata(overview: Overview, links: AssetLinks) -> Metadata:
    """Return the page, and numbers to plot."""
    metadata: Metadata = {
        "digest": dg.MetadataValue.md(digest_page(overview, links)),
        "verdict": str(assess_health(overview)),
        "errors": len(overview.alerts(Severity.ERROR)),
        "warnings": len(overview.alerts(Severity.WARN)),
    }
    if overview.tables:
        metadata["periods_ahead"] = min(table.ahead for table in overview.tables)
    if overview.history is not None:
        if overview.history.work is not None:
            done = work_section(overview.database, overview.history.work, links)
            metadata["work_done"] = dg.MetadataValue.md(done)
        metadata["failed_runs"] = overview.history.activity.n_failed
        sizes = [moment.size_bytes for moment in overview.history.moments]
        if sizes and sizes[-1] is not None:
            metadata["database_megabytes"] = round(sizes[-1] / _MEGABYTE, 1)
    return metadata
