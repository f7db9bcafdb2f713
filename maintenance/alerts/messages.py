"""Messages: events of one kind and turn, put into words and into the body of a webhook."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from maintenance.alerts.models import Alert, Event, Turn
from maintenance.alerts.records import Waiting
from maintenance.engine.findings import FindingKind, Severity

LISTED = 20
"""How many objects a message names before it only counts the others."""
CLIPPED = 600
"""How many characters of one finding a text shows."""

Links = Callable[[str, FindingKind], Mapping[str, str]]
"""Where to read on about a kind of finding on a database: links by name."""


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

    @property
    def title(self) -> str:
        """One line: what, and where."""
        first = self.events[0]
        database, kind, name = first.alert.identity
        what = name if len(self.events) == 1 else f"{len(self.events)} objects"
        return f"{_clipped(f'{first.turn.value} {self.severity}: {kind} on {what}')} ({database})"

    @property
    def text(self) -> str:
        """What each finding says, since when it stands, and where to read on."""
        lines = [line for event in self.events[:LISTED] for line in _lines(event)]
        if len(self.events) > LISTED:
            lines.append(f"… and {len(self.events) - LISTED} more")
        lines.extend(f"{name}: {link}" for name, link in self.links.items())
        return "\n".join(lines)

    @property
    def body(self) -> dict[str, Any]:
        """The document that a webhook gets; `alerts` lists several of a kind."""
        first = self.events[0]
        told = {"timestamp": first.at.isoformat(), "links": dict(self.links), "id": self.id}
        if len(self.events) == 1:
            return {"state": first.turn.value, **_facts(first.alert), **told}
        return {
            "state": first.turn.value,
            "database": first.alert.identity.database,
            "kind": first.alert.identity.kind.value,
            "severity": self.severity.value,
            "object": f"{len(self.events)} objects",
            "message": self.title,
            "value": None,
            "threshold": None,
            "since": min(event.alert.since for event in self.events).isoformat(),
            **told,
            "alerts": [{"state": e.turn.value, **_facts(e.alert)} for e in self.events],
        }


def messages(waiting: Sequence[Waiting], links: Links) -> Iterator[Message]:
    """Put events in their order into as few messages as keep kinds and turns apart."""
    for _, several in groupby(waiting, _round):
        rows = sorted(several, key=lambda row: (_topic(row), row.id))
        for _, same in groupby(rows, _topic):
            yield _message(list(same), links)


def _message(rows: Sequence[Waiting], links: Links) -> Message:
    identity = rows[0].event.alert.identity
    ids = tuple(row.id for row in rows)
    events = tuple(row.event for row in rows)
    name = f"{identity.database}-{ids[0]}-{len(ids)}"
    return Message(name, ids, events, links(identity.database, identity.kind))


def _round(row: Waiting) -> Any:
    return row.event.at


def _topic(row: Waiting) -> tuple[str, Turn]:
    return row.event.alert.identity.kind.value, row.event.turn


def _facts(alert: Alert) -> dict[str, Any]:
    return {
        "database": alert.identity.database,
        "kind": alert.identity.kind.value,
        "severity": alert.severity.value,
        "object": alert.identity.object,
        "message": alert.message,
        "value": alert.value,
        "threshold": alert.threshold,
        "since": alert.since.isoformat(),
    }


def _lines(event: Event) -> Iterator[str]:
    alert = event.alert
    yield _clipped(alert.message)
    numbers = f", {alert.value} against {alert.threshold}" if alert.value is not None else ""
    yield f"  since {alert.since:%Y-%m-%d %H:%M} UTC{numbers}"


def _clipped(text: str) -> str:
    return text if len(text) <= CLIPPED else f"{text[: CLIPPED - 1]}…"
