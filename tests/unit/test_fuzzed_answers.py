"""Redis, webhooks and the dead man's switch answer anything: one clear error, in time."""

import json
import random
import re
import socket
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from maintenance.alerts import delivery
from maintenance.alerts.heartbeat import call
from maintenance.alerts.models import FindingSet
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.errors import CacheError
from maintenance.pipeline import notify
from maintenance.policy import Policy
from maintenance.redis_client import client, invalidate, invalidation, read_facts, ttl
from maintenance.redis_client.ttl import read_ttls
from tests.impostors import impostor
from tests.mutations import CORPUS, mutated_bytes
from tests.policies import make_policy
from tests.receivers import Receiver

LONG = (pytest.mark.slow, pytest.mark.timeout(3600))
LATE_S = 60.0
"""Far beyond each limit of the product: a busy machine reaches it never, a missing limit always."""
PATIENCE_S = 0.1
"""When the server ends a connection on which nothing comes, as behind half an answer."""
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
KINDS = frozenset(FindingKind)

INFO = (
    b"redis_version:7.2.4\r\nrun_id:0f1e2d\r\nkeyspace_hits:10\r\nkeyspace_misses:1\r\n"
    b"evicted_keys:0\r\nexpired_keys:0\r\nused_memory:1048576\r\nmaxmemory:0\r\n"
    b"db0:keys=3,expires=1,avg_ttl=0\r\n"
)
REPLIES = (
    b"+OK\r\n",
    b"%2\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:3\r\n",
    b"$%d\r\n%s\r\n" % (len(INFO), INFO),
    b"*2\r\n$1\r\n0\r\n*2\r\n$3\r\na:1\r\n$3\r\na:2\r\n",
    b"*2\r\n$3\r\n999\r\n*0\r\n",
    b":2\r\n",
    b":-1\r\n",
    b"$15\r\n1700000000000-0\r\n",
    b"$-1\r\n",
    b"_\r\n",
    b"-ERR unknown command\r\n",
    b"-NOAUTH Authentication required.\r\n",
    b"-LOADING Redis is loading\r\n",
    b"-MOVED 3999 127.0.0.1:6381\r\n",
    b",inf\r\n",
    b"#t\r\n",
    b">2\r\n+message\r\n+x\r\n",
)
ODD_REPLIES = (
    *(b"$2147483647\r\n", b"$-2\r\n", b"$99999999999999999999\r\n", b"*4294967295\r\n", b"*-7\r\n"),
    *(b"*1\r\n" * 3000, b"%1\r\n" * 500, b"~3\r\n", b"(9999999999999999999999\r\n", b"=3\r\n"),
    *(b"|1\r\n+a\r\n", b"\r\n", b"", b"\0" * 300, b"-\x1b[2J\x1b]0;x\x07\r\n", b":1e5\r\n"),
    *(b":" + b"9" * 5000 + b"\r\n", b"+" + b"x" * 70_000 + b"\r\n", b"HTTP/1.1 200 OK\r\n\r\n"),
)
PAGES = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 429 Later\r\nRetry-After: 99999999\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 308 Moved\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFF\r\nx",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b..",
    b"HTTP/1.1 401 Who\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n",
)
ODD_PAGES = (
    *(
        b"",
        b"\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 -200 OK\r\n\r\n",
        b"HTTP/1.1 2e2 OK\r\n\r\n",
    ),
    *(b"HTTP/1.1 99999 OK\r\n\r\n", b"ICY 200 OK\r\n\r\n", b"HTTP/1.1 200", b"\x16\x03\x01\x02"),
    *(b"HTTP/1.1 100 Continue\r\n\r\n" * 50, b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n"),
    *(b"HTTP/1.1 200 " + b"x" * 70_000, b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
    *(b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", b"HTTP/1.1 200 \xff\xfe\r\n: \0\r\n\r\n"),
)
TAKEN = re.compile(rb"\s(2\d\d|400|413|415|422)\b")
"""A status that ends the delivery of a message: accepted, or rejected for good."""


@dataclass
class Script:
    """A server that sends what it is given, whatever it is asked, and then ends the connection."""

    pieces: tuple[bytes, ...] = ()
    is_silent: bool = False
    """Whether the connection is held open afterwards."""
    port: int = 0

    def talk(self, other: socket.socket) -> None:
        other.settimeout(None if self.is_silent else PATIENCE_S)
        for piece in self.pieces:
            if not whole_request(other):
                return
            other.sendall(piece)
        while self.is_silent and other.recv(65536):
            pass

    @contextmanager
    def serving(self) -> Generator[None]:
        with impostor(self.talk) as self.port:
            yield


def whole_request(other: socket.socket) -> bytes:
    """What is asked; of a POST with its body, which may come later than its head."""
    request = other.recv(65536)
    length = re.search(rb"Content-Length: (\d+)", request)
    while length and len(request.partition(b"\r\n\r\n")[2]) < int(length[1]):
        more = other.recv(65536)
        if not more:
            break
        request += more
    return request


def some(rng: random.Random, good: tuple[bytes, ...], odd: tuple[bytes, ...]) -> bytes:
    """An answer as it should be, one that is damaged, or one that never was an answer."""
    match rng.randrange(4):
        case 0:
            return rng.choice(good)
        case 1:
            return rng.choice(odd)
        case 2:
            return mutated_bytes(rng.choice(good), rng)
        case _:
            return mutated_bytes(rng.choice(good + odd)[:400], rng) + rng.choice(good)


def conversation(rng: random.Random) -> tuple[bytes, ...]:
    """Answers to our commands in their order, some or all of them damaged."""
    scanned = (REPLIES[3], b":2\r\n", b":-1\r\n")
    answers = [b"+OK\r\n"] * 3 + list(rng.choice(((REPLIES[2],), scanned * 2)))
    for _ in range(rng.randrange(3)):
        answers[rng.randrange(len(answers))] = some(rng, REPLIES, ODD_REPLIES)
    return tuple(answers[: rng.randint(1, 2 * len(answers))])


def kept(reader: str) -> list[bytes]:
    """Answers that once were misread."""
    return [path.read_bytes() for path in sorted((CORPUS / reader).glob("*"))]


CALLS: tuple[Callable[[str], object], ...] = (
    lambda url: read_facts(url, 5.0)._asdict(),
    lambda url: {name: each._asdict() for name, each in read_ttls(url, ["a:*", "b"]).items()},
    lambda url: dict(invalidate(url, ["a:*"], {"view": "v"})),
)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits of the product, shortened: thousands of servers are waited for."""
    monkeypatch.setattr(client, "COMMAND_TIMEOUT_S", 2.0)
    monkeypatch.setattr(client, "_RETRIES", 0)  # the same answers again
    monkeypatch.setattr(invalidation, "DEADLINE_S", 1.0)
    monkeypatch.setattr(invalidation, "SESSION_LIMIT_S", 2.0)
    monkeypatch.setattr(ttl, "LIMIT_S", 0.5)
    monkeypatch.setattr(ttl, "SESSION_LIMIT_S", 2.0)
    monkeypatch.setattr(delivery, "SEND_LIMIT_S", 0.3)


def ask_redis(script: Script, what: str) -> int:
    """Ask all that we ask of a Redis; return how many answers were accepted."""
    n_accepted = 0
    for ask in CALLS:
        began = time.monotonic()
        try:
            document = ask(f"redis://:secret@127.0.0.1:{script.port}/0")
            n_accepted += 1
        except CacheError as error:
            document = f"{error} {error.hint}"
            assert "\x1b" not in document, what
        except Exception as error:  # noqa: BLE001 - any other would be a traceback
            pytest.fail(f"{what}: {type(error).__name__}: {error}: {script.pieces}")
        text = json.dumps(document, allow_nan=False)  # the store keeps it as JSON
        assert len(text) < 10_000, what
        assert time.monotonic() - began < LATE_S, what
    return n_accepted


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    "n",
    [
        pytest.param(40, id="some", marks=pytest.mark.slow),
        pytest.param(10_000, marks=LONG, id="many"),
    ],
)
def test_a_redis_of_any_answer_is_read_or_is_one_error(n: int) -> None:
    script = Script()
    n_accepted = 0
    with script.serving():
        for number, content in enumerate(kept("redis")):
            script.pieces = (content,) * 8
            ask_redis(script, f"kept {number}")
        for seed in range(n):
            rng = random.Random(seed)
            script.pieces = tuple(some(rng, REPLIES, ODD_REPLIES) for _ in range(rng.randint(1, 8)))
            script.is_silent = rng.randrange(500) == 0
            n_accepted += ask_redis(script, f"seed {seed}")
        script.pieces, script.is_silent = (*[b"+OK\r\n"] * 3, REPLIES[2]), True
        assert read_facts(f"redis://:secret@127.0.0.1:{script.port}/0").n_keys == 3
    assert n_accepted < 3 * n


def finding(name: str) -> Finding:
    return Finding(FindingKind.TABLE_BLOAT, Severity.WARN, name, f"{name}: is empty", 0.5, 0.4)


def tell(policy: Policy, name: str, minute: int) -> notify.RoundReport:
    """A round in which one finding begins, and the one before it ends."""
    found = FindingSet("app", [finding(name)], KINDS)
    return notify.run_round(policy, [(NOW + timedelta(minutes=minute), found)])


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    "n",
    [
        pytest.param(60, id="some", marks=pytest.mark.slow),
        pytest.param(10_000, marks=LONG, id="many"),
    ],
)
def test_a_webhook_of_any_answer_loses_no_alert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, receiver: Receiver, n: int
) -> None:
    """What it did not accept is kept, and sent to the next server that does."""
    script = Script()
    policy = make_policy(
        tmp_path,
        "postgresql://nobody@127.0.0.1:9/app",
        alerts={"sinks": [{"type": "webhook", "url": {"env": "FUZZED_HOOK"}}]},
    )
    answers = {f"kept {number}": each for number, each in enumerate(kept("webhook"))}
    answers |= {f"seed {n}": some(random.Random(n), PAGES, ODD_PAGES) for n in range(n)}
    n_events = n_ended = n_refused = 0
    with script.serving():
        url = f"http://127.0.0.1:{script.port}/hook"
        monkeypatch.setenv("FUZZED_HOOK", url)
        for minute, (what, answer) in enumerate(answers.items()):
            script.pieces, script.is_silent = (answer,), minute % 100 == 99
            began = time.monotonic()
            report = tell(policy, what, minute)
            (told,) = report.delivered
            n_events += len(report.events)
            n_ended += told.n_delivered
            if told.n_pending:
                n_refused += 1
                assert told.error, what
                assert told.error.isprintable(), what
            else:
                assert TAKEN.search(answer), (what, answer)
            error = call(url, 0.3)
            assert error is not None or TAKEN.search(answer), (what, answer)
            assert time.monotonic() - began < LATE_S, what
    monkeypatch.setenv("FUZZED_HOOK", receiver.url)
    report = tell(policy, "the last", len(answers))
    assert [each.n_pending for each in report.delivered] == [0]
    assert n_ended + len(receiver.events()) == n_events + len(report.events)
    assert 0 < n_refused < n
