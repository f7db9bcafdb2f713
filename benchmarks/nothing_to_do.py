"""The cost of a run if everything exists already."""

import tempfile
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks import partman
from benchmarks.command import run_plan
from benchmarks.outcomes import OURS, PEER, Outcome, Target
from benchmarks.servers import fresh_database, session
from benchmarks.tables import Shape, build, settle, write_policy
from benchmarks.timing import Contender, interleave, seconds
from maintenance.catalog.observe import observe
from maintenance.demo.postgres import PostgresServer
from maintenance.engine import target as engine_target
from maintenance.engine.observe_context import ObserveContext
from maintenance.engine.plan import Plan
from maintenance.engine.scope import EVERYTHING
from maintenance.pipeline.observe import seldom_collecting
from maintenance.policy import Policy
from maintenance.server.session import Connection, Timeouts, connect
from maintenance.subjects.partitions import PARTITIONS

PREMAKE = 4
LIMIT_S = 0.15
BARE = "names and bounds of its partitions, read in one query"
COMMAND = "maintenance plan, its whole process"

_BARE = b"""
SELECT p.oid, i.inhparent, n.nspname, p.relname, pg_catalog.pg_get_expr(p.relpartbound, p.oid)
  FROM pg_catalog.pg_inherits i
  JOIN pg_catalog.pg_class p ON p.oid = i.inhrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace
 WHERE p.relkind = 'r'
"""


@dataclass(frozen=True, slots=True)
class NothingToDo:
    """110 months of 100 tables, with indexes and TOAST; a new session for each observation."""

    n_tables: int = 100
    n_months: int = 110
    rounds: int = 9

    def run(self, server: PostgresServer) -> Outcome:
        shape = Shape(self.n_tables, behind=self.n_months - PREMAKE - 2, ahead=PREMAKE + 1)
        has_peer = partman.is_available(server)
        with tempfile.TemporaryDirectory() as folder, fresh_database(server) as database:
            policy = write_policy(Path(folder) / "policy.yaml", shape.tables, PREMAKE)
            with session(database.url) as connection:
                build(connection, shape)
                if has_peer:
                    partman.register(connection, shape.tables, PREMAKE)
                settle(connection)
            contenders: dict[str, Contender | None] = {
                OURS: lambda url: observe_and_plan(policy, url),
                BARE: _bare,
                PEER: _peer if has_peer else None,
                COMMAND: lambda url: run_plan(policy, url).seconds,
            }
            samples = interleave(contenders, self.rounds, lambda: nullcontext(database))
        return Outcome(
            f"nothing to do for {self.n_tables} tables, {shape.n_partitions:,} months",
            "s",
            samples,
            (
                Target(
                    "maintenance after connect, s",
                    median(samples[OURS]),
                    LIMIT_S,
                    median(samples[BARE]),
                ),
            ),
        )


def observe_and_plan(policy: Policy, url: str) -> float:
    """Time `pipeline.plan` after connecting; it must find nothing to do."""
    timeouts = Timeouts(policy.locks.lock_timeout, policy.observe.time_cap)
    connection = connect(url, application="benchmark", timeouts=timeouts)
    try:
        with seldom_collecting():
            return seconds(lambda: _look(connection, policy))
    finally:
        connection.close()


def _look(connection: Connection, policy: Policy) -> None:
    now = datetime.now(UTC)
    relations = PARTITIONS.relations(policy)
    snapshot = observe(connection, relations, time_cap=policy.observe.time_cap)
    context = ObserveContext(
        engine_target.Target(policy, {}), now, EVERYTHING, snapshot, connection, None
    )
    plan = PARTITIONS.plan(policy, PARTITIONS.observe(context), now, EVERYTHING)
    assert plan == Plan(), plan


def _bare(url: str) -> float:
    with session(url) as connection:
        return seconds(lambda: connection.execute(_BARE).fetchall())


def _peer(url: str) -> float:
    with session(url) as connection:
        return seconds(lambda: connection.execute("SELECT partman.run_maintenance()"))
