"""Policy files: what loads, and what each message says."""

import errno
import os
import re
from codecs import BOM_UTF8
from datetime import date, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from maintenance.engine.findings import FindingKind, Severity
from maintenance.errors import PolicyError, Problem, ProblemReason, UsageError
from maintenance.names import QualifiedName
from maintenance.partition_key import Encoding
from maintenance.periods import CalendarSpan, Interval, Period
from maintenance.policy import (
    AppriseSink,
    LogSink,
    Policy,
    RedisStreamSink,
    WebhookSink,
    load_policies,
    load_policy,
    policy_paths,
)
from maintenance.policy.thresholds import (
    BloatPolicy,
    CapacityPolicy,
    IndexesPolicy,
    WorkloadPolicy,
)

EXAMPLE = Path(__file__).with_name("test_policy_example.yaml")
SQL_FILES = (
    "sql/systems/learning_platform/matviews/mv_course_performance.sql",
    "sql/systems/learning_platform/indexes.sql",
    "sql/systems/lms/recalculate_course_analytics.sql",
)
DATABASE = "database: {name: shop, url: {env: SHOP_URL}}\n"


def write(folder: Path, text: str, name: str = "shop.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def problems(folder: Path, text: str) -> list[Problem]:
    with pytest.raises(PolicyError) as caught:
        load_policy(write(folder, text))
    return list(caught.value.problems)


def problem(folder: Path, text: str) -> Problem:
    (only,) = problems(folder, text)
    return only


def named(text: str, *names: str) -> set[str]:
    """Which of some names a text has in it."""
    return {name for name in names if name in re.findall(r"\w+", text)}


def places(found: list[Problem]) -> list[tuple[int, int, str]]:
    return [(each.line, each.column, each.key) for each in found]


@pytest.fixture
def example(tmp_path: Path) -> Policy:
    for file in SQL_FILES:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        index = file.endswith("indexes.sql")
        (tmp_path / file).write_text("CREATE INDEX a ON t (a)" if index else "SELECT 1")
    (queries := tmp_path / "sql/systems/learning_platform/queries").mkdir()
    for name in ("login", "course_search"):
        (queries / f"{name}.sql").write_text("SELECT a FROM t")
    (tmp_path / "policies").mkdir()
    return load_policy(write(tmp_path / "policies", EXAMPLE.read_text(encoding="utf-8")))


def test_example_loads_with_every_key(example: Policy, tmp_path: Path) -> None:
    (table,) = example.partitions
    assert table.table == QualifiedName("public", "analytics_events")
    assert (table.encoding, table.interval) == (Encoding.NATIVE, Interval.MONTH)
    assert table.time_zone.key == "UTC"
    assert table.start == Period(date(2024, 1, 1), Interval.MONTH)
    assert table.convert_when.larger_than == 10 * 1024**3
    assert table.split == "never"
    assert table.split_limits.max_wal_rate == 64 * 1024**2
    assert table.retention is not None
    assert table.retention.keep == CalendarSpan(24, 0)
    assert table.retention.hold == (Period(date(2024, 3, 1), Interval.MONTH),)
    assert table.retention.archive is not None
    assert table.retention.archive.url == str(tmp_path / "policies/archive")


def test_example_finds_its_sql_files(example: Policy, tmp_path: Path) -> None:
    assert example.indexes is not None
    named = [
        example.matviews[0].definition,
        example.indexes.declared,
        example.stale_analytics[0].recalculate,
    ]
    assert named == [tmp_path / file for file in SQL_FILES]


def test_example_differs_from_the_defaults_only_where_it_is_an_example(
    example: Policy, tmp_path: Path
) -> None:
    sections = "statistics:\nbloat:\nworkload:\nindexes:\n"
    smallest = load_policy(write(tmp_path, DATABASE + sections))
    for section in ("locks", "statistics", "parallel", "bloat", "workload", "schedules", "observe"):
        assert getattr(example, section) == getattr(smallest, section)
    assert example.indexes is not None
    assert smallest.indexes is not None
    assert example.indexes.unused == smallest.indexes.unused
    assert example.indexes.preflight == smallest.indexes.preflight
    assert example.alerts.repeat_after == smallest.alerts.repeat_after
    assert example.store.keep == smallest.store.keep


def test_example_names_its_sinks(example: Policy) -> None:
    stream, log, apprise, webhook = example.alerts.sinks
    assert isinstance(stream, RedisStreamSink)
    assert (stream.stream, stream.severities) == ("maintenance:alerts", ("error",))
    assert isinstance(log, LogSink)
    assert (log.kinds, log.databases) == (("partition_gap",), ("learning_platform",))
    assert isinstance(apprise, AppriseSink)
    assert isinstance(webhook, WebhookSink)
    assert webhook.secret is not None
    assert webhook.secret.label == "ALERT_WEBHOOK_SECRET"


def test_smallest_policy_acts_on_nothing(tmp_path: Path) -> None:
    policy = load_policy(
        write(tmp_path, "database:\n  name: shop\n  url: postgresql://localhost/shop\n")
    )
    assert (policy.partitions, policy.matviews, policy.stale_analytics) == ((), (), ())
    assert policy.statistics is None
    assert policy.indexes == IndexesPolicy()
    assert policy.bloat == BloatPolicy(reindex="report")
    assert policy.workload == WorkloadPolicy()
    assert policy.capacity == CapacityPolicy()
    assert policy.alerts.sinks == (LogSink(),)
    assert policy.store.url is None
    assert policy.locks.lock_timeout == timedelta(milliseconds=50)
    assert policy.sections == {"database"}


@pytest.mark.parametrize("section", ["indexes", "bloat", "workload", "capacity"])
@pytest.mark.parametrize("word", ["off", "'off'", "false", "no"])
def test_health_subject_is_switched_off(tmp_path: Path, section: str, word: str) -> None:
    policy = load_policy(write(tmp_path, DATABASE + f"{section}: {word}\n"))
    assert getattr(policy, section) is None
    assert section in policy.sections


@pytest.mark.parametrize("word", ["on", "true", "1", "none", "report", "[]"])
def test_health_subject_is_a_section_or_off(tmp_path: Path, word: str) -> None:
    with pytest.raises(PolicyError) as error:
        load_policy(write(tmp_path, DATABASE + f"bloat: {word}\n"))
    (problem,) = error.value.problems
    assert problem.reason is ProblemReason.WRONG_TYPE
    assert problem.key == "bloat"


def test_section_that_acts_is_not_switched_off(tmp_path: Path) -> None:
    with pytest.raises(PolicyError):
        load_policy(write(tmp_path, DATABASE + "statistics: off\n"))


def test_empty_section_means_all_its_defaults(tmp_path: Path) -> None:
    empty = "partitions:\nstatistics:\nindexes: {unused: }\nalerts: {sinks: }\nlocks:\nstore:\n"
    policy = load_policy(write(tmp_path, DATABASE + empty))
    assert policy.partitions == ()
    assert policy.statistics is not None
    assert policy.statistics.changed_rows == 50
    assert policy.indexes is not None
    assert policy.indexes.unused.window == timedelta(days=35)
    assert policy.alerts.sinks == (LogSink(),)
    assert {"partitions", "statistics", "locks"} <= policy.sections


def test_empty_section_without_defaults_says_what_is_missing(tmp_path: Path) -> None:
    found = problem(tmp_path, DATABASE + "redis:\n")
    assert (found.line, found.key, found.reason) == (2, "redis.url", "missing")


def test_unknown_key_names_its_near_miss(tmp_path: Path) -> None:
    found = problem(tmp_path, DATABASE + "partition: []\n")
    assert (found.line, found.column, found.key) == (2, 1, "partition")
    assert found.reason == "unknown_key"
    assert named(found.hint, "partitions", "locks", "store") == {"partitions"}


def test_unknown_nested_key_names_its_near_miss(tmp_path: Path) -> None:
    text = DATABASE + "partitions:\n  - table: a\n    column: at\n    premak: 3\n"
    found = problem(tmp_path, text)
    assert (found.line, found.column, found.key) == (5, 5, "partitions[0].premak")
    assert named(found.hint, "premake", "interval", "start") == {"premake"}


def test_unknown_key_of_a_sink_knows_the_sinks_keys(tmp_path: Path) -> None:
    text = DATABASE + "alerts: {sinks: [{type: webhook, url: {env: A}, secrt: x}]}\n"
    found = problem(tmp_path, text)
    assert (found.key, found.reason) == ("alerts.sinks[0].secrt", "unknown_key")
    assert named(found.hint, "secret", "url", "type") == {"secret"}


def test_unknown_key_like_nothing_lists_what_is_known(tmp_path: Path) -> None:
    found = problem(tmp_path, DATABASE + "redis: {url: {env: R}, zzz: 1}\n")
    assert named(found.hint, "url", "locks", "database") == {"url"}


def test_unknown_sink_names_its_near_miss(tmp_path: Path) -> None:
    found = problem(tmp_path, DATABASE + "alerts:\n  sinks: [{type: webook}]\n")
    assert (found.line, found.column, found.key) == (3, 18, "alerts.sinks[0].type")
    assert found.reason == "unknown_value"
    sinks = ("log", "redis_stream", "apprise", "webhook")
    assert named(found.wanted, *sinks) == {*sinks}
    assert named(found.hint, *sinks) == {"webhook"}


def test_sink_without_type_is_told_at_the_sink(tmp_path: Path) -> None:
    found = problem(tmp_path, DATABASE + "alerts:\n  sinks:\n    - stream: x\n")
    assert (found.line, found.column, found.key) == (4, 7, "alerts.sinks[0].type")


def test_choice_names_its_near_miss(tmp_path: Path) -> None:
    found = problem(tmp_path, DATABASE + "bloat: {reindex: concurrent}\n")
    choices = ("report", "concurrently")
    assert found.found == "concurrent"
    assert named(found.wanted, *choices) == {*choices}
    assert named(found.hint, *choices) == {"concurrently"}


def test_indexes_to_rebuild_are_refused_where_none_is_rebuilt(tmp_path: Path) -> None:
    for first in ("", "reindex: report, "):
        text = f"bloat: {{{first}reindex_unique: [public.orders_pkey]}}\n"
        assert problem(tmp_path, DATABASE + text).key == "bloat.reindex_unique"
    text = "bloat: {reindex_unique: [public.orders_pkey], reindex: concurrently}\n"
    bloat = load_policy(write(tmp_path, DATABASE + text)).bloat
    assert bloat is not None
    assert [str(name) for name in bloat.reindex_unique] == ["public.orders_pkey"]


def test_missing_key_is_told_at_its_mapping(tmp_path: Path) -> None:
    found = problem(tmp_path, DATABASE + "partitions:\n  - table: a\n")
    assert (found.line, found.column, found.key) == (3, 5, "partitions[0].column")


@pytest.mark.parametrize(
    ("written", "found", "reason"),
    [
        ("premake: true", "true", "wrong_type"),
        ('premake: "3"', '"3"', "wrong_type"),
        ("premake: 3.0", "3.0", "wrong_type"),
        ("premake: 10000", "10000", "out_of_range"),
        ("premake:", None, "wrong_type"),
        ("premake: [1]", None, "wrong_type"),
        ("retention: [1, 2]", None, "wrong_type"),
        ("interval: 1 month s", "1 month s", "unknown_value"),
        ("convert: yes", "yes", "unknown_value"),
        ("split: monthly", "monthly", "unknown_value"),
        ("time_zone: Europe/Belrin", "Europe/Belrin", "unknown_value"),
    ],
)
def test_wrong_value_is_shown_as_written(
    tmp_path: Path, written: str, found: str | None, reason: str
) -> None:
    """Lists and missing values are described in words instead of shown."""
    text = f"{DATABASE}partitions:\n  - table: a\n    column: at\n    {written}\n"
    told = problem(tmp_path, text)
    key, _, _ = written.partition(":")
    assert (told.line, told.key) == (5, f"partitions[0].{key}")
    assert told.found == found or found is None
    assert told.reason == reason


def test_premake_zero_says_why(tmp_path: Path) -> None:
    told = problem(tmp_path, DATABASE + "partitions: [{table: a, column: at, premake: 0}]\n")
    assert (told.key, told.reason) == ("partitions[0].premake", "out_of_range")
    assert told.hint


@pytest.mark.parametrize(
    ("text", "key", "reason", "wanted"),
    [
        ("matviews: {name: a}\n", "matviews", "wrong_type", ()),
        ("locks: 50 ms\n", "locks", "wrong_type", ()),
        ("indexes: {allow_drop: 1}\n", "indexes.allow_drop", "wrong_type", ("true", "false")),
        ("workload: {connections: .nan}\n", "workload.connections", "out_of_range", ("0", "1")),
        ("workload: {connections: true}\n", "workload.connections", "wrong_type", ("0", "1")),
        ("parallel: {matviews: 0}\n", "parallel.matviews", "out_of_range", ("1", "32")),
        ("matviews: [{name: a, unique_index: id}]\n", "matviews[0].unique_index", "wrong_type", ()),
        (
            "matviews: [{name: a, unique_index: [1]}]\n",
            "matviews[0].unique_index[0]",
            "wrong_type",
            (),
        ),
        ("alerts: {runbook: 'x#{knd}'}\n", "alerts.runbook", "malformed", ("kind",)),
        ("alerts: {ui: ftp://x}\n", "alerts.ui", "malformed", ()),
        ("alerts: {sinks: [{type: redis_stream}]}\n", "alerts.sinks[0]", "conflict", ("redis",)),
        ("bloat: {min_size: 3}\n", "bloat.min_size", "missing_unit", ("MB", "GB")),
    ],
)
def test_wrong_value_has_a_reason_and_the_facts_of_what_is_wanted(
    tmp_path: Path, text: str, key: str, reason: str, wanted: tuple[str, ...]
) -> None:
    told = problem(tmp_path, DATABASE + text)
    assert (told.line, told.key, told.reason) == (2, key, reason)
    assert named(told.wanted, *wanted) == {*wanted}


def test_empty_list_of_key_columns_is_refused(tmp_path: Path) -> None:
    text = "stale_analytics: [{table: a, calculated_at: at, key: []}]\n"
    found = problem(tmp_path, DATABASE + text)
    assert (found.key, found.reason) == ("stale_analytics[0].key", "out_of_range")


def test_all_problems_are_told_at_once_in_the_order_of_lines(tmp_path: Path) -> None:
    text = (
        "workload:\n  connections: 7\n  connections: 8\n"
        "database: {name: Shop}\n"
        "bloat: {min_size: 3}\n"
        "indexes: {declared: missing.sql}\n"
        "surprise: 1\n"
    )
    assert places(problems(tmp_path, text)) == [
        (2, 16, "workload.connections"),
        (3, 3, "workload.connections"),
        (4, 11, "database.url"),
        (4, 18, "database.name"),
        (5, 19, "bloat.min_size"),
        (6, 21, "indexes.declared"),
        (7, 1, "surprise"),
    ]


def test_message_has_file_place_key_found_and_wanted(tmp_path: Path) -> None:
    told = problem(tmp_path, DATABASE + "bloat: {min_size: 3}\n")
    before, *facts = f"{tmp_path}/shop.yaml:2:19: bloat.min_size:", "3", told.wanted, told.hint
    assert all(facts)
    assert re.fullmatch(f"{re.escape(before)}.*{'.*'.join(map(re.escape, facts))}.*", str(told))


def test_repeated_key_is_told_with_its_first(tmp_path: Path) -> None:
    text = DATABASE + "locks:\n  lock_timeout: 1 s\n  lock_timeout: 2 s\n"
    told = problem(tmp_path, text)
    assert (told.line, told.column, told.key) == (4, 3, "locks.lock_timeout")
    assert told.reason == "duplicate_key"
    assert named(told.hint, "3", "4") == {"3"}


def test_merge_keys_and_anchors_are_read(tmp_path: Path) -> None:
    text = (
        "partitions:\n"
        "  - &events {table: events, column: at, premake: 5}\n"
        "  - {<<: *events, table: clicks}\n"
        "  - {<<: [{table: views, premake: 7}, *events]}\n"
    )
    policy = load_policy(write(tmp_path, DATABASE + text))
    read = [(table.table.name, table.column, table.premake) for table in policy.partitions]
    assert read == [("events", "at", 5), ("clicks", "at", 5), ("views", "at", 7)]


def test_wrong_merged_value_is_told_where_it_is_written(tmp_path: Path) -> None:
    text = (
        "partitions:\n"
        "  - &events {table: a, column: at, premake: 0}\n"
        "  - {<<: *events, table: b, premake: 1}\n"
        "  - {<<: *events, table: c}\n"
    )
    assert places(problems(tmp_path, DATABASE + text)) == [
        (3, 45, "partitions[0].premake"),
        (3, 45, "partitions[2].premake"),
    ]


@pytest.mark.parametrize(
    "text", ["locks: &a {x: *a}\n", "locks: &a [*a]\n", "locks: &a {<<: *a}\n"]
)
def test_alias_inside_of_itself_is_a_problem(tmp_path: Path, text: str) -> None:
    told = problems(tmp_path, DATABASE + text)[0]
    assert (told.line, told.column) == (2, 8)
    assert told.key.startswith("locks")
    assert told.reason == "self_reference"


@pytest.mark.parametrize(
    "target",
    [
        "redis: *a39",
        "redis: {url: *a39}",
        "bloat: {reindex: *a39}",
        "bloat: {min_size: *a39}",
        "bloat: {table_fraction: *a39}",
        "alerts: {sinks: *a39}",
        "alerts: {sinks: [{type: *a39}]}",
        "indexes: {declared: *a39}",
        "matviews: [{name: *a39}]",
        "matviews: [{name: a, depends_on: *a39}]",
        "matviews: [{name: a, refresh: *a39}]",
        "partitions: [{table: a, column: b, interval: *a39}]",
        "partitions: [{table: a, column: b, start: *a39}]",
        "partitions: [{table: a, column: b, time_zone: *a39}]",
        "partitions: [{table: a, column: b, retention: {keep: 1 day, hold: *a39}}]",
    ],
)
def test_alias_bomb_is_refused_where_it_is_used(tmp_path: Path, target: str) -> None:
    levels = [f"  - &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40)]
    text = f"{DATABASE}locks:\n  - &a0 [lol]\n{''.join(levels)}{target}\n"
    told = problems(tmp_path, text)
    assert told[0].key == "locks"
    assert "40" in told[0].found.split()
    assert len(told) >= 2


def test_number_of_a_million_digits_is_a_problem(tmp_path: Path) -> None:
    told = problems(tmp_path, f"{DATABASE}parallel: {{matviews: {'9' * 1_000_000}}}\n")
    assert told[0].key == "parallel.matviews"
    assert len(told[0].found) < 100


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_very_deep_nesting_is_a_problem(tmp_path: Path, opening: str) -> None:
    told = problem(tmp_path, f"{DATABASE}locks:\n  {opening * 20_000}\n")
    assert (told.line, told.key, told.reason) == (3, "", "not_yaml")


def test_tab_is_told_with_its_place(tmp_path: Path) -> None:
    told = problem(tmp_path, DATABASE + "locks:\n\tlock_timeout: 1 s\n")
    assert (told.line, told.column, told.reason) == (3, 1, "not_yaml")
    assert told.hint


def test_syntax_error_is_told_with_its_place(tmp_path: Path) -> None:
    told = problem(tmp_path, DATABASE + "locks: {lock_timeout: 1 s\nbloat: 1\n")
    assert (told.line, told.reason) == (3, "not_yaml")


def test_second_document_is_a_problem(tmp_path: Path) -> None:
    told = problem(tmp_path, f"{DATABASE}---\n{DATABASE}")
    assert (told.line, told.reason) == (2, "not_yaml")


def test_control_character_is_told_with_its_place(tmp_path: Path) -> None:
    told = problem(tmp_path, DATABASE + "locks: \x07\n")
    assert (told.line, told.column, told.reason) == (2, 8, "not_yaml")
    assert "U+0007" in told.found.split()


@pytest.mark.parametrize("tag", ["!secret x", "!!python/name:os.system", "!!binary aGk="])
def test_yaml_tag_is_refused(tmp_path: Path, tag: str) -> None:
    (told,) = problems(tmp_path, f"{DATABASE}locks: {tag}\n")
    assert places([told]) == [(2, 8, "locks")]
    assert told.reason == "yaml_tag"


def test_key_that_is_no_name_is_refused(tmp_path: Path) -> None:
    told = problem(tmp_path, DATABASE + "? [a, b]\n: 1\n")
    assert (told.line, told.column, told.key, told.reason) == (2, 3, "", "wrong_type")


def test_date_that_does_not_exist_is_told(tmp_path: Path) -> None:
    told = problems(tmp_path, DATABASE + "locks: {lock_timeout: 2024-02-31}\n")
    assert {(each.line, each.column, each.found) for each in told} == {(2, 23, "2024-02-31")}
    assert told[0].reason == "out_of_range"


def test_byte_order_mark_is_read_over(tmp_path: Path) -> None:
    assert load_policy(write(tmp_path, "\ufeff" + DATABASE)).database.name == "shop"


@pytest.mark.parametrize("text", ["", "\n\n", "# only\n# comments\n", "---\n"])
def test_empty_file_is_told_what_the_smallest_policy_is(tmp_path: Path, text: str) -> None:
    told = problem(tmp_path, text)
    assert (told.line, told.key, told.reason) == (0, "", "missing")
    assert named(told.wanted, "database", "name", "url") == {"database", "name", "url"}


@pytest.mark.parametrize("text", ["- a\n", "just text\n", "42\n"])
def test_file_that_is_no_mapping_is_told(tmp_path: Path, text: str) -> None:
    told = problem(tmp_path, text)
    assert (told.line, told.column, told.key, told.reason) == (1, 1, "", "wrong_type")


def test_file_that_is_not_utf8_is_told_with_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_bytes(BOM_UTF8 + DATABASE.encode() + b"# \xfcber\n")
    with pytest.raises(PolicyError) as caught:
        load_policy(path)
    (told,) = caught.value.problems
    assert (told.line, told.column, told.reason) == (2, 3, "unreadable")
    assert "0xFC" in told.found.split()


def test_folder_and_missing_file_are_problems(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no.yaml"):
        with pytest.raises(PolicyError) as caught:
            load_policy(path)
        (told,) = caught.value.problems
        assert (told.file, told.line, told.reason) == (str(path), 0, "unreadable")


def test_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "shop.yaml")
    with pytest.raises(PolicyError) as caught:
        load_policy(tmp_path / "shop.yaml")
    (told,) = caught.value.problems
    assert (told.file, told.line, told.reason) == (str(tmp_path / "shop.yaml"), 0, "unreadable")


def test_missing_sql_file_is_told_with_its_near_miss(tmp_path: Path) -> None:
    (tmp_path / "indexes.sql").touch()
    told = problem(tmp_path, DATABASE + "indexes: {declared: index.sql}\n")
    assert (told.key, told.found) == ("indexes.declared", "index.sql")
    assert told.reason == "no_such_file"
    assert str(tmp_path / "index.sql") in told.hint
    assert "indexes.sql" in told.hint


def test_path_that_can_be_no_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "loop.sql").symlink_to("loop.sql")
    for path in ("x" * 300, "loop.sql", "''", "3"):
        told = problem(tmp_path, f"{DATABASE}indexes: {{declared: {path}}}\n")
        assert (told.line, told.key) == (2, "indexes.declared")


@pytest.mark.parametrize("url", ["s3://bucket/a", "memory://a", "file://./a", "/mnt/a"])
def test_archive_url_stays_as_written(tmp_path: Path, url: str) -> None:
    table = f'{{table: a, column: at, retention: {{keep: 1 year, archive: {{url: "{url}"}}}}}}'
    (read,) = load_policy(write(tmp_path, f"{DATABASE}partitions: [{table}]\n")).partitions
    assert read.retention is not None
    assert read.retention.archive is not None
    assert read.retention.archive.url == url


def test_name_of_a_path_that_is_too_long_is_a_wrong_call(tmp_path: Path) -> None:
    too_long = os.strerror(errno.ENAMETOOLONG).lower()
    with pytest.raises(UsageError, match=too_long):
        load_policies([tmp_path / ("x" * 300)])
    with pytest.raises(PolicyError, match=too_long):
        load_policy(tmp_path / ("x" * 300))


def test_same_table_twice_is_told_at_the_second(tmp_path: Path) -> None:
    text = "partitions:\n  - {table: a, column: at}\n  - {table: public.A, column: at}\n"
    told = problem(tmp_path, DATABASE + text)
    assert (told.line, told.key) == (4, "partitions[1].table")
    assert told.reason == "duplicate_name"
    assert "partitions[0].table" in told.hint


def test_same_view_twice_is_told_beside_other_problems(tmp_path: Path) -> None:
    text = "locks: 3\nmatviews: [{name: a}, {name: a}]\n"
    assert [key for _, _, key in places(problems(tmp_path, DATABASE + text))] == [
        "locks",
        "matviews[1].name",
    ]


def test_paths_are_explicit_then_environment_then_policies(tmp_path: Path) -> None:
    listed = {"MAINTENANCE_POLICIES": os.pathsep.join(["a", "", "b.yaml"])}
    assert policy_paths([tmp_path], listed) == [tmp_path]
    assert policy_paths([], listed) == [Path("a"), Path("b.yaml")]
    assert policy_paths([], {"MAINTENANCE_POLICIES": ""}) == [Path("policies")]


def test_broken_policy_leaves_the_others_loaded(tmp_path: Path) -> None:
    write(tmp_path, "database: {name: A}\n", "a.yaml")
    write(tmp_path, DATABASE, "b.yml")
    write(tmp_path, "no policy", "notes.txt")
    write(tmp_path, "", ".#b.yaml")
    policies = load_policies([tmp_path])
    assert [policy.path.name for policy in policies.loaded] == ["b.yml"]
    assert [error.path.name for error in policies.broken] == ["a.yaml"]
    assert len(policies.broken[0].problems) == 2


def test_second_policy_of_a_database_is_broken(tmp_path: Path) -> None:
    write(tmp_path, DATABASE, "a.yaml")
    write(tmp_path, DATABASE, "b.yaml")
    policies = load_policies([tmp_path])
    assert [policy.path.name for policy in policies.loaded] == ["a.yaml"]
    (told,) = policies.broken[0].problems
    assert (told.line, told.column, told.key) == (1, 18, "database.name")
    assert told.reason == "duplicate_name"
    assert f"{tmp_path}/a.yaml" in told.hint


def test_file_named_twice_is_loaded_once(tmp_path: Path) -> None:
    path = write(tmp_path, DATABASE)
    policies = load_policies([path, tmp_path])
    assert (len(policies.loaded), policies.broken) == (1, ())


def test_missing_path_and_empty_folder_are_wrong_calls(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "no.yaml"):
        with pytest.raises(UsageError, match=str(path)):
            load_policies([path])


@pytest.mark.parametrize(
    "same",
    [
        "bloat: {min_size: 20 MB}\nlocks:   {lock_timeout: 1 s}\n",
        "# a comment\nlocks:\n  lock_timeout: 1000 ms\nbloat:\n  min_size: '20480 kB'\n",
        "locks: {lock_timeout: 1 second, give_up_after: 10 minutes}\nbloat: {min_size: 20 MB}\n",
    ],
)
def test_hash_is_the_same_for_the_same_meaning(tmp_path: Path, same: str) -> None:
    text = "locks: {lock_timeout: 1 s}\nbloat: {min_size: 20 MB}\n"
    (tmp_path / "elsewhere").mkdir()
    one = load_policy(write(tmp_path, DATABASE + text))
    other = load_policy(write(tmp_path / "elsewhere", same + DATABASE, "other.yaml"))
    assert one.hash == other.hash
    assert len(one.hash) == 64


@pytest.mark.parametrize(
    "other", ["locks: {lock_timeout: 2 s}\n", "bloat: off\n", "statistics: {}\n"]
)
def test_hash_differs_for_another_meaning(tmp_path: Path, other: str) -> None:
    one = load_policy(write(tmp_path, DATABASE))
    assert one.hash != load_policy(write(tmp_path, DATABASE + other)).hash


@pytest.mark.parametrize(
    ("interval", "keep", "fits"),
    [
        ("1 month", "27 days", False),
        ("1 month", "4 weeks", True),
        ("1 month", "1 month", True),
        ("3 months", "2 months", False),
        ("3 months", "3 months", True),
        ("1 year", "11 months", False),
        ("1 year", "12 months", True),
        ("1 week", "6 days", False),
        ("1 day", "1 day", True),
    ],
)
def test_keep_is_at_least_one_interval(
    tmp_path: Path, interval: str, keep: str, fits: bool
) -> None:
    table = f"{{table: a, column: at, interval: {interval}, retention: {{keep: {keep}}}}}"
    text = f"{DATABASE}partitions: [{table}]\n"
    if fits:
        load_policy(write(tmp_path, text))
    else:
        told = problem(tmp_path, text)
        assert (told.key, told.reason) == ("partitions[0].retention.keep", "conflict")
        assert (told.found, interval in told.wanted) == (keep, True)


def test_hash_does_not_depend_on_where_the_file_lies(tmp_path: Path) -> None:
    hashes: set[str] = set()
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        (folder / "indexes.sql").touch()
        hashes.add(load_policy(write(folder, DATABASE + "indexes: {declared: indexes.sql}")).hash)
    assert len(hashes) == 1


def test_policy_is_frozen(tmp_path: Path) -> None:
    policy = load_policy(write(tmp_path, DATABASE))
    with pytest.raises(ValidationError) as caught:
        policy.bloat = None  # pyright: ignore[reportAttributeAccessIssue]
    assert [error["type"] for error in caught.value.errors()] == ["frozen_instance"]


# What sinks receive


def sinks(*written: str, **more: str) -> str:
    listed = "".join(f"    - {{type: log, {each}}}\n" for each in written)
    others = "".join(f"  {key}: {value}\n" for key, value in more.items())
    return f"{DATABASE}alerts:\n{others}  sinks:\n{listed}"


def test_sink_takes_warnings_and_errors_of_all_kinds_but_advice_by_default(tmp_path: Path) -> None:
    (sink,) = load_policy(write(tmp_path, DATABASE)).alerts.sinks
    assert sink.severities == (Severity.WARN, Severity.ERROR)
    taken = {kind for kind in FindingKind if sink.takes_kind("shop", kind)}
    assert taken == {kind for kind in FindingKind if not kind.spec.is_advice}


def test_sink_says_what_it_takes(tmp_path: Path) -> None:
    options = "severities: [error], kinds: [index_unused, query_slow], databases: [shop]"
    (sink,) = load_policy(write(tmp_path, sinks(options))).alerts.sinks
    assert sink.severities == (Severity.ERROR,)
    assert sink.kinds == (FindingKind.INDEX_UNUSED, FindingKind.QUERY_SLOW)
    assert sink.databases == ("shop",)


def test_empty_options_of_a_sink_are_its_defaults(tmp_path: Path) -> None:
    (sink,) = load_policy(write(tmp_path, sinks("severities: , kinds: , databases: "))).alerts.sinks
    assert sink == LogSink()


@pytest.mark.parametrize(
    ("options", "key", "hint"),
    [
        ("kinds: [index_unusd]", "kinds[0]", "index_unused"),
        ("except_kinds: [query_slow, tabel_bloat]", "except_kinds[1]", "table_bloat"),
        ("kinds: [zzz]", "kinds[0]", "docs/runbook.md"),
        ("kinds: [3]", "kinds[0]", "docs/runbook.md"),
        ("severities: [errors]", "severities[0]", "error"),
        ("severities: [info]", "severities[0]", "digest"),
        ("severities: []", "severities", ""),
        ("kinds: [table_bloat], except_kinds: [table_bloat]", "except_kinds[0]", ""),
        ("databases: [Shop]", "databases[0]", ""),
        ("severity: [warn]", "severity", "severities"),
        ("kinds: table_bloat", "kinds", ""),
    ],
)
def test_option_of_a_sink_that_is_wrong_is_refused_where_it_stands(
    tmp_path: Path, options: str, key: str, hint: str
) -> None:
    found = problem(tmp_path, sinks(options))
    assert (found.line, found.key) == (4, f"alerts.sinks[0].{key}")
    assert hint in found.hint


@pytest.mark.parametrize(
    ("quiet", "key"),
    [
        ("['* 25 * * *']", "alerts.quiet[0]"),
        ("['* * * * *']", "alerts.quiet[0]"),
        ("['* 0-11 * * *', '*/1 12-23 * * *']", "alerts.quiet[1]"),
        ("'* 22-23 * * *'", "alerts.quiet"),
    ],
)
def test_quiet_hours_are_crons_that_leave_some_of_the_day(
    tmp_path: Path, quiet: str, key: str
) -> None:
    assert problem(tmp_path, sinks("", quiet=quiet)).key == key
    written = sinks("", quiet="['*  22-23 * * *', '* * * * sat,sun']", escalate_after="4 hours")
    alerts = load_policy(write(tmp_path, written)).alerts
    assert alerts.quiet == ("* 22-23 * * *", "* * * * sat,sun")
    assert alerts.escalate_after == timedelta(hours=4)


def test_example_of_the_readme_is_a_policy(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    (example,) = re.findall(r"```yaml\n(alerts:.*?)```", readme, re.DOTALL)
    chat, pager, review = load_policy(write(tmp_path, DATABASE + example)).alerts.sinks
    assert [each.takes_only_errors for each in (chat, pager, review)] == [False, True, False]
    assert review.takes_kind("shop", FindingKind.INDEX_UNUSED)


def test_target_of_an_unknown_query_is_told_with_its_near_miss(tmp_path: Path) -> None:
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries" / "login.sql").write_text("SELECT a FROM t")
    text = DATABASE + "indexes:\n  queries: queries\n  targets: {logn: 50 ms}\n"
    found = problem(tmp_path, text)
    assert (found.key, found.found) == ("indexes.targets", "logn")
    assert named(found.hint, "login") == {"login"}
