"""Restoring what a tenant owns: the tenant's code runs as the tenant, an archive's text never."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from maintenance.archives.manifest import seal_of
from maintenance.errors import ArchiveError, DamagedArchiveError
from maintenance.names import QualifiedName
from maintenance.pipeline.restore import restore_period
from maintenance.pipeline.run import apply
from maintenance.policy import Policy
from tests.builders import Database, Role
from tests.policies import make_policy

pytestmark = pytest.mark.in_turn

OLD = QualifiedName("app", "old")
NOW = datetime(2026, 11, 20, tzinfo=UTC)

SETUP = """
CREATE SCHEMA app AUTHORIZATION {tenant};
GRANT USAGE, CREATE ON SCHEMA app TO {maintainer};
GRANT USAGE ON SCHEMA app TO PUBLIC;
GRANT {tenant}, pg_read_all_data TO {maintainer};
GRANT CREATE ON DATABASE {database} TO {maintainer};
SET ROLE {tenant};
CREATE TABLE app.loot (via text, as_role text DEFAULT current_user);
GRANT ALL ON app.loot TO PUBLIC;
CREATE FUNCTION app.spy(via text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  BEGIN PERFORM set_config('role', session_user, false); EXCEPTION WHEN OTHERS THEN NULL; END;
  INSERT INTO app.loot VALUES (via);
  RETURN true;
EXCEPTION WHEN read_only_sql_transaction THEN RETURN true;
END$$;
CREATE FUNCTION app.spy_int(x int, via text) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN PERFORM app.spy(via); RETURN x; END$$;
CREATE FUNCTION app.bump() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM app.spy('trigger'); RETURN NEW; END$$;
CREATE FUNCTION app.constant(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN RETURN x; END$$;
CREATE DOMAIN app.checked AS int CHECK (app.spy('domain'));
CREATE TYPE app.mood AS ENUM ('sad', 'glad');
CREATE TYPE app.pair AS (n app.checked, note text);
CREATE TABLE app.old (at timestamptz NOT NULL, id int NOT NULL,
  x int CHECK (app.spy('check')), d int DEFAULT app.spy_int(1, 'default'),
  g int GENERATED ALWAYS AS (app.spy_int(x, 'generated')) STORED,
  c app.checked, m app.mood, p app.pair, a app.checked[], v varchar(5), n numeric(10, 2),
  k int GENERATED ALWAYS AS (app.constant(1)) STORED
) PARTITION BY RANGE (at);
CREATE INDEX ON app.old (app.spy_int(x, 'index'));
CREATE INDEX ON app.old (id) WHERE app.spy_int(1, 'constant predicate') = 1;
CREATE TABLE app.old_2024_01 PARTITION OF app.old
  FOR VALUES FROM ('2024-01-01+00') TO ('2024-02-01+00');
INSERT INTO app.old (at, id, x, d, c, m, p, a, v, n)
SELECT '2024-01-02+00', g, g, NULL, g, 'glad', format('(%s,x y)', g)::app.pair, ARRAY[g, NULL],
  'x', g / 3.0
FROM generate_series(1, 20) g;

CREATE TABLE app.old_2026_11 PARTITION OF app.old
  FOR VALUES FROM ('2026-11-01+00') TO ('2026-12-01+00');
INSERT INTO app.old (at, id) VALUES ('2026-11-02+00', 99);
RESET ROLE;
TRUNCATE app.loot;
-- the server calls it when the table is made, above as the superuser
CREATE OR REPLACE FUNCTION app.constant(x int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN PERFORM app.spy('constant generated'); RETURN x; END$$;
"""


@pytest.fixture
def policy(database: Database, owner_role: Role, limited_role: Role, tmp_path: Path) -> Policy:
    """A tenant's table whose only month is archived and dropped, maintained by another role."""
    script = SETUP
    for name, value in {
        "tenant": owner_role.name,
        "maintainer": limited_role.name,
        "database": database.name,
    }.items():
        script = script.replace(f"{{{name}}}", value)
    with database.connect() as connection:
        connection.execute(script.encode())
    section = {
        "table": "app.old",
        "column": "at",
        "start": "2026-11",
        "premake": 1,
        "retention": {
            "keep": "3 months",
            "action": "archive_then_drop",
            "archive": {"url": str(tmp_path / "archive")},
        },
    }
    url = database.url_of(limited_role)
    whole = {"name": "app", "url": url, "search_path": "app, public"}
    policy = make_policy(tmp_path, url, section, database=whole)
    apply(policy, now=NOW)
    assert database.execute("SELECT id FROM app.old") == [(99,)]
    database.execute("TRUNCATE app.loot")
    return policy


def restore(policy: Policy, into: QualifiedName | None) -> None:
    restore_period(policy, OLD, "2024-01", into=into, now=NOW)


@pytest.mark.parametrize("into", [None, QualifiedName("app", "copy")])
def test_code_of_a_table_that_is_restored_runs_as_its_owner(
    database: Database, policy: Policy, owner_role: Role, into: QualifiedName | None
) -> None:
    restore(policy, into)

    spied = dict(
        database.execute("SELECT via, string_agg(DISTINCT as_role, ',') FROM app.loot GROUP BY 1")
    )
    assert set(spied.values()) == {owner_role.name}
    assert {"check", "generated", "constant generated", "domain", "index"} <= spied.keys()
    found = database.execute(
        "SELECT count(*), sum(g), sum(c), sum((p).n), min(a::text), min(n), min(m), count(d)"
        f" FROM {into or OLD} WHERE id < 99"
    )
    assert [tuple(map(str, row)) for row in found] == [
        ("20", "210", "210", "210", "{1,NULL}", "0.33", "glad", "0")
    ]
    ((owner,),) = database.execute(
        "SELECT relowner::regrole::text FROM pg_class"
        f" WHERE oid = '{into or 'app.old_2024_01'}'::regclass"
    )
    assert owner == owner_role.name
    assert database.execute("SELECT relname FROM pg_class WHERE relname LIKE 'maintenance%'") == []


def forge(policy: Policy, change: Callable[[dict[str, Any]], None], *, seal: bool = True) -> None:
    """Alter the archive's manifest, with a seal that fits or with none."""
    (path,) = Path(str(policy.path)).parent.rglob("manifest.json")
    facts = json.loads(path.read_bytes())
    del facts["seal"]
    change(facts)
    path.write_text(json.dumps(facts | ({"seal": seal_of(facts, None)} if seal else {})))


PWNED = "text); CREATE TABLE app.pwned AS SELECT current_user; --"


def set_type(facts: dict[str, Any]) -> None:
    facts["columns"][1]["type"] = PWNED


def set_collation(facts: dict[str, Any]) -> None:
    facts["columns"][9]["collation"] = PWNED


def set_generated(facts: dict[str, Any]) -> None:
    facts["columns"][4]["generated"] = "1) STORED); CREATE TABLE app.pwned (a int); --"


def set_constraint(facts: dict[str, Any]) -> None:
    facts["constraints"] = [
        {"name": "c", "kind": "c", "definition": "CHECK (true); CREATE TABLE app.pwned (a int)"}
    ]


def set_index(facts: dict[str, Any]) -> None:
    index = {"name": "i", "definition": "CREATE TABLE app.pwned (a int) i ON app.old_2024_01 (id)"}
    facts["indexes"] = [index]


def set_partition(facts: dict[str, Any]) -> None:
    facts["partition"] = "pg_temp.old_2024_01"


def set_encoding(facts: dict[str, Any]) -> None:
    facts["data"]["encoding"] = "UTF8'); CREATE TABLE app.pwned (a int); --"


@pytest.mark.pg("== 18")
@pytest.mark.parametrize(
    "change",
    [
        set_type,
        set_collation,
        set_generated,
        set_constraint,
        set_index,
        set_encoding,
        set_partition,
    ],
)
@pytest.mark.parametrize("seal", [True, False])
def test_text_of_a_manifest_is_never_run(
    database: Database,
    policy: Policy,
    change: Callable[[dict[str, Any]], None],
    seal: bool,
) -> None:
    database.execute("DELETE FROM maintenance.journal")  # which else knows the true seal
    forge(policy, change, seal=seal)
    into = None if change is set_partition else QualifiedName("app", "copy")
    with pytest.raises(ArchiveError):
        restore(policy, into)
    found = database.execute("SELECT to_regclass('app.pwned'), to_regclass('app.copy')")
    assert found == [(None, None)]


@pytest.mark.pg("== 18")
@pytest.mark.parametrize("into", [None, QualifiedName("app", "copy")])
def test_the_journal_is_believed_more_than_the_archive(
    policy: Policy, into: QualifiedName | None
) -> None:
    forge(policy, lambda facts: facts.update(server_version="99"))
    with pytest.raises(DamagedArchiveError) as caught:
        restore(policy, into)
    assert caught.value.reason == "not_in_journal"


@pytest.mark.pg("== 18")
def test_code_of_others_is_refused_where_it_would_run_as_us(
    database: Database, policy: Policy
) -> None:
    database.execute("DROP TABLE app.old")
    with pytest.raises(ArchiveError, match=r"app\.spy"):
        restore(policy, QualifiedName("public", "copy"))
    assert database.execute("SELECT * FROM app.loot") == []
    assert database.execute("SELECT to_regclass('public.copy')") == [(None,)]


OWN = """
CREATE SCHEMA own AUTHORIZATION {maintainer};
GRANT USAGE ON SCHEMA own TO PUBLIC;
SET ROLE {maintainer};
CREATE FUNCTION own.same(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE OPERATOR own.+ (RIGHTARG = int, FUNCTION = own.same);
CREATE TABLE own.old (at timestamptz NOT NULL, id int CHECK (own.same(id) > 0),
  g int GENERATED ALWAYS AS (OPERATOR(own.+) id) STORED) PARTITION BY RANGE (at);
CREATE INDEX ON own.old (own.same(id));
CREATE TABLE own.old_2024_01 PARTITION OF own.old
  FOR VALUES FROM ('2024-01-01+00') TO ('2024-02-01+00');
CREATE TABLE own.old_2026_11 PARTITION OF own.old
  FOR VALUES FROM ('2026-11-01+00') TO ('2026-12-01+00');
INSERT INTO own.old VALUES ('2024-01-02+00', 1), ('2026-11-02+00', 99);
"""


@pytest.mark.pg("== 18")
@pytest.mark.parametrize("writer", ["ours", "another's"])
def test_tables_of_ours_are_restored_with_code_of_ours_and_of_nobody_else(
    database: Database, owner_role: Role, limited_role: Role, tmp_path: Path, writer: str
) -> None:
    with database.connect() as connection:
        connection.execute(OWN.replace("{maintainer}", limited_role.name).encode())
    database.execute(f"GRANT CREATE ON DATABASE {database.name} TO {limited_role.name}")
    archive = {"url": str(tmp_path / "archive")}
    retention = {"keep": "3 months", "action": "archive_then_drop", "archive": archive}
    section = {"table": "own.old", "column": "at", "premake": 1, "retention": retention}
    policy = make_policy(tmp_path, database.url_of(limited_role), section)
    apply(policy, now=NOW)
    assert database.execute("SELECT id FROM own.old") == [(99,)]
    table, copy = QualifiedName("own", "old"), QualifiedName("own", "copy")
    if writer == "ours":
        restore_period(policy, table, "2024-01", into=copy, now=NOW)
        assert database.execute("SELECT id, g FROM own.copy") == [(1, 1)]
    else:
        database.execute(f"ALTER FUNCTION own.same(int) OWNER TO {owner_role.name}")
        with pytest.raises(ArchiveError, match=r"own\.same"):
            restore_period(policy, table, "2024-01", into=copy, now=NOW)
        assert database.execute("SELECT to_regclass('own.copy')") == [(None,)]
