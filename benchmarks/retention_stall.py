"""The longest wait of a writer while partitions are created and dropped during a long read."""

import tempfile
from collections import Counter
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import partman
from benchmarks.outcomes import OURS, PEER, Outcome, Target
from benchmarks.servers import fresh_database, session
from benchmarks.tables import URL_VARIABLE, Shape, build, write_policy
from benchmarks.timing import Contender, interleave
from benchmarks.writer_stall import IDLE
from benchmarks.writers import Work, slowest_insert_ms
from maintenance.demo.postgres import PostgresServer
from maintenance.engine import target as engine_target
from maintenance.engine.actions import ActionKind
from maintenance.engine.executor import Outcome as Done
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy

BESIDE_DEFAULT = f"{OURS}, with a default partition"
WITH_KEY = f"{OURS}, with a foreign key"
LIMITS_MS = {OURS: 40.0, BESIDE_DEFAULT: 100.0, WITH_KEY: 100.0}
KEPT_MONTHS = 12

FILL_DEFAULT = """
CREATE TABLE {table}_default PARTITION OF {table} DEFAULT;
INSERT INTO {table} (at, user_id, kind)
SELECT '2001-01-01'::timestamptz + g * interval '1 second', 1, 'old'
FROM generate_series(1, {n_rows}) AS g;
VACUUM ANALYZE {table}_default;
"""
ADD_KEY = """
CREATE TABLE public.users (id bigint PRIMARY KEY);
INSERT INTO public.users SELECT generate_series(1, 1000);
ALTER TABLE {table} ADD FOREIGN KEY (user_id) REFERENCES public.users;
"""
SCRIPTS = {OURS: "", BESIDE_DEFAULT: FILL_DEFAULT, WITH_KEY: ADD_KEY}


@dataclass(frozen=True, slots=True)
class RetentionStall:
    """12 months created and 12 dropped of a table with 25; a clone for each round."""

    n_writers: int = 2
    read_s: int = 10
    n_made: int = 12
    n_gone: int = 12
    n_default_rows: int = 3_000_000
    rounds: int = 2

    def run(self, server: PostgresServer) -> Outcome:
        samples: dict[str, tuple[float, ...]] = {}
        for name in LIMITS_MS:
            samples |= self._measure(server, name)
        targets = [
            Target(f"worst insert beside {name}, ms", max(samples[name]), limit)
            for name, limit in LIMITS_MS.items()
        ]
        what = (
            f"slowest insert of {self.n_writers} writers, {self.n_made} months made and"
            f" {self.n_gone} dropped beside a {self.read_s} s read"
        )
        return Outcome(what, "ms", samples, targets)

    def _measure(self, server: PostgresServer, name: str) -> dict[str, tuple[float, ...]]:
        """Measure one kind of table; the plain one against the peer too."""
        shape = Shape(1, behind=KEPT_MONTHS + self.n_gone, ahead=0)
        (table,) = shape.tables
        has_peer = name == OURS and partman.is_available(server)
        retention = {"keep": f"{KEPT_MONTHS} months", "action": "drop", "max_per_run": self.n_gone}
        with tempfile.TemporaryDirectory() as folder, fresh_database(server) as template:
            path = Path(folder) / "policy.yaml"
            policy = write_policy(path, shape.tables, self.n_made, retention=retention)
            with session(template.url) as connection:
                build(connection, shape)
                for statement in SCRIPTS[name].split(";")[:-1]:
                    filled = statement.format(table=table, n_rows=self.n_default_rows)
                    connection.execute(filled.encode())
                if has_peer:
                    partman.register(connection, shape.tables, self.n_made)
            works: dict[str, Work | None] = {name: partial(self._ours, policy)}
            if name == OURS:
                works |= {IDLE: lambda _url: None, PEER: _peer if has_peer else None}
            contenders = {
                who: self._contender(server, table, work) if work else None
                for who, work in works.items()
            }
            return interleave(contenders, self.rounds, template.clone)

    def _contender(self, server: PostgresServer, table: str, work: Work) -> Contender:
        return lambda url: slowest_insert_ms(
            server, table, work, url, n_writers=self.n_writers, read_s=self.read_s
        )

    def _ours(self, policy: Policy, url: str) -> None:
        report = pipeline.apply(engine_target.Target(policy, {URL_VARIABLE: url}))
        left = [result for result in report.results if result.outcome is not Done.DONE]
        assert not left, f"not done: {left}"
        steps = Counter(result.action.kind for result in report.results)
        assert steps == {
            ActionKind.CREATE_PARTITION: self.n_made,
            ActionKind.DETACH_PARTITION: self.n_gone,
            ActionKind.DROP_PARTITION: self.n_gone,
        }


def _peer(url: str) -> None:
    partman.set_retention(url, f"{KEPT_MONTHS} months")
    partman.run(url)
