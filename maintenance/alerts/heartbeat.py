"""The dead man's switch: whoever misses its call raises the alarm that we can't raise."""

import threading

from maintenance.alerts.error_names import cause
from maintenance.alerts.sinks import is_taken

PING_LIMIT_S = 5.0
"""How long a call may take, at most, whatever the server does meanwhile."""


def call(url: str, limit_s: float = PING_LIMIT_S) -> str | None:
    """Call a url; return why that came to nothing, None if it did not.

    The answer is not read, and a redirect is not followed: the url is the switch.
    """
    errors = ["no answer in time"]

    def get() -> None:
        import requests  # noqa: PLC0415 - a third of a second, needed only where a url is named

        try:
            with requests.get(url, timeout=limit_s, allow_redirects=False, stream=True) as answer:
                errors[:] = (
                    [] if is_taken(answer.status_code) else [f"answered {answer.status_code}"]
                )
        except Exception as exc:  # noqa: BLE001 - whatever it is, the round goes on
            errors[:] = [f"no answer: {cause(exc)}"]

    thread = threading.Thread(target=get, daemon=True)
    thread.start()
    thread.join(limit_s)
    return next(iter(errors), None)
