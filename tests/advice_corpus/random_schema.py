"""Schemas by chance: tables with more indexes than anybody needs, of which some are read."""

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from tests.advice_corpus.models import Schema

ROWS = 50_000
PARENT_ROWS = 1_000


@dataclass(frozen=True)
class Column:
    """A column whose value is a function of the row's number.

    Attributes:
        sql: the value of row n, as SQL.
        step, of: the number k = n * step % of, from which it is made.
    """

    name: str
    type: str
    sql: str
    step: int = 1
    of: int = ROWS

    def literal(self, n: int) -> str:
        """Return the value of a row as SQL, evaluated where it is plain to see."""
        k = n * self.step % self.of
        if self.name == "hash":
            return f"'{hashlib.md5(str(k).encode()).hexdigest()}'"
        if self.name == "state":
            return f"'{_state(k)}'"
        if self.name in {"seen", "at"}:
            return f"(timestamptz '2025-01-01' + {k} * interval '1 min')"
        return str(k)


def _state(k: int) -> str:
    return "new" if k == 0 else "failed" if k % 10 == 0 else "done"


def columns(chance: random.Random) -> list[Column]:
    """Return the columns of one table: keys, many values, few values, rare ones, nulls."""

    def number(name: str, of: int) -> Column:
        step = chance.choice((1, 3, 7))
        return Column(name, "int", f"n * {step} % {of}", step, of)

    hashes, states = chance.choice((400, 20_000)), chance.choice((500, 3_000))
    return [
        number("owner", PARENT_ROWS),
        number("other", PARENT_ROWS),
        number("many", 30_000),
        number("medium", 300),
        number("few", chance.choice((4, 30))),
        Column("hash", "text", f"md5((n % {hashes})::text)", 1, hashes),
        Column(
            "state",
            "text",
            f"CASE WHEN n % {states} = 0 THEN 'new' WHEN n % {states} % 10 = 0 THEN 'failed'"
            " ELSE 'done' END",
            1,
            states,
        ),
        Column("at", "timestamptz", "timestamptz '2025-01-01' + n * interval '1 min'"),
        Column(
            "seen",
            "timestamptz",
            "CASE WHEN n % 20 = 0 THEN timestamptz '2025-01-01' + n * interval '1 min' END",
        ),
    ]


@dataclass(frozen=True)
class Index:
    """An index with the query that is made for it."""

    name: str
    create: str
    query: str


# A query that asks for two values of one column would be answered by any index.
PREDICATES = ("state = 'new'", "seen IS NOT NULL", "few = 1")


def _index(chance: random.Random, table: str, number: int, all_columns: list[Column]) -> Index:
    method = chance.choices(("btree", "hash", "brin"), (20, 1, 1))[0]
    n_keys = 1 if method != "btree" else chance.choices((1, 2, 3), (4, 4, 2))[0]
    keys = chance.sample(all_columns, n_keys)
    predicate = chance.choice(PREDICATES) if chance.random() < 0.15 else None
    if predicate and predicate.split()[0] in {key.name for key in keys}:
        predicate = None
    directions = ["DESC" if method == "btree" and chance.random() < 0.15 else "" for _ in keys]
    listed = ", ".join(
        f"{key.name} {way}".strip() for key, way in zip(keys, directions, strict=True)
    )
    rest = [column.name for column in all_columns if column not in keys]
    included = (
        f" INCLUDE ({chance.choice(rest)})" if method == "btree" and chance.random() < 0.1 else ""
    )
    where = f" WHERE {predicate}" if predicate else ""
    name = f"{table}_i{number}"
    create = f"CREATE INDEX {name} ON {table} USING {method} ({listed}){included}{where}"
    return Index(name, create, _query(chance, table, keys, directions, predicate))


def _query(
    chance: random.Random,
    table: str,
    keys: Sequence[Column],
    directions: Sequence[str],
    predicate: str | None,
) -> str:
    """Look up the first keys, and perhaps take the rest in its order."""
    n = 20 * chance.randrange(1, ROWS // 20)
    n_equal = chance.randint(1, len(keys))
    conditions = [f"{key.name} = {key.literal(n)}" for key in keys[:n_equal]]
    conditions += [predicate] if predicate else []
    ordered = zip(keys[n_equal:], directions[n_equal:], strict=True)
    order = ", ".join(f"{key.name} {way}".strip() for key, way in ordered)
    tail = f" ORDER BY {order} LIMIT 10" if order and chance.random() < 0.7 else ""
    return f"SELECT id FROM {table} WHERE {' AND '.join(conditions)}{tail}"


def _copies(chance: random.Random, indexes: Sequence[Index]) -> list[Index]:
    chosen = chance.sample(indexes, 2)
    return [
        Index(
            f"{index.name}_copy",
            index.create.replace(f" {index.name} ", f" {index.name}_copy "),
            index.query,
        )
        for index in chosen
    ]


def _table(chance: random.Random, table: str) -> tuple[str, list[Index], list[Index]]:
    """Return a table's script, its indexes, and the copies among them."""
    made = columns(chance)
    foreign = [name for name in ("owner", "other") if chance.random() < 0.8]
    definitions = ", ".join(f"{column.name} {column.type}" for column in made)
    values = ", ".join(column.sql for column in made)
    n_indexes = chance.randint(5, 12)
    indexes = [_index(chance, table, number, made) for number in range(n_indexes)]
    if foreign and chance.random() < 0.7:
        name = f"{table}_owner"
        query = f"SELECT id FROM {table} WHERE {foreign[0]} = 77"
        indexes.append(Index(name, f"CREATE INDEX {name} ON {table} ({foreign[0]})", query))
    copies = _copies(chance, indexes)
    statements = [
        f"CREATE TABLE {table} (id int, {definitions})",
        f"INSERT INTO {table} SELECT n, {values} FROM generate_series(1, {ROWS}) n",
        f"ALTER TABLE {table} ADD PRIMARY KEY (id)",
        *(
            f"ALTER TABLE {table} ADD CONSTRAINT {table}_{name}_fk FOREIGN KEY ({name})"
            " REFERENCES parents"
            for name in foreign
        ),
        *(index.create for index in chance.sample([*indexes, *copies], len(indexes) + 2)),
    ]
    return ";\n".join(statements) + ";\n", [*indexes, *copies], copies


def random_schema(seed: int) -> Schema:
    """Return a schema by its number."""
    chance = random.Random(seed)
    script = (
        "CREATE TABLE parents (id int PRIMARY KEY, name text);\n"
        f"INSERT INTO parents SELECT n, 'p' || n FROM generate_series(0, {PARENT_ROWS}) n;\n"
    )
    tables = [_table(chance, table) for table in ("children", "entries")]
    indexes = list(chain.from_iterable(made for _, made, _ in tables))
    twins = [
        (copy.name, copy.name.removesuffix("_copy"))
        for copy in chain.from_iterable(made for _, _, made in tables)
    ]
    read = [index.query for index in indexes if chance.random() < 0.5]
    deletes = (f"DELETE FROM parents WHERE id = {PARENT_ROWS}",)
    return Schema(
        f"seed {seed}",
        script + "".join(script for script, _, _ in tables),
        tuple(read),
        writes=deletes if chance.random() < 0.5 else (),
        twins=tuple(map(frozenset, twins)),
        unread=frozenset(chance.choice(pair) for pair in twins),
    )
