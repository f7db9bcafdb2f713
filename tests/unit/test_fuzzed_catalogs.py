"""Catalogs with any names, bounds and comments: each planned statement is one, on known tables."""

import json
import random
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from pglast import ast, parse_sql, visitors

from maintenance.catalog.history import History
from maintenance.catalog.models import (
    Column,
    MarkedTable,
    Partition,
    Properties,
    Snapshot,
    Table,
    UnattachedTable,
)
from maintenance.ddl.marks import DETACHED_FROM, HOLD_UNTIL, PREFIX, RESTORED, RESTORING
from maintenance.engine.findings import FindingKind
from maintenance.names import QualifiedName, cut
from maintenance.policy import Policy
from maintenance.subjects.partitions.drain.kept_mark import read_kept
from maintenance.subjects.partitions.drain.registry import read_registry
from tests.fuzz import Fuzz, fuzzed
from tests.mutations import HOSTILE_SQL, mutated_words
from tests.snapshots import (
    EVENTS,
    NOW,
    SERVER,
    a_partition,
    a_policy,
    a_snapshot,
    months,
    planned,
    retention_planned,
)
from tests.snapshots import a_table as a_plain_table

NAMES = (
    *(
        "events",
        "select",
        "Ünïcode",
        "q\"u\\o'te",
        "p$$q",
        "a$maintenance$b",
        "per%s{}%I",
        "x" * 63,
    ),
    *("x;DROP TABLE public.kept;--", "new\nline", "esc\x1b]0;x\x07", "\u202e", "a.b", " ", "{now}"),
)
TYPES = ("timestamp with time zone", "timestamp without time zone", "date", "bigint", "public.odd")
BOUNDS = (
    *("FOR VALUES FROM ('2026-11-01 00:00:00+00') TO ('2026-12-01 00:00:00+00')", "DEFAULT"),
    *("FOR VALUES FROM (MINVALUE) TO ('2020-01-01 00:00:00+00')", "FOR VALUES FROM (1) TO (20)"),
    *("FOR VALUES FROM ('-infinity') TO ('0044-03-15 00:00:00+00 BC')", "FOR VALUES IN ('a')"),
    *("FOR VALUES FROM ('2026-12-01') TO ('2027-01-01')", "FOR VALUES FROM (1767225600) TO (9e9)"),
    *("FOR VALUES WITH (modulus 2, remainder 0)", "FOR VALUES FROM ('a', 'b') TO ('c', 'd')"),
)
UNPRINTABLE = re.compile(r"[\x00-\x09\x0b-\x1f\u202e]")
MISREAD = (
    f"{PREFIX}{'[' * 100_000}",
    PREFIX + json.dumps({DETACHED_FROM: "public.events", "at": "2026-01-01"}),
)
"""Comments that once ended a run."""


def a_name(rng: random.Random) -> str:
    name = rng.choice(NAMES)
    if rng.randrange(2):
        name = mutated_words(name, HOSTILE_SQL, rng).replace("\0", "")
    return cut(name) or "x"


def a_relation(rng: random.Random) -> QualifiedName:
    return QualifiedName(rng.choice(("public", a_name(rng))), a_name(rng))


def a_bound(rng: random.Random) -> str | None:
    month = rng.randrange(2, 12)
    ours = f"FOR VALUES FROM ('2026-{month:02}-01 00:00:00+00')"
    ours += f" TO ('2026-{month + 1:02}-01 00:00:00+00')"
    match rng.randrange(5):
        case 0:
            return mutated_words(ours, HOSTILE_SQL, rng)
        case 1:
            return rng.choice((*BOUNDS, None))
        case _:
            return ours


def a_comment(rng: random.Random, table: QualifiedName) -> str:
    at: Any = rng.choice(
        ((NOW - timedelta(days=400)).isoformat(), "2026-01-01", "now", 10**30, None)
    )
    odd: list[Any] = [7, True, [], {}, None, 1e300, "9999-12-31"]
    facts: dict[str, Any] = {
        rng.choice((DETACHED_FROM, HOLD_UNTIL, RESTORED, RESTORING, "oid", "drained")): value
        for value in (str(table), at, rng.choice(odd))
    }
    if rng.randrange(2):
        facts |= {DETACHED_FROM: str(table), "at": at, "bound": a_bound(rng), "period": "2025-01"}
    text = PREFIX + json.dumps(facts)
    if rng.randrange(3) == 0:
        text = mutated_words(text, HOSTILE_SQL, rng)
    return rng.choice((text, f"a note\n{text}", rng.choice(MISREAD)))


def a_table(rng: random.Random, oids: Iterator[int]) -> Table:
    names = [a_name(rng) for _ in range(3)]
    key = Column(names[0], rng.choice((TYPES[0], TYPES[0], *TYPES)))
    others = [Column(name, rng.choice(TYPES)) for name in names[1:] if name != key.name]
    partitions: dict[str | None, Partition] = {}
    for _ in range(rng.randrange(5)):
        bound = a_bound(rng)
        partitions[bound] = Partition(next(oids), a_relation(rng), "r", False, 9, 9.0, bound)
    return Table(
        oid=next(oids),
        relation=a_relation(rng),
        kind="p",
        columns=(key, *others),
        properties=Properties(owner=rng.choice(("owner", a_name(rng)))),
        key_strategy="r",
        key_columns=(key.name,),
        partitions=tuple(partitions.values()),
    )


def a_catalog(rng: random.Random) -> tuple[Policy, Snapshot]:
    """A table as a catalog may show it, others around it, and the policy that names it."""
    oids = iter(range(100, 200))
    table = a_table(rng, oids)
    section = {"table": str(table.relation), "column": table.columns[0].name}
    retention = {"keep": "2 months", "action": rng.choice(("drop", "detach")), "grace": "1 day"}
    owner = table.properties.owner
    marked = tuple(
        MarkedTable(next(oids), a_relation(rng), a_comment(rng, table.relation), False, 9, owner)
        for _ in range(rng.randrange(3))
    )
    alone = UnattachedTable(
        table.relation, next(oids), a_relation(rng), a_comment(rng, table.relation), 9
    )
    detached = {each.oid: frozenset({str(table.relation)}) for each in marked}
    snapshot = Snapshot(
        SERVER,
        {table.relation: table},
        marked=marked,
        unattached=(alone,),
        history=History(detached_from=detached),
    )
    return a_policy({**section, "retention": retention}), snapshot


def relations_of(statement: str) -> set[QualifiedName]:
    """The relations that a statement names; fails if it is not one statement."""
    (parsed,) = parse_sql(str(statement))
    found = set[QualifiedName]()

    class Names(visitors.Visitor):
        def visit_RangeVar(self, _: object, node: ast.RangeVar) -> None:  # noqa: N802
            found.add(QualifiedName(str(node.schemaname or ""), str(node.relname)))

    Names()(parsed)
    return found


@fuzzed("catalogs")
def test_statements_on_a_catalog_of_any_names_are_whole_and_on_its_tables(fuzz: Fuzz) -> None:
    def is_served(rng: random.Random) -> bool:
        policy, snapshot = a_catalog(rng)
        (table,) = snapshot.tables.values()
        for each in snapshot.marked:
            read_registry(each.comment, each.owner, each.oid)
            read_kept(each.comment)
        plans = (
            planned(policy, table, marked=snapshot.marked, unattached=snapshot.unattached),
            retention_planned(policy, snapshot),
        )
        known = {table.relation, *(each.relation for each in table.partitions)}
        known |= {each.relation for each in (*snapshot.marked, *snapshot.unattached)}
        actions = [action for plan in plans for action in plan.actions]
        for action in actions:
            for statement in action.sql:
                strange = {str(each) for each in relations_of(statement) - known} - {action.object}
                assert not strange, statement
            json.dumps(action.as_json())
        findings = [finding for plan in plans for finding in plan.findings]
        assert not [each for each in findings if UNPRINTABLE.search(each.message)]
        return bool(actions)

    fuzz.seed(is_served)


DROPPING = {"keep": "2 months", "action": "drop"}


@pytest.mark.parametrize("comment", MISREAD, ids=["deep", "naive"])
def test_mark_that_cannot_be_read_retires_nothing(comment: str) -> None:
    left = MarkedTable(7, QualifiedName("public", "old"), comment, False, 9, "owner")
    history = History(detached_from={7: frozenset({str(EVENTS)})})
    snapshot = a_snapshot(a_plain_table(), marked=(left,), history=history)
    assert retention_planned(a_policy({"retention": DROPPING}), snapshot).actions == ()
    assert read_kept(comment) is None


def test_bound_that_cannot_be_read_ends_no_run_beside_those_that_can() -> None:
    odd = a_partition("odd", bound="FOR VALUES ")
    table = a_plain_table((*months("2026-01", "2026-11"), odd))
    policy = a_policy({"retention": DROPPING})
    (finding,) = planned(policy, table).findings
    assert finding.kind is FindingKind.PARTITION_KEY_MISMATCH
    assert retention_planned(policy, a_snapshot(table)).actions == ()
