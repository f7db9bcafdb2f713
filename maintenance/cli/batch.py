"""The result of a command for each policy: a report or an error, and the exit code."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from maintenance.errors import MaintenanceError, PolicyError, UsageError
from maintenance.names import QualifiedName
from maintenance.policy import Policies, Policy


class Reported(Protocol):
    """The report of a command on one database."""

    @property
    def ok(self) -> bool:
        """Whether the command exits with 0."""
        ...


R = TypeVar("R", bound=Reported)


@dataclass(frozen=True)
class Answer(Generic[R]):
    """The result of one command on one policy: either a report or an error."""

    policy: Policy | None
    report: R | None = None
    error: MaintenanceError | None = None

    @property
    def exit_code(self) -> int:
        """The exit code: 0 done, 1 failed or open errors, 2 usage, 3 unreachable."""
        if self.error is not None:
            return self.error.exit_code
        assert self.report is not None, "an answer is a report or an error"
        return 0 if self.report.ok else 1

    def as_json(self, to_json: Callable[[Policy, R], dict[str, Any]]) -> dict[str, Any]:
        """Return the policy's part of the JSON output."""
        if self.policy is not None and self.report is not None:
            return to_json(self.policy, self.report)
        assert self.error is not None, "an answer is a report or an error"
        name = {"database": self.policy.database.name} if self.policy is not None else {}
        return {**name, "error": error_json(self.error)}

    def render(self, render: Callable[[Policy, R], None]) -> None:
        """Print the report for a terminal."""
        assert self.policy is not None, "only reports are rendered"
        assert self.report is not None, "only reports are rendered"
        render(self.policy, self.report)


def answers(policies: Policies, work: Callable[[Policy], R]) -> Iterator[Answer[R]]:
    """Run `work` for every policy; an error in one policy does not stop the others."""
    for broken in policies.broken:
        yield Answer(None, error=broken)
    for policy in policies.loaded:
        try:
            yield Answer(policy, report=work(policy))
        except MaintenanceError as exc:
            yield Answer(policy, error=exc)


def policy_of(policies: Policies, table: QualifiedName) -> Policy:
    """Return the only policy that names a table or view, or the only policy loaded.

    Raises:
        PolicyError: a policy file is invalid and could be the one that names the table.
        UsageError: no policy or several policies name the table.
    """
    naming = [policy for policy in policies.loaded if table in _named(policy)]
    if len(naming) == 1:
        return naming[0]
    if policies.broken:
        raise policies.broken[0]
    if not naming and len(policies.loaded) == 1:
        return policies.loaded[0]
    found = ", ".join(policy.database.name for policy in naming) or "none"
    raise UsageError(
        f"{table}: expected exactly one policy that names this table, found: {found}",
        hint="select the policy file with --policy",
    )


def _named(policy: Policy) -> set[QualifiedName]:
    return {*(s.table for s in policy.partitions), *(s.name for s in policy.matviews)}


def error_json(error: MaintenanceError) -> dict[str, Any]:
    """Return an error as JSON: message, hint, reason, and the problems of a policy file."""
    problems = error.problems if isinstance(error, PolicyError) else ()
    return {
        "message": str(error),
        "hint": error.hint,
        "reason": error.reason,
        "exit_code": error.exit_code,
        "problems": [
            {
                "file": p.file,
                "line": p.line,
                "column": p.column,
                "key": p.key,
                "reason": p.reason.value,
                "found": p.found,
                "wanted": p.wanted,
                "hint": p.hint,
            }
            for p in problems
        ],
    }
