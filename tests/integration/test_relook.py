"""Open alerts end soon after their cause, without a run, and a look between runs raises nothing."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from maintenance.alerts.models import Alert
from maintenance.pipeline import notify
from maintenance.pipeline.relook import LATER, SOON, Relook
from maintenance.policy import Policy
from tests.builders import Database
from tests.policies import make_policy
from tests.receivers import Receiver

pytestmark = pytest.mark.pg("== 18")

BROKEN = "UPDATE pg_index SET indisvalid = {} WHERE indexrelid = 't_note'::regclass"
SECTIONS: dict[str, Any] = {"statistics": {}, "indexes": {}, "bloat": {"min_size": "100 kB"}}


@pytest.fixture
def policy(database: Database, tmp_path: Path, receiver: Receiver) -> Policy:
    with database.connect() as connection:
        connection.execute("CREATE TABLE public.t (id int PRIMARY KEY, note text)")
        connection.execute("CREATE INDEX t_note ON public.t (note)")
        connection.execute(BROKEN.format("false"))
    return make_policy(tmp_path, database.url, alerts={"sinks": [receiver.webhook()]}, **SECTIONS)


def told(receiver: Receiver) -> list[tuple[str, str]]:
    return [(each["state"], each["kind"]) for each in receiver.events()]


def standing(policy: Policy) -> list[Alert]:
    return notify.standing(policy)[0]


def test_alert_ends_with_its_cause_and_nothing_new_is_raised(
    database: Database, policy: Policy, receiver: Receiver
) -> None:
    now, relook = datetime.now(UTC), Relook()
    assert relook.look(policy, [], now) is None  # without an open alert nothing is looked at
    notify.notify(policy)
    assert told(receiver) == [("raised", "index_invalid")]
    database.execute("CREATE TABLE public.other AS SELECT 1 AS n")
    first = relook.look(policy, standing(policy), now)
    assert first is not None
    notify.run_round(policy, [(datetime.now(UTC), first)])
    assert relook.look(policy, standing(policy), now + SOON / 2) is None
    database.execute(BROKEN.format("true"))
    again = relook.look(policy, standing(policy), now + SOON)
    assert again is not None
    notify.run_round(policy, [(datetime.now(UTC), again)])
    assert told(receiver) == [("raised", "index_invalid"), ("resolved", "index_invalid")]
    assert relook.look(policy, standing(policy), now + LATER) is None


def test_what_can_not_be_read_stays_open(
    database: Database, policy: Policy, receiver: Receiver
) -> None:
    notify.notify(policy)
    database.execute("DROP INDEX public.t_note")
    database.execute("CREATE INDEX t_note ON public.t ((id + 1)) WHERE id > 0")
    database.execute(BROKEN.format("false"))
    with database.connect(autocommit=False) as holder:
        holder.execute("LOCK TABLE public.t IN ACCESS EXCLUSIVE MODE")
        seen = Relook().look(policy, standing(policy), datetime.now(UTC))
    assert seen is not None
    notify.run_round(policy, [(datetime.now(UTC), seen)])
    assert told(receiver) == [("raised", "index_invalid")]


def test_old_alert_is_looked_at_hourly(policy: Policy) -> None:
    notify.notify(policy)
    now, relook = datetime.now(UTC) + timedelta(days=2), Relook()
    assert relook.look(policy, standing(policy), now) is not None
    assert relook.look(policy, standing(policy), now + SOON) is None
    assert relook.look(policy, standing(policy), now + LATER) is not None
