"""Whatever an owner writes into its tables, it never runs with more than that owner's rights.

Each piece of code here says in the server's log who it runs as, also where nothing may be written
or all is rolled back, and before that tries to take the session's own role.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from maintenance.engine.actions import RECURRING, ActionKind
from maintenance.engine.executor import Outcome
from maintenance.engine.findings import FindingKind
from maintenance.errors import PrivilegeError
from maintenance.pipeline import run as pipeline
from maintenance.pipeline.notify import notify
from maintenance.policy import Policy
from tests.builders import Database, Role, unique
from tests.policies import make_policy

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)

SETUP = r"""
CREATE SCHEMA app AUTHORIZATION {tenant};
GRANT USAGE ON SCHEMA app TO PUBLIC;
SET ROLE {tenant};
SET search_path = app;
CREATE FUNCTION spy(via text) RETURNS boolean LANGUAGE sql VOLATILE AS 'SELECT true';
CREATE FUNCTION imm(via text, x int DEFAULT 0) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN PERFORM app.spy(via); RETURN x; END$$;
CREATE FUNCTION fired() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM app.spy(tg_argv[0]); RETURN coalesce(new, old); END$$;
CREATE DOMAIN small AS int CHECK (app.spy('domain'));
CREATE TYPE pair AS (a int, b int);
CREATE FUNCTION pair_text(app.pair) RETURNS text LANGUAGE plpgsql AS $$
BEGIN PERFORM app.spy('cast'); RETURN 'pair'; END$$;
CREATE CAST (pair AS text) WITH FUNCTION pair_text(pair) AS IMPLICIT;
CREATE FUNCTION same(varchar, varchar) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN PERFORM app.spy('operator'); RETURN $1::text OPERATOR(pg_catalog.=) $2::text; END$$;
CREATE OPERATOR = (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = same);

-- rows to be drained, and partitions to be made
CREATE TABLE ev (
  at timestamptz NOT NULL, name varchar(20) NOT NULL, x int CHECK (app.spy('check')), d app.small,
  p app.pair, g int GENERATED ALWAYS AS (app.imm('generated', x)) STORED,
  v int DEFAULT app.imm('default'), CHECK (x > 0 OR app.imm('constant check') = 0),
  PRIMARY KEY (at, name)) PARTITION BY RANGE (at);
CREATE INDEX ON ev (x) WHERE app.imm('index predicate') = 0;
CREATE INDEX ON ev ((x + app.imm('index expression')));
CREATE STATISTICS ev_statistics ON (x + app.imm('statistics')), v FROM ev;
CREATE TRIGGER row_trigger BEFORE INSERT OR UPDATE OR DELETE ON ev
  FOR EACH ROW EXECUTE FUNCTION fired('row trigger');
CREATE TRIGGER statement_trigger AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON ev
  EXECUTE FUNCTION fired('statement trigger');
CREATE TABLE ev_default PARTITION OF ev DEFAULT;
INSERT INTO ev SELECT timestamptz '2026-11-02' - interval '2 months' * (n % 2), n, n, n,
  (1, n)::pair FROM generate_series(1, 50) n;

-- a default partition all of whose rows are of one month
CREATE TABLE sw (LIKE ev INCLUDING ALL) PARTITION BY RANGE (at);
CREATE TABLE sw_default PARTITION OF sw DEFAULT;
INSERT INTO sw SELECT timestamptz '2026-11-02', n, n, n FROM generate_series(1, 50) n;

-- months that have expired, one of which rows of another table point to
CREATE TABLE old (LIKE ev INCLUDING ALL) PARTITION BY RANGE (at);
CREATE TABLE old_2024_01 PARTITION OF old FOR VALUES FROM ('2024-01-01 Z') TO ('2024-02-01 Z');
CREATE TABLE old_2024_02 PARTITION OF old FOR VALUES FROM ('2024-02-01 Z') TO ('2024-03-01 Z');
CREATE TABLE old_2026_11 PARTITION OF old FOR VALUES FROM ('2026-11-01 Z') TO ('2026-12-01 Z');
INSERT INTO old SELECT timestamptz '2024-01-02', n, n, n FROM generate_series(1, 50) n;
INSERT INTO old VALUES ('2026-11-02', 'new', 1);
CREATE TABLE held (LIKE ev INCLUDING ALL) PARTITION BY RANGE (at);
CREATE TABLE held_2024_01 PARTITION OF held FOR VALUES FROM ('2024-01-01 Z') TO ('2024-02-01 Z');
INSERT INTO held SELECT timestamptz '2024-01-02', n, n, n FROM generate_series(1, 50) n;
CREATE TABLE refs (at timestamptz, name varchar(20), FOREIGN KEY (at, name) REFERENCES held);
CREATE INDEX ON refs (at) WHERE app.imm('index predicate') = 0;
INSERT INTO refs SELECT at, name FROM held LIMIT 1;

-- months that are partitioned themselves, by a key that calls a function
CREATE TABLE tree (at timestamptz NOT NULL, x int) PARTITION BY RANGE (at);
CREATE TABLE tree_2026_10 PARTITION OF tree FOR VALUES FROM ('2026-10-01 Z') TO ('2026-11-01 Z')
  PARTITION BY LIST ((x + app.imm('partition key')));
CREATE TABLE tree_2026_10_a PARTITION OF tree_2026_10 FOR VALUES IN (1);
CREATE TABLE tree_2026_10_b PARTITION OF tree_2026_10 DEFAULT;

-- rows behind policies
CREATE TABLE secured (at timestamptz NOT NULL, x int) PARTITION BY RANGE (at);
CREATE TABLE secured_default PARTITION OF secured DEFAULT;
INSERT INTO secured VALUES ('2026-11-02', 1);
ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
ALTER TABLE secured_default ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON secured USING (app.spy('policy'));
CREATE POLICY p ON secured_default USING (app.spy('policy'));

-- computed rows: a table with all that an UPDATE runs, a rule, and a view
CREATE TABLE computed (id uuid PRIMARY KEY, tag varchar(9), calculated_at timestamptz, d app.small,
  CHECK (app.spy('check')), g int GENERATED ALWAYS AS (app.imm('generated')) STORED);
CREATE INDEX ON computed (tag) WHERE app.imm('index predicate') = 0;
CREATE TRIGGER row_trigger BEFORE UPDATE ON computed FOR EACH ROW EXECUTE FUNCTION fired('row');
CREATE TRIGGER statement_trigger AFTER UPDATE ON computed EXECUTE FUNCTION fired('statement');
CREATE TABLE side (x int);
CREATE RULE noted AS ON UPDATE TO computed
  DO ALSO INSERT INTO side SELECT app.imm('rule');
INSERT INTO computed SELECT gen_random_uuid(), 't', timestamptz '2026-01-01', 1
  FROM generate_series(1, 40);
CREATE VIEW seen AS SELECT 1 AS id, timestamptz '2026-01-01' AS calculated_at
  WHERE app.spy('view');

-- views
CREATE TABLE names (id int PRIMARY KEY, name varchar(20));
INSERT INTO names VALUES (1, 'X');
CREATE MATERIALIZED VIEW mv AS
  SELECT id, name FROM app.names WHERE app.spy('materialized view') WITH NO DATA;
CREATE UNIQUE INDEX ON mv (id);
CREATE INDEX ON mv (id) WHERE app.imm('index predicate') = 0;
CREATE OR REPLACE FUNCTION spy(via text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE how text;
BEGIN
  RAISE LOG 'spied % as %', via, current_user;
  FOREACH how IN ARRAY ARRAY['RESET ROLE', 'SET ROLE NONE', 'RESET SESSION AUTHORIZATION',
                             'SELECT set_config(''role'', session_user, false)',
                             'SET search_path = app', 'SET lock_timeout = 0'] LOOP
    BEGIN EXECUTE how; EXCEPTION WHEN OTHERS THEN NULL; END;
  END LOOP;
  RAISE LOG 'spied % as %', via, current_user;
  RETURN true;
END$$;
RESET ROLE;
"""

RECALCULATION = "UPDATE computed SET calculated_at = now(), d = 2 WHERE id = ANY (%(keys)s)"


@dataclass
class Spies:
    """What the server's log says since a moment."""

    log: Path
    begin: int

    @property
    def seen(self) -> set[tuple[str, str]]:
        """Pairs of what ran and as whom."""
        with self.log.open("rb") as file:
            file.seek(self.begin)
            text = file.read().decode(errors="replace")
        return set(re.findall(r"LOG:  spied (.+) as (\S+)$", text, re.MULTILINE))


@dataclass
class Stage:
    """A tenant's database, the role that maintains it, and what its spies saw."""

    database: Database
    tenant: Role
    maintainer: Role
    spies: Spies

    @property
    def roles(self) -> set[str]:
        return {role for _, role in self.spies.seen}

    @property
    def ways(self) -> set[str]:
        return {way for way, _ in self.spies.seen}

    def policy(self, folder: Path, *partitions: dict[str, Any], **sections: Any) -> Policy:
        database = {
            "name": "app",
            "url": self.database.url_of(self.maintainer),
            "search_path": "app, public",
        }
        return make_policy(folder, "", *partitions, database=database, **sections)


@pytest.fixture
def stage(database: Database, owner_role: Role, limited_role: Role) -> Stage:
    """Everything that an owner can write, as `docs/privileges.md` has the maintaining role."""
    tenant, role = owner_role, limited_role
    database.execute(SETUP.replace("{tenant}", tenant.name))
    database.execute(
        f"GRANT CREATE ON DATABASE {database.name} TO {role.name};"
        f" GRANT {tenant.name}, pg_read_all_data, pg_monitor TO {role.name}"
    )
    log = database.server.log
    return Stage(database, tenant, role, Spies(log, log.stat().st_size))


def section(name: str, **others: Any) -> dict[str, Any]:
    return {"table": f"app.{name}", "column": "at", "interval": "1 month", "premake": 1} | others


def everything(stage: Stage, folder: Path) -> Policy:
    keep = {"retention": {"keep": "3 months", "action": "drop"}, "start": "2026-10"}
    (folder / "recalculate.sql").write_text(RECALCULATION)
    (folder / "mv.sql").write_text(
        "SELECT id, name FROM app.names WHERE app.spy('materialized view')"
    )
    return stage.policy(
        folder,
        section("ev"),
        section("sw"),
        section("old", **keep),
        section("held", **keep),
        section("tree"),
        section("secured"),
        stale_analytics=[
            {
                "table": "app.computed",
                "calculated_at": "calculated_at",
                "key": ["id"],
                "recalculate": str(folder / "recalculate.sql"),
            },
            {"table": "app.seen", "calculated_at": "calculated_at", "key": ["id"]},
        ],
        matviews=[{"name": "app.mv", "unique_index": ["id"]}],
        statistics={},
        indexes={},
        bloat={"min_size": "8 kB"},
        workload={},
    )


@pytest.mark.pg("!= 16")
def test_no_command_runs_owners_code_with_more_than_the_owners_rights(
    stage: Stage, tmp_path: Path
) -> None:
    policy = everything(stage, tmp_path)

    pipeline.check(policy)
    planned = pipeline.plan(policy, now=NOW).plan.actions
    assert stage.roles <= {stage.tenant.name}, stage.spies.seen
    as_owner = {action.kind for action in planned if action.owner == stage.tenant.name}
    assert as_owner >= {
        ActionKind.CREATE_PARTITION,
        ActionKind.DRAIN_DEFAULT,
        ActionKind.SWAP_DEFAULT,
        ActionKind.RECALCULATE_ROWS,
    }
    reports = [pipeline.apply(policy, now=NOW) for _ in range(2)]
    for report in reports:
        failed = [
            r
            for r in report.results
            if r.outcome is not Outcome.DONE and r.action.kind not in RECURRING
        ]
        assert not failed, [(r.action.kind, r.action.object, r.error) for r in failed]
    pipeline.status(policy)
    notify(policy, now=NOW)

    assert stage.roles == {stage.tenant.name}, stage.spies.seen
    assert stage.ways >= {
        "check",
        "constant check",
        "generated",
        "domain",
        "index predicate",
        "index expression",
        "statistics",
        "partition key",
        "row",
        "statement",
        "rule",
        "view",
        "materialized view",
    }
    rows = stage.database.execute(
        "SELECT (SELECT count(*) FROM app.ev), (SELECT count(*) FROM app.ev_2026_11),"
        " (SELECT count(*) FROM app.sw_2026_11), (SELECT count(*) FROM app.held),"
        " to_regclass('app.old_2024_01') IS NULL,"
        " (SELECT count(*) FROM app.computed WHERE d = 2)"
    )
    assert rows == [(50, 25, 50, 50, True, 40)]
    assert "analytics_stale" in {f.kind for f in reports[-1].findings if f.object == "app.seen"}


@pytest.mark.pg("== 16")
@pytest.mark.parametrize("event", ["ddl_command_start", "ddl_command_end", "sql_drop"])
def test_event_trigger_with_a_function_of_the_owners_keeps_us_from_changing_anything(
    stage: Stage, tmp_path: Path, event: str
) -> None:
    policy = stage.policy(tmp_path, section("ev"))
    stage.database.execute(
        "CREATE FUNCTION app.changed() RETURNS event_trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM app.spy(''event trigger''); END';"
        f"ALTER FUNCTION app.changed() OWNER TO {stage.tenant.name};"
        f'CREATE EVENT TRIGGER "On change" ON {event} EXECUTE FUNCTION app.changed()'
    )
    found = pipeline.check(policy).findings
    assert ('app/"On change"', FindingKind.PRIVILEGE_MISSING) in {
        (finding.object, finding.kind) for finding in found
    }
    for change in (pipeline.apply, notify):
        with pytest.raises(PrivilegeError):
            change(policy, now=NOW)
    assert stage.roles <= {stage.tenant.name}

    stage.database.execute("ALTER FUNCTION app.changed() OWNER TO postgres")
    assert not [f for f in pipeline.check(policy).findings if "On change" in f.object]


DEFERRED = """
SET ROLE {tenant};
CREATE CONSTRAINT TRIGGER later AFTER UPDATE ON app.computed DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION app.fired('deferred');
"""


@pytest.mark.pg(">= 15")
def test_deferred_triggers_run_as_their_owner_or_not_at_all(stage: Stage, tmp_path: Path) -> None:
    stage.database.execute(DEFERRED.replace("{tenant}", stage.tenant.name))
    report = pipeline.apply(everything(stage, tmp_path), only=["stale_analytics"])
    (result,) = report.results
    if stage.database.server.major < 18:
        assert result.outcome is Outcome.FAILED
    else:
        assert result.outcome is Outcome.DONE
        assert "deferred" in stage.ways
    assert stage.roles == {stage.tenant.name}


@pytest.mark.pg("== 18")
def test_code_of_two_owners_is_run_by_neither(stage: Stage, tmp_path: Path) -> None:
    other = unique("other")
    stage.database.execute(
        "CREATE TABLE app.theirs (id int, at timestamptz);"
        " CREATE FUNCTION public.theirs() RETURNS int LANGUAGE plpgsql IMMUTABLE AS"
        " 'BEGIN PERFORM app.spy(''theirs''); RETURN 0; END';"
        f" CREATE ROLE {other}; GRANT {other} TO {stage.maintainer.name};"
        f" ALTER TABLE app.theirs OWNER TO {other};"
        f" ALTER FUNCTION public.theirs() OWNER TO {other};"
        " CREATE INDEX ON app.theirs (id) WHERE public.theirs() = 0"
    )
    seen = {
        "table": "app.seen",
        "calculated_at": "calculated_at",
        "key": ["id"],
        "activity": {"table": "app.theirs", "key": ["id"], "at": "at"},
    }
    stage.spies.begin = stage.database.server.log.stat().st_size
    found = pipeline.check(stage.policy(tmp_path, stale_analytics=[seen])).findings
    assert [f.kind for f in found if f.object == "app.seen"] == [FindingKind.MONITOR_BLIND]
    assert not stage.spies.seen


@pytest.mark.pg("== 16")
@pytest.mark.parametrize(
    ("revoke", "grant"),
    [
        ("REVOKE TEMPORARY ON DATABASE {database} FROM PUBLIC", "GRANT TEMPORARY ON DATABASE"),
        ("GRANT {tenant} TO {role} WITH SET FALSE", "GRANT {tenant} TO {role}"),
        ("REVOKE CREATE ON SCHEMA app FROM {tenant}", "GRANT USAGE, CREATE ON SCHEMA app TO"),
    ],
)
def test_right_that_is_missing_is_named(
    stage: Stage, tmp_path: Path, revoke: str, grant: str
) -> None:
    names = {
        "database": stage.database.name,
        "tenant": stage.tenant.name,
        "role": stage.maintainer.name,
    }
    stage.database.execute(revoke.format_map(names))
    findings = pipeline.check(stage.policy(tmp_path, section("tree"))).findings
    (finding,) = [f for f in findings if f.object == "app.tree"]
    assert finding.kind is FindingKind.PRIVILEGE_MISSING
    assert grant.format_map(names) in finding.message
