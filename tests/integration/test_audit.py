"""Partitions held against their parent, new and old ones."""

from pathlib import Path

import pytest

from maintenance import maintain
from maintenance.engine.findings import FindingKind, Severity
from maintenance.policy import Policy
from tests.builders import Database, Role
from tests.integration.test_apply import PROPERTIES, child
from tests.policies import CREATE_EVENTS, EVENTS, make_policy


@pytest.fixture
def policy(database: Database, tmp_path: Path) -> Policy:
    database.execute(CREATE_EVENTS)
    policy = make_policy(tmp_path, database.url, EVENTS)
    maintain.apply(policy)
    return policy


def test_partition_made_by_hand_gets_its_parents_owner_rights_and_identity(
    database: Database, policy: Policy, owner_role: Role, limited_role: Role
) -> None:
    database.execute(f"ALTER TABLE public.events OWNER TO {owner_role.name}")
    database.execute(f"GRANT SELECT, INSERT ON public.events TO {limited_role.name}")
    database.execute("ALTER TABLE public.events REPLICA IDENTITY FULL")
    database.execute("ALTER TABLE public.events ENABLE ROW LEVEL SECURITY")
    database.execute("ALTER TABLE public.events FORCE ROW LEVEL SECURITY")
    report = maintain.apply(policy)
    assert report.ok
    assert {r.action.kind.value for r in report.results} == {"repair_partition"}
    (parent,) = database.execute(PROPERTIES, ["public.events"])
    for n in range(4):
        assert database.execute(PROPERTIES, [f"public.{child(n)}"]) == [parent]
    assert maintain.plan(policy).plan.actions == ()


def test_identity_is_taken_back_to_the_parents_default(database: Database, policy: Policy) -> None:
    database.execute(f"ALTER TABLE public.{child(1)} REPLICA IDENTITY NOTHING")
    database.execute(f"ALTER TABLE public.{child(1)} ENABLE ROW LEVEL SECURITY")
    (result,) = maintain.apply(policy).results
    assert result.action.object == f"public.{child(1)}"
    assert maintain.plan(policy).findings == ()


def test_right_beyond_the_parents_is_reported_and_left(
    database: Database, policy: Policy, limited_role: Role
) -> None:
    database.execute(f"GRANT SELECT ON public.{child(2)} TO {limited_role.name}")
    report = maintain.apply(policy)
    assert report.results == ()
    (finding,) = report.findings
    assert (finding.kind, finding.severity) == (
        FindingKind.PARTITION_PROPERTY_DRIFT,
        Severity.INFO,
    )
    assert f"also SELECT for {limited_role.name}" in finding.message


def test_same_rights_in_another_order_are_no_drift(
    database: Database, policy: Policy, owner_role: Role, limited_role: Role
) -> None:
    one, two = owner_role.name, limited_role.name
    for table, roles in (("events", (one, two)), (child(0), (two, one))):
        for role in roles:
            database.execute(f"GRANT SELECT ON public.{table} TO {role}")
    assert child(0) not in str(maintain.plan(policy).findings)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("ALTER TABLE public.{} SET (fillfactor = 70)", "storage options {fillfactor=70}"),
        ("CREATE POLICY p ON public.{} USING (true)", "row security policies 1"),
        (
            "CREATE PUBLICATION p FOR TABLE public.{0}; ALTER PUBLICATION p DROP TABLE public.{0};"
            " ALTER PUBLICATION p ADD TABLE public.{1}",
            "not in publication p",
        ),
        ("CREATE INDEX half ON ONLY public.events (note)", "some partition lacks it"),
    ],
)
def test_what_differs_from_siblings_is_reported_and_left(
    database: Database, policy: Policy, statement: str, words: str
) -> None:
    database.execute(
        statement.replace("{}", child(1)).replace("{0}", child(1)).replace("{1}", child(2))
    )
    report = maintain.apply(policy)
    assert report.results == ()
    (finding,) = report.findings
    assert finding.severity is Severity.INFO
    assert words in finding.message
