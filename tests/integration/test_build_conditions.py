"""Before and during the build of a declared index: disk, backup, window, and how far it is."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from maintenance.demo.postgres import PostgresServer
from maintenance.engine import build_monitor
from maintenance.engine.actions import HeldBy
from maintenance.engine.executor import Outcome, Result
from maintenance.errors import BuildPostponedError, MaintenanceError
from maintenance.pipeline import run as pipeline
from maintenance.policy import IndexesPolicy, Policy
from maintenance.policy.database import BackupPolicy
from maintenance.server.backups import missing_evidence
from tests.builders import Database, server_folder
from tests.policies import make_policy
from tests.sessions import session, until

pytestmark = pytest.mark.in_turn

INDEXES = (
    "SELECT indexrelid::regclass::text FROM pg_catalog.pg_index WHERE indrelid = 't'::regclass"
)


def policy_of(database: Database, folder: Path, **preflight: Any) -> Policy:
    return policy_with(database, folder, {"preflight": preflight})


def policy_with(
    database: Database, folder: Path, indexes: dict[str, Any], **sections: Any
) -> Policy:
    (folder / "declared.sql").write_text("CREATE INDEX t_a ON public.t (a);")
    section = {"declared": "declared.sql", **indexes}
    return make_policy(folder, database.url, indexes=section, **sections)


def test_build_without_enough_free_disk_is_refused(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE TABLE t AS SELECT generate_series(1, 1000) AS a")
    report = pipeline.apply(policy_of(database, tmp_path, free_disk="1000000 GB"))
    (result,) = report.results
    assert result.outcome is Outcome.FAILED
    assert isinstance(result.cause, MaintenanceError)
    assert result.cause.reason == "free_disk_low"
    assert database.execute(INDEXES) == []
    assert pipeline.apply(policy_of(database, tmp_path, free_disk="1 MB")).ok
    assert database.execute(INDEXES) == [("t_a",)]


def test_progress_of_a_build_is_told_with_its_phase(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_monitor, "FIRST_AFTER_S", 0.0)
    monkeypatch.setattr(build_monitor, "EVERY_S", 0.01)
    monkeypatch.setattr(build_monitor, "TELL_EVERY_S", 0.0)
    database.execute("CREATE TABLE t AS SELECT md5(n::text) AS a FROM generate_series(1, 300000) n")
    lines: list[str] = []
    report = pipeline.apply(policy_of(database, tmp_path, free_disk="1 MB"), progress=lines.append)
    assert report.ok
    assert [line for line in lines if "building index" in line], lines


def test_build_that_still_runs_at_the_end_of_the_window_is_canceled_and_leaves_nothing(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An old snapshot keeps the build from ending, until the hours are over."""
    monkeypatch.setattr(build_monitor, "FIRST_AFTER_S", 0.0)
    began = datetime.now(UTC)
    ends = began + timedelta(seconds=2)

    def is_in_window(_policy: IndexesPolicy, moment: datetime) -> bool:
        return moment < ends

    monkeypatch.setattr(IndexesPolicy, "is_in_window", is_in_window)
    database.execute("CREATE TABLE t AS SELECT generate_series(1, 1000) AS a")
    with database.connect(autocommit=False) as old:
        old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        old.execute("SELECT 1")
        (result,) = pipeline.apply(policy_with(database, tmp_path, {})).results
        assert isinstance(result.cause, BuildPostponedError)
        assert result.cause.reason == build_monitor.WINDOW_ENDED
        old.rollback()
    assert database.execute(INDEXES) == []
    (later,) = pipeline.apply(policy_with(database, tmp_path, {}), now=began).results
    assert isinstance(later.cause, BuildPostponedError)
    assert later.cause.reason == build_monitor.WINDOW_ENDED


def test_rollout_waits_for_a_backup_that_is_confirmed(database: Database, tmp_path: Path) -> None:
    marker = tmp_path / "backup.done"
    database.execute("CREATE TABLE t AS SELECT generate_series(1, 1000) AS a")

    def told(**evidence: Any) -> Result:
        backup = {"file": "backup.done", **evidence}
        (result,) = pipeline.apply(policy_with(database, tmp_path, {}, backup=backup)).results
        return result

    def held(result: Result, why: str) -> bool:
        hold = result.action.held
        return hold is not None and hold.by is HeldBy.BACKUP_UNCONFIRMED and why in hold.text

    assert held(told(), "No such file")
    marker.touch()
    os.utime(marker, (0, 0))
    assert held(told(), "wanted at most 1 day 1 hour")
    os.utime(marker, (2**33, 2**33))
    assert held(told(), "future")
    marker.touch()
    assert held(told(wal_archive=True), "archive_mode is off")
    assert database.execute(INDEXES) == []
    assert told().outcome is Outcome.DONE
    assert database.execute(INDEXES) == [("t_a",)]


@pytest.mark.pg("== 18")
def test_archived_wal_is_evidence_until_it_fails(database: Database) -> None:
    backup, hour = BackupPolicy(wal_archive=True), timedelta(hours=1)
    with server_folder() as folder:
        settings = {"archive_mode": "on", "archive_command": f"test ! -e {folder}/broken"}
        server = PostgresServer(database.server.binaries, folder / "db", settings=settings)
        server.start()
        try:
            with session(server.url()) as connection:

                def missing() -> str:
                    connection.execute("SELECT pg_logical_emit_message(true, '', 'more')")
                    connection.execute("SELECT pg_switch_wal()")
                    return missing_evidence(connection, backup, datetime.now(UTC), hour)

                until(lambda: not missing())
                (folder / "broken").touch()
                until(lambda: "failed" in missing())
        finally:
            server.remove()
