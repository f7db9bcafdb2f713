"""Building a partition that is partitioned itself, with the same tree as a sibling of it.

All of it is built in one transaction and attached last, so nobody ever sees half a tree and a
run that is killed leaves nothing. What is below the new partition costs no lock on its parent.

Where the parent has identity columns, 17 and newer give them to a partition as it is attached,
and not to what is below it already; a tree whose tables differ in this can't be detached any
more. There the branches are attached after the partition, in the same transaction.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from maintenance.catalog.models import ColumnSetting, Shared, Table
from maintenance.catalog.trees import Branch, Tree
from maintenance.ddl.children import attach, attach_locks, build_like, index_identity
from maintenance.ddl.locking import allowed_time, take
from maintenance.engine.actions import Step
from maintenance.names import QualifiedName, quote


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A tree to be built.

    Attributes:
        model: the tree that it will be like.
        names: of the new tables, by the OID of those they are like.
    """

    model: Tree
    names: Mapping[int, QualifiedName]

    @property
    def root(self) -> QualifiedName:
        """The name of the new partition."""
        return self.names[self.model.root.oid]


def create_tree_and_attach(
    parent: Table, blueprint: Blueprint, lower: str, upper: str, *, role: str
) -> Step:
    """Return the one transaction that makes a partition with all that is below it.

    Args:
        parent: the partitioned table as observed.
        blueprint: what is to be made.
        lower: bound as SQL text, see `keys.KeyCodec.literal`.
        upper: likewise.
        role: who we are, to know whether owners must be set.
    """
    bound = f"FOR VALUES FROM ({lower}) TO ({upper})"
    locks = tuple(attach_locks(parent))
    branches = tuple(_attach_branches(blueprint))
    late = bool(blueprint.model.root.identity)
    blocking = [lock for lock in locks if lock.mode.blocks_writers]
    return Step(
        prepare=(*_build(parent, blueprint, role), *(() if late else branches)),
        statements=(
            # taken first, so that the wait for them does not count against the work
            *((take(blocking), allowed_time(len(blueprint.names))) if blocking else ()),
            *attach(parent, blueprint.root, bound),
            *(branches if late else ()),
            *_identities(parent, blueprint),
        ),
        locks=locks,
    )


def _build(parent: Table, blueprint: Blueprint, role: str) -> Iterator[str]:
    for branch in blueprint.model.branches:
        like, name = _like(parent, branch), blueprint.names[branch.oid]
        yield from build_like(like, name, role=role, partition_by=branch.partition_by)
        for publication in branch.publications:
            yield f"ALTER PUBLICATION {quote(publication)} ADD TABLE ONLY {name}"


def _like(parent: Table, branch: Branch) -> Table:
    """Return the parent with what a table of the tree has of its own."""
    settings = tuple(ColumnSetting(*setting) for setting in branch.settings)
    own = {(setting.column, setting.key) for setting in settings}
    targets = (t for t in parent.properties.targets if (t.column, t.key) not in own)
    properties = replace(
        parent.properties,
        tablespace=branch.tablespace,
        targets=tuple(targets),
        access_method=branch.access_method,
    )
    return replace(parent, properties=properties, shared=Shared(settings, branch.options))


def _attach_branches(blueprint: Blueprint) -> Iterator[str]:
    names = blueprint.names
    for branch in blueprint.model.below:
        assert branch.parent is not None, "it is below another"
        above, own = names[branch.parent], names[branch.oid]
        yield f"ALTER TABLE {above} ATTACH PARTITION {own} {branch.bound}"


def _identities(parent: Table, blueprint: Blueprint) -> Iterator[str]:
    for branch in blueprint.model.below:
        yield from index_identity(parent, blueprint.names[branch.oid])
