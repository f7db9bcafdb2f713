"""Which table: by name, and by OID so that another one of that name is noticed."""

from typing import NamedTuple

from maintenance.names import QualifiedName


class TableId(NamedTuple):
    """A table as it was observed."""

    oid: int
    relation: QualifiedName
