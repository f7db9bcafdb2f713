"""Archives of partitions: written, proven by reading back, restored."""

from maintenance.archives.content import content_digest
from maintenance.archives.digest import Digest
from maintenance.archives.manifest import Manifest
from maintenance.archives.place import ArchivePlace
from maintenance.archives.reading import list_archives, read_manifest, verify_archive
from maintenance.archives.stores import require_packages
from maintenance.archives.tables import TableId
from maintenance.archives.writing import Archived, Facts, write_archive

__all__ = [
    "ArchivePlace",
    "Archived",
    "Digest",
    "Facts",
    "Manifest",
    "TableId",
    "content_digest",
    "list_archives",
    "read_manifest",
    "require_packages",
    "verify_archive",
    "write_archive",
]
