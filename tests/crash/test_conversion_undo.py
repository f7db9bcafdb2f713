"""A conversion and its undo are killed before each of their statements, and run again.

A run is recorded by counting what it changes, so that no statement is left out. From each state
the conversion is resumed, and from each state it is undone, to the very same catalog as before.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from maintenance.pipeline import run as pipeline
from maintenance.pipeline.undo import UndoReport, undo
from maintenance.policy import Policy
from tests.builders import Database, Role
from tests.conversions import EVENTS, PLAIN, RICH, grants, shape
from tests.crash.test_default_partition import LIMIT_S
from tests.integration.test_conversion_matviews import VIEWS
from tests.integration.test_conversion_references import LONGER, PAIRS, SINGLE
from tests.kills import Kill, crash_server, end_backends, kill_client, runs_through
from tests.policies import make_policy

NULLABLE = f"{PLAIN}; ALTER TABLE public.events ALTER at DROP NOT NULL"
HOLDS = """
SELECT count(*), count(DISTINCT id), sum(hashtextextended(id::text || at::text, 0))
  FROM public.events
"""
KIND = "SELECT relkind::text FROM pg_class WHERE oid = 'public.events'::regclass"
MOST = 200
MOST_UNDOS = 4
"""Undos until nothing is left: one may have been killed after its last change."""

Catalog = set[tuple[Any, ...]]


class Conversion:
    """A table with a policy, before and after its conversion."""

    def __init__(
        self, database: Database, folder: Path, table: str, further: Mapping[str, Any] | None = None
    ) -> None:
        database.execute(table)
        self.database = database
        never = {**EVENTS, "convert": "never"}
        pipeline.apply(make_policy(folder, database.url, never), only=["conversion"])
        section = {**EVENTS, "premake": 2, **(further or {})}
        self.policy: Policy = make_policy(folder, database.url, section)
        self.before = self.catalog()
        self.rows = database.execute(HOLDS)
        self.convert()
        self.after = self.catalog()
        self.undo()
        self.assert_undone("undisturbed")

    def catalog(self) -> Catalog:
        """The catalog; numbers of a sequence may be left out after a crash."""
        rows = shape(self.database)
        return {(*r[:2], r[2].rpartition(" ")[0] if r[0] == "sequence" else r[2]) for r in rows}

    def convert(self) -> pipeline.Report:
        request = pipeline.Request(again=True)
        return pipeline.apply(self.policy, only=["conversion", "partitions"], request=request)

    def undo(self) -> UndoReport:
        return undo(self.policy)

    def assert_undone(self, when: object) -> None:
        for _ in range(MOST_UNDOS):
            if self.catalog() == self.before:
                break
            report = self.undo()
            assert not [r.error for r in report.results if r.error], when
        assert self.catalog() ^ self.before == set(), when
        assert self.database.execute(HOLDS) == self.rows, when

    def disturb(self, number: int, kill: Kill) -> bool:
        """Whether both came through without being killed at all."""
        converted = runs_through(self.database, self.convert, number, kill)
        if not converted:
            self.assert_undone((number, "from this state"))
            runs_through(self.database, self.convert, number, kill)
        report = self.convert()
        assert not [r.error for r in report.results if r.error], number
        assert self.catalog() ^ self.after == set(), number
        assert self.database.execute(HOLDS) == self.rows, number
        undone = runs_through(self.database, self.undo, number, kill)
        self.assert_undone((number, "killed undo"))
        return converted and undone


def sweep(conversion: Conversion, kill: Kill, numbers: Iterable[int]) -> bool:
    return any(conversion.disturb(number, kill) for number in numbers)


@pytest.mark.pg("== 18")
def test_conversion_and_its_undo_converge_after_their_sessions_end(
    database: Database, tmp_path: Path
) -> None:
    sweep(Conversion(database, tmp_path, NULLABLE), end_backends, (5, 9, 13))


@pytest.fixture
def rich(database: Database, owner_role: Role, limited_role: Role) -> str:
    """A table of another role, with everything on it."""
    given = f"ALTER STATISTICS public.events_stat OWNER TO {owner_role.name}"
    database.execute(f"{RICH}; {grants(limited_role)}")
    database.give_to(owner_role)
    return given


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("kill", [kill_client, end_backends, crash_server])
def test_plain_table_converges_whatever_statement_is_the_last(
    database: Database, tmp_path: Path, kill: Kill
) -> None:
    assert sweep(Conversion(database, tmp_path, NULLABLE), kill, range(1, MOST))


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("kill", [kill_client, end_backends, crash_server])
def test_table_with_everything_converges_whatever_statement_is_the_last(
    database: Database, tmp_path: Path, rich: str, kill: Kill
) -> None:
    assert sweep(Conversion(database, tmp_path, rich), kill, range(1, MOST))


@pytest.mark.slow
@pytest.mark.timeout(LIMIT_S)
@pytest.mark.parametrize("kill", [kill_client, end_backends, crash_server])
@pytest.mark.parametrize(("table", "further"), [(SINGLE, LONGER), (PAIRS, {}), (VIEWS, {})])
def test_table_with_dependents_converges_whatever_statement_is_the_last(
    database: Database, tmp_path: Path, table: str, further: dict[str, Any], kill: Kill
) -> None:
    assert sweep(Conversion(database, tmp_path, table, further), kill, range(1, MOST))
