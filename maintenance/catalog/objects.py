"""Reading what partitions have that their parent does not give them, such as indexes."""

from collections.abc import Collection, Mapping

from maintenance.catalog.models import Own, OwnObject, Table
from maintenance.names import QualifiedName
from maintenance.server.session import Connection, fetch


def own_objects(
    connection: Connection,
    tables: Mapping[QualifiedName, Table],
    questions: Collection[Own],
) -> dict[QualifiedName, dict[int, tuple[OwnObject, ...]]]:
    """Return the objects of the asked-for tables by parent and OID, the parent's among them.

    A parent none of whose sampled partitions has any is left out, and a table under somebody's
    ACCESS EXCLUSIVE lock is missing.

    Raises:
        psycopg.Error: the catalog could not be read.
    """
    pairs = [(tables[q.relation].oid, oid) for q in questions for oid in q.sampled]
    found: set[int] = set()
    if pairs:
        found = {
            row.relation for row in fetch(connection, "catalog", "find_own_objects", _of(pairs))
        }
    bearing = [q for q in questions if q.needed or not found.isdisjoint(q.sampled)]
    return {
        question.relation: _described(connection, tables[question.relation].oid, question)
        for question in bearing
    }


def _described(connection: Connection, top: int, question: Own) -> dict[int, tuple[OwnObject, ...]]:
    objects: dict[int, tuple[OwnObject, ...]] = {}
    pairs = [(top, oid) for oid in dict.fromkeys((top, *question.described))]
    for row in fetch(connection, "catalog", "list_own_objects", _of(pairs)):
        each = OwnObject(
            kind=row.kind,
            name=row.name or "",
            parts=tuple(row.parts or ()),
            state=row.state,
            obstacle=row.obstacle,
            referenced=QualifiedName(*row.referenced) if row.referenced else None,
        )
        objects[row.relation] = (*objects.get(row.relation, ()), each)
    return objects


def _of(pairs: Collection[tuple[int, int]]) -> dict[str, list[int]]:
    return {"tops": [top for top, _ in pairs], "relations": [oid for _, oid in pairs]}
