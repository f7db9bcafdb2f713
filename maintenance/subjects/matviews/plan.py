"""Plan views: create missing ones, refresh those that may have changed, in dependency order."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from maintenance.engine.actions import Action, ActionKind, Lock, LockMode, Step
from maintenance.engine.plan import Plan, Skip
from maintenance.engine.scope import Request
from maintenance.names import QualifiedName, parse_name
from maintenance.policy import MatviewPolicy, Policy
from maintenance.subjects.matviews.ddl import (
    CONCURRENTLY,
    create_statements,
    index_statement,
    is_unindexed,
    refresh_statement,
)
from maintenance.subjects.matviews.dependencies import in_order, reads_of
from maintenance.subjects.matviews.findings import findings
from maintenance.subjects.matviews.freshness import (
    AFTER_ANOTHER,
    Verdict,
    assess_all,
    proof_in_words,
    reach_in_words,
)
from maintenance.subjects.matviews.models import Matview, MatviewsObservation, Ownership

MUCH_CHANGED = 0.5
"""Above this fraction of changed rows a plain refresh costs less than a concurrent one."""

SHORT_S = 1.0
"""Longest plain refresh, in seconds, that is chosen without being requested by the policy."""


@dataclass(slots=True)
class _Plan:
    """A plan under construction.

    Attributes:
        verdicts: of each existing view.
        is_forced: whether views are refreshed although nothing has changed.
        serving: for each view, the last action that its readers must wait for.
    """

    policy: Policy
    seen: MatviewsObservation
    now: datetime
    verdicts: Mapping[QualifiedName, Verdict]
    is_forced: bool = False
    actions: list[Action] = field(default_factory=list[Action])
    skipped: list[Skip] = field(default_factory=list[Skip])
    serving: dict[QualifiedName, str] = field(default_factory=dict[QualifiedName, str])


def plan(policy: Policy, seen: MatviewsObservation, now: datetime, request: Request) -> Plan:
    """Plan all views of a policy, or the requested one."""
    sections = {section.name: section for section in policy.matviews}
    making = _Plan(policy, seen, now, assess_all(policy, seen), request.forced)
    for name in in_order(reads_of(policy, seen)):
        view = seen.views.get(name)
        if request.includes(name) and request.rebuild and view is not None and view.kind == "m":
            making.actions.append(_rebuild_action(sections[name], view, seen))
        elif request.includes(name):
            _plan_view(making, sections[name], view)
    asked = {str(name) for name in sections if request.includes(name)}
    standing = [each for each in findings(policy, seen, now) if each.object in asked]
    return Plan(tuple(making.actions), tuple(standing), tuple(making.skipped))


def _plan_view(making: _Plan, section: MatviewPolicy, view: Matview | None) -> None:
    if view is None:
        _plan_creation(making, section)
    elif view.kind == "m" and view.may_refresh:
        _plan_refresh(making, section, view)


def _plan_creation(making: _Plan, section: MatviewPolicy) -> None:
    definition = making.seen.definitions.get(section.name)
    query = making.seen.queries.get(section.name)
    ownership = making.seen.ownership.get(section.name)
    if definition is None or definition.refused or query is None:
        return
    _add(
        making,
        Action(
            kind=ActionKind.CREATE_MATVIEW,
            object=str(section.name),
            table=str(section.name),
            steps=(
                Step(
                    create_statements(section, query, ownership),
                    locks=(Lock(str(section.name), LockMode.ACCESS_EXCLUSIVE),),
                ),
            ),
            reason="missing, and the policy has its definition",
            after=_before(making, section.name),
            refused=ownership.refused if ownership is not None else None,
        ),
    )


def _plan_refresh(making: _Plan, section: MatviewPolicy, view: Matview) -> None:
    waits = _before(making, section.name)
    verdict = _verdict(making, section, view, waits)
    if verdict.as_of is not None:
        making.skipped.append(
            Skip(
                ActionKind.REFRESH_MATVIEW,
                str(view.name),
                proof_in_words(verdict),
                verdict.as_json(),
            )
        )
        if lacks_index(section, view):
            _add(making, _index_action(section, view))
        return
    _add(making, _refresh_action(section, view, verdict.reason, waits))


def _verdict(
    making: _Plan, section: MatviewPolicy, view: Matview, waits: tuple[str, ...]
) -> Verdict:
    verdict = making.verdicts[view.name]
    if making.is_forced:
        return Verdict(verdict.reason if verdict.as_of is None else "asked for by hand")
    if waits and verdict.as_of is not None:
        return Verdict(AFTER_ANOTHER)
    if verdict.as_of is not None and making.now - verdict.as_of > section.max_age:
        return Verdict(
            f"unchanged, but proven only up to a moment older than max_age:"
            f" {reach_in_words(verdict)}"
        )
    return verdict


def _before(making: _Plan, name: QualifiedName) -> tuple[str, ...]:
    reads = reads_of(making.policy, making.seen)[name]
    return tuple(making.serving[source] for source in sorted(reads) if source in making.serving)


def _add(making: _Plan, action: Action) -> None:
    making.actions.append(action)
    if action.kind is not ActionKind.INDEX_MATVIEW:
        making.serving[parse_name(action.object)] = action.id


def _rebuild_action(section: MatviewPolicy, view: Matview, seen: MatviewsObservation) -> Action:
    query, definition = seen.queries.get(section.name), seen.definitions.get(section.name)
    ownership = replace(
        seen.ownership.get(section.name, Ownership()), owner=owner_of_rebuilt(section, view, seen)
    )
    refused = None
    if query is None:
        refused = f"{view.name}: the policy has no definition for it"
    elif not view.is_owner:
        refused = f"{view.name}: owner is {view.owner}, and only the owner can replace it"
    elif definition is not None and definition.refused:
        refused = f"{view.name}: the server refuses its SQL file: {definition.refused}"
    return Action(
        kind=ActionKind.REBUILD_MATVIEW,
        object=str(view.name),
        table=str(view.name),
        steps=(
            Step(
                create_statements(section, query or "SELECT", ownership),
                locks=(Lock(str(view.name), LockMode.ACCESS_EXCLUSIVE),),
            ),
        ),
        reason="requested",
        preconditions={"oid": view.oid, "owner": ownership.owner, "grants": list(ownership.grants)},
        refused=refused or ownership.refused,
    )


def owner_of_rebuilt(section: MatviewPolicy, view: Matview, seen: MatviewsObservation) -> str:
    """Return the owner of a rebuilt view: the wanted one if known, else the present one."""
    wanted = seen.ownership.get(section.name)
    if wanted is None or wanted.owner is None or wanted.refused is not None:
        return section.owner or view.owner
    return wanted.owner


def lacks_index(section: MatviewPolicy, view: Matview) -> bool:
    """Whether the view's declared unique index is missing and can be built."""
    return is_unindexed(section, view) and view.is_owner and view.obstacle is None


def _index_action(section: MatviewPolicy, view: Matview) -> Action:
    statement = index_statement(section, concurrently=True)
    lock = Lock(str(view.name), LockMode.SHARE_UPDATE_EXCLUSIVE)
    return Action(
        kind=ActionKind.INDEX_MATVIEW,
        object=str(view.name),
        table=str(view.name),
        steps=(Step((statement,), locks=(lock,), concurrent=True),),
        reason=f"no usable unique index on ({', '.join(section.unique_index)})",
        preconditions={"oid": view.oid},
    )


def _refresh_action(
    section: MatviewPolicy, view: Matview, reason: str, waits: tuple[str, ...]
) -> Action:
    mode = choose_mode(section, view)
    refused = None
    if mode == CONCURRENTLY and not view.unique_keys and view.obstacle is not None:
        refused = f"{view.name}: can't be refreshed concurrently: {view.obstacle.text}"
    mode_lock = LockMode.EXCLUSIVE if mode == CONCURRENTLY else LockMode.ACCESS_EXCLUSIVE
    steps = [Step((refresh_statement(view.name, mode),), locks=(Lock(str(view.name), mode_lock),))]
    if lacks_index(section, view) and view.is_populated:
        steps = [*_index_action(section, view).steps, *steps]
    elif lacks_index(section, view):
        index = index_statement(section, concurrently=False)
        steps = [replace(steps[0], statements=(*steps[0].statements, index))]
    return Action(
        kind=ActionKind.REFRESH_MATVIEW,
        object=str(view.name),
        table=str(view.name),
        steps=tuple(steps),
        reason=reason,
        after=waits,
        preconditions={"oid": view.oid},
        refused=refused,
    )


def choose_mode(section: MatviewPolicy, view: Matview) -> str:
    """Choose the refresh mode: `concurrently`, `plain`, or `populate` if it has no content yet.

    A plain refresh blocks readers. If the policy sets no mode, plain is chosen only if a
    concurrent refresh is not possible, or if it is short and half of the rows change anyway.
    """
    if not view.is_populated:
        return "populate"
    able = bool(view.unique_keys) or lacks_index(section, view)
    if section.mode == CONCURRENTLY:
        return CONCURRENTLY
    if section.mode == "plain" or not able:
        return "plain"
    return "plain" if _is_cheaper_plain(view) else CONCURRENTLY


def _is_cheaper_plain(view: Matview) -> bool:
    last = view.baseline
    if last is None or last.n_rows is None or last.duration_s > SHORT_S:
        return False
    if None in (last.n_inserted, last.n_updated, last.n_deleted) or last.mode != CONCURRENTLY:
        return False
    changed = (last.n_inserted or 0) + (last.n_updated or 0) + (last.n_deleted or 0)
    return changed > MUCH_CHANGED * max(last.n_rows, 1)
