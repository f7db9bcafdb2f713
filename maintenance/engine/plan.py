"""A plan: actions and findings, in an order that depends only on their content."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from maintenance.engine.actions import Action, ActionKind
from maintenance.engine.findings import Finding, FindingKind, Severity


class Skip(NamedTuple):
    """An action that is not needed, with the reason.

    Attributes:
        data: the facts behind the reason, JSON-ready.
    """

    kind: ActionKind
    object: str
    reason: str
    data: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Plan:
    """The actions to execute, in order, and the findings for the operator.

    Attributes:
        facts: what subjects observed that is worth showing without being a finding, JSON-ready.
    """

    actions: tuple[Action, ...] = ()
    findings: tuple[Finding, ...] = ()
    skipped: tuple[Skip, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        """Check that there is one finding per kind and object."""
        seen = {(finding.kind, finding.object) for finding in self.findings}
        if len(seen) != len(self.findings):
            raise ValueError("two findings of one kind on one object")

    @property
    def has_error(self) -> bool:
        """Whether there is a finding of severity error."""
        return any(finding.severity is Severity.ERROR for finding in self.findings)


def join(plans: Iterable[Plan]) -> Plan:
    """Concatenate the plans of several subjects or tables.

    Equal findings of two subjects are kept once, from the first. An action without a statement
    is left out: its object stays a finding.
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
        facts={name: fact for plan in ordered for name, fact in plan.facts.items()},
    )
