"""The documentation matches the software."""

import re

import click
import pytest

from maintenance.cli.commands import cli
from maintenance.engine.findings import FindingKind
from maintenance.engine.runbook_reader import by_itself, entry
from tests.demands import fault_of_test, headings
from tests.documents import (
    DOCS,
    LIVING,
    ROOT,
    Block,
    blocks,
    fault_of,
    fault_of_mention,
    mentioned_commands,
)


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


def test_blocks_of_documents_work() -> None:
    """Policies load, commands and their options exist, SQL and Python can be parsed."""
    tried = [block for path in LIVING for block in blocks(path)]
    assert {"yaml", "sh", "sql", "python", "text"} <= {block.language for block in tried}
    faults = [(block.document, block.text, fault_of(block)) for block in tried]
    assert [each for each in faults if each[2] is not None] == []


def test_commands_that_documents_mention_exist() -> None:
    mentioned = {line for path in LIVING for line in mentioned_commands(path)}
    assert len(mentioned) > 30
    assert [(line, fault) for line in mentioned if (fault := fault_of_mention(line))] == []


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("sh", "maintenance plan --breif"),
        ("sh", "maintenance restore --table public.events"),
        ("sh", "cd /srv && dagster-daemon run --wrokspace workspace.yaml"),
        ("sh", "make tset"),
        ("", "maintenance plna"),
        ("yaml", "partitions:\n  - {table: public.events, kolumn: at}"),
        ("yaml", "database: {mode: read}"),
        ("sql", "SELEC 1;"),
        ("python", "import"),
        ("bash", "true"),
    ],
)
def test_blocks_that_do_not_work_are_found(language: str, text: str) -> None:
    assert fault_of(Block("a.md", language, text)) is not None


def test_tests_that_the_security_page_names_exist() -> None:
    text = (ROOT / "docs/security.md").read_text()
    named = re.findall(r"\[(test_\w+)\]\(\.\./(tests/[\w/]+\.py)\)", text)
    proofs = [f"{path}::{name}" for name, path in named if not path.endswith(f"/{name}.py")]
    assert len(proofs) > 25
    assert [
        (each, fault) for each in proofs if "no test" in (fault := fault_of_test(each) or "")
    ] == []


def test_anchors_of_links_are_headings() -> None:
    dead = [
        f"{doc.name}: {page}#{anchor}"
        for doc in DOCS
        for page, anchor in re.findall(r"\]\(([\w./-]*\.md)?#([^)]+)\)", doc.read_text())
        if anchor not in headings((doc.parent / page if page else doc).read_text())
    ]
    assert dead == []


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs/README.md").read_text()
    pages = {path.name for path in ROOT.glob("docs/*.md")} - {"README.md"}
    assert [name for name in sorted(pages) if f"]({name})" not in index] == []


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
