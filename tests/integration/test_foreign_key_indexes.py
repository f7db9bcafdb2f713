"""Foreign keys without an index, on real catalogs, and the indexes that are proposed for them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.scope import Request
from maintenance.names import parse_name
from maintenance.pipeline import run as pipeline
from maintenance.subjects.indexes import INDEXES
from tests.builders import Database, Role
from tests.policies import EVENTS, make_policy
from tests.sessions import until

Keys = Mapping[str, Mapping[str, Any]]


def found(
    database: Database,
    folder: Path,
    role: Role | None = None,
    request: Request | None = None,
    **section: Any,
) -> Finding | None:
    url = database.url if role is None else database.url_of(role)
    policy = make_policy(folder, url, EVENTS, indexes=section)
    report = pipeline.plan(policy, only=[INDEXES.name, "partitions"], request=request or Request())
    findings = [f for f in report.findings if f.kind is FindingKind.FK_UNINDEXED]
    assert len(findings) <= 1, "one for the database"
    return findings[0] if findings else None


def keys(finding: Finding | None) -> Keys:
    """The foreign keys of the finding, by their names and in its order."""
    return {key["constraint"]: key for key in finding.data["foreign_keys"]} if finding else {}


def run_all(database: Database, script: str) -> None:
    """Run statements, and hand their counters over: the end of a session may take a while."""
    with psycopg.connect(database.url, autocommit=True) as connection:
        for statement in filter(str.strip, script.split(";")):
            connection.execute(statement.encode())
        connection.execute("SELECT pg_stat_force_next_flush()")


def create_all(database: Database, finding: Finding | None) -> None:
    run_all(database, ";".join(each for key in keys(finding).values() for each in key["create"]))


SHAPES = """
CREATE TABLE one (id int PRIMARY KEY, b int, UNIQUE (id, b));
CREATE TABLE many (a int CONSTRAINT a REFERENCES one, b int CONSTRAINT b REFERENCES one,
  c int CONSTRAINT c REFERENCES one, d int CONSTRAINT d REFERENCES one,
  e int, f int, CONSTRAINT ef FOREIGN KEY (e, f) REFERENCES one (id, b),
  g int CONSTRAINT g REFERENCES one, h int CONSTRAINT h REFERENCES one,
  i int, j int, CONSTRAINT ij FOREIGN KEY (i, j) REFERENCES one (id, b));
CREATE INDEX ON many (a, b);
CREATE INDEX ON many (c) WHERE c IS NOT NULL;
CREATE INDEX ON many (d) WHERE d > 5;
CREATE INDEX ON many (f, e, a);
CREATE INDEX ON many USING brin (g);
CREATE INDEX ON many USING hash (h);
CREATE INDEX ON many (i, j) WHERE i IS NOT NULL AND j IS NOT NULL;
INSERT INTO one SELECT n, n FROM generate_series(1, 20) n;
INSERT INTO many SELECT n, n, n, n, n, n, n, n, n, n FROM generate_series(1, 20) n
"""


def test_keys_without_an_index_are_one_finding_and_its_statements_mend_all(
    database: Database, tmp_path: Path
) -> None:
    run_all(database, SHAPES)
    finding = found(database, tmp_path)
    assert finding is not None
    assert (finding.object, finding.severity, finding.value) == ("app", Severity.INFO, 0)
    assert set(keys(finding)) == {"b", "d", "g"}
    assert finding.data["n_foreign_keys"] == 3
    key = keys(finding)["b"]
    assert (key["table"], key["referenced"], key["columns"]) == ("public.many", "public.one", ["b"])
    assert key["create"] == ["CREATE INDEX CONCURRENTLY many_b_idx ON public.many (b)"]
    create_all(database, finding)
    assert found(database, tmp_path) is None


@pytest.mark.in_turn
def test_empty_tables_and_tables_of_one_row_are_left_out(
    database: Database, tmp_path: Path
) -> None:
    run_all(
        database,
        """CREATE TABLE one (id int PRIMARY KEY); INSERT INTO one VALUES (1);
        CREATE TABLE empty (id int REFERENCES one); CREATE TABLE single (id int REFERENCES one);
        INSERT INTO single VALUES (1); ANALYZE""",
    )
    assert found(database, tmp_path) is None
    run_all(database, "INSERT INTO single VALUES (1); ANALYZE single")
    assert set(keys(found(database, tmp_path))) == {"single_id_fkey"}


@pytest.mark.in_turn
def test_tables_of_extensions_are_left_out(database: Database, tmp_path: Path) -> None:
    run_all(
        database,
        """CREATE TABLE one (id int PRIMARY KEY); INSERT INTO one VALUES (1), (2);
        CREATE TABLE theirs (one int REFERENCES one); CREATE TABLE ours (one int REFERENCES one);
        INSERT INTO theirs VALUES (1), (2); INSERT INTO ours VALUES (1), (2);
        ALTER EXTENSION plpgsql ADD TABLE theirs""",
    )
    assert set(keys(found(database, tmp_path))) == {"ours_one_fkey"}


LARGE = """
CREATE TABLE quiet (id int PRIMARY KEY); INSERT INTO quiet SELECT generate_series(1, 100);
CREATE TABLE busy (id int PRIMARY KEY); INSERT INTO busy SELECT generate_series(1, 100);
CREATE TABLE many (quiet int REFERENCES quiet, busy int REFERENCES busy, note text);
INSERT INTO many SELECT 1 + n % 50, 1 + n % 50, repeat('x', 200) FROM generate_series(1, 9000) n;
CREATE TABLE few (busy int REFERENCES busy); INSERT INTO few VALUES (1), (2);
ANALYZE;
DELETE FROM busy WHERE id > 90
"""


def test_deletes_of_referenced_rows_make_a_large_table_without_an_index_a_warning(
    database: Database, tmp_path: Path
) -> None:
    run_all(database, LARGE)
    until(lambda: keys(found(database, tmp_path))["many_busy_fkey"]["deletes"] == 10)
    finding = found(database, tmp_path)
    assert finding is not None
    assert (finding.severity, finding.value, finding.threshold) == (Severity.WARN, 1, 0)
    assert {name: key["severity"] for name, key in keys(finding).items()} == {
        "many_busy_fkey": "warn",
        "few_busy_fkey": "info",
        "many_quiet_fkey": "info",
    }
    assert list(keys(finding)) == ["many_busy_fkey", "few_busy_fkey", "many_quiet_fkey"]
    assert keys(finding)["many_busy_fkey"]["rows_read"] == 9000
    create_all(database, finding)
    assert found(database, tmp_path) is None


@pytest.mark.in_turn
def test_only_keys_of_the_named_table(database: Database, tmp_path: Path) -> None:
    run_all(
        database,
        """CREATE TABLE one (id bigint PRIMARY KEY); INSERT INTO one VALUES (1), (2);
        CREATE TABLE other (one bigint REFERENCES one); INSERT INTO other VALUES (1), (2);
        CREATE TABLE events (id bigint REFERENCES one, at timestamptz) PARTITION BY RANGE (at);
        CREATE TABLE events_2020 PARTITION OF events
          FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
        INSERT INTO events SELECT 1, '2020-03-03' FROM generate_series(1, 5)""",
    )
    assert set(keys(found(database, tmp_path))) == {"other_one_fkey", "events_id_fkey"}
    request = Request(parse_name("public.events"))
    assert set(keys(found(database, tmp_path, request=request))) == {"events_id_fkey"}


SELECTIVE = """
CREATE TABLE vol (id int PRIMARY KEY, state text NOT NULL, parent_id int, parent_state text,
  UNIQUE (id, state), FOREIGN KEY (parent_id, parent_state) REFERENCES vol (id, state));
CREATE INDEX vol_{0} ON vol ({0});
INSERT INTO vol SELECT g, 's', CASE WHEN g > 1 THEN g / 2 END, CASE WHEN g > 1 THEN 's' END
  FROM generate_series(1, 20000) g;
VACUUM ANALYZE vol
"""


@pytest.mark.parametrize(("column", "wanted"), [("parent_id", 0), ("parent_state", 1)])
def test_index_on_a_selective_part_of_a_key_serves_it(
    database: Database, tmp_path: Path, column: str, wanted: int
) -> None:
    run_all(database, SELECTIVE.format(column))
    assert len(keys(found(database, tmp_path))) == wanted


def test_part_of_a_key_serves_nothing_where_its_statistics_are_hidden(
    database: Database, limited_role: Role, tmp_path: Path
) -> None:
    run_all(database, SELECTIVE.format("parent_id"))
    run_all(database, "DELETE FROM vol WHERE id > 19000")
    finding = found(database, tmp_path, limited_role)
    assert finding is not None
    assert finding.severity is Severity.INFO, "that it reads much is not known"
    (key,) = keys(finding).values()
    assert key["rows_read"] is None


SKIPPED = """
CREATE TABLE parent (id int PRIMARY KEY); INSERT INTO parent SELECT generate_series(1, 2000);
CREATE TABLE child (id bigserial PRIMARY KEY, tenant smallint NOT NULL,
  parent_id int NOT NULL REFERENCES parent ON DELETE CASCADE, pad text);
INSERT INTO child (tenant, parent_id, pad)
  SELECT g % 5, 1 + g % 2000, repeat('x', 80) FROM generate_series(1, 40000) g;
CREATE INDEX child_tenant_parent ON child (tenant, parent_id);
VACUUM ANALYZE child
"""
SCANS = "SELECT seq_scan, idx_scan FROM pg_stat_user_tables WHERE relname = 'child'"


@pytest.mark.pg("== 18")
def test_skip_scan_serves_a_key_behind_a_column_of_few_values(
    database: Database, tmp_path: Path
) -> None:
    run_all(database, SKIPPED)
    (before,) = database.execute(SCANS)
    run_all(database, "DELETE FROM parent WHERE id = 77")
    until(lambda: database.execute(SCANS)[0][1] > before[1])
    assert database.execute(SCANS)[0][0] == before[0], "no sequential scan"
    until(lambda: keys(found(database, tmp_path))["child_parent_id_fkey"]["deletes"] == 1)
    finding = found(database, tmp_path)
    assert finding is not None
    assert (finding.severity, finding.value) == (Severity.INFO, 0)
    assert keys(finding)["child_parent_id_fkey"]["searches"] == 5
    assert (finding.data["n_foreign_keys"], finding.data["n_skip_scanned"]) == (1, 1)


@pytest.mark.pg("< 18")
def test_older_servers_can_not_skip_a_column(database: Database, tmp_path: Path) -> None:
    run_all(database, SKIPPED)
    run_all(database, "DELETE FROM parent WHERE id = 77")
    until(lambda: keys(found(database, tmp_path))["child_parent_id_fkey"]["deletes"] == 1)
    finding = found(database, tmp_path)
    assert finding is not None
    assert finding.severity is Severity.WARN
    assert keys(finding)["child_parent_id_fkey"]["searches"] is None


@pytest.mark.pg("== 18")
def test_key_that_is_not_enforced_needs_no_index(database: Database, tmp_path: Path) -> None:
    run_all(
        database,
        """CREATE TABLE one (id int PRIMARY KEY); INSERT INTO one VALUES (1), (2);
        CREATE TABLE many (one int REFERENCES one NOT ENFORCED, two int REFERENCES one);
        INSERT INTO many VALUES (1, 1), (2, 2)""",
    )
    assert set(keys(found(database, tmp_path))) == {"many_two_fkey"}


@pytest.mark.pg("== 18")
def test_key_with_a_period_is_served_by_gist(database: Database, tmp_path: Path) -> None:
    run_all(
        database,
        """CREATE TABLE one (room int4range, valid daterange,
          PRIMARY KEY (room, valid WITHOUT OVERLAPS));
        INSERT INTO one SELECT int4range(n, n + 1), daterange('2026-01-01', '2027-01-01')
          FROM generate_series(1, 100) n;
        CREATE TABLE many (room int4range, valid daterange,
          CONSTRAINT stay FOREIGN KEY (room, PERIOD valid) REFERENCES one (room, PERIOD valid));
        INSERT INTO many SELECT room, daterange('2026-02-01', '2026-03-01') FROM one;
        CREATE INDEX ON many (valid, room); ANALYZE""",
    )
    finding = found(database, tmp_path)
    assert set(keys(finding)) == {"stay"}
    create_all(database, finding)
    assert found(database, tmp_path) is None


# Partitioned tables

TREE = """
CREATE TABLE one (id bigint PRIMARY KEY);
INSERT INTO one SELECT generate_series(1, 2000);
CREATE TABLE many (id bigint, at date, dropped int,
  one_id bigint CONSTRAINT many_one REFERENCES one) PARTITION BY RANGE (at);
ALTER TABLE many DROP COLUMN dropped;
CREATE TABLE many_a PARTITION OF many FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE many_b (one_id bigint, id bigint, at date);
ALTER TABLE many ATTACH PARTITION many_b FOR VALUES FROM ('2026-02-01') TO ('2026-03-01');
CREATE TABLE many_c PARTITION OF many FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')
  PARTITION BY HASH (id);
CREATE TABLE many_c_0 PARTITION OF many_c FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE many_c_1 PARTITION OF many_c FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO many (id, at, one_id)
  SELECT n, date '2026-01-01' + n % 90, 1 + n % 1000 FROM generate_series(1, 20000) n;
ANALYZE
"""
LEAVES = ("many_a", "many_b", "many_c_0", "many_c_1")


def test_partitioned_table_is_silent_if_each_leaf_has_an_index(
    database: Database, tmp_path: Path
) -> None:
    run_all(database, TREE + "".join(f"; CREATE INDEX ON {leaf} (one_id)" for leaf in LEAVES))
    run_all(database, "DELETE FROM one WHERE id > 1500")
    assert found(database, tmp_path) is None


@pytest.mark.in_turn
def test_partitioned_table_gets_its_index_without_a_build_that_blocks_writers(
    database: Database, tmp_path: Path
) -> None:
    run_all(
        database,
        TREE + "; CREATE INDEX ON many_b (one_id); CREATE VIEW many_one_id_idx AS SELECT 1",
    )
    run_all(database, "DELETE FROM one WHERE id > 1500")
    until(lambda: keys(found(database, tmp_path))["many_one"]["deletes"] == 500)
    finding = found(database, tmp_path)
    assert finding is not None
    assert finding.severity is Severity.WARN
    (key,) = keys(finding).values()
    assert (key["table"], key["partitions"], key["locks_writers"]) == ("public.many", 3, True)
    assert key["index"] == "public.many_one_id_idx1", "the name of the view is taken"
    builds = [each for each in key["create"] if each.startswith("CREATE")]
    assert all(" CONCURRENTLY " in each or " ON ONLY " in each for each in builds)
    assert not any("public.many_b " in each for each in builds), "it has one"
    create_all(database, finding)
    assert found(database, tmp_path) is None
    assert database.execute(
        "SELECT bool_and(indisvalid) FROM pg_index WHERE indrelid = 'many'::regclass"
    ) == [(True,)]


@pytest.mark.in_turn
def test_index_of_a_parent_that_was_left_unfinished_is_finished(
    database: Database, tmp_path: Path
) -> None:
    run_all(
        database,
        TREE
        + """; CREATE INDEX begun ON ONLY many (one_id); CREATE INDEX a ON many_a (one_id);
        ALTER INDEX begun ATTACH PARTITION a; CREATE INDEX c ON ONLY many_c (one_id)""",
    )
    finding = found(database, tmp_path)
    (key,) = keys(finding).values()
    assert (key["index"], key["locks_writers"]) == ("public.begun", False)
    create_all(database, finding)
    assert found(database, tmp_path) is None
    assert database.execute(
        "SELECT indexrelid::regclass::text, indisvalid FROM pg_index"
        " WHERE indrelid = 'many'::regclass"
    ) == [("begun", True)]


def test_referenced_table_may_be_partitioned_as_well(database: Database, tmp_path: Path) -> None:
    run_all(
        database,
        """CREATE TABLE one (id int PRIMARY KEY) PARTITION BY RANGE (id);
        CREATE TABLE one_a PARTITION OF one FOR VALUES FROM (0) TO (1000);
        CREATE TABLE one_b PARTITION OF one FOR VALUES FROM (1000) TO (3000);
        INSERT INTO one SELECT generate_series(1, 2000);
        CREATE TABLE many (id int, one_id int CONSTRAINT many_one REFERENCES one)
          PARTITION BY HASH (id);
        CREATE TABLE many_0 PARTITION OF many FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE many_1 PARTITION OF many FOR VALUES WITH (MODULUS 2, REMAINDER 1);
        INSERT INTO many SELECT n, 1 + n % 1000 FROM generate_series(1, 20000) n;
        ANALYZE; DELETE FROM one WHERE id > 1990""",
    )
    until(lambda: keys(found(database, tmp_path))["many_one"]["deletes"] == 10)
    finding = found(database, tmp_path)
    assert finding is not None
    assert len(finding.data["foreign_keys"]) == 1, "once, not for each partition"
    assert keys(finding)["many_one"]["referenced"] == "public.one"
    assert finding.severity is Severity.WARN


# Names and sharing


@pytest.mark.in_turn
def test_keys_of_the_same_columns_share_one_index(database: Database, tmp_path: Path) -> None:
    run_all(
        database,
        """CREATE TABLE one (id int PRIMARY KEY, b int, UNIQUE (id, b));
        INSERT INTO one SELECT n, n FROM generate_series(1, 50) n;
        CREATE TABLE many (x int, y int, CONSTRAINT p FOREIGN KEY (y) REFERENCES one,
          CONSTRAINT q FOREIGN KEY (y) REFERENCES one,
          CONSTRAINT r FOREIGN KEY (x, y) REFERENCES one (id, b));
        INSERT INTO many SELECT n, n FROM generate_series(1, 50) n""",
    )
    finding = found(database, tmp_path)
    assert set(keys(finding)) == {"p", "q", "r"}
    statements = [each for key in keys(finding).values() for each in key["create"]]
    assert statements == ["CREATE INDEX CONCURRENTLY many_y_x_idx ON public.many (y, x)"]
    create_all(database, finding)
    assert found(database, tmp_path) is None


@pytest.mark.in_turn
def test_names_fit_and_differ(database: Database, tmp_path: Path) -> None:
    long = "ä" * 31
    run_all(
        database,
        f"""CREATE TABLE one (id int PRIMARY KEY); INSERT INTO one VALUES (1), (2);
        CREATE TABLE "{long}" (a int REFERENCES one, b int REFERENCES one,
          "c ""d" int REFERENCES one);
        INSERT INTO "{long}" VALUES (1, 1, 1), (2, 2, 2)""",
    )
    finding = found(database, tmp_path)
    names = [key["index"] for key in keys(finding).values()]
    assert len(set(names)) == 3
    assert all(len(parse_name(name).name.encode()) <= 63 for name in names)
    create_all(database, finding)
    assert found(database, tmp_path) is None


def test_index_of_another_collation_serves_no_key(database: Database, tmp_path: Path) -> None:
    run_all(
        database,
        """CREATE TABLE one (id text PRIMARY KEY); INSERT INTO one VALUES ('a'), ('b');
        CREATE TABLE many (one text CONSTRAINT k REFERENCES one);
        INSERT INTO many VALUES ('a'), ('b'); CREATE INDEX ON many (one COLLATE "C")""",
    )
    assert set(keys(found(database, tmp_path))) == {"k"}
    database.execute("CREATE INDEX ON many (one text_pattern_ops)")
    assert found(database, tmp_path) is None


@pytest.mark.in_turn
def test_locked_table_leaves_the_finding_open(database: Database, tmp_path: Path) -> None:
    run_all(
        database,
        """CREATE TABLE one (id int PRIMARY KEY); INSERT INTO one VALUES (1), (2);
        CREATE TABLE many (one int REFERENCES one); CREATE INDEX many_even ON many ((one % 2));
        INSERT INTO many VALUES (1), (2); ANALYZE""",
    )
    assert found(database, tmp_path) is not None
    holder = database.connect(autocommit=False)
    holder.execute("LOCK TABLE many IN ACCESS EXCLUSIVE MODE")
    policy = make_policy(tmp_path, database.url, indexes={})
    findings = pipeline.plan(policy, only=[INDEXES.name]).findings
    holder.rollback()
    assert not any(f.kind is FindingKind.FK_UNINDEXED for f in findings)
    assert any(f.leaves_open(FindingKind.FK_UNINDEXED, "app") for f in findings)
