"""The model of one recorded refresh."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Refresh:
    """One refresh of one view.

    Attributes:
        view: the quoted qualified name.
        mode: concurrently, plain, populate, create or rebuild.
        error: why it failed; None if it succeeded.
        changed: whether rows changed; true if unknown.
        n_rows: rows of the view afterwards; None if unknown, like the other numbers.
        n_updated: replaced rows: pairs of one deleted and one inserted row.
        n_null_keys: rows with a NULL in the unique key, which every refresh rewrites.
        temp_bytes: temporary files of the whole database during the refresh.
        state: filenode and counters of the view afterwards.
        fingerprint: of its sources, read before the refresh.
        as_of: the moment up to which the view contains all commits.
        proven_as_of: the moment up to which a later observation proved the content unchanged.
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
    """The newest refresh of the view that changed rows: this one or an earlier one."""

    @property
    def fresh_as_of(self) -> datetime | None:
        """The moment up to which the view is known to contain all commits."""
        known = [moment for moment in (self.as_of, self.proven_as_of) if moment is not None]
        return max(known, default=None)

    @property
    def duration_s(self) -> float:
        """Its duration in seconds."""
        return (self.ended_at - self.started_at).total_seconds()
