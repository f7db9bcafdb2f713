"""Pages whose contents only a server can prove."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from maintenance.cli.commands import cli
from tests import strangers
from tests.builders import ROOT, Database
from tests.documents import blocks

pytestmark = pytest.mark.pg("== 18")

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


@pytest.mark.store
def test_page_has_each_view_and_function_with_its_columns(database: Database) -> None:
    sections = re.findall(
        r"^## `(\S+)`\n([^#]*)", (ROOT / "docs/store-views.md").read_text(), re.MULTILINE
    )
    listed = [
        (name, column, kind)
        for name, section in sections
        for column, kind in re.findall(r"^\| `(\w+)` \| ([\w ]+) \|", section, re.MULTILINE)
    ]
    assert sorted(listed) == sorted(database.execute(COLUMNS))


def test_commands_of_the_page_adopt_a_strangers_database(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute(strangers.schema("rails"))
    (tmp_path / "policies").mkdir()
    monkeypatch.chdir(tmp_path)
    lines = [
        shlex.split(line, comments=True)
        for block in blocks(ROOT / "docs/adopt.md")
        if block.language == "sh"
        for line in block.text.splitlines()
    ]
    commands = [words[1:] for words in lines if words[0] == "maintenance"]
    assert [words[0] for words in commands] == ["init", "check", "plan", "plan", "apply", "status"]
    for words in commands:
        result = CliRunner().invoke(cli, words, env={"APP_URL": database.url})
        assert result.exit_code == 0, result.output
    assert database.execute("SELECT count(*) > 0 FROM maintenance.run") == [(True,)]
