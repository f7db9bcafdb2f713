"""The asset of declared indexes: compared with the database, rolled out, and proven."""

from collections.abc import Iterator, Mapping, Sequence
from math import inf
from typing import Any

import dagster as dg
from pydantic import Field

from maintenance.engine.actions import ActionKind
from maintenance.engine.executor import Outcome, Result
from maintenance.engine.findings import Finding, FindingKind
from maintenance.engine.gate import Origin
from maintenance.engine.scope import Request
from maintenance.formatting import readable_size
from maintenance.names import QualifiedName
from maintenance.orchestration.charts import before_and_after
from maintenance.orchestration.maintainer import MAINTAINER, origin_of
from maintenance.orchestration.markdown import code, plain, table
from maintenance.orchestration.metadata import Metadata, actions_metadata
from maintenance.orchestration.naming import asset_key, name_of
from maintenance.orchestration.run_mode import Mode
from maintenance.orchestration.subject_asset import AssetResult, Frame, face
from maintenance.pipeline.run import Report
from maintenance.policy import Policy
from maintenance.policy.declarations import (
    CheckDeclaration,
    ColumnDeclaration,
    Declaration,
    DropDeclaration,
    IndexDeclaration,
)
from maintenance.subjects.indexes import INDEXES
from maintenance.subjects.indexes.candidates.findings import candidates_said
from maintenance.subjects.indexes.candidates.models import INDEX_CANDIDATES
from maintenance.subjects.indexes.declared.pruning import PARTITIONS_READ
from maintenance.subjects.indexes.declared.query_service import (
    DECLARED_QUERIES,
    Service,
    said_json,
)

GROUP = "indexes"

AS_DECLARED = "as declared"
CHARTED = 16
"""Number of queries in the chart, those that changed most first."""


class RolloutConfig(dg.Config):
    """Mode of runs launched by hand; the launchpad shows the description."""

    mode: Mode = Field(
        default=Mode.PLAN,
        description="PLAN is a dry run, APPLY builds, replaces and drops what is declared.",
    )
    waves: list[int] = Field(
        default=[],
        description="The waves to roll out, also before their day; without any, all that have begun"
        " (indexes.waves).",
    )


def indexes_key(policy: Policy) -> dg.AssetKey:
    """Return the asset key `<db>/indexes`."""
    return asset_key(policy, "indexes")


def rollout_config(policy: Policy, mode: Mode) -> dg.RunConfig:
    """Return the configuration of a run of the asset."""
    return dg.RunConfig(ops={indexes_key(policy).to_python_identifier(): RolloutConfig(mode=mode)})


def has_declarations(policy: Policy) -> bool:
    """Whether the policy declares indexes."""
    return policy.indexes is not None and policy.indexes.declared is not None


def indexes_asset(policy: Policy) -> dg.AssetsDefinition:
    """Build the asset that compares declared indexes with the database and rolls them out."""
    arguments = face(
        policy,
        indexes_key(policy),
        group=GROUP,
        pool="ddl",
        about=(
            "Declared indexes, constraints and generated columns, compared with the database. A"
            " nightly run changes nothing. Launch the job"
            f" `{name_of(policy, 'index_rollout')}` with `mode: APPLY` to build what is missing,"
            " in waves and without blocking writers, and to measure the declared queries before"
            " and after."
        ),
        when_red=(
            "the failed check names the declaration, its file and line, and what to change. A"
            " failed build left nothing behind, or what it left is removed by the next rollout."
        ),
    )
    frame = Frame(policy, INDEXES, arguments, left_out=_advice())

    def compare(context: dg.AssetExecutionContext, config: RolloutConfig) -> Iterator[AssetResult]:
        report = _report(context, config, policy)
        yield from frame.results(report, lambda: _describe(policy, report))

    return frame.asset(compare)


def _advice() -> frozenset[FindingKind]:
    """Return the kinds that only give advice on existing indexes."""
    return frozenset(kind for kind in FindingKind if kind.spec.is_advice)


def _report(context: dg.AssetExecutionContext, config: RolloutConfig, policy: Policy) -> Report:
    """Roll out, or compare; what a schedule compares is recorded, so that alerts follow."""
    request = Request(waves=tuple(config.waves))
    if config.mode is Mode.APPLY:
        return MAINTAINER.apply(context, policy, INDEXES.name, request)
    if origin_of(context.run.tags) is Origin.SCHEDULED:
        return MAINTAINER.apply(context, policy, INDEXES.name, Request(rollout=False))
    return MAINTAINER.plan(context, policy, INDEXES.name, request)


def _describe(policy: Policy, report: Report) -> Metadata:
    assert policy.indexes is not None, "the asset exists only with declarations"
    declared = policy.indexes.declarations
    sizes = MAINTAINER.sizes(policy, [d.relation for d in declared if isinstance(d, _INDEXES)])
    return {
        **declared_metadata(declared, report, sizes),
        **proof_metadata(report.results),
        **service_metadata(report.facts),
        **actions_metadata(report),
    }


_INDEXES = IndexDeclaration | DropDeclaration


def declared_metadata(
    declared: Sequence[Declaration], report: Report, sizes: Mapping[QualifiedName, int]
) -> Metadata:
    """Return the state of each declaration as a table, and numbers to plot.

    Args:
        declared: the declarations of the policy.
        report: of the run.
        sizes: of their indexes in bytes, where they exist.
    """
    states = _states(report)
    judged = dict(_expectations(report))
    rows = [
        _row(each, states.get(_object(each), AS_DECLARED), sizes, judged.get(_object(each), ""))
        for each in declared
    ]
    n_open = sum(_object(each) in states for each in declared)
    return {
        "declared": len(declared),
        "as_declared": len(declared) - n_open,
        "declarations": table(_HEAD, rows),
    }


def _expectations(report: Report) -> Iterator[tuple[str, str]]:
    """Yield how each index that was built compares with what was expected of it."""
    for result in report.results:
        proof: Mapping[str, Any] = result.detail.get("proof") or {}
        name = str(result.action.detail.get("takes_name_of") or result.action.object)
        if proof.get("expectation"):
            yield name, str(proof["expectation"])


_HEAD = ("object", "what", "wave:", "state", "size:", "serves", "expected")


def _row(
    declared: Declaration, state: str, sizes: Mapping[QualifiedName, int], verdict: str
) -> tuple[str, ...]:
    notes = declared.annotations
    name = declared.relation if isinstance(declared, _INDEXES) else None
    size = sizes.get(name) if name is not None else None
    return (
        code(_object(declared)),
        _WHAT[type(declared)],
        str(notes.wave or ""),
        plain(state),
        readable_size(size) if size is not None else "",
        plain(", ".join(notes.serves)),
        ": ".join(filter(None, (f"{notes.expect:g}x", verdict))) if notes.expect else "",
    )


_WHAT: Mapping[type, str] = {
    IndexDeclaration: "index",
    DropDeclaration: "drop",
    CheckDeclaration: "constraint",
    ColumnDeclaration: "generated column",
}


def _object(declared: Declaration) -> str:
    return str(declared.relation) if isinstance(declared, _INDEXES) else declared.object


def _states(report: Report) -> dict[str, str]:
    """Return what is open of each object: an action that was not done, or a finding."""
    done = {r.action.id for r in report.results if r.outcome is Outcome.DONE}
    states = {f.object: f.kind.value for f in report.findings if _is_open(f)}
    for action in report.plan.actions:
        if action.id in done:
            continue
        state = action.held.text if action.held is not None else f"{action.kind.value} planned"
        states[str(action.detail.get("takes_name_of") or action.object)] = state
    for result in report.results:
        if result.outcome in (Outcome.FAILED, Outcome.REFUSED):
            states[result.action.object] = f"{result.outcome.value}: {result.error}"
    return states


def _is_open(finding: Finding) -> bool:
    return finding.kind.spec.is_of_declaration


def service_metadata(facts: Mapping[str, Any]) -> Metadata:
    """Return what serves the declared queries: a table, and their share to plot."""
    share: Mapping[str, Any] | None = facts.get(DECLARED_QUERIES)
    if share is None:
        return _partitions_metadata(facts)
    rows = [
        (
            code(f"{each['query']} {each['parameters']}"),
            plain(each["service"].replace("_", " ")),
            code(each["index"]),
            ", ".join(map(code, each["wanted"])),
            plain(each["text"]),
        )
        for each in share["queries"]
    ]
    metadata: Metadata = {
        "declared_queries": plain(said_json(share)),
        "served_queries": table(("query", "served by", "index", "declared for it", "why"), rows),
        **{f"queries_{service.value}": share[service.value] for service in Service},
        **_partitions_metadata(facts),
    }
    if share["share"] is not None:
        metadata["share_of_queries_served"] = share["share"]
    return metadata


def _partitions_metadata(facts: Mapping[str, Any]) -> Metadata:
    """Return how many partitions declared queries read, how long they take to plan, candidates."""
    looked: Metadata = {}
    if INDEX_CANDIDATES in facts:
        looked["index_candidates"] = plain(candidates_said(facts[INDEX_CANDIDATES]))
    reads: Sequence[Mapping[str, Any]] = facts.get(PARTITIONS_READ, ())
    if not reads:
        return looked
    rows = [
        (
            code(f"{each['query']} {each['parameters']}"),
            code(each["table"]),
            f"{each['read']} of {each['partitions']}",
            plain((each["reason"] or "").replace("_", " ")),
            f"{each['planning_ms']:,.1f} ms" if each["planning_ms"] is not None else "",
        )
        for each in reads
    ]
    columns = ("query", "table", "partitions read", "why all", "planned in")
    return {
        "partitions_read": table(columns, rows),
        "queries_of_all_partitions": sum(each["reason"] is not None for each in reads),
        **looked,
    }


def proof_metadata(results: Sequence[Result]) -> Metadata:
    """Return what the builds of this run did to the declared queries: a chart and a table."""
    proofs = [
        (result.action.object, query)
        for result in results
        if result.action.kind is ActionKind.CREATE_INDEX and result.detail.get("proof")
        for query in result.detail["proof"].get("queries", ())
        if query["served"]
    ]
    if not proofs:
        return {}
    metadata: Metadata = {"proof": table(_PROOF_HEAD, [_proof(*each) for each in proofs])}
    measured: dict[str, tuple[float, float]] = {}
    for _, query in proofs:
        before, after = query["before_median_ms"], query["after_median_ms"]
        if before is not None and after is not None:
            name = _query(query)
            measured[name] = (measured.get(name, (before, after))[0], after)
    if measured:
        changed = sorted(measured, key=lambda name: _change(*measured[name]), reverse=True)
        shown = {name: measured[name] for name in changed[:CHARTED]}
        metadata["proof_chart"] = before_and_after("Declared queries", "ms", shown)
    used = {_query(query) for _, query in proofs if query["verdict"] == "used"}
    metadata["queries_that_use_their_index"] = len(used)
    metadata["queries_measured"] = len({_query(query) for _, query in proofs})
    return metadata


_PROOF_HEAD = ("index", "query", "before:", "after:", "times faster:", "verdict", "why")


def _proof(index: str, query: Mapping[str, Any]) -> tuple[str, ...]:
    ratio = query["ratio"]
    return (
        code(index),
        code(_query(query)),
        _milliseconds(query["before_median_ms"]),
        _milliseconds(query["after_median_ms"]),
        f"{ratio:g}" if ratio is not None else "not proven",
        plain(query["verdict"] or "unknown"),
        plain(query["text"] or query["after_failure"] or ""),
    )


def _change(before: float, after: float) -> float:
    return max(before, after) / min(before, after) if min(before, after) > 0 else inf


def _query(query: Mapping[str, Any]) -> str:
    return f"{query['query']} {query['parameters']}" if query["parameters"] else query["query"]


def _milliseconds(value: float | None) -> str:
    return f"{value:,.2f} ms" if value is not None else "unknown"
