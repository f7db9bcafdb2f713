"""Whether a recent backup is confirmed, by what the policy names as its evidence.

The database does not record that it was backed up. So the evidence is a file that the backup tool
writes, and that WAL is archived; what is unknown counts as no backup.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from maintenance.errors import MaintenanceError
from maintenance.formatting import readable_span
from maintenance.policy.database import BackupPolicy
from maintenance.server.session import Connection, fetch, read_transaction

_CLOCK_SKEW = timedelta(minutes=1)


def missing_evidence(
    connection: Connection, backup: BackupPolicy, now: datetime, time_cap: timedelta
) -> str:
    """Return why no recent backup is confirmed; empty if one is.

    Args:
        connection: to the server that is backed up.
        backup: the evidence that the policy asks for.
        now: aware.
        time_cap: statement_timeout of the query.
    """
    reasons = [*_of_file(backup, now)]
    if backup.wal_archive:
        reasons += _of_archiver(connection, backup.max_age, time_cap)
    return "; ".join(reasons)


def _of_file(backup: BackupPolicy, now: datetime) -> Iterator[str]:
    if backup.file is None:
        return
    changed = _changed(backup.file)
    if isinstance(changed, str):
        yield f"{backup.file}: {changed}"
    elif changed > now + _CLOCK_SKEW:
        yield f"{backup.file} was written in the future ({changed:%Y-%m-%d %H:%M} UTC)"
    elif now - changed > backup.max_age:
        yield _too_old(f"{backup.file} was written", now - changed, backup.max_age)


def _changed(file: Path) -> datetime | str:
    """Return when a file was changed, or why that is unknown."""
    try:
        return datetime.fromtimestamp(file.stat().st_mtime, UTC)
    except (OSError, OverflowError, ValueError) as exc:
        return getattr(exc, "strerror", None) or type(exc).__name__


def _of_archiver(connection: Connection, most: timedelta, time_cap: timedelta) -> Iterator[str]:
    try:
        with read_transaction(connection, time_cap, "reading pg_stat_archiver"):
            (row,) = fetch(connection, "server", "read_archiver")
    except (MaintenanceError, psycopg.Error) as exc:
        yield f"pg_stat_archiver can't be read: {type(exc).__name__}"
        return
    if not row.is_on:
        yield "archive_mode is off"
    elif row.archived_s is None:
        yield "no WAL was archived since the counters were reset"
    elif row.is_failing:
        yield "the last attempt to archive WAL failed; see the server's log"
    elif (age := timedelta(seconds=row.archived_s)) > most:
        yield _too_old("the last WAL was archived", age, most)


def _too_old(what: str, age: timedelta, most: timedelta) -> str:
    return f"{what} {readable_span(age)} ago, wanted at most {readable_span(most)}"
