"""Reads which periods of a partition have rows, to divide it into one partition for each."""

from datetime import UTC, datetime

from maintenance.catalog.default_counts import bucket_query
from maintenance.catalog.models import Table
from maintenance.engine.action_context import ActionContext
from maintenance.names import quote
from maintenance.partition_key import PAST, Encoding, KeyCodec
from maintenance.partition_set.bounds import Span, codec_of
from maintenance.partition_set.expected import PeriodRange, slots
from maintenance.periods import period_at
from maintenance.policy import PartitionPolicy
from maintenance.server.statements import Asked
from maintenance.subjects.partitions.drain.transactions import transact
from maintenance.subjects.partitions.wide_partitions import Part, cells_of, parts_of

_OLDEST = datetime(1, 2, 1, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_parts(
    context: ActionContext, policy: PartitionPolicy, table: Table, span: Span, most: int
) -> tuple[Part, ...]:
    """Divide a partition by the periods that have rows; empty if it has none to be divided.

    Args:
        context: with a session that is not in a transaction.
        policy: the table's.
        table: its parent.
        span: the partition.
        most: how many parts one exchange can attach.
    """
    codec = codec_of(policy, table)
    first = None
    if span.lower == PAST:
        first = _first_slot(context, policy, table, codec, span)
        if first is None:
            return ()
    cells = cells_of(policy, codec, span, first)
    bounds = [cell.literals(codec)[0] for cell in cells]
    query = Asked(bucket_query(table, span.partition, bounds))
    (answer,) = transact(context, table.properties.owner, [query])
    places = [row["place"] for row in answer.rows if row["place"] is not None]
    is_cut = cells[0].lower > (first.lower if first is not None else span.lower)
    if not any(place > 0 or is_cut for place in places):
        return ()
    occupied = {place - 1 for place in places if place > 0}
    return parts_of(codec, span, cells, occupied, most)


def _first_slot(
    context: ActionContext, policy: PartitionPolicy, table: Table, codec: KeyCodec, span: Span
) -> PeriodRange | None:
    """Return the period of the first row that has one; older ones stay before all periods."""
    key, only = quote(policy.column), "ONLY " if span.partition.tree is None else ""
    oldest = codec.literal(_OLDEST if policy.encoding is Encoding.NATIVE else _EPOCH)
    query = Asked(
        f"SELECT t.{key}::pg_catalog.text AS first FROM {only}{span.partition.relation} AS t"
        f" WHERE t.{key} >= {oldest} ORDER BY t.{key} LIMIT 1"
    )
    (answer,) = transact(context, table.properties.owner, [query])
    if not answer.rows:
        return None
    position = codec.moment(f"'{answer.rows[0]['first']}'")
    period = period_at(position, policy.interval, codec.calendar)
    return slots(period, period, codec.calendar)[0]
