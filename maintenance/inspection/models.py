"""Models of an inspection: what was found and proposed, and what is left out with the reason."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from maintenance.catalog.models import Snapshot
from maintenance.catalog.partman import Partman
from maintenance.names import QualifiedName
from maintenance.periods import Interval


class Subject(StrEnum):
    """The section of a policy that an entry belongs to."""

    PARTITIONS = "partitions"
    MATVIEWS = "matviews"


class Setting(NamedTuple):
    """One line of an entry.

    Attributes:
        key: of the policy.
        value: as data.
        evidence: why it has this value; empty if that is clear.
        applies: whether it is part of the policy, not a comment.
    """

    key: str
    value: Any
    evidence: str = ""
    applies: bool = True


@dataclass(frozen=True, slots=True)
class Entry:
    """A proposed entry of a policy's list, such as one partitioned table.

    Attributes:
        subject: the list.
        relation: the table or view.
        summary: what was found, one sentence.
        settings: the lines, the first with the name.
        notes: what the owner should know, a paragraph each.
        obstacle: why it is only proposed as a comment; empty if it is to apply.
        reason: the same as a short code.
        ends: the moment from which rows have no partition, if there is one and no other program
            is known to make further ones.
    """

    subject: Subject
    relation: QualifiedName
    summary: str
    settings: tuple[Setting, ...]
    notes: tuple[str, ...] = ()
    obstacle: str = ""
    reason: str = ""
    ends: datetime | None = None

    @property
    def applies(self) -> bool:
        """Whether it is part of the policy, not a comment."""
        return not self.obstacle

    @property
    def values(self) -> dict[str, Any]:
        """The settings that apply as data of a policy."""
        return {setting.key: setting.value for setting in self.settings if setting.applies}


class UnnamedTable(NamedTuple):
    """A table partitioned by time that no section names.

    Attributes:
        interval: of its newest partition.
        ends: the moment from which rows have no partition, if there is one and no other program
            is known to make further ones.
        has_ended: whether it seems to be out of use.
    """

    relation: QualifiedName
    interval: Interval
    ends: datetime | None
    has_ended: bool


class LeftOut(NamedTuple):
    """An object for which no entry can be proposed.

    Attributes:
        subject: the list in which it is missing.
        relation: the object.
        text: why, in words.
        reason: the same as a short code.
    """

    subject: Subject
    relation: QualifiedName
    text: str
    reason: str


class Partitioned(NamedTuple):
    """A partitioned table, as the catalog lists it.

    Attributes:
        strategy: `r` RANGE, `l` LIST, `h` HASH.
        key: such as `RANGE (at)`; None while the table is locked.
    """

    relation: QualifiedName
    strategy: str
    key: str | None


class View(NamedTuple):
    """A materialized view.

    Attributes:
        unique_keys: the columns of each unique index that a concurrent refresh can use.
        reads: the relations that it names.
        functions: functions that it calls and whose tables the catalog does not show.
    """

    relation: QualifiedName
    is_populated: bool
    unique_keys: tuple[tuple[str, ...], ...] = ()
    reads: tuple[QualifiedName, ...] = ()
    functions: tuple[QualifiedName, ...] = ()


class TimeColumn(NamedTuple):
    """A column of a type of time.

    Attributes:
        is_set: whether its default is the current time.
        is_indexed: whether an index begins with it.
    """

    name: str
    type: str
    never_null: bool
    is_set: bool
    is_indexed: bool


class GrowingTable(NamedTuple):
    """A large table that is not partitioned.

    Attributes:
        pages: blocks with indexes and TOAST, by the catalog's estimate.
        n_inserted: rows inserted since the counters began.
        n_changed: rows updated and deleted since then.
    """

    relation: QualifiedName
    pages: int
    n_inserted: int
    n_changed: int
    columns: tuple[TimeColumn, ...]


@dataclass(frozen=True, slots=True)
class Inventory:
    """All objects of a database that a policy can name.

    Attributes:
        partitioned: the partitioned tables that are no partitions themselves.
        snapshot: those of them that are partitioned by RANGE, with their partitions.
        time_zone: the TimeZone of new sessions, as the server writes it.
        partman: what pg_partman maintains.
        views: all materialized views.
        growing: large tables that are not partitioned.
        undecodable: objects whose names are no valid text, as they are shown.
    """

    partitioned: tuple[Partitioned, ...]
    snapshot: Snapshot
    time_zone: str
    partman: Partman
    views: tuple[View, ...] = ()
    growing: tuple[GrowingTable, ...] = ()
    undecodable: frozenset[str] = frozenset()
