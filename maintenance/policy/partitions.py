"""Settings of partitioned tables."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, cast

from pydantic import ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from maintenance.errors import ProblemReason
from maintenance.partition_key import Encoding, KeyEncoding, first_year, intervals_of
from maintenance.periods import CalendarSpan, Interval, Period
from maintenance.policy.base import Fault, Section, as_written, raise_faults, refused
from maintenance.policy.name_templates import (
    colliding,
    default_template,
    faults,
    may_name,
    period_part,
    render,
)
from maintenance.policy.paths import ArchiveUrl
from maintenance.policy.quantities import (
    Duration,
    RetentionSpan,
    Size,
    SizeLimit,
    Span,
    Timeout,
    whole,
)
from maintenance.policy.secrets import Secret, at
from maintenance.policy.values import (
    ColumnName,
    ConstraintName,
    EncodingName,
    IntervalName,
    Mode,
    PeriodKey,
    SchemaName,
    TableName,
    Text,
    ZoneName,
    read_period,
)

_NO_PREMAKE = "with premake 0 the next partition is missing when its period begins"


class Archive(Section):
    """Archive of expired partitions."""

    url: ArchiveUrl
    """Location: a path, or any fsspec URL."""
    format: Literal["copy", "parquet"] = "copy"
    """File format: compressed COPY text of PostgreSQL, or Parquet."""
    key: Annotated[Secret | None, at("archive.key")] = None
    """Secret that signs the manifests, so that a changed manifest is detected."""


_FLEETING = re.compile(r"(^|::)memory:", re.IGNORECASE)
"""Protocols whose files end with the process."""


class RetentionPolicy(Section):
    """Retention of expired partitions."""

    keep: RetentionSpan
    """Age after its end at which a period expires."""
    action: Literal["keep", "detach", "drop", "archive_then_drop"] = "keep"
    """Action on an expired partition."""
    archive: Archive | None = Field(default=None, validate_default=True)
    """Required by archive_then_drop, which does not accept `memory://`."""
    grace: Span = as_written("0 days")
    """Time for which a partition is kept detached before it is dropped."""
    max_per_run: Annotated[int, whole(1)] = 3
    """Maximum number of partitions per run; more expired ones are a finding."""
    hold: Annotated[tuple[PeriodKey, ...], Field(strict=False)] = ()
    """Periods under legal hold, never changed."""
    mode: Mode = "act"
    """With report, nothing is archived, detached or dropped."""

    @property
    def kept_for(self) -> str:
        """How long a period is kept, as messages say it."""
        return str(self.keep)

    @field_validator("archive", mode="after")
    @classmethod
    def _need_archive(cls, archive: Archive | None, info: ValidationInfo) -> Archive | None:
        if info.data.get("action") != "archive_then_drop":
            return archive
        if archive is None:
            wanted = "an archive location for archive_then_drop, such as {url: ./archive}"
            raise refused(wanted, found="nothing", reason=ProblemReason.MISSING)
        if _FLEETING.search(archive.url):
            wanted = "a persistent archive location, since the rows are dropped afterwards"
            raise refused(wanted, found=archive.url, reason=ProblemReason.CONFLICT)
        return archive


class ConvertWhen(Section):
    """Conditions to convert an unpartitioned table."""

    larger_than: Size = as_written("10 GB")
    """Size of the table with its indexes and TOAST."""


class LongerForeignKey(Section):
    """A foreign key of another table that gets a column with the value of the partition key."""

    table: TableName
    """Name of the referencing table."""
    constraint: ConstraintName
    """Name of the foreign key."""
    column: ColumnName
    """Column of the referencing table with the value of the partition key."""


class SplitLimits(Section):
    """Limits of the work that splits a partition of several periods."""

    pause: Timeout = as_written("20 ms")
    """Pause after each batch of copied rows."""
    max_replica_lag: SizeLimit = as_written("100 MB")
    """Lag of a replica above which no batch is copied."""
    max_wal_rate: SizeLimit = as_written("64 MB")
    """WAL that the server writes in a second above which no batch is copied."""
    max_wait: Duration = as_written("1 hour")
    """Longest wait for lag, WAL or blocked sessions; the next run continues."""
    time_limit: Duration = as_written("1 hour")
    """Longest copying in one run; the next run continues."""


def _default_name(data: dict[str, Any]) -> str:
    return default_template(data["interval"])


class PartitionPolicy(Section):
    """A partitioned table."""

    model_config = ConfigDict(populate_by_name=True)

    table: TableName
    """Name of the partitioned table."""
    column: ColumnName
    """Partition key column."""
    encoding: EncodingName = Encoding.NATIVE
    """Time encoding of the column."""
    interval: IntervalName = Field(default=Interval.MONTH, validate_default=True)
    """Interval of one partition."""
    time_zone: ZoneName = as_written("UTC")
    """Time zone of the partition bounds."""
    premake: Annotated[int, whole(1, 1000, _NO_PREMAKE)] = 3
    """Number of whole intervals to create ahead of the current one."""
    start: PeriodKey | None = None
    """First interval that must exist; default: the current or the oldest one, if earlier."""
    name: Text = Field(default_factory=_default_name)
    """Name template of partitions, with {table}, {yyyy}, {mm} and {dd}.

    Also {mon} (jan to dec), {q} (1 to 4), and for weeks {iyyy} and {ww} of ISO 8601.
    """
    schema_name: SchemaName | None = Field(default=None, alias="schema")
    """Schema of new partitions; default: that of the newest ones."""
    default: Literal["none", "ensure"] = "none"
    """Whether a missing DEFAULT partition is created."""
    bridge: bool = True
    """Whether a gap within a period, left by partitions with other bounds, is filled."""
    convert: Literal["never", "online"] = "never"
    """Whether an unpartitioned table is converted."""
    convert_when: ConvertWhen = ConvertWhen()
    """Conditions of the conversion."""
    referenced_by: Annotated[tuple[LongerForeignKey, ...], Field(strict=False)] = ()
    """Foreign keys of other tables that get a further column when the table is converted."""
    split: Literal["never", "online"] = "never"
    """Whether a partition of several periods is split once the last of them has ended."""
    split_limits: SplitLimits = SplitLimits()
    """Limits of the split."""
    retention: RetentionPolicy | None = None
    """Retention; without it no partition expires."""
    mode: Mode = "act"
    """With report, the table and its partitions are not changed."""

    def child_name(self, period: Period) -> str:
        """Return the name of the partition of a period, at most 63 bytes."""
        return render(self.name, self.table.name, period.start)

    def may_name(self, name: str) -> bool:
        """Whether a name can be the name of a partition, for any period."""
        return may_name(self.name, self.table.name, name)

    def period_part(self, period: Period) -> str:
        """Return the part of the name that depends on the period; empty if it is not contiguous."""
        return period_part(self.name, period.start)

    @field_validator("interval", mode="after")
    @classmethod
    def _check_interval(cls, interval: Interval, info: ValidationInfo) -> Interval:
        encoding = info.data.get("encoding")
        if encoding is None:
            return interval
        allowed = [each.value for each in Interval if each in intervals_of(encoding)]
        if interval.value in allowed:
            return interval
        wanted = f"an interval that encoding {encoding.value} supports: {', '.join(allowed)}"
        raise refused(wanted, found=interval.value, reason=ProblemReason.CONFLICT)

    @field_validator("start", mode="before")
    @classmethod
    def _read_start(cls, value: object, info: ValidationInfo) -> object:
        interval = info.data.get("interval")
        if value is None or interval is None:
            return None
        period = read_period(value, interval)
        return _not_before_identifiers(period, info.data.get("encoding"))

    @field_validator("retention", mode="before")
    @classmethod
    def _read_hold(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, dict):
            return value
        section = cast("dict[str, object]", value)
        hold, interval = section.get("hold"), info.data.get("interval")
        if not isinstance(hold, list | tuple):
            return section
        if interval is None:  # an invalid interval is reported separately
            return section | {"hold": ()}
        listed = cast("Sequence[object]", hold)
        return section | {"hold": [read_period(item, interval) for item in listed]}

    @field_validator("retention", mode="after")
    @classmethod
    def _check_keep(
        cls, retention: RetentionPolicy | None, info: ValidationInfo
    ) -> RetentionPolicy | None:
        interval = info.data.get("interval")
        if retention is not None and interval is not None:
            raise_faults("retention", _shorter_than_one(interval, retention.keep))
        return retention

    @field_validator("name", mode="after")
    @classmethod
    def _check_name(cls, template: str, info: ValidationInfo) -> str:
        for fault in faults(template, info.data.get("interval", Interval.YEAR)):
            raise refused(f"a template with {fault}")
        return template


_DAYS_A_MONTH = 365 / 12
_FEWEST_DAYS = {Interval.MONTH: 28, Interval.QUARTER: 90, Interval.YEAR: 365}


def _shorter_than_one(interval: Interval, keep: CalendarSpan) -> list[Fault]:
    """Refuse a retention that is shorter than one interval."""
    if keep.months * _DAYS_A_MONTH + keep.days >= _FEWEST_DAYS.get(interval, interval.days):
        return []
    wanted = f"at least one interval, which is {interval.value}"
    hint = "use a shorter interval to keep less"
    return [(("keep",), refused(wanted, hint, reason=ProblemReason.CONFLICT))]


def _not_before_identifiers(
    period: Period | PydanticCustomError, encoding: KeyEncoding | None
) -> Period | PydanticCustomError:
    if encoding is None or not isinstance(period, Period):
        return period
    first = first_year(encoding)
    if period.start.year < first:
        wanted = f"{first} or later, the first time that {encoding.value} encodes"
        return refused(wanted, reason=ProblemReason.OUT_OF_RANGE)
    return period


def collisions(tables: Sequence[PartitionPolicy]) -> list[Fault]:
    """Return the tables whose partition names collide with another's, by list position."""
    schemas = sorted({_schema(policy) for policy in tables})
    return [fault for schema in schemas for fault in _collisions_in(schema, tables)]


def _schema(policy: PartitionPolicy) -> str:
    return policy.schema_name or policy.table.schema


def _collisions_in(schema: str, tables: Sequence[PartitionPolicy]) -> list[Fault]:
    indexes = [index for index, policy in enumerate(tables) if _schema(policy) == schema]
    named = [(tables[index].name, tables[index].table.name) for index in indexes]
    pairs = [(indexes[later], indexes[earlier]) for later, earlier in colliding(named)]
    return [
        _collision(later, tables[later], tables[earlier])
        for later, earlier in pairs
        if tables[later].table != tables[earlier].table
    ]


def _collision(index: int, later: PartitionPolicy, earlier: PartitionPolicy) -> Fault:
    return (index, "name"), refused(
        f"partition names of {later.table} that differ from those of {earlier.table}",
        "change one of the two name templates; only the first 63 bytes count",
        found=later.name,
        reason=ProblemReason.CONFLICT,
    )
