"""Files of declared indexes: what they mean, and what is refused, with its place."""

from pathlib import Path

import pytest

from maintenance.errors import PolicyError, ProblemReason
from maintenance.names import QualifiedName
from maintenance.policy import load_policy
from maintenance.policy.declarations import (
    DESCENDING,
    NULLS_FIRST,
    CheckDeclaration,
    ColumnDeclaration,
    DeclaredKey,
    DropDeclaration,
    IndexDeclaration,
    meaning,
)
from maintenance.policy.declared_sql import (
    DeclaredSqlError,
    parse_declarations,
    read_declarations,
)

REASON = ProblemReason


def index(text: str) -> IndexDeclaration:
    """The only declaration of a text, an index."""
    (found,) = parse_declarations(text, "indexes.sql")
    assert isinstance(found, IndexDeclaration)
    return found


def test_index_has_all_its_parts() -> None:
    found = index(
        """
-- wave: 2
-- replaces: old_idx, sales."Old, Idx"
-- serves: q8, feed-1
-- expect: 10x
create unique index concurrently if not exists "Foo" on Sales."T" using btree
  (a, "B" desc nulls last, lower(c) collate "C" text_pattern_ops /* why */, (a + 1) asc nulls first)
  include (d, e) nulls not distinct with (fillfactor=70) tablespace fast
  where a = 1 and f in ('x', 'y');
"""
    )
    assert found.relation == QualifiedName("sales", "Foo")
    assert found.table == QualifiedName("sales", "T")
    assert (found.is_unique, found.method, found.nulls_not_distinct) == (True, "btree", True)
    assert found.keys == (
        DeclaredKey("a", "a"),
        DeclaredKey('"B" desc nulls last', "B", DESCENDING),
        DeclaredKey('lower(c) collate "C" text_pattern_ops', None, 0, has_class=True),
        DeclaredKey("(a + 1) asc nulls first", None, NULLS_FIRST),
    )
    assert (found.included, found.tablespace) == (("d", "e"), "fast")
    assert found.options == (("fillfactor", "70"),)
    assert found.predicate == "a = 1 and f in ('x', 'y')"
    assert found.columns == ("a", "B", "c", "f", "d", "e")
    assert found.has_expression
    assert found.wave == 2
    assert found.annotations.replaces == (
        QualifiedName("sales", "old_idx"),
        QualifiedName("sales", "Old, Idx"),
    )
    assert found.annotations.serves == ("q8", "feed-1")
    assert found.annotations.expect == 10
    assert found.place == ("indexes.sql", 6, 1)


def test_index_is_created_for_its_table_or_another_one() -> None:
    found = index('CREATE UNIQUE INDEX "I" ON t (a DESC, lower(b)) TABLESPACE x WHERE a > 0')
    assert found.create() == (
        'CREATE UNIQUE INDEX CONCURRENTLY "I" ON public.t'
        " USING btree (a DESC, lower(b)) TABLESPACE x WHERE a > 0"
    )
    leaf = QualifiedName("parts", "t 1")
    assert found.create(name="j", table=leaf, only=True, concurrently=False, tablespace=False) == (
        'CREATE UNIQUE INDEX j ON ONLY parts."t 1" USING btree (a DESC, lower(b)) WHERE a > 0'
    )
    assert found.create(definition="btree (a)").endswith(" ON public.t USING btree (a)")


def test_drops_checks_and_columns_are_read() -> None:
    drops = parse_declarations('DROP INDEX CONCURRENTLY IF EXISTS a, s."B";', "f.sql")
    assert [d.relation for d in drops if isinstance(d, DropDeclaration)] == [
        QualifiedName("public", "a"),
        QualifiedName("s", "B"),
    ]
    check, column = parse_declarations(
        "ALTER TABLE s.t ADD CONSTRAINT c CHECK (q > 0 AND (r <> 1)) NOT VALID, ADD COLUMN IF NOT"
        " EXISTS v tsvector GENERATED ALWAYS AS (to_tsvector('english', coalesce(t, ''))) STORED",
        "f.sql",
    )
    assert isinstance(check, CheckDeclaration)
    assert (check.object, check.expression) == ("s.t.c", "q > 0 AND (r <> 1)")
    assert check.columns == ("q", "r")
    assert isinstance(column, ColumnDeclaration)
    assert (column.object, column.is_virtual) == ("s.t.v", False)
    assert column.expression == "to_tsvector('english', coalesce(t, ''))"
    assert column.definition == f"tsvector GENERATED ALWAYS AS ({column.expression}) STORED"


@pytest.mark.parametrize(
    ("text", "line", "column", "reason"),
    [
        ("garbage", 1, 1, REASON.MALFORMED),
        ("CREATE INDEX a ON t (b);\n  garbage (", 2, 3, REASON.MALFORMED),
        ("CREATE INDEX a ON t (b) WHERE", 1, 30, REASON.MALFORMED),
        ("CREATE INDEX a ON t (b); \0", 1, 26, REASON.MALFORMED),
        ("\\d t", 1, 1, REASON.MALFORMED),
        ("-- é\nSELECT 1", 2, 1, REASON.UNKNOWN_VALUE),
        ("CREATE TABLE t (a int)", 1, 1, REASON.UNKNOWN_VALUE),
        ("REINDEX INDEX a", 1, 1, REASON.UNKNOWN_VALUE),
        ("DROP TABLE t", 1, 1, REASON.UNKNOWN_VALUE),
        ("DROP INDEX a CASCADE", 1, 1, REASON.UNKNOWN_VALUE),
        ("CREATE INDEX ON t (a)", 1, 1, REASON.UNKNOWN_VALUE),
        ("CREATE INDEX a ON ONLY t (a)", 1, 1, REASON.UNKNOWN_VALUE),
        ("CREATE INDEX a ON d.s.t (a)", 1, 1, REASON.UNKNOWN_VALUE),
        ("CREATE INDEX a ON t (a) INCLUDE (lower(b))", 1, 1, REASON.UNKNOWN_VALUE),
        ("ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u", 1, 15, REASON.UNKNOWN_VALUE),
        ("ALTER TABLE t ADD CHECK (a > 0)", 1, 15, REASON.UNKNOWN_VALUE),
        ("ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0) NOT ENFORCED", 1, 15, REASON.UNKNOWN_VALUE),
        ("ALTER TABLE t ADD COLUMN a int", 1, 15, REASON.UNKNOWN_VALUE),
        ("ALTER TABLE t ADD COLUMN a int GENERATED ALWAYS AS (b) STORED NOT NULL", 1, 15,
         REASON.UNKNOWN_VALUE),
        ("ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0), DROP COLUMN b", 1, 1, REASON.UNKNOWN_VALUE),
        ("ALTER INDEX a RENAME TO b", 1, 1, REASON.UNKNOWN_VALUE),
        ("CREATE INDEX a ON t (b);\nCREATE INDEX a ON u (c)", 2, 1, REASON.DUPLICATE_NAME),
        ("CREATE INDEX a ON t (b);\nDROP INDEX a", 2, 1, REASON.DUPLICATE_NAME),
        ("DROP INDEX a;\nDROP INDEX b, a", 2, 1, REASON.DUPLICATE_NAME),
        ("CREATE INDEX a ON t (b);\n-- replaces: a\nCREATE INDEX c ON t (b, d)", 3, 1,
         REASON.DUPLICATE_NAME),
        ("-- wavee: 1\nCREATE INDEX a ON t (b)", 1, 1, REASON.UNKNOWN_KEY),
        ("-- Wave: 1\nCREATE INDEX a ON t (b)", 1, 1, REASON.UNKNOWN_KEY),
        ("-- wave: 0\nCREATE INDEX a ON t (b)", 1, 1, REASON.MALFORMED),
        ("-- wave: one\nCREATE INDEX a ON t (b)", 1, 1, REASON.MALFORMED),
        ("-- wave: 1\n-- wave: 2\nCREATE INDEX a ON t (b)", 2, 1, REASON.DUPLICATE_KEY),
        ("-- replaces:\nCREATE INDEX a ON t (b)", 1, 1, REASON.MALFORMED),
        ("-- replaces: b c\nCREATE INDEX a ON t (b)", 1, 1, REASON.MALFORMED),
        ("-- serves: q8.sql/x\nCREATE INDEX a ON t (b)", 1, 1, REASON.MALFORMED),
        ("-- expect: fast\nCREATE INDEX a ON t (b)", 1, 1, REASON.MALFORMED),
        ("-- expect: 100 %\nCREATE INDEX a ON t (b)", 1, 1, REASON.MALFORMED),
        ("-- wave: 1\n\nCREATE INDEX a ON t (b)", 1, 1, REASON.MALFORMED),
        ("CREATE INDEX a ON t (b); -- wave: 1", 1, 26, REASON.MALFORMED),
    ],
)  # fmt: skip
def test_anything_else_is_refused_at_its_place(
    text: str, line: int, column: int, reason: ProblemReason
) -> None:
    with pytest.raises(DeclaredSqlError) as caught:
        parse_declarations(text, "indexes.sql")
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.column) == ("indexes.sql", line, column)
    assert problem.reason is reason


def test_every_statement_that_is_refused_is_told() -> None:
    with pytest.raises(DeclaredSqlError) as caught:
        parse_declarations("SELECT 1;\nCREATE INDEX a ON t (b);\nVACUUM;", "f.sql")
    assert [problem.line for problem in caught.value.problems] == [1, 3]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-- nothing yet",
        "-- since: 15\n-- a note: of no meaning\nCREATE INDEX a ON t (b);;",
        "-- see https://example.org\nCREATE INDEX a ON t (b)",
        "/* wave: 1 */ CREATE INDEX a ON t (b)",
    ],
)
def test_other_comments_are_free(text: str) -> None:
    assert [each.annotations for each in parse_declarations(text) if any(each.annotations)] == []


def test_saved_time_is_a_ratio_of_times() -> None:
    assert index("-- expect: 90 %\nCREATE INDEX a ON t (b)").annotations.expect == 10
    assert index("-- expect: 2.5 x\nCREATE INDEX a ON t (b)").annotations.expect == 2.5


def test_index_of_the_same_name_may_be_replaced() -> None:
    found = index("-- replaces: a\nCREATE INDEX a ON t (b)")
    assert found.annotations.replaces == (found.relation,)


@pytest.mark.parametrize(
    ("text", "columns", "whole"),
    [
        ("CREATE INDEX a ON t (f(t))", (), True),
        ("CREATE INDEX a ON t (f(t.*), b)", ("b",), True),
        ("CREATE INDEX a ON t (t, (t.b + 1))", ("t", "b"), False),
        ("CREATE INDEX a ON t ((b IS NULL)) WHERE coalesce(c, d) > 0", ("b", "c", "d"), False),
    ],
)
def test_columns_that_an_index_names(text: str, columns: tuple[str, ...], *, whole: bool) -> None:
    found = index(text)
    assert (found.columns, found.has_whole_row) == (columns, whole)


def test_meaning_is_independent_of_comments_and_layout() -> None:
    one = index("CREATE INDEX a ON t (b, c) WHERE d > 0")
    other = index("-- why\n\nCREATE INDEX CONCURRENTLY IF NOT EXISTS a\n ON t (b,c) WHERE d>0;")
    assert meaning(one) == meaning(other)
    assert meaning(one) != meaning(index("CREATE INDEX a ON t (b, c) WHERE d > 1"))


def test_folder_is_read_in_the_order_of_names_and_parsed_again_after_a_change(
    tmp_path: Path,
) -> None:
    (tmp_path / "2.sql").write_text("CREATE INDEX b ON t (b)")
    (tmp_path / "1.sql").write_text("CREATE INDEX a ON t (b)")
    names = [d.name for d in read_declarations(tmp_path) if isinstance(d, IndexDeclaration)]
    assert names == ["a", "b"]
    (tmp_path / "1.sql").write_text("CREATE INDEX another ON t (b)")
    assert len(read_declarations(tmp_path)) == 2
    (tmp_path / "1.sql").write_text("CREATE INDEX b ON t (b)")
    with pytest.raises(DeclaredSqlError) as caught:
        read_declarations(tmp_path)
    assert [problem.reason for problem in caught.value.problems] == [REASON.DUPLICATE_NAME]


# In a policy


def a_policy(folder: Path, sql: str, further: str = "") -> Path:
    (folder / "indexes.sql").write_text(sql)
    path = folder / "app.yaml"
    path.write_text(
        f"database: {{name: app, url: {{env: URL}}}}\nindexes: {{declared: indexes.sql{further}}}\n"
    )
    return path


def test_policy_refuses_its_file_of_declarations(tmp_path: Path) -> None:
    with pytest.raises(PolicyError) as caught:
        load_policy(a_policy(tmp_path, "CREATE INDEX a ON t (b);\nDROP TABLE t;"))
    (problem,) = caught.value.problems
    assert (Path(problem.file).name, problem.line) == ("indexes.sql", 2)
    assert caught.value.exit_code == 2


def test_query_that_an_index_serves_must_be_there(tmp_path: Path) -> None:
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries" / "feed.sql").write_text("SELECT 1")
    sql = "-- serves: feed, fed\nCREATE INDEX a ON t (b)"
    with pytest.raises(PolicyError) as caught:
        load_policy(a_policy(tmp_path, sql, ", queries: queries"))
    (problem,) = caught.value.problems
    assert (problem.reason, problem.line) == (REASON.NO_SUCH_FILE, 2)
    assert "feed" in problem.hint


def test_hash_follows_the_meaning_of_the_declarations(tmp_path: Path) -> None:
    def hash_of(sql: str) -> str:
        return load_policy(a_policy(tmp_path, sql)).hash

    one = hash_of("CREATE INDEX a ON t (b)")
    assert hash_of("-- a note\nCREATE INDEX CONCURRENTLY a ON t (b);") == one
    assert hash_of("CREATE INDEX a ON t (b, c)") != one
    assert hash_of("-- wave: 2\nCREATE INDEX a ON t (b)") != one
