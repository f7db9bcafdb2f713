"""Proposes tables to convert into partitioned ones, always as comments."""

from collections.abc import Iterator, Sequence

from maintenance.formatting import PAGE_BYTES, listed, readable_size
from maintenance.inspection.models import (
    Entry,
    GrowingTable,
    Inventory,
    Setting,
    Subject,
    TimeColumn,
)

SHOWN = 3

CONVERSION = "conversion"
"""The reason why such an entry is a comment."""

LEAST_INSERTED = 1000
"""How many counted inserts show how a table is written."""

MOST_CHANGED = 0.02
"""Which share of updates and deletes a table may have that rows are only inserted into."""

_USUAL = ("createdat", "insertedat", "loggedat", "occurredat", "recordedat", "eventtime")
_SHORT = ("timestamp", "at", "ts", "time", "date", "created")


def propose_conversions(inventory: Inventory) -> Iterator[Entry]:
    """Yield an entry for each large table by time into which rows are almost only inserted."""
    for table in inventory.growing:
        columns = sorted(table.columns, key=_rank)
        if columns and _is_append_only(table):
            yield _entry(table, columns)


def _is_append_only(table: GrowingTable) -> bool:
    enough = table.n_inserted >= LEAST_INSERTED
    return enough and table.n_changed <= MOST_CHANGED * table.n_inserted


def _rank(column: TimeColumn) -> tuple[bool, ...]:
    """Sort the column first that probably has the time of the insert."""
    name = column.name.replace("_", "").lower()
    return (
        not column.never_null,
        not column.is_set,
        name not in _USUAL,
        name not in _SHORT,
        not column.is_indexed,
    )


def _entry(table: GrowingTable, columns: Sequence[TimeColumn]) -> Entry:
    column = columns[0]
    size = readable_size(table.pages * PAGE_BYTES)
    return Entry(
        subject=Subject.PARTITIONS,
        relation=table.relation,
        summary=(
            f"{table.relation}: not partitioned, {size}; {table.n_inserted:,} rows inserted,"
            f" {table.n_changed:,} updated or deleted since the counters began"
        ),
        settings=(
            Setting("table", str(table.relation)),
            Setting("column", column.name, _evidence(column, columns[1:])),
            Setting("interval", "1 month"),
            Setting("convert", "online", "without copying rows; see docs/conversion.md"),
        ),
        obstacle=(
            "a table to convert. Check the column, then remove the # signs;"
            " maintenance plan shows every step, or what stands in the way"
        ),
        reason=CONVERSION,
    )


def _evidence(column: TimeColumn, others: Sequence[TimeColumn]) -> str:
    facts = [column.type]
    facts += ["never null"] if column.never_null else ["may be null"]
    facts += ["set to the time of the insert"] if column.is_set else []
    more = f"; others: {listed((other.name for other in others), SHOWN)}" if others else ""
    return f"{', '.join(facts)}{more}"
