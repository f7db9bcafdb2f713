"""Plan the removal of the store: the schema, or the rows of one database where others share it.

Nothing is dropped with CASCADE: what is not ours and depends on the store keeps it.
"""

import re
from collections.abc import Iterator, Sequence

from maintenance.engine.actions import Action, ActionKind, Lock, LockMode, Step
from maintenance.formatting import counted_noun, readable_size
from maintenance.names import literal, quote
from maintenance.store import SCHEMA, made_by_migrations
from maintenance.uninstall.models import Kept, Remains, Served, StoreObject

_MONTH = re.compile(r"_\d{4}_\d{2}\Z")


def plan_store(remains: Remains, *, is_needed: bool) -> tuple[Action | None, tuple[Kept, ...]]:
    """Return the removal of the store, None if nothing is removed, and what is kept of it.

    Args:
        remains: what runs have left.
        is_needed: whether something stays whose removal needs the history.
    """
    if not remains.store:
        return None, ()
    if is_needed:
        reason = "kept, because what is kept above needs its history; it goes with the rest"
        return None, (Kept(SCHEMA, "needed", reason),)
    if remains.is_store_old:
        reason = "of an earlier version, which is brought up to date before it is removed"
        return _action(SCHEMA, Step(()), "the store,", reason), ()
    if remains.others:
        return _rows(remains)
    return _schema(remains)


def _rows(remains: Remains) -> tuple[Action | None, tuple[Kept, ...]]:
    """Return the removal of one database's rows from a store that serves others too."""
    listed = ", ".join(remains.others)
    kept = Kept(SCHEMA, "shared_store", f"the store serves {listed} too: only rows are removed")
    mine = next((each for each in remains.served if each.database == remains.database), None)
    if mine is None:
        return None, (kept,)
    known = made_by_migrations()
    tables = [o for o in remains.store if o.name in known and o.has_database and not o.parent]
    condition = f"database = {literal(remains.database)}"
    statements = [f"DELETE FROM {table.identity} WHERE {condition}" for table in tables]
    name = f"{SCHEMA} ({remains.database})"
    return _action(name, Step(tuple(statements)), "the rows of this database in", _runs(mine)), (
        kept,
    )


def _schema(remains: Remains) -> tuple[Action | None, tuple[Kept, ...]]:
    refused = [*_refusals(remains)]
    if refused:
        return None, tuple(refused)
    ours = [each for each in remains.store if _is_ours(each)]
    others = [o for o in remains.store if o not in ours and o.kind != "schema" and not o.parent]
    kept = tuple(_foreign(each) for each in others)
    statements = tuple(_drops(ours, is_whole=not others))
    if not statements:
        return None, kept
    tables = [each for each in ours if each.kind == "table"]
    locks = tuple(Lock(each.identity, LockMode.ACCESS_EXCLUSIVE) for each in tables)
    n_parts = sum(each.parent is not None for each in remains.store)
    size = sum(each.size_bytes or 0 for each in remains.store)
    # A DROP of dozens of partitioned tables takes its time once it has the locks.
    step = Step(statements, locks=locks, is_long=True)
    counted = f"{len(tables)} tables with {n_parts} partitions"
    reason = f"{counted}, {readable_size(size)}, {_runs(*remains.served)}"
    return _action(SCHEMA, step, "the store, schema", reason, size_bytes=size), kept


def _refusals(remains: Remains) -> Iterator[Kept]:
    for each in remains.store:
        if each.kind == "dependent":
            drop = ("DROP VIEW " + each.identity,) if each.name == "view" else ()
            yield Kept(
                each.identity,
                "dependent",
                f"{each.name} that depends on the store: drop or change it first",
                statements=drop,
                is_refused=True,
            )
        elif each.is_ours is False:
            owner, role = quote(each.owner or ""), quote(remains.store_role)
            yield Kept(
                each.identity,
                "privilege",
                f"{each.kind} of role {owner}, whose rights {role} does not have: run uninstall as"
                " that role or a superuser, or grant it first",
                statements=(f"GRANT {owner} TO {role}",),
                is_refused=True,
            )


def _is_ours(each: StoreObject) -> bool:
    """Whether an object is one that a migration made, or a month of one that stands alone."""
    known = made_by_migrations()
    if each.parent is not None:
        return False  # it goes with its table
    if each.kind == "table" and _MONTH.search(each.name):
        return _MONTH.sub("", each.name) in known
    return each.kind in ("table", "view", "function") and each.name in known


def _drops(ours: Sequence[StoreObject], *, is_whole: bool) -> Iterator[str]:
    for kind in ("function", "view", "table"):
        names = [each.identity for each in ours if each.kind == kind]
        if names:
            yield f"DROP {kind.upper()} {', '.join(names)}"
    if is_whole:
        yield f"DROP SCHEMA {SCHEMA}"


def _foreign(each: StoreObject) -> Kept:
    drop = (f"DROP {each.kind.upper()} {each.identity}",)
    reason = f"{each.kind} that no version of this software made; schema {SCHEMA} stays with it"
    return Kept(each.identity, "unproven", reason, each.size_bytes, drop)


def _runs(*served: Served) -> str:
    n_runs = sum(each.n_runs for each in served)
    if not n_runs:
        return "no runs"
    first = min(each.first_at for each in served)
    last = max(each.last_at for each in served)
    return f"{counted_noun(n_runs, 'run')} from {first:%Y-%m-%d} to {last:%Y-%m-%d}"


def _action(name: str, step: Step, what: str, reason: str, **detail: object) -> Action:
    kind, facts = ActionKind.UNINSTALL, {"what": what, **detail}
    return Action(kind, name, (step,), reason, destructive=True, detail=facts)
