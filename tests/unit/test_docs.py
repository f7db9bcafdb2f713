"""The documentation matches the software."""

import re
from pathlib import Path

import click
import pytest

from maintenance.cli.commands import cli
from maintenance.engine.findings import FindingKind
from maintenance.engine.runbook_reader import by_itself, entry

ROOT = Path(__file__).parents[2]
DOCS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


def test_every_kind_of_finding_has_its_runbook_entry_and_no_other() -> None:
    entries = re.findall(r"^## (\w+)$", (ROOT / "docs/runbook.md").read_text(), re.MULTILINE)
    assert sorted(entries) == sorted(kind.value for kind in FindingKind)


def test_entries_of_the_runbook_are_there_for_the_software_to_show() -> None:
    assert all(len(entry(kind)) > 50 for kind in FindingKind)
    assert by_itself(FindingKind.PARTITION_GAP) == "the next run creates it"
    assert by_itself(FindingKind.QUERY_SLOW) == "nothing"
    assert max(len(by_itself(kind)) for kind in FindingKind) < 250


def test_links_between_documents_lead_somewhere() -> None:
    dead = [
        f"{doc.name}: {target}"
        for doc in DOCS
        for target in re.findall(r"\]\(([^)#:]+)\)", doc.read_text())
        if not (doc.parent / target).exists()
    ]
    assert dead == []


def test_every_command_is_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    commands = cli.list_commands(click.Context(cli))
    assert [name for name in commands if f"maintenance {name}" not in readme] == []


@pytest.mark.parametrize("pattern", ["docs/decisions/*.md", "sql/store/[0-9]*.sql"])
def test_decisions_and_migrations_are_numbered_without_gaps(pattern: str) -> None:
    numbers = sorted(int(path.name[:4]) for path in ROOT.glob(pattern))
    assert numbers == list(range(1, len(numbers) + 1))


def test_glossary_has_each_word_once_in_order_with_a_module_that_exists() -> None:
    rows = re.findall(
        r"^\| ([^|]+) \| [^|]+ \| `([^`]+)` \|$",
        (ROOT / "docs/glossary.md").read_text(),
        re.MULTILINE,
    )
    words = [word.replace("_", " ").casefold() for word, _ in rows]
    assert len(words) > 50
    assert words == sorted(set(words))
    assert [module for _, module in rows if not (ROOT / module).is_file()] == []


def test_every_path_in_contributing_exists() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    paths = re.findall(r"`((?:maintenance|sql|tests|docs)/[^`]*)`", text)
    assert len(paths) > 30
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_source_file_that_a_document_names_exists() -> None:
    lost = [
        f"{doc.name}: {path}"
        for doc in DOCS
        for path in re.findall(r"`([\w/*]+\.py)`", doc.read_text())
        if not any(
            next(ROOT.glob(f"{folder}/{path}"), None)
            for folder in (
                ".",
                "maintenance",
                "maintenance/subjects/*",
                "maintenance/subjects",
                "tests/*",
            )
        )
    ]
    assert lost == []


def test_examples_in_contributing_take_at_most_six_steps() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    examples = re.split(r"^\*\*", text.partition("## Five examples")[2], flags=re.MULTILINE)[1:]
    steps = [len(re.findall(r"^\d\. ", each, re.MULTILINE)) for each in examples]
    assert len(steps) == 5
    assert max(steps) <= 6
