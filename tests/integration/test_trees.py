"""Months that are partitioned themselves, on real servers: built, audited, retired, restored."""

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from maintenance.engine.actions import ActionKind
from maintenance.engine.findings import FindingKind, Severity
from maintenance.names import parse_name
from maintenance.periods import Interval, period_of
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.restore import restore_period
from maintenance.policy import Policy
from maintenance.subjects.partitions.inventory import inventory
from tests.builders import Database, Role
from tests.policies import EVENTS, make_policy

pytestmark = [pytest.mark.store, pytest.mark.in_turn]

CREATE = """
CREATE TABLE public.users (id bigint PRIMARY KEY);
INSERT INTO public.users SELECT generate_series(0, 9);
CREATE TABLE public.events (
  id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL, kind text NOT NULL DEFAULT 'a',
  author bigint DEFAULT 1 REFERENCES public.users, note text DEFAULT 'n',
  PRIMARY KEY (id, at, kind)) PARTITION BY RANGE (at);
CREATE INDEX ON public.events (author);
"""

SHAPE = """
WITH RECURSIVE tree AS (
  SELECT %s::regclass::oid AS oid
  UNION ALL SELECT inhrelid FROM tree JOIN pg_inherits ON inhparent = tree.oid)
SELECT replace(c.relname, %s, 'MONTH'), c.relkind::text, c.relreplident::text, c.reloptions,
       pg_get_userbyid(c.relowner)::text, c.relrowsecurity, c.relforcerowsecurity,
       (SELECT array_agg(g::text ORDER BY g::text) FROM unnest(c.relacl) g),
       CASE WHEN c.oid <> %s::regclass THEN pg_get_expr(c.relpartbound, 0) END,
       pg_get_partkeydef(c.oid),
       (SELECT array_agg(DISTINCT k.contype::text || ' ' || pg_get_constraintdef(k.oid))
          FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype IN ('p', 'f', 'c')),
       (SELECT count(*) FROM pg_index i WHERE i.indrelid = c.oid AND i.indisvalid
           AND EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = i.indexrelid)),
       (SELECT count(*) FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident),
       (SELECT array_agg(a.attname || coalesce(a.attidentity::text, '') ||
                         coalesce(a.attstattarget, -1) ORDER BY a.attnum)
          FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0),
       (SELECT array_agg(p.pubname ORDER BY 1) FROM pg_publication_rel r
          JOIN pg_publication p ON p.oid = r.prpubid WHERE r.prrelid = c.oid)
FROM tree JOIN pg_class c ON c.oid = tree.oid ORDER BY 1
"""

BELOW = """
WITH RECURSIVE tree AS (
  SELECT 'public.events'::regclass::oid AS oid
  UNION ALL SELECT inhrelid FROM tree JOIN pg_inherits ON inhparent = tree.oid)
SELECT oid::regclass::text FROM tree ORDER BY 1
"""


def month(offset: int = 0) -> str:
    return period_of(datetime.now(UTC).date(), Interval.MONTH).shift(offset).key


def child(offset: int = 0) -> str:
    return f"events_{month(offset).replace('-', '_')}"


def bounds(offset: int) -> str:
    return f"FROM ('{month(offset)}-01Z') TO ('{month(offset + 1)}-01Z')"


def add_month(database: Database, offset: int = 0, name: str = "") -> str:
    """A month by LIST, one of whose partitions is by HASH, and with a partition for the rest."""
    name = name or child(offset)
    database.execute(
        f"""
        CREATE TABLE public.{name} PARTITION OF public.events FOR VALUES {bounds(offset)}
          PARTITION BY LIST (kind);
        CREATE TABLE public.{name}_a PARTITION OF public.{name} FOR VALUES IN ('a')
          PARTITION BY HASH (id);
        CREATE TABLE public.{name}_a0 PARTITION OF public.{name}_a
          FOR VALUES WITH (modulus 2, remainder 0);
        CREATE TABLE public.{name}_a1 PARTITION OF public.{name}_a
          FOR VALUES WITH (modulus 2, remainder 1) WITH (fillfactor = 70);
        CREATE TABLE public.{name}_rest PARTITION OF public.{name} DEFAULT;
        ALTER TABLE public.{name}_rest ALTER note SET STATISTICS 500;
        """
    )
    return name


def insert(database: Database, offset: int, n_rows: int = 300) -> None:
    database.execute(
        "INSERT INTO public.events (at, kind, note)"
        f" SELECT '{month(offset)}-02Z'::timestamptz + n %% 20 * interval '1 day',"
        " chr(97 + n %% 3), repeat('x', n %% 900) FROM generate_series(1, %s) n",
        [n_rows],
    )


@pytest.fixture
def policy(database: Database, tmp_path: Path) -> Policy:
    database.execute(CREATE)
    return make_policy(tmp_path, database.url, {**EVENTS, "premake": 2})


def shape(database: Database, name: str) -> list[tuple[Any, ...]]:
    return database.execute(SHAPE, [f"public.{name}", name, f"public.{name}"])


def prepared(database: Database, owner: Role, reader: Role) -> None:
    """Give the parent, and the month that is there, all that a new month must have too."""
    add_month(database)
    tables = [name for (name,) in database.execute(BELOW)]
    database.execute("ALTER TABLE public.users OWNER TO " + owner.name)
    database.execute(f"GRANT CREATE ON SCHEMA public TO {owner.name}")
    for table in tables:
        database.execute(
            f"""
            ALTER TABLE {table} OWNER TO {owner.name};
            GRANT SELECT, INSERT ON {table} TO {reader.name};
            GRANT UPDATE (note) ON {table} TO {reader.name};
            ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
            ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
            """
        )
    database.execute(f"CREATE PUBLICATION feed FOR TABLE public.{child()}_a1")
    database.execute(
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT DELETE ON TABLES TO {reader.name}"
    )


def test_new_months_are_trees_like_the_old_one_in_everything(
    database: Database, policy: Policy, owner_role: Role, limited_role: Role
) -> None:
    prepared(database, owner_role, limited_role)
    report = pipeline.apply(policy)
    assert report.ok, [r.error for r in report.results] + [f.message for f in report.findings]
    assert report.findings == ()
    wanted = shape(database, child())
    assert len(wanted) == 5
    assert shape(database, child(1)) == wanted
    assert shape(database, child(2)) == wanted
    assert pipeline.plan(policy).plan.actions == ()
    insert(database, 2)
    ((n_rows,),) = database.execute(f"SELECT count(*) FROM public.{child(2)}_a1")
    assert n_rows > 0


def test_replica_identity_by_an_index_reaches_every_leaf(
    database: Database, policy: Policy
) -> None:
    database.execute("ALTER TABLE public.events REPLICA IDENTITY USING INDEX events_pkey")
    name = add_month(database)
    for table in (name, f"{name}_a", f"{name}_a0", f"{name}_a1", f"{name}_rest"):
        index = f"{table}_pkey"
        database.execute(f"ALTER TABLE public.{table} REPLICA IDENTITY USING INDEX {index}")
    assert pipeline.apply(policy).ok
    assert shape(database, child(1)) == shape(database, name)
    assert pipeline.plan(policy).findings == ()


def test_hostile_names_are_carried_over(database: Database, tmp_path: Path) -> None:
    hostile = 'Événements "2", a.b\n' + "é" * 12
    database.execute(CREATE)
    database.execute('ALTER TABLE public.events RENAME kind TO "Sort""e"')
    quoted = '"' + hostile.replace('"', '""') + '"'
    database.execute(f"ALTER TABLE public.events RENAME TO {quoted}")
    database.execute(
        f"""
        CREATE TABLE public."m ' 1" PARTITION OF public.{quoted} FOR VALUES {bounds(0)}
          PARTITION BY LIST ("Sort""e");
        CREATE TABLE public."m ' 1 %% {"z" * 50}" PARTITION OF public."m ' 1"
          FOR VALUES IN ('it''s "x"', NULL);
        """.replace("%%", "%")
    )
    policy = make_policy(
        tmp_path, database.url, {"table": f"public.{quoted}", "column": "at", "premake": 2}
    )
    report = pipeline.apply(policy)
    assert report.ok, [r.error for r in report.results] + [f.message for f in report.findings]
    rows = database.execute(
        "SELECT count(*), max(octet_length(relname)) FROM pg_class"
        " WHERE relkind IN ('p', 'r') AND relispartition"
        " AND relnamespace = 'public'::regnamespace"
    )
    assert rows == [(6, 63)]
    assert pipeline.plan(policy).plan.actions == ()


def test_beside_a_filled_default_partition_nothing_is_looked_through(
    database: Database, policy: Policy
) -> None:
    add_month(database)
    database.execute("CREATE TABLE public.events_default PARTITION OF public.events DEFAULT")
    database.execute(
        "INSERT INTO public.events (at) SELECT '2001-01-01'::timestamptz + n * interval '1 s'"
        " FROM generate_series(1, 20000) n"
    )
    report = pipeline.apply(policy)
    assert [(r.outcome.value, r.error) for r in report.results] == [("done", None)] * 2
    assert any("VALIDATE CONSTRAINT" in sql for sql in report.results[0].action.sql)
    assert shape(database, child(1)) == shape(database, child())
    checks = database.execute(
        "SELECT conname FROM pg_constraint WHERE conrelid = 'public.events_default'::regclass"
        " AND starts_with(conname, 'maintenance_')"
    )
    assert checks == []


def test_default_partition_that_is_a_tree_is_counted_and_worked_beside(
    database: Database, policy: Policy
) -> None:
    add_month(database)
    database.execute(
        """
        CREATE TABLE public.rest PARTITION OF public.events DEFAULT PARTITION BY HASH (id);
        CREATE TABLE public.rest_0 PARTITION OF public.rest
          FOR VALUES WITH (modulus 1, remainder 0);
        INSERT INTO public.events (at) SELECT '2001-01-01'::timestamptz + n * interval '1 s'
          FROM generate_series(1, 20000) n
        """
    )
    report = pipeline.apply(policy)
    assert [(r.action.object, r.error) for r in report.results] == [
        (f"public.{child(1)}", None),
        (f"public.{child(2)}", None),
    ]
    (finding,) = (f for f in report.findings if f.kind is FindingKind.DEFAULT_PARTITION_ROWS)
    assert finding.value == 20000
    assert shape(database, child(2)) == shape(database, child())


def test_referenced_table_gets_trees_too(database: Database, policy: Policy) -> None:
    add_month(database)
    database.execute(
        "CREATE TABLE public.likes (id bigint, at timestamptz, kind text,"
        " FOREIGN KEY (id, at, kind) REFERENCES public.events)"
    )
    assert pipeline.apply(policy).ok
    assert shape(database, child(1)) == shape(database, child())


def test_every_leaf_is_held_to_the_parent_and_mended(
    database: Database, policy: Policy, limited_role: Role
) -> None:
    add_month(database)
    assert pipeline.apply(policy).ok
    database.execute(f"GRANT SELECT ON public.events TO {limited_role.name}")
    database.execute("ALTER TABLE public.events ENABLE ROW LEVEL SECURITY")
    database.execute(f"ALTER TABLE public.{child(1)}_a0 REPLICA IDENTITY FULL")
    report = pipeline.apply(policy)
    assert {r.action.kind for r in report.results} == {ActionKind.REPAIR_PARTITION}
    assert len(report.results) == 15
    assert report.ok
    assert report.findings == ()
    assert pipeline.plan(policy).plan.actions == ()


def test_leaves_that_differ_from_their_siblings_are_reported_and_left(
    database: Database, policy: Policy
) -> None:
    add_month(database)
    assert pipeline.apply(policy).ok
    database.execute(f"ALTER TABLE public.{child()}_a0 SET (fillfactor = 50)")
    database.execute(
        f"CREATE TABLE public.extra PARTITION OF public.{child(1)} FOR VALUES IN ('z')"
    )
    report = pipeline.apply(policy)
    assert report.results == ()
    (finding,) = report.findings
    assert finding.severity is Severity.INFO
    assert finding.data["reasons"] == {
        f"public.{child()}_a0": ["storage_options"],
        f"public.{child(1)}": ["partitions_more"],
    }
    assert "fillfactor=50" in finding.message
    assert "FOR VALUES IN ('z')" in finding.message


def test_policies_comments_and_statistics_of_leaves_are_held_against_each_other(
    database: Database, policy: Policy
) -> None:
    add_month(database)
    add_month(database, 1)
    for name in (child(), child(1)):
        database.execute(
            f"""
            CREATE POLICY "own ""1" ON public.{name}_a0 AS RESTRICTIVE FOR SELECT
              USING (note IN (SELECT current_user::text FROM public.users));
            CREATE POLICY others ON public.{name} FOR UPDATE TO postgres USING (true)
              WITH CHECK (author > 1);
            COMMENT ON TABLE public.{name}_a0 IS 'one of ''two';
            COMMENT ON TABLE public.{name}_a1 IS 'of {name}';
            COMMENT ON COLUMN public.{name}_a1.note IS 'words';
            CREATE STATISTICS public.{name}_s ON kind, author FROM public.{name}_rest;
            """
        )
    report = pipeline.apply(policy)
    assert [r.error for r in report.results] == [None]
    said = (
        "SELECT obj_description(%s::regclass), count(*) FROM pg_policy"
        " WHERE polrelid = %s::regclass"
    )
    assert database.execute(said, [f"{child(2)}_a0"] * 2) == [("one of 'two", 1)]
    assert database.execute(said, [f"{child(2)}_a1"] * 2) == [(None, 0)]
    assert report.findings == ()
    statistics = "SELECT count(*) FROM pg_statistic_ext WHERE stxrelid = %s::regclass"
    assert database.execute(statistics, [f"{child(2)}_rest"]) == [(1,)]
    database.execute(
        f"""
        DROP POLICY others ON public.{child()};
        ALTER POLICY "own ""1" ON public.{child(1)}_a0 USING (true);
        COMMENT ON TABLE public.{child(1)}_a0 IS NULL;
        """
    )
    (finding,) = pipeline.plan(policy).findings
    assert finding.severity is Severity.INFO
    assert finding.data["reasons"] == {
        f"public.{child()}": ["row_security_policies"],
        f"public.{child(1)}_a0": ["row_security_policies", "comment"],
    }
    assert "others" in finding.message
    assert 'own "1' in finding.message


def test_locked_leaf_makes_us_wait_and_never_guess(database: Database, policy: Policy) -> None:
    add_month(database)
    with database.connect(autocommit=False) as holder:
        holder.execute(f"LOCK TABLE public.{child()}_a0 IN ACCESS EXCLUSIVE MODE".encode())
        report = pipeline.plan(policy)
    assert report.plan.actions == ()
    assert {f.kind for f in report.findings} == {FindingKind.MONITOR_BLIND}


def test_size_and_rows_of_a_month_are_the_sums_of_its_leaves(
    database: Database, policy: Policy
) -> None:
    add_month(database)
    insert(database, 0, 300)
    database.execute("VACUUM ANALYZE")
    snapshot = pipeline.plan(policy).snapshot
    assert snapshot is not None
    (table,) = inventory(policy, snapshot, datetime.now(UTC))
    ((size, n_rows),) = database.execute(
        "SELECT sum(relpages) * 8192, sum(reltuples) FROM pg_class"
        " WHERE relkind = 'r' AND relispartition"
    )
    assert (table.partitions[0].size_bytes, table.partitions[0].n_rows) == (size, n_rows)


# Retention

ARCHIVING = {"keep": "3 months", "action": "archive_then_drop", "archive": {"url": "./archive"}}


def retiring(database: Database, folder: Path, **changes: Any) -> Policy:
    section = {**EVENTS, "premake": 1, "retention": {**ARCHIVING, **changes}}
    return make_policy(folder, database.url, section)


def expired_month(database: Database) -> str:
    database.execute(CREATE)
    add_month(database)
    name = add_month(database, -7)
    insert(database, -7, 300)
    insert(database, 0, 1)
    return name


def test_expired_tree_is_archived_and_dropped_and_comes_back_as_a_plain_month(
    database: Database, tmp_path: Path
) -> None:
    expired_month(database)
    policy = retiring(database, tmp_path)
    content = "SELECT id, at, kind, author, note FROM public.events ORDER BY id"
    before = database.execute(content)
    report = pipeline.apply(policy)
    assert report.ok, [r.error for r in report.results] + [f.message for f in report.findings]
    archived = next(r for r in report.results if r.action.kind is ActionKind.ARCHIVE_PARTITION)
    assert archived.detail["rows"] == 300
    assert database.execute(content) == before[300:]
    left = "SELECT relname FROM pg_class WHERE starts_with(relname, %s)"
    assert database.execute(left, [child(-7)]) == []
    assert pipeline.plan(policy).plan.actions == ()
    restored = restore_period(policy, parse_name("public.events"), month(-7))
    assert (restored.restored.n_rows, restored.restored.attached) == (300, True)
    assert database.execute(content) == before
    later = pipeline.plan(policy)
    assert later.plan.actions == ()
    (drift,) = (f for f in later.findings if f.kind is FindingKind.PARTITION_PROPERTY_DRIFT)
    assert drift.data["reasons"] == {f"public.{child(-7)}": ["not_partitioned"]}


def test_detach_of_a_tree_that_a_reader_interrupts_is_ended_when_it_is_gone(
    database: Database, tmp_path: Path
) -> None:
    name = expired_month(database)
    reader = database.connect(autocommit=False)
    reader.execute("SELECT count(*) FROM public.events")
    end = threading.Timer(1, reader.rollback)
    end.start()
    report = pipeline.apply(retiring(database, tmp_path, action="drop"))
    end.join()
    assert report.ok, [r.error for r in report.results] + [f.message for f in report.findings]
    left = "SELECT count(*) FROM pg_class WHERE starts_with(relname, %s)"
    assert database.execute(left, [name]) == [(0,)]


def test_tree_kept_for_a_grace_is_dropped_whole_by_a_later_run(
    database: Database, tmp_path: Path
) -> None:
    name = expired_month(database)
    database.execute("CREATE TABLE public.events_default PARTITION OF public.events DEFAULT")
    assert pipeline.apply(retiring(database, tmp_path, grace="1 day", action="drop")).ok
    loose = "SELECT count(*) FROM pg_class WHERE starts_with(relname, %s) AND relkind IN ('r', 'p')"
    assert database.execute(loose, [name]) == [(5,)]
    report = pipeline.apply(retiring(database, tmp_path, action="drop"))
    assert report.ok, [r.error for r in report.results] + [f.message for f in report.findings]
    assert database.execute(loose, [name]) == [(0,)]


def test_tree_that_lost_or_won_a_leaf_since_the_plan_is_not_dropped(
    database: Database, tmp_path: Path
) -> None:
    name = expired_month(database)
    policy = retiring(database, tmp_path, grace="1 day", action="drop")
    assert pipeline.apply(policy).ok
    (drop,) = pipeline.plan(retiring(database, tmp_path, action="drop")).plan.actions
    database.execute(f"ALTER TABLE public.{name} DETACH PARTITION public.{name}_rest")
    changed = pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match=name)
    with database.connect(autocommit=False) as connection, changed:
        connection.execute("; ".join(drop.sql).encode())
    assert database.execute(f"SELECT count(*) > 0 FROM public.{name}_rest") == [(True,)]


def test_tree_with_a_half_detached_leaf_stays(database: Database, tmp_path: Path) -> None:
    name = expired_month(database)
    reader = database.connect(autocommit=False)
    reader.execute(f"SELECT count(*) FROM public.{name}".encode())
    detach = f"ALTER TABLE public.{name} DETACH PARTITION public.{name}_a CONCURRENTLY"
    with database.connect() as connection:
        connection.execute("SET lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            connection.execute(
                detach.replace(f"{name}_a", f"{name}_a0")
                .replace(f"TABLE public.{name} ", f"TABLE public.{name}_a ")
                .encode()
            )
    reader.rollback()
    report = pipeline.apply(retiring(database, tmp_path))
    assert {r.action.kind for r in report.results} <= {ActionKind.CREATE_PARTITION}
    (held,) = (f for f in report.findings if f.kind is FindingKind.RETENTION_HELD)
    assert held.data["partitions"] == [f"public.{name}"]
    assert f"public.{name}_a0" in held.message


@pytest.mark.pg(">= 16")
def test_tree_whose_leaves_lack_its_identity_is_never_half_detached(
    database: Database, tmp_path: Path
) -> None:
    """PostgreSQL 17 and newer could not end the detach of one, and its rows would be hidden."""
    database.execute(CREATE)
    add_month(database)
    database.execute(
        f"""
        CREATE TABLE public.old (LIKE public.events INCLUDING ALL EXCLUDING IDENTITY)
          PARTITION BY HASH (id);
        CREATE TABLE public.old_0 PARTITION OF public.old FOR VALUES WITH (modulus 1, remainder 0);
        ALTER TABLE public.events ATTACH PARTITION public.old FOR VALUES {bounds(-7)};
        """
    )
    insert(database, -7, 10)
    insert(database, 0, 1)
    pipeline.apply(retiring(database, tmp_path, action="detach"))
    pending = "SELECT count(*) FROM pg_inherits WHERE inhdetachpending"
    assert database.execute(pending) == [(0,)]
    attached = database.execute(
        "SELECT count(*) FROM pg_inherits WHERE inhrelid = 'public.old'::regclass"
    )
    assert attached == [(1 if database.server.major >= 17 else 0,)]


def test_nobody_writes_to_a_table_between_its_proof_and_its_drop(
    database: Database, tmp_path: Path
) -> None:
    name = expired_month(database)
    assert pipeline.apply(retiring(database, tmp_path, grace="1 day")).ok
    (drop,) = pipeline.plan(retiring(database, tmp_path)).plan.actions
    *sure, _ = drop.sql
    with database.connect(autocommit=False) as holder:
        # 17 leaves the leaves foreign keys of their own, which go before.
        holder.execute("; ".join(s for s in sure if "has foreign keys" not in s).encode())
        with database.connect() as writer:
            writer.execute("SET lock_timeout = '50ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                writer.execute(
                    f"INSERT INTO public.{name}_rest (id, at, kind)"
                    f" VALUES (1, '{month(-7)}-03Z', 'z')".encode()
                )
