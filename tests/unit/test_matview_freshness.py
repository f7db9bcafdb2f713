"""The age of a view: that of its own proof and of the views it reads; unknown if one is unknown."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from maintenance.engine.findings import FindingKind
from maintenance.engine.scope import Request
from maintenance.monitoring.freshness import ages
from maintenance.names import QualifiedName, parse_name
from maintenance.policy import Policy
from maintenance.server.grants import Grants
from maintenance.store import Refresh
from maintenance.subjects.matviews.dependencies import reads_of
from maintenance.subjects.matviews.freshness import assess_all, moments_of, with_sources
from maintenance.subjects.matviews.models import Fingerprint, Matview, MatviewsObservation, Moment
from maintenance.subjects.matviews.plan import plan
from tests.policies import make_policy

NOW = datetime(2026, 11, 20, tzinfo=UTC)
EARLY, LATE = NOW - timedelta(minutes=30), NOW - timedelta(minutes=10)
A, B, C = (parse_name(f"public.{letter}") for letter in "abc")

FINGERPRINT = Fingerprint({}, "shape", ("epoch",), {})


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({A: EARLY, B: LATE, C: LATE}, {A: EARLY, B: EARLY, C: EARLY}),
        ({A: LATE, B: EARLY, C: LATE}, {A: LATE, B: EARLY, C: EARLY}),
        ({A: None, B: LATE, C: EARLY}, {A: None, B: None, C: None}),
        ({A: EARLY, B: None, C: LATE}, {A: EARLY, B: None, C: None}),
        ({B: LATE, C: LATE}, {B: LATE, C: LATE}),
    ],
)
def test_age_is_that_of_the_oldest_source_and_unknown_wins(
    own: Mapping[QualifiedName, datetime | None], expected: dict[QualifiedName, datetime | None]
) -> None:
    assert with_sources(own, {B: {A}, C: {B}}) == expected


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    """Views a, b that reads a, and c that reads nothing."""
    views = [{"name": f"public.{letter}", "max_age": "1 hour"} for letter in "abc"]
    return make_policy(tmp_path, "postgresql://nowhere/x", matviews=views)


def refreshed(name: QualifiedName, as_of: datetime) -> Refresh:
    return Refresh(
        view=str(name),
        run_id="run",
        started_at=as_of,
        ended_at=as_of,
        mode="plain",
        reason="due",
        state=(),
        fingerprint=FINGERPRINT.as_json(),
        as_of=as_of,
    )


def observed(**as_of: datetime | None) -> MatviewsObservation:
    views = {
        name: Matview(
            name,
            oid,
            fingerprint=FINGERPRINT,
            reads=frozenset({A} if name == B else ()),
            baseline=refreshed(name, moment) if moment is not None else None,
        )
        for oid, (letter, moment) in enumerate(as_of.items(), 1)
        for name in [parse_name(f"public.{letter}")]
    }
    return MatviewsObservation(views, Moment(NOW))


def test_ages_by_an_observation_and_by_the_ledger_agree(policy: Policy) -> None:
    seen = observed(a=None, b=LATE, c=EARLY)
    # Without a fingerprint nothing is proven, so that only the ledger counts.
    views = {name: replace(view, fingerprint=None) for name, view in seen.views.items()}
    seen = replace(seen, views=views)
    by_observation = moments_of(policy, seen, assess_all(policy, seen))
    ledger = {str(v.name): v.baseline for v in seen.views.values() if v.baseline is not None}
    by_ledger = {
        age.name: age.fresh_as_of for age in ages(policy, reads_of(policy, seen), ledger, {})
    }
    assert by_observation == by_ledger == {A: None, B: None, C: EARLY}


def test_view_on_one_of_unknown_age_is_left_alone_but_its_age_is_reported(policy: Policy) -> None:
    seen = observed(a=None, b=LATE, c=LATE)
    foreign = replace(seen.views[A], may_refresh=False, owner="reports")
    seen = replace(seen, views={**seen.views, A: foreign}, rights=Grants("maintenance", "app"))
    planned = plan(policy, seen, NOW, Request())
    assert (planned.actions, len(planned.skipped)) == ((), 2)
    stale = {f.object: f.value for f in planned.findings if f.kind is FindingKind.MATVIEW_STALE}
    assert stale == {"public.a": None, "public.b": None}


def test_view_on_a_missing_one_is_of_unknown_age(policy: Policy) -> None:
    seen = observed(b=LATE, c=LATE)
    moments = moments_of(policy, seen, assess_all(policy, seen))
    assert moments == {A: None, B: None, C: NOW}


def test_proof_reaches_no_further_than_that_of_the_view_it_reads(policy: Policy) -> None:
    seen = observed(a=EARLY, b=LATE, c=LATE)
    unproven = replace(seen.views[A], fingerprint=None)
    seen = replace(seen, views={**seen.views, A: unproven})
    assert assess_all(policy, seen)[B].as_of == EARLY
