"""Planning against the workload, and differences of counters: pure."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance.engine.findings import Finding, FindingKind, Reading, Severity
from maintenance.engine.plan import Plan
from maintenance.names import QualifiedName
from maintenance.server.query_text import UNREADABLE, key_of, normalised
from maintenance.subjects.workload.deltas import baselines, windows
from maintenance.subjects.workload.growth import growth
from maintenance.subjects.workload.models import (
    Counts,
    Holder,
    Replica,
    Sample,
    Server,
    Session,
    Standby,
    Statements,
    TableSize,
    WorkloadReading,
    WorkloadSnapshot,
    Wraparound,
)
from tests.snapshots import NOW, a_policy
from tests.snapshots import workload_plan as plan

GB = 2**30
DAY = timedelta(days=1)
SERVER = Server(100, 3, 10, 2, 5, 3, 0, 10**6, 0, 100, 0, "epoch", True, True)
QUERY = "SELECT * FROM orders WHERE id = ?"


def a_session(**changes: Any) -> Session:
    session = Session(
        7, "session", "app", "app", "web", "10.0.0.1", "idle in transaction", 60.0, 60.0, True
    )
    return session._replace(**changes)


def counts(calls: int, mean_ms: float, **changes: Any) -> Counts:
    total = calls * mean_ms
    found = Counts(QUERY, None, calls, total, total * mean_ms, mean_ms, calls, 0, 0, 0.0)
    return found._replace(**changes)


def a_sample(days_ago: float, *statements: Counts, **changes: Any) -> Sample:
    by_key = {key_of(each.text): each for each in statements}
    return Sample(NOW - days_ago * DAY, "reset", 0, by_key)._replace(**changes)


def a_load(*statements: Counts, **changes: Any) -> WorkloadSnapshot:
    server = SERVER._replace(**{k: changes.pop(k) for k in list(changes) if k in Server._fields})
    sample = changes.pop("sample", a_sample(0, *statements))
    load = WorkloadSnapshot(server, (), (), (), (), Statements(sample))
    return replace(load, **changes)


def found(load: WorkloadSnapshot, **section: Any) -> list[Finding]:
    return list(plan(a_policy(workload=section), load, NOW).findings)


def kinds(load: WorkloadSnapshot, **section: Any) -> list[str]:
    return [finding.kind.value for finding in found(load, **section)]


def test_policy_without_the_section_tells_nothing() -> None:
    assert plan(a_policy(), a_load(counts(100, 9e6)), NOW) == Plan()


def test_quiet_server_is_no_finding() -> None:
    assert found(a_load(counts(100, 1.0))) == []


# Connections and transactions


def test_reserved_connections_are_not_usable() -> None:
    full = a_load(n_connections=89, max_connections=100, n_reserved=3)
    assert found(full)[0].value == pytest.approx(89 / 97, abs=0.001)
    assert kinds(a_load(n_connections=87)) == []


def test_limit_of_the_database_counts_where_it_is_nearer() -> None:
    (finding,) = found(a_load(n_ours=10, connection_limit=10))
    assert (finding.value, finding.severity) == (1.0, Severity.ERROR)
    assert (finding.data["taken"], finding.data["usable"]) == (10, 10)
    assert finding.data["is_limited"]
    assert kinds(a_load(n_ours=5, connection_limit=10)) == []


def test_full_server_is_an_error() -> None:
    (finding,) = found(a_load(n_connections=97))
    assert (finding.kind, finding.severity) == (
        FindingKind.CONNECTIONS_SATURATED,
        Severity.ERROR,
    )


def test_who_sits_idle_in_a_transaction_is_named() -> None:
    load = a_load(sessions=(a_session(idle_s=901.0, transaction_s=1000.0),))
    (finding,) = found(load)
    assert finding.kind is FindingKind.IDLE_IN_TRANSACTION
    assert finding.data["sessions"] == [load.sessions[0]._asdict()]
    assert "10.0.0.1" in finding.message
    assert (finding.value, finding.threshold) == (901.0, 900.0)


def test_long_transaction_and_prepared_one_hold_vacuum_back() -> None:
    prepared = a_session(pid=None, what="prepared transaction x", transaction_s=9e3, idle_s=None)
    (finding,) = found(a_load(sessions=(prepared,)))
    assert finding.kind is FindingKind.LONG_TRANSACTION
    assert "prepared transaction x" in finding.message
    (held,) = finding.data["sessions"]
    assert (held["what"], held["holds_snapshot"]) == ("prepared transaction x", True)


@pytest.mark.parametrize(
    ("xids", "multixacts", "severity"),
    [(1.2e9, 0, Severity.WARN), (0, 1.2e9, Severity.WARN), (2.0e9, 0, Severity.ERROR)],
)
def test_oldest_ids_of_any_database_count(
    xids: float, multixacts: float, severity: Severity
) -> None:
    ours = Wraparound("app", True, 10, 10, 200_000_000)
    other = Wraparound("other", False, int(xids), int(multixacts), 200_000_000)
    (finding,) = found(a_load(wraparound=(ours, other)))
    assert (finding.kind, finding.severity) == (FindingKind.WRAPAROUND_RISK, severity)
    assert finding.data["database"] == "other"


def test_who_holds_the_oldest_snapshot_is_named_where_ids_run_out() -> None:
    holders = (
        Holder("slot", "left", None, None, None, 9 * 10**6),
        Holder("session", "web", 7, "app", "web", 5),
    )
    ours = Wraparound("app", True, int(1.2e9), 0, 200_000_000)
    (finding,) = found(a_load(wraparound=(ours,), holders=holders))
    assert finding.data["holders"] == [each._asdict() for each in holders]
    slot, session = finding.message.find("left"), finding.message.find("pid 7")
    assert 0 < slot < session, "the worst first"


def test_slot_that_holds_on_to_an_old_snapshot_is_told() -> None:
    holders = (
        Holder("slot", "left", None, None, None, 10**7 + 1),
        Holder("session", "web", 7, "app", "web", 10**7 + 1),
        Holder("standby", "b", 8, "app", "b", 10**7),
    )
    (finding,) = found(a_load(holders=holders))
    assert (finding.kind, finding.object) == (FindingKind.LONG_TRANSACTION, "app/slot/left")


def test_slot_that_nobody_reads_and_lost_one_are_told() -> None:
    replicas = (
        Replica("standby", "a", "streaming", 10, 0.1),
        Replica("slot", "b", "not in use, extended", 2 * GB, None),
        Replica("slot", "c", "not in use, lost", None, None),
        Replica("slot", "d", "not in use, reserved", None, None),
    )
    findings = found(a_load(replicas=replicas))
    assert [f.object for f in findings] == ["app/slot/b", "app/slot/c"]


# Rates and growth


def a_look(**changes: Any) -> WorkloadReading:
    look = WorkloadReading(NOW - DAY, "epoch", 10**6 - 9000, -1000, None)
    return look._replace(**changes)


def test_buffer_hit_rate_is_a_difference() -> None:
    load = a_load(looks=(a_look(),), blocks_read=0)
    assert kinds(load) == ["buffer_hit_rate_low"]
    assert found(load)[0].value == 0.9


@pytest.mark.parametrize(
    "changes",
    [{"epoch": "another"}, {"blocks_hit": 2 * 10**6}, {"blocks_hit": 10**6}, {"blocks_read": 5}],
    ids=["restarted", "backwards", "hardly used", "reads backwards"],
)
def test_counters_that_can_not_be_compared_give_no_rate(changes: dict[str, Any]) -> None:
    assert kinds(a_load(looks=(a_look(**changes),), blocks_read=0)) == []


EVENTS = QualifiedName("public", "events")


def test_table_that_grows_too_fast_is_told_with_a_forecast() -> None:
    sizes = (TableSize(EVENTS, 12, 13 * GB, None),)
    looks = [(NOW - 7 * DAY, 10 * GB), (NOW - 3.5 * DAY, 11.5 * GB)]
    (finding,) = found(a_load(sizes=sizes, sizes_before={"public.events": looks}))
    assert (finding.kind, finding.severity) == (FindingKind.DISK_GROWTH, Severity.WARN)
    assert finding.value == pytest.approx(0.3)
    assert finding.data["n_partitions"] == 12
    assert finding.data["in_a_month_bytes"] == pytest.approx(13 * GB + 3 * GB * 30 / 7, rel=0.01)


def test_growth_between_two_looks_may_be_a_load_and_is_only_information() -> None:
    sizes = (TableSize(EVENTS, 12, 13 * GB, None),)
    before = {"public.events": [(NOW - 7 * DAY, 10 * GB)]}
    (finding,) = found(a_load(sizes=sizes, sizes_before=before))
    assert (finding.kind, finding.severity) == (FindingKind.DISK_GROWTH, Severity.INFO)
    assert finding.value == pytest.approx(0.3)
    assert finding.data["n_looks"] == 2


def nightly_sizes(value: Callable[[int], float]) -> list[tuple[datetime, int]]:
    return [(NOW - ago * DAY, round(value(ago) * GB)) for ago in range(35, 0, -1)]


def test_load_is_information_for_a_week_and_then_nothing() -> None:
    def told(days_ago: int) -> list[Finding]:
        before = nightly_sizes(lambda ago: 1.0 if ago >= days_ago else 2.1)
        sizes = (TableSize(EVENTS, 0, round(2.1 * GB), None),)
        looks = tuple(a_look(taken_at=at, size_bytes=size, epoch="x") for at, size in before)
        load = a_load(sizes=sizes, sizes_before={"public.events": before}, looks=looks)
        return found(replace(load, size_bytes=round(2.1 * GB), free_bytes=40 * GB))

    for days_ago in (1, 2, 7):
        (finding,) = told(days_ago)
        assert (finding.object, finding.severity) == ("public.events", Severity.INFO)
        assert finding.data["load"]["bytes"] == pytest.approx(1.1 * GB, rel=0.001)
        assert finding.data["load"]["is_over"] == (days_ago > 1)
        assert finding.data["bytes_a_week"] == 0
    assert told(33) == []


def test_disk_is_full_by_the_rate_of_the_last_days_where_that_is_higher() -> None:
    before = nightly_sizes(lambda ago: 10 + 2 * max(3 - ago, 0))
    looks = tuple(a_look(taken_at=at, size_bytes=size, epoch="x") for at, size in before)
    (finding,) = found(a_load(looks=looks, size_bytes=16 * GB, free_bytes=35 * GB))
    assert (finding.object, finding.severity) == ("app", Severity.WARN)
    assert finding.data["full_at"].startswith((NOW + 15 * DAY).date().isoformat())
    assert finding.data["earliest"] <= finding.data["full_at"] <= finding.data["latest"]
    (growing,) = found(a_load(looks=looks, size_bytes=16 * GB, free_bytes=900 * GB))
    assert growing.data["bytes_a_week"] == pytest.approx(14 * GB)


def test_looks_that_a_clock_put_into_the_future_are_left_out() -> None:
    before = [(NOW - 7 * DAY, 10 * GB), (NOW + 300 * DAY, 900 * GB), (NOW - 3 * DAY, 10 * GB)]
    grown = growth(before, NOW, 10 * GB)
    assert grown is not None
    assert grown.bytes_a_week == 0


def test_growth_over_a_day_says_nothing_of_a_week() -> None:
    assert growth([(NOW - DAY, 1)], NOW, 10 * GB) is None


def test_small_table_may_double() -> None:
    sizes = (TableSize(EVENTS, 0, 20 * 2**20, None),)
    before = {"public.events": [(NOW - 7 * DAY, 10 * 2**20)]}
    assert found(a_load(sizes=sizes, sizes_before=before)) == []


def test_disk_that_will_be_full_is_told_with_the_day() -> None:
    looks = (a_look(size_bytes=100 * GB, taken_at=NOW - 7 * DAY, epoch="x"),)
    (finding,) = found(a_load(looks=looks, size_bytes=110 * GB, free_bytes=15 * GB))
    assert finding.severity is Severity.WARN
    assert finding.data["full_at"].startswith("2026-11-27T")
    (finding,) = found(a_load(free_bytes=4 * GB))
    assert finding.severity is Severity.ERROR


# Statements


def test_slow_statement_is_told_by_its_window() -> None:
    before = a_sample(1, counts(1000, 10.0))
    now = counts(1010, 10.0)
    now = now._replace(total_ms=1000 * 10.0 + 10 * 1500)
    load = a_load(now, samples=(before,))
    (finding,) = found(load, mean_query="10 hours")
    assert finding.kind is FindingKind.QUERY_SLOW
    assert (finding.value, finding.threshold) == (1500.0, 1000.0)
    assert finding.object == f"app/query/{key_of(QUERY)}"
    assert finding.data["text"] == QUERY
    assert QUERY in finding.message


def history(mean_ms: float, n_days: int = 6, **changes: Any) -> list[Sample]:
    return [
        a_sample(n_days - day, counts(100 * (day + 1), mean_ms, **changes)) for day in range(n_days)
    ]


def after(samples: list[Sample], calls: int, mean_ms: float) -> Counts:
    last = samples[-1].statements[key_of(QUERY)]
    return last._replace(calls=last.calls + calls, total_ms=last.total_ms + calls * mean_ms)


def test_statement_that_got_slower_is_told_against_its_baseline() -> None:
    samples = history(10.0)
    load = a_load(after(samples, 100, 45.0), samples=samples)
    (finding,) = found(load)
    assert finding.kind is FindingKind.QUERY_REGRESSED
    assert (finding.value, finding.threshold) == (4.5, 2.0)


@pytest.mark.parametrize(
    ("samples", "changes"),
    [
        (history(10.0), {"epoch": "another reset"}),
        (history(10.0), {"n_evicted": 3}),
        (history(10.0, n_days=3), {}),
        (history(10.0, since=NOW - 9 * DAY), {"since": NOW - DAY}),
        (history(10.0, since=NOW - 9 * DAY), {"since": None, "n_evicted": 3}),
    ],
    ids=["reset", "evicted", "too little history", "entry began anew", "one of several did"],
)
def test_resets_and_evictions_fake_no_regression(
    samples: list[Sample], changes: dict[str, Any]
) -> None:
    since = {key: changes.pop(key) for key in list(changes) if key == "since"}
    now = a_sample(0, after(samples, 100, 45.0)._replace(**since), **changes)
    assert "query_regressed" not in kinds(a_load(sample=now, samples=samples))


def test_evictions_of_others_hide_no_regression_where_the_server_tells() -> None:
    samples = history(10.0, since=NOW - 9 * DAY)
    now = a_sample(0, after(samples, 100, 45.0), n_evicted=3)
    assert kinds(a_load(sample=now, samples=samples)) == ["query_regressed"]


def test_second_entry_of_a_statement_does_not_make_its_history_a_window() -> None:
    samples = history(10.0, since=NOW - 9 * DAY)
    now = a_sample(0, after(samples, 100, 10.0)._replace(since=None))
    (window,) = windows(samples[-1], now)
    assert window.calls == 100


def test_one_row_at_a_time_very_often_is_suspected() -> None:
    baseline = a_sample(1, unseen_ms=0.0)
    heavy = counts(1000, 200.0, text="SELECT * FROM orders")
    (finding,) = found(a_load(counts(50_000, 0.1), heavy, samples=(baseline,)))
    assert (finding.kind, finding.severity) == (FindingKind.QUERY_N_PLUS_ONE, Severity.INFO)
    assert finding.data["time_share"] == pytest.approx(0.0244, abs=0.0001)
    many_rows = counts(50_000, 0.1, n_rows=10**6)
    assert kinds(a_load(many_rows, samples=(baseline,))) == []


SUMMARY = "SELECT status, count(*) FROM orders WHERE tenant = ? GROUP BY status"


@pytest.mark.parametrize(
    ("text", "changes", "is_candidate"),
    [
        (SUMMARY, {}, True),
        ("WITH s AS (SELECT sum(price) FROM orders) SELECT * FROM s", {}, True),
        ("SELECT * FROM orders WHERE tenant = ?", {}, False),
        ("SELECT count(*) FROM generate_series(?, ?)", {}, False),
        ("INSERT INTO totals SELECT count(*) FROM orders", {}, False),
        (SUMMARY, {"calls": 99}, False),
        (SUMMARY, {"n_rows": 201_000}, False),
        (SUMMARY, {"blocks_hit": 100_000}, False),
        (SUMMARY, {"is_nested": True}, False),
    ],
)
def test_frequent_query_that_summarizes_much_is_a_candidate_for_a_matview(
    text: str, changes: dict[str, Any], is_candidate: bool
) -> None:
    summary = counts(200, 10.0, text=text, n_rows=600, blocks_hit=400_000)._replace(**changes)
    other = counts(1000, 10.0, text="SELECT * FROM users WHERE id = ?")
    load = a_load(summary, other, samples=(a_sample(1, unseen_ms=0.0),))
    candidates = [each for each in found(load) if each.kind is FindingKind.MATVIEW_CANDIDATE]
    assert len(candidates) == is_candidate
    for each in candidates:
        assert each.severity is Severity.INFO
        assert (each.data["parameters"], each.data["after"]["blocks"]) == (text.count("?"), 2000)
    rare = counts(100_000, 10.0, text="SELECT * FROM users WHERE id = ?")
    drowned = a_load(summary, rare, samples=(a_sample(1, unseen_ms=0.0),))
    assert FindingKind.MATVIEW_CANDIDATE not in kinds(drowned)


def test_utility_statements_and_catalog_queries_are_not_the_applications() -> None:
    vacuum = counts(10, 9e5, text="VACUUM …")
    catalog = counts(10, 9e5, text="SELECT * FROM pg_catalog.pg_class")
    assert kinds(a_load(vacuum, catalog)) == []


def test_missing_extension_is_said_once() -> None:
    load = a_load(statements=Statements(None, "CREATE EXTENSION pg_stat_statements"))
    (finding,) = found(load)
    assert finding.kind is FindingKind.EXTENSION_MISSING
    assert finding.data["statements"] == ["CREATE EXTENSION pg_stat_statements"]


def test_what_could_not_be_seen_is_told() -> None:
    (finding,) = found(a_load(blind={Reading.SIZES: "it took too long"}))
    assert (finding.kind, finding.severity) == (FindingKind.MONITOR_BLIND, Severity.ERROR)
    assert kinds(a_load(track_counts=False)) == ["monitor_blind"]


@pytest.mark.parametrize(
    ("what", "kind", "name"),
    [
        (Reading.SESSIONS, FindingKind.LONG_TRANSACTION, "app"),
        (Reading.STATEMENTS, FindingKind.QUERY_REGRESSED, "app/query/4f2a"),
        (Reading.SIZES, FindingKind.DISK_GROWTH, "public.events"),
        (Reading.REPLICATION, FindingKind.REPLICATION_LAG, "app/slot/gone"),
        (Reading.WRAPAROUND, FindingKind.WRAPAROUND_RISK, "app"),
        (Reading.DATABASE_SIZE, FindingKind.DISK_GROWTH, "app"),
    ],
)
def test_nobody_can_tell_about_what_was_not_seen(
    what: Reading, kind: FindingKind, name: str
) -> None:
    (finding,) = found(a_load(blind={what: "it took too long"}))
    assert finding.leaves_open(kind, name)
    assert not finding.leaves_open(FindingKind.CONNECTIONS_SATURATED, name)


# Replicas


def test_replica_is_judged_as_the_primary_is_and_told_with_its_name() -> None:
    standby = Standby("replica 1", a_load(n_connections=97), lag_bytes=GB)
    saturated, lag = sorted(found(a_load(standbys=[standby])), key=lambda each: each.kind)
    assert (saturated.object, saturated.severity) == ("app/replica 1", Severity.ERROR)
    assert (lag.kind, lag.object) == (FindingKind.REPLICATION_LAG, "app/replica 1")


def test_silent_replica_is_told_once_and_leaves_open_what_it_had_to_tell() -> None:
    silent = Standby("replica 1", silence="nobody answers")
    (blind,) = found(a_load(standbys=[silent]))
    assert (blind.kind, blind.severity) == (FindingKind.MONITOR_BLIND, Severity.WARN)
    assert blind.leaves_open(FindingKind.QUERY_SLOW, "app/replica 1/query/4f2a")
    assert not blind.leaves_open(FindingKind.QUERY_SLOW, "app/query/4f2a")


def test_extension_that_is_nowhere_is_said_once() -> None:
    nowhere = Statements(None, "CREATE EXTENSION pg_stat_statements")
    load = a_load(statements=nowhere)
    standby = Standby("replica 1", load)
    assert kinds(replace(load, standbys=[standby])) == ["extension_missing"]
    (finding,) = found(a_load(standbys=[standby]))
    assert finding.object == "app/replica 1/pg_stat_statements"


counted = st.builds(
    counts, calls=st.integers(0, 10**6), mean_ms=st.floats(0, 1e5), n_rows=st.integers(0, 10**6)
)


@given(st.lists(counted, min_size=1, max_size=8), st.lists(st.integers(0, 3), max_size=8))
def test_counters_that_go_backwards_never_give_a_negative_window(
    states: list[Counts], evicted: list[int]
) -> None:
    samples = [
        a_sample(len(states) - n, state, n_evicted=sum(evicted[:n]))
        for n, state in enumerate(states)
    ]
    for before, now in zip([None, *samples], samples, strict=False):
        for window in windows(before, now):
            assert window.calls > 0
            assert window.total_ms >= 0
            assert window.n_rows >= 0
            assert window.p95_ms is None or 0 <= window.p95_ms <= window.max_ms
    assert all(base.mean_ms >= 0 for base in baselines(samples).values())


# Texts


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("SELECT * FROM t WHERE a = $1 LIMIT 5", "SELECT * FROM t WHERE a = ? LIMIT ?"),
        ("select 'sécret', E'x\\n', $$y$$, 0x1F, B'01' -- pin 1234", "select ?, ?, ?, ?, ?"),
        ("SELECT 1 /* user 42 */  FROM  t", "SELECT ? FROM t"),
        ("SELECT * FROM t WHERE id IN ($1, $2,$3)", "SELECT * FROM t WHERE id IN (?, …)"),
        ('SELECT "wé ird" FROM t', 'SELECT "wé ird" FROM t'),
        ("ALTER ROLE bob PASSWORD 'secret'", "ALTER ROLE …"),
        ("SET my.token = secret", "SET …"),
        ("SELECT 'cut off", UNREADABLE),
        ("", UNREADABLE),
    ],
)
def test_no_literal_and_no_comment_is_left(query: str, text: str) -> None:
    assert normalised(query) == text


@given(st.text(alphabet="abcxyz0123456789 ", min_size=1, max_size=30))
def test_secret_in_a_string_is_never_kept(secret: str) -> None:
    text = normalised(f"SELECT * FROM t WHERE token = '#{secret}#' AND n = 1")
    assert text == "SELECT * FROM t WHERE token = ? AND n = ?"
