"""Which actions may be executed: by the modes of the policy, approvals, a pause, and the origin.

Pure. Every plan passes through one gate before anything is executed; the drivers only say where
the run comes from.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from typing import NamedTuple

from maintenance.engine.actions import Action, ActionKind, HeldBy, Hold
from maintenance.engine.findings import RETENTION, Finding, FindingKind, Severity
from maintenance.engine.plan import Plan
from maintenance.formatting import listed
from maintenance.policy import PartitionPolicy, Policy
from maintenance.policy.approvals import Approval, Approvals, is_approved
from maintenance.policy.pauses import Pause


class Origin(StrEnum):
    """Who started a run.

    A command typed at the command line, a run launched by hand in Dagster, or a run that a
    schedule or sensor requested.
    """

    COMMAND = "command"
    LAUNCHED = "launched"
    SCHEDULED = "scheduled"


RETIRING = frozenset(
    {ActionKind.ARCHIVE_PARTITION, ActionKind.DETACH_PARTITION, ActionKind.DROP_PARTITION}
)
"""Kinds of actions that carry out a retention; a schedule needs an approval for them."""

_OF_RETENTION = RETIRING | {ActionKind.FINALIZE_DETACH}

_OF_PARTITIONS = frozenset(
    {
        ActionKind.CONVERT_TABLE,
        ActionKind.CREATE_PARTITION,
        ActionKind.ATTACH_PARTITION,
        ActionKind.CREATE_DEFAULT,
        ActionKind.DRAIN_DEFAULT,
        ActionKind.SWAP_DEFAULT,
        ActionKind.SPLIT_PARTITION,
        ActionKind.REPAIR_PARTITION,
        ActionKind.REMOVE_LEFTOVERS,
        ActionKind.RESTORE_PARTITION,
    }
)

_OF_MATVIEWS = frozenset(
    {
        ActionKind.CREATE_MATVIEW,
        ActionKind.REFRESH_MATVIEW,
        ActionKind.INDEX_MATVIEW,
        ActionKind.REBUILD_MATVIEW,
        ActionKind.INVALIDATE_CACHE,
    }
)

_OF_STATISTICS = frozenset({ActionKind.ANALYZE_TABLE, ActionKind.VACUUM_TABLE})

_DROPPING = frozenset({ActionKind.DROP_INDEX, ActionKind.REPLACE_INDEX})

_OF_INDEXES = _DROPPING | {
    ActionKind.CREATE_INDEX,
    ActionKind.DROP_INVALID_INDEX,
    ActionKind.ADD_CONSTRAINT,
    ActionKind.VALIDATE_CONSTRAINT,
    ActionKind.ADD_COLUMN,
    ActionKind.UNDO,
}

_ROLLED_OUT = _OF_INDEXES - {ActionKind.UNDO}
"""Kinds of actions that carry out declarations; an undo does not wait for a window or a backup."""

_SHOWN = 5
"""How many partitions a message lists."""

_OF_BLOAT = frozenset({ActionKind.REINDEX, ActionKind.REMOVE_REBUILD})


class _Setting(NamedTuple):
    """A `mode` that applies to an action: its place in the policy, and its value."""

    place: str
    mode: str


@dataclass(frozen=True)
class Gate:
    """Decides for each action whether it may be executed.

    Attributes:
        approvals: of this database.
        pause: the pause that is active; None if there is none.
        now: for what begins on a day or in a window; None if every day has come.
        no_backup: why no backup is confirmed; empty if one is, or if the policy asks for none.
        undone: the runs that undid what an action is to bring about, by `Action.goal`.
        waves: those that were chosen: they need not wait for their day.
    """

    policy: Policy
    origin: Origin = Origin.COMMAND
    approvals: Approvals = field(default_factory=dict[str, Approval])
    pause: Pause | None = None
    undone: Mapping[str, str] = field(default_factory=dict[str, str])
    now: datetime | None = None
    no_backup: str = ""
    waves: Collection[int] = ()

    def hold(self, action: Action) -> Hold | None:
        """Return why an action is not executed; None if it may be."""
        if self.pause is not None:
            return paused(self.policy, self.pause)
        reporting = next((s for s in self._settings(action) if s.mode == "report"), None)
        if reporting is not None:
            return Hold(HeldBy.REPORT_MODE, f"not run: {reporting.place} of the policy is report")
        if (forbidden := self._forbidden(action)) is not None:
            return forbidden
        if (run := self.undone.get(action.goal)) is not None:
            text = f"not run: undone by run {run}; maintenance apply --again carries it out"
            return Hold(HeldBy.UNDONE, text)
        section = self._section(action)
        if self.origin is Origin.SCHEDULED and section is not None and action.kind in RETIRING:
            return self._unapproved(section)
        return None

    def _forbidden(self, action: Action) -> Hold | None:
        """Return the hold of an action that the policy must allow by a key of its own."""
        indexes = self.policy.indexes
        drops = action.kind in _DROPPING or bool(action.detail.get("takes_name_of"))
        if drops and not (indexes is not None and indexes.allow_drop):
            text = "not run: indexes.allow_drop of the policy is false"
            return Hold(HeldBy.DROPS_NOT_ALLOWED, text)
        if (early := self._early(action) or self._outside_window(action)) is not None:
            return early
        if self.no_backup and action.kind in _ROLLED_OUT | RETIRING:
            text = f"not run: no backup is confirmed: {self.no_backup} (backup)"
            return Hold(HeldBy.BACKUP_UNCONFIRMED, text)
        rewrites = action.kind is ActionKind.ADD_COLUMN and bool(action.detail.get("rewrites"))
        if rewrites and not (indexes is not None and indexes.allow_rewrite):
            text = "not run: indexes.allow_rewrite of the policy is false"
            return Hold(HeldBy.REWRITES_NOT_ALLOWED, text)
        return None

    def _early(self, action: Action) -> Hold | None:
        """Return the hold of a declaration whose wave begins on a later day."""
        wave = action.detail.get("wave") if action.kind in _OF_INDEXES else None
        day = self.policy.indexes.waves.get(wave) if self.policy.indexes and wave else None
        if day is None or self.now is None or wave in self.waves:
            return None
        if self.now.astimezone(UTC).date() >= day:
            return None
        text = f"not run: wave {wave} begins on {day} (indexes.waves), or when it is chosen"
        return Hold(HeldBy.WAVE_NOT_DUE, text)

    def _outside_window(self, action: Action) -> Hold | None:
        """Return the hold of a declaration outside the hours of the policy."""
        indexes = self.policy.indexes
        if indexes is None or self.now is None or action.kind not in _ROLLED_OUT:
            return None
        if indexes.is_in_window(self.now):
            return None
        crons = ", ".join(indexes.window)
        return Hold(HeldBy.OUTSIDE_WINDOW, f"not run: outside indexes.window ({crons}, in UTC)")

    def mark(self, plan: Plan) -> Plan:
        """Return a plan whose held actions, and those that require them, say why.

        Findings that promise such an action say it too.
        """
        holds: dict[str, Hold] = {}
        for action in plan.actions:
            required = (holds[each] for each in action.after if each in holds)
            # first the day: what is early is no warning, also in a run that only compares
            hold = self._early(action) or action.held or self.hold(action) or next(required, None)
            if hold is not None:
                holds[action.id] = hold
        if not holds:
            return plan
        marked = tuple(replace(each, held=holds.get(each.id)) for each in plan.actions)
        held = {
            o: holds[each.id] for each in plan.actions if each.id in holds for o in _makes(each)
        }
        findings = tuple(_kept(each, held.get(each.object)) for each in plan.findings)
        return replace(plan, actions=marked, findings=(*findings, *self._unsaved(marked)))

    def _unsaved(self, actions: Sequence[Action]) -> Iterator[Finding]:
        """Yield a warning if partitions are not retired for want of a backup.

        Of declarations that wait for it, the findings about each say so.
        """
        waiting = [
            each
            for each in actions
            if each.held is not None
            and each.held.by is HeldBy.BACKUP_UNCONFIRMED
            and each.kind in RETIRING
        ]
        if not waiting:
            return
        name = self.policy.database.name
        objects = sorted({each.object for each in waiting})
        yield Finding(
            FindingKind.BACKUP_UNCONFIRMED,
            Severity.WARN,
            name,
            f"{name}: retention is held, because no backup is confirmed: {self.no_backup} (backup)."
            f" Not retired: {listed(objects, _SHOWN)}. Make a backup, or correct backup in the"
            " policy",
            len(objects),
            0,
            data={"reason": self.no_backup, "partitions": objects},
            subject=RETENTION,
        )

    def _unapproved(self, section: PartitionPolicy) -> Hold | None:
        if is_approved(self.policy, section, self.approvals):
            return None
        text = f"not run by a schedule until approved: {approve_command(section)}"
        return Hold(HeldBy.UNAPPROVED, text)

    def _section(self, action: Action) -> PartitionPolicy | None:
        return self._sections.get(action.table or "")

    @cached_property
    def _sections(self) -> Mapping[str, PartitionPolicy]:
        return {str(section.table): section for section in self.policy.partitions}

    def _settings(self, action: Action) -> Iterator[_Setting]:
        """Yield the modes that apply to an action, the database's first."""
        policy, kind = self.policy, action.kind
        yield _Setting("database.mode", policy.database.mode)
        if kind in _OF_PARTITIONS | _OF_RETENTION:
            yield from self._modes_of_table(action)
        elif kind in _OF_MATVIEWS:
            views = (view for view in policy.matviews if str(view.name) == action.object)
            yield from (_Setting(f"mode of view {v.name}", v.mode) for v in views)
        elif kind is ActionKind.RECALCULATE_ROWS:
            tables = (s for s in policy.stale_analytics if str(s.table) == action.table)
            yield from (_Setting(f"mode of stale_analytics {s.table}", s.mode) for s in tables)
        elif kind in _OF_STATISTICS and policy.statistics is not None:
            yield _Setting("statistics.mode", policy.statistics.mode)
        elif kind in _OF_INDEXES and policy.indexes is not None:
            yield _Setting("indexes.mode", policy.indexes.mode)
        elif kind in _OF_BLOAT and policy.bloat is not None:
            yield _Setting("bloat.mode", policy.bloat.mode)

    def _modes_of_table(self, action: Action) -> Iterator[_Setting]:
        section = self._section(action)
        if section is None:
            return
        yield _Setting(f"mode of table {section.table}", section.mode)
        if action.kind in _OF_RETENTION and section.retention is not None:
            yield _Setting(f"retention.mode of table {section.table}", section.retention.mode)


def _makes(action: Action) -> Iterator[str]:
    """Yield the objects that an action is to bring about."""
    yield action.object
    if takes_name_of := action.detail.get("takes_name_of"):
        yield str(takes_name_of)


def _kept(finding: Finding, hold: Hold | None) -> Finding:
    """Return a finding without a promise that is not kept."""
    if hold is None or not finding.promise:
        return finding
    text = finding.message.removesuffix(finding.promise) + hold.text
    data = {**finding.data, "held_by": hold.by.value}
    # it is as the policy wants it, until that day
    severity = Severity.INFO if hold.by is HeldBy.WAVE_NOT_DUE else finding.severity
    return replace(finding, severity=severity, message=text, data=data, promise="")


def paused(policy: Policy, pause: Pause) -> Hold:
    """Return the hold of every action of a paused database."""
    return Hold(HeldBy.PAUSED, f"not run: {policy.database.name} is {pause}")


def approve_command(section: PartitionPolicy) -> str:
    """Return the command that approves the retention of a table."""
    return f"maintenance approve --table '{section.table}'"
