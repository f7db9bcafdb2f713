"""The asset `fleet_health`: all databases on one page, the worst first."""

from collections import Counter
from collections.abc import Iterator

import dagster as dg

from maintenance.formatting import counted_noun
from maintenance.monitoring import Level
from maintenance.monitoring.fleet import HEAD, Fleet, cells, observe_fleet
from maintenance.orchestration.digest_asset import CHECK, GROUP
from maintenance.orchestration.jobs import job_tags, running_schedule
from maintenance.orchestration.markdown import grid, plain
from maintenance.orchestration.metadata import Metadata
from maintenance.orchestration.subject_asset import AssetResult, make_asset, materialized
from maintenance.policy import Placement, Policies

ASSET = "fleet_health"
JOB = "fleet"
"""Name of its job and schedule; those of a database's own have a second part."""
FEWEST = 2


def fleet_name(placement: Placement) -> str:
    """Return the name of the job and its schedule."""
    return placement.name(JOB)


def fleet_definitions(policies: Policies, placement: Placement) -> dg.Definitions:
    """Build the asset, job and schedule of all databases; nothing for a single one.

    The first policy owns the runs: old ones are deleted with its own.
    """
    if len(policies.loaded) < FEWEST:
        return dg.Definitions()
    asset = _asset(policies, placement)
    digests = Counter(policy.schedules.digest for policy in policies.loaded)
    ((cron, _),) = digests.most_common(1)
    job = dg.define_asset_job(
        fleet_name(placement),
        selection=dg.AssetSelection.assets(asset.key).without_checks(),
        executor_def=dg.in_process_executor,
        tags=job_tags(policies.loaded[0]),
        description="Writes the page of all databases. Read-only.",
    )
    schedule = running_schedule(job, cron, f"Writes the page of all databases (cron {cron}, UTC).")
    return dg.Definitions(assets=[asset], schedules=[schedule])


def _asset(policies: Policies, placement: Placement) -> dg.AssetsDefinition:
    key = dg.AssetKey(placement.key(ASSET))
    check = dg.AssetCheckSpec(
        CHECK, asset=key, description="Fails if a database needs somebody; the text says which."
    )

    def sum_up(_context: dg.AssetExecutionContext) -> Iterator[AssetResult]:
        fleet = observe_fleet(policies)
        yield _result(key, fleet)
        yield materialized(key, _metadata(fleet))

    arguments = {
        "key": key,
        "group_name": GROUP,
        "pool": None,
        "kinds": {"postgres"},
        "description": (
            "All databases, the worst first. Open `fleet` in the metadata of the newest"
            " materialization. Read-only; a database that can't be read has a row that says why."
            "\n\n**When red:** look at the first rows, and at the digests of their databases."
        ),
        "check_specs": [check],
    }
    return make_asset(policies.loaded[0], arguments, sum_up)


def _result(key: dg.AssetKey, fleet: Fleet) -> dg.AssetCheckEvaluation:
    severity = dg.AssetCheckSeverity.WARN if fleet.ok else dg.AssetCheckSeverity.ERROR
    return dg.AssetCheckEvaluation(
        asset_key=key,
        check_name=CHECK,
        passed=fleet.count(Level.FINE) == len(fleet.rows),
        severity=severity,
        description=_summary(fleet),
    )


def _summary(fleet: Fleet) -> str:
    counts = ", ".join(f"{level}: {fleet.count(level)}" for level in reversed(Level))
    return f"{counted_noun(len(fleet.rows), 'database')}; {counts}"


def _metadata(fleet: Fleet) -> Metadata:
    return {
        "fleet": dg.MetadataValue.md(fleet_page(fleet)),
        "databases": len(fleet.rows),
        "act_now": fleet.count(Level.NOW),
        "look_today": fleet.count(Level.TODAY),
        "not_read": sum(not row.is_read for row in fleet.rows),
    }


def fleet_page(fleet: Fleet) -> str:
    """Return the page as Markdown."""
    head = [f"{name}:" if name in ("errors", "warnings", "size") else name for name in HEAD]
    rows = [tuple(map(plain, cells(each, fleet.now))) for each in fleet.rows]
    return f"## {plain(_summary(fleet))}\n\n{grid(head, rows)}"
