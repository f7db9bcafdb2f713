"""What was seen of tables with computed rows. Frozen, free of the database."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from maintenance.catalog.models import Snapshot
from maintenance.names import QualifiedName


class Staleness(NamedTuple):
    """The stale rows of one table.

    Attributes:
        n_never: those of them that were never calculated.
        oldest_age_s: since the oldest was calculated; None where none ever was.
    """

    n_stale: int
    n_never: int
    oldest_age_s: float | None


@dataclass(frozen=True, slots=True)
class StaleAnalyticsObservation:
    """One look at the tables of a policy.

    Attributes:
        tables: those that could be looked into.
        blind: the others that are there, each with the reason.
        forbidden: those that we may not read.
        hidden: those whose rows, or whose activity's, row security hides from us.
    """

    snapshot: Snapshot
    tables: Mapping[QualifiedName, Staleness] = field(
        default_factory=dict[QualifiedName, Staleness]
    )
    blind: Mapping[QualifiedName, str] = field(default_factory=dict[QualifiedName, str])
    forbidden: frozenset[QualifiedName] = frozenset()
    hidden: frozenset[QualifiedName] = frozenset()
