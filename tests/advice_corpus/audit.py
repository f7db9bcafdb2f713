"""Audit: a log partitioned by month, logins, keys served by the leaves' own indexes alone."""

from tests.advice_corpus.models import Schema, small_tables

MONTHS = tuple(range(1, 7))


def _partitions(table: str) -> str:
    return "".join(
        f"CREATE TABLE {table}_2025_{month:02} PARTITION OF {table}"
        f" FOR VALUES FROM ('2025-{month:02}-01') TO ('2025-{month + 1:02}-01');\n"
        for month in MONTHS
    )


TABLES = (
    """
CREATE TABLE actors (id int PRIMARY KEY, name text NOT NULL, kind text NOT NULL);
INSERT INTO actors SELECT n, 'actor ' || n, 'user' FROM generate_series(1, 2000) n;

CREATE TABLE audit_log (id bigint NOT NULL, actor_id int NOT NULL, table_name text NOT NULL,
  row_id bigint NOT NULL, action text NOT NULL, diff jsonb, at timestamptz NOT NULL)
  PARTITION BY RANGE (at);
"""
    + _partitions("audit_log")
    + """
INSERT INTO audit_log SELECT n, 1 + n % 2000, 'table_' || n % 20, n % 7000,
  CASE WHEN n % 3000 = 0 THEN 'truncate' ELSE (ARRAY['insert', 'update', 'delete'])[1 + n % 3] END,
  '{}', timestamptz '2025-01-01 12:00+00' + n % 180 * interval '1 day'
  FROM generate_series(1, 90000) n;
ALTER TABLE audit_log ADD PRIMARY KEY (id, at),
  ADD CONSTRAINT audit_log_actor FOREIGN KEY (actor_id) REFERENCES actors;
CREATE INDEX audit_log_actor_at ON audit_log (actor_id, at);
CREATE INDEX audit_log_actor ON audit_log (actor_id);
CREATE INDEX audit_log_row ON audit_log (table_name, row_id, at DESC);
CREATE INDEX audit_log_action ON audit_log (action);
CREATE INDEX audit_log_at_brin ON audit_log USING brin (at);

CREATE TABLE exports (id bigint NOT NULL, actor_id int NOT NULL, approver_id int,
  at timestamptz NOT NULL)
  PARTITION BY RANGE (at);
"""
    + _partitions("exports")
    + """
INSERT INTO exports SELECT n, 1 + n % 2000, 1 + n % 1500, timestamptz '2025-01-01 12:00+00'
  + n % 180 * interval '1 day' FROM generate_series(1, 40000) n;
ALTER TABLE exports ADD CONSTRAINT exports_actor FOREIGN KEY (actor_id) REFERENCES actors,
  ADD CONSTRAINT exports_approver FOREIGN KEY (approver_id) REFERENCES actors;
"""
    + "".join(
        f"CREATE INDEX exports_2025_{month:02}_actor ON exports_2025_{month:02} (actor_id);\n"
        for month in MONTHS
    )
    + """
CREATE TABLE logins (id int NOT NULL, actor_id int NOT NULL, address inet NOT NULL,
  succeeded boolean NOT NULL, at timestamptz NOT NULL);
INSERT INTO logins SELECT n, 1 + n % 2000, inet '10.0.0.0' + n % 3000, n % 50 > 0,
  timestamptz '2025-01-01' + n * interval '2 min' FROM generate_series(1, 60000) n;
ALTER TABLE logins ADD PRIMARY KEY (id),
  ADD CONSTRAINT logins_actor FOREIGN KEY (actor_id) REFERENCES actors;
CREATE UNIQUE INDEX logins_identity ON logins (id, at);
ALTER TABLE logins ALTER at SET NOT NULL, REPLICA IDENTITY USING INDEX logins_identity;
CREATE INDEX logins_actor_at ON logins (actor_id, at);
ALTER TABLE logins CLUSTER ON logins_actor_at;
CREATE INDEX logins_address ON logins (address);
CREATE INDEX logins_address_inet ON logins USING gist (address inet_ops);
CREATE INDEX logins_failed ON logins (at) WHERE NOT succeeded;
CREATE INDEX logins_failed_actor ON logins (actor_id) WHERE NOT succeeded;
CREATE INDEX logins_at ON logins (at);
CREATE INDEX logins_at_ccnew ON logins (at);
UPDATE pg_catalog.pg_index SET indisvalid = false WHERE indexrelid = 'logins_at_ccnew'::regclass;

CREATE TABLE consents (id int PRIMARY KEY, actor_id int NOT NULL, policy text, given_at timestamptz,
  revoked_at timestamptz);
INSERT INTO consents SELECT n, 1 + n % 2000, 'p' || n % 8, now(),
  CASE WHEN n % 4 = 0 THEN now() END FROM generate_series(1, 16000) n;
DELETE FROM consents AS c USING consents AS d WHERE c.revoked_at IS NULL AND d.revoked_at IS NULL
  AND (c.actor_id, c.policy) = (d.actor_id, d.policy) AND c.id > d.id;
ALTER TABLE consents ADD CONSTRAINT consents_actor FOREIGN KEY (actor_id) REFERENCES actors;
CREATE UNIQUE INDEX consents_live ON consents (actor_id, policy) WHERE revoked_at IS NULL;
CREATE INDEX consents_actor ON consents (actor_id);
CREATE INDEX consents_actor_revoked ON consents (actor_id) WHERE revoked_at IS NOT NULL;
"""
    + small_tables("""
departments: name text unique
actor_departments*300: department_id>departments, n int
retention_rules: table_name text unique, keep text
legal_holds: name text, opened_at timestamptz+
legal_hold_items*200: legal_hold_id>legal_holds, item text
reports: name text unique
report_runs*200: report_id>reports, at timestamptz+
report_recipients*100: report_id>reports, email text
reviews: title text, due_on date+
review_findings*200: review_id>reviews, severity text
signatures: hash text unique
key_versions: name text unique, retired_at timestamptz
alerts*100: rule text+, at timestamptz
tombstones*0: table_name text, row_id bigint
archive_state*1: at timestamptz
""")
)

QUERIES = (
    "SELECT id FROM audit_log WHERE actor_id = 7 AND at > '2025-06-20' ORDER BY at",
    "SELECT count(*) FROM audit_log WHERE actor_id = 8",
    "SELECT id FROM audit_log WHERE table_name = 'table_7' AND row_id = 27 ORDER BY at DESC",
    "SELECT id FROM audit_log WHERE action = 'truncate'",
    "SELECT id FROM logins WHERE actor_id = 7 ORDER BY at DESC LIMIT 5",
    "SELECT id FROM logins WHERE address = inet '10.0.0.77'",
    "SELECT id FROM logins WHERE address << inet '10.0.3.0/28'",
    "SELECT id FROM logins WHERE NOT succeeded AND at > '2025-03-20'",
    "SELECT count(*) FROM logins WHERE NOT succeeded AND actor_id = 50",
    "SELECT id FROM logins WHERE at BETWEEN '2025-03-01' AND '2025-03-01 02:00'",
    "SELECT id FROM consents WHERE actor_id = 77",
    "SELECT id FROM consents WHERE actor_id = 77 AND policy = 'p4' AND revoked_at IS NULL",
    "SELECT id FROM consents WHERE actor_id = 7 AND revoked_at IS NOT NULL",
    "SELECT at FROM report_runs WHERE report_id = 7",
)

SCHEMA = Schema(
    "audit",
    TABLES,
    QUERIES,
    writes=(
        "INSERT INTO actors VALUES (3001, 'gone', 'user'), (3002, 'gone', 'user')",
        "DELETE FROM actors WHERE id > 3000",
    ),
    pairs=(frozenset({"audit_log_actor", "audit_log_actor_at"}),),
    unindexed=frozenset({"exports.exports_approver"}),
    kept=frozenset(
        {
            "audit_log_action",
            "logins_identity",
            "logins_actor_at",
            "logins_address",
            "logins_address_inet",
            "logins_failed",
            "logins_failed_actor",
            "logins_at",
            "consents_live",
            "consents_actor",
            *(f"exports_2025_{month:02}_actor" for month in MONTHS),
        }
    ),
    invalid=frozenset({"logins_at_ccnew"}),
)
