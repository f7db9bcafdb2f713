"""Models of an inspection: what was found and proposed, and what is left out with the reason."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from maintenance.catalog.models import Snapshot
from maintenance.catalog.partman import Partman
from maintenance.names import QualifiedName


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
    """

    subject: Subject
    relation: QualifiedName
    summary: str
    settings: tuple[Setting, ...]
    notes: tuple[str, ...] = ()
    obstacle: str = ""
    reason: str = ""

    @property
    def applies(self) -> bool:
        """Whether it is part of the policy, not a comment."""
        return not self.obstacle

    @property
    def values(self) -> dict[str, Any]:
        """The settings that apply as data of a policy."""
        return {setting.key: setting.value for setting in self.settings if setting.applies}


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


@dataclass(frozen=True, slots=True)
class Inventory:
    """All objects of a database that a policy can name.

    Attributes:
        partitioned: the partitioned tables that are no partitions themselves.
        snapshot: those of them that are partitioned by RANGE, with their partitions.
        time_zone: the TimeZone of new sessions, as the server writes it.
        partman: what pg_partman maintains.
    """

    partitioned: tuple[Partitioned, ...]
    snapshot: Snapshot
    time_zone: str
    partman: Partman
