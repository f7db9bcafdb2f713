"""Looking at the table again, right before its default partition is drained."""

from collections.abc import Iterator, Mapping, Sequence

from maintenance.catalog.models import Partition, Table
from maintenance.catalog.observe import observe
from maintenance.engine.workbench import Workbench
from maintenance.errors import MaintenanceError
from maintenance.keys import KeyCodec
from maintenance.names import QualifiedName, quote
from maintenance.partitioning.coverage import bound_literals, codec_of, coverage_of
from maintenance.partitions.default import interim_name
from maintenance.partitions.drain.job import ForeignKey, Job, Shape, Storage, Target
from maintenance.partitions.drain.objects import Objects
from maintenance.partitions.drain.transactions import transact
from maintenance.periods import parse_period
from maintenance.policy import PartitionPolicy
from maintenance.server.session import fetch

LOCKED_WORK = 24
"""So much one exchange may attach, each table, index and foreign key counted: about 20 ms."""

Range = tuple[str, str]
"""The two ends of a stretch of time, as SQL text."""


def prepare(bench: Workbench, section: PartitionPolicy, names: Mapping[str, str]) -> Job:
    """Look at a table and choose as many periods as one short exchange can attach.

    Args:
        bench: whose session is not in a transaction.
        section: the table's policy.
        names: the partitions to be made, by their period's key.

    Raises:
        MaintenanceError: there is no default partition any more, or something forbids it.
    """
    snapshot = observe(bench.connection, [section.table], time_cap=bench.policy.observe.time_cap)
    table = snapshot.tables.get(section.table)
    if table is None or table.default is None:
        raise MaintenanceError(f"{section.table}: its default partition is gone")
    _refuse_obstacles(bench, table, table.default)
    shape = _shape(bench, table)
    codec = codec_of(section, table)
    ranges = {key: _range(section, codec, key) for key in _first(names, shape)}
    objects = Objects(table.default.relation.schema, table.default.oid)
    periods = [
        _period(table, section.column, objects, key, names[key], ends)
        for key, ends in ranges.items()
    ]
    job = Job(
        table=table,
        default=table.default,
        role=snapshot.server.role,
        search_path=bench.policy.database.search_path,
        shape=shape,
        storage=_storage(bench, table.default),
        periods=tuple(periods),
        rest=_rest(table.default, section.column, objects, _stretches(table, codec, ranges)),
    )
    _try_identity(bench, job)
    return job


def _storage(bench: Workbench, default: Partition) -> Storage:
    look = f"SELECT relfilenode, relnatts FROM pg_catalog.pg_class WHERE oid = {default.oid}"
    ((_, (row,)),) = transact(bench, [look])
    return Storage(*row)


def _try_identity(bench: Workbench, job: Job) -> None:
    """Fail here, not in the application's writes, where some type of a column has no hash."""
    expressions = ", ".join(job.identity("d"))
    transact(bench, [f"SELECT {expressions} FROM ONLY {job.default.relation} AS d LIMIT 1"])


def _first(names: Mapping[str, str], shape: Shape) -> list[str]:
    n_periods = max(1, LOCKED_WORK // (1 + shape.n_indexes + len(shape.foreign_keys)))
    return sorted(names)[:n_periods]


def _shape(bench: Workbench, table: Table) -> Shape:
    (row,) = fetch(bench.connection, "partitions", "describe_table", {"relation": table.oid})
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


def _refuse_obstacles(bench: Workbench, table: Table, default: Partition) -> None:
    own = fetch(bench.connection, "partitions", "list_own_properties", {"relation": default.oid})
    parameters = {"parent": table.oid, "relation": default.oid}
    others = fetch(bench.connection, "partitions", "list_obstacles", parameters)
    found = [f"{row.kind} of its own, {row.name}" for row in own]
    found += [f"{row.kind}, {row.name}" for row in others]
    if found:
        raise MaintenanceError(
            f"{default.relation}: no copy can take its place, for there is {'; '.join(found)}",
            hint="remove what stands in the way, or move the rows by hand",
        )


def _range(section: PartitionPolicy, codec: KeyCodec, key: str) -> Range:
    lower, upper = parse_period(key, section.interval).bounds(section.time_zone)
    return codec.literal(lower), codec.literal(upper)


def _period(
    table: Table, column: str, objects: Objects, key: str, name: str, ends: Range
) -> Target:
    lower, upper = ends
    condition = "{key} IS NOT NULL AND {key} >= {lower} AND {key} < {upper}"
    return Target(
        copy=objects.copy(key),
        final=QualifiedName(table.relation.schema, name),
        bound=f"FOR VALUES FROM ({lower}) TO ({upper})",
        checks=(condition.format(key=quote(column), lower=lower, upper=upper),),
    )


def _rest(default: Partition, column: str, objects: Objects, stretches: Sequence[Range]) -> Target:
    key = quote(column)
    checks = tuple(" OR ".join(_outside(key, *ends)) for ends in stretches)
    return Target(objects.rest, interim_name(default.relation), "DEFAULT", checks)


def _outside(key: str, lower: str, upper: str) -> Iterator[str]:
    if lower != "MINVALUE":
        yield f"{key} < {lower}"
    if upper != "MAXVALUE":
        yield f"{key} >= {upper}"


def _stretches(table: Table, codec: KeyCodec, ranges: Mapping[str, Range]) -> list[Range]:
    """Join the ranges of all partitions, those to be made among them, where they touch."""
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
