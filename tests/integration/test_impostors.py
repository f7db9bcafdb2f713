"""A Redis or a sink that answers nonsense is one clear error, and affects no other."""

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from maintenance.alerts.heartbeat import call
from maintenance.cli.commands import cli
from tests.builders import Database
from tests.impostors import Talk, be_silent, drip, hang_up, impostor, pour, say
from tests.policies import write_policy
from tests.receivers import Receiver

pytestmark = pytest.mark.pg("== 15")

BAD_INFO = b"run_id:x\r\nkeyspace_hits:many\r\n"
HUGE_INFO = (
    b"run_id:x\r\nkeyspace_hits:99999999999999999999\r\nkeyspace_misses:1\r\n"
    b"evicted_keys:0\r\nexpired_keys:0\r\nused_memory:1\r\n"
)
NUL_INFO = HUGE_INFO.replace(b"99999999999999999999", b"1").replace(
    b"run_id:x", b"run_id:\x1b[2J\0"
)
ODD_DB = HUGE_INFO.replace(b"99999999999999999999", b"1") + b"db0:nonsense\r\n"


def bulk(text: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(text), text)


REDIS: dict[str, Talk] = {
    "closes at once": hang_up,
    "garbage": say(b"\xff\xfe\x00garbage\r\n\r\n"),
    "http": say(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "a bad HELLO": say(b"-ERR unknown command 'HELLO'\x1b[31m\r\n"),
    "nested without end": say(b"*1\r\n" * 20_000),
    "a list for INFO": say(b"+OK\r\n", b"+OK\r\n", b"*2\r\n:1\r\n:2\r\n"),
    "a number": say(b":7\r\n"),
    "a wrong length": say(b"$x\r\n"),
    "a map": say(b"%1\r\n+a\r\n:1\r\n"),
    "counters of another type": say(b"+OK\r\n", b"+OK\r\n", bulk(BAD_INFO)),
    "counters too large": say(b"+OK\r\n", b"+OK\r\n", bulk(HUGE_INFO)),
    "control characters": say(b"+OK\r\n", b"+OK\r\n", bulk(NUL_INFO)),
    "a database of another type": say(b"+OK\r\n", b"+OK\r\n", bulk(ODD_DB)),
}
WEB: dict[str, Talk] = {
    "a bad status line": say(b"nonsense\r\n\r\n"),
    "no status": say(b"HTTP/1.1 \r\n\r\n"),
    "endless headers": pour(b"HTTP/1.1 200 OK\r\n", b"X-More: and more\r\n"),
    "one endless header": pour(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65536),
    "a loop of redirects": say(
        b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n"
    ),
    "continue for ever": pour(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "closes at once": hang_up,
}


@pytest.mark.parametrize("talk", REDIS)
def test_redis_that_answers_nonsense_is_a_finding_and_all_sinks_are_told(
    database: Database, tmp_path: Path, receiver: Receiver, talk: str
) -> None:
    sinks = [{"type": "redis_stream", "stream": "alerts"}, receiver.webhook()]
    with impostor(REDIS[talk]) as port:
        redis = {"url": f"redis://:Zqkwxvj@127.0.0.1:{port}/0"}
        path = write_policy(tmp_path, database.url, redis=redis, alerts={"sinks": sinks})
        result = CliRunner().invoke(cli, ["notify", "--policy", str(path), "--json"])
        assert result.exit_code == 0, result.output
        shown = CliRunner().invoke(cli, ["plan", "--policy", str(path)])
        assert shown.exit_code in (0, 1)
        assert shown.exception is None or isinstance(shown.exception, SystemExit)
        assert "\x1b" not in shown.output
        assert "Zqkwx" not in shown.output
    report = json.loads(result.stdout)
    standing = {(alert["kind"], alert["severity"]) for alert in report["alerts"]}
    assert ("redis_unreachable", "warn") in standing or ("redis_unreachable", "error") in standing
    outcome = {each["sink"].split()[0]: each for each in report["delivered"]}
    assert outcome["webhook"]["delivered"] > 0
    assert outcome["redis_stream"]["pending"] > 0
    assert "\n" not in outcome["redis_stream"]["error"]
    assert ("redis_unreachable") in {event["kind"] for event in receiver.events()}


@pytest.mark.parametrize(
    "talk", [pytest.param(t, marks=pytest.mark.slow) if "ever" in t else t for t in WEB]
)
def test_webhook_that_answers_nonsense_keeps_no_other_from_being_told(
    database: Database, tmp_path: Path, receiver: Receiver, talk: str
) -> None:
    with impostor(WEB[talk]) as port:
        url = f"http://127.0.0.1:{port}/x"
        sinks = [{"type": "webhook", "url": url}, receiver.webhook()]
        path = write_policy(
            tmp_path, database.url, redis={"url": "redis://127.0.0.1:1/0"}, alerts={"sinks": sinks}
        )
        began = time.monotonic()
        result = CliRunner().invoke(cli, ["notify", "--policy", str(path), "--json"])
        assert result.exit_code == 0, result.output
        assert time.monotonic() - began < 25
        assert call(url, 2.0) is not None  # the dead man's switch took nothing either
    bad, good = json.loads(result.stdout)["delivered"]
    assert good["delivered"] > 0
    assert (bad["delivered"], bad["pending"] > 0) == (0, True)
    assert receiver.events()


def test_answer_without_an_end_is_not_read(database: Database, tmp_path: Path) -> None:
    with impostor(pour(b"HTTP/1.1 200 OK\r\n\r\n", b"garbage" * 1000)) as port:
        path = write_policy(
            tmp_path,
            database.url,
            redis={"url": "redis://127.0.0.1:1/0"},
            alerts={"sinks": [{"type": "webhook", "url": f"http://127.0.0.1:{port}/x"}]},
        )
        result = CliRunner().invoke(cli, ["notify", "--policy", str(path), "--json"])
    (told,) = json.loads(result.stdout)["delivered"]
    assert (told["delivered"] > 0, told["error"]) == (True, None)


@pytest.mark.parametrize("talk", [be_silent, drip(b"$999999\r\n")], ids=["silent", "drips"])
def test_redis_that_never_ends_its_answer_is_cut(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, talk: Talk
) -> None:
    monkeypatch.setattr("maintenance.redis_client.client.COMMAND_TIMEOUT_S", 1.0)
    monkeypatch.setattr("maintenance.redis_client.client.opened.__wrapped__.__defaults__", (2.0,))
    with impostor(talk) as port:
        redis = {"url": f"redis://127.0.0.1:{port}/0"}
        path = write_policy(tmp_path, database.url, redis=redis)
        began = time.monotonic()
        result = CliRunner().invoke(cli, ["plan", "--policy", str(path), "--json"])
    assert time.monotonic() - began < 20
    assert "redis_unreachable" in {each["kind"] for each in json.loads(result.stdout)["findings"]}


def test_sink_whose_variable_is_wrong_keeps_no_other_from_being_told(
    database: Database, tmp_path: Path, receiver: Receiver
) -> None:
    sinks = [
        {"type": "webhook", "url": {"env": "GONE_URL"}},
        {"type": "apprise", "url": {"env": "ODD_URL"}},
        receiver.webhook(),
    ]
    path = write_policy(
        tmp_path,
        database.url,
        redis={"url": "redis://127.0.0.1:1/0"},
        alerts={"sinks": sinks, "ping": {"env": "GONE_URL"}},
    )
    environ = {"ODD_URL": "http://[Zqkwx/vj"}
    result = CliRunner().invoke(cli, ["notify", "--policy", str(path), "--json"], env=environ)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    first, second, third = report["delivered"]
    assert "GONE_URL" in first["error"]
    assert second["delivered"] == 0
    assert third["delivered"] > 0
    assert "GONE_URL" in report["heartbeat_error"]
    assert "Zqkwx" not in result.output
