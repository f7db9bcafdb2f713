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
from typing import Any

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
    whole = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            body = self.rfile.read(length)
            if len(body) < length:  # who sent it was killed meanwhile
                self.close_connection = True
                return
            while known.slow.is_set():
                time.sleep(0.05)
                known.silent.set()
            if known.silent.is_set():
                known.swallowed.append(body)
                self.close_connection = True
                return
            status = known.statuses.pop(0) if known.statuses else 200
            if status == 200:
                with whole:
                    known.bodies.append(body)
                    known.headers.append(dict(self.headers))
                known.on_post(body)
            self._answer(status)

        def do_GET(self) -> None:
            known.calls.append(self.path)
            self._answer(known.statuses.pop(0) if known.statuses else 200)

        def _answer(self, status: int) -> None:
            with suppress(OSError):
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its signature
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        known.url = f"http://127.0.0.1:{server.server_port}/hook"
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield known
        server.shutdown()
