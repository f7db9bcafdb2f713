"""The errors of all layers; each has a message and a hint what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from maintenance.formatting import visible_lines
from maintenance.redaction import redact_error

RETRYABLE_SQLSTATES = frozenset(
    {
        "40001",  # serialization_failure
        "40P01",  # deadlock_detected
        "55P03",  # lock_not_available
        "57014",  # query_canceled: our own statement_timeout on a short step
    }
)
"""SQLSTATEs after which the same work may succeed when retried.

All others are not retried. Source: PostgreSQL manual, appendix A.
"""


class MaintenanceError(Exception):
    """An error for the operator, in one line.

    Attributes:
        hint: what to do next; empty if the message is sufficient.
        retryable: whether the same call may succeed later without any action.
        reason: a short code that distinguishes errors of one class, independent of the text;
            empty if the class is sufficient.
    """

    exit_code = 1

    def __init__(
        self, message: str, *, hint: str = "", retryable: bool = False, reason: str = ""
    ) -> None:
        super().__init__(visible_lines(redact_error(message)))
        self.hint = visible_lines(redact_error(hint))
        self.retryable = retryable
        self.reason = reason

    @property
    def with_hint(self) -> str:
        """The message with the hint in parentheses, in one line."""
        return f"{self} ({self.hint})" if self.hint else str(self)


class UsageError(MaintenanceError):
    """The call is invalid; detected without a server."""

    exit_code = 2


class ProblemReason(StrEnum):
    """The kinds of errors in a policy file; codes that do not change with the wording."""

    UNKNOWN_KEY = "unknown_key"
    MISSING = "missing"
    DUPLICATE_KEY = "duplicate_key"
    DUPLICATE_NAME = "duplicate_name"
    WRONG_TYPE = "wrong_type"
    UNKNOWN_VALUE = "unknown_value"
    MALFORMED = "malformed"
    MISSING_UNIT = "missing_unit"
    OUT_OF_RANGE = "out_of_range"
    CONFLICT = "conflict"
    """It contradicts another setting."""
    NO_SUCH_FILE = "no_such_file"
    UNREADABLE = "unreadable"
    NOT_YAML = "not_yaml"
    YAML_TAG = "yaml_tag"
    SELF_REFERENCE = "self_reference"


@dataclass(frozen=True, slots=True)
class Problem:
    """One error in a policy file, or in a file it names.

    `line` and `column` count from 1; 0 if the error concerns the whole file.
    `key` is the dotted path of the setting, such as `partitions[0].premake`.
    """

    file: str
    line: int
    column: int
    key: str
    reason: ProblemReason
    found: str
    wanted: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        key = f" {self.key}:" if self.key else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{where}:{key} found {self.found}, wanted {self.wanted}{hint}"


class PolicyError(UsageError):
    """An invalid policy; has all problems found, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class UnreachableError(MaintenanceError):
    """The server can't be reached, or refuses the connection."""

    exit_code = 3


ANOTHER_DATABASE = "another_database"
NOT_A_STANDBY = "not_a_standby"
NO_REPLICA = frozenset({ANOTHER_DATABASE, NOT_A_STANDBY})
"""Reasons of the error that the url of a replica leads to a server that is none."""


class ForeignStoreError(MaintenanceError):
    """The store's schema may contain another role's objects; the hint has the remedy."""


class PrivilegeError(MaintenanceError):
    """The role lacks a privilege; the hint has the GRANT to run."""


class OwnerCodeError(MaintenanceError):
    """A function or event trigger of the owner failed; the hint has the remedy."""


class LockNotAcquiredError(MaintenanceError):
    """A lock was not acquired until the deadline; names the session that holds it.

    Attributes:
        holder: facts about the session that holds it, JSON-ready, if known.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        reason: str = "",
        holder: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message, hint=hint, reason=reason)
        self.holder = dict(holder or {})


class BuildPostponedError(MaintenanceError):
    """An index was not built, because the server has no room for it now, or too much to do.

    Attributes:
        facts: what was measured, with its limit and who is behind it, JSON-ready.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        reason: str = "",
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message, hint=hint, reason=reason)
        self.facts = dict(facts or {})


class NotNeededError(MaintenanceError):
    """An action is no longer needed; its outcome is skipped, not failed."""


class HeldError(MaintenanceError):
    """An action or command that mode, approval or pause does not allow now.

    `reason` is `report_mode`, `retention_unapproved` or `paused`. The outcome of such an action is
    skipped.
    """


class BudgetError(MaintenanceError):
    """The time budget of actions is used up; the outcome is skipped, with a finding."""


class ContinuedError(MaintenanceError):
    """An action was paused and is continued by the next run; its outcome is skipped."""


class EffectError(MaintenanceError):
    """A statement succeeded, but the catalog is unchanged."""


class RegressionError(MaintenanceError):
    """A build made a measured query slower than the policy allows, and was undone."""


class ArchiveError(MaintenanceError):
    """An archive can't be written, read or restored."""


class CacheError(MaintenanceError):
    """Redis can't be reached, or refuses a command."""


class DamagedArchiveError(ArchiveError):
    """An archive differs from what was written."""


def is_retryable(sqlstate: str | None) -> bool:
    """Whether work that failed with this SQLSTATE may be retried unchanged."""
    return sqlstate in RETRYABLE_SQLSTATES
