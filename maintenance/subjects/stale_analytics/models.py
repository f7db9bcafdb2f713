"""Models of tables with computed rows: frozen, free of sessions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from maintenance.catalog.models import Snapshot
from maintenance.engine.findings import Finding
from maintenance.names import QualifiedName


class Staleness(NamedTuple):
    """The stale rows of one table.

    Attributes:
        n_never: those of them that were never calculated.
        oldest_age_s: age of the oldest calculation in seconds; None if there is none.
    """

    n_stale: int
    n_never: int
    oldest_age_s: float | None


@dataclass(frozen=True, slots=True)
class StaleAnalyticsObservation:
    """One observation of the tables of a policy.

    Attributes:
        unfit: the findings on tables that the policy does not fit.
        tables: those that were counted.
        blind: other existing tables, each with the reason.
        forbidden: those that this role may not read.
        hidden: those with rows hidden by row-level security, in the table or its activity table.
    """

    snapshot: Snapshot
    unfit: Mapping[QualifiedName, Finding] = field(default_factory=dict[QualifiedName, Finding])
    tables: Mapping[QualifiedName, Staleness] = field(
        default_factory=dict[QualifiedName, Staleness]
    )
    blind: Mapping[QualifiedName, str] = field(default_factory=dict[QualifiedName, str])
    forbidden: frozenset[QualifiedName] = frozenset()
    hidden: frozenset[QualifiedName] = frozenset()
