"""Expired partitions dropped: by maintenance, by pg_partman, and as bare DDL."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import partman
from benchmarks.outcomes import OURS, PEER, Outcome, Target, ratio
from benchmarks.servers import fresh_database, session
from benchmarks.tables import (
    AROUND,
    URL_VARIABLE,
    Shape,
    build,
    create_store,
    n_partitions,
    time_run,
    write_policy,
)
from benchmarks.timing import Contender, interleave, seconds
from maintenance.demo.postgres import PostgresServer
from maintenance.engine import target as engine_target
from maintenance.engine.actions import Step
from maintenance.engine.lock_retry import LockRetry
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy

BARE = "the same safe sequence, bare"
LIMITED = "the same, each transaction under its lock limits"
MAX_OVER_BARE = 1.2
PREMAKE = 1
KEPT = "1 month"
N_LEFT = 3
"""Of each table: the month before this one, this one and the next."""


@dataclass(frozen=True, slots=True)
class DropExpired:
    """100 expired months of 11 tables; a clone for each round."""

    n_tables: int = 11
    n_expired: int = 100
    rounds: int = 5

    def run(self, server: PostgresServer) -> Outcome:
        shape = Shape(self.n_tables, behind=1 + self.n_expired, ahead=PREMAKE)
        retention = {"keep": KEPT, "action": "drop", "max_per_run": self.n_expired}
        has_peer = partman.is_available(server)
        around_s: list[float] = []
        with tempfile.TemporaryDirectory() as folder, fresh_database(server) as template:
            path = Path(folder) / "policy.yaml"
            policy = write_policy(path, shape.tables, PREMAKE, retention=retention)
            with session(template.url) as connection:
                build(connection, shape)
                if has_peer:
                    partman.register(connection, shape.tables, PREMAKE)
            create_store(template.url)
            contenders = {
                OURS: self._checked(partial(time_run, policy, around_s)),
                BARE: self._checked(partial(_bare, policy, _transaction)),
                LIMITED: self._checked(partial(_bare, policy, _limited(policy))),
                PEER: self._checked(_peer) if has_peer else None,
            }
            samples = interleave(contenders, self.rounds, template.clone)
        samples[AROUND] = tuple(around_s)
        over_bare, around = ratio(samples, OURS, BARE), ratio(samples, AROUND, BARE)
        limited = ratio(samples, LIMITED, BARE)
        reason = (
            f"with the limits of each transaction's locks the same statements take {limited:.2f}"
            f" times as long, and before and after them the server answers for {around:.2f}"
        )
        targets = [
            Target("maintenance over bare", over_bare, MAX_OVER_BARE, limited + around, reason)
        ]
        if has_peer:
            over_peer, least = ratio(samples, OURS, PEER), ratio(samples, BARE, PEER)
            safe = (
                f"bare, the same statements take {least:.2f} times as long: each partition is"
                " detached concurrently, and dropped under a lock on it alone"
            )
            targets.append(Target("maintenance over pg_partman", over_peer, 1.0, least, safe))
        n_dropped = self.n_tables * self.n_expired
        what = f"{n_dropped:,} expired partitions of {self.n_tables} tables dropped"
        return Outcome(what, "s", samples, targets)

    def _checked(self, contender: Contender) -> Contender:
        def run(url: str) -> float:
            took = contender(url)
            left, wanted = n_partitions(url), self.n_tables * N_LEFT
            assert left == wanted, f"{left} partitions are left, wanted {wanted}"
            return took

        return run


def _bare(policy: Policy, transaction: Callable[[Step], str], url: str) -> float:
    """Time the planned statements alone, each step in a transaction unless it makes its own."""
    actions = pipeline.plan(engine_target.Target(policy, {URL_VARIABLE: url})).plan.actions
    steps = [step for action in actions for step in action.steps]
    messages = [
        message
        for step in steps
        for message in (step.sql if step.concurrent else (transaction(step),))
    ]

    def work() -> None:
        with session(url) as connection:
            for message in messages:
                connection.execute(message.encode())

    return seconds(work)


def _transaction(step: Step) -> str:
    return ";\n".join(("BEGIN", *step.sql, "COMMIT"))


def _limited(policy: Policy) -> Callable[[Step], str]:
    return LockRetry.from_policy(policy.locks).transaction


def _peer(url: str) -> float:
    partman.set_retention(url, KEPT)
    return seconds(lambda: partman.run_by_table(url))
