"""Builds a partition that is partitioned itself, with the same tree as a sibling.

It is built in one transaction and attached last, so an incomplete tree is never visible, and a
killed run leaves nothing. Tables below the new partition need no lock on its parent.

If the parent has identity columns, 17 and newer add them to a partition when it is attached, but
not to the tables below it; a tree whose tables differ in this can't be detached any more. Then the
branches are attached after the partition, in the same transaction.
"""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace

from maintenance.catalog.models import ColumnSetting, Shared, Table
from maintenance.catalog.trees import DEFAULT_BOUND, Branch, Tree, single
from maintenance.ddl.children import (
    attach,
    attach_locks,
    build_like,
    force_row_security,
    index_identity,
)
from maintenance.ddl.lock_statements import allowed_time, take
from maintenance.ddl.objects import NOTHING_ADDED, Additions
from maintenance.engine.actions import Step
from maintenance.names import QualifiedName, quote
from maintenance.server.statements import Ours


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A tree to build.

    Attributes:
        model: the tree that serves as template.
        names: of the new tables, by the OID of the corresponding table of the model.
    """

    model: Tree
    names: Mapping[int, QualifiedName]

    @property
    def root(self) -> QualifiedName:
        """The name of the new partition."""
        return self.names[self.model.root.oid]

    @property
    def leaves(self) -> tuple[QualifiedName, ...]:
        """The names of the leaf tables."""
        return tuple(self.names[branch.oid] for branch in self.model.leaves)

    @property
    def is_single(self) -> bool:
        """Whether it is a plain table without partitions."""
        return self.model.root.partition_by is None

    @property
    def joins_late(self) -> bool:
        """Whether its tables must be attached to each other after the root is to its parent."""
        return bool(self.model.root.identity) and not self.is_single


def plain(name: QualifiedName) -> Blueprint:
    """Return the blueprint of a partition that is a single table, like its parent."""
    model = single(name)
    return Blueprint(model, {model.root.oid: name})


def create_tree_and_attach(
    parent: Table,
    blueprint: Blueprint,
    lower: str,
    upper: str,
    *,
    role: str,
    additions: Additions = NOTHING_ADDED,
) -> Step:
    """Return the transaction that creates a partition with its whole tree.

    Args:
        parent: the partitioned table as observed.
        blueprint: the tree to build.
        lower: bound as SQL text, see `partition_key.KeyCodec.literal`.
        upper: likewise.
        role: our role, to know whether owners must be set.
        additions: objects that its tables get in addition to the parent's.
    """
    bound = f"FOR VALUES FROM ({lower}) TO ({upper})"
    locks = tuple(attach_locks(parent, additions.referenced))
    branches = tuple(attach_branches(blueprint))
    late = blueprint.joins_late
    blocking = [lock for lock in locks if lock.mode.blocks_writers]
    return Step(
        prepare=(
            *build_tree(parent, blueprint, role),
            *publish(blueprint),
            *(() if late else (*branches, *additions.prepare)),
        ),
        statements=(
            # taken first, so that the wait for them does not count against the work
            *((take(blocking), allowed_time(len(blueprint.names))) if blocking else ()),
            *(() if late else additions.locked),
            *attach(parent, blueprint.root, bound),
            *((*branches, *additions.prepare, *additions.locked) if late else ()),
            *index_identities(parent, blueprint),
            *force_row_security(parent, blueprint.names.values()),
        ),
        locks=locks,
        owner=parent.maker,
    )


def build_tree(
    parent: Table, blueprint: Blueprint, role: str, *, indexes: bool = True
) -> Iterator[str]:
    """Yield the statements that create all tables of a tree, none attached to another.

    Args:
        parent: the partitioned table as observed.
        blueprint: the tree to build.
        role: our role, to know whether owners must be set.
        indexes: whether they get the parent's indexes and the constraints based on them.
    """
    for branch in blueprint.model.branches:
        like = parent if blueprint.is_single else _like(parent, branch)
        like = _without_policies(like, {policy for policy, _ in branch.policies})
        name, key = blueprint.names[branch.oid], branch.partition_by
        yield from build_like(like, name, role=role, indexes=indexes, partition_by=key)
        for policy, clauses in branch.policies:
            yield f"CREATE POLICY {quote(policy)} ON {name} {clauses}"


def _without_policies(parent: Table, names: Container[str]) -> Table:
    """Return a table without the policies of the given names, which the template overrides."""
    own = tuple(
        each
        for each in parent.objects.get(parent.oid, ())
        if each.kind != "policy" or each.name not in names
    )
    return replace(parent, objects={**parent.objects, parent.oid: own})


def publish(blueprint: Blueprint) -> Iterator[str]:
    """Yield the statements that add its tables to the publications of the template's tables."""
    for branch in blueprint.model.branches:
        for publication in branch.publications:
            name = blueprint.names[branch.oid]
            # a publication has its own owner
            yield Ours(f"ALTER PUBLICATION {quote(publication)} ADD TABLE ONLY {name}")


def _like(parent: Table, branch: Branch) -> Table:
    """Return the parent with the properties that a table of the tree overrides."""
    settings = tuple(ColumnSetting(*setting) for setting in branch.settings)
    own = {(setting.column, setting.key) for setting in settings}
    targets = (t for t in parent.properties.targets if (t.column, t.key) not in own)
    properties = replace(
        parent.properties,
        tablespace=branch.tablespace,
        targets=tuple(targets),
        access_method=branch.access_method,
    )
    shared = Shared(settings, branch.options, comment=branch.comment)
    return replace(parent, properties=properties, shared=shared)


def rename_tree(blueprint: Blueprint, to: Blueprint) -> Iterator[str]:
    """Yield the statements that rename all tables of a tree to the names of another blueprint."""
    for branch in blueprint.model.branches:
        own, wanted = blueprint.names[branch.oid], to.names[branch.oid]
        yield f"ALTER TABLE {own} RENAME TO {quote(wanted.name)}"
        if own.schema != wanted.schema:
            renamed = QualifiedName(own.schema, wanted.name)
            yield f"ALTER TABLE {renamed} SET SCHEMA {quote(wanted.schema)}"


def attach_branches(blueprint: Blueprint) -> Iterator[str]:
    """Yield the statements that attach its tables to each other, from the top down.

    Default partitions come last: each later attachment would scan them.
    """
    _, *below = sorted(blueprint.model.paths().items(), key=_place)
    for _, branch in below:
        above, own = _joint(blueprint, branch)
        yield f"ALTER TABLE {above} ATTACH PARTITION {own} {branch.bound}"


def detach_branches(blueprint: Blueprint) -> Iterator[str]:
    """Yield the statements that detach its tables from each other, from the leaves up."""
    for branch in reversed(blueprint.model.below):
        above, own = _joint(blueprint, branch)
        yield f"ALTER TABLE {above} DETACH PARTITION {own}"


def _place(branch: tuple[tuple[str, ...], Branch]) -> tuple[int, bool]:
    path, own = branch
    return len(path), own.bound == DEFAULT_BOUND


def _joint(blueprint: Blueprint, branch: Branch) -> tuple[QualifiedName, QualifiedName]:
    assert branch.parent is not None, "it is below another"
    return blueprint.names[branch.parent], blueprint.names[branch.oid]


def index_identities(parent: Table, blueprint: Blueprint) -> Iterator[str]:
    """Yield the statements that set the replica identity of its tables, if it is by an index."""
    for branch in blueprint.model.below:
        yield from index_identity(parent, blueprint.names[branch.oid])
