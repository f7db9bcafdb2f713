"""Planning against bloat, and refusing to guess: pure."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance.engine.findings import UNKNOWN, Finding, FindingKind, Severity
from maintenance.engine.plan import Plan
from maintenance.engine.scope import EVERYTHING, Request
from maintenance.names import QualifiedName
from maintenance.policy.thresholds import BloatPolicy
from maintenance.subjects.bloat.estimate import estimate_index, estimate_table
from maintenance.subjects.bloat.history import Kept
from maintenance.subjects.bloat.models import (
    MOST_BYTES,
    Bloat,
    BloatSnapshot,
    Column,
    Extension,
    Freshness,
    Leftover,
    Method,
    Note,
    ObservedIndex,
    ObservedTable,
    Past,
    Rebuild,
    with_notes,
)
from maintenance.subjects.bloat.page_layout import aligned, entry_width, row_width, stored
from maintenance.subjects.bloat.plan import plan, settled
from maintenance.subjects.bloat.recheck import too_empty
from maintenance.subjects.bloat.rewrite import rewrite
from maintenance.subjects.bloat.superfluous import advised_drops, duplicated
from tests.snapshots import NOW, a_policy

MB = 2**20
ID = Column(1, 8, "d", False, 8, 0.0, -1.0, 0, 0.0)
TEXT = Column(2, -1, "i", False, 20, 0.0, -1.0, 0, 0.0)
FRESH = Freshness(100_000, 1000, 1000 * 8192, 0, 0, NOW, True)
EVENTS = QualifiedName("public", "events")


def a_table(oid: int = 1, **changes: Any) -> ObservedTable:
    fresh = {key: changes.pop(key) for key in list(changes) if key in Freshness._fields}
    table = ObservedTable(oid, EVENTS, None, 100, FRESH._replace(**fresh), (ID, TEXT))
    return replace(table, **changes)


def an_index(oid: int = 10, name: str = "events_id", **changes: Any) -> ObservedIndex:
    of_table = set(Freshness._fields) - {"size_bytes"}
    fresh = {key: changes.pop(key) for key in list(changes) if key in of_table}
    changes = {
        "size_bytes": 20 * MB,
        "keys": (1,),
        "columns": (ID, TEXT),
        "is_unique": False,
    } | changes
    relation = QualifiedName("public", name)
    freshness = FRESH._replace(**fresh)
    return ObservedIndex(oid, relation, EVENTS, fill_factor=90, freshness=freshness, **changes)


def a_stock(
    *seen: ObservedTable | ObservedIndex, bloat: Any = 0.5, **changes: Any
) -> BloatSnapshot:
    method = changes.pop("method", Method.ESTIMATE)
    return BloatSnapshot(
        tables=tuple(each for each in seen if isinstance(each, ObservedTable)),
        indexes=tuple(each for each in seen if isinstance(each, ObservedIndex)),
        bloat={each.oid: Bloat(method, bloat, "reason", "remedy") for each in seen},
        extension=changes.pop("extension", Extension(None)),
        **changes,
    )


def planned(stock: BloatSnapshot, request: Request = EVERYTHING, **section: Any) -> Plan:
    policy = a_policy(bloat={"reindex": "concurrently", **section})
    return plan(policy, stock, NOW, request)


def test_policy_without_the_section_plans_nothing() -> None:
    assert plan(a_policy(), a_stock(an_index()), NOW, EVERYTHING) == Plan()


def test_report_tells_and_does_nothing() -> None:
    result = planned(a_stock(an_index(), a_table()), reindex="report")
    assert result.actions == ()
    assert [f.kind for f in result.findings] == [FindingKind.TABLE_BLOAT, FindingKind.INDEX_BLOAT]


def test_only_what_is_above_its_threshold_is_told() -> None:
    assert planned(a_stock(an_index(), a_table(), bloat=0.2)).findings == ()
    (finding,) = planned(a_stock(an_index(), a_table(), bloat=0.4)).findings
    assert (finding.kind, finding.value, finding.threshold) == (FindingKind.INDEX_BLOAT, 0.4, 0.2)


def test_share_that_random_inserts_leave_is_only_information() -> None:
    (finding,) = planned(a_stock(an_index(), bloat=0.25)).findings
    assert finding.severity is Severity.INFO
    (finding,) = planned(a_stock(an_index(), bloat=0.35)).findings
    assert finding.severity is Severity.WARN


def test_at_most_two_are_rebuilt_and_those_with_most_to_win() -> None:
    indexes = [an_index(n, f"i{n}", size_bytes=n * MB) for n in range(10, 15)]
    actions = planned(a_stock(*indexes)).actions
    assert [action.object for action in actions] == ["public.i14", "public.i13"]
    assert actions[0].sql == ("REINDEX INDEX CONCURRENTLY public.i14",)
    assert [lock.mode for lock in actions[0].locks] == ["SHARE UPDATE EXCLUSIVE"]


def a_rebuild(days_ago: float = 1, **changes: Any) -> Rebuild:
    at = NOW - timedelta(days=days_ago)
    return Rebuild(1, "public.events_id", 9, 10, at, at, 100, 10)._replace(**changes)


def test_rebuilt_index_is_left_alone_for_ten_days() -> None:
    assert planned(a_stock(an_index(), rebuilds=(a_rebuild(9.9),))).actions == ()
    assert len(planned(a_stock(an_index(), rebuilds=(a_rebuild(10.1),))).actions) == 1


def a_failure(days_ago: float, **changes: Any) -> Rebuild:
    return a_rebuild(days_ago, old_oid=10, size_after=None, error="no", **changes)


@pytest.mark.parametrize(
    ("ages", "days"), [([0], 1), ([1, 0], 2), ([3, 1, 0], 4), ([60, 40, 9, 5, 0], 16)]
)
def test_rebuild_that_failed_is_tried_again_after_days_that_double(
    ages: list[float], days: float
) -> None:
    def at_work(later: float) -> bool:
        rebuilds = tuple(a_failure(age + later) for age in ages)
        stock = a_stock(an_index(), rebuilds=rebuilds)
        (finding,) = planned(stock).findings
        is_tried = bool(planned(stock).actions)
        assert is_tried is ("next_try" not in finding.data)
        return is_tried

    assert not at_work(days - 0.5)
    assert at_work(days - 0.05), "a nightly run is not put off by a night"
    assert at_work(days + 1)


def test_failures_are_those_of_this_index_since_it_was_rebuilt() -> None:
    others = (a_failure(0.1)._replace(old_oid=11), a_failure(0.2)._replace(old_oid=9))
    assert len(planned(a_stock(an_index(), rebuilds=others)).actions) == 1


def test_run_that_was_killed_is_no_failure_unless_it_happens_again() -> None:
    killed = a_failure(0.1)._replace(error=None)
    assert len(planned(a_stock(an_index(), rebuilds=(killed,))).actions) == 1
    twice = (killed._replace(started_at=NOW - timedelta(days=0.2)), killed)
    assert planned(a_stock(an_index(), rebuilds=twice)).actions == ()


@pytest.mark.parametrize(
    ("changes", "of_stock", "is_rebuilt"),
    [
        ({}, {"major": 15}, False),
        ({}, {"major": 18}, False),
        ({}, {}, False),
        ({}, {"major": 19}, True),
        ({}, {"major": 15, "asked_for": frozenset({10})}, True),
        ({}, {"major": 15, "asked_for": frozenset({11})}, False),
        ({"of_view": True}, {"major": 15}, True),
        ({"is_unique": False}, {"major": 15}, True),
    ],
)
def test_unique_indexes_are_not_rebuilt_beside_upserts(
    changes: dict[str, Any], of_stock: dict[str, Any], is_rebuilt: bool
) -> None:
    index = replace(an_index(), **{"is_unique": True, **changes})
    stock = a_stock(index, **of_stock)
    result = planned(stock)
    assert bool(result.actions) is is_rebuilt
    (finding,) = result.findings
    assert ("unique" in finding.data) is not is_rebuilt


@pytest.mark.parametrize(
    ("changes", "of_stock", "is_risky"),
    [
        ({}, {"major": 15, "asked_for": frozenset({10})}, True),
        ({}, {"major": 18, "asked_for": frozenset({10})}, True),
        ({}, {"major": 18}, True),
        ({}, {"major": 19, "asked_for": frozenset({10})}, False),
        ({"of_view": True}, {"major": 15}, False),
        ({"is_unique": False}, {"major": 15}, False),
    ],
)
def test_unique_index_is_told_with_the_risk_for_upserts_also_where_the_policy_names_it(
    changes: dict[str, Any], of_stock: dict[str, Any], is_risky: bool
) -> None:
    index = replace(an_index(), **{"is_unique": True, **changes})
    (finding,) = planned(a_stock(index, **of_stock)).findings
    assert finding.data.get("upserts_can_fail", False) is is_risky


@pytest.mark.parametrize("flag", ["is_rebuildable", "manageable"])
def test_index_that_we_can_not_rebuild_is_only_told(flag: str) -> None:
    result = planned(a_stock(replace(an_index(), **{flag: False})))
    assert result.actions == ()
    assert len(result.findings) == 1


@pytest.mark.parametrize(
    ("changes", "superfluous", "kind"),
    [
        ({}, {"public.events_id": "index_duplicate"}, "index_duplicate"),
        ({"ancestors": ("public.all_id",)}, {"public.all_id": "index_unused"}, "index_unused"),
        ({}, {"public.other": "index_unused"}, None),
    ],
)
def test_index_that_advice_of_the_run_tells_to_drop_is_not_rebuilt(
    changes: dict[str, Any], superfluous: dict[str, str], kind: str | None
) -> None:
    result = planned(a_stock(replace(an_index(), **changes), superfluous=superfluous))
    assert bool(result.actions) is (kind is None)
    (finding,) = result.findings
    assert finding.data.get("superfluous") == kind
    assert ("reindex" in finding.data) is (kind is None)
    assert finding.severity is (Severity.WARN if kind is None else Severity.INFO)


def test_index_with_a_duplicate_is_not_rebuilt_before_that_is_gone() -> None:
    stock = a_stock(an_index(), duplicated=frozenset({"public.events_id"}))
    result = planned(stock)
    assert result.actions == ()
    (finding,) = result.findings
    assert (finding.data["duplicated"], finding.severity) == (True, Severity.WARN)
    data = {"covered_by": "public.events_id"}
    twin = Finding(FindingKind.INDEX_DUPLICATE, Severity.WARN, "public.b", "", data=data)
    longer = Finding(FindingKind.INDEX_REDUNDANT, Severity.WARN, "public.b", "", data=data)
    assert (duplicated([twin]), duplicated([longer])) == (stock.duplicated, frozenset())


def test_superfluous_indexes_take_no_place_of_those_to_rebuild() -> None:
    indexes = [an_index(n, f"i{n}", size_bytes=n * MB) for n in range(10, 15)]
    stock = a_stock(*indexes, superfluous={"public.i14": "index_redundant"})
    assert [action.object for action in planned(stock).actions] == ["public.i13", "public.i12"]


@pytest.mark.parametrize(
    ("kind", "is_superfluous"),
    [
        (FindingKind.INDEX_DUPLICATE, True),
        (FindingKind.INDEX_REDUNDANT, True),
        (FindingKind.INDEX_UNUSED, True),
        (FindingKind.INDEX_INVALID, True),
        (FindingKind.INDEX_LOW_CARDINALITY, True),
        (FindingKind.INDEX_WIDE_KEY, False),
        (FindingKind.FK_UNINDEXED, False),
    ],
)
def test_findings_that_advise_to_drop_an_index(kind: FindingKind, is_superfluous: bool) -> None:
    finding = Finding(kind, Severity.INFO, "public.events_id", "")
    expected = {"public.events_id": kind.value} if is_superfluous else {}
    assert advised_drops([finding]) == expected


def test_stored_note_keeps_a_superfluous_index_information() -> None:
    def rechecked(notes: list[Note]) -> Severity:
        method = with_notes(Method.EXACT, notes)
        kept = Kept("public.events_id", "public.events", "index", MB, 0.6, method)
        (finding,) = too_empty([kept], BloatPolicy())
        return finding.severity

    assert rechecked([]) is Severity.WARN
    assert rechecked([Note.NOT_MEASURED, Note.SUPERFLUOUS]) is Severity.INFO


def test_index_of_an_exclusion_constraint_is_told_with_a_statement_that_works() -> None:
    (finding,) = planned(a_stock(replace(an_index(), is_rebuildable=False))).findings
    assert finding.data["reindex"] == "REINDEX INDEX public.events_id"


# Tables


@pytest.mark.parametrize(
    ("changes", "major", "statement", "is_online"),
    [
        ({"has_identity": True}, 19, "REPACK (CONCURRENTLY) public.events", True),
        ({"has_identity": True}, 18, "VACUUM FULL public.events", False),
        ({"has_identity": True}, 0, "VACUUM FULL public.events", False),
        ({"has_key": True}, 19, "VACUUM FULL public.events", False),
        ({"has_identity": True, "is_logged": False}, 19, "VACUUM FULL public.events", False),
        ({"is_view": True}, 19, "REFRESH MATERIALIZED VIEW public.events", False),
        ({"is_view": True}, 15, "REFRESH MATERIALIZED VIEW public.events", False),
        (
            {
                "owner": EVENTS,
                "relation": QualifiedName("pg_toast", "pg_toast_1"),
                "has_identity": True,
            },
            19,
            "REPACK (CONCURRENTLY) public.events",
            True,
        ),
    ],
)
def test_table_is_rewritten_by_what_its_server_and_kind_allow(
    changes: dict[str, Any], major: int, statement: str, is_online: bool
) -> None:
    way = rewrite(replace(a_table(), **changes), major)
    assert (way.statement, way.is_online) == (statement, is_online)
    (finding,) = planned(a_stock(replace(a_table(), **changes), major=major)).findings
    assert (finding.data["rewrite"], finding.data["online"]) == (statement, is_online)


def test_estimate_is_not_acted_upon_where_measuring_is_possible() -> None:
    extension = Extension("public")
    assert planned(a_stock(an_index(), extension=extension)).actions == ()
    before = a_stock(an_index(), extension=extension, method=Method.MEASURED_BEFORE)
    assert planned(before).actions == ()
    exact = a_stock(an_index(), extension=extension, method=Method.EXACT)
    assert len(planned(exact).actions) == 1


def test_other_tables_than_the_one_asked_for_are_left_out() -> None:
    result = planned(a_stock(an_index(), a_table()), Request(QualifiedName("public", "other")))
    assert result == Plan()


# Leftovers

LEFT = Leftover(77, QualifiedName("public", "events_id_ccnew"), EVENTS, (10,), False)


def test_leftover_of_a_killed_rebuild_is_dropped_first() -> None:
    killed = a_rebuild(1, old_oid=10, new_oid=None, ended_at=None, size_after=None)
    stock = a_stock(an_index(), leftovers=(LEFT,), rebuilds=(killed,))
    clean, rebuild = planned(stock).actions
    assert clean.sql[-1] == "DROP INDEX CONCURRENTLY public.events_id_ccnew"
    assert rebuild.after == (clean.id,)
    assert list(settled(stock.leftovers, stock.rebuilds)) == []
    assert list(settled((), stock.rebuilds)) == [killed]


def test_copy_that_the_table_had_before_is_of_another_rebuild() -> None:
    begun = a_rebuild(
        20, old_oid=10, new_oid=None, ended_at=None, size_after=None, table_oid=5
    )._replace(indexes_before=[10, 77])
    left = LEFT._replace(table_oid=5)

    def removed(rebuild: Rebuild, leftover: Leftover) -> int:
        stock = a_stock(a_table(), bloat=0.0, leftovers=(leftover,), rebuilds=(rebuild,))
        return len(planned(stock).actions)

    assert removed(begun, left) == 0
    assert removed(begun._replace(new_oid=77), left) == 1
    assert removed(begun._replace(indexes_before=[10]), left) == 1
    assert removed(begun._replace(indexes_before=[10]), left._replace(table_oid=6)) == 0
    assert removed(begun._replace(indexes_before=[10]), left._replace(is_copy=False)) == 0


def test_leftover_of_others_is_told_unless_the_indexes_are_looked_at_anyway() -> None:
    stock = a_stock(a_table(), bloat=0.0, leftovers=(LEFT,))
    (finding,) = planned(stock).findings
    assert (finding.kind, finding.object) == (FindingKind.INDEX_INVALID, str(LEFT.relation))
    assert finding.data["drop"] == "DROP INDEX CONCURRENTLY public.events_id_ccnew"
    assert plan(a_policy(bloat={}, indexes={}), stock, NOW, EVERYTHING).findings == ()
    for other in (LEFT._replace(is_building=True), LEFT._replace(is_copy=False)):
        assert planned(a_stock(a_table(), bloat=0.0, leftovers=(other,))).findings == ()


@pytest.mark.parametrize(
    ("leftover", "changes"),
    [
        (LEFT, {"ended_at": NOW}),
        (LEFT._replace(twins=(11,)), {"old_oid": 10}),
        (LEFT._replace(is_building=True), {"old_oid": 10}),
    ],
    ids=["of a rebuild that ended", "of somebody else", "still being built"],
)
def test_leftover_that_is_not_provably_ours_stays(
    leftover: Leftover, changes: dict[str, Any]
) -> None:
    rebuild = a_rebuild(20, **{"old_oid": 10, "new_oid": None, "ended_at": None} | changes)
    stock = a_stock(a_table(), bloat=0.0, leftovers=(leftover,), rebuilds=(rebuild,))
    assert planned(stock).actions == ()


def test_old_index_after_the_swap_is_known_by_its_oid() -> None:
    left = LEFT._replace(oid=10, relation=QualifiedName("public", "events_id_ccold"), twins=(11,))
    rebuild = a_rebuild(1, old_oid=10, new_oid=11, ended_at=None, size_after=None)
    stock = a_stock(a_table(), bloat=0.0, leftovers=(left,), rebuilds=(rebuild,))
    assert [action.object for action in planned(stock).actions] == ["public.events_id_ccold"]


# Findings


def test_unknown_ones_are_named_up_to_a_number_and_then_counted() -> None:
    tables = [a_table(n, relation=QualifiedName("public", f"t{n}")) for n in range(1, 31)]
    findings = planned(a_stock(*tables, bloat=None, method=Method.UNKNOWN)).findings
    assert len(findings) == 21
    assert {finding.severity for finding in findings} == {Severity.INFO}
    assert findings[-1].value == 10


def test_missing_extension_is_said_once_with_what_to_run() -> None:
    stock = a_stock(extension=Extension(None, "CREATE EXTENSION pgstattuple"))
    (finding,) = planned(stock).findings
    assert finding.kind is FindingKind.EXTENSION_MISSING
    assert finding.data["statements"] == ["CREATE EXTENSION pgstattuple"]


def test_finding_tells_what_it_was_a_week_ago() -> None:
    past = [Past(NOW - timedelta(days=days), MB, share) for days, share in ((9, 0.1), (1, 0.4))]
    (finding,) = planned(a_stock(an_index(), past={"public.events_id": past})).findings
    assert (finding.data["a_week_ago"], finding.data["a_week_ago_at"]) == (0.1, "2026-11-11")


@pytest.mark.parametrize(
    ("extension", "changes", "of_stock", "remedy"),
    [
        (Extension(None, "CREATE EXTENSION pgstattuple"), {}, {}, "CREATE EXTENSION"),
        (Extension(None), {}, {}, "contrib package"),
        (Extension("x", "GRANT pg_stat_scan_tables TO me"), {}, {}, "GRANT pg_stat_scan_tables"),
        (Extension("x"), {}, {}, "next runs"),
        (Extension("x"), {"size_bytes": MOST_BYTES + 1}, {}, "x.pgstatindex('public.events_id')"),
        (Extension("x"), {}, {"tried": frozenset({10})}, "x.pgstatindex('public.events_id')"),
    ],
)
def test_remedy_of_what_only_a_measurement_tells_is_one_that_helps_here(
    extension: Extension, changes: dict[str, Any], of_stock: dict[str, Any], remedy: str
) -> None:
    index = an_index(is_plain=False, **changes)
    stock = replace(
        a_stock(index, extension=extension, **of_stock), bloat={10: estimate_index(index)}
    )
    unknown = [f for f in planned(stock).findings if f.kind is FindingKind.BLOAT_UNKNOWN]
    assert [remedy in finding.data["remedy"] for finding in unknown] == [True]


def test_unknown_relations_of_a_table_are_told_once_for_each_cause() -> None:
    names = ("a", "b", "c", "d")
    indexes = [
        replace(
            an_index(is_plain=False),
            oid=10 + n,
            relation=QualifiedName("public", name),
            size_bytes=(n + 1) * 2**20,
        )
        for n, name in enumerate(names)
    ]
    causes = ("expressions_or_predicate", "dead_rows", "dead_rows", "dead_rows")
    bloat = {
        index.oid: Bloat(Method.UNKNOWN, text="so", remedy="VACUUM public.events", reason=cause)
        for index, cause in zip(indexes, causes, strict=True)
    }
    stock = replace(a_stock(*indexes), bloat=bloat)
    found = [f for f in planned(stock).findings if f.kind is FindingKind.BLOAT_UNKNOWN]
    told = {f.object: (f.data["reason"], f.data["relations"]) for f in found}
    assert told == {
        "public.d": ("dead_rows", ["public.d", "public.c", "public.b"]),
        "public.a": ("expressions_or_predicate", ["public.a"]),
    }
    assert [f.data["size_bytes"] for f in found] == [9 * 2**20, 2**20]
    unsure = [set(f.data[UNKNOWN][FindingKind.INDEX_BLOAT.value]) for f in found]
    assert unsure == [{"public.b", "public.c", "public.d"}, {"public.a"}]


# Estimates


def test_dropped_columns_end_no_estimate_that_hardly_depends_on_them() -> None:
    gone = ID._replace(number=3, length=4, alignment="i", is_dropped=True, width=None)
    assert estimate_table(a_table(n_rows=68_000, columns=(ID, TEXT, gone))).fraction == (
        pytest.approx(0.47, abs=0.04)
    )
    many = tuple(gone._replace(number=number) for number in range(3, 12))
    unknown = estimate_table(a_table(n_rows=68_000, columns=(ID, TEXT, *many)))
    assert (unknown.fraction, unknown.reason) == (None, "dropped_columns")


def test_dropped_column_of_unknown_width_is_one_that_may_fill_all_the_rest() -> None:
    gone = TEXT._replace(number=3, is_dropped=True, width=None)
    half = estimate_table(a_table(n_rows=68_000, columns=(ID, TEXT, gone)))
    assert (half.fraction, half.reason) == (None, "dropped_columns")
    rewritten = estimate_table(a_table(n_rows=136_000, columns=(ID, TEXT, gone)))
    assert rewritten.fraction == pytest.approx(0, abs=0.05)


def test_virtual_column_needs_no_statistics() -> None:
    virtual = ID._replace(number=3, is_virtual=True, width=None, null_fraction=None)
    with_it = estimate_table(a_table(n_rows=68_000, columns=(ID, TEXT, virtual)))
    assert with_it == estimate_table(a_table(n_rows=68_000))


@pytest.mark.parametrize(
    ("nulls", "is_known"), [(0.0, True), (0.04, True), (0.2, False), (0.9, False)]
)
def test_unique_index_with_nulls_may_share_entries_that_a_rebuild_does_not(
    nulls: float, is_known: bool
) -> None:
    key = ID._replace(null_fraction=nulls, n_distinct=-(1 - nulls))
    bloat = estimate_index(an_index(is_unique=True, deduplicates=True, columns=(key, TEXT)))
    assert (bloat.fraction is not None) is is_known


def test_repeated_char_values_are_not_known_to_share_entries() -> None:
    index = an_index(deduplicates=True, columns=(ID._replace(n_distinct=1.0),))
    assert estimate_index(index).fraction is not None
    assert estimate_index(replace(index, is_padded=True)).reason == "shared_entries"
    distinct = replace(index, is_padded=True, columns=(ID,))
    assert estimate_index(distinct).fraction is not None


def test_distinct_key_with_many_nulls_does_not_tell_rows_apart() -> None:
    code = ID._replace(null_fraction=0.5, n_distinct=-0.5)
    state = ID._replace(number=2, n_distinct=3.0)
    index = an_index(deduplicates=True, keys=(1, 2), columns=(code, state))
    assert estimate_index(index).reason == "shared_entries"


def test_nulls_of_an_index_take_the_space_of_shared_nulls() -> None:
    # 270,000 nulls share entries of about six bytes each, 30,000 texts take 52 bytes.
    key = TEXT._replace(number=1, width=33, null_fraction=0.9, n_distinct=-0.1)
    pages = (270_000 * 6.2 + 30_000 * 52) / 7333
    index = an_index(
        deduplicates=True, columns=(key,), n_rows=300_000, size_bytes=round(pages) * 2 * 8192
    )
    assert estimate_index(index).fraction == pytest.approx(0.5, abs=0.03)


def test_fresh_table_and_index_are_not_bloated() -> None:
    # 8 + 20 bytes of data, 24 of header: 56 with padding, and 4 for the line pointer.
    table = a_table(n_rows=136_000)
    assert estimate_table(table).fraction == pytest.approx(0, abs=0.03)
    index = an_index(size_bytes=2745 * 8192, n_rows=1_000_000)
    assert estimate_index(index).fraction == pytest.approx(0, abs=0.01)


def test_emptied_table_is_bloated_by_what_is_gone() -> None:
    assert estimate_table(a_table(n_rows=34_000)).fraction == pytest.approx(0.75, abs=0.02)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"size_bytes": None}, "locked"),
        ({"readable": False}, "not_readable"),
        ({"n_rows": -1}, "never_analyzed"),
        ({"analyzed_at": None}, "analyzed_unknown"),
        ({"n_changed": 50_000}, "rows_changed"),
        ({"pages": 500}, "size_changed"),
        ({"columns": (ID, TEXT._replace(width=None))}, "no_statistics"),
        (
            {"columns": (ID, TEXT._replace(width=None, is_readable=False))},
            "column_not_readable",
        ),
        (
            {"columns": (ID, TEXT._replace(width=None, is_analyzed=False))},
            "column_not_analyzed",
        ),
    ],
)
def test_bad_input_is_refused_with_the_reason(changes: dict[str, Any], reason: str) -> None:
    bloat = estimate_table(a_table(**changes))
    assert (bloat.method, bloat.fraction) == (Method.UNKNOWN, None)
    assert bloat.reason == reason
    assert bloat.remedy


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"is_plain": False}, "expressions_or_predicate"),
        ({"n_dead": 50_000}, "dead_rows"),
        ({"keys": (2,), "columns": (ID, TEXT._replace(width=900))}, "wide_keys"),
        (
            {"is_unique": False, "deduplicates": True, "columns": (ID._replace(n_distinct=9e3),)},
            "shared_entries",
        ),
    ],
)
def test_index_that_statistics_can_not_tell_is_refused(
    changes: dict[str, Any], reason: str
) -> None:
    bloat = estimate_index(an_index(**changes))
    assert bloat.method is Method.UNKNOWN
    assert bloat.reason == reason


def test_wide_values_apart_are_empty_at_least_by_whole_chunks() -> None:
    toast = a_table(owner=EVENTS, n_rows=1000, columns=())
    assert estimate_table(toast) == Bloat(Method.AT_LEAST, 0.75)


columns = st.builds(
    Column,
    number=st.just(1),
    length=st.sampled_from([1, 2, 4, 8, 16, -1]),
    alignment=st.sampled_from("csid"),
    is_dropped=st.just(False),
    is_virtual=st.just(False),
    width=st.integers(1, 2000),
    null_fraction=st.floats(0, 1),
    n_distinct=st.just(-1.0),
    n_common=st.just(0),
    common_fraction=st.just(0.0),
)


@given(st.lists(columns, max_size=12))
def test_widths_are_ordered_and_hold_the_data(columns: list[Column]) -> None:
    data = sum(
        (1 - (c.null_fraction or 0)) * (c.length if c.length > 0 else c.width or 0) for c in columns
    )
    held = [stored(column) for column in columns]
    for width, header in ((row_width(held), 23), (entry_width(held), 8)):
        assert width.low <= width.high
        assert header + data <= width.high + 1e-6
        assert width.high <= aligned(header + data) + 16 + 15 * len(columns)


@given(
    n_rows=st.integers(0, 10**9),
    pages=st.integers(1, 10**7),
    fill=st.integers(10, 100),
    columns=st.lists(columns, min_size=1, max_size=8),
)
def test_share_is_always_a_share(n_rows: int, pages: int, fill: int, columns: list[Column]) -> None:
    sized = {"n_rows": n_rows, "pages": pages}
    bloat = estimate_table(
        a_table(size_bytes=pages * 8192, columns=tuple(columns), fill_factor=fill, **sized)
    )
    assert bloat.fraction is None or 0 <= bloat.fraction <= 1
