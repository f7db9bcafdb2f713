"""An unpartitioned table that becomes a partitioned one, with everything on it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from maintenance.engine.actions import ActionKind, HeldBy
from maintenance.engine.executor import Outcome
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from tests.builders import Database, Role
from tests.conversions import EVENTS, N_ROWS, PLAIN, RICH, grants, shape, undo
from tests.policies import make_policy

pytestmark = pytest.mark.store

BY_PARTITION = "SELECT tableoid::regclass::text, count(*) FROM public.events GROUP BY 1 ORDER BY 1"
KIND = "SELECT relkind::text FROM pg_class WHERE oid = 'public.events'::regclass"
BOUNDS = """
SELECT c.relname, pg_get_expr(c.relpartbound, c.oid)
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
 WHERE i.inhparent = 'public.events'::regclass ORDER BY c.relname
"""
HELPERS = """
SELECT conname FROM pg_constraint WHERE conname LIKE 'maintenance%'
UNION ALL SELECT relname FROM pg_class WHERE relname LIKE 'maintenance%'
   AND relnamespace = 'public'::regnamespace
"""


def apply(policy: Policy, **arguments: Any) -> pipeline.Report:
    return pipeline.apply(policy, only=["conversion"], **arguments)


def finding(report: pipeline.Report) -> Finding:
    (found,) = [f for f in report.findings if f.kind is FindingKind.NOT_PARTITIONED]
    return found


def reasons(policy: Policy) -> set[str]:
    report = pipeline.plan(policy, only=["conversion"])
    assert not [a for a in report.plan.actions if a.kind is ActionKind.CONVERT_TABLE]
    assert finding(report).severity is Severity.ERROR
    return set(finding(report).data["reasons"])


def policy_of(database: Database, folder: Path, **further: Any) -> Policy:
    return make_policy(folder, database.url, {**EVENTS, **further})


def test_table_becomes_the_first_partition_and_later_months_follow(
    database: Database, tmp_path: Path
) -> None:
    database.execute(PLAIN)
    policy = policy_of(database, tmp_path)
    (node,) = database.execute("SELECT pg_relation_filenode('public.events')")
    report = apply(policy)
    assert report.ok
    ((first, n_rows),) = database.execute(BY_PARTITION)
    assert n_rows == N_ROWS
    assert database.execute("SELECT pg_relation_filenode(%s)", [first]) == [node]
    assert database.execute(KIND) == [("p",)]
    assert database.execute(HELPERS) == []
    bounds = database.execute(BOUNDS)
    assert bounds[0][1].startswith("FOR VALUES FROM (MINVALUE) TO (")
    assert len(bounds) >= 2
    assert report.findings == ()
    again = pipeline.plan(policy)
    assert again.plan.actions == ()
    assert not any(f.severity is Severity.ERROR for f in again.findings)


def test_rows_of_every_time_find_a_partition_afterwards(database: Database, tmp_path: Path) -> None:
    database.execute(PLAIN)
    assert apply(policy_of(database, tmp_path)).ok
    database.execute(
        "INSERT INTO public.events SELECT 10000 + i, now() + i * interval '20 days'"
        " FROM generate_series(-100, 4) AS i"
    )
    ((plan,),) = database.execute(
        "EXPLAIN (FORMAT JSON) SELECT * FROM public.events WHERE at > now() + interval '70 days'"
    )
    assert "_to_" not in json.dumps(plan)


def test_everything_on_the_table_is_carried_over(
    database: Database, tmp_path: Path, owner_role: Role, limited_role: Role
) -> None:
    database.execute(RICH)
    database.execute(grants(limited_role))
    database.give_to(owner_role)
    database.execute(f"ALTER STATISTICS public.events_stat OWNER TO {owner_role.name}")
    before = shape(database)
    report = apply(policy_of(database, tmp_path))
    assert report.ok, report.results
    after = set(shape(database))
    lost = [row for row in before if row not in after]
    changed = {(kind, name.removeprefix("public.")) for kind, name, _ in lost}
    # storage options are those of partitions; the primary key has one more column
    assert changed == {
        ("relation", "events:r"),
        ("index", "events_pkey"),
        ("constraint", "events events_pkey"),
    }
    definitions = dict(
        database.execute(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid = 'public.events'::regclass AND contype IN ('p', 'u')"
        )
    )
    assert definitions == {
        "events_pkey": "PRIMARY KEY (id, at)",
        "events_seq_at_key": "UNIQUE (seq, at)",
    }
    database.execute("REFRESH MATERIALIZED VIEW public.daily")
    counts = "SELECT (SELECT sum(n)::int FROM public.daily), (SELECT n::int FROM public.on_top)"
    ((daily, on_top),) = database.execute(counts)
    assert daily == on_top > 0
    database.execute(
        "INSERT INTO public.events (at, kind) VALUES (now() + interval '80 days', 'x')"
    )
    ((num, seq, touched),) = database.execute(
        "SELECT num, seq, touched IS NOT NULL FROM public.events WHERE kind = 'x'"
    )
    assert num > 1000 + 5 * N_ROWS - 20
    assert seq == N_ROWS + 1
    assert touched


def test_new_parent_is_its_owner_even_where_our_role_only_is_a_member(
    database: Database, tmp_path: Path, owner_role: Role, limited_role: Role
) -> None:
    database.execute(PLAIN)
    database.give_to(owner_role)
    database.execute(f"GRANT CREATE ON SCHEMA public TO {owner_role.name}")
    database.execute(f"GRANT {owner_role.name} TO {limited_role.name}")
    database.execute(f'GRANT CREATE ON DATABASE "{database.name}" TO {limited_role.name}')
    policy = make_policy(tmp_path, database.url_of(limited_role), EVENTS)
    report = apply(policy)
    assert report.ok, report.results
    owners = (
        "SELECT DISTINCT pg_get_userbyid(relowner)::text FROM pg_class WHERE relname ~ '^events'"
    )
    assert database.execute(owners) == [(owner_role.name,)]


REFUSED: dict[str, tuple[str, str]] = {
    "function that upserts": (
        "CREATE FUNCTION public.f() RETURNS void LANGUAGE sql AS"
        " 'INSERT INTO public.events (id) VALUES (1) ON CONFLICT (id) DO NOTHING'",
        "upserts",
    ),
    "null keys": (
        "ALTER TABLE public.events ALTER at DROP NOT NULL;"
        " INSERT INTO public.events VALUES (0, NULL)",
        "null_keys",
    ),
    "infinite keys": ("INSERT INTO public.events VALUES (0, 'infinity')", "infinite_keys"),
    "future rows": ("INSERT INTO public.events VALUES (0, '2097-01-01')", "future_rows"),
    "incoming foreign key": (
        "CREATE TABLE public.notes (event bigint REFERENCES public.events)",
        "referenced",
    ),
    "foreign key to itself": (
        "ALTER TABLE public.events ADD parent bigint REFERENCES public.events",
        "references_itself",
    ),
    "unique key": ("ALTER TABLE public.events ADD UNIQUE (note)", "unique_without_key"),
    "unique index": (
        "CREATE UNIQUE INDEX ON public.events (lower(note))",
        "unique_without_key",
    ),
    "exclusion": (
        "ALTER TABLE public.events ADD EXCLUDE USING btree (note WITH =)",
        "exclusion",
    ),
    "deferrable": (
        "ALTER TABLE public.events ADD UNIQUE (note, at) DEFERRABLE",
        "deferrable",
    ),
    "not valid": (
        "ALTER TABLE public.events ADD CHECK (id > 0) NOT VALID",
        "not_valid",
    ),
    "no inherit": ("ALTER TABLE public.events ADD CHECK (id > 0) NO INHERIT", "no_inherit"),
    "rule": (
        "CREATE RULE r AS ON DELETE TO public.events DO ALSO SELECT 1",
        "rule",
    ),
    "inheritance": ("CREATE TABLE public.child () INHERITS (public.events)", "inheritance"),
    "unlogged": ("ALTER TABLE public.events SET UNLOGGED", "unlogged"),
    "clustered": (
        "ALTER TABLE public.events CLUSTER ON events_at_idx",
        "clustered",
    ),
    "materialized view": (
        "CREATE MATERIALIZED VIEW public.m AS SELECT count(*) FROM public.events;"
        " CREATE MATERIALIZED VIEW public.on_it AS SELECT * FROM public.m",
        "matview_on_table",
    ),
    "view of the row type": (
        "CREATE VIEW public.v AS SELECT e FROM public.events AS e",
        "view_needs_table",
    ),
    "view by the primary key": (
        "CREATE VIEW public.v AS SELECT id, note FROM public.events GROUP BY id",
        "view_needs_table",
    ),
    "view of ONLY": (
        "CREATE VIEW public.v AS SELECT id FROM ONLY public.events",
        "view_reads_only",
    ),
    "function of the row type": (
        "CREATE FUNCTION public.f(e public.events) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "dependent_object",
    ),
    "function with a parsed body": (
        "CREATE FUNCTION public.f() RETURNS bigint LANGUAGE sql"
        " BEGIN ATOMIC SELECT count(*) FROM public.events; END",
        "dependent_object",
    ),
    "column of the row type": (
        "CREATE TABLE public.copies (e public.events)",
        "dependent_object",
    ),
    "policy of another table": (
        "CREATE TABLE public.notes (event bigint); CREATE POLICY p ON public.notes"
        " USING (EXISTS (SELECT FROM public.events AS e WHERE e.id = event))",
        "dependent_object",
    ),
    "publication of partitions": (
        "CREATE PUBLICATION p FOR TABLE public.events",
        "publication_of_partitions",
    ),
    "publication of all tables": (
        "CREATE PUBLICATION p FOR ALL TABLES",
        "publication_of_partitions",
    ),
    "publication without the key": (
        "CREATE PUBLICATION p FOR TABLE public.events (id, note)"
        " WITH (publish_via_partition_root = true)",
        "publication_lacks_key",
    ),
    "replica identity": (
        "ALTER TABLE public.events REPLICA IDENTITY USING INDEX events_pkey",
        "replica_identity",
    ),
    "trigger names its table": (
        "CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN RAISE LOG '%', TG_TABLE_NAME; RETURN NULL; END$$;"
        " CREATE TRIGGER t AFTER INSERT ON public.events FOR EACH ROW EXECUTE FUNCTION public.f()",
        "trigger_names_table",
    ),
    "trigger sets the key": (
        "CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN NEW.at := now(); RETURN NEW; END$$;"
        " CREATE TRIGGER t BEFORE INSERT ON public.events FOR EACH ROW EXECUTE FUNCTION public.f()",
        "trigger_sets_key",
    ),
    "row trigger with transition tables": (
        "CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN RETURN NULL; END$$;"
        " CREATE TRIGGER t AFTER INSERT ON public.events REFERENCING NEW TABLE AS n"
        " FOR EACH ROW EXECUTE FUNCTION public.f()",
        "transition_tables",
    ),
    "constraint trigger": (
        "CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN RETURN NULL; END$$;"
        " CREATE CONSTRAINT TRIGGER t AFTER INSERT ON public.events"
        " FOR EACH ROW EXECUTE FUNCTION public.f()",
        "constraint_trigger",
    ),
    "typed table": (
        "CREATE TYPE public.e AS (id bigint, at timestamptz, note text);"
        " ALTER TABLE public.events OF public.e",
        "typed_table",
    ),
    "name of its first partition": (
        "DO $$BEGIN EXECUTE format('CREATE TABLE public.events_%s_to_%s ()',"
        " to_char(now() - interval '2000 hours', 'YYYY_MM'),"
        " to_char(now() + interval '1 month', 'YYYY_MM')); END$$",
        "name_taken",
    ),
    "storage option of the key": (
        "ALTER INDEX public.events_pkey SET (fillfactor = 70)",
        "key_definition",
    ),
    "other type": (
        "ALTER TABLE public.events ALTER at TYPE text",
        "other_type",
    ),
}


@pytest.mark.in_turn
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_carried_over_is_refused(database: Database, tmp_path: Path, case: str) -> None:
    statement, code = REFUSED[case]
    database.execute(PLAIN)
    database.execute(statement)
    before = shape(database)
    policy = policy_of(database, tmp_path)
    assert reasons(policy) == {code}
    apply(policy)
    assert shape(database) == before


def test_all_reasons_are_named_at_once(database: Database, tmp_path: Path) -> None:
    database.execute(PLAIN)
    cases = ("null keys", "unique key", "rule", "materialized view", "publication of partitions")
    for case in cases:
        database.execute(REFUSED[case][0])
    policy = policy_of(database, tmp_path)
    assert reasons(policy) == {REFUSED[case][1] for case in cases}
    shown = finding(pipeline.plan(policy)).data["obstacles"]
    assert len(shown) == len(cases)
    assert all(each["objects"] for each in shown if each["code"] != "null_keys")


@pytest.mark.pg("== 15")
def test_upsert_that_the_server_has_seen_is_refused(database: Database, tmp_path: Path) -> None:
    database.execute(PLAIN)
    database.execute("CREATE EXTENSION pg_stat_statements")
    database.execute("INSERT INTO public.events (id) VALUES (1) ON CONFLICT (id) DO NOTHING")
    assert reasons(policy_of(database, tmp_path)) == {"upserts"}


def test_small_table_waits_until_it_is_large(database: Database, tmp_path: Path) -> None:
    database.execute(PLAIN)
    policy = policy_of(database, tmp_path, convert_when={"larger_than": "1 GB"})
    report = apply(policy)
    assert report.results == ()
    assert finding(report).severity is Severity.INFO
    assert finding(report).data["reasons"] == ["small"]
    assert database.execute(KIND) == [("r",)]


def test_nullable_key_without_nulls_is_set_not_null(database: Database, tmp_path: Path) -> None:
    database.execute(PLAIN)
    database.execute("ALTER TABLE public.events ALTER at DROP NOT NULL")
    assert apply(policy_of(database, tmp_path)).ok
    assert database.execute(KIND) == [("p",)]
    assert database.execute(HELPERS) == []


def test_set_not_null_reads_no_rows(database: Database, tmp_path: Path) -> None:
    database.execute(PLAIN)
    database.execute("ALTER TABLE public.events ALTER at DROP NOT NULL")
    (action,) = pipeline.plan(policy_of(database, tmp_path), only=["conversion"]).plan.actions
    wanted = "ADD CONSTRAINT", "VALIDATE CONSTRAINT", "SET NOT NULL"
    statements = [next(text for text in action.sql if word in text) for word in wanted]
    told: list[str | None] = []
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("SET client_min_messages = debug1")
        connection.execute("SET lc_messages = 'C'")
        connection.add_notice_handler(lambda notice: told.append(notice.message_primary))
        for text in statements:
            connection.execute(text.encode())
    assert any("sufficient to prove" in (text or "") for text in told)


def test_table_without_a_key_or_with_the_column_in_it_needs_no_index(
    database: Database, tmp_path: Path
) -> None:
    database.execute(PLAIN)
    database.execute(
        "ALTER TABLE public.events DROP CONSTRAINT events_pkey, ADD PRIMARY KEY (at, id)"
    )
    report = apply(policy_of(database, tmp_path))
    assert report.ok
    assert not any("CONCURRENTLY" in statement for statement in report.results[0].action.sql)
    database.execute("DROP TABLE public.events CASCADE")
    database.execute(PLAIN)
    database.execute("ALTER TABLE public.events DROP CONSTRAINT events_pkey")
    assert apply(policy_of(database, tmp_path)).ok
    assert database.execute(KIND) == [("p",)]


def test_empty_table_is_converted(database: Database, tmp_path: Path) -> None:
    database.execute(PLAIN)
    database.execute("TRUNCATE public.events")
    assert apply(policy_of(database, tmp_path, convert_when={"larger_than": "1 kB"})).ok
    assert database.execute(KIND) == [("p",)]


ENCODINGS: dict[str, tuple[str, str, Any]] = {
    "timestamp": ("timestamp", "(now() - i * interval '1 hour')::timestamp", "native"),
    "date": ("date", "(now() - i * interval '1 hour')::date", "native"),
    "epoch_s": ("bigint", "extract(epoch FROM now() - i * interval '1 hour')::bigint", "epoch_s"),
    "epoch_ms": (
        "bigint",
        "(1000 * extract(epoch FROM now() - i * interval '1 hour'))::bigint",
        "epoch_ms",
    ),
    "epoch_us": (
        "bigint",
        "(1000000 * extract(epoch FROM now() - i * interval '1 hour'))::bigint",
        "epoch_us",
    ),
    "uuidv7": (
        "uuid",
        "(lpad(to_hex((1000 * extract(epoch FROM now() - i * interval '1 hour'))::bigint), 12, '0')"
        " || '7' || lpad(to_hex(i), 19, '8'))::uuid",
        "uuidv7",
    ),
    "snowflake": (
        "bigint",
        "((1000 * extract(epoch FROM now() - i * interval '1 hour'"
        " - timestamptz '2015-01-01 00:00+00' + timestamptz 'epoch'))::bigint << 22)",
        {"snowflake": {"epoch": "2015-01-01", "shift": 22}},
    ),
}


@pytest.mark.in_turn
@pytest.mark.parametrize("case", ENCODINGS)
def test_table_of_any_encoding_is_converted(database: Database, tmp_path: Path, case: str) -> None:
    type_, value, encoding = ENCODINGS[case]
    database.execute(
        f"CREATE TABLE public.events (id bigint PRIMARY KEY, at {type_} NOT NULL);"
        f" INSERT INTO public.events SELECT i, {value} FROM generate_series(1, 2000) AS i"
    )
    policy = policy_of(database, tmp_path, encoding=encoding)
    report = apply(policy)
    assert report.ok, report.results or report.findings
    assert [n for _, n in database.execute(BY_PARTITION)] == [N_ROWS]
    again = pipeline.plan(policy)
    assert again.plan.actions == ()
    assert not any(f.severity is Severity.ERROR for f in again.findings)


def test_identifier_that_is_the_key_needs_no_index(database: Database, tmp_path: Path) -> None:
    value = ENCODINGS["uuidv7"][1]
    database.execute(
        "CREATE TABLE public.events (id uuid PRIMARY KEY, note text);"
        f" INSERT INTO public.events SELECT {value} FROM generate_series(1, 2000) AS i"
    )
    policy = policy_of(database, tmp_path, column="id", encoding="uuidv7")
    report = apply(policy)
    assert report.ok
    assert not any("CONCURRENTLY" in statement for statement in report.results[0].action.sql)


def test_definition_that_changes_half_way_stops_the_swap(
    database: Database, tmp_path: Path
) -> None:
    database.execute(PLAIN)
    policy = policy_of(database, tmp_path)

    def disturb(line: str) -> None:
        if "validate CHECK" in line:
            database.execute("ALTER TABLE public.events ADD extra int")

    report = apply(policy, progress=disturb)
    (result,) = report.results
    assert result.outcome is Outcome.FAILED
    assert result.cause is not None
    assert result.cause.reason == "changed_since_plan"
    assert database.execute(KIND) == [("r",)]
    assert apply(policy).ok
    assert database.execute(KIND) == [("p",)]


def test_table_dropped_half_way_is_no_conversion(database: Database, tmp_path: Path) -> None:
    database.execute(PLAIN)
    policy = policy_of(database, tmp_path)

    def disturb(line: str) -> None:
        if "step 2" in line:
            database.execute("DROP TABLE public.events")

    (result,) = apply(policy, progress=disturb).results
    assert result.outcome is Outcome.FAILED


def test_row_beyond_the_bound_that_arrives_before_validation_undoes_the_check(
    database: Database, tmp_path: Path
) -> None:
    database.execute(PLAIN)
    policy = policy_of(database, tmp_path)

    def disturb(line: str) -> None:
        if "refuse rows" in line:
            database.execute("INSERT INTO public.events VALUES (0, '2097-01-01')")

    (result,) = apply(policy, progress=disturb).results
    assert result.outcome is Outcome.FAILED
    assert database.execute("SELECT conname FROM pg_constraint WHERE conname ~ '^maint'") == []
    assert reasons(policy) == {"future_rows"}
    # the index of the run before is removed too
    assert apply(policy).results[0].action.kind is ActionKind.REMOVE_LEFTOVERS
    assert database.execute(HELPERS) == []


def test_conversion_that_is_not_wanted_any_more_is_undone(
    database: Database, tmp_path: Path
) -> None:
    database.execute(PLAIN)
    before = shape(database)
    policy = policy_of(database, tmp_path)

    def disturb(line: str) -> None:
        if "step 4" in line:
            database.execute("ALTER TABLE public.events ADD extra int")
            database.execute("ALTER TABLE public.events DROP extra")
            database.execute("CREATE VIEW public.other AS SELECT id FROM public.events")

    assert not apply(policy, progress=disturb).ok
    database.execute("DROP VIEW public.other")
    assert len(database.execute(HELPERS)) == 2  # a CHECK and an index
    never = policy_of(database, tmp_path, convert="never")
    (result,) = apply(never).results
    assert result.action.kind is ActionKind.REMOVE_LEFTOVERS
    assert result.outcome is Outcome.DONE
    assert shape(database) == before


def test_report_mode_plans_and_changes_nothing(database: Database, tmp_path: Path) -> None:
    database.execute(PLAIN)
    before = shape(database)
    (result,) = apply(policy_of(database, tmp_path, mode="report")).results
    assert result.action.held is not None
    assert result.action.held.by is HeldBy.REPORT_MODE
    assert shape(database) == before


def test_check_that_would_soon_refuse_rows_is_replaced(database: Database, tmp_path: Path) -> None:
    database.execute(PLAIN)
    database.execute(
        "DO $$BEGIN EXECUTE format('ALTER TABLE public.events ADD CONSTRAINT"
        " maintenance_convert_until_%s CHECK (at IS NOT NULL AND at < %L)',"
        " to_char(now(), 'YYYY_MM'), now() + interval '3 days'); END$$"
    )
    assert apply(policy_of(database, tmp_path)).ok
    assert database.execute(HELPERS) == []


def test_partitions_and_conversion_say_the_same(database: Database, tmp_path: Path) -> None:
    database.execute(PLAIN)
    database.execute("ALTER TABLE public.events ADD UNIQUE (note)")
    policy = policy_of(database, tmp_path)
    told = [finding(pipeline.plan(policy, only=only)) for only in ((), ("partitions",))]
    assert [each.data["reasons"] for each in told] == [["unique_without_key"]] * 2


def test_locked_table_is_not_planned_and_told(database: Database, tmp_path: Path) -> None:
    database.execute(PLAIN)
    with database.connect() as other:
        other.execute("BEGIN; LOCK TABLE public.events IN ACCESS EXCLUSIVE MODE")
        report = pipeline.plan(policy_of(database, tmp_path), only=["conversion"])
    assert report.plan.actions == ()
    assert not report.ok


def test_now_is_within_the_first_partition(database: Database, tmp_path: Path) -> None:
    database.execute(PLAIN)
    assert apply(policy_of(database, tmp_path)).ok
    ((where,),) = database.execute(
        "INSERT INTO public.events VALUES (-1, %s) RETURNING tableoid::regclass::text",
        [datetime.now(UTC)],
    )
    assert "_to_" in where


def test_conversion_is_undone_while_later_partitions_are_empty(
    database: Database, tmp_path: Path, owner_role: Role, limited_role: Role
) -> None:
    database.execute(RICH)
    database.execute(grants(limited_role))
    database.give_to(owner_role)
    database.execute(f"ALTER STATISTICS public.events_stat OWNER TO {owner_role.name}")
    before = shape(database)
    report = apply(policy_of(database, tmp_path))
    assert report.ok
    database.execute("INSERT INTO public.events (kind) VALUES ('new')")
    undo(database, report)
    moved = [row for row in shape(database) if row not in before]
    # the serial's and the identity's sequences have gone on
    assert {kind for kind, _, _ in moved} <= {"sequence"}
    assert len(shape(database)) == len(before)
    ((n_rows,),) = database.execute("SELECT count(*) FROM public.events")
    assert n_rows == N_ROWS + 1
    database.execute("INSERT INTO public.events (kind) VALUES ('newer')")
    ((distinct,),) = database.execute("SELECT count(DISTINCT num) FROM public.events")
    assert distinct == n_rows + 1
    assert apply(policy_of(database, tmp_path)).ok


def test_undo_refuses_where_a_later_partition_has_rows(database: Database, tmp_path: Path) -> None:
    database.execute(PLAIN)
    report = apply(policy_of(database, tmp_path))
    assert report.ok
    database.execute("INSERT INTO public.events VALUES (0, now() + interval '65 days')")
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        undo(database, report)
    assert database.execute(KIND) == [("p",)]


def test_months_have_the_options_of_the_table_also_after_a_run_that_was_killed_at_the_swap(
    database: Database, tmp_path: Path
) -> None:
    database.execute(PLAIN)
    database.execute("ALTER TABLE public.events SET (fillfactor = 80)")
    policy = policy_of(database, tmp_path)

    def die(line: str) -> None:
        if "create partition" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply(policy, progress=die)
    assert pipeline.apply(policy, only=["partitions"]).ok
    options = database.execute(
        "SELECT DISTINCT c.reloptions FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = 'public.events'::regclass"
    )
    assert options == [(["fillfactor=80"],)]
