"""The steps that turn a table into a partitioned one.

Each step is one transaction. What an interrupted run has done is found again in the catalog, and
only the rest is planned. Until the swap the table keeps its name, its rows and all that depends on
it; see `undo` for the way back.
"""

from collections.abc import Iterator
from typing import NamedTuple

from maintenance.catalog.models import Server
from maintenance.ddl.children import create_and_attach
from maintenance.ddl.lock_statements import take
from maintenance.engine.actions import Lock, LockMode, Step
from maintenance.names import QualifiedName, quote
from maintenance.server.capabilities import has_analyze_only
from maintenance.subjects.conversion.helpers import alone, drop_check, drop_index
from maintenance.subjects.conversion.matviews import Twin
from maintenance.subjects.conversion.models import ConvertibleTable, Helper
from maintenance.subjects.conversion.references import (
    NO_LIMIT,
    prove_partners,
    references_of,
    validate_helper,
    validations,
)
from maintenance.subjects.conversion.swap import parent_model, swap
from maintenance.subjects.conversion.target import Target

READ_BYTES_A_S = 200 * 1024**2
BUILT_BYTES_A_S = 25 * 1024**2
"""Careful guesses for estimates: a disk is often faster."""


class ConversionStep(NamedTuple):
    """A step with what it does and about how long it takes."""

    what: str
    step: Step
    seconds: float = 0.0


def steps_of(seen: ConvertibleTable, target: Target, server: Server) -> tuple[ConversionStep, ...]:
    """Return the steps that remain.

    Args:
        seen: the table, without obstacles.
        target: its partitions.
        server: with our role.
    """
    role = server.role
    return (
        *_removals(seen, target),
        *_key(seen),
        *_bound(seen, target),
        *_not_null(seen),
        *_partners(seen),
        ConversionStep(
            f"put the partitioned table in its place; it becomes {target.first}",
            swap(seen, target, role),
        ),
        *_following(seen, target, role),
        *_matviews(seen),
        *_validations(seen),
        ConversionStep(
            "collect the statistics of the partitioned table", _analyze(seen, server.major), 5
        ),
    )


def finishing_steps(seen: ConvertibleTable) -> tuple[ConversionStep, ...]:
    """Return the steps that an interrupted run has left after its swap."""
    return (*_matviews(seen), *steps_of_earlier_runs(seen))


def steps_of_earlier_runs(seen: ConvertibleTable) -> Iterator[ConversionStep]:
    """Yield what is due whether or not the table is converted: an undo may not have finished.

    Foreign keys are validated, and twins that replace nothing dropped.
    """
    yield from map(_removal_of_twin, seen.orphans)
    for each in seen.helpers:
        if each.kind == "reference":
            what = f"validate foreign key {quote(each.name)} of {each.table}"
            yield ConversionStep(what, validate_helper(each))


def _matviews(seen: ConvertibleTable) -> Iterator[ConversionStep]:
    for view in seen.matviews:
        twin = Twin(view)
        seconds = (seen.sizes.table_bytes + view.size_bytes) / READ_BYTES_A_S
        yield ConversionStep(
            f"build materialized view {view.name} again beside the old one",
            twin.fill(anew=True),
            seconds,
        )
        yield ConversionStep(
            f"replace materialized view {view.name}, which reads the first partition alone",
            twin.exchange(),
        )


def _removal_of_twin(twin: QualifiedName) -> ConversionStep:
    lock = Lock(str(twin), LockMode.ACCESS_EXCLUSIVE)
    step = Step((f"DROP MATERIALIZED VIEW {twin}",), locks=(lock,))
    return ConversionStep(f"drop {twin}, which replaces no view any more", step)


def _partners(seen: ConvertibleTable) -> Iterator[ConversionStep]:
    """Yield the proof that each row will have its partner in a longer foreign key."""
    for each in references_of(seen.definition):
        step = prove_partners(each)
        if step is not None:
            what = f"check that {quote(each.column or '')} of all rows of {each.table} is right"
            yield ConversionStep(what, step, seen.sizes.table_bytes / READ_BYTES_A_S)


def _validations(seen: ConvertibleTable) -> Iterator[ConversionStep]:
    for each, step in validations(seen.definition):
        what = f"validate foreign key {quote(each.name)} of {each.table} on all rows"
        yield ConversionStep(what, step, seen.sizes.table_bytes / READ_BYTES_A_S)


def _removals(seen: ConvertibleTable, target: Target) -> Iterator[ConversionStep]:
    """Yield the removal of what an earlier run made and this one can't use."""
    for each in seen.helpers:
        if each.kind == "check" and each.name != target.check:
            yield ConversionStep("drop a CHECK of an earlier run", drop_check(seen, each.name))
        elif each.kind == "index" and not _is_built(seen, each):
            yield ConversionStep("drop the index of an interrupted build", drop_index(seen, each))


def _key(seen: ConvertibleTable) -> Iterator[ConversionStep]:
    if not seen.extends_key or any(_is_built(seen, each) for each in seen.helpers):
        return
    columns = ", ".join(map(quote, seen.extended_key))
    statement = (
        f"CREATE UNIQUE INDEX CONCURRENTLY {quote(seen.key_index.name)} ON {seen.name} ({columns})"
    )
    lock = Lock(str(seen.name), LockMode.SHARE_UPDATE_EXCLUSIVE)
    sizes = seen.sizes
    seconds = 2 * sizes.table_bytes / READ_BYTES_A_S + sizes.key_bytes / BUILT_BYTES_A_S
    yield ConversionStep(
        f"build the index of the future primary key ({columns})",
        Step((statement,), locks=(lock,), concurrent=True),
        seconds,
    )


def _bound(seen: ConvertibleTable, target: Target) -> Iterator[ConversionStep]:
    check = _check(seen, target.check)
    key, upper = quote(seen.section.column), target.until.literals(seen.codec)[0]
    if check is None:
        condition = f"{key} IS NOT NULL AND {key} < {upper}"
        yield ConversionStep(
            f"refuse rows from {upper} on until it is converted",
            _add_check(seen, target.check, condition),
        )
    if check is None or not check.is_valid:
        yield _validate(seen, target.check)


def _not_null(seen: ConvertibleTable) -> Iterator[ConversionStep]:
    """Yield the step that sets the key NOT NULL; the CHECK of the bound proves it, so no scan."""
    if not _is_nullable(seen):
        return
    column = quote(seen.section.column)
    statement = f"ALTER TABLE {seen.name} ALTER COLUMN {column} SET NOT NULL"
    step = Step((take(alone(seen)), statement), locks=alone(seen), owner=_owner(seen))
    yield ConversionStep(f"set {column} NOT NULL", step)


def _following(seen: ConvertibleTable, target: Target, role: str) -> Iterator[ConversionStep]:
    parent = parent_model(seen)
    for name, slot in target.following:
        lower, upper = slot.literals(seen.codec)
        step = create_and_attach(parent, name, lower, upper, role=role)
        first, *others = step.locks
        if others:
            statements = (take(others), *step.statements)
            step = Step(statements, step.prepare, (first, *others), owner=step.owner)
        yield ConversionStep(f"create partition {name} from {lower} on", step)


def _analyze(seen: ConvertibleTable, major: int) -> Step:
    """Return the ANALYZE of the partitioned table; the first partition has its statistics."""
    only = "ONLY " if has_analyze_only(major) else ""
    lock = Lock(str(seen.name), LockMode.SHARE_UPDATE_EXCLUSIVE)
    return Step((f"ANALYZE {only}{seen.name}",), locks=(lock,))


def _is_nullable(seen: ConvertibleTable) -> bool:
    return seen.key is not None and not seen.key.definition["not_null"]


def _is_built(seen: ConvertibleTable, helper: Helper) -> bool:
    """Whether a helper is the finished index of the future primary key."""
    return (
        helper.kind == "index"
        and helper.is_valid
        and helper.name == seen.key_index.name
        and seen.extends_key
        and helper.columns == seen.extended_key
    )


def _check(seen: ConvertibleTable, name: str) -> Helper | None:
    return next((e for e in seen.helpers if e.kind == "check" and e.name == name), None)


def _add_check(seen: ConvertibleTable, name: str, condition: str) -> Step:
    added = f"ALTER TABLE {seen.name} ADD CONSTRAINT {quote(name)} CHECK ({condition}) NOT VALID"
    return Step((take(alone(seen)), added), locks=alone(seen), owner=_owner(seen))


def _validate(seen: ConvertibleTable, name: str) -> ConversionStep:
    lock = Lock(str(seen.name), LockMode.SHARE_UPDATE_EXCLUSIVE)
    statement = f"ALTER TABLE {seen.name} VALIDATE CONSTRAINT {quote(name)}"
    step = Step((NO_LIMIT, statement), locks=(lock,), owner=_owner(seen))
    seconds = seen.sizes.table_bytes / READ_BYTES_A_S
    return ConversionStep(f"validate CHECK {quote(name)} on all rows", step, seconds)


def _owner(seen: ConvertibleTable) -> str:
    return seen.table.properties.owner
