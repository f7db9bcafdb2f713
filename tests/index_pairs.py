"""Indexes that look superfluous and are not, and those that are: one schema for each case."""

from dataclasses import dataclass, field

TABLE = (
    "CREATE TABLE t (id int NOT NULL, a int NOT NULL, b text, c timestamptz, d jsonb, e boolean,"
    " r int4range, s tsvector)"
)
PARTITIONED = (
    "CREATE TABLE p (id int NOT NULL, a int NOT NULL) PARTITION BY RANGE (a)",
    "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)",
    "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20)",
)


@dataclass(frozen=True)
class Case:
    """Statements on a table `t`, and which index goes for which.

    Attributes:
        duplicate: each index that is another one again, with that other.
        redundant: each that another one covers, with that other.
    """

    what: str
    ddl: tuple[str, ...]
    duplicate: dict[str, str] = field(default_factory=dict[str, str])
    redundant: dict[str, str] = field(default_factory=dict[str, str])
    since: int = 14


def pair(
    what: str,
    x: str,
    y: str,
    *more: str,
    duplicate: dict[str, str] | None = None,
    redundant: dict[str, str] | None = None,
    since: int = 14,
) -> Case:
    """Two indexes, x older than y, each given by what follows `ON t`; UNIQUE may stand before."""

    def create(name: str, text: str) -> str:
        unique, rest = ("UNIQUE ", text[7:]) if text.startswith("UNIQUE ") else ("", text)
        return f"CREATE {unique}INDEX {name} ON t {rest}"

    ddl = (create("x", x), create("y", y), *more)
    return Case(what, ddl, duplicate or {}, redundant or {}, since)


INVALIDATE = "UPDATE pg_catalog.pg_index SET indisvalid = false WHERE indexrelid = '{}'::regclass"

CASES = [
    pair("equal", "(a)", "(a)", duplicate={"y": "x"}),
    pair("equal, of two columns", "(a, b)", "(a, b)", duplicate={"y": "x"}),
    pair("prefix", "(a)", "(a, b)", redundant={"x": "y"}),
    pair("prefix, the younger one", "(a, b)", "(a)", redundant={"y": "x"}),
    pair("second column", "(b)", "(a, b)"),
    pair("other order of columns", "(a, b)", "(b, a)"),
    pair("ascending and descending", "(a)", "(a DESC)"),
    pair("ascending prefix of descending", "(a)", "(a DESC, b)"),
    pair("descending prefix", "(a DESC)", "(a DESC, b)", redundant={"x": "y"}),
    pair("mixed directions", "(a, c DESC)", "(a, c)"),
    pair("nulls last", "(c DESC)", "(c DESC NULLS LAST)"),
    pair("nulls last as prefix", "(c DESC)", "(c DESC NULLS LAST, a)"),
    pair("a default written out", "(c DESC NULLS FIRST)", "(c DESC)", duplicate={"y": "x"}),
    pair("other collation", "(b)", '(b COLLATE "C")'),
    pair("other collation in a prefix", "(b)", '(b COLLATE "C", a)'),
    pair("same collation", '(b COLLATE "C")', '(b COLLATE "C", a)', redundant={"x": "y"}),
    pair("other operator class", "(b)", "(b text_pattern_ops)"),
    pair("prefix of other operator class", "(b)", "(b text_pattern_ops, a)"),
    pair(
        "same operator class",
        "(b text_pattern_ops)",
        "(b text_pattern_ops, a)",
        redundant={"x": "y"},
    ),
    pair("hash and btree", "USING hash (a)", "(a)"),
    pair("hash and a wider btree", "USING hash (a)", "(a, b)"),
    pair("hash twice", "USING hash (a)", "USING hash (a)", duplicate={"y": "x"}),
    pair("partial and whole", "(a) WHERE e", "(a)"),
    pair("partial and wider whole", "(a) WHERE e", "(a, b)"),
    pair("whole and wider partial", "(a)", "(a, b) WHERE e"),
    pair("one predicate", "(a) WHERE e", "(a, b) WHERE e", redundant={"x": "y"}),
    pair("two predicates", "(a) WHERE e", "(a, b) WHERE NOT e"),
    pair("narrower predicate", "(a) WHERE a > 5", "(a, b) WHERE a > 0"),
    pair("predicate spelt otherwise", "(a) WHERE a > 0", "(a) WHERE 0 < a"),
    pair("column and expression", "(b)", "(lower(b))"),
    pair("expression twice", "(lower(b))", "(lower(b))", duplicate={"y": "x"}),
    pair("prefix of an expression", "(lower(b))", "(lower(b), a)", redundant={"x": "y"}),
    pair("two expressions", "(lower(b))", "(upper(b), a)"),
    pair("expression in second place", "(a, lower(b))", "(a, b)"),
    pair("less INCLUDE", "(a)", "(a) INCLUDE (b)", redundant={"x": "y"}),
    pair("more INCLUDE", "(a) INCLUDE (b, c)", "(a) INCLUDE (b)", redundant={"y": "x"}),
    pair("other INCLUDE", "(a) INCLUDE (b)", "(a) INCLUDE (c)"),
    pair("INCLUDE held by a key", "(a) INCLUDE (b)", "(a, b)", redundant={"x": "y"}),
    pair("INCLUDE held by nobody", "(a) INCLUDE (b)", "(a, c)"),
    pair("key held by INCLUDE", "(a, b)", "(a) INCLUDE (b)", redundant={"y": "x"}),
    pair(
        "INCLUDE in another order",
        "(a) INCLUDE (b, c)",
        "(a) INCLUDE (c, b)",
        duplicate={"y": "x"},
    ),
    pair("unique and plain", "UNIQUE (a)", "(a)", duplicate={"y": "x"}),
    pair("plain and younger unique", "(a)", "UNIQUE (a)", duplicate={"x": "y"}),
    pair("unique prefix of a wider one", "UNIQUE (a)", "(a, b)"),
    pair("prefix of unique", "(a)", "UNIQUE (a, b)", redundant={"x": "y"}),
    pair("unique twice", "UNIQUE (a)", "UNIQUE (a)", duplicate={"y": "x"}),
    pair("partial unique and plain", "(a) WHERE e", "UNIQUE (a) WHERE e", duplicate={"x": "y"}),
    pair("unique with INCLUDE", "UNIQUE (a)", "UNIQUE (a) INCLUDE (b)", redundant={"x": "y"}),
    pair("nulls not distinct", "UNIQUE (b)", "UNIQUE (b) NULLS NOT DISTINCT", since=15),
    pair(
        "nulls not distinct twice",
        "UNIQUE (b) NULLS NOT DISTINCT",
        "UNIQUE (b) NULLS NOT DISTINCT",
        duplicate={"y": "x"},
        since=15,
    ),
    pair(
        "plain and nulls not distinct",
        "(b)",
        "UNIQUE (b) NULLS NOT DISTINCT",
        duplicate={"x": "y"},
        since=15,
    ),
    Case(
        "unique index and younger constraint",
        ("CREATE UNIQUE INDEX x ON t (a)", "ALTER TABLE t ADD CONSTRAINT y UNIQUE (a)"),
        duplicate={"x": "y"},
    ),
    Case(
        "constraint and primary key",
        (
            "ALTER TABLE t ADD CONSTRAINT x UNIQUE (id)",
            "ALTER TABLE t ADD CONSTRAINT y PRIMARY KEY (id)",
        ),
        duplicate={"x": "y"},
    ),
    Case(
        "constraint that a foreign key stands on",
        (
            "ALTER TABLE t ADD CONSTRAINT x UNIQUE (id)",
            "CREATE TABLE f (id int REFERENCES t (id))",
            "ALTER TABLE t ADD CONSTRAINT y PRIMARY KEY (id)",
        ),
    ),
    Case(
        "deferrable constraint and unique index",
        (
            "ALTER TABLE t ADD CONSTRAINT x UNIQUE (a) DEFERRABLE",
            "CREATE UNIQUE INDEX y ON t (a)",
        ),
    ),
    Case(
        "deferrable constraint and plain index",
        ("ALTER TABLE t ADD CONSTRAINT x UNIQUE (a) DEFERRABLE", "CREATE INDEX y ON t (a)"),
        duplicate={"y": "x"},
    ),
    pair(
        "replica identity",
        "UNIQUE (a)",
        "UNIQUE (a)",
        "ALTER TABLE t REPLICA IDENTITY USING INDEX y",
        duplicate={"x": "y"},
    ),
    pair("clustered", "(a)", "(a)", "ALTER TABLE t CLUSTER ON y", duplicate={"x": "y"}),
    pair("clustered prefix", "(a)", "(a, b)", "ALTER TABLE t CLUSTER ON x"),
    pair("covered by an invalid one", "(a)", "(a, b)", INVALIDATE.format("y")),
    pair("invalid itself", "(a)", "(a, b)", INVALIDATE.format("x")),
    Case(
        "exclusion constraint and plain index",
        (
            "CREATE INDEX x ON t USING gist (r)",
            "ALTER TABLE t ADD CONSTRAINT y EXCLUDE USING gist (r WITH &&)",
        ),
        duplicate={"x": "y"},
    ),
    Case(
        "exclusion constraint twice",
        (
            "ALTER TABLE t ADD CONSTRAINT x EXCLUDE USING gist (r WITH &&)",
            "ALTER TABLE t ADD CONSTRAINT y EXCLUDE USING gist (r WITH &&)",
        ),
    ),
    pair("gin of other operators", "USING gin (d)", "USING gin (d jsonb_path_ops)"),
    pair("gin, which knows no prefix", "USING gin (d)", "USING gin (d, s)"),
    pair("gin twice", "USING gin (d)", "USING gin (d)", duplicate={"y": "x"}),
    pair("gist, which knows no prefix", "USING gist (r)", "USING gist (r, s)"),
    pair(
        "operator class with other options",
        "USING gist (s tsvector_ops (siglen = 16))",
        "USING gist (s tsvector_ops (siglen = 64))",
    ),
    pair(
        "operator class with the same options",
        "USING gist (s tsvector_ops (siglen = 16))",
        "USING gist (s tsvector_ops (siglen = 16))",
        duplicate={"y": "x"},
    ),
    pair(
        "brin of other ranges",
        "USING brin (a) WITH (pages_per_range = 16)",
        "USING brin (a) WITH (pages_per_range = 128)",
    ),
    pair("brin twice", "USING brin (a)", "USING brin (a)", duplicate={"y": "x"}),
    pair("other fillfactor", "(a)", "(a) WITH (fillfactor = 70)", duplicate={"y": "x"}),
    Case(
        "two tables",
        ("CREATE INDEX x ON t (a)", "CREATE TABLE u (a int)", "CREATE INDEX y ON u (a)"),
    ),
    pair(
        "a chain", "(a)", "(a, b)", "CREATE INDEX z ON t (a, b, c)", redundant={"x": "z", "y": "z"}
    ),
    pair("three equals", "(a)", "(a)", "CREATE INDEX z ON t (a)", duplicate={"y": "x", "z": "x"}),
    pair(
        "equal and covered",
        "(a)",
        "(a)",
        "CREATE INDEX z ON t (a, b)",
        redundant={"x": "z"},
        duplicate={"y": "x"},
    ),
    Case(
        "materialized view",
        (
            "CREATE MATERIALIZED VIEW m AS SELECT n AS a FROM generate_series(1, 1000) n",
            "CREATE INDEX x ON m (a)",
            "CREATE INDEX y ON m (a)",
        ),
        duplicate={"y": "x"},
    ),
    Case(
        "partitioned, as a whole",
        (*PARTITIONED, "CREATE INDEX x ON p (a)", "CREATE INDEX y ON p (a, id)"),
        redundant={"x": "y"},
    ),
    Case(
        "index of one partition, beside an attached one",
        (
            *PARTITIONED,
            "CREATE INDEX x ON p1 (a)",
            "CREATE INDEX y ON ONLY p (id)",
            "CREATE INDEX z ON p1 (a, id)",
        ),
        redundant={"x": "z"},
    ),
    Case(
        "attached index, which can't go alone",
        (*PARTITIONED, "CREATE INDEX x ON p (a)", "CREATE INDEX y ON p1 (a, id)"),
    ),
    Case(
        "covered by an attached one",
        (*PARTITIONED, "CREATE INDEX x ON p (a, id)", "CREATE INDEX y ON p1 (a)"),
        redundant={"y": "p1_a_id_idx"},
    ),
]
