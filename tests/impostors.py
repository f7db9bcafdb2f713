"""Servers that answer nonsense, or never."""

import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress

Talk = Callable[[socket.socket], None]
"""What is done with one connection before it is closed."""


def say(*answers: bytes) -> Talk:
    """Answer each request with the next of these, the last again and again."""

    def talk(client: socket.socket) -> None:
        number = 0
        while data := client.recv(65536):
            for _ in range(max(1, data.count(b"\r\n*") + 1)):  # as many as Redis has commands
                client.sendall(answers[min(number, len(answers) - 1)])
                number += 1

    return talk


def hang_up(client: socket.socket) -> None:
    """Close at once."""
    client.close()


def be_silent(client: socket.socket) -> None:
    """Read everything and answer nothing."""
    while client.recv(65536):
        pass


def drip(head: bytes) -> Talk:
    """Answer a byte at a time, for ever."""

    def talk(client: socket.socket) -> None:
        client.recv(65536)
        client.sendall(head)
        while True:
            client.sendall(b"x")
            time.sleep(0.1)

    return talk


def pour(head: bytes, more: bytes) -> Talk:
    """Answer without an end."""

    def talk(client: socket.socket) -> None:
        client.recv(65536)
        client.sendall(head)
        while True:
            client.sendall(more)

    return talk


@contextmanager
def impostor(talk: Talk) -> Generator[int]:
    """A server on a free port of loopback; yields the port."""
    over = threading.Event()

    def serve(client: socket.socket) -> None:
        with suppress(OSError), client:
            talk(client)

    def accept() -> None:
        with suppress(OSError):
            while not over.is_set():
                client, _ = listener.accept()
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
