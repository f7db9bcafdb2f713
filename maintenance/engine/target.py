"""The target of a command: one database, its store, and how both are reached."""

import os
from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

import psycopg

from maintenance.engine.lock_retry import LockRetry
from maintenance.errors import PrivilegeError, UnreachableError, UsageError
from maintenance.policy import Policy
from maintenance.policy.partitions import Archive
from maintenance.policy.prisma import check_schema
from maintenance.policy.secrets import Secret, Url
from maintenance.policy.urls import UrlError
from maintenance.server.session import (
    CONNECT_TIMEOUT_S,
    Connection,
    Timeouts,
    connect,
    to_error,
)
from maintenance.store import is_ready, require_own

STORE_CAP = timedelta(minutes=1)
"""How long one statement on the store may take."""

GLANCE_CAP = timedelta(seconds=5)
"""How long one statement of a glance may take."""
GLANCE_WITHIN_S = 3
"""Seconds in which the session of a glance must be opened."""


@dataclass(frozen=True, slots=True)
class Target:
    """The database of a policy.

    Attributes:
        environ: where `{env: …}` references of the policy are resolved.
        is_store: whether the maintained database is the store itself.
    """

    policy: Policy
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    is_store: bool = False

    @classmethod
    def of(cls, database: "Policy | Target") -> "Target":
        """Return the target of a policy, reached with the variables of this process."""
        return database if isinstance(database, Target) else cls(database)

    def resolve(self, reference: Secret) -> str:
        """Return a url or secret of the policy.

        Raises:
            UsageError: the environment variable is not set, or holds no such thing.
        """
        return reference.resolve(self.environ)

    def sealing_key(self, archive: Archive) -> str | None:
        """Return the secret that signs the manifests of an archive; None if there is none.

        Raises:
            UsageError: its environment variable is not set.
        """
        return self.resolve(archive.key) if archive.key is not None else None

    def store_target(self, policy: Policy) -> "Target":
        """Return the store as the database to maintain, by a policy for its own tables."""
        return replace(self, policy=policy, is_store=True)

    @property
    def lock_retry(self) -> LockRetry:
        """How statements of this database wait for locks."""
        return LockRetry.from_policy(self.policy.locks, self.policy.database.search_path)

    @property
    def timeouts(self) -> Timeouts:
        """Those of its sessions, for statements that set none."""
        locks = self.policy.locks
        if self.is_store:
            return Timeouts(locks.patient_lock_timeout, STORE_CAP)
        return Timeouts(locks.lock_timeout, self.policy.observe.time_cap)

    def database(self, command: str) -> AbstractContextManager[Connection]:
        """Open a session on the maintained database, named after the command that it serves.

        Raises:
            UsageError: an environment variable is missing, or the url is none.
            UnreachableError: the server can't be reached or refuses us.
            MaintenanceError: whatever a statement of the block failed with.
        """
        if self.is_store:
            return self.store()
        policy = self.policy
        application = f"maintenance {command} {policy.database.name}"
        self._check_schema()
        return self._opened(policy.database.url, application, self.timeouts)

    def glance(self, command: str) -> AbstractContextManager[Connection]:
        """Open a session for a look of milliseconds: one that can't be had soon is given up.

        Raises:
            UsageError, UnreachableError, MaintenanceError: as `database`.
        """
        policy = self.policy
        timeouts = Timeouts(policy.locks.lock_timeout, min(policy.observe.time_cap, GLANCE_CAP))
        application = f"maintenance {command} {policy.database.name}"
        self._check_schema()
        return self._opened(policy.database.url, application, timeouts, GLANCE_WITHIN_S)

    def _check_schema(self) -> None:
        """Refuse a url whose schema is not one of the policy's.

        Raises:
            UsageError: it is another one.
        """
        database = self.policy.database
        try:
            check_schema(self.resolve(database.url), database.search_path)
        except UrlError as fault:
            raise UsageError(
                f"{database.url.setting}: {fault}",
                hint="set database.search_path to the application's schemas, and name the policy's"
                " tables with their schema; or remove schema from the url",
                reason="other_schema",
            ) from None

    @contextmanager
    def store(self, proof: timedelta = timedelta()) -> Generator[Connection]:
        """Open a session on the store: what was journaled survives the working session.

        Args:
            proof: how old a proof that the store is ours may be; see `store.ownership`.

        Raises:
            UsageError, UnreachableError, MaintenanceError: as `database`.
            ForeignStoreError: the schema may be another role's; nothing in it was touched.
        """
        policy = self.policy
        url = policy.store.url or policy.database.url
        application = f"maintenance store {policy.database.name}"
        timeouts = replace(self, is_store=True).timeouts
        with self._opened(url, application, timeouts) as connection:
            require_own(connection, policy.store.owner, proof)
            yield connection

    @contextmanager
    def optional_store(self, proof: timedelta = timedelta()) -> Generator[Connection | None]:
        """Open a session on the store to read history; None where no store can be reached.

        Args:
            proof: as `store`.

        Raises:
            UsageError: an environment variable is missing, or the url is none.
            ForeignStoreError: as `store`.
        """
        with ExitStack() as stack:
            store: Connection | None = None
            with suppress(UnreachableError):
                store = stack.enter_context(self.store(proof))
            yield store if store is not None and _is_readable(store) else None

    @contextmanager
    def _opened(
        self, url: Url, application: str, timeouts: Timeouts, within_s: int = CONNECT_TIMEOUT_S
    ) -> Generator[Connection]:
        connection = connect(
            self.resolve(url),
            application=application,
            timeouts=timeouts,
            setting=url.setting,
            within_s=within_s,
        )
        try:
            yield connection
        except psycopg.Error as exc:
            raise to_error(exc, application) from exc
        finally:
            connection.close()


def _is_readable(store: Connection) -> bool:
    """Whether there is a store, and this role may read it."""
    with suppress(psycopg.errors.InsufficientPrivilege, PrivilegeError):
        return is_ready(store)
    return False
