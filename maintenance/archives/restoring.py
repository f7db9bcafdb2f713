"""Restoring an archive: into a table of its own, or back under its parent."""

from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from maintenance.archives.attaching import attach_restored
from maintenance.archives.description import create_standalone, describe
from maintenance.archives.differences import added_columns
from maintenance.archives.loading import load
from maintenance.archives.manifest import Manifest
from maintenance.archives.place import ArchivePlace
from maintenance.archives.tables import TableId
from maintenance.catalog.models import Table
from maintenance.ddl.children import build_like
from maintenance.ddl.marks import HOLD_UNTIL, RESTORING, marked, read_mark, set_comment
from maintenance.engine.actions import Lock, LockMode, Step
from maintenance.engine.ladder import Ladder, Progress, silent
from maintenance.errors import ArchiveError, MaintenanceError, UnreachableError
from maintenance.names import QualifiedName, quote
from maintenance.server.session import Connection, fetch

RESTORED = "restored"
"""Mark of a restored table: the moment."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore made.

    Attributes:
        attached: whether it is a partition again.
        added: columns of the parent that the archive does not know; they hold their defaults.
    """

    relation: QualifiedName
    n_rows: int
    attached: bool
    added: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Restorer:
    """Restores archives on one database.

    Attributes:
        connection: an autocommit session of `server.session.connect`, in no transaction.
        role: who we are there.
    """

    connection: Connection
    ladder: Ladder
    role: str
    progress: Progress = silent

    def attached(
        self, place: ArchivePlace, manifest: Manifest, parent: Table, hold_until: date
    ) -> Restored:
        """Bring an archive back under its parent, by its old name and bound, held until a day.

        An interrupted call leaves at most an unattached table, which the next one replaces.

        Raises:
            ArchiveError: the columns differ in more than nullable or defaulted new ones, the
                name is taken, or the archive is damaged.
            MaintenanceError: see `attach_restored`.
        """
        into = manifest.partition
        now = describe(self.connection, TableId(parent.oid, parent.relation))
        added = added_columns(manifest.columns, now.columns, parent.relation)
        build = build_like(parent, into, role=self.role)
        with self._whole_or_gone(into):
            self._fill(place, manifest, into, build)
            self._run(f"ANALYZE {into}")
            mark = self._mark(into, {RESTORED: _now(), HOLD_UNTIL: hold_until.isoformat()})
            attach_restored(
                self.connection, self.ladder, parent, into, manifest.bound, mark, self.progress
            )
        return Restored(into, manifest.n_rows, attached=True, added=added)

    def standalone(self, place: ArchivePlace, manifest: Manifest, into: QualifiedName) -> Restored:
        """Bring an archive back as a table of its own, with its keys, checks and indexes.

        An interrupted call leaves at most a table that the next one of this name replaces.

        Raises:
            ArchiveError: the name is taken, or the archive is damaged.
            MaintenanceError: the server refused, such as a type that no longer exists.
        """
        create, *finish = create_standalone(manifest, into)
        with self._whole_or_gone(into):
            self._fill(place, manifest, into, (create,))
            mark = self._mark(into, {RESTORED: _now(), "period": manifest.period})
            self._run(*finish, mark, f"ANALYZE {into}")
        return Restored(into, manifest.n_rows, attached=False)

    @contextmanager
    def _whole_or_gone(self, into: QualifiedName) -> Generator[None]:
        """Leave nothing of a restore that is refused; what was killed goes with the next."""
        try:
            yield
        except UnreachableError:
            raise
        except MaintenanceError:
            with suppress(MaintenanceError):  # the first error is the one to tell
                self._clear(into)
            raise

    def _fill(
        self,
        place: ArchivePlace,
        manifest: Manifest,
        into: QualifiedName,
        build: Sequence[str],
    ) -> None:
        self._clear(into)
        mark = set_comment(into, marked(None, {RESTORING: str(place)}))
        self._run(*build, mark)
        (made,) = self._find(into)
        load(self.connection, TableId(made.oid, into), place, manifest, self.progress)

    def _clear(self, into: QualifiedName) -> None:
        """Drop what an interrupted restore left under a name; refuse anything else."""
        for found in self._find(into):
            if found.attached or RESTORING not in read_mark(found.comment):
                raise ArchiveError(
                    f"{into}: the name is taken, wanted it free to restore to",
                    hint="rename or drop that table, or restore under another name (--as)",
                )
            alone = Lock(str(into), LockMode.ACCESS_EXCLUSIVE)
            # DROP TABLE would lock all tables that its foreign keys point to at once.
            for key in fetch(
                self.connection, "archives", "list_foreign_keys", {"relation": str(into)}
            ):
                drop = f"ALTER TABLE {into} DROP CONSTRAINT {quote(key.name)}"
                other = Lock(
                    str(QualifiedName(key.schema, key.referenced)), LockMode.ACCESS_EXCLUSIVE
                )
                self._run(drop, locks=(alone, other))
            self._run(f"DROP TABLE {into}", locks=(alone,))

    def _find(self, name: QualifiedName) -> list[Any]:
        return fetch(self.connection, "archives", "find_table", {"relation": str(name)})

    def _mark(self, table: QualifiedName, facts: dict[str, str]) -> str:
        return set_comment(table, marked(None, facts))

    def _run(self, *statements: str, locks: Sequence[Lock] = ()) -> None:
        step = Step(statements=statements, locks=tuple(locks))
        self.ladder.run(self.connection, step, self.progress)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
