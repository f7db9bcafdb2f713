"""A day of alerts: findings come and go, a sink is down for hours, the daemon is killed twice."""

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from maintenance.alerts.models import Alert, Identity
from maintenance.alerts.state import update_alerts
from maintenance.pipeline import notify
from maintenance.policy import Policy, load_policy
from tests.alert_daemon import Round, read_script
from tests.builders import ROOT, Database
from tests.policies import write_policy
from tests.receivers import Receiver, http_receiver

pytestmark = pytest.mark.pg("== 18")

DAWN = datetime(2026, 11, 20, tzinfo=UTC)
KINDS = ("partition_gap", "index_bloat", "query_slow", "matview_stale")
N_FINDINGS = 40
QUICK = 24
"""Rounds of the quick version, which has no answer that comes too late: that takes its time."""
SLOW_HOUR = 12

Told = tuple[str, str, str, str]
"""State, kind, object and moment of one turn."""


def a_script(n_rounds: int, rng: random.Random) -> list[Any]:
    """Rounds over a day; each finding is open for some parts of it."""
    every = timedelta(days=1) / n_rounds
    script: list[Any] = [[(DAWN + n * every).isoformat(), []] for n in range(n_rounds)]
    for number in range(N_FINDINGS):
        kind, severity = KINDS[number % len(KINDS)], rng.choice(["warn", "error"])
        for _ in range(rng.randint(1, 3)):
            begin = rng.randrange(n_rounds)
            for _, found in script[begin : begin + rng.randint(1, n_rounds // 3)]:
                entry = [kind, f'public."t{number}<b>"', severity]
                if entry not in found:
                    found.append(entry)
    script[-1][1].clear()  # in the end all is well
    return script


def expected(script: list[Round], policy: Policy) -> list[Told]:
    """The turns that alerts take if nothing goes wrong, by the state machine alone."""
    alerts: dict[Identity, Alert] = {}
    told: list[Told] = []
    for at, finding_set in script:
        judgement = update_alerts(alerts, finding_set, policy.alerts, at)
        alerts = dict(judgement.alerts)
        for turn, alert, moment in judgement.events:
            _, kind, name = alert.identity
            told.append((turn.value, kind.value, name, moment.isoformat()))
    return sorted(told)


@dataclass
class Daemon:
    """The process that runs the rounds; it goes on with the round in which it was killed."""

    policy: Path
    script: Path
    second: int
    """It is killed for the second time in the middle of a round after this."""
    rng: random.Random
    process: subprocess.Popen[str] | None = None
    killed_at: list[int] = field(default_factory=list[int])
    at: int = 0

    def run(self) -> Iterator[int]:
        """Start it, and yield each round before it begins, until it ends or is killed."""
        command = [sys.executable, "-m", "tests.alert_daemon", str(self.policy), str(self.script)]
        self.process = subprocess.Popen(
            [*command, str(self.at)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with suppress(BrokenPipeError), self.process as process:
            assert process.stdout is not None
            assert process.stdin is not None
            for line in process.stdout:
                self.at = int(line)
                yield self.at
                process.stdin.write("go\n")
                process.stdin.flush()
                if len(self.killed_at) == 1 and self.at > self.second:
                    time.sleep(self.rng.uniform(0, 0.2))  # somewhere within the round
                    self.kill()
        assert self.process.returncode in (0, -signal.SIGKILL)

    def kill(self) -> None:
        assert self.process is not None
        self.killed_at.append(self.at)
        self.process.kill()
        self.process.wait()


def events_of(receiver: Receiver) -> list[tuple[str, Told]]:
    """The number of deliveries of every event, by its id."""
    return [
        (event["id"], (event["state"], event["kind"], event["object"], document["timestamp"]))
        for document in receiver.documents()
        for event in document.get("alerts", [document])
    ]


def weather(round_: int, n_rounds: int, sink: Receiver) -> None:
    """What a sink goes through: errors, connections closed in the middle, an answer too late."""
    hour = 24 * round_ // n_rounds
    sink.statuses = [500] * 50 if hour in range(6, 10) else []
    is_slow = hour == SLOW_HOUR and n_rounds > QUICK
    (sink.slow.set if is_slow else sink.slow.clear)()
    if not is_slow:
        (sink.silent.set if hour in range(14, 16) else sink.silent.clear)()


@pytest.mark.parametrize("n_rounds", [QUICK, pytest.param(288, marks=pytest.mark.slow)])
def test_every_turn_of_a_day_is_told_once_to_every_sink(
    database: Database, tmp_path: Path, n_rounds: int
) -> None:
    """Events are delivered twice only if the daemon was killed meanwhile, with the same id."""
    script = tmp_path / "script.json"
    rng = random.Random(n_rounds)
    script.write_text(json.dumps(a_script(n_rounds, rng)))
    with http_receiver() as sound, http_receiver() as shaky:
        sinks = [sound.webhook(), shaky.webhook()]
        path = write_policy(tmp_path, database.url, alerts={"sinks": sinks})
        policy = load_policy(path)
        daemon = Daemon(path, script, n_rounds * 3 // 4, rng)

        def kill_in_the_middle(_: bytes) -> None:
            """Kill the daemon between delivery and its record in the store."""
            if not daemon.killed_at and daemon.at > n_rounds // 8:
                daemon.kill()

        sound.on_post = kill_in_the_middle
        while daemon.at < n_rounds - 1:
            for round_ in daemon.run():
                weather(round_, n_rounds, shaky)
        shaky.slow.clear()
        shaky.silent.clear()
        shaky.statuses = []
        assert len(daemon.killed_at) == 2
        last = notify.run_round(policy, [])
        assert [(each.n_pending, each.error) for each in last.delivered] == [(0, None)] * 2
        assert last.alerts == ()

    wanted = expected(list(read_script(script, "app")), policy)
    moments = {(DAWN + n * timedelta(days=1) / n_rounds).isoformat() for n in daemon.killed_at}
    for receiver in (sound, shaky):
        assert receiver.is_signed()
        told = events_of(receiver)
        assert sorted(dict(told).values()) == wanted
        twice = [event for event, count in Counter(told).items() if count > 1]
        assert {moment for _, (*_, moment) in twice} <= moments
    assert Counter(events_of(sound)).most_common(1)[0][1] == 2
    assert len(shaky.swallowed) > 0
