"""Read objects of partitions that are not inherited from their parent, such as indexes."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from maintenance.catalog.models import Own, OwnObject, Partition, Table
from maintenance.names import QualifiedName
from maintenance.server.session import Connection, fetch


def own_objects(
    connection: Connection,
    tables: Mapping[QualifiedName, Table],
    details: Collection[Own],
) -> dict[QualifiedName, dict[int, tuple[OwnObject, ...]]]:
    """Return the objects of the requested tables by parent and OID, including the parent's.

    A parent is left out if none of its sampled partitions has any; so is a table that is locked
    in ACCESS EXCLUSIVE mode.

    Raises:
        psycopg.Error: the catalog could not be read.
    """
    sampled = {each.relation: dict.fromkeys(_oids(each.sampled)) for each in details}
    pairs = [(tables[name].oid, oid) for name, oids in sampled.items() for oid in oids]
    found: set[int] = set()
    if pairs:
        found = {
            row.relation for row in fetch(connection, "catalog", "find_own_objects", _of(pairs))
        }
    return {
        each.relation: _described(connection, tables[each.relation].oid, each)
        for each in details
        if each.needed or not found.isdisjoint(sampled[each.relation])
    }


def _oids(partitions: Iterable[Partition]) -> Iterator[int]:
    return (oid for partition in partitions for oid in partition.whole.oids)


def _described(connection: Connection, top: int, own: Own) -> dict[int, tuple[OwnObject, ...]]:
    objects: dict[int, tuple[OwnObject, ...]] = {}
    relations = dict.fromkeys((top, *_oids(own.described), *own.drifted))
    pairs = [(top, oid) for oid in relations]
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
