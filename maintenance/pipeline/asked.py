"""Findings of health subjects that no section asks for: a missing right is a remark then."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.policy import Policy

_NEEDS_MORE = frozenset({FindingKind.PRIVILEGE_MISSING, FindingKind.EXTENSION_MISSING})
_SUBJECTS = frozenset({"indexes", "bloat", "workload", "capacity"})
"""The subjects that report without a section."""


def as_asked(policy: Policy, subject: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Yield findings of a subject; what it lacks is only information if no section asks for it."""
    quiet = subject in _SUBJECTS - policy.sections
    for each in findings:
        is_remark = quiet and each.kind in _NEEDS_MORE
        yield replace(each, severity=Severity.INFO) if is_remark else each


def as_health_asked(policy: Policy, finding: Finding) -> Finding:
    """Return a finding on all health subjects: information if the file has no section of them."""
    asked = {"statistics", "indexes", "bloat", "workload"} & policy.sections
    if any(getattr(policy, name) is not None for name in asked):
        return finding
    return replace(finding, severity=Severity.INFO)
