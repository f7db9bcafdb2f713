"""The dead man's switch: an external service that raises an alarm if our call is missing."""

import threading

from maintenance.alerts.error_names import cause
from maintenance.alerts.sinks import is_taken

PING_LIMIT_S = 5.0
"""Maximum duration of a call, whatever the server does."""


def call(url: str, limit_s: float = PING_LIMIT_S) -> str | None:
    """Call a URL; return the reason of a failure, None on success.

    The response body is not read and a redirect is not followed.
    """
    errors = ["no response in time"]

    def get() -> None:
        import requests  # noqa: PLC0415 - a third of a second, needed only where a url is named

        try:
            with requests.get(url, timeout=limit_s, allow_redirects=False, stream=True) as answer:
                errors[:] = (
                    [] if is_taken(answer.status_code) else [f"HTTP status {answer.status_code}"]
                )
        except Exception as exc:  # noqa: BLE001 - no failure of the call may stop the round
            errors[:] = [f"no response: {cause(exc)}"]

    thread = threading.Thread(target=get, daemon=True)
    thread.start()
    thread.join(limit_s)
    return next(iter(errors), None)
