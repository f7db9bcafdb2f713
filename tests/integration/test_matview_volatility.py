"""What a view's content follows besides the rows of its tables: no view is left alone over it.

Many views in one database: each with what it stands on, and with something that changes its
content, or may, without writing a row of a table that its query names.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest

from maintenance.engine.plan import Plan
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from maintenance.server.session import pinned_settings
from maintenance.subjects.matviews.settings import (
    CATEGORIES,
    DECIDED_ONE_BY_ONE,
    DECISIONS,
    IRRELEVANT_AS_A_WHOLE,
)
from tests.builders import Database
from tests.policies import make_policy
from tests.sessions import session

HAS_XML = 15
"""The server among those of the tests that was built with libxml."""


@dataclass(frozen=True)
class Idea:
    """A view, and what changes its content.

    Attributes:
        setup: run in a schema of its own, which is on the search_path; so is the change.
        since: the first major version that knows its syntax.
        xml: whether it needs a server that was built with libxml.
    """

    query: str
    setup: str = ""
    change: str = ""
    since: int = 15
    xml: bool = False


T = "CREATE TABLE t (id int, d text, n numeric); INSERT INTO t VALUES (1, 'now', 1.5), (2, '7', 2);"
TAGS = "CREATE TABLE tags (id int, tag text); INSERT INTO tags VALUES (1, 'hot');"
HAS_TAG = """CREATE FUNCTION has_tag(i int, g text) RETURNS bool LANGUAGE sql STABLE BEGIN ATOMIC
  SELECT EXISTS (SELECT FROM tags x WHERE x.id = i AND x.tag = g); END;"""
OPAQUE = """CREATE FUNCTION n_tags(i int) RETURNS bigint LANGUAGE sql IMMUTABLE
  SET search_path FROM CURRENT AS 'SELECT count(*) FROM tags WHERE id = i';"""
MORE_TAGS = "INSERT INTO tags VALUES (2, 'hot'), (7, 'x')"
ONE_MORE = "CREATE TABLE late (x int)"

IDEAS = {
    "operator whose function reads a table": Idea(
        "SELECT id, id OPERATOR(##) 'hot' AS hot FROM t",
        T + TAGS + HAS_TAG + "CREATE OPERATOR ## (LEFTARG = int, RIGHTARG = text,"
        " FUNCTION = has_tag);",
        MORE_TAGS,
    ),
    "operator whose function has a string for a body": Idea(
        "SELECT id, ### id AS n FROM t",
        T + TAGS + OPAQUE + "CREATE OPERATOR ### (RIGHTARG = int, FUNCTION = n_tags);",
        MORE_TAGS,
    ),
    "operator in a function's body": Idea(
        "SELECT id, marked(id) AS hot FROM t",
        T + TAGS + HAS_TAG + "CREATE OPERATOR ## (LEFTARG = int, RIGHTARG = text,"
        " FUNCTION = has_tag); CREATE FUNCTION marked(i int) RETURNS bool LANGUAGE sql STABLE"
        " BEGIN ATOMIC SELECT i OPERATOR(##) 'hot'; END;",
        MORE_TAGS,
    ),
    "operator in a view": Idea(
        "SELECT * FROM w",
        T + TAGS + HAS_TAG + "CREATE OPERATOR ## (LEFTARG = int, RIGHTARG = text,"
        " FUNCTION = has_tag);"
        " CREATE VIEW w AS SELECT id FROM t WHERE id OPERATOR(##) 'hot';",
        MORE_TAGS,
    ),
    "operator with ANY": Idea(
        "SELECT id FROM t WHERE id OPERATOR(##) ANY (ARRAY['hot', 'cold'])",
        T + TAGS + HAS_TAG + "CREATE OPERATOR ## (LEFTARG = int, RIGHTARG = text,"
        " FUNCTION = has_tag);",
        MORE_TAGS,
    ),
    "operator class whose order is a table's": Idea(
        "SELECT min(x.n) AS n FROM (SELECT id AS n, row_number() OVER (ORDER BY id USING <<<) AS r"
        " FROM t) x",
        T
        + TAGS
        + """
        CREATE FUNCTION cmp(a int, b int) RETURNS int LANGUAGE sql IMMUTABLE
          SET search_path FROM CURRENT
          AS 'SELECT sign(b - a)::int * (SELECT count(*)::int FROM tags)';
        CREATE FUNCTION lt(a int, b int) RETURNS bool LANGUAGE sql IMMUTABLE
          SET search_path FROM CURRENT AS 'SELECT cmp(a,b)<0';
        CREATE FUNCTION le(a int, b int) RETURNS bool LANGUAGE sql IMMUTABLE
          SET search_path FROM CURRENT AS 'SELECT cmp(a,b)<1';
        CREATE FUNCTION ge(a int, b int) RETURNS bool LANGUAGE sql IMMUTABLE
          SET search_path FROM CURRENT AS 'SELECT cmp(a,b)>-1';
        CREATE FUNCTION gt(a int, b int) RETURNS bool LANGUAGE sql IMMUTABLE
          SET search_path FROM CURRENT AS 'SELECT cmp(a,b)>0';
        CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);
        CREATE OPERATOR <<< (LEFTARG = int, RIGHTARG = int, FUNCTION = lt);
        CREATE OPERATOR <<= (LEFTARG = int, RIGHTARG = int, FUNCTION = le);
        CREATE OPERATOR >>= (LEFTARG = int, RIGHTARG = int, FUNCTION = ge);
        CREATE OPERATOR >>> (LEFTARG = int, RIGHTARG = int, FUNCTION = gt);
        CREATE OPERATOR CLASS odd FOR TYPE int USING btree AS OPERATOR 1 <<<, OPERATOR 2 <<=,
          OPERATOR 3 ===, OPERATOR 4 >>=, OPERATOR 5 >>>, FUNCTION 1 cmp(int, int);""",
        MORE_TAGS,
    ),
    "operator class of an enum, used inside of arrays": Idea(
        "SELECT ARRAY[m] < ARRAY['b'::e] AS x FROM t2",
        """CREATE TYPE e AS ENUM ('a', 'b'); CREATE TABLE t2 (m e); INSERT INTO t2 VALUES ('a');
        CREATE TABLE tags (n int);
        CREATE FUNCTION ecmp(x e, y e) RETURNS int LANGUAGE plpgsql IMMUTABLE
          SET search_path FROM CURRENT AS 'BEGIN RETURN (SELECT count(*) FROM tags); END';
        CREATE OPERATOR CLASS odd DEFAULT FOR TYPE e USING btree AS OPERATOR 1 < (anyenum, anyenum),
          OPERATOR 2 <= (anyenum, anyenum), OPERATOR 3 = (anyenum, anyenum),
          OPERATOR 4 >= (anyenum, anyenum), OPERATOR 5 > (anyenum, anyenum),
          FUNCTION 1 ecmp(e, e);""",
        "INSERT INTO tags VALUES (1)",
    ),
    "operator class made later for an enum": Idea(
        "SELECT GREATEST(m, 'a'::e) AS x FROM t2",
        """CREATE TYPE e AS ENUM ('a', 'b'); CREATE TABLE t2 (m e); INSERT INTO t2 VALUES ('b');
        CREATE FUNCTION ecmp(x e, y e) RETURNS int LANGUAGE plpgsql IMMUTABLE
          SET search_path FROM CURRENT AS 'BEGIN RETURN -enum_cmp(x, y); END';""",
        """CREATE OPERATOR CLASS odd DEFAULT FOR TYPE e USING btree AS
          OPERATOR 1 < (anyenum, anyenum), OPERATOR 2 <= (anyenum, anyenum),
          OPERATOR 3 = (anyenum, anyenum), OPERATOR 4 >= (anyenum, anyenum),
          OPERATOR 5 > (anyenum, anyenum), FUNCTION 1 ecmp(e, e)""",
    ),
    "text read as a time": Idea("SELECT id, d::timestamptz AS d FROM t WHERE id = 1", T),
    "text read as a date": Idea("SELECT id, d::date AS d FROM t WHERE id = 1", T),
    "text read as a time of day": Idea("SELECT id, d::time AS d FROM t WHERE id = 1", T),
    "text read as an array of times": Idea(
        "SELECT id, ('{' || d || '}')::timestamp[] AS d FROM t WHERE id = 1", T
    ),
    "text read as a row with a time": Idea(
        "SELECT id, ('(' || d || ')')::r AS d FROM t WHERE id = 1",
        T + "CREATE TYPE r AS (at timestamptz);",
    ),
    "text read as a domain over a date": Idea(
        "SELECT id, d::dd AS d FROM t WHERE id = 1", T + "CREATE DOMAIN dd AS date;"
    ),
    "text read as a range of dates": Idea(
        "SELECT id, ('[' || d || ',)')::daterange AS d FROM t WHERE id = 1", T
    ),
    "text read as money": Idea("SELECT id, d::money AS d FROM t WHERE id = 2", T),
    "text read as a relation": Idea("SELECT 'pg_class'::text::regclass::oid AS x"),
    "elements of an array read as times": Idea(
        "SELECT a::timestamptz[] AS x FROM u",
        "CREATE TABLE u (a text[]); INSERT INTO u VALUES ('{now}');",
    ),
    "XML read as a time": Idea(
        "SELECT x.* FROM u, XMLTABLE('/r' PASSING u.x COLUMNS d timestamptz PATH 'd') x",
        "CREATE TABLE u (x xml); INSERT INTO u VALUES ('<r><d>now</d></r>');",
        xml=True,
    ),
    "JSON_VALUE read as a time": Idea(
        "SELECT JSON_VALUE(j, '$.d' RETURNING timestamptz) AS d FROM u",
        """CREATE TABLE u (j jsonb); INSERT INTO u VALUES ('{"d": "now"}');""",
        since=17,
    ),
    "JSON_QUERY read as a domain": Idea(
        "SELECT JSON_QUERY(j, '$.d' RETURNING dd OMIT QUOTES) AS d FROM u",
        """CREATE TABLE u (j jsonb); INSERT INTO u VALUES ('{"d": "now"}');
        CREATE DOMAIN dd AS date;""",
        since=17,
    ),
    "JSON_TABLE read as a time": Idea(
        "SELECT x.* FROM u, JSON_TABLE(u.j, '$' COLUMNS (d timestamp PATH '$.d')) x",
        """CREATE TABLE u (j jsonb); INSERT INTO u VALUES ('{"d": "now"}');""",
        since=17,
    ),
    "JSON read as a row": Idea(
        "SELECT (jsonb_populate_record(NULL::r, j)).at AS at FROM u",
        """CREATE TYPE r AS (at timestamptz); CREATE TABLE u (j jsonb);
        INSERT INTO u VALUES ('{"at": "now"}');""",
    ),
    "JSON read as a list of columns": Idea(
        "SELECT x.at FROM u, json_to_record(u.j) AS x(at timestamptz)",
        """CREATE TABLE u (j json); INSERT INTO u VALUES ('{"at": "now"}');""",
    ),
    "money as text": Idea(
        "SELECT m::text AS m FROM u", "CREATE TABLE u (m money); INSERT INTO u VALUES (1.5);"
    ),
    "money as JSON": Idea(
        "SELECT to_jsonb(u) AS m FROM u", "CREATE TABLE u (m money); INSERT INTO u VALUES (1.5);"
    ),
    "money in an array as text": Idea(
        "SELECT array_to_string(m, ',') AS m FROM u",
        "CREATE TABLE u (m money[]); INSERT INTO u VALUES ('{1.5}');",
    ),
    "money as XML": Idea(
        "SELECT xmlelement(name a, m)::text AS m FROM u",
        "CREATE TABLE u (m money); INSERT INTO u VALUES (1.5);",
        xml=True,
    ),
    "money read from a number": Idea("SELECT n::money AS m FROM t", T),
    "number by a pattern of the locale": Idea("SELECT to_char(n, '9D9L') AS m FROM t", T),
    "month's name": Idea(
        "SELECT to_char(at, 'TMMonth') AS m FROM u",
        "CREATE TABLE u (at timestamp); INSERT INTO u VALUES ('2026-01-01');",
    ),
    "name of a relation as text": Idea(
        "SELECT 'late'::regclass::text AS x", ONE_MORE, "ALTER TABLE late RENAME TO later"
    ),
    "name of a role as text": Idea("SELECT 10::oid::regrole::text AS x"),
    "name of a role behind rights": Idea(
        "SELECT a::text AS x FROM u",
        "CREATE TABLE u (a aclitem[]); INSERT INTO u VALUES ('{pg_monitor=r/postgres}');",
    ),
    "name of a namespace as JSON": Idea(
        "SELECT to_jsonb(u) AS x FROM u",
        "CREATE TABLE u (a regnamespace); INSERT INTO u VALUES ('pg_toast');",
    ),
    "owner of a relation": Idea("SELECT pg_get_userbyid(10) AS x"),
    "right on a table": Idea(
        "SELECT has_table_privilege('pg_monitor', 'late'::regclass, 'SELECT') AS x",
        ONE_MORE,
        "GRANT SELECT ON late TO pg_monitor",
    ),
    "right by OID": Idea(
        "SELECT has_schema_privilege(10, 11, 'USAGE') AS x",
    ),
    "whether a relation is there": Idea("SELECT to_regclass('public.nothing') IS NULL AS x"),
    "whether a function is there": Idea("SELECT to_regproc('nothing') IS NULL AS x"),
    "comment": Idea(
        "SELECT obj_description('late'::regclass) AS x", ONE_MORE, "COMMENT ON TABLE late IS 'c'"
    ),
    "definition of an index": Idea(
        "SELECT pg_get_indexdef('i'::regclass) AS x",
        "CREATE TABLE t (id int); CREATE INDEX i ON t (id);",
        "ALTER INDEX i RENAME TO j",
    ),
    "root of a partition": Idea(
        "SELECT pg_partition_root('p_1')::oid = 'p'::regclass::oid AS x",
        "CREATE TABLE p (id int) PARTITION BY LIST (id);"
        " CREATE TABLE p_1 PARTITION OF p FOR VALUES IN (1);",
        "ALTER TABLE p DETACH PARTITION p_1",
    ),
    "hash of a partition": Idea(
        "SELECT satisfies_hash_partition('p'::regclass, 2, 0, 1) AS x",
        "CREATE TABLE p (id int) PARTITION BY HASH (id);",
    ),
    "type's name": Idea("SELECT format_type(23, NULL) AS x"),
    "labels of an enum": Idea(
        "SELECT enum_range(NULL::e)::text AS x",
        "CREATE TYPE e AS ENUM ('a')",
        "ALTER TYPE e ADD VALUE 'b'",
    ),
    "size": Idea("SELECT pg_relation_size('t'::regclass) AS x", T, "INSERT INTO t VALUES (3)"),
    "text search configuration": Idea(
        "SELECT to_tsvector('mine', d) AS x FROM t",
        T + "CREATE TEXT SEARCH CONFIGURATION mine (COPY = pg_catalog.english);",
        "ALTER TEXT SEARCH CONFIGURATION mine DROP MAPPING FOR asciiword",
    ),
    "text search configuration by default": Idea("SELECT to_tsvector(d) AS x FROM t", T),
    "text search query": Idea(
        "SELECT plainto_tsquery('mine', d) AS x FROM t",
        T + "CREATE TEXT SEARCH CONFIGURATION mine (COPY = pg_catalog.english);",
        "ALTER TEXT SEARCH CONFIGURATION mine DROP MAPPING FOR asciiword",
    ),
    "text search dictionary": Idea(
        "SELECT ts_lexize('dict', 'the') AS x FROM t",
        T + "CREATE TEXT SEARCH DICTIONARY dict (TEMPLATE = simple, stopwords = english);",
        "ALTER TEXT SEARCH DICTIONARY dict (stopwords)",
    ),
    "conversion found by name": Idea("SELECT convert_from('x'::bytea, 'LATIN1') AS x"),
    "domain whose constraint reads a table": Idea(
        "SELECT d::tagged AS x FROM t WHERE id = 2",
        T
        + TAGS
        + """CREATE FUNCTION is_tag(g text) RETURNS bool LANGUAGE sql STABLE BEGIN ATOMIC
          SELECT (SELECT count(*) FROM tags) < 2; END;
        CREATE DOMAIN tagged AS text CHECK (is_tag(VALUE));""",
        MORE_TAGS,
    ),
    "constraint added to a domain": Idea(
        "SELECT d::dd AS x FROM t",
        T + "CREATE DOMAIN dd AS text;",
        "ALTER DOMAIN dd ADD CHECK (VALUE <> 'x')",
    ),
    "aggregate whose function reads a table": Idea(
        "SELECT tagged_sum(id) AS x FROM t",
        T
        + TAGS
        + """CREATE FUNCTION add(s bigint, i int) RETURNS bigint LANGUAGE sql STABLE
          BEGIN ATOMIC SELECT s + i * (SELECT count(*) FROM tags); END;
        CREATE AGGREGATE tagged_sum(int) (SFUNC = add, STYPE = bigint, INITCOND = '0');""",
        MORE_TAGS,
    ),
    "aggregate whose last function has a string for a body": Idea(
        "SELECT last_n(id) AS x FROM t",
        T
        + TAGS
        + OPAQUE
        + """CREATE AGGREGATE last_n(int)
          (SFUNC = int4larger, STYPE = int, FINALFUNC = n_tags);""",
        MORE_TAGS,
    ),
    "cast whose function reads a table": Idea(
        "SELECT ROW(id)::r::int AS x FROM t",
        T
        + TAGS
        + """CREATE TYPE r AS (a int);
        CREATE FUNCTION r_int(v r) RETURNS int LANGUAGE sql STABLE
          BEGIN ATOMIC SELECT count(*)::int FROM tags; END;
        CREATE CAST (r AS int) WITH FUNCTION r_int(r);""",
        MORE_TAGS,
    ),
    "cast to JSON that to_jsonb finds by itself": Idea(
        "SELECT to_jsonb(m) AS x FROM u",
        TAGS
        + """CREATE TYPE e AS ENUM ('a'); CREATE TABLE u (m e); INSERT INTO u VALUES ('a');
        CREATE FUNCTION e_json(v e) RETURNS json LANGUAGE plpgsql IMMUTABLE
          SET search_path FROM CURRENT AS 'BEGIN RETURN to_json((SELECT count(*) FROM tags)); END';
        CREATE CAST (e AS json) WITH FUNCTION e_json(e);""",
        MORE_TAGS,
    ),
    "cast to JSON made later": Idea(
        "SELECT to_jsonb(u) AS x FROM u",
        """CREATE TYPE e AS ENUM ('a'); CREATE TABLE u (m e); INSERT INTO u VALUES ('a');
        CREATE FUNCTION e_json(v e) RETURNS json LANGUAGE sql IMMUTABLE BEGIN ATOMIC
          SELECT '1'::json; END;""",
        "CREATE CAST (e AS json) WITH FUNCTION e_json(e)",
    ),
    "range whose bounds are sorted by a function of the owner": Idea(
        "SELECT tr(id::smallint, 9::smallint) && tr(2::smallint, 3::smallint) AS x FROM t",
        T + "CREATE TYPE tr AS RANGE (SUBTYPE = smallint, SUBTYPE_OPCLASS = odd_ops);",
    ),
    "default of an argument": Idea(
        "SELECT f(id) AS x FROM t",
        T + "CREATE FUNCTION f(i int, at timestamptz DEFAULT clock_timestamp()) RETURNS timestamptz"
        " LANGUAGE sql IMMUTABLE BEGIN ATOMIC SELECT at; END;",
    ),
    "default of an argument that changes": Idea(
        "SELECT f(id) AS x FROM t",
        T + "CREATE FUNCTION f(i int, j int DEFAULT 1) RETURNS int LANGUAGE sql IMMUTABLE"
        " BEGIN ATOMIC SELECT i + j; END;",
        "CREATE OR REPLACE FUNCTION f(i int, j int DEFAULT 2) RETURNS int LANGUAGE sql IMMUTABLE"
        " BEGIN ATOMIC SELECT i + j; END;",
    ),
    "built-in that is called by another name": Idea(
        "SELECT my_now() AS x",
        "CREATE FUNCTION my_now() RETURNS timestamptz LANGUAGE internal IMMUTABLE AS 'now'",
    ),
    "body in another language": Idea(
        "SELECT n_tags(id) AS x FROM t",
        T + TAGS + "CREATE FUNCTION n_tags(i int) RETURNS bigint LANGUAGE plpgsql IMMUTABLE"
        " SET search_path FROM CURRENT AS 'BEGIN RETURN (SELECT count(*) FROM tags); END';",
        MORE_TAGS,
    ),
    "body that is a string": Idea("SELECT n_tags(id) AS x FROM t", T + TAGS + OPAQUE, MORE_TAGS),
    "function in a FROM": Idea(
        "SELECT x.* FROM listed() x",
        TAGS + "CREATE FUNCTION listed() RETURNS SETOF tags LANGUAGE sql STABLE ROWS 1"
        " SET search_path FROM CURRENT AS 'SELECT * FROM tags';",
        MORE_TAGS,
    ),
    "virtual column whose expression changes": Idea(
        "SELECT v FROM g",
        "CREATE TABLE g (a int, v int GENERATED ALWAYS AS (a * 2) VIRTUAL);"
        " INSERT INTO g VALUES (1);",
        "ALTER TABLE g ALTER v SET EXPRESSION AS (a * 3)",
        since=18,
    ),
    "policy made later": Idea(
        "SELECT id FROM t",
        T,
        "CREATE POLICY p ON t USING (id = 1); ALTER TABLE t ENABLE ROW LEVEL SECURITY",
    ),
    "child made later": Idea(
        "SELECT id FROM t", T, "CREATE TABLE c () INHERITS (t); INSERT INTO c (id) VALUES (9)"
    ),
    "view in a view": Idea(
        "SELECT * FROM w2",
        T + "CREATE VIEW w1 AS SELECT id FROM t; CREATE VIEW w2 AS SELECT * FROM w1;",
        "CREATE OR REPLACE VIEW w1 AS SELECT id + 1 AS id FROM t",
    ),
    "sample": Idea("SELECT id FROM t TABLESAMPLE BERNOULLI (50)", T),
    "sequence": Idea("SELECT last_value FROM s", "CREATE SEQUENCE s", "SELECT nextval('s')"),
    "large object": Idea(
        "SELECT lo_get(4711) AS x",
        "SELECT lo_from_bytea(4711, 'x') WHERE NOT EXISTS"
        " (SELECT FROM pg_largeobject_metadata WHERE oid = 4711)",
        "SELECT lo_put(4711, 0, 'y')",
    ),
    "place of a row": Idea("SELECT ctid::text AS x FROM t", T),
    "transaction of a row": Idea("SELECT xmin::text AS x FROM t", T),
    "setting": Idea("SELECT current_setting('work_mem', true) AS x"),
    "some rows of many": Idea("SELECT id FROM t LIMIT 1", T),
    "words of a schema": Idea("SELECT count(*) AS n FROM information_schema.tables"),
    "schema as XML": Idea("SELECT query_to_xml('SELECT 1', true, true, '')::text AS x", xml=True),
    "own name of a session": Idea("SELECT inet_client_port() AS x"),
    "address of a name": Idea("SELECT pg_describe_object(1259, 1259, 0) AS x"),
}

STEADY = {
    "columns": "SELECT id, d, n FROM t",
    "arithmetic": "SELECT id + 1 AS a, n * 2.5 AS b, n / 3 AS c, -id AS e, id % 2 AS f FROM t",
    "aggregates": "SELECT d, count(*) AS c, sum(n) AS s, avg(n) AS a, min(id) AS i, max(d) AS x,"
    " bool_or(n > 1) AS o, string_agg(d, ',' ORDER BY id) AS g, array_agg(id ORDER BY id) AS l,"
    " percentile_cont(0.5) WITHIN GROUP (ORDER BY id) AS p, stddev(n) AS v"
    " FROM t GROUP BY d HAVING count(*) > 0",
    "joins": "SELECT a.id, b.d FROM t a LEFT JOIN t b USING (id) FULL JOIN t c ON c.id = a.id"
    " WHERE a.d IS DISTINCT FROM 'q'",
    "windows": "SELECT id, row_number() OVER (PARTITION BY d ORDER BY id) AS r, sum(n) OVER"
    " (ORDER BY at RANGE BETWEEN '1 day' PRECEDING AND CURRENT ROW) AS s, lag(n) OVER w AS l"
    " FROM log WINDOW w AS (ORDER BY id)",
    "days": "SELECT date_trunc('day', at) AS day, at::date AS d, extract(hour FROM at) AS h,"
    " date_trunc('month', local_at) AS m, at AT TIME ZONE 'Asia/Tokyo' AS z,"
    " at + interval '1 day' AS n, at > DATE '2026-01-01' AS late, local_at < at AS b FROM log",
    "days in a series": "SELECT day, count(l.id) AS n FROM generate_series(timestamptz"
    " '2026-01-01Z', '2026-01-05Z', interval '1 day') day LEFT JOIN log l"
    " ON l.at >= day AND l.at < day + interval '1 day' GROUP BY day",
    "text": "SELECT id::text || '/' || d AS a, lower(d) AS b, concat(id, d, at, n) AS c,"
    " format('%s:%s', id, at) AS e, at::text AS f, n::text AS g, local_at::date::text AS h,"
    " f::text AS i, d LIKE 'a%' AS j, regexp_replace(d, 'a', 'b') AS k, md5(d) AS l FROM log",
    "numbers from text": "SELECT d::int AS a, d::numeric(9, 2) AS b, d::float8 AS c, d::bool AS e"
    " FROM log WHERE d ~ '^[01]$'",
    "JSON": "SELECT to_jsonb(l) AS a, jsonb_build_object('id', id, 'at', at) AS b, j->>'k' AS c,"
    " (j->>'n')::int AS e, j @> '{\"k\": 1}' AS f, jsonb_path_query_first(j, '$.k') AS g,"
    " jsonb_agg(j) OVER (ORDER BY id) AS h FROM log l",
    "arrays and rows": "SELECT ARRAY[id, 2] AS a, id = ANY (ARRAY[1, 2]) AS b, l.w AS c,"
    " (l.w).a AS e, l.w = ROW(1, 'x')::pair AS f, m::text AS g, m > 'low' AS h, tags[1] AS i,"
    " cardinality(tags) AS k FROM log l, unnest(tags) u",
    "ranges": "SELECT daterange(local_at::date, NULL)::text AS a, int4range(id, id + 2) && '[1,5)'"
    " AS b, upper(tr(id, id + 3)) AS c FROM log",
    "set operations": "SELECT id, d FROM t UNION SELECT id, d FROM log EXCEPT SELECT 99, 'x'"
    " ORDER BY 1 LIMIT 5",
    "WITH": "WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 5), u AS"
    " MATERIALIZED (SELECT DISTINCT d FROM t) SELECT i, d FROM s CROSS JOIN u",
    "grouping sets": "SELECT d, m, grouping(d, m) AS g, count(DISTINCT id) AS n, count(*) FILTER"
    " (WHERE id > 1) AS f FROM log GROUP BY ROLLUP (d, m)",
    "CASE and its like": "SELECT CASE d WHEN '1' THEN 'x' ELSE coalesce(d, 'y') END AS a,"
    " nullif(id, 1) AS b, greatest(id, 2) AS c, (id, d) < (2, 'b') AS e, id BETWEEN 1 AND 3 AS f,"
    " n IS NULL AS g, (n > 1) IS TRUE AS h, EXISTS (SELECT FROM t WHERE t.id = log.id) AS i,"
    " id IN (SELECT id FROM t) AS k, ARRAY(SELECT id FROM t ORDER BY id) AS o FROM log",
    "domain and collation": "SELECT d::short AS a, d COLLATE \"C\" < 'b' AS b FROM log",
    "SQL functions": "SELECT twice(id) AS a, total() AS b, m_sum(id) OVER () AS c FROM log",
    "XML": "SELECT xmlelement(name a, id)::text AS a, x.v FROM log, XMLTABLE('/r' PASSING"
    " xmlelement(name r, id) COLUMNS v int PATH '.') x",
    "DISTINCT ON": "SELECT DISTINCT ON (d) d, id FROM log ORDER BY d, id DESC",
    "JSON_TABLE": "SELECT x.* FROM log, JSON_TABLE(j, '$' COLUMNS (k int PATH '$.k',"
    " t text PATH '$.t')) x",
    "JSON_VALUE": "SELECT JSON_VALUE(j, '$.k' RETURNING int) AS a, JSON_EXISTS(j, '$.k') AS b,"
    " JSON_OBJECT('a': id) AS c FROM log",
}
NEEDS_17 = {"JSON_TABLE", "JSON_VALUE"}
STEADY_SETUP = """
CREATE TYPE mood AS ENUM ('low', 'high');
CREATE TYPE pair AS (a int, b text);
CREATE TYPE tr AS RANGE (SUBTYPE = int);
CREATE DOMAIN short AS text CHECK (length(VALUE) < 9);
CREATE TABLE t (id int, d text, n numeric);
INSERT INTO t VALUES (1, 'a', 1.5), (2, 'b', 2);
CREATE TABLE log (id int, d text, n numeric, f float8, at timestamptz, local_at timestamp,
  j jsonb, w pair, m mood, tags text[]);
INSERT INTO log SELECT i, i % 2, i, i / 7.0, '2026-01-01Z', '2026-01-01', '{"k": 1, "n": 2}',
  ROW(i, 'x')::pair, 'low', '{a,b}' FROM generate_series(1, 5) i;
CREATE FUNCTION twice(i int) RETURNS int LANGUAGE sql IMMUTABLE BEGIN ATOMIC SELECT i * 2; END;
CREATE FUNCTION total() RETURNS numeric LANGUAGE sql STABLE
  BEGIN ATOMIC SELECT sum(n) FROM t; END;
CREATE FUNCTION plus(s int, i int) RETURNS int LANGUAGE sql IMMUTABLE
  BEGIN ATOMIC SELECT s + i; END;
CREATE AGGREGATE m_sum(int) (SFUNC = plus, STYPE = int, INITCOND = '0');
"""
ODD_OPS = """
CREATE FUNCTION odd_cmp(a smallint, b smallint) RETURNS int LANGUAGE plpgsql IMMUTABLE
  AS 'BEGIN RETURN CASE WHEN a < b THEN -1 WHEN a = b THEN 0 ELSE 1 END; END';
CREATE OPERATOR CLASS odd_ops FOR TYPE smallint USING btree AS OPERATOR 1 <, OPERATOR 2 <=,
  OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 odd_cmp(smallint, smallint);
"""


def a_policy(database: Database, folder: Path, queries: dict[str, str]) -> Policy:
    """A policy with a view for each query, in the schema of that name."""
    for schema, query in queries.items():
        (folder / f"{schema}.sql").write_text(query)
    views = [{"name": f"{schema}.v", "definition": f"{schema}.sql"} for schema in queries]
    return make_policy(folder, database.url, matviews=views)


def make_views(database: Database, folder: Path, queries: dict[str, str]) -> Policy:
    """Make each view under a search_path that leads to its schema."""
    policy = a_policy(database, folder, queries)
    with database.connect() as connection:
        for schema, query in queries.items():
            connection.execute(f"SET search_path = {schema}, public".encode())
            connection.execute(f"CREATE MATERIALIZED VIEW v AS {query} WITH NO DATA".encode())
    pipeline.apply(policy)
    return policy


def change_all(database: Database, ideas: dict[str, Idea]) -> None:
    with database.connect() as connection:
        for schema, idea in ideas.items():
            connection.execute(f"SET search_path = {schema}, public".encode())
            connection.execute((idea.change or "SELECT").encode())


def left_alone(plan: Plan) -> set[str]:
    return {skip.object for skip in plan.skipped}


def reasons(plan: Plan) -> dict[str, str]:
    return {action.object: action.reason for action in plan.actions}


@pytest.mark.pg("!= 16")
def test_no_view_is_left_alone_over_what_its_rows_do_not_tell(
    database: Database, tmp_path: Path
) -> None:
    major = major_of(database)
    database.execute(f"CREATE SCHEMA odd; SET search_path = odd; {ODD_OPS}")
    ideas = {
        f"s{n}": idea
        for n, idea in enumerate(IDEAS.values())
        if major >= idea.since and (major == HAS_XML or not idea.xml)
    }
    with database.connect() as connection:
        for schema, idea in ideas.items():
            path = f"CREATE SCHEMA {schema}; SET search_path = {schema}, public, odd; "
            connection.execute((path + idea.setup).encode())
    policy = make_views(database, tmp_path, {name: idea.query for name, idea in ideas.items()})
    change_all(database, ideas)
    plan = pipeline.plan(policy).plan
    names = {f"s{n}.v": name for n, name in enumerate(IDEAS)}
    assert {names[view] for view in left_alone(plan)} == set()
    assert len(plan.actions) == len(ideas)


@pytest.mark.pg("!= 16")
def test_what_follows_rows_alone_is_left_alone(database: Database, tmp_path: Path) -> None:
    major = major_of(database)
    database.execute(STEADY_SETUP)
    steady = {
        f"s{n}": query
        for n, (name, query) in enumerate(STEADY.items())
        if (major >= 17 or name not in NEEDS_17) and (major == HAS_XML or name != "XML")
    }
    for schema in steady:
        database.execute(f"CREATE SCHEMA {schema}")
    policy = make_views(database, tmp_path, steady)
    plan = pipeline.plan(policy).plan
    assert reasons(plan) == {}
    assert len(left_alone(plan)) == len(steady)


def major_of(database: Database) -> int:
    ((number,),) = database.execute("SELECT current_setting('server_version_num')::int / 10000")
    return int(number)


def test_each_setting_that_can_matter_is_pinned_recorded_or_irrelevant(database: Database) -> None:
    """A setting that a new version brings has to be decided about before that is supported."""
    rows = database.execute("SELECT split_part(category, ' / ', 1), name FROM pg_settings")
    assert {category for category, _ in rows} <= CATEGORIES | IRRELEVANT_AS_A_WHOLE
    decided = {name for category, name in rows if category in DECIDED_ONE_BY_ONE}
    assert decided - DECISIONS.keys() == set()
    assert set(DECISIONS.values()) == {"pinned", "recorded", "irrelevant"}
    with session(database.url) as connection:
        pinned = pinned_settings(connection).keys()
    assert {n for n, decision in DECISIONS.items() if decision == "pinned"} <= pinned


SETTINGS = {
    "extra_float_digits": "-3",
    "DateStyle": "'German, DMY'",
    "TimeZone": "'Asia/Tokyo'",
    "lc_monetary": "'C.UTF-8'",
    "timezone_abbreviations": "'India'",
    "default_text_search_config": "'pg_catalog.german'",
    "enable_hashagg": "off",
}


@pytest.mark.pg("== 18")
def test_settings_that_a_refresh_by_hand_would_follow_lead_to_a_refresh(
    database: Database, tmp_path: Path
) -> None:
    database.execute("CREATE SCHEMA s; CREATE TABLE s.t (id int, f float8)")
    database.execute("INSERT INTO s.t VALUES (1, 0.1::float8 + 0.2)")
    policy = make_views(database, tmp_path, {"s": "SELECT id, f::text AS f FROM s.t"})
    for name, value in SETTINGS.items():
        assert left_alone(pipeline.plan(policy).plan) == {"s.v"}
        database.execute(f"ALTER DATABASE {database.name} SET {name} = {value}")
        assert name in reasons(pipeline.plan(policy).plan).get("s.v", "left alone"), name
        database.execute(f"ALTER DATABASE {database.name} RESET {name}")
    database.execute(f"ALTER DATABASE {database.name} SET extra_float_digits = -3")
    pipeline.apply(policy)
    assert left_alone(pipeline.plan(policy).plan) == {"s.v"}
    assert database.execute("SELECT f FROM s.v") == [("0.30000000000000004",)]


HELD = """CREATE FUNCTION held(s {type}, i int) RETURNS {type} LANGUAGE sql IMMUTABLE
  BEGIN ATOMIC SELECT s; END;"""
AGGREGATE = "CREATE AGGREGATE first_of(int) (SFUNC = held, STYPE = {type}, INITCOND = '{text}'"

BEHIND = {
    "state of an aggregate that begins with a word for now": Idea(
        "SELECT first_of(id) AS x FROM t",
        T
        + HELD.format(type="timestamptz")
        + AGGREGATE.format(type="timestamptz", text="now")
        + ")",
    ),
    "state of an aggregate that is a row with a time": Idea(
        "SELECT (first_of(id)).at AS x FROM t",
        T
        + "CREATE TYPE pair AS (at timestamptz);"
        + HELD.format(type="pair")
        + AGGREGATE.format(type="pair", text="(now)")
        + ")",
    ),
    "state of a moving aggregate that begins with a word for now": Idea(
        "SELECT id, first_of(id) OVER (ORDER BY id ROWS 1 PRECEDING) AS x FROM t",
        T
        + HELD.format(type="timestamptz")
        + AGGREGATE.format(type="timestamptz", text="2026-01-01")
        + ", MSFUNC = held, MINVFUNC = held, MSTYPE = timestamptz, MINITCOND = 'now')",
    ),
    "negator that the planner puts in an operator's place": Idea(
        "SELECT id FROM t WHERE NOT (id OPERATOR(===) 1)",
        T
        + TAGS
        + """CREATE FUNCTION same(a int, b int) RETURNS bool LANGUAGE sql IMMUTABLE RETURN a = b;
        CREATE FUNCTION other(a int, b int) RETURNS bool LANGUAGE plpgsql IMMUTABLE
          SET search_path FROM CURRENT
          AS 'BEGIN RETURN EXISTS (SELECT FROM tags WHERE id = a); END';
        CREATE OPERATOR !== (LEFTARG = int, RIGHTARG = int, FUNCTION = other);
        CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = same, NEGATOR = !==);""",
        MORE_TAGS,
    ),
    "commutator that the planner puts in an operator's place": Idea(
        "SELECT t.id FROM t, tags g WHERE t.id OPERATOR(===) g.id",
        T
        + TAGS
        + """CREATE FUNCTION same(a int, b int) RETURNS bool LANGUAGE sql IMMUTABLE RETURN a = b;
        CREATE FUNCTION back(a int, b int) RETURNS bool LANGUAGE plpgsql IMMUTABLE
          SET search_path FROM CURRENT AS 'BEGIN RETURN now() < ''2030-01-01''; END';
        CREATE OPERATOR =~= (LEFTARG = int, RIGHTARG = int, FUNCTION = back);
        CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = same, COMMUTATOR = =~=);""",
    ),
}


@pytest.mark.pg("!= 16")
def test_what_stands_behind_operators_and_aggregates_forbids_a_proof(
    database: Database, tmp_path: Path
) -> None:
    ideas = {f"s{n}": idea for n, idea in enumerate(BEHIND.values())}
    with database.connect() as connection:
        for schema, idea in ideas.items():
            path = f"CREATE SCHEMA {schema}; SET search_path = {schema}, public; "
            connection.execute((path + idea.setup).encode())
    policy = make_views(database, tmp_path, {name: idea.query for name, idea in ideas.items()})
    change_all(database, ideas)
    plan = pipeline.plan(policy).plan
    names = {f"s{n}.v": name for n, name in enumerate(BEHIND)}
    assert {names[view] for view in left_alone(plan)} == set()
    assert len(plan.actions) == len(ideas)


@pytest.mark.pg("== 15")
@pytest.mark.parametrize("call", ["populate_record(NULL::pair, h)", "(NULL::pair #= h)"])
def test_extension_that_reads_any_type_from_text_forbids_a_proof(
    database: Database, tmp_path: Path, call: str
) -> None:
    """PostgreSQL's own package of extensions has to be installed for the server."""
    with database.connect() as connection:
        connection.execute(
            b"CREATE EXTENSION hstore; CREATE SCHEMA s; SET search_path = s, public;"
            b"CREATE TYPE pair AS (at timestamptz); CREATE TABLE t (h hstore);"
            b"INSERT INTO t VALUES ('at=>now')"
        )
    policy = make_views(database, tmp_path, {"s": f"SELECT ({call}).at AS x FROM t"})
    assert left_alone(pipeline.plan(policy).plan) == set()
