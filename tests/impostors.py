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


def repeat_http(status: int) -> Talk:
    """Refuse a request with a page, and headers, that repeat it."""

    def talk(client: socket.socket) -> None:
        request = client.recv(65536)
        line = request.split(b"\r\n", 1)[0]
        head = b"HTTP/1.1 %d refused %s\r\nX-Was: %s" % (status, line, line)
        client.sendall(head + b"\r\nContent-Length: %d\r\n\r\n" % len(request) + request)

    return talk


def repeat_redis(client: socket.socket) -> None:
    """Refuse all commands with an error that repeats them, also the one with the password."""
    while request := client.recv(65536):
        told = b"-ERR refused " + b" ".join(request.split()) + b"\r\n"
        client.sendall(told * max(1, request.count(b"\r\n*") + 1))


def repeat_smtp(client: socket.socket) -> None:
    """Offer a login, and refuse all commands with an error that repeats them."""
    client.sendall(b"220 mail\r\n")
    while request := client.recv(65536):
        line = request.split(b"\r\n", 1)[0]
        offer = b"250-mail\r\n250 AUTH LOGIN PLAIN\r\n"
        client.sendall(offer if line.upper().startswith(b"EHLO") else b"535 " + line + b"\r\n")


def repeat_postgres(client: socket.socket) -> None:
    """Ask for the password in clear, and refuse it with an error that repeats it."""
    startup = client.recv(65536)
    if len(startup) == 8:  # may the session be encrypted?
        client.sendall(b"N")
        startup = client.recv(65536)
    client.sendall(b"R" + (8).to_bytes(4) + (3).to_bytes(4))
    password = client.recv(65536)[5:].rstrip(b"\0")
    told = b"SFATAL\0VFATAL\0C28P01\0Mwrong: " + password + b"\0DQuery: " + password + b"\0\0"
    client.sendall(b"E" + (len(told) + 4).to_bytes(4) + told)


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
