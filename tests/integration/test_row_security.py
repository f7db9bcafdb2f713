"""Row security of partitions: never without the policies of their parent."""

from pathlib import Path

import pytest

from maintenance.engine.findings import FindingKind, Severity
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from tests.builders import Database, Role
from tests.integration.test_apply import child
from tests.policies import CREATE_EVENTS, EVENTS, make_policy

pytestmark = [pytest.mark.pg("== 15"), pytest.mark.store]
FLAGS = "SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = %s::regclass"
POLICIES = """
SELECT polname, polcmd, polpermissive, polroles::regrole[]::text, pg_get_expr(polqual, polrelid),
       pg_get_expr(polwithcheck, polrelid)
FROM pg_policy WHERE polrelid = %s::regclass ORDER BY 1
"""


@pytest.fixture
def policy(database: Database, tmp_path: Path) -> Policy:
    database.execute(CREATE_EVENTS)
    policy = make_policy(tmp_path, database.url, EVENTS)
    pipeline.apply(policy)
    return policy


def protect(database: Database, reader: Role) -> None:
    for statement in (
        "ALTER TABLE public.events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        'CREATE POLICY "mine ""$$" ON public.events'
        " USING (note = current_setting('app.me', true))",
        f"CREATE POLICY few ON public.events AS RESTRICTIVE FOR UPDATE TO {reader.name}"
        " USING (id > 0 AND id IN (SELECT 1)) WITH CHECK (id < 9)",
    ):
        database.execute(statement)


def rows_seen(database: Database, table: str, reader: Role, me: str) -> int:
    session = database.connect(reader)
    session.execute("SELECT set_config('app.me', %s, false)", [me])
    ((n,),) = session.execute(f"SELECT count(*) FROM {table}".encode()).fetchall()
    return int(n)


def test_a_partition_gets_row_security_with_its_parents_policies(
    database: Database, policy: Policy, limited_role: Role
) -> None:
    database.execute(f"DROP TABLE public.{child(3)}")
    database.execute(f"GRANT SELECT ON public.events TO {limited_role.name}")
    protect(database, limited_role)
    database.execute(
        "INSERT INTO public.events SELECT i, now(), n"
        " FROM unnest('{a,a,b}'::text[]) WITH ORDINALITY AS u (n, i)"
    )
    report = pipeline.apply(policy, only=["partitions"])
    assert report.ok
    wanted = database.execute(POLICIES, ["public.events"])
    for n in range(4):
        name = f"public.{child(n)}"
        assert database.execute(FLAGS, [name]) == [(True, True)]
        assert database.execute(POLICIES, [name]) == wanted
    assert rows_seen(database, f"public.{child(0)}", limited_role, "a") == 2
    (step,) = {
        tuple(sql.split()[0] for sql in step.statements)
        for result in report.results
        if result.action.kind.value == "repair_partition"
        for step in result.action.steps
        if any("ROW LEVEL" in sql for sql in step.statements)
    }
    assert step == ("CREATE", "CREATE", "ALTER", "ALTER"), "policies first, in one transaction"
    assert pipeline.plan(policy, only=["partitions"]).plan.actions == ()


def test_a_partition_that_is_read_by_name_does_not_go_dark_and_is_told(
    database: Database, policy: Policy, limited_role: Role
) -> None:
    protect(database, limited_role)
    name = f"public.{child(0)}"
    database.execute(f"GRANT SELECT ON {name} TO {limited_role.name}")
    database.execute("INSERT INTO public.events VALUES (1, now(), 'a')")
    report = pipeline.apply(policy, only=["partitions"])
    assert report.ok
    assert database.execute(FLAGS, [name]) == [(False, False)]
    assert rows_seen(database, name, limited_role, "nobody") == 1
    found = next(f for f in report.findings if f.kind is FindingKind.PARTITION_PROPERTY_DRIFT)
    assert found.severity is Severity.WARN
    assert "read_by_name" in found.data["reasons"][name]
    assert found.data["statements"][-1] == f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY"
    assert pipeline.plan(policy, only=["partitions"]).plan.actions == ()


@pytest.mark.parametrize("own", [True, False])
def test_row_security_with_policies_of_its_own_is_not_taken_away(
    database: Database, policy: Policy, own: bool
) -> None:
    name = f"public.{child(2)}"
    database.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
    if own:
        database.execute(f"CREATE POLICY mine ON {name} USING (id > 0)")
    assert pipeline.apply(policy, only=["partitions"]).ok
    assert database.execute(FLAGS, [name]) == [(own, False)]


def test_a_policy_of_the_same_name_and_other_words_leaves_a_partition_as_it_is(
    database: Database, policy: Policy, limited_role: Role
) -> None:
    protect(database, limited_role)
    name = f"public.{child(1)}"
    database.execute(f"CREATE POLICY few ON {name} USING (id > 77)")
    report = pipeline.apply(policy, only=["partitions"])
    assert report.ok
    assert database.execute(FLAGS, [name]) == [(False, False)]
    assert len(database.execute(POLICIES, [name])) == 1


SECURE = """
ALTER TABLE public.events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY mine ON public.events USING (note = current_setting('app.me', true))
"""
DEFAULT = "CREATE TABLE public.events_default PARTITION OF public.events DEFAULT"
LATE = (
    "INSERT INTO public.events_default SELECT i, now() + interval '1 month' * m, 'a'"
    " FROM generate_series(0, 3) m, generate_series(1, 9) i"
)


@pytest.mark.parametrize("made_by", ["owner", "us", "swap", "drain"])
def test_a_default_partition_stays_readable_for_a_role_that_row_security_binds(
    database: Database, tmp_path: Path, owner_role: Role, made_by: str
) -> None:
    database.execute(CREATE_EVENTS)
    if made_by != "us":
        database.execute(DEFAULT)
    database.execute(SECURE)
    if made_by in ("swap", "drain"):
        database.execute(LATE.replace("0, 3", "0, 0"))
    if made_by == "drain":
        database.execute("INSERT INTO public.events_default VALUES (1, '2001-01-01', 'a')")
    database.give_to(owner_role)
    database.execute(f"GRANT CREATE ON SCHEMA public TO {owner_role.name}")
    events = {**EVENTS, "premake": 1, "default": "ensure"}
    policy = make_policy(tmp_path, database.url_of(owner_role), events)
    assert pipeline.apply(policy, only=["partitions"]).ok
    assert database.execute(FLAGS, ["public.events_default"]) == [(True, False)]
    assert database.execute(FLAGS, [f"public.{child(0)}"]) == [(True, True)]
    assert database.execute(POLICIES, ["public.events_default"]) == database.execute(
        POLICIES, ["public.events"]
    )
    database.execute(LATE.replace("0, 3", "2, 3"))
    more = make_policy(tmp_path, database.url_of(owner_role), {**events, "premake": 3})
    report = pipeline.apply(more, only=["partitions"])
    assert report.ok, report.results
    kinds = {f.kind for f in report.findings if f.severity is not Severity.INFO}
    assert FindingKind.MONITOR_BLIND not in kinds
    assert FindingKind.PARTITION_PROPERTY_DRIFT not in kinds
    rest = 1 if made_by == "drain" else 0
    assert database.execute("SELECT count(*) FROM public.events_default") == [(rest,)]
    assert pipeline.apply(more, only=["partitions"]).ok
    assert pipeline.plan(more, only=["partitions"]).plan.actions == ()


@pytest.mark.parametrize("force", [True, False])
def test_row_security_of_a_default_partition_is_never_taken_away(
    database: Database, policy: Policy, force: bool
) -> None:
    database.execute(DEFAULT)
    database.execute("ALTER TABLE public.events_default ENABLE ROW LEVEL SECURITY")
    if force:
        database.execute("ALTER TABLE public.events_default FORCE ROW LEVEL SECURITY")
    report = pipeline.apply(policy, only=["partitions"])
    assert report.ok
    assert database.execute(FLAGS, ["public.events_default"]) == [(True, force)]
    (found,) = [f for f in report.findings if f.kind is FindingKind.PARTITION_PROPERTY_DRIFT]
    assert found.data["partitions"] == ["public.events_default"]


def test_no_right_is_granted_past_the_policies_of_the_parent(
    database: Database, policy: Policy, limited_role: Role, owner_role: Role
) -> None:
    name = f"public.{child(0)}"
    database.execute(f"GRANT SELECT ON {name} TO {owner_role.name}")
    database.execute(f"GRANT SELECT ON public.events TO {limited_role.name}")
    protect(database, limited_role)
    assert pipeline.apply(policy, only=["partitions"]).ok
    assert database.execute(FLAGS, [name]) == [(False, False)]
    assert database.execute(
        f"SELECT has_table_privilege('{limited_role.name}', '{name}', 'SELECT')"
    ) == [(False,)]
