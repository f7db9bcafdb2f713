"""A plan: actions and findings, in an order that depends on nothing but their content."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from maintenance.engine.actions import Action, ActionKind
from maintenance.engine.findings import Finding, FindingKind, Severity


class Skip(NamedTuple):
    """Something that need not be done, with the proof in words."""

    kind: ActionKind
    object: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done, in order, and what the owner should know."""

    actions: tuple[Action, ...] = ()
    findings: tuple[Finding, ...] = ()
    skipped: tuple[Skip, ...] = ()

    def __post_init__(self) -> None:
        """Hold the promise of one finding for a kind and an object."""
        seen = {(finding.kind, finding.object) for finding in self.findings}
        if len(seen) != len(self.findings):
            raise ValueError("two findings of one kind on one object")

    @property
    def has_error(self) -> bool:
        """Whether a finding of severity error stands."""
        return any(finding.severity is Severity.ERROR for finding in self.findings)


def join(plans: Iterable[Plan]) -> Plan:
    """Put the plans of several subjects or tables one after the other.

    What two subjects say in the same words is said once, by the first. An action that has no
    statement is left out: what it was to change stays a finding.
    """
    ordered = list(plans)
    findings: dict[tuple[FindingKind, str, str], Finding] = {}
    for plan in ordered:
        for finding in plan.findings:
            findings.setdefault((finding.kind, finding.object, finding.message), finding)
    actions = (action for plan in ordered for action in plan.actions)
    return Plan(
        actions=tuple(action for action in actions if not action.is_void),
        findings=tuple(findings.values()),
        skipped=tuple(skip for plan in ordered for skip in plan.skipped),
    )
