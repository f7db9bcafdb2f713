"""What advice does to a database, found by carrying it out: no code of the product takes part.

What the application's statements read, which foreign keys an index serves, which duplicates are
refused: each is measured on the server before and after.
"""

from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

import psycopg

Connection = psycopg.Connection[Any]

MAX_TIMES = 6
"""A query may read this many times the blocks that it read before."""

SLACK_BLOCKS = 16
"""Blocks that decide nothing: the height of an index, a few rows elsewhere."""

LOOKUP_BLOCKS = 64
"""A foreign key is served if the rows of one value are found with so many blocks, and two a row."""


class Reads(NamedTuple):
    """How one statement is answered with sequential scans switched off.

    Attributes:
        scanned: tables that are scanned as a whole all the same.
        sorts: how often something is sorted.
        blocks: 8 kB blocks that it read.
        indexes: that it used.
        rows: that it returned.
    """

    scanned: frozenset[str]
    sorts: int
    blocks: int
    indexes: frozenset[str]
    rows: int


class Service(IntEnum):
    """How well an index finds the rows that reference one row.

    Attributes:
        NONE: the whole table is read.
        LATER_COLUMN: by a column that is not the first of the index: from PostgreSQL 18 by a skip
            scan, and before only because the index happens to be small.
    """

    NONE = 0
    LATER_COLUMN = 1
    FULL = 2


class ForeignKey(NamedTuple):
    """A foreign key with the statement by which its referencing rows are found."""

    name: str
    lookup: str
    columns: frozenset[str]
    table_blocks: int


@dataclass(frozen=True)
class State:
    """What the schema does for its application.

    Attributes:
        reads: of each query.
        served: of each foreign key.
        constraints: as table and definition.
        indexes: the definition of each valid index, by name.
    """

    major: int

    reads: Mapping[str, Reads]
    served: Mapping[str, Service]
    constraints: frozenset[tuple[str, str]]
    indexes: Mapping[str, str]


@contextmanager
def undone(connection: Connection) -> Generator[None]:
    """Take back at the end what was done inside."""
    with connection.transaction(force_rollback=True):
        yield


def run(connection: Connection, sql: str, parameters: Sequence[Any] | None = None) -> list[Any]:
    """Run a statement; its rows, none if it returns none."""
    cursor = connection.execute(sql.encode(), parameters)
    return cursor.fetchall() if cursor.description else []


def prepare(connection: Connection) -> None:
    """Let the planner use an index wherever one can be used."""
    run(connection, "SET enable_seqscan = off")
    run(connection, "SET max_parallel_workers_per_gather = 0")
    run(connection, "SET jit = off")


# What a statement reads


def measure(connection: Connection, sql: str) -> Reads:
    """Run a statement and return how it was answered."""
    explain = "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) "
    ((explained,),) = run(connection, explain + sql)
    top = explained[0]["Plan"]
    nodes = list(_nodes(top))
    return Reads(
        scanned=frozenset(n["Relation Name"] for n in nodes if n["Node Type"] == "Seq Scan"),
        sorts=sum("Sort" in node["Node Type"] for node in nodes),
        blocks=top["Shared Hit Blocks"] + top["Shared Read Blocks"],
        indexes=frozenset(node["Index Name"] for node in nodes if "Index Name" in node),
        rows=top["Actual Rows"],
    )


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def worse(before: Reads, after: Reads) -> str | None:
    """Tell in what a query became worse; None if in nothing that counts."""
    if scanned := after.scanned - before.scanned:
        return f"scans {', '.join(sorted(scanned))}"
    if after.sorts > before.sorts:
        return f"sorts what {', '.join(sorted(before.indexes))} had in order"
    if after.blocks > MAX_TIMES * before.blocks + SLACK_BLOCKS:
        return f"reads {after.blocks} blocks instead of {before.blocks}"
    return None


# Foreign keys

_FOREIGN_KEYS = """
SELECT c.conname, c.conrelid::regclass::text, t.relkind = 'p',
       c.confrelid::regclass::text,
       (SELECT array_agg(a.attname ORDER BY k.n) FROM unnest(c.conkey) WITH ORDINALITY AS k (of, n)
          JOIN pg_attribute AS a ON (a.attrelid, a.attnum) = (c.conrelid, k.of)),
       (SELECT array_agg(a.attname ORDER BY k.n) FROM unnest(c.confkey) WITH ORDINALITY AS k (of, n)
          JOIN pg_attribute AS a ON (a.attrelid, a.attnum) = (c.confrelid, k.of)),
       coalesce((SELECT sum(pg_relation_size(p.relid)) FROM pg_partition_tree(c.conrelid) AS p),
                pg_relation_size(c.conrelid))::bigint / 8192
FROM pg_constraint AS c JOIN pg_class AS t ON t.oid = c.conrelid
WHERE c.contype = 'f' AND c.conparentid = 0 AND c.convalidated
ORDER BY 1
"""


def foreign_keys(connection: Connection) -> list[ForeignKey]:
    """Return every foreign key, with a lookup of the rarest value that has rows, or of any."""
    return [_foreign_key(connection, *row) for row in run(connection, _FOREIGN_KEYS)]


def _foreign_key(
    connection: Connection,
    name: str,
    table: str,
    is_partitioned: bool,
    referenced: str,
    columns: list[str],
    keys: list[str],
    blocks: int,
) -> ForeignKey:
    listed = ", ".join(f'"{column}"' for column in columns)
    value = (
        _row(connection, f"SELECT {listed} FROM {table} WHERE ({listed}) IS NOT NULL"
             f" GROUP BY {listed} ORDER BY count(*), {listed} LIMIT 1")
        or _row(connection, "SELECT " + ", ".join(f'"{key}"' for key in keys)
                + f" FROM {referenced} LIMIT 1")
        or ["NULL"] * len(columns)
    )  # fmt: skip
    conditions = " AND ".join(
        f'x."{column}" = {literal}' for column, literal in zip(columns, value, strict=True)
    )
    only = "" if is_partitioned else "ONLY "
    lookup = f"SELECT 1 FROM {only}{table} AS x WHERE {conditions}"
    title = table.strip('"')
    return ForeignKey(f"{title}.{name}", lookup, frozenset(columns), blocks)


def _row(connection: Connection, sql: str) -> list[str]:
    wrapped = f"SELECT r.* FROM ({sql}) AS r"
    for row in run(connection, wrapped):
        return [f"'{value}'" for value in row]
    return []


def service(connection: Connection, key: ForeignKey) -> Service:
    """Measure how well an index finds the rows that reference one row.

    In a small table any index is read in a few blocks, so there its first column decides.
    """
    reads = measure(connection, key.lookup)
    if reads.scanned or not reads.indexes:
        return Service.NONE
    first = """
        SELECT a.attname FROM pg_index AS i
        JOIN pg_attribute AS a ON (a.attrelid, a.attnum) = (i.indrelid, i.indkey[0])
        WHERE i.indexrelid::regclass::text = ANY (%s)
    """
    names = [*reads.indexes, *(f'"{name}"' for name in reads.indexes)]
    is_first = {row[0] for row in run(connection, first, [names])} <= key.columns
    if key.table_blocks <= 2 * LOOKUP_BLOCKS:
        return Service.FULL if is_first else Service.NONE
    if reads.blocks > LOOKUP_BLOCKS + 2 * reads.rows:
        return Service.NONE
    return Service.FULL if is_first else Service.LATER_COLUMN


# The whole

_CONSTRAINTS = """
SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = 'public'::regnamespace
"""
_INDEXES = """
SELECT i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid)
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
WHERE c.relnamespace = 'public'::regnamespace AND i.indisvalid
"""


def observe(connection: Connection, queries: Sequence[str], keys: Sequence[ForeignKey]) -> State:
    """Measure everything that dropping an index could change."""
    return State(
        major=connection.info.server_version // 10_000,
        reads={query: measure(connection, query) for query in queries},
        served={key.name: service(connection, key) for key in keys},
        constraints=frozenset((table, text) for table, text in run(connection, _CONSTRAINTS)),
        indexes=dict(run(connection, _INDEXES)),
    )


def compare(before: State, after: State) -> Iterator[str]:
    """Yield what was lost."""
    for query, reads in before.reads.items():
        if lost := worse(reads, after.reads[query]):
            yield f"{query!r} now {lost}"
    # Up to 17, that a small index is read as a whole is chance.
    least = Service.FULL if before.major < 18 else Service.LATER_COLUMN
    for key, served in before.served.items():
        if served >= least > after.served[key]:
            yield f"foreign key {key} lost its index"
    for table, text in sorted(before.constraints - after.constraints):
        yield f"{table} lost its constraint {text}"


# Uniqueness

_UNIQUE = """
SELECT i.indrelid::regclass::text,
       array(SELECT pg_get_indexdef(i.indexrelid, n, true)
             FROM generate_series(1, i.indnkeyatts) AS n),
       pg_get_expr(i.indpred, i.indrelid)
FROM pg_index AS i
WHERE i.indisunique AND i.indexrelid = ANY (%s::text[]::regclass[])
"""
_OTHERS = """
SELECT i.indexrelid::regclass::text, i.indrelid::regclass::text,
       quote_ident(c.conname)
FROM pg_index AS i LEFT JOIN pg_constraint AS c ON c.conindid = i.indexrelid
  AND c.contype IN ('p', 'u', 'x')
WHERE i.indrelid = %s::regclass AND (i.indisunique OR i.indisexclusion)
  AND array(SELECT pg_get_indexdef(i.indexrelid, n, true)
            FROM generate_series(1, i.indnkeyatts) AS n) <> %s
"""
_COLUMNS = """
SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
"""


class Duplicate(NamedTuple):
    """A row whose copy a unique index may refuse.

    Attributes:
        keys: of the index, as SQL.
        place: of the row: its table's OID and ctid.
    """

    table: str
    keys: tuple[str, ...]
    place: tuple[int, str]


def duplicates(connection: Connection, indexes: Collection[str]) -> list[Duplicate]:
    """Return rows that differ in what a unique index looks at: nulls, and its predicate."""
    found: list[Duplicate] = []
    for table, keys, predicate in run(connection, _UNIQUE, [list(indexes)]):
        tests = [f"({key}) IS NULL" for key in keys]
        tests += [f"({predicate}) IS TRUE"] if predicate else []
        listed = ", ".join(tests)
        rows = run(
            connection,
            f"SELECT DISTINCT ON ({listed}) tableoid::bigint, ctid::text FROM {table}"
            f" ORDER BY {listed}",
        )
        found += [Duplicate(table, tuple(keys), row) for row in rows]
    return found


def refusal(connection: Connection, duplicate: Duplicate) -> str | None:
    """Write a row again, without the unique indexes on other keys; the SQLSTATE that refuses it."""
    oid, ctid = duplicate.place
    with undone(connection):
        run(connection, "SET CONSTRAINTS ALL IMMEDIATE")
        others = run(connection, _OTHERS, [duplicate.table, list(duplicate.keys)])
        for index, table, constraint in others:
            if constraint:
                run(connection, f"ALTER TABLE {table} DROP CONSTRAINT {constraint} CASCADE")
            else:
                run(connection, f"DROP INDEX {index}")
        ((columns,),) = run(connection, _COLUMNS, [duplicate.table])
        try:
            with connection.transaction():
                run(
                    connection,
                    f"INSERT INTO {duplicate.table} ({columns}) OVERRIDING SYSTEM VALUE"
                    f" SELECT {columns} FROM {duplicate.table} AS x"
                    f" WHERE x.tableoid = {oid} AND x.ctid = '{ctid}'",
                )
        except psycopg.errors.IntegrityError as error:
            return error.sqlstate
    return None


# Carrying advice out


class Experiment:
    """A database on which advice is carried out, compared with what it did at first.

    Attributes:
        connection: a session in autocommit mode.
    """

    def __init__(self, connection: Connection, queries: Sequence[str]) -> None:
        """Measure what the database does now."""
        prepare(connection)
        self.connection = connection
        self._queries = queries
        self._keys = foreign_keys(connection)
        self._before = observe(connection, queries, self._keys)

    def service(self, key: str) -> Service:
        """Return how well an index served a foreign key at first."""
        return self._before.served[key]

    def drop(
        self, drops: Mapping[str, str], restores: Mapping[str, Sequence[str]]
    ) -> Iterator[str]:
        """Drop indexes; yield what is lost, and what can't be built again.

        Args:
            drops: the statement for each index.
            restores: the statements that build each index again; what they did is taken back.
        """
        connection = self.connection
        definitions = dict(run(connection, _INDEXES))
        copies = duplicates(connection, drops)
        refused = {copy: refusal(connection, copy) for copy in copies}
        for index, statement in drops.items():
            try:
                with connection.transaction():
                    run(connection, plain(statement))
            except psycopg.Error as error:
                yield f"{index} can't be dropped: {error}"
        yield from self.losses()
        for copy, state in refused.items():
            if state and refusal(connection, copy) != state:
                yield f"a duplicate in {copy.table} {copy.keys} is no longer refused"
        with undone(connection):
            for statement in (each for index in drops for each in restores[index]):
                run(connection, plain(statement))
            restored = dict(run(connection, _INDEXES))
        for name, text in definitions.items():
            if restored.get(name) != text:
                yield f"{name} does not come back as it was: {restored.get(name)}"

    def create(self, creates: Mapping[str, Sequence[str]]) -> Iterator[str]:
        """Create the index of each foreign key, by its name; yield those that stay unserved."""
        for statement in (each for statements in creates.values() for each in statements):
            run(self.connection, plain(statement))
        served = observe(self.connection, (), self._keys).served
        for key in creates:
            if served[key] is not Service.FULL:
                yield f"the advised index does not serve {key}"

    def losses(self) -> Iterator[str]:
        """Yield what the database did at first and does no longer."""
        yield from compare(self._before, observe(self.connection, self._queries, self._keys))


def plain(statement: str) -> str:
    """Return a statement such that a transaction may run it."""
    return statement.replace(" CONCURRENTLY", "")
