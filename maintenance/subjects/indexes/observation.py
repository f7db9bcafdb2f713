"""What the advice on one database is made of."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from maintenance.subjects.indexes.advice import Advice
from maintenance.subjects.indexes.ddl import Definition
from maintenance.subjects.indexes.models import Catalog
from maintenance.subjects.indexes.usage import ServerUsage


@dataclass(frozen=True, slots=True)
class IndexesObservation:
    """One look at the indexes of one database.

    Attributes:
        witnesses: the primary first.
        role: who we are on the primary.
        definitions: of the indexes that a verdict names, by oid.
    """

    catalog: Catalog
    witnesses: tuple[ServerUsage, ...]
    advice: Advice
    role: str
    definitions: Mapping[int, Definition] = field(default_factory=dict[int, Definition])
