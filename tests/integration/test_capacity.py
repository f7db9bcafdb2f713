"""Limits of real servers: planted cliffs are told on the first look, a sound schema tells none."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from maintenance.demo.postgres import PostgresServer
from maintenance.engine.findings import UNKNOWN, Finding, FindingKind, Severity
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.watch import watch
from maintenance.policy import Policy
from maintenance.subjects.capacity.server_levels import MEMBERS_PER_FILE
from tests.builders import Database, Role, make_database, make_role, server_folder
from tests.conftest import Servers
from tests.policies import make_policy
from tests.sessions import until

DAY = timedelta(days=1)
N_MEMBERS = 3_300_000_000
SETTINGS = {
    "max_connections": "20",
    "max_locks_per_transaction": "10",
    "wal_level": "logical",
    "max_slot_wal_keep_size": "64MB",
    "autovacuum": "off",
    "allow_system_table_mods": "on",
}
"""A small server, on which catalogs can be changed."""

NARROW_KEYS = """
CREATE TABLE public.orders (id serial PRIMARY KEY);
SELECT setval('public.orders_id_seq', 1900000000);
CREATE TABLE public.lines (id bigint PRIMARY KEY, order_id int REFERENCES public.orders);
CREATE SEQUENCE public.ticket_no;
CREATE TABLE public."Tickets" (id int PRIMARY KEY DEFAULT nextval('public.ticket_no'));
SELECT setval('public.ticket_no', 1700000000);
CREATE TABLE public.states (id smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
SELECT setval('public.states_id_seq', 30000);
CREATE TABLE public.events (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY);
SELECT setval('public.events_id_seq', 3000000000);
CREATE TABLE public.tags (event_id int REFERENCES public.events, tag text);
CREATE TABLE public.widened (id serial PRIMARY KEY);
ALTER TABLE public.widened ALTER id TYPE bigint;
SELECT setval('public.widened_id_seq', 1900000000);
CREATE SEQUENCE public.invoice_no MAXVALUE 1000000;
SELECT setval('public.invoice_no', 950000);
CREATE TABLE public.numbered (id int PRIMARY KEY);
INSERT INTO public.numbered SELECT 2000000000 + n FROM generate_series(1, 20000) n;
ANALYZE public.numbered;
"""
CATALOGS = """
CREATE TABLE public.docs (id bigint PRIMARY KEY, body text);
UPDATE pg_class SET reltuples = 3.5e9
 WHERE oid = (SELECT reltoastrelid FROM pg_class WHERE oid = 'public.docs'::regclass);
CREATE TABLE public.old (id bigint PRIMARY KEY);
UPDATE pg_class SET relfrozenxid = ((4294967296 + relfrozenxid::text::int8 - 1300000000)
                                     % 4294967296)::text::xid WHERE oid = 'public.old'::regclass;
CREATE TABLE public.locked (id bigint PRIMARY KEY, body text);
UPDATE pg_class SET relminmxid = ((4294967296 + relminmxid::text::int8 - 1800000000)
                                   % 4294967296)::text::xid
 WHERE oid = (SELECT reltoastrelid FROM pg_class WHERE oid = 'public.locked'::regclass);
UPDATE pg_extension SET extversion = '0.9' WHERE extname = 'plpgsql';
CREATE TABLE public.people (id bigint PRIMARY KEY, name text);
ALTER TABLE public.people ADD CONSTRAINT "named" CHECK (name <> '') NOT VALID;
CREATE TABLE public.renamed (at date,
  CONSTRAINT maintenance_convert_until_2025_01 CHECK (at < '2025-01-01') NOT VALID);
CREATE TABLE public.converting (at date,
  CONSTRAINT maintenance_convert_until_2999_01 CHECK (at < '2999-01-01') NOT VALID);
CREATE TABLE public.queue (id bigint PRIMARY KEY) WITH (autovacuum_enabled = off);
INSERT INTO public.queue SELECT generate_series(1, 20000);
DELETE FROM public.queue WHERE id > 10;
CREATE TABLE public.huge (id bigint PRIMARY KEY);
INSERT INTO public.huge SELECT generate_series(1, 10);
UPDATE pg_class SET reltuples = 5e8 WHERE oid = 'public.huge'::regclass;
CREATE TABLE public.blobs (body text) WITH (toast.autovacuum_enabled = false);
CREATE TABLE public.logs (at date) PARTITION BY RANGE (at);
CREATE TABLE public.logs_1 PARTITION OF public.logs FOR VALUES FROM ('2026-01-01')
  TO ('2026-02-01') WITH (autovacuum_enabled = no);
CREATE TABLE public.logs_2 PARTITION OF public.logs FOR VALUES FROM ('2026-02-01')
  TO ('2026-03-01') WITH (autovacuum_enabled = 0);
INSERT INTO public.logs SELECT date '2026-01-01' + n % 59 FROM generate_series(1, 2000) n;
ALTER TABLE public.blobs ALTER body SET STORAGE EXTERNAL;
INSERT INTO public.blobs SELECT repeat('x', 30000) FROM generate_series(1, 3);
"""
OF_18 = """
ALTER TABLE public.people ADD CONSTRAINT has_name NOT NULL name NOT VALID;
ALTER TABLE public.people ADD CONSTRAINT hoped CHECK (id > 0) NOT ENFORCED;
"""
COLLATIONS = {
    15: "CREATE COLLATION public.names (provider = icu, locale = 'und', version = '1.0')",
    18: "CREATE COLLATION public.names (provider = builtin, locale = 'C.UTF-8', version = '0')",
}
SLOT = """
SELECT pg_create_logical_replication_slot('forgotten', 'pgoutput');
DO $$ BEGIN FOR i IN 1..50 LOOP
  PERFORM pg_logical_emit_message(false, 'x', repeat(md5(i::text), 32000)); END LOOP; END $$
"""
PLANTED = {
    ("capacity_cliff", "public.orders.id"): "integer_key",
    ("capacity_cliff", 'public."Tickets".id'): "integer_key",
    ("capacity_cliff", "public.states.id"): "integer_key",
    ("capacity_cliff", "public.numbered.id"): "integer_key",
    ("capacity_cliff", "public.tags.event_id"): "integer_reference",
    ("capacity_cliff", "public.widened_id_seq"): "sequence",
    ("capacity_cliff", "public.invoice_no"): "sequence",
    ("capacity_cliff", "public.docs"): "toast_values",
    ("capacity_cliff", "app/lock_table"): "lock_table",
    ("capacity_cliff", "app/slot/forgotten"): "slot_wal",
    ("capacity_cliff", "app/connection_limits"): "connection_limits",
    ("wraparound_risk", "public.old"): None,
    ("wraparound_risk", "public.locked"): None,
    ("collation_mismatch", "public.names"): None,
    ("extension_outdated", "app/extension/plpgsql"): None,
    ("constraint_not_valid", "public.people.named"): None,
    ("conversion_check_left", "public.renamed"): None,
    ("autovacuum_ineffective", "app"): None,
    ("autovacuum_ineffective", "public.queue"): None,
    ("autovacuum_ineffective", "public.huge"): None,
    ("autovacuum_ineffective", "public.blobs"): None,
    ("autovacuum_ineffective", "public.logs"): None,
}
"""The findings of the planted database: the kind and object of each, and the cliff."""
PLANTED_18 = {("constraint_not_valid", "public.people.has_name"): None}

SOUND = """
CREATE TABLE public.users (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text UNIQUE,
                           hash int, seen_at int);
INSERT INTO public.users (email, hash, seen_at)
  SELECT n::text, hashint4(n), extract(epoch FROM now())::int - n FROM generate_series(1, 20000) n;
CREATE UNIQUE INDEX ON public.users (hash);
CREATE UNIQUE INDEX ON public.users (seen_at);
SELECT setval('public.users_id_seq', 1000000000);
CREATE TABLE public.posts (id bigserial PRIMARY KEY, author int REFERENCES public.users);
SELECT setval('public.posts_id_seq', 5000000000);
CREATE SEQUENCE public.in_turn MAXVALUE 1000 CYCLE;
SELECT setval('public.in_turn', 999);
CREATE TABLE public.shards (id int DEFAULT (nextval('public.posts_id_seq') % 64)::int);
CREATE TABLE public.downward (id int PRIMARY KEY);
CREATE SEQUENCE public.down AS int INCREMENT -1 START -1;
ALTER TABLE public.downward ALTER id SET DEFAULT nextval('public.down');
SELECT setval('public.down', -1000000);
CREATE TABLE public.both_signs (id int PRIMARY KEY);
CREATE SEQUENCE public.twice AS int MINVALUE -2147483648 START 1;
ALTER TABLE public.both_signs ALTER id SET DEFAULT nextval('public.twice');
SELECT setval('public.twice', 100);
CREATE TABLE public.parts (id bigserial, at date) PARTITION BY RANGE (at);
CREATE TABLE public.parts_1 PARTITION OF public.parts
  FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE public.tiny (id bigint PRIMARY KEY) WITH (autovacuum_enabled = false);
VACUUM public.tiny;
"""


def look(policy: Policy) -> list[Finding]:
    return list(pipeline.plan(policy, only=["capacity"]).findings)


def planted_in(database: Database) -> dict[tuple[str, str], str | None]:
    return PLANTED | (PLANTED_18 if database.server.major == 18 else {})


@pytest.fixture(scope="module", params=[15, 18])
def planted(request: pytest.FixtureRequest, servers: Servers) -> Iterator[Database]:
    """A database with every cliff, on a server of its own."""
    major: int = request.param
    binaries = servers.get(major).binaries
    with server_folder() as folder:
        own = PostgresServer(binaries, folder / "cliffs", fsync=False, settings=SETTINGS)
        own.start()
        database = make_database(own)
        for statements in (NARROW_KEYS, CATALOGS, COLLATIONS[major], SLOT):
            database.execute(statements)
        database.execute("CREATE INDEX by_name ON public.people (name COLLATE public.names)")
        database.execute("CREATE ROLE pool LOGIN CONNECTION LIMIT 30")
        if major == 18:
            database.execute(OF_18)
        _partition(database)
        yield database
        database.close()
        own.remove()


def _partition(database: Database) -> None:
    database.execute("CREATE TABLE public.wide (id int, PRIMARY KEY (id)) PARTITION BY RANGE (id)")
    for n in range(90):  # one transaction would need more locks than the server has
        database.execute(
            f"CREATE TABLE public.wide_{n} PARTITION OF public.wide"
            f" FOR VALUES FROM ({n}) TO ({n + 1})"
        )


def test_each_planted_cliff_is_told_on_the_first_look_and_nothing_else(
    planted: Database, tmp_path: Path
) -> None:
    found = look(make_policy(tmp_path, planted.url, capacity={}))
    told = {(each.kind.value, each.object): each for each in found}
    assert len(told) == len(found)
    assert {key: each.data.get("cliff") for key, each in told.items()} == planted_in(planted)


def test_keys_say_what_is_used_and_how_to_get_room(planted: Database, tmp_path: Path) -> None:
    found = {each.object: each for each in look(make_policy(tmp_path, planted.url, capacity={}))}
    key = found["public.orders.id"]
    assert key.severity is Severity.WARN
    assert key.value == pytest.approx(1_900_000_000 / (2**31 - 2), abs=1e-4)
    assert key.data["references"] == ["public.lines.order_id"]
    assert key.data["reached_at"] is None
    for statement in key.data["statements"]:
        planted.execute(f"BEGIN; {statement}; ROLLBACK")
    reference = found["public.tags.event_id"]
    assert reference.severity is Severity.ERROR
    assert reference.data["last_value"] == 3_000_000_000
    assert found["public.widened_id_seq"].data["statements"] == [
        "ALTER SEQUENCE public.widened_id_seq AS bigint"
    ]
    assert found["public.invoice_no"].severity is Severity.ERROR


def test_what_uses_a_narrow_key_is_named_and_without_it_the_advice_can_be_run(
    database: Database, tmp_path: Path
) -> None:
    database.execute(NARROW_KEYS)
    database.execute("""
        CREATE VIEW public.v AS SELECT id FROM public.orders;
        CREATE MATERIALIZED VIEW public."M" AS SELECT order_id FROM public.lines;
        CREATE POLICY mine ON public.orders USING (id > 0);
        CREATE RULE kept AS ON DELETE TO public.orders WHERE old.id = 1 DO INSTEAD NOTHING;
        ALTER TABLE public.orders ADD twice bigint GENERATED ALWAYS AS (id * 2::bigint) STORED;
        CREATE FUNCTION public.f() RETURNS int LANGUAGE sql
          BEGIN ATOMIC SELECT max(id) FROM public.orders; END
    """)
    policy = make_policy(tmp_path, database.url, capacity={})
    key = {each.object: each for each in look(policy)}["public.orders.id"]
    assert set(key.data["dependents"]) == {
        "view public.v",
        'materialized view public."M"',
        "policy public.orders.mine",
        "rule public.orders.kept",
        "generated column public.orders.twice",
        "function public.f",
    }
    database.execute("""
        DROP VIEW public.v;
        DROP MATERIALIZED VIEW public."M";
        DROP POLICY mine ON public.orders;
        DROP RULE kept ON public.orders;
        ALTER TABLE public.orders DROP COLUMN twice;
        DROP FUNCTION public.f
    """)
    key = {each.object: each for each in look(policy)}["public.orders.id"]
    assert key.data["dependents"] == []
    for statement in key.data["statements"]:
        database.execute(statement)


def test_bounded_sequence_is_told_with_its_columns_and_room_up_to_their_type(
    database: Database, tmp_path: Path
) -> None:
    database.execute("""
        CREATE SEQUENCE public.codes MAXVALUE 100;
        CREATE TABLE public.shops (code smallint DEFAULT nextval('public.codes'));
        SELECT setval('public.codes', 100);
        CREATE TABLE public.seats (
          id int GENERATED ALWAYS AS IDENTITY (MAXVALUE 50) PRIMARY KEY);
        SELECT setval('public.seats_id_seq', 48)
    """)
    found = {each.object: each for each in look(make_policy(tmp_path, database.url, capacity={}))}
    codes, seats = found["public.codes"], found["public.seats_id_seq"]
    assert (codes.data["columns"], codes.data["left"]) == (["public.shops.code"], 0)
    assert (seats.data["columns"], seats.data["left"]) == (["public.seats.id"], 2)
    for finding in (codes, seats):
        for statement in finding.data["statements"]:
            database.execute(statement)
    database.execute("INSERT INTO public.shops DEFAULT VALUES")
    assert look(make_policy(tmp_path, database.url, capacity={})) == []


def test_advice_on_what_was_left_behind_can_be_run(planted: Database, tmp_path: Path) -> None:
    found = {
        (each.kind, each.object): each
        for each in look(make_policy(tmp_path, planted.url, capacity={}))
    }
    collation = found[FindingKind.COLLATION_MISMATCH, "public.names"]
    assert collation.data["indexes"] == ["public.by_name"]
    assert collation.severity is Severity.WARN
    constraint = found[FindingKind.CONSTRAINT_NOT_VALID, "public.people.named"]
    huge = found[FindingKind.AUTOVACUUM_INEFFECTIVE, "public.huge"]
    queue = found[FindingKind.AUTOVACUUM_INEFFECTIVE, "public.queue"]
    assert (huge.severity, queue.severity) == (Severity.INFO, Severity.WARN)
    blobs = found[FindingKind.AUTOVACUUM_INEFFECTIVE, "public.blobs"]
    logs = found[FindingKind.AUTOVACUUM_INEFFECTIVE, "public.logs"]
    assert logs.data["tables"] == ["public.logs_1", "public.logs_2"]
    for finding in (constraint, huge, queue, blobs, logs):
        for statement in finding.data["statements"]:
            planted.execute(f"BEGIN; {statement}; ROLLBACK")
    old = found[FindingKind.WRAPAROUND_RISK, "public.locked"]
    assert old.severity is Severity.ERROR
    assert (old.data["ids"], old.data["is_toast"]) == ("multixact", True)


@pytest.mark.pg("== 15")
def test_extension_behind_is_told_with_its_update(database: Database, tmp_path: Path) -> None:
    database.execute("CREATE EXTENSION pg_stat_statements VERSION '1.4'")
    (finding,) = look(make_policy(tmp_path, database.url, capacity={}))
    assert finding.kind is FindingKind.EXTENSION_OUTDATED
    (statement,) = finding.data["statements"]
    database.execute(statement)
    assert look(make_policy(tmp_path, database.url, capacity={})) == []


def test_table_never_vacuumed_has_its_true_size_and_a_locked_one_none(
    database: Database, tmp_path: Path
) -> None:
    for name in ("big", "held"):
        database.execute(
            f"CREATE TABLE public.{name} (id int, body text) WITH (autovacuum_enabled = off);"
            f" INSERT INTO public.{name} SELECT n, repeat('x', 100)"
            " FROM generate_series(1, 90000) n"
        )
    database.execute(
        "CREATE TABLE public.single (id int) WITH (autovacuum_enabled = off);"
        " INSERT INTO public.single VALUES (1)"
    )
    holder = database.connect(autocommit=False)
    holder.execute("LOCK TABLE public.held")
    found = {each.object: each for each in look(make_policy(tmp_path, database.url, capacity={}))}
    holder.rollback()
    assert found.keys() == {"public.big", "public.held"}
    big, held = found["public.big"], found["public.held"]
    assert big.severity is Severity.WARN
    assert big.data["size_bytes"] > 10 * 2**20
    assert held.data["size_bytes"] is None


def test_members_of_multixacts_are_counted_by_their_files(
    planted: Database, tmp_path: Path
) -> None:
    """Empty files stand in for those of so many members; the server removes none of them."""
    folder = planted.execute("SELECT current_setting('data_directory')")[0][0]
    members = Path(folder) / "pg_multixact" / "members"
    before = set(members.iterdir())
    files = [members / f"{n:04X}" for n in range(0x1000, 0x1000 + N_MEMBERS // MEMBERS_PER_FILE)]
    try:
        for file in files:
            file.touch()
        found = look(make_policy(tmp_path, planted.url, capacity={}))
    finally:
        for file in files:
            file.unlink(missing_ok=True)
    (finding,) = [f for f in found if f.object == "app/multixact_members"]
    assert (finding.kind, finding.severity) == (FindingKind.CAPACITY_CLIFF, Severity.WARN)
    assert (finding.data["cliff"], finding.data["is_counted"]) == ("multixact_members", True)
    assert finding.value == pytest.approx(N_MEMBERS / 2**32, abs=0.001)
    assert set(members.iterdir()) == before


def test_peak_of_connections_is_told_after_they_ended(planted: Database, tmp_path: Path) -> None:
    policy = make_policy(tmp_path, planted.url, capacity={}, workload={})
    pipeline.apply(policy, only=["capacity"])
    idle = [planted.connect() for _ in range(14)]  # 17 of the 20 are usable
    try:
        watch(policy)
        for connection in idle:
            connection.close()
        count = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        until(lambda: planted.execute(count)[0][0] < 10)
        (finding,) = [f for f in look(policy) if f.object == "app/connections"]
    finally:
        planted.execute("DROP SCHEMA maintenance CASCADE")
    assert finding.data["cliff"] == "connections"
    assert finding.data["peak"] >= 14 > finding.data["now"]
    assert (finding.data["usable"], finding.severity) == (17, Severity.INFO)


def test_sound_schema_tells_nothing(database: Database, tmp_path: Path) -> None:
    for statement in SOUND.split(";\n"):
        database.execute(statement)
    database.execute("ANALYZE")
    found = look(make_policy(tmp_path, database.url, capacity={}))
    assert [finding.kind for finding in found] == [FindingKind.NOT_IN_POLICY]


def test_limits_are_looked_at_with_the_workload_and_not_without(
    database: Database, tmp_path: Path
) -> None:
    database.execute(NARROW_KEYS)
    assert look(make_policy(tmp_path, database.url)) == []
    assert look(make_policy(tmp_path, database.url, workload={})) != []


@pytest.mark.pg("== 18")
def test_growing_key_is_told_at_least_two_weeks_ahead_with_its_date(
    database: Database, tmp_path: Path
) -> None:
    database.execute("CREATE TABLE public.orders (id serial PRIMARY KEY)")
    policy = make_policy(tmp_path, database.url, capacity={"used": 0.99})
    start = datetime.now(UTC) - 20 * DAY
    a_day = 2**31 // 50
    told: dict[int, list[Finding]] = {}
    for n in range(0, 20, 4):
        database.execute(f"SELECT setval('public.orders_id_seq', {(5 + n) * a_day})")
        report = pipeline.apply(policy, only=["capacity"], now=start + n * DAY)
        told[n] = [each for each in report.findings if each.object == "public.orders.id"]
    assert told[0] == []
    (finding,) = told[8]
    assert finding.severity is Severity.WARN
    end = datetime.fromisoformat(finding.data["reached_at"])
    assert abs(end - (start + 45 * DAY)) < DAY
    assert finding.data["per_day"] == pytest.approx(a_day, rel=0.01)


@pytest.mark.pg("== 18")
def test_sequences_that_are_hidden_or_locked_are_unknown(
    database: Database, limited_role: Role, tmp_path: Path
) -> None:
    database.execute(NARROW_KEYS)
    policy = make_policy(tmp_path, database.url_of(limited_role), capacity={})
    found = {each.kind: each for each in look(policy)}
    hidden = found[FindingKind.PRIVILEGE_MISSING]
    assert FindingKind.CAPACITY_CLIFF not in found
    assert {"public.orders_id_seq", "public.orders.id"} <= set(
        hidden.data[UNKNOWN]["capacity_cliff"]
    )
    holder = database.connect(autocommit=False)
    holder.execute("ALTER SEQUENCE public.orders_id_seq INCREMENT 2")
    found = {each.object: each for each in look(make_policy(tmp_path, database.url, capacity={}))}
    holder.rollback()
    assert "public.orders.id" not in found
    assert 'public."Tickets".id' in found
    locked = found["app/capacity/locked_sequences"]
    assert locked.leaves_open(FindingKind.CAPACITY_CLIFF, "public.orders.id")


@pytest.mark.pg("== 18")
def test_locked_table_is_no_obstacle(database: Database, tmp_path: Path) -> None:
    database.execute(f"{NARROW_KEYS}; CREATE TABLE public.docs (body text)")
    holder = database.connect(autocommit=False)
    holder.execute("LOCK TABLE public.orders, public.docs, public.numbered")
    found = look(make_policy(tmp_path, database.url, capacity={}))
    holder.rollback()
    assert FindingKind.MONITOR_BLIND not in {each.kind for each in found}
    assert "public.orders.id" in {each.object for each in found}


def test_role_of_the_documentation_sees_all_but_members(planted: Database, tmp_path: Path) -> None:
    role = make_role(planted.server, "watcher")
    planted.execute(f"GRANT pg_monitor, pg_read_all_data TO {role.name}")
    found = look(make_policy(tmp_path, planted.url_of(role), capacity={}))
    assert {(each.kind.value, each.object) for each in found} == planted_in(planted).keys()


def test_pools_are_compared_with_what_the_server_has(database: Database, tmp_path: Path) -> None:
    ((usable,),) = database.execute(
        "SELECT current_setting('max_connections')::int"
        " - current_setting('superuser_reserved_connections')::int"
        " - coalesce(current_setting('reserved_connections', true)::int, 0)"
    )
    for size, told in ((usable, False), (usable + 1, True)):
        pools = [{"instances": 1, "size": size}]
        policy = make_policy(tmp_path, database.url, capacity={"pools": pools})
        findings = pipeline.plan(policy, only=["capacity"]).findings
        assert ("app/pools" in {each.object for each in findings}) is told
