"""A year of partitions created: by maintenance, by pg_partman, and as bare DDL."""

import tempfile
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
from maintenance.engine.actions import Action
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy

BARE = "the same DDL and commits, bare"
MAX_OVER_BARE = 1.1
MAX_OVER_PEER = 0.85


@dataclass(frozen=True, slots=True)
class CreatePartitions:
    """12 months ahead for 100 tables that have the current one; a clone for each round."""

    n_tables: int = 100
    premake: int = 12
    rounds: int = 5

    def run(self, server: PostgresServer) -> Outcome:
        shape = Shape(self.n_tables, behind=0, ahead=0)
        has_peer = partman.is_available(server)
        around_s: list[float] = []
        with tempfile.TemporaryDirectory() as folder, fresh_database(server) as template:
            policy = write_policy(Path(folder) / "policy.yaml", shape.tables, self.premake)
            with session(template.url) as connection:
                build(connection, shape)
                if has_peer:
                    partman.register(connection, shape.tables, self.premake)
            create_store(template.url)
            contenders = {
                OURS: self._checked(partial(time_run, policy, around_s)),
                BARE: self._checked(partial(_bare, policy)),
                PEER: self._checked(_peer) if has_peer else None,
            }
            samples = interleave(contenders, self.rounds, template.clone)
        samples[AROUND] = tuple(around_s)
        over_bare, around = ratio(samples, OURS, BARE), ratio(samples, AROUND, BARE)
        reason = f"the server answers for {around:.2f} of it before and after the work"
        targets = [Target("maintenance over bare", over_bare, MAX_OVER_BARE, 1 + around, reason)]
        if has_peer:
            over_peer, least = ratio(samples, OURS, PEER), ratio(samples, BARE, PEER)
            targets.append(Target("maintenance over pg_partman", over_peer, MAX_OVER_PEER, least))
        n_made = self.n_tables * self.premake
        what = f"{n_made:,} partitions made over {self.n_tables} tables"
        return Outcome(what, "s", samples, targets)

    def _checked(self, contender: Contender) -> Contender:
        def run(url: str) -> float:
            took = contender(url)
            made, wanted = n_partitions(url), self.n_tables * (1 + self.premake)
            assert made == wanted, f"{made} partitions, wanted {wanted}"
            return took

        return run


def _bare(policy: Policy, url: str) -> float:
    actions = pipeline.plan(engine_target.Target(policy, {URL_VARIABLE: url})).plan.actions

    def work() -> None:
        with session(url) as connection:
            for action in actions:
                connection.execute(_transactions(action))

    return seconds(work)


def _transactions(action: Action) -> bytes:
    """Return an action's statements and commits, without lock timeouts."""
    transactions = [("BEGIN", *step.sql, "COMMIT") for step in action.steps]
    return ";\n".join(statement for each in transactions for statement in each).encode()


def _peer(url: str) -> float:
    return seconds(lambda: partman.run_by_table(url))
