"""One answer a policy: a report or an error, with the exit code it means."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from maintenance.errors import MaintenanceError, PolicyError
from maintenance.maintain import Report
from maintenance.policy import Policies, Policy


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one command on one policy; exactly one of report and error is there."""

    policy: Policy | None
    report: Report | None = None
    error: MaintenanceError | None = None

    @property
    def exit_code(self) -> int:
        """The code of docs: 0 done, 1 failed or an error stands, 2 usage, 3 unreachable."""
        if self.error is not None:
            return self.error.exit_code
        assert self.report is not None, "an answer is a report or an error"
        return 0 if self.report.ok else 1

    def as_json(self, to_json: Callable[[Policy, Report], dict[str, Any]]) -> dict[str, Any]:
        """The policy's part of the JSON answer."""
        if self.policy is not None and self.report is not None:
            return to_json(self.policy, self.report)
        assert self.error is not None, "an answer is a report or an error"
        name = {"database": self.policy.database.name} if self.policy is not None else {}
        return {**name, "error": error_json(self.error)}

    def render(self, render: Callable[[Policy, Report], None]) -> None:
        """Show the report to a person."""
        assert self.policy is not None, "only reports are rendered"
        assert self.report is not None, "only reports are rendered"
        render(self.policy, self.report)


def answers(policies: Policies, work: Callable[[Policy], Report]) -> Iterator[Answer]:
    """Do the work for every policy; what breaks one leaves the others alone."""
    for broken in policies.broken:
        yield Answer(None, error=broken)
    for policy in policies.loaded:
        try:
            yield Answer(policy, report=work(policy))
        except MaintenanceError as exc:
            yield Answer(policy, error=exc)


def error_json(error: MaintenanceError) -> dict[str, Any]:
    """An error as the command line prints it: message, hint, and a policy's problems."""
    problems = error.problems if isinstance(error, PolicyError) else ()
    return {
        "message": str(error),
        "hint": error.hint,
        "exit_code": error.exit_code,
        "problems": [
            {
                "file": p.file,
                "line": p.line,
                "column": p.column,
                "key": p.key,
                "found": p.found,
                "wanted": p.wanted,
                "hint": p.hint,
            }
            for p in problems
        ],
    }
