"""What went wrong with a url, told without a word of it: a url may hold a token."""

import logging
from collections.abc import Iterator

for _name in ("apprise", "urllib3.connectionpool"):
    # They write whole urls, or paths of them, on their lower levels.
    logging.getLogger(_name).setLevel(logging.CRITICAL)


def cause(exc: BaseException) -> str:
    """Name what is at the bottom of an error by its types alone."""
    return " from ".join(dict.fromkeys(type(each).__name__ for each in _chain(exc)))


def _chain(exc: BaseException | None) -> Iterator[BaseException]:
    while exc is not None:
        yield exc
        exc = exc.__cause__ or exc.__context__
