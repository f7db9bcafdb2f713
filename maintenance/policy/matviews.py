"""Settings of materialized views and of tables with computed rows."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from maintenance.names import QualifiedName
from maintenance.policy.base import Section, as_written, refused
from maintenance.policy.paths import SqlFile, is_in_file
from maintenance.policy.quantities import Duration
from maintenance.policy.values import ColumnName, Cron, Mode, RoleName, TableName, Text
from maintenance.policy.view_sql import ViewSqlError, read_view_query

Columns = Annotated[tuple[ColumnName, ...], Field(strict=False)]
KeyColumns = Annotated[tuple[ColumnName, ...], Field(strict=False, min_length=1)]


class GrantPolicy(Section):
    """Privileges on a view."""

    to: RoleName
    """The role; `public` for all roles."""
    rights: Annotated[
        tuple[Literal["SELECT", "MAINTAIN"], ...], Field(strict=False, min_length=1)
    ] = ("SELECT",)
    """Privileges to grant; MAINTAIN needs PostgreSQL 17."""


class MatviewPolicy(Section):
    """A materialized view."""

    name: TableName
    """Name of the view."""
    definition: SqlFile | None = None
    """Its SQL file; without it an existing view is only refreshed."""
    depends_on: Annotated[tuple[TableName, ...], Field(strict=False)] = ()
    """Further relations that it reads, which its SQL does not show."""
    unique_index: Columns = ()
    """Columns of the unique index, required for a concurrent refresh."""
    owner: RoleName | None = None
    """Owner; default: the owner of the schema's other views, or of the schema."""
    grants: Annotated[tuple[GrantPolicy, ...], Field(strict=False)] = ()
    """Further grants, besides those that all other views of the schema have."""
    refresh: Cron | None = None
    """Cron schedule of the refresh, in UTC; default: the nightly run."""
    mode: Literal["auto", "concurrently", "plain", "act", "report"] = "auto"
    """Refresh method; a plain refresh blocks readers. With report, the view is not changed.

    `act` is the same as `auto`.
    """
    max_age: Duration = as_written("24 hours")
    """Maximum age of the content; an older view is a finding."""
    invalidates: Annotated[tuple[Text, ...], Field(strict=False)] = ()
    """Redis key patterns to delete after a refresh that changed rows."""

    @field_validator("definition", mode="after")
    @classmethod
    def _check_definition(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        name: QualifiedName | None = info.data.get("name")
        if path is not None and name is not None and is_in_file(info):
            try:
                read_view_query(path, name)
            except ViewSqlError as error:
                wanted = f"a file with one SELECT, or CREATE MATERIALIZED VIEW {name}"
                raise refused(wanted, found=f"{error} of {path.name}") from error
        return path


class Activity(Section):
    """Activity that makes a computed row stale."""

    table: TableName
    """Table with the activity."""
    key: KeyColumns
    """Its columns that match the key of the computed row."""
    at: ColumnName
    """Time column of the activity."""


class StaleAnalyticsPolicy(Section):
    """A table with computed rows."""

    table: TableName
    """Name of the table."""
    calculated_at: ColumnName
    """Column with the time when a row was computed."""
    key: KeyColumns
    """Key columns of a computed row."""
    max_age: Duration = as_written("24 hours")
    """Maximum age of a row; an older row is stale if there was activity since."""
    activity: Activity | None = None
    """Activity that makes a row stale; without it, age alone does."""
    recalculate: SqlFile | None = None
    """An idempotent upsert of the rows whose keys are in %(keys)s.

    One statement. A key of one column is an array of its values, a key of several columns is a
    jsonb array of objects by column. Write a percent sign twice.
    """
    time_budget: Duration = as_written("10 minutes")
    """Time limit per run; the rest is recalculated in the next run."""
    mode: Mode = "act"
    """With report, no row is recalculated."""
