"""The calendars of the example policies over two months, with a fast clock.

From the middle of February: the two months have a change to summer time in America and in Europe.
"""

import calendar as months
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
import yaml
from dagster._utils.schedules import cron_string_iterator

from maintenance.engine.findings import FindingKind
from maintenance.orchestration.partitions_defs import keys_ahead
from maintenance.orchestration.run_mode import Mode
from maintenance.periods import Interval, period_of
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.approve import approve
from maintenance.policy import load_policy
from tests.builders import ROOT, Database
from tests.calendars import DAY, Calendar, Tick, make_calendar, next_february
from tests.declared import SYSTEMS, declared, schema
from tests.example_systems import make_partitions
from tests.policies import CREATE_EVENTS, EVENTS, write_policy

slow = pytest.mark.slow
START = next_february(datetime.now(UTC))
END = START.replace(month=4)
DAYS = [START.date() + n * DAY for n in range(1, (END - START).days + 1)]
SUNDAY = months.SUNDAY
SUNDAYS_OF_MARCH = [day for day in DAYS if day.month == 3 and day.weekday() == SUNDAY]
CHANGES = (SUNDAYS_OF_MARCH[1], SUNDAYS_OF_MARCH[-1])
"""The changes to summer time in America and in Europe; the weekly review is on Sundays too."""


def at(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)


def on(wanted: Callable[[date], bool], hour: int) -> list[datetime]:
    """The moments of an hour on some of the days."""
    return [at(day, hour) for day in DAYS if wanted(day)]


def hourly() -> list[datetime]:
    return [START + n * timedelta(hours=1) for n in range(1, (END - START).days * 24 + 1)]


def every_night(hour: int) -> list[datetime]:
    return on(lambda _: True, hour)


DAILY = {"nightly": every_night(2), "digest": every_night(6)}
REVIEW = {"weekly_review": on(lambda day: day.weekday() == SUNDAY, 4)}
MONTHLY = {"monthly_partitions": on(lambda day: day.day == 20, 1)}
RETENTION = {"retention": on(lambda day: day.day == 2, 3)}
CALENDARS: dict[str, dict[str, list[datetime]]] = {
    "unpuzzle": {**DAILY, **REVIEW},
    "lms": {**DAILY, **REVIEW},
    "nova": {
        **DAILY,
        **REVIEW,
        **MONTHLY,
        "monthly_partitions_posts": MONTHLY["monthly_partitions"],
    },
    "learning_platform": {
        **DAILY,
        **REVIEW,
        **MONTHLY,
        **RETENTION,
        "refresh_hourly_at_00": hourly(),
    },
    "proposals": {**DAILY, **REVIEW, **MONTHLY, **RETENTION},
}
"""When each job is due, by system; the end included."""


@pytest.fixture
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The time zone of the machine."""
    before = os.environ.get("TZ")
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    if before is None:
        monkeypatch.delenv("TZ")
    else:
        monkeypatch.setenv("TZ", before)
    time.tzset()


@pytest.mark.parametrize("zone", ["America/New_York", "Europe/Berlin"], indirect=True)
@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("system", SYSTEMS)
def test_every_job_is_due_on_its_days_once(system: str, instance: dg.DagsterInstance) -> None:
    calendar = Calendar(ROOT / "policies" / f"{system}.yaml", instance, START)
    due = Counter(calendar.ticks(END))
    assert set(due.values()) == {1}
    found: dict[str, list[datetime]] = {name: [] for name in calendar.schedules}
    for tick in due:
        found[tick.schedule].append(tick.at)
    assert found == {f"{system}_{job}": ticks for job, ticks in CALENDARS[system].items()}
    for name, schedule in calendar.schedules.items():
        cron, tz = str(schedule.cron_schedule), schedule.execution_timezone
        ticks = cron_string_iterator(START.timestamp() + 1, cron, tz)
        assert [next(ticks) for _ in found[name]] == found[name]
        assert next(ticks) > END


@pytest.mark.parametrize("system", SYSTEMS)
def test_first_and_last_tick_of_a_job_request_its_run(
    system: str, instance: dg.DagsterInstance
) -> None:
    policy = load_policy(ROOT / "policies" / f"{system}.yaml")
    calendar = Calendar(policy.path, instance, START)
    tables = dict(zip(_monthly_of(system), policy.partitions, strict=False))
    for job, due in CALENDARS[system].items():
        for moment in (due[0], due[-1]):
            (request,) = calendar.requests(Tick(moment, f"{system}_{job}"))
            if job in tables:
                keys = keys_ahead(tables[job], moment)
                this = period_of(moment.date(), Interval.MONTH)
                assert keys == [this.shift(n).key for n in range(4)]
                assert {keys[0], keys[-1]} <= set(request.tags.values())
            if job == "retention":
                (given,) = request.run_config["ops"].values()
                assert given["config"]["mode"] == Mode.APPLY.name


def _monthly_of(system: str) -> list[str]:
    return [job for job in CALENDARS[system] if job.startswith("monthly")]


# Carried out


class Copy:
    """A copy of the policies of the repository, whose parts can be changed."""

    def __init__(self, folder: Path, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.database = database
        self.monkeypatch = monkeypatch

    def policy(self, system: str, **changed: Any) -> Path:
        """Write a policy of the repository with other sections; None takes one out."""
        shutil.copytree(ROOT / "sql", self.folder / "sql", dirs_exist_ok=True)
        document = yaml.safe_load((ROOT / "policies" / f"{system}.yaml").read_text())
        for section, content in {"store": {"keep": "3 years"}, **changed}.items():
            if isinstance(content, dict):
                document[section] = {**(document.get(section) or {}), **content}
            else:
                document[section] = content
        document = {name: content for name, content in document.items() if content is not None}
        path = self.folder / "policies" / f"{system}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        load_policy(path)
        self.monkeypatch.setenv(f"{system.upper()}_URL", self.database.url)
        with self.database.connect() as connection:
            connection.execute(schema(system).encode())
        return path


@pytest.fixture
def copy(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Copy:
    return Copy(tmp_path, database, monkeypatch)


def month(offset: int) -> str:
    """The key of a month, counted from that of the start."""
    return period_of(START.date(), Interval.MONTH).shift(offset).key


EVENTS_OF_MONTHS = """
INSERT INTO public.analytics_events (id, event_type, data, "timestamp")
SELECT n || '', 'course_viewed', '{}', m + interval '3 days'
FROM generate_series(%s::timestamptz, %s::timestamptz, interval '1 month') AS m,
  generate_series(1, 3) AS n
"""
MONTHS = """
SELECT to_char(lower, 'YYYY-MM') FROM (
  SELECT substring(pg_get_expr(relpartbound, oid) FROM 'FROM \\(''([^'']+)')::timestamptz AS lower
  FROM pg_class WHERE relispartition AND relkind = 'r' AND relname LIKE 'analytics_events%'
) AS p ORDER BY 1
"""
USERS = "INSERT INTO public.users (id, email, is_active) SELECT n || '', n || '@example.org', true"


@pytest.mark.pg("== 18")
def test_two_months_of_the_learning_platform(
    copy: Copy, database: Database, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Months are ahead, expired ones in the archive and gone, views fresh, indexes observed."""
    views = quiet_views("learning_platform")
    path = copy.policy("learning_platform", redis=None, matviews=views, workload=None)
    with database.connect() as connection:
        make_partitions(connection, "analytics_events", START, 26)
    first = START.replace(day=1, hour=0)
    oldest = datetime.fromisoformat(f"{month(-25)}-01T00:00+00:00")
    database.execute(EVENTS_OF_MONTHS, [oldest, first])
    calendar = make_calendar(path, instance, START, monkeypatch)
    policy = load_policy(path)
    pipeline.apply(policy, only=["partitions", "matviews"])
    approve(policy)
    assert months_of(database) == [month(n) for n in range(-25, 4)]

    chosen = {
        **MONTHLY,
        **RETENTION,
        "refresh_hourly_at_00": [at(DAYS[40], 12)],
        "nightly": [at(DAYS[-1], 2)],
        "weekly_review": REVIEW["weekly_review"][2:3],
    }
    expected = {
        Tick(moment, f"learning_platform_{job}") for job in chosen for moment in chosen[job]
    }
    database.execute(f"{USERS} FROM generate_series(1, 10) n")
    calendar.carry_out(END, expected.__contains__)
    assert [Tick(each.at, each.job) for each in calendar.done] == sorted(expected)
    # 24 months are kept: in April that is from the April two years before on.
    assert months_of(database) == [month(n) for n in range(-22, 6)]
    archived = {each.name for each in (path.parent / "archive").glob("*/*/*") if each.is_dir()}
    assert archived == {month(n) for n in (-25, -24, -23)}
    assert len(list((path.parent / "archive").glob("*/*/*/manifest.json"))) == 3
    views = "SELECT count(*) FROM public.mv_user_learning_summary"
    assert database.execute(views) == database.execute("SELECT count(*) FROM public.users")
    done = "SELECT DISTINCT kind FROM maintenance.journal ORDER BY 1"
    assert {"archive_partition", "drop_partition"} <= {kind for (kind,) in database.execute(done)}


def quiet_views(system: str) -> list[dict[str, Any]]:
    """The views of a policy of the repository, without the keys of its cache."""
    document = yaml.safe_load((ROOT / "policies" / f"{system}.yaml").read_text())
    views = document.get("matviews", ())
    return [{k: v for k, v in each.items() if k != "invalidates"} for each in views]


def months_of(database: Database) -> list[str]:
    return [key for (key,) in database.execute(MONTHS)]


INDEXES = "SELECT indexname FROM pg_indexes WHERE schemaname = 'public'"
WAVES = {"unpuzzle": {1: 0, 2: 5, 3: 10}, "proposals": {1: 0, 2: 14, 3: 21}}
"""Days from the start at which the waves of a plan begin: five days each; week 1, 3 and 4."""


@pytest.mark.pg("== 18")
@pytest.mark.parametrize("system", ["unpuzzle", pytest.param("proposals", marks=slow)])
def test_waves_are_rolled_out_on_their_dates(
    system: str,
    copy: Copy,
    database: Database,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begin = DAYS[16]
    waves = {number: begin + days * DAY for number, days in WAVES[system].items()}
    changes: dict[str, Any] = {"waves": waves}
    only = {"redis": None, "matviews": None, "workload": None}
    schedules = {"index_rollout": "30 3 * * *"}
    path = copy.policy(system, indexes=changes, schedules=schedules, **only)
    calendar = make_calendar(path, instance, START, monkeypatch)
    missing = {each.name: each.annotations for each in declared(system) if each.creates}
    job, days = f"{system}_index_rollout", [begin - DAY]
    days += [waves[1], waves[2] - DAY, waves[2], waves[3]]

    # what is there at the first tick of each day, before the rollout
    there = dict[date, set[str]]()

    def matters(tick: Tick) -> bool:
        if tick.at.date() not in there:
            there[tick.at.date()] = {n for (n,) in database.execute(INDEXES)} & missing.keys()
        return tick.schedule == job and tick.at.date() in days

    calendar.carry_out(END, matters)
    assert [each.at for each in calendar.done] == [
        at(day, 3) + timedelta(minutes=30) for day in days
    ]
    for day in days[1:]:
        begun = {number for number, first in waves.items() if first <= day}
        expected = {name for name, notes in missing.items() if int(notes["wave"]) in begun}
        assert there[day + DAY] == expected, day
    assert there[begin] == set()


LMS = """
INSERT INTO public.courses (id, slug, title, "instructorId")
  SELECT n || '', n || '', 'A course', '1' FROM generate_series(1, 200) AS n;
INSERT INTO public.media (id, type, provider)
  SELECT n || '', 'video', 'mux' FROM generate_series(1, 200) AS n
"""
BULK = """
INSERT INTO public.enrollments (id, "userId", "courseId")
  SELECT n || '', n || '', '1' FROM generate_series(1, 3000) AS n;
UPDATE public.enrollments SET status = 'COMPLETED';
INSERT INTO public.course_progress (id, "userId", "courseId")
  SELECT n || '', n || '', '1' FROM generate_series(1, 500) AS n
"""
KEPT_UP = """
SELECT relname, analyze_count, vacuum_count FROM pg_catalog.pg_stat_user_tables
WHERE schemaname = 'public' AND analyze_count + vacuum_count > 0
"""


@pytest.mark.pg("== 18")
def test_bulk_load_of_lms_is_vacuumed_and_analyzed_the_night_after(
    copy: Copy, database: Database, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = copy.policy("lms")
    for table in ("courses", "media", "enrollments", "course_progress"):
        database.execute(f"ALTER TABLE public.{table} SET (autovacuum_enabled = false)")
    load(database, LMS)
    calendar = make_calendar(path, instance, START, monkeypatch)
    statistics = dg.RunRequest(asset_selection=[dg.AssetKey(["lms", "statistics"])])

    def night(day: date) -> dict[str, tuple[int, int]]:
        tag = {"dagster/schedule_name": "lms_nightly"}
        calendar.run("lms_nightly", at(day, 2), statistics, **tag)
        return {name: (analyzed, vacuumed) for name, analyzed, vacuumed in rows()}

    def rows() -> list[tuple[Any, ...]]:
        return database.execute(KEPT_UP)

    before = {"courses": (1, 0), "media": (1, 0)}
    assert night(DAYS[0]) == before
    load(database, BULK)
    after = {**before, "enrollments": (1, 1), "course_progress": (1, 0)}
    assert night(DAYS[1]) == after
    assert night(DAYS[2]) == after


def load(database: Database, statements: str) -> None:
    with database.connect() as connection:
        connection.execute(statements.encode())


BOUNDS = """
SELECT extract(epoch FROM b[2]::timestamptz - b[1]::timestamptz) / 3600, b[1]::timestamptz
FROM pg_class, LATERAL regexp_match(
  pg_get_expr(relpartbound, oid), 'FROM \\(''([^'']+)''\\) TO \\(''([^'']+)''\\)') AS b
WHERE relispartition AND relkind = 'r' AND relname LIKE 'events%' ORDER BY 2
"""


@pytest.mark.pg("== 18")
def test_days_of_new_york_are_whole_around_the_change_to_summer_time(
    database: Database,
    tmp_path: Path,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    change = CHANGES[0]
    database.execute(CREATE_EVENTS)
    daily = {"interval": "1 day", "time_zone": "America/New_York", "premake": 2}
    section = {**EVENTS, **daily, "start": str(change - 2 * DAY)}
    path = write_policy(tmp_path, database.url, section, store={"keep": "3 years"}, statistics={})
    calendar = make_calendar(path, instance, at(change - 2 * DAY, 12), monkeypatch)
    inventory = dg.RunRequest(asset_selection=[dg.AssetKey(["app", "partition_inventory"])])
    for day in (change - DAY, change, change + DAY):
        calendar.run("app_nightly", at(day, 2), inventory)
    found = database.execute(BOUNDS)
    assert [hours for hours, _ in found] == [24, 24, 23, 24, 24]
    assert [lower.astimezone(ZoneInfo("America/New_York")).date() for _, lower in found] == [
        change + n * DAY for n in range(-2, 3)
    ]


def differs(day: date) -> bool:
    """Return whether a day differs from the one before: in what is due, there or the clock.

    On the 1st a month begins, on the 2nd retention is due, the 3rd is the first night after it, on
    the 20th months are made.
    """
    return day in (DAYS[0], *CHANGES, DAYS[-1]) or day.day in (1, 2, 3, 20)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.pg("== 18")
@pytest.mark.parametrize("system", ["learning_platform", "proposals", "lms"])
def test_every_night_is_carried_out_that_differs_from_the_one_before(
    system: str,
    copy: Copy,
    database: Database,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every run of such a day, but of hourly ones only that of noon; none fails."""
    views = quiet_views(system)
    changed: dict[str, Any] = {"redis": None, **({"matviews": views} if views else {})}
    path = copy.policy(system, **changed)
    calendar = make_calendar(path, instance, START, monkeypatch)
    policy = load_policy(path)
    pipeline.apply(policy, only=["partitions", "matviews"])

    def matters(tick: Tick) -> bool:
        return differs(tick.at.date()) and ("refresh" not in tick.schedule or tick.at.hour == 12)

    expected = sorted(
        tick
        for job, ticks in CALENDARS[system].items()
        for tick in (Tick(moment, f"{system}_{job}") for moment in ticks)
        if matters(tick)
    )
    jobs = {tick.schedule.removeprefix(f"{system}_") for tick in expected}
    assert jobs == CALENDARS[system].keys(), "each job is due on one of these days"
    calendar.carry_out(END, matters)
    assert sorted(Tick(each.at, each.job) for each in calendar.done) == expected
    findings = pipeline.plan(policy).findings
    short = {FindingKind.PARTITION_HORIZON_SHORT, FindingKind.PARTITION_GAP}
    assert not [each for each in findings if each.kind in short]
