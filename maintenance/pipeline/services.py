"""Checks what a policy needs beside its database: variables, sinks and archive stores."""

from collections.abc import Callable, Iterator
from functools import partial

from maintenance.alerts.sinks import fault_of, name_of
from maintenance.archives.location import shown
from maintenance.archives.objects import try_store
from maintenance.engine.findings import Finding, FindingKind, Severity
from maintenance.engine.side_by_side import ends_within
from maintenance.engine.target import Target
from maintenance.errors import ArchiveError, UsageError
from maintenance.policy.references import references

PROBE_LIMIT_S = 30.0
"""Maximum duration of the check of one archive store."""


def broken_settings(target: Target) -> Iterator[Finding]:
    """Yield a finding for each url, secret or sink of the policy that can't be used.

    Only variables of the environment and libraries are asked; nothing is connected to.
    """
    for reference in references(target.policy):
        try:
            target.resolve(reference)
        except UsageError as exc:
            data = {"reason": "variable", "key": reference.key, "variable": reference.label}
            yield _broken(target, exc.with_hint, data)
    for sink in target.policy.alerts.sinks:
        try:
            fault = fault_of(sink, target)
        except UsageError:
            continue  # its variable, see above
        if fault:
            name = name_of(sink)
            yield _broken(target, f"sink {name}: {fault}", {"reason": "sink", "sink": name})


def _broken(target: Target, text: str, data: dict[str, str]) -> Finding:
    policy = target.policy
    return Finding(
        FindingKind.POLICY_BROKEN,
        Severity.ERROR,
        str(policy.path),
        f"{policy.database.name}: {text}",
        data=data,
    )


def unusable_archives(target: Target) -> Iterator[Finding]:
    """Yield a finding for each archive url where an object can't be written and read back.

    A small object is written there, read back and removed.
    """
    database = target.policy.database.name
    retentions = (section.retention for section in target.policy.partitions)
    archives = (each.archive for each in retentions if each is not None)
    for url in dict.fromkeys(each.url for each in archives if each is not None):
        yield from _unusable(url, partial(try_store, url, database))


def _unusable(url: str, probe: Callable[[], bool]) -> Iterator[Finding]:
    removed: list[bool] = []
    name, text, severity = shown(url), "", Severity.ERROR
    try:
        if not ends_within(PROBE_LIMIT_S, lambda: removed.append(probe())):
            text = f"no answer within {PROBE_LIMIT_S:.0f} s"
        elif not removed[0]:
            severity = Severity.INFO
            text = "the object of this check could not be removed, as in a write-once store"
    except ArchiveError as exc:
        text = exc.with_hint.removeprefix(f"archive {name}: ")
    if text:
        yield Finding(FindingKind.ARCHIVE_UNUSABLE, severity, name, f"archive {name}: {text}")
