"""The command uninstall: what runs have left goes, and nothing else."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from maintenance.cli.commands import cli
from maintenance.ddl.marks import marked
from maintenance.engine.run_lock import RUN_LOCK
from maintenance.errors import HeldError, LockNotAcquiredError
from maintenance.names import literal
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.pause import pause
from maintenance.pipeline.uninstall import UninstallReport, uninstall
from maintenance.policy import Policy
from tests.builders import Database, Role, drop_database, make_database
from tests.policies import CREATE_EVENTS, EVENTS, make_policy

pytestmark = pytest.mark.pg("== 18")

NOW = datetime(2026, 11, 20, tzinfo=UTC)
SCHEMA = "SELECT to_regnamespace('maintenance')::text"
COMMENT = "SELECT obj_description('public.{}'::regclass)"
JANUARY = "FOR VALUES FROM ('2025-01-01 00:00:00+00') TO ('2025-02-01 00:00:00+00')"
RETIRED = f"""
CREATE TABLE public.events_2025_01 PARTITION OF public.events {JANUARY};
INSERT INTO public.events VALUES (1, '2025-01-05');
CREATE TABLE public.events_2026_11 PARTITION OF public.events
  FOR VALUES FROM ('2026-11-01 00:00+00') TO ('2026-12-01 00:00+00');
INSERT INTO public.events VALUES (2, '2026-11-05');
COMMENT ON TABLE public.events_2026_11
  IS E'ours since 2019\\nmaintenance: {{"hold_until": "2031-01-01"}}'
"""


@pytest.fixture
def policy(database: Database, tmp_path: Path) -> Policy:
    """A policy whose first run has detached a month that stays."""
    database.execute(CREATE_EVENTS)
    for statement in RETIRED.split(";\n"):
        database.execute(statement)
    retention = {"keep": "12 months", "action": "detach"}
    policy = make_policy(tmp_path, database.url, {**EVENTS, "retention": retention})
    assert pipeline.apply(policy, now=NOW).ok
    return policy


def call(policy: Policy, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["uninstall", "--policy", str(policy.path), *arguments])


def document(policy: Policy, *arguments: str, exit_code: int = 0) -> dict[str, Any]:
    result = call(policy, "--json", *arguments)
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


def kept(report: UninstallReport) -> dict[str, tuple[str, bool]]:
    return {each.object: (each.kind, each.is_refused) for each in report.removal.kept}


def test_it_is_shown_and_nothing_is_changed(policy: Policy, database: Database) -> None:
    shown = document(policy)
    assert (shown["applied"], shown["complete"]) == (False, False)
    objects = ["public.events_2025_01", "public.events_2026_11", "maintenance"]
    assert [each["object"] for each in shown["actions"]] == objects
    assert database.execute(SCHEMA) == [("maintenance",)]
    assert "hold_until" in database.execute(COMMENT.format("events_2026_11"))[0][0]
    assert call(policy).exit_code == 0


def test_what_runs_left_goes_and_tables_with_rows_stay(policy: Policy, database: Database) -> None:
    done = document(policy, "--yes")
    assert (done["applied"], done["complete"]) == (True, True)
    assert {each["outcome"] for each in done["actions"]} == {"done"}
    assert database.execute(SCHEMA) == [(None,)]
    assert database.execute(COMMENT.format("events_2026_11")) == [("ours since 2019",)]
    assert database.execute(COMMENT.format("events_2025_01")) == [(None,)]
    assert database.execute("SELECT id FROM public.events_2025_01") == [(1,)]
    assert database.execute("SELECT id FROM public.events") == [(2,)]
    (detached,) = done["kept"]
    assert detached["size_bytes"] > 0
    for statement in detached["statements"][:1]:
        database.execute(statement)
    assert database.execute("SELECT count(*) FROM public.events") == [(2,)]
    places = {each["what"] for each in done["outside"]}
    assert {"policy", "dagster", "objects"} <= places


@pytest.mark.parametrize(
    ("mark", "outcome"),
    [
        ([["public.events_2026_11", "events_november"]], "events_november"),
        ([["public.events_2025_01", "events_november"]], None),
        ([], None),
    ],
)
def test_partition_that_lost_its_name_gets_it_back(
    policy: Policy, database: Database, mark: list[Any], outcome: str | None
) -> None:
    comment = f"{marked(None, {'released': mark})}\nours since 2019"
    database.execute(f"COMMENT ON TABLE public.events_2026_11 IS {literal(comment)}")
    report = uninstall(policy, act=True)
    assert ("public.events_2026_11" in kept(report)) is (outcome is None)
    name = outcome or "events_2026_11"
    left = comment if outcome is None else "ours since 2019"
    assert database.execute(COMMENT.format(name)) == [(left,)]


def test_second_time_there_is_nothing_to_do(policy: Policy, database: Database) -> None:
    assert uninstall(policy, act=True).ok
    again = uninstall(policy, act=True)
    assert (again.ok, again.planned, again.results, again.removal.kept) == (True, (), (), ())
    assert database.execute(SCHEMA) == [(None,)]


def test_store_that_serves_others_loses_only_the_rows_of_this_database(
    database: Database, tmp_path: Path
) -> None:
    database.execute(CREATE_EVENTS)
    store = make_database(database.server)
    one, other = (
        make_policy(tmp_path, database.url, EVENTS, name=name, store={"url": store.url})
        for name in ("one", "other")
    )
    try:
        for policy in (one, other):
            assert pipeline.apply(policy, now=NOW).ok
        first = uninstall(one, act=True)
        assert (first.ok, kept(first)) == (True, {"maintenance": ("shared_store", False)})
        runs = "SELECT DISTINCT database FROM maintenance.run"
        assert store.execute(runs) == [("other",)]
        assert uninstall(one, act=True).planned == ()
        assert uninstall(other, act=True).ok
        assert store.execute(SCHEMA) == [(None,)]
    finally:
        drop_database(store)


def test_what_others_built_on_the_store_keeps_it(policy: Policy, database: Database) -> None:
    database.execute("CREATE VIEW public.runs AS SELECT * FROM maintenance.run")
    database.execute("CREATE TABLE maintenance.notes (id int)")
    report = uninstall(policy, act=True)
    assert not report.ok
    assert kept(report)["public.runs"] == ("dependent", True)
    assert database.execute("SELECT count(*) > 0 FROM public.runs") == [(True,)]
    assert document(policy, "--yes", exit_code=1)["complete"] is False
    database.execute("DROP VIEW public.runs")
    report = uninstall(policy, act=True)
    assert [r.error for r in report.results] == [None]
    assert (report.ok, kept(report)) == (True, {"maintenance.notes": ("unproven", False)})
    left = "SELECT relname::text FROM pg_class WHERE relnamespace = 'maintenance'::regnamespace"
    assert database.execute(left) == [("notes",)]


NAMESAKES = """
CREATE TABLE public.maintenance_drain_7_log (id int);
INSERT INTO public.maintenance_drain_7_log VALUES (1);
COMMENT ON TABLE public.maintenance_drain_7_log
  IS 'maintenance: {"draining": "public.events", "oid": 7}';
CREATE TABLE public.maintenance_restore_me (id int);
CREATE TABLE public.half (id int);
INSERT INTO public.half VALUES (1);
COMMENT ON TABLE public.half IS 'maintenance: {"restoring": "s3://bucket"}';
CREATE MATERIALIZED VIEW public.mine AS SELECT 1 AS id;
COMMENT ON MATERIALIZED VIEW public.mine IS 'maintenance: {"twin_of": "public.yours"}';
CREATE TABLE public.trap (id int);
COMMENT ON TABLE public.trap
  IS 'maintenance: {"detached_from": "public.events", "bound": "DEFAULT; DROP TABLE x"}';
CREATE TABLE public.readings (at timestamptz,
  CONSTRAINT maintenance_not_2026_01_01 CHECK (at < '2026-01-01'));
CREATE INDEX maintenance_convert_1_key ON public.readings (at);
COMMENT ON TABLE public.readings IS 'maintenance: {"door": "green"}'
"""


def test_name_or_a_mark_alone_proves_nothing(policy: Policy, database: Database) -> None:
    for statement in NAMESAKES.split(";\n"):
        database.execute(statement)
    report = uninstall(policy, act=True)
    assert report.ok
    assert kept(report) == {
        "public.events_2025_01": ("rows", False),
        "public.half": ("rows", False),
        "public.maintenance_convert_1_key": ("unproven", False),
        "public.maintenance_drain_7_log": ("unproven", False),
        "public.maintenance_restore_me": ("unproven", False),
        "public.readings": ("unproven", False),
        "public.mine": ("unproven", False),
        "public.trap": ("rows", False),
    }
    (trap,) = (each for each in report.removal.kept if each.object == "public.trap")
    assert trap.statements == ("DROP TABLE public.trap",)
    assert database.execute("SELECT count(*) FROM public.maintenance_drain_7_log") == [(1,)]
    checks = "SELECT count(*) FROM pg_constraint WHERE conname = 'maintenance_not_2026_01_01'"
    assert database.execute(checks) == [(1,)]


@pytest.mark.parametrize("drained", ["public.events", "public.gone", '"'])
def test_log_of_a_drain_of_what_its_owner_does_not_own_is_kept(
    policy: Policy, database: Database, limited_role: Role, drained: str
) -> None:
    database.execute("CREATE TABLE public.maintenance_drain_5_log AS SELECT 1 AS id")
    database.execute(f"ALTER TABLE public.maintenance_drain_5_log OWNER TO {limited_role.name}")
    (oid,) = database.execute("SELECT 'public.maintenance_drain_5_log'::regclass::oid::int8")[0]
    mark = json.dumps({"draining": drained, "oid": 5, "function": None, "made": [oid]})
    database.execute(f"COMMENT ON TABLE public.maintenance_drain_5_log IS 'maintenance: {mark}'")
    report = uninstall(policy, act=True)
    assert kept(report)["public.maintenance_drain_5_log"] == ("unproven", False)
    assert database.execute("SELECT id FROM public.maintenance_drain_5_log") == [(1,)]


@pytest.mark.pg(">= 15")
def test_what_our_role_may_not_remove_is_told_with_the_grant(
    database: Database, tmp_path: Path, owner_role: Role, limited_role: Role
) -> None:
    database.execute(f"GRANT CREATE ON DATABASE {database.name} TO {limited_role.name}")
    policy = make_policy(tmp_path, database.url_of(limited_role))
    assert pipeline.apply(policy, now=NOW).ok
    database.execute("CREATE TABLE public.old (id int)")
    database.execute("""COMMENT ON TABLE public.old IS 'maintenance: {"restored": "2026-01-01"}'""")
    database.execute(f"ALTER TABLE public.old OWNER TO {owner_role.name}")
    report = uninstall(policy, act=True)
    found = {each.object: each for each in report.removal.kept if each.kind == "privilege"}
    grant = f"GRANT {owner_role.name} TO {limited_role.name}"
    assert found["public.old"].statements == (grant,)
    assert (report.ok, database.execute(SCHEMA)) == (False, [("maintenance",)])
    database.execute(grant)
    report = uninstall(policy, act=True)
    assert (report.ok, database.execute(SCHEMA)) == (True, [(None,)])
    assert "role" in {each.what for each in report.outside}


def test_it_waits_for_a_run_and_refuses_while_one_is_at_work(
    policy: Policy, database: Database
) -> None:
    hasty = make_policy(policy.path.parent, database.url, locks={"give_up_after": "1 second"})
    holder = database.connect(application_name="maintenance apply app")
    holder.execute("SELECT pg_advisory_lock(%s)", [RUN_LOCK])
    with pytest.raises(LockNotAcquiredError, match="maintenance apply app"):
        uninstall(hasty, act=True)
    assert uninstall(hasty).planned != ()
    assert database.execute(SCHEMA) == [("maintenance",)]


def test_it_changes_no_paused_database(policy: Policy, database: Database) -> None:
    pause(policy, reason="a migration")
    with pytest.raises(HeldError):
        uninstall(policy, act=True)
    assert database.execute(SCHEMA) == [("maintenance",)]


def test_one_database_at_a_time(policy: Policy, database: Database) -> None:
    make_policy(policy.path.parent, database.url, name="second")
    arguments = ["uninstall", "--yes", "--policy", str(policy.path.parent)]
    assert CliRunner().invoke(cli, arguments).exit_code != 0
    assert database.execute(SCHEMA) == [("maintenance",)]
