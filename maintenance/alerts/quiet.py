"""Quiet hours: which pending events of a sink are sent now, wait, or are never sent. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from maintenance.alerts.models import Identity, Transition, Waiting
from maintenance.policy.cron import matches

NOT_SENT = "not sent: resolved within quiet hours, or replaced by a later message"
"""The reason noted for events that a sink never receives."""
_LONGEST = timedelta(days=31)
"""Quiet hours are followed no longer than this."""
_MINUTE = timedelta(minutes=1)


class Release(NamedTuple):
    """The pending events of one sink at one moment.

    Attributes:
        due: sent now, in order.
        held: sent when quiet hours end.
        dropped: ids of events that are never sent.
    """

    due: list[Waiting]
    held: list[Waiting]
    dropped: list[int]


def release(pending: Sequence[Waiting], quiet: Sequence[str], now: datetime) -> Release:
    """Decide which pending events of a sink are sent now.

    A warning waits while it is quiet; an error does not wait behind it. Never sent are a warning
    that was raised and resolved in the same quiet hours, and one that waits while a later event of
    the same alert is sent.

    Args:
        pending: the events, in order.
        quiet: crons of the quiet minutes, in UTC.
        now: the current time, aware, in UTC.
    """
    dropped = set(_passed(pending, quiet))
    rows = [row for row in pending if row.id not in dropped]
    is_held_time = is_quiet(quiet, now)
    held = [row for row in rows if row.can_wait and is_held_time]
    due = [row for row in rows if not (row.can_wait and is_held_time)]
    newest = {row.event.alert.identity: row.id for row in due}
    outdated = {row.id for row in held if row.id < newest.get(row.event.alert.identity, row.id)}
    return Release(due, [row for row in held if row.id not in outdated], sorted(dropped | outdated))


def is_quiet(quiet: Sequence[str], moment: datetime) -> bool:
    """Whether the minute of a time is in quiet hours."""
    return any(matches(cron, moment) for cron in quiet)


def quiet_until(quiet: Sequence[str], moment: datetime) -> datetime:
    """Return the end of the quiet hours that a time is in; the time itself if it is in none."""
    end = moment
    while is_quiet(quiet, end) and end - moment < _LONGEST:
        end = end.replace(second=0, microsecond=0) + _MINUTE
    return end


def _passed(pending: Sequence[Waiting], quiet: Sequence[str]) -> Iterator[int]:
    """Yield the ids of alerts that were raised and resolved in the same quiet hours.

    An event of an earlier attempt may have arrived, so its resolution is sent.
    """
    opened: dict[Identity, list[Waiting]] = {}
    ends: dict[datetime, datetime] = {}
    for row in pending:
        turn, alert, at, _ = row.event
        begun = opened.get(alert.identity)
        if turn is Transition.RAISED and row.can_wait and not row.attempts and is_quiet(quiet, at):
            opened[alert.identity] = [row]
            if at not in ends:
                ends[at] = quiet_until(quiet, at)
        elif begun is not None and row.can_wait and at < ends[begun[0].event.at]:
            begun.append(row)
            if turn is Transition.RESOLVED:
                yield from (each.id for each in opened.pop(alert.identity))
        else:
            opened.pop(alert.identity, None)
