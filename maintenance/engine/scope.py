"""What one run is asked for beyond its policy."""

from dataclasses import dataclass

from maintenance.names import QualifiedName


@dataclass(frozen=True, slots=True)
class Request:
    """What one run was asked for beyond what the policy says anyway.

    Attributes:
        table: only this table; None means all.
        among: only these relations; empty means all.
        periods: keys of periods that must exist, those outside the policy's window included;
            empty means the policy's window. Nothing is retired by such a run.
        archives: keys of periods that must be archived; nothing is retired by such a run.
        rebuild: whether the view that `table` names is replaced by its definition.
        max_per_run: another fuse of retention than the policy's; None leaves the policy's.
    """

    table: QualifiedName | None = None
    periods: tuple[str, ...] = ()
    archives: tuple[str, ...] = ()
    max_per_run: int | None = None
    among: tuple[QualifiedName, ...] = ()
    rebuild: bool = False

    def includes(self, table: QualifiedName) -> bool:
        """Whether a table is within what was asked for."""
        return self.table in (None, table) and (not self.among or table in self.among)


EVERYTHING = Request()
"""What the policy says, on all of its tables."""
