"""Retention on real servers: what goes, what stays, and who waits for whom."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from maintenance.cli.commands import cli
from maintenance.ddl.marks import marked, read_mark, set_comment
from maintenance.demo.postgres import PostgresServer
from maintenance.engine import executor
from maintenance.engine.actions import Action, ActionKind, Lock, LockMode
from maintenance.engine.executor import Outcome
from maintenance.engine.findings import FindingKind, Severity
from maintenance.engine.scope import Request
from maintenance.names import QualifiedName
from maintenance.partition_set.expiry import Expired
from maintenance.pipeline import notify
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.run import Report
from maintenance.policy import Policy
from tests.builders import Database, Role, cloned
from tests.integration.test_writers import writing
from tests.past_months import make_template_of_months, month
from tests.policies import CREATE_EVENTS, EVENTS, make_policy

pytestmark = pytest.mark.store

TABLE = QualifiedName("public", "events")


def child(offset: int = 0) -> str:
    return f"events_{month(offset).replace('-', '_')}"


def policy_of(database: Database, folder: Path, **retention: Any) -> Policy:
    section = {"keep": "2 months", "action": "drop", **retention}
    return make_policy(folder, database.url, {**EVENTS, "retention": section}, name="app")


def unhurried(policy: Policy) -> Policy:
    """Let the check of references take long: the machine may be busy with other tests."""
    patient = policy.locks.model_copy(update={"lock_timeout": timedelta(seconds=5)})
    return policy.model_copy(update={"locks": patient})


@pytest.fixture
def filled(server: PostgresServer) -> Iterator[Database]:
    """Events of the five past months and this one, a row in each."""
    for database in cloned(server, make_template_of_months(server, *(-n for n in range(6)))):
        rows = ", ".join(f"({n}, '{month(-n)}-02')" for n in range(6))
        database.execute(f"INSERT INTO public.events VALUES {rows}")
        yield database


def relations(database: Database) -> set[str]:
    rows = database.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind = 'r' AND relname LIKE 'events%'"
    )
    return {name for (name,) in rows}


def retire(policy: Policy) -> Report:
    return pipeline.apply(policy, only=["retention"])


def test_expired_months_go_and_the_others_stay(filled: Database, tmp_path: Path) -> None:
    policy = policy_of(filled, tmp_path)
    report = retire(policy)
    assert report.ok
    gone = {result.action.object for result in report.results}
    assert gone == {f"public.{child(-n)}" for n in (5, 4, 3)}
    assert relations(filled) == {child(n) for n in range(-2, 4)}
    assert filled.execute("SELECT id FROM public.events ORDER BY id") == [(0,), (1,), (2,)]
    assert retire(policy).plan.actions == ()


def test_without_a_confirmed_backup_nothing_goes_and_it_is_said(
    filled: Database, tmp_path: Path
) -> None:
    section = {"retention": {"keep": "2 months", "action": "drop"}}
    backup = {"file": "backup.done"}
    policy = make_policy(tmp_path, filled.url, {**EVENTS, **section}, backup=backup)
    before = relations(filled)
    report = retire(policy)
    (told,) = [f for f in report.findings if f.kind is FindingKind.BACKUP_UNCONFIRMED]
    assert told.data["partitions"] == sorted(f"public.{child(-n)}" for n in (5, 4, 3))
    assert relations(filled) == before
    (tmp_path / "backup.done").touch()
    report = retire(policy)
    assert FindingKind.BACKUP_UNCONFIRMED not in {f.kind for f in report.findings}
    assert relations(filled) == before - {child(-n) for n in (5, 4, 3)}


def test_partitions_and_retention_agree_in_one_run(filled: Database, tmp_path: Path) -> None:
    policy = policy_of(filled, tmp_path)
    assert pipeline.apply(policy).ok
    assert pipeline.plan(policy).plan.actions == ()


def test_with_a_default_partition_the_detach_is_short_and_plain(
    filled: Database, tmp_path: Path
) -> None:
    filled.execute("CREATE TABLE public.events_rest PARTITION OF public.events DEFAULT")
    report = retire(policy_of(filled, tmp_path))
    assert report.ok
    detaches = [sql for r in report.results for sql in r.action.sql if " DETACH " in sql]
    assert [sql.split(" DETACH ")[1] for sql in detaches] == [
        f"PARTITION public.{child(-n)}" for n in (5, 4, 3)
    ]
    assert child(-5) not in relations(filled)


def test_detach_marks_the_table_with_its_origin(filled: Database, tmp_path: Path) -> None:
    assert retire(policy_of(filled, tmp_path, action="detach")).ok
    ((comment,),) = filled.execute(f"SELECT obj_description('public.{child(-5)}'::regclass)")
    assert '"detached_from": "public.events"' in comment
    assert filled.execute(f"SELECT id FROM public.{child(-5)}") == [(5,)]


def test_grace_keeps_the_table_and_a_later_run_drops_it(filled: Database, tmp_path: Path) -> None:
    policy = policy_of(filled, tmp_path, grace="7 days", max_per_run=9)
    assert retire(policy).ok
    assert child(-5) in relations(filled)
    assert filled.execute("SELECT count(*) FROM public.events") == [(3,)]
    for n in (5, 4, 3):
        mark = {"detached_from": "public.events", "period": month(-n), "at": "2020-01-01T00:00Z"}
        filled.execute(set_comment(QualifiedName("public", child(-n)), marked(None, mark)))
    report = retire(policy)
    assert {r.action.kind.value for r in report.results} == {"drop_partition"}
    assert relations(filled) == {child(n) for n in range(-2, 4)}


def test_open_reader_delays_the_detach_and_no_writer(filled: Database, tmp_path: Path) -> None:
    filled.execute("CREATE SEQUENCE public.ids START 1000")
    reader = filled.connect(autocommit=False)
    reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    reader.execute("SELECT count(*) FROM public.events")
    waits: list[str] = []

    def told(line: str) -> None:
        if line.startswith(f"public.{child(-5)}: "):
            waits.append(line)
            reader.rollback()

    policy = policy_of(filled, tmp_path, max_per_run=9)
    with writing(filled) as writers:
        report = pipeline.apply(policy, only=["retention"], progress=told)
    assert report.ok
    assert writers.errors == []
    assert waits, "the wait is told"
    assert relations(filled) == {child(n) for n in range(-2, 4)}
    assert filled.execute("SELECT count(*) FROM public.events WHERE id >= 1000") == [
        (sum(writers.written),)
    ]


def test_reader_that_never_ends_leaves_a_pending_detach_the_next_run_finishes(
    filled: Database, tmp_path: Path
) -> None:
    retention = {"keep": "2 months", "action": "drop", "max_per_run": 1}
    locks = {"give_up_after": "500 ms"}
    policy = make_policy(tmp_path, filled.url, {**EVENTS, "retention": retention}, locks=locks)
    reader = filled.connect(autocommit=False, application_name="a long report")
    reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    reader.execute("SELECT count(*) FROM public.events")
    report = retire(policy)
    assert [r.outcome for r in report.results] == [Outcome.FAILED, Outcome.SKIPPED]
    assert not report.ok
    pending = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhdetachpending"
    assert filled.execute(pending) == [(child(-5),)]
    reader.rollback()
    report = retire(policy)
    assert report.ok
    assert filled.execute(pending) == []
    assert child(-5) not in relations(filled)


def test_tables_foreign_keys_point_to_are_locked_one_at_a_time(
    filled: Database, tmp_path: Path
) -> None:
    filled.execute("CREATE TABLE public.users (id bigint PRIMARY KEY)")
    filled.execute("INSERT INTO public.users SELECT generate_series(0, 9)")
    filled.execute("ALTER TABLE public.events ADD FOREIGN KEY (id) REFERENCES public.users")
    assert retire(policy_of(filled, tmp_path)).ok
    assert child(-5) not in relations(filled)


def drop_of(policy: Policy, name: str) -> Action:
    """The drop that a run plans of a table, which the schema public has."""
    (drop,) = [
        action
        for action in pipeline.plan(policy).plan.actions
        if (action.kind, action.object) == (ActionKind.DROP_PARTITION, f"public.{name}")
    ]
    return drop


def test_drop_lists_the_foreign_keys_that_it_drops_before(filled: Database, tmp_path: Path) -> None:
    filled.execute("CREATE TABLE public.users (id bigint PRIMARY KEY)")
    filled.execute("INSERT INTO public.users SELECT generate_series(0, 9)")
    filled.execute("ALTER TABLE public.events ADD FOREIGN KEY (id) REFERENCES public.users")
    name = child(-5)
    key, last = drop_of(policy_of(filled, tmp_path), name).steps
    assert key.statements[-1] == f"ALTER TABLE public.{name} DROP CONSTRAINT events_id_fkey"
    alone = Lock(f"public.{name}", LockMode.ACCESS_EXCLUSIVE)
    assert key.locks == (alone, Lock("public.users", LockMode.ACCESS_EXCLUSIVE))
    assert (last.statements[-1], last.locks) == (f"DROP TABLE public.{name}", (alone,))


def test_drop_refuses_to_lock_all_tables_that_its_keys_point_to(
    filled: Database, tmp_path: Path
) -> None:
    """A key that came after the plan is seen under the lock of the drop."""
    drop = drop_of(policy_of(filled, tmp_path), child(-5))
    filled.execute(f"ALTER TABLE public.events DETACH PARTITION {drop.object}")
    filled.execute("CREATE TABLE public.users (id bigint PRIMARY KEY)")
    filled.execute("INSERT INTO public.users SELECT generate_series(0, 9)")
    filled.execute(f"ALTER TABLE {drop.object} ADD FOREIGN KEY (id) REFERENCES public.users")
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="has foreign keys"):
        filled.execute("; ".join(drop.sql))
    filled.execute(f"ALTER TABLE {drop.object} DROP CONSTRAINT {child(-5)}_id_fkey")
    filled.execute("; ".join(drop.sql))
    assert child(-5) not in relations(filled)


TREE_WITH_KEYS = """
CREATE TABLE public.users (id bigint PRIMARY KEY) PARTITION BY HASH (id);
CREATE TABLE public.users_0 PARTITION OF public.users FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE public.users_1 PARTITION OF public.users FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE public.{HOSTILE} (id bigint PRIMARY KEY);
INSERT INTO public.users SELECT generate_series(0, 999);
INSERT INTO public.{HOSTILE} SELECT generate_series(0, 999);
CREATE TABLE public.{0} PARTITION OF public.events
  FOR VALUES FROM ('{1}-01 00:00+00') TO ('{2}-01 00:00+00') PARTITION BY HASH (id);
CREATE TABLE public.{0}_a PARTITION OF public.{0} FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE public.{0}_b PARTITION OF public.{0} FOR VALUES WITH (MODULUS 2, REMAINDER 1);
ALTER TABLE public.events ADD FOREIGN KEY (id) REFERENCES public.users;
ALTER TABLE public.{0} ADD FOREIGN KEY (id) REFERENCES public.{HOSTILE};
ALTER TABLE public.{0}_b ADD CONSTRAINT {HOSTILE} FOREIGN KEY (id) REFERENCES public.{HOSTILE};
"""

KEYS_OF_THEIR_OWN = """
SELECT conrelid::regclass::text, quote_ident(conname) FROM pg_constraint
WHERE contype = 'f' AND conparentid = 0 AND conrelid::regclass::text LIKE '%{0}%' ORDER BY 1, 2
"""


def test_drop_of_a_tree_lists_exactly_the_keys_that_it_has_when_it_is_detached(
    filled: Database, tmp_path: Path
) -> None:
    """One of the parent, one of its own, one of a leaf; none that belongs to another."""
    name = child(-7)
    filled.execute(TREE_WITH_KEYS.format(name, month(-7), month(-6), HOSTILE=HOSTILE))
    policy = policy_of(filled, tmp_path)
    *keys, _ = drop_of(policy, name).steps
    dropped = [
        tuple(key.statements[-1].removeprefix("ALTER TABLE ").split(" DROP CONSTRAINT "))
        for key in keys
    ]
    with filled.connect(autocommit=False) as connection:
        connection.execute(f"ALTER TABLE public.events DETACH PARTITION public.{name}".encode())
        theirs = connection.execute(KEYS_OF_THEIR_OWN.format(name).encode()).fetchall()
        connection.rollback()
    assert sorted(dropped) == [(f"public.{table}", key) for table, key in theirs]
    assert len(theirs) == 3
    assert retire(policy).ok
    assert [each for each in relations(filled) if name in each] == []


NOTES = """
CREATE TABLE public.{0} (id bigint, at timestamptz,
  FOREIGN KEY (id, at) REFERENCES public.events) {1}
"""
HOSTILE = '"Notes; ""x"" .ü"'


def kept(finding: Any) -> list[tuple[str, str, list[str], bool]]:
    """What is due and stays: its name, the reason, what keeps it, and whether it only waits."""
    facts = ("partition", "reason", "by", "waits")
    return [tuple(each[fact] for fact in facts) for each in finding.data["kept"]]


def referenced(month: str, by: str, *, waits: bool = False) -> tuple[str, str, list[str], bool]:
    return (f"public.{month}", "referenced", [f"public.{by}"], waits)


def waiting(offset: int) -> tuple[str, str, list[str], bool]:
    return referenced(child(offset), child(offset).replace("events", "notes"), waits=True)


def under_the_report(month: str) -> tuple[str, str, list[str], bool]:
    return (f"public.{month}", "dependents", ["view public.report"], False)


def due(report: Report) -> Any:
    kind = FindingKind.RETENTION_DUE
    found = [f for f in report.findings if f.kind is kind and f.object == "public.events"]
    return found[0] if found else None


def test_row_that_others_point_to_is_kept_and_the_other_months_go(
    filled: Database, tmp_path: Path
) -> None:
    filled.execute(NOTES.format(HOSTILE, ""))
    filled.execute(f"INSERT INTO public.{HOSTILE} SELECT id, at FROM public.events WHERE id = 5")
    report = retire(unhurried(policy_of(filled, tmp_path, max_per_run=9)))
    assert report.ok
    assert relations(filled) & {child(-5), child(-4), child(-3)} == {child(-5)}
    finding = due(report)
    assert finding.severity is Severity.WARN
    assert kept(finding) == [referenced(child(-5), HOSTILE)]
    assert filled.execute("SELECT id FROM public.events WHERE id = 5") == [(5,)]
    filled.execute(f"DELETE FROM public.{HOSTILE}")
    assert retire(unhurried(policy_of(filled, tmp_path))).ok
    assert child(-5) not in relations(filled)


@pytest.mark.pg("== 18")
@pytest.mark.parametrize(("n_slow", "is_known"), [(1, True), (2, False)])
def test_references_are_checked_once_more_when_rows_may_have_come_from_the_disk(
    filled: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_slow: int, is_known: bool
) -> None:
    filled.execute(NOTES.format("notes", ""))
    locks = {"lock_timeout": "500 ms"}
    section = {"retention": {"keep": "2 months", "action": "drop"}}
    policy = make_policy(tmp_path, filled.url, {**EVENTS, **section}, name="app", locks=locks)
    observe = import_module(
        "maintenance.subjects.retention.observe"
    )  # not the function of the name
    point, asked = observe._pointing, Counter[int]()

    def from_disk(context: Any, item: Expired, *further: Any) -> Iterator[QualifiedName]:
        oid = item.span.partition.oid
        asked[oid] += 1
        if asked[oid] <= n_slow:
            time.sleep(0.6)
        return point(context, item, *further)

    monkeypatch.setattr(observe, "_pointing", from_disk)
    planned = pipeline.plan(policy, only=["retention"])
    assert bool(planned.plan.actions) is is_known
    reasons = {each["reason"] for each in due(planned).data["kept"]}
    assert reasons == (set() if is_known else {"references_unknown"})
    assert set(asked.values()) == {2}


def pointing(database: Database, folder: Path, **retention: Any) -> Policy:
    """Policies of events and of notes, a partition and a row each for the same months."""
    database.execute(NOTES.format("notes", "PARTITION BY RANGE (at)"))
    notes = {"table": "public.notes", "column": "at"}
    keeping = make_policy(folder, database.url, EVENTS, notes, name="app")
    asked = tuple(month(-n) for n in range(6))
    pipeline.apply(keeping, request=Request(QualifiedName("public", "notes"), asked))
    database.execute("INSERT INTO public.notes SELECT id, at FROM public.events")
    section = {"keep": "2 months", "action": "drop", "max_per_run": 9}
    both = (EVENTS | {"retention": section}, notes | {"retention": section | retention})
    return unhurried(make_policy(folder, database.url, *both, name="app"))


def test_months_whose_rows_point_to_others_go_first_in_the_same_run(
    filled: Database, tmp_path: Path
) -> None:
    policy = pointing(filled, tmp_path)
    report = retire(policy)
    assert report.ok
    assert len(report.results) == 12
    assert filled.execute("SELECT id FROM public.events ORDER BY id") == [(0,), (1,), (2,)]
    assert filled.execute("SELECT id FROM public.notes ORDER BY id") == [(0,), (1,), (2,)]
    assert retire(policy).plan.actions == ()


def test_months_wait_for_those_that_point_to_them_and_go_later(
    filled: Database, tmp_path: Path
) -> None:
    policy = pointing(filled, tmp_path, max_per_run=1)
    report = retire(policy)
    assert report.ok
    assert relations(filled) & {child(-5), child(-4), child(-3)} == {child(-4), child(-3)}
    finding = due(report)
    assert finding.severity is Severity.INFO
    assert kept(finding) == [waiting(-3)], "the month before it can go in the next run"
    for _ in range(2):
        assert retire(policy).ok
    assert not relations(filled) & {child(-5), child(-4), child(-3)}


def test_months_wait_while_those_that_point_to_them_are_kept_detached(
    filled: Database, tmp_path: Path
) -> None:
    report = retire(pointing(filled, tmp_path, grace="7 days"))
    assert report.ok
    assert filled.execute("SELECT count(*) FROM public.notes") == [(3,)]
    assert filled.execute("SELECT count(*) FROM public.events") == [(6,)]
    assert kept(due(report)) == [waiting(n) for n in (-5, -4, -3)]


def test_month_that_its_own_table_points_to_goes_after_the_one_that_does(
    filled: Database, tmp_path: Path
) -> None:
    refer = (
        "UPDATE public.events e SET (reply_to, reply_at) ="
        " (SELECT id, at FROM public.events WHERE id = {}) WHERE id = {}"
    )
    for statement in (
        "ALTER TABLE public.events ADD reply_to bigint, ADD reply_at timestamptz",
        "ALTER TABLE public.events ADD FOREIGN KEY (reply_to, reply_at) REFERENCES public.events",
        refer.format(5, 4),
        refer.format(3, 3),
    ):
        filled.execute(statement)
    policy = policy_of(filled, tmp_path, max_per_run=9)
    planned = due(pipeline.plan(policy, only=["retention"]))
    assert kept(planned) == [
        referenced(child(-5), child(-4), waits=True),
        referenced(child(-3), child(-3)),
    ]
    assert retire(policy).ok
    assert relations(filled) & {child(-5), child(-4), child(-3)} == {child(-5), child(-3)}
    assert retire(policy).ok
    assert relations(filled) & {child(-5), child(-4), child(-3)} == {child(-3)}


def test_row_that_comes_to_point_to_a_month_after_planning_is_never_orphaned(
    filled: Database, tmp_path: Path
) -> None:
    filled.execute(NOTES.format("notes", ""))
    whole = executor.run

    def raced(*args: Any, **kwargs: Any) -> Any:
        filled.execute("INSERT INTO public.notes SELECT id, at FROM public.events WHERE id = 5")
        return whole(*args, **kwargs)

    executor.run = raced
    try:
        report = retire(unhurried(policy_of(filled, tmp_path, max_per_run=1)))
    finally:
        executor.run = whole
    assert [r.outcome for r in report.results] == [Outcome.FAILED, Outcome.SKIPPED]
    assert "23503" in str(report.results[0].error)
    assert filled.execute("SELECT id FROM public.events WHERE id = 5") == [(5,)]


def test_role_that_may_not_read_who_points_to_a_table_keeps_it(
    filled: Database, tmp_path: Path, owner_role: Role
) -> None:
    filled.give_to(owner_role)
    filled.execute(NOTES.format("notes", ""))
    policy = unhurried(policy_of(filled, tmp_path))
    url = filled.url_of(owner_role)
    section = {"keep": "2 months", "action": "drop"}
    events, store = {**EVENTS, "retention": section}, {"owner": "postgres"}
    theirs = make_policy(tmp_path, url, events, name="app", store=store)
    report = pipeline.plan(theirs, only=["retention"])
    assert report.plan.actions == ()
    assert kept(due(report)) == [
        (f"public.{child(n)}", "references_unknown", ["public.notes"], False) for n in (-5, -4, -3)
    ]
    assert pipeline.plan(policy, only=["retention"]).plan.actions


def test_partition_replaced_after_planning_is_not_touched(filled: Database, tmp_path: Path) -> None:
    policy = policy_of(filled, tmp_path, max_per_run=1)
    whole = executor.run

    def swapped(*args: Any, **kwargs: Any) -> Any:
        filled.execute(f"DROP TABLE public.{child(-5)}")
        filled.execute(
            f"CREATE TABLE public.{child(-5)} PARTITION OF public.events"
            f" FOR VALUES FROM ('{month(-5)}-01 00:00+00') TO ('{month(-4)}-01 00:00+00')"
        )
        filled.execute(f"INSERT INTO public.events VALUES (55, '{month(-5)}-03')")
        return whole(*args, **kwargs)

    executor.run = swapped
    try:
        report = retire(policy)
    finally:
        executor.run = whole
    assert [r.outcome for r in report.results] == [Outcome.FAILED, Outcome.SKIPPED]
    assert "55000" in str(report.results[0].error)
    assert filled.execute("SELECT id FROM public.events WHERE id = 55") == [(55,)]


def test_month_that_a_view_stands_on_stays_and_uses_up_no_fuse(
    filled: Database, tmp_path: Path
) -> None:
    filled.execute(f"CREATE VIEW public.report AS SELECT * FROM public.{child(-5)}")
    report = retire(policy_of(filled, tmp_path, max_per_run=1))
    assert report.ok
    assert relations(filled) & {child(-5), child(-4), child(-3)} == {child(-5), child(-3)}
    assert kept(due(report)) == [under_the_report(child(-5))]
    assert filled.execute("SELECT id FROM public.report") == [(5,)]
    assert filled.execute("SELECT count(*) FROM public.events WHERE id = 5") == [(1,)]


def test_detached_table_that_a_view_stands_on_stays_and_uses_up_no_fuse(
    filled: Database, tmp_path: Path
) -> None:
    assert retire(policy_of(filled, tmp_path, action="detach", max_per_run=1)).ok
    filled.execute(f"CREATE VIEW public.report AS SELECT * FROM public.{child(-5)}")
    report = retire(policy_of(filled, tmp_path, max_per_run=1))
    assert report.ok
    assert relations(filled) & {child(-5), child(-4), child(-3)} == {child(-5), child(-3)}
    assert kept(due(report)) == [under_the_report(child(-5))]


def test_what_stands_on_a_month_does_not_keep_it_attached(filled: Database, tmp_path: Path) -> None:
    filled.execute(f"CREATE VIEW public.report AS SELECT * FROM public.{child(-5)}")
    assert retire(policy_of(filled, tmp_path, action="detach", max_per_run=1)).ok
    assert filled.execute("SELECT count(*) FROM public.events") == [(5,)]
    assert filled.execute("SELECT id FROM public.report") == [(5,)]


def test_fuse_limits_a_run_and_says_so(filled: Database, tmp_path: Path) -> None:
    policy = policy_of(filled, tmp_path, max_per_run=1)
    planned = pipeline.plan(policy, only=["retention"])
    assert FindingKind.RETENTION_FUSE in {finding.kind for finding in planned.findings}
    retire(policy)
    assert child(-5) not in relations(filled)
    assert child(-4) in relations(filled)


# Archived before they go


def archiving(database: Database, folder: Path, **retention: Any) -> Policy:
    url = str(folder / "archive")
    section = {"action": "archive_then_drop", "archive": {"url": url}, "max_per_run": 9}
    return policy_of(database, folder, **(section | retention))


def manifests(folder: Path) -> set[str]:
    return {path.parent.name for path in folder.glob("archive/**/manifest.json")}


def test_expired_months_are_archived_proven_and_dropped(filled: Database, tmp_path: Path) -> None:
    report = retire(archiving(filled, tmp_path))
    assert report.ok
    assert manifests(tmp_path) == {month(-n) for n in (5, 4, 3)}
    assert relations(filled) == {child(n) for n in range(-2, 4)}
    details = [r.detail for r in report.results if r.action.kind.value == "archive_partition"]
    assert [(d["rows"], d["verified"]) for d in details] == [(1, True)] * 3


def test_archived_periods_are_recalled_from_the_store(filled: Database, tmp_path: Path) -> None:
    policy = archiving(filled, tmp_path)
    assert retire(policy).ok
    snapshot = pipeline.plan(policy).snapshot
    assert snapshot is not None
    archived = snapshot.history.archives["public.events"]
    assert [each.period for each in archived] == [month(-n) for n in (5, 4, 3)]
    assert all(each.n_rows == 1 and each.size_bytes > 0 for each in archived)


def test_without_its_archive_nothing_is_detached(filled: Database, tmp_path: Path) -> None:
    (tmp_path / "archive").write_text("a file where the folder should be")
    report = retire(archiving(filled, tmp_path, max_per_run=1))
    assert [r.outcome for r in report.results] == [
        Outcome.FAILED,
        Outcome.SKIPPED,
        Outcome.SKIPPED,
    ]
    assert FindingKind.ARCHIVE_UNVERIFIED in {finding.kind for finding in report.findings}
    assert filled.execute("SELECT count(*) FROM public.events") == [(6,)]


def unverified(report: Report) -> set[str]:
    kind = FindingKind.ARCHIVE_UNVERIFIED
    return {each.object for each in report.findings if each.kind is kind}


def standing(policy: Policy) -> set[str]:
    kind = FindingKind.ARCHIVE_UNVERIFIED
    alerts = (alert.identity for alert in notify.notify(policy).alerts)
    return {each.object for each in alerts if each.kind is kind}


@pytest.mark.parametrize("obstacle", ["file", "link"])
def test_month_that_could_not_be_archived_is_found_by_each_look_until_it_is(
    filled: Database, tmp_path: Path, obstacle: str
) -> None:
    policy, folder = archiving(filled, tmp_path), tmp_path / "archive"
    if obstacle == "file":
        folder.write_text("a file where the folder should be")
    else:
        (tmp_path / "elsewhere").mkdir()
        (folder / "app").mkdir(parents=True)
        (folder / "app" / "public.events").symlink_to(tmp_path / "elsewhere")
    report = pipeline.apply(policy)
    failed = {f"public.{child(-n)}" for n in (3, 4, 5)}
    assert unverified(report) == failed
    assert len([f for f in report.findings if f.kind is FindingKind.ARCHIVE_UNVERIFIED]) == 3
    for _ in range(2):
        assert unverified(pipeline.status(policy)) == failed
        assert standing(policy) == failed
    folder.unlink() if obstacle == "file" else (folder / "app" / "public.events").unlink()
    assert pipeline.apply(policy).ok
    assert unverified(pipeline.status(policy)) == set()
    assert standing(policy) == set()


def test_row_written_after_the_archive_is_archived_before_the_drop(
    filled: Database, tmp_path: Path
) -> None:
    policy = archiving(filled, tmp_path, grace="1 day")
    assert retire(policy).ok
    filled.execute(f"INSERT INTO public.{child(-5)} VALUES (77, '{month(-5)}-09')")
    ((comment,),) = filled.execute(f"SELECT obj_description('public.{child(-5)}'::regclass)")
    mark = {**read_mark(comment), "at": "2020-01-01T00:00:00+00:00"}
    filled.execute(set_comment(QualifiedName("public", child(-5)), marked(None, mark)))
    lines: list[str] = []
    report = pipeline.apply(policy, only=["retention"], progress=lines.append)
    assert report.ok
    assert any(line.startswith(f"public.{child(-5)}: ") for line in lines), "it is told"
    (dropped,) = report.results
    assert dropped.detail["rows"] == 2
    assert child(-5) not in relations(filled)


def test_damaged_archive_keeps_the_table(filled: Database, tmp_path: Path) -> None:
    policy = archiving(filled, tmp_path, grace="1 day")
    assert retire(policy).ok
    ((comment,),) = filled.execute(f"SELECT obj_description('public.{child(-5)}'::regclass)")
    mark = {**read_mark(comment), "at": "2020-01-01T00:00:00+00:00"}
    filled.execute(set_comment(QualifiedName("public", child(-5)), marked(None, mark)))
    (part,) = tmp_path.glob(f"archive/**/{month(-5)}/data*")
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 0xFF
    part.write_bytes(content)
    report = retire(policy)
    assert [r.outcome for r in report.results] == [Outcome.FAILED]
    assert FindingKind.ARCHIVE_UNVERIFIED in {finding.kind for finding in report.findings}
    assert filled.execute(f"SELECT id FROM public.{child(-5)}") == [(5,)]


@pytest.mark.in_turn
@pytest.mark.parametrize("spoil", ["cut", "altered", "of another database"])
def test_what_is_no_valid_archive_is_neither_written_over_nor_dropped_on(
    filled: Database, tmp_path: Path, spoil: str
) -> None:
    policy = archiving(filled, tmp_path)
    request = Request(TABLE, archives=(month(-5),))
    assert pipeline.apply(policy, only=["retention"], request=request).ok
    (path,) = tmp_path.glob(f"archive/**/{month(-5)}/manifest.json")
    document = json.loads(path.read_text())
    if spoil == "of another database":
        del document["seal"]
    document["database" if spoil == "of another database" else "policy_hash"] = "other"
    text = json.dumps(document)
    path.write_text(text[:-50] if spoil == "cut" else text)
    before = path.read_bytes()
    report = retire(policy)
    outcomes = {r.action.period: r.outcome for r in report.results if r.action.destructive}
    assert outcomes == {
        month(-5): Outcome.SKIPPED,
        month(-4): Outcome.DONE,
        month(-3): Outcome.DONE,
    }
    assert path.read_bytes() == before
    assert FindingKind.ARCHIVE_UNVERIFIED in {finding.kind for finding in report.findings}
    assert filled.execute(f"SELECT id FROM public.{child(-5)}") == [(5,)]


def test_store_that_fails_for_one_table_leaves_the_others_alone(
    filled: Database, tmp_path: Path
) -> None:
    filled.execute(CREATE_EVENTS.replace("events", "orders"))
    name = child(-5).replace("events", "orders")
    lower, upper = f"{month(-5)}-01 00:00+00", f"{month(-4)}-01 00:00+00"
    filled.execute(
        f"CREATE TABLE public.{name} PARTITION OF public.orders"
        f" FOR VALUES FROM ('{lower}') TO ('{upper}')"
    )
    newer = child(0).replace("events", "orders")
    lower, upper = f"{month(0)}-01 00:00+00", f"{month(1)}-01 00:00+00"
    filled.execute(
        f"CREATE TABLE public.{newer} PARTITION OF public.orders"
        f" FOR VALUES FROM ('{lower}') TO ('{upper}')"
    )
    filled.execute(f"INSERT INTO public.orders VALUES (1, '{month(0)}-02')")
    (tmp_path / "broken").write_text("a file where the folder should be")
    sections = [
        {
            "table": table,
            "column": "at",
            "retention": {
                "keep": "2 months",
                "action": "archive_then_drop",
                "archive": {"url": url},
            },
        }
        for table, url in (("public.events", "./broken"), ("public.orders", "./archive"))
    ]
    report = retire(make_policy(tmp_path, filled.url, *sections, name="app"))
    done = {r.action.table for r in report.results if r.outcome is Outcome.DONE}
    failed = {r.action.table for r in report.results if r.outcome is not Outcome.DONE}
    assert (done, failed) == ({"public.orders"}, {"public.events"})
    assert manifests(tmp_path) == {month(-5)}
    assert filled.execute("SELECT count(*) FROM public.events") == [(6,)]
    assert filled.execute("SELECT to_regclass(%s)", [f"public.{name}"]) == [(None,)]


def test_asked_period_is_archived_and_stays(filled: Database, tmp_path: Path) -> None:
    policy = archiving(filled, tmp_path)
    request = Request(TABLE, archives=(month(-1),))
    report = pipeline.apply(policy, only=["retention"], request=request)
    assert report.ok
    assert manifests(tmp_path) == {month(-1)}
    assert filled.execute("SELECT count(*) FROM public.events") == [(6,)]


def test_asking_for_a_period_retires_and_archives_nothing(filled: Database, tmp_path: Path) -> None:
    policy = archiving(filled, tmp_path)
    report = pipeline.apply(policy, request=Request(TABLE, (month(-1),)))
    assert report.results == ()
    assert manifests(tmp_path) == set()
    assert filled.execute("SELECT count(*) FROM public.events") == [(6,)]


# Brought back


def restore(folder: Path, *arguments: str) -> Any:
    done = CliRunner().invoke(
        cli, ["restore", "--policy", str(folder / "app.yaml"), "--json", *arguments]
    )
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_archived_month_comes_back_attached_and_held(filled: Database, tmp_path: Path) -> None:
    policy = archiving(filled, tmp_path)
    assert retire(policy).ok
    back = restore(tmp_path, "--table", "events", "--period", month(-5))
    assert (back["rows"], back["attached"]) == (1, True)
    assert filled.execute("SELECT id FROM public.events WHERE id = 5") == [(5,)]
    report = pipeline.apply(policy)
    assert report.results == ()
    assert FindingKind.RETENTION_HELD in {finding.kind for finding in report.findings}


def test_archived_month_comes_back_as_a_table_of_its_own(filled: Database, tmp_path: Path) -> None:
    assert retire(archiving(filled, tmp_path)).ok
    arguments = ("--table", "events", "--period", month(-5), "--as", "public.old")
    assert not restore(tmp_path, *arguments)["attached"]
    assert filled.execute("SELECT id FROM public.old") == [(5,)]


def test_period_without_an_archive_is_an_error_that_lists_those_there_are(
    filled: Database, tmp_path: Path
) -> None:
    assert retire(archiving(filled, tmp_path)).ok
    arguments = ["restore", "--policy", str(tmp_path / "app.yaml"), "--table", "events"]
    done = CliRunner().invoke(cli, [*arguments, "--period", "1999-01"])
    assert done.exit_code == 1
    assert month(-5) in done.stderr


# Beside transactions that never cease


def reading_in_turns(database: Database, stop: threading.Event, seconds: float) -> None:
    reader = database.connect(autocommit=False)
    while not stop.is_set():
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM public.events")
        stop.wait(seconds)
        reader.rollback()


def test_readers_who_take_turns_without_a_gap_do_not_stop_a_detach(
    filled: Database, tmp_path: Path
) -> None:
    filled.execute("CREATE SEQUENCE public.ids START 1000")
    stop = threading.Event()
    lengths = (0.5, 0.7, 0.9)
    readers = [
        threading.Thread(target=reading_in_turns, args=(filled, stop, each)) for each in lengths
    ]
    retention = {"keep": "2 months", "action": "drop"}
    locks = {"give_up_after": "20 seconds"}
    policy = make_policy(tmp_path, filled.url, {**EVENTS, "retention": retention}, locks=locks)
    for reader in readers:
        reader.start()
    try:
        with writing(filled) as writers:
            report = retire(policy)
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert report.ok, [result.error for result in report.results]
    assert writers.errors == []
    assert relations(filled) == {child(n) for n in range(-2, 4)}


def test_detach_that_begins_late_and_is_interrupted_then_is_ended_too(
    filled: Database, tmp_path: Path
) -> None:
    policy = policy_of(filled, tmp_path, max_per_run=1)
    reader = filled.connect(autocommit=False)
    reader.execute("SELECT count(*) FROM public.events")
    other = filled.connect(autocommit=False)
    other.execute("LOCK TABLE ONLY public.events IN SHARE UPDATE EXCLUSIVE MODE")
    lines: list[str] = []

    def progress(line: str) -> None:
        lines.append(line)
        if len(lines) == 1:
            threading.Timer(0.3, other.rollback).start()
            threading.Timer(1.5, reader.rollback).start()

    report = pipeline.apply(policy, only=["retention"], progress=progress)
    assert report.ok, [result.error for result in report.results]
    assert any(line.startswith(f"public.{child(-5)}: ") for line in lines), "the wait is told"
    assert child(-5) not in relations(filled)


def test_mark_of_a_detach_that_was_not_carried_out_is_removed(
    filled: Database, tmp_path: Path
) -> None:
    name = QualifiedName("public", child(-5))
    mark = {"detached_from": "public.events", "period": month(-5), "at": "2020-01-01T00:00Z"}
    filled.execute(set_comment(name, marked("ours", mark)))
    policy = policy_of(filled, tmp_path, keep="3 years")
    report = retire(policy)
    assert report.ok
    assert [result.action.kind.value for result in report.results] == ["repair_partition"]
    assert filled.execute(f"SELECT obj_description('{name}'::regclass)") == [("ours",)]
    filled.execute(f"ALTER TABLE public.events DETACH PARTITION {name}")
    assert retire(policy).results == ()
    assert child(-5) in relations(filled)


def test_month_made_again_never_replaces_the_archive_of_the_first(
    filled: Database, tmp_path: Path
) -> None:
    policy = archiving(filled, tmp_path)
    assert retire(policy).ok
    kept = archiving(filled, tmp_path, keep="12 months")
    asked = Request(TABLE, (month(-5), month(-4)))
    assert pipeline.apply(kept, request=asked).ok
    report = retire(archiving(filled, tmp_path))
    assert {r.action.kind.value for r in report.results if r.outcome is Outcome.FAILED} == {
        "archive_partition"
    }
    assert {child(-5), child(-4)} <= relations(filled)
    back = restore(tmp_path, "--table", "events", "--period", month(-5), "--as", "public.first")
    assert back["rows"] == 1
    assert filled.execute("SELECT id FROM public.first") == [(5,)]
