"""Executors whose errors are ours, so that one view's trouble stays with that view."""

from collections.abc import Mapping
from functools import wraps
from typing import Any

import psycopg

from maintenance.engine.actions import Action
from maintenance.engine.workbench import Executor, Workbench
from maintenance.server.session import explain, rollback_quietly


def explained(execute: Executor) -> Executor:
    """Turn what the server refuses while an action is carried out into one of our errors."""

    @wraps(execute)
    def wrapped(bench: Workbench, action: Action) -> Mapping[str, Any]:
        try:
            return execute(bench, action)
        except psycopg.Error as exc:
            rollback_quietly(bench.connection)
            raise explain(exc, action.object) from exc

    return wrapped
