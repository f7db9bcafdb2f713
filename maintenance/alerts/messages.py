"""Messages: events of one kind and turn, put into words and into the body of a webhook."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from maintenance.alerts.formatting import clipped, readable
from maintenance.alerts.models import Alert, Event, Transition
from maintenance.alerts.store import Waiting
from maintenance.engine.findings import Severity
from maintenance.engine.runbook import by_itself
from maintenance.formatting import visible

LISTED = 20
"""How many objects a message names before it only counts the others."""
CLIPPED = 600
"""How many characters of one finding a text shows."""
LONGEST = 4_000
"""How many characters of one finding a body holds."""
HEAVIEST = 1_000_000
"""How many characters a body has, about; more events make more messages."""
ENVELOPE = 100
"""What a body adds to the facts of one alert, at most."""

Show = Callable[[str], str]
"""How what others wrote is shown."""
Links = Callable[[Sequence[Alert]], Mapping[str, str]]
"""Where to read on about alerts of one kind: links by name."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent once: events of one round, one kind and one turn.

    Attributes:
        id: the same in every try, so that a receiver can tell a second delivery.
        event_ids: the events it tells.
    """

    id: str
    event_ids: tuple[int, ...]
    events: tuple[Event, ...]
    links: Mapping[str, str]

    @property
    def severity(self) -> Severity:
        """That of the worst."""
        return max((event.alert.severity for event in self.events), key=list(Severity).index)

    def title(self, show: Show = visible) -> str:
        """Return one line: what, and where."""
        first = self.events[0]
        database, kind, name = first.alert.identity
        what = name if len(self.events) == 1 else f"{len(self.events):,} objects"
        told = f"{first.turn.value} {self.severity}: {kind} on {show(what)}"
        return f"{clipped(told, CLIPPED)} ({database})"

    def text(self, show: Show = visible) -> str:
        """Return what each finding says, since when, what happens next, and where to read on."""
        lines = [line for event in self.events[:LISTED] for line in _lines(event, show)]
        if len(self.events) > LISTED:
            lines.append(f"… and {len(self.events) - LISTED:,} more")
        if self.by_itself:
            lines.append(f"by itself: {self.by_itself}")
        lines.extend(f"{name}: {link}" for name, link in self.links.items())
        return "\n".join(lines)

    @property
    def by_itself(self) -> str:
        """What the software does about what stands."""
        first = self.events[0]
        return "" if first.turn is Transition.RESOLVED else by_itself(first.alert.identity.kind)

    @property
    def body(self) -> dict[str, Any]:
        """The document that a webhook gets; `alerts` lists several of a kind."""
        first = self.events[0]
        told = {
            "timestamp": first.at.isoformat(),
            "links": dict(self.links),
            "id": self.id,
            "by_itself": self.by_itself,
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
                {"state": event.turn.value, **_facts(event.alert), "id": _id(event, (event_id,))}
                for event, event_id in zip(self.events, self.event_ids, strict=True)
            ],
        }


def messages(waiting: Sequence[Waiting], links: Links) -> Iterator[Message]:
    """Put events in their order into as few messages as keep kinds and turns apart."""
    for _, several in groupby(waiting, _round):
        rows = sorted(several, key=lambda row: (_topic(row), row.id))
        for _, same in groupby(rows, _topic):
            for few in _portions(same):
                yield _message(few, links)


def _portions(rows: Iterable[Waiting]) -> Iterator[list[Waiting]]:
    """Part rows so that no body gets too heavy; in the same places whenever it is tried again."""
    portion: list[Waiting] = []
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


def _message(rows: Sequence[Waiting], links: Links) -> Message:
    ids = tuple(row.id for row in rows)
    events = tuple(row.event for row in rows)
    alerts = [event.alert for event in events]
    return Message(_id(events[0], ids), ids, events, links(alerts))


def _id(first: Event, ids: Sequence[int]) -> str:
    return f"{first.alert.identity.database}-{ids[0]}-{len(ids)}"


def _round(row: Waiting) -> Any:
    return row.event.at


def _topic(row: Waiting) -> tuple[str, Transition]:
    return row.event.alert.identity.kind.value, row.event.turn


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
