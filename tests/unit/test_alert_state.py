"""Findings that come and go become alerts: none is lost, and no transition is sent twice."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maintenance.alerts.models import Alert, AlertUpdate, FindingSet, Identity, Transition
from maintenance.alerts.state import update_alerts, update_in_order
from maintenance.engine.findings import UNKNOWN, Finding, FindingKind, Severity
from maintenance.policy.alerts import AlertsPolicy

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
KINDS = frozenset(FindingKind)
GAP = FindingKind.PARTITION_GAP
HORIZON = FindingKind.PARTITION_HORIZON_SHORT


def a_policy(**changes: Any) -> AlertsPolicy:
    return AlertsPolicy.model_validate(changes)


def a_finding(
    name: str = "public.events",
    severity: Severity = Severity.WARN,
    kind: FindingKind = GAP,
    **changes: Any,
) -> Finding:
    return Finding(kind, severity, name, f"{name}: {severity}", **changes)


def a_finding_set(*findings: Finding, kinds: frozenset[FindingKind] = KINDS) -> FindingSet:
    return FindingSet("app", findings, kinds)


def after(
    *rounds: tuple[timedelta, FindingSet], policy: AlertsPolicy | None = None
) -> list[list[tuple[Transition, str]]]:
    """The turns of each round, each round so long after noon."""
    alerts: dict[Identity, Alert] = {}
    told: list[list[tuple[Transition, str]]] = []
    for offset, finding_set in rounds:
        judgement = update_alerts(alerts, finding_set, policy or a_policy(), NOW + offset)
        alerts = dict(judgement.alerts)
        told.append([(event.turn, event.alert.identity.object) for event in judgement.events])
    return told


RAISED = [(Transition.RAISED, "public.events")]
REPEATED = [(Transition.REPEATED, "public.events")]
RESOLVED = [(Transition.RESOLVED, "public.events")]


def test_finding_is_raised_once_and_resolved_once() -> None:
    found, gone = a_finding_set(a_finding()), a_finding_set()
    rounds = [(HOUR * n, found) for n in range(3)] + [(HOUR * n, gone) for n in range(3, 5)]
    assert after(*rounds) == [RAISED, [], [], RESOLVED, []]


def test_information_is_never_raised() -> None:
    assert after((HOUR, a_finding_set(a_finding(severity=Severity.INFO)))) == [[]]


def test_finding_is_raised_only_after_it_stood_for_its_time() -> None:
    found = a_finding_set(a_finding())
    rounds = [(timedelta(minutes=m), found) for m in (0, 9, 10)]
    assert after(*rounds, policy=a_policy(**{"for": "10 minutes"})) == [[], [], RAISED]


def test_break_starts_the_time_anew_and_tells_nobody() -> None:
    found, gone = a_finding_set(a_finding()), a_finding_set()
    sights = [(0, found), (6, gone), (7, found), (12, found), (17, found)]
    rounds = [(timedelta(minutes=m), finding_set) for m, finding_set in sights]
    told = after(*rounds, policy=a_policy(**{"for": "10 minutes"}))
    assert told == [[], [], [], [], RAISED]


def test_standing_alert_is_repeated_after_the_time_of_the_policy() -> None:
    rounds = [(HOUR * n, a_finding_set(a_finding())) for n in (0, 23, 24, 47, 48)]
    assert after(*rounds) == [RAISED, [], REPEATED, [], REPEATED]


def test_change_of_severity_is_told_at_once() -> None:
    severities = [Severity.WARN, Severity.ERROR, Severity.ERROR, Severity.WARN]
    rounds = [(HOUR * n, a_finding_set(a_finding(severity=s))) for n, s in enumerate(severities)]
    assert after(*rounds) == [RAISED, RAISED, [], RAISED]


def test_kind_that_was_not_looked_for_keeps_its_alert() -> None:
    blind = a_finding_set(kinds=frozenset({HORIZON}))
    rounds = [(HOUR, a_finding_set(a_finding())), (2 * HOUR, blind), (3 * HOUR, a_finding_set())]
    assert after(*rounds) == [RAISED, [], RESOLVED]


@pytest.mark.parametrize(
    ("objects", "turns"),
    [
        (["public.events"], []),
        (None, []),
        (["public"], RESOLVED),
        (["public.event"], RESOLVED),
        ([], RESOLVED),
    ],
    ids=["it", "all", "no parent of it", "no beginning of it", "none"],
)
def test_object_that_nobody_can_tell_about_keeps_its_alert(
    objects: list[str] | None, turns: list[Any]
) -> None:
    unsure = a_finding(
        "app", Severity.INFO, FindingKind.INDEX_EVIDENCE_INSUFFICIENT, data=unknown(objects)
    )
    assert after((HOUR, a_finding_set(a_finding())), (2 * HOUR, a_finding_set(unsure)))[1] == turns


def in_one_round(
    *observations: FindingSet, standing: AlertUpdate | None = None
) -> tuple[AlertUpdate, list[tuple[Transition, str]]]:
    alerts = (standing or AlertUpdate()).alerts
    timed = [(NOW + HOUR + n * timedelta(minutes=1), each) for n, each in enumerate(observations)]
    update = update_in_order(alerts, timed, a_policy())
    return update, [(event.turn, event.alert.identity.object) for event in update.events]


def test_what_came_and_went_between_two_rounds_is_not_processed() -> None:
    update, told = in_one_round(a_finding_set(a_finding()), a_finding_set())
    assert (told, update.alerts) == ([], {})


def test_what_went_and_came_back_between_two_rounds_stayed() -> None:
    before = update_alerts({}, a_finding_set(a_finding()), a_policy(), NOW)
    again = a_finding_set(a_finding())
    update, told = in_one_round(a_finding_set(), again, standing=before)
    (alert,) = update.alerts.values()
    assert (told, alert.since, alert.notified_at) == ([], NOW, NOW)
    assert in_one_round(again, a_finding_set(), standing=before)[1] == RESOLVED


def test_what_several_runs_found_is_told_at_one_time() -> None:
    """Else alerts of one kind would be a message for each run."""
    first, second = a_finding_set(a_finding("a")), a_finding_set(a_finding("a"), a_finding("b"))
    update, told = in_one_round(first, second)
    assert told == [(Transition.RAISED, "a"), (Transition.RAISED, "b")]
    assert len({event.at for event in update.events}) == 1


def test_one_round_says_the_last_of_several_changes() -> None:
    worse = a_finding_set(a_finding(severity=Severity.ERROR))
    update, told = in_one_round(a_finding_set(a_finding()), worse)
    assert told == RAISED
    assert update.events[0].alert.severity is Severity.ERROR


LOCK = FindingKind.LOCK_NOT_ACQUIRED


def of_a_run(began: timedelta, *findings: Finding) -> FindingSet:
    return replace(a_finding_set(*findings), began_at=NOW + began)


def test_what_a_run_could_not_do_is_over_only_when_a_later_run_did_it() -> None:
    """A look can't see it, and a run that was already under way did not try it again."""
    failed = a_finding(kind=LOCK, severity=Severity.ERROR)
    rounds = [
        (HOUR, of_a_run(0 * HOUR, failed)),
        (HOUR, a_finding_set()),
        (2 * HOUR, of_a_run(HOUR / 2)),
        (3 * HOUR, of_a_run(2 * HOUR)),
    ]
    assert after(*rounds) == [RAISED, [], [], RESOLVED]


@pytest.mark.parametrize("kind", [kind for kind in FindingKind if kind.spec.is_of_run])
def test_no_look_resolves_what_a_run_could_not_do(kind: FindingKind) -> None:
    rounds = [(HOUR, of_a_run(0 * HOUR, a_finding(kind=kind))), (2 * HOUR, a_finding_set())]
    assert after(*rounds) == [RAISED, []]


def test_look_that_is_older_than_an_alert_does_not_change_it() -> None:
    """A run that ended during the look is processed first, with its own, later time."""
    looked_at, ended_at = HOUR, HOUR + timedelta(seconds=5)
    old = a_finding_set(a_finding(severity=Severity.INFO))
    rounds = [
        (ended_at, a_finding_set(a_finding())),
        (looked_at, a_finding_set()),
        (looked_at, old),
    ]
    assert after(*rounds, (2 * HOUR, a_finding_set())) == [RAISED, [], [], RESOLVED]


def test_object_that_a_run_is_changing_is_neither_raised_nor_resolved() -> None:
    part = a_finding("public.events_2026_11", data={"table": "public.events"})
    at_work = frozenset({"public.events"})
    seen = replace(a_finding_set(a_finding("public.other"), part), at_work=at_work)
    before = a_finding_set(a_finding())
    assert after((HOUR, before), (2 * HOUR, seen)) == [
        RAISED,
        [(Transition.RAISED, "public.other")],
    ]


def test_object_stands_for_those_below_it() -> None:
    query = a_finding("app/query/4f2a")
    unsure = a_finding("app", Severity.INFO, HORIZON, data=unknown(["app/query"]))
    assert after((HOUR, a_finding_set(query)), (2 * HOUR, a_finding_set(unsure)))[1] == []


def unknown(objects: list[str] | None) -> dict[str, Any]:
    return {UNKNOWN: {GAP.value: objects}}


def test_look_of_one_subject_ends_no_alert_of_another() -> None:
    """Several subjects can report one kind; general findings belong to no subject."""
    own, general = a_finding("own", subject="partitions"), a_finding("general")
    looks = [
        FindingSet("app", findings, KINDS, subjects=frozenset({subject}))
        for subject, findings in [
            ("partitions", [own, general]),
            ("bloat", []),
            ("partitions", []),
        ]
    ]
    rounds = [(HOUR * n, look) for n, look in enumerate(looks)]
    raised = [(Transition.RAISED, "general"), (Transition.RAISED, "own")]
    assert after(*rounds) == [
        raised,
        [(Transition.RESOLVED, "general")],
        [(Transition.RESOLVED, "own")],
    ]


@pytest.mark.parametrize(("value", "turns"), [(0.89, []), (0.82, []), (0.80, RESOLVED)])
def test_number_near_its_threshold_keeps_the_alert(value: float, turns: list[Any]) -> None:
    over = a_finding(value=0.91, threshold=0.9)
    near = a_finding(severity=Severity.INFO, value=value, threshold=0.9)
    assert after((HOUR, a_finding_set(over)), (2 * HOUR, a_finding_set(near)))[1] == turns


def test_information_without_numbers_ends_an_alert() -> None:
    calm = a_finding_set(a_finding(severity=Severity.INFO, value="2024-01", threshold="2024-01"))
    assert after((HOUR, a_finding_set(a_finding())), (2 * HOUR, calm)) == [RAISED, RESOLVED]


def standing(**changes: Any) -> dict[Identity, Alert]:
    judgement = update_alerts({}, a_finding_set(a_finding()), a_policy(), NOW)
    return {identity: replace(a, **changes) for identity, a in judgement.alerts.items()}


def turns(judgement: AlertUpdate) -> list[Transition]:
    return [event.turn for event in judgement.events]


def test_acknowledged_alert_is_not_repeated_until_then() -> None:
    alerts = standing(acknowledged_until=NOW + 3 * DAY)
    finding_set = a_finding_set(a_finding())
    assert turns(update_alerts(alerts, finding_set, a_policy(), NOW + 2 * DAY)) == []
    assert turns(update_alerts(alerts, finding_set, a_policy(), NOW + 3 * DAY)) == [
        Transition.REPEATED
    ]


def test_acknowledged_alert_that_gets_worse_is_told() -> None:
    alerts = standing(acknowledged_until=NOW + 3 * DAY)
    worse = a_finding_set(a_finding(severity=Severity.ERROR))
    assert turns(update_alerts(alerts, worse, a_policy(), NOW + DAY)) == [Transition.RAISED]


def test_acknowledged_alert_that_gets_better_is_not_processed() -> None:
    raised = update_alerts(
        {}, a_finding_set(a_finding(severity=Severity.ERROR)), a_policy(), NOW
    ).alerts
    until = NOW + 3 * DAY
    alerts = {i: replace(alert, acknowledged_until=until) for i, alert in raised.items()}
    assert turns(update_alerts(alerts, a_finding_set(a_finding()), a_policy(), NOW + DAY)) == []


def test_muted_alert_is_told_when_the_mute_ends_and_when_it_is_over() -> None:
    alerts = standing(muted_until=NOW + 2 * DAY)
    finding_set = a_finding_set(a_finding())
    assert turns(update_alerts(alerts, finding_set, a_policy(), NOW + DAY)) == []
    assert turns(update_alerts(alerts, finding_set, a_policy(), NOW + 2 * DAY)) == [
        Transition.REPEATED
    ]
    assert turns(update_alerts(alerts, a_finding_set(), a_policy(), NOW + DAY)) == [
        Transition.RESOLVED
    ]


FINDINGS = st.builds(
    a_finding,
    name=st.sampled_from(["a", "b", 'public."c; <b>"']),
    severity=st.sampled_from(Severity),
    kind=st.sampled_from([GAP, HORIZON]),
    value=st.sampled_from([None, 85.0, 50.0]),
    threshold=st.just(90.0),
)
SIGHTS = st.builds(
    FindingSet,
    database=st.just("app"),
    findings=st.lists(FINDINGS, unique_by=lambda finding: (finding.kind, finding.object)),
    kinds=st.sampled_from([KINDS, frozenset({GAP}), frozenset({HORIZON})]),
)
ROUNDS = st.lists(st.tuples(st.integers(0, 40), SIGHTS), min_size=1, max_size=12)
TIMES = {"for": ["0 minutes", "1 hour", "10 hours"], "repeat_after": ["1 hour", "24 hours"]}
POLICIES = st.fixed_dictionaries({key: st.sampled_from(times) for key, times in TIMES.items()}).map(
    AlertsPolicy.model_validate
)


@given(ROUNDS, POLICIES)
def test_turns_of_an_alert_follow_each_other_in_order(
    rounds: list[tuple[int, FindingSet]], policy: AlertsPolicy
) -> None:
    """Raised first, then anything but resolved, then resolved at most once."""
    alerts: dict[Identity, Alert] = {}
    is_open: dict[Identity, bool] = {}
    now = NOW
    for hours, finding_set in rounds:
        now += hours * HOUR
        judgement = update_alerts(alerts, finding_set, policy, now)
        identities = [event.alert.identity for event in judgement.events]
        assert len(set(identities)) == len(identities), "one turn a round"
        for event in judgement.events:
            was_open = is_open.get(event.alert.identity, False)
            assert was_open or event.turn is Transition.RAISED
            is_open[event.alert.identity] = event.turn is not Transition.RESOLVED
        alerts = dict(judgement.alerts)
        told = {identity for identity, alert in alerts.items() if alert.notified_at is not None}
        assert told == {identity for identity, open_ in is_open.items() if open_}


@given(ROUNDS)
def test_no_finding_is_lost(rounds: list[tuple[int, FindingSet]]) -> None:
    """A finding of severity warn or error is an alert after its round, and is sent."""
    alerts: dict[Identity, Alert] = {}
    for hours, finding_set in sorted(rounds, key=lambda round_: round_[0]):
        judgement = update_alerts(alerts, finding_set, a_policy(), NOW + hours * HOUR)
        alerts = dict(judgement.alerts)
        for finding in finding_set.findings:
            if finding.severity is not Severity.INFO:
                alert = alerts[Identity("app", finding.kind, finding.object)]
                assert alert.notified_severity is finding.severity
                assert alert.message == finding.message


@given(SIGHTS, SIGHTS, st.randoms())
def test_order_of_findings_changes_nothing(first: FindingSet, then: FindingSet, rng: Any) -> None:
    alerts = update_alerts({}, first, a_policy(), NOW).alerts
    shuffled = list(then.findings)
    rng.shuffle(shuffled)
    other = replace(then, findings=shuffled)
    assert update_alerts(alerts, then, a_policy(), NOW + HOUR) == update_alerts(
        alerts, other, a_policy(), NOW + HOUR
    )


@given(SIGHTS)
def test_second_look_at_the_same_tells_nothing(finding_set: FindingSet) -> None:
    alerts = update_alerts({}, finding_set, a_policy(), NOW).alerts
    assert update_alerts(alerts, finding_set, a_policy(), NOW + HOUR).events == ()
