"""What past runs did to a database, read from the journal and folded for people."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from maintenance.engine.actions import ActionKind
from maintenance.engine.target import Target
from maintenance.formatting import counted_noun, readable_size, readable_span
from maintenance.policy import Policy
from maintenance.server.session import Connection
from maintenance.store import is_ready
from maintenance.store.past_actions import (
    ActionCount,
    PastAction,
    Span,
    count_past_actions,
    past_actions,
)

DONE, SKIPPED = "done", "skipped"

UNFINISHED = "unfinished"
"""The outcome of an action whose end is not recorded: it is at work, or its run was killed."""

SHOWN_PERIODS = 2
"""Up to so many periods are all named; of more only the first and the last."""


@dataclass(frozen=True, slots=True)
class WorkDone:
    """The actions of past runs in a span of time.

    Attributes:
        actions: newest first; only the newest ones if there are more than were asked for.
        counts: all actions of the span, by kind and outcome.
    """

    span: Span
    actions: tuple[PastAction, ...] = ()
    counts: tuple[ActionCount, ...] = ()

    @property
    def ok(self) -> bool:
        """Always true: looking back has no failure of its own."""
        return True

    @property
    def n_actions(self) -> int:
        """The number of all actions of the span."""
        return sum(each.n for each in self.counts)

    @property
    def is_complete(self) -> bool:
        """Whether `actions` has all of them."""
        return len(self.actions) >= self.n_actions

    def n_skipped(self) -> Mapping[str, int]:
        """Return the number of actions that were not needed, by kind."""
        return {each.kind: each.n for each in self.counts if each.outcome == SKIPPED}

    def as_json(self) -> dict[str, Any]:
        """The actions as the command line prints them."""
        return {
            "since": self.span.since.isoformat(),
            "until": self.span.until.isoformat(),
            "counts": [each._asdict() for each in self.counts],
            "is_complete": self.is_complete,
            "actions": [each.as_json() for each in self.actions],
        }


def look_back(
    policy: Policy, span: Span, most: int, *, environ: Mapping[str, str] = os.environ
) -> WorkDone:
    """Return the actions of past runs on a database; none before the first run.

    Raises:
        UsageError, UnreachableError, MaintenanceError: the store can't be reached or read.
    """
    with Target(policy, environ).store() as store:
        if not is_ready(store):
            return WorkDone(span)
        return read_work(store, policy.database.name, span, most)


def read_work(store: Connection, database: str, span: Span, most: int) -> WorkDone:
    """Return the actions of past runs on a database, at most `most` of them by name."""
    actions = past_actions(store, database, span, most)
    return WorkDone(span, tuple(actions), tuple(count_past_actions(store, database, span)))


class _Words(NamedTuple):
    """How a kind of action is told.

    Attributes:
        fold: what one line is about: all partitions of a `table`, one `object`, or `all` objects.
    """

    verb: str
    noun: str
    fold: str = "object"


_WORDS: Mapping[str, _Words] = {
    ActionKind.CREATE_PARTITION: _Words("created", "partition", "table"),
    ActionKind.ATTACH_PARTITION: _Words("attached", "partition", "table"),
    ActionKind.CREATE_DEFAULT: _Words("created", "default partition", "table"),
    ActionKind.DRAIN_DEFAULT: _Words("moved rows out of", "default partition", "table"),
    ActionKind.SWAP_DEFAULT: _Words("replaced", "default partition", "table"),
    ActionKind.SPLIT_PARTITION: _Words("split", "partition", "table"),
    ActionKind.REPAIR_PARTITION: _Words("repaired", "partition", "table"),
    ActionKind.REMOVE_LEFTOVERS: _Words("removed leftovers of", "table"),
    ActionKind.FINALIZE_DETACH: _Words("finished detaching", "partition", "table"),
    ActionKind.ARCHIVE_PARTITION: _Words("archived", "partition", "table"),
    ActionKind.DETACH_PARTITION: _Words("detached", "partition", "table"),
    ActionKind.DROP_PARTITION: _Words("dropped", "partition", "table"),
    ActionKind.RESTORE_PARTITION: _Words("restored", "partition", "table"),
    ActionKind.ANALYZE_TABLE: _Words("analyzed", "table", "all"),
    ActionKind.VACUUM_TABLE: _Words("vacuumed", "table", "all"),
    ActionKind.INVALIDATE_CACHE: _Words("invalidated the cache of", "view"),
    ActionKind.RECALCULATE_ROWS: _Words("recalculated rows of", "table"),
    ActionKind.CREATE_MATVIEW: _Words("created", "view"),
    ActionKind.REFRESH_MATVIEW: _Words("refreshed", "view"),
    ActionKind.INDEX_MATVIEW: _Words("indexed", "view"),
    ActionKind.REBUILD_MATVIEW: _Words("rebuilt", "view"),
    ActionKind.REINDEX: _Words("rebuilt", "index", "all"),
    ActionKind.REMOVE_REBUILD: _Words("removed", "unfinished index", "all"),
    ActionKind.CREATE_INDEX: _Words("built", "index", "all"),
    ActionKind.DROP_INDEX: _Words("dropped", "index", "all"),
    ActionKind.REPLACE_INDEX: _Words("replaced", "index", "all"),
    ActionKind.DROP_INVALID_INDEX: _Words("removed", "unfinished index", "all"),
    ActionKind.ADD_CONSTRAINT: _Words("added", "constraint", "all"),
    ActionKind.VALIDATE_CONSTRAINT: _Words("validated", "constraint", "all"),
    ActionKind.ADD_COLUMN: _Words("added", "column", "all"),
    ActionKind.UNDO: _Words("undid the change of", "object", "all"),
    ActionKind.UNINSTALL: _Words("removed", "object", "all"),
}


@dataclass(frozen=True, slots=True)
class WorkLine:
    """Several actions of one kind as one line for people.

    Attributes:
        at: when the newest of them ended.
        outcome: done, failed, refused or `UNFINISHED`.
        what: how many of what, such as `12 partitions of`.
        objects: the names that the line is about, each once, newest first.
        facts: periods, rows, bytes, urls, or the error.
        period: the period, if all actions are about the same one.
    """

    at: datetime
    kind: str
    outcome: str
    verb: str
    what: str
    objects: tuple[str, ...]
    facts: tuple[str, ...]
    period: str | None = None

    @property
    def is_done(self) -> bool:
        """Whether the actions were carried out."""
        return self.outcome == DONE


def fold(actions: Sequence[PastAction]) -> list[WorkLine]:
    """Fold actions into lines: what was not done first, then the newest first.

    Skipped actions have no line; they are only counted.
    """
    found: dict[tuple[str, ...], list[PastAction]] = {}
    for action in actions:
        if action.outcome != SKIPPED:
            found.setdefault(_topic(action), []).append(action)
    lines = [_line(same) for same in found.values()]
    return sorted(lines, key=lambda line: (line.is_done, -line.at.timestamp()))


def _words(kind: str) -> _Words:
    return _WORDS.get(kind) or _Words(kind.replace("_", " "), "object")


def _topic(action: PastAction) -> tuple[str, ...]:
    outcome = action.outcome or UNFINISHED
    if outcome != DONE:
        return outcome, action.kind, action.object, action.error or ""
    return outcome, action.kind, *_folded_by(action)


def _folded_by(action: PastAction) -> tuple[str, ...]:
    match _words(action.kind).fold:
        case "all":
            return ()
        case "table":
            return (action.table or action.object,)
        case _:
            return (action.object,)


def _line(actions: Sequence[PastAction]) -> WorkLine:
    newest, words = actions[0], _words(actions[0].kind)
    outcome = newest.outcome or UNFINISHED
    if outcome != DONE:
        objects = (newest.object,)
        verb, what, facts = outcome, newest.kind.replace("_", " "), tuple(_troubles(actions))
    elif words.fold == "table" and newest.table is not None and newest.table != newest.object:
        names = dict.fromkeys(action.object for action in actions)
        objects = (newest.table,)
        verb, what = words.verb, f"{counted_noun(len(names), words.noun)} of"
        facts = tuple(_facts(actions, len(names)))
    else:
        objects = tuple(dict.fromkeys(action.object for action in actions))
        what = words.noun if len(objects) == 1 else counted_noun(len(objects), words.noun)
        verb, facts = words.verb, tuple(_facts(actions, len(objects)))
    periods = {action.period for action in actions}
    period = periods.pop() if len(periods) == 1 else None
    return WorkLine(newest.at, newest.kind, outcome, verb, what, objects, facts, period)


def _troubles(actions: Sequence[PastAction]) -> Iterator[str]:
    unknown = "its end is not recorded: it is still at work, or its run was interrupted"
    yield actions[0].error or unknown
    if len(actions) > 1:
        yield f"{len(actions):,} times"


def _facts(actions: Sequence[PastAction], n_objects: int) -> Iterator[str]:
    if periods := sorted({action.period for action in actions if action.period}):
        few = len(periods) <= SHOWN_PERIODS
        yield ", ".join(periods) if few else f"{periods[0]} … {periods[-1]}"
    if len(actions) > n_objects:
        yield f"{len(actions):,} times"
    for keys, text in _AMOUNTS:
        counts = [c for action in actions if (c := _amount(action, keys)) is not None]
        if counts and (sum(counts) or keys not in _UNTOLD_ZEROS):
            yield text.format(_readable(sum(counts), is_size="bytes" in keys[0]))
    if sources := [str(url) for action in actions if (url := action.detail.get("from"))]:
        yield f"from {_common(sources)}"
    if urls := [str(url) for action in actions if (url := action.detail.get("url"))]:
        yield f"to {_common(urls)}"
    took_s = sum(action.duration_ms or 0 for action in actions) / 1000
    yield f"took {readable_span(took_s)}"


_CHANGED = ("rows_inserted", "rows_updated", "rows_deleted")
_AMOUNTS = (
    (_CHANGED, "{} rows changed"),
    (("rows",), "{} rows"),
    (("bytes",), "{}"),
    (("won_bytes",), "{} freed"),
    (("keys",), "{} keys"),
    (("keys_removed",), "{} cache keys removed"),
)
"""Numbers in the details of actions, and how they are told."""
_UNTOLD_ZEROS = (("won_bytes",), ("keys_removed",))


def _amount(action: PastAction, keys: tuple[str, ...]) -> float | None:
    if keys == ("rows",) and any(key in action.detail for key in (*_CHANGED, "mode")):
        return None  # the size of a view, not what was done to it
    found = [action.detail.get(key) for key in keys]
    numbers = [n for n in found if isinstance(n, int | float) and not isinstance(n, bool)]
    return sum(numbers) if numbers else None


def _readable(number: float, *, is_size: bool) -> str:
    return readable_size(number) if is_size else f"{number:,.0f}"


def _common(urls: Sequence[str]) -> str:
    """Return the folder that several urls have in common; one url as it is."""
    first, *others = dict.fromkeys(urls)
    if not others:
        return first
    return os.path.commonprefix([first, *others]).rpartition("/")[0] + "/"
