"""The declared queries that a policy has a target for, among the statements of a server. Pure.

A statement is a declared query if PostgreSQL's parser sees the same query in both: the case of
keywords, spaces, the schemas of tables, and whether a value is a constant or a parameter make no
difference.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from maintenance.policy import Policy
from maintenance.server.query_text import fingerprint, normalised


class Target(NamedTuple):
    """How long a declared query may take.

    Attributes:
        query: its name.
        limit_ms: for its 95th percentile, in milliseconds.
    """

    query: str
    limit_ms: float


@dataclass(frozen=True, slots=True)
class Targets:
    """The targets of a policy.

    Attributes:
        by_query: targets by the fingerprint of their query.
    """

    by_query: Mapping[str, Target] = field(default_factory=dict[str, Target])

    def of(self, text: str) -> Target | None:
        """Return the target of a statement by its normalized text; None without one."""
        return self.by_query.get(fingerprint(text)) if self.by_query else None


def targets_of(policy: Policy) -> Targets:
    """Return the targets of a policy; none without declared queries.

    Queries that differ only in constants are one statement, to which the lowest of their targets
    applies.
    """
    section = policy.indexes
    if section is None:
        return NO_TARGETS
    found = [
        (Target(query.name, limit.total_seconds() * 1000), fingerprint(normalised(query.text)))
        for query in section.declared_queries
        if (limit := section.targets.get(query.name)) is not None
    ]
    found.sort(key=lambda pair: (-pair[0].limit_ms, pair[0].query))
    return Targets({query: target for target, query in found})


NO_TARGETS = Targets()
