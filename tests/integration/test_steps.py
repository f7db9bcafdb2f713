"""Steps of actions on a busy table."""

from datetime import timedelta
from pathlib import Path

import pytest

from maintenance.engine.action_context import ActionContext
from maintenance.engine.actions import Action, ActionKind, Lock, LockMode, Step
from maintenance.engine.lock_retry import silent
from maintenance.engine.steps import run_steps
from maintenance.engine.target import Target
from tests.builders import Database
from tests.load_generator import always_read
from tests.policies import make_policy


@pytest.mark.pg("== 18")
def test_index_is_dropped_where_every_query_outlasts_the_lock_timeout(
    database: Database, tmp_path: Path
) -> None:
    database.execute("CREATE TABLE public.busy (a int)")
    database.execute("CREATE INDEX old ON public.busy (a)")
    database.execute("INSERT INTO public.busy VALUES (1)")
    limits = {"give_up_after": "5 seconds", "patient_lock_timeout": "100 ms"}
    target = Target(make_policy(tmp_path, database.url, locks=limits))
    lock = Lock("public.busy", LockMode.SHARE_UPDATE_EXCLUSIVE)
    drop = Step(("DROP INDEX CONCURRENTLY public.old",), locks=(lock,), concurrent=True)
    action = Action(ActionKind.REMOVE_REBUILD, "public.old", (drop,), "left by a killed rebuild")
    with always_read(database, "public.busy"), target.database("test") as connection:
        context = ActionContext(connection, connection, target, silent, "run")
        assert context.lock_retry.patient_lock_timeout == timedelta(milliseconds=100)
        assert run_steps(context, action) == {}
    assert database.execute("SELECT to_regclass('public.old')") == [(None,)]
