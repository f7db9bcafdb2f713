"""The request of one run, beyond its policy."""

from dataclasses import dataclass, replace

from maintenance.names import QualifiedName


@dataclass(frozen=True, slots=True)
class Request:
    """Work requested for one run, beyond the policy.

    Attributes:
        table: only this table; None means all.
        among: only these relations; empty means all.
        periods: keys of periods to create, including those outside the policy's window;
            empty means the policy's window. Such a run retires nothing.
        archives: keys of periods to archive. Such a run retires nothing.
        rebuild: whether the view `table` is replaced by its definition.
        waves: numbers of the waves of declarations to roll out; empty means all.
        again: whether what was undone is carried out again.
        max_per_run: overrides the limit of retention; None keeps the policy's.
        forced: whether views are refreshed although nothing has changed, and `table` is analyzed
            although it is not due.
        vacuum: whether `table` is vacuumed too, if forced.
        rollout: whether declared indexes are built and dropped; else they are only compared.
    """

    table: QualifiedName | None = None
    periods: tuple[str, ...] = ()
    archives: tuple[str, ...] = ()
    max_per_run: int | None = None
    among: tuple[QualifiedName, ...] = ()
    rebuild: bool = False
    rollout: bool = True
    again: bool = False
    waves: tuple[int, ...] = ()
    forced: bool = False
    vacuum: bool = False

    def includes(self, table: QualifiedName) -> bool:
        """Whether the request includes a table."""
        return self.table in (None, table) and (not self.among or table in self.among)

    @property
    def is_of_everything(self) -> bool:
        """Whether it looks at all objects, whatever it may change."""
        return replace(self, rollout=True, waves=(), forced=False) == EVERYTHING

    @property
    def carried_out(self) -> "Request":
        """The request once its actions are done: what was forced is not asked for again."""
        return replace(self, forced=False, vacuum=False)


EVERYTHING = Request()
"""All work of the policy, on all of its tables."""
