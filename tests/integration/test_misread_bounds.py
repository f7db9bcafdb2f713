"""A policy that misreads a table's bounds costs no row, whichever way it is carried out."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from maintenance.cli.commands import cli
from maintenance.engine.findings import FindingKind, Severity
from maintenance.partition_key import Encoding, KeyCodec, KeyEncoding, Snowflake
from maintenance.periods import Interval, Period, period_of
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.run import Report
from maintenance.policy import load_policies
from tests.builders import Database
from tests.policies import write_policy

pytestmark = [pytest.mark.pg("== 16"), pytest.mark.store]

UTC_ZONE = ZoneInfo("UTC")
DISCORD = Snowflake(datetime(2015, 1, 1, tzinfo=UTC), 22)
WRITTEN_DISCORD = {"snowflake": {"epoch": "2015-01-01", "shift": 22}}
EVENTS = {"table": "public.events", "column": "at"}


def period(offset: int = 0, interval: Interval = Interval.MONTH) -> Period:
    return period_of(datetime.now(UTC).date(), interval).shift(offset)


def around_now(
    behind: int = 3, ahead: int = 1, interval: Interval = Interval.MONTH
) -> list[Period]:
    return [period(n, interval) for n in range(-behind, ahead + 1)]


def add_partitions(
    database: Database, encoding: KeyEncoding, periods: Sequence[Period], key: str, name: str
) -> None:
    """Add partitions with a row in each that has begun; their names tell no period."""
    type_ = {"timestamptz": "timestamp with time zone"}.get(key, key)
    codec = KeyCodec(encoding, type_, UTC_ZONE)
    for number, each in enumerate(periods):
        lower, upper = map(codec.literal, each.bounds(UTC_ZONE))
        database.execute(
            f"CREATE TABLE public.{name}{number} PARTITION OF public.events"
            f" FOR VALUES FROM ({lower}) TO ({upper})"
        )
        if each <= period(0, each.interval):
            database.execute(f"INSERT INTO public.events VALUES ({lower})")


def make_table(
    database: Database, encoding: KeyEncoding, periods: Sequence[Period], key: str = "bigint"
) -> None:
    database.execute(f"CREATE TABLE public.events (at {key} NOT NULL) PARTITION BY RANGE (at)")
    add_partitions(database, encoding, periods, key, "part")


def state(database: Database) -> tuple[Any, ...]:
    """All partitions with their bounds, and all rows."""
    bounds = database.execute(
        "SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i"
        " JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = 'public.events'::regclass ORDER BY 1"
    )
    return (*bounds, *database.execute("SELECT at FROM public.events ORDER BY at"))


def file_of(database: Database, folder: Path, **keys: Any) -> Path:
    retention = {"keep": "2 months", "action": "drop", **keys.pop("retention", {})}
    return write_policy(folder, database.url, {**EVENTS, "retention": retention, **keys})


def apply(file: Path, **options: Any) -> Report:
    ((policy,), _) = load_policies([file]).loaded, None
    return pipeline.apply(policy, **options)


def call(*arguments: object, exits: int = 1) -> Any:
    result = CliRunner().invoke(cli, [*map(str, arguments), "--json"])
    assert result.exit_code == exits, result.output
    return json.loads(result.stdout)


MISREAD = [
    pytest.param(Encoding.EPOCH_S, "epoch_ms", "epoch_s", id="seconds as milliseconds"),
    pytest.param(Encoding.EPOCH_MS, "epoch_us", "epoch_ms", id="milliseconds as microseconds"),
    pytest.param(Encoding.EPOCH_MS, "epoch_s", "epoch_ms", id="milliseconds as seconds"),
    pytest.param(Encoding.EPOCH_US, "epoch_ms", "epoch_us", id="microseconds as milliseconds"),
    pytest.param(Encoding.YYYYMM, "epoch_s", "yyyymm", id="months as seconds"),
    pytest.param(Encoding.YYYYMMDD, "epoch_s", "yyyymmdd", id="days as seconds"),
    pytest.param(Encoding.EPOCH_S, WRITTEN_DISCORD, "epoch_s", id="seconds as snowflakes"),
    pytest.param(
        DISCORD, "epoch_us", "{snowflake: {epoch: 2015-01-01, shift: 22}}", id="snowflakes"
    ),
]


@pytest.mark.parametrize(("encoding", "written", "fits"), MISREAD)
def test_bounds_of_another_encoding_stop_the_table_and_name_what_fits(
    database: Database, tmp_path: Path, encoding: KeyEncoding, written: Any, fits: str
) -> None:
    make_table(database, encoding, around_now())
    before = state(database)
    file = file_of(database, tmp_path, encoding=written)
    for _ in range(2):
        report = apply(file)
        assert report.plan.actions == ()
        (finding,) = report.findings
        assert finding.kind is FindingKind.PARTITION_KEY_MISMATCH
        assert finding.severity is Severity.ERROR
        assert finding.object == "public.events"
        assert (finding.data["encoding"], finding.data["interval"]) == (fits, "1 month")
    assert state(database) == before


def test_misread_table_is_served_by_no_command_and_the_others_are(
    database: Database, tmp_path: Path
) -> None:
    make_table(database, Encoding.EPOCH_S, around_now())
    database.execute("CREATE TABLE public.other (at timestamptz) PARTITION BY RANGE (at)")
    before = state(database)
    archive = {"action": "archive_then_drop", "archive": {"url": "./archive"}}
    retention = {"keep": "2 months", "max_per_run": 100, **archive}
    file = write_policy(
        tmp_path,
        database.url,
        {**EVENTS, "encoding": "epoch_ms", "retention": retention},
        {"table": "public.other", "column": "at"},
    )
    current = period().key
    for arguments in (
        ["apply", "--table", "public.events", "--period", current],
        ["apply", "--only", "retention", "--table", "public.events"],
        ["check"],
        ["plan", "--only", "retention", "--out", tmp_path / "saved.json"],
        ["apply", "--plan", tmp_path / "saved.json"],
    ):
        result = CliRunner().invoke(cli, [*map(str, arguments), "--policy", str(file)])
        assert "partition_key_mismatch" in result.output, arguments
        assert result.exit_code == 1, arguments
    assert state(database) == before
    report = apply(file)
    assert {result.action.table for result in report.results} == {"public.other"}
    assert state(database) == before


def test_plan_saved_by_a_policy_that_fits_is_refused_once_it_misreads(
    database: Database, tmp_path: Path
) -> None:
    make_table(database, Encoding.EPOCH_S, around_now(behind=6))
    file = file_of(database, tmp_path, encoding="epoch_s")
    saved = tmp_path / "saved.json"
    planned = call("plan", "--only", "retention", "--out", saved, "--policy", file, exits=0)
    assert "drop_partition" in {action["kind"] for action in planned["actions"]}
    before = state(database)
    file_of(database, tmp_path, encoding="epoch_ms")
    answer = call("apply", "--plan", saved, "--policy", file)
    assert {action["outcome"] for action in answer["actions"]} == {"refused"}
    assert state(database) == before


def test_archive_is_not_attached_to_a_misread_table_and_can_stand_alone(
    database: Database, tmp_path: Path
) -> None:
    make_table(database, Encoding.EPOCH_S, around_now(behind=6))
    archive = {"action": "archive_then_drop", "archive": {"url": "./archive"}}
    assert apply(file_of(database, tmp_path, encoding="epoch_s", retention=archive)).ok
    file = file_of(database, tmp_path, encoding="epoch_ms", retention=archive)
    before = state(database)
    asked = ["restore", "--table", "public.events", "--period", period(-6).key, "--policy", file]
    result = CliRunner().invoke(cli, [*map(str, asked)])
    assert result.exit_code == 1, result.output
    assert "--as" in result.output
    assert state(database) == before
    call(*asked, "--as", "public.back", exits=0)
    assert database.execute("SELECT count(*) FROM public.back") == [(1,)]


def test_partitions_that_a_wrong_policy_made_stop_the_right_one_too(
    database: Database, tmp_path: Path
) -> None:
    make_table(database, Encoding.EPOCH_S, around_now(behind=6))
    add_partitions(database, Encoding.EPOCH_MS, [period(2), period(3)], "bigint", "wrong")
    before = state(database)
    report = apply(file_of(database, tmp_path, encoding="epoch_s"))
    (finding,) = report.findings
    assert finding.kind is FindingKind.PARTITION_KEY_MISMATCH
    assert finding.data["partitions"] == ["public.wrong0", "public.wrong1"]
    assert (report.plan.actions, state(database)) == ((), before)
    database.execute("DROP TABLE public.wrong0, public.wrong1")
    assert {"create_partition", "drop_partition"} <= {
        result.action.kind.value
        for result in apply(file_of(database, tmp_path, encoding="epoch_s")).results
    }


WRONG_INTERVALS = [
    pytest.param(Interval.MONTH, "1 day", id="months as days"),
    pytest.param(Interval.DAY, "1 month", id="days as months"),
    pytest.param(Interval.WEEK, "1 month", id="weeks as months"),
    pytest.param(Interval.YEAR, "1 month", id="years as months"),
]


@pytest.mark.parametrize(("interval", "written"), WRONG_INTERVALS)
@pytest.mark.parametrize(
    ("encoding", "key"), [(Encoding.NATIVE, "timestamptz"), (Encoding.EPOCH_MS, "bigint")]
)
def test_partitions_of_another_interval_stop_the_table_until_one_has_the_policys(
    database: Database,
    tmp_path: Path,
    interval: Interval,
    written: str,
    encoding: Encoding,
    key: str,
) -> None:
    make_table(database, encoding, around_now(interval=interval), key)
    before = state(database)
    file = file_of(database, tmp_path, encoding=encoding.value, interval=written)
    report = apply(file)
    (finding,) = report.findings
    assert finding.kind is FindingKind.PARTITION_KEY_MISMATCH
    assert finding.data["interval"] == interval.value
    assert state(database) == before
    far = period_of(datetime(2031, 1, 1).date(), Interval(written))  # noqa: DTZ001
    add_partitions(database, encoding, [far], key, "first")
    served = {finding.kind for finding in apply(file).findings}
    assert FindingKind.PARTITION_KEY_MISMATCH not in served


@pytest.mark.parametrize("step", [100_000, 1_000_000, 2_500_000, 50_000_000])
def test_numbers_are_no_time(database: Database, tmp_path: Path, step: int) -> None:
    database.execute("CREATE TABLE public.events (at bigint NOT NULL) PARTITION BY RANGE (at)")
    for n in range(10):
        database.execute(
            f"CREATE TABLE public.part{n} PARTITION OF public.events"
            f" FOR VALUES FROM ({n * step}) TO ({(n + 1) * step})"
        )
    before = state(database)
    for encoding in ("epoch_s", "epoch_ms", "epoch_us", "yyyymm", "yyyymmdd", WRITTEN_DISCORD):
        report = apply(file_of(database, tmp_path, encoding=encoding))
        (finding,) = report.findings
        assert finding.kind is FindingKind.PARTITION_KEY_MISMATCH, encoding
        assert state(database) == before


def test_partition_that_took_rows_since_the_last_look_stays(
    database: Database, tmp_path: Path
) -> None:
    make_table(database, Encoding.NATIVE, around_now(behind=6), "timestamptz")
    kept = file_of(database, tmp_path, retention={"keep": "24 months"})
    assert apply(kept).ok
    first = file_of(database, tmp_path, retention={"max_per_run": 1})
    assert apply(first).ok  # part0 goes, and the others that are due are counted
    database.execute(f"INSERT INTO public.part2 VALUES ('{period(-4).start}')")
    file = file_of(database, tmp_path, retention={"max_per_run": 9})
    report = apply(file)
    gone = {result.action.object for result in report.results}
    assert gone == {"public.part1", "public.part3"}
    assert database.execute("SELECT count(*) FROM public.part2") == [(2,)]
    (finding,) = [f for f in report.findings if f.kind is FindingKind.RETENTION_DUE]
    assert finding.severity is Severity.WARN
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert {r.action.object for r in apply(file, now=tomorrow).results} >= {"public.part2"}


def test_first_run_that_would_leave_no_row_retires_nothing(
    database: Database, tmp_path: Path
) -> None:
    old = [period(n) for n in range(-30, -24)]
    make_table(database, Encoding.NATIVE, old, "timestamptz")
    rows = database.execute("SELECT count(*) FROM public.events")
    file = file_of(database, tmp_path, retention={"max_per_run": 100})
    for _ in range(3):  # the second and third see the empty partitions that the first has made
        report = apply(file)
        (fuse,) = [f for f in report.findings if f.kind is FindingKind.RETENTION_FUSE]
        assert (fuse.severity, fuse.data["everything"]) == (Severity.WARN, True)
        assert database.execute("SELECT count(*) FROM public.events") == rows
    database.execute("INSERT INTO public.events VALUES (now())")
    assert apply(file).ok
    assert database.execute("SELECT count(*) FROM public.events") == [(1,)]


def test_second_run_archives_and_drops_what_the_plan_warned_of(
    database: Database, tmp_path: Path
) -> None:
    old = [period(n) for n in range(-30, -24)]
    make_table(database, Encoding.NATIVE, old, "timestamptz")
    archive = {"action": "archive_then_drop", "archive": {"url": "./archive"}, "max_per_run": 4}
    file = file_of(database, tmp_path, retention=archive)
    ((policy,), _) = load_policies([file]).loaded, None
    found = pipeline.plan(policy).findings
    assert [f.data.get("everything") for f in found if f.kind is FindingKind.RETENTION_FUSE] == [
        True
    ]
    first = apply(file)
    assert {result.action.kind.value for result in first.results} == {"create_partition"}
    warned = [f for f in first.findings if f.kind is FindingKind.RETENTION_FUSE]
    assert [(f.object, f.data["withheld"]) for f in warned] == [("public.events", False)]
    for n_left in (2, 0):  # as many as one run may retire
        report = apply(file)
        assert report.ok
        assert [f for f in report.findings if f.data.get("everything")] == []
        assert database.execute("SELECT count(*) FROM public.events") == [(n_left,)]
    assert len(list((tmp_path / "archive").rglob("manifest.json"))) == len(old)


@pytest.mark.parametrize("key", ["timestamptz", "bigint"])
def test_months_of_a_table_without_a_row_go_since_none_can_be_lost(
    database: Database, tmp_path: Path, key: str
) -> None:
    encoding = Encoding.NATIVE if key == "timestamptz" else Encoding.EPOCH_MS
    make_table(database, encoding, around_now(behind=6), key)
    database.execute("TRUNCATE public.events")
    report = apply(file_of(database, tmp_path, encoding=encoding.value))
    assert report.ok
    gone = {r.action.object for r in report.results if r.action.kind.value == "drop_partition"}
    assert gone == {"public.part0", "public.part1", "public.part2"}
    assert FindingKind.PARTITION_KEY_MISMATCH not in {f.kind for f in report.findings}


KEYS = [
    pytest.param("yyyy", "smallint", "1 year", "YYYY", id="years"),
    pytest.param("yyyymm", "integer", "1 month", "YYYYMM", id="months"),
    pytest.param("yyyymm", "bigint", "3 months", "YYYYMM", id="quarters"),
    pytest.param("yyyymmdd", "integer", "1 week", "YYYYMMDD", id="weeks"),
    pytest.param(WRITTEN_DISCORD, "bigint", "1 month", "", id="snowflakes"),
]


@pytest.mark.parametrize(("encoding", "key", "interval", "digits"), KEYS)
def test_new_encodings_serve_a_table_from_creation_to_restore(
    database: Database, tmp_path: Path, encoding: Any, key: str, interval: str, digits: str
) -> None:
    database.execute(
        f"CREATE TABLE public.events (at {key} NOT NULL, n int) PARTITION BY RANGE (at)"
    )

    def value(each: Period) -> str:
        if digits:
            return f"to_char('{each.start}'::date, '{digits}')::{key}"
        since = f"extract(epoch FROM '{each.start}'::timestamp) * 1000 - 1420070400000"
        return f"(({since})::bigint << 22) + 7"

    length = Interval(interval)
    keys = {"encoding": encoding, "interval": interval, "start": period(-6, length).key}
    file = write_policy(tmp_path, database.url, {**EVENTS, **keys})
    assert apply(file).ok
    assert apply(file).plan.actions == ()
    for n in (-6, -5, 0, 1):
        database.execute(f"INSERT INTO public.events VALUES ({value(period(n, length))}, {n})")
    archive = {"action": "archive_then_drop", "archive": {"url": "./archive"}}
    count, unit = interval.split()
    keep = {"keep": f"{4 * int(count)} {unit.removesuffix('s')}s"}
    del keys["start"]
    file = write_policy(
        tmp_path, database.url, {**EVENTS, **keys, "retention": {**keep, **archive}}
    )
    assert apply(file).ok
    assert database.execute("SELECT n FROM public.events ORDER BY n") == [(0,), (1,)]
    asked = ["--table", "public.events", "--period", period(-6, length).key]
    call("restore", *asked, "--policy", file, exits=0)
    assert database.execute("SELECT n FROM public.events ORDER BY n") == [(-6,), (0,), (1,)]
    assert apply(file).plan.actions == ()
