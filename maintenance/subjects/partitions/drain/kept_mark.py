"""The mark of copies that an interrupted split has left, and that the next run may continue."""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from maintenance.ddl.marks import read_mark
from maintenance.names import QualifiedName
from maintenance.partition_set.bounds import bound_literals
from maintenance.subjects.partitions.drain.job import Job

KEPT = "kept"
"""Mark of a log whose copies the next run may continue."""


class KeptPart(NamedTuple):
    """A part of the split partition: the key of its copy, its bounds and its future name."""

    key: str
    bound: str
    name: QualifiedName

    @property
    def ends(self) -> tuple[str, str]:
        """Its bounds as SQL text."""
        return bound_literals(self.bound)


class KeptCopy(NamedTuple):
    """The copies that an interrupted split has left, and a digest of what they are copies of."""

    parts: tuple[KeptPart, ...]
    digest: str


def digest_of(job: Job) -> str:
    """Return a digest of all that copies depend on: they are useless once it differs."""
    table = job.table
    content = (job.shape, job.storage, table.properties, table.shared, job.drained.bound)
    return hashlib.sha256(repr(content).encode(errors="surrogatepass")).hexdigest()


def kept_mark(job: Job) -> Mapping[str, Any]:
    """Return what the comment of the log says about the copies."""
    parts = [
        [key, target.bound, target.final.root.schema, target.final.root.name]
        for key, target in zip(job.keys, job.periods, strict=True)
    ]
    return {"parts": parts, "digest": digest_of(job)}


def read_kept(comment: str | None) -> KeptCopy | None:
    """Read the copies that a log's comment describes; None if there are none to be continued."""
    found = read_mark(comment).get(KEPT)
    if not isinstance(found, dict):
        return None
    facts = cast("dict[str, Any]", found)
    try:
        parts = tuple(
            KeptPart(str(key), str(bound), QualifiedName(str(schema), str(name)))
            for key, bound, schema, name in facts["parts"]
        )
        if not all(part.ends for part in parts):
            return None
        return KeptCopy(parts, str(facts["digest"]))
    except (KeyError, TypeError, ValueError):  # not written by us
        return None
