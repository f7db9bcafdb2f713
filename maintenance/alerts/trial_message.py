"""Test messages: one to each sink of a policy, and what it answered."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from maintenance.alerts.delivery import SEND_LIMIT_S
from maintenance.alerts.error_names import cause
from maintenance.alerts.messages import Message, Show
from maintenance.alerts.sinks import name_of, sender_of
from maintenance.engine.findings import Severity
from maintenance.engine.side_by_side import result_of, within
from maintenance.engine.target import Target
from maintenance.errors import MaintenanceError, UsageError
from maintenance.formatting import visible
from maintenance.policy import Policy
from maintenance.policy.alerts import Sink

LIMIT_S = 2 * SEND_LIMIT_S
"""Maximum duration of a test, whatever the sinks do."""
_TEXT = "This is a test of an alert sink. No action is needed."


@dataclass(frozen=True, slots=True)
class SinkCheck:
    """The result of a test message.

    Attributes:
        answer: what the sink answered, such as a status; empty if it failed.
        error: why the message was not delivered, without secrets; None if it was.
        seconds: how long it took.
    """

    sink: str
    answer: str = ""
    error: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class SinkReport:
    """The results of one test of a policy's sinks."""

    database: str
    checks: tuple[SinkCheck, ...]

    @property
    def ok(self) -> bool:
        """Whether every sink took its message."""
        return all(each.error is None for each in self.checks)

    def as_json(self) -> dict[str, Any]:
        """The report as the command line prints it."""
        sinks = [
            {
                "sink": each.sink,
                "ok": each.error is None,
                "answer": each.answer,
                "error": each.error,
                "seconds": round(each.seconds, 3),
            }
            for each in self.checks
        ]
        return {"database": self.database, "sinks": sinks}


@dataclass(frozen=True, slots=True)
class SampleMessage(Message):
    """A message that is marked as a test: it raises and resolves nothing."""

    database: str
    at: datetime

    @property
    def severity(self) -> Severity:
        """Warning: what filters information out, as a log does, lets it through."""
        return Severity.WARN

    @property
    def is_over(self) -> bool:
        """Never: it resolves nothing."""
        return False

    def title(self, show: Show = visible) -> str:
        """Return one line with the mark and the database."""
        return show(f"test message ({self.database})")

    def text(self, show: Show = visible) -> str:
        """Return what it is."""
        return show(_TEXT)

    @property
    def body(self) -> dict[str, Any]:
        """The JSON body of a webhook: the keys of an alert, in state `test`."""
        return {
            "state": "test",
            "database": self.database,
            "kind": "test",
            "severity": self.severity.value,
            "object": self.database,
            "message": f"test message: {_TEXT}",
            "value": None,
            "threshold": None,
            "since": self.at.isoformat(),
            "timestamp": self.at.isoformat(),
            "links": {},
            "id": self.id,
            "by_itself": "",
            "explain": "",
        }


def check_sinks(target: Target, only: str | None = None) -> SinkReport:
    """Send one test message through each sink, in parallel. Needs neither database nor store.

    Args:
        target: the database; which of its alerts a sink receives does not matter here.
        only: the name of the one sink to test; None for all.

    Raises:
        UsageError: no sink has that name.
    """
    policy = target.policy
    sinks = _selected(policy, only)
    tasks = (partial(_check, name, sink, target) for name, sink in sinks.items())
    checks = within(timedelta(seconds=LIMIT_S), len(sinks), tasks)
    late = (SinkCheck(name, error="not finished in time") for name in sinks)
    return SinkReport(policy.database.name, tuple(map(result_of, checks, late)))


def _selected(policy: Policy, only: str | None) -> dict[str, Sink]:
    sinks = {name_of(sink): sink for sink in policy.alerts.sinks}
    if only is None:
        return sinks
    if only not in sinks:
        raise UsageError(f"no sink {only}", hint=f"sinks: {_listed(list(sinks))}")
    return {only: sinks[only]}


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _check(name: str, sink: Sink, target: Target) -> SinkCheck:
    started = time.monotonic()
    answer, error = "", None
    try:
        send = sender_of(sink, target)
        answer = send(_sample(target.policy), SEND_LIMIT_S)
    except MaintenanceError as exc:
        error = exc.with_hint
    except Exception as exc:  # noqa: BLE001 - one broken sink must not stop the others
        error = f"failed: {cause(exc)}"
    return SinkCheck(name, answer, error, time.monotonic() - started)


def _sample(policy: Policy) -> SampleMessage:
    name = policy.database.name
    return SampleMessage(f"{name}-test-{uuid.uuid4()}", (), (), {}, name, datetime.now(UTC))
