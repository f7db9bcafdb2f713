"""Restoring archived periods: back under their parent or apart, every row proven."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from maintenance.archives import ArchivePlace, Manifest, write_archive
from maintenance.ddl.marks import HOLD_UNTIL, read_mark
from maintenance.engine import target
from maintenance.errors import ArchiveError, DamagedArchiveError, MaintenanceError, UsageError
from maintenance.names import QualifiedName
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.restore import RestoreReport, restore_period
from maintenance.policy import Policy
from tests.archives import CREATE_EVENTS, EVENTS, FILL_EVENTS, MONTH, identify, the_facts
from tests.builders import ROOT, Database, Role
from tests.policies import EVENTS as SECTION
from tests.policies import make_policy
from tests.sessions import session

NOW = datetime(2026, 11, 20, tzinfo=UTC)

pytestmark = [pytest.mark.store(NOW), pytest.mark.in_turn]
COMMENT = "SELECT obj_description('public.events_2024_01'::regclass)"
CHILDREN = """
SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_class c
JOIN pg_inherits i ON i.inhrelid = c.oid WHERE i.inhparent = 'public.events'::regclass ORDER BY 1
"""


@pytest.fixture
def policy(database: Database, tmp_path: Path) -> Policy:
    database.execute(CREATE_EVENTS)
    database.execute(FILL_EVENTS)
    retention = {
        "keep": "12 months",
        "action": "archive_then_drop",
        "archive": {"url": str(tmp_path / "archive")},
    }
    return make_policy(tmp_path, database.url, {**SECTION, "retention": retention})


def place_of(policy: Policy) -> ArchivePlace:
    section = policy.partitions[0]
    assert section.retention is not None
    assert section.retention.archive is not None
    return ArchivePlace(section.retention.archive.url, "app", EVENTS, "2024-01")


def archive(database: Database, policy: Policy) -> Manifest:
    facts = the_facts(
        lower=datetime(2024, 1, 1, tzinfo=UTC), upper=datetime(2024, 2, 1, tzinfo=UTC)
    )
    with session(database.url) as connection:
        table = identify(database)
        return write_archive(connection, table, place_of(policy), facts).manifest


def archive_and_drop(database: Database, policy: Policy) -> Manifest:
    manifest = archive(database, policy)
    database.execute("DROP TABLE public.events_2024_01")
    return manifest


def restore(policy: Policy, **options: Any) -> RestoreReport:
    return restore_period(policy, EVENTS, "2024-01", now=NOW, **options)


def rows(database: Database, relation: object = "public.events") -> list[tuple[Any, ...]]:
    return database.execute(f"SELECT id, at, kind, amount, doubled FROM {relation} ORDER BY id")


def test_period_returns_under_its_parent_and_is_held(database: Database, policy: Policy) -> None:
    before = rows(database)
    archive_and_drop(database, policy)
    assert rows(database) == []
    lines: list[str] = []
    report = restore(policy, hold=timedelta(days=30), progress=lines.append)
    assert rows(database) == before
    assert report.restored.attached
    ((comment,),) = database.execute(COMMENT)
    assert read_mark(comment)[HOLD_UNTIL] == "2026-12-20"
    assert set(read_mark(comment)) == {"restored", HOLD_UNTIL}
    ((name, bound),) = children(database)
    assert (name, bound.count("2024-0")) == ("events_2024_01", 2)
    assert report.as_json()["rows"] == 2000
    assert "hold_until" in report.as_json()


def children(database: Database) -> list[tuple[Any, ...]]:
    with database.connect(options="-c TimeZone=UTC") as connection:
        return connection.execute(CHILDREN.encode()).fetchall()


def test_restored_partition_is_like_its_siblings(
    database: Database, policy: Policy, owner_role: Role, limited_role: Role
) -> None:
    archive_and_drop(database, policy)
    for statement in (
        f"ALTER TABLE public.events OWNER TO {owner_role.name}",
        f"GRANT CREATE ON SCHEMA public TO {owner_role.name}",
        f"GRANT SELECT ON public.events TO {limited_role.name}",
        "CREATE INDEX ON public.events (amount)",
        "CREATE TABLE public.events_2024_02 PARTITION OF public.events"
        " FOR VALUES FROM ('2024-02-01 00:00:00+00') TO ('2024-03-01 00:00:00+00')",
    ):
        database.execute(statement)
    restore(policy)
    (row,) = database.execute(
        "SELECT pg_get_userbyid(relowner)::text, has_table_privilege(%s, oid, 'SELECT'),"
        " (SELECT count(*) FROM pg_index WHERE indrelid = c.oid AND indisvalid),"
        " (SELECT array_agg(conname::text ORDER BY conname) FROM pg_constraint"
        "   WHERE conrelid = c.oid AND contype IN ('c', 'p'))"
        " FROM pg_class c WHERE oid = 'public.events_2024_01'::regclass",
        [limited_role.name],
    )
    assert row == (owner_role.name, True, 3, ["events_2024_01_pkey", "positive"])
    made = database.execute(
        "SELECT count(*) FROM pg_index i JOIN pg_inherits h"
        " ON h.inhrelid = i.indexrelid WHERE i.indrelid = 'public.events_2024_01'::regclass"
    )
    assert made == [(3,)]


@pytest.mark.parametrize("row_security", [False, True])
def test_table_of_its_own_is_read_by_who_reads_its_siblings(
    database: Database,
    policy: Policy,
    owner_role: Role,
    limited_role: Role,
    row_security: bool,
) -> None:
    """Not where row security decides who sees a row: the table has none."""
    archive(database, policy)
    for statement in (
        f"ALTER TABLE public.events OWNER TO {owner_role.name}",
        f"GRANT CREATE ON SCHEMA public TO {owner_role.name}",
        "ALTER TABLE public.events ADD COLUMN later int",
        f"GRANT SELECT (id, later) ON public.events TO {limited_role.name}",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC",
        *(["ALTER TABLE public.events ENABLE ROW LEVEL SECURITY"] if row_security else []),
    ):
        database.execute(statement)
    into = QualifiedName("public", "old events")
    restore(policy, into=into)
    (row,) = database.execute(
        "SELECT pg_get_userbyid(relowner)::text, has_column_privilege(%s, oid, 'id', 'SELECT'),"
        " has_column_privilege(%s, oid, 'kind', 'SELECT') FROM pg_class WHERE oid = %s::regclass",
        [limited_role.name, limited_role.name, str(into)],
    )
    assert row == (owner_role.name, not row_security, False)


def test_period_returns_as_a_table_of_its_own(database: Database, policy: Policy) -> None:
    archive(database, policy)
    into = QualifiedName("public", "old events")
    report = restore(policy, into=into)
    assert rows(database, into) == rows(database)
    assert not report.restored.attached
    assert report.hold_until is None
    assert len(children(database)) == 1


def test_where_the_parent_is_gone_the_old_name_stands_alone(
    database: Database, policy: Policy
) -> None:
    before = rows(database)
    archive(database, policy)
    database.execute("DROP TABLE public.events")
    assert restore(policy).restored.relation == MONTH
    assert rows(database, MONTH) == before


def test_url_by_hand_needs_no_archive_in_the_policy(
    database: Database, policy: Policy, tmp_path: Path
) -> None:
    archive_and_drop(database, policy)
    bare = make_policy(tmp_path, database.url, name="app")
    with pytest.raises(UsageError, match=r"public\.events") as caught:
        restore(bare)
    assert "--from" in caught.value.hint
    assert restore(bare, url=place_of(policy).url).restored.attached


def test_unknown_period_names_those_there_are(database: Database, policy: Policy) -> None:
    archive(database, policy)
    with pytest.raises(ArchiveError) as caught:
        restore_period(policy, EVENTS, "2023-12")
    assert "2024-01" in caught.value.hint


def test_period_that_is_there_already_is_refused_before_any_work(
    database: Database, policy: Policy
) -> None:
    archive_and_drop(database, policy)
    database.execute(
        "CREATE TABLE public.other PARTITION OF public.events"
        " FOR VALUES FROM ('2024-01-15 00:00:00+00') TO ('2024-03-01 00:00:00+00')"
    )
    with pytest.raises(ArchiveError, match=r"public\.other\b") as caught:
        restore(policy)
    assert caught.value.reason == "period_present"
    assert database.execute("SELECT to_regclass('public.events_2024_01')") == [(None,)]


def test_name_that_is_taken_is_left_alone(database: Database, policy: Policy) -> None:
    archive_and_drop(database, policy)
    database.execute("CREATE TABLE public.events_2024_01 AS SELECT 1 AS mine")
    with pytest.raises(ArchiveError, match=r"public\.events_2024_01") as caught:
        restore(policy)
    assert caught.value.reason == "name_taken"
    assert database.execute("SELECT mine FROM public.events_2024_01") == [(1,)]


# A schema that changed.


def test_new_columns_get_their_defaults(database: Database, policy: Policy) -> None:
    archive_and_drop(database, policy)
    database.execute("ALTER TABLE public.events ADD extra text, ADD score int NOT NULL DEFAULT 5")
    report = restore(policy)
    assert report.restored.added == ("extra", "score")
    assert database.execute("SELECT DISTINCT extra, score FROM public.events") == [(None, 5)]


def test_columns_in_another_order_find_their_place(database: Database, policy: Policy) -> None:
    before = rows(database)
    archive_and_drop(database, policy)
    database.execute("ALTER TABLE public.events DROP doubled, DROP amount")
    database.execute(
        "ALTER TABLE public.events ADD doubled numeric GENERATED ALWAYS AS (id * 0) STORED,"
        " ADD amount numeric"
    )
    restore(policy)
    assert [row[:4] for row in rows(database)] == [row[:4] for row in before]


def test_every_difference_is_named_and_nothing_is_made(database: Database, policy: Policy) -> None:
    archive_and_drop(database, policy)
    database.execute(
        "ALTER TABLE public.events DROP COLUMN doubled, ALTER amount TYPE numeric(12,2),"
        ' ADD "must Have" int NOT NULL'
    )
    database.execute("DROP INDEX public.events_kind_idx")
    database.execute("ALTER TABLE public.events DROP kind")
    with pytest.raises(ArchiveError) as caught:
        restore(policy)
    assert caught.value.reason == "columns_differ"
    for part in ("amount", "numeric(12,2)", "kind", "doubled", '"must Have"'):
        assert part in str(caught.value)
    assert database.execute("SELECT to_regclass('public.events_2024_01')") == [(None,)]
    assert restore(policy, into=QualifiedName("public", "apart")).restored.n_rows == 2000


# Damage and interruption.


def flip(content: bytes) -> bytes:
    altered = bytearray(content)
    altered[len(altered) // 2] ^= 1
    return bytes(altered)


def cut(content: bytes) -> bytes:
    return content[:-100]


def fewer_rows(content: bytes) -> bytes:
    assert b'"n_rows": 2000' in content
    return content.replace(b'"n_rows": 2000', b'"n_rows": 1999')


@pytest.mark.parametrize("into", [None, QualifiedName("public", "apart")])
@pytest.mark.parametrize(
    ("name", "spoil"),
    [("data", flip), ("data", cut), ("manifest", cut), ("manifest", fewer_rows)],
)
def test_damaged_archive_restores_nothing(
    database: Database,
    policy: Policy,
    name: str,
    spoil: Callable[[bytes], bytes],
    into: QualifiedName | None,
) -> None:
    archive_and_drop(database, policy)
    place = place_of(policy)
    (path,) = Path(place.url).joinpath(*place.segments).glob(f"{name}*")
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DamagedArchiveError) as caught:
        restore(policy, into=into)
    assert caught.value.hint
    assert rows(database) == []
    left = "SELECT to_regclass('public.apart'), to_regclass('public.events_2024_01')"
    assert database.execute(left) == [(None, None)]


STAGES = ("COPY", "half of COPY", "ADD CONSTRAINT", "VALIDATE", "ANALYZE", "ATTACH")

KILLED = """
import os, signal, sys
from pathlib import Path
from maintenance.policy import load_policy
from maintenance.names import QualifiedName
from maintenance.pipeline.restore import restore_period
from maintenance.engine.lock_retry import LockRetry
from maintenance.archives import restore
from maintenance.archives.progress import Pace

policy, stage = sys.argv[1:]

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

run, load = LockRetry.run, restore.load
def running(self, connection, step, *rest, **named):
    if any(stage in statement for statement in step.statements):
        die()
    return run(self, connection, step, *rest, **named)
copying = False
def loading(*arguments):
    global copying
    if stage == "COPY":
        die()
    copying = True
    load(*arguments)
def show(self, counted):
    if stage == "half of COPY" and copying:
        die()
LockRetry.run, restore.load, Pace.show = running, loading, show
restore_period(load_policy(Path(policy)), QualifiedName("public", "events"), "2024-01")
"""


@pytest.mark.parametrize("stage", STAGES)
def test_killed_restore_is_replaced_by_the_next(
    database: Database, policy: Policy, stage: str
) -> None:
    add_keys_and_default(database)
    before = rows(database)
    archive_and_drop(database, policy)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(policy.path), stage],
        cwd=ROOT,
        check=False,
        timeout=60,
        capture_output=True,
    )
    assert killed.returncode == -9, killed.stderr
    assert len(rows(database)) == 2
    ((comment,),) = database.execute(COMMENT)
    assert "restoring" in read_mark(comment)
    _wait_for_leftover_target(database)
    restore(policy)
    assert rows(database) == before
    left = "SELECT conname FROM pg_constraint WHERE conname LIKE 'maintenance%'"
    assert database.execute(left) == []


KILLED_AT = """
import os, signal, sys
from pathlib import Path
from maintenance.policy import load_policy
from maintenance.names import QualifiedName
from maintenance.pipeline.restore import restore_period
from maintenance.archives import attach
from maintenance.archives import load
from maintenance.archives import restore
from maintenance.engine.lock_retry import LockRetry

policy, last = sys.argv[1:]
count = 0

def counted(original):
    def call(*arguments, **named):
        global count
        count += 1
        if count > int(last):
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **named)
    return call

LockRetry.run = counted(LockRetry.run)
load.run_sql = counted(load.run_sql)
load.read_back = counted(load.read_back)
restore_period(load_policy(Path(policy)), QualifiedName("public", "events"), "2024-01")
"""


@pytest.mark.slow
@pytest.mark.pg("== 18")
def test_each_restore_killed_one_step_later_ends_on_what_the_last_one_left(
    database: Database, policy: Policy
) -> None:
    add_keys_and_default(database)
    before = rows(database)
    archive_and_drop(database, policy)
    ends: list[int] = []
    while 0 not in ends:
        command = [sys.executable, "-c", KILLED_AT, str(policy.path), str(len(ends))]
        done = subprocess.run(command, cwd=ROOT, check=False, timeout=60, capture_output=True)
        assert done.returncode in (0, -9), done.stderr
        ends.append(done.returncode)
        _wait_for_leftover_target(database)
        assert rows(database) == before or len(rows(database)) == 2
        database.execute("INSERT INTO public.events VALUES (70000, now(), 'x')")
        database.execute("DELETE FROM public.events WHERE id = 70000")
    assert len(ends) > 10
    assert rows(database) == before
    left = "SELECT conname FROM pg_constraint WHERE conname LIKE 'maintenance%'"
    assert database.execute(left) == []


def _wait_for_leftover_target(database: Database) -> None:
    others = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'maintenance restore app'"
    )
    for _ in range(100):
        if database.execute(others) == [(0,)]:
            return
        time.sleep(0.05)


# Locks.


def add_keys_and_default(database: Database) -> None:
    for statement in (
        "CREATE TABLE public.kinds (kind text PRIMARY KEY)",
        "INSERT INTO public.kinds SELECT DISTINCT kind FROM public.events",
        "ALTER TABLE public.events ADD CONSTRAINT of_kind FOREIGN KEY (kind)"
        " REFERENCES public.kinds ON DELETE CASCADE",
        "CREATE TABLE public.events_rest PARTITION OF public.events DEFAULT",
        "INSERT INTO public.events (id, at, kind) VALUES (9, '2020-01-01', 'x'), (8, now(), 'x')",
    ):
        database.execute(statement)


def test_attach_scans_nothing_under_its_locks(
    database: Database, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_keys_and_default(database)
    before = rows(database)
    archive_and_drop(database, policy)
    seen: list[str] = []
    original = target.connect

    def hear(notice: psycopg.errors.Diagnostic) -> None:
        seen.append(notice.message_primary or "")

    def listening(*args: Any, **kwargs: Any) -> Any:
        connection = original(*args, **kwargs)
        connection.execute("SET client_min_messages = debug1")
        connection.add_notice_handler(hear)
        return connection

    monkeypatch.setattr(target, "connect", listening)
    restore(policy)
    assert rows(database) == before
    implied = [line for line in seen if "is implied by existing constraints" in line]
    assert any('for table "events_2024_01"' in line for line in implied)
    assert any('default partition "events_rest"' in line for line in implied)
    assert not any(
        "verifying" in line and "events_2024_01" in line for line in _after(seen, implied)
    )
    (key,) = database.execute(
        "SELECT convalidated, conparentid <> 0 FROM pg_constraint"
        " WHERE conrelid = 'public.events_2024_01'::regclass AND contype = 'f'"
    )
    assert key == (True, True)


def _after(seen: list[str], implied: list[str]) -> list[str]:
    return seen[seen.index(implied[0]) :]


def test_rows_of_the_period_in_the_default_partition_are_an_error(
    database: Database, policy: Policy
) -> None:
    add_keys_and_default(database)
    archive_and_drop(database, policy)
    database.execute("INSERT INTO public.events (id, at, kind) VALUES (7, '2024-01-05', 'x')")
    with pytest.raises(MaintenanceError, match="maintenance_restoring_away"):
        restore(policy)
    left = "SELECT conname FROM pg_constraint WHERE conname LIKE 'maintenance_restoring%'"
    assert database.execute(left) == []
    database.execute("DELETE FROM public.events WHERE id = 7")
    assert restore(policy).restored.attached


def test_check_of_a_restore_that_was_killed_goes_with_the_next_ordinary_run(
    database: Database, policy: Policy
) -> None:
    add_keys_and_default(database)
    refused = "INSERT INTO public.events (id, at, kind) VALUES (8, '2023-01-05', 'x')"
    database.execute(
        "ALTER TABLE public.events_rest ADD CONSTRAINT maintenance_restoring_away"
        " CHECK (at < '2023-01-01 00:00+00' OR at >= '2023-02-01 00:00+00') NOT VALID"
    )
    with pytest.raises(psycopg.errors.CheckViolation):
        database.execute(refused)
    report = pipeline.apply(policy, only=["partitions"])
    assert "remove_leftovers" in {r.action.kind.value for r in report.results}
    database.execute(refused)


def test_rows_whose_referenced_row_is_gone_are_an_error(database: Database, policy: Policy) -> None:
    add_keys_and_default(database)
    archive_and_drop(database, policy)
    database.execute("DELETE FROM public.kinds WHERE kind = 'click'")
    with pytest.raises(MaintenanceError, match='"of_kind"'):
        restore(policy)
    assert restore(policy, into=QualifiedName("public", "apart")).restored.n_rows == 2000


def test_open_reader_only_delays_the_attachment(database: Database, policy: Policy) -> None:
    add_keys_and_default(database)
    archive_and_drop(database, policy)
    reader = database.connect(autocommit=False)
    reader.execute("SELECT count(*) FROM public.events, public.kinds")
    is_told = threading.Event()

    def say(line: str) -> None:
        if str(reader.info.backend_pid) in line:
            is_told.set()

    with database.connect(options="-c lock_timeout=200ms") as writer:
        work = threading.Thread(target=restore, args=(policy,), kwargs={"progress": say})
        work.start()
        began = time.monotonic()
        while work.is_alive():
            writer.execute("INSERT INTO public.events (id, at, kind) VALUES (6, now(), 'x')")
            if time.monotonic() - began > (1 if is_told.is_set() else 60):
                reader.commit()
    work.join()
    assert is_told.is_set(), "it says who it waits for"
    assert len(children(database)) == 2


def test_epoch_key_returns(database: Database, tmp_path: Path) -> None:
    database.execute(
        "CREATE TABLE public.events (ms bigint NOT NULL) PARTITION BY RANGE (ms);"
        "CREATE TABLE public.events_2024_01 PARTITION OF public.events"
        " FOR VALUES FROM (1704067200000) TO (1706745600000);"
        "INSERT INTO public.events VALUES (1704067200000)"
    )
    ((bound,),) = database.execute(
        "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'events_2024_01'"
    )
    section = {"table": "public.events", "column": "ms", "encoding": "epoch_ms"}
    policy = make_policy(tmp_path, database.url, section)
    place = ArchivePlace(str(tmp_path), "app", EVENTS, "2024-01")
    with session(database.url) as connection:
        facts = the_facts(key="ms", bound=bound, lower=datetime(2024, 1, 1, tzinfo=UTC))
        write_archive(connection, identify(database), place, facts)
    database.execute("DROP TABLE public.events_2024_01")
    assert restore(policy, url=str(tmp_path)).restored.attached
    assert database.execute("SELECT ms FROM public.events") == [(1704067200000,)]
