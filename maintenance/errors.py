"""The errors of every layer: what was found, what was wanted, what to do next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from maintenance.formatting import visible_lines
from maintenance.redaction import redact_error

RETRYABLE_SQLSTATES = frozenset(
    {
        "40001",  # serialization_failure
        "40P01",  # deadlock_detected
        "55P03",  # lock_not_available
        "57014",  # query_canceled: our own statement_timeout on a step that may not take long
    }
)
"""Server errors after which the same work may succeed unchanged.

An unknown code is never in here. Source: PostgreSQL manual, appendix A.
"""


class MaintenanceError(Exception):
    """Something the operator must know, in one line.

    Attributes:
        hint: what to do next; empty when the message says it all.
        retryable: whether the same call may succeed later without anybody acting.
        reason: a short code that tells errors of one class apart, whatever they are worded like;
            empty where the class says it all.
    """

    exit_code = 1

    def __init__(
        self, message: str, *, hint: str = "", retryable: bool = False, reason: str = ""
    ) -> None:
        super().__init__(visible_lines(redact_error(message)))
        self.hint = visible_lines(redact_error(hint))
        self.retryable = retryable
        self.reason = reason


class UsageError(MaintenanceError):
    """The call is wrong, as far as that can be told without a server."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a policy file, or of a file it names.

    `line` and `column` count from 1; 0 when the fault belongs to the file as a whole.
    `key` is the dotted path of the setting, such as `partitions[0].premake`.
    """

    file: str
    line: int
    column: int
    key: str
    found: str
    wanted: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        key = f" {self.key}:" if self.key else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{where}:{key} found {self.found}, wanted {self.wanted}{hint}"


class PolicyError(UsageError):
    """A policy that can't be used; carries every problem found, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class UnreachableError(MaintenanceError):
    """The server can't be reached, or refuses us altogether."""

    exit_code = 3


class ForeignStoreError(MaintenanceError):
    """The store's schema may hold another role's work; the hint is the way out."""


class PrivilegeError(MaintenanceError):
    """The role lacks a right; the hint is the GRANT to run."""


class OwnerCodeError(MaintenanceError):
    """A function or event trigger of the owner's failed; names it, and the hint how to mend it."""


class LockNotAcquiredError(MaintenanceError):
    """A lock stayed busy until the deadline; names who holds it.

    Attributes:
        holder: facts about the one session that holds it, JSON-ready, if they are known.
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


class NotNeededError(MaintenanceError):
    """An action turned out not to be needed any more; its result is a skip, not a failure."""


class BudgetError(MaintenanceError):
    """The time that actions may take together was over; its result is a skip and a finding."""


class EffectError(MaintenanceError):
    """A statement succeeded and yet the catalog does not show its effect."""


class ArchiveError(MaintenanceError):
    """An archive can't be written, read or restored."""


class CacheError(MaintenanceError):
    """Redis can't be reached, or refuses a command."""


class DamagedArchiveError(ArchiveError):
    """An archive is not what was written."""


def is_retryable(sqlstate: str | None) -> bool:
    """Tell whether work that failed with this SQLSTATE may be tried again unchanged."""
    return sqlstate in RETRYABLE_SQLSTATES
