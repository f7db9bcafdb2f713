"""Partitions held against their parent, new and old ones."""

import re
from pathlib import Path
from typing import Any

import pytest

from maintenance.engine.findings import FindingKind, Severity
from maintenance.errors import ForeignStoreError
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from tests.builders import Database, Role
from tests.integration.test_apply import PROPERTIES, child
from tests.policies import CREATE_EVENTS, EVENTS, make_policy

pytestmark = [pytest.mark.store, pytest.mark.in_turn]


@pytest.fixture
def policy(database: Database, tmp_path: Path) -> Policy:
    database.execute(CREATE_EVENTS)
    policy = make_policy(tmp_path, database.url, EVENTS)
    pipeline.apply(policy)
    return policy


def test_partition_made_by_hand_gets_its_parents_owner_rights_and_identity(
    database: Database, policy: Policy, owner_role: Role, limited_role: Role
) -> None:
    database.execute(f"GRANT CREATE ON SCHEMA public TO {owner_role.name}")
    database.execute(f"ALTER TABLE public.events OWNER TO {owner_role.name}")
    database.execute(f"GRANT SELECT, INSERT ON public.events TO {limited_role.name}")
    database.execute("ALTER TABLE public.events REPLICA IDENTITY FULL")
    database.execute("ALTER TABLE public.events ENABLE ROW LEVEL SECURITY")
    database.execute("ALTER TABLE public.events FORCE ROW LEVEL SECURITY")
    report = pipeline.apply(policy)
    assert report.ok
    assert {r.action.kind.value for r in report.results} == {"repair_partition"}
    (parent,) = database.execute(PROPERTIES, ["public.events"])
    for n in range(4):
        assert database.execute(PROPERTIES, [f"public.{child(n)}"]) == [parent]
    assert pipeline.plan(policy).plan.actions == ()


def test_identity_is_taken_back_to_the_parents_default(database: Database, policy: Policy) -> None:
    database.execute(f"ALTER TABLE public.{child(1)} REPLICA IDENTITY NOTHING")
    database.execute(f"ALTER TABLE public.{child(1)} ENABLE ROW LEVEL SECURITY")
    (result,) = pipeline.apply(policy).results
    assert result.action.object == f"public.{child(1)}"
    assert pipeline.plan(policy).findings == ()


def test_right_beyond_the_parents_is_reported_and_left(
    database: Database, policy: Policy, limited_role: Role
) -> None:
    database.execute(f"GRANT SELECT ON public.{child(2)} TO {limited_role.name}")
    report = pipeline.apply(policy)
    assert report.results == ()
    (finding,) = report.findings
    assert (finding.kind, finding.severity) == (
        FindingKind.PARTITION_PROPERTY_DRIFT,
        Severity.INFO,
    )
    assert finding.data["reasons"] == {f"public.{child(2)}": ["rights_beyond"]}
    assert f"SELECT for {limited_role.name}" in finding.message


def test_same_rights_in_another_order_are_no_drift(
    database: Database, policy: Policy, owner_role: Role, limited_role: Role
) -> None:
    one, two = owner_role.name, limited_role.name
    for table, roles in (("events", (one, two)), (child(0), (two, one))):
        for role in roles:
            database.execute(f"GRANT SELECT ON public.{table} TO {role}")
    assert child(0) not in str(pipeline.plan(policy).findings)


@pytest.mark.parametrize(
    ("statement", "reason", "words"),
    [
        ("ALTER TABLE public.{} SET (fillfactor = 70)", "storage_options", ["fillfactor=70"]),
        ("CREATE POLICY p ON public.{} USING (true)", "row_security_policies", ["1", "0"]),
        ("CREATE INDEX half ON ONLY public.events (note)", "index_invalid", ["public.half"]),
        (
            "ALTER TABLE public.events ALTER note SET STATISTICS 500;"
            "ALTER TABLE public.{} ALTER note SET STATISTICS 7",
            "statistics_target",
            ["7", "note", "500"],
        ),
        (
            "CREATE STATISTICS public.of_both ON id, note FROM public.events",
            "extended_statistics",
            ["0", "1"],
        ),
    ],
)
def test_what_differs_from_siblings_is_reported_and_left(
    database: Database, policy: Policy, statement: str, reason: str, words: list[str]
) -> None:
    database.execute(
        statement.replace("{}", child(1)).replace("{0}", child(1)).replace("{1}", child(2))
    )
    report = pipeline.apply(policy)
    assert report.results == ()
    (finding,) = report.findings
    assert finding.severity is Severity.INFO
    assert {tuple(codes) for codes in finding.data["reasons"].values()} == {(reason,)}
    assert set(words) <= set(re.findall(r"[\w.=]+", finding.message))


def test_partition_out_of_a_publication_of_its_siblings_is_a_warning(
    database: Database, policy: Policy
) -> None:
    database.execute(f"CREATE PUBLICATION p FOR TABLE public.{child(2)}")
    report = pipeline.apply(policy)
    assert report.results == ()
    (finding,) = report.findings
    assert (finding.severity, finding.value) == (Severity.WARN, 3)
    assert set(finding.data["statements"]) == {
        f"ALTER PUBLICATION p ADD TABLE ONLY public.{child(n)}" for n in (0, 1, 3)
    }


def on_all(database: Database, statement: str, *but: int) -> None:
    """Run a statement on all partitions but some."""
    for n in set(range(4)) - set(but):
        database.execute(statement.replace("{}", child(n)))


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("ALTER TABLE public.{} ALTER note SET STATISTICS 50", "statistics_target"),
        ("COMMENT ON TABLE public.{} IS 'one month'", "comment"),
        ("COMMENT ON COLUMN public.{}.note IS 'words'", "column_comments"),
    ],
)
def test_what_a_partition_lacks_of_most_siblings_is_reported(
    database: Database, policy: Policy, statement: str, reason: str
) -> None:
    on_all(database, statement, 2)
    (finding,) = pipeline.plan(policy).findings
    assert finding.severity is Severity.INFO
    assert finding.data["reasons"] == {f"public.{child(2)}": [reason]}
    assert finding.value == 1


def test_target_of_the_parent_reaches_a_partition_that_has_none(
    database: Database, policy: Policy
) -> None:
    database.execute('ALTER TABLE public.events ADD "Größe ""x""" int')
    database.execute('ALTER TABLE public.events ALTER "Größe ""x""" SET STATISTICS 321')
    on_all(database, 'ALTER TABLE public.{} ALTER "Größe ""x""" SET STATISTICS -1', 0, 3)
    report = pipeline.apply(policy)
    assert report.ok
    assert {r.action.object for r in report.results} == {f"public.{child(n)}" for n in (1, 2)}
    assert pipeline.plan(policy).findings == ()


def test_new_partition_gets_what_like_leaves_out(database: Database, policy: Policy) -> None:
    database.execute("CREATE STATISTICS public.of_both ON id, note FROM public.events")
    database.execute("ALTER TABLE public.events ALTER id SET STATISTICS 400")
    database.execute("COMMENT ON COLUMN public.events.note IS 'words'")
    database.execute(f"DROP TABLE public.{child(3)}")
    on_all(
        database, "ALTER TABLE public.{} SET (fillfactor = 70, toast.autovacuum_enabled = off)", 3
    )
    on_all(database, "ALTER TABLE public.{} ALTER note SET STATISTICS 50", 3)
    on_all(database, "ALTER TABLE public.{} ALTER note SET (n_distinct = -0.5)", 3)
    on_all(database, "COMMENT ON TABLE public.{} IS 'a month''s events'", 3)
    assert pipeline.apply(policy).ok
    (old,) = database.execute(CARRIED, [f"public.{child(2)}"])
    (made,) = database.execute(CARRIED, [f"public.{child(3)}"])
    assert made == old
    assert made[:2] == (["fillfactor=70"], ["autovacuum_enabled=off"])
    seen = "SELECT count(*) FROM pg_statistic_ext WHERE stxrelid = %s::regclass"
    assert database.execute(seen, [f"public.{child(3)}"]) == [(1,)]
    words = "SELECT col_description(%s::regclass, 3)"
    assert database.execute(words, [f"public.{child(3)}"]) == [("words",)]


CARRIED = """
SELECT c.reloptions, t.reloptions, obj_description(c.oid), c.relam,
       (SELECT array_agg((attname, attstattarget, o)::text ORDER BY attnum)
          FROM pg_attribute LEFT JOIN LATERAL unnest(attoptions) o ON o LIKE 'n_dist%%'
         WHERE attrelid = c.oid AND attnum > 0)
FROM pg_class c LEFT JOIN pg_class t ON t.oid = c.reltoastrelid WHERE c.oid = %s::regclass
"""


METHOD = "SELECT amname FROM pg_am a JOIN pg_class c ON c.relam = a.oid WHERE c.oid = %s::regclass"
OTHER_METHOD = "CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler"


@pytest.mark.pg(">= 17")
def test_new_partition_gets_the_access_method_of_its_parent(
    database: Database, tmp_path: Path
) -> None:
    database.execute(OTHER_METHOD)
    database.execute(CREATE_EVENTS + " USING other")
    assert pipeline.apply(make_policy(tmp_path, database.url, EVENTS)).ok
    assert database.execute(METHOD, [f"public.{child(3)}"]) == [("other",)]


def test_new_partition_gets_the_access_method_of_its_siblings(
    database: Database, policy: Policy
) -> None:
    database.execute(OTHER_METHOD)
    on_all(database, "ALTER TABLE public.{} SET ACCESS METHOD other", 3)
    database.execute(f"DROP TABLE public.{child(3)}")
    assert pipeline.apply(policy).ok
    assert database.execute(METHOD, [f"public.{child(3)}"]) == [("other",)]


def test_partition_of_another_access_method_is_reported(database: Database, policy: Policy) -> None:
    database.execute(OTHER_METHOD)
    database.execute(f"ALTER TABLE public.{child(2)} SET ACCESS METHOD other")
    (finding,) = pipeline.plan(policy).findings
    assert finding.data["reasons"] == {f"public.{child(2)}": ["access_method"]}
    assert {"other", "heap"} <= set(re.findall(r"\w+", finding.message))


def stranded(report: pipeline.Report) -> dict[str, dict[str, Any] | None]:
    """What a run last did to each table that is attached to nothing."""
    kind = FindingKind.STRANDED_TABLE
    return {f.object: f.data["last_action"] for f in report.findings if f.kind is kind}


def test_table_made_and_not_attached_is_found_with_the_run_that_made_it(
    database: Database, policy: Policy
) -> None:
    name = f"public.{child(3)}"
    database.execute(f"ALTER TABLE public.events DETACH PARTITION {name}")
    database.execute("CREATE TABLE public.events_2001_01 (LIKE public.events)")
    database.execute("CREATE TABLE public.events_2001_02 (LIKE public.events)")
    database.execute("ALTER TABLE public.events_2001_02 DROP note")
    found = stranded(pipeline.plan(policy))
    assert found.keys() == {name, "public.events_2001_01"}
    ((run,),) = database.execute("SELECT id::text FROM maintenance.run")
    last = found[name]
    assert last is not None
    assert (last["kind"], last["outcome"], last["run_id"]) == ("create_partition", "done", run)
    assert found["public.events_2001_01"] is None
    assert database.execute("SELECT count(*) FROM public.events_2001_01") == [(0,)]


def test_plan_without_a_store_knows_no_origin(database: Database, policy: Policy) -> None:
    database.execute("DROP SCHEMA maintenance CASCADE")
    database.execute(f"ALTER TABLE public.events DETACH PARTITION public.{child(3)}")
    assert list(stranded(pipeline.plan(policy)).values()) == [None]


def test_plan_by_a_role_that_may_not_read_the_store_knows_no_origin(
    database: Database, policy: Policy, owner_role: Role, tmp_path: Path
) -> None:
    database.execute(f"GRANT USAGE ON SCHEMA maintenance TO {owner_role.name}")
    database.execute(f"GRANT SELECT ON maintenance.migration TO {owner_role.name}")
    database.execute(f"ALTER TABLE public.events DETACH PARTITION public.{child(3)}")
    database.give_to(owner_role)
    url = database.url_of(owner_role)
    with pytest.raises(ForeignStoreError):
        pipeline.plan(make_policy(tmp_path, url, EVENTS))
    ((maker,),) = database.execute("SELECT current_user")
    named = make_policy(tmp_path, url, EVENTS, store={"owner": maker})
    assert list(stranded(pipeline.plan(named)).values()) == [None]


@pytest.mark.pg("== 16")
def test_replica_identity_by_an_index_that_older_partitions_lack_is_told_and_never_tried(
    database: Database, policy: Policy
) -> None:
    database.execute("CREATE UNIQUE INDEX by_note ON public.events (id, at)")
    database.execute("ALTER TABLE public.events REPLICA IDENTITY USING INDEX by_note")
    first, report = pipeline.apply(policy), pipeline.apply(policy)
    assert first.ok
    assert report.ok
    assert first.results == report.results == ()
    (finding,) = report.findings
    assert (finding.kind, finding.severity) == (
        FindingKind.PARTITION_PROPERTY_DRIFT,
        Severity.WARN,
    )
    assert finding.value == 4
