"""Writing archives: streamed, read back, and only then called an archive by its manifest."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from maintenance.archives import formats
from maintenance.archives.content import Digest, consistent, content_digest
from maintenance.archives.description import Description, create_standalone
from maintenance.archives.folder import Folder
from maintenance.archives.formats import Format
from maintenance.archives.manifest import MANIFEST, Content, Data, Manifest
from maintenance.archives.place import ArchivePlace
from maintenance.archives.reading import read_back, read_manifest, verify_archive
from maintenance.archives.tables import TableId
from maintenance.engine.ladder import Progress, silent
from maintenance.errors import ArchiveError
from maintenance.names import quote
from maintenance.server.session import Connection, fetch


@dataclass(frozen=True, slots=True)
class Facts:
    """What an archive says of a partition beyond what its table shows.

    Attributes:
        key: the column of the partition key; None leaves out its least and greatest value.
        bound: as the catalog has it, such as `FOR VALUES FROM (…) TO (…)`.
        lower: the bound as an aware moment; None where it is open.
        upper: likewise.
        policy_hash: of the policy under which it is archived.
        run_id: of the run that does it.
    """

    key: str | None
    bound: str
    lower: datetime | None
    upper: datetime | None
    policy_hash: str
    run_id: str


class Archived(NamedTuple):
    """An archive that is complete and proven; `reused` if an earlier run had written it."""

    manifest: Manifest
    reused: bool
