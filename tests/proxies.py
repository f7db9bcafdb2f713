"""A TCP proxy between a run and its server, that cuts, half-closes and delays connections."""

import selectors
import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_MOST = 1 << 16


@dataclass(eq=False)
class _Link:
    """A connection to the proxy, and its own connection to the server."""

    client: socket.socket
    server: socket.socket
    deaf: bool = False
    delay_s: float = 0.0

    def close(self) -> None:
        self.client.close()
        self.server.close()


@dataclass
class Proxy:
    """A proxy in a thread of this process; `port` is open from the beginning, also before a fork.

    Connections are named by the port that the client has at its end.
    """

    target_port: int
    _listener: socket.socket = field(init=False, repr=False)
    _links: dict[int, _Link] = field(default_factory=dict[int, _Link], repr=False)
    _all: list[_Link] = field(default_factory=list[_Link], repr=False)
    """Also those whose port another connection has since."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _stop: threading.Event = field(default_factory=threading.Event, repr=False)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    @property
    def port(self) -> int:
        return self._listener.getsockname()[1]

    @contextmanager
    def serving(self) -> Generator[None]:
        """Forward until the end of the block, then close everything."""
        thread = threading.Thread(target=self._serve)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()
            self._listener.close()
            for link in self._all:
                link.close()

    def cut(self, port: int) -> None:
        """Close a connection at both ends."""
        with self._lock, suppress(OSError):
            link = self._links[port]
            link.client.shutdown(socket.SHUT_RDWR)
            link.server.shutdown(socket.SHUT_RDWR)

    def lose_answer(self, port: int) -> None:
        """Let the next message reach the server, and cut when it answers."""
        with self._lock:
            self._links[port].deaf = True

    def half_close(self, port: int) -> None:
        """Tell the client that the server has gone, and the server nothing."""
        with self._lock, suppress(OSError):
            self._links[port].client.shutdown(socket.SHUT_RDWR)
            self._links[port].deaf = True

    def delay(self, port: int, seconds: float) -> None:
        """Forward what follows on a connection so much later, in both directions."""
        with self._lock:
            self._links[port].delay_s = seconds

    def _serve(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            while not self._stop.is_set():
                for key, _ in selector.select(0.05):
                    if key.fileobj is self._listener:
                        self._accept(selector)
                    else:
                        self._forward(selector, key.fileobj, *key.data)  # type: ignore[arg-type]

    def _accept(self, selector: selectors.BaseSelector) -> None:
        client, (_, port) = self._listener.accept()
        try:
            server = socket.create_connection(("127.0.0.1", self.target_port))
        except OSError:
            client.close()
            return
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link = _Link(client, server)
        with self._lock:
            self._links[port] = link
            self._all.append(link)
        selector.register(client, selectors.EVENT_READ, (link, server))
        selector.register(server, selectors.EVENT_READ, (link, client))

    def _forward(
        self,
        selector: selectors.BaseSelector,
        source: socket.socket,
        link: _Link,
        target: socket.socket,
    ) -> None:
        data = b""
        with suppress(OSError):
            data = source.recv(_MOST)
        if link.delay_s:
            time.sleep(link.delay_s)
        if data and not (link.deaf and source is link.server):
            with suppress(OSError):
                target.sendall(data)
            return
        selector.unregister(source)
        with suppress(OSError):
            # a half-closed connection stays open at the server, until the proxy ends
            if not (link.deaf and source is link.client):
                target.shutdown(socket.SHUT_RDWR)
