"""What was read of the database for the declarations of a policy. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from maintenance.names import QualifiedName, near
from maintenance.subjects.indexes.declared.models import Constraint, Refusal, TableFacts, Texts
from maintenance.subjects.indexes.models import Catalog, Index, Table

SYSTEM_COLUMNS = frozenset({"tableoid", "ctid", "xmin", "xmax", "cmin", "cmax"})


@dataclass(frozen=True)
class Seen:
    """What was read of the database for the declarations.

    Attributes:
        facts: of the tables with declarations, by OID.
        texts: definitions of existing indexes, by OID.
        taken: names of relations among those of the declarations and their tables.
        constraints: with the names of declared ones, by the OID of the table and the name.
    """

    catalog: Catalog
    facts: Mapping[int, TableFacts]
    texts: Texts
    taken: frozenset[QualifiedName]
    constraints: Mapping[tuple[int, str], Constraint] = field(
        default_factory=dict[tuple[int, str], Constraint]
    )

    @cached_property
    def tables(self) -> Mapping[QualifiedName, Table]:
        """All tables, by name."""
        return {table.relation: table for table in self.catalog.tables.values()}

    @cached_property
    def indexes(self) -> Mapping[QualifiedName, Index]:
        """All indexes, by name."""
        return {index.relation: index for index in self.catalog.indexes}

    @cached_property
    def indexes_of(self) -> Mapping[int, Sequence[Index]]:
        """The indexes of each table, by its OID."""
        found: dict[int, list[Index]] = defaultdict(list)
        for index in self.catalog.indexes:
            found[index.table_oid].append(index)
        return found

    @cached_property
    def partitions_of(self) -> Mapping[int, Sequence[Table]]:
        """The partitions of each partitioned table, by its OID, in the order of their names."""
        found: dict[int, list[Table]] = defaultdict(list)
        for table in self.catalog.tables.values():
            if table.parent is not None:
                found[table.parent].append(table)
        return {oid: sorted(parts, key=lambda each: each.relation) for oid, parts in found.items()}

    def below(self, table: Table) -> Iterator[Table]:
        """Yield the partitions of a table, at every level."""
        for part in self.partitions_of.get(table.oid, ()):
            yield part
            yield from self.below(part)

    def parts_of(self, index: Index) -> Iterator[tuple[Index, Table]]:
        """Yield the parts of a partitioned index with their tables, those of lower levels first."""
        for table in self.partitions_of.get(index.table_oid, ()):
            for part in self.indexes_of.get(table.oid, ()):
                if part.parent == index.oid:
                    yield from self.parts_of(part)
                    yield part, table

    def is_locked(self, table: Table) -> bool:
        """Whether a table, or a partition of it, is locked so that its indexes are unknown."""
        blind = self.catalog.blind
        return bool(blind) and (
            table.relation in blind
            or any(self.is_locked(part) for part in self.partitions_of.get(table.oid, ()))
        )

    @staticmethod
    def no_table(name: QualifiedName) -> Refusal:
        """Return why a relation that exists is not among the tables."""
        text = f"{name} is no table or materialized view of an application"
        hint = "views and foreign tables have no indexes; tables of extensions are not changed"
        return Refusal("42809", text, hint)

    def near_tables(self, wanted: QualifiedName) -> tuple[str, ...]:
        """Return names of tables that are much like a wanted one, those of its schema first."""
        same = {str(name): name.name for name in self.tables if name.schema == wanted.schema}
        by_name = {name: shown for shown, name in same.items()}
        guesses = [by_name[name] for name in near(wanted.name, by_name)]
        return tuple(guesses or near(str(wanted), map(str, self.tables)))
