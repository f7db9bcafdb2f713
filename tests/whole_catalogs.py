"""All that the schema public says of itself and of its rows, to compare it before and after."""

import re
from typing import Any

from maintenance.names import quote
from tests.builders import Database
from tests.catalogs import catalog_of

_OBJECTS = """
SELECT 'relation', c.relname::text, c.relkind::text, pg_get_expr(c.relpartbound, c.oid),
  c.reloptions::text, c.relacl::text, pg_get_userbyid(c.relowner)::text, c.relreplident::text,
  c.relrowsecurity, c.relpersistence::text, obj_description(c.oid, 'pg_class'),
  (SELECT string_agg(i.inhparent::regclass::text || i.inhdetachpending::text, ',')
   FROM pg_inherits i WHERE i.inhrelid = c.oid),
  CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END,
  CASE WHEN c.relkind = 'm' THEN c.relispopulated END
FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace
UNION ALL
SELECT 'function', p.proname, NULL, pg_get_functiondef(p.oid), NULL, p.proacl::text, NULL, NULL,
  NULL, NULL, obj_description(p.oid, 'pg_proc'), NULL, NULL, NULL
FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace AND p.prokind IN ('f', 'p')
UNION ALL
SELECT 'trigger', t.tgname, t.tgrelid::regclass::text, pg_get_triggerdef(t.oid), t.tgenabled::text,
  NULL, NULL, NULL, NULL, NULL, obj_description(t.oid, 'pg_trigger'), NULL, NULL, NULL
FROM pg_trigger t WHERE NOT t.tgisinternal
UNION ALL
SELECT 'statistics', s.stxname, s.stxrelid::regclass::text, pg_get_statisticsobjdef(s.oid), NULL,
  NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM pg_statistic_ext s
UNION ALL
SELECT 'schema', n.nspname, NULL, NULL, NULL, n.nspacl::text, NULL, NULL, NULL, NULL, NULL, NULL,
  NULL, NULL FROM pg_namespace n WHERE n.nspname !~ '^pg_'
"""
_ROOTS = """
SELECT c.relname FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'm')
  AND NOT c.relispartition ORDER BY 1
"""
_MOMENTS = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|[+-]\d\d(:?\d\d)?)?")
_RUNS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}")


def whole_catalog(database: Database) -> set[tuple[Any, ...]]:
    """Every object of the schema public; the moment and the id of a run in a comment are left out.

    The bounds of partitions keep their moments.
    """
    objects = database.execute(_OBJECTS)
    described = {(*row[:10], _without_run(row[10]), *row[11:]) for row in objects}
    return {*catalog_of(database), *described}


def _without_run(comment: str | None) -> str | None:
    return comment and _RUNS.sub("run", _MOMENTS.sub("moment", comment))


def all_rows(database: Database) -> dict[str, tuple[Any, ...]]:
    """By table and view, how many rows there are, and a sum over all that they hold."""
    found: dict[str, tuple[Any, ...]] = {}
    for (name,) in database.execute(_ROOTS):
        look = (
            "SELECT count(*), sum(hashtextextended(t::text, 0))"
            f" FROM public.{quote(name)} AS t".replace("%", "%%")
        )
        (found[name],) = database.execute(look)
    return found
