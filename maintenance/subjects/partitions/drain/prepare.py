"""Observes the table again, right before one of its partitions is drained."""

from collections.abc import Mapping, Sequence

from maintenance.catalog.models import Common, Partition, Snapshot, Table
from maintenance.catalog.observe import fetch_details, observe
from maintenance.ddl.trees import Blueprint
from maintenance.engine.action_context import ActionContext
from maintenance.errors import MaintenanceError
from maintenance.names import QualifiedName
from maintenance.partition_key import KeyCodec
from maintenance.partition_set.bounds import bound_literals, codec_of, coverage_of
from maintenance.partition_set.expected import PeriodRange
from maintenance.periods import period_at
from maintenance.policy import PartitionPolicy
from maintenance.server.session import fetch
from maintenance.subjects.partitions.drain.job import (
    CAPTURE,
    TRUNCATION,
    ForeignKey,
    Job,
    Objects,
    Shape,
    Storage,
)
from maintenance.subjects.partitions.drain.staging import (
    Range,
    first_round,
    period_target,
    rest_target,
)
from maintenance.subjects.partitions.drain.transactions import transact
from maintenance.subjects.partitions.template import Siblings, of_slot, siblings_of


def prepare(
    context: ActionContext,
    section: PartitionPolicy,
    schema: str,
    names: Mapping[str, str],
    ranges: Mapping[str, Sequence[str]],
) -> Job:
    """Observe a table and choose as many periods as one short exchange can attach.

    Args:
        context: with a session that is not in a transaction.
        section: the table's policy.
        schema: the schema of the partitions.
        names: the partitions to create, by their slot's key.
        ranges: the two bounds of each as SQL text.

    Raises:
        MaintenanceError: there is no default partition any more, or it can't be replaced.
    """
    table, role = _look(context, section)
    assert table.default is not None, "it was looked for"
    codec, shape = codec_of(section, table), shape_of(context, table)
    slots = {key: _slot(section, codec, key, ranges[key]) for key in names}
    wanted = {key: QualifiedName(schema, name) for key, name in names.items()}
    blueprints = _blueprints(section, table, codec, wanted, slots)
    chosen = {key: slots[key].literals(codec) for key in first_round(blueprints, shape)}
    objects = Objects(table.default.relation.schema, table.default.oid)
    job = Job(
        table=table,
        drained=table.default,
        role=role,
        search_path=context.policy.database.search_path,
        shape=shape,
        storage=storage_of(context, table.default),
        periods=tuple(
            period_target(section.column, objects, key, blueprints[key], ends)
            for key, ends in chosen.items()
        ),
        rest=rest_target(table.default, section.column, objects, _stretches(table, codec, chosen)),
    )
    try_identity(context, job)
    return job


def _look(context: ActionContext, section: PartitionPolicy) -> tuple[Table, str]:
    """Return the table with the details of its partitions, and our role."""
    snapshot = look_again(context, section)
    table = snapshot.tables.get(section.table)
    if table is None or table.default is None:
        raise MaintenanceError(
            f"{section.table}: it no longer has a default partition", reason="no_default_partition"
        )
    refuse_obstacles(context, table, table.default)
    snapshot = fetch_details(context.connection, snapshot, [Common(section.table)])
    return snapshot.tables[section.table], snapshot.server.role


def look_again(context: ActionContext, section: PartitionPolicy) -> Snapshot:
    """Observe a table right before one of its partitions is drained.

    Raises:
        MaintenanceError: it can't be read.
    """
    snapshot = observe(
        context.connection, [section.table], time_cap=context.policy.observe.time_cap
    )
    if (error := snapshot.failed.get(section.table)) is not None:
        raise MaintenanceError(f"{section.table}: can't be read: {error}", reason="unreadable")
    return snapshot


def _blueprints(
    section: PartitionPolicy,
    table: Table,
    codec: KeyCodec,
    names: Mapping[str, QualifiedName],
    slots: Mapping[str, PeriodRange],
) -> dict[str, Blueprint]:
    siblings = template_of(section, table, codec)
    return {
        key: of_slot(section, siblings, codec.calendar, name, slots[key])
        for key, name in names.items()
    }


def template_of(section: PartitionPolicy, table: Table, codec: KeyCodec) -> Siblings:
    """Return the template for new partitions.

    Raises:
        MaintenanceError: the partitions are trees, and none can serve as template.
    """
    siblings = siblings_of(coverage_of(table.partitions, codec).spans, section.column)
    if siblings.unbuildable is not None:
        raise MaintenanceError(f"{table.relation}: {siblings.unbuildable}", reason="unbuildable")
    return siblings


def storage_of(context: ActionContext, partition: Partition) -> tuple[Storage, ...]:
    """Read the state of a partition's tables that changes when they are rewritten."""
    oids = ", ".join(map(str, partition.whole.oids))
    look = f"SELECT oid, relfilenode, relnatts FROM pg_catalog.pg_class WHERE oid IN ({oids})"
    return tuple(Storage(*row) for row in context.connection.execute(look.encode()).fetchall())


def try_identity(context: ActionContext, job: Job) -> None:
    """Fail here, and not in writes of the application, if a type of a column has no hash."""
    expressions = ", ".join(job.identity("d"))
    transact(context, job.owner, [f"SELECT {expressions} FROM {job.source} AS d LIMIT 1"])


def shape_of(context: ActionContext, table: Table) -> Shape:
    """Read the parts of a table's definition that determine how rows are copied."""
    (row,) = fetch(context.connection, "partitions", "describe_table", {"relation": table.oid})
    return Shape(
        columns=tuple(row.columns),
        stored=tuple(row.stored),
        identity=tuple(row.identity or ()),
        partition_key=row.partition_key,
        n_indexes=row.n_indexes,
        foreign_keys=tuple(
            ForeignKey(name, definition, QualifiedName(schema, referenced))
            for name, definition, schema, referenced in row.foreign_keys or ()
        ),
    )


_OBSTACLES = {
    "view": "a view on the partition itself",
    "foreign_key": "a foreign key to the partition itself",
    "deferrable_constraint": "a deferrable constraint",
    "publication": "a publication that would publish the copies too",
}
"""Objects that a copy can't replace, by their kind in `list_obstacles`."""


def refuse_obstacles(
    context: ActionContext,
    table: Table,
    drained: Partition,
    further: Sequence[str] = (),
    *,
    captured: bool = False,
) -> None:
    """Refuse to drain a partition with objects that copies of it can't replace.

    Args:
        context: with a session that is not in a transaction.
        table: its parent.
        drained: the partition.
        further: obstacles that were found before.
        captured: whether its changes are captured already, by triggers of ours.

    Raises:
        MaintenanceError: there are such objects; all are named.
    """
    relation = {"relation": drained.oid}
    own = fetch(context.connection, "partitions", "list_own_properties", relation)
    parameters = {"parent": table.oid, "relations": list(drained.whole.oids)}
    others = fetch(context.connection, "partitions", "list_obstacles", parameters)
    ours = (CAPTURE, TRUNCATION) if captured else ()
    found = [f"its own {row.kind} {row.name}" for row in own if row.name not in ours]
    found += [f"{_OBSTACLES[row.kind]}, {row.name}" for row in others]
    found += further
    if found:
        raise MaintenanceError(
            f"{drained.relation}: can't be replaced by a copy because of {'; '.join(found)}",
            hint="remove these objects, or move the rows by hand",
            reason="obstacles",
        )


def _slot(section: PartitionPolicy, codec: KeyCodec, key: str, ends: Sequence[str]) -> PeriodRange:
    lower, upper = ends
    position = codec.moment(lower)
    period = period_at(position, section.interval, codec.calendar)
    is_bridge = key != period.key
    return PeriodRange(period, position, codec.moment(upper), (lower, upper), is_bridge)


def _stretches(table: Table, codec: KeyCodec, ranges: Mapping[str, Range]) -> list[Range]:
    """Join adjacent ranges of all partitions, including those to be created."""
    spans = [
        (span.lower, bound_literals(span.partition.bound or ""))
        for span in coverage_of(table.partitions, codec).spans
    ]
    spans += [(codec.moment(ends[0]), ends) for ends in ranges.values()]
    stretches: list[Range] = []
    for _, (lower, upper) in sorted(spans):
        if stretches and stretches[-1][1].strip("'") == lower.strip("'"):
            stretches[-1] = (stretches[-1][0], upper)
        else:
            stretches.append((lower, upper))
    return stretches
