"""Up to when a view shows everything: no further than the views that it reads."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from maintenance.matviews.models import Matview, Seen
from maintenance.matviews.proof import Verdict, judge
from maintenance.matviews.reads import reads_of
from maintenance.names import QualifiedName
from maintenance.policy import Policy


def judge_all(policy: Policy, seen: Seen) -> dict[QualifiedName, Verdict]:
    """Judge each view; a proof reaches no further than those of the views that it reads."""
    verdicts = {name: judge(view, seen) for name, view in seen.views.items()}
    moments = moments_of(policy, seen, verdicts)
    return {
        name: replace(verdict, as_of=moments[name]) if verdict.as_of is not None else verdict
        for name, verdict in verdicts.items()
    }


def moments_of(
    policy: Policy, seen: Seen, verdicts: Mapping[QualifiedName, Verdict]
) -> dict[QualifiedName, datetime | None]:
    """Return up to when each view shows everything; None where that is not known."""
    reads = reads_of(policy, seen)
    own = {name: _own(view, verdicts[name]) for name, view in seen.views.items()}
    return {name: _least(name, reads, own) for name in seen.views}


def _own(view: Matview, verdict: Verdict) -> datetime | None:
    if verdict.as_of is not None or view.baseline is None:
        return verdict.as_of
    return view.baseline.right_until


def _least(
    name: QualifiedName,
    reads: Mapping[QualifiedName, frozenset[QualifiedName]],
    own: Mapping[QualifiedName, datetime | None],
) -> datetime | None:
    """Return the least moment of a view and of everything behind it, as far as it is known."""
    moments: list[datetime] = []
    waiting, done = [name], set[QualifiedName]()
    while waiting:
        current = waiting.pop()
        if current in done:
            continue
        done.add(current)
        waiting += reads.get(current, ())
        if (moment := own.get(current)) is not None:
            moments.append(moment)
    return min(moments) if own.get(name) is not None else None
