"""Messages: numbers with units, escaped names, links."""

import json
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from maintenance.alerts.formatting import harmless, readable
from maintenance.alerts.messages import HEAVIEST, Message, messages
from maintenance.alerts.models import Alert, Event, Identity, Transition
from maintenance.alerts.sinks import sender_of
from maintenance.alerts.store import PendingDelivery
from maintenance.engine.findings import FindingKind, Severity
from maintenance.engine.runbook_reader import by_itself, entry
from maintenance.engine.target import Target
from maintenance.formatting import visible
from maintenance.pipeline.alert_links import links
from maintenance.policy import Policy
from maintenance.policy.alerts import LogSink
from tests.policies import make_policy

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOSTILE = (
    "</script><img src=x onerror=alert(1)> <!channel> @everyone [x](http://e.vil)\nERROR\x1b[2J"
)


def an_alert(kind: FindingKind, name: str, **others: Any) -> Alert:
    identity = Identity("app", kind, name)
    return Alert(identity, Severity.WARN, f"{name}: is unwell", NOW, **others)


def a_message(policy: Policy, *alerts: Alert, turn: Transition = Transition.RAISED) -> Message:
    rows = [PendingDelivery(n, Event(turn, each, NOW), 0, None) for n, each in enumerate(alerts, 1)]
    (message,) = messages(rows, links(policy))
    return message


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    alerts = {"ui": "https://dagster.example/"}
    return make_policy(tmp_path, "postgresql://nobody@127.0.0.1:9/app", alerts=alerts)


@pytest.mark.parametrize(
    ("kind", "value", "threshold", "found", "wanted"),
    [
        (FindingKind.MATVIEW_STALE, 17_000, 14_400.0, "4 hours 43 minutes", "4 hours"),
        (FindingKind.MATVIEW_STALE, 180_000, 86_400.0, "2 days 2 hours", "1 day"),
        (FindingKind.CONNECTIONS_SATURATED, 0.934, 0.9, "93.4 %", "90 %"),
        (FindingKind.QUERY_SLOW, 1234.5, 1000.0, "1,234 ms", "1,000 ms"),
        (FindingKind.QUERY_REGRESSED, 3.25, 2.0, "3.25 times", "2 times"),
        (FindingKind.DISK_GROWTH, 3 * 2**30, 5 * 2**30, "3.0 GB", "5.0 GB"),
        (FindingKind.DISK_GROWTH, 0.5, 0.2, "50 %", "20 %"),
        (FindingKind.PARTITION_HORIZON_SHORT, 2, 3, "2", "3"),
        (FindingKind.IDLE_IN_TRANSACTION, 42.0, 0.0, "42 s", "0 s"),
    ],
)
def test_numbers_bear_the_unit_of_their_kind(
    kind: FindingKind, value: float, threshold: float, found: str, wanted: str
) -> None:
    assert readable(kind, value, threshold) == f"{found}, threshold {wanted}"


def test_value_or_threshold_alone_is_shown_as_it_is() -> None:
    assert readable(FindingKind.REPLICATION_LAG, None, 100) == ""
    assert readable(FindingKind.RETENTION_DUE, "2024-01", None) == "2024-01"


def test_runbook_says_of_every_kind_what_the_software_does_by_itself() -> None:
    assert [
        kind for kind in FindingKind if "**By itself:**" not in " ".join(entry(kind).split())
    ] == []


def test_text_tells_what_since_when_how_much_what_happens_next_and_where_to_read_on(
    policy: Policy,
) -> None:
    numbers = {"value": 17_000, "threshold": 14_400.0}
    message = a_message(policy, an_alert(FindingKind.MATVIEW_STALE, "public.totals", **numbers))
    for fact in ("raised", "warn", "matview_stale", "public.totals", "app"):
        assert fact in message.title()
    said, measured, next_step, *pages = message.text().splitlines()
    assert said == "public.totals: is unwell"
    assert "2026-11-20 12:00 UTC" in measured
    assert measured.endswith(readable(FindingKind.MATVIEW_STALE, 17_000, 14_400.0))
    assert next_step.endswith(by_itself(FindingKind.MATVIEW_STALE))
    assert pages == [
        "what to do: maintenance explain matview_stale",
        "dagster: https://dagster.example/assets/app/matviews/totals",
    ]


def test_what_is_over_needs_nothing_done(policy: Policy) -> None:
    message = a_message(
        policy, an_alert(FindingKind.MATVIEW_STALE, "public.totals"), turn=Transition.RESOLVED
    )
    assert by_itself(FindingKind.MATVIEW_STALE) not in message.text()


def test_several_alerts_link_to_what_they_have_in_common(policy: Policy) -> None:
    names = ["public.a", 'public."B"']
    several = a_message(policy, *(an_alert(FindingKind.MATVIEW_STALE, name) for name in names))
    assert several.links["dagster"] == "https://dagster.example/assets/app/matviews"


def test_kind_that_several_subjects_find_links_to_the_one_that_did(policy: Policy) -> None:
    blind = an_alert(FindingKind.MONITOR_BLIND, "app/bloat", subject="bloat")
    assert a_message(policy, blind).links["dagster"] == "https://dagster.example/assets/app/bloat"
    nobody = an_alert(FindingKind.MONITOR_BLIND, "app")
    assert "dagster" not in a_message(policy, nobody).links


def test_without_the_address_of_the_ui_there_is_no_link_to_it(tmp_path: Path) -> None:
    policy = make_policy(tmp_path, "postgresql://nobody@127.0.0.1:9/app")
    message = a_message(policy, an_alert(FindingKind.MATVIEW_STALE, "public.totals"))
    assert message.links == {}


@pytest.mark.parametrize(
    ("runbook", "link"),
    [
        ("https://wiki.example/runbook.md#{kind}", "https://wiki.example/runbook.md#matview_stale"),
        ("docs/runbook.md#{kind}", None),
        ("/srv/docs/runbook.md#{kind}", None),
        ("runbook", None),
    ],
)
def test_runbook_is_a_link_where_it_leads_somewhere_and_else_the_command_that_shows_it(
    tmp_path: Path, runbook: str, link: str | None
) -> None:
    url = "postgresql://nobody@127.0.0.1:9/app"
    policy = make_policy(tmp_path, url, alerts={"runbook": runbook})
    message = a_message(policy, an_alert(FindingKind.MATVIEW_STALE, "public.totals"))
    command = "maintenance explain matview_stale"
    assert (message.body["links"].get("runbook"), message.body["explain"]) == (link, command)
    last = message.text().splitlines()[-1]
    assert last == (f"what to do: {command}" if link is None else f"runbook: {link}")


def test_hostile_names_are_shown_in_one_line_and_obeyed_by_nobody() -> None:
    shown = harmless(HOSTILE)
    assert visible(HOSTILE).splitlines() == [visible(HOSTILE)]
    for trap in ("</script", "<img", "<!channel", "@everyone", "](http", "\n", "\x1b"):
        assert trap not in shown
    assert harmless("WHERE a < 5 AND b <= 6") == "WHERE a < 5 AND b <= 6"
    assert harmless("gepnut\u202eexe") == "gepnut\\u202eexe"


def test_log_can_not_be_forged_by_a_name(policy: Policy, caplog: pytest.LogCaptureFixture) -> None:
    send = sender_of(LogSink(), Target(policy, {}))
    with caplog.at_level(logging.INFO):
        send(a_message(policy, an_alert(FindingKind.TABLE_BLOAT, HOSTILE)), 1.0)
    (record,) = caplog.records
    lines = record.getMessage().splitlines()
    assert not [line for line in lines if line.startswith("ERROR")]
    assert "\x1b" not in record.getMessage()


def test_huge_lists_are_parted_into_messages_of_bounded_size(policy: Policy) -> None:
    """Every event is in one message, in order, and grouped in the same way when retried."""
    alerts = [
        an_alert(FindingKind.INDEX_UNUSED, f'public."{n:05}{HOSTILE}"') for n in range(10_000)
    ]
    rows = [
        PendingDelivery(n, Event(Transition.RAISED, each, NOW), 0, None)
        for n, each in enumerate(alerts)
    ]
    parts = list(messages(rows, links(policy)))
    assert [number for part in parts for number in part.event_ids] == list(range(10_000))
    for part in parts:
        assert len(json.dumps(part.body, ensure_ascii=False)) <= HEAVIEST + 1000
        assert len(part.text()) < 30_000
    rest = list(messages(rows[len(parts[0].events) :], links(policy)))
    assert [part.id for part in rest] == [part.id for part in parts[1:]]


def test_one_endless_text_is_cut(policy: Policy) -> None:
    message = a_message(policy, an_alert(FindingKind.QUERY_SLOW, "x" * 100_000))
    assert len(message.text()) < 2_000
    assert len(message.body["message"]) <= 4_000
