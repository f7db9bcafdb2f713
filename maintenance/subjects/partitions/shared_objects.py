"""Finds objects that partitions share but their parent lacks, and partitions without them.

An object is shared if the two newest partitions have it, or the two newest of those that are not in
the future: recent changes count, an object of a single partition does not. A partition without
a shared object lacks it, and so does one without an object that every older one has.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from maintenance.catalog.models import Own, OwnObject, Partition, Table
from maintenance.names import QualifiedName
from maintenance.partition_set.bounds import Span

FEWEST = 2
"""How many partitions must have an object for it to count as shared."""

MOST_PAST, MOST_AHEAD = 24, 100
"""How many of the newest partitions, and of the future ones, are compared."""

FROM_MODEL = frozenset({"policy", "tablespace"})
"""Kinds that the tables of a new tree get from the tree they are modeled on."""

MINOR = frozenset({"storage", "compression", "statistics", "tablespace"})
"""Kinds whose absence costs only speed or space."""

Path = tuple[str, ...]


class Carried(NamedTuple):
    """An object that a new partition, or a table of its tree, gets.

    `path` is the path of bounds from the partition to the table, `source` a table that has it.
    """

    path: Path
    object: OwnObject
    source: QualifiedName


class Lacking(NamedTuple):
    """An object that a table of an existing partition lacks.

    Attributes:
        is_shared: whether the newest partitions have it, and not only all older ones.
        is_untouched: whether the partition is in the future, a single table, and empty.
    """

    partition: Partition
    relation: QualifiedName
    object: OwnObject
    source: QualifiedName
    is_shared: bool
    is_untouched: bool


@dataclass(frozen=True, slots=True)
class Sharing:
    """The objects that partitions share.

    Attributes:
        carried: objects that new partitions get.
        lacking: objects that existing partitions lack.
    """

    carried: tuple[Carried, ...] = ()
    lacking: tuple[Lacking, ...] = ()

    @property
    def for_new(self) -> tuple[Carried, ...]:
        """The objects that can be added to new partitions."""
        return tuple(each for each in self.carried if each.object.obstacle is None)

    def has(self, kind: str) -> bool:
        """Whether partitions share an object of a kind."""
        return any(each.object.kind == kind for each in self.carried)


NOTHING_SHARED = Sharing()
"""For a table whose partitions share nothing beyond what the parent gives them."""

_Key = tuple[Path, str, tuple[Any, ...], str | None]


class _Unit(NamedTuple):
    """One partition that was read: the objects of each of its tables."""

    span: Span
    paths: Mapping[Path, tuple[int, QualifiedName]]
    has: Mapping[_Key, Carried]


def asked_about(table: Table, spans: Sequence[Span], now: datetime) -> Own | None:
    """Return the detail to read for `sharing_of`, if any.

    Args:
        table: as observed.
        spans: its partitions, in order of time.
        now: the current moment; later partitions are in the future.
    """
    security = table.properties.row_security or table.properties.force_row_security
    drifted = tuple(
        child.oid
        for child in table.drifted
        if child.properties.row_security != table.properties.row_security
        or child.properties.force_row_security != table.properties.force_row_security
    )
    chosen = _chosen(spans, now)
    if not chosen and not security and not drifted:
        return None
    return Own(
        relation=table.relation,
        sampled=tuple(_sample(chosen, now)),
        described=tuple(span.partition for span in chosen),
        drifted=drifted,
        needed=security or bool(drifted),
    )


def sharing_of(table: Table, spans: Sequence[Span], now: datetime, column: str) -> Sharing:
    """Find the objects that a table's partitions share, and those that some of them lack.

    Args:
        table: as observed, with the objects that were requested.
        spans: its partitions, in order of time.
        now: the current moment; later partitions are in the future.
        column: the key.
    """
    if not table.objects and all(_lives_beside(table, span) for span in spans):
        return Sharing()
    units = list(_units(table, _chosen(spans, now), column))
    past = [unit for unit in units if unit.span.lower <= now]
    keys = dict.fromkeys(key for unit in units for key in unit.has)
    carried: list[Carried] = []
    lacking: list[Lacking] = []
    for key in keys:
        having = [place for place, unit in enumerate(units) if key in unit.has]
        if len(having) < FEWEST:
            continue
        newest = units[having[-1]].has[key]
        shared = any(
            len(some) >= FEWEST and all(key in unit.has for unit in some[-FEWEST:])
            for some in (units, past)
        )
        if shared:
            carried.append(newest)
        if shared or _is_of_all_older(past, key):
            lacking += [
                _lacks(table, unit, newest, is_ahead=unit.span.lower > now, is_shared=shared)
                for unit in units[having[0] :]
                if _misses(unit, key)
            ]
    return Sharing(tuple(sorted(carried, key=_order)), tuple(lacking))


def _is_of_all_older(past: Sequence[_Unit], key: _Key) -> bool:
    """Whether all partitions older than the first one without an object have it."""
    having = [place for place, unit in enumerate(past) if key in unit.has]
    return len(having) >= FEWEST and having == list(range(len(having)))


def schema_of(spans: Sequence[Span], now: datetime) -> str | None:
    """Return the schema of the newest partitions, None if they differ.

    Future partitions count only if there are no others: they may be in the wrong schema.
    """
    past = [span for span in spans if span.lower <= now] or spans
    schemas = {span.partition.relation.schema for span in past[-FEWEST:]}
    return schemas.pop() if len(schemas) == 1 else None


def _chosen(spans: Sequence[Span], now: datetime) -> list[Span]:
    usable = [s for s in spans if s.partition.kind in ("r", "p") and not s.partition.detach_pending]
    past = [span for span in usable if span.lower <= now]
    return past[-MOST_PAST:] + usable[len(past) :][:MOST_AHEAD]


def _sample(chosen: Sequence[Span], now: datetime) -> list[Partition]:
    """Choose the few partitions that have an object if any is shared.

    The newest of all or the newest that is not in the future has every shared object; the oldest
    has what all older ones have.
    """
    past = [span for span in chosen if span.lower <= now]
    some = [*past[-1:], *chosen[-1:], *past[:1]]
    return list({span.partition.oid: span.partition for span in some}.values())


def _lives_beside(table: Table, span: Span) -> bool:
    return span.partition.relation.schema == table.relation.schema


def _units(table: Table, spans: Sequence[Span], column: str) -> Iterator[_Unit]:
    for span in spans:
        paths = {
            path: (branch.oid, branch.relation)
            for path, branch in span.partition.whole.paths().items()
        }
        if table.objects and not all(oid in table.objects for oid, _ in paths.values()):
            continue  # locked: unknown
        has = {
            (path, *_signature(each)): Carried(path, each, relation)
            for path, (oid, relation) in paths.items()
            for each in _own(table, span.partition, oid, path, column)
        }
        yield _Unit(span, paths, has)


def _signature(each: OwnObject) -> tuple[str, tuple[Any, ...], str | None]:
    return each.kind, each.parts, None if each.kind == "check" else each.state


def _own(
    table: Table, partition: Partition, oid: int, path: Path, column: str
) -> Iterator[OwnObject]:
    """Yield the objects of a table that it does not get from the root parent."""
    tops = table.objects.get(table.oid, ())
    objects = table.objects.get(oid, ())
    if not path and partition.relation.schema != table.relation.schema:
        yield OwnObject("schema", partition.relation.schema, (partition.relation.schema,))
    kinds = _GIVEN if table.properties.row_security else _GIVEN - {"policy"}
    given = {(each.kind, each.parts) for each in tops if each.kind in kinds}
    for each in objects:
        if (each.kind, each.parts) in given or _comes_with(table, partition, each):
            continue
        yield _with_obstacle(each, column)
    named = {each.name for each in objects if each.kind == "default"}
    for each in tops if objects else ():
        if each.kind == "default" and each.name not in named:
            yield OwnObject("default", each.name, (each.name, None))


_GIVEN = frozenset({"default", "statistics", "policy"})
"""Kinds that a new partition gets from its parent; policies only with row security."""


def _comes_with(table: Table, partition: Partition, each: OwnObject) -> bool:
    """Whether a new partition gets it from its parent, or from the tree it is modeled on."""
    properties = table.properties
    return (
        each.kind == "table"
        or (partition.kind == "p" and _is_from_model(each))
        or (each.kind == "row security" and properties.row_security)
        or (each.kind == "replica identity" and properties.replica_identity != "d")
    )


def _with_obstacle(each: OwnObject, column: str) -> OwnObject:
    if each.kind != "check" or column not in (each.state or "").split("\x01"):
        return each
    reason = f"it contains the key {column} and might refuse rows of other periods"
    return each._replace(obstacle=reason)


def _is_from_model(each: OwnObject) -> bool:
    return each.kind in FROM_MODEL or (each.kind == "publication" and not each.parts[1])


def _misses(unit: _Unit, key: _Key) -> bool:
    return key not in unit.has and key[0] in unit.paths


def _lacks(
    table: Table, unit: _Unit, newest: Carried, *, is_ahead: bool, is_shared: bool
) -> Lacking:
    oid, relation = unit.paths[newest.path]
    partition = unit.span.partition
    is_empty = any(e.kind == "table" and e.state == "empty" for e in table.objects.get(oid, ()))
    return Lacking(
        partition=partition,
        relation=relation,
        object=newest.object,
        source=newest.source,
        is_shared=is_shared,
        is_untouched=is_empty and partition.kind == "r" and is_ahead,
    )


_ORDER = (
    "unlogged",
    "tablespace",
    "storage",
    "compression",
    "default",
    "not null",
    "check",
    "constraint",
    "index",
    "statistics",
    "trigger",
    "rule",
    "policy",
    "row security",
    "replica identity",
    "publication",
    "foreign key",
    "schema",
)


def _order(each: Carried) -> tuple[int, int]:
    return _ORDER.index(each.object.kind), len(each.path)
