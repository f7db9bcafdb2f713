"""The configuration of pg_partman, which may maintain the same tables."""

from dataclasses import dataclass

from maintenance.names import QualifiedName, literal


@dataclass(frozen=True, slots=True)
class PartmanTable:
    """The configuration of one table.

    Attributes:
        relation: the table.
        config: the table of the configuration.
        control: the name of the key column.
        interval: of one partition, as text of an interval or a number.
        premake: the number of partitions ahead.
        retention: after which time partitions are removed, as text; None if never.
        retention_schema: to which schema removed partitions are moved, if to any.
        keeps_table: whether removed partitions are only detached.
        keeps_index: whether detached ones keep their indexes.
        is_automatic: whether pg_partman's background worker or a job for all tables maintains it.
        is_endless: whether the horizon is counted from the clock, not only from the newest row.
    """

    relation: QualifiedName
    config: QualifiedName
    control: str
    interval: str
    premake: int
    retention: str | None = None
    retention_schema: str | None = None
    keeps_table: bool = True
    keeps_index: bool = True
    is_automatic: bool = True
    is_endless: bool = False

    @property
    def switch_off(self) -> str:
        """The statement after which pg_partman no longer maintains the table by itself."""
        schema, name = self.relation
        return (
            f"UPDATE {self.config} SET automatic_maintenance = 'off'"
            f" WHERE parent_table = {literal(f'{schema}.{name}')}"
        )


@dataclass(frozen=True, slots=True)
class Partman:
    """What pg_partman maintains in a database.

    Attributes:
        tables: by name.
        unreadable: configuration tables that this role can't read.
    """

    tables: dict[QualifiedName, PartmanTable]
    unreadable: tuple[QualifiedName, ...] = ()
