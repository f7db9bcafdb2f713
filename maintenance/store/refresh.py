"""One entry of the ledger of refreshes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Refresh:
    """One refresh of one view.

    Attributes:
        view: the qualified name as PostgreSQL quotes it.
        mode: concurrently, plain, populate, create or rebuild.
        error: why it failed; None where it did not.
        changed: whether rows changed, as far as is known.
        n_rows: in the view afterwards; None where not known, like the other numbers.
        n_updated: rows that went and came back with other content, pairs of one gone, one come.
        n_null_keys: rows whose unique key holds a NULL, which every refresh writes anew.
        temp_bytes: temporary files of the whole database meanwhile.
        state: file and counters of the view as it was left.
        fingerprint: what it reads, read before the refresh.
        as_of: the moment up to which every commit is in the view.
        proven_as_of: the moment up to which a later look has proven the same content right.
    """

    view: str
    run_id: str
    started_at: datetime
    ended_at: datetime
    mode: str
    reason: str
    error: str | None = None
    changed: bool = True
    n_rows: int | None = None
    n_inserted: int | None = None
    n_updated: int | None = None
    n_deleted: int | None = None
    n_null_keys: int | None = None
    temp_bytes: int | None = None
    state: tuple[int, ...] | None = None
    fingerprint: Mapping[str, Any] | None = field(default=None, repr=False)
    as_of: datetime | None = None
    proven_as_of: datetime | None = None
    id: int = 0
    changed_id: int = 0
    """The newest refresh of the view that changed rows, itself or an earlier one."""

    @property
    def fresh_as_of(self) -> datetime | None:
        """The moment up to which the view is known to show everything."""
        known = [moment for moment in (self.as_of, self.proven_as_of) if moment is not None]
        return max(known, default=None)

    @property
    def duration_s(self) -> float:
        """How long it took, in seconds."""
        return (self.ended_at - self.started_at).total_seconds()
