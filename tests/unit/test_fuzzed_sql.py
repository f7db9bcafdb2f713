"""Arbitrary files of SQL: one clear error, or what PostgreSQL would read; never a crash."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from pglast import parse_sql

from maintenance.names import QualifiedName
from maintenance.policy.declared_sql import DeclaredSqlError, parse_declarations, read_declarations
from maintenance.policy.query_conditions import implies, may_stop_early
from maintenance.policy.query_sql import QueryFilesError, parse_query, read_queries
from maintenance.policy.sql_parser import MAX_DEPTH
from maintenance.policy.view_sql import ViewSqlError, read_view_query, view_query
from tests.fuzz import Fuzz, fuzzed
from tests.mutations import HOSTILE_SQL, mutated_bytes, mutated_words

VIEW = QualifiedName("public", "v")
REFUSED = (DeclaredSqlError, QueryFilesError, ViewSqlError)
DECLARED = """-- wave: 2
-- serves: dashboard, list
-- replaces: public.old, other
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "by Kind" ON public.events USING btree
  (lower(kind) text_pattern_ops DESC NULLS LAST, at) INCLUDE (id, note) NULLS NOT DISTINCT
  WITH (fillfactor = 90, deduplicate_items) TABLESPACE fast
  WHERE kind IS NOT NULL AND note <> 'é; -- ''';
CREATE INDEX g ON events USING gin (data jsonb_path_ops);
-- expect: 10x
DROP INDEX public.third, fourth;
ALTER TABLE public.events ADD CONSTRAINT ok CHECK (id > 0) NOT VALID,
  ADD COLUMN c text GENERATED ALWAYS AS (lower(kind)) STORED;
"""
QUERY = """-- params: 'a', 42
-- params: 'b', 43
WITH recent AS (SELECT * FROM public.events WHERE at > now() - interval '1 day')
SELECT e.id, count(*) FROM recent e LEFT JOIN users u ON u.id = e.id
WHERE e.kind = $1 AND e.n BETWEEN $2 AND 100 /* c */ AND e.x IS NULL AND e.data @> '{"a": 1}'::jsonb
GROUP BY 1 ORDER BY e.at DESC NULLS LAST, id LIMIT 10;
"""
DEFINITION = """CREATE MATERIALIZED VIEW IF NOT EXISTS public.v AS -- c
SELECT kind, count(*) AS n, 'é' AS "B" FROM public.events GROUP BY 1 WITH NO DATA;
"""


def of_queries(path: Path) -> list[str]:
    return [query.prepare() for query in read_queries(path.parent)]


def of_view(path: Path) -> list[str]:
    return [read_view_query(path, VIEW)]


def of_declarations(path: Path) -> list[str]:
    return [each.text for each in read_declarations(path)]


READERS: dict[str, tuple[Callable[[Path], list[str]], str]] = {
    "declared queries": (of_queries, QUERY),
    "declared views": (of_view, DEFINITION),
    "declared sql": (of_declarations, DECLARED),
}


@fuzzed(*READERS)
def test_a_file_of_any_content_is_read_as_statements_or_refused(tmp_path: Path, fuzz: Fuzz) -> None:
    read, text = READERS[fuzz.kind]
    path = tmp_path / "queries" / "query.sql"
    path.parent.mkdir()

    def is_read(rng: random.Random) -> bool:
        content = mutated_words(text, HOSTILE_SQL, rng).encode()
        if rng.randrange(3) == 0:
            content = mutated_bytes(text.encode(), rng)
        path.write_bytes(content)
        try:
            statements = read(path)
        except REFUSED:
            return False
        assert b"\0" not in content, "what follows the NUL is ignored"
        assert [len(parse_sql(statement)) for statement in statements] == [1] * len(statements)
        return True

    fuzz.seed(is_read)


KEPT = [(kind, path) for kind in READERS for path in Fuzz(kind, 0).kept()]


@pytest.mark.parametrize(("kind", "path"), KEPT, ids=lambda each: getattr(each, "stem", each))
def test_what_was_once_misread_is_refused(tmp_path: Path, kind: str, path: Path) -> None:
    read, _ = READERS[kind]
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    with pytest.raises(REFUSED):
        read(copy)


def test_view_file_may_end_with_several_semicolons(tmp_path: Path) -> None:
    (tmp_path / "v.sql").write_text(f"{DEFINITION};\n;")
    (statement,) = of_view(tmp_path / "v.sql")
    assert statement.endswith("GROUP BY 1")


NESTED = {
    "sum": ("", "1 + ", "1", ""),
    "function": ("", "f(", "1", ")"),
    "subquery": ("", "(SELECT ", "1", ")"),
    "case": ("", "CASE WHEN a THEN ", "1", " END"),
    "casts": ("1", "", "", "::int"),
    "array": ("", "ARRAY[", "1", "]"),
}
PARTS_OF_A_LEVEL = 4
"""At most that many of the parser's tokens make one level of the examples."""


@pytest.mark.parametrize("kind", NESTED)
def test_expression_is_read_up_to_a_depth_and_refused_beyond(kind: str) -> None:
    def nested(n: int) -> str:
        before, opening, core, closing = NESTED[kind]
        return before + opening * n + core + closing * n

    within, beyond = nested(MAX_DEPTH // PARTS_OF_A_LEVEL), nested(MAX_DEPTH + 1)
    query = parse_query(f"SELECT {within} FROM t WHERE {within} = 1", "q")
    assert not may_stop_early("SELECT 1", "t")
    assert isinstance(implies(query.text, "t", "a = 1"), bool)
    query.narrowed(f"{within} = 1")
    assert view_query(f"SELECT {within}", VIEW)
    assert parse_declarations(f"CREATE INDEX i ON t (({within})) WHERE {within} = 1")
    with pytest.raises(QueryFilesError):
        parse_query(f"SELECT {beyond}", "q")
    with pytest.raises(ViewSqlError):
        view_query(f"SELECT {beyond}", VIEW)
    with pytest.raises(DeclaredSqlError):
        parse_declarations(f"CREATE INDEX i ON t (({beyond}))")


WIDE = {
    "list": "a IN (" + ", ".join(["f(1::int)"] * 1500) + ")",
    "alternatives": " OR ".join(["a = f(1) AND b IS NULL"] * 1500),
    "cases": "CASE " + "WHEN a = 1 THEN 2 + 3 " * 800 + "END = 1",
}


@pytest.mark.parametrize("kind", WIDE)
def test_expression_that_is_wide_and_not_deep_is_read(kind: str) -> None:
    assert parse_query(f"SELECT 1 FROM t WHERE {WIDE[kind]}", "q").relations


def test_mark_of_byte_order_before_a_file_is_no_part_of_it(tmp_path: Path) -> None:
    for kind, (read, text) in READERS.items():
        plain, marked = tmp_path / f"{kind}/a.sql", tmp_path / f"{kind}_marked/a.sql"
        for path, before in ((plain, b""), (marked, b"\xef\xbb\xbf")):
            path.parent.mkdir()
            path.write_bytes(before + text.encode())
        assert read(marked) == read(plain)
