"""The stage: tables like the partitions to come, private until they take their place.

Rows are first sorted into tables without indexes, which is quick. Then each table gets the
parent's indexes, constraints and names by being attached to a private table that is like the
parent: the server itself builds what is missing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from maintenance.catalog.models import Partition, Table
from maintenance.ddl.children import build_like
from maintenance.ddl.trees import Blueprint, attach_branches, build_tree, rename_tree
from maintenance.names import QualifiedName, literal, quote
from maintenance.subjects.partitions.default_names import interim_name
from maintenance.subjects.partitions.drain.job import Job, Objects, Shape, Target
from maintenance.subjects.partitions.helper_checks import PREFIX
from maintenance.subjects.partitions.template import in_place, like_default

OWN_CHECK = f"{PREFIX}stage_own"
"""The CHECK of a leaf that is attached to its tree once that has taken its place."""


def build(job: Job) -> Iterator[str]:
    """Yield the statements that make the empty stage and the log."""
    parent, objects = _staged(job.table), job.objects
    yield from build_like(
        parent, objects.plain, role=job.role, indexes=False, partition_by=job.shape.partition_key
    )
    for target in job.targets:
        yield from build_tree(parent, target.staged, job.role, indexes=False)
        yield from attach_branches(target.staged)
        for leaf in target.staged.leaves:
            # Autovacuum's lock would keep the exchange waiting while it holds others.
            yield f"ALTER TABLE {leaf} SET (autovacuum_enabled = false)"
        yield from _add_checks(target)
        yield f"ALTER TABLE {objects.plain} ATTACH PARTITION {target.copy} {target.bound}"
    yield from _log(job)


def build_root(job: Job) -> Iterator[str]:
    """Yield the statements that make the private table with the parent's indexes."""
    parent = _staged(job.table)
    yield from build_like(
        parent, job.objects.root, role=job.role, partition_by=job.shape.partition_key
    )


def finish(job: Job, target: Target) -> Iterator[str]:
    """Yield the statements that give a filled table, or tree, its indexes.

    It bears its final name meanwhile, for the server names indexes after their table.
    """
    objects = job.objects
    yield f"ALTER TABLE {objects.plain} DETACH PARTITION {target.copy}"
    yield from rename_tree(target.staged, target.named)
    yield f"ALTER TABLE {objects.root} ATTACH PARTITION {target.named.root} {target.bound}"
    yield from rename_tree(target.named, target.staged)
    yield f"ANALYZE {target.copy}"


def check_names(target: Target) -> list[str]:
    """Return the names of the CHECKs that a target has until it is attached."""
    return [f"{PREFIX}stage_{place}" for place, _ in enumerate(target.checks)]


def _add_checks(target: Target) -> Iterator[str]:
    for name, condition in zip(check_names(target), target.checks, strict=True):
        yield f"ALTER TABLE {target.copy} ADD CONSTRAINT {name} CHECK ({condition})"
    if target.staged.joins_late:
        for leaf in target.staged.leaves:
            yield _add_own_check(leaf)


def _add_own_check(leaf: QualifiedName) -> str:
    """Say of a leaf what its place in the tree says, so that it can be attached there again.

    With a hash that holds the OID of the table above, which only the server knows.
    """
    name = literal(str(leaf))
    body = f"""BEGIN EXECUTE (
  SELECT 'ALTER TABLE ' || {name} || ' ADD CONSTRAINT {OWN_CHECK} CHECK ('
         || coalesce(pg_catalog.pg_get_partition_constraintdef({name}::pg_catalog.regclass), 'true')
         || ')'); END"""
    return f"DO {literal(body)}"


def _log(job: Job) -> Iterator[str]:
    log, owner = job.objects.log, job.table.properties.owner
    keys = ", ".join(f"{key} AS k{place}" for place, key in enumerate(job.identity("d")))
    # Its content is worth nothing once we are gone, so it needs no WAL.
    yield (
        f"CREATE UNLOGGED TABLE {log} AS SELECT {keys}, false AS truncated"
        f" FROM {job.source} AS d WITH NO DATA"
    )
    yield f"ALTER TABLE {log} ADD COLUMN entry bigint GENERATED ALWAYS AS IDENTITY"
    if owner != job.role:
        yield f"ALTER TABLE {log} OWNER TO {quote(owner)}"
    for grantee in job.table.properties.default_grantees:
        yield f"REVOKE ALL ON TABLE {log} FROM {'PUBLIC' if grantee is None else quote(grantee)}"


def _staged(table: Table) -> Table:
    """Leave for the end what would keep us from reading and writing the copies."""
    return replace(table, properties=replace(table.properties, force_row_security=False))


LOCKED_WORK = 24
"""So much one exchange may attach, each table, index and foreign key counted: about 20 ms."""

Range = tuple[str, str]
"""The two ends of a stretch of time, as SQL text."""


def first_round(blueprints: Mapping[str, Blueprint], shape: Shape) -> list[str]:
    """Choose as many periods as one short exchange can attach, the oldest first.

    Args:
        blueprints: of all that wait, by their period's key.
        shape: of the table.
    """
    work = max(_work(blueprint, shape) for blueprint in blueprints.values())
    return sorted(blueprints)[: max(1, int(LOCKED_WORK / work))]


def period_target(
    column: str, objects: Objects, key: str, blueprint: Blueprint, ends: Range
) -> Target:
    """Return the partition of a period that leaves the default partition."""
    lower, upper = ends
    name = quote(column)
    return Target(
        staged=objects.tree(blueprint.model, objects.copy(key)),
        named=_within(objects.schema, blueprint),
        final=blueprint,
        bound=f"FOR VALUES FROM ({lower}) TO ({upper})",
        checks=(f"{name} IS NOT NULL AND {name} >= {lower} AND {name} < {upper}",),
    )


def rest_target(
    default: Partition, column: str, objects: Objects, stretches: Sequence[Range]
) -> Target:
    """Return the next default partition, for all that lies outside some stretches of time."""
    key = quote(column)
    return Target(
        staged=objects.tree(default.whole, objects.rest),
        named=_within(objects.schema, like_default(default, interim_name(default.relation))),
        final=in_place(default),
        bound="DEFAULT",
        checks=tuple(" OR ".join(_outside(key, *ends)) for ends in stretches),
    )


def _work(blueprint: Blueprint, shape: Shape) -> float:
    """Return what attaching it costs: what is below it brings its indexes, unless it joins late."""
    n_keys = len(shape.foreign_keys)
    whole = 1 + shape.n_indexes + n_keys
    each = whole if blueprint.joins_late else n_keys + 1 / 4
    return whole + each * len(blueprint.model.below)


def _within(schema: str, blueprint: Blueprint) -> Blueprint:
    names = {oid: QualifiedName(schema, name.name) for oid, name in blueprint.names.items()}
    return Blueprint(blueprint.model, names)


def _outside(key: str, lower: str, upper: str) -> Iterator[str]:
    if lower != "MINVALUE":
        yield f"{key} < {lower}"
    if upper != "MAXVALUE":
        yield f"{key} >= {upper}"
