"""How much of the server's limits and of the WAL of its slots is in use: pure."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from maintenance.subjects.capacity.models import CapacityObservation, Cliff, Level, Limits, Slot

MEMBERS = 2**32
"""Members of multixacts that exist at one time, up to 18."""
MEMBERS_PER_FILE = 32 * 1636
LEAST_MEMBERS = 2
"""Members of a multixact with few: each is made for two lockers or more."""
PEAK = timedelta(days=7)
"""The highest number of connections of so many days counts."""


def server_levels(
    database: str, seen: CapacityObservation, limits: Limits, now: datetime
) -> Iterator[Level]:
    """Yield the levels of multixact members, the lock table and connections."""
    """Yield the levels of multixact members, the lock table and connections."""
    if limits.members_end:
        yield _members(database, limits)
    if seen.widest is not None:
        tree = seen.widest
        facts = {
            "table": str(tree.table),
            "partitions": tree.n_partitions,
            "indexes": tree.n_indexes,
            "max_locks_per_transaction": limits.locks_each,
            "max_connections": limits.max_connections,
            "max_prepared_transactions": limits.max_prepared,
        }
        name = f"{database}/lock_table"
        yield Level(Cliff.LOCK_TABLE, name, tree.n_relations, float(limits.n_locks), facts)
    yield _connections(database, seen, limits, now)
    if limits.n_promised:
        facts = {"usable": limits.n_usable, "promised": limits.n_promised}
        name = f"{database}/connection_limits"
        yield Level(
            Cliff.CONNECTION_LIMITS, name, float(limits.n_promised), float(limits.n_usable), facts
        )


def _members(database: str, limits: Limits) -> Level:
    """Return the members of multixacts: by their files, else at least so many."""
    members = LEAST_MEMBERS * limits.oldest_multixact_age
    if limits.member_files is not None:
        members = max(members, (limits.member_files - 1) * MEMBERS_PER_FILE)
    facts = {"is_counted": limits.member_files is not None, "files": limits.member_files}
    name = f"{database}/multixact_members"
    return Level(Cliff.MULTIXACT_MEMBERS, name, float(members), float(MEMBERS), facts)


def _connections(database: str, seen: CapacityObservation, limits: Limits, now: datetime) -> Level:
    """Return the peak of connections of the last days, or what is in use now if that is more."""
    recent = [share for at, share in seen.pool_peaks if at >= now - PEAK]
    current = limits.n_connections / limits.n_usable
    peak = max([*recent, current])
    facts = {
        "usable": limits.n_usable,
        "now": limits.n_connections,
        "peak": round(peak * limits.n_usable),
        "max_connections": limits.max_connections,
        "reserved": limits.n_reserved,
    }
    used = peak * limits.n_usable
    return Level(Cliff.CONNECTIONS, f"{database}/connections", used, float(limits.n_usable), facts)


def slot_levels(database: str, slot: Slot, free_bytes: int | None) -> Iterator[Level]:
    """Yield the level of a slot: against its own limit, else the disk; nothing if none is known."""
    if slot.state == "lost":
        return
    if slot.keep_bytes is not None:
        ceiling, of_disk = slot.keep_bytes, False
    elif free_bytes is not None:
        ceiling, of_disk = slot.held_bytes + free_bytes, True
    else:
        return
    facts = {"active": slot.is_active, "state": slot.state, "of_disk": of_disk}
    name = f"{database}/slot/{slot.name}"
    yield Level(Cliff.SLOT_WAL, name, float(max(slot.held_bytes, 0)), float(max(ceiling, 1)), facts)
