"""Writes and verifies the archive of one partition."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from maintenance.archives import (
    ArchivePlace,
    Facts,
    Manifest,
    TableId,
    read_manifest,
    verify_archive,
    write_archive,
)
from maintenance.engine.action_context import ActionContext
from maintenance.engine.actions import Action
from maintenance.names import parse_name
from maintenance.policy import Archive


def archive(context: ActionContext, action: Action) -> Mapping[str, Any]:
    """Archive a partition, and read the archive back to verify it."""
    place = place_of(context, action)
    archived = write(context, action)
    data = archived.data
    return {
        "url": str(place),
        "rows": archived.n_rows,
        "bytes": data.size_bytes,
        "sha256": archived.content.sha256,
        "seal": archived.seal,
        "verified": True,
    }


def write(context: ActionContext, action: Action) -> Manifest:
    """Write the archive of an action's table, or return the existing one.

    Raises:
        ArchiveError: see `archives.write_archive`.
    """
    facts = action.preconditions
    return write_archive(
        context.connection,
        table_of(action),
        place_of(context, action),
        Facts(
            key=facts["key"],
            bound=facts["bound"],
            lower=_moment(facts["lower"]),
            upper=_moment(facts["upper"]),
            policy_hash=context.policy.hash,
            run_id=context.run_id,
        ),
        format_=_section(context, action).format,
        progress=context.progress,
    ).manifest


def proven_manifest(context: ActionContext, action: Action) -> Manifest:
    """Return the manifest of an archive that was read back, earlier in this run or now.

    Raises:
        ArchiveError: the archive is damaged, or missing and can't be written.
    """
    place = place_of(context, action)
    manifest = read_manifest(place)
    if manifest is None:
        return write(context, action)
    if manifest.run_id != context.run_id:
        verify_archive(place, manifest, progress=context.progress)
    return manifest


def place_of(context: ActionContext, action: Action) -> ArchivePlace:
    """Return the location of the archive of an action's period."""
    table = parse_name(str(action.table))
    section = _section(context, action)
    name = context.policy.database.name
    key = context.target.sealing_key(section)
    return ArchivePlace(section.url, name, table, str(action.period), key)


def table_of(action: Action) -> TableId:
    """Return the table as it was observed."""
    return TableId(int(action.preconditions["oid"]), parse_name(action.object))


def _section(context: ActionContext, action: Action) -> Archive:
    for section in context.policy.partitions:
        retention = section.retention
        if str(section.table) == action.table and retention is not None and retention.archive:
            return retention.archive
    raise AssertionError("only tables with an archive section are archived")


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text is not None else None
