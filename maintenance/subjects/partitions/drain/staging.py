"""The stage: private tables like the future partitions, until the exchange.

Rows are first copied into tables without indexes, which is quick. Then each table gets the
parent's indexes, constraints and names by being attached to a private table like the parent: the
server itself builds what is missing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from maintenance.catalog.models import Partition, Table
from maintenance.ddl.children import build_like
from maintenance.ddl.trees import Blueprint, attach_branches, build_tree, rename_tree
from maintenance.names import QualifiedName, literal, quote
from maintenance.subjects.partitions.default_names import interim_name
from maintenance.subjects.partitions.drain.job import DrainTarget, Job, Objects, Shape
from maintenance.subjects.partitions.helper_checks import PREFIX
from maintenance.subjects.partitions.template import in_place, like_default

OWN_CHECK = f"{PREFIX}stage_own"
"""The CHECK of a leaf that is attached to its tree after the exchange."""


def build(job: Job) -> Iterator[str]:
    """Yield the statements that create the empty stage and the log."""
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
    """Yield the statements that create the private table with the parent's indexes."""
    parent = _staged(job.table)
    yield from build_like(
        parent, job.objects.root, role=job.role, partition_by=job.shape.partition_key
    )


def finish(job: Job, target: DrainTarget) -> Iterator[str]:
    """Yield the statements that build the indexes of a filled table or tree.

    It has its final name meanwhile, because the server names indexes after their table.
    """
    objects = job.objects
    yield f"ALTER TABLE {objects.plain} DETACH PARTITION {target.copy}"
    yield from rename_tree(target.staged, target.named)
    yield f"ALTER TABLE {objects.root} ATTACH PARTITION {target.named.root} {target.bound}"
    yield from rename_tree(target.named, target.staged)
    yield f"ANALYZE {target.copy}"


def check_names(target: DrainTarget) -> list[str]:
    """Return the names of the CHECKs that a target has until it is attached."""
    return [f"{PREFIX}stage_{place}" for place, _ in enumerate(target.checks)]


def _add_checks(target: DrainTarget) -> Iterator[str]:
    for name, condition in zip(check_names(target), target.checks, strict=True):
        yield f"ALTER TABLE {target.copy} ADD CONSTRAINT {name} CHECK ({condition})"
    if target.staged.joins_late:
        for leaf in target.staged.leaves:
            yield _add_own_check(leaf)


def _add_own_check(leaf: QualifiedName) -> str:
    """Return the statement that adds a leaf's partition constraint as a CHECK, to re-attach it.

    For a hash it contains the OID of the parent, so the server computes it.
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
    # Without copies that are kept its content is worthless after this run, so it needs no WAL.
    unlogged = "" if job.keys else "UNLOGGED "
    yield (
        f"CREATE {unlogged}TABLE {log} AS SELECT {keys}, false AS truncated"
        f" FROM {job.source} AS d WITH NO DATA"
    )
    yield f"ALTER TABLE {log} ADD COLUMN entry bigint GENERATED ALWAYS AS IDENTITY"
    if owner != job.role:
        yield f"ALTER TABLE {log} OWNER TO {quote(owner)}"
    for grantee in job.table.properties.default_grantees:
        yield f"REVOKE ALL ON TABLE {log} FROM {'PUBLIC' if grantee is None else quote(grantee)}"


def _staged(table: Table) -> Table:
    """Return a table without properties that would block our access to the copies."""
    return replace(table, properties=replace(table.properties, force_row_security=False))


LOCKED_WORK = 24
"""How many tables, indexes and foreign keys one exchange of a default partition may attach."""

Range = tuple[str, str]
"""The two bounds of a range, as SQL text."""


def first_round(blueprints: Mapping[str, Blueprint], shape: Shape) -> list[str]:
    """Choose as many periods as one short exchange can attach, the oldest first.

    Args:
        blueprints: of all remaining periods, by their key.
        shape: of the table.
    """
    work = max(work_of(blueprint, shape) for blueprint in blueprints.values())
    return sorted(blueprints)[: max(1, int(LOCKED_WORK / work))]


def period_target(
    column: str, objects: Objects, key: str, blueprint: Blueprint, ends: Range
) -> DrainTarget:
    """Return the target for a range of rows that leaves the drained partition."""
    return DrainTarget(
        staged=objects.tree(blueprint.model, objects.copy(key)),
        named=_within(objects.schema, blueprint),
        final=blueprint,
        bound=f"FOR VALUES FROM ({ends[0]}) TO ({ends[1]})",
        checks=(_inside(quote(column), *ends),),
    )


def rest_target(
    default: Partition, column: str, objects: Objects, stretches: Sequence[Range]
) -> DrainTarget:
    """Return the target for the next default partition, for rows outside some ranges."""
    key = quote(column)
    return DrainTarget(
        staged=objects.tree(default.whole, objects.rest),
        named=_within(objects.schema, like_default(default, interim_name(default.relation))),
        final=in_place(default),
        bound="DEFAULT",
        checks=tuple(" OR ".join(_outside(key, *ends)) for ends in stretches),
    )


def work_of(blueprint: Blueprint, shape: Shape) -> float:
    """Return the cost of attaching it, with the indexes of its tables that attach separately."""
    n_keys = len(shape.foreign_keys)
    whole = 1 + shape.n_indexes + n_keys
    each = whole if blueprint.joins_late else n_keys + 1 / 4
    return whole + each * len(blueprint.model.below)


def _within(schema: str, blueprint: Blueprint) -> Blueprint:
    names = {oid: QualifiedName(schema, name.name) for oid, name in blueprint.names.items()}
    return Blueprint(blueprint.model, names)


def _inside(key: str, lower: str, upper: str) -> str:
    begins = "" if lower == "MINVALUE" else f" AND {key} >= {lower}"
    ends = "" if upper == "MAXVALUE" else f" AND {key} < {upper}"
    return f"{key} IS NOT NULL{begins}{ends}"


def _outside(key: str, lower: str, upper: str) -> Iterator[str]:
    if lower != "MINVALUE":
        yield f"{key} < {lower}"
    if upper != "MAXVALUE":
        yield f"{key} >= {upper}"
