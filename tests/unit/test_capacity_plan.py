"""Planning against limits: levels, forecasts and findings. Pure."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maintenance.alerts.models import FindingSet
from maintenance.engine.findings import UNKNOWN, Finding, FindingKind, Reading, Severity
from maintenance.engine.plan import Plan
from maintenance.names import QualifiedName
from maintenance.policy.thresholds import CapacityPolicy
from maintenance.subjects.capacity.forecast import forecast, severity_of
from maintenance.subjects.capacity.levels import levels, rates
from maintenance.subjects.capacity.models import (
    Age,
    CapacityObservation,
    Cliff,
    Collation,
    Extension,
    FilledColumn,
    Level,
    Limits,
    Points,
    Reference,
    SampledKey,
    SequenceUse,
    Slot,
    Toast,
    Tree,
    Vacuumed,
    largest_of,
)
from maintenance.subjects.capacity.plan import plan
from maintenance.subjects.capacity.server_levels import MEMBERS_PER_FILE
from tests.snapshots import NOW, a_policy

DAY = timedelta(days=1)
GB = 2**30
ORDERS = QualifiedName("public", "orders")
SEQUENCE = QualifiedName("public", "orders_id_seq")
LIMITS = Limits(100, 3, 5, 0, 0, 64, 10**9, 1000, 1000, False, True, 200_000_000)
BIG = 2**63 - 1


def a_sequence(last: int | None, **changes: Any) -> SequenceUse:
    sequence = SequenceUse(1, SEQUENCE, 8, 1, 1, BIG, 1, False, True, True, last)
    return sequence._replace(**changes)


def a_column(n_bytes: int | None = 4) -> FilledColumn:
    return FilledColumn(1, 10, ORDERS, 1, "id", n_bytes)


def seen(**changes: Any) -> CapacityObservation:
    return replace(CapacityObservation(limits=LIMITS), **changes)


def found(observation: CapacityObservation, **section: Any) -> list[Finding]:
    return list(plan(a_policy(capacity=section), observation, NOW).findings)


def severities(observation: CapacityObservation, **section: Any) -> list[tuple[str, str]]:
    return [(each.object, each.severity.value) for each in found(observation, **section)]


def level_of(observation: CapacityObservation, cliff: Cliff) -> Level:
    (level,) = [each for each in levels("app", observation, NOW) if each.cliff is cliff]
    return level


def history(cliff: Cliff, name: str, used: Points) -> dict[tuple[str, str], Points]:
    return {(cliff.value, name): used}


def growing(end: float, per_day: float, days: int = 10) -> Points:
    """A look each day before now, up to a value that the next look has."""
    return [(NOW - n * DAY, end - n * per_day) for n in range(days, 0, -1)]


def test_policy_without_section_tells_nothing_and_with_workload_it_does() -> None:
    near = seen(sequences=(a_sequence(2_000_000_000),), columns=(a_column(),))
    assert plan(a_policy(), near, NOW) == Plan()
    assert len(plan(a_policy(workload={}), near, NOW).findings) == 1


def test_quiet_server_is_no_finding() -> None:
    assert found(seen(sequences=(a_sequence(10**9),), columns=(a_column(),))) == []


# Keys and sequences


@pytest.mark.parametrize(
    ("sequence", "n_bytes", "object_", "share"),
    [
        (a_sequence(2**30), 4, "public.orders.id", 0.5),
        (a_sequence(2**30, most=2**31 - 1, type_bytes=4), 4, "public.orders.id", 0.5),
        (a_sequence(2**14), 2, "public.orders.id", 0.5),
        (a_sequence(2**30, most=2**31 - 1, type_bytes=4), 8, str(SEQUENCE), 0.5),
        (a_sequence(2**30, most=2**31 - 1), None, str(SEQUENCE), 0.5),
        (a_sequence(500, most=1000), 4, str(SEQUENCE), 0.5),
        (a_sequence(-(2**30), increment=-1, least=-BIG, most=-1), 4, "public.orders.id", 0.5),
        (a_sequence(0, least=-(2**31), start=-(2**31), most=BIG), 4, "public.orders.id", 0.5),
        (a_sequence(2**30, least=-(2**31), start=1), 4, "public.orders.id", 0.5),
        (a_sequence(1500, least=1000, most=2000), 4, str(SEQUENCE), 0.5),
    ],
)
def test_nearest_end_counts_that_of_the_column_or_of_the_sequence(
    sequence: SequenceUse, n_bytes: int | None, object_: str, share: float
) -> None:
    observation = seen(sequences=(sequence,), columns=(a_column(n_bytes),))
    known = [each for each in levels("app", observation, NOW) if each.object.startswith("public")]
    (level,) = known
    assert (level.object, level.share) == (object_, pytest.approx(share, abs=0.001))


def test_sequence_that_starts_again_is_no_limit_unless_its_column_ends_before() -> None:
    turning = a_sequence(999, most=1000, cycles=True)
    assert found(seen(sequences=(turning,), columns=(a_column(),))) == []
    wider = a_sequence(2_000_000_000, cycles=True)
    assert len(found(seen(sequences=(wider,), columns=(a_column(),)))) == 1


@pytest.mark.parametrize(
    ("sequence", "n_bytes", "statement"),
    [
        (a_sequence(95, most=100), 8, "NO MAXVALUE"),
        (a_sequence(95, most=100), 4, "MAXVALUE 2147483647"),
        (a_sequence(95, most=100), 2, "MAXVALUE 32767"),
        (a_sequence(95, most=100, type_bytes=4), 8, "AS bigint NO MAXVALUE"),
        (a_sequence(32_000, most=32_767, type_bytes=2), 4, "AS integer MAXVALUE 2147483647"),
        (a_sequence(2**31 - 2, most=2**31 - 1, type_bytes=4), 8, "AS bigint"),
        (a_sequence(-95, increment=-1, least=-100, most=-1, start=-1), 2, "MINVALUE -32768"),
    ],
)
def test_sequence_is_advised_no_more_room_than_its_column_has(
    sequence: SequenceUse, n_bytes: int, statement: str
) -> None:
    (finding,) = found(seen(sequences=(sequence,), columns=(a_column(n_bytes),)))
    assert finding.data["columns"] == ["public.orders.id"]
    assert finding.data["statements"] == [f"ALTER SEQUENCE {SEQUENCE} {statement}"]


@pytest.mark.parametrize(
    ("sequence", "n_bytes", "left"),
    [
        (a_sequence(100, most=100), 8, 0),
        (a_sequence(90, most=100, increment=5), 8, 2),
        (a_sequence(2**31 - 48), 4, 47),
        (a_sequence(2**31 + 5), 4, 0),
    ],
)
def test_numbers_that_are_left_are_counted(sequence: SequenceUse, n_bytes: int, left: int) -> None:
    (finding,) = found(seen(sequences=(sequence,), columns=(a_column(n_bytes),)))
    assert finding.data["left"] == left


def test_sequence_never_used_has_no_level() -> None:
    assert found(seen(sequences=(a_sequence(None, most=1),))) == []


def a_key(**changes: Any) -> SampledKey:
    return SampledKey(10, 1, ORDERS, "id", 4, 1.0, 1, 2_000_000_000)._replace(**changes)


@pytest.mark.parametrize(
    ("key", "n_told"),
    [
        (a_key(), 1),
        (a_key(correlation=0.1), 0),
        (a_key(least=-2_000_000_000), 0),
        (a_key(most=int(NOW.timestamp())), 0),
        (a_key(least=1_600_000_000, most=1_700_000_000), 0),
        (a_key(least=2024010100, most=2026113023), 0),
        (a_key(least=2024010100, most=2026133023), 1),
        (a_key(most=1_000_000), 0),
        (a_key(n_bytes=2, most=30_000), 1),
    ],
)
def test_sampled_key_counts_only_if_it_is_numbered(key: SampledKey, n_told: int) -> None:
    assert len(found(seen(sampled_keys=(key,)))) == n_told


def test_sampled_key_with_a_sequence_is_told_once() -> None:
    sequence = a_sequence(2_000_000_000)
    both = seen(sequences=(sequence,), columns=(a_column(),), sampled_keys=(a_key(),))
    assert len(found(both)) == 1


@given(st.integers(1, 2**31 - 1), st.sampled_from([2, 4, 8]))
def test_share_lies_between_nothing_and_all(last: int, n_bytes: int) -> None:
    last = min(last, largest_of(n_bytes))
    observation = seen(sequences=(a_sequence(last),), columns=(a_column(n_bytes),))
    shares = [each.share for each in levels("app", observation, NOW)]
    assert all(0 <= share <= 1 for share in shares)


def test_what_uses_a_key_or_its_references_is_told_once() -> None:
    target = QualifiedName("public", "lines")
    line = Reference(target, "order_id", 4, 10, 1, 4, ORDERS, "id", 11, 2)
    uses = {(10, 1): ["view public.v"], (11, 2): ["view public.v", "policy public.lines.mine"]}
    columns, sequences = (a_column(),), (a_sequence(2_000_000_000),)
    observation = seen(sequences=sequences, columns=columns, references=(line,), dependents=uses)
    (finding,) = found(observation)
    assert finding.data["dependents"] == ["view public.v", "policy public.lines.mine"]


# When, and how serious


SECTION = CapacityPolicy()


@pytest.mark.parametrize(
    ("used", "past", "severity"),
    [
        (0.6, (), None),
        (0.7, (), Severity.WARN),
        (0.9, (), Severity.ERROR),
        (1.2, (), Severity.ERROR),
        # Days to the end: 80, 13, 100.
        (0.2, growing(0.2, 0.01), Severity.WARN),
        (0.35, growing(0.35, 0.05, 5), Severity.ERROR),
        (0.2, growing(0.2, 0.008), None),
        # Too far from the end for a forecast.
        (0.09, growing(0.09, 0.01, 5), None),
        # Two looks may be a single load.
        (0.5, [(NOW - 2 * DAY, 0.4)], Severity.WARN),
        # Nearly used, and growing so slowly that years are left; or not at all.
        (0.8, growing(0.8, 0.0001), Severity.INFO),
        (0.8, growing(0.8, 0.0), Severity.INFO),
        (0.95, growing(0.95, 0.0), Severity.WARN),
        (0.8, growing(0.8, 0.0, 3), Severity.WARN),
        # Up and down is no growth.
        (0.5, [(NOW - n * DAY, 0.5 - 0.3 * (n % 2)) for n in range(10, 0, -1)], None),
        # A single load is none either.
        (0.6, [(NOW - n * DAY, 0.6 if n < 6 else 0.1) for n in range(12, 0, -1)], None),
    ],
)
def test_severity_is_by_time_where_it_is_short_and_by_share_else(
    used: float, past: Points, severity: Severity | None
) -> None:
    assert severity_of(forecast(used, 1.0, past, NOW), SECTION, NOW) is severity


@settings(max_examples=25)
@given(st.floats(0.1, 0.65), st.floats(0.004, 0.05))
def test_what_grows_is_told_at_least_two_weeks_before_its_end(start: float, rate: float) -> None:
    told = None
    n_days = int((1 - start) / rate)
    points = [(NOW + n * DAY, start + n * rate) for n in range(n_days)]
    for n, (at, used) in enumerate(points):
        if severity_of(forecast(used, 1.0, points[:n], at), SECTION, at) is not None:
            told = n
            break
    assert n_days < 17 or (told is not None and n_days - told >= 14)


def test_forecast_is_in_the_data_with_its_range() -> None:
    past = history(Cliff.INTEGER_KEY, "public.orders.id", growing(10**9, 10**7))
    observation = seen(sequences=(a_sequence(10**9),), columns=(a_column(),), past=past)
    (finding,) = found(observation, within="200 days")
    assert finding.data["per_day"] == pytest.approx(10**7, rel=0.01)
    assert finding.data["earliest"] <= finding.data["reached_at"] <= finding.data["latest"]
    assert finding.data["reached_at"].startswith("2027-03-14")


# TOAST, multixacts, locks


def a_toast(n_chunks: float, n_rows: float, n_columns: int = 2) -> CapacityObservation:
    return seen(toast=(Toast(ORDERS, 99, n_chunks, n_rows, n_columns),))


@pytest.mark.parametrize(
    ("observation", "share"),
    [
        (a_toast(3.5e9, 3e9), 3.5 / 4.295),
        (a_toast(3.5e9, -1), 3.5 / 4.295),
        (a_toast(3.5e9, 1e9), 2 / 4.295),
        (a_toast(3.5e9, 1000), 3.5 / 4.295),  # so few rows can't have so many chunks: outdated
    ],
)
def test_toast_has_no_more_values_than_chunks_or_rows(
    observation: CapacityObservation, share: float
) -> None:
    assert level_of(observation, Cliff.TOAST_VALUES).share == pytest.approx(share, abs=0.001)


def test_members_are_counted_by_files_or_are_at_least_two_of_each_multixact() -> None:
    by_files = seen(limits=LIMITS._replace(member_files=60_001))
    level = level_of(by_files, Cliff.MULTIXACT_MEMBERS)
    assert level.used == 60_000 * MEMBERS_PER_FILE
    assert severities(by_files) == [("app/multixact_members", "warn")]
    by_age = seen(limits=LIMITS._replace(oldest_multixact_age=1_600_000_000))
    (finding,) = found(by_age)
    assert (finding.object, finding.data["is_counted"]) == ("app/multixact_members", False)
    endless = LIMITS._replace(oldest_multixact_age=1_600_000_000, members_end=False)
    assert found(seen(limits=endless)) == []


def test_lock_table_is_a_warning_even_beyond_its_size() -> None:
    wide = seen(widest=Tree(ORDERS, 3000, 6000))
    (finding,) = found(wide)
    assert (finding.severity, finding.data["limit"]) == (Severity.WARN, 6400)
    assert found(seen(widest=Tree(ORDERS, 1000, 3000))) == []


# Slots and connections


def a_slot(held: int, keep: int | None, **changes: Any) -> Slot:
    return Slot("s", False, "extended", held, keep)._replace(**changes)


def test_slot_counts_against_its_limit_else_the_disk_else_is_unknown() -> None:
    assert severities(seen(slots=(a_slot(8 * GB, 10 * GB),))) == [("app/slot/s", "warn")]
    on_disk = seen(slots=(a_slot(95 * GB, None),), free_bytes=5 * GB)
    assert severities(on_disk) == [("app/slot/s", "error")]
    assert found(seen(slots=(a_slot(95 * GB, None),))) == []
    assert found(seen(slots=(a_slot(95 * GB, 10 * GB, state="lost"),))) == []


def test_slot_in_use_is_not_advised_to_be_dropped() -> None:
    (finding,) = found(seen(slots=(a_slot(8 * GB, 10 * GB, is_active=True),)))
    assert finding.data["statements"] == []


def test_peak_of_the_week_counts_and_is_information_below_the_limit_of_the_workload() -> None:
    def peaks(*shares: float) -> CapacityObservation:
        days = [(NOW - n * DAY, share) for n, share in enumerate(reversed(shares), 1)]
        return seen(pool_peaks=days[::-1])

    assert severities(peaks(0.3, 0.4, 0.3)) == []
    assert severities(peaks(0.8, 0.75, 0.8)) == [("app/connections", "info")]
    assert severities(peaks(0.3, 0.92, 0.3)) == [("app/connections", "warn")]
    assert severities(peaks(0.3, 1.0, 0.3)) == [("app/connections", "error")]
    old = seen(pool_peaks=[(NOW - 20 * DAY, 0.92)])
    assert severities(old) == []


def test_growing_pools_are_told_before_they_are_full() -> None:
    days = [(NOW - n * DAY, 0.6 - 0.01 * n) for n in range(30, 0, -1)]
    assert severities(seen(pool_peaks=days)) == [("app/connections", "warn")]


def test_promised_connections_are_information_where_they_exceed_the_usable() -> None:
    assert severities(seen(limits=LIMITS._replace(n_promised=97))) == []
    assert severities(seen(limits=LIMITS._replace(n_promised=98))) == [
        ("app/connection_limits", "info")
    ]


# Old ids


def an_age(share: float, **changes: Any) -> Age:
    return Age(ORDERS, False, False, int(share * 2**31), 0, GB, 1)._replace(**changes)


@pytest.mark.parametrize(
    ("share", "severity"), [(0.2, None), (0.49, None), (0.6, "warn"), (0.8, "error")]
)
def test_age_of_a_table_counts_by_the_share_of_the_ids(share: float, severity: str | None) -> None:
    expected = [("public.orders", severity)] if severity else []
    assert severities(seen(ages=(an_age(share),))) == expected


def test_age_is_told_with_its_date_where_autovacuum_is_overdue_and_ids_go_fast() -> None:
    fast = history(Cliff.TRANSACTION_IDS, "app", growing(10**9, 2 * 10**8, 5))
    (finding,) = found(seen(ages=(an_age(0.25),), past=fast))
    assert finding.severity is Severity.ERROR
    assert finding.data["reached_at"].startswith("2026-11-28")
    young = seen(ages=(an_age(0.15),), past=fast)
    assert found(young) == []


def test_toast_table_counts_for_its_table_once_and_five_tables_are_told() -> None:
    toast = an_age(0.7, is_toast=True)
    (finding,) = found(seen(ages=(an_age(0.6), toast)))
    assert finding.data["is_toast"]
    many = [an_age(0.6, table=QualifiedName("public", f"t{n}"), n_tables=9) for n in range(9)]
    assert len(found(seen(ages=tuple(many)))) == 5


def test_temporary_table_is_vacuumed_by_its_session_alone() -> None:
    (finding,) = found(seen(ages=(an_age(0.6, is_temporary=True),)))
    assert finding.data["statements"] == []


# What was left behind


@pytest.mark.parametrize(
    ("installed", "available", "has_script", "n_told"),
    [("1.4", "1.10", True, 1), ("0.9", "1.0", False, 1), ("2.1", "2.0", False, 0)],
)
def test_extension_is_behind_by_its_script_or_its_number(
    installed: str, available: str, has_script: bool, n_told: int
) -> None:
    extension = Extension("x", installed, available, has_script)
    assert len(found(seen(extensions=(extension,)))) == n_told


def test_collation_without_an_index_is_information() -> None:
    collation = Collation(None, "app_db", "1", "2", (), 0, ())
    assert severities(seen(collations=(collation,))) == [("app", "info")]
    used = collation._replace(indexes=("public.i",), n_indexes=1)
    (finding,) = found(seen(collations=(used,)))
    assert finding.severity is Severity.WARN
    assert finding.data["statements"] == [
        "REINDEX INDEX CONCURRENTLY public.i",
        "ALTER DATABASE app_db REFRESH COLLATION VERSION",
    ]


def a_table(name: str = "queue", **changes: Any) -> Vacuumed:
    table = QualifiedName("public", name)
    base = Vacuumed(table, table, True, False, 1000, GB, 250, 0.2, 0, 10, None, NOW - 90 * DAY)
    return base._replace(**changes)


def test_table_without_autovacuum_hurts_by_size_or_dead_rows() -> None:
    assert severities(seen(vacuumed=(a_table(),))) == [("public.queue", "warn")]
    small = a_table(size_bytes=16384, n_dead=10)
    assert severities(seen(vacuumed=(small,))) == [("public.queue", "info")]
    assert severities(seen(vacuumed=(small._replace(n_dead=2000),))) == [("public.queue", "warn")]
    assert found(seen(vacuumed=(a_table(vacuumed_at=NOW - DAY),))) == []


def test_table_of_one_page_or_row_may_do_without_autovacuum() -> None:
    empty, page = a_table(size_bytes=0), a_table(size_bytes=8192)
    for tiny in (empty, page, a_table(size_bytes=16384, n_rows=1)):
        assert found(seen(vacuumed=(tiny,))) == []
    bloated = a_table(n_rows=1, n_dead=5000)
    assert severities(seen(vacuumed=(bloated,))) == [("public.queue", "warn")]


def test_table_of_unknown_size_counts_by_its_dead_rows() -> None:
    locked = a_table(size_bytes=None, n_rows=-1)
    (finding,) = found(seen(vacuumed=(locked,)))
    assert (finding.severity, finding.data["size_bytes"]) == (Severity.INFO, None)
    dead = locked._replace(n_dead=5000)
    assert severities(seen(vacuumed=(dead,))) == [("public.queue", "warn")]


def test_partitions_without_autovacuum_are_one_finding() -> None:
    parts = tuple(a_table(f"queue_{n}", root=ORDERS) for n in range(30))
    (finding,) = found(seen(vacuumed=parts))
    assert finding.object == "public.orders"
    assert len(finding.data["tables"]) == 30


def a_huge_table(**changes: Any) -> Vacuumed:
    return a_table("huge", is_off=False, n_rows=5e8, threshold=1e8)._replace(**changes)


def test_large_table_is_told_where_its_threshold_is_never_met() -> None:
    assert severities(seen(vacuumed=(a_huge_table(n_dead=10**7),))) == [("public.huge", "warn")]
    assert severities(seen(vacuumed=(a_huge_table(),))) == [("public.huge", "info")]
    for fine in (
        {"vacuumed_at": NOW - 10 * DAY},
        {"threshold": 5e6, "scale": 0.01},
        {"n_written": 0},
    ):
        assert found(seen(vacuumed=(a_huge_table(**fine),))) == []


def test_large_partitions_are_one_finding() -> None:
    parts = [a_huge_table(root=ORDERS, n_dead=n) for n in range(3)]
    tables = [part._replace(table=QualifiedName("public", f"p{n}")) for n, part in enumerate(parts)]
    (finding,) = found(seen(vacuumed=tuple(tables)))
    assert finding.object == "public.orders"
    assert finding.data["dead_rows"] == 2
    assert len(finding.data["statements"]) == 3


def test_autovacuum_off_on_the_server_is_told() -> None:
    assert severities(seen(limits=LIMITS._replace(autovacuum=False))) == [("app", "warn")]


def test_object_is_told_once_by_each_kind() -> None:
    toast = a_table("huge", is_toast=True)
    key = Reference(ORDERS, "id", 4, 20, 1, 8, QualifiedName("public", "events"), "id")
    sequences = (a_sequence(1_900_000_000), a_sequence(3_000_000_000, oid=2))
    columns = (a_column(), FilledColumn(2, 20, QualifiedName("public", "events"), 1, "id", 8))
    observation = seen(
        vacuumed=(toast, a_huge_table()), sequences=sequences, columns=columns, references=(key,)
    )
    told = {(each.kind, each.object): each for each in found(observation)}
    assert len(told) == len(found(observation)) == 2
    finding = told[FindingKind.CAPACITY_CLIFF, "public.orders.id"]
    assert finding.data["cliff"] == Cliff.INTEGER_REFERENCE


# Unknown


def test_failed_reading_and_hidden_sequences_leave_limits_open() -> None:
    blind = seen(limits=None, blind={Reading.LIMITS: "refused"})
    (finding,) = found(blind)
    assert finding.kind is FindingKind.MONITOR_BLIND
    assert finding.data[UNKNOWN]["capacity_cliff"] is None
    hidden = a_sequence(None, is_readable=False, is_read=False)
    (finding,) = found(seen(sequences=(hidden,), columns=(a_column(),), role="watcher"))
    assert finding.kind is FindingKind.PRIVILEGE_MISSING
    assert finding.leaves_open(FindingKind.CAPACITY_CLIFF, "public.orders.id")


def test_findings_on_a_table_that_a_run_changes_wait_for_it() -> None:
    observation = seen(ages=(an_age(0.6),), vacuumed=(a_table(),), widest=Tree(ORDERS, 3000, 6000))
    findings = found(observation)
    at_work = FindingSet("app", findings, frozenset(), at_work=frozenset({"public.orders"}))
    assert {each.object for each in at_work.by_identity()} == {"public.queue"}


def test_rates_are_kept_without_a_limit() -> None:
    assert {each.cliff for each in rates("app", seen())} == {
        Cliff.TRANSACTION_IDS,
        Cliff.MULTIXACT_IDS,
    }
    assert rates("app", seen(limits=None)) == ()


def test_pools_that_exceed_the_usable_connections_are_told_with_the_size_that_fits() -> None:
    limits = LIMITS._replace(max_connections=50, n_reserved=5)
    pools = [{"instances": 2, "size": 22}, {"instances": 1, "size": 2}]
    (finding,) = found(seen(limits=limits), pools=pools)
    assert (finding.kind, finding.object) == (FindingKind.CAPACITY_CLIFF, "app/pools")
    assert (finding.data["promised"], finding.data["usable"]) == (46, 45)
    assert (finding.data["instances"], finding.data["size_each"]) == (3, 15)
    assert found(seen(limits=limits), pools=pools[:1]) == []
    assert found(CapacityObservation(), pools=pools) == []
