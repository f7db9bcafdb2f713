"""Names of errors without their text, since a URL in it may contain a token."""

import logging
from collections.abc import Iterator

for _name in ("apprise", "urllib3.connection", "urllib3.connectionpool"):
    # These log whole URLs or their paths at lower levels, also with the traceback of a bad header.
    logging.getLogger(_name).setLevel(logging.CRITICAL)


def cause(exc: BaseException) -> str:
    """Return the type names of an error and its causes, root cause last."""
    return " from ".join(dict.fromkeys(type(each).__name__ for each in _chain(exc)))


def _chain(exc: BaseException | None) -> Iterator[BaseException]:
    while exc is not None:
        yield exc
        exc = exc.__cause__ or exc.__context__
