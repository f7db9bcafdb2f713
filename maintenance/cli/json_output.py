"""Convert reports to the JSON documents of the command line."""

from typing import Any

from maintenance.pipeline.pause import pause_json
from maintenance.pipeline.run import Report
from maintenance.policy import Policy
from maintenance.store import RecentRun
from maintenance.subjects.partitions.inventory import inventory


def check_document(policy: Policy, report: Report) -> dict[str, Any]:
    """Return the JSON document of `check`."""
    assert report.snapshot is not None, "check always observes"
    server = report.snapshot.server
    return {
        **_head(policy, report),
        "policy": str(policy.path),
        "server": {
            "version": server.version_text,
            "database": server.database,
            "role": server.role,
            "is_superuser": server.is_superuser,
            "in_recovery": server.in_recovery,
        },
        "findings": _findings(report),
    }


def plan_document(policy: Policy, report: Report) -> dict[str, Any]:
    """Return the JSON document of `plan`: planned actions and findings."""
    actions = [action.as_json() for action in report.plan.actions]
    return {
        **_head(policy, report),
        "actions": actions,
        "skipped": _skipped(report),
        "findings": _findings(report),
        "facts": dict(report.facts),
        **_costs(report),
    }


def applied_document(policy: Policy, report: Report) -> dict[str, Any]:
    """Return the JSON document of `apply`: actions with outcomes, and the remaining findings."""
    results = [result.as_json() for result in report.results]
    return {
        **_head(policy, report),
        "run_id": report.run_id,
        "actions": results,
        "skipped": _skipped(report),
        "findings": _findings(report),
        "facts": dict(report.facts),
        **_costs(report),
    }


def status_document(policy: Policy, report: Report) -> dict[str, Any]:
    """Return the JSON document of `status`."""
    assert report.snapshot is not None, "status always observes"
    stock = inventory(policy, report.snapshot, report.now)
    return {
        **_head(policy, report),
        "mode": policy.database.mode,
        "pause": pause_json(report.pause),
        "partitions": [table.as_json() for table in stock],
        "skipped": _skipped(report),
        "findings": _findings(report),
        "facts": dict(report.facts),
        "runs": [_run(run) for run in report.runs],
        **_costs(report),
    }


def _head(policy: Policy, report: Report) -> dict[str, Any]:
    return {"database": policy.database.name, "now": report.now.isoformat()}


def _findings(report: Report) -> list[dict[str, Any]]:
    return [finding.as_json() for finding in report.findings]


def _skipped(report: Report) -> list[dict[str, Any]]:
    return [skip._asdict() for skip in report.plan.skipped]


def _costs(report: Report) -> dict[str, Any]:
    """Return the cost of our own statements, by purpose."""
    return {"cost": {purpose: cost.as_json() for purpose, cost in report.costs.items()}}


def _run(run: RecentRun) -> dict[str, Any]:
    return {
        "id": str(run.id),
        "command": run.command,
        "started_at": run.started_at.isoformat(),
        "ended_at": run.ended_at.isoformat() if run.ended_at else None,
        "outcome": run.outcome,
        "error": run.error,
        "actions": run.n_actions,
        "failed": run.n_failed,
        "errors": run.n_errors,
        "result": run.result,
        "own_seconds": run.own_seconds,
        "own_rows": run.own_rows,
    }
