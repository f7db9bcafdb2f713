"""Restores an archive: into a separate table, or as a partition of its parent."""

from collections.abc import Collection, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

import psycopg

from maintenance.archives.attach import added_columns, attach_restored
from maintenance.archives.definition_check import foreign_code, require_definitions
from maintenance.archives.load import create_stage, load, load_staged, stage_of
from maintenance.archives.location import ArchivePlace
from maintenance.archives.manifest import Manifest
from maintenance.archives.models import TableId
from maintenance.archives.table_definition import create_standalone, describe
from maintenance.catalog.models import Properties, Table
from maintenance.ddl.children import (
    build_like,
    force_row_security,
    privileges_of,
    row_security_of,
)
from maintenance.ddl.marks import (
    HOLD_UNTIL,
    RESTORED,
    RESTORING,
    marked,
    read_mark,
    set_comment,
)
from maintenance.engine.actions import Lock, LockMode, Step
from maintenance.engine.lock_retry import LockRetry, Progress, silent
from maintenance.engine.parallel import Opener
from maintenance.errors import ArchiveError, MaintenanceError, UnreachableError
from maintenance.names import QualifiedName, parse_name, quote
from maintenance.server.owner_rights import OwnerRights, OwnerSession
from maintenance.server.session import Connection, fetch, rollback_quietly, to_error


@dataclass(frozen=True, slots=True)
class Restored:
    """The result of a restore.

    Attributes:
        attached: whether it is a partition again.
        added: columns of the parent that the archive lacks; they have their defaults.
    """

    relation: QualifiedName
    n_rows: int
    attached: bool
    added: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Restorer:
    """Restores archives on one database.

    Attributes:
        connection: an autocommit session of `server.session.connect`, not in a transaction.
        role: our role there.
        opened: opens another such session, for code that the tables' owners wrote.
        search_path: for such code.
    """

    connection: Connection
    lock_retry: LockRetry
    role: str
    opened: Opener
    search_path: str = ""
    progress: Progress = silent

    def attached(
        self, place: ArchivePlace, manifest: Manifest, parent: Table, hold_until: date
    ) -> Restored:
        """Restore an archive as a partition with its old name and bound, held until a day.

        An interrupted call leaves at most an unattached table, which the next call replaces.

        Raises:
            ArchiveError: the columns differ in more than nullable or defaulted new ones, the
                name is taken, or the archive is damaged.
            MaintenanceError: see `attach_restored`.
        """
        into = manifest.partition
        now = describe(self.connection, TableId(parent.oid, parent.relation))
        added = added_columns(manifest.columns, now.columns, parent.relation)
        # With row security enabled, its own owner might not be able to write to it.
        hidden = replace(parent.properties, row_security=False, force_row_security=False)
        with self._whole_or_gone(into), self._owner_of(parent.properties.owner) as owner:
            code = owner is not None and self._owner_code(parent.relation)
            maker = parent.properties.owner if code else self.role
            build = build_like(replace(parent, properties=hidden), into, role=maker)
            # An index is built as the owner of its table, which is the role that creates it.
            guarded = (
                [sql for each in build for sql in owner.guard(each)] if owner and code else build
            )
            self._fill(place, manifest, into, guarded, owner)
            self._run(f"ANALYZE {into}")
            mark = self._mark(into, {RESTORED: _now(), HOLD_UNTIL: hold_until.isoformat()})
            secured = (*row_security_of(into, parent), *force_row_security(parent, [into]))
            attach_restored(
                self.connection,
                self.lock_retry,
                parent,
                into,
                manifest.bound,
                (*secured, mark),
                self.progress,
                owner if code else None,
            )
        return Restored(into, manifest.n_rows, attached=True, added=added)

    def standalone(
        self,
        place: ArchivePlace,
        manifest: Manifest,
        into: QualifiedName,
        *,
        like: Properties | None = None,
    ) -> Restored:
        """Restore an archive as a separate table, with its keys, checks and indexes.

        An interrupted call leaves at most a table that the next call with this name replaces.

        Args:
            place: the location of the archive.
            manifest: of the archive.
            into: the new table.
            like: of the table it was a partition of, for owner and privileges. With None, the owner
                is that of its schema, or us if we are not a member.

        Raises:
            ArchiveError: the name is taken, the archive is damaged, its manifest contains SQL
                other than definitions, or code that it calls would run as our role.
            MaintenanceError: a statement failed, such as for a type that no longer exists.
        """
        owner = like.owner if like is not None else self._owner_of_schema(into)
        create, *finish = create_standalone(manifest, into)
        names = [column.name for column in manifest.columns]
        require_definitions((create, *finish), into, names)
        give = [f"ALTER TABLE {into} OWNER TO {quote(owner)}"] if owner != self.role else []
        computed = any(column.generated is not None for column in manifest.columns)
        with self._whole_or_gone(into), self._owner_of(owner) as rights:
            # Creating a generated column already evaluates constant parts of its expression.
            build = rights.guard(create) if rights is not None and computed else [create, *give]
            if rights is None:
                named = {name for each in (create, *finish) for name in foreign_code(each)}
                self._refuse_foreign(into, self._of_others(named))
            self._fill(place, manifest, into, build, rights, is_own=False)
            mark = self._mark(into, {RESTORED: _now(), "period": manifest.period})
            opened = _privileges_like(into, like, names)
            if rights is None:
                self._run(*finish, *opened)
            else:
                self._run_as_owner(rights, [*finish, *opened])
            self._run(mark, f"ANALYZE {into}")
        return Restored(into, manifest.n_rows, attached=False)

    def _owner_of_schema(self, into: QualifiedName) -> str:
        parameters = {"schema": into.schema}
        rows = fetch(self.connection, "archives", "find_owner", parameters)
        return rows[0].owner if rows and rows[0].is_ours else self.role

    @contextmanager
    def _owner_of(self, owner: str) -> Generator[OwnerSession | None]:
        """Open a session for code of a table's owner; None if our role is the owner."""
        if owner == self.role:
            yield None
            return
        with self.opened() as connection:
            yield OwnerSession(connection, OwnerRights(owner, self.search_path))

    def _refuse_foreign(self, into: QualifiedName, code: Iterable[str]) -> None:
        """Raise if a definition would evaluate functions of other roles as our role."""
        if listed := ", ".join(sorted(code)):
            raise ArchiveError(
                f"{into}: nothing is restored: its definition uses {listed}, which would run as"
                f" role {self.role}",
                hint="restore it (--as) into a schema whose owner is a role of which"
                f" {self.role} is a member",
            )

    def _of_others(self, named: Iterable[str]) -> list[str]:
        """Return the names that belong to code of roles other than superusers and ours."""
        names = [parse_name(each) for each in named]
        parameters = {
            "schemas": [name.schema for name in names],
            "names": [name.name for name in names],
        }
        rows = fetch(self.connection, "archives", "list_code_of_others", parameters)
        return [row.what for row in rows]

    def _owner_code(self, table: QualifiedName) -> list[str]:
        """Return the parts of a table that evaluate code that is not built in."""
        parameters = {"relation": str(table)}
        return [r.what for r in fetch(self.connection, "archives", "find_owner_code", parameters)]

    def _run_as_owner(self, owner: OwnerSession, statements: Sequence[str]) -> None:
        for statement in statements:
            try:
                owner.execute(statement, settings=("SET LOCAL statement_timeout = 0",))
            except psycopg.Error as exc:
                rollback_quietly(owner.connection)
                raise to_error(exc, statement) from exc

    @contextmanager
    def _whole_or_gone(self, into: QualifiedName) -> Generator[None]:
        """Remove everything if a restore fails; the next restore removes that of a killed one."""
        try:
            yield
        except UnreachableError:
            raise
        except MaintenanceError:
            with suppress(MaintenanceError):  # the first error is reported
                self._clear(into)
            raise

    def _fill(
        self,
        place: ArchivePlace,
        manifest: Manifest,
        into: QualifiedName,
        build: Sequence[str],
        owner: OwnerSession | None,
        *,
        is_own: bool = True,
    ) -> None:
        """Create a table and load it.

        Args:
            place: the archive.
            manifest: of the archive.
            into: the table.
            build: the statements that create it.
            owner: a session as its owner; None if our role is the owner.
            is_own: whether the definition is ours and may call any function.
        """
        self._clear(into)
        mark = set_comment(into, marked(None, {RESTORING: str(place)}))
        session = owner.connection if owner is not None else self.connection
        self.lock_retry.run(session, Step(statements=(*build, mark)), self.progress)
        (made,) = self._find(into)
        table = TableId(made.oid, into)
        code = self._owner_code(into)
        if owner is None and not is_own:
            self._refuse_foreign(into, code)
        if owner is None or not code:
            load(self.connection, table, place, manifest, self.progress)
            return
        # COPY would evaluate the owner's code as our role: rows are loaded into a staging table.
        stage = stage_of(into)
        self._clear(stage)
        mark = set_comment(stage, marked(None, {RESTORING: str(place)}))
        reader = f"GRANT SELECT ON TABLE {stage} TO {quote(owner.rights.owner)}"
        self._run(create_stage(manifest, stage), reader, mark)
        load_staged(self.connection, table, stage, owner, place, manifest, self.progress)
        self._clear(stage)

    def _clear(self, into: QualifiedName) -> None:
        """Drop a table left by an interrupted restore; raise for any other table of the name."""
        for found in self._find(into):
            if found.attached or not found.is_ours or RESTORING not in read_mark(found.comment):
                raise ArchiveError(
                    f"{into}: can't restore to this name: it is in use by another relation",
                    hint="rename or drop that table, or restore under another name (--as)",
                    reason="name_taken",
                )
            alone = Lock(str(into), LockMode.ACCESS_EXCLUSIVE)
            # DROP TABLE would lock all tables referenced by its foreign keys at once.
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
        self.lock_retry.run(self.connection, step, self.progress)


def _privileges_like(
    into: QualifiedName, like: Properties | None, columns: Collection[str]
) -> list[str]:
    """Return the statements that grant what a table grants, of the columns that there are.

    Row security is not restored with a separate table: where it decides who sees a row, only the
    owner sees the table.
    """
    if like is None:
        return []
    grants = tuple(each for each in like.grants if each.column is None or each.column in columns)
    return list(privileges_of(into, replace(like, grants=() if like.row_security else grants)))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
