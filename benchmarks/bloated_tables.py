"""Tables of many shapes, fill factors and kinds of damage, to verify bloat estimates."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

N_ROWS = 30_000

_ROW_OF_NULLS = ", ".join(f"CASE WHEN n % {k} > 0 THEN n END" for k in range(2, 14))

_SHAPES = {
    "bigint": ("id bigint PRIMARY KEY, note text", "n, 'note ' || n", "(id)"),
    "two integers": (
        "a int, b int, c float8, PRIMARY KEY (a, b)",
        "n, n % 1000, n / 3.0",
        "(b, a)",
    ),
    "uuid and text": (
        "id uuid PRIMARY KEY, mail text, at timestamptz",
        "md5(n::text)::uuid, 'user' || n || '@example.org', now() - n * interval '1 min'",
        "(mail)",
    ),
    "few values": (
        "id bigint, state text, flag boolean, amount numeric(12, 2)",
        "n, (ARRAY['new', 'paid', 'sent'])[1 + n % 3], n % 2 = 0, n * 1.25",
        "(state)",
    ),
    "foreign key": (
        "id bigint, author int, body text",
        "n, n % 2000, repeat('word ', 1 + n % 60)",
        "(author)",
    ),
    "nulls": (
        "id int, a text, b timestamptz, c int, d int, e int, f int, g int, h int",
        "n, CASE WHEN n % 3 = 0 THEN 'text ' || n END, CASE WHEN n % 2 = 0 THEN now() END,"
        " n, NULL, n, NULL, n, n",
        "(a)",
    ),
    "wide": (
        "id bigint, doc text",
        "n, (SELECT string_agg(md5(n::text || i), '') FROM generate_series(1, 1 + n % 40) i)",
        "(id)",
    ),
    "toasted": (
        "id bigint, doc text",
        "n, CASE WHEN n % 50 = 0 THEN"
        " (SELECT string_agg(md5(n::text || i), '') FROM generate_series(1, 300) i)"
        " ELSE 'small' END",
        "(id)",
    ),
    "mostly null text": (
        "id bigint, a text",
        "n, CASE WHEN n % 10 = 0 THEN md5(n::text) END",
        "(a)",
    ),
    "nullable before bigint": (
        "id bigint, r bigint",
        "n, CASE WHEN n % 20 > 6 THEN (n * 7919::bigint) % 20000 END",
        "(r, id DESC)",
    ),
    "nullable in the middle": (
        "id bigint, a int, b bigint, c int, note varchar(40)",
        "n, CASE WHEN n % 3 > 0 THEN n % 500 END, n * 3, CASE WHEN n % 2 > 0 THEN n END,"
        " CASE WHEN n % 5 > 0 THEN 'n' || n END",
        "(a, b, c)",
    ),
    "nulls together": (
        "id bigint, a int, b bigint, c int",
        "n, CASE WHEN n % 2 > 0 THEN n END, CASE WHEN n % 2 > 0 THEN n END,"
        " CASE WHEN n % 2 > 0 THEN n END",
        "(c, id, a)",
    ),
    "nulls apart": (
        "id bigint, a int, b bigint, c int, d bigint",
        "n, CASE WHEN n % 4 = 0 THEN n END, CASE WHEN n % 4 = 1 THEN n END,"
        " CASE WHEN n % 4 = 2 THEN n END, CASE WHEN n % 4 = 3 THEN n END",
        "(a, b, c, d, id)",
    ),
    "unique and nullable": (
        "id bigint, code int, unique (code)",
        "n, CASE WHEN n % 4 = 0 THEN n END",
        "(id, code)",
    ),
    "twelve nullable": (
        "id bigint, " + ", ".join(f"c{k} int" for k in range(12)),
        f"n, {_ROW_OF_NULLS}",
        "(c0, id)",
    ),
    "mixed widths": (
        "flag boolean, id bigint, a smallint, t text, at timestamptz, n numeric, b int, u uuid",
        "n % 2 = 0, n, n % 100, repeat('x', n % 23), now(), n * 1.1, n, md5(n::text)::uuid",
        "(flag, t, id)",
    ),
    "repeated char": ("id bigint, code char(3)", "n, 'abc'", "(code)"),
    "short text": (
        "code text, id bigint",
        "'abc' || n, n",
        "(code)",
    ),
    "long text": (
        "id bigint, doc text",
        "n, (SELECT string_agg(md5(n::text || i), '') FROM generate_series(1, 51) i)",
        "(id)",
    ),
    "dropped bigint": (
        "id bigint, gone bigint, note text, at timestamptz, u uuid",
        "n, n, 'note ' || n, now(), md5(n::text)::uuid",
        "(u)",
    ),
    "dropped text": (
        "id bigint, gone text, note text",
        "n, repeat('x', 40), 'note ' || n",
        "(id)",
    ),
    "added with default": (
        "id bigint, note text",
        "n, 'note ' || n",
        "(id)",
    ),
}
"""Columns, values and an index, by the name of the shape."""

_CHANGES = {
    "dropped bigint": "DROP COLUMN gone",
    "dropped text": "DROP COLUMN gone",
    "added with default": "ADD COLUMN kind int DEFAULT 7, ADD COLUMN label text DEFAULT 'a label'",
}
"""What is changed once the table is filled, by the name of the shape."""

_DAMAGES = ("fresh", "half deleted", "a stretch deleted", "updated", "fill factor 70")


@dataclass(frozen=True, slots=True)
class Case:
    """One table; vacuum and analyze it in a new session, once the counters have arrived."""

    name: str
    shape: str
    damage: str
    statements: tuple[str, ...]


def cases(n_rows: int = N_ROWS) -> Iterator[Case]:
    """Yield a table for every shape with every kind of damage."""
    for number, (shape, damage) in enumerate(product(_SHAPES, _DAMAGES)):
        name = f"bloated_{number:02}"
        columns, values, key = _SHAPES[shape]
        change = _CHANGES.get(shape)
        statements = _statements(name, columns, values, key, change, damage, n_rows)
        yield Case(name, shape, damage, tuple(statements))


def _statements(
    name: str,
    columns: str,
    values: str,
    key: str,
    change: str | None,
    damage: str,
    n_rows: int,
) -> Iterator[str]:
    storage = "WITH (fillfactor = 70)" if damage == "fill factor 70" else ""
    first = columns.split(maxsplit=1)[0]
    order = "n" if damage != "updated" else "md5(n::text)"
    yield f"CREATE TABLE {name} ({columns}) {storage}"
    yield f"ALTER TABLE {name} SET (autovacuum_enabled = false)"
    yield f"CREATE INDEX {name}_key ON {name} {key}"
    yield (
        f"INSERT INTO {name} SELECT {values} FROM generate_series(1, {n_rows}) n ORDER BY {order}"
    )
    if change is not None:
        yield f"ALTER TABLE {name} {change}"
    if damage == "half deleted":
        yield f"DELETE FROM {name} WHERE hashtext({first}::text) % 2 = 0"
    if damage == "a stretch deleted":
        yield (
            f"DELETE FROM {name} WHERE (ctid::text::point)[0] BETWEEN"
            f" (SELECT max((ctid::text::point)[0]) * 0.1 FROM {name})"
            f" AND (SELECT max((ctid::text::point)[0]) * 0.8 FROM {name})"
        )
    if damage == "updated":
        yield f"UPDATE {name} SET {first} = {first}"
        yield f"VACUUM {name}"
        yield f"UPDATE {name} SET {first} = {first} WHERE hashtext({first}::text) % 3 = 0"
