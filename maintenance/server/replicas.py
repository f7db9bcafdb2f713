"""Query the replicas of a policy; an unreachable one does not affect the others."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import psycopg

from maintenance.errors import (
    ANOTHER_DATABASE,
    NOT_A_STANDBY,
    MaintenanceError,
    UnreachableError,
    UsageError,
)
from maintenance.policy import Policy
from maintenance.policy.secrets import Url
from maintenance.server.session import Connection, Timeouts, connect, fetch, read_transaction

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Answer(Generic[Result]):
    """The result of one replica.

    Attributes:
        name: its environment variable in the policy, or its number.
        result: the result; None if it is not reachable.
        silence: why it is not reachable.
        reason: the code of that error, if it has one.
    """

    name: str
    result: Result | None = None
    silence: str = ""
    reason: str = ""


class _Identity(NamedTuple):
    """The identity that a replica shares only with its primary."""

    system_identifier: int
    database_oid: int


class _Place(NamedTuple):
    """What a server says of itself."""

    identity: _Identity
    in_recovery: bool


@dataclass(frozen=True, slots=True)
class _Call(Generic[Result]):
    """One query that is run on every replica."""

    policy: Policy
    resolve: Callable[[Url], str]
    purpose: str
    wanted: _Identity
    question: Callable[[Connection], Result]

    def put_to(self, url: Url) -> Result:
        policy = self.policy
        timeouts = Timeouts(policy.locks.lock_timeout, policy.observe.time_cap)
        application = f"maintenance {self.purpose} {policy.database.name}"
        address = self.resolve(url)
        with closing(
            connect(address, application=application, timeouts=timeouts, setting=url.setting)
        ) as connection:
            try:
                _refuse_elsewhere(_place(connection, policy), self.wanted)
                return self.question(connection)
            except psycopg.Error as exc:
                raise UnreachableError(f"query failed: {type(exc).__name__}") from exc


def ask_replicas(
    primary: Connection,
    policy: Policy,
    resolve: Callable[[Url], str],
    purpose: str,
    question: Callable[[Connection], Result],
) -> Iterator[Answer[Result]]:
    """Run a query on every replica of the policy, in order, each in its own session.

    Args:
        primary: a session on the primary, to verify the identity of the replicas.
        policy: has the replicas.
        resolve: returns the address of a url.
        purpose: part of the application_name of the sessions.
        question: called with each session.

    Raises:
        UsageError: the variable of a required replica is not set.
        MaintenanceError: the primary's identity could not be read.
    """
    replicas = policy.database.replicas
    if replicas:
        call = _Call(policy, resolve, purpose, _place(primary, policy).identity, question)
        for number, url in enumerate(replicas, 1):
            yield _answer(call, url, url.env or f"replica {number}")


def _answer(call: _Call[Result], url: Url, name: str) -> Answer[Result]:
    try:
        return Answer(name, call.put_to(url))
    except UsageError as exc:
        if not call.policy.database.optional_replicas:
            raise
        return Answer(name, silence=str(exc), reason=exc.reason)
    except MaintenanceError as exc:
        return Answer(name, silence=str(exc), reason=exc.reason)


def _refuse_elsewhere(place: _Place, wanted: _Identity) -> None:
    """Refuse a server that is no replica: its numbers would count as those of one.

    Raises:
        UnreachableError: it is another cluster, another database, or no standby.
    """
    if place.identity != wanted:
        raise UnreachableError(
            "not a replica of this database: its system identifier or database differs; set the"
            " url to a standby of this database, or remove it from database.replicas",
            reason=ANOTHER_DATABASE,
        )
    if not place.in_recovery:
        raise UnreachableError(
            "not a replica but the primary itself, or a standby that was promoted; set the url to"
            " a standby, or remove it from database.replicas",
            reason=NOT_A_STANDBY,
        )


def _place(connection: Connection, policy: Policy) -> _Place:
    with read_transaction(connection, policy.observe.time_cap, "reading the server's identity"):
        (row,) = fetch(connection, "server", "identify_cluster")
    return _Place(_Identity(row.system_identifier, row.database_oid), row.in_recovery)
