"""Inspects a database and proposes a policy, with what `check` and `plan` say of it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from maintenance.catalog.models import Server
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.target import Target
from maintenance.inspection.first_run import careful
from maintenance.inspection.models import Entry, LeftOut
from maintenance.inspection.observe import read_inventory
from maintenance.inspection.policy_text import Database, policy_text
from maintenance.names import QualifiedName
from maintenance.pipeline.inspection import Proposals, proposals_of
from maintenance.pipeline.run import Report, checked, plan
from maintenance.policy import parse_policy
from maintenance.policy.prisma import schema_of

_ANY_NAME = "database"
_MOST_NAME = 40

_OF_RIGHTS = (FindingKind.PRIVILEGE_MISSING, FindingKind.PARTMAN_ACTIVE)


@dataclass(frozen=True, slots=True)
class InitReport:
    """A proposed policy, and what it would do.

    Attributes:
        database: its name in the policy.
        variable: the environment variable with the url.
        text: the policy.
        server: that was inspected.
        entries: what is proposed.
        left_out: what is not.
        plan: of the policy, as `plan` shows it.
        findings: as `check` shows them.
    """

    database: str
    variable: str
    text: str
    server: Server
    entries: tuple[Entry, ...]
    left_out: tuple[LeftOut, ...]
    plan: Report
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether `check` accepts the policy."""
        return all(finding.severity is not Severity.ERROR for finding in self.findings)

    @property
    def grants(self) -> tuple[str, ...]:
        """The statements that give our role what it lacks, each once."""
        return tuple(dict.fromkeys(_grants(self.findings)))

    def as_json(self) -> dict[str, Any]:
        """The report as the command line prints it."""
        return {
            "database": self.database,
            "url_variable": self.variable,
            "policy": self.text,
            "entries": [_entry_json(entry) for entry in self.entries],
            "left_out": [
                {**each._asdict(), "subject": each.subject.value, "relation": str(each.relation)}
                for each in self.left_out
            ],
            "grants": list(self.grants),
            "actions": [action.as_json() for action in self.plan.plan.actions],
            "findings": [finding.as_json() for finding in self.findings],
        }


def init(
    url: str,
    environ: Mapping[str, str],
    *,
    name: str | None = None,
    variable: str | None = None,
    path: Path = Path("policy.yaml"),
    now: datetime | None = None,
) -> InitReport:
    """Inspect a database and propose a policy; change nothing.

    Args:
        url: of the database.
        environ: the environment variables.
        name: of the database in the policy; by default like the database.
        variable: the environment variable that will hold the url; by default after the name.
        path: where the policy will be.
        now: the current time, aware; the clock's if None.

    Raises:
        UsageError: the url is invalid.
        UnreachableError: the server can't be reached or refuses the connection.
        MaintenanceError: the catalog could not be read.
    """
    moment = now or datetime.now(UTC)
    schema = schema_of(url)
    smallest = policy_text(
        Database(name or _ANY_NAME, variable or "DATABASE_URL", "", schema), (), (), ()
    )
    nameless = _target(smallest, environ, url, path)
    with nameless.database("init") as connection:
        inventory = read_inventory(connection, nameless.policy.observe.time_cap)
    server = inventory.snapshot.server
    chosen = name or _policy_name(server.database)
    holder = variable or f"{chosen.upper()}_URL"
    database = Database(chosen, holder, _described(server), schema)
    found = proposals_of(inventory, moment)

    def target_of(proposed: Proposals) -> Target:
        text = policy_text(database, proposed.entries, proposed.left_out, ())
        return _target(text, environ, url, path)

    target = target_of(found)
    planned = plan(target, now=moment)
    entries = careful(found.entries, planned.plan.actions, planned.findings)
    if entries != found.entries:
        found = replace(found, entries=entries)
        target = target_of(found)
        planned = plan(target, now=moment)
    findings = checked(target, planned).findings
    closing = tuple(_closing(findings, inventory.partman.unreadable))
    return InitReport(
        database=chosen,
        variable=holder,
        text=policy_text(database, found.entries, found.left_out, closing),
        server=server,
        entries=found.entries,
        left_out=found.left_out,
        plan=planned,
        findings=findings,
    )


def _target(text: str, environ: Mapping[str, str], url: str, path: Path) -> Target:
    policy = parse_policy(text, path)
    variable = policy.database.url.env
    assert variable is not None, "the url is never written"
    return Target(policy, {**environ, variable: url})


def _policy_name(database: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", database.lower()).strip("_")[:_MOST_NAME]
    return name if re.match(r"[a-z]", name) else f"db_{name}".rstrip("_")


def _described(server: Server) -> str:
    return f"database {server.database} (PostgreSQL {server.version_text})"


def _closing(findings: Sequence[Finding], unreadable: Sequence[QualifiedName]) -> Iterator[str]:
    """Yield the paragraphs at the end of the file: what is off by default, and missing rights."""
    yield (
        "ANALYZE and VACUUM where autovacuum is late, and of partitioned parents, which it never"
        " analyzes: remove the # sign."
    )
    yield "statistics:"
    for config in unreadable:
        yield (
            f"pg_partman is installed, but its {config} can't be read: its settings are not taken"
            " over, and both may maintain the same tables. Run the statements below, then init"
            " again."
        )
    grants = list(dict.fromkeys(_grants(findings)))
    if grants:
        yield "The role of this policy lacks privileges. A superuser or the owner runs:"
        yield from (f"{grant};" for grant in grants)


def _grants(findings: Sequence[Finding]) -> Iterator[str]:
    for finding in findings:
        if finding.kind in _OF_RIGHTS:
            yield from finding.data.get("grants", ())


def _entry_json(entry: Entry) -> dict[str, Any]:
    return {
        "subject": entry.subject.value,
        "relation": str(entry.relation),
        "applies": entry.applies,
        "reason": entry.reason,
        "settings": entry.values,
        "evidence": {each.key: each.evidence for each in entry.settings if each.evidence},
    }
