"""Bloat: estimate the free space in tables and indexes, and rebuild indexes online."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import ClassVar

from maintenance.engine.action_context import Executor
from maintenance.engine.actions import ActionKind
from maintenance.engine.observe_context import ObserveContext
from maintenance.engine.plan import Plan
from maintenance.engine.scope import Request
from maintenance.engine.subject import Subject
from maintenance.policy import Policy
from maintenance.subjects.bloat import plan as planner
from maintenance.subjects.bloat.apply import rebuild
from maintenance.subjects.bloat.estimate import estimate_index, estimate_table
from maintenance.subjects.bloat.history import note_look, past_of, rebuilds_of, record, settle
from maintenance.subjects.bloat.measurements import measurement_order, with_earlier
from maintenance.subjects.bloat.models import BloatSnapshot
from maintenance.subjects.bloat.observe import named_indexes, read_relations
from maintenance.subjects.bloat.pgstattuple import find_extension, measure
from maintenance.subjects.bloat.superfluous import advised_drops, duplicated


class Bloat(Subject[BloatSnapshot]):
    """The subject `bloat`."""

    name = "bloat"
    executors: ClassVar[Mapping[ActionKind, Executor]] = {ActionKind.REINDEX: rebuild}

    def is_enabled(self, policy: Policy) -> bool:
        """Whether the policy does not switch it off."""
        return policy.bloat is not None

    def consults(self, policy: Policy) -> Collection[str]:
        """The advice on indexes, where indexes are rebuilt: none that is to be dropped is."""
        rebuilds = policy.bloat is not None and policy.bloat.reindex == "concurrently"
        return ("indexes",) if rebuilds else ()

    def observe(self, context: ObserveContext) -> BloatSnapshot:
        """Estimate bloat of all large relations, and measure the few that matter most."""
        section = context.policy.bloat
        assert section is not None, "only called if it is on"
        cap = context.policy.observe.time_cap
        tables, indexes, leftovers = read_relations(context.connection, section.min_size, cap)
        bloat = {each.oid: estimate_table(each) for each in tables}
        bloat |= {each.oid: estimate_index(each) for each in indexes}
        database = context.policy.database.name
        asked_for, not_unique = named_indexes(context.connection, section.reindex_unique, cap)
        stock = BloatSnapshot(
            tables,
            indexes,
            bloat,
            find_extension(context.connection),
            leftovers,
            past_of(context.store, database, context.now) if context.store else {},
            rebuilds_of(context.store, database) if context.store else (),
            major=context.snapshot.server.major,
            asked_for=asked_for,
            not_unique=not_unique,
            superfluous=advised_drops(context.findings),
            duplicated=duplicated(context.findings),
        )
        order = measurement_order(stock, section, context.now)
        measured = measure(context.connection, stock.extension, order, cap)
        stock = with_earlier(stock, context.now)
        return replace(
            stock,
            bloat={**stock.bloat, **measured.bloat},
            failed=measured.failed,
            tried=measured.tried,
        )

    def record(self, context: ObserveContext, seen: BloatSnapshot) -> None:
        """Record all bloat values for the trend, and close killed rebuilds without leftovers."""
        assert context.store is not None, "only runs with a store record"
        record(context.store, context.policy.database.name, context.now, seen)
        note_look(context.store, context.policy.database.name, context.now)
        settle(context.store, planner.settled(seen.leftovers, seen.rebuilds))

    def plan(self, policy: Policy, seen: BloatSnapshot, now: datetime, request: Request) -> Plan:
        """Report bloat above the thresholds; rebuild the worst indexes if the policy says so."""
        return planner.plan(policy, seen, now, request)


BLOAT = Bloat()
