"""Restores an archived period: finds it by policy or url, verifies it, attaches it or not.

It needs only the archive and the database, not the store.
"""

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import psycopg

from maintenance.archives.filesystem import require_packages
from maintenance.archives.location import ArchivePlace
from maintenance.archives.manifest import Manifest
from maintenance.archives.read import list_archives, read_manifest
from maintenance.archives.restore import Restored, Restorer
from maintenance.catalog.models import Common, Snapshot, Table
from maintenance.catalog.observe import fetch_details, observe
from maintenance.engine.actions import ActionKind, identify_action
from maintenance.engine.executor import Outcome
from maintenance.engine.findings import FindingKind
from maintenance.engine.lock_retry import Progress, silent
from maintenance.engine.run_lock import exclusive_run
from maintenance.engine.target import Target
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
from maintenance.pipeline.gate import refuse_if_paused, refuse_if_reporting
from maintenance.policy import PartitionPolicy, Policy
from maintenance.policy.paths import archive_url_fault
from maintenance.server.event_triggers import refuse_foreign_event_triggers
from maintenance.server.session import fetch, to_error
from maintenance.store import Journal

DEFAULT_HOLD = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """The result of a restore, and its source."""

    database: str
    place: ArchivePlace
    manifest: Manifest
    restored: Restored
    hold_until: str | None

    def as_json(self) -> dict[str, Any]:
        """Return the report as the command line prints it."""
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
    on: Policy | Target,
    table: QualifiedName,
    period: str,
    *,
    into: QualifiedName | None = None,
    hold: timedelta = DEFAULT_HOLD,
    url: str | None = None,
    now: datetime | None = None,
    progress: Progress = silent,
) -> RestoreReport:
    """Restore one archived period, and verify every row of it.

    Args:
        on: the policy with the database and the location of its archives, or its target.
        table: the partitioned table that was archived.
        period: the key of the archive, such as `2024-01`.
        into: a separate table; by default it is attached to its parent, or restored under its old
            name if the parent is gone.
        hold: how long retention keeps it after it is attached.
        url: the location of the archives, instead of the policy's.
        now: the moment from which the hold counts, aware; the current time if None.
        progress: receives rows, bytes and share, and the locks that are waited for.

    Raises:
        UsageError: the policy has no archive of the table, and no url is given; or its store
            needs a package that is not installed.
        UnreachableError: the server can't be reached, or is a standby.
        HeldError: the database is paused.
        ArchiveError: there is no such archive, it is damaged, it does not fit the table, or a
            partition already covers its range.
        MaintenanceError: a statement failed, or a lock was not acquired.
    """
    if url is not None and (fault := archive_url_fault(url)):
        raise UsageError(f"--from: {fault}", hint="the url is not shown: it may contain a secret")
    target = Target.of(on)
    policy = target.policy
    refuse_if_reporting(policy, table, new_table=into is not None)
    place = _place(target, table, period, url)
    require_packages(str(table), place.url, "copy")
    manifest = _manifest(place)
    _refuse_altered(target, place, manifest)
    _refuse_paused(target)
    until = ((now or datetime.now(UTC)) + hold).date()
    with target.database("restore") as connection:
        snapshot = observe(connection, [table], time_cap=policy.observe.time_cap)
        snapshot = fetch_details(connection, snapshot, [Common(found) for found in snapshot.tables])
        if snapshot.server.in_recovery:
            raise UnreachableError(
                f"database {snapshot.server.database} is a standby; restore needs the primary",
                reason="standby",
            )
        if (error := snapshot.failed.get(table)) is not None:
            raise MaintenanceError(f"{table}: can't be read: {error}")
        parent = snapshot.tables.get(table)
        restorer = Restorer(
            connection,
            target.lock_retry,
            snapshot.server.role,
            partial(target.database, "restore"),
            policy.database.search_path,
            progress,
        )
        refuse_foreign_event_triggers(connection)
        with exclusive_run(connection, policy.locks.give_up_after, progress):
            if into is None:
                _refuse_elsewhere(table, parent, manifest)
            goal = into or manifest.partition
            if into is not None or parent is None:
                like = parent.properties if parent is not None else None
                with _journaled(target, place, goal, progress) as note:
                    restored = restorer.standalone(place, manifest, goal, like=like)
                    note(restored)
            else:
                _refuse_misread(policy, snapshot, table, now or datetime.now(UTC))
                _refuse_present(policy, parent, manifest)
                with _journaled(target, place, goal, progress) as note:
                    restored = restorer.attached(place, manifest, parent, until)
                    note(restored)
    held = until.isoformat() if restored.attached else None
    return RestoreReport(policy.database.name, place, manifest, restored, held)


@contextmanager
def _journaled(
    target: Target, place: ArchivePlace, goal: QualifiedName, progress: Progress
) -> Generator[Callable[[Restored], None]]:
    """Record a restore as a run of one action; without a store it is restored all the same."""

    def unrecorded(exc: psycopg.Error) -> None:
        progress(str(to_error(exc, f"{goal}: the journal will not tell of this restore")))

    with target.optional_store() as store:
        journal = Journal(store, place.database) if store is not None else None
        action = identify_action(ActionKind.RESTORE_PARTITION, str(goal), [str(place)])
        began = time.perf_counter()

        def conclude(outcome: Outcome, error: str | None, detail: Mapping[str, Any]) -> None:
            took_ms = (time.perf_counter() - began) * 1000
            ended = {"action_id": action, "outcome": outcome.value, "duration_ms": took_ms}
            if journal is not None:
                try:
                    journal.conclude({**ended, "attempts": 1, "error": error, "detail": detail})
                    journal.flush()
                    journal.end("failed" if error else "done", [], error)
                except psycopg.Error as exc:
                    unrecorded(exc)

        if journal is not None:
            try:
                journal.begin("restore", target.policy.hash)
                journal.intend([_intent(action, place, goal)])
            except psycopg.Error as exc:  # such as: a role that may only read the store
                unrecorded(exc)
                journal = None

        def note(restored: Restored) -> None:
            detail = {"rows": restored.n_rows, "from": str(place), "attached": restored.attached}
            conclude(Outcome.DONE, None, detail)

        try:
            yield note
        except MaintenanceError as exc:
            conclude(Outcome.FAILED, str(exc), {"from": str(place)})
            raise


def _intent(action: str, place: ArchivePlace, goal: QualifiedName) -> dict[str, Any]:
    return {
        "action_id": action,
        "place": 0,
        "kind": ActionKind.RESTORE_PARTITION.value,
        "object": str(goal),
        "table_name": str(place.table),
        "period": place.period,
        "sql": [],
        "reason": f"restored from {place}",
        "destructive": False,
        "relation_oid": None,
    }


def _place(target: Target, table: QualifiedName, period: str, url: str | None) -> ArchivePlace:
    policy = target.policy
    section = _section(policy, table)
    retention = section.retention if section is not None else None
    archive = retention.archive if retention is not None else None
    if url is None and archive is None:
        raise UsageError(
            f"{table}: policy {policy.database.name} has no archive of this table",
            hint="pass the location of its archives: --from URL",
        )
    key = target.sealing_key(archive) if archive is not None else None
    return ArchivePlace(
        url or (archive.url if archive else ""), policy.database.name, table, period, key
    )


def _refuse_altered(target: Target, place: ArchivePlace, manifest: Manifest) -> None:
    """Raise if the journal has other seals of the period; skipped if the store is unreachable."""
    with target.optional_store() as store:
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
            f"archive {place}: not restored: its manifest was not written by this software: the"
            " journal has another seal of this period",
            hint="check who wrote to the archive; an earlier backup of it may be intact",
            reason="not_in_journal",
        )


def _refuse_paused(target: Target) -> None:
    """Raise if the database is paused; skipped if the store is unreachable, as it isn't needed."""
    with target.optional_store() as store:
        if store is not None:
            refuse_if_paused(target.policy, store)


def _section(policy: Policy, table: QualifiedName) -> PartitionPolicy | None:
    return next((section for section in policy.partitions if section.table == table), None)


def _manifest(place: ArchivePlace) -> Manifest:
    manifest = read_manifest(place)
    if manifest is None:
        found = list_archives(place.url, place.database, place.table, place.key)
        known = [period for period, _ in found]
        listed = ", ".join(known) or "none"
        raise ArchiveError(
            f"archive {place}: not found", hint=f"archived periods of this table: {listed}"
        )
    return manifest


def _refuse_elsewhere(table: QualifiedName, parent: Table | None, manifest: Manifest) -> None:
    """Raise if a manifest names a table in a schema without partitions of the parent."""
    schemas = {table.schema} | {p.relation.schema for p in (parent.partitions if parent else ())}
    if manifest.partition.schema not in schemas:
        raise ArchiveError(
            f"{manifest.partition}: not restored: the manifest has this name for the archived"
            f" table, but no partition of {table} is in that schema",
            hint="pass the name under which to restore it: --as",
        )


def _refuse_misread(
    policy: Policy, snapshot: Snapshot, table: QualifiedName, now: datetime
) -> None:
    """Raise if the bounds of the table don't match the policy."""
    section = _section(policy, table)
    found = validate(section, snapshot, now) if section is not None else None
    if found is not None and found.kind is FindingKind.PARTITION_KEY_MISMATCH:
        raise ArchiveError(
            found.message, hint="correct the policy, or restore it as a separate table (--as)"
        )


def _range(manifest: Manifest, codec: KeyCodec) -> tuple[datetime, datetime]:
    try:
        return read_bound(manifest.bound, codec)
    except ValueError:  # of a table that has changed since
        lower, upper = manifest.lower or PAST, manifest.upper or FUTURE
        return codec.position(lower), codec.position(upper)


def _refuse_present(policy: Policy, parent: Table, manifest: Manifest) -> None:
    """Raise early if a partition covers part of the range, since ATTACH would fail."""
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
            f"{parent.relation}: {present[0]} already covers {manifest.period} or a part of it",
            hint="restore it as a separate table (--as), and compare",
            reason="period_present",
        )
