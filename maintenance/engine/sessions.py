"""The sessions of one run: on the maintained database, and on the store."""

from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta

import psycopg

from maintenance.errors import UnreachableError
from maintenance.policy import Policy
from maintenance.policy.secrets import Url
from maintenance.server.session import Connection, Timeouts, connect, to_error
from maintenance.store import is_ready, require_own

STORE_CAP = timedelta(minutes=1)
"""Statement timeout on the store."""


@contextmanager
def database_session(
    policy: Policy, environ: Mapping[str, str], command: str
) -> Generator[Connection]:
    """Open a session on the maintained database, named after the command.

    Raises:
        UsageError: an environment variable is missing, or the url is invalid.
        UnreachableError: the server can't be reached or refuses the connection.
        MaintenanceError: a statement in the block failed.
    """
    url = policy.database.url
    timeouts = Timeouts(policy.locks.lock_timeout, policy.observe.time_cap)
    application = f"maintenance {command} {policy.database.name}"
    with _opened(url, environ, application, timeouts) as connection:
        yield connection


@contextmanager
def store_session(policy: Policy, environ: Mapping[str, str]) -> Generator[Connection]:
    """Open a session on the store; the journal survives the loss of the working session.

    Raises:
        UsageError, UnreachableError, MaintenanceError: as `database_session`.
        ForeignStoreError: the schema may belong to another role; nothing in it was touched.
    """
    url = policy.store.url or policy.database.url
    timeouts = Timeouts(policy.locks.patient_lock_timeout, STORE_CAP)
    application = f"maintenance store {policy.database.name}"
    with _opened(url, environ, application, timeouts) as connection:
        require_own(connection, policy.store.owner)
        yield connection


@contextmanager
def optional_store_session(
    policy: Policy, environ: Mapping[str, str]
) -> Generator[Connection | None]:
    """Open a session on the store to read the history; None if the store can't be reached.

    Raises:
        UsageError: an environment variable is missing, or the url is invalid.
        ForeignStoreError: as `store_session`.
    """
    with ExitStack() as stack:
        store: Connection | None = None
        with suppress(UnreachableError):
            store = stack.enter_context(store_session(policy, environ))
        yield store if store is not None and _is_readable(store) else None


def _is_readable(store: Connection) -> bool:
    """Whether the store exists and this role may read it."""
    with suppress(psycopg.errors.InsufficientPrivilege):
        return is_ready(store)
    return False


@contextmanager
def _opened(
    url: Url, environ: Mapping[str, str], application: str, timeouts: Timeouts
) -> Generator[Connection]:
    address = url.resolve(environ)
    connection = connect(address, application=application, timeouts=timeouts, setting=url.setting)
    try:
        yield connection
    except psycopg.Error as exc:
        raise to_error(exc, application) from exc
    finally:
        connection.close()
