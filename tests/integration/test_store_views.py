"""The page of the store's views has their columns as the catalog has them."""

import re

import pytest

from tests.builders import ROOT, Database

pytestmark = [pytest.mark.pg("== 18"), pytest.mark.store]

PAGE = ROOT / "docs/store-views.md"
COLUMNS = """
SELECT c.relname, a.attname, pg_catalog.format_type(a.atttypid, NULL)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relnamespace = 'maintenance'::regnamespace AND c.relkind = 'v'
UNION ALL
SELECT p.proname || '()', a.name, pg_catalog.format_type(a.type, NULL)
FROM pg_catalog.pg_proc p,
     unnest(p.proargnames, p.proallargtypes, p.proargmodes) AS a (name, type, mode)
WHERE p.pronamespace = 'maintenance'::regnamespace AND a.mode = 't'
"""


def test_page_has_each_view_and_function_with_its_columns(database: Database) -> None:
    sections = re.findall(r"^## `(\S+)`\n([^#]*)", PAGE.read_text(), re.MULTILINE)
    listed = [
        (name, column, kind)
        for name, section in sections
        for column, kind in re.findall(r"^\| `(\w+)` \| ([\w ]+) \|", section, re.MULTILINE)
    ]
    assert sorted(listed) == sorted(database.execute(COLUMNS))
