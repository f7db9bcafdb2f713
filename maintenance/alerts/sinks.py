"""Sinks: each sends one message within a time limit or raises an error.

Client libraries take a second to import, so only those in use are imported.
"""

import hashlib
import hmac
import json
import logging
import re
from collections.abc import Callable
from functools import partial
from typing import Any

from maintenance.alerts.error_names import cause
from maintenance.alerts.formatting import harmless
from maintenance.alerts.http_limits import bound_answers
from maintenance.alerts.messages import Message
from maintenance.engine.findings import Severity
from maintenance.engine.side_by_side import ends_within
from maintenance.engine.target import Target
from maintenance.errors import MaintenanceError
from maintenance.policy.alerts import AppriseSink, LogSink, RedisStreamSink, Sink, WebhookSink
from maintenance.policy.base import did_you_mean
from maintenance.policy.secrets import Url
from maintenance.redis_client.client import PROTOCOL

Send = Callable[[Message, float], str]
"""Sends one message within a number of seconds, and returns what the sink answered.

Raises:
    SinkError: the message was not delivered.
"""

SIGNATURE = "X-Maintenance-Signature"
STREAM_LENGTH = 10_000
"""Approximate number of entries that a Redis stream keeps."""
_REFUSED = (400, 413, 415, 422)
"""Statuses that reject this message for good. Others, such as a missing page or a revoked token,
concern the sink, and the message is retried."""
_ENTRY = re.compile(r"\d+-\d+")
"""The id of a stream entry."""
_LEVELS = {
    Severity.INFO: logging.INFO,
    Severity.WARN: logging.WARNING,
    Severity.ERROR: logging.ERROR,
}
_LOG = logging.getLogger("maintenance.alerts")


class SinkError(MaintenanceError):
    """A message was not delivered.

    Attributes:
        is_final: the sink rejects this message for good; it is not retried.
    """

    def __init__(self, message: str, *, hint: str = "", is_final: bool = False) -> None:
        super().__init__(message, hint=hint, retryable=not is_final)
        self.is_final = is_final


def name_of(sink: Sink) -> str:
    """Return a sink's name for the store and for messages: type and URL label, no secret.

    Two sinks with literal URLs are distinguished by a hash.
    """
    match sink:
        case LogSink():
            return "log"
        case RedisStreamSink():
            return f"redis_stream {sink.stream}"
        case AppriseSink() | WebhookSink():
            return f"{sink.type} {_label(sink.url)}"


def sender_of(sink: Sink, target: Target) -> Send:
    """Return the function that sends messages to a sink.

    Raises:
        UsageError: an environment variable is not set.
    """
    match sink:
        case LogSink():
            return _to_log
        case RedisStreamSink():
            redis = target.policy.redis
            assert redis is not None, "the policy validation requires redis for a stream"
            return partial(_to_stream, target.resolve(redis.url), sink.stream)
        case AppriseSink():
            return partial(_to_apprise, _services(target.resolve(sink.url)))
        case WebhookSink():
            secret = target.resolve(sink.secret) if sink.secret else None
            return partial(_to_webhook, target.resolve(sink.url), secret)


def fault_of(sink: Sink, target: Target) -> str:
    """Return why no message can be sent through a sink, as far as its url tells; empty if one can.

    Raises:
        UsageError: an environment variable is not set.
    """
    if not isinstance(sink, AppriseSink):
        return ""
    url = target.resolve(sink.url)
    if len(_services(url)):
        return ""
    from apprise.manager_plugins import NotificationManager  # noqa: PLC0415 - see above

    scheme = url.partition(":")[0].lower()
    manager: Any = NotificationManager()  # its annotations are incomplete
    known = list(map(str, manager.schemas()))
    if scheme in known:
        return f"Apprise accepts no such {scheme}:// url"
    guess = did_you_mean(scheme, known)
    return f"Apprise has no service {scheme}://" + (f"; {guess}" if guess else "")


def is_taken(status: int) -> bool:
    """Whether an HTTP status means that a message was accepted; a redirect does not."""
    return 200 <= status < 300  # noqa: PLR2004 - RFC 9110, 15.3


def signature(secret: str, body: bytes) -> str:
    """Return the signature of a webhook body: `sha256=` and the hex HMAC."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


def _label(url: Url) -> str:
    if url.literal is None:
        return url.label
    return hashlib.sha256(url.literal.get_secret_value().encode()).hexdigest()[:8]


def _to_log(message: Message, timeout_s: float) -> str:
    del timeout_s
    level = logging.INFO if message.is_over else _LEVELS[message.severity]
    _LOG.log(level, "%s\n%s", message.title(), message.text())
    return f"logged as {logging.getLevelName(level)}"


def _to_webhook(url: str, secret: str | None, message: Message, timeout_s: float) -> str:
    import requests  # noqa: PLC0415 - see above

    body = json.dumps(message.body, ensure_ascii=False).encode()
    headers = {"Content-Type": "application/json", "Idempotency-Key": message.id}
    if secret is not None:
        headers[SIGNATURE] = signature(secret, body)
    statuses: list[int] = []

    def post() -> None:
        # Only the status is read: the response body may be endless.
        with requests.post(
            url, data=body, headers=headers, timeout=timeout_s, allow_redirects=False, stream=True
        ) as answer:
            statuses.append(answer.status_code)

    try:
        is_answered = ends_within(timeout_s, post)
    except requests.RequestException as exc:
        # The error text may contain the URL, and a URL may contain a token.
        raise SinkError(f"no response: {cause(exc)}") from None
    if not is_answered:
        raise SinkError("no response in time")
    (status,) = statuses
    if not is_taken(status):
        raise SinkError(f"HTTP status {status}", is_final=status in _REFUSED)
    return f"HTTP status {status}"


def _to_stream(url: str, stream: str, message: Message, timeout_s: float) -> str:
    import redis  # noqa: PLC0415 - see above

    body = json.dumps(message.body, ensure_ascii=False)
    fields = {"id": message.id, "state": message.body["state"], "body": body}
    servers: Any = redis.Redis  # the annotations of from_url are incomplete
    try:
        with servers.from_url(
            url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, protocol=PROTOCOL
        ) as client:
            entry = client.xadd(stream, fields, maxlen=STREAM_LENGTH, approximate=True)
    except (redis.RedisError, OSError) as exc:
        raise SinkError(f"stream {stream}: {cause(exc)}") from None
    text = entry.decode(errors="replace") if isinstance(entry, bytes) else str(entry)
    if not _ENTRY.fullmatch(text):
        raise SinkError(f"stream {stream}: not delivered: the server returned no entry id")
    return f"entry {text}"


_NOTES = {Severity.INFO: "info", Severity.WARN: "warning", Severity.ERROR: "failure"}


def _services(url: str) -> Any:
    """Load the service of the URL now, since that takes seconds that a message does not have."""
    import apprise  # noqa: PLC0415 - see above

    bound_answers("apprise")
    # A redirect is no delivery: the page that it leads to knows nothing of the message.
    asset: Any = apprise.AppriseAsset(http_redirects=False)
    services: Any = apprise.Apprise(asset=asset)  # its annotations are incomplete
    services.add(url)
    return services


def _to_apprise(services: Any, message: Message, timeout_s: float) -> str:
    import apprise  # noqa: PLC0415 - see above

    if not len(services):
        raise SinkError(
            "unknown Apprise service", hint="see the Apprise documentation for supported URLs"
        )
    note = "success" if message.is_over else _NOTES[message.severity]
    answers: list[bool] = []

    def send() -> None:
        told = services.notify(
            body=message.text(harmless),
            title=message.title(harmless),
            notify_type=apprise.NotifyType(note),
            body_format=apprise.NotifyFormat.TEXT,
            timeout=timeout_s,
        )
        answers.append(bool(told))

    if not ends_within(timeout_s, send):
        raise SinkError("no response in time")
    if not answers[0]:
        raise SinkError("the service rejected the message")
    return "accepted by the service"
