"""The longest wait of a writer while partitions are created and dropped during a long read."""

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import partman
from benchmarks.outcomes import OURS, PEER, Outcome, Target
from benchmarks.servers import fresh_database, session
from benchmarks.tables import URL_VARIABLE, Shape, build, write_policy
from benchmarks.timing import interleave
from benchmarks.writers import IDLE, Work, Writers
from maintenance.demo.postgres import PostgresServer
from maintenance.engine import target as engine_target
from maintenance.engine.actions import ActionKind
from maintenance.engine.executor import Outcome as Done
from maintenance.pipeline import run as pipeline
from maintenance.policy import Policy

LIMIT_MS = 20.0
TREE_LIMIT_MS = 50.0
TREE = ", with {} leaves a month"

FILL_DEFAULT = (
    "CREATE TABLE {table}_default PARTITION OF {table} DEFAULT",
    "INSERT INTO {table} (at, user_id, kind)"
    " SELECT '2001-01-01'::timestamptz + g * interval '1 second', 1, 'old'"
    " FROM generate_series(1, {n_default_rows}) AS g",
    "VACUUM ANALYZE {table}_default",
)
ADD_KEY = (
    "CREATE TABLE public.users (id bigint PRIMARY KEY)",
    "INSERT INTO public.users SELECT generate_series(1, 1000)",
    "ALTER TABLE {table} ADD FOREIGN KEY (user_id) REFERENCES public.users",
)
SPLIT_MONTHS = (
    """
    DO $$
    DECLARE month text; bound text;
    BEGIN
      FOR month, bound IN
        SELECT inhrelid::regclass, pg_get_expr(relpartbound, oid)
        FROM pg_inherits JOIN pg_class ON oid = inhrelid
        WHERE inhparent = '{table}'::regclass AND relkind = 'r'
      LOOP
        EXECUTE format('DROP TABLE %s', month);
        EXECUTE format(
          'CREATE TABLE %s PARTITION OF {table} %s PARTITION BY HASH (id)', month, bound);
        FOR leaf IN 0..{n_leaves} - 1 LOOP
          EXECUTE format(
            'CREATE TABLE %1$s_%2$s PARTITION OF %1$s'
            ' FOR VALUES WITH (MODULUS {n_leaves}, REMAINDER %2$s)', month, leaf);
        END LOOP;
      END LOOP;
    END $$""",
)
PLAIN = ""
KINDS: Mapping[str, Sequence[str]] = {
    PLAIN: (),
    ", with a default partition": FILL_DEFAULT,
    ", with a foreign key": ADD_KEY,
}
"""The kinds of tables, with the statements that make one of a plain table."""


@dataclass(frozen=True, slots=True)
class RetentionStall:
    """12 months created and 12 dropped of a table with 25; a clone for each round.

    Attributes:
        n_leaves: the number of tables that each month is partitioned into; 0 for plain months of
            each kind of table.
    """

    n_writers: int = 2
    read_s: int = 10
    n_kept: int = 12
    n_made: int = 12
    n_gone: int = 12
    n_default_rows: int = 3_000_000
    n_leaves: int = 0
    rounds: int = 2

    def run(self, server: PostgresServer) -> Outcome:
        samples: dict[str, tuple[float, ...]] = {}
        kinds = {TREE.format(self.n_leaves): SPLIT_MONTHS} if self.n_leaves else KINDS
        targets: list[Target] = []
        for kind, statements in kinds.items():
            measured, target = self._measure(server, kind, statements)
            samples |= measured
            targets.append(target)
        what = (
            f"slowest insert of {self.n_writers} writers, {self.n_made} months made and"
            f" {self.n_gone} dropped beside a {self.read_s} s read"
        )
        return Outcome(what, "ms", samples, targets)

    def _measure(
        self, server: PostgresServer, kind: str, statements: Sequence[str]
    ) -> tuple[dict[str, tuple[float, ...]], Target]:
        """Measure one kind of table beside no work; the plain one beside the peer too."""
        shape = Shape(1, behind=self.n_kept + self.n_gone, ahead=0)
        (table,) = shape.tables
        has_peer = kind == PLAIN and partman.is_available(server)
        retention = {"keep": f"{self.n_kept} months", "action": "drop", "max_per_run": self.n_gone}
        with tempfile.TemporaryDirectory() as folder, fresh_database(server) as template:
            path = Path(folder) / "policy.yaml"
            policy = write_policy(path, shape.tables, self.n_made, retention=retention)
            with session(template.url) as connection:
                build(connection, shape)
                sizes = {"n_default_rows": self.n_default_rows, "n_leaves": self.n_leaves}
                for statement in statements:
                    connection.execute(statement.format(table=table, **sizes).encode())
                if has_peer:
                    partman.register(connection, shape.tables, self.n_made)
            works: dict[str, Work | None] = {
                OURS + kind: partial(self._ours, policy),
                IDLE + kind: lambda _url: None,
            }
            if kind == PLAIN:
                works[PEER] = self._peer if has_peer else None
            writers = Writers(server, table, self.n_writers, self.read_s)
            contenders = {
                who: writers.beside(who, work) if work else None for who, work in works.items()
            }
            samples = interleave(contenders, self.rounds, template.clone)
        limit = TREE_LIMIT_MS if self.n_leaves else LIMIT_MS
        text = f"worst insert beside {OURS}{kind}, ms"
        return samples, writers.stall(text, samples, limit, kind)

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

    def _peer(self, url: str) -> None:
        partman.set_retention(url, f"{self.n_kept} months")
        partman.run(url)
