"""Materialized views of a database: one multi-asset, so that views refresh in parallel."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from maintenance.engine.executor import Outcome, Result
from maintenance.engine.scope import Request
from maintenance.errors import HeldError, NotNeededError
from maintenance.formatting import readable_size
from maintenance.names import QualifiedName, slug
from maintenance.orchestration.checks import check_results, check_specs
from maintenance.orchestration.maintainer import MAINTAINER
from maintenance.orchestration.markdown import code, sql
from maintenance.orchestration.metadata import Metadata
from maintenance.orchestration.naming import asset_key
from maintenance.orchestration.pools import pool_of
from maintenance.orchestration.subject_asset import (
    AssetResult,
    belonging,
    materialized,
    placed,
    with_asset,
)
from maintenance.pipeline.run import Report
from maintenance.policy import MatviewPolicy, Policy
from maintenance.subjects.matviews import MATVIEWS
from maintenance.subjects.matviews.dependencies import (
    declared_reads,
    header,
    in_circles,
    in_order,
    query,
)

GROUP = "matviews"
SOURCES = "sources"

_SHOWN_OTHERWISE = frozenset({"as_of", "changed", "rows"})
"""Details of a refresh that have a key or a form of Dagster's own."""


def matview_key(policy: Policy, name: QualifiedName) -> dg.AssetKey:
    """Return the asset key of a view: `<db>/matviews/<name>`."""
    return asset_key(policy, "matviews", slug(name))


def source_key(policy: Policy, name: QualifiedName) -> dg.AssetKey:
    """Return the asset key of a source table: `<db>/source/<table>`."""
    return asset_key(policy, "source", slug(name))


def source_spec(policy: Policy, name: QualifiedName) -> dg.AssetSpec:
    """Return the spec of a source table, for the lineage."""
    return dg.AssetSpec(
        source_key(policy, name),
        group_name=SOURCES,
        kinds={"postgres", "table"},
        **belonging(policy),
        metadata={"dagster/table_name": str(name)},
        description=f"Application table {code(str(name))}. Read-only here.",
    )


def tables_read(policy: Policy) -> set[QualifiedName]:
    """Return the tables that the policy's views read, without the views themselves."""
    reads = declared_reads(policy)
    return {name for names in reads.values() for name in names} - reads.keys()


def matviews_asset(policy: Policy) -> dg.AssetsDefinition:
    """Build the multi-asset of all views of a policy; each can be materialized alone."""
    named = {section.name: section for section in policy.matviews}
    # Dagster wants upstream assets first; views in a cycle have no order.
    ordered = [*in_order(declared_reads(policy)), *in_circles(declared_reads(policy))]
    sections = {matview_key(policy, name): named[name] for name in ordered}
    kinds = MATVIEWS.finding_kinds

    view_assets = dg.multi_asset(
        name=asset_key(policy, "matviews").to_python_identifier(),
        specs=[_spec(policy, section) for section in policy.matviews],
        check_specs=[spec for key in sections for spec in check_specs(key, kinds)],
        can_subset=True,
        pool=pool_of(policy, "work"),
    )

    def matviews(context: dg.AssetExecutionContext) -> Iterator[AssetResult]:
        chosen = {key: sections[key] for key in sections if key in context.selected_asset_keys}
        names = tuple(section.name for section in chosen.values())
        report = MAINTAINER.apply(context, policy, MATVIEWS.name, Request(among=names))
        sizes, rows = MAINTAINER.sizes(policy, names), MAINTAINER.view_rows(policy)
        for key, section in chosen.items():
            yield from check_results(key, kinds, findings_of(report, policy, section.name))
            metadata = outcome_of(report, section.name)
            if metadata is not None:
                stock = _stock(rows.get(section.name), sizes.get(section.name))
                yield materialized(key, stock | metadata)
        fail_if_stale(report, policy, names)

    return view_assets(placed(policy, with_asset(matviews)))


def _spec(policy: Policy, section: MatviewPolicy) -> dg.AssetSpec:
    reads = declared_reads(policy)
    # A cycle of views is a finding, and must not make all definitions fail to load.
    circular = in_circles(reads)
    upstream = [
        (matview_key if name in reads else source_key)(policy, name)
        for name in reads[section.name]
        if not (section.name in circular and name in circular)
    ]
    metadata: Metadata = {
        "dagster/table_name": str(section.name),
        "max_age_hours": section.max_age.total_seconds() / 3600,
        "refresh": section.refresh or f"{policy.schedules.nightly} (nightly)",
    }
    if section.unique_index:
        metadata["unique_index"] = ", ".join(section.unique_index)
    if section.invalidates:
        metadata["invalidates"] = ", ".join(section.invalidates)
    if section.definition:
        metadata["definition"] = sql([query(section.definition).rstrip("; \n")])
    return dg.AssetSpec(
        matview_key(policy, section.name),
        deps=upstream,
        group_name=GROUP,
        kinds={"postgres", "view"},
        **belonging(policy),
        metadata=metadata,
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=section.max_age),
        description=_description(section),
        # A view that could not be refreshed yields no event; the run gives the reason.
        skippable=True,
    )


def _description(section: MatviewPolicy) -> str:
    what = header(section.definition) if section.definition else ""
    return (
        f"{what or f'Materialized view {code(str(section.name))}.'}\n\n"
        "Materializing refreshes it; skipped if the tables it reads are proven unchanged.\n\n"
        "**When red:** open the failed check or the last error of the run. The view keeps its"
        " previous content."
    )


def findings_of(report: Report, policy: Policy, name: QualifiedName) -> list[Any]:
    """Return the findings about one view, and those about the whole database."""
    about = {str(name), policy.database.name, f"{policy.database.name}/{MATVIEWS.name}"}
    return [finding for finding in report.findings if finding.object in about]


def outcome_of(report: Report, name: QualifiedName) -> Metadata | None:
    """Return the metadata of a view that is up to date; None if that is not known.

    The keys are the same for a refresh and for a skipped refresh, so that they can be plotted.
    """
    for result in report.results:
        if result.action.object == str(name) and result.action.kind in MATVIEWS.executors:
            return _outcome(result)
    skips = [skip for skip in report.plan.skipped if skip.object == str(name)]
    return _unchanged(skips[0].reason) | _proof(skips[0].data) if skips else None


def _proof(data: Mapping[str, Any]) -> Metadata:
    """Return the moments of a proof, and the session that limits it."""
    metadata: Metadata = {
        key: dg.MetadataValue.timestamp(datetime.fromisoformat(data[key]))
        for key in ("unchanged_since", "as_of")
        if data.get(key)
    }
    if data.get("held_by"):
        metadata["held_by"] = dg.MetadataValue.json(data["held_by"])
    return metadata


def _outcome(result: Result) -> Metadata | None:
    if isinstance(result.cause, NotNeededError):
        return _unchanged(str(result.cause))
    if result.outcome is not Outcome.DONE:
        return None
    detail = result.detail
    changes = [detail.get(f"rows_{how}") for how in ("inserted", "updated", "deleted")]
    metadata: Metadata = {
        "outcome": "created" if result.action.kind.value.startswith("create") else "refreshed",
        "reason": result.action.reason,
        "duration_s": round(result.duration_ms / 1000, 3),
        "attempts": result.attempts,
    }
    if any(change is not None for change in changes):
        metadata["rows_changed"] = sum(change or 0 for change in changes)
    if detail.get("as_of"):
        as_of = datetime.fromisoformat(str(detail["as_of"]))
        metadata["as_of"] = dg.MetadataValue.timestamp(as_of)
    shown = {k: v for k, v in detail.items() if v is not None and k not in _SHOWN_OTHERWISE}
    return metadata | shown


def _unchanged(reason: str) -> Metadata:
    return {"outcome": "unchanged", "reason": reason, "duration_s": 0.0, "rows_changed": 0}


def _stock(n_rows: int | None, size_bytes: int | None) -> Metadata:
    metadata: Metadata = {} if n_rows is None else {"dagster/row_count": n_rows}
    if size_bytes is not None:
        metadata |= {"size_bytes": size_bytes, "size": readable_size(size_bytes)}
    return metadata


def fail_if_stale(report: Report, policy: Policy, names: Sequence[QualifiedName]) -> None:
    """Fail the run if a view is not known to be up to date.

    Raises:
        dagster.Failure: names every such view, with the reason.
    """
    reasons = [
        reason
        for name in names
        if outcome_of(report, name) is None and not _is_held(report, name)
        for reason in _reasons(report, policy, name)
    ]
    if reasons:
        raise dg.Failure(description="\n".join(reasons), allow_retries=False)


def _is_held(report: Report, name: QualifiedName) -> bool:
    """Whether a view was left alone by mode or pause: its run does not fail for that."""
    return any(
        isinstance(result.cause, HeldError) and result.action.object == str(name)
        for result in report.results
    )


def _reasons(report: Report, policy: Policy, name: QualifiedName) -> Iterator[str]:
    errors = [
        f"{name}: {result.outcome}: {result.error}"
        for result in report.results
        if result.action.object == str(name) and result.outcome is not Outcome.DONE
    ]
    found = [finding.message for finding in findings_of(report, policy, name)]
    yield from errors or found or [f"{name}: no refresh planned"]
