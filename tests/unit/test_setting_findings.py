"""Settings of the server beside those of the policy."""

from typing import Any

import pytest

from maintenance.engine.findings import UNKNOWN, Finding, FindingKind, Severity
from maintenance.policy import Policy
from maintenance.subjects.capacity.models import CapacityObservation, Setting, Settings
from maintenance.subjects.capacity.plan import plan
from maintenance.subjects.capacity.setting_findings import is_same, shown
from tests.snapshots import NOW, a_policy

SLOW = Setting("log_min_duration_statement", "-1", "ms", "integer", "superuser")
BUFFERS = Setting("shared_buffers", "16384", "8kB", "integer", "postmaster")
AUTOVACUUM = Setting("autovacuum", "on", None, "bool", "sighup")
SCALE = Setting("autovacuum_vacuum_scale_factor", "0.2", None, "real", "sighup")
WAL = Setting("wal_level", "replica", None, "enum", "postmaster")
FORMAT = Setting("log_line_prefix", "%m [%p] ", None, "string", "sighup")
LIBRARIES = Setting("shared_preload_libraries", "", None, "string", "postmaster")
BLOCK = Setting("block_size", "8192", None, "integer", "internal")


def found(*settings: Setting, sees_all: bool = True, **wanted: Any) -> list[Finding]:
    seen = Settings({each.name.lower(): each for each in settings}, sees_all, '"App"')
    observation = CapacityObservation(role="maintenance", settings=seen)
    policy = a_policy(capacity={}, settings=wanted)
    return list(plan(policy, observation, NOW).findings)


@pytest.mark.parametrize(
    ("wanted", "value", "like"),
    [
        ("1000 ms", "1000", SLOW),
        ("1s", "1000", SLOW),
        ("1000", "1000", SLOW),
        ("1 s", "1000", SLOW),
        ("0.5min", "30000", SLOW),
        ("-1", "-1", SLOW),
        ("128MB", "16384", BUFFERS),
        ("16384", "16384", BUFFERS),
        ("131072 kB", "16384", BUFFERS),
        ("0.20", "0.2", SCALE),
        ("true", "on", AUTOVACUUM),
        ("YES", "on", AUTOVACUUM),
        ("0", "off", AUTOVACUUM),
        ("Replica", "replica", WAL),
        ("%m [%p] ", "%m [%p] ", FORMAT),
        ("a,b", 'a, "b"', LIBRARIES),
    ],
)
def test_the_same_value_may_be_written_in_other_units(
    wanted: str, value: str, like: Setting
) -> None:
    assert is_same(wanted, like._replace(value=value))


@pytest.mark.parametrize(
    ("wanted", "value", "like"),
    [
        ("1000 ms", "1001", SLOW),
        ("1 min", "1000", SLOW),
        ("1000 kB", "1000", SLOW),
        ("1000 parsecs", "1000", SLOW),
        ("soon", "1000", SLOW),
        ("128MB", "16383", BUFFERS),
        ("on", "off", AUTOVACUUM),
        ("perhaps", "on", AUTOVACUUM),
        ("logical", "replica", WAL),
        ("%M [%p] ", "%m [%p] ", FORMAT),
        ("1 s", "1", SCALE),
    ],
)
def test_another_value_is_another(wanted: str, value: str, like: Setting) -> None:
    assert not is_same(wanted, like._replace(value=value))


def test_settings_as_wanted_are_no_finding() -> None:
    assert found(AUTOVACUUM, WAL, autovacuum=True, wal_level="replica") == []
    assert found(AUTOVACUUM) == []


@pytest.mark.parametrize(
    ("setting", "wanted", "statements", "needs_restart"),
    [
        (
            SLOW,
            "1000 ms",
            ["ALTER DATABASE \"App\" SET log_min_duration_statement = '1000 ms'"],
            False,
        ),
        (
            AUTOVACUUM,
            False,
            ["ALTER SYSTEM SET autovacuum = 'off'", "SELECT pg_catalog.pg_reload_conf()"],
            False,
        ),
        (BUFFERS, "1GB", ["ALTER SYSTEM SET shared_buffers = '1GB'"], True),
        (
            LIBRARIES,
            "pg_stat_statements, auto_explain",
            ["ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements', 'auto_explain'"],
            True,
        ),
        (BLOCK, 4096, [], False),
    ],
)
def test_other_value_is_told_with_what_changes_it(
    setting: Setting, wanted: object, statements: list[str], needs_restart: bool
) -> None:
    values: dict[str, Any] = {setting.name: wanted}
    (finding,) = found(setting, **values)
    assert (finding.kind, finding.severity) == (FindingKind.SETTING_DIFFERS, Severity.WARN)
    assert finding.object == f"app/settings/{setting.name}"
    assert finding.data["reason"] == "differs"
    assert finding.data["statements"] == statements
    assert finding.data["needs_restart"] is needs_restart


def test_name_is_found_whatever_its_case() -> None:
    style = Setting("DateStyle", "ISO, MDY", None, "string", "user")
    assert found(style, datestyle="ISO, MDY") == []


def test_name_of_an_extension_is_quoted_by_its_parts() -> None:
    track = Setting("pg_stat_statements.track", "top", None, "enum", "superuser")
    values: dict[str, Any] = {"pg_stat_statements.track": "all"}
    (finding,) = found(track, **values)
    assert finding.data["statements"] == [
        "ALTER DATABASE \"App\" SET pg_stat_statements.track = 'all'"
    ]


def test_setting_that_does_not_exist_is_told() -> None:
    (finding,) = found(auto_vacuum="on")
    assert (finding.kind, finding.data["reason"]) == ("setting_differs", "no_such_setting")


def test_setting_that_is_hidden_is_unknown() -> None:
    (finding,) = found(sees_all=False, log_directory="log")
    assert finding.kind is FindingKind.PRIVILEGE_MISSING
    assert finding.data["grants"] == ["GRANT pg_read_all_settings TO maintenance"]
    assert finding.data[UNKNOWN] == {"setting_differs": ["app/settings/log_directory"]}


def test_setting_of_our_role_alone_says_nothing_of_others() -> None:
    (finding,) = found(SLOW._replace(is_of_role=True), log_min_duration_statement="1 s")
    assert finding.kind is FindingKind.MONITOR_BLIND
    assert finding.leaves_open(
        FindingKind.SETTING_DIFFERS, "app/settings/log_min_duration_statement"
    )


def test_value_that_waits_for_a_restart_is_said() -> None:
    (finding,) = found(BUFFERS._replace(is_pending=True), shared_buffers="1GB")
    assert finding.data["is_pending"]


def test_yaml_truth_values_and_numbers_are_settings() -> None:
    policy: Policy = a_policy(
        capacity={}, settings={"autovacuum": True, "jit": False, "work_mem": 64, "a": 0.5}
    )
    assert policy.settings == {"autovacuum": "on", "jit": "off", "work_mem": "64", "a": "0.5"}


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        (SLOW, "off (-1)"),
        (SLOW._replace(value="0"), "all (0)"),
        (SLOW._replace(value="500"), "500ms"),
        (Setting("statement_timeout", "0", "ms", "integer", "user"), "off (0)"),
        (Setting("temp_file_limit", "-1", "kB", "integer", "superuser"), "no limit (-1)"),
        (Setting("autovacuum_work_mem", "-1", "kB", "integer", "sighup"),
         "as maintenance_work_mem (-1)"),
        (Setting("wal_buffers", "-1", "8kB", "integer", "postmaster"), "automatic (-1)"),
        (BUFFERS, "128MB"),
        (BUFFERS._replace(value="16385"), "131080kB"),
        (BUFFERS._replace(value="0"), "0kB"),
        (SCALE, "0.2"),
        (LIBRARIES, "empty"),
    ],
)  # fmt: skip
def test_value_that_is_no_amount_is_shown_by_its_meaning(setting: Setting, text: str) -> None:
    assert shown(setting) == text
    (finding,) = found(setting, sees_all=True, **{setting.name: "7"})
    assert finding.value == text
