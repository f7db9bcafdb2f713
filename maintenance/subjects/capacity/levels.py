"""How much of each limit is in use: pure."""

from datetime import datetime
from itertools import chain

from maintenance.subjects.capacity.key_levels import key_levels, reference_levels
from maintenance.subjects.capacity.models import CapacityObservation, Cliff, Level, Toast
from maintenance.subjects.capacity.sampled_levels import sampled_levels
from maintenance.subjects.capacity.server_levels import server_levels, slot_levels

OIDS = 2**32
"""Values that one TOAST table has identifiers for."""
CHUNKS_OF_LARGEST = 2**30 // 1996
"""Chunks of the largest value, 1 GB."""


def levels(database: str, seen: CapacityObservation, now: datetime) -> tuple[Level, ...]:
    """Return the levels that are known, in no order: of each object the limit that is nearest."""
    found = [*key_levels(seen), *reference_levels(seen), *sampled_levels(seen, now)]
    found += [_toast(each) for each in seen.toast]
    if seen.limits is not None:
        found += server_levels(database, seen, seen.limits, now)
    slots = (slot_levels(database, slot, seen.free_bytes) for slot in seen.slots)
    found += chain.from_iterable(slots)
    ordered = sorted(found, key=lambda level: level.share)
    return tuple({level.object: level for level in ordered}.values())


def rates(database: str, seen: CapacityObservation) -> tuple[Level, ...]:
    """Return counters without a limit of their own, which are recorded for their rate."""
    if seen.limits is None:
        return ()
    return (
        Level(Cliff.TRANSACTION_IDS, database, float(seen.limits.next_xid), 0.0),
        Level(Cliff.MULTIXACT_IDS, database, float(seen.limits.next_multixact), 0.0),
    )


def _toast(toast: Toast) -> Level:
    """Return the level of a TOAST table: it has no more values than chunks.

    Nor more than its table has rows and columns that can be moved there, if that number of rows
    can be right: so many values would have so many chunks at most.
    """
    n_values = toast.n_chunks
    at_most = toast.n_rows * toast.n_columns
    if toast.n_rows >= 0 and at_most * CHUNKS_OF_LARGEST >= toast.n_chunks:
        n_values = min(n_values, at_most)
    facts = {"toast_table_oid": toast.oid, "chunks": toast.n_chunks, "rows": toast.n_rows}
    return Level(Cliff.TOAST_VALUES, str(toast.table), n_values, float(OIDS), facts)
