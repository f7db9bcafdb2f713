"""What takes the rows of one round: the partitions of some periods, and one for the rest."""

from collections.abc import Iterator, Mapping, Sequence

from maintenance.catalog.models import Partition
from maintenance.ddl.trees import Blueprint
from maintenance.names import QualifiedName, quote
from maintenance.partitions.blueprints import in_place, like_default
from maintenance.partitions.default import interim_name
from maintenance.partitions.drain.job import Shape, Target
from maintenance.partitions.drain.objects import Objects

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
