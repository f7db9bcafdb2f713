"""Asking the replicas that a policy names. One that does not answer stops nobody."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import psycopg

from maintenance.errors import MaintenanceError, UnreachableError, UsageError
from maintenance.policy import Policy
from maintenance.policy.secrets import Url
from maintenance.server.session import Connection, Timeouts, connect, fetch, read_transaction

Told = TypeVar("Told")


@dataclass(frozen=True, slots=True)
class Answer(Generic[Told]):
    """What one replica told.

    Attributes:
        name: how the policy names it: its variable, or its number.
        told: None where it can't be asked.
        silence: why.
        reason: the code of that error, where it has one.
    """

    name: str
    told: Told | None = None
    silence: str = ""
    reason: str = ""


class _Identity(NamedTuple):
    """What a replica has in common with its primary, and with nothing else."""

    system_identifier: int
    database_oid: int


@dataclass(frozen=True, slots=True)
class _Call(Generic[Told]):
    """One question that goes to every replica."""

    policy: Policy
    environ: Mapping[str, str]
    purpose: str
    wanted: _Identity
    question: Callable[[Connection], Told]

    def put_to(self, url: Url) -> Told:
        policy = self.policy
        timeouts = Timeouts(policy.locks.lock_timeout, policy.observe.time_cap)
        application = f"maintenance {self.purpose} {policy.database.name}"
        address = url.resolve(self.environ)
        with closing(
            connect(address, application=application, timeouts=timeouts, setting=url.setting)
        ) as connection:
            try:
                if _identity(connection, policy) != self.wanted:
                    raise UnreachableError(
                        "it is no replica of this database: another system or database",
                        reason="another_database",
                    )
                return self.question(connection)
            except psycopg.Error as exc:
                raise UnreachableError(f"{type(exc).__name__} while asking it") from exc


def ask_replicas(
    primary: Connection,
    policy: Policy,
    environ: Mapping[str, str],
    purpose: str,
    question: Callable[[Connection], Told],
) -> Iterator[Answer[Told]]:
    """Ask every replica of the policy, in its order, in a session of its own.

    Args:
        primary: a session on it: another database's server is no replica.
        policy: names them.
        environ: where `{env: …}` references are resolved.
        purpose: what the sessions are named after.
        question: what to do in each session.

    Raises:
        UsageError: a replica's variable is not set, and the policy calls for it.
        MaintenanceError: the primary could not be asked who it is.
    """
    replicas = policy.database.replicas
    if replicas:
        call = _Call(policy, environ, purpose, _identity(primary, policy), question)
        for number, url in enumerate(replicas, 1):
            yield _answer(call, url, url.env or f"replica {number}")


def _answer(call: _Call[Told], url: Url, name: str) -> Answer[Told]:
    try:
        return Answer(name, call.put_to(url))
    except UsageError as exc:
        if not call.policy.database.optional_replicas:
            raise
        return Answer(name, silence=str(exc), reason=exc.reason)
    except MaintenanceError as exc:
        return Answer(name, silence=str(exc), reason=exc.reason)


def _identity(connection: Connection, policy: Policy) -> _Identity:
    with read_transaction(connection, policy.observe.time_cap, "asking a server who it is"):
        (row,) = fetch(connection, "server", "identify_cluster")
    return _Identity(*row)
