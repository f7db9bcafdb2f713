"""The observation from which indexes are advised."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from maintenance.names import QualifiedName
from maintenance.subjects.indexes.advice import Advice
from maintenance.subjects.indexes.candidates.models import (
    NO_CANDIDATES,
    CandidatesObservation,
)
from maintenance.subjects.indexes.ddl import Definition
from maintenance.subjects.indexes.declared.models import NOTHING, DeclaredObservation
from maintenance.subjects.indexes.declared.query_observation import NO_QUERIES, QueriesObservation
from maintenance.subjects.indexes.models import Catalog
from maintenance.subjects.indexes.usage import ServerUsage


@dataclass(frozen=True, slots=True)
class IndexesObservation:
    """One observation of the indexes of one database.

    Attributes:
        witnesses: all servers, the primary first.
        role: our role on the primary.
        definitions: of the indexes with a verdict, by OID.
        taken: names of relations that new indexes can't have.
        declared: the declarations of the policy, compared with the database.
        queries: the declared queries, planned.
        candidates: indexes that slow statements lack.
    """

    catalog: Catalog
    witnesses: tuple[ServerUsage, ...]
    advice: Advice
    role: str
    definitions: Mapping[int, Definition] = field(default_factory=dict[int, Definition])
    taken: frozenset[QualifiedName] = frozenset()
    declared: DeclaredObservation = NOTHING
    queries: QueriesObservation = NO_QUERIES
    candidates: CandidatesObservation = NO_CANDIDATES
