"""Limits on the answers of foreign HTTP servers: in size, in time, and without redirects.

A sink or a dead man's switch is another's server. It may answer with gigabytes, with a body that
unpacks to gigabytes, or byte by byte for hours.
"""

import inspect
import threading
from typing import Any

from maintenance.engine.side_by_side import ends_within

LONGEST_ANSWER = 64 * 1024
"""Maximum number of bytes of an answer that are read, after unpacking."""
LONGEST_S = 5.0
"""Maximum duration of a request of a library."""

_patch = threading.Lock()


def bound_answers(package: str) -> None:
    """Read no more than `LONGEST_ANSWER` of the answers to requests of a package, in `LONGEST_S`.

    For a library that calls `requests` and reads whole answers, in threads of its own, for which
    Python waits before a process may end.
    """
    import requests  # noqa: PLC0415 - a third of a second, needed only where a url is named

    with _patch:
        plain: Any = requests.Session.send
        if package in getattr(plain, "bounded", ()):
            return

        def send(self: Any, request: Any, **others: Any) -> Any:
            if not _is_called_by(package):
                return plain(self, request, **others)
            answers: list[Any] = []

            def read() -> None:
                answer: Any = plain(self, request, **{**others, "stream": True})
                answer._content = answer.raw.read(LONGEST_ANSWER, decode_content=True)  # noqa: SLF001
                answer._content_consumed = True  # noqa: SLF001
                answer.close()
                answers.append(answer)

            # Timeouts of sockets start anew with each byte that arrives.
            if not ends_within(LONGEST_S, read):
                raise requests.Timeout("no response in time")
            return answers[0]

        bounded: Any = send
        bounded.bounded = (package, *getattr(plain, "bounded", ()))
        requests.Session.send = bounded


def _is_called_by(package: str) -> bool:
    frame = inspect.currentframe()
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name == package or name.startswith(f"{package}."):
            return True
        frame = frame.f_back
    return False
