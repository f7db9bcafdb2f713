"""Our definitions as a part of a Dagster project that has assets of its own."""

import os
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from maintenance.orchestration.build import SpecOf, build, same_spec
from maintenance.policy import STANDALONE, Placement, policy_paths

StrPath = str | os.PathLike[str]


def build_definitions(
    policies: StrPath | Sequence[StrPath] = (),
    *,
    key_prefix: str | Sequence[str] = (),
    group: str | None = None,
    location: str = STANDALONE.location,
) -> dg.Definitions:
    """Build the definitions of policies, to be merged with those of a project.

    They bring no executor, no resource, no IO manager and no logger, and need none: jobs of ours
    run in the process of their run, everything else runs as the project says. Nothing is connected
    to, and the file of an invalid policy becomes an asset that shows the problems.

        defs = dg.Definitions.merge(dg.Definitions(assets=[...]), build_definitions("policies"))

    Args:
        policies: policy files or folders; relative paths start at the working directory. Without
            any, those that the variable `MAINTENANCE_POLICIES` lists, else the folder `policies`.
        key_prefix: comes before every asset key and, joined by `_`, before the names of jobs,
            schedules, sensors and ops. A project needs it to call us twice.
        group: one asset group for all; by default a group for each subject.
        location: the name of the project's code location, for links in alerts.

    Returns:
        Definitions whose jobs, schedules and sensors are turned on by default.

    Raises:
        maintenance.errors.UsageError: `key_prefix` is no asset key.
    """
    return build(
        paths_of(policies),
        placement=Placement(parts_of(key_prefix), location),
        spec=in_group(group),
    )


def paths_of(policies: StrPath | Sequence[StrPath], root: Path = Path()) -> list[Path]:
    """Return the paths of policies, those that are relative below a root."""
    given = [policies] if isinstance(policies, (str, os.PathLike)) else policies
    return [root / path for path in policy_paths([Path(each) for each in given], os.environ)]


def parts_of(key_prefix: str | Sequence[str]) -> tuple[str, ...]:
    """Return the parts of a key prefix; a string is one part."""
    return (key_prefix,) if isinstance(key_prefix, str) else tuple(key_prefix)


def in_group(group: str | None) -> SpecOf:
    """Return what puts every asset into one group; None leaves each where it is."""
    if group is None:
        return same_spec
    return lambda spec: spec.replace_attributes(group_name=group)
