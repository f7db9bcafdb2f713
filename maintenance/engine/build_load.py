"""What the WAL and the work of an index build would be added to, and whether that is too much.

Pure but for `read_load`. A build writes about as much WAL as the index is large. Replication slots
retain it until the disk is full, and replicas replay it before later changes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from maintenance.errors import BuildPostponedError
from maintenance.formatting import readable_size
from maintenance.names import literal
from maintenance.policy.thresholds import IndexPreflight
from maintenance.server.session import Connection, fetch

SMALL_BUILD = 16 * 2**20
"""Bytes; a smaller index is built in moments, and its WAL fits into one segment."""

MEASURED_S = 1.0
"""Fewest seconds over which the rate of WAL is measured."""

_LIMITS_OF_LOAD = {
    "max_slot_wal",
    "max_slot_age",
    "max_replica_lag",
    "max_active_sessions",
    "max_wal_rate",
}


class Build(NamedTuple):
    """What is built, for messages.

    Attributes:
        name: of the index.
        verb: what is not done to it, such as `built`.
    """

    name: str
    verb: str = "built"


class ServerLoad(NamedTuple):
    """The load of the server; what our role may not see is counted.

    Attributes:
        at_s: when it was read, in seconds since 1970 by the server's clock.
        wal_bytes: the position in the WAL.
        n_active: active sessions of clients, without ours.
        n_hidden: sessions of which nothing is shown, on the server.
        n_hidden_here: those in this database.
        n_hidden_builds: builds of indexes in this database of which nothing is shown.
        replica: the one that is furthest behind; None without replicas.
        replica_lag_bytes: how far it is behind.
        n_hidden_replicas: replicas of which nothing is shown.
        role: ours, quoted.
    """

    at_s: float
    wal_bytes: int
    n_active: int
    n_hidden: int
    n_hidden_here: int
    n_hidden_builds: int
    replica: str | None
    replica_lag_bytes: int | None
    n_hidden_replicas: int
    role: str


class Slot(NamedTuple):
    """A replication slot that keeps WAL or rows.

    Attributes:
        kind: physical or logical.
        database: of a logical one.
        retained_bytes: WAL that it keeps; None if it keeps none.
        left_bytes: WAL until it loses what its consumer needs; None if it keeps all.
        age: transactions since the oldest one whose rows it keeps; None if it keeps none.
    """

    name: str
    kind: str
    database: str | None
    is_active: bool
    retained_bytes: int | None
    left_bytes: int | None
    age: int | None


@dataclass(slots=True)
class WalRate:
    """Measures the WAL that the server writes in a second.

    Attributes:
        bytes_per_s: of the last measurement; None before the first.
    """

    bytes_per_s: float | None = None
    _began: ServerLoad | None = None

    def note(self, load: ServerLoad) -> None:
        """Count a further look."""
        began = self._began
        if began is None:
            self._began = load
        elif load.at_s - began.at_s >= MEASURED_S:
            self.bytes_per_s = (load.wal_bytes - began.wal_bytes) / (load.at_s - began.at_s)
            self._began = load


def read_load(connection: Connection) -> tuple[ServerLoad, tuple[Slot, ...]]:
    """Read the load of the server, and its replication slots.

    Raises:
        psycopg.Error: from the server.
    """
    (row,) = fetch(connection, "server", "read_load")
    slots = tuple(Slot(*each) for each in fetch(connection, "server", "list_slots"))
    return ServerLoad(*row), slots


def load_obstacles(
    build: Build,
    size_bytes: int,
    limits: IndexPreflight,
    load: ServerLoad,
    slots: Sequence[Slot],
    rate: WalRate,
) -> Iterator[BuildPostponedError]:
    """Yield what speaks against a build now, as errors that name what is behind it.

    Args:
        build: what is built.
        size_bytes: the most that the index may need, and so about the WAL of its build.
        limits: of the policy.
        load: of the server.
        slots: its replication slots.
        rate: of the WAL, measured.
    """
    if size_bytes < SMALL_BUILD:
        return
    for slot in slots:
        yield from _slot(build, size_bytes, limits, slot)
    yield from _replica(build, size_bytes, limits, load)
    yield from _sessions(build, limits, load)
    yield from _rate(build, limits, rate)


def unread_load(
    build: Build, size_bytes: int, limits: IndexPreflight
) -> Iterator[BuildPostponedError]:
    """Yield that nothing is known of the load, if the policy limits it."""
    written = limits.model_fields_set & _LIMITS_OF_LOAD
    is_limited = any(getattr(limits, name) < inf for name in written)
    if size_bytes >= SMALL_BUILD and is_limited:
        yield BuildPostponedError(
            f"{_head(build)}: the server does not tell its load, and indexes.preflight limits it",
            hint="check the message above, or remove those limits from the policy",
            reason="load_unknown",
            facts={"not_seen": "load"},
        )


def without_limits(limits: IndexPreflight) -> IndexPreflight:
    """Return the conditions of the policy without those on the load of the server."""
    return limits.model_copy(update=dict.fromkeys(_LIMITS_OF_LOAD, inf))


def retaining(slots: Sequence[Slot]) -> Slot | None:
    """Return a slot that keeps all WAL from now on, because nobody uses it; None if none does."""
    keeps = (s for s in slots if not s.is_active and s.retained_bytes is not None)
    return next((slot for slot in keeps if slot.left_bytes is None), None)


def what_is_not_seen(load: ServerLoad) -> str:
    """Return what our role may not see of the server, and the right that shows it, in words."""
    return (
        f"not waited for, since not shown to role {load.role}: {', '.join(not_seen(load))} of other"
        f" roles; run GRANT pg_monitor TO {load.role}"
    )


def not_seen(load: ServerLoad) -> Iterator[str]:
    """Yield what our role may not see of the server, as codes."""
    if load.n_hidden_here:
        yield "transactions"
    if load.n_hidden:
        yield "sessions"
    if load.n_hidden_replicas:
        yield "replicas"
    if load.n_hidden_builds:
        yield "builds"


def _slot(
    build: Build, size_bytes: int, limits: IndexPreflight, slot: Slot
) -> Iterator[BuildPostponedError]:
    use = "in use" if slot.is_active else "not in use"
    named = f"{_head(build)}: replication slot {slot.name} ({slot.kind}, {use})"
    hint = (
        "restart its consumer, or drop the slot if it is not needed any more: SELECT"
        f" pg_drop_replication_slot({literal(slot.name)}); retried on the next run"
    )
    facts = {"slot": slot.name, **slot._asdict(), "size_bytes": size_bytes}
    del facts["name"]
    kept = slot.retained_bytes
    if kept is not None and kept > limits.max_slot_wal:
        yield BuildPostponedError(
            f"{named} retains {readable_size(kept)} of WAL, wanted at most"
            f" {_size(limits.max_slot_wal)}; the build writes up to {readable_size(size_bytes)}"
            " more, which stays on disk until the consumer has read it",
            hint=hint,
            reason="slot_retains_wal",
            facts={**facts, "limit": limits.max_slot_wal},
        )
    if not slot.is_active and slot.left_bytes is not None and slot.left_bytes < size_bytes:
        yield BuildPostponedError(
            f"{named} loses WAL that its consumer needs once {readable_size(slot.left_bytes)} more"
            f" are written (max_slot_wal_keep_size), and the build writes up to"
            f" {readable_size(size_bytes)}",
            hint=hint,
            reason="slot_would_lose_wal",
            facts=facts,
        )
    if slot.age is not None and slot.age > limits.max_slot_age:
        yield BuildPostponedError(
            f"{named} holds back VACUUM since {slot.age:,} transactions, wanted at most"
            f" {limits.max_slot_age:,.0f}; the build would hold it back further, and index dead"
            " rows that VACUUM can't remove",
            hint=hint,
            reason="slot_holds_rows",
            facts={**facts, "limit": limits.max_slot_age},
        )


def _replica(
    build: Build, size_bytes: int, limits: IndexPreflight, load: ServerLoad
) -> Iterator[BuildPostponedError]:
    lag, limit = load.replica_lag_bytes, limits.max_replica_lag
    if lag is not None and lag > limit:
        yield BuildPostponedError(
            f"{_head(build)}: the replica {load.replica} is {readable_size(lag)} behind, wanted at"
            f" most {_size(limit)}; it would replay up to {readable_size(size_bytes)} of the build"
            " before later changes",
            hint="check which of its queries delays replay, and whether it still receives WAL, or"
            " raise indexes.preflight.max_replica_lag; retried on the next run",
            reason="replica_lag",
            facts={"replica": load.replica, "lag_bytes": lag, "limit": limit},
        )
    elif load.n_hidden_replicas and "max_replica_lag" in limits.model_fields_set and limit < inf:
        yield _unknown(
            build, load, f"how far {load.n_hidden_replicas} replicas are behind", "replicas"
        )


def _sessions(
    build: Build, limits: IndexPreflight, load: ServerLoad
) -> Iterator[BuildPostponedError]:
    limit = limits.max_active_sessions
    if load.n_active > limit:
        yield BuildPostponedError(
            f"{_head(build)}: {load.n_active} sessions are active, wanted at most {limit:.0f}; the"
            " build would take processor and disk from them",
            hint="build it at a quieter time, or raise indexes.preflight.max_active_sessions;"
            " retried on the next run",
            reason="active_sessions",
            facts={"active_sessions": load.n_active, "limit": limit},
        )
    elif load.n_active + load.n_hidden > limit:
        yield _unknown(build, load, f"how many of {load.n_hidden} sessions are active", "sessions")


def _rate(build: Build, limits: IndexPreflight, rate: WalRate) -> Iterator[BuildPostponedError]:
    written, limit = rate.bytes_per_s, limits.max_wal_rate
    if written is not None and written > limit:
        yield BuildPostponedError(
            f"{_head(build)}: the server writes {readable_size(int(written))} of WAL a second,"
            f" wanted at most {_size(limit)}; the build would add to it, and replicas and the"
            " archive fall behind",
            hint="build it at a quieter time, or raise indexes.preflight.max_wal_rate; retried on"
            " the next run",
            reason="wal_rate",
            facts={"bytes_per_s": round(written), "limit": limit},
        )


def _unknown(build: Build, load: ServerLoad, what: str, code: str) -> BuildPostponedError:
    return BuildPostponedError(
        f"{_head(build)}: {what} is not shown to role {load.role}, and indexes.preflight limits it",
        hint=f"run GRANT pg_monitor TO {load.role}, or remove that limit from the policy",
        reason="load_unknown",
        facts={"not_seen": code},
    )


def _head(build: Build) -> str:
    return f"{build.name}: not {build.verb}"


def _size(limit: float) -> str:
    return readable_size(int(limit))
