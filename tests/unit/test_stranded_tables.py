"""What is left of partitions: found by shape, name and history, and only reported."""

from datetime import datetime
from typing import Any

import pytest

from maintenance.catalog.history import History, PastAction
from maintenance.catalog.models import UnattachedTable
from maintenance.ddl.marks import marked
from maintenance.engine.findings import Finding, FindingKind
from maintenance.names import QualifiedName
from tests.snapshots import EVENTS, NOW, a_partition, a_policy, a_table, months, planned

RUN = "0198c0de-0000-7000-8000-000000000000"


def unattached(name: str, comment: str | None = None) -> UnattachedTable:
    return UnattachedTable(EVENTS, 7, QualifiedName("public", name), comment, 3)


def a_deed(kind: str, outcome: str | None = "done", at: datetime = NOW) -> PastAction:
    return PastAction(RUN, "public.events", kind, outcome, at)


def found(*tables: UnattachedTable, **past_actions: PastAction) -> list[Finding]:
    history = History(past_actions={f"public.{name}": deed for name, deed in past_actions.items()})
    table = a_table(months("2026-11", "2027-02"))
    plan = planned(a_policy(), table, unattached=tables, history=history)
    assert plan.actions == ()
    return [f for f in plan.findings if f.kind is FindingKind.STRANDED_TABLE]


def test_table_named_like_a_partition_is_stranded() -> None:
    (finding,) = found(unattached("events_2020_01"))
    assert finding.object == "public.events_2020_01"
    assert (finding.data["reason"], finding.data["last_action"]) == ("never_attached", None)


@pytest.mark.parametrize(
    "name", ["events_copy", "events_2020_1", "events_2020_01x", "events_²⁰²⁰_01"]
)
def test_table_of_another_name_is_the_owners(name: str) -> None:
    assert found(unattached(name)) == []


def test_table_that_a_run_worked_on_is_stranded_with_its_origin() -> None:
    (finding,) = found(unattached("events_wide"), events_wide=a_deed("create_partition", None))
    assert finding.data["last_action"] == {
        "run_id": RUN,
        "table": "public.events",
        "kind": "create_partition",
        "outcome": None,
        "at": NOW.isoformat(),
    }


def test_what_bears_the_name_of_a_dropped_table_is_not_ours() -> None:
    (finding,) = found(unattached("events_2020_01"), events_2020_01=a_deed("drop_partition"))
    assert finding.data["last_action"] is None


def test_marked_tables_are_told_by_their_mark() -> None:
    restoring = marked(None, {"restoring": "s3://b/x"})
    (finding,) = found(unattached("events_2020_01", restoring))
    assert finding.data["reason"] == "interrupted_restore"
    for mark in ({"detached_from": "public.events"}, {"restored": "2026-11-01"}):
        assert found(unattached("events_2020_01", marked("mine", mark))) == []


def planned_with(history: History, **changes: Any) -> Any:
    pending, *others = months("2026-08", "2027-02")
    table = a_table([*others, pending._replace(detach_pending=True)], **changes)
    return planned(a_policy(), table, history=history)


def test_pending_detach_tells_who_began_it() -> None:
    history = History(past_actions={"public.events_2026_08": a_deed("detach_partition", "failed")})
    (finding,) = planned_with(history).findings
    last = finding.data["last_action"]
    assert (last["kind"], last["run_id"], last["outcome"]) == ("detach_partition", RUN, "failed")
    (finding,) = planned_with(History()).findings
    assert finding.data["last_action"] is None


def test_leftover_check_tells_the_run_that_left_it() -> None:
    history = History(unfinished={"public.events": a_deed("create_partition", None)})
    table = a_table(
        [*months("2026-11", "2027-02"), a_partition("rest")],
        default_has_rows=False,
        default_checks=("maintenance_not_2026_12",),
    )
    with_history = planned(a_policy(), table, history=history).actions[0]
    without = planned(a_policy(), table).actions[0]
    for named in ("create_partition", RUN[:8]):
        assert named in with_history.reason
        assert named not in without.reason
    assert with_history.id == without.id
