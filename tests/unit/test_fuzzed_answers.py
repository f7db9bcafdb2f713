"""Redis, webhooks and the dead man's switch answer anything: one clear error, in time."""

import gc
import json
import random
import re
import socket
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from maintenance.alerts import delivery
from maintenance.alerts.delivery import Delivered
from maintenance.alerts.heartbeat import call
from maintenance.alerts.models import FindingSet
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.errors import CacheError
from maintenance.pipeline import notify
from maintenance.policy import Policy
from maintenance.redis_client import client, invalidate, invalidation, read_facts, ttl
from maintenance.redis_client.ttl import read_ttls
from tests.builders import server_folder
from tests.fuzz import Fuzz, fuzzed
from tests.impostors import impostor
from tests.mutations import mutated_bytes
from tests.policies import make_policy
from tests.receivers import Receiver

LATE_S = 60.0
"""Far beyond each limit of the product: a busy machine reaches it never, a missing limit always."""
PATIENCE_S = 0.02
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


GREETED, FOUND = (b"+OK\r\n",) * 3, (REPLIES[3], b":2\r\n", b":-1\r\n")


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
    answers = [*GREETED, *rng.choice(((REPLIES[2],), FOUND * 2))]
    for _ in range(rng.randrange(3)):
        answers[rng.randrange(len(answers))] = some(rng, REPLIES, ODD_REPLIES)
    return tuple(answers[: rng.randint(1, 2 * len(answers))])


CALLS: tuple[Callable[[str], object], ...] = (
    lambda url: read_facts(url, 5.0)._asdict(),
    lambda url: {name: each._asdict() for name, each in read_ttls(url, ["a:*", "b"]).items()},
    lambda url: dict(invalidate(url, ["a:*"], {"view": "v"})),
)


@contextmanager
def shortened() -> Generator[None]:
    """The limits of the product, shortened: thousands of servers are waited for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "COMMAND_TIMEOUT_S", 2.0)
        patch.setattr(client, "_RETRIES", 0)  # the same answers again
        patch.setattr(invalidation, "DEADLINE_S", 1.0)
        patch.setattr(invalidation, "SESSION_LIMIT_S", 2.0)
        patch.setattr(ttl, "LIMIT_S", 0.5)
        patch.setattr(ttl, "SESSION_LIMIT_S", 2.0)
        patch.setattr(delivery, "SEND_LIMIT_S", 0.3)
        yield


def ask_redis(script: Script, pieces: tuple[bytes, ...], *, is_silent: bool = False) -> bool:
    """Ask all that we ask of a Redis; return whether any answer was accepted."""
    n_accepted = 0
    script.pieces, script.is_silent = pieces, is_silent
    for ask in CALLS:
        began = time.monotonic()
        try:
            document = ask(f"redis://:secret@127.0.0.1:{script.port}/0")
            n_accepted += 1
        except CacheError as error:
            document = f"{error} {error.hint}"
            assert "\x1b" not in document
        text = json.dumps(document, allow_nan=False)  # the store keeps it as JSON
        assert len(text) < 10_000
        assert time.monotonic() - began < LATE_S
    return n_accepted > 0


@fuzzed("Redis answers", quick=100)  # three conversations each, half of them waited for
def test_a_redis_of_any_answer_is_read_or_is_one_error(fuzz: Fuzz) -> None:
    script = Script()

    def is_read(rng: random.Random) -> bool:
        if rng.randrange(2):
            return ask_redis(script, conversation(rng))
        pieces = tuple(some(rng, REPLIES, ODD_REPLIES) for _ in range(rng.randint(1, 8)))
        return ask_redis(script, pieces, is_silent=rng.randrange(500) == 0)

    with script.serving(), shortened():
        fuzz.seed(is_read)
    script.pieces, script.is_silent = (*GREETED, REPLIES[2]), True
    with script.serving():
        assert read_facts(f"redis://:secret@127.0.0.1:{script.port}/0").n_keys == 3


@pytest.mark.parametrize("count", [REPLIES[2], b":-7\r\n", b":9223372036854775808\r\n"])
def test_count_of_subscribers_that_is_none_is_refused(count: bytes) -> None:
    script = Script((*GREETED, *FOUND[:2], count))
    with script.serving(), pytest.raises(CacheError):
        invalidate(f"redis://127.0.0.1:{script.port}/0", ["a:*"], {"view": "v"})


def test_header_that_is_none_does_not_log_the_url(caplog: pytest.LogCaptureFixture) -> None:
    script = Script((b"HTTP/1.1 200 OK\r\n: none\r\nContent-Length: 0\r\n\r\n",))
    with script.serving():
        call(f"http://127.0.0.1:{script.port}/token")
    assert caplog.text == ""


def finding(name: str) -> Finding:
    return Finding(FindingKind.TABLE_BLOAT, Severity.WARN, name, f"{name}: is empty", 0.5, 0.4)


@dataclass
class Watched:
    """A policy with a webhook, told of one problem after the other, each a minute later."""

    policy: Policy
    minute: int = 0
    n_events: int = 0

    def tell(self, url: str) -> Delivered:
        """A round in which one finding begins, and the one before it ends."""
        self.minute += 1
        found = FindingSet("app", [finding(f"table {self.minute}")], KINDS)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("FUZZED_HOOK", url)
            now = NOW + timedelta(minutes=self.minute)
            report = notify.run_round(self.policy, [(now, found)])
        self.n_events += len(report.events)
        (delivered,) = report.delivered
        return delivered


@pytest.fixture
def spool_in_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """On a busy disk a spool takes longer than a webhook."""
    with server_folder() as folder:
        monkeypatch.setenv("XDG_STATE_HOME", str(folder))
        yield


# urllib3 leaves the socket of an answer that it can't read to the garbage collector.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.usefixtures("spool_in_memory")
@fuzzed("webhook answers", quick=100)  # a round of alerts each
def test_a_webhook_of_any_answer_loses_no_alert(
    tmp_path: Path, receiver: Receiver, fuzz: Fuzz
) -> None:
    """What it did not accept is kept, and sent to the next server that does."""
    script = Script()
    alerts = {"sinks": [{"type": "webhook", "url": {"env": "FUZZED_HOOK"}}]}
    url = "postgresql://nobody@127.0.0.1:9/app"
    watched = Watched(make_policy(tmp_path, url, alerts=alerts))
    n_ended = 0

    def answered(answer: bytes, *, is_silent: bool = False) -> bool:
        nonlocal n_ended
        script.pieces, script.is_silent = (answer,), is_silent
        url = f"http://127.0.0.1:{script.port}/hook"
        began = time.monotonic()
        told = watched.tell(url)
        n_ended += told.n_delivered
        if told.n_pending:
            assert told.error
            assert told.error.isprintable()
        else:
            assert TAKEN.search(answer), answer
        error = call(url, 0.3)
        assert error is not None or TAKEN.search(answer), answer
        assert time.monotonic() - began < LATE_S
        return not told.n_pending

    with script.serving(), shortened():
        fuzz.seed(
            lambda rng: answered(some(rng, PAGES, ODD_PAGES), is_silent=rng.randrange(100) == 0)
        )
    gc.collect()
    assert watched.tell(receiver.url).n_pending == 0
    assert n_ended + len(receiver.events()) == watched.n_events
