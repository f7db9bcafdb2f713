"""What the owner wants of materialized views and of tables that hold computed rows."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from maintenance.names import QualifiedName
from maintenance.policy.base import Section, as_written, refused
from maintenance.policy.paths import SqlFile, is_in_file
from maintenance.policy.quantities import Duration
from maintenance.policy.values import ColumnName, Cron, RoleName, TableName, Text
from maintenance.policy.view_sql import ViewSqlError, read_view_query

Columns = Annotated[tuple[ColumnName, ...], Field(strict=False)]
KeyColumns = Annotated[tuple[ColumnName, ...], Field(strict=False, min_length=1)]


class GrantPolicy(Section):
    """Rights on a view."""

    to: RoleName
    """The role; `public` for all."""
    rights: Annotated[
        tuple[Literal["SELECT", "MAINTAIN"], ...], Field(strict=False, min_length=1)
    ] = ("SELECT",)
    """What it may do; MAINTAIN needs PostgreSQL 17."""


class MatviewPolicy(Section):
    """One materialized view."""

    name: TableName
    """The view."""
    definition: SqlFile | None = None
    """Its SQL; without it an existing view is only refreshed."""
    depends_on: Annotated[tuple[TableName, ...], Field(strict=False)] = ()
    """Relations it reads that its SQL can't show."""
    unique_index: Columns = ()
    """Columns whose values are unique, which a concurrent refresh needs."""
    owner: RoleName | None = None
    """Whom it is made for; else the owner of the schema's other views, or of the schema."""
    grants: Annotated[tuple[GrantPolicy, ...], Field(strict=False)] = ()
    """Who may read it, besides those who may read all other views of the schema."""
    refresh: Cron | None = None
    """When it is refreshed, in UTC; else with the nightly run."""
    mode: Literal["auto", "concurrently", "plain"] = "auto"
    """Plain blocks readers of the view."""
    max_age: Duration = as_written("24 hours")
    """Older content is a finding."""
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
    """What makes a computed row out of date."""

    table: TableName
    """Where something happens."""
    key: KeyColumns
    """Its columns that match the computed row's key."""
    at: ColumnName
    """When it happened."""


class StaleAnalyticsPolicy(Section):
    """One table of computed rows."""

    table: TableName
    """The table."""
    calculated_at: ColumnName
    """When a row was computed."""
    key: KeyColumns
    """What a row is computed for."""
    max_age: Duration = as_written("24 hours")
    """Older rows are stale, if something happened since."""
    activity: Activity | None = None
    """Without it, age alone makes a row stale."""
    recalculate: SqlFile | None = None
    """An idempotent upsert of the rows whose keys are in %(keys)s.

    One statement. Keys of one column come as an array of its values, keys of several as a jsonb
    array of objects by column; a percent sign is written twice.
    """
    time_budget: Duration = as_written("10 minutes")
    """What is not recalculated by then is left to the next run."""
