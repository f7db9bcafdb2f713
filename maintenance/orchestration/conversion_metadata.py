"""What the assets of partitioned tables show of conversions."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from maintenance.engine.actions import Action, ActionKind
from maintenance.engine.executor import Outcome, Result
from maintenance.engine.findings import Finding, FindingKind
from maintenance.engine.progress import StepProgress
from maintenance.formatting import readable_span, visible
from maintenance.orchestration.markdown import code, plain, table
from maintenance.orchestration.metadata import Metadata
from maintenance.orchestration.partitions_defs import partitions_key
from maintenance.pipeline.run import Report
from maintenance.policy import PartitionPolicy, Policy

SHOW_EVERY_S = 30.0
"""Seconds between two events that show how far one step is; each new step has its own."""

OpContext = dg.OpExecutionContext | dg.AssetExecutionContext


def converts(policy: Policy) -> bool:
    """Whether the policy converts tables."""
    return any(section.convert != "never" for section in policy.partitions)


def show_conversions(policy: Policy, context: OpContext, report: Report) -> dict[str, Metadata]:
    """Log what a report says of conversions on the assets of the tables.

    Returns:
        The metadata by table.
    """
    shown: dict[str, Metadata] = {}
    for section in policy.partitions:
        metadata = conversion_metadata(section, report)
        if metadata:
            shown[str(section.table)] = metadata
            event = dg.AssetObservation(partitions_key(policy, section), metadata=metadata)
            context.log_event(event)
    return shown


@dataclass
class LiveProgress:
    """Logs how far a conversion is on the asset of its table, at most every half minute a step."""

    policy: Policy
    context: OpContext
    _told: dict[str, tuple[str, float]] = field(default_factory=dict[str, tuple[str, float]])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, line: str) -> None:
        """Take a line of progress, also from the session that watches a build."""
        if not isinstance(line, StepProgress):
            return
        with self._lock:
            step, now = line.state.partition(",")[0], time.monotonic()
            told, at = self._told.get(line.table, ("", 0.0))
            if told == step and now - at < SHOW_EVERY_S:
                return
            self._told[line.table] = step, now
            self._log(line)

    def _log(self, line: StepProgress) -> None:
        for section in self.policy.partitions:
            if str(section.table) == line.table:
                metadata = {"conversion": line.state, "doing": visible(line.what)}
                key = partitions_key(self.policy, section)
                self.context.log_event(dg.AssetObservation(key, metadata=metadata))


def conversion_metadata(section: PartitionPolicy, report: Report) -> Metadata:
    """Return what a report says of the conversion of a table; empty if it is about none."""
    name = str(section.table)
    converting = (
        each
        for each in report.plan.actions
        if each.kind is ActionKind.CONVERT_TABLE and each.object == name
    )
    action = next(converting, None)
    result = next(
        (r for r in report.results if action is not None and r.action.id == action.id), None
    )
    findings = {f.kind: f for f in report.findings if f.object == name and f.kind in _KINDS}
    found = findings.get(FindingKind.NOT_PARTITIONED)
    if action is None and (found is None or section.convert == "never"):
        return {}
    metadata: Metadata = {"conversion": visible(_state(action, result, found))}
    if action is not None:
        metadata["conversion_steps"] = table(_STEPS, _steps(action, result))
    if found is not None:
        metadata |= _left(found)
    waiting = findings.get(FindingKind.CONVERSION_WAITING)
    if waiting is not None:
        metadata["waits_for"] = visible(waiting.message)
    return metadata


_KINDS = frozenset({FindingKind.NOT_PARTITIONED, FindingKind.CONVERSION_WAITING})
_STEPS = ("step:", "what", "locks", "estimated:", "took:")
_REASONS = ("reason", "what to change", "objects")


def _state(action: Action | None, result: Result | None, found: Finding | None) -> str:
    if result is not None and result.outcome is Outcome.DONE:
        return "converted"
    if result is not None and result.error:
        return f"{result.outcome.value}: {result.error}"
    if action is not None:
        n_steps, seconds = len(action.detail["steps"]), action.detail["estimated_s"]
        held = f"; {action.held.text}" if action.held is not None else ""
        return f"planned: {n_steps} steps, about {readable_span(max(1, seconds))}{held}"
    return found.message if found is not None else "not planned"


def _steps(action: Action, result: Result | None) -> Iterator[tuple[str, ...]]:
    took: Sequence[float] = result.detail.get("step_seconds", ()) if result is not None else ()
    for place, step in enumerate(action.detail["steps"]):
        yield (
            str(place + 1),
            plain(step["what"]),
            plain(", ".join(step["locks"])),
            f"{step['estimated_s']} s",
            f"{took[place]:.2f} s" if place < len(took) else "",
        )


def _left(found: Finding) -> Metadata:
    """Return what a table lacks: steps, or the reasons against its conversion as a table."""
    data: Mapping[str, Any] = found.data
    metadata: Metadata = {}
    if "steps_left" in data:
        metadata["steps_left"] = data["steps_left"]
    if data.get("obstacles"):
        rows = [
            (each["code"], plain(each["text"]), ", ".join(map(code, each["objects"])))
            for each in data["obstacles"]
        ]
        metadata["reasons_against"] = table(_REASONS, rows)
    return metadata
