"""Messages: events of one kind and transition, as text and as the body of a webhook."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC
from itertools import groupby
from typing import Any

from maintenance.alerts.formatting import clipped, readable
from maintenance.alerts.models import Alert, Event, PendingDelivery, Transition
from maintenance.engine.findings import Severity
from maintenance.engine.runbook_reader import by_itself
from maintenance.formatting import visible

LISTED = 20
"""Number of objects named in a message before the others are counted."""
CLIPPED = 600
"""Maximum number of characters of one finding in a text."""
LONGEST = 4_000
"""Maximum number of characters of one finding in a body."""
HEAVIEST = 1_000_000
"""Approximate maximum number of characters in a body; further events make further messages."""
ENVELOPE = 100
"""Maximum number of characters that a body adds to the facts of one alert."""

Show = Callable[[str], str]
"""Escapes foreign text for display."""
Links = Callable[[Sequence[Alert]], Mapping[str, str]]
"""Finds the links for alerts of one kind, by name."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message: events of one round, one kind and one transition.

    Attributes:
        id: the same in every attempt, so that a receiver can detect duplicates.
        event_ids: the events in the message.
    """

    id: str
    event_ids: tuple[int, ...]
    events: tuple[Event, ...]
    links: Mapping[str, str]

    @property
    def severity(self) -> Severity:
        """The highest severity of its alerts."""
        return max((event.alert.severity for event in self.events), key=list(Severity).index)

    @property
    def is_over(self) -> bool:
        """Whether it says that alerts are resolved."""
        return self.events[0].turn is Transition.RESOLVED

    def title(self, show: Show = visible) -> str:
        """Return one line: the transition, severity, kind, object and database."""
        first = self.events[0]
        database, kind, name = first.alert.identity
        what = name if len(self.events) == 1 else f"{len(self.events):,} objects"
        told = f"{first.turn.value} {self.severity}: {kind} on {show(what)}"
        return f"{clipped(told, CLIPPED)} ({database})"

    def text(self, show: Show = visible) -> str:
        """Return the findings with their start time, the automatic action, and where to read on."""
        lines = [line for event in self.events[:LISTED] for line in _lines(event, show)]
        if len(self.events) > LISTED:
            lines.append(f"… and {len(self.events) - LISTED:,} more")
        if self.by_itself:
            lines.append(f"automatic action: {self.by_itself}")
        if "runbook" not in self.links and not self.is_over:
            lines.append(f"what to do: {self.explain}")
        lines.extend(f"{name}: {link}" for name, link in self.links.items())
        return "\n".join(lines)

    @property
    def by_itself(self) -> str:
        """The automatic action for an open alert, from the runbook."""
        first = self.events[0]
        return "" if self.is_over else by_itself(first.alert.identity.kind)

    @property
    def explain(self) -> str:
        """The command that shows the runbook's entry, with the numbers of each object."""
        return f"maintenance explain {self.events[0].alert.identity.kind}"

    @property
    def body(self) -> dict[str, Any]:
        """The JSON body of a webhook; `alerts` lists all alerts of a message with several."""
        first = self.events[0]
        told = {
            "timestamp": first.at.isoformat(),
            "links": dict(self.links),
            "id": self.id,
            "by_itself": self.by_itself,
            "explain": self.explain,
        }
        if len(self.events) == 1:
            return {"state": first.turn.value, **_facts(first.alert), **told}
        return {
            "state": first.turn.value,
            "database": first.alert.identity.database,
            "kind": first.alert.identity.kind.value,
            "severity": self.severity.value,
            "object": f"{len(self.events)} objects",
            "message": self.title(),
            "value": None,
            "threshold": None,
            "since": min(event.alert.since for event in self.events).isoformat(),
            **told,
            "alerts": [
                {"state": event.turn.value, **_facts(event.alert), "id": _id([event])}
                for event in self.events
            ],
        }


def messages(waiting: Sequence[PendingDelivery], links: Links) -> Iterator[Message]:
    """Group events, in order, into as few messages as possible, by kind and transition.

    Events that wait in quiet hours are in messages of their own, so that a retry has the same
    events, whatever the hour.
    """
    for _, several in groupby(waiting, _round):
        rows = sorted(several, key=lambda row: (_topic(row), row.id))
        for _, same in groupby(rows, _topic):
            for few in _portions(same):
                yield _message(few, links)


def _portions(rows: Iterable[PendingDelivery]) -> Iterator[list[PendingDelivery]]:
    """Split rows so that no body gets too large; a retry splits them in the same way."""
    portion: list[PendingDelivery] = []
    weight = 0
    for row in rows:
        own = _weight(row.event.alert)
        if portion and weight + own > HEAVIEST:
            yield portion
            portion, weight = [], 0
        portion.append(row)
        weight += own
    if portion:
        yield portion


def _weight(alert: Alert) -> int:
    return len(json.dumps(_facts(alert), ensure_ascii=False)) + ENVELOPE


def _message(rows: Sequence[PendingDelivery], links: Links) -> Message:
    ids = tuple(row.id for row in rows)
    events = tuple(row.as_routed for row in rows)
    alerts = [event.alert for event in events]
    return Message(_id(events), ids, events, links(alerts))


def event_key(event: Event) -> str:
    """Return what identifies an event wherever it is kept: in the store or in the spool."""
    facts = [*event.alert.identity, event.turn, event.at.astimezone(UTC).isoformat()]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _id(events: Sequence[Event]) -> str:
    """Return the id of a message: the same in every attempt, whichever place it is sent from."""
    return f"{events[0].alert.identity.database}-{event_key(events[0])}-{len(events)}"


def _round(row: PendingDelivery) -> Any:
    return row.event.at


def _topic(row: PendingDelivery) -> tuple[str, Transition, bool]:
    return row.event.alert.identity.kind.value, row.as_routed.turn, row.can_wait


def _facts(alert: Alert) -> dict[str, Any]:
    return {
        "database": alert.identity.database,
        "kind": alert.identity.kind.value,
        "severity": alert.severity.value,
        "object": alert.identity.object,
        "message": clipped(alert.message, LONGEST),
        "value": alert.value,
        "threshold": alert.threshold,
        "since": alert.since.isoformat(),
    }


def _lines(event: Event, show: Show) -> Iterator[str]:
    alert = event.alert
    yield clipped(show(alert.message), CLIPPED)
    numbers = readable(alert.identity.kind, alert.value, alert.threshold)
    yield f"  since {alert.since:%Y-%m-%d %H:%M} UTC" + (f", {numbers}" if numbers else "")
