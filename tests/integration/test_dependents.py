"""What holds an expired table: exactly that for which PostgreSQL refuses DROP TABLE … RESTRICT."""

import random
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.errors import DependentObjectsStillExist

from maintenance.engine.findings import FindingKind, Severity
from maintenance.pipeline import run as pipeline
from maintenance.server.session import fetch
from tests.builders import Database
from tests.integration.test_retention import child, filled, policy_of, relations
from tests.sessions import session

__all__ = ["filled"]  # a fixture

OWN = {
    "generated": "ALTER TABLE {t} ADD twice int GENERATED ALWAYS AS (a * 2) STORED",
    "default": "ALTER TABLE {t} ALTER a SET DEFAULT {n}",
    "serial": "ALTER TABLE {t} ADD number serial",
    "trigger": "CREATE TRIGGER touched BEFORE UPDATE OF a ON {t}"
    " FOR EACH ROW WHEN (new.a > old.a) EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "policy": "CREATE POLICY few ON {t} USING (a > 0 AND a IN (SELECT a FROM other))",
    "statistics": "CREATE STATISTICS stat_{n} ON a, b FROM {t}",
    "published": "CREATE PUBLICATION pub_{n} FOR TABLE {t} (id, a) WHERE (id > 5)",
    "rule": "CREATE RULE quiet AS ON DELETE TO {t} WHERE (old.a > 1) DO INSTEAD NOTHING",
    "index": "CREATE UNIQUE INDEX ON {t} (id, (a + b)) WHERE a > 0",
    "key": "ALTER TABLE {t} ADD FOREIGN KEY (a) REFERENCES other (a)",
    "itself": "ALTER TABLE {t} ADD UNIQUE (id), ADD FOREIGN KEY (b) REFERENCES {t} (id)",
    "check": "ALTER TABLE {t} ADD CHECK (a < b)",
    "comment": "COMMENT ON COLUMN {t}.a IS 'words'",
}
OTHERS = {
    "view": "CREATE VIEW v_{n} AS SELECT a FROM {t}",
    "wide view": "CREATE VIEW w_{n} AS SELECT {t} AS row FROM {t}",
    "matview": "CREATE MATERIALIZED VIEW m_{n} AS SELECT count(*) FROM {t}",
    "grouped": "CREATE VIEW g_{n} AS SELECT count(*) FROM other WHERE a IN (SELECT b FROM {t})",
    "function": "CREATE FUNCTION f_{n}(r {t}) RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "returning": "CREATE FUNCTION r_{n}() RETURNS SETOF {t} LANGUAGE sql AS 'SELECT * FROM {t}'",
    "atomic": "CREATE FUNCTION b_{n}() RETURNS int BEGIN ATOMIC; SELECT count(*) FROM {t}; END",
    "column": "CREATE TABLE c_{n} (r {t})",
    "array": "CREATE TABLE y_{n} (r {t}[])",
    "pointing": "ALTER TABLE {t} ADD UNIQUE (b); CREATE TABLE k_{n} (b int REFERENCES {t} (b))",
    "heir": "CREATE TABLE h_{n} () INHERITS ({t})",
    "sequence": "ALTER TABLE {t} ADD n2 serial;"
    " CREATE TABLE s_{n} (x int DEFAULT nextval('{t}_n2_seq'))",
    "policy elsewhere": "CREATE POLICY of_{n} ON other USING (a IN (SELECT a FROM {t}))",
    "rule elsewhere": "CREATE RULE of_{n} AS ON UPDATE TO other DO ALSO DELETE FROM {t}",
    "member": "ALTER EXTENSION plpgsql ADD TABLE {t}",
    "domain": "CREATE DOMAIN d_{n} AS {t}",
    "cast": "CREATE FUNCTION x_{n}(r {t}) RETURNS text LANGUAGE sql AS 'SELECT 1::text';"
    " CREATE CAST ({t} AS text) WITH FUNCTION x_{n}({t})",
}
SHAPES = {
    "plain": "CREATE TABLE {t} (id int, a int, b int)",
    "tree": "CREATE TABLE {t} (id int, a int, b int) PARTITION BY RANGE (id);"
    "CREATE TABLE {t}_1 PARTITION OF {t} FOR VALUES FROM (0) TO (9) PARTITION BY RANGE (id);"
    "CREATE TABLE {t}_2 PARTITION OF {t}_1 FOR VALUES FROM (0) TO (9)",
    "attached": "CREATE TABLE p{n} (id int PRIMARY KEY, a int, b int) PARTITION BY RANGE (id);"
    "CREATE TABLE {t} PARTITION OF p{n} FOR VALUES FROM (0) TO (9);"
    "CREATE TABLE q{n} (id int REFERENCES p{n}, above int REFERENCES p{n})",
}


def is_refused(connection: psycopg.Connection[Any], table: str, n: int, shape: str) -> bool:
    """Whether the server itself refuses to drop the table."""
    with connection.transaction(force_rollback=True):
        if shape == "attached":
            connection.execute(f"ALTER TABLE p{n} DETACH PARTITION {table}".encode())
        try:
            with connection.transaction():
                connection.execute(f"DROP TABLE {table} RESTRICT".encode())
        except DependentObjectsStillExist:
            return True
    return False


def made(
    connection: psycopg.Connection[Any], table: str, n: int, parts: list[str], shape: str
) -> bool:
    """Make a table with dependents; whether the server takes them."""
    try:
        with connection.transaction():
            for statement in (SHAPES[shape], *parts):
                connection.execute(statement.format(t=table, n=n).encode())
    except psycopg.Error:
        return False
    return True


def test_a_table_is_held_by_what_the_server_would_refuse_for_and_by_nothing_else(
    database: Database,
) -> None:
    chance = random.Random(database.server.port)
    everything = {**OWN, **OTHERS}
    combined = [
        [*chance.sample(sorted(OWN), 3), *chance.sample(sorted(OTHERS), chance.choice((0, 0, 1)))]
        for _ in range(12)
    ]
    chosen = [[], *([name] for name in everything), *combined]
    tables: dict[str, tuple[int, str, list[str]]] = {}
    with session(database.url) as connection:
        connection.execute("SET search_path = public")
        connection.execute("CREATE TABLE other (a int PRIMARY KEY)")
        for names in chosen:
            for shape in SHAPES:
                n = len(tables)
                # what stands below a tree, or on it, holds all of it
                below = "t{n}_2" if shape == "tree" and chance.random() < 0.5 else "t{n}"
                parts = [everything[name].replace("{t}", below) for name in names]
                if made(connection, f"t{n}", n, parts, shape):
                    tables[f"t{n}"] = (n, shape, names)
        assert {name for _, _, names in tables.values() for name in names} == everything.keys()
        oids = {
            oid: name
            for name, oid in connection.execute(
                "SELECT relname, oid FROM pg_class WHERE relname = ANY (%s)", [list(tables)]
            ).fetchall()
        }
        connection.execute("SET search_path = ''")
        rows = fetch(connection, "retention", "list_dependents", {"tables": list(oids)})
        connection.execute("SET search_path = public")
        held = {oids[row.oid] for row in rows}
        refused = {
            name for name, (n, shape, _) in tables.items() if is_refused(connection, name, n, shape)
        }
    assert {name: tables[name] for name in held ^ refused} == {}
    assert 0 < len(held) < len(tables)


@pytest.mark.pg("== 15")
def test_months_go_with_their_own_parts_and_only_one_with_a_view_stays(
    filled: Database, tmp_path: Path
) -> None:
    filled.execute("ALTER TABLE public.events ADD twice bigint GENERATED ALWAYS AS (id * 2) STORED")
    first, second, third = (f"public.{child(-n)}" for n in (5, 4, 3))
    for statement in (
        f"CREATE TRIGGER touched BEFORE UPDATE OF note ON {first} FOR EACH ROW"
        " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        f"CREATE POLICY few ON {second} USING (id > 0)",
        f"CREATE PUBLICATION months FOR TABLE {second} (id, at) WHERE (id > 5)",
        f'CREATE VIEW public."a ""report""" AS SELECT twice FROM {third}',
    ):
        filled.execute(statement)
    policy = policy_of(filled, tmp_path)
    report = pipeline.apply(policy, only=["retention"])
    assert report.ok
    assert child(-5) not in relations(filled)
    assert child(-4) not in relations(filled)
    assert child(-3) in relations(filled)
    due = next(f for f in report.findings if f.kind is FindingKind.RETENTION_DUE)
    assert (due.object, due.value, due.severity) == ("public.events", 1, Severity.WARN)
    (kept,) = due.data["kept"]
    assert (kept["partition"], kept["reason"]) == (third, "dependents")
    (view,) = kept["by"]
    assert 'public."a ""report"""' in view
    assert filled.execute(f"SELECT twice FROM {third}") == [(6,)]
