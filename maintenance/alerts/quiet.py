"""Quiet hours: which pending events of a sink are sent now, wait, or are never sent. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import NamedTuple

from maintenance.alerts.models import Identity, PendingDelivery, Transition
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
        dropped: never sent.
    """

    due: list[PendingDelivery]
    held: list[PendingDelivery]
    dropped: list[PendingDelivery]


def release(pending: Sequence[PendingDelivery], quiet: Sequence[str], now: datetime) -> Release:
    """Decide which pending events of a sink are sent now.

    A warning waits while it is quiet, and its resolution behind it; an error does not. Never sent
    are a warning that was raised and resolved in the same quiet hours, and one that still waits
    when its alert becomes an error.

    Args:
        pending: the events, in order.
        quiet: crons of the quiet minutes, in UTC.
        now: the current time, aware, in UTC.
    """
    passed = set(_passed(pending, quiet))
    rows = [row for row in pending if row.id not in passed]
    if not is_quiet(quiet, now):
        return Release(rows, [], [row for row in pending if row.id in passed])
    due: list[PendingDelivery] = []
    held: dict[Identity, list[PendingDelivery]] = {}
    outdated: list[PendingDelivery] = []
    for row in rows:
        identity = row.event.alert.identity
        is_behind = identity in held and row.as_routed.turn is Transition.RESOLVED
        if row.can_wait or is_behind:
            held.setdefault(identity, []).append(row)
        else:
            outdated += held.pop(identity, [])
            due.append(row)
    gone = passed | {row.id for row in outdated}
    waiting = {row.id for row in chain(*held.values())}
    return Release(
        due,
        [row for row in rows if row.id in waiting],
        [row for row in pending if row.id in gone],
    )


def is_quiet(quiet: Sequence[str], moment: datetime) -> bool:
    """Whether the minute of a time is in quiet hours."""
    return any(matches(cron, moment) for cron in quiet)


def quiet_until(quiet: Sequence[str], moment: datetime) -> datetime:
    """Return the end of the quiet hours that a time is in; the time itself if it is in none."""
    end = moment
    while is_quiet(quiet, end) and end - moment < _LONGEST:
        end = end.replace(second=0, microsecond=0) + _MINUTE
    return end


def _passed(pending: Sequence[PendingDelivery], quiet: Sequence[str]) -> Iterator[int]:
    """Yield the ids of alerts that were raised and resolved in the same quiet hours.

    An event of an earlier attempt may have arrived, so its resolution is sent.
    """
    opened: dict[Identity, list[PendingDelivery]] = {}
    ends: dict[datetime, datetime] = {}
    for row in pending:
        turn, alert, at = row.as_routed
        begun, is_over = opened.get(alert.identity), turn is Transition.RESOLVED
        if turn is Transition.RAISED and row.can_wait and not row.attempts and is_quiet(quiet, at):
            opened[alert.identity] = [row]
            if at not in ends:
                ends[at] = quiet_until(quiet, at)
        elif begun is not None and at < ends[begun[0].event.at] and (row.can_wait or is_over):
            begun.append(row)
            if is_over:
                yield from (each.id for each in opened.pop(alert.identity))
        else:
            opened.pop(alert.identity, None)
