"""A conversion that other sessions keep from its locks: what is said, and that it goes on."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from maintenance.engine.executor import Outcome
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy
from tests.builders import Database
from tests.conversions import EVENTS, N_ROWS, PLAIN
from tests.policies import make_policy

IMPATIENT = {"give_up_after": "1 s", "patient_lock_timeout": "200 ms"}
KIND = "SELECT relkind::text FROM pg_class WHERE oid = 'public.events'::regclass"
CHECKS = "SELECT conname FROM pg_constraint WHERE conname ~ '^maintenance_convert_until'"


class ClientDiedError(BaseException):
    """Ends a run without any of its clean-up."""


def policy_of(database: Database, folder: Path, **further: Any) -> Policy:
    return make_policy(folder, database.url, {**EVENTS, **further}, locks=IMPATIENT)


def apply(policy: Policy, **arguments: Any) -> pipeline.Report:
    return pipeline.apply(policy, only=["conversion"], **arguments)


def found(report: pipeline.Report, kind: FindingKind) -> list[Finding]:
    return [each for each in report.findings if each.kind is kind]


def waiting(report: pipeline.Report) -> Finding:
    (finding,) = found(report, FindingKind.CONVERSION_WAITING)
    return finding


def test_transaction_that_stays_open_is_named_and_the_next_run_goes_on(
    database: Database, tmp_path: Path
) -> None:
    database.execute(PLAIN)
    policy = policy_of(database, tmp_path)
    with database.connect() as other:
        other.execute("SET application_name = 'report of the year'")
        other.execute("BEGIN; SELECT count(*) FROM public.events")
        ((pid,),) = other.execute("SELECT pg_backend_pid()").fetchall()
        report = apply(policy)
        (result,) = report.results
        assert result.outcome is Outcome.FAILED
        assert not found(report, FindingKind.LOCK_NOT_ACQUIRED)
        told = waiting(report)
        assert told.severity is Severity.WARN
        blocker = told.data["blocked_by"]
        assert blocker["pid"] == pid
        assert blocker["application"] == "report of the year"
        assert blocker["role"] == other.info.user
        assert datetime.fromisoformat(blocker["query_start"]) < datetime.now(UTC)
        assert "SELECT" not in str(told.data)
        # the watch of the next minutes, and a second night
        assert waiting(pipeline.plan(policy)).data["runs"] == 1
        assert waiting(apply(policy)).data["runs"] == 2
        late = pipeline.plan(policy, now=datetime.now(UTC) + timedelta(days=4))
        assert waiting(late).severity is Severity.ERROR
        other.execute("COMMIT")
    report = apply(policy)
    assert report.ok
    assert not found(report, FindingKind.CONVERSION_WAITING)
    assert database.execute(KIND) == [("p",)]


@pytest.mark.pg("== 18")
def test_lock_on_the_swap_is_named_too(database: Database, tmp_path: Path) -> None:
    database.execute(PLAIN)
    policy = policy_of(database, tmp_path)
    with database.connect() as other:

        def block(line: str) -> None:
            if "step 4 of" in line:
                other.execute("BEGIN; SELECT FROM public.events LIMIT 1")

        report = apply(policy, progress=block)
        blocker = waiting(report).data["blocked_by"]
        assert blocker["pid"] == other.info.backend_pid
        assert blocker["relation"] == "public.events"
        other.execute("ROLLBACK")
    assert apply(policy).ok


@pytest.mark.pg("== 18")
def test_conversion_that_pauses_for_weeks_refuses_no_row_and_goes_on(
    database: Database, tmp_path: Path
) -> None:
    database.execute(PLAIN)
    policy = policy_of(database, tmp_path)
    begun = datetime.now(UTC)

    def killed_before_swap(now: datetime) -> set[str]:
        def die(line: str) -> None:
            if "put the partitioned table" in line:
                raise ClientDiedError

        with pytest.raises(ClientDiedError):
            apply(policy, now=now, progress=die)
        return {name for (name,) in database.execute(CHECKS)}

    seen = [killed_before_swap(begun + timedelta(weeks=n)) for n in range(9)]
    assert all(len(names) == 1 for names in seen)
    assert len({name for names in seen for name in names}) >= 2
    ends = {next(iter(names)).removeprefix("maintenance_convert_until_") for names in seen[-1:]}
    (end,) = ends
    year, month = map(int, end.split("_"))
    assert datetime(year, month, 1, tzinfo=UTC) > begun + timedelta(weeks=9)
    assert apply(policy, now=begun + timedelta(weeks=9)).ok
    ((n_rows,),) = database.execute("SELECT count(*) FROM public.events")
    assert n_rows == N_ROWS
