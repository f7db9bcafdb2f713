"""Decide whether a refresh can be skipped, and up to which moment a view is proven fresh.

A baseline is the fingerprint read before the last refresh; the view contains all its commits. If
no counter has changed since, no counted commit came later. Commits that are not counted yet are
newer than the moment of the proof.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple, cast

from maintenance.names import QualifiedName
from maintenance.policy import MatviewPolicy, Policy
from maintenance.policy.cron import next_tick
from maintenance.subjects.matviews.dependencies import Reads, reads_of, upstream
from maintenance.subjects.matviews.models import (
    FLUSH_LAG,
    Counters,
    Fingerprint,
    Matview,
    MatviewsObservation,
    Moment,
    Session,
)

AFTER_ANOTHER = "a view it reads is refreshed first"
"""The reason for planning a view although its sources have not changed yet."""

EPOCH_CHANGED = "the server restarted or its statistics were reset since the last refresh"
"""The reason for a refresh when counters are not comparable."""

NOT_PROVEN = "changes can't be ruled out"
"""The beginning of the reason for a refresh when fingerprints prove nothing."""


AGE_UNKNOWN = "age unknown: no refresh is recorded of it or of a view it reads"
"""The message about a view whose content may be of any age."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a view must be refreshed.

    Attributes:
        reason: why it must, or why it need not.
        as_of: the moment up to which the view is proven fresh; None if it must be refreshed.
        since: the moment since which its sources have not changed.
        limit: what keeps the proof from reaching the moment of the observation; None if nothing.
    """

    reason: str
    as_of: datetime | None = None
    since: datetime | None = None
    limit: "Limit | None" = None

    def as_json(self) -> dict[str, Any]:
        """Return the moments of the proof, and what limits it."""
        session = self.limit.session if self.limit is not None else None
        source = self.limit.source if self.limit is not None else None
        return {
            "unchanged_since": self.since.isoformat() if self.since else None,
            "as_of": self.as_of.isoformat() if self.as_of else None,
            "held_by": session.as_json() if session is not None else None,
            "source": str(source) if source is not None else None,
        }


class Limit(NamedTuple):
    """What keeps a proof from reaching the moment of the observation.

    Attributes:
        session: one that may have written rows that are not counted yet.
        source: the view whose content ends there, if it is another one.
    """

    session: Session | None
    source: QualifiedName | None = None

    def __str__(self) -> str:
        """The reason, as the end of a message."""
        source = f"{self.source}, which it reads, is complete only up to then"
        if self.session is None:
            return source
        cause = _activity(self.session)
        return cause if self.source is None else f"{source}: {cause}"


def _activity(session: Session) -> str:
    if session.xact_start is not None:
        return f"{session} has had a transaction open since {_moment(session.xact_start)}"
    since = session.open_since or session.changed_at
    return f"{session} was active" + (f" at {_moment(since)}" if since is not None else "")


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


FIRST_REFRESH_TAKES = timedelta(hours=1)
"""How long after its first tick a view may still have no recorded refresh."""


def first_refresh_over(policy: Policy, section: MatviewPolicy, since: datetime) -> datetime:
    """Return when a view that was never refreshed is late: some time after its first tick.

    Args:
        policy: with the schedule of views that have none of their own.
        section: the view.
        since: when the first run with this policy began.
    """
    return next_tick(section.refresh or policy.schedules.nightly, since) + FIRST_REFRESH_TAKES


def assess_refresh(view: Matview, seen: MatviewsObservation) -> Verdict:
    """Return whether a view must be refreshed, judging by its own sources only."""
    obstacle = next(_obstacles(view, seen), None)
    if obstacle is not None:
        return Verdict(obstacle)
    assert view.baseline is not None, "no baseline is an obstacle"
    assert view.baseline.as_of is not None, "a refresh that succeeded has its moment"
    since = view.baseline.started_at
    session = limiting_session(seen.moment, since)
    as_of = max(view.baseline.as_of, _reach(seen.moment, session))
    limit = Limit(session) if session is not None else None
    return Verdict("its sources have not changed", as_of, since, limit)


def proof_in_words(verdict: Verdict) -> str:
    """Return since when a view is unchanged, how far the proof reaches, and why not further."""
    since = f" since {_moment(verdict.since)}" if verdict.since is not None else ""
    return f"{verdict.reason}{since}; {reach_in_words(verdict)}"


def reach_in_words(verdict: Verdict) -> str:
    """Return how far a proof reaches, and why not further."""
    assert verdict.as_of is not None, "only a proof has a reach"
    why = f" because {verdict.limit}" if verdict.limit is not None else ""
    return f"the proof reaches to {_moment(verdict.as_of)}{why}"


def _obstacles(view: Matview, seen: MatviewsObservation) -> Iterator[str]:
    base, now = view.baseline, view.fingerprint
    if not view.is_populated:
        yield "not populated"
    if base is None or base.fingerprint is None or now is None:
        yield "no refresh recorded"
        return
    if now.unprovable:
        yield f"{NOT_PROVEN}: {now.unprovable[0]}"
    yield from changes(base.fingerprint, now, seen.labels)
    if base.state != view.state:
        yield "refreshed or rewritten by another session since the last recorded refresh"
    yield from _unseen_writers(seen.moment)


def changes(
    base: Mapping[str, object], now: Fingerprint, labels: Mapping[str, str]
) -> Iterator[str]:
    """Yield the differences between the fingerprint of a refresh and the current one."""
    found = now.as_json()
    if base.get("epoch") != found["epoch"]:
        yield EPOCH_CHANGED
    if base.get("settings") != found["settings"]:
        yield _configured(base.get("settings"), now.settings)
    if base.get("shape") != found["shape"]:
        yield "definitions, columns, types or partitions of its sources have changed"
    if base.get("upstream") != found["upstream"]:
        yield "a view it reads has changed"
    before = base.get("leaves")
    if before != found["leaves"]:
        yield _moved(cast("dict[str, list[int]]", before or {}), now.leaves, labels)


def _configured(before: object, now: Mapping[str, str]) -> str:
    """Return the names of the settings that changed, as text."""
    if not isinstance(before, dict):
        return "the settings of its last refresh are not recorded"
    old = cast("dict[str, str]", before)
    names = sorted(name for name in old.keys() | now.keys() if old.get(name) != now.get(name))
    return f"settings have changed: {', '.join(names)}"


def _moved(
    before: Mapping[str, list[int]], now: Mapping[str, Counters], labels: Mapping[str, str]
) -> str:
    """Return one relation that changed and the number of others, as text."""
    others = [
        oid for oid in before.keys() | now.keys() if before.get(oid) != list(now.get(oid, ()))
    ]
    oid = min(others)
    name = labels.get(oid, "a relation that no longer exists")
    old, new = before.get(oid), now.get(oid)
    if old is None or new is None or old[0] != new[0]:
        what = f"{name} was added, removed, truncated or rewritten"
    else:
        rows = [after - prior for prior, after in zip(old[1:], new[1:], strict=True)]
        what = "{}: {:+d} inserted, {:+d} updated, {:+d} deleted".format(name, *rows)
    return what if len(others) == 1 else f"{what}; {len(others) - 1} other relations changed"


def _unseen_writers(moment: Moment) -> Iterator[str]:
    hidden = next((each for each in moment.sessions if not each.is_visible), None)
    if hidden is not None:
        yield (
            f"the activity of session pid {hidden.pid} is not visible;"
            " GRANT pg_read_all_stats to the maintenance role"
        )


def _streams_since(session: Session, moment: datetime) -> bool:
    return session.open_since is not None and session.open_since <= moment


def proven_until(moment: Moment, since: datetime | None = None) -> datetime:
    """Return the moment up to which all commits are in the counters.

    Args:
        moment: when counters were read, and the state of other sessions then.
        since: the start of the refresh; the view contains all earlier commits.

    A session idle for longer than `FLUSH_LAG` has reported its counts. Any other session may hold
    counts of commits shortly before its current state began: between two statements it reports
    only if the last report is a second ago.
    """
    return _reach(moment, limiting_session(moment, since))


def limiting_session(moment: Moment, since: datetime | None = None) -> Session | None:
    """Return the session that limits `proven_until`; None if no session does."""
    limiting = [session for session in moment.sessions if _may_hold_counts(session, moment, since)]
    if not limiting:
        return None
    return min(limiting, key=lambda session: _reach(moment, session))


def _may_hold_counts(session: Session, moment: Moment, since: datetime | None) -> bool:
    if session.is_streaming and since is not None and _streams_since(session, since):
        return False
    is_idle = session.open_since is None
    return not is_idle or moment.read_at - _busy_since(session, moment) <= FLUSH_LAG


def _busy_since(session: Session, moment: Moment) -> datetime:
    return session.open_since or session.changed_at or moment.read_at


def _reach(moment: Moment, session: Session | None) -> datetime:
    """Return the moment up to which all commits are counted, limited by one session or none."""
    if session is None:
        return moment.read_at
    return min(moment.read_at, _busy_since(session, moment) - FLUSH_LAG)


def assess_all(policy: Policy, seen: MatviewsObservation) -> dict[QualifiedName, Verdict]:
    """Assess all views; a proof reaches no further than those of the views it reads.

    A view of unknown age limits no proof: its content is one of the sources that are compared.
    """
    verdicts = {name: assess_refresh(view, seen) for name, view in seen.views.items()}
    moments = moments_of(policy, seen, verdicts)
    reads = reads_of(policy, seen)
    own = {name: _own(view, verdicts[name]) for name, view in seen.views.items()}
    return {
        name: verdict
        if moments[name] is None
        else _limited(name, _weakest(name, reads, own), verdicts, own)
        for name, verdict in verdicts.items()
    }


def _limited(
    name: QualifiedName,
    weakest: QualifiedName,
    verdicts: Mapping[QualifiedName, Verdict],
    own: Mapping[QualifiedName, datetime | None],
) -> Verdict:
    """Return the verdict of a view, whose proof reaches no further than that of a source."""
    verdict = verdicts[name]
    if verdict.as_of is None or weakest == name:
        return verdict
    limit = verdicts[weakest].limit if weakest in verdicts else None
    reason = Limit(limit.session if limit is not None else None, weakest)
    return replace(verdict, as_of=own[weakest], limit=reason)


def moments_of(
    policy: Policy, seen: MatviewsObservation, verdicts: Mapping[QualifiedName, Verdict]
) -> dict[QualifiedName, datetime | None]:
    """Return the moment up to which each view contains all commits; None if unknown."""
    own = {
        section.name: _own(view, verdicts[view.name])
        if (view := seen.views.get(section.name)) is not None
        else None
        for section in policy.matviews
    }
    return with_sources(own, reads_of(policy, seen))


def _own(view: Matview, verdict: Verdict) -> datetime | None:
    if verdict.as_of is not None or view.baseline is None:
        return verdict.as_of
    return view.baseline.fresh_as_of


def with_sources(
    own: Mapping[QualifiedName, datetime | None], reads: Reads
) -> dict[QualifiedName, datetime | None]:
    """Return the moment up to which each view and all views it reads contain all commits.

    Args:
        own: the moment of each view by its own sources alone; None if unknown.
        reads: the relations that each view reads; those not in `own` are taken as always fresh.

    Returns:
        The earliest of these moments; None if one of them is unknown.
    """
    return {
        name: _earliest([own[each] for each in upstream(name, reads) if each in own])
        for name in own
    }


def _earliest(moments: Collection[datetime | None]) -> datetime | None:
    known = [moment for moment in moments if moment is not None]
    return min(known) if len(known) == len(moments) else None


def _weakest(
    name: QualifiedName,
    reads: Mapping[QualifiedName, frozenset[QualifiedName]],
    own: Mapping[QualifiedName, datetime | None],
) -> QualifiedName:
    """Return the view with the earliest known moment, of a view and all views it reads."""
    moments = {each: at for each in upstream(name, reads) if (at := own.get(each)) is not None}
    least = min(moments.values(), default=None)
    if own.get(name) == least:
        return name
    return min(each for each, moment in moments.items() if moment == least)
