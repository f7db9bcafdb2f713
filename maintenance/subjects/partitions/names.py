"""Derives the names of the tables of a new tree from those of the sibling it is modeled on."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from maintenance.catalog.trees import Branch, Tree
from maintenance.names import MAX_NAME_BYTES, QualifiedName, cut


class Dated(NamedTuple):
    """A partition's name, and the part of the name for its period, such as `2026_11`.

    The part is empty if the template of the policy does not write it in one piece.
    """

    name: str
    part: str


def bridge_name(name: str, table: str, since: str) -> str:
    """Return the name of a partition that holds only a part of a period, within 63 bytes.

    Args:
        name: of a partition of the whole period, from which this one differs.
        table: the name of its table; makes names that have to be cut unique.
        since: digits and dashes of the moment at which it begins.
    """
    suffix = f"_from_{since.replace('-', '_')}"
    if len((name + suffix).encode()) <= MAX_NAME_BYTES:
        return name + suffix
    suffix = f"_{hashlib.sha256(table.encode()).hexdigest()[:6]}{suffix}"
    return cut(name, MAX_NAME_BYTES - len(suffix)) + suffix


def tree_names(model: Tree, old: Dated, new: QualifiedName, part: str) -> dict[int, QualifiedName]:
    """Return names for the tables of a tree modeled on another, unique and within 63 bytes.

    The new partition's name, or that of its parent, replaces the model's; if a name contains
    neither, the part for the new period replaces that for the old. A name without either becomes
    `<partition>_p<number>`. Names that are too long are cut before the period, as the names of
    partitions are.

    Args:
        model: the tree.
        old: the name of its partition.
        new: the new partition.
        part: the part of the name for the new period.

    Returns:
        The names by the OID of the corresponding table of the model.
    """
    names = {model.root.oid: new}
    old_names = {model.root.oid: old.name}
    for place, branch in enumerate(model.below, start=1):
        above = branch.parent or 0
        changes = {old_names[above]: names[above].name, old.name: new.name, old.part: part}
        taken = {name.name for name in names.values()}
        free = (name for name in _candidates(branch, changes, new.name, part, place))
        name = next(name for name in free if name not in taken)
        names[branch.oid] = QualifiedName(new.schema, name)
        old_names[branch.oid] = branch.relation.name
    return names


def _candidates(
    branch: Branch, changes: Mapping[str, str], new: str, part: str, place: int
) -> Iterator[str]:
    for old, replacement in changes.items():
        head, found, tail = branch.relation.name.rpartition(old) if old else ("", "", "")
        if found:
            fitting = _fit(f"{head}{replacement}{tail}", part)
            if fitting is not None:
                yield fitting
            break
    suffix = f"_p{place}"
    yield _fit(new + suffix, part) or cut(new, MAX_NAME_BYTES - len(suffix)) + suffix
    digits = 0
    while True:
        digits += 1
        suffix = f"_p{place}_{digits}"
        yield cut(new, MAX_NAME_BYTES - len(suffix)) + suffix


def _fit(name: str, part: str) -> str | None:
    """Cut a name before the period; None if that is not enough."""
    excess = len(name.encode()) - MAX_NAME_BYTES
    if excess <= 0:
        return name
    head, found, tail = name.rpartition(part) if part else (name, "", "")
    stem = head.rstrip("_-")
    room = len(stem.encode()) - excess
    return f"{cut(stem, room)}{head[len(stem) :]}{found}{tail}" if found and room > 0 else None
