"""Models made from the rows of `sql/workload/`, for the nightly observation and the watch."""

from collections.abc import Iterable, Sequence
from typing import Any

from maintenance.subjects.workload.models import (
    LockNode,
    LockTree,
    Replica,
    Running,
    Server,
    Session,
    Wraparound,
)


def as_server(rows: Sequence[Any]) -> Server:
    """Return the server of `read_server`'s only row."""
    (row,) = rows
    return Server(*row)


def as_sessions(rows: Iterable[Any]) -> tuple[Session, ...]:
    """Return the open transactions of `list_sessions`."""
    return tuple(Session(*row) for row in rows)


def as_lock_tree(rows: Sequence[Any]) -> LockTree:
    """Return the lock tree of `list_blocked`."""
    nodes = (LockNode(*row[:-1])._replace(blockers=tuple(row.blockers)) for row in rows)
    return LockTree(tuple(nodes), max((row.n_waiting or 0 for row in rows), default=0))


def as_running(rows: Iterable[Any]) -> tuple[Running, ...]:
    """Return the statements of `list_running`."""
    return tuple(Running(*row) for row in rows)


def as_wraparound(rows: Iterable[Any]) -> tuple[Wraparound, ...]:
    """Return the databases of `list_wraparound`."""
    return tuple(Wraparound(*row) for row in rows)


def as_replicas(rows: Iterable[Any]) -> tuple[Replica, ...]:
    """Return the standbys and slots of `list_replication`."""
    return tuple(Replica(*row) for row in rows)
