"""What of the statements between two observations is reported, and what is not."""

from dataclasses import replace
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from maintenance.engine.findings import Finding, Severity
from maintenance.server.query_text import (
    is_application,
    key_of,
    normalised,
    reads_table,
    writes_rows,
)
from maintenance.subjects.workload.models import (
    Counts,
    Sample,
    Server,
    Statements,
    WorkloadSnapshot,
)
from maintenance.subjects.workload.pg_stat_statements import sampled_code
from tests.snapshots import NOW, a_policy
from tests.snapshots import workload_plan as plan

HOUR = timedelta(hours=1)
SERVER = Server(100, 3, 10, 2, 5, 3, 0, 10**6, 0, 100, 0, "epoch", True, True)
QUERY = "SELECT * FROM orders WHERE id = ?"
LOAD = "INSERT INTO orders SELECT * FROM staging"


def counts(*times: float, text: str = QUERY, **changes: Any) -> Counts:
    found = Counts(
        text,
        None,
        len(times),
        sum(times),
        sum(time**2 for time in times),
        max(times, default=0.0),
        len(times),
        0,
        0,
        0.0,
        0,
        0,
        1,
        False,
    )
    return found._replace(**changes)


def many(calls: int, mean_ms: float, **changes: Any) -> Counts:
    """So many calls of the same time."""
    total = calls * mean_ms
    return (
        counts(**changes)
        ._replace(
            calls=calls, total_ms=total, squares_ms=total * mean_ms, max_ms=mean_ms, n_rows=calls
        )
        ._replace(**{key: value for key, value in changes.items() if key != "text"})
    )


def sample(hours_ago: float, *statements: Counts, **changes: Any) -> Sample:
    by_key = {key_of(each.text): each for each in statements}
    return Sample(NOW - hours_ago * HOUR, "reset", 0, by_key, 0.0)._replace(**changes)


def found(*samples: Sample, **section: Any) -> list[Finding]:
    *earlier, now = samples
    load = WorkloadSnapshot(SERVER, (), (), (), (), Statements(now), samples=earlier)
    limits = {"mean_query": "10 hours", **section}
    return list(plan(a_policy(workload=limits), load, NOW).findings)


def kinds(*samples: Sample, **section: Any) -> list[str]:
    return [finding.kind.value for finding in found(*samples, **section)]


FAST = [5.0] * 200


def test_first_observation_is_a_baseline() -> None:
    history = sample(0, counts(*FAST, 60_000.0), many(10**6, 0.1, text="SELECT 1 FROM t"))
    assert found(history, mean_query="1 ms") == []


def test_one_slow_call_among_two_hundred_is_told_as_such() -> None:
    before, now = sample(24, counts(*FAST)), sample(0, counts(*FAST, *FAST, 5000.0))
    (finding,) = found(before, now)
    assert (finding.kind, finding.severity, finding.value) == ("query_slow", Severity.WARN, 5000.0)
    assert (finding.data["measure"], finding.data["reason"]) == ("worst_call", "worst_call")
    assert finding.data["calls"] == 201
    assert finding.data["p95_ms"] == pytest.approx(5.0)
    assert finding.data["calls_per_second"] == pytest.approx(201 / 86_400, abs=0.0001)
    assert len(finding.message) < 250


def test_slow_call_is_told_although_there_was_a_slower_one_before() -> None:
    before = sample(24, counts(*FAST, 60_000.0))
    (finding,) = found(before, sample(0, counts(*FAST, 60_000.0, *FAST, 5000.0)))
    assert 4000 < finding.value <= 5000  # type: ignore[operator]
    assert "at least" in finding.message
    assert found(before, sample(0, counts(*FAST, 60_000.0, *FAST))) == []


def test_measure_is_the_mean_where_most_calls_are_slow() -> None:
    (finding,) = found(sample(24, counts(5.0)), sample(0, counts(5.0, 1500.0, 1400.0, 1600.0)))
    assert (finding.data["measure"], finding.value) == ("mean", 1500.0)


def test_measure_is_the_percentile_where_some_calls_are_slow() -> None:
    times = [100.0] * 80 + [2000.0] * 20
    (finding,) = found(sample(24, counts(5.0)), sample(0, counts(5.0, *times)))
    assert finding.data["measure"] == "p95"
    assert 1000 < finding.value <= 2000  # type: ignore[operator]
    assert "estimated" in finding.message


def test_query_that_was_called_once_and_took_minutes_is_slow() -> None:
    (finding,) = found(sample(24), sample(0, counts(300_000.0)))
    assert (finding.data["measure"], finding.data["calls"]) == ("worst_call", 1)


def test_statement_called_once_or_twice_is_information() -> None:
    for times in ([5000.0], [5000.0, 6000.0]):
        (finding,) = found(sample(24), sample(0, counts(*times)))
        assert (finding.severity, finding.data["is_new"]) == (Severity.INFO, True)
    (often,) = found(sample(24), sample(0, counts(5000.0, 6000.0, 5000.0)))
    assert often.severity is Severity.WARN


def test_report_of_each_night_is_information_unless_it_takes_much_longer_than_ever() -> None:
    nights = [sample(24 * (5 - n), counts(*[600_000.0] * (n + 1))) for n in range(5)]
    (usual,) = found(*nights, sample(0, counts(*[600_000.0] * 6)))
    assert (usual.severity, usual.data["is_new"]) == (Severity.INFO, False)
    (longer,) = found(*nights, sample(0, counts(*[600_000.0] * 5, 2_000_000.0)))
    assert longer.severity is Severity.WARN


def test_unknown_statement_that_took_minutes_is_a_warning_and_a_load_is_not() -> None:
    (query,) = found(sample(24), sample(0, counts(300_000.0)))
    (load,) = found(sample(24), sample(0, counts(300_000.0, text=LOAD)))
    assert (query.severity, load.severity) == (Severity.WARN, Severity.INFO)


def test_load_in_many_batches_is_not_slow_until_it_comes_again() -> None:
    batches = [counts(*[2000.0] * 50 * n, text=LOAD)._replace(n_rows=10**6 * n) for n in (1, 2)]
    assert found(sample(24), sample(0, batches[0])) == []
    (again,) = found(sample(48), sample(24, batches[0]), sample(0, batches[1]))
    assert again.severity is Severity.WARN
    rows = counts(*[2000.0] * 50, text="INSERT INTO orders VALUES (?, …)")
    assert kinds(sample(24), sample(0, rows)) == ["query_slow"]


def test_information_takes_no_place_of_warnings() -> None:
    once = [counts(50_000.0, text=f"SELECT {n} FROM a{n}") for n in range(40)]
    often = [counts(*[1500.0] * 3, text=f"SELECT {n} FROM b{n}") for n in range(15)]
    severities = [each.severity for each in found(sample(24), sample(0, *once, *often))]
    assert severities == [Severity.WARN] * 15 + [Severity.INFO] * 5


def test_load_and_report_do_not_make_all_statements_slow() -> None:
    usual, report = many(1000, 1.0), counts(600_000.0, text="SELECT sum(n) FROM orders")
    load = counts(*[20_000.0] * 10, text=LOAD)
    now = sample(0, usual, report, load)
    objects = {each.object for each in found(sample(24), now, mean_query="50 ms")}
    assert "app" not in objects
    slow = sample(0, many(1000, 60.0))
    (finding,) = found(sample(24), slow, mean_query="50 ms")
    assert (finding.object, finding.data["calls"]) == ("app", 1000)


def test_one_time_load_is_not_slow_unless_it_takes_a_minute() -> None:
    assert found(sample(24), sample(0, counts(30_000.0, 20_000.0, text=LOAD))) == []
    (long,) = found(sample(24), sample(0, counts(300_000.0, text=LOAD)))
    assert long.data["worst_ms"] == 300_000.0


def test_load_that_comes_again_is_slow() -> None:
    samples = (sample(48), sample(24, counts(5000.0, text=LOAD)))
    (finding,) = found(*samples, sample(0, counts(5000.0, 7000.0, text=LOAD)))
    assert finding.data["worst_ms"] == 7000.0


@pytest.mark.parametrize(
    "text",
    [
        "COPY public.orders …",
        "CREATE INDEX …",
        "VACUUM …",
        "REFRESH MATERIALIZED …",
        "SELECT n FROM pg_catalog.pg_class",
        "SELECT count(*) FROM pg_stat_activity",
        "SELECT * FROM information_schema.columns",
        "INSERT INTO public.maintenance_drain_77_root SELECT * FROM t",
        "SELECT newdata FROM pg_temp_6.pg_temp_16786_2",
    ],
)
def test_statements_of_maintenance_and_catalog_are_set_apart(text: str) -> None:
    assert not is_application(text)
    slow = counts(300_000.0, text=text)
    assert found(sample(24, slow), sample(0, counts(300_000.0, 300_000.0, text=text))) == []


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM maintenance WHERE maintenance.vehicle_id = ?",
        "SELECT ? FROM pg_sleep(?)",
        'SELECT * FROM "maintenance"."orders"',
    ],
)
def test_names_like_ours_are_the_applications(text: str) -> None:
    assert is_application(text)


def test_texts_that_write_are_told_from_those_that_read() -> None:
    assert writes_rows(LOAD)
    assert writes_rows("WITH gone AS (DELETE FROM t RETURNING *) INSERT INTO u SELECT * FROM gone")
    assert writes_rows("update t set a = ?")
    assert not writes_rows("SELECT * FROM t FOR UPDATE")
    assert not writes_rows("WITH a AS (SELECT * FROM t FOR UPDATE) SELECT * FROM a")
    assert reads_table("WITH a AS (SELECT ?) SELECT * FROM a")
    assert not reads_table("SELECT lower(?)")


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("select array_agg(lower(v)) from unnest(a) v", False),
        ("SELECT * FROM generate_series(?, ?) g", False),
        ("SELECT max(v) FROM LATERAL unnest(a) v", False),
        ("SELECT * FROM ROWS FROM (unnest(a), unnest(b)) v", False),
        ('SELECT * FROM "my schema"."my function" (?)', False),
        ("SELECT (SELECT name FROM countries WHERE code = ?)", True),
        ("SELECT * FROM unnest(?) i JOIN orders o ON o.id = i", True),
        ('SELECT * FROM "my schema"."my table" WHERE a = ?', True),
        ("SELECT * FROM ONLY orders", True),
        ("SELECT * FROM app . orders o WHERE id IN (?, …)", True),
    ],
)
def test_function_after_from_is_no_table(text: str, reads: bool) -> None:
    assert reads_table(text) is reads


@pytest.mark.parametrize(
    ("query", "is_rows"),
    [
        ("SELECT a, b INTO archive FROM orders", False),
        ("WITH n AS (SELECT 1) SELECT * INTO TEMP t FROM n", False),
        ("INSERT INTO archive SELECT * FROM orders", True),
        ("WITH n AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM n", True),
        ("WITH n AS (SELECT 1) INSERT INTO t SELECT * FROM n", True),
        ("MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN DELETE", True),
        ("DECLARE c CURSOR FOR SELECT * FROM orders", False),
        ("FETCH FORWARD 100 FROM _pg_dump_cursor", False),
        ("CREATE TABLE t AS SELECT * FROM orders", False),
        ("EXPLAIN ANALYZE SELECT * FROM orders", False),
        ("CLUSTER orders", False),
        ("ALTER TABLE orders ADD CHECK (a > 0)", False),
    ],
)
def test_statements_that_create_or_keep_up_are_told_from_work_on_rows(
    query: str, is_rows: bool
) -> None:
    assert is_application(normalised(query)) is is_rows


# Again, and not again


def test_what_was_slow_an_hour_ago_stays_until_it_is_called_again_or_half_a_day_passed() -> None:
    fast, slow = counts(*FAST), counts(*FAST, 5000.0)
    again = counts(*FAST, 5000.0, 5.0)
    assert kinds(sample(24, fast), sample(1, slow), sample(0, slow)) == ["query_slow"]
    assert kinds(sample(24, fast), sample(1, slow), sample(0, again)) == []
    assert kinds(sample(48, fast), sample(12, slow), sample(0, slow)) == []


def test_reset_begins_a_new_count_in_which_a_slow_call_is_news() -> None:
    before = sample(24, counts(*FAST, 60_000.0), epoch="another")
    assert found(before, sample(0, counts(*FAST))) == []
    (finding,) = found(before, sample(0, counts(*FAST, 5000.0)))
    assert finding.data["calls_per_second"] is None


def test_statement_from_below_the_kept_ones_brings_no_old_call_along() -> None:
    old = counts(*[1500.0] * 30)
    assert found(sample(24, unseen_ms=2000.0), sample(0, old)) == []
    assert found(sample(24, unseen_ms=None), sample(0, old)) == []
    assert kinds(sample(24, unseen_ms=1000.0), sample(0, old)) == ["query_slow"]


# Slower than before


def days(mean_ms: float, **changes: Any) -> list[Sample]:
    return [
        sample(24 * (6 - n), many(200 * (n + 1), mean_ms, **changes), unseen_ms=0.0)
        for n in range(6)
    ]


def after(samples: list[Sample], *times: float, **changes: Any) -> Sample:
    last = samples[-1].statements[key_of(QUERY)]
    more = counts(*times)
    grown = last._replace(
        calls=last.calls + more.calls,
        total_ms=last.total_ms + more.total_ms,
        squares_ms=last.squares_ms + more.squares_ms,
        max_ms=max(last.max_ms, more.max_ms),
        n_rows=last.n_rows + more.n_rows,
    )
    return sample(0, grown._replace(**changes))


def test_regression_has_the_numbers_before_and_after() -> None:
    samples = days(10.0)
    (finding,) = found(*samples, after(samples, *[45.0] * 100))
    assert (finding.kind, finding.value) == ("query_regressed", 4.5)
    assert (finding.data["measure"], finding.data["reason"]) == ("mean", "mean")
    assert finding.data["before"]["mean_ms"] == 10.0
    assert finding.data["after"]["mean_ms"] == 45.0
    assert finding.data["before"]["calls"] == 1000
    assert len(finding.message) < 300


def test_one_slow_call_is_no_regression() -> None:
    samples = days(10.0)
    assert kinds(*samples, after(samples, *[10.0] * 200, 5000.0)) == ["query_slow"]


def test_percentile_that_rose_is_a_regression_where_the_mean_did_not() -> None:
    samples = days(10.0)
    times = [6.0] * 180 + [80.0] * 20
    (finding,) = found(*samples, after(samples, *times), regression=2.0)
    assert finding.data["measure"] == "p95"
    assert finding.data["after"]["p95_ms"] > 2 * finding.data["before"]["p95_ms"]


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"n_rows": 10**6}, "rows a call"),
        ({"temp_blocks": 5000}, "temporary files"),
        ({"blocks_hit": 10**6}, "more blocks"),
        ({}, "no more than before"),
    ],
)
def test_regression_says_what_rose_with_it(changes: dict[str, Any], cause: str) -> None:
    samples = days(10.0)
    (finding,) = found(*samples, after(samples, *[45.0] * 100, **changes))
    assert cause in finding.message


# One row at a time


def looped(share: float, **changes: Any) -> tuple[Sample, Sample]:
    loop = many(20_000, 0.1, **changes)
    rest = many(10, 2000.0 * (1 - share) / share / 10, text="SELECT * FROM reports")
    return sample(24), sample(0, loop, rest)


@pytest.mark.parametrize(
    ("share", "severity"), [(0.04, Severity.INFO), (0.06, Severity.WARN), (0.5, Severity.WARN)]
)
def test_loop_is_a_warning_where_it_takes_much_of_the_time(
    share: float, severity: Severity
) -> None:
    (finding,) = found(*looped(share), slow_query="1 hour")
    assert (finding.kind, finding.severity) == ("query_n_plus_one", severity)
    assert finding.data["time_share"] == pytest.approx(share, abs=0.001)
    (stricter,) = found(*looped(share), slow_query="1 hour", n_plus_one_share=0.01)
    assert stricter.severity is Severity.WARN


def test_computation_and_statements_inside_functions_are_no_loop() -> None:
    assert found(*looped(0.5, text="SELECT lower($1) || ?"), slow_query="1 hour") == []
    assert found(*looped(0.5, is_nested=True), slow_query="1 hour") == []


class Function(NamedTuple):
    """A row of the query for sources of functions."""

    name: str
    source: str
    is_sampled: bool


@pytest.mark.parametrize(
    ("source", "query"),
    [
        (
            "select name from countries where code = $1",
            "select name from countries where code = $1",
        ),
        (
            "BEGIN SELECT name INTO STRICT n\n FROM countries WHERE code = c; RETURN n; END",
            "SELECT name  FROM countries WHERE code = c",
        ),
        (
            "BEGIN PERFORM 1 FROM countries WHERE code = c -- of the row\n; RETURN true; END",
            "SELECT 1 FROM countries WHERE code = c",
        ),
        ("BEGIN RETURN (SELECT n FROM t WHERE a = c); END", "(SELECT n FROM t WHERE a = c)"),
    ],
)
def test_statements_of_functions_that_analyze_evaluates_are_known(source: str, query: str) -> None:
    (body,) = sampled_code([Function("f", source, is_sampled=True)])
    assert normalised(query) in body
    assert normalised("SELECT * FROM countries WHERE id = 1") not in body


def test_functions_called_by_those_that_analyze_evaluates_are_known_too() -> None:
    rows = [
        Function("outer_one", "select Inner_One($1)", is_sampled=True),
        Function("inner_one", "begin return innermost(c); end", is_sampled=False),
        Function("innermost", "select name from countries where code = $1", is_sampled=False),
        Function("other", "select name from others where code = $1", is_sampled=False),
    ]
    bodies = sampled_code(rows)
    assert len(bodies) == 3
    assert not any("others" in body for body in bodies)
    assert sampled_code([rows[3]]) == []


def test_few_calls_since_take_no_loop_back() -> None:
    before, now = looped(0.5)
    later = replace_calls(now, 5)
    assert kinds(before, now._replace(taken_at=NOW - HOUR), later, slow_query="1 hour") == [
        "query_n_plus_one"
    ]


def replace_calls(now: Sample, more: int) -> Sample:
    key = key_of(QUERY)
    grown = now.statements[key]._replace(calls=now.statements[key].calls + more)
    return now._replace(taken_at=NOW, statements={**now.statements, key: grown})


def test_load_without_statements_has_no_finding() -> None:
    load = WorkloadSnapshot(SERVER, (), (), (), (), Statements(None))
    assert plan(a_policy(workload={}), replace(load, samples=[sample(1)]), NOW).findings == ()
