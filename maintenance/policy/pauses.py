"""The pause of a database."""

from datetime import datetime
from typing import NamedTuple

from maintenance.formatting import visible


class Pause(NamedTuple):
    """A pause of one database: until it ends, nothing is changed.

    Attributes:
        until: when it ends by itself; None if it does not.
        reason: as given; may be empty.
        by: who paused it: role, user and host.
    """

    since: datetime
    until: datetime | None
    reason: str
    by: str

    def __str__(self) -> str:
        until = f"until {self.until:%Y-%m-%d %H:%M} UTC" if self.until else "without an end"
        reason = f": {visible(self.reason)}" if self.reason else ""
        return f"paused {until} by {self.by}{reason}"
