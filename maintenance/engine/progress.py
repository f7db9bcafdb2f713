"""Lines of progress that also have their facts, for drivers that show more than text."""

from typing import Self


class BuildProgress(str):
    """How far an index build is.

    Attributes:
        phase: as the server names it.
        fraction: of the phase; None if the server does not tell.
    """

    __slots__ = ("fraction", "phase")

    phase: str
    fraction: float | None

    @classmethod
    def of(cls, phase: str, fraction: float | None) -> Self:
        """Return the line."""
        far = phase if fraction is None else f"{phase}, {fraction:.0%}"
        line = cls(f"the index build: {far}")
        line.phase, line.fraction = phase, fraction
        return line


class StepProgress(str):
    """How far the steps of an action on a table are.

    Attributes:
        table: qualified and quoted.
        state: such as `conversion: step 4 of 9, 62 %`.
        what: what is being done.
    """

    __slots__ = ("state", "table", "what")

    table: str
    state: str
    what: str

    @classmethod
    def of(
        cls, table: str, work: str, place: int, total: int, what: str, fraction: float | None = None
    ) -> Self:
        """Return the line.

        Args:
            table: qualified and quoted.
            work: the action in a word.
            place: number of the step, from 1.
            total: number of steps.
            what: what the step does, or the phase that it is in.
            fraction: how much of the phase is done, if known.
        """
        far = "" if fraction is None else f", {round(fraction * 100)} %"
        state = f"{work}: step {place} of {total}{far}"
        line = cls(f"{table}: {state}: {what}")
        line.table, line.state, line.what = table, state, what
        return line
