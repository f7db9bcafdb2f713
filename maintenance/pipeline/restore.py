"""Bringing an archived period back: found by policy or url, verified, attached or standalone.

It needs the archive and the database, and nothing of the store.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from maintenance.archives.filesystem import require_packages
from maintenance.archives.location import ArchivePlace
from maintenance.archives.manifest import Manifest
from maintenance.archives.read import list_archives, read_manifest
from maintenance.archives.restore import Restored, Restorer
from maintenance.catalog.models import Common, Snapshot, Table
from maintenance.catalog.observe import fetch_details, observe
from maintenance.engine.findings import FindingKind
from maintenance.engine.lock_retry import LockRetry, Progress, silent
from maintenance.engine.run_lock import exclusive_run
from maintenance.engine.sessions import database_session, optional_store_session
from maintenance.errors import (
    ArchiveError,
    DamagedArchiveError,
    MaintenanceError,
    UnreachableError,
    UsageError,
)
from maintenance.names import QualifiedName
from maintenance.partition_key import FUTURE, PAST, KeyCodec
from maintenance.partition_set.bounds import coverage_of, read_bound
from maintenance.partition_set.validate import validate
from maintenance.policy import PartitionPolicy, Policy
from maintenance.policy.paths import archive_url_fault
from maintenance.server.event_triggers import refuse_foreign_event_triggers
from maintenance.server.session import fetch

DEFAULT_HOLD = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What a restore brought back, and from where."""

    database: str
    place: ArchivePlace
    manifest: Manifest
    restored: Restored
    hold_until: str | None

    def as_json(self) -> dict[str, Any]:
        """The report as the command line prints it."""
        return {
            "database": self.database,
            "table": str(self.place.table),
            "period": self.place.period,
            "archive": str(self.place),
            "object": str(self.restored.relation),
            "rows": self.restored.n_rows,
            "sha256": self.manifest.content.sha256,
            "attached": self.restored.attached,
            "added_columns": list(self.restored.added),
            "hold_until": self.hold_until,
        }


def restore_period(
    policy: Policy,
    table: QualifiedName,
    period: str,
    *,
    into: QualifiedName | None = None,
    hold: timedelta = DEFAULT_HOLD,
    url: str | None = None,
    environ: Mapping[str, str] = os.environ,
    now: datetime | None = None,
    progress: Progress = silent,
) -> RestoreReport:
    """Restore one archived period, and verify every row of it.

    Args:
        policy: names the database and where its archives are.
        table: the partitioned table that was archived.
        period: the key under which the archive lies, such as `2024-01`.
        into: a table of its own; by default it goes back under its parent, or under its old name
            where the parent is gone.
        hold: how long retention leaves it alone once it is attached.
        url: where archives are, instead of what the policy says.
        environ: where `{env: …}` references of the policy are resolved.
        now: the moment from which the hold counts, aware; the clock's if None.
        progress: told rows, bytes and share, and what locks are waited for.

    Raises:
        UsageError: the policy names no archive of the table, and no url is given; or its store
            needs a package that is not installed.
        UnreachableError: the server can't be reached, or is a standby.
        ArchiveError: there is no such archive, it is damaged, it does not fit the table, or a
            partition holds its range already.
        MaintenanceError: the server refused, or a lock stayed busy.
    """
    if url is not None and (fault := archive_url_fault(url)):
        raise UsageError(f"--from: {fault}", hint="the url is not shown: it may hold a secret")
    place = _place(policy, table, period, url, environ)
    require_packages(str(table), place.url, "copy")
    manifest = _manifest(place)
    _refuse_altered(policy, place, manifest, environ)
    until = ((now or datetime.now(UTC)) + hold).date()
    with database_session(policy, environ, "restore") as connection:
        snapshot = observe(connection, [table], time_cap=policy.observe.time_cap)
        snapshot = fetch_details(connection, snapshot, [Common(found) for found in snapshot.tables])
        if snapshot.server.in_recovery:
            raise UnreachableError(
                f"database {snapshot.server.database} is a standby, wanted the primary",
                reason="standby",
            )
        if (error := snapshot.failed.get(table)) is not None:
            raise MaintenanceError(f"{table}: can't be looked at: {error}")
        parent = snapshot.tables.get(table)
        ladder = LockRetry.from_policy(policy.locks, policy.database.search_path)
        restorer = Restorer(
            connection,
            ladder,
            snapshot.server.role,
            partial(database_session, policy, environ, "restore"),
            policy.database.search_path,
            progress,
        )
        refuse_foreign_event_triggers(connection)
        with exclusive_run(connection, policy.locks.give_up_after, progress):
            if into is None:
                _refuse_elsewhere(table, parent, manifest)
            if into is not None or parent is None:
                owner = parent.properties.owner if parent is not None else None
                restored = restorer.standalone(
                    place, manifest, into or manifest.partition, owner=owner
                )
            else:
                _refuse_misread(policy, snapshot, table, now or datetime.now(UTC))
                _refuse_present(policy, parent, manifest)
                restored = restorer.attached(place, manifest, parent, until)
    held = until.isoformat() if restored.attached else None
    return RestoreReport(policy.database.name, place, manifest, restored, held)


def _place(
    policy: Policy,
    table: QualifiedName,
    period: str,
    url: str | None,
    environ: Mapping[str, str],
) -> ArchivePlace:
    section = _section(policy, table)
    retention = section.retention if section is not None else None
    archive = retention.archive if retention is not None else None
    if url is None and archive is None:
        raise UsageError(
            f"{table}: policy {policy.database.name} names no archive of this table",
            hint="say where its archives are: --from URL",
        )
    key = archive.sealing_key(environ) if archive is not None else None
    return ArchivePlace(
        url or (archive.url if archive else ""), policy.database.name, table, period, key
    )


def _refuse_altered(
    policy: Policy, place: ArchivePlace, manifest: Manifest, environ: Mapping[str, str]
) -> None:
    """Believe the journal more than an archive, where the store is within reach and knows it."""
    with optional_store_session(policy, environ) as store:
        if store is None:
            return
        parameters = {
            "database": place.database,
            "table": str(place.table),
            "period": place.period,
        }
        known = {row.seal for row in fetch(store, "archives", "list_seals", parameters)}
    if known and manifest.seal not in known:
        raise DamagedArchiveError(
            f"archive {place}: its manifest is not one that this software wrote: the journal has"
            " another seal of this period",
            hint="find out who wrote to the archive; a copy of the store from before may be whole",
            reason="not_in_journal",
        )


def _section(policy: Policy, table: QualifiedName) -> PartitionPolicy | None:
    return next((section for section in policy.partitions if section.table == table), None)


def _manifest(place: ArchivePlace) -> Manifest:
    manifest = read_manifest(place)
    if manifest is None:
        found = list_archives(place.url, place.database, place.table, place.key)
        known = [period for period, _ in found]
        listed = ", ".join(known) or "none"
        raise ArchiveError(
            f"archive {place}: there is none", hint=f"archived periods of this table: {listed}"
        )
    return manifest


def _refuse_elsewhere(table: QualifiedName, parent: Table | None, manifest: Manifest) -> None:
    """Believe no manifest that names a table in a schema where partitions never were."""
    schemas = {table.schema} | {p.relation.schema for p in (parent.partitions if parent else ())}
    if manifest.partition.schema not in schemas:
        raise ArchiveError(
            f"{manifest.partition}: this is the archived table's name by its manifest, and no"
            f" partition of {table} is in that schema",
            hint="say under which name to restore it: --as",
        )


def _refuse_misread(
    policy: Policy, snapshot: Snapshot, table: QualifiedName, now: datetime
) -> None:
    """Attach nothing to a table whose bounds are not what the policy says."""
    section = _section(policy, table)
    found = validate(section, snapshot, now) if section is not None else None
    if found is not None and found.kind is FindingKind.PARTITION_KEY_MISMATCH:
        raise ArchiveError(
            found.message, hint="correct the policy, or restore it as a table of its own (--as)"
        )


def _range(manifest: Manifest, codec: KeyCodec) -> tuple[datetime, datetime]:
    try:
        return read_bound(manifest.bound, codec)
    except ValueError:  # of a table that has changed since
        lower, upper = manifest.lower or PAST, manifest.upper or FUTURE
        return codec.position(lower), codec.position(upper)


def _refuse_present(policy: Policy, parent: Table, manifest: Manifest) -> None:
    """Look before the work whether a partition holds part of the range; ATTACH would refuse."""
    section = _section(policy, parent.relation)
    column = parent.column(section.column) if section is not None else None
    present = [p.relation for p in parent.partitions if p.bound == manifest.bound]
    if section is not None and column is not None:
        codec = KeyCodec(section.encoding, column.type, section.time_zone)
        lower, upper = _range(manifest, codec)
        spans = coverage_of(parent.partitions, codec).overlapping(lower, upper)
        present = [span.partition.relation for span in spans]
    if present:
        raise ArchiveError(
            f"{parent.relation}: {present[0]} holds {manifest.period} or a part of it already",
            hint="restore it as a table of its own (--as), and compare",
            reason="period_present",
        )
