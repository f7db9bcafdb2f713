"""The dead man's switch: an external service that raises an alarm if our call is missing."""

from maintenance.alerts.error_names import cause
from maintenance.alerts.sinks import is_taken
from maintenance.engine.side_by_side import ends_within

PING_LIMIT_S = 5.0
"""Maximum duration of a call, whatever the server does."""


def call(url: str, limit_s: float = PING_LIMIT_S) -> str | None:
    """Call a URL; return the reason of a failure, None on success.

    The response body is not read and a redirect is not followed.
    """
    statuses: list[int] = []

    def get() -> None:
        import requests  # noqa: PLC0415 - a third of a second, needed only where a url is named

        with requests.get(url, timeout=limit_s, allow_redirects=False, stream=True) as answer:
            statuses.append(answer.status_code)

    try:
        if not ends_within(limit_s, get):
            return "no response in time"
    except Exception as exc:  # noqa: BLE001 - no failure of the call may stop the round
        return f"no response: {cause(exc)}"
    (status,) = statuses
    return None if is_taken(status) else f"HTTP status {status}"
