"""Releases the names of a partition before another table takes them.

`pg_dump` reads the names of all tables and locks them later, by name. If another table has got a
name in between, it dumps the wrong one, without an error. So a partition that is replaced under its
own name is renamed first, and the exchange waits for the transactions that may know the name.
Meanwhile such a dump finds no table of that name and fails.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple, cast

from maintenance.catalog.models import Partition, Table
from maintenance.catalog.trees import Branch, Tree
from maintenance.ddl.guards import same_tree, still_attached
from maintenance.ddl.lock_statements import take
from maintenance.ddl.marks import RELEASED, add_mark, read_mark, remove_mark
from maintenance.engine.actions import Step
from maintenance.names import QualifiedName, parse_name, quote
from maintenance.subjects.partitions.default_names import released_name
from maintenance.subjects.partitions.helper_checks import alone


class Release(NamedTuple):
    """The names of a partition's tables, the partition first.

    Attributes:
        names: the name of each while they are released, and the one that it has otherwise.
        owner: of the tables.
    """

    names: tuple[tuple[QualifiedName, QualifiedName], ...]
    owner: str

    @property
    def as_json(self) -> list[list[str]]:
        """The names, as a plan and the mark hold them."""
        return [[str(now), name.name] for now, name in self.names]


def release_of(table: Table, partition: Partition) -> Release:
    """Return the names of a partition, and those that it gets meanwhile."""
    names = tuple((released_name(name), name) for name in partition.names)
    return Release(names, table.properties.owner)


def read_release(names: Any, owner: str) -> Release:
    """Read names as a plan or a mark holds them; what is no name is left out."""
    return Release(tuple(_read(names)), owner)


def left_release(comment: str | None, partition: Partition, owner: str) -> Release | None:
    """Read from a partition's comment which of its tables do not have their own names.

    Its owner can write any mark: only names of its present tables are read.
    """
    mark = read_mark(comment)
    if mark.keys() != {RELEASED}:
        return None
    own = dict(_read(mark[RELEASED]))
    names = tuple((now, own.get(now, now)) for now in partition.names)
    return Release(names, owner)


def _read(names: Any) -> Iterator[tuple[QualifiedName, QualifiedName]]:
    for each in cast("list[Any]", names) if isinstance(names, list) else ():
        with suppress(ValueError, TypeError):
            now, name = each
            table = parse_name(now)
            quote(name)
            yield table, QualifiedName(table.schema, name)


def as_released(partition: Partition) -> Partition:
    """Return a partition with the names that its tables have while their names are released."""
    relation = released_name(partition.relation)
    tree = partition.tree
    if tree is None:
        return partition._replace(relation=relation)
    return partition._replace(relation=relation, tree=Tree(tuple(map(_released, tree.branches))))


def _released(branch: Branch) -> Branch:
    return branch._replace(relation=released_name(branch.relation))


def release(table: Table, partition: Partition) -> Step:
    """Return the step that renames the tables of a partition, and marks it."""
    names = release_of(table, partition)
    assert partition.bound is not None, "it was read"
    locks = alone(*partition.names)
    return Step(
        statements=(
            take(locks),
            still_attached(partition.relation, partition.oid, table.relation, partition.bound),
            same_tree(partition.relation, partition.whole.oids),
            *(f"ALTER TABLE {name} RENAME TO {quote(now.name)}" for now, name in names.names),
            add_mark(names.names[0][0], {RELEASED: names.as_json}),
        ),
        locks=locks,
        owner=names.owner,
    )


def give_back(names: Release) -> Step:
    """Return the step that gives the tables of a partition their names back."""
    locks = alone(*(now for now, _ in names.names))
    return Step(
        statements=(
            take(locks),
            remove_mark(names.names[0][0], RELEASED),
            *(
                f"ALTER TABLE {now} RENAME TO {quote(name.name)}"
                for now, name in names.names
                if now != name
            ),
        ),
        locks=locks,
        owner=names.owner,
    )
