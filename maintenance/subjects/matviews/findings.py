"""Findings on materialized views: stale, unpopulated, missing, drifted or costly to refresh."""

from collections.abc import Iterator
from datetime import datetime

from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.formatting import readable_span
from maintenance.names import QualifiedName, quote
from maintenance.policy import MatviewPolicy, Policy
from maintenance.subjects.matviews.ddl import grant_statements, is_unindexed, owner_statements
from maintenance.subjects.matviews.dependencies import in_circles, reads_of
from maintenance.subjects.matviews.freshness import (
    AGE_UNKNOWN,
    Verdict,
    assess_all,
    first_refresh_over,
    moments_of,
    reach_in_words,
)
from maintenance.subjects.matviews.models import Matview, MatviewsObservation


def findings(policy: Policy, seen: MatviewsObservation, now: datetime) -> list[Finding]:
    """Return the current findings, in the order of the policy's views."""
    circular = in_circles(reads_of(policy, seen))
    verdicts = assess_all(policy, seen)
    moments = moments_of(policy, seen, verdicts)
    found: list[Finding] = []
    for section in policy.matviews:
        if section.name in circular:
            found.append(_circle(section.name, circular))
        view = seen.views.get(section.name)
        late_from = (
            first_refresh_over(policy, section, seen.known_since) if seen.known_since else None
        )
        is_late = late_from is not None and now > late_from
        if view is None or view.kind != "m":
            found.append(_missing(section, view, seen, is_late=is_late))
            continue
        found += _of_view(
            section, view, seen, now, moments[section.name], verdicts[section.name], is_late=is_late
        )
    return found


def _of_view(
    section: MatviewPolicy,
    view: Matview,
    seen: MatviewsObservation,
    now: datetime,
    right: datetime | None,
    verdict: Verdict,
    *,
    is_late: bool,
) -> Iterator[Finding]:
    if not view.is_populated:
        yield _finding(
            FindingKind.MATVIEW_UNPOPULATED,
            Severity.ERROR,
            view.name,
            f"not populated: every query on it fails; {_state_text(view)}",
            data=_last_error(view),
        )
    else:
        yield from _stale(section, view, now, right, verdict, is_late=is_late)
    if not view.may_refresh:
        membership = seen.rights.right_to_act(view.owner, view.name, "MATERIALIZED VIEW")
        maintain = f"GRANT MAINTAIN ON {view.name} TO {quote(seen.rights.role)}"
        yield _finding(
            FindingKind.PRIVILEGE_MISSING,
            Severity.ERROR,
            view.name,
            f"role {seen.rights.role} may not refresh it, because its owner is {view.owner}; run"
            f" {membership}, or on PostgreSQL 17 and later {maintain}",
            data={"grants": [membership], "suffices_from_17": maintain},
        )
    elif not view.lends:
        grant = f"GRANT TEMPORARY ON DATABASE {quote(seen.rights.database)} TO {quote(view.owner)}"
        yield _finding(
            FindingKind.PRIVILEGE_MISSING,
            Severity.ERROR,
            view.name,
            f"can't be refreshed concurrently, because its owner {view.owner} may not create"
            f" temporary tables; run {grant}",
            data={"grants": [grant]},
        )
    if view.unknown:
        yield _finding(
            FindingKind.NO_SUCH_TABLE,
            Severity.ERROR,
            view.name,
            f"depends_on names {', '.join(map(str, view.unknown))}, which does not exist, so"
            " changes there would not be seen; correct depends_on",
            data={"unknown": [str(name) for name in view.unknown]},
        )
    yield from _index(section, view)
    yield from _drift(section, view, seen)


def _state_text(view: Matview) -> str:
    if view.failure is not None:
        return f"the last refresh failed: {view.failure.error}"
    return "the next run populates it" if view.may_refresh else "this role may not refresh it"


def _stale(
    section: MatviewPolicy,
    view: Matview,
    now: datetime,
    right: datetime | None,
    verdict: Verdict,
    *,
    is_late: bool,
) -> Iterator[Finding]:
    limit = section.max_age
    if right is None:
        known = view.failure is not None or view.baseline is not None or is_late
        yield _finding(
            FindingKind.MATVIEW_STALE,
            Severity.WARN if known else Severity.INFO,
            view.name,
            AGE_UNKNOWN + ("" if known else " yet, and none was due"),
            None,
            limit.total_seconds(),
            _last_error(view),
        )
    elif (age := now - right) > limit:
        yield _finding(
            FindingKind.MATVIEW_STALE,
            Severity.ERROR if age > 2 * limit else Severity.WARN,
            view.name,
            f"stale: contains all commits up to {right:%Y-%m-%d %H:%M} UTC,"
            f" {readable_span(age)} ago, max_age is {readable_span(limit)}{_why(view, verdict)}",
            round(age.total_seconds()),
            limit.total_seconds(),
            {"fresh_as_of": right.isoformat(), **verdict.as_json(), **_last_error(view)},
        )


def _last_error(view: Matview) -> dict[str, object]:
    return {"last_error": view.failure.error} if view.failure is not None else {}


def _why(view: Matview, verdict: Verdict) -> str:
    """Return why it is stale, as the end of a message; empty if a refresh is just due."""
    if view.failure is not None:
        return f"; its last refresh failed: {view.failure.error}"
    if verdict.as_of is not None and verdict.limit is not None:
        return f"; its sources have not changed, but {reach_in_words(verdict)}"
    return ""


def _index(section: MatviewPolicy, view: Matview) -> Iterator[Finding]:
    if is_unindexed(section, view) and view.obstacle is not None:
        yield _finding(
            FindingKind.MATVIEW_NO_UNIQUE_INDEX,
            Severity.ERROR,
            view.name,
            f"unique index on ({', '.join(section.unique_index)}) can't be built:"
            f" {view.obstacle.text}",
            view.obstacle.n_duplicates,
            None if view.obstacle.n_duplicates is None else 0,
            dict(view.obstacle.data),
        )
    elif is_unindexed(section, view):
        by_owner = f"only its owner {view.owner} can build it"
        fate = "the next run builds it" if view.is_owner else by_owner
        yield _finding(
            FindingKind.MATVIEW_NO_UNIQUE_INDEX,
            Severity.WARN,
            view.name,
            f"no usable unique index on ({', '.join(section.unique_index)}); {fate}",
        )
    elif not view.unique_keys:
        yield _finding(
            FindingKind.MATVIEW_NO_UNIQUE_INDEX,
            Severity.WARN,
            view.name,
            "no usable unique index, so each refresh blocks readers;"
            " set unique_index in the policy to its key (plain columns, no WHERE)",
        )
    last = view.baseline
    if last is not None and last.n_null_keys:
        yield _finding(
            FindingKind.MATVIEW_NULL_KEY_CHURN,
            Severity.WARN,
            view.name,
            f"{last.n_null_keys} rows have a NULL in the unique key, and each concurrent refresh"
            " deletes and reinserts them; use COALESCE in the definition",
            last.n_null_keys,
            0,
        )


def _drift(section: MatviewPolicy, view: Matview, seen: MatviewsObservation) -> Iterator[Finding]:
    definition = seen.definitions.get(section.name)
    if definition is not None and definition.refused:
        yield _finding(
            FindingKind.MATVIEW_DEFINITION_DRIFT,
            Severity.ERROR,
            view.name,
            f"the server refuses its SQL file: {definition.refused}",
        )
        return
    texts: list[str] = []
    data: dict[str, object] = {}
    if definition is not None and definition.differs:
        texts.append(
            "definition differs from its SQL file; to replace the view, run"
            f" maintenance rebuild --matview {view.name}"
        )
        data["difference"] = definition.differs
    for text, statements in _rights(view, seen):
        texts.append(f"{text}; run {'; '.join(statements)}" if statements else text)
        data["sql"] = list(statements)
    if texts:
        yield _finding(
            FindingKind.MATVIEW_DEFINITION_DRIFT,
            Severity.WARN,
            view.name,
            "; ".join(texts),
            data=data,
        )


def _rights(view: Matview, seen: MatviewsObservation) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Return which owner and privileges a view lacks, as text."""
    wanted = seen.ownership.get(view.name)
    if wanted is None:
        return
    if wanted.unknown_roles:
        yield f"role {wanted.unknown_roles[0]}, named in its owner or grants, does not exist", ()
    elif wanted.owner is not None and wanted.owner != view.owner:
        ours = view.owner == seen.rights.role
        risk = ", so each refresh runs its query with the rights of this role" if ours else ""
        yield (
            f"owner is {view.owner}, wanted {wanted.owner}{risk}",
            owner_statements(view.name, wanted),
        )
    elif wanted.lacking:
        roles = ", ".join(role or "public" for role, _ in wanted.lacking)
        yield f"not readable by {roles}", grant_statements(view.name, wanted.lacking)


def _missing(
    section: MatviewPolicy, view: Matview | None, seen: MatviewsObservation, *, is_late: bool
) -> Finding:
    definition = seen.definitions.get(section.name)
    ownership = seen.ownership.get(section.name)
    severity = Severity.ERROR
    error: str | None = None
    if view is not None:
        reason = "name_taken"
        text = "name conflict: a relation of this name exists and is not a materialized view"
    elif definition is not None and definition.refused:
        reason, error = "query_refused", definition.refused
        text = f"does not exist, and the server refuses its SQL file: {error}"
    elif definition is not None and ownership is not None and ownership.refused is not None:
        reason, error = "not_creatable", ownership.refused.removeprefix(f"{section.name}: ")
        text = f"does not exist and can't be created: {error}"
    elif definition is not None:
        is_known = is_late or section.name in seen.uncreatable
        severity, reason = Severity.WARN if is_known else Severity.INFO, "not_created_yet"
        text = "does not exist; the next run creates it from its SQL file"
    else:
        reason = "undeclared"
        near = seen.near.get(section.name, ())
        guess = f"; did you mean {', '.join(near)}?" if near else ""
        text = f"does not exist, and the policy has no definition for it{guess}"
    data: dict[str, object] = {"reason": reason, "error": error}
    return _finding(FindingKind.MATVIEW_MISSING, severity, section.name, text, data=data)


def _circle(name: QualifiedName, circular: frozenset[QualifiedName]) -> Finding:
    return _finding(
        FindingKind.MATVIEW_CYCLE,
        Severity.ERROR,
        name,
        "not refreshed: dependency cycle through"
        f" {', '.join(sorted(str(each) for each in circular if each != name)) or 'itself'};"
        " correct depends_on or the definitions",
    )


def _finding(
    kind: FindingKind,
    severity: Severity,
    name: QualifiedName,
    text: str,
    value: float | None = None,
    threshold: float | None = None,
    data: dict[str, object] | None = None,
) -> Finding:
    return Finding(kind, severity, str(name), f"{name}: {text}", value, threshold, data or {})
