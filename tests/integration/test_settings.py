"""Settings of real servers beside those of the policy."""

from pathlib import Path
from typing import Any

from maintenance.engine.findings import Finding
from maintenance.pipeline import run as pipeline
from tests.builders import Database, Role
from tests.policies import make_policy


def found(database: Database, folder: Path, url: str = "", **settings: Any) -> list[Finding]:
    policy = make_policy(folder, url or database.url, capacity={}, settings=settings)
    findings = pipeline.plan(policy, only=["capacity"]).findings
    return [each for each in findings if "/settings/" in each.object]


def test_setting_of_the_database_is_compared_and_the_advice_mends_it(
    database: Database, tmp_path: Path
) -> None:
    wanted: dict[str, Any] = {
        "log_min_duration_statement": "1000 ms",
        "track_counts": True,
        "work_mem": "64MB",
    }
    by_object = {each.object: each for each in found(database, tmp_path, **wanted)}
    assert set(by_object) == {
        "app/settings/log_min_duration_statement",
        "app/settings/work_mem",
    }
    for finding in by_object.values():
        for statement in finding.data["statements"]:
            database.execute(statement)
    assert found(database, tmp_path, **wanted) == []
    assert len(found(database, tmp_path, **{**wanted, "work_mem": "65MB"})) == 1


def test_what_this_software_sets_for_itself_is_not_taken_for_the_servers(
    database: Database, tmp_path: Path
) -> None:
    ((lock_timeout, zone),) = database.execute(
        "SELECT reset_val, (SELECT reset_val FROM pg_settings WHERE name = 'TimeZone')"
        " FROM pg_settings WHERE name = 'lock_timeout'"
    )
    wanted: dict[str, Any] = {"lock_timeout": lock_timeout, "TimeZone": zone, "jit": True}
    assert found(database, tmp_path, **wanted) == []


def test_role_without_rights_is_told_what_it_can_not_see(
    database: Database, tmp_path: Path, limited_role: Role
) -> None:
    url = database.url_of(limited_role)
    wanted: dict[str, Any] = {"autovacuum": True, "shared_preload_libraries": "one, two"}
    (hidden,) = found(database, tmp_path, url, **wanted)
    assert (hidden.kind, hidden.object) == (
        "privilege_missing",
        "app/settings/shared_preload_libraries",
    )
    for grant in hidden.data["grants"]:
        database.execute(grant)
    (differs,) = found(database, tmp_path, url, **wanted)
    assert differs.kind == "setting_differs"
    assert differs.data["needs_restart"]


def test_value_of_our_role_alone_is_said_to_be_that(
    database: Database, tmp_path: Path, limited_role: Role
) -> None:
    database.execute(f"ALTER ROLE {limited_role.name} SET work_mem = '64MB'")
    (blind,) = found(database, tmp_path, database.url_of(limited_role), work_mem="64MB")
    assert blind.kind == "monitor_blind"
    for statement in blind.data["statements"]:
        database.execute(statement)
    (differs,) = found(database, tmp_path, database.url_of(limited_role), work_mem="64MB")
    assert differs.kind == "setting_differs"
