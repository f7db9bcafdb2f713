"""The Dagster component: what `build_definitions` builds, from a `defs.yaml`."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import dagster as dg
from pydantic import BaseModel, Field

from maintenance.orchestration.build import build
from maintenance.orchestration.guest import in_group, parts_of, paths_of
from maintenance.orchestration.subject_asset import AssetResult
from maintenance.policy import Placement


class ScaffoldParams(BaseModel):
    """What `dg scaffold defs` asks."""

    policies: str = Field("policies", description="Folder of the policies, below the project.")
    key_prefix: str | None = Field(None, description="Comes before every asset key and job name.")


class MaintenanceScaffolder(dg.Scaffolder[ScaffoldParams]):
    """Writes the `defs.yaml`, and the folder of policies if it is missing."""

    @classmethod
    def get_scaffold_params(cls) -> type[ScaffoldParams]:
        """Return the parameters."""
        return ScaffoldParams

    def scaffold(self, request: dg.ScaffoldRequest[ScaffoldParams]) -> None:
        """Write the files; nothing that exists is changed."""
        chosen = request.params
        attributes: dict[str, Any] = {"policies": chosen.policies}
        if chosen.key_prefix is not None:
            attributes["key_prefix"] = chosen.key_prefix
        dg.scaffold_component(request, attributes)
        folder = (request.project_root or Path()) / chosen.policies
        folder.mkdir(parents=True, exist_ok=True)
        click.echo(
            f"Write a policy for each database: maintenance init --env APP_URL --out"
            f" {folder / 'app.yaml'}"
        )


@dg.scaffold_with(MaintenanceScaffolder)
class MaintenanceComponent(dg.Component, dg.Model, dg.Resolvable):
    """Unattended PostgreSQL maintenance, from a policy file for each database.

    Partitions, retention with archives, materialized views, statistics, indexes, bloat and health:
    assets with checks, jobs, schedules and sensors. It brings no executor, resource or IO manager.
    """

    policies: str | Sequence[str] = Field(
        default="policies",
        description="Policy files or folders; relative paths start at the root of the project.",
    )
    key_prefix: str | Sequence[str] = Field(
        default=(),
        description="Comes before every asset key and, joined by _, before the names of jobs,"
        " schedules and sensors.",
    )
    group: str | None = Field(
        default=None,
        description="One asset group for all; by default a group for each subject.",
    )
    location: str | None = Field(
        default=None,
        description="Name of the code location, for links in alerts; by default that of the"
        " project's folder.",
    )

    def get_asset_spec(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        """Return the spec of one asset; override it to change anything but its key."""
        return in_group(self.group)(spec)

    def execute(
        self, context: dg.AssetExecutionContext, body: Callable[[], Iterator[AssetResult]]
    ) -> Iterator[AssetResult]:
        """Run the body of one asset; override it to do something before, after or instead."""
        _ = context
        yield from body()

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Build the definitions."""
        root = context.project_root
        location = self.location or root.name
        return build(
            paths_of(self.policies, root),
            placement=Placement(parts_of(self.key_prefix), location, self.execute),
            spec=self.get_asset_spec,
        )

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        """Return what catalogs of components show."""
        return dg.ComponentTypeSpec(tags=["postgres", "maintenance"])
