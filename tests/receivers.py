"""A real HTTP server for tests: keeps all requests, and answers as configured."""

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from typing import Any, ClassVar

SECRET = "whsec"


@dataclass
class Receiver:
    """What came in, and what is to be answered: 200 unless `statuses` or `silent` say otherwise.

    Attributes:
        statuses: answers of the next requests.
        silent: whether the connection is closed in the middle of a request.
        slow: whether a request waits until this is cleared again, and counts as not received.
        swallowed: bodies that were read, and never answered.
        on_post: called with each body that was received, before it is answered.
        answer: writes a whole answer of its own to the connection, whatever was asked.
        calls: paths of GET requests.
    """

    statuses: list[int] = field(default_factory=list[int])
    bodies: list[bytes] = field(default_factory=list[bytes])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    calls: list[str] = field(default_factory=list[str])
    swallowed: list[bytes] = field(default_factory=list[bytes])
    silent: threading.Event = field(default_factory=threading.Event)
    slow: threading.Event = field(default_factory=threading.Event)
    on_post: Callable[[bytes], None] = field(default=lambda _: None)
    answer: Callable[[BufferedIOBase], None] | None = None
    url: str = ""

    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self.bodies]

    def told(self) -> list[tuple[str, str]]:
        return [(each["state"], each["object"]) for each in self.documents()]

    def events(self) -> list[dict[str, Any]]:
        """Every alert received, including those in groups."""
        return [
            each for document in self.documents() for each in document.get("alerts", [document])
        ]

    def webhook(self) -> dict[str, Any]:
        """This server as a sink of a policy."""
        return {"type": "webhook", "url": self.url, "secret": SECRET}

    def is_signed(self) -> bool:
        """Whether every body has the signature of exactly its bytes."""
        return all(
            headers["X-Maintenance-Signature"] == _signature(body)
            for body, headers in zip(self.bodies, self.headers, strict=True)
        )


def _signature(body: bytes) -> str:
    return f"sha256={hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()}"


@contextmanager
def http_receiver() -> Generator[Receiver]:
    """A server on a free port of loopback."""
    known = Receiver()
    handler = type("Handler", (_Handler,), {"known": known, "whole": threading.Lock()})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        known.url = f"http://127.0.0.1:{server.server_port}/hook"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield known
        server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    """Answers as the receiver that it belongs to is told to."""

    known: ClassVar[Receiver]
    whole: ClassVar[threading.Lock]

    def do_POST(self) -> None:
        if self.known.answer is not None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer_oddly(self.known.answer)
            return
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:  # who sent it was killed meanwhile
            self.close_connection = True
            return
        while self.known.slow.is_set():
            time.sleep(0.05)
            self.known.silent.set()
        if self.known.silent.is_set():
            self.known.swallowed.append(body)
            self.close_connection = True
            return
        status = self.known.statuses.pop(0) if self.known.statuses else 200
        if status == 200:
            with self.whole:
                self.known.bodies.append(body)
                self.known.headers.append(dict(self.headers))
            self.known.on_post(body)
        self._answer(status)

    def do_GET(self) -> None:
        self.known.calls.append(self.path)
        if self.known.answer is not None:
            self._answer_oddly(self.known.answer)
            return
        self._answer(self.known.statuses.pop(0) if self.known.statuses else 200)

    def _answer_oddly(self, answer: Callable[[BufferedIOBase], None]) -> None:
        self.close_connection = True
        with suppress(OSError):
            answer(self.wfile)

    def _answer(self, status: int) -> None:
        with suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its signature
        del format, args
