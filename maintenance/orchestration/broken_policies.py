"""Alerts about invalid policy files: without them, a typo would silently end all maintenance."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from maintenance.alerts.models import FindingSet
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.formatting import listed
from maintenance.policy import BrokenPolicyError, Placement, Policy, alerting_part
from maintenance.redaction import redact

SHOWN = 3
"""Number of problems of a file named in the message."""


@dataclass(frozen=True, slots=True)
class Hosts:
    """The policies whose sinks are told of invalid files.

    A file tells of itself, if its own sections `database`, `store` and `alerts` are valid. Of any
    other file the first valid policy tells.

    Attributes:
        loaded: the valid policies.
        parts: the valid parts of invalid ones.
        unheard: files for which no valid policy has a sink.
    """

    loaded: tuple[Policy, ...]
    parts: tuple[Policy, ...]
    unheard: tuple[BrokenPolicyError, ...]
    _told_by: tuple[tuple[str, BrokenPolicyError], ...]

    @property
    def policies(self) -> tuple[Policy, ...]:
        """All policies that tell of something."""
        return (*self.loaded, *self.parts)

    def findings(self, policy: Policy) -> FindingSet:
        """Return the findings that one policy tells; those of repaired files are resolved."""
        name = policy.database.name
        found = [_finding(error) for host, error in self._told_by if host == name]
        return FindingSet(name, found, frozenset({FindingKind.POLICY_BROKEN}))


def hosts_of(
    loaded: Sequence[Policy], broken: Sequence[BrokenPolicyError], placement: Placement
) -> Hosts:
    """Choose who tells of which invalid file."""
    names = {policy.database.name for policy in loaded}
    parts: dict[str, Policy] = {}
    told_by: list[tuple[str, BrokenPolicyError]] = []
    unheard: list[BrokenPolicyError] = []
    for error in broken:
        part = alerting_part(error.path)
        if part is not None and part.database.name not in names:
            parts.setdefault(part.database.name, part.placed(placement))
        host = part.database.name if part is not None else next(_first(loaded), None)
        if host is not None:
            told_by.append((host, error))
        else:
            unheard.append(error)
    return Hosts(tuple(loaded), tuple(parts.values()), tuple(unheard), tuple(told_by))


def _first(loaded: Sequence[Policy]) -> Iterator[str]:
    yield from (policy.database.name for policy in loaded)


def _finding(error: BrokenPolicyError) -> Finding:
    problems = [redact(str(problem)) for problem in error.problems]
    return Finding(
        FindingKind.POLICY_BROKEN,
        Severity.ERROR,
        str(error.path),
        f"{error.path}: invalid policy, so nothing in it is maintained or watched:"
        f" {listed(problems, SHOWN)}; correct it, test it with maintenance check, and reload the"
        " code location",
        value=len(problems),
        threshold=0,
    )
