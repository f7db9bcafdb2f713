"""Why a server refuses a connection or a write: reasons by SQLSTATE, never by text.

libpq keeps the SQLSTATE of a refused connection to itself. Its trace of the protocol has it, so a
connection that was refused is tried once more with the trace on.
Source: PostgreSQL manual, 34.12 Control Functions (PQtrace); appendix A.
"""

import os
import re
import select
import time

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

REFUSED = "refused"
TIMEOUT = "timeout"
AUTHENTICATION = "authentication"
TOO_MANY_CONNECTIONS = "too_many_connections"
READ_ONLY = "read_only"
DISK_FULL = "disk_full"
IO_ERROR = "io_error"

_REASONS = {
    "25006": READ_ONLY,  # read_only_sql_transaction
    "3D000": "no_database",  # invalid_catalog_name
    "53100": DISK_FULL,  # disk_full
    "53200": "out_of_memory",  # out_of_memory
    "53300": TOO_MANY_CONNECTIONS,  # too_many_connections
    "57P03": "not_ready",  # cannot_connect_now: starting up, shutting down, or in recovery
    "58030": IO_ERROR,  # io_error
}
_AUTHENTICATION_CLASS = "28"
_ERROR = re.compile(rb'\tErrorResponse\t S "[^"]*" V "[A-Z]+" C "([0-9A-Z]{5})"')
_MOST_BYTES = 1 << 16
_LIMIT_S = 5.0


def reason_of(sqlstate: str | None) -> str:
    """Return the reason code of a SQLSTATE; empty if it says nothing about the server's state."""
    if sqlstate is None:
        return ""
    if sqlstate.startswith(_AUTHENTICATION_CLASS):
        return AUTHENTICATION
    return _REASONS.get(sqlstate, "")


def refusal_reason(exc: psycopg.OperationalError, parameters: dict[str, str]) -> str:
    """Return why a connection was refused.

    Args:
        exc: the error of the first try.
        parameters: the libpq parameters of that try.

    Returns:
        A reason code; `refused` if no server answered, or if libpq does not say.
    """
    if isinstance(exc, psycopg.errors.ConnectionTimeout):
        return TIMEOUT
    return reason_of(_sqlstate_of_refusal(parameters)) or REFUSED


def _sqlstate_of_refusal(parameters: dict[str, str]) -> str | None:
    """Connect once more, and read the SQLSTATE from the trace; None if there is none."""
    if not hasattr(os, "memfd_create"):
        return None
    # In memory, since the trace has the messages of the password exchange.
    trace = os.memfd_create("refusal")
    try:
        _try_to_connect(parameters, trace)
        found = _ERROR.search(os.pread(trace, _MOST_BYTES, 0))
    except psycopg.Error:
        return None
    finally:
        os.close(trace)
    return found[1].decode() if found else None


def _try_to_connect(parameters: dict[str, str], trace: int) -> None:
    until = time.monotonic() + _LIMIT_S
    connection = pq.PGconn.connect_start(make_conninfo("", **parameters).encode())
    connection.trace(os.dup(trace))
    try:
        while connection.status != pq.ConnStatus.BAD:
            wanted = connection.connect_poll()
            left_s = until - time.monotonic()
            if wanted in (pq.PollingStatus.OK, pq.PollingStatus.FAILED) or left_s <= 0:
                return
            socket = [connection.socket]
            is_read = wanted == pq.PollingStatus.READING
            select.select(socket if is_read else [], [] if is_read else socket, [], left_s)
    finally:
        connection.untrace()
        connection.finish()
