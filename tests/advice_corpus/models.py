"""A schema in the image of a real one, with its workload and what is true of its indexes."""

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Schema:
    """One application's database.

    Attributes:
        tables: the script that makes and fills it: tables, rows, then constraints and indexes, as
            pg_dump orders them.
        queries: the reads of the application; each is answered by an index.
        writes: what is deleted and changed meanwhile, so that foreign keys are looked up.
        superfluous: indexes that another one makes superfluous and that must be told.
        twins: equal indexes; of each set at least one must be told. That not all go is found by
            experiment.
        unread: indexes that the queries do not use, because the planner prefers their twin.
        pairs: the same of indexes of which one covers the other. If only the smaller one is read,
            that is known after a window.
        unindexed: foreign keys whose DELETE is expensive, as `table.constraint`.
        skip_scanned: foreign keys whose DELETE is expensive up to version 17; from 18 a skip scan
            serves them.
        kept: indexes that no other one makes superfluous.
        invalid: indexes that are left of an interrupted build.
    """

    name: str
    tables: str
    queries: tuple[str, ...]
    writes: tuple[str, ...] = ()
    superfluous: frozenset[str] = frozenset()
    twins: tuple[frozenset[str], ...] = ()
    unread: frozenset[str] = frozenset()
    pairs: tuple[frozenset[str], ...] = ()
    unindexed: frozenset[str] = frozenset()
    skip_scanned: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()
    invalid: frozenset[str] = field(default_factory=frozenset[str])


VALUES = {
    "text": "'{column} ' || n",
    "int": "n",
    "bigint": "n",
    "numeric": "n * 1.5",
    "boolean": "n % 3 = 0",
    "date": "date '2025-01-01' + n",
    "timestamp": "timestamp '2025-01-01' + n * interval '1 hour'",
    "timestamptz": "timestamptz '2025-01-01' + n * interval '1 hour'",
    "jsonb": "jsonb_build_object('n', n)",
}
"""How a column of a small table is filled, by its type."""

SMALL = 40
"""Rows of a small table, and the least that a table has to which one refers."""


def small_tables(
    lines: str, *, index: str = "{table}_{column}_idx", key: str = "id", key_type: str = "bigint"
) -> str:
    """Write the script of the small tables that stand around the large ones.

    Args:
        lines: one table a line, such as `roles: name text unique, team_id>teams, at timestamptz+`:
            `>` is an indexed foreign key, `>>` one without an index, `+` an index on the column.
            `roles*0:` is an empty table, and `*1` has one row.
        index: how an index is called.
        key: the name of every primary key.
        key_type: its type; values of `text` are those that `text_key` gives.
    """
    return "".join(
        statement + ";\n"
        for line in lines.strip().splitlines()
        for statement in _table(line.strip(), index, key, key_type)
    )


def text_key(number: str) -> str:
    """Return the expression of a textual key by its number."""
    return f"'c' || md5(({number})::text)"


def _table(line: str, index: str, key: str, key_type: str) -> Iterator[str]:
    head, _, body = line.partition(":")
    table, _, n_rows = head.partition("*")
    columns, values = [f'"{key}" {key_type} PRIMARY KEY'], [_key("n", key_type)]
    indexed: list[str] = []
    for part in body.split(","):
        column, rest = _split(part.strip())
        if rest.startswith(">"):
            other = rest.lstrip(">")
            columns.append(f'"{column}" {key_type} REFERENCES "{other}"')
            values.append(_key(f"1 + n % {SMALL}", key_type))
        else:
            columns.append(f'"{column}" {rest.removesuffix("+")}')
            values.append(VALUES[rest.removesuffix("+").split()[0]].format(column=column))
        if rest.endswith("+") or (rest.startswith(">") and not rest.startswith(">>")):
            indexed.append(column)
    yield f'CREATE TABLE "{table}" ({", ".join(columns)})'
    yield (
        f'INSERT INTO "{table}" SELECT {", ".join(values)}'
        f" FROM generate_series(1, {n_rows or SMALL}) n"
    )
    for column in indexed:
        name = index.format(table=table, column=column)
        yield f'CREATE INDEX "{name}" ON "{table}" ("{column}")'


def _split(part: str) -> tuple[str, str]:
    if ">" in part:
        column, _, _ = part.partition(">")
        return column, part.removeprefix(column)
    column, _, kind = part.partition(" ")
    return column, kind


def _key(number: str, key_type: str) -> str:
    return text_key(number) if key_type == "text" else number
