"""A comment that a tenant writes moves no rows between tables."""

import json
from datetime import UTC, datetime
from pathlib import Path

from maintenance.engine.findings import FindingKind, Severity
from maintenance.names import QualifiedName
from maintenance.pipeline.restore import restore_period
from maintenance.pipeline.run import apply
from tests.builders import Database, Role
from tests.policies import make_policy

NOW = datetime(2026, 11, 20, tzinfo=UTC)
BOUND = "FOR VALUES FROM ('2026-01-01 00:00:00+00') TO ('2026-02-01 00:00:00+00')"


def test_a_forged_comment_is_told_and_the_true_month_is_archived(
    database: Database, tmp_path: Path, owner_role: Role, limited_role: Role
) -> None:
    victim, tenant = "victim_of_forgery", owner_role.name
    mark = {
        "detached_from": "victim.ev",
        "bound": BOUND,
        "period": "2026-01",
        "at": "2026-02-01T00:00:00+00:00",
    }
    script = f"""
    DO $$BEGIN CREATE ROLE {victim}; EXCEPTION WHEN duplicate_object THEN NULL; END$$;
    GRANT {victim}, {tenant}, pg_read_all_data TO {limited_role.name};
    GRANT CREATE ON DATABASE {database.name} TO {limited_role.name};
    CREATE SCHEMA victim AUTHORIZATION {victim};
    GRANT USAGE, CREATE ON SCHEMA victim TO {limited_role.name}, {tenant};
    SET ROLE {victim};
    CREATE TABLE victim.ev (id int, at timestamptz NOT NULL) PARTITION BY RANGE (at);
    CREATE TABLE victim.ev_2026_01 PARTITION OF victim.ev {BOUND};
    INSERT INTO victim.ev VALUES (1, '2026-01-05+00');
    CREATE TABLE victim.ev_2026_10 PARTITION OF victim.ev
      FOR VALUES FROM ('2026-10-01 00:00:00+00') TO ('2026-11-01 00:00:00+00');
    RESET ROLE; SET ROLE {tenant};
    CREATE TABLE victim.forged (id int, at timestamptz NOT NULL);
    INSERT INTO victim.forged VALUES (666, '2026-01-06+00');
    COMMENT ON TABLE victim.forged IS 'maintenance: {json.dumps(mark).replace("'", "''")}';
    RESET ROLE;
    """
    with database.connect() as connection:
        connection.execute(script.encode())
    retention = {
        "keep": "3 months",
        "action": "archive_then_drop",
        "archive": {"url": str(tmp_path / "archive")},
    }
    section = {
        "table": "victim.ev",
        "column": "at",
        "start": "2026-11",
        "premake": 1,
        "retention": retention,
    }
    policy = make_policy(tmp_path, database.url_of(limited_role), section)

    report = apply(policy, now=NOW)

    assert report.ok
    assert database.execute("SELECT id FROM victim.forged") == [(666,)]
    assert database.execute("SELECT id FROM victim.ev") == []
    held = [f for f in report.findings if f.kind is FindingKind.RETENTION_HELD]
    assert [(f.object, f.severity) for f in held] == [("victim.forged", Severity.WARN)]
    restore_period(policy, QualifiedName("victim", "ev"), "2026-01", now=NOW)
    assert database.execute("SELECT id FROM victim.ev") == [(1,)]
