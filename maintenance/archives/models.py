"""Identifies a table by name and OID, to detect another table of that name."""

from typing import NamedTuple

from maintenance.names import QualifiedName


class TableId(NamedTuple):
    """A table as it was observed."""

    oid: int
    relation: QualifiedName
